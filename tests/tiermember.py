"""A member as a process of its own: ``python -m tests.tiermember ADDRESS PORT``.

It answers with its address.  ``/healthz`` says 503 after SIGUSR1; SIGTERM ends it gracefully.
"""

from __future__ import annotations

import asyncio
import signal
import sys


class Connection(asyncio.Protocol):
    """One connection; requests have no body, or one that came with its head."""

    draining = False
    stopping = False
    open: set[Connection] = set()  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.open.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.open.discard(self)

    def data_received(self, octets: bytes) -> None:
        self._held += octets
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            sick = self.draining and head.startswith(b"get /healthz")
            status = b"503 Going" if sick else b"200 OK"
            closes = b"connection: close\r\n" if self.stopping else b""
            self._transport.write(
                b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b"
                % (status, closes, len(self._name), self._name)
            )
            if self.stopping:
                self._transport.close()
                return


async def main(address: str, port: int) -> None:
    """Serve until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    server = await loop.create_server(lambda: Connection(address), address, port, backlog=1024)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(Connection, "draining", True))
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    Connection.stopping = True
    for each in list(Connection.open):
        if not each._held:
            each._transport.close()
    while Connection.open:
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
