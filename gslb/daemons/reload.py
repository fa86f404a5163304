"""What a change of files comes to: a world to take over, with what could not be taken.

A broken main file changes nothing.  A zone that has become broken stays in its old version
while the others move on.  A geo database that would move too much of the address space to
another order is held back, and the old one kept, while all else moves on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gslb.config.settings import Config
from gslb.daemons import planner
from gslb.daemons.aside import aside
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.following import Following
from gslb.daemons.planner import World
from gslb.daemons.walking import BEST
from gslb.errors import ConfigError
from gslb.routing.geo import moved
from gslb.tier import Tier


@dataclass(frozen=True, slots=True)
class Reread:
    """A world to take over, and held databases.

    `held` says why the databases are the old ones; None when they are the new ones.
    """

    world: World
    held: str | None = None


def read_again(path: Path, old: World) -> Reread:
    """Return what the files under *path* say now, beside what is served; raises ConfigError."""
    config = planner.read(path, before=old.config.zones)
    cache = planner.cache_of(config)
    world = planner.make(config, cache)
    part = moves_too_much(old, world)
    if part is None:
        return Reread(world)
    held = (
        f"{config.geo_database}: would move {part:.0%} of the known addresses to another order, "
        f"more than {float(config.geo_max_moved or 0):.0%}, so the old database is kept\n"
        "  hint: if that is meant, raise `geo.max_moved` or write `max_moved: null`"
    )
    return Reread(planner.make(config, cache, atlas=old.plan.atlas), held)


async def next_config(
    following: Following,
    held: Config,
    read: Callable[..., Config],
    counters: Counters,
    events: Events,
) -> Config:
    """Wait until the files of *held* are to be read; return what they say, once that can be read.

    *read* is given the zones that are served as `before`.  What cannot be read is counted and told,
    and waited for again.
    """
    while True:
        await following.told()
        try:
            config = await aside(partial(read, before=held.zones))
        except ConfigError as error:
            # What is missing may still come, and what is wrong be mended.
            await following.missed(error.files)
            refuse(str(error), counters, events)
            continue
        await following.follow(config)
        if wrong := [note for zone in (*config.kept, *config.broken) for note in zone.complaints]:
            refuse("\n".join(map(str, wrong)), counters, events)
        return config


def refuse(why: str, counters: Counters, events: Events) -> None:
    """Count and tell that a configuration is not taken over."""
    counters.events["gslb_reload_failures"] += 1
    events.announce("reload_failed", error=why)


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


class Restarts:
    """Tells which keys have other values than at the start, and take effect at the next one."""

    def __init__(self, differing: Callable[[Config], list[str]], events: Events) -> None:
        self._differing = differing
        self._events = events
        self._told: list[str] = []

    def look(self, config: Config) -> None:
        """Tell of *config*, if that is anything new."""
        keys = self._differing(config)
        if keys and keys != self._told:
            self._events.announce("restart_needed", changed=", ".join(keys))
        self._told = keys


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
