"""What a node is made of, for tests: a configuration as if read from files, and its world."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

from gslb.config.settings import Config, Endpoint, ServedZone
from gslb.daemons.database import Cache
from gslb.daemons.planner import World, make
from gslb.model import Member, Monitor, Quorum, Region, Service, Subject
from tests.world import REGIONS, zone


def subject_of(address: str, monitor: str = "web") -> Subject:
    """Return what a verdict on *address* is about, in these tests."""
    return Subject(address, (address, 80), monitor, "www.example.com")


def probed(*addresses: str, weight: int = 1) -> tuple[Member, ...]:
    """Return members that the monitor ``web`` probes."""
    return tuple(Member(ip_address(text), weight, subject_of(text)) for text in addresses)


def config(
    *services: Service,
    monitors: Mapping[str, Monitor] | None = None,
    regions: Mapping[str, Region] = REGIONS,
    **keys: object,
) -> Config:
    """Return the configuration of example.com with *services*, as if read from files."""
    defaults: dict[str, object] = {
        "file": Path("gslb.yaml"),
        "node": "ns1.example.net",
        "state_dir": Path("var"),
        "engine": "auto",
        "threads": 1,
        "listen_dns": (Endpoint("127.0.0.1", 0),),
        "listen_admin": Endpoint("127.0.0.1", 0),
        "zones": (
            ServedZone(
                "example.com",
                zone(services=[each.name for each in services]),
                services,
                Path("example.com.yaml"),
            ),
        ),
        "broken": (),
        "geo_database": None,
        "asn_database": None,
        "geo_max_moved": None,
        "regions": regions,
        "monitors": monitors or {"web": Monitor(name="web")},
        "explain_to": (ip_network("127.0.0.0/8"), ip_network("::1")),
        "admin_token": None,
        "quorum": Quorum(),
        "max_withdrawal": None,
        "warnings": (),
        "files": frozenset(),
        "folders": frozenset(),
        "hash": "0" * 64,
    }
    return Config(**{**defaults, **keys})


def world_of(made: Config) -> World:
    """Return the world of a configuration without databases."""
    return make(made, Cache(None))
