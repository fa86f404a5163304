"""Round robin: each in its turn, evenly spaced, and workers not in step."""

from collections import Counter
from fractions import Fraction
from itertools import islice
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.roundrobin import CYCLE_MAX, RoundRobin, turns
from tests.targets import spread, targets, weights

seeds = st.integers(0, 1 << 64)


def picks(balancer, count):
    return [balancer.pick(0, 0.0, 0.0) for _ in range(count)]


@given(weights(), seeds)
def test_over_a_cycle_from_any_place_each_has_exactly_its_weight(given_weights, seed):
    of = targets(*given_weights)
    balancer = RoundRobin(of, seed)

    for _ in range(3):
        got = Counter(picks(balancer, sum(given_weights)))
        assert got == {each: each.weight for each in of}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_nobody_is_ever_a_whole_pick_before_or_behind_its_part(given_weights):
    total = sum(given_weights)
    had = Counter()

    for done, at in enumerate(islice(turns(given_weights), 2 * total), 1):
        had[at] += 1
        for each, weight in enumerate(given_weights):
            assert abs(had[each] - Fraction(done * weight, total)) < 1


@given(st.lists(st.integers(1, 1_000_000_000), min_size=1, max_size=12))
def test_nor_is_anybody_when_a_cycle_is_too_long_to_write_down(given_weights):
    total = sum(given_weights)
    had = Counter()

    for done, at in enumerate(islice(turns(given_weights), 200), 1):
        had[at] += 1
        for each, weight in enumerate(given_weights):
            assert abs(had[each] - Fraction(done * weight, total)) < 1


def test_equals_take_turns():
    one, two, three = of = targets(1000, 1000, 1000)

    assert set(picks(RoundRobin(of, 3), 3)) == {one, two, three}
    assert list(islice(turns([1, 1, 1]), 6)) == [0, 1, 2, 0, 1, 2]


def test_the_light_stand_between_the_turns_of_the_heavy():
    assert list(islice(turns([5, 1, 1]), 7)) == [0, 0, 0, 1, 0, 2, 0]
    assert list(islice(turns([3, 1]), 4)) == [0, 0, 1, 0]


def test_what_weights_have_in_common_does_not_make_a_cycle_longer():
    of = targets(3_000_000, 1_000_000)

    assert Counter(picks(RoundRobin(of, 5), 4)) == {of[0]: 3, of[1]: 1}


@pytest.mark.parametrize("weight", [CYCLE_MAX - 1, CYCLE_MAX, 999_999_937])
def test_long_cycles_have_their_shares_as_short_ones_do(weight):
    heavy, light = of = targets(weight, 1)

    got = Counter(picks(RoundRobin(of, 5), CYCLE_MAX))

    assert got[heavy] + got[light] == CYCLE_MAX
    assert got[light] <= 1


def test_workers_begin_at_different_places():
    of = targets(*[1000] * 8)

    begun = Counter(RoundRobin(of, seed).pick(0, 0.0, 0.0) for seed in range(800))

    assert len(begun) == 8
    assert max(begun.values()) < 150


def test_balancers_that_are_built_anew_all_the_time_keep_the_shares_too():
    heavy, light = of = targets(9000, 1000)

    begun = Counter(RoundRobin(of, seed).pick(0, 0.0, 0.0) for seed in range(5000))

    assert begun[heavy] + begun[light] == 5000
    assert abs(begun[light] - 500) < 4 * sqrt(5000 * 0.1 * 0.9)


def test_long_cycles_begin_at_different_places_too():
    of = targets(*range(1_000_000, 1_000_008))

    assert len({RoundRobin(of, seed).pick(0, 0.0, 0.0) for seed in range(100)}) == 8


@given(weights(size_min=2), seeds)
def test_what_the_dead_one_fails_goes_to_all_others_by_weight(given_weights, seed):
    of = targets(*given_weights)
    dead, *others = of
    balancer = RoundRobin(of, seed)
    left = sum(given_weights) - dead.weight

    got = spread(balancer, left, dead)

    assert got == {each: each.weight for each in others}


@given(weights(size_min=2), seeds)
def test_a_retry_takes_nobodys_turn(given_weights, seed):
    of = targets(*given_weights)
    balancer, other = RoundRobin(of, seed), RoundRobin(of, seed)

    balancer.pick(0, 0.5, 0.0, [of[0]])

    assert picks(balancer, 20) == picks(other, 20)
