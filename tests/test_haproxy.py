"""A real HAProxy while members come and go, configurations change, and it dies itself."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gslb.daemons.haproxy import Haproxy
from gslb.daemons.haproxyapi import RuntimeApi
from gslb.errors import EngineError
from gslb.proxy.haproxy import PROXIES, Wanted
from gslb.proxy.haproxydiff import SHOW, seen_in
from gslb.tier import (
    Across,
    Affinity,
    Balance,
    Certificate,
    Ejection,
    Listener,
    Respond,
    Route,
    Tier,
    Timeouts,
    Tls,
    Upstream,
)
from tests.haproxies import PROXY, WWW, running, to_www, told
from tests.programs import until
from tests.running import AGAIN_S, PATIENCE_S
from tests.servers import Authority

EVEN = to_www(balance=Balance("round_robin"))
LOAD = 8  # clients that ask one request after another


@asynccontextmanager
async def load(tier):
    """Ask without pause while the block runs; yield what was answered, whatever it was."""
    answered: list[int | str] = []
    ends = asyncio.Event()

    async def ask():
        while not ends.is_set():
            try:
                answered.append((await tier.get()).status)
            except OSError as error:
                answered.append(repr(error))

    tasks = [asyncio.create_task(ask()) for _ in range(LOAD)]
    yield answered
    ends.set()
    await asyncio.gather(*tasks)


async def more(answered, count=100):
    """Wait until so many requests more were answered."""
    enough = len(answered) + count
    await until(lambda: len(answered) >= enough, lambda: f"{len(answered)} answers")


async def test_members_are_drained_and_replaced_under_load_without_a_failed_request():
    async with running(Tier(routes=(EVEN,))) as tier, load(tier) as answered:
        await more(answered)
        for number in (1, 2, 3):
            await tier.add(f"us{number + 3}")
            await tier.apply(**{f"us{number}": "drain"})
            await more(answered)
            before = len(tier.origins[f"us{number}"].requests)
            await more(answered)
            assert len(tier.origins[f"us{number}"].requests) == before
            await tier.apply(**{f"us{number}": "gone"})
            await tier.origins[f"us{number}"].kill()
            await more(answered)
        assert set(answered) == {200}
        assert all(tier.origins[f"us{number}"].requests for number in (4, 5, 6))


async def test_a_member_that_is_killed_costs_no_idempotent_request():
    async with running(Tier(routes=(EVEN,))) as tier, load(tier) as answered:
        await more(answered)
        await tier.origins["us2"].kill()
        await more(answered, 300)
        await tier.apply(us2="maint")
        await more(answered)
        assert set(answered) == {200}


async def test_from_three_members_to_thirty_and_back():
    quick = {WWW: Upstream(service=WWW, idle_s=0.2)}  # idle connections hold a server for a while
    async with running(Tier(routes=(EVEN,), upstreams=quick)) as tier, load(tier) as answered:
        await more(answered)
        for number in range(4, 31):
            await tier.add(f"us{number}")
        await more(answered, 400)
        assert all(origin.requests for origin in tier.origins.values())
        await tier.apply(**{f"us{number}": "gone" for number in range(4, 31)})
        await more(answered)
        assert set(answered) == {200}

        assert len((await tier.haproxy.figures()).servers) == 3
        api = RuntimeApi(tier.folder / "admin.sock")
        async with asyncio.timeout(PATIENCE_S):
            while len(seen_in((await api.ask([SHOW]))[0])) > 3:
                await asyncio.sleep(AGAIN_S)


async def test_a_reload_under_load_drops_nothing_and_keeps_states():
    async with running(Tier(routes=(EVEN,))) as tier, load(tier) as answered:
        await more(answered)
        await tier.apply(us1="maint", us2="drain")
        pid = (await tier.haproxy.figures()).pid
        extra = Route(name="fixed", action=Respond(200, b"fixed"), matches=())
        for routes in ((EVEN, extra), (replace(EVEN, name="other"),)):
            plan = replace(tier.plan, tier=replace(tier.plan.tier, routes=routes))
            await tier.haproxy.reload(plan)
            await more(answered)
        figures = await tier.haproxy.figures()
        assert figures.pid != pid
        states = {each.name: each.state for each in figures.servers}
        assert (states["us1"], states["us2"], states["us3"]) == ("MAINT", "DRAIN", "UP")
        assert set(answered) == {200}


async def test_a_request_under_way_outlives_a_reload():
    async with running(Tier(routes=(EVEN,)), members=("us1",)) as tier:
        origin = tier.origins["us1"]
        origin.answers.clear()
        slow = asyncio.create_task(tier.get("/slow"))
        await until(lambda: origin.requests, lambda: "nothing came")
        await tier.haproxy.reload(tier.plan)
        origin.answers.set()
        assert (await slow).status == 200


async def teaches(api):
    """Wait until a new process would teach the next one: at first it waits to be taught itself."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (peers,) = await api.ask(["show peers"])
            flags = re.search(r"disabled=0 flags=0x([0-9a-f]+)", peers)
            if flags is not None and int(flags[1], 16) & 3 == 3:
                return
            await asyncio.sleep(AGAIN_S)


async def test_who_is_kept_by_a_table_is_kept_over_a_reload():
    kept = replace(EVEN, affinity=Affinity(by="header", name="X-User"))
    async with running(Tier(routes=(kept,))) as tier:
        users = [{"X-User": f"user {number}"} for number in range(12)]
        before = [(await tier.get(headers=user)).member for user in users]
        assert set(before) == {"us1", "us2", "us3"}
        await teaches(RuntimeApi(tier.folder / "admin.sock"))
        await tier.haproxy.reload(tier.plan)
        assert [(await tier.get(headers=user)).member for user in users] == before


async def test_a_configuration_that_is_not_taken_changes_nothing(tmp_path):
    async with running(Tier(routes=(EVEN,)), members=("us1",)) as tier:
        junk = tmp_path / "junk.pem"
        junk.write_text("junk")
        for pem in (junk, tmp_path / "missing.pem"):
            tls = Tls(certificates=(Certificate(str(pem), str(pem)),))
            listeners = (replace(tier.plan.tier.listeners[0], tls=tls),)
            plan = replace(tier.plan, tier=replace(tier.plan.tier, listeners=listeners))
            with pytest.raises(EngineError):
                await tier.haproxy.reload(plan)
            assert (await tier.get()).status == 200
        await tier.haproxy.reload(tier.plan)
        assert (await tier.get()).status == 200


async def test_a_certificate_that_changed_is_served_after_a_reload(tmp_path):
    authority = Authority(tmp_path)
    pem = authority.certificate("a.example.com")
    tls = Tls(certificates=(Certificate(str(pem), str(pem)),))
    async with running(Tier(routes=(EVEN,)), members=("us1",)) as tier:
        listeners = (replace(tier.plan.tier.listeners[0], tls=tls),)
        plan = replace(tier.plan, tier=replace(tier.plan.tier, listeners=listeners))
        for name in ("a.example.com", "b.example.com"):
            pem.write_bytes(authority.certificate(name).read_bytes())
            await tier.haproxy.reload(plan)
            context = ssl.create_default_context(cafile=authority.ca_file)
            _, writer = await asyncio.open_connection(
                "127.0.0.1", tier.port, ssl=context, server_hostname=name
            )
            writer.close()


async def test_what_others_tell_haproxy_is_put_right():
    async with running(Tier(routes=(EVEN,))) as tier:
        api = RuntimeApi(tier.folder / "admin.sock")
        at = f"p0.us.members/{tier.states['us1'].server}"
        await api.ask([f"set server {at} state maint", f"set server {at} weight 7"])

        async def state():
            servers = (await tier.haproxy.figures()).servers
            return next((each.state, each.weight) for each in servers if each.name == "us1")

        async with asyncio.timeout(PATIENCE_S):
            while await state() != ("UP", 1):
                await asyncio.sleep(AGAIN_S)


async def test_a_haproxy_that_died_is_started_again_as_it_was():
    async with running(Tier(routes=(EVEN,))) as tier:
        await tier.add("us4")
        await tier.apply(us1="maint")
        old = tier.haproxy.pid
        worker = (await tier.haproxy.figures()).pid
        os.kill(worker, signal.SIGKILL)
        await until(lambda: tier.haproxy.pid != old, lambda: "it was not started again")
        assert tier.said

        async def states():
            try:
                return {each.name: each.state for each in (await tier.haproxy.figures()).servers}
            except EngineError:
                return {}

        async with asyncio.timeout(PATIENCE_S):
            while (await states()).get("us1") != "MAINT" or (await states()).get("us4") != "UP":
                await asyncio.sleep(AGAIN_S)
        assert (await tier.get()).status == 200


async def test_one_that_a_killed_parent_left_behind_is_ended():
    async with running(Tier(routes=(EVEN,)), members=("us1",)) as tier:
        left = tier.haproxy
        left._tasks[0].cancel()
        second = Haproxy(tier.folder, tier.plan, tier.wanted(), tier.said.append)
        await second.start()
        try:
            process = left._process
            assert process is not None
            await asyncio.wait_for(process.wait(), 20)
            assert (await tier.get()).member == "us1"
        finally:
            await second.stop(1.0)


async def test_a_region_without_members_is_served_by_the_next():
    across = Across(to=("members",))
    members = ("us1", "us2", "eu1", "eu2")
    async with running(Tier(routes=(EVEN,), across=across), members) as tier:
        assert {(await tier.get()).member for _ in range(4)} == {"us1", "us2"}
        await tier.apply(us1="maint", us2="maint")
        got = [await tier.get() for _ in range(4)]
        assert {each.member for each in got} == {"eu1", "eu2"}
        assert all(each.fields["x-gslb-hops"] == ["us"] for each in got)
        await tier.apply(us1="ready")
        assert (await tier.get()).member == "us1"


async def test_members_that_are_killed_send_clients_to_the_next_region_by_themselves():
    across = Across(to=("members",))
    ejection = Ejection(errors=None, connect_errors=1, base_s=0.2)
    upstreams = {WWW: Upstream(service=WWW, ejection=ejection)}
    tier = Tier(routes=(EVEN,), across=across, upstreams=upstreams)
    async with running(tier, ("us1", "us2", "eu1")) as run:
        for name in ("us1", "us2"):
            await run.origins[name].kill()
        async with asyncio.timeout(PATIENCE_S):
            while (await run.get()).member != "eu1":
                pass
            await run.origins["us1"].start()
            while (await run.get()).member != "us1":
                pass


async def test_the_next_region_is_reached_through_its_proxies_and_loops_end():
    rewritten = replace(EVEN, name="www")
    async with running(Tier(routes=(rewritten,)), members=("us1",)) as us:
        eu_tier = replace(us.plan.tier, across=Across(port=us.port))
        us_tier = replace(us.plan.tier, across=Across(port=us.port))
        proxies = [Wanted(name, at, us.port, name) for name, at in PROXY.items()]
        nobody = {WWW: [], PROXIES: proxies}
        await us.haproxy.reload(replace(us.plan, tier=us_tier))
        async with beside(us, replace(us.plan, tier=eu_tier, region="eu", order=["us"])) as eu:
            here = {WWW: list(us.states.values()), PROXIES: proxies}
            await us.haproxy.apply(here)
            await eu.apply(nobody)
            got = await told(us.client, f"http://{PROXY['eu']}:{us.port}/x")
            assert got.member == "us1"
            assert got.fields["x-gslb-hops"] == ["eu"]
            assert len(got.fields["x-forwarded-for"]) == 2
            await us.haproxy.apply(nobody)
            assert (await us.get("/x")).status == 503


@asynccontextmanager
async def beside(run, plan):
    """Run another region's HAProxy too."""
    other = Haproxy(run.folder / "eu", plan, {}, run.said.append)
    await other.start()
    try:
        yield other
    finally:
        await other.stop(1.0)


async def test_a_reserve_serves_while_no_other_does():
    async with running(Tier(routes=(EVEN,)), members=("us1", "us2")) as tier:
        tier.states["us2"] = replace(tier.states["us2"], backup=True)
        await tier.apply(us1="ready")
        assert {(await tier.get()).member for _ in range(4)} == {"us1"}
        await tier.apply(us1="maint")
        assert (await tier.get()).member == "us2"


async def test_requests_wait_for_a_member_that_is_full_and_not_for_ever():
    upstreams = {WWW: Upstream(service=WWW, connections_max=1, queue_max=1, queue_s=0.3)}
    tier = Tier(routes=(EVEN,), upstreams=upstreams, across=Across(to=()))
    async with running(tier, members=("us1",)) as run:
        run.origins["us1"].answers.clear()
        first = asyncio.create_task(run.get("/1"))
        await until(lambda: run.origins["us1"].requests, lambda: "nothing came")
        got = await run.get("/2")
        assert got.status == 503
        assert got.headers["Retry-After"] == "1"
        run.origins["us1"].answers.set()
        assert (await first).status == 200


async def test_a_member_that_says_nothing_is_given_up_and_only_safe_requests_go_elsewhere():
    timeouts = Timeouts(response_s=0.3, idle_s=0.3)
    upstreams = {WWW: Upstream(service=WWW, ejection=None)}
    tier = Tier(routes=(replace(EVEN, timeouts=timeouts),), upstreams=upstreams)
    async with running(tier, members=("us1", "us2")) as run:
        run.origins["us1"].answers.clear()
        assert [(await run.get()).member for _ in range(3)] == ["us2"] * 3
        statuses = {(await run.get(method="POST", data=b"x")).status for _ in range(4)}
        assert statuses == {200, 504}
        run.origins["us1"].answers.set()


async def test_figures_name_members():
    async with running(Tier(routes=(EVEN,)), members=("us1", "eu1")) as tier:
        for _ in range(3):
            await tier.get()
        figures = await tier.haproxy.figures()
        (own,) = [each for each in figures.servers if each.name == "us1"]
        assert (own.service, own.region, own.kind) == (WWW, "us", "members")
        assert (own.requests, own.state, own.weight, own.active) == (3, "UP", 1, 0)
        assert figures.connections >= 1
        assert figures.requests >= 3


async def test_it_says_why_it_cannot_start(tmp_path):
    async with running(Tier(routes=(EVEN,)), members=()) as tier:
        plan = tier.plan
    long = tmp_path / ("x" * 90)
    with pytest.raises(EngineError, match="too long"):
        await Haproxy(long, plan, {}, print).start()
    missing = replace(plan, tier=replace(plan.tier, haproxy="/nowhere/haproxy"))
    with pytest.raises(EngineError, match="cannot be run"):
        await Haproxy(tier.folder, missing, {}, print).start()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    busy = replace(plan, tier=replace(plan.tier, listeners=(Listener(port=port),)))
    async with taken:
        with pytest.raises(EngineError):
            await Haproxy(tier.folder, busy, {}, print).start()


async def test_a_runtime_api_that_nobody_serves_is_an_error(tmp_path):
    with pytest.raises(EngineError, match="cannot be asked"):
        await RuntimeApi(tmp_path / "none.sock").ask(["show info"])
