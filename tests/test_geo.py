"""Geo maps: what an address gets, how far that reaches, and what a change would move."""

import os
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routes import (
    BLIND,
    MAPPED,
    NAMES,
    REGIONS,
    edges_of,
    known,
    naive_client,
    networks,
    routes,
    unmapped,
)
from world import LONDON, NEW_YORK, SINGAPORE, atlas, pool, service
from world import REGIONS as WORLD

from gslb.daemons.database import Cache, open_atlas
from gslb.model import NOWHERE, Fact, Fence, Latency, Listed, Nearest, Order, Place, Weighted
from gslb.routing.geo import (
    BLANK,
    MapKey,
    as_looked_up,
    client_of,
    compile_map,
    map_key,
    moved,
    without_transition,
)
from gslb.routing.route import Client, prepare, subnets_of
from gslb.routing.runs import from_prefixes

UK = Place(LONDON, "GB", "EU")
US = Place(NEW_YORK, "US", "NA")
SG = Place(SINGAPORE, "SG", "AS")
BY_PLACE = (Nearest(),)
EU_FIRST, US_FIRST, AP_FIRST = ("eu", "us", "ap"), ("us", "eu", "ap"), ("ap", "eu", "us")
TIED = "ap=eu=us"


def compiled(places, steps=BY_PLACE, names=("ap", "eu", "us")):
    return compile_map(MapKey(steps, tuple(names)), atlas(places), WORLD)


def found(geo_map, text):
    """Return the order and scope for an address, the order as text."""
    index, scope = geo_map.find(*as_looked_up(ip_address(text)))
    return shown(geo_map.orders[index]), scope


def shown(rungs):
    return tuple("=".join(rung) for rung in rungs)


def order_at(geo_map, address):
    index, _ = geo_map.find(*as_looked_up(address))
    return geo_map.orders[index]


def to_subnets(lists):
    keyed = tuple((ip_network(text), tuple((n,) for n in ns)) for text, ns in lists.items())
    return Listed(Fact.SUBNETS, keyed)


# How addresses are looked up


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", (4, 0xC0000201)),
        ("::ffff:192.0.2.1", (4, 0xC0000201)),
        ("::ffff:0.0.0.0", (4, 0)),
        ("::ffff:255.255.255.255", (4, 0xFFFFFFFF)),
        ("::fffe:ffff:ffff", (6, 0xFFFEFFFFFFFF)),
        ("::1:0:0:0", (6, 1 << 48)),
        ("::192.0.2.1", (6, 0xC0000201)),
        ("2001:db8::1", (6, 0x20010DB8 << 96 | 1)),
    ],
)
def test_mapped_addresses_alone_are_looked_up_as_ipv4(text, expected):
    assert as_looked_up(ip_address(text)) == expected


@pytest.mark.parametrize(
    "text", ["2002:c000:201::1", "2001:0:1::1", "64:ff9b::192.0.2.1", "::192.0.2.1", "::1"]
)
def test_transition_prefixes_are_nowhere_whatever_covers_them(text):
    known = atlas({"::/0": US, "2001::/16": UK, "2002:c000::/24": UK})

    assert known.place_of(ip_address(text)) == NOWHERE


@pytest.mark.parametrize(
    "text", ["2001:1::1", "2000:ffff::1", "2003::1", "64:ff9a::1", "64:ff9b:0:0:0:1::1", "::1:0:0"]
)
def test_the_neighbours_of_transition_prefixes_are_where_they_are(text):
    known = atlas({"::/0": US})

    assert known.place_of(ip_address(text)) == US


def test_mapped_addresses_are_where_the_ipv4_address_is():
    known = atlas({"192.0.2.0/24": UK, "::/0": US})

    assert known.place_of(ip_address("::ffff:192.0.2.1")) == UK
    assert known.place_of(ip_address("::ffff:198.51.100.1")) == NOWHERE


def test_a_blank_atlas_knows_nothing_of_anyone():
    assert BLANK.place_of(ip_address("192.0.2.1")) == NOWHERE
    assert BLANK.place_of(ip_address("2001:db8::1")) == NOWHERE


def test_what_is_blind_is_blind_already():
    runs = without_transition(from_prefixes(128, [(0, 0, 3)]))

    assert list(without_transition(runs)) == list(runs)
    assert {runs.value(int(net.network_address)) for net in (*BLIND, MAPPED)} == {0}


# What a map says


def test_each_network_gets_its_nearest_regions_first():
    geo_map = compiled({"192.0.2.0/24": UK, "198.51.100.0/24": US, "2001:db8::/32": SG})

    assert found(geo_map, "192.0.2.1") == (EU_FIRST, 24)
    assert found(geo_map, "198.51.100.255") == (US_FIRST, 24)
    assert found(geo_map, "2001:db8::1") == (AP_FIRST, 32)
    assert found(geo_map, "203.0.113.1") == ((TIED,), 5)


def test_networks_that_get_the_same_are_one():
    near_london = Place((51.0, 0.5), "GB", "EU")
    geo_map = compiled({"192.0.2.0/25": UK, "192.0.2.128/25": near_london})

    assert found(geo_map, "192.0.2.1") == (EU_FIRST, 24)
    assert len(geo_map.ipv4) == 3


def test_a_network_known_in_part_has_a_scope_that_leaves_the_rest_out():
    geo_map = compiled({"192.0.2.160/27": UK})

    assert found(geo_map, "192.0.2.160") == (EU_FIRST, 27)
    assert found(geo_map, "192.0.2.0") == ((TIED,), 25)
    assert found(geo_map, "192.0.2.255") == ((TIED,), 26)
    assert found(geo_map, "192.0.2.128") == ((TIED,), 27)


def test_where_no_step_looks_at_the_client_everyone_has_scope_0():
    geo_map = compiled({"192.0.2.0/24": UK}, (Order((("eu",), ("us",))),))

    assert found(geo_map, "192.0.2.1") == (("eu", "us", "ap"), 0)
    assert found(geo_map, "2001:db8::1") == (("eu", "us", "ap"), 0)
    assert found(geo_map, "::ffff:192.0.2.1") == (("eu", "us", "ap"), 0)
    assert geo_map.via_ipv4 is None


def test_an_ipv6_scope_never_reaches_across_ipv4_that_is_not_uniform():
    geo_map = compiled({"192.0.2.0/24": UK})

    assert found(geo_map, "::") == ((TIED,), 81)
    assert found(geo_map, "8000::") == ((TIED,), 1)


def test_an_ipv6_scope_reaches_across_ipv4_that_gets_the_same():
    assert found(compiled({}), "::1") == ((TIED,), 0)


def test_an_ipv6_scope_does_not_reach_across_uniform_ipv4_that_gets_something_else():
    geo_map = compiled({"0.0.0.0/0": UK})

    assert geo_map.via_ipv4 is None
    assert found(geo_map, "::ffff:192.0.2.1") == (EU_FIRST, 0)
    assert found(geo_map, "::1") == ((TIED,), 81)


def test_subnets_go_by_the_longest_and_count_where_the_database_says_nothing():
    steps = (to_subnets({"10.0.0.0/8": ["eu"], "10.1.0.0/16": ["us"], "2002::/16": ["ap"]}),)
    geo_map = compiled({}, steps)

    assert found(geo_map, "10.0.0.1") == (("eu", "ap=us"), 16)
    assert found(geo_map, "10.1.2.3") == (("us", "ap=eu"), 16)
    assert found(geo_map, "10.128.0.0") == (("eu", "ap=us"), 9)
    assert found(geo_map, "2002:a00::") == (("ap", "eu=us"), 16)


def test_a_subnet_of_one_step_does_not_hide_a_shorter_one_of_another():
    steps = (to_subnets({"10.0.0.0/8": ["eu"]}), to_subnets({"10.1.0.0/16": ["us"]}))
    geo_map = compiled({}, steps)

    assert found(geo_map, "10.1.2.3") == (("eu", "us", "ap"), 16)
    assert found(geo_map, "10.2.2.3") == (("eu", "ap=us"), 15)


def test_a_subnet_of_all_addresses_covers_everyone():
    geo_map = compiled({"192.0.2.0/24": US}, (to_subnets({"0.0.0.0/0": ["ap"]}), Nearest()))

    assert found(geo_map, "203.0.113.1") == (("ap", "eu=us"), 5)
    assert found(geo_map, "192.0.2.1") == (("ap", "us", "eu"), 24)
    assert found(geo_map, "2001:db8::1") == ((TIED,), 3)


def test_a_subnet_of_a_latency_table_and_of_a_fence_count_too():
    net = ip_network("192.0.2.0/24")
    geo_map = compiled(
        {},
        (
            Latency("rtt.csv", ((net, "us", 5.0),)),
            Fence((to_subnets({"198.51.100.0/24": ["eu"]}),)),
        ),
    )

    assert found(geo_map, "192.0.2.1") == (("us", "ap=eu"), 24)
    assert found(geo_map, "198.51.100.1") == (("eu",), 24)


@pytest.mark.parametrize("text", ["192.0.2.0/24", "::ffff:192.0.2.0/120"])
def test_a_subnet_may_be_written_as_mapped_ipv4(text):
    steps = (to_subnets({text: ["eu"]}),)
    geo_map = compiled({}, steps)

    assert found(geo_map, "192.0.2.1") == (("eu", "ap=us"), 24)
    assert found(geo_map, "::ffff:192.0.2.1") == (("eu", "ap=us"), 24)
    assert client_of(steps, BLANK, ip_address("192.0.2.1")).subnets == (ip_network(text),)


def test_a_subnet_that_holds_all_mapped_addresses_is_still_ipv6():
    geo_map = compiled({}, (to_subnets({"::/0": ["eu"], "::ffff:0:0/96": ["us"]}),))

    assert found(geo_map, "192.0.2.1") == (("us", "ap=eu"), 0)
    assert found(geo_map, "2001:db8::1") == (("eu", "ap=us"), 3)


def test_every_order_is_there_once_however_many_networks_get_it():
    places = {f"10.{n}.0.0/16": (UK, US, SG, Place((50.0, n / 100)))[n % 4] for n in range(200)}
    places |= {f"2001:db8:{n}::/48": (UK, US)[n % 2] for n in range(50)}

    geo_map = compiled(places)

    assert len(geo_map.orders) == len(set(geo_map.orders)) == 4
    assert {shown(order) for order in geo_map.orders} == {EU_FIRST, US_FIRST, AP_FIRST, (TIED,)}


def test_a_map_without_regions_has_one_empty_order():
    assert compiled({"192.0.2.0/24": UK}, names=()).orders == ((),)


# Which map a service uses


def test_services_with_the_same_steps_over_the_same_regions_share_a_map():
    www = service(pool("eu", "192.0.2.1"), route=(Weighted(), Nearest()))
    api = service(pool("us", "192.0.2.2"), owner="api", route=(Nearest(),), ttl_s=5)

    assert map_key(www, ["us", "eu"]) == map_key(api, ["eu", "us"])
    assert map_key(www, ["us", "eu"]) == MapKey((Nearest(),), ("eu", "us"))
    assert map_key(www, ["us"]) != map_key(api, ["eu"])
    assert map_key(www, ["us"]) != map_key(service(route=(Nearest(5.0),)), ["us"])


# What is always true


@settings(deadline=None)
@given(known, routes, st.lists(networks(), max_size=2))
def test_a_map_says_what_the_route_says_of_what_is_known(places, route, more):
    made = atlas(places)
    geo_map = compile_map(MapKey(route, NAMES), made, REGIONS)
    prepared = prepare(route, REGIONS)

    for address in edges_of([*map(ip_network, places), *subnets_of(route), *more]):
        naive = naive_client(route, places, address)
        assert client_of(route, made, address) == naive
        assert order_at(geo_map, address) == prepared.order_of(NAMES, naive)


@settings(deadline=None)
@given(known, routes, networks())
def test_every_address_inside_the_scope_gets_the_same_order_and_no_wider_one_would_do(
    places, route, asked
):
    geo_map = compile_map(MapKey(route, NAMES), atlas(places), REGIONS)
    prepared = prepare(route, REGIONS)
    address = asked.network_address
    version, number = as_looked_up(address)
    edges = edges_of([*map(ip_network, places), *subnets_of(route)])

    def orders_inside(length):
        net = ip_network((unmapped(address), length), strict=False)
        inside = {net.network_address, *(edge for edge in map(unmapped, edges) if edge in net)}
        if version == 6:
            inside |= {edge for edge in edges if edge in net}
        return {prepared.order_of(NAMES, naive_client(route, places, each)) for each in inside}

    index, scope = geo_map.find(version, number)

    assert orders_inside(scope) == {geo_map.orders[index]}
    assert scope == 0 or len(orders_inside(scope - 1)) > 1


@given(known, routes)
def test_orders_are_shared_and_all_in_use(places, route):
    geo_map = compile_map(MapKey(route, NAMES), atlas(places), REGIONS)

    used = {*geo_map.ipv4.values, *geo_map.ipv6.values} - {geo_map.via_ipv4}
    assert len(set(geo_map.orders)) == len(geo_map.orders)
    assert used <= set(range(len(geo_map.orders)))


def test_a_client_s_subnets_are_those_around_it_longest_first():
    lists = {"10.0.0.0/8": ["eu"], "10.1.0.0/16": ["us"], "10.1.2.0/24": ["ap"], "::/0": ["us"]}
    steps = (to_subnets(lists), to_subnets({"10.1.2.3/32": ["eu"], "10.2.0.0/16": ["eu"]}))

    client = client_of(steps, atlas({"10.0.0.0/8": UK}), ip_address("10.1.2.3"))

    texts = ("10.1.2.3/32", "10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8")
    assert client == Client(UK, tuple(map(ip_network, texts)))


# What a new database would move


def moved_between(before, after, steps=BY_PLACE):
    return moved(compiled(before, steps), compiled(after, steps), atlas(before), atlas(after))


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ({}, {}, 0),
        ({"192.0.2.0/24": UK}, {"192.0.2.0/24": UK}, 0),
        ({"192.0.2.0/24": UK}, {"192.0.2.0/24": Place((51.0, 0.0))}, 0),
        ({"192.0.2.0/24": UK}, {"192.0.2.0/24": US}, 1),
        ({"192.0.2.0/24": UK}, {}, 1),
        ({}, {"192.0.2.0/24": UK}, 1),
        ({"192.0.2.0/24": UK}, {"192.0.2.0/25": UK, "192.0.2.128/25": US}, 1 / 2),
        ({"192.0.2.0/24": UK}, {"192.0.2.0/26": US, "192.0.2.64/26": UK}, 3 / 4),
        ({"192.0.2.0/24": UK}, {"192.0.2.0/24": UK, "198.51.100.0/24": US}, 1 / 2),
        ({"2001:db8::/32": UK}, {"2001:db8::/34": US, "2001:db8:4000::/34": UK}, 3 / 4),
        (
            {"192.0.2.0/24": UK, "2001:db8::/32": UK},
            {"192.0.2.0/25": US, "192.0.2.128/25": UK, "2001:db8::/32": UK},
            1 / 2,
        ),
        (
            {"192.0.2.0/24": UK, "2001:db8::/32": UK},
            {"192.0.2.0/24": UK, "2001:db8::/32": US},
            1,
        ),
        ({"2002::/16": UK, "::/96": UK}, {"2002::/16": US, "::/96": US}, 0),
    ],
)
def test_moved_is_the_part_of_what_is_known_that_changes_its_order(before, after, part):
    assert moved_between(before, after) == pytest.approx(part)


def test_orders_are_compared_and_not_their_numbers():
    # Singapore is met first in one map and last in the other.
    before = {"10.0.0.0/8": SG, "11.0.0.0/8": UK, "12.0.0.0/8": US}
    after = {"9.0.0.0/8": US, "10.0.0.0/8": SG, "11.0.0.0/8": UK, "12.0.0.0/8": US}

    assert moved_between(before, after) == pytest.approx(1 / 4)


def test_nothing_moves_by_ipv4_alone_ceasing_to_be_uniform_within_ipv6():
    before, after = {"2001:db8::/32": UK}, {"2001:db8::/32": UK, "192.0.2.0/24": UK}

    assert moved_between(before, after) == 1.0
    assert moved_between({**before, "192.0.2.0/25": UK}, after) == pytest.approx(0.5)


@given(known, known, routes)
def test_moved_is_a_part_and_the_same_both_ways(before, after, route):
    maps = [compile_map(MapKey(route, NAMES), atlas(each), REGIONS) for each in (before, after)]

    part = moved(*maps, atlas(before), atlas(after))

    assert 0 <= part <= 1
    assert part == moved(*reversed(maps), atlas(after), atlas(before))
    assert moved(maps[0], maps[0], atlas(before), atlas(before)) == 0


# Real databases, where they are


REAL = os.environ.get("GSLB_REAL_MMDB")


@pytest.mark.skipif(not REAL, reason="GSLB_REAL_MMDB names no folder with GeoLite2 test files")
class TestRealDatabases:
    @pytest.mark.parametrize(
        ("text", "nearest", "scope"),
        [
            ("81.2.69.160", "eu", 27),
            ("216.160.83.56", "us", 29),
            ("89.160.20.112", "eu", 28),
            ("175.16.199.0", "ap", 24),
            ("2001:218::", "ap", 32),
            ("202.196.224.0", "ap", 20),
        ],
    )
    def test_a_known_network_goes_to_its_nearest_region(self, text, nearest, scope):
        known = open_atlas(Path(REAL) / "GeoLite2-City-Test.mmdb", None, Cache(None))
        geo_map = compile_map(MapKey(BY_PLACE, ("ap", "eu", "us")), known, WORLD)

        order, found_scope = found(geo_map, text)

        assert order[0] == nearest
        assert found_scope == scope

    def test_a_network_known_in_part_keeps_its_neighbours_apart(self):
        known = open_atlas(Path(REAL) / "GeoLite2-City-Test.mmdb", None, Cache(None))
        geo_map = compile_map(MapKey(BY_PLACE, ("ap", "eu", "us")), known, WORLD)

        order, scope = found(geo_map, "81.2.69.0")

        assert order == (TIED,)
        assert scope > 24

    def test_countries_alone_order_by_their_centres(self):
        known = open_atlas(Path(REAL) / "GeoLite2-Country-Test.mmdb", None, Cache(None))
        geo_map = compile_map(MapKey(BY_PLACE, ("ap", "eu", "us")), known, WORLD)

        assert known.place_of(ip_address("81.2.69.160")).location is None
        assert found(geo_map, "81.2.69.160")[0] == EU_FIRST

    def test_autonomous_systems_are_told(self):
        folder = Path(REAL)
        known = open_atlas(
            folder / "GeoLite2-City-Test.mmdb", folder / "GeoLite2-ASN-Test.mmdb", Cache(None)
        )

        assert known.place_of(ip_address("12.81.92.0")).asn == 7018
        assert known.place_of(ip_address("81.2.69.160")).country == "GB"
