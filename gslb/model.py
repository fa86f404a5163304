"""The nouns: what an operator writes down, and nothing that changes by itself.

A `Service` is an owner name answered from `Pool`s, one pool a region.  A pool holds
`Member`s, each an address (or host name) with a weight.  A `Region` is a place with a
proxy tier.  A `Monitor` says how a member is probed and when its verdict may flip.  A
route is a tuple of `Step`s, each of which splits the rungs of a ladder into finer ones.

All of it is frozen.  It is checked where it is read, in `gslb.config`, which knows the
line to complain about; nothing past that point holds an address as text.  Health is not
here: it changes by the second, and lives in `gslb.health`.

Domain names are lower-case wire form (RFC 1035 3.1) wherever they are looked up, and
text only where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

WEIGHT_MAX = 1_000_000
PORT_MAX = 65_535


class Family(IntEnum):
    """What a service's members are answered as; each family has its own ladder.

    The value is the RR type: IPv4 members answer A, IPv6 members AAAA, host names CNAME.
    """

    A = 1
    CNAME = 5
    AAAA = 28


@dataclass(frozen=True, slots=True)
class Expect:
    """What a good HTTP response looks like.

    `status` holds inclusive ranges.  `body` is a regular expression searched for in the
    first 64 KiB.  `json` pairs a dotted path with the value it must have, by type and value.
    """

    status: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str | None = None
    json: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """How a member is probed, and how many results in a row flip its verdict."""

    name: str
    type: str = "http"
    port: int = 80
    path: str = "/"
    host: str | None = None
    interval_s: float = 5.0
    timeout_s: float = 2.0
    fall: int = 3
    rise: int = 2
    recheck_s: float = 1.0
    expect: Expect = Expect()
    verify: bool = True
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What a verdict is about: this address, probed there, under that rule and that host.

    Members of several services that agree in all four share one probe and one verdict.
    `address` is the member's address or host name as text; `target` is the host and port
    that the probe connects to; `monitor` is the monitor's name; `host` is the Host header
    and the TLS server name.
    """

    address: str
    target: tuple[str, int]
    monitor: str
    host: str


class Source(Enum):
    """Where a member is known from; the value is what the admin API shows.

    The order is that of precedence: an address that several name is the first one's.
    """

    CONFIGURED = "configured"
    LEASE = "lease"
    FILE = "file"
    DNS = "dns"


@dataclass(frozen=True, slots=True)
class Member:
    """One address or host name that can take a pool's traffic; weight 0 makes it a reserve.

    `address` is a host name in lower-case text without the last dot when it is a `str`.
    `subject` is None for a member that nobody probes: it counts as up.
    """

    address: Address | str
    weight: int = 1
    subject: Subject | None = None
    source: Source = Source.CONFIGURED

    @property
    def family(self) -> Family:
        """Return the RR type that this member is answered as."""
        if isinstance(self.address, str):
            return Family.CNAME
        return Family.A if self.address.version == 4 else Family.AAAA


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover:
    """From where a pool's members come beside those that are written down, and how they are probed.

    `register` lets members register themselves over the admin API.  `file` is the absolute path
    of a file or folder that lists members.  `dns` is a host name, whose addresses are members, or
    the name of SRV records (RFC 2782), lower-case and without the last dot; `resolver` is the
    address and port of who is asked for it, None for whom the system asks.  `monitor` is the
    monitor's name, None where nobody probes; `port` and `host` are as in a member's `Subject`.
    """

    register: bool = False
    file: str | None = None
    dns: str | None = None
    resolver: tuple[str, int] | None = None
    monitor: str | None = None
    port: int = 0
    host: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """A service's members in one region; weight 0 makes all of them reserves.

    `discover` is None where only configured members can be in it.
    """

    region: str
    members: tuple[Member, ...]
    weight: int = 100
    discover: Discover | None = None

    def families(self) -> frozenset[Family]:
        """Return the families that its members have, or may come to have."""
        has = {member.family for member in self.members}
        return frozenset(has if self.discover is None else has | {Family.A, Family.AAAA})


@dataclass(frozen=True, slots=True)
class Region:
    """A place: where it is in degrees, and the addresses of its L7 proxies."""

    name: str
    location: tuple[float, float] | None = None
    proxies: tuple[Member, ...] = ()


# A list of regions in a route: rungs in order, the regions of one rung tie.
Preference = tuple[tuple[str, ...], ...]


class Fact(Enum):
    """What a list in a route is keyed by; the value is the key in the configuration."""

    SUBNETS = "subnets"
    COUNTRIES = "countries"
    CONTINENTS = "continents"
    ASNS = "asns"


@dataclass(frozen=True, slots=True)
class Weighted:
    """Split nothing: all pools tie and weights decide."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """Split by great-circle distance in km from the client, less each region's bias."""

    within_km: float = 0.0
    bias_km: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """Split by the place in a fixed list; unlisted regions come last."""

    regions: Preference


@dataclass(frozen=True, slots=True)
class Listed:
    """Split by the list that the client's subnet, country, continent or ASN names.

    Keys are `Network`s for SUBNETS (the longest match counts), numbers for ASNS, and
    upper-case codes for the others.
    """

    fact: Fact
    lists: tuple[tuple[Network | str | int, Preference], ...]


@dataclass(frozen=True, slots=True)
class Latency:
    """Split by measured milliseconds, region by region from the most specific client key.

    A key is a `Network`, a country code, a number (ASN) or ``*``, in that order of
    precedence; a region that nothing measures comes last.
    """

    file: str
    measured: tuple[tuple[Network | str | int, str, float], ...]


@dataclass(frozen=True, slots=True)
class Fence:
    """Split nothing: drop the regions that a matching list does not hold."""

    lists: tuple[Listed, ...]


Step = Weighted | Nearest | Order | Listed | Latency | Fence


@dataclass(frozen=True, slots=True)
class Sticky:
    """The prefix lengths that make two clients the same one."""

    ipv4: int = 24
    ipv6: int = 56


@dataclass(frozen=True, slots=True)
class Failback:
    """How a member that rose again gets its share back: none for `hold_s`, then linearly."""

    hold_s: float = 0.0
    ramp_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An owner name answered from pools.

    `name` is wire form, `text` its display form without the last dot.  `answers` is the
    number of members in one answer, 0 for all.
    """

    name: bytes
    text: str
    zone: bytes
    pools: tuple[Pool, ...]
    route: tuple[Step, ...] = (Nearest(),)
    ttl_s: int = 30
    ttl_min_s: int = 5
    answers: int = 1
    sticky: Sticky | None = None
    healthy_at_least: Fraction = Fraction(1, 2)
    proxies: str = "fallback"
    all_down: str = "serve_all"
    failback: Failback = Failback()

    def families(self) -> tuple[Family, ...]:
        """Return the families that any member has or may come to have, by their RR types."""
        return tuple(sorted({family for pool in self.pools for family in pool.families()}))

    @property
    def discovers(self) -> bool:
        """Return whether members may come and go while the configuration stays."""
        return any(pool.discover is not None for pool in self.pools)


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many vantages must agree that a member is down: a rule, and its number if it has one.

    `rule` is ``majority``, ``any``, ``all``, ``count`` or ``percent``.  A vantage has a vote until
    it has been silent for `expiry_s`.  While fewer than `min_vantages` have one, the last verdicts
    stay; when that has lasted for `unknown_after_s` (None: never) they are unknown.
    """

    rule: str = "majority"
    number: int = 0
    expiry_s: float = 20.0
    min_vantages: int = 1
    unknown_after_s: float | None = 3600.0


class VoterKind(StrEnum):
    """What stands behind a vantage: a prober alone, or a region's L7 tier with its traffic."""

    PROBER = "prober"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Voter:
    """A vantage that may vote: where it stands, if that is said, and the key of its reports.

    Those of kind proxy vote like others, but never take a member out by themselves.
    """

    name: str
    region: str | None
    key: bytes = field(repr=False)
    kind: VoterKind = VoterKind.PROBER


@dataclass(frozen=True, slots=True)
class SafetyCatch:
    """A change that would withdraw more than `share` of all weight at once waits `for_s`."""

    share: Fraction
    for_s: float


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many answers of a kind a network of clients is sent over UDP.

    `per_second`, and `burst` at once.  Of what is above, 1 in `slip` is answered truncated, the
    rest not at all; 0 is none.  `ipv4` and `ipv6` are the lengths of the prefixes whose clients
    count as one; `exempt` networks are not counted.  `table` is the number of buckets, which is
    rounded up to a power of two.
    """

    per_second: int = 200
    burst: int = 200
    slip: int = 2
    ipv4: int = 24
    ipv6: int = 56
    exempt: tuple[Network, ...] = ()
    table: int = 65_536


@dataclass(frozen=True, slots=True)
class Place:
    """What the databases say of one network; None where they say nothing."""

    location: tuple[float, float] | None = None
    country: str | None = None
    continent: str | None = None
    asn: int | None = None


NOWHERE = Place()

Regions = Mapping[str, Region]
