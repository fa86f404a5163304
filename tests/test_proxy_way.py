"""The way of a request that leaves its region: groups in order, and who is in each."""

from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address, ip_network

import pytest

from gslb.health.belief import Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Fact, Fence, Listed, Region
from gslb.proxy.way import ORDERS_MAX, Orders, Ways, Why
from gslb.routing.geo import BLANK
from tests.exchanges import CLIENT, DOWN, DRAINED, UP, member, service

FORCED_DOWN = Belief(Verdict.UP, forced=Word.DOWN)
US_PROXY = member("198.51.100.101")
AP_PROXY = member("198.51.100.102")
REGIONS = {
    "eu": Region("eu"),
    "us": Region("us", proxies=(US_PROXY,)),
    "ap": Region("ap", proxies=(AP_PROXY,)),
}
ORDER = (("eu",), ("us",), ("ap",))
THREE = service(eu=["192.0.2.1", "192.0.2.2"], us=["192.0.2.11", "192.0.2.12"], ap=["192.0.2.21"])


def beyond(*, of=THREE, order=ORDER, across=("proxies", "members"), own="eu", **believed):
    """Return (why, regions, last octets of addresses, are proxies) of each group, in order."""
    ways = Ways(of, own, REGIONS, across, told(believed), 0.0)
    return [brief(group) for group in ways.beyond(order)]


def told(believed):
    known = {name.strip("_"): belief for name, belief in believed.items()}
    return lambda each: known.get(str(each.address).rpartition(".")[2], UP)


def brief(group):
    lasts = [int(str(each.address).rpartition(".")[2]) for each, _, _ in group.shares]
    return group.why, "".join(group.regions), lasts, group.are_proxies


def test_the_own_region_has_its_living_members_with_weight():
    of = service(eu=["192.0.2.1", "192.0.2.2", member("192.0.2.3", 0), "192.0.2.4"])
    ways = Ways(of, "eu", REGIONS, (), told({"_2": DOWN, "_4": DRAINED}), 0.0)

    assert brief(ways.local()) == (Why.OWN, "eu", [1], False)


def test_beyond_it_each_region_is_reached_by_its_proxies_and_then_at_its_members():
    ways = beyond(_1=DOWN, _2=DOWN)

    assert ways[:4] == [
        (Why.NEXT, "us", [101], True),
        (Why.NEXT, "us", [11, 12], False),
        (Why.NEXT, "ap", [102], True),
        (Why.NEXT, "ap", [21], False),
    ]
    assert {each[0] for each in ways[4:]} == {Why.FAIL_OPEN}


@pytest.mark.parametrize(
    ("across", "found"),
    [
        (("members", "proxies"), [[11, 12], [101]]),
        (("members",), [[11, 12]]),
        (("proxies",), [[101]]),
        ((), []),
    ],
)
def test_a_tier_says_how_others_are_reached(across, found):
    ways = beyond(across=across, order=(("us",),))

    assert [lasts for why, _, lasts, _ in ways if why == Why.NEXT] == found


@pytest.mark.parametrize("belief", [DOWN, DRAINED, FORCED_DOWN])
def test_proxies_that_do_not_live_are_passed_by(belief):
    ways = beyond(_101=belief)

    assert (Why.NEXT, "us", [101], True) not in ways
    assert (Why.NEXT, "us", [11, 12], False) in ways


def test_a_region_with_too_few_left_comes_after_those_with_enough():
    of = service(eu=["192.0.2.1"], us=["192.0.2.11", "192.0.2.12", "192.0.2.13"], ap=["192.0.2.21"])
    ways = beyond(of=of, across=("members",), _11=DOWN, _12=DOWN)

    assert ways[:2] == [(Why.NEXT, "ap", [21], False), (Why.BELOW, "us", [13], False)]


def test_half_of_a_region_is_enough():
    ways = beyond(across=("members",), _11=DOWN)

    assert ways[0] == (Why.NEXT, "us", [12], False)
    assert THREE.healthy_at_least == Fraction(1, 2)


def test_reserves_serve_when_nobody_with_weight_lives_at_home_first():
    of = service(
        eu=["192.0.2.1", member("192.0.2.2", 0)], us=["192.0.2.11", member("192.0.2.12", 0)]
    )
    ways = beyond(of=of, across=("members",), order=(("eu",), ("us",)), _1=DOWN, _11=DOWN)

    assert ways[:2] == [(Why.RESERVES, "eu", [2], False), (Why.RESERVES, "us", [12], False)]


def test_when_all_are_down_all_serve_but_those_that_somebody_took_out():
    of = service(eu=["192.0.2.1", "192.0.2.2"], us=["192.0.2.11"])
    ways = beyond(
        of=of, across=("members",), order=(("eu",), ("us",)), _1=DOWN, _2=FORCED_DOWN, _11=DOWN
    )

    assert ways == [(Why.FAIL_OPEN, "eu", [1], False), (Why.FAIL_OPEN, "us", [11], False)]


def test_when_all_were_taken_out_all_serve():
    of = service(eu=["192.0.2.1", "192.0.2.2"])
    ways = beyond(of=of, order=(("eu",),), _1=FORCED_DOWN, _2=DRAINED)

    assert ways == [(Why.FAIL_OPEN, "eu", [1, 2], False)]


def test_a_service_may_rather_have_nobody_serve():
    of = service(eu=["192.0.2.1"])
    for all_down in ("nodata", "servfail"):
        made = replace(of, all_down=all_down)
        assert beyond(of=made, order=(("eu",),), _1=DOWN) == []


def test_a_service_without_anybody_has_nobody():
    assert beyond(of=service(eu=[]), order=(("eu",),)) == []


def test_regions_that_tie_share_a_group_without_the_own_one():
    ways = beyond(order=(("eu", "us", "ap"),), across=("members",), _1=DOWN, _2=DOWN)

    assert ways[0] == (Why.NEXT, "usap", [11, 12, 21], False)


def test_a_client_fenced_out_of_the_own_region_is_not_given_its_members():
    ways = beyond(order=(("us",),), across=("members",), _11=DOWN, _12=DOWN)

    assert {regions for _, regions, _, _ in ways} == {"us"}


def test_shares_are_in_a_common_measure():
    of = service(eu=[member("192.0.2.1", 3), member("192.0.2.2", 1)])
    shares = [share for _, _, share in Ways(of, "eu", REGIONS, (), told({}), 0.0).local().shares]

    assert shares[0] == 3 * shares[1]


def test_a_clients_order_is_worked_out_once_and_forgotten_when_there_are_many():
    orders = Orders(THREE, REGIONS, BLANK)
    first = orders.of(CLIENT)
    assert orders.of(CLIENT) is first

    for at in range(ORDERS_MAX):
        orders.of(ip_address("192.0.2.0") + at)

    assert sorted(sum(orders.of(CLIENT), ())) == ["ap", "eu", "us"]
    assert not orders.has_fences


def test_a_fence_is_seen():
    fenced = replace(THREE, route=(fence(),))
    orders = Orders(fenced, REGIONS, BLANK)

    assert orders.has_fences
    assert orders.of(ip_address("198.51.100.9")) == (("us",),)


def fence():
    """Return a step that lets a network's clients have one region alone."""
    lists = ((ip_network("198.51.100.0/24"), (("us",),)),)
    return Fence((Listed(Fact.SUBNETS, lists),))
