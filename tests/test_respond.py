"""From a message to the octets that answer it: a pure function, with what is to be counted."""

from __future__ import annotations

from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.dns.cookie import server_cookie
from gslb.dns.message import BADCOOKIE, FORMERR, NOERROR, decode_query
from gslb.dns.response import TCP_MAX, UDP_MAX, encode, encode_error
from gslb.model import RateLimit
from gslb.routing.answer import answer
from gslb.routing.ratelimit import Action, Kind, Limiter
from gslb.routing.respond import SILENCE, Reply, respond
from tests.world import plan, pool, service, snapshot

SNAP = snapshot(
    plan(
        service(pool("us", "192.0.2.1", "192.0.2.2")),
        records=[("big", "TXT", " ".join(f'"{"x" * 250}"' for _ in range(8)))],
    )
)
SENDER = ip_address("198.51.100.7")


def query(qname: str = "www.example.com", rdtype: str = "A", **keys: object) -> bytes:
    message = dns.message.make_query(qname, rdtype, **keys)
    message.id = 1
    return message.to_wire()


@given(st.integers(0, 2**64 - 1))
def test_what_is_said_is_the_answer_encoded_and_what_to_count_goes_beside_it(draw):
    reply = respond(SNAP, query(), SENDER, draw, 0.0)

    asked = decode_query(query())
    said = answer(SNAP, asked, SENDER, draw, 0.0)
    assert reply == Reply(
        encode(asked, said, node=b"ns1.example.net"), 1, 0, "www.example.com", "rung"
    )


def test_a_message_that_is_no_query_is_answered_with_its_header_and_counted_without_a_type():
    notify = (1).to_bytes(2, "big") + b"\x20\x00" + bytes(8)

    assert respond(SNAP, notify, SENDER, 0, 0.0) == Reply(encode_error(notify, 5), 0, 5)


def test_what_must_not_be_answered_meets_silence():
    response = dns.message.make_response(dns.message.from_wire(query())).to_wire()

    assert respond(SNAP, b"\0" * 11, SENDER, 0, 0.0) is SILENCE
    assert respond(SNAP, response, SENDER, 0, 0.0) is SILENCE


def test_the_transport_limits_the_size():
    wire = query("big.example.com", "TXT", use_edns=0, payload=4096)
    small = respond(SNAP, wire, SENDER, 0, 0.0, size_max=UDP_MAX).octets
    whole = respond(SNAP, wire, SENDER, 0, 0.0, size_max=TCP_MAX).octets

    assert dns.message.from_wire(small).flags & dns.flags.TC
    assert len(dns.message.from_wire(whole).answer) == 1


# Server cookies.

SECRETS = (b"1" * 16, b"2" * 16)
CLIENT = b"12345678"
NOW_S = 1_800_000_000.75
FRESH = server_cookie(CLIENT, SENDER.packed, int(NOW_S), SECRETS[0])


def with_cookie(cookie: bytes = CLIENT, qname: str = "www.example.com", rdtype: str = "A") -> bytes:
    return query(qname, rdtype, use_edns=0, options=[dns.edns.GenericOption(10, cookie)])


def replied(wire: bytes, **keys: object) -> dns.message.Message:
    keys = {"secrets": SECRETS, **keys}
    return dns.message.from_wire(respond(SNAP, wire, SENDER, 0, NOW_S, **keys).octets)


def cookie_of(response: dns.message.Message) -> bytes | None:
    found = [each for each in response.options if each.otype == 10]
    return found[0].to_generic().data if found else None


def only_a_cookie(cookie: bytes) -> bytes:
    wire = with_cookie(cookie)
    question = wire.index(b"\x03www")
    return wire[:4] + b"\0\0" + wire[6:12] + wire[question + len(query()) - 12 :]


@pytest.mark.parametrize("size_max", [UDP_MAX, TCP_MAX])
@pytest.mark.parametrize("cookie", [CLIENT, CLIENT + FRESH, CLIENT + bytes(16), CLIENT + bytes(9)])
def test_who_sends_a_cookie_is_answered_with_a_good_one_over_any_transport(cookie, size_max):
    response = replied(with_cookie(cookie), size_max=size_max)

    assert response.answer
    assert cookie_of(response) == CLIENT + FRESH


def test_who_sends_no_cookie_gets_none():
    assert cookie_of(replied(query(use_edns=0))) is None
    assert replied(query()).opt is None


def test_a_node_without_secrets_has_no_cookies():
    assert cookie_of(replied(with_cookie(), secrets=())) is None


def test_errors_that_carry_options_carry_the_cookie_too():
    trailing = with_cookie() + b"!"
    elsewhere = with_cookie(qname="www.example.net")

    assert cookie_of(replied(trailing)) == CLIENT + FRESH
    assert replied(trailing).rcode() == dns.rcode.FORMERR
    assert cookie_of(replied(elsewhere)) == CLIENT + FRESH
    assert replied(elsewhere).rcode() == dns.rcode.REFUSED


def test_a_cookie_that_is_malformed_is_a_format_error_without_a_cookie():
    response = replied(with_cookie(b"short"))

    assert (response.rcode(), cookie_of(response)) == (dns.rcode.FORMERR, None)


def test_a_cookie_is_never_left_out_for_size():
    response = replied(with_cookie(qname="big.example.com", rdtype="TXT"))

    assert response.flags & dns.flags.TC
    assert cookie_of(response) == CLIENT + FRESH


@pytest.mark.parametrize(
    ("cookie", "rcode"),
    [(CLIENT, NOERROR), (CLIENT + FRESH, NOERROR), (CLIENT + bytes(16), BADCOOKIE)],
)
def test_a_query_without_a_question_is_told_whether_its_cookie_is_good(cookie, rcode):
    response = replied(only_a_cookie(cookie))

    assert (response.rcode(), response.question, response.answer) == (rcode, [], [])
    assert cookie_of(response) == CLIENT + FRESH


def test_a_query_without_a_question_is_a_format_error_where_there_are_no_cookies():
    wire = only_a_cookie(CLIENT)

    assert respond(SNAP, wire, SENDER, 0, NOW_S) == Reply(encode_error(wire, FORMERR), 0, FORMERR)


def longest() -> str:
    return ".".join(["a" * 63] * 3 + ["b" * 49, "example", "com"])


@pytest.mark.parametrize("rdtype", ["A", "TXT"])
def test_the_longest_name_with_a_subnet_and_a_cookie_fits_the_smallest_asker(rdtype):
    options = [dns.edns.GenericOption(10, CLIENT), dns.edns.ECSOption("2001:db8::1", 128)]
    wire = query(longest(), rdtype, use_edns=0, payload=512, options=options)

    octets = respond(SNAP, wire, SENDER, 0, NOW_S, secrets=SECRETS).octets

    assert len(octets) <= 512
    response = dns.message.from_wire(octets)
    assert [each.otype for each in response.options] == [8, 10], "in this order"


@settings(max_examples=300)
@given(st.data())
def test_whatever_comes_is_answered_or_not_but_raises_nothing(data):
    base = data.draw(
        st.sampled_from([with_cookie(), with_cookie(CLIENT + FRESH), only_a_cookie(CLIENT)])
    )
    wire = bytearray(base)
    for _ in range(data.draw(st.integers(0, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    wire = bytes(wire[: data.draw(st.integers(0, len(wire)))]) + data.draw(st.binary(max_size=4))
    few = limiter(slip=2)

    for draw in range(3):
        reply = respond(SNAP, wire, SENDER, draw, NOW_S, secrets=SECRETS, limiter=few)
        assert reply.octets is None or len(reply.octets) <= UDP_MAX
        assert (reply.octets is None) == (reply.rcode is None)


# Response rate limiting.


def limiter(**keys: int) -> Limiter:
    return Limiter(RateLimit(per_second=1, burst=1, **keys), 7)


def test_an_answer_above_its_rate_slips_as_an_empty_one_that_says_truncated():
    few = limiter(slip=1)
    first, second = (
        respond(SNAP, with_cookie(), SENDER, 0, NOW_S, secrets=SECRETS, limiter=few)
        for _ in range(2)
    )

    assert first.limited is None
    response = dns.message.from_wire(second.octets)
    assert dns.message.from_wire(with_cookie()).is_response(response)
    assert response.flags & dns.flags.TC
    assert not response.flags & dns.flags.AA
    assert not response.answer
    assert cookie_of(response) == CLIENT + FRESH, "with it, the client is answered next time"
    assert second.limited == (Kind.ANSWER, Action.SLIP)
    assert (second.rcode, second.service) == (NOERROR, None)


def test_an_answer_above_its_rate_is_dropped():
    few = limiter(slip=0)
    respond(SNAP, query(), SENDER, 0, NOW_S, limiter=few)

    reply = respond(SNAP, query(), SENDER, 0, NOW_S, limiter=few)

    assert reply == Reply(None, limited=(Kind.ANSWER, Action.DROP))


def test_a_valid_cookie_is_never_limited_and_takes_nothing_from_the_others():
    few = limiter(slip=0)
    wire = with_cookie(CLIENT + FRESH)

    for _ in range(10):
        reply = respond(SNAP, wire, SENDER, 0, NOW_S, secrets=SECRETS, limiter=few)
        assert reply.rcode == NOERROR
    assert respond(SNAP, query(), SENDER, 0, NOW_S, limiter=few).rcode == NOERROR


def test_a_client_that_claims_a_subnet_is_limited_by_where_it_sends_from():
    few = limiter(slip=0)
    wires = [
        query(use_edns=0, options=[dns.edns.ECSOption(f"203.0.{number}.0", 24)])
        for number in range(3)
    ]

    replies = [respond(SNAP, wire, SENDER, 0, NOW_S, limiter=few) for wire in wires]

    assert [reply.limited is None for reply in replies] == [True, False, False]


@pytest.mark.parametrize(("slip", "action"), [(0, Action.DROP), (1, Action.SLIP)])
def test_errors_to_what_is_no_query_are_limited_too(slip, action):
    few = limiter(slip=slip)
    notify = (1).to_bytes(2, "big") + b"\x20\x00" + bytes(8)
    respond(SNAP, notify, SENDER, 0, NOW_S, limiter=few)

    reply = respond(SNAP, notify, SENDER, 0, NOW_S, limiter=few)

    assert reply.limited == (Kind.ERROR, action)
    assert reply.octets == (encode_error(notify, 5) if slip else None), "it cannot get shorter"
