from pathlib import Path

import maxminddb
import pytest

from data import make_demo

DATA = Path(__file__).parent.parent / "data"
SIZE_MAX_BYTES = 64 * 1024


@pytest.fixture
def cities():
    with maxminddb.open_database(DATA / "demo.mmdb") as reader:
        yield reader


@pytest.fixture
def systems():
    with maxminddb.open_database(DATA / "demo-asn.mmdb") as reader:
        yield reader


@pytest.mark.parametrize(
    ("name", "make"), [("demo.mmdb", make_demo.demo), ("demo-asn.mmdb", make_demo.demo_asn)]
)
def test_the_files_in_the_repository_are_those_that_the_script_makes(name, make):
    raw = (DATA / name).read_bytes()

    assert raw == make()
    assert len(raw) < SIZE_MAX_BYTES


@pytest.mark.parametrize(
    ("address", "town", "country", "continent"),
    [
        ("127.1.0.1", "New York", "US", "NA"),
        ("127.2.0.1", "Dublin", "IE", "EU"),
        ("127.2.200.1", "London", "GB", "EU"),
        ("127.3.0.1", "Singapore", "SG", "AS"),
        ("10.3.0.9", "Singapore", "SG", "AS"),
        ("100.127.0.1", "São Paulo", "BR", "SA"),
        ("192.0.2.1", "New York", "US", "NA"),
        ("198.51.100.1", "London", "GB", "EU"),
        ("203.0.113.1", "Singapore", "SG", "AS"),
        ("2001:db8:2000::1", "London", "GB", "EU"),
        ("::ffff:203.0.113.65", "Tokyo", "JP", "AS"),
    ],
)
def test_the_demo_world_says_where_a_client_is(cities, address, town, country, continent):
    record = cities.get(address)

    assert record["city"]["names"]["en"] == town
    assert record["country"]["iso_code"] == country
    assert record["registered_country"]["iso_code"] == country
    assert record["continent"]["code"] == continent
    assert -90 <= record["location"]["latitude"] <= 90
    assert -180 <= record["location"]["longitude"] <= 180


@pytest.mark.parametrize("address", ["203.0.113.225", "127.0.0.1", "8.8.8.8", "2001:db8:f000::1"])
def test_some_clients_are_unknown_to_it(cities, address):
    assert cities.get(address) is None


def test_it_holds_no_address_of_the_world_outside(cities, systems):
    outside = [
        network for reader in (cities, systems) for network, _ in reader if network.is_global
    ]

    assert outside == []


def test_the_longest_prefix_names_the_system(systems):
    assert systems.get("198.51.100.1")["autonomous_system_number"] == 64501
    assert systems.get("198.51.100.193")["autonomous_system_number"] == 64502
