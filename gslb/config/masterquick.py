"""Large master files read by native code, where it was built and is sure of them.

dnspython reads some fifteen thousand records a second, and a record as Python objects takes a
kilobyte.  `gslb._native` reads a million in a second and keeps a zone as one image.  It
knows the common part of the grammar, asks here for the data of rare types, and complains of
nothing: a file with anything else in it, or with a mistake, is *declined*, and read by
`gslb.config.masterfile` as if this were not here.

So is every file below `QUICK_BYTES_MIN`: read in no time, it can have its nodes at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.exception

from gslb.config import mastertext, masterwords, zonecheck
from gslb.config.masterentries import Place, octets_of
from gslb.config.masterwords import Wrong
from gslb.dns.records import SOA
from gslb.dns.zone import Node, Zone, negative
from gslb.dns.zoneimage import decode_node
from gslb.errors import Complaint, ConfigError
from gslb.nativecode import IS_BUILT

if IS_BUILT:
    from gslb import _native

QUICK_BYTES_MIN = 256 * 1024
QUICK_BYTES_MAX = 512 * 1024 * 1024
QUICK_RECORDS_MAX = 10_000_000
_SLOW_BYTES_MIN = 8 * 1024 * 1024  # from about here on, the slow way takes many seconds


@dataclass(frozen=True, slots=True)
class Declined:
    """A file that is left to the reader of the whole grammar.

    `line` is that of the entry at which reading stopped, 0 where the zone as a whole is declined.
    """

    line: int = 0


class Nodes(Mapping[bytes, Node]):
    """The nodes of a zone in native memory, each decoded when it is asked for.

    `native` is the zone as another engine can take it without a copy.  To go through all
    nodes, or to compare them with those of a dictionary, takes seconds for a million.
    """

    __slots__ = ("_apex", "native")

    def __init__(self, native: _native.Zone, apex: bytes) -> None:
        self.native = native
        self._apex = apex

    def __getitem__(self, name: bytes) -> Node:
        octets = self.native.node(name)
        if octets is None:
            raise KeyError(name)
        return decode_node(octets, self._apex)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.native.names())

    def __len__(self) -> int:
        return len(self.native)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and self.native.node(name) is not None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Nodes):
            return self.native == other.native
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]


def read(path: Path, apex: bytes, services: Collection[bytes], named_at: Place) -> Zone | Declined:
    """Return the zone that the master file *path* describes, if native code reads it.

    Whatever is wrong, with the file itself too, is for the other reader to say.
    """
    if not IS_BUILT:
        return Declined()
    try:
        if path.stat().st_size < QUICK_BYTES_MIN:
            return Declined()
        found = zone_of(octets_of(path, named_at, QUICK_BYTES_MAX)[0], apex, services)
    except (OSError, ValueError, ConfigError):
        return Declined()
    _native.give_back()
    return found


def zone_of(octets: bytes, apex: bytes, services: Collection[bytes]) -> Zone | Declined:
    """Return the zone that the text of a master file describes; native code must be built."""
    found = _native.read_zone(octets, apex, list(services), QUICK_RECORDS_MAX, _rdata)
    if isinstance(found, int):
        return Declined(found)
    nodes = Nodes(found, apex)
    return Zone(apex, nodes, negative(nodes[apex].rrsets[SOA]))


def _rdata(mnemonic: bytes, data: bytes, origin: bytes) -> tuple[int, bytes] | None:
    """Return the type and the wire form of data that native code asks about, if it is good.

    Letters whose case is nothing, capitals in names, and signatures are left to the slow way.
    """
    try:
        type_ = masterwords.type_(mnemonic.decode())
        rdata = mastertext.rdata(type_, data.decode(), origin)
    except (Wrong, dns.exception.DNSException, ValueError):
        return None
    wire = rdata.to_wire()
    if wire is None or rdata.to_digestable() != wire or type_ in zonecheck.OF_SIGNING:
        return None
    return type_, wire


def slow(path: Path, declined: Declined) -> tuple[Complaint, ...]:
    """Return a warning if *path*, which was declined, is so large that this is felt."""
    try:
        size_bytes = path.stat().st_size
    except (OSError, ValueError):
        return ()
    if not IS_BUILT or size_bytes < _SLOW_BYTES_MIN:
        return ()
    problem = f"{size_bytes} bytes are read slowly, from here on or for the whole zone's sake"
    if declined.line:
        problem = f"{size_bytes} bytes are read slowly, because of what stands here"
    hint = "quick are files without mistakes, warnings, $INCLUDE, $GENERATE or DNSSEC"
    return (Complaint(str(path), declined.line or 1, 1, "", problem, hint),)
