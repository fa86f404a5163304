"""Time from a member's death to changed answers on all of three nodes, over HTTP or NATS.

Three nodes and three vantages, `gslb run` and `gslb probe`, as processes on loopback; beside
them one node that probes by itself, which is what a carrier and a vote add to.  Ten
services prefer a victim each and fall back to a survivor that all share.  The victims die at
moments of the probe interval that a seed picks, and live again, six times over; from its death
on its service is asked at every node, every 20 ms, until the answer is the survivor.

"Refused" closes the port, "hung" goes on accepting and says nothing.  The bound is the one that
`gslb check` prints.  All victims die within a second, which is what cut-off vantages and the
safety catch are there for, so both are off.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import dns.message

from bench import store
from bench.detect import DEATHS, SURVIVOR, TIMINGS, Member, written
from bench.flips import quantile
from bench.process import GSLB, NotMeasured, free_port, running, tail, wait_for_answer
from bench.table import shown
from gslb.health.report import REPORT_GAP_S

ALONE, HTTP, NATS = "one node by itself", "three nodes, HTTP", "three nodes, NATS"
VICTIMS = 10
ROUNDS = 6
POLL_S = 0.02
SEED = 20_260_131
GIVE_UP_AFTER_BOUNDS = 4.0
SETTLE_MAX_S = 60.0
TICK_S = 1.0
TIMING = TIMINGS[0]
VANTAGES = ("ap", "eu", "us")


@dataclass(frozen=True, slots=True)
class World:
    """Nodes that run: where each answers, and where the members listen."""

    dns_ports: tuple[int, ...]
    member_port: int


def measure(*, quick: bool = False) -> store.Result:
    """Kill the victims again and again, in each world and in both ways."""
    rounds = 1 if quick else ROUNDS
    kept: store.Result = {
        "monitor": TIMING.words,
        "bound_s": TIMING.bound_s,
        "victims": VICTIMS,
        "rows": [],
        "notes": [],
    }
    for how in (ALONE, HTTP, NATS):
        try:
            with TemporaryDirectory(prefix="gslb-bench-") as name, _world(Path(name), how) as world:
                for death in DEATHS:
                    times_s = asyncio.run(_deaths(world, death, rounds))
                    kept["rows"].append({"world": how, "death": death, "times_s": times_s})
        except NotMeasured as why:
            kept["notes"].append(f"{how}: left out, {why}")
    return kept


async def _deaths(world: World, death: str, rounds: int) -> list[float]:
    chance = random.Random(SEED)
    taken_s: list[float] = []
    async with AsyncExitStack() as for_good:
        await for_good.enter_async_context(Member(SURVIVOR, world.member_port))
        for _ in range(rounds):
            async with AsyncExitStack() as stack:
                living = [
                    await stack.enter_async_context(Member(_victim(number), world.member_port))
                    for number in range(VICTIMS)
                ]
                async with asyncio.timeout(SETTLE_MAX_S):
                    for number in range(VICTIMS):
                        for port in world.dns_ports:
                            await _answered(number, _victim(number), port)
                taken_s += await asyncio.gather(
                    *(
                        _dies(member, number, death, chance.random(), world.dns_ports)
                        for number, member in enumerate(living)
                    )
                )
    return [round(took_s, 4) for took_s in taken_s]


async def _dies(
    member: Member, number: int, death: str, part: float, dns_ports: Sequence[int]
) -> float:
    """Let a member die after that part of an interval; return when the last node knew of it."""
    await asyncio.sleep(part * TIMING.interval_s)
    loop = asyncio.get_running_loop()
    member.die(death)
    died_s = loop.time()
    try:
        async with asyncio.timeout(GIVE_UP_AFTER_BOUNDS * TIMING.bound_s):
            ends_s = await asyncio.gather(
                *(_answered(number, SURVIVOR, port) for port in dns_ports)
            )
    except TimeoutError:
        raise NotMeasured(f"s{number} never changed its answer") from None
    return max(ends_s) - died_s


async def _answered(number: int, wanted: str, dns_port: int) -> float:
    """Ask one node for a service until it answers *wanted*; return when that was."""
    loop = asyncio.get_running_loop()
    query = dns.message.make_query(f"s{number}.example.com", "A").to_wire()
    octets = socket.inet_aton(wanted)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.connect(("127.0.0.1", dns_port))
        while True:
            await loop.sock_sendall(asker, query)
            if octets in await asyncio.wait_for(loop.sock_recv(asker, 4096), 5):
                return loop.time()
            await asyncio.sleep(POLL_S)


@contextmanager
def _world(folder: Path, how: str) -> Iterator[World]:
    names = ("ns1",) if how == ALONE else ("ns1", "ns2", "ns3")
    dns_ports = tuple(free_port() for _ in names)
    admin_ports = tuple(free_port() for _ in names)
    member_port = free_port()
    with ExitStack() as stack:
        carrier: dict[str, object] = {"key": "the-key-of-all-the-nodes"}
        if how == NATS:
            port = _nats(folder, stack)
            carrier["nats"] = {"servers": [f"nats://127.0.0.1:{port}"]}
        elif how == HTTP:
            urls = (f"http://127.0.0.1:{port}" for port in admin_ports)
            carrier["nodes"] = dict(zip(names, urls, strict=True))
        voting: dict[str, object] = {}
        if how != ALONE:
            keys = {name: {"key": f"the-key-of-the-vantage-{name}"} for name in VANTAGES}
            voting = {"vantages": {"voters": keys, "cut_off_at": None}, "carrier": carrier}
        for name, dns_port, admin_port in zip(names, dns_ports, admin_ports, strict=True):
            listen = {"dns": [f"127.0.0.1:{dns_port}"], "admin": f"127.0.0.1:{admin_port}"}
            config = _write_files(folder / name, member_port, node=name, listen=listen, **voting)
            log = folder / f"{name}.log"
            child = stack.enter_context(running([*GSLB, "run", str(config)], log=log))
            wait_for_answer(child, dns_port, "fixed.example.com", log)
        for name in VANTAGES if voting else ():
            log = folder / f"{name}.log"
            argv = [*GSLB, "probe", str(config), "--vantage", name]
            stack.enter_context(running(argv, log=log))
        for name in names if voting else ():
            _hears_all(folder / f"{name}.log")
        try:
            yield World(dns_ports, member_port)
        except TimeoutError:
            said = tail(folder / "ns1.log")
            raise NotMeasured(f"not all nodes answer the living victims: {said}") from None


def _hears_all(log: Path) -> None:
    """Return once a node has heard every vantage: until then it answers as if all were up."""
    deadline_s = time.monotonic() + SETTLE_MAX_S
    while log.read_text().count("state=heard") < len(VANTAGES):
        if time.monotonic() > deadline_s:
            raise NotMeasured(f"does not hear all vantages: {tail(log)}")
        time.sleep(POLL_S)


def _nats(folder: Path, stack: ExitStack) -> int:
    program = shutil.which("nats-server")
    if program is None or find_spec("nats") is None:
        raise NotMeasured("nats-server or nats-py is not installed")
    port = free_port()
    argv = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "jetstream")]
    stack.enter_context(running(argv, log=folder / "nats.log"))
    return port


def _write_files(folder: Path, member_port: int, **more: object) -> Path:
    folder.mkdir()
    monitor = {
        "type": "http",
        "port": member_port,
        "path": "/healthz",
        "interval": TIMING.interval_s,
        "timeout": TIMING.timeout_s,
        "recheck": TIMING.recheck_s,
        "fall": TIMING.fall,
        "rise": 1,
    }
    main = {
        "state_dir": "var",
        "zones": ["example.com.yaml"],
        "regions": {"first": {}, "second": {}},
        "monitors": {"measured": monitor},
        "max_withdrawal": None,
        **more,
    }
    return written(folder, main, [_victim(number) for number in range(VICTIMS)])


def _victim(number: int) -> str:
    return f"127.41.1.{number + 1}"


def table(kept: store.Result) -> str:
    """Return the table of a result, as plain text."""
    return "\n".join([shown(*rows(kept)), kept["monitor"], *kept["notes"]])


def rows(kept: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: seconds until the last node knew, and ratios."""
    header = ["world", "death", "deaths", "p50 s", "p99 s", "worst s", "p99 to one node's"]
    header += ["bound s", "worst to bound"]
    alone = {
        row["death"]: quantile(row["times_s"], 0.99)
        for row in kept["rows"]
        if row["world"] == ALONE
    }
    found = []
    for row in kept["rows"]:
        times_s, death = row["times_s"], row["death"]
        p99_s = quantile(times_s, 0.99)
        found.append(
            [
                *(row["world"], death, str(len(times_s))),
                *(f"{value:.2f}" for value in (quantile(times_s, 0.5), p99_s, max(times_s))),
                f"{p99_s / alone[death]:.2f}" if death in alone else "-",
                f"{bound_s(kept, row):.2f}",
                f"{max(times_s) / bound_s(kept, row):.2f}",
            ]
        )
    return header, found


def bound_s(kept: store.Result, row: store.Result) -> float:
    """Return the longest that a death may take, as `gslb check` has it, in seconds."""
    report_s = 0.0 if row["world"] == ALONE else REPORT_GAP_S
    return float(kept["bound_s"]) + report_s + TICK_S
