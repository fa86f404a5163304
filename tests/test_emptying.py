"""Gradual drains: a growing part of the clients gets what all will get in the end."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.belief import PARTS, Belief, Forced, Word, believe, staying_at
from gslb.health.verdict import Record, Verdict
from gslb.routing.climb import climb
from gslb.routing.snapshot import compile_snapshot
from tests.test_ladder import E1, E2, EU, IN_TURN, PU, U1, U2, US, WITH_PROXIES, climbed, shares
from tests.world import DOWN, REGIONS, UP, plan, service


def leaving(staying):
    return Belief(verdict=Verdict.UP, forced=Word.DRAIN, staying=staying)


def test_a_drain_without_a_span_is_whole_at_once():
    belief = believe(Record(Verdict.UP), Forced(Word.DRAIN), 100.0)

    assert belief.drained


@pytest.mark.parametrize(
    ("now_s", "staying"), [(90.0, PARTS), (100.0, PARTS), (125.0, 750), (199.9, 1), (200.0, 0)]
)
def test_a_gradual_drain_goes_from_none_to_whole_in_its_span(now_s, staying):
    forced = Forced(Word.DRAIN, from_s=100.0, over_s=100.0)

    assert staying_at(forced, now_s) == staying
    assert believe(Record(Verdict.UP), forced, now_s).drained is (staying == 0)


def test_a_region_that_is_emptied_sends_a_part_of_its_clients_on_and_never_to_what_is_left_of_it():
    done = climbed(US, EU, beliefs={U1: leaving(700), U2: leaving(700)})

    part, rest = Fraction(700, PARTS), Fraction(300, PARTS)
    assert shares(done) == {U1: part / 2, U2: part / 2, E1: rest / 2, E2: rest / 2}
    assert done.at == 0


def test_when_most_have_left_the_climb_told_is_theirs():
    done = climbed(US, EU, beliefs={U1: leaving(100), U2: leaving(100)})

    assert done.at == 1


def test_two_members_leave_each_at_a_pace_of_its_own():
    done = climbed(US, EU, beliefs={U1: leaving(200), U2: leaving(600)})

    assert shares(done) == {
        U1: Fraction(1, 10),
        U2: Fraction(1, 10) + Fraction(4, 10),
        E1: Fraction(2, 10),
        E2: Fraction(2, 10),
    }


def test_a_member_that_is_dead_gets_nobody_while_it_leaves():
    gone = replace(leaving(900), verdict=Verdict.DOWN)

    assert shares(climbed(US, beliefs={U1: gone})) == {U2: Fraction(1)}


def test_what_cannot_be_answered_takes_no_part():
    beliefs = {U1: leaving(400), U2: replace(leaving(400)), E1: DOWN, E2: DOWN}

    done = climbed(US, EU, beliefs=beliefs, all_down="nodata")

    assert shares(done) == {U1: Fraction(1, 2), U2: Fraction(1, 2)}


def test_proxies_of_a_region_leave_with_it():
    beliefs = {U1: DOWN, U2: DOWN, PU: leaving(500)}

    done = climbed(US, EU, beliefs=beliefs, order=IN_TURN[:2], regions=WITH_PROXIES)

    assert shares(done) == {PU: Fraction(1, 2), E1: Fraction(1, 4), E2: Fraction(1, 4)}


@given(st.integers(0, PARTS), st.sampled_from([0, 1, 3]), st.integers(0, 3))
def test_the_shares_are_the_exact_mixture_of_before_and_after(staying, weight, dead):
    us = replace(US, members=(replace(US.members[0], weight=weight), US.members[1]))
    well = {U1: UP, U2: UP, E1: DOWN if dead & 1 else UP, E2: DOWN if dead & 2 else UP}

    def at(left):
        beliefs = well if left == PARTS else {**well, U1: leaving(left), U2: leaving(left)}
        return shares(climbed(us, EU, beliefs=beliefs))

    before, after, now = at(PARTS), at(0), at(staying)

    part = Fraction(staying, PARTS)
    assert now == {
        key: share
        for key in {*before, *after}
        if (share := part * before.get(key, 0) + (1 - part) * after.get(key, 0))
    }


def test_an_entry_that_is_being_emptied_is_compiled_again_as_time_goes_by():
    www = service(US, EU)
    forced = Forced(Word.DRAIN, from_s=0.0, over_s=100.0)

    def snapshot(now_s, previous=None):
        return compile_snapshot(
            the_plan,
            lambda _, each: believe(
                Record(Verdict.UP), forced if str(each.address) in (U1, U2) else None, now_s
            ),
            generation=1,
            now_s=now_s,
            previous=previous,
            touched=(),
        )

    the_plan = plan(www)
    begun = snapshot(10.0)
    later = snapshot(20.0, begun)
    over = snapshot(200.0, later)

    assert begun.moving == later.moving == {www.name}
    assert later.changed == over.changed == {www.name}
    assert not over.moving
    assert climb(www, 1, IN_TURN[:2], lambda _: UP, REGIONS, 0.0).staying == PARTS
