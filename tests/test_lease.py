"""Leases: the newest of each member, by whatever way tables come, and when each ends."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.lease import (
    AHEAD_MAX_S,
    LEASES_MAX,
    SKEW_MAX_S,
    SPAN_MAX_S,
    Lease,
    LeaseError,
    decode,
    encode,
    ends_at_s,
    newer,
    next_stamp,
    pruned,
)

KEY = ("www.example.com", "eu", ip_address("192.0.2.1"))
LEASE = Lease((5000, "ns1"), 30.0, 35.0, 3, ("192.0.2.1", 81))

KEYS = st.tuples(
    st.just("www.example.com"),
    st.sampled_from(["eu", "us"]),
    st.sampled_from([ip_address("192.0.2.1"), ip_address("2001:db8::1")]),
)
LEASES = st.builds(
    Lease,
    st.tuples(st.integers(0, 3), st.sampled_from(["ns1", "ns2"])),
    st.sampled_from([0.0, 1.0, 30.0]),
    st.sampled_from([0.0, 2.5, 90.0]),
    st.integers(0, 3),
    st.sampled_from([None, ("192.0.2.1", None), ("192.0.2.1", 80)]),
)
TABLES = st.dictionaries(KEYS, LEASES)


def merged(one, other):
    return {**one, **newer(one, other)}


@given(TABLES, TABLES, TABLES)
def test_tables_merge_in_any_order_any_number_of_times(one, two, three):
    assert merged(one, two) == merged(two, one)
    assert merged(one, merged(two, three)) == merged(merged(one, two), three)
    assert merged(one, one) == one


@given(TABLES)
def test_a_table_is_read_back_as_it_was(table):
    assert decode(encode(table)) == table


def test_a_stamp_is_newer_than_what_was_seen_even_where_the_clock_went_back():
    assert next_stamp(None, 4.0, "ns2") == (4000, "ns2")
    assert next_stamp(LEASE, 9.0, "ns2") == (9000, "ns2")
    assert next_stamp(LEASE, 1.0, "ns2") == (5001, "ns2")


def test_a_lease_heard_of_holds_for_its_span_whatever_the_authors_clock_says():
    assert ends_at_s(LEASE, None) == 35.0
    assert ends_at_s(LEASE, 1.0) == 31.0
    assert ends_at_s(LEASE, 12.0) == 42.0


def test_a_lease_heard_of_late_does_not_outlive_its_end_by_more_than_clocks_differ():
    assert ends_at_s(LEASE, 1000.0) == 35.0 + SKEW_MAX_S


def test_a_lease_that_was_ended_is_over_wherever_it_is_heard_of():
    assert ends_at_s(replace(LEASE, span_s=0.0, ends_s=6.0), 100.0) == 6.0


def test_a_lease_is_forgotten_when_any_older_one_has_ended_too():
    over_s = 35.0 + SPAN_MAX_S + 2 * SKEW_MAX_S

    assert pruned({KEY: LEASE}, over_s - 1) == {KEY: LEASE}
    assert pruned({KEY: LEASE}, over_s) == {}


@pytest.mark.parametrize(
    "lease",
    [
        replace(LEASE, stamp=(5000 + int(AHEAD_MAX_S * 1000) + 1, "ns1")),
        replace(LEASE, ends_s=5.0 + SPAN_MAX_S + AHEAD_MAX_S + 1),
    ],
)
def test_a_lease_from_the_future_is_not_kept_for_it_would_win_for_ever(lease):
    assert pruned({KEY: LEASE}, 5.0) == {KEY: LEASE}
    assert pruned({KEY: lease}, 5.0) == {}


GOOD = encode({KEY: LEASE})[0]


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {},
        [None],
        [[]],
        [GOOD[:-1]],
        *(
            [[*GOOD[:at], value, *GOOD[at + 1 :]]]
            for at, value in [
                (0, ""), (0, "x" * 256), (1, 5), (2, "192.0.2"), (2, None),
                (3, -1), (3, True), (3, 1.5), (3, 10**30), (4, None),
                (5, SPAN_MAX_S + 1), (5, "30"), (5, True), (5, float("nan")), (6, -1),
                (7, -1), (7, 10**9), (8, []), (8, "h"), (8, ["h"]), (8, ["h", 70000]), (8, [1, 2]),
            ]
        ),
    ],
)  # fmt: skip
def test_a_table_with_anything_else_in_it_is_refused(rows):
    with pytest.raises(LeaseError):
        decode(rows)


def test_a_table_that_is_too_long_is_refused():
    with pytest.raises(LeaseError):
        decode([GOOD] * (LEASES_MAX + 1))
