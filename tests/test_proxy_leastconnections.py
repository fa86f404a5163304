"""Least connections: the least loaded for its weight, and equals by weight."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.leastconnections import FEW, LeastConnections
from tests.targets import draws, spread, targets, weights


@given(weights(size_max=FEW), st.lists(st.integers(0, 9), max_size=FEW), draws())
def test_of_a_few_the_least_loaded_for_its_weight_is_picked(given_weights, active, draw):
    of = targets(*given_weights, active=active)

    picked = LeastConnections(of).pick(0, draw, 0.0)

    least = min(Fraction(each.active, each.weight) for each in of)
    assert Fraction(picked.active, picked.weight) == least


@given(weights(size_max=FEW))
def test_an_idle_service_has_the_shares_that_were_written(given_weights):
    of = targets(*given_weights)

    got = spread(LeastConnections(of), sum(given_weights))

    assert got == {each: each.weight for each in of}


def test_equals_that_are_not_neighbours_share_evenly():
    first, _, third, _ = of = targets(1, 1, 1, 1, active=(2, 3, 2, 9))

    got = spread(LeastConnections(of), 100)

    assert got == {first: 50, third: 50}


@given(weights(size_min=FEW + 1))
def test_of_many_an_idle_one_is_picked_by_weight(given_weights):
    of = targets(*given_weights)

    got = spread(LeastConnections(of), sum(given_weights))

    assert got == {each: each.weight for each in of}


@pytest.mark.parametrize("busy", range(3))
def test_two_equals_of_three_share_evenly_and_the_third_has_nothing(busy):
    of = targets(1, 1, 1, active=[each == busy for each in range(3)])

    got = spread(LeastConnections(of), 100)

    assert got == {each: 50 for each in of if not each.active}


def test_of_many_the_better_of_two_is_picked_exactly_as_often_as_the_two_are_drawn():
    of = targets(*[1] * 10, active=range(10))

    got = spread(LeastConnections(of), 90)

    # Of 90 pairs in order, a target with k busier ones is the better of 2k.
    assert got == {each: 2 * (9 - each.active) for each in of if each.active < 9}


def test_of_many_a_heavy_one_is_compared_by_its_load_a_weight():
    heavy, *light = of = targets(3, *[1] * 9, active=(2, *[1] * 9))

    got = spread(LeastConnections(of), 12 * 99)

    # 2/3 is less than 1: whenever it is among the two, it is the one.
    first = Fraction(3, 12)
    second = Fraction(9, 12) * Fraction(3, 11)
    assert abs(Fraction(got[heavy], 12 * 99) - (first + second)) < Fraction(1, 100)
    assert set(got) == {heavy, *light}


def test_many_requests_that_stay_are_spread_by_weight():
    chance = Random(1)
    of = targets(*[3000] * 10, *[1000] * 10)
    balancer = LeastConnections(of)

    for _ in range(4000):
        balancer.pick(0, chance.random(), 0.0).active += 1

    for each in of:
        assert abs(each.active - each.weight / 10) < 0.1 * each.weight / 10


def test_a_retry_goes_to_the_least_loaded_of_the_others_even_of_many():
    of = targets(*[1] * 20, active=range(20))

    assert LeastConnections(of).pick(0, 0.9, 0.0, {of[0], of[1]}) is of[2]
