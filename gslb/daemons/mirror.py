"""Snapshots as the native engine has them: handed over as images, only what changed.

Python compiles; a mirror turns into octets what is not the same object as before, and shares
the rest with the native snapshot that it made last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from gslb.config.masterquick import Nodes
from gslb.dns.zone import Zone
from gslb.dns.zoneimage import encode_zone
from gslb.model import Network
from gslb.nativecode import IS_BUILT
from gslb.routing.entryimage import encode_entry, encode_facts
from gslb.routing.geo import GeoMap, MapKey
from gslb.routing.image import encode_map
from gslb.routing.snapshot import Entry, Plan, Snapshot

if IS_BUILT:
    from gslb import _native


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as the native engine has it, with the numbers of its geo maps."""

    plan: Plan
    explain_to: Sequence[Network]
    native: _native.Plan
    zones: Mapping[int, tuple[Zone, _native.Zone]]
    maps: Mapping[MapKey, tuple[GeoMap, _native.GeoMap]]
    numbers: Mapping[MapKey, int]


class Mirror:
    """Native snapshots that answer as the given ones do; each shares what it can with the last."""

    def __init__(self, threads: int = 1) -> None:
        self.tallies = _native.Tallies(threads)
        self._planned: Planned | None = None
        self._last: tuple[Snapshot, _native.Snapshot] | None = None
        self._ahead: tuple[Planned, Mapping[bytes, tuple[Entry, bytes]]] | None = None

    @property
    def planned(self) -> Planned | None:
        """The plan that the last snapshot was made with."""
        return self._planned

    def prepare(self, snapshot: Snapshot, explain_to: Sequence[Network]) -> None:
        """Turn a plan and entries that will soon be published into images; in any thread."""
        planned = self._plan(snapshot.plan, explain_to)
        entries = snapshot.entries.items()
        images = {key: (entry, encode_entry(entry, planned.numbers)) for key, entry in entries}
        self._ahead = (planned, images)

    def of(self, snapshot: Snapshot, explain_to: Sequence[Network] = ()) -> _native.Snapshot:
        """Return *snapshot* as the native engine answers from it."""
        last, planned = self._last, self._planned
        generation, stale = snapshot.generation, snapshot.stale
        if last is None or not _fits(planned, snapshot, explain_to):
            planned, images = self._whole(snapshot, explain_to)
            made = _native.Snapshot(planned.native, images, generation, stale, self.tallies)
            self._planned, self._ahead = planned, None
        else:
            assert planned is not None
            # Its members may be others; what is native of it is not.
            self._planned = replace(planned, plan=snapshot.plan)
            # Of a snapshot that does not follow the last one all entries may differ.
            follows = snapshot.since == last[0].generation and snapshot.changed is not None
            changed = snapshot.changed if follows else snapshot.entries.keys()
            images = [encode_entry(snapshot.entries[key], planned.numbers) for key in changed or ()]
            made = last[1].next(images, generation, stale)
        self._last = (snapshot, made)
        return made

    def _whole(
        self, snapshot: Snapshot, explain_to: Sequence[Network]
    ) -> tuple[Planned, list[bytes]]:
        """Return a snapshot's plan and all its entries, those that were prepared as they are."""
        known: Mapping[bytes, tuple[Entry, bytes]] = {}
        if self._ahead is not None and _fits(self._ahead[0], snapshot, explain_to):
            planned, known = self._ahead
        else:
            planned = self._plan(snapshot.plan, explain_to)
        images = []
        for key, entry in snapshot.entries.items():
            before, image = known.get(key, (None, b""))
            images.append(image if before is entry else encode_entry(entry, planned.numbers))
        return planned, images

    def _plan(self, plan: Plan, explain_to: Sequence[Network]) -> Planned:
        zones = {id(zone): self._zone(zone) for zone in plan.zones.values()}
        maps = {key: self._map(key, geo_map) for key, geo_map in plan.maps.items()}
        facts = encode_facts(plan, explain_to)
        made = _native.Plan(
            facts, [made for _, made in zones.values()], [made for _, made in maps.values()]
        )
        numbers = {key: number for number, key in enumerate(plan.maps)}
        return Planned(plan, explain_to, made, zones, maps, numbers)

    def _zone(self, zone: Zone) -> tuple[Zone, _native.Zone]:
        if isinstance(zone.nodes, Nodes):
            return zone, zone.nodes.native
        known = None if self._planned is None else self._planned.zones.get(id(zone))
        return known or (zone, _native.Zone(encode_zone(zone)))

    def _map(self, key: MapKey, geo_map: GeoMap) -> tuple[GeoMap, _native.GeoMap]:
        known = None if self._planned is None else self._planned.maps.get(key)
        if known is not None and known[0] is geo_map:
            return known
        if geo_map.file is not None:
            with suppress(OSError, ValueError):  # thrown out of the cache meanwhile, or torn
                return geo_map, _native.GeoMap.open(geo_map.file)
        return geo_map, _native.GeoMap(encode_map(geo_map))


def _fits(planned: Planned | None, snapshot: Snapshot, explain_to: Sequence[Network]) -> bool:
    return (
        planned is not None
        and snapshot.plan.resembles(planned.plan)
        and planned.explain_to == explain_to
    )
