from collections import defaultdict
from fractions import Fraction
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.dns import name
from gslb.model import (
    Fact,
    Fence,
    Listed,
    Nearest,
    Order,
    Place,
    Region,
    Sticky,
    Weighted,
)
from gslb.routing.geo import BLANK, as_looked_up
from gslb.routing.population import Clients, Population
from gslb.routing.simulate import compare, service_of, simulate
from gslb.routing.snapshot import order_for
from tests.world import (
    APEX,
    DOWN,
    LONDON,
    NEW_YORK,
    REGIONS,
    SINGAPORE,
    atlas,
    member,
    plan,
    pool,
    service,
    snapshot,
)

GB, US, SG = Place(LONDON, "GB", "EU"), Place(NEW_YORK, "US", "NA"), Place(SINGAPORE, "SG", "AS")
WORLD = atlas({"192.0.2.0/25": GB, "192.0.2.128/25": US, "2001:db8::/32": SG})
US_POOL, EU_POOL = pool("us", "198.51.100.1"), pool("eu", "203.0.113.1", "203.0.113.2")
AP_POOL = pool("ap", "203.0.113.129")
WWW = name.parse("www", APEX)


def clients(*listed: tuple[str, int | Fraction]) -> Clients:
    return Clients(Population.of((ip_network(text), weight) for text, weight in listed))


def everyone(known=WORLD) -> Clients:
    return Clients(Population.of_atlas(known))


def world(*services, known=WORLD, beliefs=None, **keys):
    return snapshot(plan(*services, known=known, **keys), beliefs)


def test_each_client_counts_for_the_region_that_it_is_sent_to():
    www = service(US_POOL, EU_POOL)

    result = simulate(world(www), clients(("192.0.2.0/26", 3), ("192.0.2.192/26", 1)))

    traffic = result.services["www.example.com"]
    assert result.population == 4
    assert traffic.regions == {"us": 0.25, "eu": 0.75}
    assert traffic.members == {"198.51.100.1": 0.25, "203.0.113.1": 0.375, "203.0.113.2": 0.375}
    assert traffic.dark == 0


def test_a_network_wider_than_the_runs_of_the_map_is_divided_by_its_addresses():
    www = service(US_POOL, EU_POOL, route=(Listed(Fact.SUBNETS, LISTS), Order((("eu",),))))

    result = simulate(world(www, known=BLANK), clients(("10.0.0.0/8", Fraction(1, 3))))

    assert result.services["www.example.com"].regions == {"us": 1 / 256, "eu": 255 / 256}


LISTS = ((ip_network("10.1.0.0/16"), (("us",),)),)


def test_overlapping_networks_add_up():
    listed = [("192.0.2.0/24", 2), ("192.0.2.0/25", 5), ("192.0.2.0/25", 1), ("192.0.2.0/24", 2)]

    result = simulate(world(service(US_POOL, EU_POOL)), clients(*listed))

    assert result.services["www.example.com"].regions == {"us": 0.2, "eu": 0.8}


def test_the_networks_of_the_database_weigh_by_their_addresses_and_ipv6_by_its_48s():
    known = atlas({"192.0.2.0/25": GB, "192.0.2.128/25": US, "2001:db8::/40": SG})

    result = simulate(world(service(US_POOL, EU_POOL, AP_POOL), known=known), everyone(known))

    assert result.population == 512
    assert result.services["www.example.com"].regions == {"us": 0.25, "eu": 0.25, "ap": 0.5}


def test_half_a_48_counts_half():
    population = Population.of_atlas(atlas({"192.0.2.0/32": GB, "2001:db8::/49": SG}))

    assert population.size == 1.5


def test_without_a_database_every_ipv4_address_is_a_client():
    www = service(US_POOL, EU_POOL, route=(Weighted(),))

    result = simulate(world(www, known=BLANK), everyone(BLANK))

    assert result.population == 1 << 32
    assert result.services["www.example.com"].regions == {"us": 0.5, "eu": 0.5}


def test_clients_climb_the_ladder_of_their_own_family_and_else_the_other():
    both = service(pool("eu", "203.0.113.1", "2001:db8:1::1"), owner="both")
    six = service(pool("eu", "2001:db8:1::2"), owner="six")
    four = service(pool("eu", "203.0.113.2"), owner="four")

    result = simulate(
        world(both, six, four), clients(("192.0.2.0/24", 1), ("2001:db8::/48", 3))
    ).services

    assert result["both.example.com"].members == {"203.0.113.1": 0.25, "2001:db8:1::1": 0.75}
    assert result["six.example.com"].members == {"2001:db8:1::2": 1}
    assert result["four.example.com"].members == {"203.0.113.2": 1}


def test_host_names_have_one_ladder_for_all():
    cdn = service(pool("eu", "a.example.net"), pool("us", "b.example.net", weight=300), route=())

    result = simulate(world(cdn), clients(("192.0.2.0/24", 1), ("2001:db8::/48", 3)))

    assert result.services["www.example.com"].members == {
        "a.example.net": 0.25,
        "b.example.net": 0.75,
    }


@pytest.mark.parametrize("all_down", ["nodata", "servfail"])
def test_clients_without_an_answer_are_dark(all_down):
    www = service(EU_POOL, all_down=all_down)
    beliefs = {"203.0.113.1": DOWN, "203.0.113.2": DOWN}

    traffic = simulate(world(www, beliefs=beliefs), everyone()).services["www.example.com"]

    assert traffic.dark == 1
    assert traffic.members == {"203.0.113.1": 0, "203.0.113.2": 0}


def test_clients_that_a_fence_leaves_nothing_are_dark():
    fence = Fence((Listed(Fact.CONTINENTS, (("EU", (("us",),)),)),))
    www = service(EU_POOL, AP_POOL, route=(fence, Nearest()))

    traffic = simulate(
        world(www), clients(("192.0.2.0/25", 1), ("192.0.2.128/25", 1), ("2001:db8::/64", 2))
    ).services["www.example.com"]

    assert traffic.dark == 0.25
    assert traffic.regions == {"eu": 0.25, "ap": 0.5}


def test_a_service_without_members_is_dark():
    empty = simulate(world(service()), everyone()).services["www.example.com"]

    assert (empty.dark, empty.members, empty.regions) == (1, {}, {})


def test_a_service_without_clients_has_no_traffic_and_nobody_dark():
    nobody = simulate(world(service(EU_POOL)), clients()).services["www.example.com"]

    assert (nobody.population, nobody.dark, nobody.regions) == (0, 0, {"eu": 0})


def test_proxies_stand_under_the_regions_that_they_answer_for():
    proxy = member("203.0.113.200")
    regions = {
        "us": Region("us", NEW_YORK, (proxy,)),
        "eu": Region("eu", LONDON, (proxy, member("203.0.113.201"))),
    }
    www = service(US_POOL, EU_POOL, route=(), proxies="always")

    traffic = simulate(world(www, regions=regions), everyone()).services["www.example.com"]

    assert traffic.members["203.0.113.200"] == pytest.approx(2 / 3)
    assert traffic.shares["eu", "203.0.113.200"] == pytest.approx(1 / 3)
    assert traffic.members["203.0.113.1"] == 0


def test_of_several_answers_the_first_place_counts_and_stickiness_changes_nothing():
    pools = (pool("eu", member("203.0.113.1", 3), member("203.0.113.2", 1)),)
    services = (service(*pools, owner="two", answers=2), service(*pools, owner="s", sticky=STICKY))

    result = simulate(world(*services), everyone()).services

    for traffic in result.values():
        assert traffic.members == {"203.0.113.1": 0.75, "203.0.113.2": 0.25}


STICKY = Sticky()


def test_a_service_may_have_clients_of_its_own_and_be_the_only_one_asked_for():
    made = world(service(US_POOL, EU_POOL), service(US_POOL, EU_POOL, owner="b"))
    own = {WWW: Population.of([(ip_network("192.0.2.200"), 5)])}
    asked = Clients(clients(("192.0.2.1/32", 7)).everyone, own)

    result = simulate(made, asked)
    alone = simulate(made, asked, {WWW})

    assert result.services["www.example.com"].regions == {"us": 1, "eu": 0}
    assert result.services["b.example.com"].regions == {"us": 0, "eu": 1}
    assert (result.population, result.services["www.example.com"].population) == (7, 5)
    assert list(alone.services) == ["www.example.com"]


def test_ipv4_written_as_ipv6_counts_as_ipv4():
    www = world(service(US_POOL, EU_POOL))

    inside = simulate(www, clients(("::ffff:192.0.2.0/121", 1), ("::ffff:192.0.2.192/122", 1)))
    around = Population.of([(ip_network("::fffe:0:0/95"), 2)])

    assert inside.services["www.example.com"].regions == {"us": 0.5, "eu": 0.5}
    assert around.ipv4.value(7) == around.ipv6.value(int(ip_address("::fffe:0:7"))) != 0
    assert around.ipv6.value(int(ip_address("::ffff:0:7"))) == 0
    assert around.total == Population.of([(ip_network("10.0.0.0/8"), 2)]).total


def test_what_moved_is_counted_client_by_client_not_from_totals():
    before = world(service(US_POOL, EU_POOL, route=(Order((("us",), ("eu",))),)))
    swapped = atlas({"192.0.2.0/25": US, "192.0.2.128/25": GB})
    after = world(service(US_POOL, EU_POOL), known=swapped)
    straight = world(service(US_POOL, EU_POOL))

    same_totals = compare(straight, after, clients(("192.0.2.0/24", 1)))
    half = compare(before, straight, clients(("192.0.2.0/24", 1)))

    assert same_totals.before.services == same_totals.after.services
    assert same_totals.moved == {"www.example.com": 1.0}
    assert half.moved == {"www.example.com": 0.5}


def test_a_dead_member_moves_what_it_had_and_no_more():
    www = service(US_POOL, EU_POOL)
    made = plan(www, known=WORLD)

    result = compare(
        snapshot(made),
        snapshot(made, {"203.0.113.1": DOWN}),
        clients(("192.0.2.0/25", 1), ("192.0.2.128/25", 3)),
    )

    assert result.moved == {"www.example.com": 0.125}
    assert result.before.services["www.example.com"].members["203.0.113.1"] == 0.125
    assert result.after.services["www.example.com"].members["203.0.113.2"] == 0.25


def test_who_goes_dark_moved_whole():
    made = plan(service(pool("eu", "203.0.113.1"), all_down="nodata"), known=WORLD)

    result = compare(snapshot(made), snapshot(made, {"203.0.113.1": DOWN}), everyone())

    assert result.moved == {"www.example.com": 1}
    assert result.after.services["www.example.com"].dark == 1


def test_a_member_that_changes_its_region_moves_nobody():
    before, after = (world(service(pool(region, "203.0.113.1"))) for region in ("eu", "us"))

    result = compare(before, after, everyone())

    assert result.moved == {"www.example.com": 0}
    assert result.after.services["www.example.com"].regions == {"us": 1}


def test_services_that_come_and_go_are_in_one_of_the_two_alone():
    before = world(service(EU_POOL), service(EU_POOL, owner="gone"), service(EU_POOL, owner="txt"))
    after = world(service(EU_POOL), service(US_POOL, owner="new"), records=[STATIC])

    result = compare(before, after, everyone())

    assert list(result.before.services) == [f"{o}.example.com" for o in ("www", "gone", "txt")]
    assert list(result.after.services) == ["www.example.com", "new.example.com"]
    assert result.moved == {"www.example.com": 0, "gone.example.com": 1}
    assert result.gone == ("gone.example.com",)


STATIC = ("txt", "AAAA", "2001:db8::1")


def test_a_name_of_a_zone_that_is_no_longer_served_is_gone():
    after = plan(known=WORLD)
    object.__setattr__(after, "zones", {})

    result = compare(world(service(EU_POOL)), snapshot(after), everyone())

    assert result.gone == ("www.example.com",)


def test_the_shapes_are_those_of_the_contract():
    made = plan(service(US_POOL, AP_POOL), known=WORLD)

    shown = compare(snapshot(made), snapshot(made), clients(("192.0.2.0/24", 2))).as_json()

    traffic = {
        "population": 2,
        "regions": {"us": 1, "ap": 0},
        "members": {"198.51.100.1": 1, "203.0.113.129": 0},
        "dark": 0,
    }
    side = {"population": 2, "services": {"www.example.com": traffic}}
    assert shown == {"before": side, "after": side, "moved": {"www.example.com": 0}, "gone": []}


def test_names_come_to_services_through_wildcards_and_aliases():
    made = world(
        service(EU_POOL),
        service(EU_POOL, owner="*.apps"),
        records=[
            ("shop", "CNAME", "www"),
            ("old", "DNAME", "apps"),
            ("out", "CNAME", "www.example.net."),
            ("loop", "CNAME", "loop"),
            ("text", "TXT", "x"),
            ("lab", "NS", "ns.example.net."),
        ],
    )

    def target(text: str) -> bytes | None:
        return service_of(made, name.parse(text, APEX))

    apps = name.parse("*.apps", APEX)
    assert [target(t) for t in ("www", "shop", "x.apps", "x.old")] == [WWW, WWW, apps, apps]
    assert {target(t) for t in ("out", "loop", "text", "no", "lab", "example.org.")} == {None}


# A small space with its networks, where every address can be asked one by one.
FOUR, SIX = ip_network("192.0.2.0/27"), ip_network("2001:db8::/123")
MAPPED = ip_network("::ffff:192.0.2.0/123")


def networks(*within):
    def at(outer, length, number):
        first = int(outer.network_address) + number % outer.num_addresses
        return ip_network((first, outer.prefixlen + length), strict=False)

    return st.builds(at, st.sampled_from(within), st.integers(0, 5), st.integers(0, 31))


weights = st.integers(0, 5) | st.fractions(0, 3, max_denominator=7)
populations = st.lists(st.tuples(networks(FOUR, SIX, MAPPED), weights), max_size=6)
preferences = st.permutations(["us", "eu", "ap"]).map(lambda names: tuple((n,) for n in names))
fenced = st.sampled_from([(("us",),), (("eu", "ap"),)])


@st.composite
def worlds(draw):
    known = atlas(
        draw(st.dictionaries(networks(FOUR, SIX).map(str), st.sampled_from([GB, US, SG])))
    )
    subnets = draw(st.dictionaries(networks(FOUR, SIX), preferences, max_size=3))
    fence = draw(st.dictionaries(st.sampled_from(["EU", "NA"]), fenced, max_size=1))
    steps = draw(
        st.lists(
            st.sampled_from(
                [
                    Nearest(),
                    Listed(Fact.SUBNETS, tuple(subnets.items())),
                    Fence((Listed(Fact.CONTINENTS, tuple(fence.items())),)),
                ]
            ),
            max_size=3,
        )
    )
    pools = [
        pool("us", member("198.51.100.1", draw(st.integers(0, 3))), "2001:db8:1::1"),
        pool("eu", member("203.0.113.1", 2), "203.0.113.2", weight=draw(st.integers(0, 200))),
        pool("ap", "203.0.113.129", "2001:db8:3::1"),
    ]
    chosen = draw(st.lists(st.sampled_from(pools), unique=True, min_size=1))
    all_down = draw(st.sampled_from(["serve_all", "nodata"]))
    beliefs = {str(each.address): DOWN for p in chosen for each in p.members if draw(st.booleans())}
    www = service(*chosen, route=tuple(steps), all_down=all_down)
    return snapshot(plan(www, known=known, regions=REGIONS), beliefs)


def vector(made, address):
    """What one client gets, asked as the nameserver asks: shares by member, None for nothing."""
    entry = made.entries[WWW]
    version, number = as_looked_up(address)
    first, second = (1, 28) if version == 4 else (28, 1)
    family = first if first in entry.choices else second
    _, choice, _ = order_for(entry, family, version, number)
    if not choice.rdatas:
        return {None: Fraction(1)}
    total = choice.upto[-1]
    out = defaultdict(Fraction)
    for candidate, begin, end in zip(
        choice.climb.candidates, (0, *choice.upto), choice.upto, strict=False
    ):
        out[str(candidate.member.address)] += Fraction(end - begin, total)
    return out


def each_client(listed):
    """Every address of a population with its weight."""
    for network, weight in listed:
        for number in range(network.num_addresses):
            yield network[number], Fraction(weight) / network.num_addresses


@given(worlds(), populations)
def test_shares_are_those_of_asking_for_every_address_one_by_one(made, listed):
    got = simulate(made, Clients(Population.of(listed)))

    expected = defaultdict(Fraction)
    for address, weight in each_client(listed):
        for key, share in vector(made, address).items():
            expected[key] += share * weight
    traffic = got.services["www.example.com"]
    total = sum((Fraction(weight) for _, weight in listed), Fraction(0))
    assert got.population == pytest.approx(float(total))
    assert traffic.dark == float(expected.pop(None, Fraction(0)) / (total or 1))
    assert {m: s for m, s in traffic.members.items() if s} == {
        m: float(part / total) for m, part in expected.items() if part
    }
    assert sum(traffic.regions.values()) + traffic.dark == pytest.approx(1 if total else 0)


@given(worlds(), worlds(), populations)
@settings(max_examples=60)
def test_what_moved_is_that_of_asking_both_for_every_address_one_by_one(one, other, listed):
    got = compare(one, other, Clients(Population.of(listed)))

    moved = Fraction(0)
    for address, weight in each_client(listed):
        before, after = vector(one, address), vector(other, address)
        parts = (before.get(m, 0) - after.get(m, 0) for m in {*before, *after})
        moved += sum(map(abs, parts)) * weight / 2
    total = sum((Fraction(weight) for _, weight in listed), Fraction(0))
    assert got.moved["www.example.com"] == float(moved / (total or 1))
    alone = [simulate(each, Clients(Population.of(listed))) for each in (one, other)]
    assert [got.before, got.after] == alone
