"""The native engine from Python's side: snapshots turned into images, and what it counts.

Python compiles and publishes; this hands each snapshot over as octets, encoding only what is
not the same object as before.  Without the extension `native` is None, and all runs in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from gslb.dns.zone import Zone
from gslb.dns.zoneimage import encode_zone
from gslb.model import Network
from gslb.routing.entryimage import encode_entry, encode_facts
from gslb.routing.geo import GeoMap
from gslb.routing.image import encode_map
from gslb.routing.snapshot import Plan, Snapshot

native: ModuleType | None
try:
    from gslb import _native as native
except ImportError:
    native = None


class Mirror:
    """Native snapshots that answer as the given ones do; each shares what it can with the last."""

    def __init__(self, threads: int = 1) -> None:
        from gslb import _native  # noqa: PLC0415 - whoever makes a mirror has seen that it is there

        self._native = _native
        self.tallies = _native.Tallies(threads)
        self._zones: dict[int, tuple[Zone, _native.Zone]] = {}
        self._maps: dict[int, tuple[GeoMap, _native.GeoMap]] = {}
        self._plan: tuple[Plan, Sequence[Network], _native.Plan] | None = None
        self._last: tuple[Snapshot, _native.Snapshot] | None = None

    def of(self, snapshot: Snapshot, explain_to: Sequence[Network] = ()):  # type: ignore[no-untyped-def]
        """Return *snapshot* as the native engine answers from it."""
        numbers = {key: number for number, key in enumerate(snapshot.plan.maps)}
        known = self._plan
        if known is None or known[0] is not snapshot.plan or known[1] != explain_to:
            plan = self._plan_of(snapshot.plan, explain_to)
            self._plan = (snapshot.plan, explain_to, plan)
            images = [encode_entry(entry, numbers) for entry in snapshot.entries.values()]
            made = self._native.Snapshot(
                plan, images, snapshot.generation, snapshot.stale, self.tallies
            )
        else:
            assert self._last is not None
            before = self._last[0].entries
            images = [
                encode_entry(entry, numbers)
                for key, entry in snapshot.entries.items()
                if entry is not before[key]
            ]
            made = self._last[1].next(images, snapshot.generation, snapshot.stale)
        self._last = (snapshot, made)
        return made

    def _plan_of(self, plan: Plan, explain_to: Sequence[Network]):  # type: ignore[no-untyped-def]
        zones = {id(zone): self._zone(zone) for zone in plan.zones.values()}
        maps = {id(geo_map): self._map(geo_map) for geo_map in plan.maps.values()}
        self._zones, self._maps = zones, maps
        return self._native.Plan(
            encode_facts(plan, explain_to),
            [made for _, made in zones.values()],
            [self._maps[id(geo_map)][1] for geo_map in plan.maps.values()],
        )

    def _zone(self, zone: Zone):  # type: ignore[no-untyped-def]
        return self._zones.get(id(zone)) or (zone, self._native.Zone(encode_zone(zone)))

    def _map(self, geo_map: GeoMap):  # type: ignore[no-untyped-def]
        return self._maps.get(id(geo_map)) or (geo_map, self._native.GeoMap(encode_map(geo_map)))
