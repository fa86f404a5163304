"""What a change of files comes to: a world to take over, with what could not be taken.

A broken main file changes nothing.  A zone that has become broken stays in its old version
while the others move on.  A geo database that would move too much of the address space to
another order is held back, and the old one kept, while all else moves on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gslb.config.settings import BrokenZone, Config
from gslb.daemons import planner
from gslb.daemons.aside import aside
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.following import Following
from gslb.daemons.planner import World
from gslb.daemons.walking import BEST
from gslb.errors import ConfigError
from gslb.model import Service
from gslb.routing.geo import moved
from gslb.tier import Tier


@dataclass(frozen=True, slots=True)
class Reread:
    """A world to take over, the broken zones that stay in an old version, and held databases.

    `held` says why the databases are the old ones; None when they are the new ones.
    """

    world: World
    kept: tuple[BrokenZone, ...] = ()
    held: str | None = None


def read_again(path: Path, old: World) -> Reread:
    """Return what the files under *path* say now, beside what is served; raises ConfigError."""
    config, kept = merge(old.config, planner.read(path))
    cache = planner.cache_of(config)
    world = planner.make(config, cache)
    part = moves_too_much(old, world)
    if part is None:
        return Reread(world, kept)
    held = (
        f"{config.geo_database}: would move {part:.0%} of the known addresses to another order, "
        f"more than {float(config.geo_max_moved or 0):.0%}, so the old database is kept\n"
        "  hint: if that is meant, raise `geo.max_moved` or write `max_moved: null`"
    )
    return Reread(planner.make(config, cache, atlas=old.plan.atlas), kept, held)


def merge(old: Config, new: Config) -> tuple[Config, tuple[BrokenZone, ...]]:
    """Return *new* with the old version of each zone that has become broken, and those zones."""
    served = {zone.text: zone for zone in old.zones}
    for zone in new.zones:
        served.pop(zone.text, None)  # a second file for a zone that is served is broken too
    kept = tuple(
        broken
        for broken in new.broken
        if broken.text in served and all(_fits(s, new) for s in served[broken.text].services)
    )
    merged = replace(
        new,
        zones=(*new.zones, *(served[broken.text] for broken in kept)),
        broken=tuple(broken for broken in new.broken if broken not in kept),
    )
    return merged, kept


async def next_config(
    following: Following,
    held: Config,
    read: Callable[[], Config],
    counters: Counters,
    events: Events,
) -> Config:
    """Wait until the files of *held* are to be read; return what they say, once that can be read.

    What cannot be read is counted and told, and waited for again.
    """
    while True:
        await following.told()
        try:
            config, _ = merge(held, await aside(read))
        except ConfigError as error:
            # What is missing may still come, and what is wrong be mended.
            await following.missed(error.files)
            refuse(str(error), counters, events)
            continue
        await following.follow(config)
        return config


def refuse(why: str, counters: Counters, events: Events) -> None:
    """Count and tell that a configuration is not taken over."""
    counters.events["gslb_reload_failures"] += 1
    events.announce("reload_failed", error=why)


def _fits(service: Service, config: Config) -> bool:
    """Return whether a service of an older configuration can be served under *config*."""
    regions = all(pool.region in config.regions for pool in service.pools)
    members = (member for pool in service.pools for member in pool.members)
    monitors = {m.subject.monitor for m in members if m.subject is not None}
    found = (pool.discover.monitor for pool in service.pools if pool.discover is not None)
    monitors |= {monitor for monitor in found if monitor is not None}
    return regions and all(monitor in config.monitors for monitor in monitors)


def moves_too_much(old: World, new: World) -> float | None:
    """Return which part of the known addresses a new database moves, if that is too much."""
    limit = new.config.geo_max_moved
    if limit is None or old.plan.atlas.digest == new.plan.atlas.digest:
        return None
    parts = [
        moved(old.plan.maps[key], new.plan.maps[key], old.plan.atlas, new.plan.atlas, BEST.overlay)
        for key in old.plan.maps.keys() & new.plan.maps.keys()
    ]
    part = max(parts, default=0.0)
    return part if part > limit else None


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return the keys that changed and are only read at a start."""
    changed = {
        "listen": (old.listen_dns, old.listen_admin) != (new.listen_dns, new.listen_admin),
        "state_dir": old.state_dir != new.state_dir,
        "engine": old.engine != new.engine,
        "threads": old.threads != new.threads,
        "vantage": old.vantage != new.vantage,
        "voters": bool(old.voters) != bool(new.voters),
        "carrier": old.carrier != new.carrier,
    }
    return [key for key, differs in changed.items() if differs]


def tier_needs_restart(old: Config, new: Config, region: str) -> list[str]:
    """Return the keys that changed and are only read at a start of the L7 tier of *region*."""
    before, after = old.tier or Tier(), new.tier or Tier()
    addresses = [[each.address for each in c.regions[region].proxies] for c in (old, new)]
    changed = {
        "proxy.tier": before.engine != after.engine,
        "proxy.workers": before.workers != after.workers,
        "proxy.admin": before.admin != after.admin,
        "proxy.access_log": after.engine == "haproxy" and before.access_log != after.access_log,
        f"regions.{region}.proxies": addresses[0] != addresses[1],
        "state_dir": old.state_dir != new.state_dir,
        "voters": bool(old.voters) != bool(new.voters),
        "carrier": old.carrier != new.carrier,
    }
    return [key for key, differs in changed.items() if differs]
