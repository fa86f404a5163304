"""The admin API over real HTTP: its shapes, its errors, and who may change something."""

import asyncio
import base64
import hashlib
import json
import re
import socket
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from urllib.parse import quote, urlsplit

import aiohttp
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.config.settings import Endpoint
from gslb.daemons.events import LISTENERS_MAX
from gslb.daemons.jsonhttp import BATCH, Limits, RequestError, long_json_response
from gslb.daemons.openapi import document
from gslb.daemons.page import policy, read_page
from gslb.daemons.words import BY_CHARS_MAX, FOR_MAX_S, REASON_CHARS_MAX, read_word
from gslb.health.belief import Forced, Word
from gslb.health.words import FORCED_MAX, Register
from tests.admins import (
    MAIN,
    NOON_S,
    PATIENCE_S,
    Desk,
    check_documented,
    desk_at,
    operation_of,
)

FORCED = "/v1/members/192.0.2.1/forced"
DRAIN = {"word": "drain"}
TOKEN = "a-long-secret"
WITH_TOKEN = MAIN + f"admin_token: {TOKEN}\n"
QUICK = Limits(body_max_bytes=200, body_max_s=0.05, connections_max=5)


@pytest.fixture
async def desk():
    async with desk_at() as desk:
        yield desk


@pytest.fixture
async def locked():
    async with desk_at(main=WITH_TOKEN) as desk:
        yield desk


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def member(desk, address, service="www.example.com"):
    listed = (await desk.ask("GET", "/v1/members")).json["members"]
    [found] = [m for m in listed if m["address"] == address and m["service"] == service]
    return found


# Alive, ready


async def test_a_node_is_alive_before_it_is_ready(desk):
    alive = await desk.ask("GET", "/healthz")
    ready = await desk.ask("GET", "/readyz")

    assert alive.status == 200
    assert ready.status == 503
    assert ready.json["waiting_for"] == len(desk.controller.subjects())
    assert "first result" in ready.json["error"]


async def test_a_node_is_ready_once_all_are_probed_though_a_zone_is_broken(desk):
    desk.probe_all()

    ready = await desk.ask("GET", "/readyz")

    assert ready.status == 200
    [zone] = ready.json["zones_with_errors"]
    assert zone["zone"] == "example.org"
    assert "missing.zone" in zone["error"]


async def test_a_node_is_ready_once_the_grace_period_is_over(desk):
    desk.now_s += 6.9
    desk.controller.tick()
    before = await desk.ask("GET", "/readyz")

    desk.now_s += 0.2
    desk.controller.tick()
    after = await desk.ask("GET", "/readyz")

    assert (before.status, after.status) == (503, 200)


async def test_what_can_be_read_can_be_asked_for_by_its_head_alone(desk):
    said = await desk.ask("HEAD", "/v1/status")

    assert said.status == 200
    assert said.text == ""
    assert int(said.headers["Content-Length"]) > 0


async def test_metrics_are_prometheus_text(desk):
    said = await desk.ask("GET", "/metrics")

    assert said.headers["Content-Type"].startswith("text/plain; version=")
    assert "gslb_snapshot_generation" in said.text


# Status and members


async def test_the_status_says_how_the_node_is(desk):
    desk.probe_all(**{"192.0.2.1": "refused"})
    desk.now_s += 10

    said = (await desk.ask("GET", "/v1/status")).json

    assert said["node"] == "ns1.example.net"
    assert said["engine"] == "python"
    assert said["generation"] == desk.controller.snapshot.generation
    assert said["settled"]
    assert not said["restored"]
    assert (said["uptime_s"], said["snapshot_age_s"]) == (10, 10)
    assert said["held"] == {"members": 0, "since": None}
    assert said["counts"] == {
        "services": 4, "members": 8, "up": 6, "down": 2, "unknown": 0, "forced": 0,
    }  # fmt: skip
    (vantage,) = said["vantages"]
    assert vantage["vantage"] == "ns1.example.net"
    assert (vantage["state"], vantage["age_s"]) == ("heard", 10.5)
    assert said["listen"] == {"dns": ["127.0.0.1:5353"], "admin": str(desk.admin.endpoint)}
    served, broken = said["zones"]
    assert (served["zone"], served["state"], served["error"]) == ("example.com", "served", None)
    assert (broken["zone"], broken["state"]) == ("example.org", "broken")
    assert "missing.zone" in broken["error"]


async def test_what_is_served_in_an_unusual_way_is_an_alarm(desk):
    desk.probe_all(**{"2001:db8::1": "timeout", "2001:db8::2": "timeout"})

    said = (await desk.ask("GET", "/v1/status")).json

    assert said["alarms"] == [{"service": "six.example.com", "alarm": "fail_open"}]
    assert said["geo_held"] is None


async def test_a_zone_kept_in_its_old_version_is_served_and_has_an_error(desk):
    [broken] = desk.controller.config.broken
    world = desk.controller.world
    config = replace(world.config, kept=(replace(broken, text="example.com"),))
    desk.controller.world = replace(world, config=config)
    desk.controller.refuse("example.com stays as it was")

    said = (await desk.ask("GET", "/v1/status")).json

    assert said["zones"][0]["state"] == "served"
    assert "missing.zone" in said["zones"][0]["error"]
    assert said["reloads"] == {"ok": 0, "failed": 1, "last_error": "example.com stays as it was"}


async def test_before_any_probe_members_are_unknown_and_nobody_votes(desk):
    found = await member(desk, "192.0.2.1")

    assert found["verdict"] == "unknown"
    assert found["since"] is None
    assert found["votes"] == []
    assert found["lives"]


async def test_members_say_what_was_measured_and_by_whom(desk):
    desk.probe_all(**{"198.51.100.2": "refused"})
    desk.now_s += 3

    found = await member(desk, "198.51.100.2")

    assert found == {
        "address": "198.51.100.2",
        "service": "www.example.com",
        "region": "eu",
        "weight": 1,
        "source": "configured",
        "until": None,
        "pool_weight": 70,
        "verdict": "down",
        "reason": "refused",
        "since": "2027-01-15T08:00:00.000Z",
        "forced": None,
        "votes": [
            {
                "vantage": "ns1.example.net",
                "verdict": "down",
                "age_s": 3.5,
                "reason": "refused",
                "left_out": None,
            }
        ],
        "monitor": "web",
        "probe": "198.51.100.2:8080",
        "last_result": "refused",
        "lives": False,
        "held": False,
    }


async def test_members_that_nobody_probes_are_up_and_proxies_have_no_service(desk):
    host = await member(desk, "lb.example.net", "cdn.example.com")
    [proxy] = (await desk.ask("GET", "/v1/members")).json["proxies"]

    assert (host["verdict"], host["probe"], host["since"]) == ("up", None, None)
    assert (proxy["address"], proxy["service"], proxy["region"]) == ("198.51.100.200", None, "eu")
    assert proxy["verdict"] == "unknown"


async def test_members_of_all_services_are_listed_with_the_generation(desk):
    said = (await desk.ask("GET", "/v1/members")).json

    assert said["generation"] == desk.controller.snapshot.generation
    assert [m["service"] for m in said["members"]] == [
        *["www.example.com"] * 4, "api.example.com", *["six.example.com"] * 2, "cdn.example.com",
    ]  # fmt: skip


async def test_a_long_list_lets_others_have_their_turn_between_its_batches():
    turns = 0

    async def another():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(another())

    response = await long_json_response({"a": 1}, "list", iter(range(3 * BATCH)))

    other.cancel()
    assert turns >= 3
    assert json.loads(response.body) == {"a": 1, "list": list(range(3 * BATCH))}


async def test_an_empty_list_is_a_list():
    response = await long_json_response({"a": 1}, "list", iter(()))

    assert json.loads(response.body) == {"a": 1, "list": []}


# An operator's word


CLEAR = {"clear_in_s": 30.0, "ttl_s": 30}


async def test_a_word_holds_at_once_in_all_services_and_is_shown(desk):
    desk.probe_all()
    body = {"word": "drain", "for": "10m", "reason": "kernel update", "by": "ops"}

    said = await desk.ask("PUT", FORCED, body=body)

    word = {
        "word": "drain",
        "until": "2027-01-15T08:10:00.000Z",
        "reason": "kernel update",
        "by": "ops",
    }
    assert said.json == {**word, "clear_at": "2027-01-15T08:00:30.000Z", **CLEAR}
    for service in ("www.example.com", "api.example.com"):
        assert (await member(desk, "192.0.2.1", service))["forced"] == word
    assert (await member(desk, "192.0.2.2"))["forced"] is None
    assert (await member(desk, "192.0.2.1"))["verdict"] == "up"
    assert (await desk.ask("GET", "/v1/status")).json["counts"]["forced"] == 2


async def test_a_word_can_be_about_one_service(desk):
    path = FORCED + "?service=WWW.Example.COM."

    said = await desk.ask("PUT", path, body={"word": "down", "for": None})

    word = {"word": "down", "until": None, "reason": "", "by": "127.0.0.1"}
    assert said.json == {**word, "clear_at": "2027-01-15T08:00:30.000Z", **CLEAR}
    assert (await member(desk, "192.0.2.1"))["forced"] == word
    assert (await member(desk, "192.0.2.1"))["lives"] is False
    assert (await member(desk, "192.0.2.1", "api.example.com"))["forced"] is None
    [listed] = (await desk.ask("GET", "/v1/members")).json["forced"]
    assert listed == {"address": "192.0.2.1", "service": "www.example.com", **word}


async def test_a_proxy_can_be_forced_like_a_member(desk):
    await desk.ask("PUT", "/v1/members/198.51.100.200/forced", body={"word": "down"})

    [proxy] = (await desk.ask("GET", "/v1/members")).json["proxies"]
    assert proxy["forced"]["word"] == "down"


async def test_a_word_is_over_when_its_time_is(desk):
    await desk.ask("PUT", FORCED, body={"word": "up", "for": 60})

    desk.now_s += 60

    assert (await member(desk, "192.0.2.1"))["forced"] is None
    assert (await desk.ask("GET", "/v1/members")).json["forced"] == []


@pytest.mark.parametrize(
    ("written", "address", "service"),
    [
        ("2001:DB8::1", "2001:db8::1", "six.example.com"),
        ("2001:0db8:0:0::0001", "2001:db8::1", "six.example.com"),
        (quote("2001:db8::1", safe=""), "2001:db8::1", "six.example.com"),
        ("LB.Example.NET.", "lb.example.net", "cdn.example.com"),
        ("192%2E0.2.2", "192.0.2.2", "www.example.com"),
    ],
)
async def test_an_address_may_be_written_in_any_way(desk, written, address, service):
    said = await desk.ask("PUT", f"/v1/members/{written}/forced", body=DRAIN)

    assert said.status == 200
    assert (await member(desk, address, service))["forced"]["word"] == "drain"


async def test_a_word_is_taken_back_and_taking_back_nothing_is_fine(desk):
    await desk.ask("PUT", FORCED, body=DRAIN)

    first = await desk.ask("DELETE", FORCED)
    second = await desk.ask("DELETE", FORCED)

    assert (first.status, second.status) == (204, 204)
    assert (await member(desk, "192.0.2.1"))["forced"] is None


async def test_words_are_limited_but_one_that_holds_can_be_said_again(desk):
    await desk.ask("PUT", FORCED, body=DRAIN)
    forced = desk.controller.forced
    hosts = [f"host-{number}.example.net" for number in range(FORCED_MAX - 2)]
    desk.controller.operators.hear({(host, ""): Register(1, "", Forced(Word.UP)) for host in hosts})

    at_the_limit = await desk.ask("PUT", FORCED + "?service=www.example.com", body=DRAIN)
    past_it = await desk.ask("PUT", FORCED + "?service=api.example.com", body=DRAIN)

    assert len(forced) == FORCED_MAX
    assert (at_the_limit.status, past_it.status) == (200, 409)


REGION = "/v1/regions/eu/forced"


async def test_a_region_is_drained_gradually_and_released(desk):
    desk.probe_all()
    said = await desk.ask("PUT", REGION, body={"word": "drain", "over": "5m"})
    [listed] = (await desk.ask("GET", "/v1/members")).json["forced"]
    shown = (await member(desk, "198.51.100.1"))["forced"]
    gone = await desk.ask("DELETE", REGION)

    word = {"word": "drain", "until": None, "reason": "", "by": "127.0.0.1"}
    word["whole_at"] = "2027-01-15T08:05:00.000Z"
    assert said.json == {
        **word,
        "clear_at": "2027-01-15T08:05:30.000Z",
        "clear_in_s": 330.0,
        "ttl_s": 30,
    }
    assert listed == {"address": None, "region": "eu", "service": None, **word}
    assert shown == word
    assert gone.status == 204
    assert not desk.controller.forced


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (FORCED, {"word": "drain"}),
        ("/v1/members/192.0.2.1/forced?service=api.example.com", {"word": "down"}),
        ("/v1/members/198.51.100.1/forced", {"word": "down"}),
    ],
)
async def test_a_careful_word_that_costs_a_service_too_much_is_refused(desk, path, body):
    desk.probe_all(**{"198.51.100.2": "refused", "192.0.2.2": "refused"})
    careful = f"{path}{'&' if '?' in path else '?'}careful=true"

    refused = await desk.ask("PUT", careful, body=body)
    held = dict(desk.controller.forced)
    careless = await desk.ask("PUT", careful.replace("true", "false"), body=body)

    assert (refused.status, careless.status) == (409, 200)
    assert not held
    assert "example.com: " in refused.json["error"]


async def test_a_careful_word_makes_nothing_worse_that_is_bad_already(desk):
    everyone = {str(subject.address): "refused" for subject in desk.controller.subjects()}
    desk.probe_all(**everyone)
    all_down = await desk.ask("PUT", f"{FORCED}?careful=true", body={"word": "down"})
    desk.probe_all()
    await desk.ask("PUT", "/v1/members/192.0.2.1/forced", body=DRAIN)
    all_drained = await desk.ask("PUT", f"{FORCED}?careful=true", body=DRAIN)

    assert (all_down.status, all_drained.status) == (200, 200)


async def test_a_careful_drain_may_empty_a_rung(desk):
    desk.probe_all()

    said = await desk.ask("PUT", "/v1/members/2001:db8::1/forced?careful=true", body=DRAIN)

    assert said.status == 200


async def test_a_careful_word_that_leaves_enough_holds(desk):
    desk.probe_all()

    member_ = await desk.ask("PUT", f"{FORCED}?service=www.example.com&careful=true", body=DRAIN)
    region = await desk.ask("PUT", f"{REGION}?careful=true", body=DRAIN)

    assert (member_.status, region.status) == (200, 200)


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["word", "for", "reason", "by", "x"]), inner | st.just("drain"), max_size=4
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_body_is_a_word_or_a_request_error(body):
    try:
        found = read_word(body, "ops", NOON_S)
    except RequestError as error:
        found = error

    assert isinstance(found, Forced) or (found.status == 400 and found.hint)


@pytest.mark.parametrize(
    ("key", "longest"),
    [
        ("for", FOR_MAX_S),
        ("for", 1),
        ("for", "1s"),
        ("reason", "r" * REASON_CHARS_MAX),
        ("by", "b" * BY_CHARS_MAX),
        ("reason", ""),
        ("reason", None),
    ],
)
def test_each_key_of_a_word_is_taken_up_to_its_limit(key, longest):
    body = json.dumps({"word": "up", key: longest}).encode()

    assert read_word(body, "ops", NOON_S).word is Word.UP


# Everything that can be wrong: (method, path, status, what is sent)

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
DEEP = b"[" * 10_000
PLACE = "/v1/pools/www.example.com/us/members/192.0.2.9"
WRONG = [
    ("PUT", FORCED, 400, {"body": b"", "headers": JSON}),
    ("PUT", FORCED, 400, {"body": b"{", "headers": JSON}),
    ("PUT", FORCED, 400, {"body": b"\xff\xfe", "headers": JSON}),
    ("PUT", FORCED, 400, {"body": DEEP, "headers": JSON}),
    ("PUT", FORCED, 400, {"body": b'{"word": NaN}', "headers": JSON}),
    ("PUT", FORCED, 400, {"body": b'{"word": "up", "word": "down"}', "headers": JSON}),
    ("PUT", FORCED, 400, {"body": b'{"word": "up", "for": ' + b"9" * 5000 + b"}", "headers": JSON}),
    ("PUT", FORCED, 400, {"body": []}),
    ("PUT", FORCED, 400, {"body": "drain"}),
    ("PUT", FORCED, 400, {"body": {}}),
    ("PUT", FORCED, 400, {"body": {"word": None}}),
    ("PUT", FORCED, 400, {"body": {"word": "Drain"}}),
    ("PUT", FORCED, 400, {"body": {"word": 1}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "until": "tomorrow"}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "for": "10 parsecs"}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "for": ""}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "for": 0}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "for": -1}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "for": FOR_MAX_S + 1}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "for": True}}),
    ("PUT", FORCED, 400, {"body": b'{"word": "up", "for": 1e999}', "headers": JSON}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "reason": 1}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "reason": "a\nb"}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "reason": "r" * (REASON_CHARS_MAX + 1)}}),
    ("PUT", FORCED, 400, {"body": {"word": "drain", "by": "b" * (BY_CHARS_MAX + 1)}}),
    ("PUT", FORCED, 400, {"body": b'{"word": "up", "reason": "\\ud800"}', "headers": JSON}),
    ("PUT", FORCED + "?srevice=www.example.com", 400, {"body": DRAIN}),
    ("PUT", FORCED + "?service=a&service=b", 400, {"body": DRAIN}),
    ("PUT", FORCED + "?service=", 400, {"body": DRAIN}),
    ("PUT", FORCED + "?service=a..b", 400, {"body": DRAIN}),
    ("PUT", FORCED + "?service=mail.example.com", 404, {"body": DRAIN}),
    ("PUT", "/v1/members/192.0.2.99/forced", 404, {"body": DRAIN}),
    ("PUT", "/v1/members/2001:db8::99/forced", 404, {"body": DRAIN}),
    ("PUT", "/v1/members/fe80::1%25eth0/forced", 404, {"body": DRAIN}),
    ("PUT", "/v1/members/a%2Fb/forced", 404, {"body": DRAIN}),
    ("PUT", "/v1/members/%ff%00/forced", 404, {"body": DRAIN}),
    ("PUT", "/v1/members/~/forced", 404, {"body": DRAIN}),
    ("PUT", FORCED, 403, {"body": DRAIN, "headers": {"Origin": "http://www.example.net"}}),
    ("PUT", FORCED, 413, {"body": {"word": "drain", "reason": "r" * 20_000}}),
    ("PUT", FORCED, 415, {"body": b'{"word": "drain"}', "headers": TEXT}),
    ("PUT", FORCED, 415, {"body": DRAIN, "headers": {"Content-Encoding": "gzip"}}),
    ("DELETE", FORCED + "?when=now", 400, {}),
    ("DELETE", FORCED, 403, {"headers": {"Host": "www.example.net"}}),
    ("PUT", PLACE, 409, {"body": {}}),
    ("PUT", PLACE, 403, {"body": {}, "headers": {"Origin": "http://www.example.net"}}),
    ("PUT", PLACE, 413, {"body": {"probe": "r" * 20_000}}),
    ("PUT", PLACE, 415, {"body": b"{}", "headers": TEXT}),
    ("PUT", PLACE.replace("192.0.2.9", "lb.example.net"), 400, {"body": {}}),
    ("PUT", PLACE.replace("www", "ww"), 404, {"body": {}}),
    ("PUT", PLACE.replace("/us/", "/asia/"), 404, {"body": {}}),
    ("DELETE", PLACE, 403, {"headers": {"Host": "www.example.net"}}),
    ("DELETE", PLACE, 409, {}),
    ("DELETE", PLACE.replace("192.0.2.9", "0.0.0.0"), 400, {}),
    ("DELETE", PLACE.replace("www", "ww"), 404, {}),
    ("DELETE", "/v1/members/192.0.2.99/forced", 404, {}),
    ("PUT", "/v1/members/192.0.2.1/forced?careful=maybe", 400, {"body": DRAIN}),
    ("PUT", "/v1/members/192.0.2.1/forced", 400, {"body": {"word": "up", "over": "5m"}}),
    ("PUT", "/v1/regions/eu/forced", 400, {"body": {"word": "down"}}),
    ("PUT", "/v1/regions/mars/forced", 404, {"body": DRAIN}),
    ("DELETE", "/v1/regions/eu/forced?service=", 400, {}),
    ("DELETE", "/v1/regions/mars/forced", 404, {}),
    ("POST", "/v1/publish", 403, {"headers": {"Host": "www.example.net"}}),
    ("POST", "/v1/publish", 409, {}),
    ("POST", "/v1/publish", 415, {"body": b"a=b", "headers": TEXT}),
    ("POST", "/v1/reports", 403, {"body": {"report": 1}}),
    ("GET", "/v1/explain", 400, {}),
    ("GET", "/v1/explain?client=192.0.2.7", 400, {}),
    ("GET", "/v1/explain?name=www.example.com", 400, {}),
    ("GET", "/v1/explain?name=a..b&client=192.0.2.7", 400, {}),
    ("GET", f"/v1/explain?name={'a' * 64}.example.com&client=192.0.2.7", 400, {}),
    ("GET", "/v1/explain?name=www.example.com&client=nobody", 400, {}),
    ("GET", "/v1/explain?name=www.example.com&client=192.0.2.0/33", 400, {}),
    ("GET", "/v1/explain?name=www.example.com&client=192.0.2.7&type=B", 400, {}),
    ("GET", "/v1/explain?name=www.example.com&client=192.0.2.7&type=TYPE70000", 400, {}),
    ("GET", "/v1/explain?name=www.example.com&client=192.0.2.7&down=x", 400, {}),
    ("GET", "/v1/explain?name=www.example.net&client=192.0.2.7", 404, {}),
    ("GET", "/v2/status", 404, {}),
    ("GET", "/v1/status/", 404, {}),
    ("GET", "/v1/members/192.0.2.1", 404, {}),
    ("GET", "/favicon.ico", 404, {}),
    ("GET", "/%ff%fe", 404, {}),
    ("POST", "/v1/status", 405, {}),
    ("OPTIONS", FORCED, 405, {}),
    ("GET", FORCED, 405, {}),
    ("HEAD", "/v1/events", 405, {}),
    ("PATCH", "/", 405, {}),
]


@pytest.mark.parametrize(("method", "path", "status", "sent"), WRONG)
async def test_what_is_wrong_is_said_in_json_with_a_hint(desk, method, path, status, sent):
    before = desk.controller.snapshot.generation

    said = await desk.ask(method, path, **sent)

    assert said.status == status
    assert said.headers["Content-Type"] == "application/json"
    if method != "HEAD":
        assert said.json["error"]
        assert said.json["hint"]
    if status == 405:
        assert said.headers["Allow"]
    assert not desk.controller.forced
    assert desk.controller.snapshot.generation == before


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\r\n\0\r\n\r\n"]
)
async def test_what_is_no_http_is_answered_in_json_too(desk, octets):
    head, _, body = (await over_tcp(desk, octets)).partition(b"\r\n\r\n")

    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert json.loads(body).keys() == {"error", "hint"}


PUT = (
    b"PUT /v1/members/192.0.2.1/forced HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\n"
)
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
UNFINISHED = PUT + b"Content-Length: 20\r\n\r\n"


async def test_a_body_cut_into_malformed_chunks_is_the_senders_fault(desk):
    assert b" 400 Bad Request" in await over_tcp(desk, CHUNKED + b"zz\r\n")


async def test_a_body_that_breaks_off_is_the_senders_fault(caplog):
    async with desk_at(limits=QUICK) as desk:
        where = desk.admin.endpoint
        reader, writer = await asyncio.open_connection(where.host, where.port)
        writer.write(CHUNKED + b"1\r\n{\r\n")
        await desk.ask("GET", "/healthz")
        writer.write(b"zz\r\n")
        async with asyncio.timeout(PATIENCE_S):
            said = await reader.read()
        writer.close()

    assert said.startswith(b"HTTP/1.1 4")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_goes_away_amid_its_body_is_no_error_of_ours(desk, caplog):
    where = desk.admin.endpoint
    _, writer = await asyncio.open_connection(where.host, where.port)
    writer.write(UNFINISHED + b"{")
    await desk.ask("GET", "/healthz")
    writer.close()
    await writer.wait_closed()

    for _ in range(3):
        assert (await desk.ask("GET", "/healthz")).status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_body_is_taken_up_to_its_limit_and_no_further():
    body = json.dumps({"word": "drain", "reason": "kernel update"})
    async with desk_at(limits=QUICK) as desk:
        whole = body.ljust(QUICK.body_max_bytes).encode()
        at_it = await desk.ask("PUT", FORCED, body=whole, headers=JSON)
        past_it = await desk.ask("PUT", FORCED, body=whole + b" ", headers=JSON)
        in_chunks = await over_tcp(desk, CHUNKED + b"c9\r\n" + whole + b" \r\n0\r\n\r\n")

    assert (at_it.status, past_it.status) == (200, 413)
    assert in_chunks.startswith(b"HTTP/1.1 413 ")


async def test_a_client_is_invited_to_send_a_body_that_is_not_waited_for_long():
    octets = UNFINISHED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    async with desk_at(limits=QUICK) as desk:
        said = await over_tcp(desk, octets)

    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 ")


async def test_one_connection_too_many_is_closed_and_the_others_go_on():
    async with desk_at(limits=QUICK) as desk:
        where = desk.admin.endpoint
        async with asyncio.timeout(PATIENCE_S):
            pairs = [
                await asyncio.open_connection(where.host, where.port)
                for _ in range(QUICK.connections_max + 1)
            ]
            for _, writer in pairs:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            heard = [await first_line(reader) for reader, _ in pairs]
        for _, writer in pairs:
            writer.close()

    assert heard == [b"HTTP/1.1 200 OK\r\n"] * QUICK.connections_max + [b""]


async def first_line(reader):
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


async def over_tcp(desk, octets):
    """Send octets as they are, and return all that comes back until the other side closes."""
    where = desk.admin.endpoint
    reader, writer = await asyncio.open_connection(where.host, where.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(octets)
            return await reader.read()
    finally:
        writer.close()


# Who may change something


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("PUT", FORCED, 200, DRAIN),
        ("DELETE", FORCED, 204, None),
        ("POST", "/v1/publish", 409, None),
    ],
)
async def test_with_a_token_configured_only_who_knows_it_changes_something(
    locked, method, path, status, body
):
    without = await locked.ask(method, path, body=body)
    wrong = await locked.ask(method, path, body=body, headers=bearer("a-long-secrét"))
    basic = await locked.ask(method, path, body=body, headers={"Authorization": f"Basic {TOKEN}"})
    right = await locked.ask(method, path, body=body, headers=bearer(TOKEN))

    assert [without.status, wrong.status, basic.status, right.status] == [401, 401, 401, status]
    assert without.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in without.text + wrong.text


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/v1/status", "/v1/members"])
async def test_reading_needs_no_token(locked, path):
    assert (await locked.ask("GET", path)).status == 200


async def test_a_word_said_with_the_token_is_the_admins(locked):
    headers = {**bearer(TOKEN), "Host": "ns1.example.net", "Origin": "https://ops.example.net"}

    said = await locked.ask("PUT", FORCED, body=DRAIN, headers=headers)

    assert said.json["by"] == "admin"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LOCALHOST:8053"},
        {"Host": "127.0.0.53"},
        {"Host": "[::1]:8053"},
        {"Host": "localhost:99", "Origin": "http://localhost:99"},
    ],
)
async def test_on_loopback_without_a_token_whoever_is_on_the_host_may_change(desk, headers):
    assert (await desk.ask("PUT", FORCED, body=DRAIN, headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.net"},
        {"Host": "evil.example.net:8053", "Origin": "http://evil.example.net:8053"},
        {"Host": "127.0.0.1.example.net"},
        {"Host": "192.0.2.1"},
        {"Host": "[2001:db8::1]"},
        {"Origin": "http://evil.example.net"},
        {"Origin": "http://127.0.0.1:9"},
        {"Origin": "null"},
    ],
)
async def test_without_a_token_pages_from_elsewhere_change_nothing(desk, headers):
    said = await desk.ask("PUT", FORCED, body=DRAIN, headers=headers)

    assert said.status == 403
    assert not desk.controller.forced


async def test_away_from_loopback_without_a_token_nobody_changes_anything(desk):
    where = desk.admin.endpoint
    desk.admin.endpoint = Endpoint("192.0.2.53", where.port)
    async with (
        aiohttp.ClientSession() as session,
        session.delete(f"http://{where}{FORCED}") as said,
    ):
        assert said.status == 403
        assert "admin_token" in (await said.json())["hint"]


# Explanations


async def test_an_explanation_says_what_a_client_gets_and_why(desk):
    desk.probe_all(**{"192.0.2.1": "refused"})

    said = (await desk.ask("GET", "/v1/explain?name=WWW.example.com.&client=203.0.113.9")).json

    assert (said["name"], said["type"], said["client"]) == (
        "www.example.com",
        "A",
        "203.0.113.9/32",
    )
    assert said["generation"] == desk.controller.snapshot.generation
    assert "192.0.2.1" not in {answer["address"] for answer in said["answers"]}
    assert sum(answer["share"] for answer in said["answers"]) == pytest.approx(1)
    assert said["rungs"][0]["outcome"] == "served"


async def test_without_a_type_a_service_of_ipv6_alone_is_explained_as_such(desk):
    said = (await desk.ask("GET", "/v1/explain?name=six.example.com&client=2001:db8::/48")).json
    asked_for_a = await desk.ask("GET", "/v1/explain?name=six.example.com&client=::1&type=A")

    assert said["type"] == "AAAA"
    assert {answer["address"] for answer in said["answers"]} == {"2001:db8::1", "2001:db8::2"}
    assert asked_for_a.json["answers"] == []


@pytest.mark.parametrize(
    "name", ["www.example.com", "example.com", "no.example.com", "example.org"]
)
@pytest.mark.parametrize("kind", ["a", "TXT", "ANY", "AXFR", "OPT", "TYPE0", "TYPE65535", "DNAME"])
async def test_any_name_of_ours_and_any_type_can_be_explained(desk, name, kind):
    said = await desk.ask("GET", f"/v1/explain?name={name}&client=0.0.0.0/0&type={kind}")

    assert said.status == 200


# What is held back


async def test_what_the_safety_catch_holds_is_shown_and_published_at_an_operators_word():
    async with desk_at(main=MAIN + "max_withdrawal: {share: 10%, for: 60s}\n") as desk:
        desk.probe_all()
        desk.now_s += 1
        for subject, record in desk.records.items():
            desk.records[subject] = replace(record, verdict=record.verdict.DOWN, reason="refused")
        desk.look_again()

        held = (await desk.ask("GET", "/v1/status")).json["held"]
        kept = await member(desk, "192.0.2.1")
        first = await desk.ask("POST", "/v1/publish")
        gone = await member(desk, "192.0.2.1")
        second = await desk.ask("POST", "/v1/publish")

    assert held == {"members": 7, "since": "2027-01-15T08:00:01.000Z"}
    assert (kept["verdict"], kept["held"], kept["lives"]) == ("down", True, True)
    assert (gone["verdict"], gone["held"], gone["lives"]) == ("down", False, False)
    assert (first.status, second.status) == (204, 409)


# Events


@asynccontextmanager
async def listening(desk):
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{desk.url}/v1/events") as response,
    ):
        assert response.content_type == "text/event-stream"
        assert await block(response) == ": listening"
        yield response


async def block(response):
    lines = (await response.content.readuntil(b"\n\n")).decode()
    return lines.removesuffix("\n\n")


async def test_events_are_told_as_they_happen(desk):
    async with listening(desk) as response:
        await desk.ask("PUT", FORCED, body={"word": "drain", "reason": "kernel update"})

        kind, data = (await block(response)).split("\n")

    assert kind == "event: forced"
    said = json.loads(data.removeprefix("data: "))
    assert (said["event"], said["member"], said["word"]) == ("forced", "192.0.2.1", "drain")


async def test_while_nothing_happens_a_heartbeat_says_so():
    async with desk_at(heartbeat_s=0.01) as desk, listening(desk) as response:
        assert await block(response) == ": heartbeat"


async def test_closing_ends_the_streams_in_order(desk):
    async with listening(desk) as response:
        await desk.admin.close()

        rest = await response.content.read()

    assert rest in (b"", b": heartbeat\n\n")


async def test_a_listener_that_goes_away_leaves_its_place():
    async with desk_at(heartbeat_s=0.005) as desk, asyncio.timeout(PATIENCE_S):
        async with listening(desk):
            pass
        with ExitStack() as others:
            for _ in range(LISTENERS_MAX - 1):
                others.enter_context(desk.events.listen())
            while (await desk.ask("GET", "/v1/events")).status == 503:
                pass


async def test_too_many_listeners_are_turned_away(desk):
    with ExitStack() as others:
        for _ in range(LISTENERS_MAX):
            others.enter_context(desk.events.listen())

        said = await desk.ask("GET", "/v1/events")

    assert said.status == 503
    assert int(said.headers["Retry-After"]) > 0


# The document and the page


async def test_the_document_names_every_route_and_no_other(desk):
    said = (await desk.ask("GET", "/openapi.json")).json

    documented = {
        (method.upper(), path)
        for path, operations in said["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert documented == {(route.method, route.path) for route in desk.admin.server.routes}


def test_the_document_is_well_formed():
    whole = document()

    names = [operation["operationId"] for operation in operations()]
    assert len(names) == len(set(names))
    for schema in whole["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for kind, which in re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(whole)):
        assert which in whole["components"][kind]
    for path, operations_ in whole["paths"].items():
        said = operations_.get("parameters", [])
        in_path = {parameter["name"] for parameter in said if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))


# In tests/test_voting.py and tests/test_discovery.py.
TRIED_ELSEWHERE = (
    "/v1/reports",
    "/v1/words",
    "/v1/pools/{service}/{region}/members/{address}",
)


def test_every_documented_error_is_provoked_by_some_test():
    # 401, 408 and 503 have tests of their own above, and so has the limit of words.
    # What is said of regions is heard by the same lines as what is said of members.
    spoken_of = ("/v1/members/", "/v1/regions/")
    provoked = {(m, FORCED if p.startswith(spoken_of) else p.partition("?")[0], s)
                for m, p, s, _ in WRONG}  # fmt: skip
    place = "/v1/pools/{service}/{region}/members/192.0.2.1"
    provoked |= {(m, place, s) for m, p, s in provoked if p.startswith("/v1/pools/")}
    for method, path, status in provoked:
        operation = operation_of(method, path)
        if operation is not None and status != 405:
            assert str(status) in operation["responses"]
    for path, operations_ in document()["paths"].items():
        for method, operation in operations_.items():
            if method == "parameters":
                continue
            for status in operation["responses"]:
                at = FORCED if path.startswith(spoken_of) else path
                key = (method.upper(), at, int(status))
                elsewhere = int(status) in (401, 408, 503) or key == ("PUT", FORCED, 409)
                elsewhere = elsewhere or path in TRIED_ELSEWHERE
                assert int(status) < 400 or elsewhere or key in provoked, key


def operations():
    return [
        operation
        for operations_ in document()["paths"].values()
        for method, operation in operations_.items()
        if method != "parameters"
    ]


def test_a_response_that_is_not_documented_would_be_noticed():
    class Odd:
        status, text, headers = 418, "{}", JSON

    with pytest.raises(AssertionError, match="not documented"):
        check_documented("GET", "/v1/status", Odd)


async def test_the_page_holds_everything_that_it_shows(desk):
    said = await desk.ask("GET", "/")

    assert said.headers["Content-Type"] == "text/html; charset=utf-8"
    assert said.text.startswith("<!doctype html>")
    assert not re.search(r"https?://|src=|@import|url\(", said.text)
    assert "<html lang=" in said.text
    assert 'name="viewport"' in said.text
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert danger not in said.text


def test_the_pages_policy_allows_what_stands_in_it_and_nothing_else():
    page = read_page()

    said = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))

    assert said["default-src"] == "'none'"
    for kind in ("style", "script"):
        [inline] = re.findall(rf"<{kind}>(.*?)</{kind}>", page.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert said[f"{kind}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"\son\w+=|\sstyle=", page.body.decode())
    assert policy("<script>x</script>") != policy("<script>y</script>")


# Starting and stopping


async def test_an_address_that_is_taken_is_an_os_error(desk):
    other = Desk()

    with pytest.raises(OSError, match="address already in use"):
        await other.admin.listen(desk.admin.endpoint)

    await other.admin.close()


async def test_closing_twice_does_nothing_more(desk):
    await desk.admin.close()
    await desk.admin.close()

    with pytest.raises(aiohttp.ClientError):
        await desk.ask("GET", "/healthz")


async def test_ipv6_loopback_is_loopback():
    async with desk_at("::1") as desk:
        said = await desk.ask("PUT", FORCED, body=DRAIN)

    assert said.status == 200
    assert said.json["by"] == "::1"


async def test_an_error_of_ours_is_json_too_and_is_logged(desk, caplog):
    async def broken(_):
        raise ZeroDivisionError

    server = desk.admin.server
    server.routes = tuple(
        replace(route, handle=broken) if route.path == "/v1/status" else route
        for route in server.routes
    )
    async with aiohttp.ClientSession() as session, session.get(f"{desk.url}/v1/status") as said:
        assert said.status == 500
        assert (await said.json()).keys() == {"error", "hint"}

    assert "ZeroDivisionError" in caplog.text


async def test_a_word_for_all_services_replaces_those_for_one_and_can_be_taken_back_in_one(desk):
    await desk.ask("PUT", FORCED + "?service=www.example.com", body={"word": "up"})
    await desk.ask("PUT", FORCED, body=DRAIN)
    everywhere = set(desk.controller.forced)
    await desk.ask("DELETE", FORCED + "?service=www.example.com")

    assert everywhere == {("192.0.2.1", "")}
    assert ("192.0.2.1", "www.example.com") not in desk.controller.forced
    assert {key[1] for key in desk.controller.forced} == {"api.example.com"}


async def test_asking_whether_a_node_is_ready_changes_nothing_of_what_it_believes(desk):
    desk.probe_all(**{"192.0.2.1": "refused"})
    desk.controller = type(desk.controller)(
        desk.controller.world, desk.clock, desk.counters, desk.events
    )
    desk.is_complete = False
    desk.controller.follow(desk.records, lambda: desk.is_complete)
    desk.controller.tick()
    desk.now_s += 100

    asked = desk.controller.is_settled
    desk.controller.tick()

    service = next(s for s in desk.controller.config.services() if s.text == "www.example.com")
    (down,) = [m for pool in service.pools for m in pool.members if str(m.address) == "192.0.2.1"]
    assert not asked
    assert desk.controller.snapshot.entries[service.name].rests_on[0].verdict.value == "down"
    assert desk.controller.believed(service, down).verdict.value == "down"


@pytest.mark.parametrize("turns", range(6))
async def test_nobody_who_is_just_connecting_outlives_it(turns):
    async with desk_at() as desk:
        url = urlsplit(desk.url)
        client = socket.create_connection((url.hostname, url.port))
        for _ in range(turns):
            await asyncio.sleep(0)
    client.setblocking(False)
    with client, suppress(ConnectionResetError):
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
