"""Three regions on a network that breaks: what every node answers meanwhile, and afterwards.

While a test runs every node is asked fifty times a second from outside: each query must be
answered, with somebody, and with nobody that must not be answered then.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from importlib.util import find_spec

import pytest

from gslb.health.report import Composer
from gslb.health.verdict import Record, Verdict
from gslb.model import Subject
from tests.namespaces import PLACES, address, why_not
from tests.regions import EVERYONE, EXPIRY_S, key_of, world

pytestmark = pytest.mark.skipif(why_not is not None, reason=why_not or "namespaces can be made")

no_nats = pytest.mark.skipif(
    shutil.which("nats-server") is None or find_spec("nats") is None,
    reason="nats-server or nats-py is not installed",
)
HTTP, NATS = "http", pytest.param("nats", marks=no_nats)
over_both = pytest.mark.parametrize("regions", [HTTP, NATS], indirect=True, scope="module")
over_http = pytest.mark.parametrize("regions", [HTTP], indirect=True, scope="module")
over_nats = pytest.mark.parametrize("regions", [NATS], indirect=True, scope="module")

NODES = tuple(PLACES)


@pytest.fixture(scope="module")
def regions(request, tmp_path_factory):
    with world(tmp_path_factory.mktemp("regions"), request.param) as made:
        yield made


@pytest.fixture
async def calm(regions):
    await regions.calm()
    return regions


def without(*hosts):
    return EVERYONE - set(map(address, hosts))


async def stands(regions, node, vantage, state):
    """Await that a node holds a vantage to be in this state."""

    def holds(status):
        states = {each["vantage"]: each["state"] for each in status["vantages"]}
        return states[vantage] == state

    await regions.status(node, holds)


@over_both
async def test_a_dead_member_is_answered_by_nobody_and_comes_back_everywhere(calm):
    async with calm.asking() as asked:
        calm.behave("eu-1", "refuse")
        await asked.all_answer(without("eu-1"))
        asked.allowed = without("eu-1")
        calm.behave("us-2", "hang")
        await asked.all_answer(without("eu-1", "us-2"))
        asked.allowed = EVERYONE
        for host in ("eu-1", "us-2"):
            calm.behave(host, "ok")
        await asked.all_answer(EVERYONE)

    hashes = {(await calm.status(node, lambda _: True))["config_hash"] for node in NODES}
    assert len(hashes) == 1


@over_http
async def test_an_isolated_vantage_takes_nobody_out(calm):
    async with calm.asking() as asked:
        calm.cut("us", "us-probe")
        for node in NODES:
            await stands(calm, node, "us", "silent")
        calm.network.restore("us", "us-probe")
        for node in NODES:
            await stands(calm, node, "us", "heard")

    assert asked.seen == {node: {EVERYONE} for node in NODES}


@over_both
async def test_a_region_cut_off_from_all_is_left_by_the_others_and_found_again(calm):
    async with calm.asking() as asked:
        asked.lost("eu")
        calm.cut("eu", "us", "ap", "clients", "nats")
        await asked.all_answer(without("eu-1", "eu-2"), "us", "ap")
        for other in ("us", "ap", "clients", "nats"):
            calm.network.restore("eu", other)
        await asked.all_answer(EVERYONE)
        asked.found()

    # What the others last said of its members may reach it before they have looked again.
    assert all(without("eu-1", "eu-2") <= answer for answer in asked.seen["eu"])


@over_both
async def test_split_in_two_the_larger_half_concludes_and_the_smaller_stays_as_it_was(calm):
    async with calm.asking() as asked:
        calm.cut("us", "eu", "ap", "nats")
        await asked.all_answer(without("us-1", "us-2"), "eu", "ap")
        await calm.status("us", lambda status: status["frozen_since"])
        assert asked.seen["us"] == {EVERYONE}
        for other in ("eu", "ap", "nats"):
            calm.network.restore("us", other)
        await asked.all_answer(EVERYONE)

    assert all(without("us-1", "us-2") <= answer for answer in asked.seen["us"])


@over_http
async def test_two_regions_that_do_not_see_each_other_are_both_served_while_the_third_sees_them(
    calm,
):
    async with calm.asking() as asked:
        calm.cut("us", "ap")
        await asyncio.sleep(2 * EXPIRY_S)  # nothing is to happen, for so long

    assert asked.seen == {node: {EVERYONE} for node in NODES}


@over_nats
async def test_without_the_nats_server_all_stays_as_it_was_and_goes_on_when_it_is_back(calm):
    async with calm.asking() as asked:
        calm.programs["nats"].kill()
        calm.behave("eu-1", "refuse")
        for node in NODES:
            await calm.status(node, lambda status: status["frozen_since"])
        assert asked.seen == {node: {EVERYONE} for node in NODES}

        calm.programs["nats"].start()
        await asked.all_answer(without("eu-1"))


@over_both
async def test_a_node_that_is_killed_and_restarted_answers_as_the_others_do(calm):
    async with calm.asking() as asked:
        asked.lost("eu")
        calm.programs["eu-ns"].kill()
        asked.lost("eu")
        calm.behave("ap-1", "refuse")
        await asked.all_answer(without("ap-1"), "us", "ap")

        calm.programs["eu-ns"].start()
        await asked.all_answer(without("ap-1"))
        asked.found()
        asked.allowed = without("ap-1")
        await stands(calm, "eu", "us", "heard")


@over_http
async def test_a_vantage_that_lies_takes_nobody_out_and_keeps_nobody_in(calm):
    calm.programs["ap-probe"].kill()
    composer = Composer("ap", key_of("ap").encode())
    epoch_ms, sent = int(time.time() * 1000), 0

    async def lie(truth):
        nonlocal sent
        verdicts = {host: Verdict.UP if host in truth else Verdict.DOWN for host in EVERYONE}
        records = {
            Subject(host, (host, 80), "web", "www.example.com"): Record(verdict, "ok", 1.0)
            for host, verdict in verdicts.items()
        }
        sent += 1
        now_s = time.time()
        octets = composer.compose((epoch_ms, sent), now_s, records, False)
        for node in NODES:
            await calm.http(node, "POST", "/v1/reports", host="ap-probe", data=octets)
        await asyncio.sleep(0.2)

    async def voted(node):
        _, listed = await calm.http(node, "GET", "/v1/members")
        votes = [vote for member in listed["members"] for vote in member["votes"]]
        return {vote["verdict"] for vote in votes if vote["vantage"] == "ap"}

    async with calm.asking() as asked:
        until_s = time.monotonic() + 2 * EXPIRY_S
        while time.monotonic() < until_s:
            await lie(frozenset())
        assert [await voted(node) for node in NODES] == [{"down"}] * len(NODES)
        assert asked.seen == {node: {EVERYONE} for node in NODES}

        calm.behave("us-1", "refuse")
        while any(asked.latest[node] != without("us-1") for node in NODES):
            await lie(EVERYONE)
        assert [await voted(node) for node in NODES] == [{"up"}] * len(NODES)


@over_http
async def test_clocks_ten_seconds_apart_change_nothing(calm):
    try:
        async with calm.asking() as asked:
            asked.lost("eu")
            calm.shifted("eu-ns", -10.0)
            asked.lost("eu")
            calm.shifted("us-probe", 10.0)
            await asked.all_answer(EVERYONE)
            asked.found()
            for node in NODES:
                for vantage in NODES:
                    await stands(calm, node, vantage, "heard")
            calm.behave("us-1", "refuse")
            await asked.all_answer(without("us-1"))
            calm.behave("us-1", "ok")
            await asked.all_answer(EVERYONE)
    finally:
        for host in ("eu-ns", "us-probe"):
            calm.shifted(host, 0.0)


@over_both
async def test_a_word_said_at_one_node_is_known_to_all_and_outlives_that_node(calm):
    drained = address("us-1")
    admin = ("--admin", f"http://{address('eu-ns')}:8053")
    async with calm.asking() as asked:
        status, said = await calm.gslb("drain", drained, "--reason", "kernel update", *admin)
        assert status == 0, said
        await asked.all_answer(without("us-1"))

        asked.lost("eu", "us")
        for node in ("eu", "us"):
            calm.programs[f"{node}-ns"].kill()
        asked.lost("eu", "us")
        for node in ("eu", "us"):
            calm.programs[f"{node}-ns"].start()
        await asked.all_answer(without("us-1"))
        asked.found()
        asked.allowed = without("us-1")
        _, listed = await calm.http("ap", "GET", "/v1/members")
        words = {each["address"]: each["forced"] for each in listed["members"]}
        assert words[drained]["reason"] == "kernel update"

        asked.allowed = EVERYONE
        released, said = await calm.gslb(
            "release", drained, "--admin", f"http://{address('ap-ns')}:8053"
        )
        assert released == 0, said
        await asked.all_answer(EVERYONE)


@over_http
async def test_a_drain_that_waits_returns_when_nobody_can_hold_an_answer_any_more(calm):
    admin = ("--admin", f"http://{address('us-ns')}:8053")
    ttl_s = 2.0
    async with calm.asking() as asked:
        drain = asyncio.create_task(calm.gslb("drain", address("ap-2"), "--wait", *admin))
        await asked.all_answer(without("ap-2"))
        last_s = time.monotonic()
        asked.allowed = without("ap-2")
        status, said = await drain
        assert status == 0, said
        assert time.monotonic() - last_s >= ttl_s - 0.5
        asked.allowed = EVERYONE
        await calm.gslb("release", address("ap-2"), *admin)
        await asked.all_answer(EVERYONE)
