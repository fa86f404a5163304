"""Databases walked, by each engine there is: the same atlas of the same octets, however damaged."""

import struct
from contextlib import contextmanager
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import pairwise
from math import inf, nan
from pathlib import Path

import maxminddb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from routes import BLIND, NAMES, REGIONS, edges_of, networks, routes, unmapped

from bench.mmdbwriter import METADATA_MARKER, DataSection, Uint, encode
from gslb.daemons.walking import NATIVE, PYTHON, WALKERS, DatabaseError, Source
from gslb.model import NOWHERE, Place
from gslb.routing.geo import MapKey, compile_map
from gslb.routing.image import decode_atlas, decode_map, encode_map
from gslb.routing.mmdb import ASN_MAX, place_from
from gslb.routing.runs import Runs, from_prefixes, overlay

each_walker = pytest.mark.parametrize("walker", WALKERS, ids=["native", "python"][-len(WALKERS) :])
both = pytest.mark.skipif(NATIVE not in WALKERS, reason="the native engine was not built")
each_size = pytest.mark.parametrize("record_size", [24, 28, 32])
each_version = pytest.mark.parametrize("ip_version", [4, 6])

CITY = {
    "location": {"latitude": 51.5, "longitude": -0.1},
    "country": {"iso_code": "GB"},
    "registered_country": {"iso_code": "US"},
    "continent": {"code": "EU"},
}


def silent(_what, _part):
    pass


def image(walker, city=None, asns=None, digest="d"):
    sources = [
        None if octets is None else Source(Path(name), octets)
        for name, octets in (("city.mmdb", city), ("asn.mmdb", asns))
    ]
    return walker.atlas_image(sources, digest, silent)


def atlas(walker, city=None, asns=None):
    return decode_atlas(image(walker, city, asns))


def file_of(told, ip_version=6, record_size=24, data=b"\xe0"):
    """Return a file with a tree whose records are *told*, and a data section."""
    count = len(told) // 2
    if record_size == 28:
        pairs = zip(told[0::2], told[1::2], strict=True)
        low = (1 << 24) - 1
        tree = b"".join(
            (one & low).to_bytes(3, "big")
            + bytes([one >> 24 << 4 | other >> 24])
            + (other & low).to_bytes(3, "big")
            for one, other in pairs
        )
    else:
        tree = b"".join(each.to_bytes(record_size // 8, "big") for each in told)
    return b"".join(
        (tree, bytes(16), data, METADATA_MARKER, metadata(count, record_size, ip_version))
    )


def metadata(count, record_size, ip_version):
    section = DataSection()
    section.store(
        {
            "binary_format_major_version": Uint(16, 2),
            "binary_format_minor_version": Uint(16, 0),
            "build_epoch": Uint(64, 1),
            "database_type": "Test",
            "description": {},
            "ip_version": Uint(16, ip_version),
            "languages": [],
            "node_count": Uint(32, count),
            "record_size": Uint(16, record_size),
        }
    )
    return bytes(section.out)


@contextmanager
def refused(match="not a readable MMDB"):
    with pytest.raises(DatabaseError, match=match):
        yield


# Against a general reader

codes = st.sampled_from(["DE", "gb", "G1", "", "GBR", 5])
numbers = st.sampled_from([0, -0.0, 0.0, 51.5, -91.0, 180, Uint(128, 7), True, "x"])
records = st.fixed_dictionaries(
    {},
    optional={
        "location": st.dictionaries(st.sampled_from(["latitude", "longitude", "x"]), numbers),
        "country": st.fixed_dictionaries({}, optional={"iso_code": codes, "names": codes}),
        "registered_country": st.fixed_dictionaries({}, optional={"iso_code": codes}) | codes,
        "continent": st.fixed_dictionaries({}, optional={"code": codes}),
        "autonomous_system_number": st.sampled_from([0, 64500, -1, Uint(64, 1 << 32), 1.0, "x"]),
        "city": st.lists(codes, max_size=2),
    },
)
databases = st.dictionaries(networks().map(str), records, max_size=8)
sizes = st.sampled_from([24, 28, 32])


def encoded(known, record_size=28, **keys):
    pairs = [(ip_network(text), record) for text, record in known.items()]
    return encode(pairs, record_size=record_size, **keys)


@each_walker
@given(databases, sizes, networks())
def test_every_address_has_the_place_that_a_reader_finds_for_it(walker, known, size, more):
    octets = encoded(known, size)

    walked = atlas(walker, octets)

    with reader_of(octets) as reader:
        for address in edges_of([*map(ip_network, known), more]):
            blind = any(address in net for net in BLIND)
            record = None if blind else reader.get(unmapped(address))
            assert walked.place_of(address) == place_from(record)


def reader_of(octets):
    return maxminddb.reader.Reader(_File(octets), maxminddb.MODE_FD)


class _File:
    def __init__(self, octets):
        self.read = lambda: octets


@each_walker
@given(databases, databases, sizes)
def test_two_databases_say_together_what_each_says(walker, cities, asns, size):
    joined = atlas(walker, encoded(cities, size), encoded(asns))

    alone, numbers = atlas(walker, encoded(cities)), atlas(walker, None, encoded(asns))
    for address in edges_of(map(ip_network, [*cities, *asns])):
        city, number = alone.place_of(address), numbers.place_of(address)
        assert (city.asn, number) == (None, Place(asn=number.asn))
        expected = Place(city.location, city.country, city.continent, number.asn)
        assert joined.place_of(address) == expected


@each_walker
def test_what_the_writer_aliases_is_walked_once(walker):
    known = {
        **{f"10.{n}.0.0/16": {"location": {"latitude": n, "longitude": 1}} for n in range(90)},
        "2001:db8::/32": CITY,
        "2003::/16": CITY,
    }

    assert image(walker, encoded(known, aliases=True)) == image(walker, encoded(known))


@each_walker
@each_size
def test_records_are_read_whole_at_every_record_size(walker, record_size):
    # High halves, low halves and all octets between are in use: far records end the file.
    far = (1 << record_size) - 2
    for told in ((0x123456, 0x2), (2, 0x123456), (far, 2), (2, far)):
        octets = file_of([*told, 2, 2], 4, record_size, data=bytes(0x123456))
        if far in told:
            with refused():
                image(walker, octets)
        else:
            assert [start for start, _ in atlas(walker, octets).ipv4] == [0]


@each_walker
@each_version
def test_an_empty_database_says_nothing_of_anyone(walker, ip_version):
    for octets in (encode([], ip_version=ip_version), file_of([], ip_version)):
        walked = atlas(walker, octets)

        assert (list(walked.ipv4), list(walked.ipv6)) == ([(0, 0)], [(0, 0)])
        assert walked.places == (NOWHERE,)


@each_walker
def test_no_database_says_nothing_of_anyone(walker):
    assert atlas(walker).places == (NOWHERE,)


# What records say


def said(walker, record):
    walked = atlas(walker, encode([(IPv4Network("192.0.2.0/24"), record)]))
    return walked.place_of(ip_address("192.0.2.1"))


@each_walker
@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        *((90, 180), (-90.0, -180.0), (0, 0), (90.001, 0.0), (0.0, -180.001), (nan, 0.0)),
        *((0.0, nan), (inf, 0.0), (0.0, -inf), (Uint(128, 10**30), 0.0), ("51.5", 0.0)),
        *((True, 0.0), (0.0, False), ([51.5], 0.0), (Uint(64, 51), -1), (-0.0, 0.0)),
    ],
)
def test_degrees_are_two_numbers_within_their_limits(walker, latitude, longitude):
    location = {"latitude": latitude, "longitude": longitude}

    found = said(walker, {"location": location}).location

    plain = {key: getattr(each, "value", each) for key, each in location.items()}
    assert str(found) == str(place_from({"location": plain}).location)


@each_walker
@pytest.mark.parametrize("code", ["GB", "gb", "", "G", "GBR", "G1", "--", "ßa", "ÄÖ", 826, b"GB"])
def test_codes_are_two_letters(walker, code):
    for key, inner in (("country", "iso_code"), ("continent", "code")):
        record = {key: {inner: code}, "registered_country": {"iso_code": "US"}}
        assert said(walker, record) == place_from(record)


@each_walker
@pytest.mark.parametrize(
    "country", [{"iso_code": "GB"}, {}, "GB", ["GB"], {"names": {"en": "Nowhere"}}, {"iso_code": 1}]
)
def test_the_country_of_registration_counts_only_without_a_country(walker, country):
    record = {**CITY, "country": country}

    assert said(walker, record) == place_from(record)


@each_walker
@pytest.mark.parametrize("number", [0, 64500, ASN_MAX, ASN_MAX + 1, -1, 64500.0, True, "64500"])
def test_a_system_s_number_is_a_whole_one_of_32_bits(walker, number):
    record = {"autonomous_system_number": number}
    octets = encode([(IPv4Network("192.0.2.0/24"), record)], ip_version=4)

    assert atlas(walker, None, octets).places[-1] == place_from(None, record)


def raw(walker, data):
    """Return the place of a record whose octets are *data*; all of IPv4 has it."""
    return atlas(walker, file_of([17, 17], 4, data=data)).place_of(ip_address("192.0.2.1"))


LATITUDE, LONGITUDE = b"\x48latitude", b"\x49longitude"
EAST = LONGITUDE + b"\xa1\x05"


def located(*pairs):
    """A record whose location has these pairs of octets."""
    return b"\xe1\x48location" + bytes([0xE0 + len(pairs)]) + b"".join(pairs)


@each_walker
@pytest.mark.parametrize(
    ("data", "latitude"),
    [
        (located(LATITUDE + b"\xa1\x07", EAST), 7.0),  # 16 bits
        (located(LATITUDE + b"\x04\x01\xff\xff\xff\xfe", EAST), -2.0),  # 32 bits with a sign
        (located(LATITUDE + b"\x02\x01\x00\x07", EAST), 7.0),  # fewer octets of those
        (located(LATITUDE + b"\x04\x08" + struct.pack("!f", 1.5), EAST), 1.5),
        (located(LATITUDE + b"\x68" + struct.pack("!d", 1.25), EAST), 1.25),
        (located(LATITUDE + b"\xa1\x07", LATITUDE + b"\xa1\x09", EAST), 9.0),  # the last counts
        (located(LATITUDE + b"\xa1\x07", EAST, LATITUDE + b"\x42no"), None),
        (located(LATITUDE + b"\xa1\x07", EAST, b"\xa1\x01\xa1\x01"), 7.0),  # a key that is 1
        (located(EAST, LATITUDE + b"\xa1"), 0.0),  # cut at the end: what is left of it
        (located(EAST, LATITUDE + b"\xa0"), 0.0),
        (b"\x20\x02" + located(LATITUDE + b"\xa1\x07", EAST), 7.0),  # all by a pointer
    ],
)
def test_numbers_of_every_kind_and_keys_met_twice_are_read(walker, data, latitude):
    place = raw(walker, data) if data[-1:] != b"\xa1" else raw_at_the_end(walker, data)

    assert place == Place(None if latitude is None else (latitude, 5.0))


ISO = b"\x48iso_code\x42"


@each_walker
@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"\xe2" + located(LATITUDE + b"\xa1\x07", EAST)[1:] + b"\x48location\xe0", NOWHERE),
        (b"\xe2\x47country\xe1" + ISO + b"GB\x47country\xe0", NOWHERE),
        (b"\xe2\x47country\xe1" + ISO + b"GB\x47country\xe1" + ISO + b"DE", Place(country="DE")),
        (b"\xe2\x52registered_country\xe1" + ISO + b"GB\x52registered_country\xa0", NOWHERE),
        (b"\xe2\x49continent\xe1\x44code\x42EU\x49continent\x40", NOWHERE),
        (b"\xe1\x47country\x01\x04\xe1" + ISO + b"GB", NOWHERE),  # in a list
        (b"\xe1\x42ab\xe1\x47country\xe1" + ISO + b"GB", NOWHERE),  # one level too deep
        (b"\x38\x00\x00\x00\x05\xe1\x47country\xe1" + ISO + b"GB", Place(country="GB")),
    ],
)
def test_what_is_met_twice_or_elsewhere_is_read_as_a_reader_reads_it(walker, data, place):
    assert raw(walker, data) == place


@each_walker
@pytest.mark.parametrize("filler_bytes", [0, 2_000, 3_000, 600_000])
def test_pointers_of_every_size_lead_to_what_they_point_at(walker, filler_bytes):
    country = {"country": {"iso_code": "GB"}}
    octets = encode(
        [
            (IPv4Network("192.0.2.0/26"), {"filler": "x" * filler_bytes}),
            (IPv4Network("192.0.2.64/26"), country),
            (IPv4Network("192.0.2.128/26"), {**country, "continent": {"code": "EU"}}),
        ]
    )

    walked = atlas(walker, octets)

    found = [walked.place_of(ip_address(f"192.0.2.{n}")) for n in (0, 64, 128)]
    assert found == [NOWHERE, Place(country="GB"), Place(country="GB", continent="EU")]


def raw_at_the_end(walker, data):
    """The same for a record that the end of the file cuts."""
    whole = file_of([17, 17], 4, data=b"\xe0")
    # One record leads past the metadata, where nothing follows.
    far = len(whole) - 6 + 1
    octets = file_of([far, far], 4, data=b"\xe0") + data
    return atlas(walker, octets).place_of(ip_address("192.0.2.1"))


# Damage

LONG = b"\x5f\xff\xff\xff"  # a text of 16 MiB and more


@each_walker
@pytest.mark.parametrize(
    "data",
    [
        b"\x20\x00",  # points to itself
        b"\x20\x02\x20\x00",  # a pointer to a pointer
        b"\xe1\x41a\x20\x00",  # holds itself
        b"\xe1\xe0\xe0",  # a map as a key
        b"\xe1\x01\x04\xa0\xe0",  # a list as a key
        b"\x42\xff\xfe",
        b"\x67" + bytes(7),
        b"\x05\x08" + bytes(5),
        b"\x05\x01" + bytes(5),
        b"\xb1" + bytes(17),
        b"\x00\x05",
        b"\x00\xff",
        LONG + bytes(70_000),
        b"\x1f\x04\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x1d",
    ],
    ids=repr,
)
def test_a_damaged_record_is_refused(walker, data):
    with refused():
        raw_at_end = file_of([17, 17], 4, data=data)
        image(walker, raw_at_end)


@each_walker
@pytest.mark.parametrize(
    "data", [b"\xe1", b"\xe1\x41a", b"\x01\x04", b"\x68", b"\x20", b"\x5d", b"\xfe\x01", b"\x00"]
)
def test_a_record_that_the_end_of_the_file_cuts_is_refused(walker, data):
    with refused():
        raw_at_the_end(walker, data)


@each_walker
def test_a_record_nested_too_deep_is_refused(walker):
    with refused():
        raw(walker, b"\x01\x04" * 5_000 + b"\xe0")


@both
def test_a_small_file_cannot_ask_for_hours():
    # Each list holds the one before it many times; each of many records is the last of them.
    data, at = b"\xe0", 0
    for _ in range(3):
        at, data = len(data), data + b"\x1d\x04\x03" + bytes([0x20, at]) * 32
    first, nodes = len(data), (1 << 12) - 1
    data += bytes([0x20, at]) * (nodes + 1)
    leaves = (nodes + 16 + first + 2 * n for n in range(nodes + 1))
    octets = file_of([*range(1, nodes), *leaves], 4, 24, data)

    with refused("over and over"):
        image(NATIVE, octets)


@each_walker
@each_size
def test_a_tree_longer_than_its_file_is_refused(walker, record_size):
    cut = METADATA_MARKER + metadata(1000, record_size, 6)

    with refused():
        image(walker, cut)


@each_walker
@pytest.mark.parametrize(
    ("count", "record_size", "ip_version"), [(1, 20, 6), (1, 0, 6), (1, 24, 5), (1, 24, 0)]
)
def test_a_tree_of_an_unknown_shape_is_refused(walker, count, record_size, ip_version):
    with refused():
        image(walker, bytes(999) + METADATA_MARKER + metadata(count, record_size, ip_version))


@each_walker
@each_version
@pytest.mark.parametrize("told", [(0, 0), (0, 2), (2, 0), (1, 1, 0, 0), (2, 1, 0, 2)])
def test_a_loop_is_refused(walker, ip_version, told):
    with refused("the search tree"):
        image(walker, file_of(told, ip_version))


@each_walker
@each_version
def test_a_tree_one_node_too_deep_is_refused(walker, ip_version):
    bits = 32 if ip_version == 4 else 128

    def path(depth):
        # To the right, away from where IPv4 stands; each node's left says nothing.
        right = [*range(1, depth), depth]
        return file_of([n for each in right for n in (depth, each)], ip_version)

    assert atlas(walker, path(bits)).places == (NOWHERE,)
    with refused("deeper than an address is long"):
        image(walker, path(bits + 1))


@each_walker
def test_a_tree_that_meets_its_nodes_too_often_is_refused(walker):
    def braid(levels, unreached):
        count = levels + unreached
        met = [n for at in range(1, levels) for n in (at, at)]
        return file_of([*met, *[count] * 2 * (1 + unreached)], 4)

    # Six levels make 127 visits; fewer than 8 for each node, and 8 more, are allowed.
    assert list(atlas(walker, braid(6, 9)).ipv4) == [(0, 0)]
    for levels, unreached in ((6, 8), (32, 0)):
        with refused("over and over"):
            image(walker, braid(levels, unreached))


# Both engines

WHOLE = encoded(
    {
        "192.0.2.0/25": CITY,
        "192.0.2.128/25": {"country": {"iso_code": "de"}, "names": ["x" * 40, {"y": 1.5}]},
        "2001:db8::/33": {**CITY, "location": {"latitude": 1, "longitude": Uint(16, 2)}},
        "2000::/4": {"autonomous_system_number": 64500},
        "::/0": {"continent": {"code": "AS"}},
    }
)


def outcome(walker, *databases):
    try:
        return image(walker, *databases)
    except DatabaseError:
        return None


@both
@given(databases, st.none() | databases, sizes)
def test_both_engines_make_the_same_octets(cities, asns, size):
    told = (encoded(cities, size), None if asns is None else encoded(asns))

    assert image(NATIVE, *told) == image(PYTHON, *told)


@both
@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3)), max_size=4
    ),
    st.integers(0, len(WHOLE)),
)
def test_both_engines_take_or_refuse_a_damaged_file_alike(changes, end):
    octets = bytearray(WHOLE)
    for at, with_ in changes:
        octets[at : at + len(with_)] = with_
    for damaged in (bytes(octets), bytes(octets[:end])):
        assert outcome(NATIVE, damaged) == outcome(PYTHON, damaged)
        assert outcome(NATIVE, None, damaged) == outcome(PYTHON, None, damaged)


@both
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=24).filter(lambda told: len(told) % 2 == 0),
    st.sampled_from([4, 6]),
    sizes,
    st.binary(max_size=60),
)
def test_both_engines_take_or_refuse_any_tree_and_any_records_alike(told, version, size, data):
    octets = file_of(told, version, size, data)

    assert outcome(NATIVE, octets) == outcome(PYTHON, octets)


@both
@settings(deadline=None)
@given(databases, routes)
def test_both_engines_compile_the_same_map(known, route):
    made = atlas(PYTHON, encoded(known))
    key = MapKey(route, NAMES)

    maps = [encode_map(compile_map(key, made, REGIONS, each.overlay)) for each in WALKERS]

    assert maps[0] == maps[1]


@both
@settings(deadline=None)
@given(databases, routes)
def test_native_code_finds_the_order_and_scope_that_python_finds(known, route):
    from gslb._native import GeoMap

    octets = encode_map(compile_map(MapKey(route, NAMES), atlas(PYTHON, encoded(known)), REGIONS))
    plain, native = decode_map(octets), GeoMap(octets)

    assert native.orders == len(plain.orders)
    for address in edges_of(map(ip_network, known)):
        number = int(address)
        assert native.find(6, number) == plain.find(6, number)
        assert native.find(4, number & 0xFFFFFFFF) == plain.find(4, number & 0xFFFFFFFF)


@both
def test_a_map_is_opened_in_its_file(tmp_path):
    from gslb._native import GeoMap

    octets = encode_map(compile_map(MapKey((), NAMES), atlas(PYTHON), REGIONS))
    (tmp_path / "whole.map").write_bytes(octets)
    (tmp_path / "torn.map").write_bytes(octets[:-1])
    (tmp_path / "empty.map").write_bytes(b"")

    assert GeoMap.open(tmp_path / "whole.map").find(4, 5) == (0, 0)
    for name in ("torn.map", "empty.map"):
        with pytest.raises(ValueError, match="image"):
            GeoMap.open(tmp_path / name)
    with pytest.raises(OSError, match="No such file"):
        GeoMap.open(tmp_path / "none.map")


@both
@pytest.mark.parametrize("bits", [32, 128])
def test_an_overlay_in_native_code_asks_and_answers_as_in_python(bits):
    last = 1 << (bits - 3)
    one = from_prefixes(bits, [(n * last, 3 + n % 2, n % 3) for n in range(8)])
    other = from_prefixes(bits, [(n * last, 5, 7 * n) for n in range(0, 8, 2)])
    asked = []

    def combine(a, b):
        asked[-1].append((a, b))
        return (a + b) % 4

    found = []
    for lay in (overlay, NATIVE.overlay):
        for pair in ((one, other), (other, one), (one, Runs(bits, *uniform_of(bits)))):
            asked.append([])
            found.append(lay(*pair, combine))
    assert found[:3] == found[3:]
    assert [list(each) for each in asked[:3]] == [list(each) for each in asked[3:]]
    assert all(start < after for start, after in pairwise(start for start, _ in found[3]))


def uniform_of(bits):
    runs = Runs(bits)
    runs.append(0, 9)
    return runs.starts, runs.lows, runs.values


@both
def test_what_is_no_runs_is_refused_and_what_combine_raises_is_raised():
    runs = from_prefixes(32, [(0, 8, 1)])

    with pytest.raises(ValueError, match="runs that do not rise"):
        NATIVE.overlay(Runs(32), runs, max)
    with pytest.raises(ZeroDivisionError):
        NATIVE.overlay(runs, runs, lambda _, __: 1 // 0)
