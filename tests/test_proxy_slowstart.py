"""Slow start: from a tenth to the whole, in a line of small steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.slowstart import FLOOR, STEPS, effective, next_step_s
from gslb.proxy.target import WHOLE

spans_s = st.floats(0.1, 10_000)


@pytest.mark.parametrize(
    ("age_s", "weight"), [(0, 100), (4.9, 100), (5, 150), (50, 600), (89.9, 950), (90, 1000)]
)
def test_a_member_grows_from_a_tenth_to_the_whole(age_s, weight):
    assert effective(1, age_s, 90) == weight
    assert effective(7, age_s, 90) == 7 * weight


def test_without_a_slow_start_it_is_whole_at_once():
    assert effective(3, 0.0, 0.0) == 3 * WHOLE
    assert next_step_s(0.0, 0.0) is None


@pytest.mark.parametrize("span_s", [0.0, 30.0])
def test_one_that_is_to_come_up_a_moment_from_now_counts_as_just_come(span_s):
    assert effective(1, -0.001, span_s) == effective(1, 0.0, span_s)


def test_a_reserve_that_is_needed_counts_as_a_member_of_weight_1():
    assert effective(0, 100.0, 30.0) == WHOLE


@given(spans_s, st.floats(0, 1))
def test_its_part_is_never_more_than_a_step_below_the_line(span_s, part):
    line = FLOOR / STEPS + (1 - FLOOR / STEPS) * part

    got = effective(1, part * span_s, span_s) / WHOLE

    assert line - 1 / STEPS - 1e-6 < got < line + 1e-6
    assert got >= FLOOR / STEPS


@given(spans_s, st.floats(0, 1), st.floats(0, 1))
def test_it_never_shrinks(span_s, one, other):
    early, late = sorted([one, other])

    assert effective(1, early * span_s, span_s) <= effective(1, late * span_s, span_s)


@given(spans_s)
def test_who_waits_for_each_next_step_sees_every_one_of_them(span_s):
    age_s = 0.0
    seen = [effective(1, age_s, span_s)]

    while (wait_s := next_step_s(age_s, span_s)) is not None:
        age_s += wait_s
        seen.append(effective(1, age_s, span_s))

    assert seen == [WHOLE * step // STEPS for step in range(FLOOR, STEPS + 1)]
    assert age_s == pytest.approx(span_s)
