"""From a configuration to a plan: databases opened, geo maps compiled, zones put together."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gslb import __version__
from gslb.config.load import load
from gslb.config.settings import Config, ServedZone
from gslb.config.tierfiles import Need
from gslb.daemons.database import Cache, DatabaseError, Progress, open_atlas, open_maps
from gslb.errors import Complaint, ConfigError
from gslb.routing.geo import Atlas
from gslb.routing.snapshot import Plan, map_keys


@dataclass(frozen=True, slots=True)
class World:
    """A configuration and the plan made from it, which always go together."""

    config: Config
    plan: Plan


def read(
    path: Path,
    vantage: str | None = None,
    *,
    region: str | None = None,
    tier_files: Need = Need.NONE,
    before: Iterable[ServedZone] = (),
) -> Config:
    """Return the configuration in *path*, as this host and environment read it.

    *vantage* names the voter that it is read for, if that is a process of its own; *region* the
    region of an L7 proxy.  Zones of *before* stay where they have become broken.  See
    `gslb.config.load.load`.

    Raises ConfigError.
    """
    return load(
        path,
        hostname=socket.gethostname(),
        environ=os.environ,
        vantage=vantage,
        region=region,
        tier_files=tier_files,
        before=before,
    )


def cache_of(config: Config) -> Cache:
    """Return the cache of geo images in a configuration's state directory."""
    return Cache(config.state_dir / "geo")


def make(
    config: Config,
    cache: Cache,
    progress: Progress = lambda _what, _part: None,
    *,
    atlas: Atlas | None = None,
) -> World:
    """Return the world of *config*, with its databases as they are now, or with *atlas*.

    Raises ConfigError for a database that cannot be read.
    """
    if atlas is None:
        atlas = _atlas_of(config, cache, progress)
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


def _atlas_of(config: Config, cache: Cache, progress: Progress) -> Atlas:
    try:
        return open_atlas(config.geo_database, config.asn_database, cache, progress)
    except DatabaseError as error:
        hint = "put a readable MMDB file there, or write `database: null`"
        raise ConfigError([Complaint(str(config.file), 1, 1, "geo", str(error), hint)]) from error
