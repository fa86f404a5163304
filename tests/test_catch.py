"""The safety catch: what it holds, for how long, and what it never delays."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gslb.health.catch import Review, review
from gslb.model import SafetyCatch

CATCH = SafetyCatch(Fraction(1, 2), 60.0)
WEIGHTS = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}
ALL = frozenset(WEIGHTS)


def after(*moments: tuple[float, str], catch: SafetyCatch | None = CATCH) -> Review:
    """Return the review after each moment's living members, named by their letters."""
    made = Review()
    for now_s, living in moments:
        made = review(catch, made, WEIGHTS, frozenset(living), now_s)
    return made


def test_without_a_catch_nothing_is_held():
    assert not after((0, "abcd"), (1, ""), catch=None).members


def test_losing_as_much_as_the_share_is_let_through():
    assert not after((0, "abcd"), (1, "ab")).members


def test_losing_more_than_the_share_at_once_is_held():
    held = after((0, "abcd"), (1, "a"))

    assert held.members == {"b", "c", "d"}
    assert held.since_s == 1


def test_deaths_one_after_the_other_count_together():
    held = after((0, "abcd"), (1, "abc"), (2, "ab"), (3, "a"), (4, ""))

    assert held.members == {"a", "b"}, "the first two had gone already"
    assert held.since_s == 3


def test_each_held_death_goes_when_its_own_window_is_over():
    moments = [(0, "abcd"), (1, "abc"), (2, "ab"), (3, "a"), (40, ""), (61.5, ""), (62.5, "")]

    assert after(*moments[:6]).members == {"a", "b"}
    assert not after(*moments).members, "what is left of the window weighs no more than half"


def test_deaths_that_are_far_apart_do_not_count_together():
    assert not after((0, "abcd"), (1, "abc"), (100, "ab"), (200, "a"), (300, "")).members


def test_who_comes_back_is_let_in_at_once_and_may_release_the_others():
    held = after((0, "abcd"), (1, "a"), (2, "ab"))

    assert not held.members
    assert after((0, "abcd"), (1, ""), (2, "a")).members == {"b", "c", "d"}


def test_who_was_dead_from_the_start_was_not_withdrawn():
    assert not after((0, "a"), (1, "a")).members


def test_a_member_that_is_no_longer_configured_is_not_missed():
    had = review(CATCH, Review(), {**WEIGHTS, "e": 9.0}, ALL | {"e"}, 0.0)

    assert not review(CATCH, had, WEIGHTS, ALL, 1.0).members


def test_deaths_before_a_word_was_given_are_held_no_more():
    held = after((0, "abcd"), (1, "a"))

    released = review(None, held, WEIGHTS, frozenset("a"), 2.0)

    assert not review(CATCH, released, WEIGHTS, frozenset("a"), 3.0).members


@given(st.lists(st.tuples(st.floats(0.1, 40.0), st.sets(st.sampled_from("abcd"))), max_size=30))
def test_nobody_who_lives_is_held_and_nobody_is_held_longer_than_the_window(steps):
    made, now_s, died = review(CATCH, Review(), WEIGHTS, ALL, 0.0), 0.0, {}
    for wait_s, living in steps:
        now_s += wait_s
        made = review(CATCH, made, WEIGHTS, frozenset(living), now_s)
        died = {each: died.get(each, now_s) for each in ALL - living}

        assert not made.members & living
        assert all(now_s - died[each] < CATCH.for_s for each in made.members)
        assert (made.since_s is None) == (not made.members)


def test_a_reload_that_makes_the_dead_weigh_more_holds_nobody():
    gone = after((0, "abcd"), (1, "bcd"))

    heavier = review(CATCH, gone, {**WEIGHTS, "a": 9.0}, frozenset("bcd"), 2.0)

    assert not heavier.members
