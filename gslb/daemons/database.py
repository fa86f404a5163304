"""Geo databases opened and walked, and what was made of them kept in `state_dir`.

Walking a database of millions of networks takes a while, compiling a map from it less; so
atlases and maps are both kept as images, under names that are digests of all that they
depend on.  A file that is torn or of another version counts as absent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path

import maxminddb

from gslb.daemons.store import write_whole
from gslb.model import NOWHERE, Address, Place, Regions
from gslb.routing.centroids import CENTRES
from gslb.routing.geo import BLANK, Atlas, GeoMap, MapKey, compile_map, without_transition
from gslb.routing.image import VERSION, decode_atlas, decode_map, encode_atlas, encode_map
from gslb.routing.mmdb import place_from, read_tree, walk
from gslb.routing.runs import Runs, overlay

log = logging.getLogger("gslb.geo")

CACHED_MAX = 64  # images kept in the cache; the oldest go first

_UNREADABLE = (ValueError, OSError, RecursionError, maxminddb.InvalidDatabaseError)

# Told what is being done, and which part of it, 0 to 1, is done.
Progress = Callable[[str, float], None]


class DatabaseError(Exception):
    """A geo database cannot be read; says which and why."""


def _silent(_what: str, _part: float) -> None: ...


class Cache:
    """Images in a folder, by the digest of what they depend on."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, key: str) -> bytes | None:
        """Return the image under *key*, None if there is none that can be read."""
        if self._folder is None:
            return None
        path = self._folder / key
        try:
            octets = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):
            path.touch()  # the oldest are thrown out; another user's may be read all the same
        return octets

    def keep(self, key: str, octets: bytes) -> None:
        """Keep an image; a disk that refuses it is logged and costs only time later."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / key, octets)
            images = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in images[:-CACHED_MAX]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot keep %s: %s", self._folder / key, error)


def open_atlas(
    database: Path | None,
    asn_database: Path | None,
    cache: Cache,
    progress: Progress = _silent,
) -> Atlas:
    """Return what the two databases say, from the cache if they have been walked before.

    Raises DatabaseError for a file that cannot be read.
    """
    if database is None and asn_database is None:
        return BLANK
    contents = [None if path is None else _read(path) for path in (database, asn_database)]
    digest = sha256(f"atlas {VERSION}".encode())
    for octets in contents:
        digest.update(b"-" if octets is None else sha256(octets).digest())
    key = f"{digest.hexdigest()[:32]}.atlas"
    if (image := cache.load(key)) is not None:
        with suppress(ValueError):
            return decode_atlas(image)
    atlas = _walk_both((database, asn_database), contents, key, progress)
    cache.keep(key, encode_atlas(atlas))
    return atlas


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatabaseError(f"{path}: {error.strerror}") from error


def _walk_both(
    paths: tuple[Path | None, Path | None],
    contents: list[bytes | None],
    digest: str,
    progress: Progress,
) -> Atlas:
    layers: list[tuple[Runs, Runs, list[Place]]] = []
    for number, (path, octets) in enumerate(zip(paths, contents, strict=True)):
        if path is None or octets is None:
            layers.append((BLANK.ipv4, BLANK.ipv6, [NOWHERE]))
        else:
            progress(f"walking {path.name}", number / 2)
            layers.append(_walk_one(path, octets, place_from if not number else _asn_from))
    progress("joining", 0.9)
    (city4, city6, cities), (asn4, asn6, asns) = layers
    numbers: dict[Place, int] = {NOWHERE: 0}

    def place(city: int, asn: int) -> int:
        whole = replace(cities[city], asn=asns[asn].asn)
        return numbers.setdefault(whole, len(numbers))

    ipv4, ipv6 = overlay(city4, asn4, place), overlay(city6, asn6, place)
    progress("joining", 1.0)
    return Atlas(ipv4, without_transition(ipv6), tuple(numbers), digest)


def _asn_from(record: object) -> Place:
    return place_from(None, record)


def _walk_one(
    path: Path, octets: bytes, place_of: Callable[[object], Place]
) -> tuple[Runs, Runs, list[Place]]:
    """Return the runs of one database, and what its records say, the first of them nothing."""
    try:
        # From the octets that the tree is read from, so that a file replaced meanwhile does no
        # harm; and in Python, because the reader in C crashes on damaged files.
        with maxminddb.open_database(BytesIO(octets), maxminddb.MODE_FD) as reader:
            meta = reader.metadata()
            tree = read_tree(octets, meta.node_count, meta.record_size, meta.ip_version)
            walked = walk(tree)
            places = [NOWHERE]
            for version, number in walked.firsts:
                packed = number.to_bytes(4 if version == 4 else 16, "big")
                # A decoded record is many times larger than what is taken from it.
                places.append(place_of(reader.get(ip_address(packed))))
            return walked.ipv4, walked.ipv6, places
    except _UNREADABLE as error:
        raise DatabaseError(f"{path}: not a readable MMDB: {error}") from error


def open_maps(
    keys: Iterable[MapKey],
    atlas: Atlas,
    regions: Regions,
    cache: Cache,
    progress: Progress = _silent,
) -> Mapping[MapKey, GeoMap]:
    """Return the geo map of each key, from the cache if it has been compiled before."""
    wanted = sorted(set(keys), key=repr)
    maps = {}
    for number, key in enumerate(wanted):
        name = _map_name(key, atlas, regions)
        geo_map = None
        if (image := cache.load(name)) is not None:
            with suppress(ValueError):
                geo_map = decode_map(image)
        if geo_map is None:
            progress("compiling geo maps", number / len(wanted))
            geo_map = compile_map(key, atlas, regions)
            cache.keep(name, encode_map(geo_map))
        maps[key] = geo_map
    progress("compiling geo maps", 1.0)
    return maps


def _map_name(key: MapKey, atlas: Atlas, regions: Regions) -> str:
    places = [(name, regions[name].location) for name in key.names]
    depends_on = repr((VERSION, atlas.digest, key, places, sorted(CENTRES.items())))
    return f"{sha256(depends_on.encode()).hexdigest()[:32]}.map"


def look_up(path: Path, address: Address) -> tuple[object, int]:
    """Return a database's raw record for *address*, and its prefix length.

    Raises DatabaseError for a file that cannot be read.
    """
    try:
        with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
            return reader.get_with_prefix_len(address)
    except _UNREADABLE as error:
        raise DatabaseError(f"{path}: {error}") from error
