"""Geo databases opened, and what was made of them kept in `state_dir`.

Walking a database of millions of networks takes a while, compiling a map from it less; so
atlases and maps are both kept as images, under names that are digests of all that they
depend on.  A file that is torn or of another version counts as absent.  Images are mapped,
not read: a node that serves keeps of an atlas only what was looked at last.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path
from typing import TypeVar

import maxminddb

from gslb.daemons.digests import Digests
from gslb.daemons.store import write_whole
from gslb.daemons.walking import (
    BEST,
    UNREADABLE,
    DatabaseError,
    Progress,
    Source,
    Walker,
)
from gslb.model import Address, Regions
from gslb.routing.centroids import CENTRES
from gslb.routing.geo import BLANK, Atlas, GeoMap, MapKey, compile_map
from gslb.routing.image import VERSION, decode_atlas, decode_map, encode_map

__all__ = ["Cache", "DatabaseError", "Progress", "look_up", "open_atlas", "open_maps"]

log = logging.getLogger("gslb.geo")

CACHED_MAX = 64  # images kept in the cache; the oldest go first

T = TypeVar("T")


def _silent(_what: str, _part: float) -> None: ...


class Cache:
    """Images in a folder, by the digest of what they depend on."""

    def __init__(self, folder: Path | None, digests: Digests | None = None) -> None:
        self._folder = folder
        self.digests = digests or Digests(folder)

    def path(self, key: str) -> Path | None:
        """Return the file with the image under *key*, None if there is none."""
        path = None if self._folder is None else self._folder / key
        return path if path is not None and path.is_file() else None

    def load(self, key: str, decode: Callable[[memoryview], T]) -> T | None:
        """Return the value of the image under *key*, None if there is no good one.

        It is mapped: *decode* may keep views of it.
        """
        if (path := self.path(key)) is None:
            return None
        with suppress(OSError, ValueError):
            with path.open("rb") as file:
                mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
            value = decode(memoryview(mapped))
            # To check it all of it was read; what is not looked at need not stay in memory.
            mapped.madvise(MADV_DONTNEED)
            with suppress(OSError):
                path.touch()  # the oldest are thrown out; another user's may be read all the same
            return value
        return None

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
    walker: Walker = BEST,
) -> Atlas:
    """Return what the two databases say, from the cache if they have been walked before.

    Raises DatabaseError for a file that cannot be read.
    """
    if database is None and asn_database is None:
        return BLANK
    paths = (database, asn_database)
    known = [None if path is None else cache.digests.remembered(path) for path in paths]
    if all((path is None) == (digest is None) for path, digest in zip(paths, known, strict=True)):
        atlas = cache.load(_atlas_name(known), decode_atlas)
        if atlas is not None:
            return atlas
    city, city_digest = _read(database, cache.digests)
    asns, asn_digest = _read(asn_database, cache.digests)
    name = _atlas_name((city_digest, asn_digest))
    atlas = cache.load(name, decode_atlas)
    if atlas is None:
        with _nothing_collected():
            image = walker.atlas_image((city, asns), name, progress)
        cache.keep(name, image)
        atlas = cache.load(name, decode_atlas) or decode_atlas(image)
    return atlas


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Do not look for cycles: a million values come to be here, and none holds itself."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _atlas_name(digests: Iterable[str | None]) -> str:
    depends_on = repr((VERSION, *digests))
    return f"{sha256(depends_on.encode()).hexdigest()[:32]}.atlas"


def _read(path: Path | None, digests: Digests) -> tuple[Source | None, str | None]:
    if path is None:
        return None, None
    try:
        octets, digest = digests.read(path)
    except OSError as error:
        raise DatabaseError(f"{path}: {error.strerror}") from error
    return Source(path, octets), digest


def open_maps(
    keys: Iterable[MapKey],
    atlas: Atlas,
    regions: Regions,
    cache: Cache,
    progress: Progress = _silent,
    walker: Walker = BEST,
) -> Mapping[MapKey, GeoMap]:
    """Return the geo map of each key, from the cache if it has been compiled before."""
    wanted = sorted(set(keys), key=repr)
    maps = {}
    for number, key in enumerate(wanted):
        name = map_name(key, atlas, regions)
        geo_map = cache.load(name, decode_map)
        if geo_map is None:
            progress("compiling geo maps", number / len(wanted))
            with _nothing_collected():
                geo_map = compile_map(key, atlas, regions, walker.overlay)
            cache.keep(name, encode_map(geo_map))
            geo_map = cache.load(name, decode_map) or geo_map
        path = cache.path(name)
        maps[key] = replace(geo_map, file=None if path is None else str(path))
    progress("compiling geo maps", 1.0)
    return maps


def map_name(key: MapKey, atlas: Atlas, regions: Regions) -> str:
    """Return the name under which the map of *key* is kept in the cache."""
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
    except UNREADABLE as error:
        raise DatabaseError(f"{path}: {error}") from error
