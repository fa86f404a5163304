"""Images: read back as they were written, and refused when anything about them is wrong."""

import json
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routes import NAMES, REGIONS, known, places, routes
from world import atlas

from gslb.dns import image
from gslb.model import NOWHERE, Place
from gslb.routing.geo import BLANK, Atlas, GeoMap, MapKey, compile_map
from gslb.routing.image import VERSION, decode_atlas, decode_map, encode_atlas, encode_map
from gslb.routing.places import RECORD, Places
from gslb.routing.runs import Runs, uniform

MAP = GeoMap(
    uniform(32, 0), uniform(128, 1), ((("eu",), ("ap", "us")), (("us",), ("ap", "eu"))), None
)
SMALL = encode_map(MAP)
HEAD = b"GSLB"


def same(one, other):
    """Runs are equal in all that they hold, and not only where they are compared."""
    assert (one.bits, list(one)) == (other.bits, list(other))
    for name in ("starts", "lows", "values"):
        read, written = memoryview(getattr(one, name)), memoryview(getattr(other, name))
        assert read.format == written.format
        assert read == written


@given(known, st.text())
def test_an_atlas_is_read_back_as_it_was_written(known, digest):
    made = atlas(known)
    written = Atlas(made.ipv4, made.ipv6, made.places, digest)

    read = decode_atlas(encode_atlas(written))

    assert read == written
    same(read.ipv4, written.ipv4)
    same(read.ipv6, written.ipv6)
    assert all(isinstance(place, Place) for place in read.places)


@settings(deadline=None)
@given(known, routes)
def test_a_map_is_read_back_as_it_was_written(known, route):
    written = compile_map(MapKey(route, NAMES), atlas(known), REGIONS)

    read = decode_map(encode_map(written))

    assert read == written
    same(read.ipv4, written.ipv4)
    same(read.ipv6, written.ipv6)
    assert {read.orders: 1}[written.orders]  # still hashable, tuples within tuples


@given(st.lists(places, max_size=5))
def test_places_keep_every_digit_and_every_gap(found):
    written = Atlas(BLANK.ipv4, BLANK.ipv6, (NOWHERE, Place((0.1 + 0.2, -0.0)), *found))

    read = decode_atlas(encode_atlas(written))

    assert read.places == written.places
    assert str(read.places) == str(written.places)  # -0.0 is not 0.0


def test_numbers_keep_their_whole_width():
    ipv4, ipv6 = Runs(32), Runs(128)
    for start, value in ((0, 0), (1, (1 << 32) - 1), ((1 << 32) - 1, 7)):
        ipv4.append(start, value)
    for start, value in ((0, 0), ((1 << 64) - 1, 1), (1 << 64, 2), ((1 << 128) - 1, 3)):
        ipv6.append(start, value)

    read = decode_map(encode_map(GeoMap(ipv4, ipv6, (), 5)))

    assert list(read.ipv4) == list(ipv4)
    assert list(read.ipv6) == list(ipv6)
    assert (read.orders, read.via_ipv4) == ((), 5)


def test_the_same_value_makes_the_same_octets():
    assert encode_map(decode_map(SMALL)) == SMALL


@pytest.mark.parametrize("change", [0x01, 0x20, 0x80, 0xFF])
def test_an_image_with_any_one_octet_changed_is_refused(change):
    for at in range(len(SMALL)):
        torn = bytearray(SMALL)
        torn[at] ^= change
        with pytest.raises(ValueError, match="image"):
            decode_map(bytes(torn))


def test_an_image_cut_short_anywhere_is_refused():
    for end in range(len(SMALL)):
        with pytest.raises(ValueError, match="image"):
            decode_map(SMALL[:end])


def test_an_image_with_more_behind_it_is_refused():
    with pytest.raises(ValueError, match="torn or changed"):
        decode_map(SMALL + b"\0")


def test_a_map_is_no_atlas_and_an_atlas_no_map():
    with pytest.raises(ValueError, match="another kind or version"):
        decode_atlas(SMALL)
    with pytest.raises(ValueError, match="another kind or version"):
        decode_map(encode_atlas(BLANK))


@pytest.mark.parametrize("version", [0, VERSION + 1, VERSION << 8])
def test_an_image_of_another_version_is_refused(version):
    # One written by a machine of the other order of octets looks like version 256.
    other = HEAD + pack("=H", version) + SMALL[6:]

    with pytest.raises(ValueError, match="another kind or version"):
        decode_map(other)


@given(st.binary(max_size=80))
def test_anything_else_is_refused(octets):
    for decode in (decode_atlas, decode_map):
        with pytest.raises(ValueError, match="image"):
            decode(octets)


# Bodies that a good checksum does not vouch for


def test_an_image_that_ends_within_its_own_parts_is_refused():
    for kind, whole, decode in (
        (image.MAP, encode_map(MAP), decode_map),
        (image.ATLAS, encode_atlas(BLANK), decode_atlas),
    ):
        body = whole[image.FRAME_BYTES :]
        described = len(json.dumps(MAP.orders)) if kind == image.MAP else 0
        for end in range(len(body) - described):
            with pytest.raises(ValueError, match=r"an image that ends|Expecting value"):
                decode(image.framed(kind, body[:end]))


def test_an_image_is_read_where_it_lies():
    octets = encode_map(MAP)

    read = decode_map(memoryview(octets))

    assert all(view.obj is octets for view in (read.ipv4.starts, read.ipv6.lows, read.ipv6.values))


@pytest.mark.parametrize(
    "place", [Place(country="GBR"), Place(continent=""), Place(country="ÄÖ"), Place(asn=1 << 32)]
)
def test_a_place_that_no_database_says_is_not_written(place):
    with pytest.raises(ValueError, match=r"code|ascii|place"):
        encode_atlas(Atlas(BLANK.ipv4, BLANK.ipv6, (NOWHERE, place)))


# Places in an image

SOME = (NOWHERE, Place((1.5, -2.5), "GB", "EU", 64500), Place(asn=0), Place((0.0, 0.0)))


def test_places_in_an_image_are_as_good_as_a_tuple_of_them():
    read = decode_atlas(encode_atlas(Atlas(BLANK.ipv4, BLANK.ipv6, SOME))).places

    assert (len(read), read, repr(read)) == (len(SOME), SOME, repr(SOME))
    assert [read[-1], read[1:], read[::-2]] == [SOME[-1], SOME[1:], SOME[::-2]]
    assert read != SOME[1:]
    assert read != 5
    for beyond in (len(SOME), -len(SOME) - 1):
        with pytest.raises(IndexError):
            read[beyond]


def test_places_that_are_cut_are_refused():
    with pytest.raises(ValueError, match="cut"):
        Places(memoryview(bytes(RECORD.size - 1)))
