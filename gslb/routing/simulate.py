"""The traffic that each member would get from a population of clients: exact shares, no sampling.

Runs of clients laid over the runs of a geo map give the weight of all clients of one
order, and the choice of that order says what part of it each member gets.  So a million
networks cost one walk over the runs, however many clients they are, and the sums are whole
numbers until the last division.

What holds for all of it:

- An IPv4 client climbs the ladder of A where the service has one, else that of AAAA; an IPv6
  client the other way round.  A service of host names has one ladder.
- Where an answer holds several members, a member's share is its share of the first places.
- Sticky clients get the same shares as others, in expectation.
- *dark* is the part that gets no address: all members down and `all_down` not `serve_all`,
  or fenced out of every region.
- *moved* is the expected part of the traffic that another member answers than before.  It is
  worked out client by client, as half the sum of the differences between the members'
  shares (and dark) before and after, and only then summed: two regions that swap their
  clients keep their totals, and yet everyone moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import IPv4Address
from itertools import chain, pairwise

from gslb.dns.message import Query
from gslb.dns.records import AAAA, CNAME, DNAME, IN, A
from gslb.dns.zone import How
from gslb.model import Family, Service
from gslb.routing.answer import LINKS_MAX, answer
from gslb.routing.choice import Choice
from gslb.routing.geo import GeoMap
from gslb.routing.population import Clients, Population
from gslb.routing.runs import overlay
from gslb.routing.snapshot import Entry, Snapshot

_ANYONE = IPv4Address(0)

# A member and the region it serves for, or None: nobody.
_Served = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What becomes of one service's clients: parts of 1 by (region, member), and the dark part.

    `population` is the weight of its clients.  Members that get nothing stand here with 0.
    """

    population: int | float
    shares: Mapping[tuple[str, str], float]
    dark: float

    @property
    def regions(self) -> dict[str, float]:
        """Return the share of each region."""
        return self._summed(0)

    @property
    def members(self) -> dict[str, float]:
        """Return the share of each member; a proxy of several regions has one."""
        return self._summed(1)

    def _summed(self, part: int) -> dict[str, float]:
        out: dict[str, float] = defaultdict(float)
        for key, share in self.shares.items():
            out[key[part]] += share
        return dict(out)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The traffic of each service, by its name as text, and the weight of all clients."""

    population: int | float
    services: Mapping[str, Traffic]

    def as_json(self) -> dict[str, object]:
        """Return the shape that `gslb simulate --json` prints."""
        services = {
            text: {
                "population": traffic.population,
                "regions": traffic.regions,
                "members": traffic.members,
                "dark": traffic.dark,
            }
            for text, traffic in self.services.items()
        }
        return {"population": self.population, "services": services}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two simulations of the same clients, and the part of each service's traffic that moved.

    A service that only one of them has is in that one alone.  `gone` are those that only
    `before` has and whose names no longer get an answer at all: all their traffic moved.
    """

    before: Simulation
    after: Simulation
    moved: Mapping[str, float]
    gone: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the shape that `gslb simulate --against … --json` prints."""
        return {
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "moved": dict(self.moved),
            "gone": list(self.gone),
        }


def simulate(
    snapshot: Snapshot, clients: Clients, only: Collection[bytes] | None = None
) -> Simulation:
    """Return the traffic that the services of *snapshot*, or those named, get from *clients*."""
    weighed = _Weighed()
    services = {}
    for entry in _wanted(snapshot, only):
        population = clients.of(entry.service)
        met = list(weighed.clients((entry,), population))
        services[entry.service.text] = _traffic(entry.service, population, met, 0)
    return Simulation(clients.everyone.size, services)


def compare(
    before: Snapshot, after: Snapshot, clients: Clients, only: Collection[bytes] | None = None
) -> Comparison:
    """Return the traffic of the same *clients* in two snapshots, and what moved between them."""
    weighed = _Weighed()
    was, becomes, moved, gone = {}, {}, {}, []
    new = {entry.service.name: entry for entry in _wanted(after, only)}
    for old in _wanted(before, only):
        service, population = old.service, clients.of(old.service)
        entries = (old, new[service.name]) if service.name in new else (old,)
        met = list(weighed.clients(entries, population))
        was[service.text] = _traffic(service, population, met, 0)
        if len(entries) == 2:
            becomes[service.text] = _traffic(entries[1].service, population, met, 1)
            moved[service.text] = _moved(population, met)
        elif not _is_answered(after, service):
            moved[service.text] = 1.0
            gone.append(service.text)
    for entry in new.values():
        if entry.service.text not in becomes:
            population = clients.of(entry.service)
            met = list(weighed.clients((entry,), population))
            becomes[entry.service.text] = _traffic(entry.service, population, met, 0)
    size = clients.everyone.size
    return Comparison(Simulation(size, was), Simulation(size, becomes), moved, tuple(gone))


def service_of(snapshot: Snapshot, qname: bytes) -> bytes | None:
    """Return the wire name of the service that *qname* comes to; wildcards and aliases count."""
    for _ in range(LINKS_MAX + 1):
        apex = snapshot.zone_of(qname)
        zone = None if apex is None else snapshot.plan.zones.get(apex)
        if zone is None:
            return None
        found = zone.find(qname)
        if found.how is How.DNAME:
            target = found.node.rrsets[DNAME].rdatas[0].whole.lower()
            qname = qname[: len(qname) - len(found.owner)] + target
        elif found.how not in (How.EXACT, How.WILDCARD):
            return None
        elif found.node.service:
            return found.owner
        elif alias := found.node.rrsets.get(CNAME):
            qname = alias.rdatas[0].whole.lower()
        else:
            return None
    return None


def _is_answered(snapshot: Snapshot, service: Service) -> bool:
    queries = (Query(0, 0, b"", service.name, type_, IN) for type_ in (A, AAAA))
    return any(answer(snapshot, query, _ANYONE, 0, 0.0).answer for query in queries)


def _wanted(snapshot: Snapshot, only: Collection[bytes] | None) -> list[Entry]:
    return [e for key, e in snapshot.entries.items() if only is None or key in only]


# The choices of some clients, one for each snapshot (None: no ladder), and those clients' weight.
_Met = tuple[tuple[Choice | None, ...], int]


@dataclass(slots=True)
class _Weighed:
    """The weight of the clients of each order; services that share a geo map share the walk."""

    known: dict[tuple[int, ...], Mapping[tuple[int, ...], int]] = field(default_factory=dict)

    def clients(self, entries: tuple[Entry, ...], population: Population) -> Iterator[_Met]:
        """Yield what clients meet of one service in some snapshots, with their weight."""
        for version in (4, 6):
            families = [_family(entry, version) for entry in entries]
            maps = [e.maps[f] for e, f in zip(entries, families, strict=True) if f is not None]
            for indexes, weight in self._weights(population, version, maps).items():
                left = iter(indexes)
                choices = tuple(
                    None if family is None else entry.choices[family][next(left)]
                    for entry, family in zip(entries, families, strict=True)
                )
                yield choices, weight

    def _weights(
        self, population: Population, version: int, maps: list[GeoMap]
    ) -> Mapping[tuple[int, ...], int]:
        key = (id(population), version, *map(id, maps))
        if key not in self.known:
            self.known[key] = _weights(population, version, maps)
        return self.known[key]


def _weights(
    population: Population, version: int, maps: list[GeoMap]
) -> Mapping[tuple[int, ...], int]:
    """Return the weight of the clients for each tuple of orders, one order of each map."""
    runs = population.ipv4 if version == 4 else population.ipv6
    met: list[tuple[int, ...]] = [(number,) for number in range(len(population.densities))]
    for geo_map in maps:
        joined: list[tuple[int, ...]] = []

        def join(
            one: int,
            index: int,
            met: list[tuple[int, ...]] = met,
            joined: list[tuple[int, ...]] = joined,
        ) -> int:
            joined.append((*met[one], index))
            return len(joined) - 1

        runs = overlay(runs, geo_map.ipv4 if version == 4 else geo_map.ipv6, join)
        met = joined
    addresses = [0] * len(met)
    for (start, number), (end, _) in pairwise(chain(runs, [(1 << runs.bits, 0)])):
        addresses[number] += end - start
    weights: dict[tuple[int, ...], int] = defaultdict(int)
    for (number, *indexes), count in zip(met, addresses, strict=True):
        # IPv4's place in the map of IPv6 is no order; but no IPv6 client has weight there.
        if density := population.densities[number]:
            weights[tuple(indexes)] += density * count
    return weights


def _family(entry: Entry, version: int) -> Family | None:
    """Return the family whose ladder clients of an IP version climb; None if there is none."""
    for family in (Family.CNAME, *_LADDERS[version]):
        if family in entry.choices:
            return family
    return None


_LADDERS = {4: (Family.A, Family.AAAA), 6: (Family.AAAA, Family.A)}


def _shares(choice: Choice | None) -> dict[_Served, Fraction]:
    """Return what part each member is given of the traffic of one choice's clients."""
    if choice is None or not choice.rdatas:
        return {None: Fraction(1)}
    shares: dict[_Served, Fraction] = defaultdict(Fraction)
    ends = zip(choice.climb.candidates, (0, *choice.upto), choice.upto, strict=False)
    for candidate, begin, end in ends:
        key = (candidate.region, str(candidate.member.address))
        shares[key] += Fraction(end - begin, choice.upto[-1])
    return shares


def _traffic(service: Service, population: Population, met: Iterable[_Met], at: int) -> Traffic:
    sums: dict[_Served, Fraction] = {
        (pool.region, str(member.address)): Fraction(0)
        for pool in service.pools
        for member in pool.members
    }
    for choices, weight in met:
        for key, share in _shares(choices[at]).items():
            sums[key] = sums.get(key, Fraction(0)) + share * weight
    whole = population.total or 1
    dark = sums.pop(None, Fraction(0))
    shares = {key: float(part / whole) for key, part in sums.items() if key is not None}
    return Traffic(population.size, shares, float(dark / whole))


def _moved(population: Population, met: Iterable[_Met]) -> float:
    moved = Fraction(0)
    for (one, other), weight in met:
        before, after = _by_member(one), _by_member(other)
        parts = (before[m] - after[m] for m in before.keys() | after.keys())
        moved += Fraction(sum(map(abs, parts))) * weight / 2
    return float(moved / (population.total or 1))


def _by_member(choice: Choice | None) -> defaultdict[str | None, Fraction]:
    """Return what part each member is given, None standing for no answer."""
    out: defaultdict[str | None, Fraction] = defaultdict(Fraction)
    for served, share in _shares(choice).items():
        out[None if served is None else served[1]] += share
    return out
