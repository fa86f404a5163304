"""CPU time per probe of ten thousand members: gslb, HAProxy's checks, a plain aiohttp loop.

All probe the same members, GET over HTTP/1.1 on a connection for each probe: one HAProxy that
answers 200 at every address of 127.0.0.0/8, on the last core.  The prober has the first core.
After a whole interval the probes that reach the members are counted for a while, by the
members' own count, beside the CPU time that the prober took meanwhile (the kernel's part in
it).  Probes per second of one core are the inverse.  The members' CPU time is not counted.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import store
from bench.peers import found as program
from bench.process import NotMeasured, cores, cpu_s, free_port, held_bytes, last_core, running, tail
from bench.table import mib, shown, si

MEMBERS = 10_000
INTERVAL_S = 10.0
TIMEOUT_S = 2.0
HOST, PATH = "www.example.com", "/healthz"
ROUNDS = 3
START_MAX_S = 30.0
SHARE_MIN = 0.9  # of the rate that the interval asks for, or the prober is said to be late
GSLB, HAPROXY, AIOHTTP = "gslb's prober", "HAProxy's checks", "plain aiohttp loop"


@dataclass(frozen=True, slots=True)
class Size:
    """How many members are probed, how often, and for how long it is watched, in seconds."""

    members: int = MEMBERS
    interval_s: float = INTERVAL_S
    watched_s: float = INTERVAL_S


def address(number: int) -> str:
    """Return where the member of that number is: from 127.1.0.1 on."""
    number += 1 + (1 << 16)
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def measure(*, quick: bool = False) -> store.Result:
    """Let each prober probe, in turn, several times."""
    size = Size(1_000, 2.0, 2.0) if quick else Size()
    rounds = 1 if quick else ROUNDS
    kept: store.Result = {
        "members": size.members,
        "interval_s": size.interval_s,
        "rows": [{"prober": name, "runs": []} for name in PROBERS],
        "notes": [],
    }
    for _ in range(rounds):
        for row in kept["rows"]:
            with TemporaryDirectory(prefix="gslb-bench-") as folder:
                try:
                    row["runs"].append(_run(row["prober"], size, Path(folder)))
                except NotMeasured as why:
                    kept["notes"].append(f"{row['prober']}: left out, {why}")
    kept["rows"] = [row for row in kept["rows"] if row["runs"]]
    return kept


def _run(prober: str, size: Size, folder: Path) -> store.Result:
    port = free_port()
    with members(folder, port) as count:
        argv = PROBERS[prober](folder, size, port)
        log = folder / "prober.log"
        with running(cores([0], argv), log=log) as child:
            deadline_s = time.monotonic() + START_MAX_S
            while not count():
                if child.poll() is not None or time.monotonic() > deadline_s:
                    raise NotMeasured(f"does not probe: {tail(log)}")
                time.sleep(0.05)
            time.sleep(size.interval_s)
            start_s, cpu_before_s, before = time.monotonic(), cpu_s(child.pid), count()
            time.sleep(size.watched_s)
            probes, used_s = count() - before, cpu_s(child.pid) - cpu_before_s
            wall_s = time.monotonic() - start_s
            if not probes:
                raise NotMeasured(f"probes no longer: {tail(log)}")
            return {
                "rate": round(probes / wall_s, 1),
                "cpu_us": round(used_s / probes * 1e6, 2),
                "held_bytes": held_bytes(child.pid),
            }


@contextmanager
def members(folder: Path, port: int) -> Iterator[Callable[[], int]]:
    """Answer 200 at that port of every loopback address; give the count of requests so far."""
    talk = folder / "members.sock"
    config = folder / "members.cfg"
    config.write_text(
        f"global\n maxconn 8000\n nbthread 1\n stats socket {talk}\n"
        "defaults\n mode http\n timeout client 5s\n timeout connect 5s\n timeout server 5s\n"
        f"frontend members\n bind 0.0.0.0:{port} backlog 20000\n"
        " http-request return status 200 content-type text/plain string ok\n"
    )
    argv = [str(program("haproxy")), "-db", "-f", str(config)]
    log = folder / "members.log"
    with running(cores([last_core()], argv), log=log) as child:
        deadline_s = time.monotonic() + START_MAX_S
        while not (_listens(port) and talk.exists()):
            if child.poll() is not None or time.monotonic() > deadline_s:
                raise NotMeasured(f"the members do not start: {tail(log)}")
            time.sleep(0.02)
        asked = _requests(talk)
        yield lambda: _requests(talk) - asked


def _listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def _requests(talk: Path) -> int:
    """Return how many requests the members have answered: a column of HAProxy's statistics."""
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(str(talk))
        asker.sendall(b"show stat\n")
        said = b"".join(iter(lambda: asker.recv(65536), b"")).decode()
    header, frontend = said.removeprefix("# ").splitlines()[:2]
    return int(frontend.split(",")[header.split(",").index("req_tot")])


def _child(how: str) -> Callable[[Path, Size, int], list[str]]:
    def argv(_: Path, size: Size, port: int) -> list[str]:
        words = (how, str(size.members), str(size.interval_s), str(port))
        return [sys.executable, "-m", "bench.probing", *words]

    return argv


def _haproxy(folder: Path, size: Size, port: int) -> list[str]:
    config = folder / "haproxy.cfg"
    inter_ms = round(size.interval_s * 1000)
    servers = "".join(
        f" server s{number} {address(number)}:{port} check\n" for number in range(size.members)
    )
    config.write_text(
        f"global\n maxconn 100\n nbthread 1\n\n"
        "defaults\n mode http\n timeout client 5s\n timeout connect 2s\n timeout server 2s\n"
        # It does not start without something that listens.
        f"frontend idle\n bind {folder / 'idle.sock'}\n"
        f"backend watched\n option httpchk\n http-check send meth GET uri {PATH} ver HTTP/1.1"
        f" hdr Host {HOST}\n timeout check {round(TIMEOUT_S * 1000)}ms\n"
        f" default-server inter {inter_ms}ms fall 3 rise 2\n{servers}"
    )
    return [str(program("haproxy")), "-db", "-f", str(config)]


PROBERS: dict[str, Callable[[Path, Size, int], list[str]]] = {
    GSLB: _child("gslb"),
    HAPROXY: _haproxy,
    AIOHTTP: _child("aiohttp"),
}


def table(kept: store.Result) -> str:
    """Return the table of a result, as plain text."""
    return "\n".join([shown(*rows(kept)), *dict.fromkeys(kept["notes"])])


def rows(kept: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: CPU time per probe, and its ratios to the others'."""
    middle = {row["prober"]: median(r["cpu_us"] for r in row["runs"]) for row in kept["rows"]}
    asked_for = kept["members"] / kept["interval_s"]
    header = ["prober", "probes/s", "CPU µs a probe", "probes/s of a core"]
    header += ["CPU to HAProxy's", "to aiohttp's", "memory"]
    found = []
    for row in kept["rows"]:
        runs, name = row["runs"], row["prober"]
        late = median(run["rate"] for run in runs) < SHARE_MIN * asked_for
        found.append(
            [
                name,
                store.spread([run["rate"] for run in runs], "{:.0f}".format)
                + (", late" if late else ""),
                store.spread([run["cpu_us"] for run in runs], "{:.0f}".format),
                si(1e6 / middle[name]),
                *(
                    f"{middle[name] / middle[base]:.2f}" if base in middle else "-"
                    for base in (HAPROXY, AIOHTTP)
                ),
                mib(median(run["held_bytes"] for run in runs)),
            ]
        )
    return header, found
