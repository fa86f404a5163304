"""The geo map: for every address there is, the order of regions its clients get.

The databases are walked whole once and become an `Atlas`: runs of addresses with one
`Place` each.  A route over a set of regions then turns it into a `GeoMap`: places become
orders, and neighbours that get the same order merge.  What is left is small, and the
width of a run around an address is the scope to return (see `gslb.routing.runs`).

Services with the same steps over the same regions share one map; a `MapKey` says which.

Of IPv6, ``::ffff:0:0/96`` is IPv4 written otherwise, and looked up there.  Transition
prefixes say nothing of where a client is, so 2002::/16, 2001::/32 and 64:ff9b::/96 are
nowhere, as is ``::/96``, under which databases keep IPv4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from operator import attrgetter

from gslb.model import NOWHERE, Address, Network, Place, Regions, Service, Step, Weighted
from gslb.routing.route import Client, Rungs, fields_of, prepare, subnets_of
from gslb.routing.runs import Overlay, Runs, from_prefixes, overlay, uniform

MAPPED = IPv6Network("::ffff:0:0/96")
TRANSITION = tuple(
    IPv6Network(text) for text in ("::/96", "2002::/16", "2001::/32", "64:ff9b::/96")
)
BITS = {4: 32, 6: 128}


@dataclass(frozen=True, slots=True)
class Atlas:
    """What the databases say of every address: runs of indexes into `places`, by IP version.

    Place 0 is `NOWHERE`.  `digest` names the databases' contents.
    """

    ipv4: Runs
    ipv6: Runs
    places: Sequence[Place]
    digest: str = ""

    def place_of(self, address: Address) -> Place:
        """Return what is known of *address*."""
        version, number = as_looked_up(address)
        return self.places[(self.ipv4 if version == 4 else self.ipv6).value(number)]


BLANK = Atlas(uniform(32, 0), uniform(128, 0), (NOWHERE,))


@dataclass(frozen=True, slots=True)
class MapKey:
    """What a geo map depends on beside the databases: the steps, and the regions ordered."""

    steps: tuple[Step, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GeoMap:
    """Runs of indexes into `orders`, by IP version.

    `via_ipv4` is the index that stands for IPv4's map in that of IPv6; it is no order, and
    only keeps scopes from reaching across.  None where IPv4 is uniform.  `file` is that of its
    image, for whoever would map it too; None where there is none.
    """

    ipv4: Runs
    ipv6: Runs
    orders: tuple[Rungs, ...]
    via_ipv4: int | None = None
    file: str | None = field(default=None, compare=False)

    def find(self, version: int, address: int) -> tuple[int, int]:
        """Return the index of the order for an address, and the scope for which it holds.

        *version* and *address* are as `as_looked_up` gives them.
        """
        return (self.ipv4 if version == 4 else self.ipv6).find(address)


def map_key(service: Service, names: Iterable[str]) -> MapKey:
    """Return the key of the map that orders the regions *names* for *service*'s clients."""
    steps = tuple(step for step in service.route if not isinstance(step, Weighted))
    return MapKey(steps, tuple(sorted(names)))


def compile_map(key: MapKey, atlas: Atlas, regions: Regions, overlay: Overlay = overlay) -> GeoMap:
    """Return the geo map of *key*: each place of *atlas*, and each subnet of the route, ordered.

    Native code may lend its *overlay*; which place gets which order is decided here.
    """
    route = prepare(key.steps, regions)
    covers, chains = _subnet_layers(key.steps)
    looked_at = _looked_at(key.steps)
    numbers: dict[Rungs, int] = {}
    known: list[dict[object, int]] = [{} for _ in chains]

    # Ordering is what costs, and most places differ only in what no step looks at.
    def order(number: int, cover: int) -> int:
        place = atlas.places[number]
        seen = looked_at(place)
        found = known[cover].get(seen)
        if found is None:
            rungs = route.order_of(key.names, Client(place, chains[cover]))
            found = known[cover][seen] = numbers.setdefault(rungs, len(numbers))
        return found

    ipv4 = overlay(atlas.ipv4, covers[4], order)
    ipv6 = overlay(atlas.ipv6, covers[6], order)
    via_ipv4 = len(numbers) if len(ipv4) > 1 else None
    inside = ipv4.values[0] if via_ipv4 is None else via_ipv4
    mapped = from_prefixes(128, [(int(MAPPED.network_address), 96, 1)])
    ipv6 = overlay(ipv6, mapped, lambda value, is_mapped: inside if is_mapped else value)
    return GeoMap(ipv4, ipv6, tuple(numbers), via_ipv4)


def _looked_at(steps: Sequence[Step]) -> Callable[[Place], object]:
    """Return what gives all of a place that any of *steps* looks at."""
    fields = sorted(set(fields_of(steps)))
    return attrgetter(*fields) if fields else lambda _: None


def _subnet_layers(steps: Sequence[Step]) -> tuple[dict[int, Runs], list[tuple[Network, ...]]]:
    """Return by IP version the runs of indexes into a list of chains of subnets, longest first."""
    chains: list[tuple[Network, ...]] = [()]
    prefixes: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
    around: tuple[Network, ...] = ()
    for subnet in sorted(set(subnets_of(steps)), key=_span):
        version, start, length, _ = _span(subnet)
        while around and not _holds(around[0], version, start):
            around = around[1:]
        around = (subnet, *around)
        prefixes[version].append((start, length, len(chains)))
        chains.append(around)
    return {v: from_prefixes(BITS[v], found) for v, found in prefixes.items()}, chains


def client_of(steps: Sequence[Step], atlas: Atlas, address: Address) -> Client:
    """Return what a route of *steps* knows of *address*: the same as the map was made from."""
    version, number = as_looked_up(address)
    around = [subnet for subnet in set(subnets_of(steps)) if _holds(subnet, version, number)]
    return Client(atlas.place_of(address), tuple(sorted(around, key=_span, reverse=True)))


def _holds(subnet: Network, version: int, number: int) -> bool:
    found, start, length, _ = _span(subnet)
    return found == version and (number ^ start) >> (BITS[version] - length) == 0


def _span(subnet: Network) -> tuple[int, int, int, int]:
    """Return the IP version, start and length under which *subnet* is looked up.

    Sorted by this, a subnet stands behind all that hold it.  The version that it is written
    in tells the same one written in both apart.
    """
    version, start = as_looked_up(subnet.network_address)
    left_out = BITS[subnet.version] - BITS[version]
    return version, start, subnet.prefixlen - left_out, subnet.version


def as_looked_up(address: Address) -> tuple[int, int]:
    """Return the IP version and number under which *address* is looked up."""
    number = int(address)
    if address.version == 6 and number >> 32 == int(MAPPED.network_address) >> 32:
        return 4, number & 0xFFFFFFFF
    return address.version, number


def without_transition(ipv6: Runs) -> Runs:
    """Return *ipv6* with place 0, nowhere, for all that says nothing of where a client is."""
    blind = [(int(net.network_address), net.prefixlen, 1) for net in (*TRANSITION, MAPPED)]
    mask = from_prefixes(128, blind)
    return overlay(ipv6, mask, lambda place, is_blind: 0 if is_blind else place)


def moved(
    old: GeoMap, new: GeoMap, before: Atlas, after: Atlas, overlay: Overlay = overlay
) -> float:
    """Return which part of the addresses that either atlas knows changes its order.

    The larger of the two families' parts; 0 where nothing is known.  Native code may lend its
    *overlay*.
    """
    parts = [0.0]
    for old_runs, new_runs, known_before, known_after in (
        (old.ipv4, new.ipv4, before.ipv4, after.ipv4),
        (old.ipv6, new.ipv6, before.ipv6, after.ipv6),
    ):
        known = overlay(known_before, known_after, lambda one, other: int(one > 0 or other > 0))
        differs = overlay(
            old_runs,
            new_runs,
            lambda one, other: int(_order_at(old, one) != _order_at(new, other)),
        )
        if total := known.addresses(1):
            parts.append(overlay(known, differs, int.__and__).addresses(1) / total)
    return max(parts)


def _order_at(geo_map: GeoMap, index: int) -> Rungs | None:
    return None if index == geo_map.via_ipv4 else geo_map.orders[index]
