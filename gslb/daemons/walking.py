"""Databases walked into an atlas: in native code where it was built, or else in Python.

Both make the same atlas of the same octets, and refuse the same damage; one takes a tenth of
the other's time.  `PYTHON` says how it is done and is there everywhere.  Neither decides
anything: what place gets which order of regions is asked of `gslb.routing`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path

import maxminddb

from gslb.model import NOWHERE, Place
from gslb.nativecode import IS_BUILT
from gslb.routing.geo import BLANK, Atlas, without_transition
from gslb.routing.image import encode_atlas
from gslb.routing.mmdb import place_from, read_tree, walk
from gslb.routing.runs import Combine, Overlay, Runs, overlay

if IS_BUILT:
    from gslb import _native

# Of damaged octets the reader of metadata and records raises any of these: a size that is a
# text is a TypeError, a map as the key of a map as well.
UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    OSError,
    RecursionError,
    maxminddb.InvalidDatabaseError,
)

# Told what is being done, and which part of it, 0 to 1, is done.
Progress = Callable[[str, float], None]


class DatabaseError(Exception):
    """A geo database cannot be read; says which and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database's contents, and the path to name in complaints."""

    path: Path
    octets: bytes


# A geographic and an ASN database, either of which may be absent.
Sources = tuple[Source | None, Source | None]


@dataclass(frozen=True, slots=True)
class Walker:
    """A way to walk: `atlas_image` gives the image of an atlas, by its sources and digest.

    It raises DatabaseError.  `overlay` is that of `gslb.routing.runs`.
    """

    atlas_image: Callable[[Sources, str, Progress], bytes]
    overlay: Overlay


def _image_in_python(sources: Sources, digest: str, progress: Progress) -> bytes:
    layers: list[tuple[Runs, Runs, list[Place]]] = []
    for number, source in enumerate(sources):
        if source is None:
            layers.append((BLANK.ipv4, BLANK.ipv6, [NOWHERE]))
        else:
            progress(f"walking {source.path.name}", number / 2)
            layers.append(_walk_in_python(source, asns=bool(number)))
    progress("joining", 0.9)
    (city4, city6, cities), (asn4, asn6, asns) = layers
    numbers: dict[Place, int] = {NOWHERE: 0}

    def place(city: int, asn: int) -> int:
        whole = replace(cities[city], asn=asns[asn].asn)
        return numbers.setdefault(whole, len(numbers))

    ipv4, ipv6 = overlay(city4, asn4, place), overlay(city6, asn6, place)
    image = encode_atlas(Atlas(ipv4, without_transition(ipv6), tuple(numbers), digest))
    progress("joining", 1.0)
    return image


def _walk_in_python(source: Source, *, asns: bool) -> tuple[Runs, Runs, list[Place]]:
    """Return the runs of one database, and what its records say, the first of them nothing."""
    try:
        with _reader(source) as reader:
            meta = reader.metadata()
            tree = read_tree(source.octets, meta.node_count, meta.record_size, meta.ip_version)
            walked = walk(tree)
            places = [NOWHERE]
            for version, number in walked.firsts:
                packed = number.to_bytes(4 if version == 4 else 16, "big")
                record = reader.get(ip_address(packed))
                # A decoded record is many times larger than what is taken from it.
                places.append(place_from(None, record) if asns else place_from(record))
            return walked.ipv4, walked.ipv6, places
    except UNREADABLE as error:
        raise _refused(source, error) from error


def _reader(source: Source) -> maxminddb.Reader:
    # From the octets that the tree is read from, so that a file replaced meanwhile does no
    # harm; and in Python, because the reader in C crashes on damaged files.
    return maxminddb.open_database(BytesIO(source.octets), maxminddb.MODE_FD)


def _refused(source: Source, error: Exception) -> DatabaseError:
    return DatabaseError(f"{source.path}: not a readable MMDB: {error}")


def _image_in_native_code(sources: Sources, digest: str, progress: Progress) -> bytes:
    layers: list[_native.Walked | None] = []
    for number, source in enumerate(sources):
        if source is None:
            layers.append(None)
            continue
        progress(f"walking {source.path.name}", number / 2)
        try:
            with _reader(source) as reader:
                meta = reader.metadata()
            shape = (meta.node_count, meta.record_size, meta.ip_version)
            layers.append(_native.walk(source.octets, *shape, asns=bool(number)))
        except UNREADABLE as error:
            raise _refused(source, error) from error
    progress("joining", 0.9)
    cities, asns = layers
    image = _native.join(cities, asns, digest)
    progress("joining", 1.0)
    return image


def _overlay_in_native_code(one: Runs, other: Runs, combine: Combine) -> Runs:
    if one.bits == 32:
        starts, values = _native.overlay_ipv4(_ipv4(one), _ipv4(other), combine)
        return Runs(32, array("I", starts), values=array("I", values))
    highs, lows, values = _native.overlay_ipv6(_ipv6(one), _ipv6(other), combine)
    return Runs(128, array("Q", highs), array("Q", lows), array("I", values))


def _ipv4(runs: Runs) -> tuple[bytes, bytes]:
    return runs.starts.tobytes(), runs.values.tobytes()


def _ipv6(runs: Runs) -> tuple[bytes, bytes, bytes]:
    return runs.starts.tobytes(), runs.lows.tobytes(), runs.values.tobytes()


PYTHON = Walker(_image_in_python, overlay)
NATIVE = Walker(_image_in_native_code, _overlay_in_native_code)
WALKERS: Sequence[Walker] = (NATIVE, PYTHON) if IS_BUILT else (PYTHON,)
BEST = WALKERS[0]
