"""Random routes, places, networks and atlases for property tests, and how to say them naively."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from hypothesis import strategies as st

from gslb.model import (
    NOWHERE,
    Address,
    Fact,
    Fence,
    Latency,
    Listed,
    Nearest,
    Network,
    Order,
    Place,
    Region,
    Weighted,
)
from gslb.routing.route import Client, subnets_of

NAMES = ("ap", "eu", "sa", "uk", "us")
REGIONS = {
    "ap": Region("ap", (1.35, 103.8)),
    "eu": Region("eu", (53.3, -6.3)),
    "sa": Region("sa", (-23.5, -46.6)),
    "uk": Region("uk", (53.3, -6.3)),  # ties with eu for every client
    "us": Region("us", (39.0, -77.5)),
}
BASES = {
    4: [
        "0.0.0.0",
        "10.20.30.40",
        "10.20.31.255",
        "127.255.255.255",
        "128.0.0.0",
        "255.255.255.255",
    ],
    6: [
        "::",
        "::10.20.30.40",
        "::ffff:10.20.30.40",
        "0:0:0:1::",
        "64:ff9b::10.20.30.40",
        "2001:0:abcd::1",
        "2001:db8:0:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:0:1::",
        "2002:102::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
}
BLIND = [ip_network(text) for text in ("::/96", "2002::/16", "2001::/32", "64:ff9b::/96")]
MAPPED = IPv6Network("::ffff:0:0/96")


@st.composite
def networks(draw: st.DrawFn, version: int | None = None) -> Network:
    """Draw networks of few places, so that they nest, touch and repeat."""
    version = version or draw(st.sampled_from([4, 6]))
    base = ip_address(draw(st.sampled_from(BASES[version])))
    length = draw(st.integers(0, base.max_prefixlen))
    return ip_network((int(base), length), strict=False)


locations = st.sampled_from([(51.5, -0.1), (40.7, -74.0), (1.35, 103.8), (-33.9, 151.2)])
countries = st.sampled_from(["DE", "US", "SG", "ZZ"])
continents = st.sampled_from(["EU", "NA", "AS"])
asns = st.sampled_from([64500, 64501])
places = st.builds(
    Place,
    st.none() | locations,
    st.none() | countries,
    st.none() | continents,
    st.none() | asns,
)
names = st.sampled_from(NAMES)


@st.composite
def preferences(draw: st.DrawFn) -> tuple[tuple[str, ...], ...]:
    """Draw a list of regions with ties, of some of the regions."""
    order = draw(st.lists(names, unique=True, max_size=4))
    return tuple(tuple(order[at : at + 2]) for at in range(0, len(order), 2))


@st.composite
def lists(draw: st.DrawFn) -> Listed:
    """Draw a step that lists regions by one fact."""
    fact = draw(st.sampled_from(Fact))
    keys: Mapping[Fact, st.SearchStrategy[Network | str | int]] = {
        Fact.SUBNETS: networks(),
        Fact.COUNTRIES: countries,
        Fact.CONTINENTS: continents,
        Fact.ASNS: asns,
    }
    return Listed(fact, tuple(draw(st.dictionaries(keys[fact], preferences(), max_size=4)).items()))


km = st.sampled_from([0.0, 100.0, 3000.0, 8000.0])
ms = st.sampled_from([1.0, 20.0, 300.0])
latencies = st.dictionaries(
    st.tuples(networks() | countries | asns | st.just("*"), names), ms, max_size=6
).map(lambda found: Latency("rtt.csv", tuple((*key, value) for key, value in found.items())))
nearests = st.builds(
    Nearest, km, st.dictionaries(names, km, max_size=2).map(lambda found: tuple(found.items()))
)
fences = st.lists(lists(), min_size=1, max_size=2).map(lambda found: Fence(tuple(found)))
ranking_steps = (
    st.just(Weighted()) | nearests | st.builds(Order, preferences()) | lists() | latencies
)
steps = ranking_steps | fences
routes = st.lists(steps, max_size=4).map(tuple)
clients = st.builds(Client, places)
known = st.dictionaries(networks().map(str), places, max_size=6)


def plain(network: Network) -> Network:
    """Return *network* as IPv4 if it lies in ::ffff:0:0/96."""
    if network.version == 6 and network.subnet_of(MAPPED):
        start = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((start, network.prefixlen - 96))
    return network


def unmapped(address: Address) -> Address:
    """Return *address* as IPv4 if it lies in ::ffff:0:0/96."""
    return (address.version == 6 and address.ipv4_mapped) or address


def naive_client(steps: Iterable[object], atlas: Mapping[str, Place], address: Address) -> Client:
    """Return what is known of *address*, by looking at every network there is."""
    address = unmapped(address)
    inside = [net for net in map(ip_network, atlas) if address in net]
    place = atlas[str(max(inside, key=lambda net: net.prefixlen))] if inside else NOWHERE
    if any(address in net for net in BLIND):
        place = NOWHERE
    around = {net for net in subnets_of(steps) if address in plain(net)}
    longest_first = sorted(around, key=lambda net: (-plain(net).prefixlen, -net.version))
    return Client(place, tuple(longest_first))


def edges_of(networks: Iterable[Network]) -> list[Address]:
    """Return the first address of each network and the one behind it, as IPv6.

    Nothing that is said by network can change between two of them.
    """
    edges = {0, int(MAPPED.network_address), int(MAPPED.broadcast_address) + 1}
    for net in (*networks, *BLIND):
        base = int(MAPPED.network_address) if net.version == 4 else 0
        edges |= {base + int(net.network_address), base + int(net.broadcast_address) + 1}
    return [ip_address(edge.to_bytes(16, "big")) for edge in sorted(edges) if edge < 1 << 128]
