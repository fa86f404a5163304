"""Geo maps and atlases as octets that are used where they lie: in memory, or in a mapped file.

The body of an image (its frame is that of `gslb.dns.image`) is a head of numbers, flat
arrays, and text behind them:

    32 bits each: IPv4 runs, IPv6 runs, orders or places, and VIA (map: `via_ipv4`, else NONE)
    IPv6: high halves, low halves (64 bits each); IPv4: starts; IPv4: values; IPv6: values
    an atlas: places of `gslb.routing.places`, then its digest; a map: its orders in JSON

Nothing is copied or unpacked when an image is read, so that a million networks are there at
once, and cost memory only where they are looked at.  `native/src/geo.rs` reads maps, and
`native/src/python/geo.rs` writes atlases.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from struct import Struct
from typing import cast

from gslb.dns.image import ATLAS, MAP, VERSION, body_of, framed
from gslb.routing.geo import Atlas, GeoMap
from gslb.routing.places import RECORD, Places
from gslb.routing.places import encode as encode_places
from gslb.routing.runs import Runs

__all__ = ["VERSION", "decode_atlas", "decode_map", "encode_atlas", "encode_map"]

_HEAD = Struct("=IIII")
_NONE = (1 << 32) - 1


def encode_atlas(atlas: Atlas) -> bytes:
    """Return *atlas* as an image."""
    head = (len(atlas.places), _NONE)
    return framed(ATLAS, _body(atlas.ipv4, atlas.ipv6, head, _described(atlas)))


def _described(atlas: Atlas) -> bytes:
    return encode_places(atlas.places) + atlas.digest.encode()


def decode_atlas(octets: bytes | memoryview) -> Atlas:
    """Return the atlas that *octets* hold, which it goes on reading; raises ValueError."""
    ipv4, ipv6, count, _, rest = _parts(body_of(ATLAS, octets))
    size_bytes = count * RECORD.size
    if len(rest) < size_bytes:
        raise ValueError("an image that ends before its places do")
    return Atlas(ipv4, ipv6, Places(rest[:size_bytes]), str(rest[size_bytes:], "utf-8"))


def encode_map(geo_map: GeoMap) -> bytes:
    """Return *geo_map* as an image."""
    via = _NONE if geo_map.via_ipv4 is None else geo_map.via_ipv4
    orders = json.dumps(geo_map.orders).encode()
    return framed(MAP, _body(geo_map.ipv4, geo_map.ipv6, (len(geo_map.orders), via), orders))


def decode_map(octets: bytes | memoryview) -> GeoMap:
    """Return the geo map that *octets* hold, which it goes on reading; raises ValueError."""
    ipv4, ipv6, _, via, rest = _parts(body_of(MAP, octets))
    told = json.loads(bytes(rest))
    orders = tuple(tuple(tuple(rung) for rung in order) for order in told)
    return GeoMap(ipv4, ipv6, orders, None if via == _NONE else via)


def _body(ipv4: Runs, ipv6: Runs, head: Sequence[int], described: bytes) -> bytes:
    arrays = (ipv6.starts, ipv6.lows, ipv4.starts, ipv4.values, ipv6.values)
    numbers = [array.tobytes() for array in arrays]
    return b"".join((_HEAD.pack(len(ipv4), len(ipv6), *head), *numbers, described))


def _parts(body: memoryview) -> tuple[Runs, Runs, int, int, memoryview]:
    """Return the runs, the two numbers told of them, and what follows their arrays."""
    if len(body) < _HEAD.size:
        raise ValueError("an image that ends within its head")
    ipv4, ipv6, count, via = _HEAD.unpack_from(body)
    at = _HEAD.size
    views = []
    for form, length in (("Q", ipv6), ("Q", ipv6), ("I", ipv4), ("I", ipv4), ("I", ipv6)):
        end = at + length * (8 if form == "Q" else 4)
        if len(body) < end:
            raise ValueError("an image that ends before its arrays do")
        # To `Runs` that are only read a view is as good as the array itself.
        views.append(cast("array[int]", body[at:end].cast(form)))  # type: ignore[call-overload]
        at = end
    high, low, start, value4, value6 = views
    return Runs(32, start, values=value4), Runs(128, high, low, value6), count, via, body[at:]
