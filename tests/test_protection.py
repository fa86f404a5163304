"""A node that is protected: its secrets and limits, reloads of both, other people's cookies."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from gslb.config.settings import Config, Cookies
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.protection import FILE, QUIET_S, ROLL_S, OwnSecrets, Protection, load, save
from gslb.dns.cookie import Standing, check
from gslb.model import RateLimit
from tests.nodes import config
from tests.peers import dig, kdig, nsd, own_address
from tests.running import Running, running, started, written


@pytest.fixture(autouse=True, scope="module")
def _each_engine(engine: str) -> None: ...


SECRET, OTHER = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
CLIENT = bytes.fromhex("0123456789abcdef")
NOW_S = 1_800_000_000.0
FEW = {"per_second": 1, "burst": 3, "slip": 1}
HERE = ip_address("127.0.0.1")


def node_of(folder: Path, **main: object) -> Path:
    return written(folder, {"www": {"pools": {"us-east": ["192.0.2.1"]}}}, **main)


def cookie_in(response: dns.message.Message) -> bytes:
    (option,) = [each for each in response.options if each.otype == 10]
    return option.to_generic().data


async def ask(node: Running, cookie: bytes = b"", **keys: object) -> dns.message.Message:
    options = [dns.edns.GenericOption(10, cookie)] if cookie else []
    query = dns.message.make_query(
        keys.pop("qname", "www.example.com"), "A", use_edns=0, options=options
    )
    send = node._over_tcp if keys.get("tcp") else node._over_udp
    async with asyncio.timeout(10):
        return dns.message.from_wire(await send(query.to_wire()))


# Secrets of the node's own.


def test_own_secrets_are_rolled_once_a_day_and_the_one_before_is_kept():
    first = OwnSecrets().rolled(NOW_S)
    same = first.rolled(NOW_S + ROLL_S - 1)
    second = same.rolled(NOW_S + ROLL_S)
    third = second.rolled(NOW_S + 2 * ROLL_S)

    assert same is first
    assert len(first.secrets) == 1
    assert second.secrets[1:] == first.secrets
    assert third.secrets[1:] == second.secrets[:1]
    assert len({*third.secrets, *second.secrets}) == 3


def test_secrets_of_a_time_to_come_are_rolled_at_once():
    assert OwnSecrets((b"1" * 16,), NOW_S + 1).rolled(NOW_S).made_s == NOW_S


def test_own_secrets_outlive_a_restart_and_are_for_their_user_alone(tmp_path):
    own = OwnSecrets((b"1" * 16, b"2" * 16), NOW_S)

    assert save(tmp_path / "var", own) is None
    assert load(tmp_path / "var") == own
    assert stat.S_IMODE((tmp_path / "var" / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"secrets": [], "made_s": 1}',
        b'{"secrets": ["00"], "made_s": 1}',
        b'{"secrets": ["c0ffee!"], "made_s": 1}',
        b'{"secrets": [5], "made_s": 1}',
        json.dumps({"secrets": [SECRET]}).encode(),
        b"[" * 100_000,
    ],
)
def test_a_file_that_holds_no_secrets_is_passed_over_and_not_shown(tmp_path, content, caplog):
    (tmp_path / FILE).write_bytes(content)

    assert load(tmp_path) == OwnSecrets()
    assert "holds no secrets" in caplog.text
    assert "c0ffee" not in caplog.text
    assert SECRET not in caplog.text


def test_secrets_never_show_themselves():
    shown = repr((OwnSecrets((b"\xc0\xff\xee" * 5 + b"!",), 1.0), Cookies(True, (b"coffee" * 3,))))

    assert "coffee" not in shown
    assert "xc0" not in shown


def protection(made: Config | None = None, own: OwnSecrets | None = None) -> Protection:
    events = Events(lambda: NOW_S)
    return Protection(made or config(), Counters(), events, own or OwnSecrets(), NOW_S)


def test_a_disk_that_cannot_be_written_is_told_of_once_and_tried_again():
    it = protection()
    own = it.unsaved
    assert own is not None

    with it._events.listen() as heard:
        it.saved(own, OSError("full"))
        it.saved(own, OSError("full"))
        assert it.secrets == own.secrets, "cookies go on being made"
        assert it.unsaved is own
        it.saved(own, None)

    assert it.unsaved is None
    assert heard.get_nowait().kind == "secrets_failed"
    assert heard.empty()


def test_written_secrets_are_taken_over_and_left_again():
    it = protection()
    own = it.secrets

    it.adopt(config(cookies=Cookies(True, (b"1" * 16,))), NOW_S)
    assert it.secrets == (b"1" * 16,)
    it.adopt(config(cookies=Cookies(enabled=False)), NOW_S)
    assert it.secrets == ()
    it.adopt(config(), NOW_S)
    assert it.secrets == own


def test_buckets_stay_over_a_reload_while_their_rule_does():
    made = config(rate_limit=RateLimit())
    it = protection(made)
    before = it.limiter
    assert before is not None

    it.adopt(replace(made, node="other"), NOW_S)
    assert it.limiter is before
    it.adopt(replace(made, rate_limit=RateLimit(exempt=(ip_network("192.0.2.0/24"),))), NOW_S)
    assert it.limiter not in (None, before)
    it.adopt(config(), NOW_S)
    assert it.limiter is None


def test_limiting_is_told_of_when_it_begins_and_when_it_is_over():
    it = protection(config(rate_limit=RateLimit()))

    with it._events.listen() as heard:
        it.look(NOW_S)
        it._counters.limited["answer", "drop"] += 5
        it.look(NOW_S + 1)
        it._counters.limited["error", "slip"] += 2
        it.look(NOW_S + 2)
        it.look(NOW_S + 2 + QUIET_S - 1)
        it.look(NOW_S + 2 + QUIET_S)
        it.look(NOW_S + 9 * QUIET_S)

    said = [heard.get_nowait() for _ in range(heard.qsize())]
    assert [(each.kind, each.fields) for each in said] == [
        ("rate_limiting", {"answers": 5}),
        ("rate_limiting_over", {"answers": 7}),
    ]


# A whole node.


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_node_answers_cookies_and_takes_its_own_back_after_a_restart(tmp_path, tcp):
    path = node_of(tmp_path)
    async with running(path) as node:
        made = cookie_in(await ask(node, CLIENT, tcp=tcp))
        assert made.startswith(CLIENT)
        assert cookie_in(await ask(node, made, tcp=tcp)) == made
        kept = tmp_path / "var" / FILE
        async with asyncio.timeout(10):
            while not kept.exists():
                await asyncio.sleep(0.01)

    async with started(path) as node:
        assert cookie_in(await ask(node, made, tcp=tcp)) == made


async def test_a_folder_that_cannot_be_written_stops_no_cookies(tmp_path):
    (tmp_path / "file").write_text("")
    path = node_of(tmp_path, state_dir="file/var")

    async with running(path) as node:
        await node.event("secrets_failed")
        made = cookie_in(await ask(node, CLIENT))
        assert cookie_in(await ask(node, made)) == made


async def test_secrets_are_rolled_by_a_reload_and_never_shown(tmp_path, caplog):
    keys = tmp_path / "keys"
    tmp_path.mkdir(exist_ok=True)
    keys.write_text(f"{SECRET}  # the old one\n")
    path = node_of(tmp_path, cookies={"secrets": {"file": "keys"}})

    async with running(path) as node:
        before = cookie_in(await ask(node, CLIENT))
        keys.write_text(f"# rolled\n{OTHER}\n{SECRET}\n")
        await node.event("reload")
        renewed = cookie_in(await ask(node, before))
        keys.write_text("not a secret, c0ffee\n")
        await node.event("reload_failed")
        assert cookie_in(await ask(node, renewed)) == renewed
        _, status = await node.http("GET", "/v1/status")
        assert not (tmp_path / "var" / FILE).exists()

    def standing(cookie: bytes, secret: str) -> Standing:
        now_s = int.from_bytes(cookie[12:16], "big")
        return check(cookie, HERE.packed, [bytes.fromhex(secret)], now_s).standing

    assert standing(before, SECRET) is Standing.VALID
    assert standing(renewed, OTHER) is Standing.VALID
    for secret in (SECRET, OTHER, "c0ffee"):
        assert secret not in caplog.text + json.dumps(status)


async def test_a_node_without_cookies_answers_as_if_none_had_come(tmp_path):
    async with started(node_of(tmp_path, cookies={"enabled": False})) as node:
        response = await ask(node, CLIENT)

    assert response.rcode() == dns.rcode.NOERROR
    assert not response.options


async def test_who_asks_too_much_is_told_to_come_back_over_tcp_or_with_its_cookie(tmp_path):
    async with running(node_of(tmp_path, rate_limit=FEW)) as node:
        for _ in range(3):
            assert (await ask(node)).answer
        slipped = await ask(node, CLIENT)
        assert slipped.flags & dns.flags.TC
        assert not slipped.answer
        assert (await ask(node, tcp=True)).answer
        assert (await ask(node, cookie_in(slipped))).answer
        assert (await ask(node, qname="nowhere.example.com")).rcode() == dns.rcode.NXDOMAIN
        await node.event("rate_limiting")
        line = 'gslb_rate_limited_total{action="slip",kind="answer"}'
        assert await node.metric(line) == 1.0


async def test_a_limit_is_put_on_and_taken_off_by_a_reload(tmp_path):
    path = node_of(tmp_path)
    async with running(path) as node:
        for _ in range(5):
            assert (await ask(node)).answer
        node_of(tmp_path, rate_limit={**FEW, "burst": 1})
        await node.event("reload")
        await ask(node)
        assert (await ask(node)).flags & dns.flags.TC
        node_of(tmp_path, rate_limit={**FEW, "exempt": ["127.0.0.0/8"]})
        await node.event("reload")
        for _ in range(5):
            assert (await ask(node)).answer


async def test_what_is_dropped_is_dropped_and_its_sender_is_answered_over_tcp(tmp_path):
    keys = {**FEW, "burst": 1, "slip": 0}
    async with running(node_of(tmp_path, rate_limit=keys)) as node:
        await ask(node)
        dug = await dig(node.dns, "+tries=1", "+time=1", "+nocookie", "www.example.com")
        assert re.search("timed out|could be reached", dug.text)
        assert (await ask(node, tcp=True)).answer
        line = 'gslb_rate_limited_total{action="drop",kind="answer"}'
        assert await node.metric(line) == 1.0


# Other people's programs.


async def test_dig_and_kdig_find_our_cookies_good(tmp_path):
    async with started(node_of(tmp_path)) as node:
        dug = await dig(node.dns, "www.example.com", f"+cookie={CLIENT.hex()}")
        made = re.search(r"; COOKIE: (\w+) \(good\)", dug.text)
        assert made, dug.text
        again = await dig(node.dns, "www.example.com", f"+cookie={made[1]}")
        wrong = await dig(
            node.dns, "+header-only", "+nobadcookie", f"+cookie={CLIENT.hex()}{'00' * 16}"
        )
        kdug = await kdig(node.dns, "www.example.com", "+cookie")

    assert f"; COOKIE: {made[1]} (good)" in again.text
    assert wrong.status == "BADCOOKIE"
    assert re.search(r"COOKIE: \w{16}", kdug.text), kdug.text


async def test_a_cookie_of_nsd_is_good_here_and_ours_is_good_there(tmp_path):
    server = f"    answer-cookie: yes\n    cookie-secret: {SECRET}\n"
    zone = "@ 300 SOA ns1 h 1 7200 900 1209600 30\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n"
    zones = {"example.com": zone}
    cookies = {"secrets": [SECRET]}
    async with (
        nsd(tmp_path / "nsd", own_address(), zones, server=server, port=5300) as other,
        started(node_of(tmp_path / "node", cookies=cookies)) as node,
    ):
        made = [
            re.search(r"; COOKIE: (\w{48})", (await dig(at, "example.com", "SOA", cookie)).text)[1]
            for at, cookie in (
                (other, f"+cookie={CLIENT.hex()}"),
                (node.dns, "+cookie=" + "0" * 16),
            )
        ]
        theirs = await dig(node.dns, "example.com", "SOA", f"+cookie={made[0]}")
        ours = await dig(other, "example.com", "SOA", f"+cookie={made[1]}")

    assert made[0] in theirs.text, "a cookie that is good comes back as it is"
    assert made[1] in ours.text
