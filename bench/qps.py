"""Queries per second at saturation: gslb beside gdnsd, Knot and PowerDNS.

All servers run at once, each in the foreground on the first core and idle but for the one
that is asked; dnsperf asks from the second core with 100 queries under way.  The runs go
round the servers, so that a noisy minute hits all of them.  Printed are the median and the
range of the runs, the ratio of the medians to gslb's, and what part of its core the server
used: well below 100 % means that dnsperf, not the server, was the limit.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import dns.edns
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from bench import world
from bench.peers import PEERS, Peer
from bench.process import (
    NotMeasured,
    cpu_s,
    free_port,
    pinned,
    running,
    wait_for_answer,
)
from bench.table import shown, si

NETWORKS = 100_000
CLIENTS = 20_000
ROUNDS = 5
RUN_S = 3
OUTSTANDING = 100
SOCKETS = 4
SERVER_CORE, DNSPERF_CORE = 0, 1
PROBES = 40
LOST_MAX_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A started server: where it listens and which process it is."""

    peer: Peer
    port: int
    pid: int
    version: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of dnsperf: queries answered per second, and the part of its core the server used."""

    qps: float
    busy: float


def figure(rounds: int = ROUNDS, run_s: int = RUN_S) -> str:
    """Measure all servers that are there and return the table, with the missing ones named."""
    if shutil.which("dnsperf") is None:
        raise NotMeasured("dnsperf is not installed")
    notes: list[str] = []
    with TemporaryDirectory(prefix="gslb-bench-") as folder, ExitStack() as stack:
        root = Path(folder)
        database = root / "city.mmdb"
        made = world.make(NETWORKS)
        world.save(made, database)
        clients = made.clients(CLIENTS, seed=world.SEED)
        del made
        questions = {name: kind for peer in PEERS for kind, name in peer.names}
        files = {
            name: _write_queries(root, name, kind, clients) for name, kind in questions.items()
        }
        subjects = []
        for peer in PEERS:
            try:
                subjects.append(_started(stack, peer, root, database))
            except NotMeasured as why:
                notes.append(f"{peer.name}: left out, {why}")
        rows: list[list[str]] = []
        for kind in dict.fromkeys(questions.values()):
            taking_part = [(s, name) for s in subjects for k, name in s.peer.names if k == kind]
            for subject, name in taking_part:
                if kind != "fixed":
                    _check(subject, name, clients, notes)
            runs: dict[str, list[Run]] = {subject.peer.name: [] for subject, _ in taking_part}
            for _ in range(rounds):
                for subject, name in taking_part:
                    runs[subject.peer.name].append(_run(subject, files[name], run_s))
            rows += _rows(kind, [subject for subject, _ in taking_part], runs)
    header = ("question", "server", "version", "q/s", "range", "to gslb", "server's core")
    return "\n".join([shown(header, rows), *notes])


def _rows(
    kind: str, subjects: Sequence[Subject], runs: Mapping[str, Sequence[Run]]
) -> list[list[str]]:
    middle = {name: median(run.qps for run in found) for name, found in runs.items()}
    ours = middle.get("gslb")
    rows = []
    for subject in subjects:
        found = runs[subject.peer.name]
        name = subject.peer.name
        rows.append(
            [
                kind,
                name,
                subject.version,
                si(middle[name]),
                f"{si(min(run.qps for run in found))}–{si(max(run.qps for run in found))}",
                f"{middle[name] / ours:.2f}" if ours else "-",
                f"{100 * median(run.busy for run in found):.0f} %",
            ]
        )
    return rows


def _started(stack: ExitStack, peer: Peer, root: Path, database: Path) -> Subject:
    program = peer.found()
    if program is None:
        raise NotMeasured(f"{peer.program} is not installed")
    folder = root / peer.name
    folder.mkdir()
    port = free_port()
    argv = peer.prepare(folder, database, port)
    log = folder / "log"
    child = stack.enter_context(running(pinned(SERVER_CORE, [program, *argv[1:]]), log=log))
    for _, name in peer.names:
        wait_for_answer(child, port, name, log)
    return Subject(peer, port, child.pid, peer.shown_version())


def _run(subject: Subject, queries: Path, run_s: int) -> Run:
    command = ["dnsperf", "-B", "-d", str(queries), "-s", "127.0.0.1", "-p", str(subject.port)]
    command += ["-l", str(run_s), "-q", str(OUTSTANDING), "-c", str(SOCKETS), "-T", "1", "-t", "2"]
    before_s = cpu_s(subject.pid)
    done = subprocess.run(
        pinned(DNSPERF_CORE, command), capture_output=True, text=True, check=False
    )
    used_s = cpu_s(subject.pid) - before_s
    qps = re.search(r"Queries per second:\s+([\d.]+)", done.stdout)
    ran_s = re.search(r"Run time \(s\):\s+([\d.]+)", done.stdout)
    lost = re.search(r"Queries lost:\s+\d+ \(([\d.]+)%\)", done.stdout)
    codes = re.search(r"Response codes:\s+(.*)", done.stdout)
    if not (qps and ran_s and lost and codes):
        raise NotMeasured(f"dnsperf says: {done.stdout[-500:]}{done.stderr[-500:]}")
    if float(lost[1]) > LOST_MAX_PERCENT or not codes[1].endswith("(100.00%)"):
        raise NotMeasured(f"{subject.peer.name}: {lost[1]} % lost, response codes {codes[1]}")
    return Run(float(qps[1]), used_s / float(ran_s[1]))


def _check(subject: Subject, name: str, clients: Sequence[IPv4Network], notes: list[str]) -> None:
    """See that the answers depend on the client, or the figure would not mean what it says."""
    answers = set()
    scopes = set()
    for client in clients[:PROBES]:
        query = _query(name, client)
        response = dns.query.udp(query, "127.0.0.1", port=subject.port, timeout=2)
        if response.rcode() != dns.rcode.NOERROR or len(response.answer) != 1:
            raise NotMeasured(f"{subject.peer.name} answers {name} with {response}")
        answers.add(response.answer[0][0].to_text())
        scopes |= {o.scopelen for o in response.options if isinstance(o, dns.edns.ECSOption)}
    places = {address.rpartition(".")[0] for address in answers}
    if len(places) < 3:
        notes.append(
            f"{subject.peer.name}: {name} shows only {sorted(answers)} to {PROBES} clients"
        )
    if not scopes - {0}:
        notes.append(f"{subject.peer.name}: {name} is answered without a client subnet's scope")


def _write_queries(root: Path, name: str, kind: str, clients: Sequence[IPv4Network]) -> Path:
    """Write dnsperf's binary form: messages with their lengths, as over TCP (RFC 1035 4.2.2)."""
    path = root / f"{name}.queries"
    order = random.Random(world.SEED).sample(clients, len(clients))
    with path.open("wb") as out:
        for client in order:
            wire = _query(name, None if kind == "fixed" else client).to_wire()
            out.write(len(wire).to_bytes(2, "big") + wire)
    return path


def _query(name: str, client: IPv4Network | None) -> dns.message.QueryMessage:
    options: list[dns.edns.Option] = []
    if client is not None:
        options.append(dns.edns.ECSOption(str(client.network_address), client.prefixlen))
    return dns.message.make_query(name, dns.rdatatype.A, use_edns=0, payload=1232, options=options)
