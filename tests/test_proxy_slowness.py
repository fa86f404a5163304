"""Slowness: who takes much longer than the median of the others, once there is enough to tell."""

from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.slowness import SAMPLES_MIN, WINDOW_S, Slowness


def window(times, factor=5.0, samples=SAMPLES_MIN):
    """Return who was slow in a window in which each took its time on every response."""
    slowness = Slowness(factor)
    for name, time_s in times.items():
        for _ in range(samples):
            assert not slowness.observe(name, time_s, 1.0)
    return [name for name, _ in slowness.observe("a", 0.01, 1.0 + WINDOW_S)]


def test_one_that_takes_longer_than_factor_times_the_others_is_slow():
    assert window({"a": 0.01, "b": 0.011, "c": 0.06}) == ["c"]
    assert window({"a": 0.01, "b": 0.011, "c": 0.05}) == []


def test_it_is_said_how_slow():
    slowness = Slowness(5.0)
    for _ in range(SAMPLES_MIN):
        slowness.observe("a", 0.25, 0.0)
        slowness.observe("b", 0.01, 0.0)

    assert slowness.observe("b", 0.01, WINDOW_S) == [
        ("a", "0.250 s on average, the others 0.010 s")
    ]


def test_a_second_slow_one_does_not_hide_the_first():
    times = {"a": 0.01, "b": 0.01, "c": 0.01, "d": 1.0, "e": 2.0}

    assert window(times) == ["e", "d"]


def test_alone_nobody_is_slow():
    assert window({"a": 100.0}) == []


def test_of_too_few_responses_nothing_is_said():
    assert window({"a": 0.01, "b": 1.0}, samples=SAMPLES_MIN - 1) == []


def test_each_window_begins_anew():
    slowness = Slowness(2.0)
    for _ in range(SAMPLES_MIN):
        slowness.observe("a", 0.01, 0.0)
        slowness.observe("b", 1.0, 0.0)
    assert slowness.observe("a", 0.01, WINDOW_S)

    for _ in range(SAMPLES_MIN):
        slowness.observe("a", 0.01, WINDOW_S)
        slowness.observe("b", 0.01, WINDOW_S)

    assert not slowness.observe("a", 0.01, 2 * WINDOW_S)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.001, 100)), st.floats(1.1, 10))
def test_the_slow_are_the_slowest_and_the_fastest_is_never_among_them(times, factor):
    slow = window(times, factor)

    assert [times[name] for name in slow] == sorted(times.values())[::-1][: len(slow)]
    assert len(slow) < max(len(times), 1)
