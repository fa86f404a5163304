import json
import subprocess
import sys
from ipaddress import ip_network

import pytest
from typer.testing import CliRunner

from bench.mmdbwriter import write
from gslb.cli.app import app

MAIN = """
zones: [example.com.yaml]
geo: {database: geo.mmdb, asn_database: asn.mmdb}
regions:
  us: {location: [40.7, -74.0]}
  eu: {location: [51.5, -0.1]}
"""
ZONE = """
zone: example.com
file: example.com.zone
services:
  www: {pools: {us: [198.51.100.1], eu: [203.0.113.1, "2001:db8::1"]}}
  near:
    route: {nearest: {within_km: 500, bias_km: {eu: 10}}}
    pools: {us: [198.51.100.2], eu: [203.0.113.2]}
  all: {route: weighted, pools: {us: [198.51.100.3], eu: [203.0.113.3]}}
  also: {pools: {us: [198.51.100.4], eu: [203.0.113.4]}}
"""
RECORDS = "@ 300 IN SOA ns1 h 1 7200 900 1209600 30\n@ 300 IN NS ns1.example.net.\n"
LONDON = {
    "location": {"latitude": 51.5, "longitude": -0.1},
    "country": {"iso_code": "GB"},
    "continent": {"code": "EU"},
}
NETWORKS = [
    ("192.0.2.0/25", LONDON),
    ("192.0.2.128/25", {"country": {"iso_code": "US"}}),
    ("2001:db8::/40", LONDON),
]


def database(path, networks=NETWORKS, **keys):
    write(path, [(ip_network(text), record) for text, record in networks], **keys)
    return str(path)


@pytest.fixture
def config(tmp_path):
    (tmp_path / "gslb.yaml").write_text(MAIN)
    (tmp_path / "example.com.yaml").write_text(ZONE)
    (tmp_path / "example.com.zone").write_text(RECORDS)
    database(tmp_path / "geo.mmdb")
    asns = [("192.0.2.0/24", {"autonomous_system_number": 64500})]
    database(tmp_path / "asn.mmdb", asns, ip_version=4)
    return str(tmp_path / "gslb.yaml")


def geo(*arguments: str):
    return CliRunner().invoke(app, ["geo", *arguments])


def looked_up(*arguments: str):
    done = geo("lookup", *arguments, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_an_address_is_told_with_its_place_and_each_services_order_and_scope(config):
    done = geo("lookup", "192.0.2.7", "--config", config)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "192.0.2.7: known\n"
        "  network    192.0.2.0/25\n"
        "  country    GB\n"
        "  continent  EU\n"
        "  location   51.5, -0.1\n"
        "  ASN        AS64500\n"
        "\n"
        "service           type  order of regions  scope\n"
        "www.example.com   A     eu > us           /25\n"
        "www.example.com   AAAA  eu                /0\n"
        "near.example.com  A     eu > us           /25\n"
        "all.example.com   A     eu=us             /0\n"
        "also.example.com  A     eu > us           /25\n"
    )


def test_json_holds_the_same(config):
    word = looked_up("192.0.2.200", "--config", config)

    assert word["services"][0] == {
        "service": "www.example.com",
        "type": "A",
        "rungs": [["us"], ["eu"]],
        "scope": 25,
    }
    assert (word["kind"], word["network"]) == ("known", "192.0.2.128/25")
    assert (word["place"]["country"], word["place"]["latitude"]) == ("US", None)


def test_a_countrys_centre_stands_in_for_a_location_and_says_so(config):
    done = geo("lookup", "192.0.2.200", "--config", config)

    assert "(the country's centre stands in)" in done.stdout


def test_a_database_alone_needs_no_configuration(tmp_path):
    word = looked_up("2001:db8::7", "--database", database(tmp_path / "geo.mmdb"))

    assert (word["kind"], word["network"]) == ("known", "2001:db8::/40")
    assert word["place"]["continent"] == "EU"
    assert word["services"] == []


def test_a_database_of_ipv4_alone_does_not_know_ipv6(tmp_path):
    path = database(tmp_path / "geo.mmdb", NETWORKS[:2], ip_version=4)

    assert looked_up("2001:db8::7", "--database", path)["kind"] == "unknown"
    assert looked_up("192.0.2.7", "--database", path)["kind"] == "known"


def test_an_unknown_address_says_so_and_still_has_an_order(config):
    done = geo("lookup", "203.0.113.9", "--config", config)

    assert done.exit_code == 0
    assert done.stdout.startswith("203.0.113.9: not known to the database\n")
    assert "www.example.com   A     eu=us" in done.stdout


@pytest.mark.parametrize("address", ["2002:c000:207::1", "2001::1", "64:ff9b::c000:207", "::5"])
def test_a_transition_network_says_nothing_of_where_a_client_is(tmp_path, address):
    path = database(tmp_path / "geo.mmdb", aliases=True)

    done = geo("lookup", address, "--database", path)

    assert done.exit_code == 0
    assert done.stdout.startswith(f"{address}: a transition network, which says nothing")


def test_ipv4_written_as_ipv6_is_looked_up_as_ipv4(config):
    done = geo("lookup", "::ffff:192.0.2.7", "--config", config)

    assert "  looked up as 192.0.2.7: IPv6 that stands for IPv4 counts as IPv4\n" in done.stdout
    assert "  network    192.0.2.0/25\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("192.0.2.777",), 2, "is not an address; write"),
        (("192.0.2.7", "--config", "a", "--database", "b"), 2, "not both"),
        (("192.0.2.7", "--database", "none.mmdb"), 1, "none.mmdb: "),
        (("2001:db8::", "--database", "none.mmdb"), 1, "none.mmdb: "),
        (("192.0.2.7", "--database", __file__), 1, "test_geo_command.py: "),
        (("192.0.2.7", "--config", "none.yaml"), 1, "none.yaml:1:1: "),
    ],
)
def test_bad_input_is_said_with_how_to_mend_it(arguments, status, said):
    done = geo("lookup", *arguments)

    assert (done.exit_code, done.stdout) == (status, "")
    assert said in done.stderr


def test_the_default_configuration_is_that_of_the_working_directory(config, tmp_path):
    arguments = ["geo", "lookup", "192.0.2.7", "--json"]

    done = subprocess.run(
        [sys.executable, "-c", "from gslb.cli.app import main; main()", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["place"]["asn"] == 64500


def test_building_fills_the_cache_and_tells_each_maps_size(config, tmp_path):
    first = geo("build", "--config", config, "--json")
    second = geo("build", "--config", config, "--json")

    built, again = json.loads(first.stdout), json.loads(second.stdout)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [built["atlas"]["places"], built["atlas"]["runs_ipv4"]] == [3, 4]
    assert [each["services"] for each in built["maps"]] == [
        ["www.example.com", "also.example.com"],
        ["www.example.com"],
        ["near.example.com"],
        ["all.example.com"],
    ]
    assert [each["steps"] for each in built["maps"]] == [
        "nearest",
        "nearest",
        "nearest within 500 km with bias",
        "weighted",
    ]
    assert [each["orders"] for each in built["maps"]] == [3, 1, 3, 1]
    assert built["maps"][0]["image_bytes"] > 100
    for each, cached in ((built, False), (again, True)):
        assert {each["atlas"]["cached"], *(m["cached"] for m in each["maps"])} == {cached}


def test_building_prints_a_line_for_each_map(config):
    done = geo("build", "--config", config)

    lines = done.stdout.splitlines()
    assert (done.exit_code, done.stderr) == (0, "")
    assert lines[0].startswith("databases: ")
    assert lines[1].startswith("  3 places, 4 IPv4 and 3 IPv6 runs, ")
    assert lines[3].split() == [
        "steps",
        "regions",
        "services",
        "orders",
        "IPv4",
        "IPv6",
        "image",
        "time",
    ]
    assert len(lines) == 8


def test_without_a_database_all_clients_are_the_same(config, tmp_path):
    (tmp_path / "gslb.yaml").write_text(MAIN.replace("geo: {", "# geo: {"))

    done = geo("build", "--config", config)
    word = looked_up("192.0.2.7", "--config", config)

    assert done.exit_code == 0
    assert done.stdout.startswith("databases: none: all clients are the same\n")
    assert word["kind"] == "unknown"


def test_a_configuration_with_a_broken_zone_is_not_built(config, tmp_path):
    (tmp_path / "example.com.yaml").write_text(ZONE.replace("pools", "pool"))

    done = geo("build", "--config", config)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "example.com.yaml:" in done.stderr


def test_a_database_that_is_none_is_complained_of(config, tmp_path):
    (tmp_path / "geo.mmdb").write_bytes(b"no database")

    for command in (("build",), ("lookup", "192.0.2.7")):
        done = geo(*command, "--config", config)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "geo.mmdb" in done.stderr
        assert "hint: " in done.stderr
