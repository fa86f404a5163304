"""A whole node made from files, in this process or as one of its own, and questions to it.

    async with running(written(tmp_path, services={...})) as node:
        await node.event("verdict", member="127.1.0.1", verdict="down")
        await node.becomes({"127.1.0.2"})

Every node gets free ports.  What is awaited is awaited for `PATIENCE_S` at the most; no test
rests on how long something takes.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import struct
import sys
from asyncio import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from ipaddress import ip_network
from pathlib import Path
from subprocess import PIPE, Popen

import aiohttp
import dns.edns
import dns.message
import dns.rdatatype
import pytest
import yaml

from gslb.config.settings import Endpoint
from gslb.daemons.events import Event
from gslb.daemons.node import Node
from tests.servers import Member

PATIENCE_S = 60.0
AGAIN_S = 0.01  # between two questions for an answer that will change

engine = "auto"  # what nodes written here are run by; the fixture of that name tries each

ROOT = Path(__file__).parent.parent
DEMO_MMDB = ROOT / "data" / "demo.mmdb"

# Clients that the demo's database places near each region.
NEW_YORK, LONDON, SINGAPORE = "192.0.2.0/26", "198.51.100.0/26", "203.0.113.0/26"
REGIONS: dict[str, dict[str, object]] = {
    "us-east": {"location": [39.04, -77.49]},
    "eu-west": {"location": [53.34, -6.26]},
    "ap-south": {"location": [1.35, 103.82]},
}
MONITOR: dict[str, object] = {
    "type": "http",
    "interval": "200ms",
    "timeout": "500ms",
    "recheck": "50ms",
    "fall": 2,
    "rise": 2,
}
ZONE = """\
$TTL 300
@    SOA  ns1 hostmaster 1 7200 900 1209600 30
@    NS   ns1
ns1  A    127.0.0.1
mail A    192.0.2.25
"""

Keys = Mapping[str, object]


def written(
    folder: Path, services: Keys | None = None, *, records: str = ZONE, **main: object
) -> Path:
    """Write a node's files into *folder*; return its main file.

    *main* are keys of the main file, in place of the defaults or beside them.
    """
    whole: dict[str, object] = {
        "node": "ns1.example.net",
        "state_dir": "var",
        "engine": engine,
        "threads": 2,
        "listen": {"dns": ["127.0.0.1:0"], "admin": "127.0.0.1:0"},
        "zones": ["example.com.yaml"],
        "geo": {"database": str(DEMO_MMDB)},
        "regions": REGIONS,
        "monitors": {"web": MONITOR},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_zone(folder, "example.com", services or {}, records)
    return write(folder / "gslb.yaml", yaml.safe_dump({**whole, **main}))


def write_zone(folder: Path, zone: str, services: Keys, records: str = ZONE) -> None:
    """Write the two files of one zone."""
    write(folder / f"{zone}.zone", records)
    whole = {"zone": zone, "file": f"{zone}.zone", **({"services": services} if services else {})}
    write(folder / f"{zone}.yaml", yaml.safe_dump(whole))


def write(path: Path, text: str | bytes) -> Path:
    """Replace *path* by a file with this text, at once, as a careful editor does."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(text if isinstance(text, bytes) else text.encode())
    return beside.replace(path)


def pool(*members: Member) -> list[Keys]:
    """Return a pool of these members, each probed where it listens."""
    return [
        {"address": member.address, "probe": f"{member.address}:{member.port}"}
        for member in members
    ]


def service(**keys: object) -> dict[str, object]:
    """Return a service whose answers hold everyone that may be answered."""
    return {"ttl": "30s", "ttl_min": "3s", "monitor": "web", "answers": "all", **keys}


class Asker:
    """Asks the DNS server at an endpoint, over real sockets."""

    dns: Endpoint

    async def ask(
        self,
        qname: str = "www.example.com",
        rdtype: str = "A",
        *,
        subnet: str | None = None,
        rdclass: str = "IN",
        tcp: bool = False,
        nsid: bool = False,
    ) -> dns.message.Message:
        """Return the response to one query with EDNS, from the client *subnet* if given."""
        options: list[dns.edns.Option] = []
        if subnet is not None:
            net = ip_network(subnet)
            options.append(dns.edns.ECSOption(str(net.network_address), net.prefixlen))
        if nsid:
            options.append(dns.edns.GenericOption(dns.edns.NSID, b""))
        query = dns.message.make_query(qname, rdtype, rdclass, use_edns=0, options=options)
        async with asyncio.timeout(PATIENCE_S):
            send = self._over_tcp if tcp else self._over_udp
            response = dns.message.from_wire(await send(query.to_wire()))
        assert query.is_response(response)
        return response

    async def _over_udp(self, wire: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((self.dns.host, self.dns.port))
            await loop.sock_sendall(sock, wire)
            return await loop.sock_recv(sock, 65535)

    async def _over_tcp(self, wire: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.dns.host, self.dns.port)
        try:
            writer.write(framed(wire))
            return await read_frame(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    async def addresses(self, qname: str = "www.example.com", **keys: object) -> set[str]:
        """Return what a query is answered."""
        return addresses(await self.ask(qname, **keys))

    async def becomes(
        self, wanted: set[str], qname: str = "www.example.com", **keys: object
    ) -> dns.message.Message:
        """Ask until the answer holds exactly *wanted*; return that response."""
        return await self.until(lambda got: addresses(got) == wanted, qname, **keys)

    async def until(
        self,
        holds: Callable[[dns.message.Message], bool],
        qname: str = "www.example.com",
        **keys: object,
    ) -> dns.message.Message:
        """Ask until *holds* of the response; return it."""
        response = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(response := await self.ask(qname, **keys)):
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            pytest.fail(f"still answered:\n{response}")
        assert response is not None
        return response

    async def http(
        self, method: str, path: str, body: object = None, **query: str
    ) -> tuple[int, object]:
        """Return status and body (JSON decoded, or else text) of a request to the admin API."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, f"http://{self.admin}{path}", json=body, params=query
            ) as response,
        ):
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()

    admin: Endpoint

    async def metric(self, line: str) -> float:
        """Return the value of one metric, given with its labels."""
        _, text = await self.http("GET", "/metrics")
        found = re.search(rf"^{re.escape(line)} (\S+)$", str(text), re.MULTILINE)
        assert found, f"{line} is not among the metrics"
        return float(found[1])


class Running(Asker):
    """A node in this process."""

    def __init__(self, node: Node, queue: asyncio.Queue[Event]) -> None:
        self.node = node
        self.dns = node.endpoints[0]
        assert node.admin.endpoint is not None
        self.admin = node.admin.endpoint
        self._queue = queue
        self._heard: list[Event] = []
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Let it run; until then it answers, but probes nothing and hears nothing."""
        self._task = asyncio.create_task(self.node.run())
        await self.event("started")

    async def event(self, kind: str, **fields: object) -> Event:
        """Return the first event of this kind with these fields that was not returned before."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._next(kind, fields)
        except TimeoutError:
            pytest.fail(f"no event {kind} {fields}; there were {self._heard}")

    async def _next(self, kind: str, fields: Keys) -> Event:
        for event in self._heard:
            if _matches(event, kind, fields):
                self._heard.remove(event)
                return event
        while True:
            waiting = asyncio.ensure_future(self._queue.get())
            both = [waiting] if self._task is None else [waiting, self._task]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    pytest.fail(f"the node ended before {kind} {fields}: {self._task}")
                event = waiting.result()
            finally:
                waiting.cancel()
            if _matches(event, kind, fields):
                return event
            self._heard.append(event)

    def heard(self, kind: str) -> list[Event]:
        """Return the events of this kind that came so far and were not awaited."""
        while not self._queue.empty():
            self._heard.append(self._queue.get_nowait())
        return [event for event in self._heard if event.kind == kind]

    async def verdict(self, verdict: str, *members: Member) -> None:
        """Await a verdict on each of these members."""
        for member in members:
            await self.event("verdict", member=member.address, verdict=verdict)

    async def stop(self) -> None:
        """Stop, and await the end."""
        if self._task is None:
            await self.node.nameserver.close(0.0)
            await self.node.admin.close()
            return
        task, self._task = self._task, None
        self.node.stop()
        async with asyncio.timeout(PATIENCE_S):
            await task


def _matches(event: Event, kind: str, fields: Keys) -> bool:
    return event.kind == kind and all(event.fields.get(k) == v for k, v in fields.items())


@asynccontextmanager
async def started(path: Path) -> AsyncIterator[Running]:
    """Give a node that answers and does not run yet."""
    node = await Node.start(path, lambda _what, _part: None)
    with node.events.listen() as queue:
        assert queue is not None
        it = Running(node, queue)
        try:
            yield it
        finally:
            await it.stop()


@asynccontextmanager
async def running(path: Path, *, settled: bool = True) -> AsyncIterator[Running]:
    """Give a node that runs, and has probed everyone once if *settled*."""
    async with started(path) as it:
        await it.run()
        if settled:
            await it.event("settled")
        yield it


class Process(Asker):
    """`python -m gslb …` as a process of its own; its lines on stderr are kept."""

    def __init__(self, process: subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            async with self._more:
                self.lines.append(line.decode().rstrip())
                self._more.notify_all()
        async with self._more:
            self.lines.append("(end)")
            self._more.notify_all()

    async def line(self, *parts: str, start: int = 0) -> str:
        """Return the first line from number *start* on that holds all *parts*."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._more:
                while True:
                    for line in self.lines[start:]:
                        if all(part in line for part in parts):
                            return line
                    if self.lines[-1:] == ["(end)"]:
                        pytest.fail("it ended; it said:\n" + "\n".join(self.lines))
                    await self._more.wait()
        except TimeoutError:
            pytest.fail(f"no line with {parts}; it said:\n" + "\n".join(self.lines))

    async def is_serving(self) -> None:
        """Await that it serves, and learn where."""
        line = await self.line(" started ")
        self.dns, self.admin = (_endpoint(line, key) for key in ("dns", "admin"))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Await its end; return its exit status."""
        async with asyncio.timeout(PATIENCE_S):
            await self._reading
            return await self.process.wait()


def _endpoint(line: str, key: str) -> Endpoint:
    found = re.search(rf" {key}=(\S+):(\d+)", line)
    assert found, line
    return Endpoint(found[1], int(found[2]))


class At(Asker):
    """A server that somebody else looks after."""

    def __init__(self, dns: Endpoint, admin: Endpoint) -> None:
        self.dns, self.admin = dns, admin


@contextmanager
def serving(path: Path) -> Iterator[At]:
    """Give `gslb run` as a process that serves many tests, each with an event loop of its own."""
    process = Popen(command("run", path), stderr=PIPE, env=environment(), text=True)
    assert process.stderr is not None
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if " started " in line:
                yield At(_endpoint(line, "dns"), _endpoint(line, "admin"))
                break
        else:
            pytest.fail("it ended; it said:\n" + "".join(said))
    finally:
        process.kill()
        process.communicate()


def command(*arguments: str | Path) -> list[str]:
    """Return the command line that runs this tree's program."""
    return [sys.executable, "-m", "gslb", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return the environment that it needs."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@asynccontextmanager
async def gslb(*arguments: str | Path) -> AsyncIterator[Process]:
    """Give the command line as a process; whatever runs at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    it = Process(process)
    try:
        yield it
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await it._reading


def addresses(response: dns.message.Message) -> set[str]:
    """Return the addresses in a response's answer section."""
    return {
        rdata.address
        for rrset in response.answer
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
        for rdata in rrset
    }


def ttl_s(response: dns.message.Message) -> int:
    """Return the TTL of a response's one answer."""
    (rrset,) = response.answer
    return int(rrset.ttl)


def ede(response: dns.message.Message) -> list[int]:
    """Return the codes of a response's Extended DNS Errors."""
    return [int(each.code) for each in response.options if isinstance(each, dns.edns.EDEOption)]


def scope(response: dns.message.Message) -> int:
    """Return the scope of a response's client subnet."""
    (option,) = (each for each in response.options if isinstance(each, dns.edns.ECSOption))
    return int(option.scopelen)


def strings(response: dns.message.Message) -> list[str]:
    """Return the strings of a response's TXT records."""
    return [
        octets.decode() for rrset in response.answer for rdata in rrset for octets in rdata.strings
    ]


def framed(wire: bytes) -> bytes:
    """Return a message as TCP carries it."""
    return struct.pack(">H", len(wire)) + wire


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message of a TCP connection."""
    async with asyncio.timeout(PATIENCE_S):
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)


@asynccontextmanager
async def members(*names: str) -> AsyncIterator[Sequence[Member]]:
    """Give members at these addresses, all well."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Member(address)) for address in names]
