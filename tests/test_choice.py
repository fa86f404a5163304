"""Which records a draw picks, which are a sticky client's, and how long they hold."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import lcm, sqrt
from random import Random
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.response import TCP_MAX
from gslb.model import Family
from gslb.routing.choice import (
    ANSWER_BYTES_MAX,
    DRAW_BITS,
    SHARES_MAX,
    SPARE_BITS,
    client_key,
    cumulative,
    drawn,
    key_of,
    ranked,
    stir,
)
from gslb.routing.climb import Way, climb
from gslb.routing.snapshot import choice_of
from tests.world import DOWN, REGIONS, UP, member, pool, service

small_shares = st.lists(st.integers(1, 5), min_size=1, max_size=4)
DRAW_MAX = (1 << DRAW_BITS) - 1


def choice(*weights, beliefs=None, **keys):
    """Return the choice among members 192.0.2.1, .2, … of one pool."""
    members = (member(f"192.0.2.{n}", weight) for n, weight in enumerate(weights, 1))
    made = service(pool("us", *members), **keys)
    given_ = beliefs or {}
    order = (("us",),)
    climbed = climb(
        made, Family.A, order, lambda each: given_.get(str(each.address), UP), REGIONS, 0.0
    )
    return choice_of(made, Family.A, climbed)


def last_octets(rdatas):
    return [rdata.whole[-1] for rdata in rdatas]


# One answer.


@given(small_shares)
def test_over_a_cycle_of_draws_each_record_is_picked_as_often_as_its_share_says(weights):
    made = choice(*weights)
    cycle = made.upto[-1]

    picked = Counter(last_octets(made.pick(draw))[0] for draw in range(cycle))

    divisor = sum(weights) // cycle
    assert picked == {n: weight // divisor for n, weight in enumerate(weights, 1)}


def test_a_draw_of_64_bits_picks_by_its_remainder():
    made = choice(1, 2)

    assert last_octets(made.pick(DRAW_MAX)) == last_octets(made.pick(DRAW_MAX % 3))


def test_a_reserve_is_never_picked():
    made = choice(1, 0, 1)

    picked = {last_octets(made.pick(draw))[0] for draw in range(100)}

    assert picked == {1, 3}


def test_nothing_is_picked_from_nobody():
    made = choice(1, beliefs={"192.0.2.1": DOWN}, all_down="nodata")

    assert (made.pick(7), made.pick_sticky(7)) == ((), [])


# Several answers.


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 4))
def test_several_answers_are_drawn_exactly_by_share_without_replacement(shares, count):
    upto = cumulative(shares)
    chances = dict(ways(shares, count))
    cycle = lcm(*(chance.denominator for chance in digits(shares, count)))

    orders = Counter(tuple(drawn(upto, count, draw)) for draw in range(cycle))

    assert {order: Fraction(times, cycle) for order, times in orders.items()} == chances


def ways(shares, count, order=(), chance=Fraction(1)):
    """Yield every order that can be drawn, and its chance."""
    if len(order) == min(count, len(shares)):
        yield order, chance
        return
    left = [at for at in range(len(shares)) if at not in order]
    total = sum(shares[at] for at in left)
    for at in left:
        yield from ways(shares, count, (*order, at), chance * Fraction(shares[at], total))


def digits(shares, count):
    """Yield for each order the chance of one set of digits; its denominator is their radix."""
    for order, _ in ways(shares, count):
        total, radix = sum(shares), 1
        for at in order:
            radix *= total
            total -= shares[at]
        yield Fraction(1, radix)


@given(
    st.lists(st.integers(1, 1 << 20), min_size=1, max_size=30),
    st.integers(1, 30),
    st.integers(0, DRAW_MAX),
)
def test_a_draw_of_several_goes_along_the_shares_that_are_left(shares, count, draw):
    got = drawn(cumulative(shares), count, draw)

    first = sum(shares[: got[0]])
    assert len(got) == len(set(got)) == min(count, len(shares))
    assert first <= draw % sum(shares) < first + shares[got[0]]


class Counted(int):
    """A number that counts how often any of its kind is added to or taken from."""

    times: ClassVar[Counter[str]] = Counter()

    def __add__(self, other):
        self.times["sums"] += 1
        return Counted(int(self) + other)

    def __sub__(self, other):
        self.times["sums"] += 1
        return Counted(int(self) - other)


def test_thousands_of_answers_are_drawn_without_adding_up_what_is_left_each_time():
    members = 2000
    Counted.times.clear()

    got = drawn([Counted(end) for end in range(1, members + 1)], members, 7)

    assert sorted(got) == list(range(members))
    assert Counted.times["sums"] < 40 * members


@pytest.mark.parametrize(("family", "octets"), [("192.0.{}.{}", 16), ("2001:db8::{:x}:{:x}", 28)])
@pytest.mark.parametrize("answers", [0, 5000])
def test_no_more_is_answered_than_one_message_holds(family, octets, answers):
    members = [member(family.format(n // 250, n % 250)) for n in range(5000)]
    made = service(pool("us", *members), answers=answers)
    climbed = climb(made, members[0].family, (("us",),), lambda _: UP, REGIONS, 0.0)

    picked = choice_of(made, members[0].family, climbed).pick(1)

    assert len(picked) == ANSWER_BYTES_MAX // octets
    assert len(picked) * octets <= TCP_MAX - 5000


@pytest.mark.parametrize(("answers", "expected"), [(1, 1), (2, 2), (3, 3), (9, 3), (0, 3)])
def test_as_many_answers_as_the_service_says_or_as_there_are(answers, expected):
    made = choice(5, 3, 2, answers=answers)

    for draw in (0, 1, 77, DRAW_MAX):
        assert len(set(last_octets(made.pick(draw)))) == expected
        assert len(set(last_octets(made.pick_sticky(draw)))) == expected


def test_dead_members_and_reserves_never_fill_up_the_answers():
    made = choice(1, 1, 0, beliefs={"192.0.2.1": DOWN}, answers=3)

    assert last_octets(made.pick(1)) == [2]


def test_host_names_are_answered_one_at_a_time_because_a_name_has_one_cname():
    made = service(pool("us", "a.example.net", "b.example.net"), answers=0)
    climbed = climb(made, Family.CNAME, (("us",),), lambda _: UP, REGIONS, 0.0)

    picked = choice_of(made, Family.CNAME, climbed).pick(1)

    assert [rdata.whole for rdata in picked] == [b"\x01b\x07example\x03net\x00"]


def test_many_answers_of_great_weight_stay_fair_when_the_draw_is_used_up():
    shares = [1 << 29] * 8
    upto = cumulative(shares)
    chance, rounds = Random(5), 4000

    last = Counter(drawn(upto, 8, chance.getrandbits(DRAW_BITS))[-1] for _ in range(rounds))

    assert len(last) == len(shares)
    assert all(within(times, Fraction(1, 8), rounds) for times in last.values())


def test_a_digit_for_which_little_of_the_draw_is_left_is_not_skewed():
    # 2^64 holds the two digits' cycle 2.67 times: the lower 67 % of the second digit's values
    # would come three times while the others come twice.
    total = 3 * (1 << 30)
    upto = cumulative([1 << 30] * 3)
    chance, rounds = Random(6), 6000
    assert ((1 << DRAW_BITS) // total) >> SPARE_BITS < total

    lower = 0
    for _ in range(rounds):
        first, then = drawn(upto, 2, chance.getrandbits(DRAW_BITS))
        lower += then == min({0, 1, 2} - {first})

    assert within(lower, Fraction(1, 2), rounds)


def within(times, share, rounds, sigmas=4.5):
    return abs(times - rounds * share) <= sigmas * sqrt(rounds * share * (1 - share))


# Cumulative shares.


def test_shares_are_exact_up_to_a_sum_and_scaled_above_it():
    at_max = [SHARES_MAX - 1, 1]
    above = [SHARES_MAX, 1]

    assert cumulative(at_max) == (SHARES_MAX - 1, SHARES_MAX)
    assert cumulative(above) == (SHARES_MAX - 3, SHARES_MAX - 2)


@given(st.lists(st.integers(1, 10**40), min_size=1, max_size=20))
def test_scaled_shares_stay_in_bounds_in_proportion_and_leave_nobody_out(shares):
    upto = cumulative(shares)

    assert upto[-1] <= min(sum(shares), SHARES_MAX)
    scaled = [end - begin for begin, end in pairwise((0, *upto))]
    assert min(scaled) >= 1
    for share, got in zip(shares, scaled, strict=True):
        assert abs(Fraction(got, upto[-1]) - Fraction(share, sum(shares))) < Fraction(1, 1 << 26)


# Sticky clients.


def test_a_client_keeps_its_answer():
    made = choice(1, 1, 1, answers=2)

    assert made.pick_sticky(99) == made.pick_sticky(99)


@given(
    st.lists(st.integers(1, 1000), min_size=2, max_size=8),
    st.integers(0, DRAW_MAX),
    st.data(),
)
def test_a_death_moves_only_the_dead_members_clients(weights, key, data):
    whole = choice(*weights, healthy_at_least=Fraction(0))
    dead = data.draw(st.integers(1, len(weights)))

    fewer = choice(*weights, healthy_at_least=Fraction(0), beliefs={f"192.0.2.{dead}": DOWN})

    before, after = last_octets(whole.pick_sticky(key)), last_octets(fewer.pick_sticky(key))
    assert before in (after, [dead])


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=8), st.integers(0, DRAW_MAX), st.data())
def test_among_the_ranked_one_that_leaves_makes_the_others_move_up(shares, key, data):
    gone = data.draw(st.integers(0, len(shares) - 1))
    keys = [key_of(bytes((n,))) for n in range(len(shares))]
    left = [at for at in range(len(shares)) if at != gone]

    whole = ranked(cumulative(shares), keys, key)
    fewer = ranked(cumulative([shares[at] for at in left]), [keys[at] for at in left], key)

    assert [left[at] for at in fewer] == [at for at in whole if at != gone]


def test_sticky_clients_are_shared_out_by_weight():
    made = choice(6, 3, 1)
    rounds = 20_000

    first = Counter(last_octets(made.pick_sticky(stir(n)))[0] for n in range(rounds))

    for n, weight in enumerate((6, 3, 1), 1):
        assert within(first[n], Fraction(weight, 10), rounds)


@pytest.mark.parametrize(
    ("version", "one", "other", "length", "same"),
    [
        (4, 0xC0000201, 0xC00002FE, 24, True),
        (4, 0xC0000201, 0xC0000301, 24, False),
        (4, 0xC0000201, 0xC0000202, 32, False),
        (4, 0xC0000201, 0x01020304, 0, True),
        (6, 0x20010DB8 << 96 | 1, 0x20010DB8 << 96 | 0xFF << 64, 56, True),
        (6, 0x20010DB8 << 96 | 1, 0x20010DB8 << 96 | 0xFF << 72, 56, False),
        (6, 1, 2, 128, False),
    ],
)
def test_clients_of_one_prefix_are_one_client(version, one, other, length, same):
    keys = [client_key(7, version, address, length) for address in (one, other)]

    assert (keys[0] == keys[1]) is same


def test_the_service_is_part_of_the_clients_key():
    assert client_key(7, 4, 1, 32) != client_key(8, 4, 1, 32)
    assert client_key(7, 4, 1, 32) != client_key(7, 6, 1, 32)


def test_hashes_are_the_same_on_every_node_for_ever():
    assert key_of(b"192.0.2.1") == 0xC874FACE288B2811
    assert stir(0) == 0xE220A8397B1DCDAF  # splitmix64's first number from seed 0
    assert client_key(key_of(b"www"), 4, 0xC0000201, 24) == 0xA4AC07955811155D


# How long it holds.


def held(until_s, **fields):
    return replace(choice(1, ttl_s=30, ttl_min_s=5), until_s=until_s, **fields)


@pytest.mark.parametrize(
    ("until_s", "now_s", "ttl_s"),
    [
        (None, 0.0, 30),
        (100.0, 0.0, 30),
        (100.0, 70.0, 30),
        (100.0, 70.1, 29),
        (100.0, 90.0, 10),
        (100.0, 90.9, 9),
        (100.0, 95.0, 5),
        (100.0, 98.0, 5),
        (100.0, 100.0, 5),
        (100.0, 500.0, 5),
    ],
)
def test_the_ttl_is_what_is_left_until_the_earliest_flip_within_the_services_bounds(
    until_s, now_s, ttl_s
):
    assert held(until_s).ttl(now_s) == ttl_s


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ({}, {"stale": True}),
        ({"unusual": (0, b"")}, {}),
        ({"way": Way.NODATA}, {}),
    ],
)
def test_an_unusual_answer_has_the_shortest_ttl(fields, keys):
    assert held(None, **fields).ttl(0.0, **keys) == 5


@pytest.mark.parametrize(
    ("beliefs", "keys", "unusual"),
    [
        ({}, {}, None),
        ({"192.0.2.1": DOWN}, {}, 0),
        ({"192.0.2.1": DOWN}, {"all_down": "servfail"}, 0),
        ({"192.0.2.1": DOWN}, {"all_down": "nodata"}, None),
    ],
)
def test_failing_open_is_unusual(beliefs, keys, unusual):
    made = choice(1, beliefs=beliefs, **keys)

    assert (made.unusual and made.unusual[0]) == unusual
    assert made.unusual is None or len(made.unusual[1]) <= 60
