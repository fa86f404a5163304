"""The whole configuration as one frozen value, ready to be compiled and served.

`load` in `gslb.config.load` makes it.  A zone that could not be read stands in `broken`
with what was wrong, so that the others can be served and its names answered SERVFAIL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gslb.dns.zone import Zone
from gslb.errors import Complaint
from gslb.model import Monitor, Network, Quorum, RateLimit, Region, SafetyCatch, Service


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port to listen at; `host` is an address as text."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServedZone:
    """One zone that can be served: its static tree, and the services beside it."""

    text: str
    zone: Zone
    services: tuple[Service, ...]
    file: Path


@dataclass(frozen=True, slots=True)
class BrokenZone:
    """One zone that cannot be served: its name as text without the last dot, and why."""

    text: str
    apex: bytes
    file: Path
    complaints: tuple[Complaint, ...]


@dataclass(frozen=True, slots=True)
class Cookies:
    """Whether there are server cookies, and their secrets: the active one first; None: our own."""

    enabled: bool = True
    secrets: tuple[bytes, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Nats:
    """The NATS servers that carry, how they are signed in to, and the names of the buckets."""

    servers: tuple[str, ...]
    credentials: Path | None
    user: str | None
    password: str | None = field(repr=False)
    token: str | None = field(repr=False)
    ca_file: str | None
    bucket: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Carrier:
    """How reports and operators' words travel: over HTTP to `nodes` (name → URL), or over NATS."""

    key: bytes = field(repr=False)
    nodes: Mapping[str, str]
    ca_file: str | None
    nats: Nats | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events are posted to, which (None: all), and the key that they are signed with."""

    url: str
    events: frozenset[str] | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the configuration files say.

    `files` are all files that were read or named, and `folders` the folders of globs:
    a change to any of them may change this value.  `hash` is a hexadecimal digest of the contents.
    `engine` is ``auto``, ``native`` or ``python``; `threads` is None for one for each core.
    """

    file: Path
    node: str
    state_dir: Path
    engine: str
    threads: int | None
    listen_dns: tuple[Endpoint, ...]
    listen_admin: Endpoint
    zones: tuple[ServedZone, ...]
    broken: tuple[BrokenZone, ...]
    geo_database: Path | None
    asn_database: Path | None
    geo_max_moved: Fraction | None
    regions: Mapping[str, Region]
    monitors: Mapping[str, Monitor]
    explain_to: tuple[Network, ...]
    admin_token: str | None
    quorum: Quorum
    max_withdrawal: SafetyCatch | None
    cookies: Cookies = Cookies()
    rate_limit: RateLimit | None = None
    warnings: tuple[Complaint, ...]
    files: frozenset[Path]
    folders: frozenset[Path]
    hash: str

    def services(self) -> tuple[Service, ...]:
        """Return the services of all served zones, zone by zone."""
        return tuple(service for zone in self.zones for service in zone.services)

    def complaints(self) -> tuple[Complaint, ...]:
        """Return what is wrong with the zones that cannot be served."""
        return tuple(note for zone in self.broken for note in zone.complaints)
