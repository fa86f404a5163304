"""A real HAProxy over members that tell what they got, on loopback, and requests to it.

    async with tier_of(routes, members=3) as tier:
        told = await tier.get("/a")
        assert told.status == 200 and told.member in tier.members

Every region has a loopback address of its own for its proxy.  The folder is a short one, because
HAProxy's sockets are in it.  Tests skip themselves where HAProxy is not installed.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp

from gslb.daemons.haproxy import Haproxy, Plan
from gslb.model import Member, Region, Service
from gslb.proxy.haproxy import PROXIES, Rendered, Wanted, render
from gslb.tier import Forward, Listener, Match, Route, Tier, Upstream
from tests.peers import program
from tests.servers import free_port

PROXY = {"us": "127.0.0.1", "eu": "127.0.0.2"}
REGIONS = {name: Region(name, None, (Member(ip_address(at)),)) for name, at in PROXY.items()}
WWW = "www.example.com"


class Origin:
    """An HTTP/1.1 member with connections that are kept, which answers with what it was sent.

    `status` is what it answers with, `body` in place of what it got; while `answers` is clear,
    requests wait.
    """

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        self.port = port
        self.status = 200
        self.requests: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """End as a killed process does: with all its connections."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 1)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        fields: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        body = await _body(reader, fields)
        self.requests.append(first)
        await self.answers.wait()
        told = json.dumps({"member": self.name, "line": first, "fields": fields, "body": body})
        closing = "Server: origin\r\nContent-Type: application/json\r\n"
        said = f"HTTP/1.1 {self.status} Said\r\n{closing}Content-Length: {len(told)}\r\n\r\n"
        writer.write(said.encode() + (b"" if first.startswith("HEAD ") else told.encode()))
        await writer.drain()


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, Sequence[str]]) -> int:
    if "transfer-encoding" not in fields:
        length = int(fields.get("content-length", ["0"])[0])
        return len(await reader.readexactly(length))
    total = 0
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
        total += size
    await reader.readline()
    return total


@dataclass
class Told:
    """A response, and what the member told of the request if one answered."""

    status: int
    headers: Any
    text: str
    member: str = ""
    path: str = ""
    line: str = ""
    fields: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Running:
    """A HAProxy that runs, its members by name, and one client."""

    haproxy: Haproxy
    plan: Plan
    origins: dict[str, Origin]
    port: int
    said: list[str]
    folder: Path
    client: aiohttp.ClientSession
    states: dict[str, Wanted] = field(default_factory=dict)

    async def get(
        self, path: str = "/", headers: Mapping[str, str] | None = None, **more: Any
    ) -> Told:
        """Ask for a path, by another method if it is said."""
        url = f"http://127.0.0.1:{self.port}{path}"
        return await told(self.client, url, headers=headers, **more)

    async def apply(self, **changed: str) -> None:
        """Let members be in these states, by name; ``gone`` is out of the list."""
        for name, state in changed.items():
            if state == "gone":
                self.states.pop(name, None)
            else:
                self.states[name] = replace(self.states.get(name) or self._new(name), state=state)
        await self.haproxy.apply(self.wanted())

    def _new(self, name: str) -> Wanted:
        region = "eu" if name.startswith("eu") else "us"
        return Wanted(name, "127.0.0.1", self.origins[name].port, region)

    def wanted(self) -> dict[str, list[Wanted]]:
        return {WWW: list(self.states.values()), PROXIES: []}

    async def add(self, name: str) -> None:
        """Start one member more, and let it in."""
        origin = self.origins[name] = Origin(name)
        await origin.start()
        await self.apply(**{name: "ready"})


async def told(client: aiohttp.ClientSession, url: str, **more: Any) -> Told:
    method = more.pop("method", "GET")
    async with client.request(method, url, allow_redirects=False, **more) as response:
        text = await response.text()
        found = Told(response.status, response.headers, text)
        if response.content_type == "application/json" and text:
            about = json.loads(text)
            found.member, found.line, found.fields = (
                about["member"],
                about["line"],
                about["fields"],
            )
            found.path = about["line"].split(" ")[1]
        return found


def to_www(**more: Any) -> Route:
    """Return a route of all requests, or of those under a path, to the one service."""
    path = more.pop("path", None)
    matches = () if path is None else (Match(path=path),)
    name = more.pop("name", "all")
    return Route(name=name, matches=matches, action=Forward(((WWW, 1),)), **more)


def plan_of(tier: Tier, region: str = "us", services: Mapping[str, Service] | None = None) -> Plan:
    order = [name for name in PROXY if name != region]
    return Plan(tier=tier, region=region, services=services or {}, regions=REGIONS, order=order)


@asynccontextmanager
async def running(
    tier: Tier,
    members: Sequence[str] = ("us1", "us2", "us3"),
    *,
    dead: Sequence[str] = (),
    weights: Mapping[str, int] | None = None,
) -> AsyncIterator[Running]:
    """Run HAProxy in the region ``us`` with *tier*, listening at a free port if it says none."""
    port = free_port()
    listeners = tier.listeners or (Listener(port=port),)
    tier = replace(tier, engine="haproxy", haproxy=program("haproxy"), listeners=listeners)
    folder = Path(tempfile.mkdtemp(prefix="gslb-"))
    said: list[str] = []
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        origins = {name: Origin(name) for name in members}
        for origin in origins.values():
            await origin.start()
            stack.push_async_callback(origin.kill)
        states = {
            name: Wanted(
                name,
                "127.0.0.1",
                origin.port,
                "eu" if name.startswith("eu") else "us",
                (weights or {}).get(name, 1),
                "maint" if name in dead else "ready",
            )
            for name, origin in origins.items()
        }
        plan = plan_of(replace(tier, workers=1))
        wanted = {WWW: list(states.values()), PROXIES: []}
        haproxy = Haproxy(folder, plan, wanted, said.append, compare_s=0.2)
        await haproxy.start()
        stack.push_async_callback(haproxy.stop, 1.0)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        run = Running(haproxy, plan, origins, listeners[0].port, said, folder, client, states)
        yield run
        for origin in run.origins.values():
            origin.answers.set()
            await origin.kill()


WANTED = {
    WWW: [
        Wanted("one", "192.0.2.1", 80, "us", 1000),
        Wanted("two", "2001:db8::1", 80, "us", 1, "drain"),
        Wanted("three", "192.0.2.3", 80, "eu", 1, "maint", backup=True),
    ],
    PROXIES: [Wanted("eu", "127.0.0.2", 80, "eu")],
}
GOOD = Tier(listeners=(Listener(port=80),), routes=(to_www(),))


def rendered(
    tier: Tier,
    folder: str = "/nowhere",
    region: str = "us",
    services: Mapping[str, Service] | None = None,
    wanted: Mapping[str, Sequence[Wanted]] | None = None,
    order: Sequence[str] = ("eu",),
) -> Rendered:
    """Render *tier* for servers that nobody speaks to."""
    return render(
        tier,
        region,
        services=services or {},
        regions=REGIONS,
        order=order,
        wanted=WANTED if wanted is None else wanted,
        folder=folder,
        files=folder,
    )


def of_upstream(**more: Any) -> Tier:
    """Return a tier whose one service is connected to so."""
    return replace(GOOD, upstreams={WWW: Upstream(service=WWW, **more)})


def of_route(**more: Any) -> Tier:
    """Return a tier with one route of all requests."""
    return replace(GOOD, routes=(to_www(**more),))
