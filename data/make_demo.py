"""Make data/demo.mmdb and data/demo-asn.mmdb: a small invented world to try gslb in.

It holds only addresses that mean nothing in the world outside: loopback, private and shared
space, and the networks set aside for documentation (RFC 1918, 3849, 5737, 6598).  Which
network lies where is invented; the towns are real.  The records are laid out like those of
the usual city and ASN databases.

The files are in the repository; to make them anew, from its root:

    python -m data.make_demo
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from bench.mmdbwriter import Network, encode

FOLDER = Path(__file__).parent
BUILD_EPOCH = 1_767_225_600  # 2026-01-01, so that the same bytes come out any day

TOWNS: dict[str, tuple[str, str, str, float, float]] = {
    "New York": ("NA", "US", "United States", 40.7, -74.0),
    "San Francisco": ("NA", "US", "United States", 37.8, -122.4),
    "Toronto": ("NA", "CA", "Canada", 43.7, -79.4),
    "São Paulo": ("SA", "BR", "Brazil", -23.6, -46.6),
    "Dublin": ("EU", "IE", "Ireland", 53.3, -6.3),
    "London": ("EU", "GB", "United Kingdom", 51.5, -0.1),
    "Frankfurt": ("EU", "DE", "Germany", 50.1, 8.7),
    "Paris": ("EU", "FR", "France", 48.9, 2.4),
    "Lagos": ("AF", "NG", "Nigeria", 6.5, 3.4),
    "Johannesburg": ("AF", "ZA", "South Africa", -26.2, 28.0),
    "Singapore": ("AS", "SG", "Singapore", 1.4, 103.8),
    "Tokyo": ("AS", "JP", "Japan", 35.7, 139.7),
    "Mumbai": ("AS", "IN", "India", 19.1, 72.9),
    "Sydney": ("OC", "AU", "Australia", -33.9, 151.2),
}

PLACES = (
    ("127.1.0.0/16", "New York"),
    ("127.2.0.0/17", "Dublin"),
    ("127.2.128.0/17", "London"),
    ("127.3.0.0/16", "Singapore"),
    ("10.1.0.0/17", "New York"),
    ("10.1.128.0/17", "San Francisco"),
    ("10.2.0.0/17", "Dublin"),
    ("10.2.128.0/17", "Frankfurt"),
    ("10.3.0.0/17", "Singapore"),
    ("10.3.128.0/17", "Tokyo"),
    ("100.64.0.0/12", "Toronto"),
    ("100.80.0.0/12", "Paris"),
    ("100.96.0.0/12", "Mumbai"),
    ("100.112.0.0/13", "Lagos"),
    ("100.120.0.0/13", "São Paulo"),
    ("192.0.2.0/26", "New York"),
    ("192.0.2.64/26", "San Francisco"),
    ("192.0.2.128/26", "Toronto"),
    ("192.0.2.192/26", "São Paulo"),
    ("198.51.100.0/26", "London"),
    ("198.51.100.64/26", "Frankfurt"),
    ("198.51.100.128/27", "Paris"),
    ("198.51.100.160/27", "Dublin"),
    ("198.51.100.192/27", "Lagos"),
    ("198.51.100.224/27", "Johannesburg"),
    ("203.0.113.0/26", "Singapore"),
    ("203.0.113.64/26", "Tokyo"),
    ("203.0.113.128/26", "Mumbai"),
    ("203.0.113.192/27", "Sydney"),
    # 203.0.113.224/27 is left out: clients that the database does not know.
    ("2001:db8:1000::/36", "New York"),
    ("2001:db8:1800::/37", "San Francisco"),
    ("2001:db8:2000::/36", "London"),
    ("2001:db8:2800::/37", "Frankfurt"),
    ("2001:db8:3000::/36", "Singapore"),
    ("2001:db8:3800::/37", "Tokyo"),
    ("2001:db8:3c00::/38", "Sydney"),
    ("2001:db8:4000::/36", "Johannesburg"),
    ("2001:db8:5000::/36", "São Paulo"),
)

SYSTEMS = (
    ("127.1.0.0/16", 64496, "Example Networks East"),
    ("127.2.0.0/16", 64497, "Example Networks West"),
    ("127.3.0.0/16", 64498, "Example Networks South"),
    ("100.64.0.0/10", 64511, "Example Mobile"),
    ("192.0.2.0/24", 64500, "Example Cable"),
    ("198.51.100.0/24", 64501, "Example Telecom"),
    ("198.51.100.192/26", 64502, "Example Submarine"),
    ("203.0.113.0/24", 64503, "Example Pacific"),
    ("2001:db8::/32", 64510, "Example Six"),
    ("2001:db8:3000::/36", 64503, "Example Pacific"),
)


def demo() -> bytes:
    """Return the bytes of demo.mmdb."""
    records = {town: _record(town) for town in TOWNS}
    return encode(
        [(_network(prefix), records[town]) for prefix, town in PLACES],
        database_type="Demo-City",
        description="An invented world of documentation, loopback and private networks",
        build_epoch=BUILD_EPOCH,
        record_size=24,
        aliases=True,
    )


def demo_asn() -> bytes:
    """Return the bytes of demo-asn.mmdb."""
    return encode(
        [
            (
                _network(prefix),
                {"autonomous_system_number": number, "autonomous_system_organization": name},
            )
            for prefix, number, name in SYSTEMS
        ],
        database_type="Demo-ASN",
        description="Invented owners of documentation, loopback and shared networks",
        build_epoch=BUILD_EPOCH,
        record_size=24,
        aliases=True,
    )


def _record(town: str) -> dict[str, object]:
    continent, code, country, latitude, longitude = TOWNS[town]
    named = {"iso_code": code, "names": {"en": country}}
    return {
        "city": {"names": {"en": town}},
        "continent": {"code": continent},
        "country": named,
        "location": {"latitude": latitude, "longitude": longitude},
        "registered_country": named,
    }


def _network(prefix: str) -> Network:
    return ip_network(prefix)


if __name__ == "__main__":
    (FOLDER / "demo.mmdb").write_bytes(demo())
    (FOLDER / "demo-asn.mmdb").write_bytes(demo_asn())
