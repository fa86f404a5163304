"""Several vantages and several nodes over real sockets: votes cast, counted, told and shown."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import aiohttp
import pytest

from gslb.config.settings import Endpoint
from gslb.health.load import Load
from tests.running import (
    AGAIN_S,
    MONITOR,
    PATIENCE_S,
    REGIONS,
    gslb,
    members,
    pool,
    running,
    service,
    written,
)
from tests.servers import Member, free_port
from tests.voters import DOWN, UNKNOWN, UP, Voter, node_of, post, voting

A, B, C = "127.1.0.1", "127.1.0.2", "127.1.0.3"
TIER = "127.1.0.100"
WWW = {"www": service(pools={"us-east": [A, B, C]})}
NAMES = ("ap", "eu", "us")


async def test_a_node_without_voters_takes_no_reports(tmp_path):
    async with running(written(tmp_path), settled=False) as node:
        assert await post(node, b"anything") == 403


async def test_one_vantage_takes_nobody_out_and_two_of_three_do(tmp_path):
    async with running(written(tmp_path, WWW, **voting(*NAMES)), settled=False) as node:
        ap, eu, us = map(Voter, NAMES)
        for each in (ap, eu, us):
            assert await each.reports(node) == 204
        await node.becomes({A, B, C})

        await ap.reports(node, UP, {A: DOWN})
        await node.becomes({A, B, C})
        await eu.reports(node, UP, {A: DOWN})
        await node.becomes({B, C})

        told = await node.event("verdict", member=A, verdict="down")
        said = {vote["vantage"]: vote["verdict"] for vote in told.fields["votes"]}
        assert said == {"ap": "down", "eu": "down", "us": "up"}


async def test_status_and_members_show_who_votes_what(tmp_path):
    async with running(written(tmp_path, WWW, **voting(*NAMES)), settled=False) as node:
        await Voter("ap").reports(node, UP, {A: DOWN})
        await Voter("eu").reports(node, DOWN, cut_off=True)

        _, listed = await node.http("GET", "/v1/members")
        _, status = await node.http("GET", "/v1/status")

    (member,) = (each for each in listed["members"] if each["address"] == A)
    votes = {vote["vantage"]: vote for vote in member["votes"]}
    assert votes["ap"]["verdict"] == "down"
    assert votes["ap"]["reason"] == "refused"
    assert votes["eu"]["left_out"] == "abstains"
    states = {each["vantage"]: each["state"] for each in status["vantages"]}
    assert states == {"ap": "heard", "eu": "cut off", "us": "never heard"}


@pytest.mark.parametrize(
    ("spoil", "status", "kind"),
    [
        (lambda octets: octets[:-1] + bytes([octets[-1] ^ 1]), 401, "mac"),
        (lambda octets: b"nonsense", 400, "malformed"),
        (lambda octets: octets.replace(b" eu ", b" xx ", 1), 401, "unknown_vantage"),
    ],
)
async def test_what_is_wrong_with_a_report_costs_that_report_and_is_counted(
    tmp_path, spoil, status, kind
):
    async with running(written(tmp_path, WWW, **voting(*NAMES)), settled=False) as node:
        subjects = dict.fromkeys(node.node.controller.subjects(), DOWN)
        octets = Voter("eu").report(subjects, node.node.clock())

        assert await post(node, spoil(octets)) == status
        assert await node.addresses() == {A, B, C}

        who = "eu" if kind == "mac" else "unknown"
        line = f'gslb_reports_total{{result="{kind}",vantage="{who}"}}'
        assert await node.metric(line) == 1


async def test_a_report_played_back_is_refused_and_changes_nothing(tmp_path):
    async with running(written(tmp_path, WWW, **voting(*NAMES)), settled=False) as node:
        eu = Voter("eu")
        subjects = dict.fromkeys(node.node.controller.subjects(), DOWN)
        recorded = eu.report(subjects, node.node.clock())
        assert await post(node, recorded) == 204
        await eu.reports(node, UP)

        assert await post(node, recorded) == 409

        assert await node.metric('gslb_reports_total{result="number",vantage="eu"}') == 1


async def test_when_all_vantages_fall_silent_the_last_verdicts_stay(tmp_path):
    async with running(written(tmp_path, WWW, **voting(*NAMES)), settled=False) as node:
        for name in NAMES:
            await Voter(name).reports(node, UP, {A: DOWN})
        await node.becomes({B, C})

        await node.event("votes_frozen")

        assert await node.addresses() == {B, C}
        _, status = await node.http("GET", "/v1/status")
        assert status["frozen_since"] is not None


async def test_verdicts_of_votes_outlive_a_restart(tmp_path):
    path = written(tmp_path, WWW, **voting(*NAMES))
    async with running(path, settled=False) as node:
        for name in NAMES:
            await Voter(name).reports(node, UP, {A: DOWN})
        await node.becomes({B, C})

    async with running(path, settled=False) as node:
        assert await node.addresses() == {B, C}


async def test_a_vantage_that_knows_nothing_has_no_vote(tmp_path):
    async with running(written(tmp_path, WWW, **voting("ap", "eu")), settled=False) as node:
        await Voter("ap").reports(node, UNKNOWN)
        await Voter("eu").reports(node, UP, {A: DOWN})

        await node.becomes({B, C})


async def test_real_vantages_report_to_all_nodes_and_go_on_without_one_of_them(tmp_path):
    nodes = {name: Endpoint("127.0.0.1", free_port()) for name in ("ns1", "ns2")}
    async with AsyncExitStack() as stack:
        one, two = await stack.enter_async_context(members(A, B))
        services = {"www": service(pools={"us-east": pool(one, two)})}
        keys = voting(*NAMES, nodes=nodes)
        paths = [node_of(tmp_path, name, services, nodes, **keys) for name in nodes]
        *_, last = [
            await stack.enter_async_context(gslb("probe", paths[0], "--vantage", name))
            for name in NAMES
        ]
        first, second = [await stack.enter_async_context(running(path)) for path in paths]

        one.behave("refuse")
        for node in (first, second):
            await node.becomes({B})

        last.signal(signal.SIGTERM)
        assert await last.ended() == 0
        one.behave("ok")
        for node in (first, second):
            await node.becomes({A, B})
            status, members_ = await node.http("GET", "/v1/members")
            assert status == 200
            assert all(len(each["votes"]) == 3 for each in members_["members"])


async def test_a_nodes_own_prober_can_be_a_vantage(tmp_path):
    nodes = {name: Endpoint("127.0.0.1", free_port()) for name in ("ns1", "ns2")}
    async with members(A, B) as (one, two), AsyncExitStack() as stack:
        services = {"www": service(pools={"us-east": pool(one, two)})}
        keys = voting("ap", "eu", nodes=nodes)
        named = dict(zip(nodes, ("ap", "eu"), strict=True))
        first, second = [
            await stack.enter_async_context(
                running(node_of(tmp_path, name, services, nodes, vantage=vantage, **keys))
            )
            for name, vantage in named.items()
        ]

        two.behave("refuse")

        for node in (first, second):
            await node.becomes({A})
            _, status = await node.http("GET", "/v1/status")
            assert {each["state"] for each in status["vantages"]} == {"heard"}


async def test_a_vantage_says_what_is_wrong_with_its_name(tmp_path):
    async with gslb("probe", written(tmp_path, WWW, **voting("eu")), "--vantage", "eo") as process:
        assert await process.ended() == 1
        assert any("eu" in line for line in process.lines), process.lines


async def test_a_word_said_to_one_node_holds_at_all_and_outlives_its_node(tmp_path):
    nodes = {name: Endpoint("127.0.0.1", free_port()) for name in ("ns1", "ns2")}
    keys = voting("eu", nodes=nodes)
    paths = {name: node_of(tmp_path, name, WWW, nodes, **keys) for name in nodes}
    async with running(paths["ns2"], settled=False) as second:
        async with running(paths["ns1"], settled=False) as first:
            for node in (first, second):
                await Voter("eu").reports(node)
            status, _ = await first.http("PUT", f"/v1/members/{A}/forced", {"word": "drain"})
            assert status == 200
            await second.becomes({B, C})

        status, _ = await second.http("DELETE", f"/v1/members/{A}/forced")
        assert status == 204
        await second.becomes({A, B, C})

        async with running(paths["ns1"], settled=False) as first:
            await first.becomes({A, B, C})


async def test_a_member_that_registers_at_one_node_is_probed_and_served_everywhere(tmp_path):
    nodes = {name: Endpoint("127.0.0.1", free_port()) for name in ("ns1", "ns2")}
    async with members(A, B) as (one, two), AsyncExitStack() as stack:
        services = {
            "www": service(
                pools={"us-east": {"members": pool(one), "discover": {"register": True}}}
            )
        }
        keys = voting("eu", nodes=nodes)
        paths = [node_of(tmp_path, name, services, nodes, **keys) for name in nodes]
        await stack.enter_async_context(gslb("probe", paths[0], "--vantage", "eu"))
        first, second = [await stack.enter_async_context(running(path)) for path in paths]

        for node in (first, second):
            await node.verdict("up", one)
        path = f"/v1/pools/www.example.com/us-east/members/{B}"
        body = {"lease": "30s", "probe": f"{B}:{two.port}"}
        status, said = await first.http("PUT", path, body)
        assert status == 200, said

        for node in (first, second):
            await node.becomes({A, B})
            _, listed = await node.http("GET", "/v1/members")
            (found,) = (each for each in listed["members"] if each["address"] == B)
            assert [vote["verdict"] for vote in found["votes"]] == ["up"]
        assert (await second.http("DELETE", path))[0] == 204
        for node in (first, second):
            await node.becomes({A})


# Tiers, which vote too

SOON = {"expiry": "30s", "report_interval": "200ms"}
RARELY = {"web": {**MONITOR, "interval": "1h"}}


async def test_what_a_tier_sees_fail_is_probed_at_once_everywhere_and_only_then_goes_out(tmp_path):
    """Once all is well nothing would be probed for an hour, were it not for the tier."""
    nodes = {"ns1": Endpoint("127.0.0.1", free_port())}
    async with members(A, B) as (one, two), AsyncExitStack() as stack:
        services = {"www": service(pools={"us-east": pool(one, two)})}
        keys = voting("ap", "eu", nodes=nodes, tiers={"tier": "us-east"}, **SOON)
        path = node_of(tmp_path, "ns1", services, nodes, vantage="eu", **keys)
        other = await stack.enter_async_context(gslb("probe", path, "--vantage", "ap"))
        node = await stack.enter_async_context(running(path))
        await node.verdict("up", one, two)
        async with asyncio.timeout(PATIENCE_S):
            while "heard" not in await states_of(node, "ap"):
                await asyncio.sleep(AGAIN_S)
        node_of(tmp_path, "ns1", services, nodes, vantage="eu", **keys, monitors=RARELY)
        await node.event("reload")
        await other.line(" reload ")
        tier = Voter("tier")
        await tier.reports(node)

        # It lives, whatever the tier says: it is looked at, and stays.
        seen = len(two.requests)
        assert await tier.reports(node, UP, {B: DOWN}) < 300
        async with asyncio.timeout(PATIENCE_S):
            while len(two.requests) < seen + 2:
                await asyncio.sleep(AGAIN_S)
        assert await node.addresses() == {A, B}

        # It is dead, and the tier is the first to see it.
        one.behave("refuse")
        assert await tier.reports(node, UP, suspects=[A]) < 300
        await node.becomes({B})
        async with asyncio.timeout(PATIENCE_S):
            while (said := await votes_on(node, A)) != {"ap": "down", "eu": "down", "tier": "up"}:
                await asyncio.sleep(AGAIN_S)
        assert said


async def test_a_tier_shows_how_busy_it_is(tmp_path):
    keys = voting("eu", tiers={"tier": "us-east"})
    async with running(written(tmp_path, WWW, **keys), settled=False) as node:
        await Voter("eu").reports(node)
        await Voter("tier").reports(node, load=Load(10_000, 64, 60, 1234.5, 0.25))

        _, status = await node.http("GET", "/v1/status")
        eu, tier = status["vantages"]
        assert (eu["kind"], eu["load"]) == ("prober", None)
        assert (tier["kind"], tier["region"]) == ("proxy", "us-east")
        assert tier["load"] == {
            "connections": 10_000,
            "active_requests": 64,
            "member_requests": 60,
            "requests_per_s": 1234.5,
            "errors_per_s": 0.25,
        }
        figure = 'gslb_vantage_load{figure="requests_per_s",vantage="tier"}'
        assert await node.metric(figure) == 1234.5
        async with gslb("status", "--admin", f"http://{node.admin}") as process:
            assert await process.ended() == 0


async def test_a_prober_does_not_stand_in_for_a_tier(tmp_path):
    keys = voting("eu", nodes={"ns1": Endpoint("127.0.0.1", 1)}, tiers={"tier": "us-east"})
    path = written(tmp_path, WWW, **keys)
    async with gslb("probe", path, "--vantage", "tier") as process:
        assert await process.ended() == 1
        assert any("tier is of kind proxy" in line for line in process.lines), process.lines


async def states_of(node, name):
    """Return how a vantage is heard."""
    _, status = await node.http("GET", "/v1/status")
    return {each["state"] for each in status["vantages"] if each["vantage"] == name}


async def votes_on(node, address):
    """Return what each vantage says of a member."""
    _, listed = await node.http("GET", "/v1/members")
    (found,) = (each for each in listed["members"] if each["address"] == address)
    return {vote["vantage"]: vote["verdict"] for vote in found["votes"]}


async def test_a_tiers_real_requests_have_a_dead_member_probed_and_taken_out_at_once(tmp_path):
    """Probes would come once an hour; one request of a client is what finds the death."""
    nodes, port = {"ns1": Endpoint("127.0.0.1", free_port())}, free_port(TIER)
    async with Member(A, port) as one, Member(B, port), AsyncExitStack() as stack:
        services = {"www": service(pools={"us-east": [A, B]})}
        keys = voting("eu", nodes=nodes, tiers={"tier": "us-east"}, **SOON)
        keys["regions"] = {
            **REGIONS,
            "us-east": {**REGIONS["us-east"], "proxies": [f"{TIER}:{port}"]},
        }
        routes = [{"service": "www.example.com"}]
        keys["proxy"] = {"workers": 1, "admin": None, "listen": [port], "routes": routes}
        often, rarely = ({"web": {**MONITOR, "port": port, "interval": i}} for i in ("200ms", "1h"))
        path = node_of(tmp_path, "ns1", services, nodes, vantage="eu", **keys, monitors=often)
        node = await stack.enter_async_context(running(path))
        tier = await stack.enter_async_context(gslb("proxy", path, "--region", "us-east"))
        await tier.line(" started ")
        async with asyncio.timeout(PATIENCE_S):
            while "heard" not in await states_of(node, "tier"):
                await asyncio.sleep(AGAIN_S)
        node_of(tmp_path, "ns1", services, nodes, vantage="eu", **keys, monitors=rarely)
        await node.event("reload")
        await tier.line(" reload ")

        one.behave("refuse")
        headers = {"Host": "www.example.com"}
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
            while await node.addresses() != {B}:
                async with session.get(f"http://{TIER}:{port}/", headers=headers) as response:
                    assert response.status == 200

        assert await votes_on(node, A) == {"eu": "down", "tier": "down"}
        _, status = await node.http("GET", "/v1/status")
        (told,) = (each for each in status["vantages"] if each["vantage"] == "tier")
        assert told["load"]["requests_per_s"] >= 0.0
