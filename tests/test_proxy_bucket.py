"""Token buckets: never more than the burst and the rate, never fewer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.bucket import KEYS_MAX, Buckets

rates = st.floats(0.01, 10_000)
bursts = st.integers(1, 50)
starts_s = st.floats(0, 1e6)


def test_a_burst_is_granted_at_once_and_then_one_token_an_interval():
    buckets = Buckets(10, 3)

    got = [buckets.take(1, 0.0) for _ in range(4)]

    assert got == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert buckets.take(1, 0.1) == 0.0
    assert buckets.take(1, 0.1) == pytest.approx(0.1)


def test_what_is_refused_takes_nothing():
    buckets = Buckets(1, 1)
    buckets.take(1, 0.0)

    waits_s = [buckets.take(1, 0.25) for _ in range(100)]

    assert waits_s == pytest.approx([0.75] * 100)


def test_each_key_has_a_bucket_of_its_own():
    buckets = Buckets(1, 1)

    assert buckets.take(1, 0.0) == 0.0
    assert buckets.take(2, 0.0) == 0.0
    assert buckets.take(1, 0.0) > 0


def test_a_bucket_holds_no_more_than_the_burst_however_long_it_was_left():
    buckets = Buckets(10, 2)
    buckets.take(1, 0.0)

    assert [buckets.take(1, 1e6) > 0 for _ in range(3)] == [False, False, True]


@given(rates, bursts, starts_s, st.lists(st.floats(0, 5), max_size=200))
def test_a_bucket_is_what_a_bucket_with_tokens_in_it_is(rate, burst, started_s, pauses):
    buckets = Buckets(rate, burst)
    tokens, now_s = float(burst), started_s
    for pause in pauses:
        now_s += pause / rate
        tokens = min(burst, tokens + pause)

        wait_s = buckets.take(9, now_s)

        near = max(1e-5, 1e-5 * rate)
        if wait_s == 0.0:
            assert tokens >= 1 - near
            tokens -= 1
        else:
            assert tokens <= 1 + near
            assert wait_s * rate == pytest.approx(1 - tokens, abs=near)


@given(rates, bursts, starts_s)
def test_who_waits_as_long_as_was_said_is_granted(rate, burst, started_s):
    buckets = Buckets(rate, burst)
    while (wait_s := buckets.take(5, started_s)) == 0.0:
        pass

    assert 0 < wait_s <= 1 / rate + 1e-5
    assert buckets.take(5, started_s + wait_s) == 0.0


def test_however_many_come_no_more_are_remembered_than_the_bound():
    buckets = Buckets(1, 1, keys_max=10)

    for key in range(1000):
        buckets.take(key, 0.0)
        assert len(buckets) <= 10


def test_who_keeps_coming_is_never_forgotten():
    buckets = Buckets(1, 1, keys_max=10)
    buckets.take(-1, 0.0)

    for key in range(1000):
        buckets.take(key, 0.0)
        assert buckets.take(-1, 0.0) > 0


def wait_after(others):
    """Return how long whoever took the one token waits, once so many *others* came."""
    buckets = Buckets(1, 1, keys_max=10)
    buckets.take(-1, 0.0)
    for key in range(others):
        buckets.take(key, 0.0)
    return buckets.take(-1, 0.0)


def test_a_bucket_outlives_as_many_other_keys_as_half_the_bound():
    assert wait_after(5) > 0


def test_a_forgotten_bucket_is_full():
    assert wait_after(10) == 0.0


def test_the_usual_bound_holds_as_a_small_one_does():
    buckets = Buckets(1, 1)

    for key in range(KEYS_MAX + 2):
        buckets.take(key, 0.0)

    assert KEYS_MAX // 2 <= len(buckets) <= KEYS_MAX
