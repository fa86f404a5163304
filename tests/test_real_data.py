"""Real databases, by real dig: GSLB_REAL_MMDB names a folder with MaxMind's public test files.

Without it these tests are skipped.  The files are GeoLite2-City-Test.mmdb and its likes from
MaxMind's repository MaxMind-DB, folder test-data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import maxminddb
import pytest

from tests.peers import dig
from tests.running import At, addresses, scope, service, serving, written

Network = IPv4Network | IPv6Network

PLACES = {
    "us-west": (37.35, -121.96),
    "us-east": (39.04, -77.49),
    "eu-west": (53.34, -6.26),
    "eu-north": (59.33, 18.06),
    "ap-east": (35.68, 139.69),
    "ap-south": (1.35, 103.82),
}
REGIONS = {region: {"location": list(place)} for region, place in PLACES.items()}
IPV4 = {region: f"192.0.2.{number}" for number, region in enumerate(PLACES, 1)}
IPV6 = {region: f"2001:db8::{number}" for number, region in enumerate(PLACES, 1)}
POOLS = {region: [IPV4[region], IPV6[region]] for region in PLACES}
# Where addresses say nothing of a place (6to4, Teredo, NAT64, and IPv4 in IPv6's clothes).
BLIND = [ip_network(text) for text in ("::/96", "2002::/16", "2001::/32", "64:ff9b::/96")]

TABLE = {
    "81.2.69.160/27": "eu-west",  # London
    "216.160.83.56/29": "us-west",  # Milton, in the state of Washington
    "89.160.20.112/28": "eu-north",  # Linköping
    "175.16.199.0/24": "ap-east",  # Changchun
    "2001:218::/32": "ap-east",  # Japan
    "202.196.224.0/20": "ap-south",  # the Philippines
}


def real(name: str) -> Path:
    folder = os.environ.get("GSLB_REAL_MMDB")
    if folder is None:
        pytest.skip("GSLB_REAL_MMDB names no folder with GeoLite2-City-Test.mmdb and its likes")
    return Path(folder).absolute() / f"GeoLite2-{name}-Test.mmdb"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[At]:
    """Give a node that knows places to the degree."""
    services = {"www": service(pools=POOLS, monitor=None, route="nearest")}
    yield from _node(tmp_path_factory, services, {"database": str(real("City"))})


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[At]:
    """Give a node that knows countries, and systems."""
    services = {
        "www": service(pools=POOLS, monitor=None, route="nearest"),
        "asn": service(
            pools=POOLS,
            monitor=None,
            route=[{"asns": {1221: ["ap-south"], "AS7018": ["us-east"]}}, "nearest"],
        ),
    }
    databases = {"database": str(real("Country")), "asn_database": str(real("ASN"))}
    yield from _node(tmp_path_factory, services, databases)


def _node(
    factory: pytest.TempPathFactory, services: dict[str, object], geo: dict[str, object]
) -> Iterator[At]:
    path = written(factory.mktemp("real"), services, geo=geo, regions=REGIONS, monitors={})
    with serving(path) as at:
        yield at


@pytest.mark.parametrize(("client", "region"), TABLE.items())
async def test_a_known_network_gets_its_nearest_region_and_the_scope_of_that(city, client, region):
    qtype = "AAAA" if ":" in client else "A"
    dug = await dig(city.dns, "www.example.com", qtype, f"+subnet={client}")

    assert dug.addresses == {(IPV6 if qtype == "AAAA" else IPV4)[region]}
    assert dug.scope == _widest(Orders.of(real("City")), ip_network(client))


async def test_a_network_known_in_part_gets_a_scope_that_spares_its_neighbours(city):
    whole = await dig(city.dns, "www.example.com", "+subnet=81.2.69.0/24")
    london = await dig(city.dns, "www.example.com", "+subnet=81.2.69.160/27")

    assert whole.scope > 24
    assert london.scope > 24
    # Nobody knows where its first address is; London's answer is not for it.
    assert whole.addresses == set(IPV4.values())
    assert london.addresses == {IPV4["eu-west"]}


async def test_every_network_of_the_database_gets_its_nearest_region_and_widest_scope(city):
    orders = Orders.of(real("City"))
    assert len(orders.known) > 100
    for network, order in orders.known.items():
        rdtype, pool = ("A", IPV4) if network.version == 4 else ("AAAA", IPV6)
        response = await city.ask("www.example.com", rdtype, subnet=str(network))

        assert addresses(response) == {pool[order[0]]}, network
        assert scope(response) == _widest(orders, network), network


@pytest.mark.parametrize(
    ("client", "region"),
    [
        ("81.2.69.160/27", "eu-west"),
        ("89.160.20.112/28", "eu-north"),
        ("2001:218::/32", "ap-east"),
        ("202.196.224.0/20", "ap-south"),
    ],
)
async def test_a_database_without_places_is_enough_to_tell_countries_apart(country, client, region):
    qtype = "AAAA" if ":" in client else "A"
    dug = await dig(country.dns, "www.example.com", qtype, f"+subnet={client}")

    assert dug.addresses == {(IPV6 if qtype == "AAAA" else IPV4)[region]}
    assert 0 < dug.scope <= ip_network(client).prefixlen


async def test_a_network_is_told_by_its_system(country):
    telstra = await dig(country.dns, "asn.example.com", "+subnet=1.128.0.0/24")
    att = await dig(country.dns, "asn.example.com", "+subnet=12.81.92.0/24")
    other = await dig(country.dns, "asn.example.com", "+subnet=81.2.69.160/27")
    explained = await dig(country.dns, "CH", "TXT", "asn.example.com", "+subnet=1.128.0.0/24")

    assert telstra.addresses == {IPV4["ap-south"]}
    assert 8 < telstra.scope <= 11
    assert att.addresses == {IPV4["us-east"]}
    assert other.addresses == {IPV4["eu-west"]}
    assert "AS1221" in explained.text


# What it should be, said as plainly as can be


@dataclass(frozen=True)
class Orders:
    """The regions from near to far for each network that the database knows."""

    known: dict[Network, tuple[str, ...]]

    @classmethod
    def of(cls, path: Path) -> Orders:
        with maxminddb.open_database(path) as reader:
            places = {network: record["location"] for network, record in reader}
        return cls(
            {
                network: _nearest_first(place["latitude"], place["longitude"])
                for network, place in places.items()
                if not any(network.version == b.version and network.overlaps(b) for b in BLIND)
            }
        )


def _nearest_first(latitude: float, longitude: float) -> tuple[str, ...]:
    return tuple(sorted(PLACES, key=lambda region: _km((latitude, longitude), PLACES[region])))


def _km(one: tuple[float, float], other: tuple[float, float]) -> float:
    (a, b), (c, d) = (map(math.radians, place) for place in (one, other))
    cosine = math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d)
    return 6371.0 * math.acos(min(1.0, max(-1.0, cosine)))


def _widest(orders: Orders, network: Network) -> int:
    """Return the length of the widest prefix around *network* whose clients all get its order."""
    wanted = orders.known[network]
    same = [net for net, order in orders.known.items() if order == wanted]
    length = network.prefixlen
    while length and _covers(same, network.supernet(new_prefix=length - 1)):
        length -= 1
    return length


def _covers(networks: Iterable[Network], whole: Network) -> bool:
    inside = [net for net in networks if net.version == whole.version and net.subnet_of(whole)]
    return sum(net.num_addresses for net in inside) == whole.num_addresses
