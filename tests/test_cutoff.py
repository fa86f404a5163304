"""When a vantage takes what it sees for its own trouble."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.cutoff import FALLEN_MIN, WINDOW_S, CutOff, look

HALF = Fraction(1, 2)


def seen(*looks, watched=10, share=HALF, every_s=5.0):
    """Return the state after looks that saw so many down, one after the other."""
    state = CutOff()
    for number, down in enumerate(looks):
        state = look(state, watched, down, share, now_s=number * every_s)
    return state


def test_most_of_the_world_gone_at_once_is_a_vantage_that_is_cut_off():
    assert seen(0, 0, 2, 6).is_cut_off
    assert seen(0, 0, 10).is_cut_off


def test_exactly_the_share_is_not_more_than_it():
    assert not seen(0, 5).is_cut_off
    assert seen(0, 6).is_cut_off


def test_it_lasts_until_no_more_than_the_share_is_down_however_long():
    assert seen(0, *[10] * 100).is_cut_off
    assert seen(0, *[10] * 100, 6).is_cut_off
    assert not seen(0, *[10] * 100, 5).is_cut_off


def test_a_vantage_that_starts_and_finds_all_down_is_cut_off():
    assert seen(10).is_cut_off


def test_a_slow_decline_is_believed():
    four_in_each_window = WINDOW_S / 4

    assert not seen(*range(15), watched=20, every_s=four_in_each_window).is_cut_off
    assert seen(*range(7), 14, watched=20, every_s=four_in_each_window).is_cut_off


def test_where_many_are_down_for_long_the_rest_falling_at_once_is_noticed():
    long = int(WINDOW_S / 5.0) + 2

    grown = [count for count in range(7) for _ in range(long)]

    assert not seen(*grown).is_cut_off
    assert seen(*grown, 10).is_cut_off
    assert not seen(*grown, 8).is_cut_off


@pytest.mark.parametrize("watched", range(FALLEN_MIN))
def test_one_or_two_members_tell_nothing(watched):
    assert not seen(0, watched, watched=watched).is_cut_off


def test_three_members_that_all_fall_do():
    assert not seen(0, 2, watched=3).is_cut_off
    assert seen(0, 2, 3, watched=3).is_cut_off


def test_without_a_share_a_vantage_is_never_cut_off():
    assert not seen(0, 10, share=None).is_cut_off
    assert not look(seen(0, 10), 10, 10, None, now_s=99.0).is_cut_off


@given(st.lists(st.integers(0, 10), max_size=200), st.integers(1, 60))
def test_what_is_remembered_is_of_the_window_and_ascends(looks, every_s):
    state = seen(*looks, every_s=float(every_s))

    times = [at_s for at_s, _ in state.lowest]
    counts = [count for _, count in state.lowest]
    assert counts == sorted(set(counts))
    assert not times or times[-1] - times[0] <= WINDOW_S


@given(st.lists(st.integers(0, 10), min_size=1, max_size=50))
def test_who_sees_no_more_than_the_share_down_is_not_cut_off(looks):
    assert not seen(*looks, 5).is_cut_off
