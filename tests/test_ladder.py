"""How a ladder is filled and climbed, sentence by sentence of the design's sections 3 and 10."""

from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address

import pytest

from gslb.health.belief import Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Failback, Family, Member, Region
from gslb.routing.climb import Outcome, Way, climb
from gslb.routing.ladder import PARTS, build, part_given
from tests.world import (
    DOWN,
    DRAINED,
    FORCED_DOWN,
    FORCED_UP,
    REGIONS,
    UNKNOWN,
    UP,
    member,
    pool,
    service,
)

U1, U2, U3, U4 = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"
E1, E2 = "198.51.100.1", "198.51.100.2"
A1 = "203.0.113.1"
PU, PE = "192.0.2.100", "198.51.100.100"
WITH_PROXIES = {
    "us": replace(REGIONS["us"], proxies=(member(PU),)),
    "eu": replace(REGIONS["eu"], proxies=(member(PE), member("2001:db8::100"))),
    "ap": REGIONS["ap"],
}
US, EU, AP = pool("us", U1, U2), pool("eu", E1, E2), pool("ap", A1)
IN_TURN = (("us",), ("eu",), ("ap",))
TIED = (("us", "eu"),)


def climbed(*pools, beliefs=None, order=None, now_s=0.0, regions=REGIONS, family=Family.A, **keys):
    given = beliefs or {}
    order = tuple((each.region,) for each in pools) if order is None else order
    return climb(
        service(*pools, **keys),
        family,
        order,
        lambda each: given.get(str(each.address), UP),
        regions,
        now_s,
    )


def shares(done):
    total = sum(candidate.share for candidate in done.candidates)
    return {str(c.member.address): Fraction(c.share, total) for c in done.candidates}


def even(*addresses):
    return dict.fromkeys(addresses, Fraction(1, len(addresses)))


HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
FOUR = pool("us", U1, U2, U3, U4)


@pytest.mark.parametrize(
    ("pools", "beliefs", "keys", "way", "at", "expected"),
    [
        pytest.param([US, EU], {}, {}, Way.RUNG, 0, even(U1, U2), id="all up: the first rung"),
        pytest.param(
            [US, EU], {U1: DOWN}, {}, Way.RUNG, 0, even(U2), id="half alive is just enough"
        ),
        pytest.param(
            [FOUR, EU],
            {U1: DOWN, U2: DOWN, U3: DOWN},
            {},
            Way.RUNG,
            1,
            even(E1, E2),
            id="a quarter alive is too little",
        ),
        pytest.param(
            [pool("us", member(U1, 49), member(U2, 51)), EU],
            {U2: DOWN},
            {},
            Way.RUNG,
            1,
            even(E1, E2),
            id="weights count for the threshold, not heads",
        ),
        pytest.param(
            [pool("us", member(U1, 1), member(U2, 2)), EU],
            {U2: DOWN},
            {"healthy_at_least": THIRD},
            Way.RUNG,
            0,
            even(U1),
            id="the threshold is compared exactly, in thirds too",
        ),
        pytest.param(
            [pool("us", member(U1, 333_333), member(U2, 666_667)), EU],
            {U2: DOWN},
            {"healthy_at_least": THIRD},
            Way.RUNG,
            1,
            even(E1, E2),
            id="a millionth below the threshold is below it",
        ),
        pytest.param(
            [US, EU],
            {U1: DOWN},
            {"healthy_at_least": Fraction(1)},
            Way.RUNG,
            1,
            even(E1, E2),
            id="with healthy_at_least 1 one death moves the clients",
        ),
        pytest.param(
            [US, EU],
            {U1: DOWN, U2: DOWN},
            {"healthy_at_least": Fraction(0)},
            Way.RUNG,
            1,
            even(E1, E2),
            id="with healthy_at_least 0 a rung still needs someone living",
        ),
        pytest.param(
            [US, EU],
            {U1: DOWN, E1: DOWN},
            {"healthy_at_least": Fraction(1)},
            Way.ANYONE,
            0,
            even(U2),
            id="rule 2: no rung holds, so the first with anyone living",
        ),
        pytest.param(
            [US, EU],
            {U1: DOWN, U2: DOWN, E1: DOWN},
            {"healthy_at_least": Fraction(1)},
            Way.ANYONE,
            1,
            even(E2),
            id="rule 2 passes by a rung where nobody lives",
        ),
        pytest.param(
            [pool("us", U1, member(U2, 0)), EU],
            {U1: DOWN},
            {},
            Way.RUNG,
            1,
            even(E1, E2),
            id="a reserve does not fill up its rung",
        ),
        pytest.param(
            [pool("us", U1, member(U2, 0)), pool("eu", E1)],
            {U1: DOWN, E1: DOWN},
            {},
            Way.RESERVES,
            0,
            even(U2),
            id="rule 3: a reserve serves when nobody with weight lives",
        ),
        pytest.param(
            [pool("us", U1, member(U2, 0)), pool("eu", member(E1, 0), member(E2, 0))],
            {U1: DOWN, U2: DOWN},
            {},
            Way.RESERVES,
            1,
            even(E1, E2),
            id="rule 3: the first rung with a living reserve, who share equally",
        ),
        pytest.param(
            [pool("us", U1, U2, weight=0), EU],
            {},
            {},
            Way.RUNG,
            1,
            even(E1, E2),
            id="a pool of weight 0 is a pool of reserves",
        ),
        pytest.param(
            [pool("us", U1, U2, weight=0), pool("eu", E1)],
            {E1: DOWN},
            {},
            Way.RESERVES,
            0,
            even(U1, U2),
            id="a pool of weight 0 serves when the others are dead",
        ),
        pytest.param(
            [US, EU],
            {U1: DRAINED},
            {"healthy_at_least": Fraction(1)},
            Way.RUNG,
            0,
            even(U2),
            id="a drained member is as if not configured: its rung is whole without it",
        ),
        pytest.param(
            [US, EU],
            {U1: DRAINED, U2: DRAINED},
            {},
            Way.RUNG,
            1,
            even(E1, E2),
            id="a rung with everyone drained is skipped",
        ),
        pytest.param(
            [US, EU],
            {U1: DRAINED, U2: DOWN, E1: DOWN, E2: DOWN},
            {},
            Way.FAIL_OPEN,
            None,
            even(U2),
            id="a drained member does not come back because the others die",
        ),
        pytest.param(
            [US],
            {U1: DRAINED, U2: DRAINED},
            {},
            Way.RUNG,
            0,
            even(U1, U2),
            id="all drained: all are served",
        ),
        pytest.param(
            [US, EU],
            {U1: FORCED_UP, U2: DOWN},
            {},
            Way.RUNG,
            0,
            even(U1),
            id="forced up counts as living",
        ),
        pytest.param(
            [US, EU],
            {U1: FORCED_DOWN},
            {},
            Way.RUNG,
            0,
            even(U2),
            id="forced down counts as dead",
        ),
        pytest.param(
            [FOUR, EU],
            dict.fromkeys((U1, U2, U3), FORCED_DOWN),
            {},
            Way.RUNG,
            1,
            even(E1, E2),
            id="forced down counts against the threshold",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: UNKNOWN},
            {},
            Way.RUNG,
            0,
            even(U1, U2),
            id="unknown counts as living",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: DOWN},
            {},
            Way.RUNG,
            0,
            even(U1),
            id="a new member is served when no pool-mate is known to be up",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: UP},
            {"healthy_at_least": Fraction(1)},
            Way.RUNG,
            0,
            even(U2),
            id="a new member waits beside a pool-mate that is up, and no share waits for it",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: FORCED_UP},
            {},
            Way.RUNG,
            0,
            even(U2),
            id="a new member waits beside a pool-mate that is forced up",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: DRAINED},
            {},
            Way.RUNG,
            0,
            even(U1),
            id="a new member does not wait for a drained one",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: FORCED_DOWN},
            {},
            Way.RUNG,
            0,
            even(U1),
            id="a new member does not wait for one that is forced down",
        ),
        pytest.param(
            [US, EU],
            {U1: Belief(forced=Word.UP)},
            {},
            Way.RUNG,
            0,
            even(U1, U2),
            id="a new member that is forced up does not wait",
        ),
        pytest.param(
            [US, EU],
            {U1: UNKNOWN, U2: UNKNOWN, E1: UP},
            {},
            Way.RUNG,
            0,
            even(U1, U2),
            id="a new member does not wait for another pool's",
        ),
        pytest.param([], {}, {}, Way.NODATA, None, {}, id="a fence that leaves nothing: no data"),
        pytest.param(
            [], {}, {"all_down": "servfail"}, Way.SERVFAIL, None, {}, id="nothing and servfail"
        ),
    ],
)
def test_the_first_rule_that_holds_is_served(pools, beliefs, keys, way, at, expected):
    done = climbed(*pools, beliefs=beliefs, **keys)

    assert (done.way, done.at) == (way, at)
    assert shares(done) == expected


@pytest.mark.parametrize(
    ("beliefs", "all_down", "way", "expected"),
    [
        pytest.param({}, "serve_all", Way.FAIL_OPEN, even(U1, U2), id="as if all were up"),
        pytest.param({}, "nodata", Way.NODATA, {}, id="nodata"),
        pytest.param({}, "servfail", Way.SERVFAIL, {}, id="servfail"),
        pytest.param(
            {U1: FORCED_DOWN}, "serve_all", Way.FAIL_OPEN, even(U2), id="not the forced down"
        ),
        pytest.param({U1: DRAINED}, "serve_all", Way.FAIL_OPEN, even(U2), id="not the drained"),
        pytest.param(
            {U1: DRAINED, U2: FORCED_DOWN},
            "serve_all",
            Way.FAIL_OPEN,
            even(E1, E2),
            id="the next rung where the first has only forced down and drained",
        ),
        pytest.param(
            {U1: DRAINED, U2: FORCED_DOWN, E1: FORCED_DOWN, E2: FORCED_DOWN},
            "serve_all",
            Way.FAIL_OPEN,
            even(U1, U2),
            id="everyone where that leaves nobody",
        ),
        pytest.param(
            {U1: FORCED_DOWN, U2: FORCED_DOWN, E1: FORCED_DOWN, E2: FORCED_DOWN},
            "nodata",
            Way.NODATA,
            {},
            id="forced down and nodata",
        ),
    ],
)
def test_when_all_are_down_the_service_says_what_happens(beliefs, all_down, way, expected):
    dead = dict.fromkeys((U1, U2, E1, E2), DOWN)

    done = climbed(US, EU, beliefs=dead | beliefs, all_down=all_down)

    assert (done.way, done.at) == (way, None)
    assert shares(done) == expected
    assert Outcome.SERVED not in done.outcomes


def test_serve_all_serves_reserves_where_there_is_nobody_else():
    pools = [pool("us", member(U1, 0))]

    done = climbed(*pools, beliefs={U1: DOWN})

    assert done.way is Way.FAIL_OPEN
    assert shares(done) == even(U1)


def test_serve_all_never_means_the_proxies():
    keys = {"regions": WITH_PROXIES, "proxies": "always"}

    done = climbed(US, beliefs=dict.fromkeys((U1, U2, PU), DOWN), **keys)

    assert shares(done) == even(U1, U2)


def test_all_drained_and_all_dead_is_served_as_all_dead():
    dead_and_drained = replace(DRAINED, verdict=Verdict.DOWN)

    done = climbed(US, beliefs={U1: dead_and_drained, U2: dead_and_drained})

    assert done.all_drained
    assert done.way is Way.FAIL_OPEN
    assert shares(done) == even(U1, U2)


def test_all_drained_is_shouted_about_and_keeps_the_word_in_sight():
    dead_and_drained = replace(DRAINED, verdict=Verdict.DOWN)

    done = climbed(US, beliefs={U1: DRAINED, U2: dead_and_drained})

    assert done.all_drained
    assert shares(done) == even(U1)
    assert [s.belief.forced for s in done.rungs[0].members] == [Word.DRAIN, Word.DRAIN]
    assert done.rungs[0].members[0].why == "drained, as all are: served all the same"
    assert not climbed(US, beliefs={U1: DRAINED}).all_drained


def test_nobody_is_drained_where_a_fence_leaves_nobody():
    assert not climbed().all_drained


def test_drained_proxies_stay_drained_when_all_members_are():
    beliefs = {U1: DRAINED, U2: DRAINED, PU: DRAINED}

    done = climbed(US, beliefs=beliefs, regions=WITH_PROXIES, proxies="always")

    assert shares(done) == even(U1, U2)


# Shares on one rung.


@pytest.mark.parametrize(
    ("pools", "beliefs", "expected"),
    [
        pytest.param(
            [pool("us", U1), pool("eu", E1, E2)],
            {},
            {U1: HALF, E1: Fraction(1, 4), E2: Fraction(1, 4)},
            id="pools weigh the same however many members they have",
        ),
        pytest.param(
            [pool("us", U1, weight=30), pool("eu", E1, E2, weight=70)],
            {},
            {U1: Fraction(3, 10), E1: Fraction(7, 20), E2: Fraction(7, 20)},
            id="a pool's weight is its part of the rung",
        ),
        pytest.param(
            [pool("us", member(U1, 3), member(U2, 1)), pool("eu", E1)],
            {},
            {U1: Fraction(3, 8), U2: Fraction(1, 8), E1: HALF},
            id="a member's weight is its part of the pool",
        ),
        pytest.param(
            [pool("us", member(U1, 3), member(U2, 4)), pool("eu", member(E1, 2), member(E2, 9))],
            {},
            {
                U1: Fraction(3, 14),
                U2: Fraction(4, 14),
                E1: Fraction(2, 22),
                E2: Fraction(9, 22),
            },
            id="nothing is rounded",
        ),
        pytest.param(
            [US, EU],
            {U1: DOWN},
            {U2: THIRD, E1: THIRD, E2: THIRD},
            id="what a dead member had goes to the whole rung",
        ),
        pytest.param(
            [US, EU],
            {U1: DRAINED},
            {U2: HALF, E1: Fraction(1, 4), E2: Fraction(1, 4)},
            id="what a drained member had goes to its pool",
        ),
        pytest.param(
            [US, EU],
            {U1: DRAINED, U2: DRAINED},
            even(E1, E2),
            id="a drained pool leaves its rung to the others",
        ),
        pytest.param(
            [pool("us", U1, member(U2, 0)), EU],
            {},
            {U1: HALF, E1: Fraction(1, 4), E2: Fraction(1, 4)},
            id="a reserve has no share",
        ),
        pytest.param(
            [US, pool("eu", E1, E2, weight=0)],
            {},
            even(U1, U2),
            id="a pool of weight 0 has no share",
        ),
    ],
)
def test_the_shares_of_a_rung(pools, beliefs, expected):
    done = climbed(*pools, beliefs=beliefs, order=TIED)

    assert shares(done) == expected


@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        pytest.param(
            [pool("us", member(U1, 0)), pool("eu", member(E1, 0), member(E2, 0))],
            {U1: HALF, E1: Fraction(1, 4), E2: Fraction(1, 4)},
            id="equally within a pool",
        ),
        pytest.param(
            [pool("us", member(U1, 0), weight=300), pool("eu", member(E1, 0), weight=100)],
            {U1: Fraction(3, 4), E1: Fraction(1, 4)},
            id="pools by weight",
        ),
        pytest.param(
            [pool("us", member(U1, 7), weight=0), pool("eu", member(E1, 1), weight=0)],
            even(U1, E1),
            id="equally where no pool has weight",
        ),
        pytest.param(
            [pool("us", member(U1, 0), weight=0), pool("eu", member(E1, 0), weight=5)],
            even(E1),
            id="a pool of weight 0 yields to reserves of a pool with weight",
        ),
    ],
)
def test_reserves_that_serve_together_share(pools, expected):
    done = climbed(*pools, order=TIED)

    assert done.way is Way.RESERVES
    assert shares(done) == expected


# Proxies.


@pytest.mark.parametrize(
    ("pools", "order", "beliefs", "mode", "way", "at", "expected"),
    [
        pytest.param(
            [US, EU],
            None,
            {},
            "fallback",
            Way.RUNG,
            0,
            even(U1, U2),
            id="idle while its rung holds",
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DOWN, U2: DOWN},
            "fallback",
            Way.PROXIES,
            0,
            even(PU),
            id="a failing rung is served by its proxies",
        ),
        pytest.param(
            [FOUR, EU],
            None,
            dict.fromkeys((U1, U2, U3), DOWN),
            "fallback",
            Way.PROXIES,
            0,
            even(PU),
            id="below the threshold is failing, and its living member is left out",
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DOWN, U2: DOWN, PU: DOWN},
            "fallback",
            Way.RUNG,
            1,
            even(E1, E2),
            id="dead proxies serve nobody",
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DOWN, U2: DOWN, PU: DRAINED},
            "fallback",
            Way.RUNG,
            1,
            even(E1, E2),
            id="drained proxies serve nobody",
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DOWN, U2: DOWN},
            "never",
            Way.RUNG,
            1,
            even(E1, E2),
            id="never means never",
        ),
        pytest.param(
            [US, EU],
            TIED,
            dict.fromkeys((U1, U2, E1, E2), DOWN),
            "fallback",
            Way.PROXIES,
            0,
            even(PU, PE),
            id="the proxies of all regions of the rung, equally",
        ),
        pytest.param(
            [pool("us", U1, weight=0), EU],
            None,
            {U1: DOWN, E1: DOWN, E2: DOWN},
            "fallback",
            Way.PROXIES,
            1,
            even(PE),
            id="a rung without any weight does not fail, and its proxies do not serve",
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DRAINED, U2: DRAINED, E1: DOWN, E2: DOWN},
            "fallback",
            Way.PROXIES,
            1,
            even(PE),
            id="the proxies of a skipped rung do not serve",
        ),
        pytest.param(
            [AP, EU],
            None,
            {A1: DOWN},
            "fallback",
            Way.RUNG,
            1,
            even(E1, E2),
            id="a region without proxies",
        ),
        pytest.param(
            [US, EU], None, {}, "always", Way.RUNG, 0, even(PU), id="always: in place of members"
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DOWN, U2: DOWN},
            "always",
            Way.RUNG,
            0,
            even(PU),
            id="always: whatever the members' health",
        ),
        pytest.param(
            [US, EU],
            None,
            {PU: DOWN},
            "always",
            Way.RUNG,
            0,
            even(U1, U2),
            id="always: a rung without a living proxy is its members",
        ),
        pytest.param(
            [US, EU],
            None,
            {PU: DOWN, U1: DOWN, U2: DOWN},
            "always",
            Way.RUNG,
            1,
            even(PE),
            id="always: the next rung's proxies when this one's members are dead too",
        ),
        pytest.param(
            [US, EU],
            None,
            {U1: DRAINED, U2: DRAINED},
            "always",
            Way.RUNG,
            1,
            even(PE),
            id="always: not for a region that is drained",
        ),
        pytest.param(
            [US, AP],
            (("us", "ap"),),
            {},
            "always",
            Way.RUNG,
            0,
            even(PU),
            id="always: a tied region without proxies is served by the others'",
        ),
    ],
)
def test_proxies(pools, order, beliefs, mode, way, at, expected):
    done = climbed(*pools, order=order, beliefs=beliefs, regions=WITH_PROXIES, proxies=mode)

    assert (done.way, done.at) == (way, at)
    assert shares(done) == expected


def test_proxies_are_of_the_ladders_own_family():
    six = pool("eu", "2001:db8::1")
    down = {"2001:db8::1": DOWN}

    done = climbed(six, beliefs=down, family=Family.AAAA, regions=WITH_PROXIES)

    assert shares(done) == even("2001:db8::100")


# Families.


def test_each_family_has_its_own_ladder_and_shares():
    both = pool("us", U1, member("2001:db8::1", 9), member("2001:db8::2", 1))

    four = climbed(both, beliefs={"2001:db8::1": DOWN})
    six = climbed(both, beliefs={U1: DOWN}, family=Family.AAAA)

    assert (four.way, shares(four)) == (Way.RUNG, even(U1))
    assert shares(six) == {"2001:db8::1": Fraction(9, 10), "2001:db8::2": Fraction(1, 10)}


def test_a_new_member_does_not_wait_for_one_of_the_other_family():
    both = pool("us", U1, "2001:db8::1")

    done = climbed(both, beliefs={U1: UNKNOWN})

    assert shares(done) == even(U1)


def test_host_names_climb_like_addresses():
    names = [pool("us", "a.example.net", "b.example.net"), pool("eu", "c.example.net")]

    done = climbed(*names, beliefs={"a.example.net": DOWN}, family=Family.CNAME)

    assert shares(done) == even("b.example.net")


# Failback: hold, then ramp, on a clock that is an argument.


def risen(at_s):
    return Belief(verdict=Verdict.UP, risen_at_s=at_s)


@pytest.mark.parametrize(
    ("hold_s", "ramp_s", "now_s", "expected"),
    [
        (0, 0, 100.0, PARTS),
        (10, 0, 109.999, 0),
        (10, 0, 110.0, PARTS),
        (0, 20, 100.0, 0),
        (0, 20, 105.0, PARTS // 4),
        (10, 20, 110.0, 0),
        (10, 20, 120.0, PARTS // 2),
        (10, 20, 129.999, PARTS - 1),
        (10, 20, 130.0, PARTS),
        (10, 20, 99.0, 0),
    ],
)
def test_the_part_that_a_member_gets_back_after_it_rose(hold_s, ramp_s, now_s, expected):
    assert part_given(risen(100.0), Failback(hold_s, ramp_s), now_s) == expected


def test_a_member_that_never_fell_or_that_is_forced_gets_its_whole_share():
    forced = replace(risen(100.0), forced=Word.UP)

    assert part_given(UP, Failback(10, 10), 100.0) == PARTS
    assert part_given(forced, Failback(10, 10), 100.0) == PARTS


@pytest.mark.parametrize(
    ("now_s", "way", "at", "expected"),
    [
        (105.0, Way.RUNG, 0, even(U2)),
        (120.0, Way.RUNG, 0, {U1: THIRD, U2: 2 * THIRD}),
        (130.0, Way.RUNG, 0, even(U1, U2)),
    ],
)
def test_a_member_that_rose_is_held_and_then_grows(now_s, way, at, expected):
    failback = Failback(hold_s=10.0, ramp_s=20.0)

    done = climbed(US, EU, beliefs={U1: risen(100.0)}, now_s=now_s, failback=failback)

    assert (done.way, done.at) == (way, at)
    assert shares(done) == expected


def test_while_it_grows_it_counts_for_the_threshold_with_what_it_is_given():
    failback = Failback(hold_s=0.0, ramp_s=10.0)
    beliefs = {U1: risen(100.0), U2: DOWN}

    early = climbed(US, EU, beliefs=beliefs, now_s=109.9, failback=failback)
    late = climbed(US, EU, beliefs=beliefs, now_s=110.0, failback=failback)

    assert shares(early) == even(E1, E2)
    assert shares(late) == even(U1)


def test_a_member_that_fell_again_is_dead_whenever_it_rose():
    fell = Belief(verdict=Verdict.DOWN, risen_at_s=100.0)

    done = climbed(US, beliefs={U1: fell}, now_s=100.0, failback=Failback(10.0, 10.0))

    assert shares(done) == even(U2)


@pytest.mark.parametrize(
    ("keys", "way", "expected"),
    [
        pytest.param({}, Way.RUNG, even(U1), id="held beats reserves and failing open"),
        pytest.param({"regions": WITH_PROXIES}, Way.PROXIES, even(PU), id="proxies beat held"),
    ],
)
def test_a_held_member_serves_when_there_is_no_other_with_weight(keys, way, expected):
    pools = [pool("us", U1, U2, member(U3, 0))]
    failback = Failback(hold_s=10.0)
    beliefs = {U1: risen(100.0), U2: DOWN}

    done = climbed(
        *pools,
        beliefs=beliefs,
        now_s=101.0,
        failback=failback,
        healthy_at_least=HALF,
        **keys,
    )

    assert done.way is way
    assert shares(done) == expected


def test_a_held_member_below_the_threshold_serves_by_rule_2():
    failback = Failback(hold_s=10.0)
    beliefs = dict.fromkeys((U2, U3, U4), DOWN) | {U1: risen(100.0)}

    done = climbed(FOUR, beliefs=beliefs, now_s=101.0, failback=failback)

    assert done.way is Way.ANYONE
    assert shares(done) == even(U1)


# What is told of the climb.


@pytest.mark.parametrize(
    ("beliefs", "keys", "outcomes"),
    [
        ({}, {}, [Outcome.SERVED, Outcome.NOT_REACHED, Outcome.NOT_REACHED]),
        (
            {U1: DRAINED, U2: DRAINED, E1: DOWN, E2: DOWN},
            {},
            [Outcome.NOBODY, Outcome.NOBODY, Outcome.SERVED],
        ),
        (
            {U1: DOWN, E1: DOWN, A1: DOWN},
            {"healthy_at_least": Fraction(1)},
            [Outcome.SERVED, Outcome.BELOW, Outcome.NOBODY],
        ),
        (
            {U1: DOWN},
            {"healthy_at_least": Fraction(1), "regions": WITH_PROXIES},
            [Outcome.BELOW, Outcome.NOT_REACHED, Outcome.NOT_REACHED],
        ),
        (dict.fromkeys((U1, U2, E1, E2, A1), DOWN), {}, [Outcome.NOBODY] * 3),
    ],
)
def test_what_became_of_each_rung(beliefs, keys, outcomes):
    done = climbed(US, EU, AP, beliefs=beliefs, **keys)

    assert list(done.outcomes) == outcomes


@pytest.mark.parametrize(
    ("belief", "why"),
    [
        (UP, "up"),
        (UNKNOWN, "new: waits for its first result, as others of its pool are up"),
        (DOWN, "down"),
        (Belief(verdict=Verdict.DOWN, reason="refused"), "down: refused"),
        (FORCED_UP, "forced up"),
        (FORCED_DOWN, "forced down"),
        (DRAINED, "drained"),
        (risen(95.0), "up again, held back"),
        (risen(85.0), "up again, given 50 % of its share"),
        (risen(80.0), "up"),
    ],
)
def test_why_a_member_is_kept_or_not(belief, why):
    made = service(US, failback=Failback(10.0, 10.0))

    rungs = build(
        made,
        Family.A,
        (("us",),),
        lambda each: belief if str(each.address) == U1 else UP,
        REGIONS,
        100.0,
    )

    assert rungs[0].members[0].why == why


def test_an_unknown_member_that_does_not_wait_says_so():
    rungs = build(service(US), Family.A, (("us",),), lambda _: UNKNOWN, REGIONS, 0.0)

    assert [standing.why for standing in rungs[0].members] == ["unknown", "unknown"]


# The earliest flip of what the answer rests on.


def flips(at_s, verdict=Verdict.UP):
    return Belief(verdict=verdict, flips_at_s=at_s)


@pytest.mark.parametrize(
    ("beliefs", "keys", "until_s"),
    [
        pytest.param({}, {}, None, id="quiet"),
        pytest.param({U1: flips(7.0)}, {}, 7.0, id="a member of the served rung"),
        pytest.param({U1: flips(7.0), U2: flips(5.0)}, {}, 5.0, id="the earliest of several"),
        pytest.param({E1: flips(7.0)}, {}, None, id="a rung below does not matter"),
        pytest.param(
            {U1: flips(7.0, Verdict.DOWN), U2: DOWN}, {}, 7.0, id="a rung above may come back"
        ),
        pytest.param(
            {U1: replace(DRAINED, flips_at_s=7.0)}, {}, None, id="a drained one does not matter"
        ),
        pytest.param({PU: flips(7.0)}, {}, None, id="proxies do not matter while the rung holds"),
        pytest.param({U1: DOWN, U2: DOWN, PU: flips(7.0)}, {}, 7.0, id="proxies matter that serve"),
        pytest.param(
            {U1: DOWN, U2: DOWN, PU: flips(7.0, Verdict.DOWN)},
            {},
            7.0,
            id="dead proxies of a failing rung may come back",
        ),
        pytest.param(
            {U1: DOWN, U2: DOWN, PU: flips(7.0, Verdict.DOWN)},
            {"proxies": "never"},
            None,
            id="proxies that never serve do not matter",
        ),
        pytest.param({PU: flips(7.0)}, {"proxies": "always"}, 7.0, id="always: the proxies matter"),
        pytest.param(
            {U1: flips(7.0)}, {"proxies": "always"}, None, id="always: the members do not"
        ),
        pytest.param(
            {U1: flips(7.0), PU: flips(9.0, Verdict.DOWN)},
            {"proxies": "always"},
            7.0,
            id="always: both matter while the proxies are dead",
        ),
        pytest.param(
            {U1: DOWN, U2: DOWN, PU: DOWN, E1: DOWN, A1: flips(7.0, Verdict.DOWN)},
            {"healthy_at_least": Fraction(1), "proxies": "never"},
            7.0,
            id="below the threshold every rung matters",
        ),
        pytest.param(
            dict.fromkeys((U1, U2, E1, E2), DOWN) | {A1: flips(7.0, Verdict.DOWN)},
            {"proxies": "never"},
            7.0,
            id="all down: every member matters",
        ),
        pytest.param(
            dict.fromkeys((U1, U2, E1, E2, A1), DRAINED) | {U1: replace(DRAINED, flips_at_s=7.0)},
            {},
            7.0,
            id="all drained: the drained matter",
        ),
    ],
)
def test_until_when_the_answer_holds(beliefs, keys, until_s):
    done = climbed(US, EU, AP, beliefs=beliefs, regions=WITH_PROXIES, **keys)

    assert done.until_s == until_s


def test_a_region_of_many_pools_and_huge_weights_is_still_exact():
    pools = [
        pool(
            f"r{n}",
            Member(ip_address(f"192.0.2.{n}"), 999_000 + n),
            Member(ip_address(f"198.51.100.{n}"), 1_000_000 - 3 * n),
        )
        for n in range(1, 40)
    ]
    regions = {each.region: Region(each.region) for each in pools}
    order = (tuple(each.region for each in pools),)

    done = climbed(*pools, order=order, regions=regions)

    assert shares(done)["192.0.2.1"] == Fraction(999_001, 999_001 + 999_997) / 39
    assert sum(shares(done).values()) == 1
