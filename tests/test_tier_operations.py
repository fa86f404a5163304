"""A region's tier under load while members, workers and files come and go."""

import asyncio
import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.programs import Program, until
from tests.running import write
from tests.servers import free_port
from tests.tiers import LOAD, address_of, ask, tier, until_async

PROGRAM = (sys.executable, "-m", "tests.tiers")
IDLE = 10_000  # connections that are kept, and say nothing


@pytest.fixture
def port():
    return free_port()


async def rest(seen, answers=LOAD * 6):
    """Await that so many more requests are answered."""
    before = sum(seen.answers.values())
    await until(
        lambda: sum(seen.answers.values()) >= before + answers or None,
        lambda: f"nobody is answered: {seen.failures[-3:]}",
    )


def us(*numbers):
    return {address_of("us", number) for number in numbers}


def eu(*numbers):
    return {address_of("eu", number) for number in numbers}


async def test_a_member_that_is_killed_costs_no_request(tmp_path, port):
    async with tier(tmp_path, port, {"us": 3}) as it, it.load() as seen:
        await rest(seen)

        it.members["us"][0].kill()
        await it.process.line(f"member={address_of('us', 1)} verdict=down")
        await rest(seen)

    assert not seen.failures
    assert set(seen.by_member()) == us(1, 2, 3)


async def test_a_region_whose_members_are_all_killed_is_served_by_the_next_one_at_once(
    tmp_path, port
):
    async with tier(tmp_path, port, {"us": 2, "eu": 2}) as it, it.load() as seen:
        await rest(seen)
        before = set(seen.by_member())

        for member in it.members["us"]:
            member.kill()
        killed_s = time.monotonic()
        await rest(seen)
        beyond_s = min(when for when, who in seen.moments if who in eu(1, 2))
        for member in it.members["us"]:
            member.start()
        await it.answers_from(*us(1, 2))

    assert not seen.failures
    assert before == us(1, 2)
    assert beyond_s - killed_s < 1.0


async def test_all_members_can_be_restarted_one_after_the_other(tmp_path, port):
    async with tier(tmp_path, port, {"us": 3}) as it, it.load() as seen:
        for member in it.members["us"]:
            await rest(seen)
            member.end()
            member.start()
            await member.line("listening")
            await it.answers_from(*us(1, 2, 3))

    assert not seen.failures


async def test_members_come_and_go_by_a_file_and_no_request_is_lost(tmp_path, port):
    few, many = (
        [address_of("us", n) for n in (1, 2, 3)],
        [address_of("us", n) for n in range(1, 31)],
    )
    file = write(tmp_path / "members.txt", "\n".join(few) + "\n")
    rest_of_them = Program([*PROGRAM, str(port), *many[3:]], tmp_path / "others.log")
    pools = {"us": {"discover": {"file": str(file)}}}
    try:
        rest_of_them.start()
        await rest_of_them.line("listening")
        async with tier(tmp_path, port, {"us": 3}, pools=pools) as it, it.load() as seen:
            for wanted in (many, few):
                await rest(seen)
                write(file, "\n".join(wanted) + "\n")

                async def served(wanted=wanted):
                    began_s = time.monotonic()
                    await rest(seen, 20 * LOAD)
                    return seen.since(began_s) == set(wanted)

                await until_async(served, lambda: f"{sorted(seen.by_member())}")
    finally:
        rest_of_them.kill()

    assert not seen.failures
    assert set(seen.by_member()) == set(many)


async def test_a_reload_loses_nothing(tmp_path, port):
    async with tier(tmp_path, port, {"us": 2}) as it, it.load() as seen:
        for _ in range(3):
            await rest(seen)
            heard = len(it.process.lines)
            it.process.signal(signal.SIGHUP)
            await it.process.line(" reload ", start=heard)
        await rest(seen)

    assert not seen.failures


async def test_a_broken_file_keeps_what_was(tmp_path, port):
    async with tier(tmp_path, port, {"us": 1}) as it:
        text = (tmp_path / "gslb.yaml").read_text()
        write(tmp_path / "gslb.yaml", text.replace("routes:", "ruotes:"))
        await it.process.line(" reload_failed ", "routes")

        assert (await it.get()).status == 200


async def test_a_worker_that_is_killed_is_replaced(tmp_path, port):
    async with tier(tmp_path, port, {"us": 1}, proxy={"workers": 1}) as it:
        (pid,) = workers_of(it.process.process.pid)

        os.kill(pid, signal.SIGKILL)
        await it.process.line(" worker_lost ")
        await until(
            lambda: workers_of(it.process.process.pid) not in ([], [pid]) or None,
            lambda: "nobody takes its place",
        )

        async def serves():
            try:
                return (await it.get()).status == 200
            except OSError:
                return False

        await until_async(serves, lambda: "the new one does not serve")


async def test_at_the_end_what_runs_is_finished_and_connections_are_closed(tmp_path, port):
    async with tier(tmp_path, port, {"us": 1}, proxy={"workers": 1}) as it:
        kept = await asyncio.open_connection(it.proxy, it.port)
        idle = await asyncio.open_connection(it.proxy, it.port)
        assert (await ask(*kept, "/")).status == 200
        assert (await ask(*idle, "/")).status == 200
        asked = asyncio.create_task(ask(*kept, "/slow/"))
        await asyncio.sleep(0)  # so that it is on its way before the signal

        it.process.signal(signal.SIGTERM)

        assert (await asked).status == 200
        assert await idle[0].read() == b""
        assert await kept[0].read() == b""
        assert await it.process.ended() == 0
        for _, writer in (kept, idle):
            writer.close()


async def test_the_main_process_killed_ends_its_workers(tmp_path, port):
    async with tier(tmp_path, port, {"us": 1}, proxy={"drain": "1s"}) as it:
        pids = workers_of(it.process.process.pid)

        it.process.signal(signal.SIGKILL)
        await until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids) or None,
            lambda: "workers outlive who told them",
        )


async def test_ten_thousand_idle_connections_stand_in_nobodys_way(tmp_path, port):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * IDLE:
        pytest.skip(f"only {most} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with tier(tmp_path, port, {"us": 1}) as it:
        kept = []
        for start in range(0, IDLE, 500):
            kept += await asyncio.gather(
                *(asyncio.open_connection(it.proxy, it.port) for _ in range(start, start + 500))
            )

        answers = [await ask(*connection, "/") for connection in kept[:: IDLE // 50]]

        assert {answer.status for answer in answers} == {200}
        for _, writer in kept:
            writer.transport.abort()


def workers_of(pid):
    """Return the ids of a process's children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in children.split()]


async def test_a_fence_is_never_left(tmp_path, port):
    fence = [{"fence": {"subnets": {"127.0.0.0/8": ["us"]}}}, "nearest"]
    service = {"route": fence, "all_down": "nodata"}
    async with tier(tmp_path, port, {"us": 1, "eu": 1}, service=service) as it:
        assert (await it.get()).told()["member"] in us(1)

        it.members["us"][0].kill()
        await it.process.line(f"member={address_of('us', 1)} verdict=down")

        async def turns_away():
            answer = await it.get()
            return answer.status == 503 and int(answer.fields["retry-after"]) >= 1

        await until_async(turns_away, lambda: "somebody is asked still")


async def test_a_request_that_was_here_already_is_not_passed_on(tmp_path, port):
    async with tier(tmp_path, port, {"us": 1, "eu": 1}) as it:
        looping = await it.get(X_Gslb_Hops="eu,us")
        passing = await it.get(X_Gslb_Hops="eu")

        assert looping.status == 508
        assert passing.told()["member"] in us(1)


async def test_another_regions_proxy_is_told_the_way(tmp_path, port):
    async with tier(tmp_path, port, {"us": 1, "eu": 1}, proxy={"workers": 1}) as it:
        # At the address of another region's proxy somebody answers: its members are one, here.
        stand_in = Program([*PROGRAM, str(port), "127.8.2.100"], tmp_path / "proxy.log")
        stand_in.start()
        try:
            await it.process.line("member=127.8.2.100 verdict=up")
            it.members["us"][0].kill()
            await it.process.line(f"member={address_of('us', 1)} verdict=down")
            told = (await it.get()).told()
        finally:
            stand_in.kill()

        assert told["member"] == "127.8.2.100"
        assert told["fields"]["x-gslb-hops"] == "us"


async def test_a_client_keeps_its_member_until_it_dies(tmp_path, port):
    affinity = {"cookie": "pin", "key": "a-key-of-thirty-two-characters-!"}
    routes = [{"name": "all", "service": "www.example.com", "affinity": affinity}]
    async with tier(tmp_path, port, {"us": 3}, proxy={"routes": routes}) as it:
        first = await it.get()
        cookie = first.fields["set-cookie"].partition(";")[0]
        member = first.told()["member"]

        again = [await it.get(Cookie=cookie) for _ in range(12)]
        number = int(str(member).rpartition(".")[2])
        it.members["us"][number - 1].kill()
        after = await it.get(Cookie=cookie)
        moved = after.fields["set-cookie"].partition(";")[0]

        assert {each.told()["member"] for each in again} == {member}
        assert not any("set-cookie" in each.fields for each in again)
        assert after.status == 200
        assert after.told()["member"] != member
        assert moved != cookie


async def test_a_member_that_keeps_failing_is_left_out_for_a_while(tmp_path, port):
    services = {"www.example.com": {"port": port, "eject": {"errors": 3, "base": "1m"}}}
    proxy = {"services": services, "workers": 1, "admin": f"127.0.0.1:{free_port()}"}
    async with tier(tmp_path, port, {"us": 3}, proxy=proxy) as it:
        statuses = [(await it.get("/bad")).status for _ in range(60)]

        assert statuses.count(500) == 3
        assert statuses[-30:] == [200] * 30


async def test_as_many_as_a_member_may_have_and_no_more_are_under_way(tmp_path, port):
    services = {
        "www.example.com": {"port": port, "connections": 2, "queue": 2, "queue_timeout": "20s"}
    }
    async with tier(tmp_path, port, {"us": 1}, proxy={"services": services, "workers": 1}) as it:
        answers = await asyncio.gather(*(it.get("/slow") for _ in range(12)))

        statuses = sorted(answer.status for answer in answers)
        turned_away = [answer for answer in answers if answer.status == 503]
        assert statuses[:2] == [200, 200]
        assert turned_away
        assert all("retry-after" in answer.fields for answer in turned_away)
