"""Load over the wire: our generator of raw frames, with dnsperf and kxdpgun as its witnesses.

Our generator (native/examples/load) sends any message, gives each its own source port and id,
and takes a response's time from the kernel.  kxdpgun can send no client subnets, dnsperf needs
the server's core for its replies: they are asked whether they see the servers likewise.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

import dns.edns
import dns.message
import dns.rdatatype

from bench import netns, world
from bench.netns import Wire
from bench.peers import Started
from bench.process import NotMeasured, core_busy_s, cores, cpu_s, last_core

NATIVE = Path(__file__).parent.parent / "native"
WINDOW = 200  # about what a socket's buffer holds by default
PACE_MIN = 0.8
UDP_PAYLOAD_BYTES = 1232


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a load saw, and what the server spent on it."""

    sent: int
    received: int
    seconds: float
    answers: int
    rcodes: dict[str, int]
    cpu_s: float
    core_busy_s: float
    p50_us: int = 0
    p99_us: int = 0
    p999_us: int = 0
    max_us: int = 0
    skipped: int = 0

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.received / self.seconds

    @property
    def cpu_us(self) -> float:
        """The server's CPU time per response, in µs."""
        return self.cpu_s / max(1, self.received) * 1e6

    @property
    def lost(self) -> int:
        """Queries without a response."""
        return self.sent - self.received

    def plain(self) -> dict[str, object]:
        """Return what is kept of the run."""
        return {
            "rate": round(self.rate),
            "cpu_us": round(self.cpu_us, 4),
            "core_busy": round(self.core_busy_s / self.seconds, 4),
            "sent": self.sent,
            "lost": self.lost,
            "skipped": self.skipped,
            "rcodes": self.rcodes,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "p999_us": self.p999_us,
            "max_us": self.max_us,
        }


@cache
def example(name: str) -> Path:
    """Build one of native/examples and return its path; raise NotMeasured without Rust."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise NotMeasured("the load generator needs a Rust toolchain")
    manifest = ["--manifest-path", str(NATIVE / "Cargo.toml")]
    manifest = ["--manifest-path", str(NATIVE / "Cargo.toml")]
    built = subprocess.run(
        [cargo, "build", "--release", "--locked", "--quiet", "--example", name, *manifest],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise NotMeasured(f"cargo build: {built.stderr.strip()[-500:]}")
    return NATIVE / "target/release/examples" / name


def query(name: str, client: IPv4Network | None) -> bytes:
    """Return the query for an A record, with a client subnet (RFC 7871) if one is given."""
    options: list[dns.edns.Option] = []
    if client is None:
        return dns.message.make_query(name, dns.rdatatype.A).to_wire()
    options.append(dns.edns.ECSOption(str(client.network_address), client.prefixlen))
    return dns.message.make_query(
        name, dns.rdatatype.A, use_edns=0, payload=UDP_PAYLOAD_BYTES, options=options
    ).to_wire()


def write_queries(path: Path, names: Sequence[str], clients: Iterable[IPv4Network | None]) -> Path:
    """Write a query for each client, of a name picked at random, in dnsperf's binary form.

    That is messages with their lengths, as over TCP (RFC 1035 4.2.2).
    """
    chance = random.Random(world.SEED)
    with path.open("wb") as out:
        for client in clients:
            wire = query(chance.choice(names), client)
            out.write(len(wire).to_bytes(2, "big") + wire)
    return path


def ours(
    wire: Wire, server: Started, queries: Path, seconds: float, pace: str, *, rename: bool = False
) -> Run:
    """Load a server with *pace*, "window=200" or "rate=100000", and return what was seen.

    With *rename* random letters take the place of each query's first label.
    """
    command = [
        str(example("load")),
        f"interface={wire.client_interface}",
        f"source={netns.LOAD}",
        f"target={server.listen.address}:{server.listen.port}",
        f"source-mac={netns.LOAD_MAC}",
        f"target-mac={wire.server_mac}",
        f"queries={queries}",
        f"seconds={seconds}",
        pace,
        *(["rename=1"] if rename else []),
    ]
    before_s, busy_s = cpu_s(server.pid), core_busy_s(0)
    done = _run(wire, command)
    used_s, busy_s = cpu_s(server.pid) - before_s, core_busy_s(0) - busy_s
    if done.returncode:
        raise NotMeasured(f"load: {done.stderr.strip()[-300:]}")
    said = json.loads(done.stdout)
    said.pop("p90_us")
    return Run(**said, cpu_s=used_s, core_busy_s=busy_s)


def dnsperf(wire: Wire, server: Started, queries: Path, seconds: int) -> float:
    """Return the responses per second that dnsperf sees."""
    where = ["-s", server.listen.address, "-p", str(server.listen.port)]
    command = ["dnsperf", "-B", "-d", str(queries), *where, "-l", str(seconds)]
    done = _run(wire, [*command, "-q", "200", "-c", "16", "-T", "1", "-t", "1"])
    return _number(r"Queries per second:\s+([\d.]+)", done)


def kxdpgun(wire: Wire, server: Started, name: str, seconds: int, rate: int) -> float:
    """Return the responses per second that kxdpgun sees when it sends at a rate through AF_XDP."""
    asked = Path(f"/tmp/{wire.client}.names")
    try:
        asked.write_text(f"{name} A\n")
        where = ["-p", str(server.listen.port), "-F", f"{last_core()}s1"]
        command = ["kxdpgun", "-t", str(seconds), "-Q", str(rate), "-i", str(asked), *where]
        done = _run(wire, [*command, server.listen.address])
    finally:
        asked.unlink(missing_ok=True)
        wire.without_xdp()
    return _number(r"total replies:\s+\d+ \((\d+) pps\)", done)


def _run(wire: Wire, command: list[str]) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0], path="/usr/bin:/usr/sbin:/bin:/sbin") is None:
        raise NotMeasured(f"{command[0]} is not installed")
    command = wire.at_client(cores([last_core()], command))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)


def _number(pattern: str, done: subprocess.CompletedProcess[str]) -> float:
    found = re.search(pattern, done.stdout)
    if not found:
        raise NotMeasured(f"{done.args[-2:]}: {done.stdout[-300:]}{done.stderr[-300:]}")
    return float(found[1])
