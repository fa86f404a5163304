"""The operator's commands against a running node, and against what is none."""

import asyncio
import json
import os
import re
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from gslb.cli import client, operate, speak
from gslb.cli.app import app
from gslb.cli.client import ApiError, call
from tests.admins import MAIN, NOON_S, PATIENCE_S, desk_at

TOKEN = "a-long-secret"


@pytest.fixture
async def desk():
    async with desk_at() as desk:
        desk.probe_all(**{"198.51.100.2": "refused"})
        yield desk


async def gslb(desk, *arguments, **environ):
    """Run a command in a thread, since it runs an event loop of its own."""
    where = ["--admin", desk if isinstance(desk, str) else desk.url]
    clean = {key: None for key in os.environ if key.startswith("GSLB_")}
    return await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments, *where], env={**clean, **environ}
    )


def word_of(desk, address, service=""):
    return desk.controller.forced[address, service]


# Status


async def test_status_prints_a_line_and_a_table_and_what_is_wrong_on_stderr(desk):
    await gslb(desk, "drain", "2001:DB8::1", "--reason", "kernel update")

    said = await gslb(desk, "status")

    assert said.exit_code == 0
    first, head, *rows = said.stdout.splitlines()
    generation = desk.controller.snapshot.generation
    assert first == (
        f"ns1.example.net: settled, generation {generation}, engine python, "
        "4 services, 8 members (7 up, 1 down, 0 unknown, 1 forced)"
    )
    assert head.split() == list(operate.COLUMNS)
    cells = [re.split(r"  +", row) for row in rows]
    assert len(rows) == 9
    assert cells[3][:5] == ["www.example.com", "eu", "198.51.100.2", "1", "down"]
    assert cells[3][6] == "refused"
    assert cells[5][-1] == "drain (kernel update)"
    assert cells[-1][:3] == ["(proxy)", "eu", "198.51.100.200"]
    assert "zone example.org is broken" in said.stderr
    assert "missing.zone" in said.stderr


async def test_status_in_json_is_what_the_api_says(desk):
    said = await gslb(desk, "status", "--json")

    shown = json.loads(said.stdout)
    status = (await desk.ask("GET", "/v1/status")).json
    members = (await desk.ask("GET", "/v1/members")).json
    assert shown.keys() == status.keys() | members.keys()
    assert shown["members"] == members["members"]
    assert shown["zones"] == status["zones"]


def test_each_trouble_of_a_node_is_a_line():
    node = {
        "restored": True,
        "held": {"members": 3, "since": "2027-01-15T08:00:00.000Z"},
        "geo_held": "too much would move",
        "alarms": [{"service": "www.example.com", "alarm": a} for a in ("all_drained", "new")],
        "zones": [
            {"zone": "example.com", "state": "served", "error": "old"},
            {"zone": "example.org", "state": "broken", "error": "bad"},
            {"zone": "example.net", "state": "served", "error": None},
        ],
        "reloads": {"last_error": "gslb.yaml:1:1: bad"},
    }

    lines = list(operate.troubles_of(node))

    for number, part in enumerate(
        ["restored", "keeps 3", "database", "drained", "new", "old version", "broken", "reload"]
    ):
        assert part in lines[number]
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("age_s", "shown"),
    [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (9e5, "10d")],
)
def test_an_age_is_shown_in_the_unit_that_fits(age_s, shown):
    member = {
        "service": "www.example.com", "region": "us", "address": "192.0.2.1", "weight": 1,
        "verdict": "up", "reason": "", "since": "2027-01-15T08:00:00.000Z", "forced": None,
        "votes": [{"verdict": "up"}, {"verdict": "down"}, {"verdict": "up"}],
    }  # fmt: skip

    [row] = operate.rows_of({"members": [member], "proxies": []}, NOON_S + age_s)

    assert row[5:] == ("2 up, 1 down", "-", shown, "-")


def test_the_table_of_tiers_tells_how_busy_those_are_that_say_so():
    load = {
        "connections": 1000, "active_requests": 64, "member_requests": 60,
        "requests_per_s": 1234.56, "errors_per_s": 0.25,
    }  # fmt: skip
    silent = {"vantage": "eu", "region": None, "load": None}
    busy = {"vantage": "eu-proxy", "region": "eu-west", "load": load}

    assert list(operate.tiers_of({"vantages": [silent, {"vantage": "old"}, busy]})) == [
        ("eu-proxy", "eu-west", 1000, "64 (60 at members)", "1234.6", "0.2")
    ]


# An operator's word


async def test_drain_says_until_when_and_who(desk):
    said = await gslb(
        desk, "drain", "192.0.2.1", "--for", "10m", "--reason", "kernel update", "--yes"
    )

    assert said.exit_code == 0
    assert said.stdout == "192.0.2.1: drain until 2027-01-15T08:10:00.000Z (kernel update)\n"
    forced = word_of(desk, "192.0.2.1")
    assert (forced.word.value, forced.until_s) == ("drain", NOON_S + 600)
    assert forced.by


async def test_force_takes_up_and_down_for_one_service(desk):
    up = await gslb(desk, "force", "192.0.2.1", "up", "--service", "www.example.com")
    down = await gslb(desk, "force", "lb.example.net", "down", "--yes")

    assert (up.stdout, down.stdout) == (
        "192.0.2.1: up in www.example.com\n", "lb.example.net: down\n",
    )  # fmt: skip
    assert word_of(desk, "192.0.2.1", "www.example.com").word.value == "up"
    assert word_of(desk, "lb.example.net").word.value == "down"


async def test_release_takes_a_word_back_and_is_content_when_there_is_none(desk):
    await gslb(desk, "drain", "2001:db8::2")

    first = await gslb(desk, "release", "2001:db8::2")
    second = await gslb(desk, "release", "2001:db8::2")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == "2001:db8::2: released\n"
    assert not desk.controller.forced


async def test_publish_lets_go_what_is_held():
    async with desk_at(main=MAIN + "max_withdrawal: {share: 10%, for: 60s}\n") as desk:
        desk.probe_all()
        for subject, record in desk.records.items():
            desk.records[subject] = replace(record, verdict=record.verdict.DOWN)
        desk.look_again()

        status = await gslb(desk, "status")
        said = await gslb(desk, "publish")
        again = await gslb(desk, "publish")

    assert "the safety catch keeps 7 members in" in status.stderr
    assert "down (held in)" in status.stdout
    assert (said.exit_code, again.exit_code) == (0, 1)
    assert "nothing is held back" in again.stderr


async def test_a_token_comes_from_the_option_or_the_environment():
    async with desk_at(main=MAIN + f"admin_token: {TOKEN}\n") as desk:
        none = await gslb(desk, "drain", "192.0.2.1")
        option = await gslb(desk, "drain", "192.0.2.1", "--yes", "--token", TOKEN)
        environ = await gslb(desk, "release", "192.0.2.1", GSLB_ADMIN_TOKEN=TOKEN)
        bad = await gslb(desk, "release", "192.0.2.1", "--token", "a\nb")

    assert [said.exit_code for said in (none, option, environ, bad)] == [1, 0, 0, 1]
    assert "--token or GSLB_ADMIN_TOKEN" in none.stderr
    assert bad.stderr.startswith("gslb: ")


async def test_a_region_is_drained_gradually_and_released(desk):
    said = await gslb(desk, "drain", "--region", "eu", "--over", "5m")
    word = word_of(desk, "region:eu")
    gone = await gslb(desk, "release", "--region", "eu")

    assert said.stdout.startswith("region eu: drain, whole at ")
    assert (word.from_s, word.over_s) == (NOON_S, 300.0)
    assert gone.stdout == "region eu: released\n"
    assert not desk.controller.forced


class Waiting:
    """Time that passes only by being waited for, and what other nodes say meanwhile."""

    def __init__(self, *said):
        self.now_s, self.said = 1000.0, list(said)

    def others(self):
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]

    def sleep(self, span_s):
        self.now_s += span_s

    def wait(self):
        speak.wait_until_clear(self.others, 330.0, 30.0, lambda: self.now_s, self.sleep)
        return self.now_s - 1000.0


def other(*, heard=True, words_agree):
    return ({"node": "ns2.example.net", "heard": heard, "words_agree": words_agree},)


def test_a_drain_is_clear_when_the_last_answer_has_run_out(capsys):
    assert Waiting(other(words_agree=True)).wait() == 330.0
    assert Waiting(()).wait() == 330.0
    assert Waiting(other(heard=False, words_agree=False)).wait() == 330.0
    assert "waiting 330 s for answers to run out" in capsys.readouterr().err


def test_a_node_that_hears_late_is_waited_for_and_what_it_answered_meanwhile(capsys):
    late = [other(words_agree=False)] * 400

    assert Waiting(*late, other(words_agree=True)).wait() == 400 * speak.POLL_S + 30.0
    assert capsys.readouterr().err.count("waiting for ns2.example.net to hear of it") == 1


CLEAR = {"clear_in_s": 330.0, "ttl_s": 30}


async def test_a_drain_is_waited_for_at_the_node_that_was_told(desk, capsys):
    time = Waiting(())

    await asyncio.to_thread(speak.wait_for, CLEAR, desk.url, None, lambda: time.now_s, time.sleep)

    assert time.now_s == 1330.0
    assert capsys.readouterr().out == "clear: no answer that holds it is in use any more\n"


async def test_waiting_can_be_broken_off_and_the_word_stays(desk, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    await gslb(desk, "drain", "2001:db8::1")
    with pytest.raises(typer.Exit) as ended:
        await asyncio.to_thread(speak.wait_for, CLEAR, desk.url, None, lambda: NOON_S, interrupted)

    assert ended.value.exit_code == 1
    assert "the word holds until" in capsys.readouterr().err
    assert word_of(desk, "2001:db8::1")


# Nodes beside each other


async def test_nodes_that_agree_are_said_to(desk):
    said = await gslb(desk, "status", "--admin", desk.url)

    assert said.exit_code == 0
    assert said.stdout.endswith("they agree: configuration, verdicts, operators' words\n")


async def test_a_node_out_of_reach_is_named_and_the_others_are_compared_all_the_same(desk):
    gone = "http://127.0.0.1:9"
    said = await gslb(desk, "status", "--admin", desk.url, "--admin", gone)
    shown = await gslb(desk, "status", "--json", "--admin", gone)

    assert (said.exit_code, shown.exit_code) == (1, 1)
    assert "those that answer agree" in said.stdout
    assert f"cannot reach {gone}" in said.stderr
    whole = json.loads(shown.stdout)
    assert [each["admin"] for each in whole["nodes"]] == [desk.url]
    assert list(whole["lost"]) == [gone]


async def test_a_gradual_drain_says_when_it_is_whole(desk):
    said = await gslb(desk, "drain", "--region", "eu", "--over", "5m", "--for", "1h")

    assert re.search(r"region eu: drain, whole at \S+, until \S+", said.stdout)


async def test_what_differs_between_nodes_is_named(desk):
    async with desk_at(main=MAIN + "max_withdrawal: {share: 10%, for: 60s}\n") as strange:
        strange.probe_all(**{"192.0.2.2": "refused"})
        await gslb(strange, "drain", "--region", "eu")
        await gslb(
            strange, "force", "2001:db8::1", "up", "--for", "10m", "--service", "six.example.com"
        )
        said = await gslb(desk, "status", "--admin", strange.url)
        shown = await gslb(desk, "status", "--json", "--admin", strange.url)

    assert (said.exit_code, shown.exit_code) == (1, 1)
    differs = json.loads(shown.stdout)["differs"]
    assert [each["what"] for each in differs[:1]] == ["configuration"]
    assert {
        "what": "word",
        "of": "region eu",
        "said": {desk.url: "nothing", strange.url: "drain"},
    } in differs
    assert any(each["of"] == "192.0.2.2 in www.example.com, us" for each in differs)
    assert "word of region eu differs: " in said.stdout


def test_other_nodes_that_are_silent_or_of_another_mind_are_told_of():
    node = {
        "restored": False, "held": {"members": 0}, "geo_held": None, "alarms": [], "zones": [],
        "reloads": {"last_error": None},
        "nodes": [
            {"node": "ns2", "heard": False, "age_s": 33.3, "agrees": True},
            {"node": "ns3", "heard": True, "age_s": 1.0, "agrees": False},
            {"node": "ns4", "heard": True, "age_s": 1.0, "agrees": True},
        ],
    }  # fmt: skip

    silent, strange = operate.troubles_of(node)

    assert silent == "ns2 was not heard for 33 s"
    assert strange.startswith("ns3 has another configuration")


# Everything that can go wrong


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["drain", "192.0.2.99"], 1, "192.0.2.99 is no member"),
        (["drain", "192.0.2.1", "--service", "mail.example.com"], 1, "no member of mail"),
        (["drain", "192.0.2.1", "--for", "never"], 1, "'never' is not a duration"),
        (["drain", "192.0.2.1", "--reason", "\x1b[31m"], 1, "control characters"),
        (["drain", ""], 1, "hint"),
        (["drain", ".."], 1, "hint"),
        (["drain", "a/b?c#d%"], 1, "hint"),
        (["drain", "\udcff", "--service", "\udcff"], 1, "hint"),
        (["release", "192.0.2.99"], 1, "no member"),
        (["force", "192.0.2.1", "sideways"], 2, "sideways"),
        (["force", "192.0.2.1"], 2, "Missing argument"),
        (["drain"], 2, "give one of MEMBER and --region"),
        (["drain", "192.0.2.1", "--region", "eu"], 2, "give one of MEMBER and --region"),
        (["drain", "--region", "mars"], 1, "'mars' is no region"),
        (["drain", "192.0.2.1"], 1, "all its members would be drained\n  hint: say --yes"),
        (["force", "192.0.2.1", "down"], 1, "hint: say --yes"),
        (["drain", "192.0.2.1", "--fro", "10m"], 2, "No such option"),
    ],
)
async def test_what_is_wrong_is_said_on_stderr_with_its_exit_status(desk, arguments, status, part):
    said = await gslb(desk, *arguments)

    assert said.exit_code == status
    assert part in said.stderr
    assert said.stdout == ""
    assert not desk.controller.forced


@pytest.mark.parametrize(
    "admin",
    [
        "ftp://127.0.0.1", "http://", "http://127.0.0.1:0", "http://127.0.0.1:99999",
        "http://127.0.0.1:1/v1", "http://[::1", "http://user@127.0.0.1:1", "127.0.0.1:x", "",
        "http://127.0.0.1:1?a", "http://127.0.0.1 1", "http://a\x00b:1",
    ],
)  # fmt: skip
async def test_what_is_no_url_of_a_node_is_refused(admin):
    said = await gslb(admin, "status")

    assert said.exit_code == 1
    assert "http://127.0.0.1:8053" in said.stderr


@asynccontextmanager
async def serve(answer):
    """Answer every connection with these octets, or say nothing until the client goes."""
    talks = set()

    async def talk(reader, writer):
        talks.add(asyncio.current_task())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                if not answer:
                    await reader.read()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        if talks:
            await asyncio.wait(talks)


def response(status, body, *headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "cannot talk to"),
        (response(200, b"hello"), "no JSON"),
        (response(200, b"[" * 100_000), "no JSON"),
        (response(200, b"[]"), "none of gslb's admin API"),
        (response(200, b"{}"), "none of gslb's admin API"),
        (response(200, b""), "none of gslb's admin API"),
        (response(500, b"{}"), "status 500"),
        (response(404, b'{"error": 1}'), "status 404"),
        (response(404, b'{"error": "not here"}'), "not here"),
        (response(302, b"", "Location: http://192.0.2.1/"), "status 302"),
        (response(200, b"{}").replace(b": 2", b": 9"), "cannot talk to"),
    ],
)
async def test_whatever_answers_instead_of_a_node_is_told(answer, part):
    async with serve(answer) as url:
        said = await gslb(url, "status")

    assert said.exit_code == 1
    assert part in said.stderr
    assert said.stderr.startswith("gslb: ")


async def test_a_node_that_says_nothing_is_not_waited_for_long():
    async with serve(b"") as url:
        with pytest.raises(ApiError, match="did not answer within"):
            await asyncio.to_thread(call, url, "GET", "/v1/status", timeout_s=0.05)


async def test_a_response_is_read_up_to_its_limit():
    class Endless:
        async def iter_any(self):
            while True:
                yield b"x" * 2**24

    with pytest.raises(ApiError, match="sends more than"):
        await client._read(Endless(), "http://127.0.0.1:8053")


async def test_a_node_that_cannot_be_reached_is_told_with_a_hint():
    async with serve(b"") as url:
        pass

    said = await gslb(url, "status")

    assert said.exit_code == 1
    assert f"cannot reach {url}: Connection refused" in said.stderr
    assert "hint: is the node running there?" in said.stderr


async def test_proxies_of_the_environment_are_not_used(desk):
    nowhere = "http://127.0.0.1:1"

    said = await gslb(desk, "status", http_proxy=nowhere, HTTP_PROXY=nowhere, ALL_PROXY=nowhere)

    assert said.exit_code == 0


async def test_an_address_without_a_scheme_is_taken_as_http(desk):
    assert (await gslb(desk.url.removeprefix("http://"), "status")).exit_code == 0


@pytest.mark.parametrize("command", ["status", "drain", "force", "release", "publish"])
def test_each_commands_help_has_examples_and_its_exit_status(command):
    said = CliRunner().invoke(app, [command, "--help"])

    assert f"\n    gslb {command}" in said.stdout
    assert "exit status: 0 " in said.stdout
    assert "[default: http://127.0.0.1:8053]" in said.stdout
