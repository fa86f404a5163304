"""Response times at half load: quiet, and while every verdict flips and the zone reloads.

A hundred services on the same ten members, asked for at random at half of what the same
server does at saturation.  Every other run all members change their minds each second (they
are probed by HTTP, as real ones are), and the zone's master file is replaced each second by
one with another serial.  Times are from the moment before a query's system call to the
kernel's stamp on the response (`native/examples/load`), so a busy client does not count; a
query without a response within the run and 0.3 s is lost.

On one core a server's thread that answers competes with all else that the server does; so
gslb is also measured where it may use all cores, of which the last is the load's as well.

That the verdicts do flip, and the zones reload, is read from the server's log and metrics, and
printed beside.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import load, netns, store, world
from bench.case import FIXED, Case, Listen
from bench.load import Run
from bench.netns import Wire
from bench.peerfiles import gslb_files
from bench.peers import ECHO, GDNSD, NATIVE, PYTHON, STATIC, Started, started
from bench.process import GSLB, START_MAX_S, NotMeasured, cores, last_core, running
from bench.table import shown, si

NETWORKS, CLIENTS = 100_000, 20_000
SERVICES, MEMBERS = 100, 10
FIRST_PORT, TARGET_PORT = 5401, 8100
SETTLE_S = 2.0
RELOAD_S = 1.0
# A server, the engine if it is gslb, and how many cores it may use.
SUBJECTS = (
    (ECHO, None, 1),
    (GDNSD, None, 1),
    (NATIVE, "native", 1),
    (NATIVE, "native", os.cpu_count() or 1),
    (PYTHON, "python", 1),
)
QUIET, BUSY = "quiet", "flips and reloads"
MONITOR = {
    "type": "http",
    "host": "members.example.com",  # one for all services, so that they share probes
    "port": 80,
    "interval": 0.4,
    "timeout": 0.35,
    "recheck": 0.1,
    "fall": 1,
    "rise": 1,
    "expect": {"status": [200]},
}


def measure(*, quick: bool = False) -> store.Result:
    """Measure gslb's engines quiet and busy, and the echo and gdnsd quiet."""
    rounds, seconds = (1, 1.0) if quick else (5, 4.0)
    found: store.Result = {"rounds": rounds, "seconds": seconds, "rows": [], "notes": []}
    with TemporaryDirectory(prefix="gslb-bench-") as name, netns.wire() as wire:
        root = Path(name)
        made = world.make(NETWORKS)
        case = Case(root / "city.mmdb", services=SERVICES, members=MEMBERS, shared=True)
        world.save(made, root / "city.mmdb")
        names = [f"{each}.example.com" for each in case.service_names()]
        clients = made.clients(CLIENTS, seed=world.SEED)
        queries = load.write_queries(root / "queries", names, clients)
        del made
        gc.collect()
        flag = root / "flag"
        for number, (peer, engine, on_cores) in enumerate(SUBJECTS):
            label = peer.name if on_cores == 1 else f"{peer.name}, all cores"
            listen = Listen(netns.SERVER, FIRST_PORT + number)
            ours = replace(peer, name=label, names={STATIC: FIXED})
            if engine:
                ours = replace(ours, prepare=partial(_watched, engine))
            folder = root / f"{number}"
            try:
                with (
                    netns.within(wire.client),
                    _members(wire, flag, wanted=engine is not None),
                    started(
                        ours, folder, case, listen, wire.at_server, on_cores=on_cores
                    ) as server,
                ):
                    disturbance = None
                    if engine:
                        _wait_until_ready(wire, folder)
                        disturbance = Disturbance(wire, folder, case, flag)
                    rows = _rows(wire, server, queries, rounds, seconds, disturbance)
            except NotMeasured as why:
                found["notes"].append(f"{label}: left out, {why}")
                continue
            found["rows"] += [{"server": label, **row} for row in rows]
    return found


def _rows(
    wire: Wire,
    server: Started,
    queries: Path,
    rounds: int,
    seconds: float,
    disturbance: Disturbance | None,
) -> list[store.Result]:
    """Load a server at half of its best, quiet and disturbed in turn."""
    full = load.ours(wire, server, queries, max(1.0, seconds / 2), f"window={load.WINDOW}")
    rate = int(full.rate / 2)
    if not rate:
        raise NotMeasured("it answers nothing")
    quiet: list[Run] = []
    busy: list[Run] = []
    for _ in range(rounds):
        quiet.append(load.ours(wire, server, queries, seconds, f"rate={rate}"))
        if disturbance:
            with disturbance:
                busy.append(load.ours(wire, server, queries, seconds, f"rate={rate}"))
            time.sleep(SETTLE_S)
    rows = [{"state": QUIET, "rate": rate, "runs": [run.plain() for run in quiet]}]
    if disturbance:
        runs = [run.plain() for run in busy]
        rows.append({"state": BUSY, "rate": rate, "runs": runs, **disturbance.seen})
    return rows


def _watched(engine: str, folder: Path, case: Case, listen: Listen) -> list[str]:
    targets = [f"127.0.0.1:{TARGET_PORT + number}" for number in range(MEMBERS)]
    return [*GSLB, "run", str(gslb_files(folder, case, listen, engine, MONITOR, targets))]


@contextmanager
def _members(wire: Wire, flag: Path, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    argv = [sys.executable, "-m", "bench.members", str(flag), str(TARGET_PORT), str(MEMBERS)]
    with running(wire.at_server(cores([last_core()], argv)), log=flag.with_name("members")):
        yield


class Disturbance:
    """While its block is entered every verdict flips, and the zone is reloaded, each second.

    `seen` says how often they really did, by the server's log and its metrics: the flips a
    second of the member that flipped least, and the reloads and publishes a second.
    """

    def __init__(self, wire: Wire, folder: Path, case: Case, flag: Path) -> None:
        self.seen: store.Result = {}
        self._wire, self._folder, self._case, self._flag = wire, folder, case, flag
        self._serial = 1
        self._done = threading.Event()

    def __enter__(self) -> None:
        self._flag.touch()
        self._done.clear()
        time.sleep(SETTLE_S)
        self._before, self._start_s = _metrics(self._wire, self._folder), time.monotonic()
        self._logged = (self._folder / "log").stat().st_size
        self._thread = threading.Thread(target=self._reload)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        took_s = time.monotonic() - self._start_s
        self._flag.unlink()
        after = _metrics(self._wire, self._folder)
        for what in ("publishes", "reloads"):
            key = f"gslb_{what}_total"
            self.seen[f"{what}_per_s"] = round((after[key] - self._before[key]) / took_s, 2)
        self.seen["flips_per_s"] = round(min(self._flips().values()) / took_s, 2)

    def _flips(self) -> dict[str, int]:
        """Return how often each member's verdict has flipped, as the log tells."""
        members = [address for pool in self._case.pools(0).values() for address, _ in pool]
        flips = dict.fromkeys(members, 0)
        log = (self._folder / "log").read_bytes()[self._logged :].decode()
        for member in re.findall(r" verdict member=(\S+) ", log):
            flips[member] += 1
        return flips

    def _reload(self) -> None:
        while not self._done.wait(RELOAD_S):
            self._serial += 1
            self._case.write_zone(self._folder / "next", serial=self._serial)
            (self._folder / "next").rename(self._folder / "example.com.zone")


def _wait_until_ready(wire: Wire, folder: Path) -> None:
    """Return once every member has its first verdict, and what that led to is over."""
    deadline_s = time.monotonic() + START_MAX_S
    while True:
        try:
            _asked(wire, folder, "readyz")
            break
        except OSError as why:
            if time.monotonic() > deadline_s:
                raise NotMeasured(f"not ready within {START_MAX_S:g} s: {why}") from why
        time.sleep(0.2)
    time.sleep(SETTLE_S)


def _asked(wire: Wire, folder: Path, what: str) -> str:
    where = json.loads((folder / "gslb.yaml").read_text())["listen"]["admin"]
    with (
        netns.within(wire.server),
        urllib.request.urlopen(f"http://{where}/{what}", timeout=10) as response,
    ):
        return str(response.read().decode())


def _metrics(wire: Wire, folder: Path) -> dict[str, float]:
    lines = re.findall(r"^(gslb\S+) (\S+)$", _asked(wire, folder, "metrics"), re.MULTILINE)
    return {name: float(value) for name, value in lines}


def table(found: store.Result) -> str:
    """Return the table of a result, as plain text."""
    return "\n".join([shown(*rows(found)), *found["notes"]])


def rows(found: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: quantiles, as ratios to the same server's quiet case."""
    header = ["server", "state", "queries/s", "p50 µs", "p99 µs", "p99.9 µs"]
    header += ["p99 to quiet", "p99.9 to quiet", "worst µs", "lost", "flips/s", "reloads/s"]
    table_rows = []
    for row in found["rows"]:
        quiet = next(
            each
            for each in found["rows"]
            if each["server"] == row["server"] and each["state"] == QUIET
        )
        table_rows.append(
            [row["server"], row["state"], si(row["rate"])]
            + [
                store.spread([run[key] for run in row["runs"]], "{:.0f}".format)
                for key in ("p50_us", "p99_us", "p999_us")
            ]
            + [f"{_median(row, key) / _median(quiet, key):.2f}" for key in ("p99_us", "p999_us")]
            + [str(max(run["max_us"] for run in row["runs"]))]
            + [str(sum(run["lost"] for run in row["runs"]))]
            + [str(row.get(key, "-")) for key in ("flips_per_s", "reloads_per_s")]
        )
    return header, table_rows


def _median(row: store.Result, key: str) -> float:
    return max(1.0, float(median(run[key] for run in row["runs"])))
