"""Geo maps and atlases as octets: written to disk, checked and read back.

An image is a header, a JSON description, and flat arrays.  It carries a version and a
digest of all the rest, so that a torn, old or foreign file is refused with ValueError and
simply made anew.  Numbers are in the machine's own order of octets: to a machine of the
other order an image is one of another version.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from hashlib import sha256
from struct import Struct
from typing import Any

from gslb.model import Place
from gslb.routing.geo import Atlas, GeoMap
from gslb.routing.runs import Runs

VERSION = 1
_MAGIC = b"GSLB"
_HEADER = Struct("=4sHHI")  # magic, version, kind, length of the JSON; then the digest
_DIGEST_BYTES = 32
_ATLAS, _MAP = 1, 2


def encode_atlas(atlas: Atlas) -> bytes:
    """Return *atlas* as an image."""
    places = [(each.location, each.country, each.continent, each.asn) for each in atlas.places]
    facts = {"places": places, "digest": atlas.digest}
    return _encode(_ATLAS, facts, (atlas.ipv4, atlas.ipv6))


def decode_atlas(octets: bytes) -> Atlas:
    """Return the atlas that *octets* hold; raises ValueError."""
    facts, (ipv4, ipv6) = _decode(_ATLAS, octets)
    places = []
    for location, country, continent, asn in facts["places"]:
        places.append(Place(tuple(location) if location else None, country, continent, asn))
    return Atlas(ipv4, ipv6, tuple(places), facts["digest"])


def encode_map(geo_map: GeoMap) -> bytes:
    """Return *geo_map* as an image."""
    facts = {"orders": geo_map.orders, "via_ipv4": geo_map.via_ipv4}
    return _encode(_MAP, facts, (geo_map.ipv4, geo_map.ipv6))


def decode_map(octets: bytes) -> GeoMap:
    """Return the geo map that *octets* hold; raises ValueError."""
    facts, (ipv4, ipv6) = _decode(_MAP, octets)
    orders = tuple(tuple(tuple(rung) for rung in order) for order in facts["orders"])
    return GeoMap(ipv4, ipv6, orders, facts["via_ipv4"])


def _encode(kind: int, facts: Mapping[str, object], both: Iterable[Runs]) -> bytes:
    both = tuple(both)
    described = json.dumps({**facts, "lengths": [len(runs) for runs in both]}).encode()
    header = _HEADER.pack(_MAGIC, VERSION, kind, len(described))
    arrays = [part.tobytes() for runs in both for part in _arrays(runs)]
    body = b"".join((described, *arrays))
    return header + sha256(header + body).digest() + body


def _decode(kind: int, octets: bytes) -> tuple[dict[str, Any], list[Runs]]:
    header, after = octets[: _HEADER.size], memoryview(octets)[_HEADER.size :]
    if len(header) < _HEADER.size:
        raise ValueError("shorter than an image's header")
    magic, version, found, length = _HEADER.unpack(header)
    if (magic, version, found) != (_MAGIC, VERSION, kind):
        raise ValueError("an image of another kind or version")
    digest, body = after[:_DIGEST_BYTES], after[_DIGEST_BYTES:]
    made = sha256(header)
    made.update(body)
    if made.digest() != digest:
        raise ValueError("an image that was torn or changed")
    facts = json.loads(bytes(body[:length]))
    rest = body[length:]
    both = []
    for bits, count in zip((32, 128), facts["lengths"], strict=True):
        runs = Runs(bits)
        for part in _arrays(runs):
            size = count * part.itemsize
            part.frombytes(rest[:size])
            rest = rest[size:]
        both.append(runs)
    return facts, both


def _arrays(runs: Runs) -> tuple[array[int], ...]:
    if runs.bits == 128:
        return runs.starts, runs.lows, runs.values
    return runs.starts, runs.values
