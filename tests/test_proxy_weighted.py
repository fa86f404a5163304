"""Choosing by weight and chance: shares exact over the draws."""

from collections import Counter
from fractions import Fraction

from hypothesis import given

from gslb.proxy.weighted import Random, Weights, weighed
from tests.targets import draws, each_place, spread, targets, weights


@given(weights())
def test_over_all_draws_each_is_picked_exactly_as_often_as_its_weight_says(given_weights):
    of = targets(*given_weights)
    random = Random(of)

    got = spread(random, sum(given_weights))

    assert got == {each: each.weight for each in of}


@given(weights(size_min=2))
def test_after_a_failure_the_others_share_by_weight(given_weights):
    of = targets(*given_weights)
    failed, *others = of
    left = sum(given_weights) - failed.weight

    got = spread(Random(of), left, failed)

    assert got == {each: each.weight for each in others}


@given(weights())
def test_of_a_few_each_is_picked_exactly_as_often_as_its_weight_says(given_weights):
    of = targets(*given_weights)

    got = Counter(weighed(of, draw) for draw in each_place(sum(given_weights)))

    assert got == {each: each.weight for each in of}


@given(weights(), draws())
def test_a_few_own_the_same_draws_as_many(given_weights, draw):
    of = targets(*given_weights)

    assert weighed(of, draw) is Weights(of).one(draw)


@given(weights(size_min=2, size_max=6))
def test_of_two_the_second_is_another_by_the_weights_that_remain(given_weights):
    of = targets(*given_weights)
    total = sum(given_weights)
    drawn = Weights(of)
    measure = Counter()

    for first in range(total):
        left = total - drawn.one((first + 0.5) / total).weight
        for second in each_place(left):
            pair = drawn.two((first + second) / total)
            measure[pair] += Fraction(1, total * left)

    assert measure == {
        (one, two): Fraction(one.weight, total) * Fraction(two.weight, total - one.weight)
        for one in of
        for two in of
        if one is not two
    }
