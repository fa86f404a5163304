"""Search trees walked whole: the same networks as a general reader finds, whatever the tree."""

from array import array
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from routes import BLIND, MAPPED, edges_of, networks

from bench.mmdbwriter import encode
from gslb.model import NOWHERE, Place
from gslb.routing.geo import without_transition
from gslb.routing.mmdb import ASN_MAX, Tree, place_from, read_tree, walk

each_size = pytest.mark.parametrize("record_size", [24, 28, 32])
each_version = pytest.mark.parametrize("ip_version", [4, 6])


@contextmanager
def reading(octets):
    """A general reader of a database, and the tree of it that is walked here."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "test.mmdb"
        path.write_bytes(octets)
        with maxminddb.open_database(path) as reader:
            yield reader, tree_in(octets, reader.metadata())


def tree_in(octets, meta):
    return read_tree(octets, meta.node_count, meta.record_size, meta.ip_version)


def records_of(reader, walked):
    """Return the decoded records by number: each looked up at the address told for it."""
    firsts = [
        ip_address(number.to_bytes(4 if version == 4 else 16, "big"))
        for version, number in walked.firsts
    ]
    return [None, *map(reader.get, firsts)]


def record(number):
    return {"number": number, "padding": "x" * number}


# Against a general reader

databases = st.dictionaries(networks().map(str), st.integers(1, 5), max_size=8)
ipv4_databases = st.dictionaries(networks(4).map(str), st.integers(1, 5), max_size=8)


@given(databases, st.sampled_from([24, 28, 32]), networks())
def test_a_walk_finds_at_every_address_what_a_reader_finds(known, record_size, more):
    # Mapped addresses stand under ::/96 in this format.
    nets = {ip_network(text): record(number) for text, number in known.items()}
    octets = encode(nets.items(), record_size=record_size)

    with reading(octets) as (reader, tree):
        walked = walk(tree)
        records = records_of(reader, walked)

        for address in edges_of([*nets, more]):
            if address in MAPPED:
                ipv4 = address.ipv4_mapped
                assert records[walked.ipv4.value(int(ipv4))] == reader.get(ipv4)
            elif not any(address in net for net in BLIND):
                assert records[walked.ipv6.value(int(address))] == reader.get(address)


@given(ipv4_databases, st.sampled_from([24, 28, 32]), networks(4))
def test_a_walk_of_an_ipv4_database_agrees_and_knows_no_ipv6(known, record_size, more):
    nets = {ip_network(text): record(number) for text, number in known.items()}
    octets = encode(nets.items(), record_size=record_size, ip_version=4)

    with reading(octets) as (reader, tree):
        walked = walk(tree)
        records = records_of(reader, walked)

        for address in edges_of([*nets, more]):
            if address in MAPPED:
                ipv4 = address.ipv4_mapped
                assert records[walked.ipv4.value(int(ipv4))] == reader.get(ipv4)
        assert list(walked.ipv6) == [(0, 0)]


@each_size
def test_records_are_read_whole_at_every_record_size(record_size):
    # High halves, low halves and all octets between are in use.
    left = [0x12345678, 0xF0A0B0C1, 0, 0xFFFFFFFF]
    right = [0x9ABCDEF0, 0x0F1E2D3C, 0xFFFFFFFF, 0]
    mask = (1 << record_size) - 1
    nodes = b"".join(
        _node(one & mask, other & mask, record_size) for one, other in zip(left, right, strict=True)
    )

    tree = read_tree(nodes + b"what follows", 4, record_size, 6)

    assert list(tree.records[0::2]) == [each & mask for each in left]
    assert list(tree.records[1::2]) == [each & mask for each in right]


def _node(left, right, record_size):
    """One node's octets, as the format's description draws them."""
    if record_size == 28:
        middle = (left >> 24) << 4 | right >> 24
        low = 0xFFFFFF
        return (left & low).to_bytes(3, "big") + bytes([middle]) + (right & low).to_bytes(3, "big")
    octets = record_size // 8
    return left.to_bytes(octets, "big") + right.to_bytes(octets, "big")


@each_version
def test_a_record_is_told_once_however_many_networks_have_it(ip_version):
    one, other = record(1), record(2)
    nets = [(IPv4Network((n << 24, 8)), one if n % 2 else other) for n in range(256)]

    with reading(encode(nets, ip_version=ip_version)) as (reader, tree):
        walked = walk(tree)

        assert records_of(reader, walked) == [None, other, one]
        assert len(walked.ipv4) == 256


@each_version
def test_an_empty_database_says_nothing_of_anyone(ip_version):
    with reading(encode([], ip_version=ip_version)) as (_, tree):
        walked = walk(tree)

    assert list(walked.ipv4) == list(walked.ipv6) == [(0, 0)]
    assert walked.firsts == ()


@each_version
def test_a_tree_without_nodes_says_nothing_of_anyone(ip_version):
    walked = walk(read_tree(b"", 0, 24, ip_version))

    assert list(walked.ipv4) == list(walked.ipv6) == [(0, 0)]


@pytest.mark.parametrize("text", ["::/0", "::/48", "::/95", "::/96"])
def test_a_record_over_all_of_ipv4_is_ipv4_s(text):
    with reading(encode([(IPv6Network(text), record(3))])) as (reader, tree):
        walked = walk(tree)

        assert records_of(reader, walked) == [None, record(3)]
        assert list(walked.ipv4) == [(0, 1)]
        assert reader.get("192.0.2.1") == record(3)


# Aliases

SOME = {
    **{f"10.{n}.0.0/16": record(n % 5 + 1) for n in range(200)},
    "2001:db8::/32": record(6),
    "2003::/16": record(7),
}


def test_what_the_writer_aliases_is_walked_once():
    nets = [(ip_network(text), found) for text, found in SOME.items()]

    with reading(encode(nets)) as (_, plain), reading(encode(nets, aliases=True)) as (_, aliased):
        expected, walked = walk(plain), walk(aliased)

    assert list(walked.ipv4) == list(expected.ipv4)
    assert list(walked.ipv6) == list(expected.ipv6)
    assert len(walked.firsts) == len(expected.firsts)


@pytest.mark.parametrize("alias", [*BLIND[1:], MAPPED], ids=str)
def test_an_alias_at_any_transition_prefix_is_walked_once(alias):
    nets = [(ip_network(text), found) for text, found in SOME.items()]
    with reading(encode(nets)) as (_, tree):
        expected = walk(tree)

        walked = walk(with_alias(tree, alias))

    assert list(walked.ipv4) == list(expected.ipv4)
    assert list(walked.ipv6) == list(expected.ipv6)


def with_alias(tree, alias):
    """Return *tree* with the IPv4 part shown at the prefix *alias* too."""
    records = [
        -1 if each == tree.node_count else each if each < tree.node_count else -each
        for each in tree.records
    ]
    root = 0
    for _ in range(96):
        root = records[2 * root]
    node = 0
    for depth in range(alias.prefixlen):
        slot = 2 * node + (int(alias.network_address) >> (127 - depth) & 1)
        if depth == alias.prefixlen - 1:
            records[slot] = root
        elif records[slot] < 0:
            records += [-1, -1]
            records[slot] = len(records) // 2 - 1
        node = records[slot]
    count = len(records) // 2
    data = count - tree.node_count
    told = [count if each == -1 else each if each >= 0 else data - each for each in records]
    return Tree(array("I", told), count, 6)


def test_a_record_that_covers_a_transition_prefix_whole_is_masked_later():
    with reading(encode([(IPv6Network("2000::/8"), record(1))])) as (_, tree):
        walked = walk(tree)

    masked = without_transition(walked.ipv6)
    assert [walked.ipv6.value(0x2002 << 112), masked.value(0x2002 << 112)] == [1, 0]
    assert masked.value(0x2003 << 112) == 1


# Torn and hostile trees


@each_size
@pytest.mark.parametrize("missing", [1, 3, 14])
def test_a_tree_longer_than_its_file_is_refused(record_size, missing):
    octets = bytes(2 * record_size // 4)

    read_tree(octets, 2, record_size, 6)
    with pytest.raises(ValueError, match="the search tree ends after"):
        read_tree(octets[:-missing], 2, record_size, 6)


@pytest.mark.parametrize("record_size", [0, 8, 16, 20, 27, 30, 36, 64])
def test_an_unknown_record_size_is_refused(record_size):
    with pytest.raises(ValueError, match="is not 24, 28 or 32"):
        read_tree(bytes(999), 1, record_size, 6)


@pytest.mark.parametrize("ip_version", [0, 5, 7, 65535])
def test_an_unknown_ip_version_is_refused(ip_version):
    with pytest.raises(ValueError, match="neither 4 nor 6"):
        read_tree(bytes(999), 1, 24, ip_version)


@each_version
@pytest.mark.parametrize("records", [(0, 0), (0, 2), (2, 0), (1, 1, 0, 0), (2, 1, 0, 2)])
def test_a_loop_is_refused(ip_version, records):
    with pytest.raises(ValueError, match="the search tree"):
        walk(Tree(array("I", records), len(records) // 2, ip_version))


@each_version
def test_a_tree_one_node_too_deep_is_refused(ip_version):
    bits = 32 if ip_version == 4 else 128

    def path(depth):
        # To the right, away from where IPv4 stands; each node's left says nothing.
        right = [*range(1, depth), depth]
        return Tree(array("I", [n for each in right for n in (depth, each)]), depth, ip_version)

    assert len(walk(path(bits)).firsts) == 0
    with pytest.raises(ValueError, match="deeper than an address is long"):
        walk(path(bits + 1))


def braid(levels, unreached, ip_version=4):
    """A tree whose every node has the next one on both sides, and nodes that nobody meets."""
    count = levels + unreached
    told = [n for at in range(1, levels) for n in (at, at)]
    return Tree(array("I", [*told, *[count] * 2 * (1 + unreached)]), count, ip_version)


def test_a_tree_that_meets_its_nodes_too_often_is_refused():
    # Six levels make 127 visits; fewer than 8 for each node, and 8 more, are allowed.
    assert list(walk(braid(6, 9)).ipv4) == [(0, 0)]
    with pytest.raises(ValueError, match="over and over"):
        walk(braid(6, 8))


@each_version
def test_a_tree_made_to_be_walked_for_ever_ends_early(ip_version):
    with pytest.raises(ValueError, match="over and over"):
        walk(braid(32, 0, ip_version))


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=16).filter(lambda told: len(told) % 2 == 0),
    st.sampled_from([4, 6]),
)
def test_any_tree_at_all_is_walked_or_refused(records, ip_version):
    tree = Tree(array("I", records), len(records) // 2, ip_version)

    try:
        walked = walk(tree)
    except ValueError:
        return
    for runs in (walked.ipv4, walked.ipv6):
        assert next(iter(runs))[0] == 0
        assert max(runs.values) <= len(walked.firsts)


@given(st.binary(max_size=100), st.sampled_from([24, 28, 32]), st.sampled_from([4, 6]))
def test_any_octets_at_all_are_walked_or_refused(octets, record_size, ip_version):
    count = len(octets) // (record_size // 4)

    with suppress(ValueError):
        walk(read_tree(octets, count, record_size, ip_version))


# What records say

CITY = {
    "location": {"latitude": 51.5, "longitude": -0.1},
    "country": {"iso_code": "GB"},
    "registered_country": {"iso_code": "US"},
    "continent": {"code": "EU"},
}


def test_a_record_says_where_and_of_which_country_continent_and_system():
    place = place_from(CITY, {"autonomous_system_number": 64500})

    assert place == Place((51.5, -0.1), "GB", "EU", 64500)


@pytest.mark.parametrize("city", [None, 5, "GB", [], {}, {"location": None}, {"country": "GB"}])
@pytest.mark.parametrize("asn", [None, 5, {}, {"autonomous_system_number": "AS64500"}])
def test_records_of_another_shape_say_nothing(city, asn):
    assert place_from(city, asn) == NOWHERE


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        (90, 180, (90.0, 180.0)),
        (-90.0, -180.0, (-90.0, -180.0)),
        (0, 0, (0.0, 0.0)),
        (90.001, 0.0, None),
        (0.0, -180.001, None),
        (nan, 0.0, None),
        (0.0, nan, None),
        (inf, 0.0, None),
        (0.0, -inf, None),
        (10**400, 0.0, None),
        ("51.5", 0.0, None),
        (0.0, None, None),
        (True, 0.0, None),
        (0.0, False, None),
        ([51.5], 0.0, None),
    ],
)
def test_degrees_are_two_numbers_within_their_limits(latitude, longitude, expected):
    place = place_from({"location": {"latitude": latitude, "longitude": longitude}})

    assert place.location == expected
    assert expected is None or all(type(each) is float for each in place.location)


@pytest.mark.parametrize("missing", ["latitude", "longitude"])
def test_half_a_location_is_none(missing):
    location = {key: value for key, value in CITY["location"].items() if key != missing}

    assert place_from({**CITY, "location": location}) == Place(None, "GB", "EU")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("GB", "GB"),
        ("gb", "GB"),
        ("", None),
        ("G", None),
        ("GBR", None),
        ("G1", None),
        ("--", None),
        ("ßa", None),
        ("ÄÖ", None),
        (826, None),
        (None, None),
        (["G", "B"], None),
        (b"GB", None),
    ],
)
def test_codes_are_two_letters(code, expected):
    assert place_from({"country": {"iso_code": code}}).country == expected
    assert place_from({"continent": {"code": code}}).continent == expected


@pytest.mark.parametrize(
    ("country", "expected"),
    [
        ({"iso_code": "GB"}, "GB"),
        ({}, "US"),
        (None, "US"),
        ({"iso_code": None}, "US"),
        ({"names": {"en": "Nowhere"}}, "US"),
    ],
)
def test_the_country_of_registration_counts_only_without_a_country(country, expected):
    assert place_from({**CITY, "country": country}).country == expected


def test_a_country_of_registration_alone_counts():
    assert place_from({"registered_country": {"iso_code": "US"}}) == Place(country="US")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, 0),
        (64500, 64500),
        (ASN_MAX, ASN_MAX),
        (ASN_MAX + 1, None),
        (-1, None),
        (64500.0, None),
        (True, None),
        ("64500", None),
    ],
)
def test_a_system_s_number_is_a_whole_one_of_32_bits(number, expected):
    assert place_from(None, {"autonomous_system_number": number}).asn == expected
