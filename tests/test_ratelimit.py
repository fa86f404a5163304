"""Response rate limiting: what is sent, slips or is dropped, in a table that never grows."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from sys import getsizeof

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gslb.dns.message import FORMERR, NOERROR, NXDOMAIN, REFUSED
from gslb.dns.response import Part, Response
from gslb.model import RateLimit
from gslb.routing.choice import stir
from gslb.routing.ratelimit import TIME_BITS, Action, Kind, Limiter, kind_of
from tests.protection import RATE, rate_text

CLIENT = ip_address("192.0.2.1")
SECOND_US = 1_000_000
NOW_US = 1_800_000_000 * SECOND_US
SEND, SLIP, DROP = Action
PART = Part(None, 1, 0, ())


def sent(
    limiter: Limiter, count: int, now_us: int = NOW_US, client=CLIENT, kind=Kind.ANSWER
) -> int:
    actions = [limiter.action(client, kind, draw, now_us) for draw in range(count)]
    return actions.count(SEND)


def test_the_vectors_that_the_other_engine_is_held_to_are_those_of_this_one():
    assert RATE.read_text() == rate_text(), "run: python -m tests.protection"


def test_a_burst_is_sent_and_then_as_many_a_second_as_the_rule_says():
    limiter = Limiter(RateLimit(per_second=10, burst=3), 7)

    assert sent(limiter, 100) == 3
    assert sent(limiter, 100, NOW_US + 99_999) == 0
    assert sent(limiter, 100, NOW_US + 100_000) == 1
    assert sent(limiter, 100, NOW_US + SECOND_US) == 3, "a bucket holds no more than a burst"


@given(
    steps_us=st.lists(st.integers(0, 200_000), min_size=1, max_size=60),
    start_us=st.integers(0, 1 << 60),
    per_second=st.integers(1, 1000),
    burst=st.integers(1, 20),
)
def test_no_more_is_sent_in_any_time_than_the_rule_says(steps_us, start_us, per_second, burst):
    limiter = Limiter(RateLimit(per_second=per_second, burst=burst), 7)
    interval_us = (SECOND_US + per_second // 2) // per_second  # halves up; round() has them even
    now_us, count = start_us, 0
    for step_us in steps_us:
        now_us += step_us
        count += sent(limiter, 1, now_us)
        assert count <= burst + (now_us - start_us) // interval_us


@example(128, 1, 0)
@given(st.integers(1, 1000), st.integers(1, 20), st.integers(0, 1 << 60))
def test_a_client_below_its_rate_is_always_answered(per_second, burst, start_us):
    limiter = Limiter(RateLimit(per_second=per_second, burst=burst), 7)
    interval_us = (SECOND_US + per_second // 2) // per_second  # halves up; round() has them even

    assert all(sent(limiter, 1, start_us + step * interval_us) for step in range(50))


def test_clients_of_one_prefix_share_a_bucket_and_others_have_their_own():
    limiter = Limiter(RateLimit(per_second=1, burst=2), 7)

    assert sent(limiter, 2, client=ip_address("192.0.2.1")) == 2
    assert sent(limiter, 2, client=ip_address("192.0.2.255")) == 0
    assert sent(limiter, 2, client=ip_address("192.0.3.1")) == 2
    assert sent(limiter, 2, client=ip_address("2001:db8::1")) == 2
    assert sent(limiter, 2, client=ip_address("2001:db8:0:ff::1")) == 0
    assert sent(limiter, 2, client=ip_address("2001:db8:0:100::1")) == 2


def test_a_flood_of_one_kind_leaves_the_others_their_answers():
    limiter = Limiter(RateLimit(per_second=1, burst=2), 7)

    sent(limiter, 100, kind=Kind.NXDOMAIN)

    assert sent(limiter, 3, kind=Kind.NXDOMAIN) == 0
    assert all(sent(limiter, 3, kind=kind) == 2 for kind in Kind if kind is not Kind.NXDOMAIN)


@pytest.mark.parametrize(("slip", "expected"), [(0, 0), (1, 3000), (2, 1500), (10, 300)])
def test_one_in_slip_is_told_to_come_back_and_the_rest_hear_nothing(slip, expected):
    limiter = Limiter(RateLimit(per_second=1, burst=1, slip=slip), 7)
    sent(limiter, 1)

    actions = [limiter.action(CLIENT, Kind.ANSWER, stir(draw), NOW_US) for draw in range(3000)]

    assert actions.count(SEND) == 0
    assert actions.count(SLIP) == pytest.approx(expected, rel=0.1)


def test_exempt_networks_are_never_limited():
    exempt = (ip_network("192.0.2.0/28"), ip_network("2001:db8::/64"))
    limiter = Limiter(RateLimit(per_second=1, burst=1, exempt=exempt), 7)

    assert sent(limiter, 100, client=ip_address("192.0.2.15")) == 100
    assert sent(limiter, 100, client=ip_address("192.0.2.16")) == 1
    assert sent(limiter, 100, client=ip_address("2001:db8::9")) == 100
    assert sent(limiter, 100, client=ip_address("2001:db8:0:1::9")) == 1


def test_a_full_table_forgets_the_bucket_that_is_full_soonest():
    limiter = Limiter(RateLimit(per_second=1, burst=10, table=4), 7)
    heavy = [ip_address(f"192.0.{number}.1") for number in range(4)]
    for client in heavy:
        sent(limiter, 10, client=client)

    # One after the other takes the same place: a newcomer's bucket is nearly full.
    newcomers = [ip_address(f"198.51.{number}.1") for number in range(50)]
    sent(limiter, 1, client=newcomers[0])
    kept = [client for client in heavy if sent(limiter, 1, client=client) == 0]
    assert len(kept) == 3
    for client in newcomers[1:]:
        assert sent(limiter, 1, client=client) == 1
    assert [client for client in kept if sent(limiter, 1, client=client) == 0] == kept


def test_memory_is_fixed_whoever_asks():
    limiter = Limiter(RateLimit(table=1024), 7)
    before = getsizeof(limiter._table)

    for number in range(5000):
        limiter.action(ip_address(number << 8), Kind.ANSWER, 0, NOW_US)

    assert getsizeof(limiter._table) == before < 10_000


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_turn_of_the_clock_empties_no_bucket_for_longer_than_a_burst(turns):
    limiter = Limiter(RateLimit(per_second=10, burst=3), 7)
    sent(limiter, 100)

    later_us = NOW_US + (turns << TIME_BITS) + 3 * 100_000

    assert sent(limiter, 100, later_us) == 3


def test_a_clock_that_is_put_back_locks_nobody_out():
    limiter = Limiter(RateLimit(per_second=10, burst=3), 7)
    sent(limiter, 100)

    assert sent(limiter, 100, NOW_US - SECOND_US) == 3


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (Response(rcode=NOERROR, authoritative=True, answer=(PART,)), Kind.ANSWER),
        (Response(rcode=NOERROR, authoritative=True, authority=(PART,)), Kind.NODATA),
        (Response(rcode=NOERROR), Kind.NODATA),
        (Response(rcode=NOERROR, authority=(PART,)), Kind.REFERRAL),
        (Response(rcode=NXDOMAIN, authoritative=True, answer=(PART,)), Kind.NXDOMAIN),
        (Response(rcode=REFUSED), Kind.ERROR),
        (Response(rcode=FORMERR), Kind.ERROR),
    ],
)
def test_answers_are_counted_by_their_kind(response, kind):
    assert kind_of(response) is kind
