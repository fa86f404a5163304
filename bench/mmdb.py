"""Time and peak memory to compile a city database of a million networks.

`gslb geo build` is run as a child process, without its cache and then with it, beside a
child that only walks the same file with the maxminddb reader (its C extension) and does
nothing with what it finds.  Printed are the medians of the rounds, and their ratios to that
walk.  The interpreter's start and its imports are in all three.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.case import Case, Listen
from bench.peerfiles import gslb_files
from bench.process import GSLB, NotMeasured, Usage, free_port, measured
from bench.table import mib, shown

NETWORKS = 1_000_000
ROUNDS = 3
WALK, COLD, CACHED = "plain walk", "geo build", "geo build, cached"


def figure(networks: int = NETWORKS, rounds: int = ROUNDS) -> str:
    """Make the database, compile it, and return the table."""
    notes: list[str] = []
    with TemporaryDirectory(prefix="gslb-bench-") as name:
        folder = Path(name)
        database, log = folder / "city.mmdb", folder / "log"
        # In a child, or this process's size would count as the peak of what it starts.
        measured([sys.executable, "-m", "bench.world", str(database), str(networks)], log=log)
        config = str(gslb_files(folder, Case(database), Listen("127.0.0.1", free_port())))
        build = [*GSLB, "geo", "build", "--config", config]
        walk = [sys.executable, "-m", "bench.mmdb", str(database)]
        taken: dict[str, list[Usage]] = {WALK: [], COLD: [], CACHED: []}
        for _ in range(rounds):
            taken[WALK].append(measured(walk, log=log))
            try:
                shutil.rmtree(folder / "var", ignore_errors=True)
                taken[COLD].append(measured(build, log=log))
                taken[CACHED].append(measured(build, log=log))
            except NotMeasured as why:
                notes.append(f"gslb: left out, {why}")
                break
        size = f"{networks} networks in {mib(database.stat().st_size)}"
    header = ("what", "time", "range", "to a walk", "CPU", "peak memory", "to a walk")
    return "\n".join([size, shown(header, _rows(taken)), *notes])


def _rows(taken: Mapping[str, Sequence[Usage]]) -> list[list[str]]:
    walk_s = median(usage.wall_s for usage in taken[WALK])
    walk_bytes = median(usage.peak_bytes for usage in taken[WALK])
    rows = []
    for what, usages in taken.items():
        if usages:
            walls_s = [usage.wall_s for usage in usages]
            peak_bytes = median(usage.peak_bytes for usage in usages)
            rows.append(
                [
                    what,
                    f"{median(walls_s):.1f} s",
                    f"{min(walls_s):.1f}–{max(walls_s):.1f} s",
                    f"{median(walls_s) / walk_s:.2f}",
                    f"{median(usage.cpu_s for usage in usages):.1f} s",
                    mib(peak_bytes),
                    f"{peak_bytes / walk_bytes:.2f}",
                ]
            )
    return rows


def _walk(path: str) -> None:
    import maxminddb  # noqa: PLC0415 - only the child that walks needs it

    with maxminddb.open_database(path) as reader:
        for _ in reader:
            pass


if __name__ == "__main__":
    _walk(sys.argv[1])
