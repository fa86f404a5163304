"""The clients of a simulation: weight spread over the address space, in runs.

Each network's weight is spread evenly over its addresses, so that a network wider than
the runs of a geo map is divided among them as its addresses are.  Densities are whole
numbers in one common measure: sums and shares lose nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_network
from math import lcm

from gslb.model import Network, Service
from gslb.routing.geo import BITS, MAPPED, Atlas
from gslb.routing.runs import Runs, from_prefixes

_EVERY_IPV4 = ip_network("0.0.0.0/0")
_WHOLE_BITS = 128  # a weight of 1 is this power of two, so that a share of it is a whole number
_MAPPED = (int(MAPPED.network_address), MAPPED.prefixlen)


@dataclass(frozen=True, slots=True)
class Population:
    """Clients as weight for each address: runs of indexes into `densities`, by IP version.

    A density is in units of 2^-128 / `scale`, and `total` the sum over all addresses in
    those.  Index 0 is no weight at all.
    """

    ipv4: Runs
    ipv6: Runs
    densities: tuple[int, ...]
    total: int
    scale: int = 1

    @classmethod
    def of(cls, clients: Iterable[tuple[Network, int | Fraction]]) -> Population:
        """Return the population of (network, weight); a weight is spread over its addresses.

        Weights must not be negative.  Networks may overlap: then their weights add up.
        IPv4 written as IPv6 counts as IPv4.
        """
        listed = list(clients)
        scale = lcm(*{weight.denominator for _, weight in listed})
        own: dict[int, dict[tuple[int, int], int]] = {4: defaultdict(int), 6: defaultdict(int)}
        total = 0
        for network, weight in listed:
            scaled = weight.numerator * (scale // weight.denominator)
            total += scaled << _WHOLE_BITS
            _spread(own, network, scaled)
        numbers = {0: 0}
        ipv4, ipv6 = (_nested(BITS[version], own[version], numbers) for version in (4, 6))
        return cls(ipv4, ipv6, tuple(numbers), total, scale)

    @classmethod
    def of_atlas(cls, atlas: Atlas) -> Population:
        """Return every network that *atlas* knows: IPv4 by addresses, IPv6 by /48s.

        Where it knows none, every IPv4 address.
        """
        ipv4 = atlas.ipv4.map(lambda place: 1 if place else 0)
        ipv6 = atlas.ipv6.map(lambda place: 2 if place else 0)
        densities = (0, 1 << _WHOLE_BITS, 1 << 48)
        total = (ipv4.addresses(1) << _WHOLE_BITS) + (ipv6.addresses(2) << 48)
        if not total:
            return cls.of([(_EVERY_IPV4, _EVERY_IPV4.num_addresses)])
        return cls(ipv4, ipv6, densities, total)

    @property
    def size(self) -> int | float:
        """Return the sum of all weights; whole where it is a whole number."""
        size = Fraction(self.total, self.scale << _WHOLE_BITS)
        return size.numerator if size.denominator == 1 else float(size)


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of all services: `own`, by a service's wire name, where it has its own."""

    everyone: Population
    own: Mapping[bytes, Population] = field(default_factory=dict)

    def of(self, service: Service) -> Population:
        """Return the clients of *service*."""
        return self.own.get(service.name, self.everyone)


def _spread(own: dict[int, dict[tuple[int, int], int]], network: Network, scaled: int) -> None:
    """Add a weight to the densities of the prefixes that *network* comes down to."""
    start, length = int(network.network_address), network.prefixlen
    if network.version == 4:
        own[4][start, length] += scaled << (96 + length)
    elif length >= MAPPED.prefixlen and network.network_address in MAPPED:
        own[4][start & 0xFFFFFFFF, length - 96] += scaled << length
    else:
        own[6][start, length] += scaled << length
        if MAPPED.network_address in network:
            own[4][0, 0] += scaled << length
            own[6][_MAPPED] -= scaled << length


def _nested(bits: int, own: Mapping[tuple[int, int], int], numbers: dict[int, int]) -> Runs:
    """Return the runs of nested prefixes, each with its own density and all those around it."""
    prefixes = []
    around: list[tuple[int, int]] = []  # (end, density) of the prefixes that we are inside of
    for (start, length), density in sorted(own.items()):
        while around and around[-1][0] <= start:
            around.pop()
        whole = density + (around[-1][1] if around else 0)
        around.append((start + (1 << (bits - length)), whole))
        prefixes.append((start, length, numbers.setdefault(whole, len(numbers))))
    return from_prefixes(bits, prefixes)
