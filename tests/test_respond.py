"""From a message to the octets that answer it: a pure function, with what is to be counted."""

from __future__ import annotations

from ipaddress import ip_address

import dns.flags
import dns.message
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.message import decode_query
from gslb.dns.response import TCP_MAX, UDP_MAX, encode, encode_error
from gslb.routing.answer import answer
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
