"""The search tree of an MMDB file, walked whole into runs (MaxMind DB file format 2.0).

A general reader finds one address in a tree of nodes.  To know every network, all nodes
must be seen, and the same data record is then met many times; so the tree is read here, as
two flat arrays, and a record is decoded once wherever it stands.  Decoding is left to
maxminddb: a run's value is the number of its record, and `firsts` holds an address to
look each record up by.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from gslb.model import Place
from gslb.routing.geo import MAPPED, TRANSITION
from gslb.routing.runs import Runs, uniform

# A tree meets each node once; one that is met far more often has a loop or was made to hurt.
_VISITS_MAX_PER_NODE = 8

# Where in a node the octets of its two records stand, highest first.
_OCTETS = {
    24: ((0, 1, 2), (3, 4, 5)),
    28: ((0, 1, 2), (4, 5, 6)),  # and octet 3, which gives one half to each
    32: ((0, 1, 2, 3), (4, 5, 6, 7)),
}
_HIGH_NIBBLE = bytes(octet >> 4 for octet in range(256))
_LOW_NIBBLE = bytes(octet & 0xF for octet in range(256))

# Where in a word of this machine's memory its octets stand, lowest first.
_PLACES = [(1 << 8 * octet).to_bytes(4, sys.byteorder).index(1) for octet in range(4)]

ASN_MAX = (1 << 32) - 1

_PRUNED = {(net.prefixlen, int(net.network_address)) for net in (*TRANSITION, MAPPED)}
_PRUNED_DEPTHS = frozenset(depth for depth, _ in _PRUNED)


@dataclass(frozen=True, slots=True)
class Tree:
    """A search tree: node *n* has its left record at 2n and its right one at 2n + 1."""

    records: array[int]
    node_count: int
    ip_version: int


@dataclass(frozen=True, slots=True)
class Walked:
    """A tree walked whole: runs of record numbers, 0 for none, and one address for each record."""

    ipv4: Runs
    ipv6: Runs
    firsts: tuple[tuple[int, int], ...]


def read_tree(octets: bytes, node_count: int, record_size: int, ip_version: int) -> Tree:
    """Return the tree at the start of a file's *octets*.

    Raises ValueError when the file is too short, the record size is not 24, 28 or 32, or the
    IP version neither 4 nor 6.
    """
    if record_size not in _OCTETS:
        raise ValueError(f"record size {record_size} is not 24, 28 or 32")
    if ip_version not in (4, 6):
        raise ValueError(f"IP version {ip_version} is neither 4 nor 6")
    width = record_size // 4
    size_bytes = node_count * width
    if len(octets) < size_bytes:
        raise ValueError(f"the search tree ends after {len(octets)} of {size_bytes} octets")
    wide = bytearray(node_count * 8)
    for side, octets_of in zip((0, 4), _OCTETS[record_size], strict=True):
        for place, octet in zip(_PLACES, reversed(octets_of), strict=False):
            wide[side + place :: 8] = octets[octet:size_bytes:width]
    if record_size == 28:
        wide[_PLACES[3] :: 8] = octets[3:size_bytes:width].translate(_HIGH_NIBBLE)
        wide[4 + _PLACES[3] :: 8] = octets[3:size_bytes:width].translate(_LOW_NIBBLE)
    records = array("I")
    records.frombytes(wide)
    return Tree(records, node_count, ip_version)


def walk(tree: Tree) -> Walked:
    """Return every network of *tree*, IPv4 and IPv6; raises ValueError for a tree with a loop.

    Branches at a transition prefix, where databases show IPv4 once more, are not entered; a
    record that covers such a prefix whole still covers it (see `geo.without_transition`).
    """
    numbers: dict[int, int] = {}
    firsts: list[tuple[int, int]] = []
    if tree.ip_version == 4:
        return Walked(_runs(tree, 0, 32, numbers, firsts), uniform(128, 0), tuple(firsts))
    root, depth = 0, 0
    while depth < 96 and root < tree.node_count:
        root, depth = tree.records[2 * root], depth + 1
    ipv4 = _runs(tree, root, 32, numbers, firsts)
    ipv6 = _runs(tree, 0, 128, numbers, firsts)
    return Walked(ipv4, ipv6, tuple(firsts))


def _runs(
    tree: Tree, root: int, bits: int, numbers: dict[int, int], firsts: list[tuple[int, int]]
) -> Runs:
    records, count = tree.records, tree.node_count
    runs = Runs(bits)
    version = 4 if bits == 32 else 6
    stack = [(root, 0, 0)]
    visits_left = _VISITS_MAX_PER_NODE * (count + 1)
    while stack:
        visits_left -= 1
        if not visits_left:
            raise ValueError("the search tree meets its nodes over and over")
        record, depth, start = stack.pop()
        if bits == 128 and depth in _PRUNED_DEPTHS and (depth, start) in _PRUNED:
            runs.append(start, 0)
        elif record < count:
            if depth == bits:
                raise ValueError("the search tree is deeper than an address is long")
            half = 1 << (bits - depth - 1)
            stack.append((records[2 * record + 1], depth + 1, start + half))
            stack.append((records[2 * record], depth + 1, start))
        elif record == count:
            runs.append(start, 0)
        else:
            number = numbers.get(record)
            if number is None:
                firsts.append((version, start))
                number = numbers[record] = len(firsts)
            runs.append(start, number)
    return runs


def place_from(city: object, asn: object = None) -> Place:
    """Return what two decoded records, of a geographic and of an ASN database, say of a network.

    Only what has the shape that the databases document is taken; anything else counts as
    not said.
    """
    latitude, longitude = _at(city, "location", "latitude"), _at(city, "location", "longitude")
    location = None
    if _is_degrees(latitude, 90) and _is_degrees(longitude, 180):
        location = (float(latitude), float(longitude))  # type: ignore[arg-type]
    country = _code(_at(city, "country", "iso_code"))
    return Place(
        location=location,
        country=country or _code(_at(city, "registered_country", "iso_code")),
        continent=_code(_at(city, "continent", "code")),
        asn=_asn(_at(asn, "autonomous_system_number")),
    )


def _at(record: object, *keys: str) -> object:
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def _is_degrees(value: object, limit: float) -> bool:
    # Not isinstance: a bool is an int to Python.  NaN is within no limit.
    return type(value) in (int, float) and abs(value) <= limit  # type: ignore[arg-type]


def _asn(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= ASN_MAX else None


def _code(value: object) -> str | None:
    if isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha():
        return value.upper()
    return None
