"""The PROXY protocol, in and out."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import PrefaceError
from gslb.proxy.preface import (
    V1_MAX,
    V2_MAX,
    Preface,
    crc32c,
    decode,
    encode,
    encode_v1,
    encode_v2,
)

FOUR = (IPv4Address("192.0.2.1"), 50000), (IPv4Address("198.51.100.1"), 443)
SIX = (IPv6Address("2001:db8::1"), 50000), (IPv6Address("2001:db8::2"), 443)
V2 = b"\r\n\r\n\0\r\nQUIT\n"

addresses = st.one_of(
    st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda address: not address.ipv4_mapped)
)
endpoints = st.tuples(addresses, st.integers(0, 65535))
encoders = st.sampled_from([encode_v1, encode_v2])


def v2(command, family, body, length=None):
    size = (len(body) if length is None else length).to_bytes(2, "big")
    return V2 + bytes([command, family]) + size + body


def extension(kind, value):
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def checksummed(header):
    """The header, a checksum behind it, as a sender puts it there."""
    size = (len(header) - 16 + 7).to_bytes(2, "big")
    blank = header[:14] + size + header[16:] + extension(3, bytes(4))
    return blank[:-4] + crc32c(blank).to_bytes(4, "big")


@given(encoders, endpoints, endpoints, st.binary(max_size=20))
def test_what_is_encoded_is_decoded_whatever_follows(encode, source, destination, rest):
    header = encode(source, destination)

    assert decode(header + rest) == (Preface(source, destination), len(header))


@given(encoders, endpoints, endpoints)
def test_a_header_cut_anywhere_asks_for_more(encode, source, destination):
    header = encode(source, destination)

    assert {decode(header[:cut]) for cut in range(len(header))} == {None}


@given(encoders, endpoints, endpoints, st.data())
def test_a_garbled_header_is_one_or_an_error_and_nothing_else(encode, source, destination, data):
    header = bytearray(encode(source, destination) + bytes(8))
    for _ in range(data.draw(st.integers(1, 3))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))

    read_or_refused(bytes(header))


starts = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", V2, V2 + b"\x21\x21\x00"])


@given(starts, st.binary(max_size=60))
def test_any_octets_are_a_header_or_an_error_and_nothing_else(start, rest):
    read_or_refused(start + rest)


def read_or_refused(octets):
    try:
        found = decode(octets)
    except PrefaceError:
        return
    if found is not None:
        preface, size = found
        assert 0 < size <= len(octets)
        assert (preface.source is None) == (preface.destination is None)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 50000 443\r\n", FOUR),
        (b"PROXY TCP6 2001:db8::1 2001:DB8::2 50000 443\r\n", SIX),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 50000 443\r\n", FOUR),
        (b"PROXY UNKNOWN\r\n", (None, None)),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", (None, None)),
        (v2(0x20, 0x00, b""), (None, None)),
        (v2(0x20, 0x11, b"any"), (None, None)),
        (v2(0x21, 0x00, b""), (None, None)),
        (v2(0x21, 0x31, bytes(216)), (None, None)),
        (v2(0x21, 0x12, bytes(12)), (None, None)),
        (
            encode_v2(*FOUR)[:15] + bytes([12 + 7]) + encode_v2(*FOUR)[16:] + extension(4, b"nops"),
            FOUR,
        ),
        (checksummed(encode_v2(*SIX)), SIX),
        (checksummed(encode_v2(*FOUR)), FOUR),
    ],
)
def test_headers_of_all_kinds_are_read(header, told):
    assert decode(header + b"GET") == (Preface(*told), len(header))


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
        b"PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 \xff 2001:db8::2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * V1_MAX,
        v2(0x11, 0x11, bytes(12)),
        v2(0x22, 0x11, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x41, bytes(216)),
        v2(0x21, 0x13, bytes(12)),
        v2(0x21, 0x11, b"", V2_MAX - 15),
        v2(0x21, 0x11, bytes(12) + b"\x04\x00"),
        v2(0x21, 0x11, bytes(12) + b"\x04\x00\x02x"),
        v2(0x21, 0x11, bytes(12) + extension(3, b"")),
        v2(0x21, 0x11, bytes(12) + extension(3, bytes(4))),
    ],
)
def test_what_is_no_header_is_refused(header):
    with pytest.raises(PrefaceError):
        decode(header)


def test_a_line_of_the_greatest_length_is_read_and_one_octet_more_is_not():
    line = b"PROXY UNKNOWN " + b"x" * (V1_MAX - 16) + b"\r\n"

    assert decode(line) == (Preface(), V1_MAX)
    with pytest.raises(PrefaceError):
        decode(line.replace(b"x\r\n", b"xx\r\n"))


def test_a_header_of_the_greatest_length_is_read():
    body = encode_v2(*FOUR)[16:] + extension(4, bytes(V2_MAX - 16 - 12 - 3))

    assert decode(v2(0x21, 0x11, body)) == (Preface(*FOUR), V2_MAX)


@given(st.data())
def test_a_checksum_finds_any_one_garbled_octet(data):
    header = bytearray(checksummed(encode_v2(*SIX)))
    index = data.draw(st.integers(16, len(header) - 1).filter(lambda at: at not in (52, 53, 54)))
    header[index] ^= data.draw(st.integers(1, 255))

    with pytest.raises(PrefaceError):
        decode(bytes(header))


def test_without_both_ends_nothing_is_told():
    for version in (1, 2):
        for ends in ((None, None), (FOUR[0], None), (None, FOUR[1])):
            header = encode(version, *ends)
            assert decode(header) == (Preface(), len(header))


@pytest.mark.parametrize(("version", "start"), [(1, b"PROXY TCP4 "), (2, V2)])
def test_a_header_is_of_the_version_that_is_asked_for(version, start):
    header = encode(version, *FOUR)

    assert header.startswith(start)
    assert decode(header) == (Preface(*FOUR), len(header))


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283
