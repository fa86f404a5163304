"""How a plan and beliefs become a snapshot, and what the next one keeps of it."""

from dataclasses import replace

import pytest

from gslb.dns import name
from gslb.health.belief import Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Failback, Family, Order, Place
from gslb.routing.climb import Way
from gslb.routing.snapshot import compile_snapshot, map_keys, members_of, order_for, rdata_of
from tests.world import (
    APEX,
    DOWN,
    LONDON,
    NEW_YORK,
    REGIONS,
    UP,
    atlas,
    member,
    plan,
    pool,
    service,
    snapshot,
)

U1, U2, E1, PE = "192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.100"
WWW = service(pool("us", U1, U2), pool("eu", E1))
API = service(pool("eu", E1), owner="api")
IN_TURN = (Order((("us",), ("eu",))),)
PROXIED = REGIONS | {"eu": replace(REGIONS["eu"], proxies=(member(PE),))}


def risen(at_s):
    return Belief(verdict=Verdict.UP, risen_at_s=at_s)


def choices(snap, owner="www", family=Family.A):
    return snap.entries[name.parse(owner, APEX)].choices[family]


def addresses(choice):
    return [str(candidate.member.address) for candidate in choice.climb.candidates]


def entry(snap, owner="www"):
    return snap.entries[name.parse(owner, APEX)]


def test_each_service_has_a_choice_for_each_family_and_order():
    both = service(pool("us", U1, "2001:db8::1"), pool("eu", E1))
    known = atlas({"192.0.2.0/24": Place(LONDON), "198.51.100.0/24": Place(NEW_YORK)})

    snap = snapshot(plan(both, known=known))

    for family in (Family.A, Family.AAAA):
        assert len(choices(snap, family=family)) == len(entry(snap).maps[family].orders)
    assert set(entry(snap).maps[Family.A].orders) == {
        (("eu", "us"),),
        (("eu",), ("us",)),
        (("us",), ("eu",)),
    }
    assert entry(snap).maps[Family.AAAA].orders == ((("us",),),)


def test_services_with_the_same_steps_and_regions_share_a_map():
    other = service(pool("us", U2), pool("eu", "198.51.100.9"), owner="other")

    snap = snapshot(plan(WWW, other))

    assert entry(snap).maps[Family.A] is entry(snap, "other").maps[Family.A]


def test_a_map_orders_only_the_regions_that_have_a_member_of_the_family():
    both = service(pool("us", U1, "2001:db8::1"), pool("eu", E1))

    keys = map_keys(both)

    assert keys[Family.A].names == ("eu", "us")
    assert keys[Family.AAAA].names == ("us",)


def test_a_client_gets_the_order_and_the_choice_of_its_network():
    known = atlas({"192.0.2.0/24": Place(LONDON), "198.51.100.0/24": Place(NEW_YORK)})
    snap = snapshot(plan(WWW, known=known))

    order, choice, scope = order_for(entry(snap), Family.A, 4, 0xC0000205)

    assert order == (("eu",), ("us",))
    assert addresses(choice) == [E1]
    assert scope == 24


# What is kept.


def test_the_next_snapshot_keeps_what_did_not_change():
    made = plan(WWW, API)
    before = snapshot(made)

    after = snapshot(made, {U1: DOWN}, generation=2, now_s=5.0, previous=before)

    assert entry(after, "api") is entry(before, "api")
    assert entry(after) is not entry(before)
    assert addresses(choices(after)[0]) == [E1, U2]
    assert (after.generation, after.made_s) == (2, 5.0)


@pytest.mark.parametrize(
    "belief",
    [
        Belief(verdict=Verdict.UP, flips_at_s=9.0),
        Belief(verdict=Verdict.UP, forced=Word.DRAIN),
        Belief(verdict=Verdict.UP, reason="ok"),
    ],
)
def test_anything_else_that_is_believed_of_a_member_counts_as_a_change(belief):
    made = plan(WWW)
    before = snapshot(made)

    after = snapshot(made, {U1: belief}, previous=before)

    assert entry(after) is not entry(before)


def test_a_new_plan_keeps_nothing():
    before = snapshot(plan(WWW))

    after = snapshot(plan(WWW), previous=before)

    assert entry(after) is not entry(before)


def test_a_word_said_of_a_member_in_one_service_leaves_the_others_alone():
    made = plan(WWW, API, known=atlas({}))
    drained = Belief(verdict=Verdict.UP, forced=Word.DRAIN)

    snap = compile_snapshot(
        made,
        lambda each, _: drained if each is API else UP,
        generation=1,
        now_s=0.0,
    )

    assert choices(snap, "api")[0].climb.all_drained
    assert not choices(snap)[0].climb.all_drained


def test_proxies_are_rested_on_unless_they_never_serve():
    fallback = replace(WWW, proxies="fallback")
    never = replace(WWW, proxies="never")

    assert [str(m.address) for m in members_of(fallback, PROXIED)] == [U1, U2, E1, PE]
    assert [str(m.address) for m in members_of(never, PROXIED)] == [U1, U2, E1]


def test_a_proxy_that_dies_changes_the_choice():
    made = plan(service(pool("eu", E1), proxies="always"), regions=PROXIED)
    before = snapshot(made)

    after = snapshot(made, {PE: DOWN}, previous=before)

    assert addresses(choices(before)[0]) == [PE]
    assert addresses(choices(after)[0]) == [E1]


# Time: a share that grows back needs no news to change.


def ramping(now_s, previous=None, **failback):
    made = previous.plan if previous else plan(replace(WWW, failback=Failback(**failback)))
    return snapshot(made, {U1: risen(0.0), U2: DOWN}, now_s=now_s, previous=previous)


def test_while_a_share_grows_back_the_choice_is_made_anew():
    early = ramping(2.0, ramp_s=10.0)
    later = ramping(6.0, early)
    done = ramping(10.0, later)
    at_rest = ramping(20.0, done)

    assert [entry(each).moves for each in (early, later, done)] == [True, True, False]
    assert [addresses(choices(each)[0]) for each in (early, later, done)] == [[E1, U1]] * 3
    assert choices(early)[0].upto != choices(later)[0].upto != choices(done)[0].upto
    assert entry(at_rest) is entry(done)


def test_a_member_that_rose_and_fell_again_moves_nothing():
    fell = Belief(verdict=Verdict.DOWN, risen_at_s=0.0)

    snap = snapshot(plan(replace(WWW, failback=Failback(hold_s=10.0))), {U1: fell}, now_s=1.0)

    assert not entry(snap).moves


def test_members_that_were_freed_from_their_hold_get_it_back_when_another_is_through():
    alone = service(pool("us", U1, U2), failback=Failback(hold_s=60.0))
    made = plan(alone)
    beliefs = {U1: risen(0.0), U2: risen(50.0)}

    both_held = snapshot(made, beliefs, now_s=55.0)
    one_held = snapshot(made, beliefs, now_s=60.0, previous=both_held)
    none_held = snapshot(made, beliefs, now_s=110.0, previous=one_held)

    assert [addresses(choices(each)[0]) for each in (both_held, one_held, none_held)] == [
        [U1, U2],
        [U1],
        [U1, U2],
    ]
    assert not entry(none_held).moves


# What a choice says.


def test_a_choice_carries_the_services_bounds_and_the_climbs_way():
    made = replace(WWW, route=IN_TURN, ttl_s=77, ttl_min_s=7)

    (choice,) = choices(snapshot(plan(made), {U1: Belief(verdict=Verdict.UP, flips_at_s=9.0)}))

    assert (choice.ttl_s, choice.ttl_min_s, choice.until_s) == (77, 7, 9.0)
    assert (choice.way, choice.unusual) == (Way.RUNG, None)


def test_proxies_that_stand_in_are_unusual_and_proxies_that_always_serve_are_not():
    down = {E1: DOWN}
    fallback = plan(service(pool("eu", E1)), regions=PROXIED)
    always = plan(service(pool("eu", E1), proxies="always"), regions=PROXIED)

    (standing_in,) = choices(snapshot(fallback, down))
    (serving,) = choices(snapshot(always, down))

    assert standing_in.unusual[0] == 29
    assert len(standing_in.unusual[1]) <= 60
    assert serving.unusual is None


@pytest.mark.parametrize(
    ("address", "rdata"),
    [
        ("192.0.2.1", b"\xc0\x00\x02\x01"),
        ("2001:db8::1", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
        ("cdn.example.net", b"\x03cdn\x07example\x03net\x00"),
    ],
)
def test_a_member_as_rdata(address, rdata):
    assert rdata_of(member(address)) == rdata


# Zones.


@pytest.mark.parametrize(
    ("qname", "apex"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("example.org", "example.org"),
        ("x.in.example.com", "in.example.com"),
        ("com", None),
        ("aexample.com", None),
        (".", None),
    ],
)
def test_a_name_lies_in_the_closest_zone_served_or_broken(qname, apex):
    broken = frozenset({name.parse("example.org"), name.parse("in.example.com")})
    snap = snapshot(replace(plan(), broken=broken))

    assert snap.zone_of(name.parse(qname)) == (apex and name.parse(apex))
