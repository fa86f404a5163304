"""One zone's static records, read from its master file and checked whole.

What no server could answer from is an error: no SOA or NS at the apex, names outside the
zone, data beside a CNAME, a delegation without the addresses it needs.  What can be
answered from, but is hardly meant, is a warning.  While an entry cannot be read, nothing
is said to be missing: it may be what that entry says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dns.rdata import Rdata

from gslb.config import zonecheck
from gslb.config.masterentries import Place
from gslb.config.mastertext import Gathered, Limits, Record, gather
from gslb.config.masterwords import shown_type
from gslb.dns import name, records
from gslb.dns.records import CNAME, DNAME, NS, RRset
from gslb.dns.zone import Zone
from gslb.errors import Complaint, ConfigError
from gslb.model import Family, Service


@dataclass(frozen=True, slots=True)
class MasterFile:
    """What a master file says: rrsets with their lower-case owners, and where each begins.

    `places` maps owner and type to the file and line of the rrset's first record; `files`
    are the file and all its includes; `warnings` are of things that can be served.
    """

    owned: tuple[tuple[bytes, RRset], ...]
    places: Mapping[tuple[bytes, int], tuple[str, int]]
    files: frozenset[Path]
    warnings: tuple[Complaint, ...] = ()


class MasterFileError(ConfigError):
    """A master file cannot be served; `files` are the file and the includes it named."""

    def __init__(self, complaints: Sequence[Complaint], files: Collection[Path]) -> None:
        super().__init__(complaints)
        self.files = frozenset(files)


def read(
    path: Path,
    apex: bytes,
    *,
    named_at: Place | None = None,
    services: Collection[bytes] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> MasterFile:
    """Return what the master file *path* of the zone *apex* says (RFC 1035 5).

    A file that cannot be read is complained of at *named_at*.  The names of *services* have
    addresses, though not here.  Raises MasterFileError with every complaint.
    """
    gathered = gather(path, apex, limits, named_at)
    rrsets, places = _rrsets(gathered, apex)
    checked = zonecheck.Checked(apex, rrsets, places, frozenset(services))
    complaints = [*gathered.complaints, *zonecheck.errors(checked)]
    if not gathered.complaints:
        complaints += zonecheck.missing(checked, str(path))
    if complaints:
        raise MasterFileError(_capped(complaints, limits.complaints_max), gathered.files)
    return MasterFile(
        tuple((owner, rrset) for owner, types in rrsets.items() for rrset in types.values()),
        MappingProxyType(places),
        frozenset(gathered.files),
        _capped(zonecheck.warnings(checked), limits.complaints_max),
    )


def collisions(
    master: MasterFile, apex: bytes, services: Sequence[tuple[Service, Place]]
) -> list[Complaint]:
    """Return what is wrong with *services*, each with its place, beside the static records.

    The same type at the same name, anything beside host names, a CNAME or DNAME at the
    name, and any name that a delegation or a DNAME takes away from the zone.
    """
    at: dict[bytes, list[int]] = {}
    for owner, type_ in master.places:
        at.setdefault(owner, []).append(type_)
    found = []
    for service, place in services:
        for owner, type_, why, hint in _hindrances(service, apex, at):
            file, line = master.places[owner, type_]
            problem = f"{service.text} {why}, in {file}:{line}"
            found.append(Complaint(*place, problem, hint))
    return found


def is_any_hindered(zone: Zone, services: Iterable[Service]) -> bool:
    """Return whether there is a collision of *services* with the other records of *zone*."""
    at: dict[bytes, tuple[int, ...]] = {}
    services = tuple(services)
    for service in services:
        for owner in name.ancestors(service.name):
            if owner not in at and (node := zone.nodes.get(owner)) is not None:
                at[owner] = tuple(node.rrsets)
    return any(_hindrances(service, zone.apex, at) for service in services)


def _hindrances(
    service: Service, apex: bytes, at: Mapping[bytes, Sequence[int]]
) -> list[tuple[bytes, int, str, str]]:
    """Return the rrsets that hinder *service*: owner, type, what it is, and how to mend it."""
    here = at.get(service.name, ())
    families = service.families()
    found = []
    for type_ in here:
        shown = shown_type(type_)
        if type_ == NS and service.name != apex:
            why, hint = "is delegated by an NS record", "delegate it, or serve it, not both"
        elif Family.CNAME in families:
            why = f"answers host names, and has a static {shown} record beside them"
            hint = "a CNAME stands alone: move the record, or use addresses as members"
        elif type_ in (CNAME, DNAME):
            why, hint = f"is a static {shown} as well", "delete the record, or the service"
        elif type_ in families:
            why = f"has static {shown} records as well"
            hint = "delete these records, or make them members of the service"
        else:
            continue
        found.append((service.name, type_, why, hint))
    for owner in name.ancestors(service.name):
        if owner == service.name or not name.is_within(owner, apex):
            continue
        for type_ in at.get(owner, ()):
            if type_ == DNAME or (type_ == NS and owner != apex):
                why = f"is never asked here: {name.show(owner)} has {shown_type(type_)} records"
                found.append((owner, type_, why, "serve it from there, or take them away"))
    return found


def _rrsets(
    gathered: Gathered, apex: bytes
) -> tuple[dict[bytes, dict[int, RRset]], dict[tuple[bytes, int], tuple[str, int]]]:
    """Return the records by owner and type, and where each rrset begins.

    Records whose names differ in case alone are one record; of several TTLs in one rrset
    the smallest counts (RFC 2181 5.2).
    """
    grouped: dict[tuple[bytes, int], list[Record]] = {}
    for record in gathered.records:
        grouped.setdefault((record.owner, record.type), []).append(record)
    rrsets: dict[bytes, dict[int, RRset]] = {}
    places = {}
    for (owner, type_), members in grouped.items():
        wires = [member.wire for member in members]
        if len(wires) > 1:
            distinct: dict[Rdata, bytes] = {}
            for member in members:
                distinct.setdefault(member.rdata, member.wire)
            wires = list(distinct.values())
        ttl_s = min(member.ttl_s for member in members)
        rrsets.setdefault(owner, {})[type_] = records.rrset(type_, ttl_s, wires, apex)
        places[owner, type_] = (members[0].file, members[0].line)
    return rrsets, places


def _capped(complaints: Iterable[Complaint], complaints_max: int) -> tuple[Complaint, ...]:
    """Return the first complaints, and how many more there are."""
    ordered = sorted(set(complaints))
    more = len(ordered) - complaints_max
    if more <= 0:
        return tuple(ordered)
    last = ordered[complaints_max - 1]
    rest = Complaint(last.file, last.line, last.column, "", f"{more} more like these", "see above")
    return (*ordered[:complaints_max], rest)
