"""A world of network namespaces: three regions, joined by links that can be cut one by one.

    with world(folder, "http") as regions:
        regions.cut("eu", "ap")
        async with regions.asking() as asked: ...

Nodes, vantages and the NATS server are processes in the namespaces of `tests.namespaces`; members
are sockets of this one, opened in theirs.  Nothing is left behind, whatever happens.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import dns.exception
import dns.message
import dns.rcode
import pytest
import yaml

from bench.netns import within
from tests.namespaces import NATS, PLACES, Network, address
from tests.programs import Program, quick_environment, until
from tests.running import DEMO_MMDB, PATIENCE_S, REGIONS, ROOT, Keys, addresses, write
from tests.servers import Member

TOKEN = "the-token-of-all-operators"
NODES_KEY = "the-key-of-all-the-nodes"
NATS_KEY = "the-token-of-the-nats-server"
EXPIRY_S = 3.0
AHEAD = (
    "import runpy, time; t = time.time; time.time = lambda: t() + {0};"
    " runpy.run_module('gslb', run_name='__main__')"
)
ASK_EVERY_S = 0.02
UNANSWERED_S = 5.0  # a busy machine may take its time; a lost query never comes


def key_of(vantage: str) -> str:
    """Return the key of a region's vantage."""
    return f"the-key-of-the-vantage-{vantage}"


MEMBERS = {f"{place}-{number}" for place in PLACES for number in (1, 2)}
EVERYONE = frozenset(map(address, MEMBERS))


@dataclass(slots=True)
class Asked:
    """What every node has answered since the asking began, and what it must not.

    A test narrows `allowed` when from now on fewer may be answered.  Nodes that are `lost`, dead
    or cut off from whoever asks, need not answer until they are `found`.
    """

    allowed: frozenset[str] = EVERYONE
    excused: set[str] = field(default_factory=set)
    losses: int = 0
    latest: dict[str, frozenset[str]] = field(default_factory=dict)
    seen: dict[str, set[frozenset[str]]] = field(default_factory=dict)
    answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def lost(self, *nodes: str) -> None:
        """Expect no answers of these nodes, and forget what they answered."""
        self.excused.update(nodes)
        self.losses += 1
        for node in nodes:
            self.latest.pop(node, None)

    def found(self) -> None:
        """Expect answers of all nodes again."""
        self.excused.clear()

    async def all_answer(self, wanted: set[str] | frozenset[str], *nodes: str) -> None:
        """Await that each of these nodes (or all) answers exactly *wanted*."""
        which = nodes or tuple(PLACES)

        def agree() -> bool:
            return all(self.latest.get(node) == wanted for node in which)

        await until(agree, lambda: f"wanted {set(wanted)}, but it is {self.latest}")

    def took(self, node: str, response: dns.message.Message) -> None:
        """Note one answer."""
        got = frozenset(addresses(response))
        self.answers += 1
        self.latest[node] = got
        self.seen.setdefault(node, set()).add(got)
        if response.rcode() != dns.rcode.NOERROR or not got <= self.allowed or not got:
            self.wrong.append(f"{node} answered {set(got)}, {response.rcode()}")


class Regions:
    """The whole world: its network, its members, its processes."""

    def __init__(self, folder: Path, carrier: str, stack: ExitStack) -> None:
        self.network = Network(stack)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        stack.callback(self._close)
        self.members = {host: Member(address(host), 80) for host in sorted(MEMBERS)}
        for host in self.members:
            self.behave(host, "ok")
        self.programs: dict[str, Program] = {}
        self._folder, self.carrier = folder, carrier
        if carrier == "nats":
            store = folder / "jetstream"
            self._program(
                "nats", ["nats-server", "-a", NATS, "-js", "-sd", str(store), "--auth", NATS_KEY]
            )
        for place in PLACES:
            _write_files(folder / place, place, carrier)
            self._program(f"{place}-ns", self.argv("run", place))
            self._program(f"{place}-probe", self.argv("probe", place, "--vantage", place))
        for program in self.programs.values():
            stack.callback(program.kill)

    def argv(self, verb: str, place: str, *more: str, ahead_s: float = 0.0) -> list[str]:
        """Return the command of a node or a vantage, whose clock may be ahead."""
        gslb = ["-c", AHEAD.format(ahead_s)] if ahead_s else ["-m", "gslb"]
        return [sys.executable, *gslb, verb, str(self._folder / place / "gslb.yaml"), *more]

    def _program(self, host: str, argv: list[str]) -> None:
        self.programs[host] = Program(self._at(host, argv), self._folder / f"{host}.log")

    def _at(self, host: str, argv: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.network.name(host), *argv]

    def shifted(self, host: str, ahead_s: float) -> None:
        """Let a node or vantage run again, with a clock so far ahead (0: a right one)."""
        place, _, what = host.partition("-")
        more = ("--vantage", place) if what == "probe" else ()
        program = self.programs[host]
        program.kill()
        argv = self.argv("run" if what == "ns" else "probe", place, *more, ahead_s=ahead_s)
        program.argv = self._at(host, argv)
        program.start()

    def behave(self, host: str, behaviour: str) -> None:
        """Let a member behave so, as `tests.servers` has it, from now on."""
        done: Future[None] = Future()

        def switch() -> None:
            with within(self.network.name(host)):
                self.members[host].behave(behaviour)
            done.set_result(None)

        self._loop.call_soon_threadsafe(switch)
        done.result(PATIENCE_S)

    def _close(self) -> None:
        """End the members."""
        for member in self.members.values():
            asyncio.run_coroutine_threadsafe(member.__aexit__(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def cut(self, one: str, *others: str) -> None:
        """Cut the links from one to each of the others."""
        for other in others:
            self.network.cut(one, other)

    async def calm(self) -> None:
        """Mend, revive and start all; return once every node answers everyone and hears all."""
        for link in tuple(self.network.cuts):
            self.network.restore(*link)
        for host in self.members:
            self.behave(host, "ok")
        for program in self.programs.values():
            program.start()
        for place in PLACES:
            await self.agrees(place, EVERYONE)
            await self.status(place, _is_calm)
            await self.status(place, _has_all_votes, "/v1/members")

    async def agrees(self, place: str, wanted: frozenset[str]) -> None:
        """Await that a node answers exactly *wanted*."""
        deadline_s, got = time.monotonic() + PATIENCE_S, None
        while got != wanted:
            if time.monotonic() > deadline_s:
                pytest.fail(
                    f"{place} answers {got}:\n{self.programs[f'{place}-ns'].said()[-3000:]}"
                )
            with suppress(TimeoutError, OSError):
                got = frozenset(addresses(await self.ask(place, wait_s=0.5)))
            await asyncio.sleep(ASK_EVERY_S)

    async def status(
        self, place: str, holds: Callable[[Keys], bool], path: str = "/v1/status"
    ) -> Keys:
        """Await that a node's status is so; return it."""
        deadline_s, said = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < deadline_s:
            with suppress(aiohttp.ClientError, OSError):
                _, said = await self.http(place, "GET", path)
                assert isinstance(said, dict)
                if holds(said):
                    return said
            await asyncio.sleep(ASK_EVERY_S)
        pytest.fail(f"{place} says {said}\n{self.programs[f'{place}-ns'].said()[-3000:]}")

    async def ask(
        self, place: str, qname: str = "www.example.com", wait_s: float = UNANSWERED_S
    ) -> dns.message.Message:
        """Return a node's response to a client."""
        query = dns.message.make_query(qname, "A", use_edns=0)
        loop = asyncio.get_running_loop()
        with within(self.network.name("clients")):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.setblocking(False)
            sock.connect((address(f"{place}-ns"), 53))
            async with asyncio.timeout(wait_s):
                await loop.sock_sendall(sock, query.to_wire())
                return dns.message.from_wire(await loop.sock_recv(sock, 65535))

    async def http(
        self,
        place: str,
        method: str,
        path: str,
        body: object = None,
        host: str = "clients",
        data: bytes | None = None,
    ) -> tuple[int, object]:
        """Return status and body of a request to a node's admin API, made at some host."""

        def made(info: tuple[int, int, int, str, object]) -> socket.socket:
            with within(self.network.name(host)):
                sock = socket.socket(*info[:3])
            sock.setblocking(False)
            return sock

        url = f"http://{address(f'{place}-ns')}:8053{path}"
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=made, force_close=True),
                timeout=aiohttp.ClientTimeout(total=5),
                headers={"Authorization": f"Bearer {TOKEN}"},
            ) as session,
            session.request(method, url, json=body, data=data) as response,
        ):
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, (await response.read()).decode(errors="replace")

    async def gslb(self, *arguments: str) -> tuple[int, str]:
        """Run a command where the clients are; return its status and all that it said."""
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", self.network.name("clients")),
            *(sys.executable, "-m", "gslb", *arguments),
            env={**quick_environment(), "GSLB_ADMIN_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE_S):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Asked]:
        """Ask every node all the time; at the end, all must have been answered, and well."""
        asked = Asked()
        tasks = [asyncio.create_task(self._ask_on(place, asked)) for place in PLACES]
        await until(lambda: asked.latest.keys() == PLACES.keys(), lambda: str(asked.latest))
        try:
            yield asked
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert not asked.wrong, asked.wrong[:5]

    async def _ask_on(self, place: str, asked: Asked) -> None:
        while True:
            losses = asked.losses
            try:
                response = await self.ask(place)
                if losses == asked.losses:
                    asked.took(place, response)
            except (OSError, TimeoutError, dns.exception.DNSException) as problem:
                if place not in asked.excused:
                    asked.wrong.append(f"{place} did not answer: {problem!r}")
            await asyncio.sleep(ASK_EVERY_S)


def _has_all_votes(listed: Keys) -> bool:
    members = listed["members"]
    assert isinstance(members, list)
    return {vote["verdict"] for member in members for vote in member["votes"]} == {"up"}


def _is_calm(status: Keys) -> bool:
    vantages = status["vantages"]
    assert isinstance(vantages, list)
    states = {each["state"] for each in vantages}
    return len(vantages) == len(PLACES) and states == {"heard"} and not status.get("frozen_since")


def _write_files(folder: Path, place: str, carrier: str) -> None:
    folder.mkdir()
    own = address(f"{place}-ns")
    nodes = {f"ns-{each}": f"http://{address(f'{each}-ns')}:8053" for each in PLACES}
    nats = {"servers": [f"nats://{NATS}:4222"], "token": NATS_KEY}
    main = {
        "node": f"ns-{place}",
        "state_dir": "var",
        "threads": 1,
        "listen": {"dns": [f"{own}:53"], "admin": f"{own}:8053"},
        "admin_token": TOKEN,
        "zones": ["example.com.yaml"],
        "geo": {"database": str(DEMO_MMDB)},
        "regions": REGIONS,
        "monitors": {
            "web": {
                "type": "http",
                "interval": "500ms",
                "timeout": "300ms",
                "recheck": "100ms",
                "fall": 2,
                "rise": 1,
            }
        },
        "vantages": {
            "expiry": f"{EXPIRY_S:g}s",
            "report_interval": "500ms",
            "voters": {each: {"region": PLACES[each][0], "key": key_of(each)} for each in PLACES},
        },
        "carrier": {
            "key": NODES_KEY,
            **({"nats": nats} if carrier == "nats" else {"nodes": nodes}),
        },
    }
    pools = {
        region: [address(f"{each}-{number}") for number in (1, 2)]
        for each, (region, _) in PLACES.items()
    }
    everyone = {"ttl": "2s", "ttl_min": "1s", "monitor": "web", "answers": "all", "pools": pools}
    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {"www": {**everyone, "route": "weighted"}},
    }
    write(
        folder / "example.com.zone",
        "$TTL 30\n@ SOA ns1 hostmaster 1 3600 900 86400 30\n@ NS ns1\nns1 A 192.0.2.53\n",
    )
    write(folder / "example.com.yaml", yaml.safe_dump(zone))
    write(folder / "gslb.yaml", yaml.safe_dump(main))


@contextmanager
def world(folder: Path, carrier: str) -> Iterator[Regions]:
    """Give the world, with nothing started yet, its nodes and vantages joined by that carrier."""
    assert ROOT.is_dir()
    with ExitStack() as stack:
        yield Regions(folder, carrier, stack)
