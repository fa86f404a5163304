"""Discovery on a node that runs: members come and go by each source while it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from gslb.daemons.discovery import Discovery
from gslb.daemons.planner import read
from gslb.model import Source
from gslb.routing.found import FoundMember
from tests.names import names_served
from tests.running import MONITOR, REGIONS, Running, addresses, running, service, write, written
from tests.servers import Member, free_port

FEW = [f"127.3.0.{n}" for n in range(1, 4)]
MANY = [f"127.3.0.{n}" for n in range(1, 31)]
FOLDER = "members"


def discovering(folder, port, *, members=(), **discover):
    """Write a node whose one pool discovers its members, all probed at one port."""
    pool = {"discover": discover, **({"members": list(members)} if members else {})}
    return written(
        folder,
        {"www": service(pools={"eu-west": pool}, route="weighted")},
        monitors={"web": {**MONITOR, "port": port}},
        regions=REGIONS,
    )


class Crowd:
    """Asks without a pause, and holds each answer to the members that there were meanwhile."""

    def __init__(self, node: Running) -> None:
        self._node = node
        self.answers = 0
        self.wrong: list[object] = []
        self._present = self._members()
        self._seen: list[set[str]] = []
        controller = node.node.controller
        served = controller.serve

        def serve(snapshot: object) -> None:
            served(snapshot)
            self._seen.append(self._members())

        controller.serve = serve

    def _members(self) -> set[str]:
        snapshot = self._node.node.controller.snapshot
        return {
            str(member.address)
            for made in snapshot.plan.services.values()
            for pool in made.pools
            for member in pool.members
        }

    async def ask(self) -> None:
        while True:
            allowed = self._members()
            self._seen.clear()
            response = await self._node.ask()
            allowed = allowed.union(*self._seen)
            got = addresses(response)
            self.answers += 1
            if response.rcode() or not got or not got <= allowed:
                self.wrong.append((response, allowed))
            await asyncio.sleep(0)


@asynccontextmanager
async def crowded(node: Running) -> AsyncIterator[Crowd]:
    crowd = Crowd(node)
    task = asyncio.create_task(crowd.ask())
    try:
        yield crowd
    finally:
        task.cancel()
    assert crowd.answers > 0
    assert crowd.wrong == []


async def scaled(node, set_members):
    """Go from 3 members to 30 and back while queries run."""
    async with crowded(node):
        for wanted in (FEW, MANY, FEW):
            await set_members(wanted)
            await node.becomes(set(wanted))


async def test_a_file_scales_a_service_up_and_down_without_losing_a_query(engine, tmp_path):
    async with Member("0.0.0.0") as web:
        path = discovering(tmp_path, web.port, file="members.txt")
        write(tmp_path / "members.txt", "\n".join(FEW))
        async with running(path) as node:

            async def put(wanted):
                write(tmp_path / "members.txt", "\n".join(wanted))

            await scaled(node, put)
            await node.event("member_found", source="file", address=MANY[-1], region="eu-west")
            await node.event("member_gone", source="file", address=MANY[-1])
            assert not node.heard("reload")


async def test_a_name_scales_a_service_up_and_down_without_losing_a_query(engine, tmp_path):
    async with Member("0.0.0.0") as web, names_served() as names:
        names.has("app.example.net", "A", *FEW)
        path = discovering(
            tmp_path, web.port, dns="app.example.net", resolver=f"127.0.0.1:{names.port}"
        )
        async with running(path) as node:

            async def put(wanted):
                names.has("app.example.net", "A", *wanted)

            await scaled(node, put)


async def test_leases_scale_a_service_up_and_down_without_losing_a_query(engine, tmp_path):
    async with Member("0.0.0.0") as web:
        path = discovering(tmp_path, web.port, register=True)
        async with running(path, settled=False) as node:
            at = "/v1/pools/www.example.com/eu-west/members"
            for address in FEW:
                status, _ = await node.http("PUT", f"{at}/{address}", {"weight": 3, "lease": "1h"})
                assert status == 200
            await node.becomes(set(FEW))

            async def put(wanted):
                now = set(await node.addresses())
                for address in sorted({*wanted} - now):
                    await node.http("PUT", f"{at}/{address}", {"weight": 3, "lease": "1h"})
                for address in sorted(now - {*wanted}):
                    assert (await node.http("DELETE", f"{at}/{address}"))[0] == 204

            await scaled(node, put)
            _, members = await node.http("GET", "/v1/members")
            assert {each["source"] for each in members["members"]} == {"lease"}
            assert all(each["until"] for each in members["members"])
            line = (
                'gslb_discovered_members{region="eu-west",service="www.example.com",source="lease"}'
            )
            assert await node.metric(line) == 3


async def test_a_new_member_is_served_from_its_first_good_probe(engine, tmp_path):
    async with Member("127.3.0.1") as web, Member("127.3.0.2", web.port) as slow:
        path = discovering(tmp_path, web.port, members=["127.3.0.1"], file="members.txt")
        slow.behave("hang")
        write(tmp_path / "members.txt", "127.3.0.2\n")
        async with running(path) as node:
            assert await node.addresses() == {"127.3.0.1"}
            slow.behave("ok")
            await node.becomes({"127.3.0.1", "127.3.0.2"})


async def test_the_only_member_of_a_pool_is_served_before_it_was_probed(engine, tmp_path):
    async with Member("127.3.0.1") as web:
        web.behave("hang")
        path = discovering(tmp_path, web.port, register=True)
        async with running(path, settled=False) as node:
            response = await node.ask()
            assert addresses(response) == set()
            assert response.authority[0].ttl == 3
            _, told = await node.http("GET", "/v1/explain", name="www.example.com", client="::1")
            assert told["notes"] == ["no member that could be answered is known yet"]
            alarms = node.node.controller.alarms
            assert alarms.current == {("www.example.com", "nodata")}
            await node.http("PUT", "/v1/pools/www.example.com/eu-west/members/127.3.0.1")
            await node.becomes({"127.3.0.1"})
            await node.event("alarm_over", alarm="nodata")
            assert alarms.current == frozenset()


async def test_leases_and_what_was_found_outlive_a_restart(engine, tmp_path):
    async with Member("0.0.0.0") as web, names_served() as names:
        names.has("app.example.net", "A", "127.3.0.2")
        path = discovering(
            tmp_path,
            web.port,
            register=True,
            dns="app.example.net",
            resolver=f"127.0.0.1:{names.port}",
            file="members.txt",
        )
        write(tmp_path / "members.txt", "127.3.0.3\n")
        async with running(path) as node:
            at = "/v1/pools/www.example.com/eu-west/members/127.3.0.1"
            await node.http("PUT", at, {"lease": "1h"})
            await node.becomes(set(FEW))
        names.rcode = 2
        write(tmp_path / "members.txt", "")

        async with running(path, settled=False) as node:
            assert await node.addresses() == set(FEW)
            assert await node.metric("gslb_discovery_failures_total") == 3


async def test_a_reload_keeps_who_was_found(engine, tmp_path):
    async with Member("0.0.0.0") as web:
        path = discovering(tmp_path, web.port, file="members.txt")
        write(tmp_path / "members.txt", "\n".join(FEW))
        async with running(path) as node, crowded(node):
            await node.becomes(set(FEW))
            discovering(tmp_path, web.port, file="members.txt", members=["127.3.0.30"])
            await node.event("reload")
            await node.becomes({*FEW, "127.3.0.30"})


async def test_after_a_reload_other_names_and_files_are_looked_at(engine, tmp_path):
    async with Member("0.0.0.0") as web, names_served() as names:
        names.has("one.example.net", "A", "127.3.0.1")
        names.has("two.example.net", "A", "127.3.0.2")
        write(tmp_path / "members.txt", "127.3.0.3\n")
        at = f"127.0.0.1:{names.port}"
        path = discovering(tmp_path, web.port, dns="one.example.net", resolver=at)
        async with running(path) as node, crowded(node):
            await node.becomes({"127.3.0.1"})
            sources = {"dns": "two.example.net", "resolver": at, "file": "members.txt"}
            discovering(tmp_path, web.port, **sources, members=["127.3.0.9"])
            await node.becomes({"127.3.0.2", "127.3.0.3", "127.3.0.9"})


def two_nodes(folder, web_port):
    """Write two nodes that hear each other over HTTP, and let members register."""
    ports = {"ns1.example.net": free_port(), "ns2.example.net": free_port()}
    nodes = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    for name, port in ports.items():
        pools = {"eu-west": {"discover": {"register": True}}}
        yield written(
            folder / name,
            {"www": service(pools=pools, route="weighted")},
            node=name,
            listen={"dns": ["127.0.0.1:0"], "admin": f"127.0.0.1:{port}"},
            monitors={"web": {**MONITOR, "port": web_port}},
            carrier={"key": "k" * 32, "nodes": nodes},
        )


async def test_who_registers_with_one_node_is_served_by_all_and_leaves_all(engine, tmp_path):
    async with Member("0.0.0.0") as web:
        here, there = two_nodes(tmp_path, web.port)
        at = "/v1/pools/www.example.com/eu-west/members/127.3.0.1"
        async with running(here, settled=False) as one, running(there, settled=False) as other:
            await one.http("PUT", at, {"lease": "1h"})
            await one.becomes({"127.3.0.1"})
            await other.becomes({"127.3.0.1"})
            _, members = await other.http("GET", "/v1/members")
            assert members["members"][0]["source"] == "lease"

            assert (await other.http("DELETE", at))[0] == 204
            await other.becomes(set())
            await one.becomes(set())


@pytest.mark.parametrize(
    ("method", "where", "body", "status", "part"),
    [
        ("PUT", "ww.example.com/eu-west/members/127.3.0.1", None, 404, "www.example.com"),
        ("PUT", "www.example.com/eu-wes/members/127.3.0.1", None, 404, "eu-west"),
        ("PUT", "www.example.com/us-east/members/127.3.0.1", None, 409, "register: true"),
        ("PUT", "www.example.com/eu-west/members/lb.example.net", None, 400, "IP address"),
        ("PUT", "www.example.com/eu-west/members/127.3.0.9", None, 409, "zone's file"),
        ("PUT", "www.example.com/eu-west/members/127.3.0.1", {"lease": "0s"}, 400, "from"),
        ("PUT", "www.example.com/eu-west/members/127.3.0.1", {"wait": 1}, 400, "weight"),
        ("PUT", "www.example.com/eu-west/members/127.3.0.1", {"weight": -1}, 400, "whole"),
        ("PUT", "www.example.com/eu-west/members/127.3.0.1", [], 400, "object"),
        ("DELETE", "www.example.com/us-east/members/127.3.0.1", None, 409, "register: true"),
    ],
)
async def test_a_registration_that_cannot_be_granted_says_why(
    tmp_path, method, where, body, status, part
):
    pools = {
        "eu-west": {"discover": {"register": True}, "members": ["127.3.0.9"]},
        "us-east": ["127.3.0.8"],
    }
    path = written(tmp_path, {"www": service(pools=pools, route="weighted", monitor="web")})
    async with running(path, settled=False) as node:
        got, said = await node.http(method, f"/v1/pools/{where}", body)

    assert got == status
    assert part in json.dumps(said)


class Bench:
    """Discovery on a clock by hand."""

    def __init__(self, folder, **discover):
        self.now_s = 1_000_000.0
        self.config = read(discovering(folder, 80, **discover))
        self.changes = 0
        self.it = self.made()

    def made(self):
        def count():
            self.changes += 1

        return Discovery(self.config, lambda: self.now_s, count)

    @property
    def members(self):
        self.it.refresh()
        made = {each.text: each for each in self.it.services()}["www.example.com"]
        return [str(member.address) for pool in made.pools for member in pool.members]


KEY = ("www.example.com", "eu-west", ip_address("127.3.0.1"))
ONE = FoundMember(ip_address("127.3.0.1"))


def test_a_lease_ends_when_no_heart_beat_comes_and_goes_on_when_one_does(tmp_path):
    bench = Bench(tmp_path, register=True)
    bench.it.leases.register(KEY, ONE, 30.0)
    assert bench.members == ["127.3.0.1"]

    bench.now_s += 29
    bench.it.leases.register(KEY, ONE, 30.0)
    bench.now_s += 29
    assert bench.members == ["127.3.0.1"]
    bench.now_s += 1
    assert bench.members == []


def test_heart_beats_change_nothing(tmp_path):
    bench = Bench(tmp_path, register=True)
    bench.it.leases.register(KEY, ONE, 30.0)
    assert bench.members
    changes, told = bench.changes, []
    bench.it.leases.on_own_change = lambda: told.append(1)

    bench.now_s += 10
    bench.it.leases.register(KEY, ONE, 30.0)

    assert bench.members
    assert (bench.changes, told) == (changes, [])
    bench.it.leases.leave(KEY)
    assert bench.members == []
    assert (bench.changes, told) == (changes + 1, [1])


def test_heart_beats_of_short_leases_are_told_at_once(tmp_path):
    bench = Bench(tmp_path, register=True)
    told = []
    bench.it.leases.on_own_change = lambda: told.append(1)

    for _ in range(3):
        bench.it.leases.register(KEY, ONE, 5.0)
        bench.now_s += 1

    assert len(told) == 3


def test_leases_reach_another_node_whose_clock_is_not_ours(tmp_path):
    one, other = Bench(tmp_path / "a", register=True), Bench(tmp_path / "b", register=True)
    other.now_s += 9
    one.it.leases.register(KEY, ONE, 5.0)

    other.it.leases.hear(json.loads(json.dumps(one.it.leases.encoded())))
    assert not other.it.leases.merge(one.it.leases.table)
    assert other.members == ["127.3.0.1"]
    other.now_s += 5
    assert other.members == []
    one.it.leases.leave(KEY)
    assert other.it.leases.merge(one.it.leases.table)
    assert one.it.leases.table == other.it.leases.table


def test_sources_are_told_apart(tmp_path):
    bench = Bench(tmp_path, register=True)
    bench.it.leases.register(KEY, ONE, 5.0)
    [[member]] = (
        [pool.members for each in bench.it.services() for pool in each.pools]
        if bench.members
        else []
    )

    assert member.source is Source.LEASE
    assert bench.it.lease_ends_s(*KEY[:2], member) == bench.now_s + 5
