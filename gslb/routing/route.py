"""From a route's steps to the order of regions that one client gets.

A route is a list of sort keys.  All regions start on one rung; each step splits every
rung into finer ones, so earlier steps dominate.  Fences are applied before all other steps
wherever they stand, and drop what they do not list.

An order knows nothing of health, weights or addresses: it holds until a file changes,
which is why it can be worked out beforehand for every network there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import groupby
from math import asin, cos, dist, inf, radians, sin

from gslb.model import (
    Fact,
    Fence,
    Latency,
    Listed,
    Nearest,
    Network,
    Order,
    Place,
    Preference,
    Regions,
    Step,
)
from gslb.routing.centroids import CENTRES

EARTH_RADIUS_KM = 6371.0
_DIAMETER_KM = 2 * EARTH_RADIUS_KM

# An order: rungs of regions that tie, nearest rung first.
Rungs = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of a client: what the databases say, and the route's subnets around it.

    `subnets` are those that any of the route's lists name, longest first.
    """

    place: Place
    subnets: tuple[Network, ...] = ()

    @property
    def location(self) -> tuple[float, float] | None:
        """Return where the client is in degrees; its country's centre stands in."""
        if self.place.location is not None:
            return self.place.location
        return CENTRES.get(self.place.country) if self.place.country else None


@dataclass(frozen=True, slots=True)
class Lookup:
    """A route's lists by their keys, and which of them matches a client."""

    fact: Fact
    lists: Mapping[Network | str | int, Preference]

    @classmethod
    def of(cls, listed: Listed) -> Lookup:
        """Return the look-up of a step's lists."""
        return cls(listed.fact, dict(listed.lists))

    def match(self, client: Client) -> tuple[Network | str | int, Preference] | None:
        """Return the key and list that match *client*; None if none does or nothing is known."""
        if self.fact is Fact.SUBNETS:
            known = next((subnet for subnet in client.subnets if subnet in self.lists), None)
            return None if known is None else (known, self.lists[known])
        key = fact_of(self.fact, client.place)
        if key is None or key not in self.lists:
            return None
        return key, self.lists[key]


# A location as a point of the unit sphere; between two of them, a chord is quick to measure.
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Targets:
    """Regions to measure to: where they are, and their bias in km."""

    points: Mapping[str, Point]
    bias_km: Mapping[str, float]

    @classmethod
    def of(cls, step: Nearest, regions: Regions) -> Targets:
        """Return those of the *regions* that have a location."""
        located = ((name, region.location) for name, region in regions.items())
        points = {name: _point(where) for name, where in located if where is not None}
        return cls(points, dict(step.bias_km))


Measured = Mapping[Network | str | int, Mapping[str, float]]  # by client key, then region
Table = Lookup | tuple[Lookup, ...] | Measured | Targets | None


@dataclass(frozen=True, slots=True)
class Route:
    """A route's steps in order of effect, each with its lists made ready to look things up in."""

    steps: tuple[tuple[Step, Table], ...]
    regions: Regions

    def order_of(self, names: Iterable[str], client: Client) -> Rungs:
        """Return the rungs of the regions *names* that *client* gets."""
        # Not by way of `walk`: this is asked for each place of a database.
        rungs = _everyone(names)
        for step, table in self.steps:
            rungs = self._finer(step, table, rungs, client)
        return rungs

    def walk(
        self, names: Iterable[str], client: Client
    ) -> Iterator[tuple[Step | None, Table, Rungs]]:
        """Yield the rungs before any step (a step of None), then after each step."""
        rungs = _everyone(names)
        yield None, None, rungs
        for step, table in self.steps:
            rungs = self._finer(step, table, rungs, client)
            yield step, table, rungs

    def _finer(self, step: Step, table: Table, rungs: Rungs, client: Client) -> Rungs:
        finer: list[tuple[str, ...]] = []
        for rung in rungs:
            finer += [tuple(part) for part in self.split(step, table, rung, client) if part]
        return tuple(finer)

    def split(
        self, step: Step, table: Table, rung: Sequence[str], client: Client
    ) -> Iterable[Sequence[str]]:
        """Return the finer rungs that one step makes of one rung; a fence may drop regions."""
        match step, table:
            case Nearest(), Targets() as targets:
                return _by_distance(step, targets, rung, client)
            case Order(wanted), _:
                return _by_preference(wanted, rung)
            case Listed(), Lookup() as lookup:
                matched = lookup.match(client)
                return [rung] if matched is None else _by_preference(matched[1], rung)
            case Latency(), Mapping() as measured:
                ms = measured_ms(measured, rung, client)
                return _by_key(rung, lambda region: ms.get(region, float("inf")))
            case Fence(), tuple() as lookups:
                return [[name for name in rung if is_inside(lookups, name, client)]]
            case _:
                return [rung]


def prepare(steps: Sequence[Step], regions: Regions) -> Route:
    """Return the route of *steps* over *regions*, fences first."""
    in_order = sorted(steps, key=lambda step: not isinstance(step, Fence))
    return Route(tuple((step, _table(step, regions)) for step in in_order), regions)


def _everyone(names: Iterable[str]) -> Rungs:
    everyone = tuple(sorted(names))
    return (everyone,) if everyone else ()


def _table(step: Step, regions: Regions) -> Table:
    match step:
        case Nearest():
            return Targets.of(step, regions)
        case Listed():
            return Lookup.of(step)
        case Fence(lists):
            return tuple(Lookup.of(listed) for listed in lists)
        case Latency(_, measured):
            by_key: dict[Network | str | int, dict[str, float]] = {}
            for key, region, ms in measured:
                by_key.setdefault(key, {})[region] = ms
            return by_key
        case _:
            return None


def _by_key(rung: Sequence[str], key: Callable[[str], float]) -> list[list[str]]:
    ordered = sorted(rung, key=lambda region: (key(region), region))
    return [list(tied) for _, tied in groupby(ordered, key=key)]


def _by_preference(wanted: Preference, rung: Sequence[str]) -> list[list[str]]:
    places = {region: place for place, tied in enumerate(wanted) for region in tied}
    return _by_key(rung, lambda region: places.get(region, len(wanted)))


def _by_distance(
    step: Nearest, targets: Targets, rung: Sequence[str], client: Client
) -> list[list[str]]:
    here = client.location
    if here is None:
        return [list(rung)]
    within_km = step.within_km
    out: list[list[str]] = []
    best = -inf
    for km, region in _distances_km(targets, rung, here):
        if km > best + within_km:
            best = km
            out.append([region])
        else:
            out[-1].append(region)
    # Those that tie stand as they came: by distance, which does not count among them.
    return [sorted(tied) for tied in out] if within_km else out


def _distances_km(
    targets: Targets, names: Iterable[str], here: tuple[float, float]
) -> list[tuple[float, str]]:
    """Return how far each region is from *here* less its bias, and its name, nearest first."""
    points, start = targets.points, _point(here)
    away = [(_km(start, points[name]), name) for name in names]
    if bias_km := targets.bias_km:
        away = [(km - bias_km.get(name, 0.0), name) for km, name in away]
    away.sort()
    return away


def distances_km(
    step: Nearest, rung: Iterable[str], client: Client, regions: Regions
) -> dict[str, float] | None:
    """Return each region's distance from the client less its bias; None for a client nowhere."""
    here = client.location
    if here is None:
        return None
    return {name: km for km, name in _distances_km(Targets.of(step, regions), rung, here)}


def great_circle_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance in km between two (latitude, longitude) in degrees on a sphere."""
    return _km(_point(one), _point(other))


def _point(location: tuple[float, float]) -> Point:
    latitude, longitude = radians(location[0]), radians(location[1])
    from_axis = cos(latitude)
    return from_axis * cos(longitude), from_axis * sin(longitude), sin(latitude)


def _km(one: Point, other: Point) -> float:
    half = dist(one, other) / 2
    return _DIAMETER_KM * (asin(half if half < 1 else 1.0))  # rounding can pass the far side


def fact_of(fact: Fact, place: Place) -> str | int | None:
    """Return what the databases say of *place* in the matter of *fact*."""
    match fact:
        case Fact.COUNTRIES:
            return place.country
        case Fact.CONTINENTS:
            return place.continent
        case Fact.ASNS:
            return place.asn
        case _:  # subnets are the route's own, and in no database
            return None


def is_inside(lookups: Iterable[Lookup], region: str, client: Client) -> bool:
    """Return whether a fence lets *client* have *region*; all its lists must hold."""
    for lookup in lookups:
        matched = lookup.match(client)
        if matched is not None and not any(region in tied for tied in matched[1]):
            return False
    return True


def measured_ms(measured: Measured, rung: Iterable[str], client: Client) -> dict[str, float]:
    """Return the milliseconds from *client* to each region of *rung* that something measures.

    For each region the most specific key counts: the longest subnet, the country, the ASN, ``*``.
    """
    place = client.place
    found: dict[str, float] = {}
    for key in ("*", place.asn, place.country, *reversed(client.subnets)):
        if key is not None:
            found.update(measured.get(key, {}))
    return {region: found[region] for region in rung if region in found}


def fields_of(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the fields of a `Place` that a list of *steps* looks at; some more than once."""
    for step in steps:
        match step:
            case Nearest():
                yield from ("location", "country")  # a country's centre may stand in
            case Listed(Fact.COUNTRIES):
                yield "country"
            case Listed(Fact.CONTINENTS):
                yield "continent"
            case Listed(Fact.ASNS):
                yield "asn"
            case Latency():
                yield from ("country", "asn")
            case Fence(lists):
                yield from fields_of(lists)
            case _:
                pass


def subnets_of(steps: Iterable[Step]) -> Iterator[Network]:
    """Yield every network that a list of *steps* is keyed by."""
    for step in steps:
        match step:
            case Listed(Fact.SUBNETS, lists):
                yield from (key for key, _ in lists if isinstance(key, IPv4Network | IPv6Network))
            case Latency(_, measured):
                yield from (
                    key for key, _, _ in measured if isinstance(key, IPv4Network | IPv6Network)
                )
            case Fence(lists):
                yield from subnets_of(lists)
            case _:
                pass
