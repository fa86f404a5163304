"""Files that change under a running node: what is taken over, what is refused, what is kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterable
from ipaddress import ip_network

import dns.rcode
import pytest
import yaml

from bench.mmdbwriter import encode
from tests.running import (
    LONDON,
    NEW_YORK,
    ZONE,
    Running,
    addresses,
    ede,
    gslb,
    members,
    pool,
    running,
    service,
    started,
    write,
    write_zone,
    written,
)

ALWAYS_UP = {"monitor": None}
TOWNS = {"London": (51.5, -0.1), "New York": (40.7, -74.0)}


def static(*east: str, **keys: object) -> dict[str, object]:
    """Return the services of a zone whose members nobody probes."""
    return {"www": service(pools={"us-east": list(east)}, monitor=None, **keys)}


def by_place() -> dict[str, object]:
    pools = {"us-east": ["192.0.2.1"], "eu-west": ["198.51.100.1"]}
    return {"www": service(pools=pools, monitor=None, route="nearest")}


def database(places: Iterable[tuple[str, str]]) -> bytes:
    """Return an MMDB that places each prefix in a town."""
    return encode([(ip_network(prefix), _record(town)) for prefix, town in places])


def _record(town: str) -> dict[str, object]:
    latitude, longitude = TOWNS[town]
    return {"location": {"latitude": latitude, "longitude": longitude}}


async def reloaded(node: Running) -> None:
    """Await that the files have been taken over."""
    await node.event("reload")


# What is noticed


async def test_a_changed_file_is_noticed_and_taken_over(tmp_path):
    async with running(written(tmp_path, static("192.0.2.1"))) as node:
        before = await node.addresses()
        write_zone(tmp_path, "example.com", static("192.0.2.2"))
        await reloaded(node)
        await node.becomes({"192.0.2.2"})

    assert before == {"192.0.2.1"}


@pytest.mark.parametrize("how", ["in place", "renamed over", "behind a link", "link replaced"])
async def test_a_file_is_noticed_however_it_changes(tmp_path, how):
    path = written(tmp_path, static("192.0.2.1"))
    zone = tmp_path / "example.com.yaml"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if "link" in how:
        zone.rename(elsewhere / "1.yaml")
        zone.symlink_to(elsewhere / "1.yaml")
        (elsewhere / "example.com.zone").write_text(ZONE)
    new = (elsewhere / "1.yaml" if "link" in how else zone).read_text().replace(".2.1", ".2.2")
    async with running(path) as node:
        match how:
            case "in place" | "behind a link":
                zone.write_text(new)
            case "renamed over":
                write(zone, new)
            case _:
                (elsewhere / "2.yaml").write_text(new)
                link = tmp_path / "new"
                link.symlink_to(elsewhere / "2.yaml")
                link.rename(zone)
        await node.becomes({"192.0.2.2"})


async def test_a_folder_that_is_replaced_behind_a_link_is_noticed(tmp_path):
    # So are volumes mounted that a cluster keeps up to date.
    for number in (1, 2):
        written(tmp_path / str(number), static(f"192.0.2.{number}"))
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "conf").mkdir()
    for name in ("gslb.yaml", "example.com.yaml", "example.com.zone"):
        (tmp_path / "conf" / name).symlink_to(f"../data/{name}")

    async with running(tmp_path / "conf" / "gslb.yaml") as node:
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").rename(tmp_path / "data")
        await node.becomes({"192.0.2.2"})


async def test_a_change_during_the_start_is_not_missed(tmp_path):
    async with started(written(tmp_path, static("192.0.2.1"))) as node:
        write_zone(tmp_path, "example.com", static("192.0.2.2"))
        await node.run()
        await node.becomes({"192.0.2.2"})


async def test_a_zone_that_is_written_later_is_noticed(tmp_path):
    path = written(tmp_path, static("192.0.2.1"), zones=["example.com.yaml", "example.net.yaml"])
    async with running(path) as node:
        missing = await node.ask("www.example.net")
        write_zone(tmp_path, "example.net", static("192.0.2.7"))
        await node.becomes({"192.0.2.7"}, "www.example.net")

    assert missing.rcode() == dns.rcode.SERVFAIL


async def test_a_file_that_falls_under_a_glob_is_served_and_one_that_is_removed_is_not(tmp_path):
    path = written(tmp_path, static("192.0.2.1"), zones=["*.com.yaml"])
    async with running(path) as node:
        write_zone(tmp_path, "example2.com", static("192.0.2.9"))
        await node.becomes({"192.0.2.9"}, "www.example2.com")
        (tmp_path / "example2.com.yaml").unlink()
        await node.until(lambda got: got.rcode() == dns.rcode.REFUSED, "www.example2.com")
        still = await node.addresses()

    assert still == {"192.0.2.1"}


async def test_what_a_reload_names_is_watched_from_then_on(tmp_path):
    path = written(tmp_path, static("192.0.2.1"))
    (tmp_path / "more").mkdir()
    write_zone(tmp_path / "more", "example.net", static("192.0.2.5"))
    async with running(path) as node:
        main = yaml.safe_load(path.read_text())
        write(path, yaml.safe_dump({**main, "zones": ["example.com.yaml", "more/*.yaml"]}))
        await node.becomes({"192.0.2.5"}, "www.example.net")
        write_zone(tmp_path / "more", "example.net", static("192.0.2.6"))
        await node.becomes({"192.0.2.6"}, "www.example.net")


async def test_a_link_to_a_folder_that_is_swapped_is_a_change(tmp_path):
    for release, address in (("one", "192.0.2.1"), ("two", "192.0.2.2")):
        (tmp_path / release).mkdir()
        written(tmp_path / release, static(address))
    (tmp_path / "current").symlink_to("one")
    async with running(tmp_path / "current/gslb.yaml") as node:
        before = await node.addresses()
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").replace(tmp_path / "current")
        await node.becomes({"192.0.2.2"})

    assert before == {"192.0.2.1"}


async def test_a_folder_of_zones_that_is_gone_for_a_while_takes_no_zone_away(tmp_path):
    path = written(tmp_path, {}, zones=["zones/*.yaml"])
    (tmp_path / "zones").mkdir()
    write_zone(tmp_path / "zones", "example.com", static("192.0.2.1"))
    async with running(path) as node:
        (tmp_path / "zones").rename(tmp_path / "aside")
        await node.until(lambda _: bool(node.heard("reload_failed")))
        meanwhile = await node.addresses()
        write_zone(tmp_path / "aside", "example.com", static("192.0.2.2"))
        (tmp_path / "aside").rename(tmp_path / "zones")
        await node.becomes({"192.0.2.2"})

    assert meanwhile == {"192.0.2.1"}


async def test_sighup_reloads(tmp_path):
    path = written(tmp_path, static("192.0.2.1"))
    async with gslb("run", path) as program:
        await program.is_serving()
        before = len(program.lines)
        program.signal(signal.SIGHUP)
        await program.line(" reload ", "config_hash=", start=before)
        write_zone(tmp_path, "example.com", static("192.0.2.2"))
        program.signal(signal.SIGHUP)
        await program.becomes({"192.0.2.2"})
        program.signal(signal.SIGTERM)
        status = await program.ended()

    assert status == 0


async def test_a_sighup_during_the_start_is_heard(tmp_path):
    async with started(written(tmp_path, static("192.0.2.1"))) as node:
        os.kill(os.getpid(), signal.SIGHUP)
        await node.run()
        await node.event("reload")


# What is refused


async def test_a_broken_main_file_changes_nothing_and_is_counted(tmp_path):
    path = written(tmp_path, static("192.0.2.1"))
    good = path.read_text()
    async with running(path) as node:
        write(path, good + "regionz: {}\n")
        failed = await node.event("reload_failed")
        still = await node.addresses()
        counted = await node.metric("gslb_reload_failures_total")
        _, status = await node.http("GET", "/v1/status")
        write(path, good)
        await reloaded(node)
        _, mended = await node.http("GET", "/v1/status")

    assert "unknown key regionz" in str(failed.fields["error"])
    assert still == {"192.0.2.1"}
    assert counted == status["reloads"]["failed"] == 1
    assert "unknown key regionz" in status["reloads"]["last_error"]
    assert mended["reloads"]["last_error"] is None


@pytest.mark.parametrize("becomes", ["missing", "a folder", "empty", "not text", "unreadable"])
async def test_a_main_file_that_is_gone_or_no_file_changes_nothing(tmp_path, becomes):
    path = written(tmp_path, static("192.0.2.1"))
    good = path.read_bytes()
    async with running(path) as node:
        path.unlink()
        match becomes:
            case "a folder":
                path.mkdir()
            case "empty":
                path.touch()
            case "not text":
                path.write_bytes(b"\xff\xfe\x00" * 100)
            case "unreadable":
                path.symlink_to(path.name)
        await node.event("reload_failed")
        still = await node.addresses()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(good)
        await reloaded(node)

    assert still == {"192.0.2.1"}


async def test_a_broken_zone_keeps_its_old_version_while_the_others_move_on(tmp_path):
    path = written(tmp_path, static("192.0.2.1"), zones=["example.com.yaml", "example.net.yaml"])
    write_zone(tmp_path, "example.net", static("192.0.2.5"))
    async with running(path) as node:
        write(tmp_path / "example.com.zone", ZONE + "www CNAME mail\n")
        write_zone(tmp_path, "example.net", static("192.0.2.6"))
        await node.becomes({"192.0.2.6"}, "www.example.net")
        await node.until(lambda _: bool(node.heard("reload_failed")))
        old = await node.addresses("www.example.com")
        _, status = await node.http("GET", "/v1/status")
        write(tmp_path / "example.com.zone", ZONE + "new A 192.0.2.77\n")
        await node.becomes({"192.0.2.77"}, "new.example.com")
        _, mended = await node.http("GET", "/v1/status")

    assert old == {"192.0.2.1"}
    errors = {zone["zone"]: zone["error"] for zone in status["zones"]}
    assert errors["example.net"] is None
    assert "example.com.zone" in errors["example.com"]
    assert [zone["error"] for zone in mended["zones"]] == [None, None]


@pytest.mark.parametrize("text", [None, "x: ["], ids=["missing", "no YAML"])
async def test_a_zone_whose_file_does_not_even_say_its_name_keeps_its_old_version(tmp_path, text):
    path = written(tmp_path, static("192.0.2.1"), zones=["one.yaml", "example.net.yaml"])
    write_zone(tmp_path, "example.net", static("192.0.2.5"))
    whole = (tmp_path / "example.com.yaml").read_text()
    write(tmp_path / "one.yaml", whole)
    async with running(path) as node:
        if text is None:
            (tmp_path / "one.yaml").unlink()
        else:
            write(tmp_path / "one.yaml", text)
        await node.until(lambda _: bool(node.heard("reload_failed")))
        write_zone(tmp_path, "example.net", static("192.0.2.6"))
        await node.becomes({"192.0.2.6"}, "www.example.net")
        still = await node.addresses("www.example.com")
        _, status = await node.http("GET", "/v1/status")
        write(tmp_path / "one.yaml", whole.replace("192.0.2.1", "192.0.2.2"))
        await node.becomes({"192.0.2.2"}, "www.example.com")

    assert still == {"192.0.2.1"}
    assert "one.yaml" in {zone["zone"]: zone["error"] for zone in status["zones"]}["example.com"]


async def test_a_zone_that_is_broken_at_the_start_fails_loudly_and_alone(tmp_path):
    path = written(tmp_path, static("192.0.2.1"), zones=["example.com.yaml", "example.net.yaml"])
    write_zone(tmp_path, "example.net", static("192.0.2.5"), records="nonsense\n")
    async with running(path) as node:
        broken = await node.ask("www.example.net")
        below = await node.ask("a.b.c.example.net")
        served = await node.addresses("www.example.com")
        _, ready = await node.http("GET", "/readyz")
        counted = await node.metric("gslb_zones_broken")
        write_zone(tmp_path, "example.net", static("192.0.2.5"))
        await node.becomes({"192.0.2.5"}, "www.example.net")

    assert broken.rcode() == below.rcode() == dns.rcode.SERVFAIL
    assert ede(broken) == ede(below) == [24]
    assert served == {"192.0.2.1"}
    assert [zone["zone"] for zone in ready["zones_with_errors"]] == ["example.net"]
    assert counted == 1


async def test_a_zone_that_is_removed_is_answered_no_more(tmp_path):
    path = written(tmp_path, static("192.0.2.1"), zones=["example.com.yaml", "example.net.yaml"])
    write_zone(tmp_path, "example.net", static("192.0.2.5"))
    async with running(path) as node:
        before = await node.addresses("www.example.net")
        main = yaml.safe_load(path.read_text())
        write(path, yaml.safe_dump({**main, "zones": ["example.com.yaml"]}))
        await node.until(lambda got: got.rcode() == dns.rcode.REFUSED, "www.example.net")

    assert before == {"192.0.2.5"}


async def test_the_folder_of_all_files_may_vanish_and_come_back(tmp_path):
    folder = tmp_path / "conf"
    path = written(folder, static("192.0.2.1"), state_dir=str(tmp_path / "var"))
    async with running(path) as node:
        folder.rename(tmp_path / "away")
        await node.event("reload_failed")
        still = await node.addresses()
        shutil.copytree(tmp_path / "away", folder)
        write_zone(folder, "example.com", static("192.0.2.2"))
        await node.becomes({"192.0.2.2"})

    assert still == {"192.0.2.1"}


# Databases


async def test_a_database_that_is_replaced_moves_answers(tmp_path):
    world = write(tmp_path / "geo.mmdb", database([(NEW_YORK, "New York"), (LONDON, "London")]))
    geo = {"database": world.name, "max_moved": None}
    async with running(written(tmp_path, by_place(), geo=geo)) as node:
        before = await node.addresses(subnet=NEW_YORK)
        write(world, database([(NEW_YORK, "London"), (LONDON, "London")]))
        await node.becomes({"198.51.100.1"}, subnet=NEW_YORK)

    assert before == {"192.0.2.1"}


async def test_a_database_that_moves_too_much_is_held_and_the_rest_is_taken_over(tmp_path):
    world = write(tmp_path / "geo.mmdb", database([(NEW_YORK, "New York"), (LONDON, "London")]))
    path = written(tmp_path, by_place(), geo={"database": world.name, "max_moved": "20%"})
    async with running(path) as node:
        write(world, database([(NEW_YORK, "London"), (LONDON, "London")]))
        held = await node.event("geo_held")
        still = await node.addresses(subnet=NEW_YORK)
        counted = await node.metric("gslb_geo_changes_held_total")
        write(tmp_path / "example.com.zone", ZONE + "new A 192.0.2.77\n")
        await node.becomes({"192.0.2.77"}, "new.example.com")
        moved = await node.addresses(subnet=NEW_YORK)
        main = yaml.safe_load(path.read_text())
        write(path, yaml.safe_dump({**main, "geo": {"database": world.name, "max_moved": None}}))
        await node.becomes({"198.51.100.1"}, subnet=NEW_YORK)

    assert "50%" in str(held.fields["error"])
    assert still == moved == {"192.0.2.1"}
    assert counted == 1


@pytest.mark.parametrize("part", ["nothing", "half", "all but a little", "another file"])
async def test_a_torn_database_is_refused(tmp_path, part):
    whole = database([(NEW_YORK, "New York"), (LONDON, "London")])
    world = write(tmp_path / "geo.mmdb", whole)
    path = written(tmp_path, by_place(), geo={"database": world.name, "max_moved": None})
    torn = {
        "nothing": b"",
        "half": whole[: len(whole) // 2],
        "all but a little": whole[:-10],
        "another file": b"location,country\n" * 1000,
    }[part]
    async with running(path) as node:
        write(world, torn)
        failed = await node.event("reload_failed")
        still = await node.addresses(subnet=LONDON)
        write(world, whole)
        await reloaded(node)

    assert "geo.mmdb" in str(failed.fields["error"])
    assert "hint:" in str(failed.fields["error"])
    assert still == {"198.51.100.1"}


async def test_a_file_that_a_refused_reload_missed_is_taken_over_once_it_is_there(tmp_path):
    world = tmp_path / "geo.mmdb"
    path = written(tmp_path, by_place())
    async with running(path) as node:
        main = yaml.safe_load(path.read_text())
        write(path, yaml.safe_dump({**main, "geo": {"database": world.name}}))
        await node.event("reload_failed")
        write(world, database([(NEW_YORK, "New York"), (LONDON, "London")]))
        await reloaded(node)
        got = await node.addresses(subnet=LONDON)

    assert got == {"198.51.100.1"}


async def test_a_pipe_in_place_of_a_file_holds_up_neither_the_answers_nor_the_end(tmp_path):
    world = write(tmp_path / "geo.mmdb", database([(NEW_YORK, "New York")]))
    path = written(tmp_path, static("192.0.2.1"), geo={"database": world.name})
    async with gslb("run", path) as program:
        await program.is_serving()
        world.unlink()
        os.mkfifo(world)
        program.signal(signal.SIGHUP)
        answered = [await program.addresses() for _ in range(20)]
        program.signal(signal.SIGTERM)
        status = await program.ended()

    assert answered == [{"192.0.2.1"}] * 20
    assert status == 0


# What is kept


async def test_verdicts_and_words_are_kept_over_a_reload(tmp_path):
    async with members("127.1.0.1", "127.1.0.2", "127.1.0.3") as (one, two, three):
        services = {"www": service(pools={"us-east": pool(one, two, three)})}
        async with running(written(tmp_path, services)) as node:
            one.behave("refuse")
            await node.verdict("down", one)
            await node.http("PUT", f"/v1/members/{two.address}/forced", {"word": "drain"})
            await node.becomes({three.address})
            seen = node.heard("verdict")
            services["api"] = service(pools={"us-east": pool(one, three)})
            write_zone(tmp_path, "example.com", services)
            await reloaded(node)
            www = await node.addresses("www.example.com")
            await node.becomes({three.address}, "api.example.com")
            again = node.heard("verdict")[len(seen) :]

    assert www == {three.address}
    # Only what the new service has probed under its own name is new.
    assert {event.fields["was"] for event in again} <= {"unknown"}


async def test_a_new_member_waits_for_its_first_result_while_others_are_known_up(tmp_path):
    async with members("127.1.0.1", "127.1.0.2") as (one, two):
        services = {"www": service(pools={"us-east": pool(one)})}
        async with running(written(tmp_path, services)) as node:
            two.behave("refuse")
            write_zone(
                tmp_path,
                "example.com",
                {"www": service(pools={"us-east": pool(one, two)})},
            )
            await reloaded(node)
            got = [await node.addresses() for _ in range(20)]
            await node.verdict("down", two)
            got.append(await node.addresses())

    assert got == [{one.address}] * 21


async def test_what_is_read_only_at_a_start_is_said_to_need_one(tmp_path):
    path = written(tmp_path, static("192.0.2.1"))
    async with running(path) as node:
        main = yaml.safe_load(path.read_text())
        listen = {"dns": ["127.0.0.1:0"], "admin": "127.0.0.1:1"}
        write(path, yaml.safe_dump({**main, "listen": listen}))
        said = await node.event("restart_needed")
        still = await node.addresses()

    assert said.fields["changed"] == "listen"
    assert still == {"192.0.2.1"}


async def test_no_query_is_lost_and_none_sees_half_a_change_while_files_are_reloaded(tmp_path):
    path = written(tmp_path, _generation(0))
    async with running(path) as node:
        done = asyncio.Event()
        asking = [asyncio.create_task(_ask_on(node, done)) for _ in range(4)]
        for number in range(1, 21):
            write_zone(tmp_path, "example.com", _generation(number))
            node.node.reload()
            await node.becomes(_members_of(number))
        done.set()
        got = [answer for task in asking for answer in await task]
        failed = node.heard("reload_failed")

    assert failed == []
    assert len(got) >= 20
    assert {frozenset(answer) for answer in got} <= {
        frozenset(_members_of(number)) for number in range(21)
    }


def _members_of(number: int) -> set[str]:
    return {f"192.0.2.{number}", f"198.51.100.{number}"}


def _generation(number: int) -> dict[str, object]:
    return static(*sorted(_members_of(number)))


async def _ask_on(node: Running, done: asyncio.Event) -> list[set[str]]:
    got = []
    while not done.is_set():
        got.append(addresses(await node.ask()))
    return got
