import struct
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.mmdbwriter import DEPTH_MAX, VALUE_SIZE_MAX, DataSection, Uint, encode, write

MODES = [maxminddb.MODE_MMAP_EXT, maxminddb.MODE_MMAP]
LONDON = {"city": {"names": {"en": "London"}}, "location": {"latitude": 51.5, "longitude": -0.1}}
DUBLIN = {"city": {"names": {"en": "Dublin"}}, "location": {"latitude": 53.3, "longitude": -6.3}}

each_mode = pytest.mark.parametrize("mode", MODES, ids=["c", "python"])
each_size = pytest.mark.parametrize("record_size", [24, 28, 32])


def reread(raw: bytes, mode: int, address: str):
    """What a reader finds for *address*, and the length of the prefix it holds for."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "test.mmdb"
        path.write_bytes(raw)
        with maxminddb.open_database(path, mode) as reader:
            return reader.get_with_prefix_len(address)


def networks_of(raw: bytes, mode: int):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "test.mmdb"
        path.write_bytes(raw)
        with maxminddb.open_database(path, mode) as reader:
            return list(reader)


# Few bits vary, at the top and at the bottom, so that networks nest and collide often.
ipv4_networks = st.builds(
    lambda high, low, length: ip_network((high << 29 | low, length), strict=False),
    st.integers(0, 7),
    st.integers(0, 7),
    st.sampled_from([0, 1, 2, 3, 4, 8, 24, 29, 30, 31, 32]),
)
ipv6_networks = st.builds(
    lambda high, low, length: IPv6Network((high << 125 | low, length), strict=False),
    st.integers(0, 7),
    st.integers(0, 7) | st.integers(0, 7).map(lambda top: top << 29),
    st.sampled_from([0, 1, 2, 3, 48, 64, 95, 96, 97, 99, 125, 126, 128]),
)
small_records = st.fixed_dictionaries({"n": st.integers(0, 4)})
scalars = (
    st.text(max_size=40)
    | st.binary(max_size=40)
    | st.booleans()
    | st.integers(-(2**31), 2**128 - 1)
    | st.floats(allow_nan=False)
)
records = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


def as_ipv6(network):
    if network.version == 6:
        return network
    return IPv6Network((int(network.network_address), network.prefixlen + 96))


def typed(value):
    """The value with its types, where Python's == calls 1, 1.0 and True the same."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    # The C reader makes bytearrays of bytes.
    return (
        ("bytes", bytes(value)) if isinstance(value, bytearray) else (type(value).__name__, value)
    )


def longest_match(pairs, address):
    last = {as_ipv6(network): record for network, record in pairs}
    found = [network for network in last if address in network]
    return last[max(found, key=lambda network: network.prefixlen)] if found else None


@given(
    pairs=st.lists(st.tuples(ipv4_networks | ipv6_networks, small_records), max_size=12),
    mode=st.sampled_from(MODES),
    record_size=st.sampled_from([24, 28, 32]),
    data=st.data(),
)
def test_a_reader_finds_the_longest_prefix_that_was_written(pairs, mode, record_size, data):
    raw = encode(pairs, record_size=record_size)
    edges = [as_ipv6(network).network_address for network, _ in pairs]
    edges += [as_ipv6(network).broadcast_address for network, _ in pairs]
    near = [IPv6Address((int(edge) + step) % 2**128) for edge in edges for step in (-1, 0, 1)]
    address = data.draw(st.sampled_from([*near, IPv6Address("2001:db8::1"), IPv6Address(5)]))

    record, prefix_length = reread(raw, mode, str(address))

    assert record == longest_match(pairs, address)
    scope = IPv6Network((address, prefix_length), strict=False)
    assert longest_match(pairs, scope.network_address) == record
    assert longest_match(pairs, scope.broadcast_address) == record


@given(
    pairs=st.lists(st.tuples(ipv4_networks, small_records), max_size=12),
    mode=st.sampled_from(MODES),
    address=st.builds(lambda high, low: high << 29 | low, st.integers(0, 7), st.integers(0, 7)),
)
def test_a_tree_of_ipv4_alone_holds_the_same(pairs, mode, address):
    raw = encode(pairs, ip_version=4, record_size=24)

    record, _ = reread(raw, mode, str(ip_address(address)))

    assert record == longest_match(pairs, IPv6Address(address))


@given(record=records, mode=st.sampled_from(MODES))
def test_any_record_reads_back_as_it_was_written(record, mode):
    raw = encode([(IPv4Network("192.0.2.0/24"), record)])

    found, _ = reread(raw, mode, "192.0.2.7")

    assert typed(found) == typed(record)


# A reader cannot walk a file with a record for more than ::/96 (it takes ::/1 for IPv4).
walkable = ipv6_networks.filter(lambda network: int(network.network_address) >= 1 << 32)


@given(pairs=st.lists(st.tuples(walkable, small_records), max_size=8), random=st.randoms())
def test_the_order_of_different_networks_does_not_change_what_is_found(pairs, random):
    distinct = list(dict(pairs).items())
    shuffled = random.sample(distinct, len(distinct))

    one, other = (networks_of(encode(p), maxminddb.MODE_MMAP) for p in (distinct, shuffled))

    assert one == other


@each_mode
@each_size
def test_the_same_arguments_give_the_same_bytes_and_a_reader_gets_the_metadata(mode, record_size):
    arguments = {
        "database_type": "Test-City",
        "description": "A test",
        "build_epoch": 1_700_000_000,
        "record_size": record_size,
    }
    pairs = [(IPv4Network("192.0.2.0/24"), LONDON), (IPv6Network("2001:db8::/32"), DUBLIN)]

    with TemporaryDirectory() as folder:
        path = Path(folder) / "test.mmdb"
        write(path, pairs, **arguments)
        with maxminddb.open_database(path, mode) as reader:
            metadata = reader.metadata()

    assert encode(pairs, **arguments) == encode(pairs, **arguments)
    assert metadata.database_type == "Test-City"
    assert metadata.description == {"en": "A test"}
    assert metadata.build_epoch == 1_700_000_000
    assert metadata.record_size == record_size
    assert metadata.ip_version == 6


@each_mode
def test_walking_the_file_gives_the_networks_that_were_written(mode):
    pairs = [
        (IPv4Network("192.0.2.0/25"), LONDON),
        (IPv4Network("198.51.100.0/24"), DUBLIN),
        (IPv6Network("2001:db8::/33"), LONDON),
    ]

    assert networks_of(encode(pairs, aliases=True), mode) == pairs


@each_mode
@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1", "2002:c000:201::1"])
def test_aliases_show_ipv4_at_mapped_and_6to4_addresses(mode, address):
    raw = encode([(IPv4Network("192.0.2.0/24"), LONDON)], aliases=True)

    assert reread(raw, mode, address)[0] == LONDON


@each_mode
@pytest.mark.parametrize("address", ["::ffff:192.0.2.1", "2002:c000:201::1"])
def test_without_aliases_those_addresses_are_unknown(mode, address):
    raw = encode([(IPv4Network("192.0.2.0/24"), LONDON)])

    assert reread(raw, mode, address)[0] is None


def test_aliases_cut_through_what_surrounds_them():
    pairs = [(IPv6Network("::/0"), DUBLIN), (IPv4Network("0.0.0.0/0"), LONDON)]
    raw = encode(pairs, aliases=True)

    assert reread(raw, maxminddb.MODE_MMAP, "2002::1")[0] == LONDON
    assert reread(raw, maxminddb.MODE_MMAP, "2003::1")[0] == DUBLIN


def test_a_network_inside_an_alias_is_refused():
    with pytest.raises(ValueError, match=r"2002:c000::/24 lies in the alias 2002::/16"):
        encode([(IPv6Network("2002:c000::/24"), LONDON)], aliases=True)


def test_equal_records_are_stored_once_also_when_they_are_different_objects():
    one = encode([(IPv4Network("192.0.2.0/24"), LONDON)])
    two = encode(
        [(IPv4Network("192.0.2.0/25"), LONDON), (IPv4Network("192.0.2.128/25"), {**LONDON})]
    )

    assert two.count(b"London") == one.count(b"London") == 1


def test_values_that_python_calls_equal_are_not_mixed_up():
    section = DataSection()

    offsets = {section.store({"value": value}) for value in (1, 1.0, True, b"1", "1", Uint(16, 1))}

    assert len(offsets) == 6


@each_mode
@pytest.mark.parametrize("size", [28, 29, 284, 285, 65_820, 65_821, 200_000])
def test_long_values_keep_their_length(mode, size):
    record = {"text": "x" * size, "many": list(range(min(size, 300)))}
    raw = encode([(IPv4Network("192.0.2.0/24"), record)])

    assert reread(raw, mode, "192.0.2.1")[0] == record


@each_mode
def test_pointers_of_every_size_lead_back_to_their_value(mode):
    filler = {f"key{n}": "x" * size for n, size in enumerate([2_000, 530_000, 70_000])}
    words = ["early word", *filler.values(), "late word"]
    pairs = [
        (IPv4Network("192.0.2.0/26"), {"words": words}),
        (IPv4Network("192.0.2.64/26"), {"again": ["early word", *reversed(words)]}),
    ]

    assert reread(encode(pairs), mode, "192.0.2.65")[0] == pairs[1][1]


def test_a_value_is_as_long_as_the_format_allows_and_no_longer():
    section = DataSection()
    section.store(b"x" * VALUE_SIZE_MAX)

    with pytest.raises(ValueError, match=f"larger than {VALUE_SIZE_MAX}"):
        section.store(b"x" * (VALUE_SIZE_MAX + 1))


def test_a_record_is_nested_as_deep_as_the_limit_and_no_deeper():
    def nested(depth):
        value: object = "x"
        for _ in range(depth):
            value = [value]
        return value

    DataSection().store(nested(DEPTH_MAX))

    with pytest.raises(ValueError, match=f"deeper than {DEPTH_MAX}"):
        DataSection().store(nested(DEPTH_MAX + 1))


@pytest.mark.parametrize(
    "record", [None, 1 << 128, -(1 << 31) - 1, {1: "x"}, {"a": {"b": object()}}, struct]
)
def test_what_the_format_cannot_hold_is_refused(record):
    with pytest.raises(ValueError, match=r"cannot hold|key is text"):
        encode([(IPv4Network("192.0.2.0/24"), record)])


@pytest.mark.parametrize(("bits", "value"), [(16, 1 << 16), (32, -1), (8, 1)])
def test_a_number_outside_its_bits_is_refused(bits, value):
    with pytest.raises(ValueError, match="is not an unsigned number"):
        Uint(bits, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"record_size": 25}, "record_size 25"),
        ({"ip_version": 5}, "ip_version 5"),
        ({"build_epoch": 0}, "at least 1"),
        ({"ip_version": 4}, "does not fit a tree of ip_version 4"),
        ({"ip_version": 4, "aliases": True}, "no place for aliases"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        encode([(IPv6Network("2001:db8::/32"), LONDON)], **arguments)


def test_more_than_the_record_size_can_point_at_is_refused():
    big = {"text": "x" * (1 << 24)}

    with pytest.raises(ValueError, match="do not fit records of 24 bits"):
        encode([(IPv4Network("192.0.2.0/24"), big)], record_size=24)

    assert encode([(IPv4Network("192.0.2.0/24"), big)], record_size=28)
