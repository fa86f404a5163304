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
from gslb.model import Monitor, Network, Quorum, RateLimit, Region, SafetyCatch, Service, Voter
from gslb.tier import Tier


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
    """How a NATS server is reached, and where in it things lie.

    `servers` are URLs with ports.  `credentials` is a file as `nsc` makes it, `ca_file` one of
    authorities in PEM.  `bucket` is what the names of the buckets start with.
    """

    servers: tuple[str, ...]
    credentials: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    bucket: str = "gslb"
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Carrier:
    """How reports and operators' words travel: between `nodes` over HTTP, or by `nats`.

    `key` authenticates nodes to each other; it is empty on a vantage's host that has none.
    `nodes` are URLs by the node's name, this node's own among them; empty with `nats`.
    """

    key: bytes = field(repr=False)
    nodes: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    nats: Nats | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events are posted to: all kinds where `events` is None; `key` signs them.

    Some services take whoever knows the `url` for the one who may post, so it is not shown.
    """

    url: str = field(repr=False)
    events: frozenset[str] | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the configuration files say.

    `files` are all files that were read or named, and `folders` the folders of globs:
    a change to any of them may change this value.  `hash` is a hexadecimal digest of what all
    nodes must have alike.  `vantage` is the voter that this node's own prober is, or that a process
    of its own is; with `voters` and without it nothing is probed here.  On a vantage's host what
    it does not need is left out: the keys of other voters, databases, static records.
    `kept` are zones that have become broken, of which `zones` has the version before.
    `tier` is the L7 tier, without the contents of its files unless it is read for a proxy; then
    `tier_hash` is a digest of what the tiers of all regions must have alike.
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
    kept: tuple[BrokenZone, ...] = ()
    vantage: str | None = None
    voters: Mapping[str, Voter] = field(default_factory=dict)
    report_interval_s: float = 5.0
    probes_per_member: int | None = None
    cut_off_at: Fraction | None = Fraction(1, 2)
    carrier: Carrier | None = None
    webhooks: tuple[Webhook, ...] = ()
    max_withdrawal: SafetyCatch | None
    cookies: Cookies = Cookies()
    rate_limit: RateLimit | None = None
    tier: Tier | None = None
    warnings: tuple[Complaint, ...]
    files: frozenset[Path]
    folders: frozenset[Path]
    hash: str
    tier_hash: str = ""

    def services(self) -> tuple[Service, ...]:
        """Return the services of all served zones, zone by zone."""
        return tuple(service for zone in self.zones for service in zone.services)

    def complaints(self) -> tuple[Complaint, ...]:
        """Return what is wrong with the zones that cannot be served."""
        return tuple(note for zone in self.broken for note in zone.complaints)
