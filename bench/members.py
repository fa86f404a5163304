"""Members that answer probes by HTTP, and change their minds every second while a file is there.

    python -m bench.members FLAG FIRST_PORT COUNT

Half of them say 200 while the others say 503, and the other way round a second later.
Without the file all say 200.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from pathlib import Path


async def _serve(
    flag: Path, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        good = not flag.exists() or (int(time.monotonic()) + number) % 2
        status = b"200 OK" if good else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main(flag: Path, first_port: int, count: int) -> None:
    for number in range(count):
        await asyncio.start_server(partial(_serve, flag, number), "127.0.0.1", first_port + number)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
