"""From a configuration to a plan: databases opened, geo maps compiled, zones put together."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from gslb import __version__
from gslb.config.load import load
from gslb.config.settings import BrokenZone, Config
from gslb.daemons.database import Cache, DatabaseError, Progress, open_atlas, open_maps
from gslb.errors import Complaint, ConfigError
from gslb.model import Service
from gslb.routing.geo import moved
from gslb.routing.snapshot import Plan, map_keys


@dataclass(frozen=True, slots=True)
class World:
    """A configuration and the plan made from it, which always go together."""

    config: Config
    plan: Plan


def read(path: Path) -> Config:
    """Return the configuration in *path*, as this host and environment read it.

    Raises ConfigError.
    """
    return load(path, hostname=socket.gethostname(), environ=os.environ)


def cache_of(config: Config) -> Cache:
    """Return the cache of geo images in a configuration's state directory."""
    return Cache(config.state_dir / "geo")


def make(config: Config, cache: Cache, progress: Progress = lambda _what, _part: None) -> World:
    """Return the world of *config*; raises ConfigError for a database that cannot be read."""
    try:
        atlas = open_atlas(config.geo_database, config.asn_database, cache, progress)
    except DatabaseError as error:
        hint = "put a readable MMDB file there, or write `database: null`"
        raise ConfigError([Complaint(str(config.file), 1, 1, "geo", str(error), hint)]) from error
    services = config.services()
    keys = (key for service in services for key in map_keys(service).values())
    plan = Plan(
        node=config.node,
        program=f"gslb {__version__}",
        zones=MappingProxyType({each.zone.apex: each.zone for each in config.zones}),
        services=MappingProxyType({service.name: service for service in services}),
        regions=config.regions,
        maps=open_maps(keys, atlas, config.regions, cache, progress),
        broken=frozenset(each.apex for each in config.broken),
        atlas=atlas,
    )
    return World(config, plan)


@dataclass(frozen=True, slots=True)
class Merged:
    """A new configuration in which broken zones stay as they were, where they can."""

    config: Config
    kept: tuple[BrokenZone, ...]


def merge(old: Config, new: Config) -> Merged:
    """Return *new* with the old version of each zone that has become broken."""
    served = {zone.text: zone for zone in old.zones}
    kept = tuple(
        broken
        for broken in new.broken
        if broken.text in served and all(_fits(s, new) for s in served[broken.text].services)
    )
    texts = {broken.text for broken in kept}
    return Merged(
        replace(
            new,
            zones=(*new.zones, *(served[broken.text] for broken in kept)),
            broken=tuple(broken for broken in new.broken if broken.text not in texts),
        ),
        kept,
    )


def _fits(service: Service, config: Config) -> bool:
    """Return whether a service of an older configuration can be served under *config*."""
    regions = all(pool.region in config.regions for pool in service.pools)
    subjects = (member.subject for pool in service.pools for member in pool.members)
    return regions and all(s is None or s.monitor in config.monitors for s in subjects)


def moves_too_much(old: World, new: World) -> float | None:
    """Return which part of the known addresses a new database moves, if that is too much."""
    limit = new.config.geo_max_moved
    if limit is None or old.plan.atlas.digest == new.plan.atlas.digest:
        return None
    both = old.plan.maps.keys() & new.plan.maps.keys()
    part = max(
        (
            moved(old.plan.maps[key], new.plan.maps[key], old.plan.atlas, new.plan.atlas)
            for key in both
        ),
        default=0.0,
    )
    return part if part > limit else None
