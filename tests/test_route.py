"""Every step of a route, alone and composed: which regions a client gets, in which rungs."""

from ipaddress import ip_network
from itertools import groupby, pairwise, permutations
from math import acos, cos, nextafter, pi, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routes import NAMES, REGIONS, clients, fences, networks, ranking_steps, routes, steps

from gslb.model import (
    NOWHERE,
    Fact,
    Fence,
    Latency,
    Listed,
    Nearest,
    Order,
    Place,
    Region,
    Weighted,
)
from gslb.routing.centroids import CENTRES
from gslb.routing.route import (
    EARTH_RADIUS_KM,
    Client,
    Lookup,
    distances_km,
    fact_of,
    fields_of,
    great_circle_km,
    is_inside,
    measured_ms,
    prepare,
    subnets_of,
)

# Ten degrees of the equator apart, which is 1112 km; e stands where a does.
LINE = {
    name: Region(name, (0.0, longitude))
    for name, longitude in {"a": 0.0, "b": 10.0, "c": 20.0, "d": 30.0, "e": 0.0}.items()
}
TEN_DEGREES_KM = great_circle_km((0.0, 0.0), (0.0, 10.0))
AT_A = Client(Place(location=(0.0, 0.0)))
AT_14 = Client(Place(location=(0.0, 14.0)))
UNKNOWN = Client(NOWHERE)
NET_8, NET_16, NET_24, OTHER = (
    ip_network(text) for text in ("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "192.0.2.0/24")
)


def shown(rungs):
    return " ".join("".join(rung) for rung in rungs)


def ladder(*route, client=UNKNOWN, names="abcd"):
    return shown(prepare(route, LINE).order_of(names, client))


def prefer(text):
    """Return the list of regions that *text* shows: ``"b ac"`` is b, then a and c tied."""
    return tuple(tuple(tied) for tied in text.split())


def order(text):
    return Order(prefer(text))


def listed(fact, **lists):
    return Listed(fact, tuple((key, prefer(text)) for key, text in lists.items()))


def subnets(lists):
    return Listed(Fact.SUBNETS, tuple((key, prefer(text)) for key, text in lists.items()))


def latencies(keyed):
    rows = [(key, name, ms) for key, regions in keyed.items() for name, ms in regions.items()]
    return Latency("rtt.csv", tuple(rows))


def located(longitude, **facts):
    return Client(Place(location=(0.0, longitude), **facts))


# weighted, and no step at all


@pytest.mark.parametrize("route", [(), (Weighted(),), (Weighted(), Weighted())])
def test_without_a_step_that_splits_all_regions_tie(route):
    assert ladder(*route, client=AT_A, names="dbca") == "abcd"


@pytest.mark.parametrize("route", [(), (Nearest(),), (Fence((listed(Fact.COUNTRIES),)),)])
def test_without_regions_there_are_no_rungs(route):
    assert prepare(route, LINE).order_of((), AT_A) == ()


# nearest


@pytest.mark.parametrize(
    ("step", "client", "expected"),
    [
        (Nearest(), AT_A, "a b c d"),
        (Nearest(), AT_14, "b c a d"),
        (Nearest(), located(179.0), "d c b a"),
        (Nearest(), located(-179.0), "d c b a"),
        (Nearest(), UNKNOWN, "abcd"),
        (Nearest(), Client(Place(country="ZZ", continent="EU", asn=64500)), "abcd"),
        (Nearest(within_km=1200.0), AT_A, "ab cd"),
        (Nearest(within_km=1200.0), UNKNOWN, "abcd"),
        (Nearest(within_km=2300.0), AT_A, "abc d"),
        (Nearest(within_km=9999.0), AT_A, "abcd"),
        (Nearest(within_km=300.0), AT_14, "bc ad"),
        (Nearest(within_km=100.0), AT_14, "b c a d"),
        (Nearest(bias_km=(("b", 2000.0),)), AT_A, "b a c d"),
        (Nearest(bias_km=(("a", -1500.0),)), AT_A, "b a c d"),
        (Nearest(bias_km=(("c", 2000.0), ("d", 4000.0))), AT_A, "d a c b"),
        (Nearest(bias_km=(("nowhere", 9000.0),)), AT_A, "a b c d"),
        (Nearest(within_km=1200.0, bias_km=(("d", 3000.0),)), AT_A, "abd c"),
        (Nearest(within_km=1200.0, bias_km=(("b", 1000.0), ("d", 1000.0))), AT_A, "ab cd"),
        (Nearest(bias_km=(("b", 9000.0),)), UNKNOWN, "abcd"),
    ],
)
def test_nearest_splits_by_distance_less_bias(step, client, expected):
    assert ladder(step, client=client) == expected


@pytest.mark.parametrize("within_km", [0.0, 100.0])
def test_regions_in_one_place_tie_for_every_client(within_km):
    step = Nearest(within_km)

    assert ladder(step, client=AT_A, names="abcde") == "ae b c d"
    assert ladder(step, client=located(31.0), names="abcde") == "d c b ae"


def test_within_is_measured_from_the_nearest_of_a_rung_and_not_from_one_to_the_next():
    # b is within 1200 km of a, and c within 1200 km of b.
    assert ladder(Nearest(within_km=1200.0), client=AT_A, names="abc") == "ab c"


def test_exactly_within_ties_and_the_least_more_does_not():
    at_it, below = Nearest(TEN_DEGREES_KM), Nearest(nextafter(TEN_DEGREES_KM, 0))

    assert ladder(at_it, client=AT_A, names="ab") == "ab"
    assert ladder(below, client=AT_A, names="ab") == "a b"


def test_within_starts_anew_in_each_rung_of_an_earlier_step():
    assert ladder(order("bc"), Nearest(1200.0), client=AT_A) == "bc a d"


def test_a_country_s_centre_stands_in_for_a_location_that_is_not_known():
    singapore = Client(Place(country="SG"))

    order = prepare((Nearest(),), REGIONS).order_of(("us", "eu", "ap"), singapore)

    assert singapore.location == CENTRES["SG"]
    assert shown(order) == "ap eu us"


def test_a_location_goes_before_the_country_s_centre():
    assert located(14.0, country="SG").location == (0.0, 14.0)


@pytest.mark.parametrize("place", [NOWHERE, Place(country="ZZ"), Place(continent="EU", asn=1)])
def test_a_client_of_no_known_country_is_nowhere(place):
    assert Client(place).location is None
    assert distances_km(Nearest(), "ab", Client(place), LINE) is None


def test_distances_are_told_less_the_bias():
    away = distances_km(Nearest(bias_km=(("b", 112.0),)), "ab", AT_A, LINE)

    assert away == {"a": 0.0, "b": pytest.approx(TEN_DEGREES_KM - 112.0)}


# great circles

degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0),
        ((0.0, 0.0), (0.0, 180.0), pi * EARTH_RADIUS_KM),
        ((90.0, 0.0), (-90.0, 77.0), pi * EARTH_RADIUS_KM),
        ((90.0, -120.0), (90.0, 33.0), 0),
        ((0.0, 179.5), (0.0, -179.5), 111.2),
        ((51.5, -0.1), (40.7, -74.0), 5570),
    ],
)
def test_great_circles_of_known_length(one, other, km):
    assert great_circle_km(one, other) == pytest.approx(km, rel=2e-3, abs=1e-6)


@given(degrees, degrees)
def test_a_great_circle_agrees_with_the_angle_between_two_vectors(one, other):
    (north, east), (north_2, east_2) = (tuple(map(radians, each)) for each in (one, other))
    cosine = sin(north) * sin(north_2) + cos(north) * cos(north_2) * cos(east - east_2)

    away = great_circle_km(one, other)

    # A cosine near 1 tells small angles apart only roughly.
    assert away == pytest.approx(EARTH_RADIUS_KM * acos(max(-1, min(1, cosine))), abs=0.2)
    assert away == pytest.approx(great_circle_km(other, one), abs=1e-6)
    assert 0 <= away <= pi * EARTH_RADIUS_KM


# order


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        ("b a c d", "abcd", "b a c d"),
        ("d", "abcd", "d abc"),
        ("b ac d", "abcd", "b ac d"),
        ("bc", "abcd", "bc ad"),
        ("", "abcd", "abcd"),
        ("abcd", "abcd", "abcd"),
        ("x b y", "abcd", "b acd"),
        ("a b c d", "ca", "a c"),
    ],
)
def test_order_is_the_place_in_the_list_with_ties_and_the_unlisted_last(wanted, names, expected):
    assert ladder(order(wanted), client=UNKNOWN, names=names) == expected


# subnets, countries, continents, asns


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        ((NET_24, NET_16, NET_8), "c abd"),
        ((NET_16, NET_8), "b acd"),
        ((NET_8,), "ad bc"),
        ((OTHER,), "abcd"),
        ((), "abcd"),
    ],
)
def test_subnets_go_by_the_longest_match(around, expected):
    step = subnets({NET_8: "ad", NET_24: "c", NET_16: "b"})

    assert ladder(step, client=Client(NOWHERE, around)) == expected


def test_a_longer_subnet_of_another_step_does_not_hide_a_shorter_one():
    route = (subnets({NET_8: "a"}), subnets({NET_24: "c"}))

    assert ladder(*route, client=Client(NOWHERE, (NET_24, NET_8))) == "a c bd"


GERMAN = Client(Place(country="DE", continent="EU", asn=64500))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (listed(Fact.COUNTRIES, DE="b a", US="d"), "b a cd"),
        (listed(Fact.COUNTRIES, US="d"), "abcd"),
        (listed(Fact.COUNTRIES, EU="d"), "abcd"),
        (listed(Fact.CONTINENTS, EU="c bd"), "c bd a"),
        (listed(Fact.CONTINENTS, DE="c"), "abcd"),
        (Listed(Fact.ASNS, ((64500, prefer("d")), (64501, prefer("a")))), "d abc"),
        (Listed(Fact.ASNS, ((64501, prefer("a")),)), "abcd"),
        (listed(Fact.COUNTRIES, DE=""), "abcd"),
    ],
)
def test_lists_go_by_what_the_database_says(step, expected):
    assert ladder(step, client=GERMAN) == expected
    assert ladder(step, client=UNKNOWN) == "abcd"


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (Fact.COUNTRIES, "DE"),
        (Fact.CONTINENTS, "EU"),
        (Fact.ASNS, 64500),
        (Fact.SUBNETS, None),
    ],
)
def test_a_fact_is_one_field_of_a_place(fact, expected):
    assert fact_of(fact, GERMAN.place) == expected


def test_a_look_up_tells_the_key_that_matched():
    lookup = Lookup.of(subnets({NET_8: "a", NET_16: "b"}))

    assert lookup.match(Client(NOWHERE, (NET_24, NET_16, NET_8))) == (NET_16, prefer("b"))
    assert lookup.match(Client(NOWHERE, (OTHER,))) is None
    assert Lookup.of(listed(Fact.COUNTRIES, DE="a")).match(GERMAN) == ("DE", prefer("a"))


# latency


@pytest.mark.parametrize(
    ("keyed", "client", "expected"),
    [
        ({"*": {"a": 30.0, "b": 20.0, "c": 10.0}}, UNKNOWN, "c b a d"),
        ({"*": {"a": 20.0, "b": 20.0}}, UNKNOWN, "ab cd"),
        ({}, UNKNOWN, "abcd"),
        ({"DE": {"d": 1.0}}, UNKNOWN, "abcd"),
        ({"DE": {"d": 1.0}}, GERMAN, "d abc"),
        ({"*": {"a": 1.0, "b": 2.0}, "DE": {"a": 9.0}}, GERMAN, "b a cd"),
        ({"*": {"a": 1.0, "b": 2.0}, 64500: {"a": 9.0}}, GERMAN, "b a cd"),
        ({64500: {"a": 1.0, "b": 2.0}, "DE": {"a": 9.0}}, GERMAN, "b a cd"),
        ({64501: {"a": 1.0}, "US": {"b": 1.0}, OTHER: {"c": 1.0}}, GERMAN, "abcd"),
    ],
)
def test_latency_goes_by_the_most_specific_key_that_measures_a_region(keyed, client, expected):
    assert ladder(latencies(keyed), client=client) == expected


def test_each_kind_of_latency_key_hides_the_ones_behind_it():
    client = Client(Place(country="DE", asn=64500), (NET_24, NET_8))
    keys = (NET_24, NET_8, "DE", 64500, "*")  # most specific first
    rows = {key: {"a": float(place)} for place, key in enumerate(keys)}

    told = []
    for key in keys:
        told.append(measured_ms(rows, "ab", client))
        del rows[key]

    assert told == [{"a": 0.0}, {"a": 1.0}, {"a": 2.0}, {"a": 3.0}, {"a": 4.0}]
    assert measured_ms(rows, "ab", client) == {}


# fence


def fence(*lists):
    return Fence(lists)


EU_ONLY = listed(Fact.CONTINENTS, EU="b a")
DE_ONLY = listed(Fact.COUNTRIES, DE="bc")


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ((fence(EU_ONLY),), "ab"),
        ((fence(EU_ONLY), fence(DE_ONLY)), "b"),
        ((fence(EU_ONLY, DE_ONLY),), "b"),
        ((fence(listed(Fact.CONTINENTS, AS="d")),), "abcd"),
        ((fence(listed(Fact.CONTINENTS, EU="x")),), ""),
        ((fence(listed(Fact.CONTINENTS, EU="a"), listed(Fact.COUNTRIES, DE="b")),), ""),
        ((order("d c b a"), fence(EU_ONLY)), "b a"),
        ((fence(EU_ONLY), order("d c b a")), "b a"),
        ((order("c"), fence(DE_ONLY), order("b"), fence(EU_ONLY)), "b"),
    ],
)
def test_a_fence_drops_what_a_matching_list_does_not_hold_and_orders_nothing(route, expected):
    assert ladder(*route, client=GERMAN) == expected


def test_a_fence_drops_nothing_for_a_client_of_whom_nothing_is_known():
    assert ladder(fence(EU_ONLY, DE_ONLY), client=UNKNOWN) == "abcd"


def test_a_fence_of_subnets_goes_by_the_longest_match():
    step = fence(subnets({NET_8: "a", NET_16: "b c"}))

    assert ladder(step, client=Client(NOWHERE, (NET_16, NET_8))) == "bc"
    assert ladder(step, client=Client(NOWHERE, (NET_8,))) == "a"


def test_nearest_within_a_fence_never_reaches_over_it():
    assert (
        ladder(
            Nearest(1200.0),
            fence(listed(Fact.COUNTRIES, DE="c d")),
            client=located(0.0, country="DE"),
        )
        == "cd"
    )


def test_all_lists_of_a_fence_must_hold():
    lookups = [Lookup.of(EU_ONLY), Lookup.of(DE_ONLY)]

    assert [name for name in "abcd" if is_inside(lookups, name, GERMAN)] == ["b"]
    assert is_inside([], "d", GERMAN)


# composition


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ((order("cd"), Nearest()), "c d a b"),
        ((Nearest(), order("d c b a")), "a b c d"),
        ((Nearest(1200.0), order("d b")), "b a d c"),
        ((listed(Fact.COUNTRIES, DE="d"), Nearest()), "d a b c"),
        ((listed(Fact.COUNTRIES, US="d"), Nearest()), "a b c d"),
        ((order("bd"), latencies({"DE": {"c": 1.0, "d": 1.0}})), "d b c a"),
        ((order("ab cd"), Weighted(), order("b d")), "b a d c"),
        ((order("ab"), order("bc"), order("d")), "b a c d"),
    ],
)
def test_earlier_steps_dominate_and_later_ones_split_their_ties(route, expected):
    assert ladder(*route, client=located(0.0, country="DE")) == expected


def test_a_walk_tells_the_rungs_before_any_step_and_after_each():
    route = prepare((order("cd"), fence(DE_ONLY), Nearest()), LINE)

    told = [
        (type(step).__name__, shown(rungs))
        for step, _, rungs in route.walk("dcba", located(0.0, country="DE"))
    ]

    assert told == [
        ("NoneType", "abcd"),
        ("Fence", "bc"),
        ("Order", "c b"),
        ("Nearest", "c b"),
    ]


def test_the_networks_of_all_steps_are_found():
    route = (
        subnets({NET_8: "a"}),
        latencies({NET_16: {"a": 1.0}, "DE": {"a": 2.0}}),
        fence(EU_ONLY, subnets({NET_24: "b"})),
        listed(Fact.COUNTRIES, DE="a"),
        Nearest(),
    )

    assert list(subnets_of(route)) == [NET_8, NET_16, NET_24]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Nearest(), {"location", "country"}),
        (Weighted(), set()),
        (order("a"), set()),
        (subnets({NET_8: "a"}), set()),
        (listed(Fact.COUNTRIES), {"country"}),
        (listed(Fact.CONTINENTS), {"continent"}),
        (listed(Fact.ASNS), {"asn"}),
        (latencies({}), {"country", "asn"}),
        (fence(listed(Fact.ASNS), listed(Fact.CONTINENTS)), {"asn", "continent"}),
    ],
)
def test_each_step_says_what_of_a_place_it_looks_at(step, expected):
    assert set(fields_of([step])) == expected


# What is always true


@given(routes, clients)
def test_an_order_holds_each_region_once_or_a_fence_dropped_it(route, client):
    rungs = prepare(route, REGIONS).order_of(NAMES, client)

    flat = [name for rung in rungs for name in rung]
    lookups = [
        Lookup.of(listed) for step in route if isinstance(step, Fence) for listed in step.lists
    ]
    assert all(rungs)
    assert sorted(flat) == [name for name in NAMES if is_inside(lookups, name, client)]
    assert all(list(rung) == sorted(rung) for rung in rungs)


@given(routes, clients)
def test_a_step_only_ever_splits_rungs(route, client):
    walked = [rungs for *_, rungs in prepare(route, REGIONS).walk(NAMES, client)]

    for before, after in pairwise(walked):
        places = {name: place for place, rung in enumerate(before) for name in rung}
        flat = [places[name] for rung in after for name in rung]
        assert all(len({places[name] for name in rung}) == 1 for rung in after)
        assert flat == sorted(flat)


# A tie by distance depends on who else is on the rung, so within_km makes no key of its own.
sort_keys = ranking_steps.filter(lambda step: not getattr(step, "within_km", 0))


@given(st.lists(sort_keys, max_size=3), clients)
def test_composed_steps_are_sort_keys(route, client):
    keys = {name: [] for name in NAMES}
    for step in route:
        alone = prepare([step], REGIONS).order_of(NAMES, client)
        for place, rung in enumerate(alone):
            for name in rung:
                keys[name].append(place)

    rungs = prepare(route, REGIONS).order_of(NAMES, client)

    ordered = sorted(NAMES, key=lambda name: (keys[name], name))
    assert rungs == tuple(tuple(tied) for _, tied in groupby(ordered, key=keys.get))


@given(routes, clients, st.permutations(NAMES))
def test_the_order_in_which_regions_are_named_does_not_matter(route, client, names):
    prepared = prepare(route, REGIONS)

    assert prepared.order_of(names, client) == prepared.order_of(NAMES, client)


@given(st.lists(ranking_steps, max_size=2), fences, clients)
def test_a_fence_does_the_same_wherever_it_stands(route, fenced, client):
    everywhere = {
        prepare((*route[:at], fenced, *route[at:]), REGIONS).order_of(NAMES, client)
        for at in range(len(route) + 1)
    }

    assert len(everywhere) == 1


@given(st.lists(fences, min_size=2, max_size=3), clients)
def test_fences_hold_in_any_order(fenced, client):
    orders = {prepare(route, REGIONS).order_of(NAMES, client) for route in permutations(fenced)}

    assert len(orders) == 1


@given(steps, clients, st.lists(networks(), max_size=2))
def test_what_a_step_does_not_look_at_changes_nothing(step, client, around):
    seen = {field: getattr(client.place, field) for field in fields_of([step])}
    bare = Client(Place(**seen), tuple(around))
    whole = Client(client.place, tuple(around))

    route = prepare([step], REGIONS)

    assert route.order_of(NAMES, bare) == route.order_of(NAMES, whole)


@given(st.sampled_from([0.0, 500.0, 5000.0]), clients)
def test_a_rung_by_distance_reaches_just_as_far_as_within_says(within_km, client):
    step = Nearest(within_km)
    rungs = prepare([step], REGIONS).order_of(NAMES, client)

    away = distances_km(step, NAMES, client, REGIONS)
    if away is None:
        assert rungs == (NAMES,)
    else:
        nearest = [min(away[name] for name in rung) for rung in rungs]
        assert all(
            away[n] <= near + within_km
            for near, rung in zip(nearest, rungs, strict=True)
            for n in rung
        )
        assert all(after > near + within_km for near, after in pairwise(nearest))
