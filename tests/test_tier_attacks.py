"""What somebody might do to a tier on purpose: sockets held, cores kept busy."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

from tests.servers import free_port
from tests.tiers import tier
from tests.wires import PROXY


def cpu_s(pid):
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_half_closed_connection_that_says_too_little_costs_no_core(tmp_path):
    port = free_port(PROXY)
    proxy = {"listen": [{"port": port, "proxy_protocol": True}], "workers": 1}
    async with tier(tmp_path, port=port, proxy=proxy) as it:
        (pid,) = it.workers()
        reader, writer = await asyncio.open_connection(PROXY, port)
        writer.write(b"PROX")
        writer.write_eof()
        before_s, began_s = cpu_s(pid), time.monotonic()

        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert time.monotonic() - began_s < 5
        assert cpu_s(pid) - before_s < 1
        writer.close()
