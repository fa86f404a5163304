"""Memory held, and time to the first answer: a million names, a million networks.

Each server is started on its own with files that it has not seen before, and asked for a
plain name until it answers, ten times a second.  A moment later its memory is read: what it holds
now (PSS, all its processes, shared pages once) and the most it ever held (VmHWM, their sum).
Pages of mapped files count while they are in memory.  NSD serves no networks, the small
case is one zone of three names and no database.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import store
from bench.case import Case, Listen
from bench.peerfiles import gslb_engines
from bench.peers import GDNSD, KNOT, NATIVE, NSD, PYTHON, Peer, started
from bench.process import NotMeasured, free_port, held_bytes, measured, peak_bytes
from bench.table import mib, shown

NAMES = NETWORKS = 1_000_000
SETTLE_S = 1.0
START_MAX_S = 300.0
ROUNDS_MAX_S = 60.0
SMALL, MANY_NAMES, MANY_NETWORKS = "small", "names", "networks"


def measure(*, quick: bool = False) -> store.Result:
    """Start every server with every case that it can serve."""
    rounds, count = (1, 50_000) if quick else (3, NAMES)
    found: store.Result = {"rounds": rounds, "count": count, "rows": [], "notes": []}
    with TemporaryDirectory(prefix="gslb-bench-") as name:
        root = Path(name)
        database = root / "city.mmdb"
        measured([sys.executable, "-m", "bench.world", str(database), str(count)], log=root / "log")
        # With the native engine all is still read and compiled in Python: once is enough.
        ours = NATIVE if "native" in gslb_engines() else PYTHON
        every = (ours, GDNSD, KNOT, NSD)
        cases = {
            SMALL: (Case(None), every),
            MANY_NAMES: (Case(None, names=count), every),
            MANY_NETWORKS: (Case(database), every[:-1]),
        }
        for kind, (case, peers) in cases.items():
            for peer in peers:
                try:
                    runs = _runs(peer, case, root / "served", rounds)
                except (NotMeasured, subprocess.SubprocessError) as why:
                    found["notes"].append(f"{peer.name}, {kind}: left out, {why}")
                    continue
                found["rows"].append({"kind": kind, "server": peer.name, "runs": runs})
    return found


def _runs(peer: Peer, case: Case, folder: Path, rounds: int) -> list[store.Result]:
    """Start a server several times, but fewer where that takes minutes."""
    runs: list[store.Result] = []
    while len(runs) < rounds and sum(run["load_s"] for run in runs) < ROUNDS_MAX_S:
        runs.append(_run(peer, case, folder))
    return runs


def _run(peer: Peer, case: Case, folder: Path) -> store.Result:
    listen = Listen("127.0.0.1", free_port())
    try:
        # The files are written before the clock starts: all but the first are small.
        folder.mkdir()
        argv = peer.prepare(folder, case, listen)
        start_s = time.monotonic()
        with started(peer, folder, case, listen, start_max_s=START_MAX_S, prepared=argv) as server:
            load_s = time.monotonic() - start_s
            time.sleep(SETTLE_S)
            return {
                "load_s": round(load_s, 3),
                "held_bytes": held_bytes(server.pid),
                "peak_bytes": peak_bytes(server.pid),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(found: store.Result) -> str:
    """Return the table of a result, as plain text."""
    return "\n".join([shown(*rows(found)), *found["notes"]])


def rows(found: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: load time and memory, as ratios to gdnsd's."""
    header = ["case", "server", "to first answer s", "to gdnsd", "held", "to gdnsd", "peak"]
    return header, [
        [
            row["kind"],
            row["server"],
            store.spread([run["load_s"] for run in row["runs"]], "{:.1f}".format),
            _ratio(found, row, "load_s"),
            store.spread([run["held_bytes"] for run in row["runs"]], mib),
            _ratio(found, row, "held_bytes"),
            mib(median(run["peak_bytes"] for run in row["runs"])),
        ]
        for row in found["rows"]
    ]


def _ratio(found: store.Result, row: store.Result, key: str) -> str:
    for other in found["rows"]:
        if other["kind"] == row["kind"] and other["server"] == GDNSD.name:
            own = median(run[key] for run in row["runs"])
            return f"{own / median(run[key] for run in other['runs']):.2f}"
    return "-"
