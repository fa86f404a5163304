"""Where the CPU time of a saturated server goes: perf's samples of gslb, gdnsd and the echo.

Not part of a run of all figures: it is for whoever wants to know what holds a figure back.
The kernel's part is that of the socket path, the same for all; what is left is the server's
own.
"""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import load, netns, world
from bench.case import SERVICE, Case, Listen
from bench.netns import Wire
from bench.peers import ECHO, GDNSD, NATIVE, PYTHON, Started, found, started
from bench.process import NotMeasured
from bench.table import shown

NETWORKS, CLIENTS = 100_000, 20_000
SECONDS = 4.0
SHOWN = 25
FIRST_PORT = 5501


def figure() -> str:
    """Return a table of the costliest functions for each server."""
    perf = found("perf")
    assert perf, "found gives a path, or raises"
    parts = []
    with TemporaryDirectory(prefix="gslb-bench-") as name, netns.wire() as wire:
        root = Path(name)
        made = world.make(NETWORKS)
        world.save(made, root / "city.mmdb")
        clients = made.clients(CLIENTS, seed=world.SEED)
        queries = load.write_queries(root / "queries", [SERVICE], clients)
        for number, peer in enumerate((ECHO, NATIVE, GDNSD, PYTHON)):
            listen = Listen(netns.SERVER, FIRST_PORT + number)
            case = Case(root / "city.mmdb")
            try:
                with (
                    netns.within(wire.client),
                    started(peer, root / f"{number}", case, listen, wire.at_server) as server,
                ):
                    parts.append(_profile(perf, wire, server, queries, root / "perf.data"))
            except NotMeasured as why:
                parts.append(f"{peer.name}: left out, {why}")
    return "\n\n".join(parts)


def _profile(perf: str, wire: Wire, server: Started, queries: Path, data: Path) -> str:
    loading = threading.Thread(
        target=load.ours, args=(wire, server, queries, SECONDS, f"window={load.WINDOW}")
    )
    loading.start()
    # A clock's ticks: virtual machines seldom have counters.
    record = [perf, "record", "-q", "-e", "cpu-clock", "-o", str(data), "-p", str(server.pid)]
    subprocess.run([*record, "--", "sleep", f"{SECONDS - 1:g}"], capture_output=True, check=False)
    loading.join()
    report = [perf, "report", "-i", str(data), "--stdio", "--no-children", "--sort", "sym,dso"]
    said = subprocess.run(report, capture_output=True, text=True, check=False).stdout
    lines = re.findall(r"^\s+([\d.]+)%\s+\[(.)\] (.+?)\s{2,}(\S+)", said, re.MULTILINE)
    own = sum(float(part) for part, where, *_ in lines if where == ".")
    rows = [[f"{part} %", where, symbol[:60], dso[:30]] for part, where, symbol, dso in lines]
    head = f"{server.label}: {own:.0f} % outside of the kernel"
    return "\n".join([head, shown(("part", "in", "function", "of"), rows[:SHOWN])])
