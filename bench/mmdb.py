"""Time and memory to compile a city database of a million networks, and to start from its cache.

Two tables of one run.  *Compiling*: child processes that walk the database and compile the
geo map, with the native code and in Python alone, beside one that only walks the same file
with the maxminddb reader (its C extension) and does nothing with what it finds.  The
interpreter's start and its imports are in "whole"; "compiling" is without them.  *Starting*:
the same with everything in the cache.  Printed are the medians of the rounds, their range, and
ratios.  What a running node holds is in `bench.memory`.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.case import Case, Listen
from bench.peerfiles import gslb_files
from bench.process import free_port, measured, tail
from bench.table import mib, shown

NETWORKS = 1_000_000
ROUNDS = 3
ENGINES = ("native", "python")
THIS = (sys.executable, "-m", "bench.mmdb")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one child took: seconds in all, seconds of its work alone, and its peak memory."""

    whole_s: float
    work_s: float
    peak_bytes: int


def figure(networks: int = NETWORKS, rounds: int = ROUNDS) -> str:
    """Make the database, compile it, and return the tables."""
    with TemporaryDirectory(prefix="gslb-bench-") as name:
        folder = Path(name)
        database, log = folder / "city.mmdb", folder / "log"
        # In a child, or this process's size would count as the peak of what it starts.
        measured([sys.executable, "-m", "bench.world", str(database), str(networks)], log=log)
        size = f"{networks} networks in {mib(database.stat().st_size)}"
        children = {"plain walk": [*THIS, "walk", str(database)]}
        config = str(gslb_files(folder, Case(database), Listen("127.0.0.1", free_port())))
        for engine in ENGINES:
            children[f"compiling, {engine}"] = [*THIS, "make", engine, config]
        cold = _rounds(children, rounds, folder, log, keep_cache=False)
        del children["plain walk"]
        warm = _rounds(children, rounds, folder, log, keep_cache=True)
    return "\n\n".join([size, _compiling(cold), _starting(warm)])


def _rounds(
    children: Mapping[str, Sequence[str]], rounds: int, folder: Path, log: Path, *, keep_cache: bool
) -> dict[str, list[Taken]]:
    """Run each child in each round, one after the other, so that all meet the same noise."""
    taken: dict[str, list[Taken]] = {what: [] for what in children}
    for _ in range(rounds):
        for what, argv in children.items():
            if not keep_cache:
                shutil.rmtree(folder / "var", ignore_errors=True)
            usage = measured(argv, log=log)
            taken[what].append(Taken(usage.wall_s, float(tail(log)), usage.peak_bytes))
    return taken


def _compiling(taken: Mapping[str, Sequence[Taken]]) -> str:
    (plain, *_) = taken.values()
    walk_s = median(each.work_s for each in plain)
    walk_bytes = median(each.peak_bytes for each in plain)
    rows = []
    for what, all_ in taken.items():
        work_s = [each.work_s for each in all_]
        peak_bytes = median(each.peak_bytes for each in all_)
        rows.append(
            [
                what,
                f"{median(work_s):.2f} s",
                f"{min(work_s):.2f}–{max(work_s):.2f} s",
                f"{median(work_s) / walk_s:.2f}",
                f"{median(each.whole_s for each in all_):.2f} s",
                mib(peak_bytes),
                f"{peak_bytes / walk_bytes:.2f}",
            ]
        )
    header = ("what", "time", "range", "to a walk", "whole", "peak memory", "to a walk")
    return shown(header, rows)


def _starting(taken: Mapping[str, Sequence[Taken]]) -> str:
    rows = []
    for what, all_ in taken.items():
        work_ms = [1000 * each.work_s for each in all_]
        rows.append(
            [
                what.replace("compiling", "from the cache"),
                f"{median(work_ms):.0f} ms",
                f"{min(work_ms):.0f}–{max(work_ms):.0f} ms",
                mib(median(each.peak_bytes for each in all_)),
            ]
        )
    return shown(("what", "time", "range", "peak memory"), rows)


# What the children do


def _without_native_code(engine: str) -> None:
    if engine == "python":
        sys.modules["gslb._native"] = None  # type: ignore[assignment] # importing it then fails
        return
    try:
        import gslb._native  # noqa: F401, PLC0415
    except ImportError:
        sys.exit("the native code was not built")


def _walk(path: str) -> None:
    import maxminddb  # noqa: PLC0415 - only the child that walks needs it

    with maxminddb.open_database(path) as reader:
        for _ in reader:
            pass


def _make(config: str) -> None:
    from gslb.daemons import planner  # noqa: PLC0415 - what is imported depends on the engine
    from gslb.daemons.database import open_atlas, open_maps  # noqa: PLC0415
    from gslb.routing.snapshot import map_keys  # noqa: PLC0415

    read = planner.read(Path(config))
    cache = planner.cache_of(read)
    keys = {key for service in read.services() for key in map_keys(service).values()}
    began_s = time.perf_counter()
    atlas = open_atlas(read.geo_database, read.asn_database, cache)
    open_maps(keys, atlas, read.regions, cache)
    print(time.perf_counter() - began_s)


def _child(argv: Sequence[str]) -> None:
    match argv:
        case ["walk", path]:
            began_s = time.perf_counter()
            _walk(path)
            print(time.perf_counter() - began_s)
        case ["make", engine, config]:
            _without_native_code(engine)
            _make(config)


if __name__ == "__main__":
    _child(sys.argv[1:])
