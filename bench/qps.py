"""Responses per second at saturation, and CPU time per query: gslb beside its peers and the limit.

Each server runs on the first core, or the first two, and the load on the last one, over a
wire between two namespaces (`bench.netns`).  They all run at once, idle but for the one that
is asked, and the runs go round them, so that a noisy minute hits all of them.

- Saturation: 200 queries under way.  A server's core is then busy all the time.
- Steady: the fast ones again, all at one rate, a part of what the slowest of them can do.
  A server that is woken for few datagrams at once pays more for each.

CPU time is the server's, user and system, all threads and processes, with the kernel's work
on packets that falls to it (see `bench.netns`): the bare echo has the same, and is the limit.
`large` is a thousand services of twenty members and a million networks, with names and
clients at random, beside the same server's small case.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode

from bench import load, netns, store, world
from bench.case import FIXED, Case, Listen
from bench.load import Run, write_queries
from bench.netns import Wire
from bench.peers import (
    DYNAMIC,
    ECHO,
    GDNSD,
    NATIVE,
    NXDOMAIN,
    PEERS,
    PYTHON,
    STATIC,
    Started,
    started,
)
from bench.process import NotMeasured
from bench.table import shown, si

CLIENTS = 20_000
LARGE_CLIENTS = 200_000
NETWORKS, LARGE_NETWORKS = 100_000, 1_000_000
SERVICES, MEMBERS = 1_000, 20
LARGE = "large"
STEADY_PART = 0.6
PROBES = 40
LOST_MAX = 0.01
PORT_FIRST = 5301
START_MAX_S = 240.0
WANTED = {STATIC: "0", DYNAMIC: "0", NXDOMAIN: "3", LARGE: "0"}


def measure(*, quick: bool = False) -> store.Result:
    """Measure every server that is there, and return all runs."""
    rounds, seconds = (2, 0.5) if quick else (5, 1.2)
    found: store.Result = {"rounds": rounds, "seconds": seconds, "notes": []}
    found |= {"saturation": [], "steady": [], "witnesses": [], "servers": {}}
    with TemporaryDirectory(prefix="gslb-bench-") as name, netns.wire() as wire:
        _small(wire, Path(name), rounds, seconds, found)
        networks = NETWORKS if quick else LARGE_NETWORKS
        _large(wire, Path(name), rounds, seconds, networks, found)
    return found


def _small(wire: Wire, root: Path, rounds: int, seconds: float, found: store.Result) -> None:
    made = world.make(NETWORKS)
    database = root / "city.mmdb"
    world.save(made, database)
    clients = made.clients(CLIENTS, seed=world.SEED)
    del made
    gc.collect()
    case = Case(database)
    asks: dict[str, Path] = {}
    for kind, ask in {(kind, ask) for peer in PEERS for kind, ask in peer.names.items()}:
        of = clients if kind == DYNAMIC else [None]
        asks[ask] = write_queries(root / f"{ask}.queries", [ask], of)
    with ExitStack() as stack:
        servers = _all_started(stack, wire, root, case, found)
        for server in servers:
            if DYNAMIC in server.peer.names and server.peer is not ECHO:
                try:
                    _check(wire, server, clients, found)
                except dns.exception.DNSException as why:
                    found["notes"].append(f"{server.label} answers a client badly: {why}")
        for kind in (STATIC, DYNAMIC, NXDOMAIN):
            taking_part = [server for server in servers if kind in server.peer.names]
            _rounds(wire, taking_part, kind, asks, rounds, seconds, found)
        _witness(wire, servers, asks, rounds, max(1, int(seconds)), found)


def _large(
    wire: Wire, root: Path, rounds: int, seconds: float, networks: int, found: store.Result
) -> None:
    made = world.make(networks)
    database = root / "large.mmdb"
    world.save(made, database)
    clients = made.clients(LARGE_CLIENTS, seed=world.SEED + 1)
    del made
    gc.collect()
    case = Case(database, services=SERVICES, members=MEMBERS)
    names = [f"{name}.example.com" for name in case.service_names()]
    asks = {LARGE: write_queries(root / "large.queries", names, clients)}
    for number, peer in enumerate((NATIVE, PYTHON, GDNSD)):
        large = replace(peer, names={LARGE: LARGE, STATIC: FIXED})
        try:
            listen = Listen(netns.SERVER, PORT_FIRST + 50 + number)
            with (
                netns.within(wire.client),
                started(
                    large, root / f"large-{number}", case, listen, wire.at_server, START_MAX_S
                ) as server,
            ):
                _rounds(wire, [server], LARGE, asks, rounds, seconds, found)
        except NotMeasured as why:
            found["notes"].append(f"{peer.name}, large: left out, {why}")


def _all_started(
    stack: ExitStack, wire: Wire, root: Path, case: Case, found: store.Result
) -> list[Started]:
    servers = []
    wanted = [(peer, threads) for threads in (1, 2) for peer in PEERS if threads in peer.threads]
    for number, (peer, threads) in enumerate(wanted):
        listen = Listen(netns.SERVER, PORT_FIRST + number, threads)
        try:
            with netns.within(wire.client):
                folder = root / f"{number}"
                server = stack.enter_context(started(peer, folder, case, listen, wire.at_server))
        except NotMeasured as why:
            found["notes"].append(f"{peer.name}: left out, {why}")
            continue
        servers.append(server)
        does = (peer.prepare.__doc__ or "").strip()
        found["servers"][server.label] = {
            "version": peer.shown_version(),
            "command": server.shown_command(root),
            "does": does,
        }
    return servers


def _rounds(
    wire: Wire,
    servers: Sequence[Started],
    kind: str,
    asks: dict[str, Path],
    rounds: int,
    seconds: float,
    found: store.Result,
) -> None:
    """Ask each server in turn, saturated and then steadily, and note all runs down."""

    def runs(taking_part: Sequence[Started], pace: str) -> dict[str, list[Run]]:
        taken: dict[str, list[Run]] = {server.label: [] for server in taking_part}
        for server in [server for _ in range(rounds) for server in taking_part]:
            if server.label not in taken:
                continue
            asked = asks[server.peer.names[kind]]
            rename = kind == NXDOMAIN
            try:
                run = load.ours(wire, server, asked, seconds, pace, rename=rename)
                taken[server.label].append(_judged(run, server, kind))
            except NotMeasured as why:
                found["notes"].append(f"{server.label}, {kind}: left out, {why}")
                del taken[server.label]
        return taken

    saturated = runs(servers, f"window={load.WINDOW}")
    _note(found["saturation"], kind, saturated)
    fast = [
        server
        for server in servers
        if server.peer.fast and server.listen.threads == 1 and server.label in saturated
    ]
    if fast and kind != LARGE:
        slowest = min(median(run.rate for run in saturated[server.label]) for server in fast)
        rate = int(slowest * STEADY_PART)
        _note(found["steady"], kind, runs(fast, f"rate={rate}"), rate=rate)


def _judged(run: Run, server: Started, kind: str) -> Run:
    if not run.received:
        raise NotMeasured(f"{server.label} answers nothing to {kind}")
    if server.peer is ECHO:
        return run
    if run.rcodes.get(WANTED[kind], 0) < run.received:
        raise NotMeasured(f"{server.label} answers {kind} with codes {run.rcodes}")
    if kind != NXDOMAIN and run.answers < run.received:
        raise NotMeasured(f"{server.label}: {run.received - run.answers} answers to {kind} empty")
    return run


def _note(rows: list[store.Result], kind: str, taken: dict[str, list[Run]], **more: int) -> None:
    rows += [
        {"kind": kind, "server": label, "runs": [run.plain() for run in runs], **more}
        for label, runs in taken.items()
    ]


def _witness(
    wire: Wire,
    servers: Sequence[Started],
    asks: dict[str, Path],
    rounds: int,
    seconds: int,
    found: store.Result,
) -> None:
    """Ask the fast servers by dnsperf and kxdpgun too: they should see them in the same order."""
    fast = [server for server in servers if server.peer.fast and server.listen.threads == 1]
    for server in fast:
        rates = [
            run["rate"]
            for row in found["saturation"]
            if row["kind"] == STATIC and row["server"] == server.label
            for run in row["runs"]
        ]
        if not rates:
            continue
        own = median(rates)
        try:
            asked = asks[FIXED]
            seen = {
                "dnsperf": [load.dnsperf(wire, server, asked, seconds) for _ in range(rounds)],
                "kxdpgun": [
                    load.kxdpgun(wire, server, FIXED, seconds, int(own * 1.5))
                    for _ in range(rounds)
                ],
            }
        except NotMeasured as why:
            found["notes"].append(f"{server.label}, other loads: {why}")
            continue
        found["witnesses"].append({"server": server.label, "ours": own, **seen})


def _check(
    wire: Wire, server: Started, clients: Sequence[IPv4Network], found: store.Result
) -> None:
    """See that the answers depend on the client, or the figure would not mean what it says."""
    name = server.peer.names[DYNAMIC]
    answers, scopes = set(), set()
    for client in clients[:PROBES]:
        wanted = dns.message.from_wire(load.query(name, client))
        with netns.within(wire.client):
            response = dns.query.udp(
                wanted, server.listen.address, port=server.listen.port, timeout=2
            )
        if response.rcode() != dns.rcode.NOERROR or len(response.answer) != 1:
            found["notes"].append(f"{server.label} answers {name} with {response}")
            return
        answers.add(response.answer[0][0].to_text())
        scopes |= {o.scopelen for o in response.options if isinstance(o, dns.edns.ECSOption)}
    if len({address.rpartition(".")[0] for address in answers}) < 3:
        found["notes"].append(f"{server.label} shows only {sorted(answers)} to {PROBES} clients")
    if not scopes - {0}:
        found["notes"].append(f"{server.label}: answered without a client subnet's scope")


def table(found: store.Result) -> str:
    """Return the tables of a result, as plain text."""
    return "\n\n".join(
        [
            "At saturation:\n" + shown(*saturation_rows(found)),
            "At one steady rate:\n" + shown(*steady_rows(found)),
            "Static names, as other loads see it:\n" + shown(*witness_rows(found)),
            "\n".join(found["notes"]),
        ]
    ).rstrip()


def saturation_rows(found: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: rates and CPU time, as ratios to gdnsd's and the echo's."""
    header = ["question", "server", "responses/s", "to gdnsd", "to the echo", "CPU µs", "lost"]
    return header, [
        [
            row["kind"],
            row["server"],
            store.spread([run["rate"] for run in row["runs"]], si),
            _ratio(found["saturation"], row, "gdnsd", "rate"),
            _ratio(found["saturation"], row, "bare echo", "rate"),
            store.spread([run["cpu_us"] for run in row["runs"]], "{:.2f}".format),
            str(sum(run["lost"] for run in row["runs"])),
        ]
        for row in found["saturation"]
    ]


def steady_rows(found: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: CPU time per query, as ratios to gdnsd's and the echo's."""
    header = ["question", "server", "queries/s", "CPU µs", "to gdnsd", "to the echo", "lost"]
    return header, [
        [
            row["kind"],
            row["server"],
            si(row["rate"]),
            store.spread([run["cpu_us"] for run in row["runs"]], "{:.2f}".format),
            _ratio(found["steady"], row, "gdnsd", "cpu_us"),
            _ratio(found["steady"], row, "bare echo", "cpu_us"),
            str(sum(run["lost"] for run in row["runs"])),
        ]
        for row in found["steady"]
    ]


def witness_rows(found: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: what the three loads see of static names."""
    header = ["server", "ours", "dnsperf", "kxdpgun"]
    return header, [
        [
            row["server"],
            si(row["ours"]),
            store.spread(row["dnsperf"], si),
            store.spread(row["kxdpgun"], si),
        ]
        for row in found["witnesses"]
    ]


def _ratio(rows: Sequence[store.Result], row: store.Result, base: str, key: str) -> str:
    """Return the ratio of the medians to those of the base with as many threads, or a dash.

    The echo has no large case: what it does is the same for all questions.
    """
    threads = row["server"].partition(", ")[2]
    kinds = [row["kind"], DYNAMIC] if base == "bare echo" else [row["kind"]]
    for kind in kinds:
        for other in rows:
            if other["server"] == f"{base}, {threads}" and other["kind"] == kind:
                own = median(run[key] for run in row["runs"])
                return f"{own / median(run[key] for run in other['runs']):.2f}"
    return "-"
