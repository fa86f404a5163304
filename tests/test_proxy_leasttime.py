"""Least response time: what was slow is avoided at once, and tried again later."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.leastconnections import FEW
from gslb.proxy.leasttime import DECAY_S, FAILED_S, LeastTime, cost, observe
from tests.targets import draws, each_place, spread, targets, weights

times_s = st.floats(0.0, 100.0)


def measured(*times, active=(), weight=1):
    """Return targets that took these times in seconds at 0.0."""
    of = targets(*[weight] * len(times), active=active)
    for each, time_s in zip(of, times, strict=True):
        observe(each, time_s, 0.0)
    return of


def test_a_slow_response_is_remembered_at_once_and_in_full():
    (target,) = measured(0.01)

    observe(target, 2.0, 0.001)

    assert target.ewma_s == 2.0


def test_a_fast_response_pulls_down_what_is_remembered_by_the_time_that_passed():
    (target,) = measured(2.0)

    observe(target, 1.0, DECAY_S)

    assert target.ewma_s == pytest.approx(1.0 + exp(-1))


@given(st.lists(st.tuples(times_s, times_s), min_size=1))
def test_what_is_remembered_is_never_outside_of_what_was_measured(responses):
    (target,) = targets(1)
    now_s = 0.0

    for elapsed_s, later_s in responses:
        now_s += later_s
        observe(target, elapsed_s, now_s)

    times = [elapsed_s for elapsed_s, _ in responses]
    assert min(times) - 1e-6 <= target.ewma_s <= max(times) + 1e-6
    assert target.ewma_s >= times[-1]


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=FEW), st.data())
def test_of_a_few_the_one_that_costs_least_is_picked(times, data):
    of = measured(*times)
    for each in of:
        each.active = data.draw(st.integers(0, 5))

    picked = LeastTime(of).pick(0, data.draw(draws()), 1.0)

    assert cost(picked, 1.0) == min(cost(each, 1.0) for each in of)


def test_the_faster_one_is_picked_until_its_queue_makes_it_the_slower():
    fast, slow = of = measured(0.01, 0.035)
    balancer = LeastTime(of)

    order = []
    for _ in range(5):
        picked = balancer.pick(0, 0.5, 0.0)
        picked.active += 1
        order.append(picked)

    assert order == [fast, fast, fast, slow, fast]


def test_a_heavy_one_may_have_more_under_way():
    heavy, _ = of = measured(0.01, 0.01)
    heavy.weight, heavy.active = 3, 1

    assert LeastTime(of).pick(0, 0.9, 0.0) is heavy


@given(weights(size_max=FEW))
def test_equals_share_by_weight(given_weights):
    of = targets(*given_weights)

    got = spread(LeastTime(of), sum(given_weights))

    assert got == {each: each.weight for each in of}


def test_one_that_was_never_measured_is_tried_with_one_request_at_a_time():
    known, new = of = targets(1, 1)
    observe(known, 0.001, 0.0)
    balancer = LeastTime(of)

    first = balancer.pick(0, 0.0, 0.0)
    first.active += 1
    known.active = 1000

    assert first is new
    assert balancer.pick(0, 0.0, 0.0) is known


def test_of_none_measured_all_are_tried_in_parallel():
    of = targets(1, 1, 1)
    balancer = LeastTime(of)

    for _ in range(6):
        balancer.pick(0, 0.5, 0.0).active += 1

    assert [each.active for each in of] == [2, 2, 2]


def test_one_that_was_slow_once_is_tried_again_when_that_is_long_past():
    fast, slow = of = measured(0.01, 1.0)
    balancer = LeastTime(of)
    # The fast one is measured all the time, the slow one never.
    picked = {}
    for now_s in range(1, 100):
        observe(fast, 0.01, float(now_s))
        picked[now_s] = balancer.pick(0, 0.5, float(now_s))

    assert picked[int(4 * DECAY_S)] is fast
    assert picked[int(5 * DECAY_S)] is slow


def test_after_a_very_long_silence_nothing_is_remembered_and_nothing_breaks():
    of = measured(0.01, 1.0)

    got = {LeastTime(of).pick(0, draw, 1e9) for draw in each_place(10)}

    assert got == set(of)


def test_who_fails_fast_does_not_look_fast():
    broken, working = of = measured(0.01, 0.02)

    observe(broken, 0.001, 0.1, failed=True)

    assert broken.ewma_s == FAILED_S
    assert LeastTime(of).pick(0, 0.0, 0.1) is working


def test_a_failure_that_took_long_counts_for_what_it_took():
    (target,) = measured(0.01)

    observe(target, 30.0, 30.0, failed=True)

    assert target.ewma_s == 30.0


def test_a_response_within_no_time_counts_as_measured():
    (target,) = measured(0.0)

    assert target.ewma_s > 0


@given(weights(size_min=FEW + 1))
def test_of_many_equals_share_by_weight_too(given_weights):
    of = targets(*given_weights)

    got = spread(LeastTime(of), sum(given_weights))

    assert got == {each: each.weight for each in of}


def test_of_many_the_cheaper_of_two_is_picked():
    of = measured(*[(at + 1) / 1000 for at in range(10)])

    got = spread(LeastTime(of), 90)

    assert got == {each: 2 * (9 - at) for at, each in enumerate(of) if at < 9}


def test_a_retry_goes_to_the_cheapest_of_the_others_even_of_many():
    of = measured(*[(at + 1) / 1000 for at in range(20)])

    assert LeastTime(of).pick(0, 0.9, 0.0, {of[0]}) is of[1]
