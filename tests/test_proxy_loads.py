"""Balancers under load on a fake clock: requests come by chance, members take their time."""

from collections import Counter
from heapq import heappop, heappush
from random import Random

import pytest

from gslb.proxy.balance import KINDS, build
from gslb.proxy.leasttime import observe
from tests.targets import targets

FAST_S, SLOW_S = 0.01, 0.2


def served(kind, times_s, per_s, *, span_s=60.0, seed=1, weights=None, keys=1 << 60, hands=4):
    """Return the waits of all requests in s, and how many each member got.

    Each member works on so many requests at a time as it has *hands*; each takes its time of
    *times_s*, more or less, and what is above waits there.
    """
    chance = Random(seed)
    of = targets(*(weights or [1000] * len(times_s)))
    balancer = build(kind, of, seed)
    free_s = {each: [0.0] * hands for each in of}  # when each of a member's hands is free
    ends, waits, got, now_s = [], [], Counter(), 0.0
    while now_s < span_s:
        now_s += chance.expovariate(per_s)
        while ends and ends[0][0] <= now_s:
            end_s, _, target, began_s = heappop(ends)
            target.active -= 1
            observe(target, end_s - began_s, end_s)
            waits.append(end_s - began_s)
        target = balancer.pick(chance.randint(1, keys), chance.random(), now_s)
        target.active += 1
        got[of.index(target)] += 1
        takes_s = times_s[of.index(target)] * chance.uniform(0.8, 1.2)
        end_s = max(now_s, heappop(free_s[target])) + takes_s
        heappush(free_s[target], end_s)
        heappush(ends, (end_s, len(waits) + len(ends), target, now_s))
    return sorted(waits), got


def worst_s(waits, percent=99):
    return waits[len(waits) * percent // 100]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [3, 12])
def test_equal_members_are_given_about_equal_parts(kind, count):
    waits, got = served(kind, [FAST_S] * count, per_s=50 * count)

    for each in range(count):
        assert 0.8 < got[each] * count / got.total() < 1.2
    assert worst_s(waits) < 3 * FAST_S


@pytest.mark.parametrize("count", [3, 12])
def test_what_one_slow_member_spoils_is_less_where_load_counts_and_least_where_time_does(count):
    times_s = [SLOW_S] + [FAST_S] * (count - 1)

    p99_s, part = {}, {}
    for kind in ("round_robin", "least_connections", "least_time"):
        waits, got = served(kind, times_s, per_s=50 * count)
        p99_s[kind] = worst_s(waits)
        part[kind] = got[0] / got.total()

    assert part["round_robin"] == pytest.approx(1 / count, abs=0.001)
    assert part["least_connections"] < 0.6 * part["round_robin"]
    assert part["least_time"] < 0.1 * part["round_robin"]
    assert p99_s["least_connections"] <= p99_s["round_robin"]
    assert p99_s["least_time"] < 5 * FAST_S


@pytest.mark.parametrize("kind", ["least_connections", "least_time", "round_robin", "random"])
@pytest.mark.parametrize("light", [2, 9])
def test_a_busy_member_of_weight_three_is_given_about_three_times_as_much(kind, light):
    weights = [3000] + [1000] * light

    # Some ten requests are under way for each thousandth of weight.
    _, got = served(kind, [0.1] * (light + 1), 30 * (light + 3), weights=weights, hands=100)

    assert 2.4 < got[0] * light / (got.total() - got[0]) < 3.7


def test_a_key_that_everybody_asks_for_is_too_much_for_one_only_without_a_bound():
    times_s = [0.04] * 5  # one member serves 100 a second

    bounded, got = served("hash", times_s, per_s=300, keys=1)
    unbounded, all_at_one = served("ip_hash", times_s, per_s=300, keys=1)

    assert worst_s(bounded) < 0.5
    assert len(got) > 3
    assert worst_s(unbounded, 50) > 5
    assert len(all_at_one) == 1
