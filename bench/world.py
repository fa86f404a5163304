"""A made-up world of networks with places, the same for the same seed and size.

The address space is walked from its start, network after network, each somewhere near the
last: so countries come in runs, as they do in real databases, and neighbours often differ.
Prefix lengths are mixed as in a city database: IPv4 from /16 to /28 with most of the mass
around /24, IPv6 from /32 to /48.

    python -m bench.world PATH NETWORKS
"""

from __future__ import annotations

import gc
import random
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import accumulate
from pathlib import Path

from bench.mmdbwriter import Network, write

SEED = 20_260_131
BUILD_EPOCH = 1_767_225_600  # 2026-01-01
IPV6_PART = 0.25
NETWORKS_PER_RECORD = 10
STAYS_IN_THE_COUNTRY = 0.9

IPV4_LENGTHS = range(16, 29)
IPV4_WEIGHTS = (1, 1, 2, 3, 6, 9, 14, 20, 40, 12, 10, 8, 6)
IPV6_LENGTHS = range(32, 49)
IPV6_WEIGHTS = (30, 2, 2, 2, 6, 2, 2, 2, 14, 2, 2, 2, 10, 2, 2, 2, 40)

# Where the networks begin: space that every reader takes for ordinary unicast.
IPV4_START = 1 << 24
IPV4_END = 223 << 24
IPV6_START = 0x2400 << 112

COUNTRIES = (
    *(("NA", "US", 40.7, -74.0), ("NA", "US", 34.1, -118.2), ("NA", "US", 41.9, -87.6)),
    *(("NA", "CA", 43.7, -79.4), ("NA", "MX", 19.4, -99.1), ("SA", "BR", -23.6, -46.6)),
    *(("SA", "AR", -34.6, -58.4), ("SA", "CL", -33.5, -70.7), ("EU", "GB", 51.5, -0.1)),
    *(("EU", "DE", 50.1, 8.7), ("EU", "FR", 48.9, 2.4), ("EU", "NL", 52.4, 4.9)),
    *(("EU", "ES", 40.4, -3.7), ("EU", "IT", 45.5, 9.2), ("EU", "PL", 52.2, 21.0)),
    *(("EU", "SE", 59.3, 18.1), ("AF", "ZA", -26.2, 28.0), ("AF", "NG", 6.5, 3.4)),
    *(("AF", "EG", 30.0, 31.2), ("AS", "IN", 19.1, 72.9), ("AS", "CN", 31.2, 121.5)),
    *(("AS", "JP", 35.7, 139.7), ("AS", "KR", 37.6, 127.0), ("AS", "SG", 1.4, 103.8)),
    *(("AS", "ID", -6.2, 106.8), ("OC", "AU", -33.9, 151.2), ("OC", "NZ", -36.9, 174.8)),
)


@dataclass(frozen=True, slots=True)
class World:
    """Where each network of a database lies."""

    networks: Sequence[tuple[Network, dict[str, object]]]

    def clients(self, count: int, seed: int) -> list[IPv4Network]:
        """Return *count* client subnets of /24, spread over the database's IPv4 networks."""
        chance = random.Random(seed)
        ipv4 = [network for network, _ in self.networks if isinstance(network, IPv4Network)]
        found = []
        for network in chance.choices(ipv4, k=count):
            address = int(network.network_address) + chance.randrange(network.num_addresses)
            found.append(IPv4Network((address & ~0xFF, 24)))
        return found


def make(count: int, seed: int = SEED) -> World:
    """Make a world of *count* networks; one record for every ten of them."""
    chance = random.Random(seed)
    records = _records(chance, max(1, count // NETWORKS_PER_RECORD))
    by_country = sorted(range(len(records)), key=lambda n: str(records[n]["country"]))
    ipv6 = int(count * IPV6_PART)
    prefixes: tuple[Network, ...] = (*_ipv4(chance, count - ipv6), *_ipv6(chance, ipv6))
    networks: list[tuple[Network, dict[str, object]]] = []
    place = 0
    for prefix in prefixes:
        if chance.random() < STAYS_IN_THE_COUNTRY:
            place = (place + chance.randrange(-3, 4)) % len(by_country)
        else:
            place = chance.randrange(len(by_country))
        networks.append((prefix, records[by_country[place]]))
    return World(networks)


def save(world: World, path: Path) -> None:
    """Write *world* as a city database."""
    write(
        path,
        world.networks,
        database_type="GeoLite2-City",
        description="A made-up world for benchmarks",
        build_epoch=BUILD_EPOCH,
        record_size=28,
        aliases=True,
    )


def _records(chance: random.Random, count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number in range(count):
        continent, country, latitude, longitude = chance.choice(COUNTRIES)
        found.append(
            {
                "city": {"geoname_id": 1_000_000 + number, "names": {"en": f"Town {number}"}},
                "continent": {"code": continent},
                "country": {"iso_code": country},
                "location": {
                    "accuracy_radius": 20,
                    "latitude": round(latitude + chance.gauss(0, 3), 4),
                    "longitude": round(longitude + chance.gauss(0, 3), 4),
                },
                "registered_country": {"iso_code": country},
            }
        )
    return found


def _ipv4(chance: random.Random, count: int) -> Iterator[IPv4Network]:
    for address, length in _walk(
        chance, count, bits=32, lengths=IPV4_LENGTHS, weights=IPV4_WEIGHTS, address=IPV4_START
    ):
        assert address < IPV4_END, f"{count} networks do not fit the IPv4 space"
        yield IPv4Network((address, length))


def _ipv6(chance: random.Random, count: int) -> Iterator[IPv6Network]:
    for address, length in _walk(
        chance, count, bits=128, lengths=IPV6_LENGTHS, weights=IPV6_WEIGHTS, address=IPV6_START
    ):
        yield IPv6Network((address, length))


def _walk(
    chance: random.Random,
    count: int,
    *,
    bits: int,
    lengths: Sequence[int],
    weights: Sequence[int],
    address: int,
) -> Iterator[tuple[int, int]]:
    upto = list(accumulate(weights))
    for _ in range(count):
        length = lengths[bisect_right(upto, chance.randrange(upto[-1]))]
        size = 1 << (bits - length)
        address = -(-address // size) * size
        yield address, length
        address += size


if __name__ == "__main__":
    # Millions of values and no cycles: looking for some would take half of the time.
    gc.disable()
    save(make(int(sys.argv[2])), Path(sys.argv[1]))
