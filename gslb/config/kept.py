"""Zones that have become broken: each stays in the version that is served, while others move on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gslb.config.known import Known
from gslb.config.settings import BrokenZone, ServedZone
from gslb.model import Service


@dataclass(frozen=True, slots=True)
class Sorted:
    """Zones to serve; those that cannot be; and those of which the version before is served."""

    served: tuple[ServedZone, ...]
    broken: tuple[BrokenZone, ...]
    kept: tuple[BrokenZone, ...] = ()


def keep(found: Sorted, before: Iterable[ServedZone], known: Known) -> Sorted:
    """Return *found* with the version *before* of each zone that has become broken.

    One that no longer says its name is known by its file.
    """
    # A second file for a zone that is served is broken too, and there is nothing to keep.
    texts = {zone.text for zone in found.served}
    old = {zone.text: zone for zone in before if zone.text not in texts}
    names = {zone.file: zone.text for zone in old.values()}
    kept: dict[str, BrokenZone] = {}
    broken = []
    for each in found.broken:
        text = each.text if each.text in old else names.get(each.file, "")
        if text in old and text not in kept and all(_fits(s, known) for s in old[text].services):
            kept[text] = replace(each, text=text, apex=old[text].zone.apex)
        else:
            broken.append(each)
    served = (*found.served, *(old[text] for text in kept))
    return Sorted(served, tuple(broken), tuple(kept.values()))


def _fits(service: Service, known: Known) -> bool:
    """Return whether a service of an older configuration can be served beside what is *known*."""
    regions = all(pool.region in known.regions for pool in service.pools)
    members = (member for pool in service.pools for member in pool.members)
    monitors = {m.subject.monitor for m in members if m.subject is not None}
    discovered = (pool.discover.monitor for pool in service.pools if pool.discover is not None)
    monitors |= {monitor for monitor in discovered if monitor is not None}
    return regions and all(monitor in known.monitors for monitor in monitors)
