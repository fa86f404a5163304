"""Hashing: keys keep their targets, and bounded load keeps targets from drowning."""

from collections import Counter
from fractions import Fraction
from math import ceil, inf, sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.proxy.rendezvous import RANKINGS_MAX, SLOTS, Hashing
from tests.targets import draws, spread, targets, weights

keys = st.integers(1, (1 << 64) - 1)
some_keys = st.lists(keys, min_size=1, max_size=50)
bounds = st.sampled_from([1.0, 1.25, 2.0, inf])


@pytest.mark.parametrize("given_weights", [[1] * 3, [1000] * 30, [5, 3, 1], [1, 1000]])
def test_over_all_slots_each_has_its_share_as_close_as_chance_allows(given_weights):
    of = targets(*given_weights)
    hashing = Hashing(of)

    got = Counter(hashing.pick(SLOTS + slot, 0.0, 0.0) for slot in range(SLOTS))

    for each in of:
        share = each.weight / sum(given_weights)
        assert abs(got[each] - SLOTS * share) < 4 * sqrt(SLOTS * share * (1 - share))


@given(weights(size_min=2), some_keys, bounds, st.data())
def test_a_target_that_leaves_moves_only_its_own_keys(given_weights, asked, bound, data):
    of = targets(*given_weights)
    gone = data.draw(st.sampled_from(of))
    before = Hashing(of, bound)
    after = Hashing([each for each in of if each is not gone], bound)

    for key in asked:
        had = before.pick(key, 0.0, 0.0)
        if had is not gone:
            assert after.pick(key, 0.0, 0.0) is had
        else:
            assert after.pick(key, 0.0, 0.0) is before.pick(key, 0.0, 0.0, {gone})


@given(weights(size_min=2), some_keys, st.integers(1, 9))
def test_a_target_that_grows_takes_keys_and_moves_none_between_others(given_weights, asked, more):
    of = targets(*given_weights)
    before = Hashing(of)
    had = [before.pick(key, 0.0, 0.0) for key in asked]
    of[0].weight += more
    after = Hashing(of)

    for key, was in zip(asked, had, strict=True):
        assert after.pick(key, 0.0, 0.0) in {was, of[0]}


def test_the_keys_of_a_dead_target_go_to_all_others():
    dead, *others = of = targets(*[1000] * 5)
    hashing = Hashing(of)
    orphans = [key for key in range(1, 2000) if hashing.pick(key, 0.0, 0.0) is dead]

    heirs = Counter(hashing.pick(key, 0.0, 0.0, [dead]) for key in orphans)

    assert set(heirs) == set(others)
    assert max(heirs.values()) < len(orphans) / 2


def test_the_same_key_goes_to_the_same_address_in_every_process_for_ever():
    of = targets(1000, 1000, 1000)

    picked = [Hashing(of).pick(key, 0.0, 0.0).name for key in range(1, 9)]

    assert picked == [f"192.0.2.{last}:80" for last in [3, 3, 3, 3, 3, 3, 2, 2]]


@given(weights(), some_keys, bounds)
def test_the_order_of_the_targets_means_nothing(given_weights, asked, bound):
    of = targets(*given_weights)

    for key in asked:
        assert Hashing(of, bound).pick(key, 0.0, 0.0) is Hashing(of[::-1], bound).pick(key, 0, 0)


@given(weights())
def test_requests_without_a_key_go_by_weight_and_chance(given_weights):
    of = targets(*given_weights)
    hashing = Hashing(of, 1.25)

    got = spread(hashing, sum(given_weights))

    assert got == {each: each.weight for each in of}


def test_one_whose_key_is_asked_for_by_all_spills_to_the_next_of_its_ranking_only():
    of = targets(*[1000] * 10)
    hashing = Hashing(of, 1.25)
    first, second, *others = hashing.ranking(77)
    for each in others:
        each.active = 10

    for _ in range(20):
        hashing.pick(77, 0.0, 0.0).active += 1

    assert first.active + second.active == 20
    assert first.active == ceil(Fraction(5, 4) * (80 + first.active + second.active) / 10)


def test_without_a_bound_a_key_stays_however_much_is_under_way():
    of = targets(*[1000] * 5)
    hashing = Hashing(of, inf)
    first = hashing.pick(77, 0.0, 0.0)

    first.active = 1_000_000

    assert hashing.pick(77, 0.0, 0.0) is first


@settings(max_examples=50)
@given(weights(), st.integers(1, 8), st.floats(1, 3), st.integers(), st.integers(1, 300))
def test_no_load_is_ever_above_the_bound(given_weights, keys_asked_for, bound, seed, requests):
    chance = Random(seed)
    of = targets(*given_weights)
    hashing = Hashing(of, bound)

    for _ in range(requests):
        picked = hashing.pick(chance.randint(1, keys_asked_for), 0.0, 0.0)
        under_way = sum(each.active for each in of)
        picked.active += 1
        share = picked.weight / sum(given_weights)
        assert picked.active <= ceil(bound * (under_way + 1) * share + 1e-9)
        busy = [each for each in of if each.active]
        if chance.random() < 0.4:
            chance.choice(busy).active -= 1


@given(weights(size_min=2), keys, draws(), st.data())
def test_when_all_that_are_left_are_full_a_retry_still_goes_to_the_first_of_them(
    given_weights, key, draw, data
):
    of = targets(*given_weights)
    tried = data.draw(st.sampled_from(of))
    for each in of:
        each.active = 0 if each is tried else 1000 * each.weight
    hashing = Hashing(of, 1.0)

    picked = hashing.pick(key, draw, 0.0, {tried})

    assert picked is next(each for each in hashing.ranking(key) if each is not tried)


def test_however_many_keys_are_passed_over_few_rankings_are_kept():
    of = targets(1000, 1000, 1000)
    hashing = Hashing(of)
    expected = [hashing.ranking(key)[1] for key in range(1, RANKINGS_MAX + 3)]

    for _ in range(2):
        for key, second in enumerate(expected, 1):
            assert hashing.pick(key, 0.0, 0.0, {hashing.pick(key, 0.0, 0.0)}) is second
            assert len(hashing._rankings) <= RANKINGS_MAX


def test_a_bound_without_room_for_all_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="room"):
        Hashing(targets(1), 0.9)
