"""A region's tier as a real process, real members as processes, and clients that count failures.

    async with tier(folder, members={"us": 3, "eu": 2}) as it:
        async with it.load() as seen:
            it.members["us"][0].kill()
            ...
        assert not seen.failures

Members and proxies have loopback addresses of their own (127.8.REGION.NUMBER), so that these tests
stand in nobody's way.  Run as a program, this module is the members at the addresses given.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.programs import Program
from tests.running import PATIENCE_S, Process, gslb, write

REGIONS = {"us": 1, "eu": 2, "ap": 3}
LOCATIONS = {"us": [39.0, -77.0], "eu": [53.0, -6.0], "ap": [1.0, 103.0]}
WWW = "www.example.com"
LOAD = 12  # clients that ask one request after another
STUN_S = 0.02  # between two tries of a client that was turned away
MONITOR = {
    "type": "http",
    "path": "/healthz",
    "interval": "400ms",
    "timeout": "2s",
    "recheck": "200ms",
    "fall": 2,
}
ZONE = """\
$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.1
"""


@dataclass
class Seen:
    """What clients saw: answers by status and by who gave them, failures, and when."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    moments: list[tuple[float, str]] = field(default_factory=list)  # of each answer

    def by_member(self) -> Counter[str]:
        """Return how many good answers each member gave."""
        found: Counter[str] = Counter()
        for (status, member), count in self.answers.items():
            if status == 200:
                found[member] += count
        return found

    def since(self, moment_s: float) -> set[str]:
        """Return who has answered from *moment_s* on."""
        return {member for when_s, member in self.moments if when_s >= moment_s}


@dataclass
class Answer:
    """One response, read whole."""

    status: int
    fields: dict[str, str]
    body: bytes

    def told(self) -> dict[str, object]:
        """Return what the member told of the request."""
        found: dict[str, object] = json.loads(self.body)
        return found


class Tier:
    """A tier, its members, and where it listens."""

    def __init__(self, folder: Path, region: str, members: Mapping[str, int], port: int) -> None:
        self.folder = folder
        self.region = region
        self.port = port
        self.proxy = proxy_of(region)
        self.members = {
            name: [
                Program(
                    [sys.executable, "-m", "tests.tiers", str(port), address_of(name, number)],
                    folder / f"{name}-{number}.log",
                )
                for number in range(1, count + 1)
            ]
            for name, count in members.items()
        }
        self.process: Process | None = None

    async def begin(self) -> None:
        """Start all members, and return once they listen."""
        everyone = [member for pool in self.members.values() for member in pool]
        for member in everyone:
            member.start()
        for member in everyone:
            await member.line("listening")

    async def get(self, target: str = "/", **fields: str) -> Answer:
        """Ask once on a connection of its own."""
        reader, writer = await asyncio.open_connection(self.proxy, self.port)
        try:
            return await ask(reader, writer, target, **fields)
        finally:
            writer.close()

    @asynccontextmanager
    async def load(self, target: str = "/slow", clients: int = LOAD) -> AsyncIterator[Seen]:
        """Have clients ask without pause while the block runs; yield what they see."""
        seen, ends = Seen(), asyncio.Event()
        tasks = [asyncio.create_task(self._client(target, seen, ends)) for _ in range(clients)]
        try:
            yield seen
        finally:
            ends.set()
            await asyncio.gather(*tasks)

    async def _client(self, target: str, seen: Seen, ends: asyncio.Event) -> None:
        writer = None
        while not ends.is_set():
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(self.proxy, self.port)
                answer = await ask(reader, writer, target)
            except (OSError, EOFError, TimeoutError) as error:
                seen.failures.append(repr(error))
                writer = None
                await asyncio.sleep(STUN_S)
                continue
            member = str(answer.told()["member"]) if answer.status == 200 else ""
            seen.answers[answer.status, member] += 1
            seen.moments.append((time.monotonic(), member))
            if answer.status != 200:
                seen.failures.append(f"{answer.status} {answer.body[:80]!r}")
            if answer.fields.get("connection") == "close":
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def answers_from(self, *members: str) -> None:
        """Await that those of *members* answer, and nobody else, ten times in a row."""

        async def all_of_them() -> bool:
            found = {str((await self.get()).told()["member"]) for _ in range(10)}
            return found <= set(members)

        await until_async(all_of_them, lambda: f"somebody else than {members} answers")


async def until_async(holds: object, why_not: object) -> None:
    """Await that *holds*, asked again and again, returns true."""
    ends_s = time.monotonic() + PATIENCE_S
    assert callable(holds)
    assert callable(why_not)
    while not await holds():
        assert time.monotonic() < ends_s, why_not()
        await asyncio.sleep(STUN_S)


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, **fields: str
) -> Answer:
    """Ask on a connection, and read the response whole."""
    method = fields.pop("method", "GET")
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    host = "" if "Host" in fields else f"Host: {WWW}\r\n"
    writer.write(f"{method} {target} HTTP/1.1\r\n{host}{lines}\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        return await read_answer(reader, method)


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    """Read one response with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    length = 0 if method == "HEAD" else int(fields.get("content-length", "0"))
    return Answer(int(first.split()[1]), fields, await reader.readexactly(length))


def address_of(region: str, number: int) -> str:
    """Return the address of a region's member."""
    return f"127.8.{REGIONS[region]}.{number}"


def proxy_of(region: str) -> str:
    """Return the address of a region's proxy."""
    return f"127.8.{REGIONS[region]}.100"


def written(
    folder: Path,
    members: Mapping[str, int],
    port: int,
    *,
    proxy: Mapping[str, object] | None = None,
    service: Mapping[str, object] | None = None,
    pools: Mapping[str, object] | None = None,
    **main: object,
) -> Path:
    """Write the files of a tier whose members and proxies are at *port*; return the main file."""
    pools = pools or {
        name: [address_of(name, number) for number in range(1, count + 1)]
        for name, count in members.items()
    }
    services = {"www": {"monitor": "web", "pools": pools, **(service or {})}}
    write(folder / "example.com.zone", ZONE)
    zone = {"zone": "example.com", "file": "example.com.zone", "services": services}
    write(folder / "example.com.yaml", yaml.safe_dump(zone))
    tier = {
        "listen": [{"port": port}],
        "workers": 2,
        "admin": None,
        "services": {WWW: {"port": port}},
        "across": {"port": port},
        "routes": [{"name": "all", "service": WWW}],
        **(proxy or {}),
    }
    document = {
        "node": "ns1",
        "state_dir": str(folder / "var"),
        "listen": {"dns": ["127.0.0.1:0"], "admin": "127.0.0.1:0"},
        "zones": ["example.com.yaml"],
        "regions": {
            name: {
                "location": LOCATIONS[name],
                "proxies": [{"address": proxy_of(name), "monitor": "proxy"}],
            }
            for name in REGIONS
        },
        "monitors": {
            "web": {**MONITOR, "port": port},
            "proxy": {"type": "tcp", "port": port, "interval": "400ms", "rise": 1},
        },
        "proxy": tier,
        **main,
    }
    return write(folder / "gslb.yaml", yaml.safe_dump(document))


@asynccontextmanager
async def tier(
    folder: Path, port: int, members: Mapping[str, int], *, region: str = "us", **keys: object
) -> AsyncIterator[Tier]:
    """Give a tier that serves, and has probed its members once."""
    path = written(folder, members, port, **keys)  # type: ignore[arg-type]
    it = Tier(folder, region, members, port)
    try:
        await it.begin()
        async with gslb("proxy", path, "--region", region) as process:
            it.process = process
            await process.line(" started ")
            for name, pool in it.members.items():
                for number in range(1, len(pool) + 1):
                    await process.line(f"member={address_of(name, number)} verdict=up")
            yield it
    finally:
        for pool in it.members.values():
            for member in pool:
                member.kill()


class Origin:
    """The members at some addresses: each says who it is, and what it was sent.

    ``/slow`` takes a moment; ``/stop`` is what `SIGTERM` does: those that listen no more finish
    what runs, and close.
    """

    SLOW_S = 0.02

    def __init__(self, port: int, addresses: Sequence[str]) -> None:
        self.port = port
        self.addresses = addresses
        self.stops = False
        self.active = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def run(self) -> None:
        """Serve until SIGTERM."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        servers = [
            await asyncio.start_server(
                lambda r, w, at=address: self._serve(r, w, at), address, self.port, backlog=1024
            )
            for address in self.addresses
        ]
        print("listening", flush=True)
        await stop.wait()
        self.stops = True
        for server in servers:
            server.close()
        await self.idle.wait()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        with suppress(OSError, EOFError):
            while not self.stops:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.decode("latin-1"), reader, writer, address)
        writer.close()

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        self.active += 1
        self.idle.clear()
        try:
            first, *lines = head.split("\r\n")[:-2]
            fields = {}
            for line in lines:
                name, _, value = line.partition(": ")
                fields[name.lower()] = value
            method, target, _ = first.split(" ")
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            if target.startswith("/slow"):
                await asyncio.sleep(self.SLOW_S)
            status = 500 if target.startswith("/bad") and address.endswith(".1") else 200
            told = {"member": address, "target": target, "fields": fields, "body": len(body)}
            octets = json.dumps(told).encode()
            close = "connection: close\r\n" if self.stops else ""
            writer.write(
                f"HTTP/1.1 {status} OK\r\ncontent-length: {len(octets)}\r\n{close}\r\n".encode()
            )
            if method != "HEAD":
                writer.write(octets)
            await writer.drain()
        finally:
            self.active -= 1
            if not self.active:
                self.idle.set()


if __name__ == "__main__":
    asyncio.run(Origin(int(sys.argv[1]), sys.argv[2:]).run())
