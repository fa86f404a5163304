"""One node made from files, with real HTTP members on loopback, asked over real DNS."""

from __future__ import annotations

import asyncio
import signal
import socket

import dns.message
import dns.rcode
import pytest

from gslb.health.belief import Forced, Word
from tests.running import (
    LONDON,
    MONITOR,
    NEW_YORK,
    PATIENCE_S,
    REGIONS,
    SINGAPORE,
    Running,
    addresses,
    ede,
    framed,
    gslb,
    members,
    pool,
    read_frame,
    running,
    scope,
    service,
    started,
    strings,
    ttl_s,
    written,
)
from tests.servers import Member


@pytest.fixture(autouse=True, scope="module")
def _each_engine(engine: str) -> None: ...


EAST = ("127.1.0.1", "127.1.0.2")
WEST = ("127.2.0.1", "127.2.0.2")
HANGING = {**MONITOR, "timeout": "300ms"}


def one_region(*east: Member, **keys: object) -> dict[str, object]:
    return {"www": service(pools={"us-east": pool(*east)}, **keys)}


def two_regions(east: list[Member], west: list[Member], **keys: object) -> dict[str, object]:
    pools = {"us-east": pool(*east), "eu-west": pool(*west)}
    return {"www": service(pools=pools, route="nearest", **keys)}


# What members do, and what is answered then


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("refuse", "refused"),
        ("hang", "timeout"),
        ("500", "status"),
        ("slow", "timeout"),
        ("reset", "reset"),
    ],
)
async def test_a_failing_member_leaves_the_answers_and_a_recovered_one_returns(
    tmp_path, behaviour, reason
):
    async with members(*EAST) as (one, two):
        path = written(tmp_path, one_region(one, two), monitors={"web": HANGING})
        async with running(path) as node:
            both = await node.addresses()
            one.behave(behaviour)
            await node.event("verdict", member=one.address, verdict="down", reason=reason)
            await node.becomes({two.address})
            one.behave("ok")
            await node.event("verdict", member=one.address, verdict="up", reason="ok")
            await node.becomes(both)

    assert both == {one.address, two.address}


async def test_a_dead_region_sends_its_clients_to_the_next_and_leaves_the_others_alone(tmp_path):
    async with members(*EAST, *WEST) as (*east, three, four):
        west = [three, four]
        async with running(written(tmp_path, two_regions(east, west))) as node:
            before = {net: await node.addresses(subnet=net) for net in (NEW_YORK, LONDON)}
            for each in west:
                each.behave("refuse")
            await node.verdict("down", *west)
            response = await node.becomes(set(EAST), subnet=LONDON)
            new_york = await node.addresses(subnet=NEW_YORK)

    assert before == {NEW_YORK: set(EAST), LONDON: set(WEST)}
    assert new_york == set(EAST)
    assert ede(response) == []
    assert 0 < scope(response) <= 26


async def test_the_ttl_is_lowered_while_a_verdict_may_be_about_to_change(tmp_path):
    patient = {**MONITOR, "fall": 50, "recheck": "1s"}
    async with members(*EAST) as (one, two):
        services = one_region(one, two, ttl="60s")
        path = written(tmp_path, services, monitors={"web": patient})
        async with running(path) as node:
            quiet = await node.ask()
            one.behave("refuse")
            doubted = await node.until(lambda got: ttl_s(got) < 60)
            one.behave("ok")
            await node.until(lambda got: ttl_s(got) == 60)

    assert ttl_s(quiet) == 60
    # 49 results are missing, a second apart.
    assert 3 <= ttl_s(doubted) <= 49
    assert addresses(doubted) == set(EAST)


async def test_when_nobody_lives_everybody_is_answered_and_it_is_said(tmp_path):
    async with (
        members(*EAST) as east,
        running(written(tmp_path, one_region(*east))) as node,
    ):
        for each in east:
            each.behave("refuse")
        await node.verdict("down", *east)
        response = await node.until(lambda got: ede(got) != [])

    assert addresses(response) == set(EAST)
    assert ede(response) == [0]
    assert ttl_s(response) == 3


async def test_the_proxies_of_a_failing_region_serve_before_the_next_region_does(tmp_path):
    async with members(*EAST, "127.2.0.1", "127.2.0.100") as (*east, west, proxy):
        proxies = [{"address": proxy.address, "port": proxy.port, "monitor": "port"}]
        regions = {**REGIONS, "eu-west": {**REGIONS["eu-west"], "proxies": proxies}}
        monitors = {"web": MONITOR, "port": {**MONITOR, "type": "tcp", "port": proxy.port}}
        path = written(tmp_path, two_regions(east, [west]), regions=regions, monitors=monitors)
        async with running(path) as node:
            await node.becomes({west.address}, subnet=LONDON)
            west.behave("500")
            await node.verdict("down", west)
            response = await node.becomes({proxy.address}, subnet=LONDON)
            proxy.behave("refuse")
            await node.verdict("down", proxy)
            await node.becomes(set(EAST), subnet=LONDON)

    assert ede(response) == [29]
    assert ttl_s(response) == 3


async def test_a_service_may_prefer_no_data_to_the_dead(tmp_path):
    async with (
        members("127.1.0.1") as (one,),
        running(written(tmp_path, one_region(one, all_down="nodata"))) as node,
    ):
        one.behave("refuse")
        await node.verdict("down", one)
        response = await node.becomes(set())

    assert response.rcode() == dns.rcode.NOERROR
    (soa,) = response.authority
    assert soa.ttl == 3


async def test_a_service_may_prefer_servfail_to_the_dead(tmp_path):
    async with (
        members("127.1.0.1") as (one,),
        running(written(tmp_path, one_region(one, all_down="servfail"))) as node,
    ):
        one.behave("refuse")
        await node.verdict("down", one)
        response = await node.becomes(set())

    assert response.rcode() == dns.rcode.SERVFAIL
    assert ede(response) == [0]


async def test_two_services_that_share_a_member_share_its_probe(tmp_path):
    async with members(*EAST) as (one, two):
        services = {
            "www": service(pools={"us-east": pool(one)}, all_down="nodata"),
            "api": service(pools={"us-east": pool(one, two)}),
        }
        monitors = {"web": {**MONITOR, "host": "health.example.com"}}
        async with running(written(tmp_path, services, monitors=monitors)) as node:
            probed = len(node.node.voting.prober.records)
            one.behave("500")
            await node.verdict("down", one)
            await node.becomes(set(), "www.example.com")
            await node.becomes({two.address}, "api.example.com")
            again = node.heard("verdict")
    hosts = {b"health.example.com" in request for request in one.requests}

    assert probed == 2
    assert [event.fields["member"] for event in again if event.fields["verdict"] == "down"] == []
    assert hosts == {True}


async def test_a_risen_member_is_held_for_a_while(tmp_path):
    async with members(*EAST) as (one, two):
        services = one_region(one, two, failback={"hold": "1h"})
        async with running(written(tmp_path, services)) as node:
            one.behave("refuse")
            await node.verdict("down", one)
            await node.becomes({two.address})
            one.behave("ok")
            await node.verdict("up", one)
            held = await node.addresses()
            two.behave("refuse")
            await node.verdict("down", two)
            freed = await node.becomes({one.address})

    assert held == {two.address}
    # Nobody else lives: holding it back would help nobody.
    assert ede(freed) == []


async def test_a_risen_member_gets_its_share_little_by_little(tmp_path):
    async with members(*EAST) as (one, two):
        services = one_region(one, two, failback={"ramp": "2s"})
        async with running(written(tmp_path, services)) as node:
            one.behave("refuse")
            await node.verdict("down", one)
            await node.becomes({two.address})
            one.behave("ok")
            await node.verdict("up", one)
            seen = [await _share(node, one)]
            async with asyncio.timeout(60):
                while seen[-1] < 0.5:
                    seen.append(await _share(node, one))

    assert seen == sorted(seen)
    assert seen[0] < 0.5
    assert seen[-1] == 0.5


async def _share(node: Running, member: Member) -> float:
    status, told = await node.http("GET", "/v1/explain", name="www.example.com", client="192.0.2.1")
    assert status == 200
    return sum(each["share"] for each in told["answers"] if each["address"] == member.address)


# Operators' words


async def test_an_operators_word_moves_answers_and_probes_go_on_under_it(tmp_path):
    async with (
        members(*EAST) as (one, two),
        running(written(tmp_path, one_region(one, two))) as node,
    ):
        controller = node.node.controller
        controller.force(one.address, Forced(Word.DRAIN))
        drained = await node.addresses()
        one.behave("refuse")
        await node.verdict("down", one)
        controller.force(one.address, Forced(Word.UP))
        forced_up = await node.addresses()
        controller.release(one.address)
        released = await node.addresses()
        controller.force(two.address, Forced(Word.DOWN))
        forced_down = await node.ask()

    assert drained == {two.address}
    assert forced_up == set(EAST)
    assert released == {two.address}
    assert ede(forced_down) == [0]
    # Serving all the same does not go as far as serving whom an operator took out.
    assert addresses(forced_down) == {one.address}


async def test_words_said_over_http_outlive_a_restart(tmp_path):
    async with members(*EAST) as (one, two):
        path = written(tmp_path, one_region(one, two))
        word = {"word": "drain", "for": "1h", "reason": "kernel update"}
        async with running(path) as node:
            said, shape = await node.http("PUT", f"/v1/members/{one.address}/forced", word)
            drained = await node.addresses()
        async with started(path) as node:
            after = await node.addresses()
            await node.run()
            await node.event("settled")
            settled = await node.addresses()
            released, _ = await node.http("DELETE", f"/v1/members/{one.address}/forced")
            await node.becomes(set(EAST))
        async with started(path) as node:
            released_after = await node.addresses()

    assert (said, shape["word"], shape["reason"]) == (200, "drain", "kernel update")
    assert drained == after == settled == {two.address}
    assert released == 204
    assert released_after == set(EAST)


async def test_a_word_ends_when_its_time_is_over(tmp_path):
    async with (
        members(*EAST) as (one, two),
        running(written(tmp_path, one_region(one, two))) as node,
    ):
        await node.http("PUT", f"/v1/members/{one.address}/forced", {"word": "drain", "for": "1s"})
        drained = await node.addresses()
        await node.event("expired", member=one.address)
        await node.becomes(set(EAST))

    assert drained == {two.address}


# Starting, stopping, starting again


async def test_a_fresh_node_answers_by_place_until_it_has_looked_at_everyone(tmp_path):
    async with members(*EAST, *WEST) as (*east, three, four):
        three.behave("refuse")
        path = written(tmp_path, two_regions(east, [three, four]))
        async with started(path) as node:
            fresh = await node.ask(subnet=LONDON)
            ready, _ = await node.http("GET", "/readyz")
            await node.run()
            await node.event("settled")
            await node.becomes({four.address}, subnet=LONDON)
            ready_then, _ = await node.http("GET", "/readyz")

    assert addresses(fresh) == set(WEST)
    assert ede(fresh) == []
    assert (ready, ready_then) == (503, 200)


async def test_a_restart_answers_at_once_from_what_was_known_and_settles_later(tmp_path):
    async with members(*EAST, *WEST) as (*east, three, four):
        path = written(tmp_path, two_regions(east, [three, four]))
        three.behave("refuse")
        async with running(path) as node:
            await node.becomes({four.address}, subnet=LONDON)
            generation = node.node.controller.snapshot.generation
        for each in (*east, four):
            each.behave("refuse")

        async with started(path) as node:
            restored = await node.ask(subnet=LONDON)
            later = node.node.controller.snapshot.generation
            await node.run()
            settled = await node.event("settled")
            await node.verdict("down", *east, four)
            nobody = await node.until(lambda got: ede(got) == [0], subnet=LONDON)

    assert addresses(restored) == {four.address}
    assert ede(restored) == [3]
    assert ttl_s(restored) == 3
    assert later > generation
    assert settled.fields["restored"]
    # The nearest region's members, as if they were up.
    assert addresses(nobody) == set(WEST)


async def test_a_restart_over_a_state_that_is_torn_starts_afresh(tmp_path, caplog):
    async with members(*EAST) as east:
        path = written(tmp_path, one_region(*east))
        async with running(path):
            pass
        state = tmp_path / "var" / "state.json"
        state.write_bytes(state.read_bytes()[:-40])
        async with started(path) as node:
            response = await node.ask()

    assert addresses(response) == set(EAST)
    assert ede(response) == []
    assert "starting without it" in caplog.text
    assert (tmp_path / "var" / "state.unreadable").exists()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"version": 2, "generation": 1, "records": [], "forced": []}',
        b'{"version": 1, "generation": -1, "records": [], "forced": []}',
        b'{"version": 1, "generation": 1e400, "records": [], "forced": []}',
        b'{"version": 1, "generation": 99999999999999999999, "records": [], "forced": []}',
        b'{"version": 1, "generation": 1, "records": [{"address": 1}], "forced": []}',
        b'{"version": 1, "generation": 1, "records": [], "forced": [{"address": "127.1.0.1",'
        b'"service": "", "word": "drain", "until_s": 1e300, "reason": "", "by": ""}]}',
        b'{"version": 1, "generation": 1, "records": [], "forced": [{"address": "127.1.0.1",'
        b'"service": "", "word": "drain", "until_s": NaN, "reason": "", "by": ""}]}',
    ],
    ids=lambda octets: octets[:60].decode("latin-1"),
)
async def test_a_state_that_cannot_be_meant_is_set_aside(tmp_path, octets):
    path = written(tmp_path, {"www": service(pools={"us-east": ["127.1.0.1"]}, monitor=None)})
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "state.json").write_bytes(octets)
    async with running(path) as node:
        answered = await node.addresses()
        status, _ = await node.http("GET", "/v1/members")

    assert answered == {"127.1.0.1"}
    assert status == 200
    assert (tmp_path / "var" / "state.unreadable").read_bytes() == octets


async def test_a_disk_that_refuses_costs_nothing_but_the_memory_and_is_tried_again(tmp_path):
    path = written(
        tmp_path, {"www": service(pools={"us-east": ["127.1.0.1", "127.1.0.2"]}, monitor=None)}
    )
    in_the_way = tmp_path / "var"
    in_the_way.write_text("not a folder")
    async with running(path) as node:
        await node.http("PUT", "/v1/members/127.1.0.1/forced", {"word": "drain"})
        failed = await node.event("state_failed")
        answered = await node.addresses()
        in_the_way.unlink()
        await node.event("state_written")
        again = node.heard("state_failed")
    async with started(path) as node:
        after = await node.addresses()

    assert failed.fields["folder"] == str(in_the_way)
    assert answered == after == {"127.1.0.2"}
    assert again == []


async def test_a_graceful_stop_answers_what_was_asked(tmp_path):
    async with (
        members("127.1.0.1") as (one,),
        running(written(tmp_path, one_region(one))) as node,
    ):
        loop = asyncio.get_running_loop()
        queries = [dns.message.make_query(f"n{n}.example.com", "A") for n in range(100)]
        wires = [query.to_wire() for query in queries]
        reader, writer = await asyncio.open_connection(node.dns.host, node.dns.port)
        writer.write(framed(wires[0]))
        answered = [await read_frame(reader)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((node.dns.host, node.dns.port))
            for wire in wires:
                sock.send(wire)
            writer.write(b"".join(map(framed, wires[1:])))
            await node.stop()
            async with asyncio.timeout(PATIENCE_S):
                got = [await loop.sock_recv(sock, 65535) for _ in wires]
        answered += [await read_frame(reader) for _ in wires[1:]]
        ended = await reader.read()
        writer.close()

    assert [wire[:2] for wire in got] == [wire[:2] for wire in wires]
    assert [wire[:2] for wire in answered] == [wire[:2] for wire in wires]
    assert ended == b""


async def test_a_connection_that_idles_does_not_hold_up_a_stop(tmp_path):
    async with (
        members("127.1.0.1") as (one,),
        running(written(tmp_path, one_region(one))) as node,
    ):
        reader, writer = await asyncio.open_connection(node.dns.host, node.dns.port)
        writer.write(framed(dns.message.make_query("www.example.com", "A").to_wire()))
        await read_frame(reader)
        # An hour would outlast our patience.
        async with asyncio.timeout(PATIENCE_S):
            await node.node.nameserver.close(drain_s=3600.0)
        ended = await reader.read()
        writer.close()

    assert ended == b""


# The safety catch


async def test_a_withdrawal_that_is_too_large_is_held_until_an_operator_lets_it_go(tmp_path):
    async with members(*EAST, *WEST) as (*east, three, four):
        path = written(
            tmp_path,
            two_regions(east, [three, four]),
            max_withdrawal={"share": "50%", "for": "1h"},
        )
        async with running(path) as node:
            for each in (*east, three):
                each.behave("refuse")
            await node.verdict("down", *east, three)
            # One by one they were found dead; the one that made it too much is held.
            held = await node.event("withdrawal_held")
            still = await node.addresses(subnet=NEW_YORK)
            _, status = await node.http("GET", "/v1/status")
            published, _ = await node.http("POST", "/v1/publish")
            await node.becomes({four.address}, subnet=NEW_YORK)
            again, _ = await node.http("POST", "/v1/publish")

    assert held.fields["members"] == status["held"]["members"] >= 1
    assert still - {four.address}
    assert (published, again) == (204, 409)


async def test_a_withdrawal_that_was_held_goes_when_its_time_is_over(tmp_path):
    async with members(*EAST) as east:
        path = written(
            tmp_path,
            one_region(*east, all_down="nodata"),
            max_withdrawal={"share": "50%", "for": "1s"},
        )
        async with running(path) as node:
            for each in east:
                each.behave("refuse")
            await node.event("withdrawal_held")
            await node.becomes(set())


# What a node says of itself, and why


async def test_why_is_told_over_dns_to_those_who_may_ask(tmp_path):
    async with members(*EAST, *WEST) as (*east, three, four):
        path = written(tmp_path, two_regions(east, [three, four]))
        async with running(path) as node:
            response = await node.ask(rdtype="TXT", rdclass="CH", subnet=LONDON)

    said = "\n".join(strings(response))
    assert "www.example.com A for 198.51.100.0/26: rung 1" in said
    assert "eu-west > us-east" in said
    assert "answer 127.2.0.1 eu-west 50.0%" in said


async def test_why_is_not_told_to_others(tmp_path):
    async with members("127.1.0.1") as (one,):
        path = written(tmp_path, one_region(one), explain_to=["192.0.2.0/24"])
        async with running(path) as node:
            response = await node.ask(rdtype="TXT", rdclass="CH")
            pretended = await node.ask(rdtype="TXT", rdclass="CH", subnet="192.0.2.0/24")

    assert response.rcode() == pretended.rcode() == dns.rcode.REFUSED


async def test_a_node_says_who_it_is(tmp_path):
    async with members("127.1.0.1") as (one,), running(written(tmp_path, one_region(one))) as node:
        version = strings(await node.ask("version.bind", "TXT", rdclass="CH"))
        server = strings(await node.ask("id.server", "TXT", rdclass="CH"))
        response = await node.ask(nsid=True)

    assert version[0].startswith("gslb ")
    assert server == ["ns1.example.net"]
    assert [each.to_generic().data for each in response.options] == [b"ns1.example.net"]


async def test_clients_are_told_apart_by_their_subnet_and_told_how_far_it_holds(tmp_path):
    async with members("127.1.0.1", "127.2.0.1", "127.3.0.1") as (east, west, south):
        pools = {"us-east": pool(east), "eu-west": pool(west), "ap-south": pool(south)}
        services = {"www": service(pools=pools)}
        async with running(written(tmp_path, services)) as node:
            responses = {net: await node.ask(subnet=net) for net in (NEW_YORK, LONDON, SINGAPORE)}
            static = await node.ask("mail.example.com", subnet=LONDON)

    got = {net: addresses(response) for net, response in responses.items()}
    assert got == {NEW_YORK: {"127.1.0.1"}, LONDON: {"127.2.0.1"}, SINGAPORE: {"127.3.0.1"}}
    scopes = {net: scope(response) for net, response in responses.items()}
    assert scopes == {NEW_YORK: 24, LONDON: 25, SINGAPORE: 25}
    assert scope(static) == 0


# The program


async def test_the_program_serves_until_it_is_told_to_stop(tmp_path):
    async with (
        members(*EAST) as (one, two),
        gslb("run", written(tmp_path, one_region(one, two))) as program,
    ):
        await program.is_serving()
        await program.line(" settled ")
        both = await program.addresses()
        one.behave("refuse")
        line = await program.line(" verdict ", f"member={one.address}", "verdict=down")
        await program.becomes({two.address})
        program.signal(signal.SIGTERM)
        status = await program.ended()

    assert both == set(EAST)
    assert "reason=refused" in line
    assert status == 0
    assert " stopped" in program.lines[-2]


async def test_the_program_says_what_changes_and_nothing_of_queries(tmp_path):
    async with (
        members("127.1.0.1") as (one,),
        gslb("run", written(tmp_path, one_region(one))) as program,
    ):
        await program.is_serving()
        await program.line(" settled ")
        before = len(program.lines)
        for number in range(50):
            await program.ask(f"n{number}.example.com", tcp=number % 10 == 0)
            await program.ask("elsewhere.example.net")
        asked = await program.metric('gslb_queries_total{proto="udp",rcode="REFUSED",type="A"}')
        program.signal(signal.SIGINT)
        status = await program.ended()

    assert asked == 50
    assert status == 0
    said = [line for line in program.lines[before:] if line != "(end)"]
    assert len(said) == 1
    assert " stopped" in said[0]


async def test_an_address_that_is_taken_ends_the_program_with_a_hint(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*taken.getsockname())
        listen = {"dns": [address], "admin": "127.0.0.1:0"}
        async with gslb("run", written(tmp_path, listen=listen)) as program:
            status = await program.ended()

    said = "\n".join(program.lines)
    assert status == 1
    assert "in use" in said
    assert address in said
    assert "hint:" in said
    assert "Traceback" not in said


async def test_a_wrong_configuration_ends_the_program_with_every_complaint(tmp_path):
    path = written(tmp_path, moniters={}, node=7)
    async with gslb("run", path) as program:
        status = await program.ended()

    said = "\n".join(program.lines)
    assert status == 1
    assert "unknown key moniters" in said
    assert "did you mean" in said
    assert said.count("hint:") == 2
    assert f"{path}:" in said
    assert "Traceback" not in said
