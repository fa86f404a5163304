"""Zones that have become broken: each stays in the version that is served, while others move on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from gslb.config.known import Known
from gslb.config.settings import BrokenZone, ServedZone
from gslb.dns import name
from gslb.model import Service


@dataclass(frozen=True, slots=True)
class Sorted:
    """Zones to serve; those that cannot be; and those of which the version before is served."""

    served: tuple[ServedZone, ...]
    broken: tuple[BrokenZone, ...]
    kept: tuple[BrokenZone, ...] = ()


def keep(found: Sorted, before: Iterable[ServedZone], known: Known) -> Sorted:
    """Return *found* with the version *before* of each zone that has become broken.

    One that no longer says its name is known by its file, unless another says that it is its.
    """
    # A second file for a zone that is served is broken too, and there is nothing to keep.
    texts = {zone.text for zone in found.served}
    old = {
        zone.text: zone
        for zone in before
        if zone.text not in texts and all(_fits(service, known) for service in zone.services)
    }
    kept: dict[str, BrokenZone] = {}
    for each in found.broken:
        if each.text in old:
            kept.setdefault(each.text, each)
    claimed = {each.file for each in kept.values()}
    texts_of = {zone.file: text for text, zone in old.items()}
    for each in found.broken:
        if each.file not in claimed and (text := texts_of.get(each.file)) is not None:
            kept.setdefault(text, replace(each, text=text, apex=old[text].zone.apex))
    files = {each.file for each in kept.values()}
    served = (*found.served, *(old[text] for text in kept))
    apexes = {zone.zone.apex for zone in served}
    return Sorted(
        tuple(_without_others(zone, apexes) for zone in served),
        tuple(each for each in found.broken if each.file not in files),
        tuple(kept.values()),
    )


def _without_others(zone: ServedZone, apexes: Collection[bytes]) -> ServedZone:
    """Return *zone* without the services that a zone below, which may be new, answers for."""
    apex = zone.zone.apex
    own = tuple(each for each in zone.services if name.closest(each.name, apexes) == apex)
    return zone if len(own) == len(zone.services) else replace(zone, services=own)


def _fits(service: Service, known: Known) -> bool:
    """Return whether a service of an older configuration can be served beside what is *known*."""
    regions = all(pool.region in known.regions for pool in service.pools)
    members = (member for pool in service.pools for member in pool.members)
    monitors = {m.subject.monitor for m in members if m.subject is not None}
    discovered = (pool.discover.monitor for pool in service.pools if pool.discover is not None)
    monitors |= {monitor for monitor in discovered if monitor is not None}
    return regions and all(monitor in known.monitors for monitor in monitors)
