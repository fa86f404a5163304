"""One zone's file, with its master file → a zone that can be served, or why it cannot.

Nothing that is wrong in a zone leaves this module as an exception: the other zones shall be
served.  A zone that cannot be read still has a name, so that what is asked for it can be
refused with the reason: from its `zone` key, else from the file's own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gslb.config import masterfile, masterquick
from gslb.config.known import Known
from gslb.config.masterentries import Place
from gslb.config.nodes import At, Sheet, shown
from gslb.config.reading import read_model
from gslb.config.routes import Measurements, RouteReader
from gslb.config.services import ServiceReader
from gslb.config.settings import BrokenZone, ServedZone
from gslb.config.yamlfile import UnreadableError, parse, read_bytes
from gslb.config.zonekeys import ZoneFile
from gslb.dns import name
from gslb.dns.records import SOA, rrset
from gslb.dns.zone import Zone, build
from gslb.errors import Complaint, ConfigError
from gslb.model import Family, Service

_STAND_IN = name.parse("invalid")
_ZONE_LINE = re.compile(rb"""^zone:[ \t]*["']?([^\s"'#\[\]{}&*!|>%@`,]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReadZone:
    """What a zone's file came to; `at` is the place that names the zone.

    `apex` is empty if not even the zone's name could be read; `zone` is None if it cannot
    be served.
    """

    path: Path
    apex: bytes
    at: At
    zone: Zone | None
    services: tuple[Service, ...]
    complaints: tuple[Complaint, ...]
    warnings: tuple[Complaint, ...]
    files: frozenset[Path]

    @property
    def text(self) -> str:
        """Return the zone's name as text without the last dot."""
        return name.show(self.apex) if self.apex else self.path.stem

    def served(self) -> ServedZone:
        """Return the zone, which must be one that can be served."""
        assert self.zone is not None
        return ServedZone(self.text, self.zone, self.services, self.path.absolute())

    def broken(self, more: tuple[Complaint, ...] = ()) -> BrokenZone:
        """Return why the zone cannot be served."""
        complaints = tuple(sorted({*self.complaints, *more}))
        return BrokenZone(self.text, self.apex, self.path.absolute(), complaints)


def read(path: Path, named_at: At, known: Known, *, is_served: bool = True) -> ReadZone:
    """Return what the zone's file *path* comes to, which the main file names at *named_at*.

    Where it is not served but only probed, its static records and measurements are not read.
    """
    sheet = Sheet(str(path))
    try:
        raw = read_bytes(path)
    except UnreadableError as error:
        main = At(Sheet(named_at.sheet.file), named_at.node, named_at.path)
        main.wrong(f"{path} {error.problem}", error.hint)
        return _unreadable(path, b"", named_at, main.sheet)
    try:
        top = parse(raw, sheet)
    except UnreadableError:
        return _unreadable(path, raw, named_at, sheet)
    return _Reader(path, top, known, is_served).read()


class _Reader:
    """Reads one zone's file whose YAML is good."""

    def __init__(self, path: Path, top: At, known: Known, is_served: bool) -> None:
        self._path = path
        self._top = top
        self._known = known
        self._is_served = is_served
        self._measurements = Measurements(path.parent, is_needed=is_served)
        self._files = {path}
        self._warnings: list[Complaint] = []

    def read(self) -> ReadZone:
        at = self._top / "zone"
        spec = read_model(ZoneFile, self._top)
        apex = self._apex(spec, at)
        zone: Zone | None = None
        services: list[tuple[Service, Place]] = []
        if spec is not None:
            services = self._services(spec, apex)
            zone = self._zone(spec, apex, services)
        sheets = [self._top.sheet, *self._measurements.sheets]
        return ReadZone(
            path=self._path,
            apex=apex or _apex_of(self._path, b""),
            at=at,
            zone=zone,
            services=tuple(service for service, _ in services),
            complaints=tuple(note for sheet in sheets for note in sheet.complaints),
            warnings=(*self._warnings, *(note for sheet in sheets for note in sheet.warnings)),
            files=frozenset({*self._files, *self._measurements.read}),
        )

    def _apex(self, spec: ZoneFile | None, at: At) -> bytes:
        """Return the zone's name as written, empty if it is wrong or absent."""
        if spec is None or spec.zone is None:
            at.miss("write the zone's name, such as `zone: example.com`")
            return b""
        try:
            return apex_in(spec.zone)
        except ValueError as error:
            at.wrong(str(error), "write the zone's name, such as example.com")
            return b""

    def _services(self, spec: ZoneFile, apex: bytes) -> list[tuple[Service, Place]]:
        at = self._top / "services"
        if spec.services is None:
            if not at.absent:
                at.miss("write a service, or leave `services` out")
            return []
        routes = RouteReader(self._known, self._measurements)
        stand_in = _apex_of(self._path, b"") or _STAND_IN
        reader = ServiceReader(apex or stand_in, self._known, routes, self._path.parent)
        found = []
        for written, service_spec in spec.services.items():
            here = at / written
            service = reader.read(written, service_spec, here)
            if service is not None:
                found.append((service, here.place(on_key=True)))
        return found

    def _zone(
        self, spec: ZoneFile, apex: bytes, services: list[tuple[Service, Place]]
    ) -> Zone | None:
        """Return the zone with its static records, if nothing in it is wrong."""
        at = self._top / "file"
        if spec.file is None:
            at.miss("name the zone's master file, such as example.com.zone")
            return None
        if not self._is_served:
            return _bare(apex) if apex and not self._is_wrong() else None
        path = self._path.parent / spec.file
        self._files.add(path)
        if not apex:
            return None
        possible = [(s, place) for s, place in services if s.name != apex or not _has_names(s)]
        names = [service.name for service, _ in services]
        found = masterquick.read(path, apex, names, at.place())
        if isinstance(found, Zone):
            if not masterfile.is_any_hindered(found, (service for service, _ in possible)):
                return None if self._is_wrong() else found
            found = masterquick.Declined()
        self._warnings += masterquick.slow(path, found)
        try:
            master = masterfile.read(path, apex, named_at=at.place(), services=names)
        except ConfigError as error:
            self._files |= getattr(error, "files", frozenset())
            self._top.sheet.complaints.extend(error.complaints)
            return None
        self._files |= master.files
        self._warnings += master.warnings
        self._top.sheet.complaints.extend(masterfile.collisions(master, apex, possible))
        return None if self._is_wrong() else build(apex, master.owned, names)

    def _is_wrong(self) -> bool:
        return any(sheet.complaints for sheet in (self._top.sheet, *self._measurements.sheets))


def apex_in(written: str) -> bytes:
    """Return the name of a zone; raises ValueError for what cannot be one."""
    apex = name.parse(written)
    if written == "@" or b"*" in name.labels(apex):
        raise ValueError(f"{shown(written)} is not the name of a zone")
    return apex


def _bare(apex: bytes) -> Zone:
    """Return a zone that nobody is answered from: nothing but a start of authority."""
    soa = rrset(SOA, 0, (name.ROOT + name.ROOT + bytes(20),), apex)
    return build(apex, ((apex, soa),), ())


def _has_names(service: Service) -> bool:
    return Family.CNAME in service.families()


def _apex_of(path: Path, raw: bytes) -> bytes:
    """Return the most likely name of a zone that cannot be read, or nothing."""
    line = _ZONE_LINE.search(raw)
    for written in (line[1].decode("ascii", "replace") if line else "", path.stem):
        try:
            return apex_in(written)
        except ValueError:
            continue
    return b""


def _unreadable(path: Path, raw: bytes, at: At, sheet: Sheet) -> ReadZone:
    return ReadZone(
        path=path,
        apex=_apex_of(path, raw),
        at=at,
        zone=None,
        services=(),
        complaints=tuple(sheet.complaints),
        warnings=tuple(sheet.warnings),
        files=frozenset({path}),
    )
