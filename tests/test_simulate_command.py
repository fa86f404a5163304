import json
import subprocess
import sys
from fractions import Fraction
from ipaddress import ip_network

import pytest
from typer.testing import CliRunner

from bench.mmdbwriter import write
from gslb.cli.app import app
from gslb.cli.clients import COMPLAINTS_MAX, LINE_BYTES_MAX, read_clients, read_log
from gslb.cli.simulate import bar, change, number, percent
from gslb.dns import name
from gslb.errors import ConfigError

MAIN = """
zones: [example.com.yaml]
geo: {database: geo.mmdb}
regions:
  us: {location: [40.7, -74.0]}
  eu: {location: [51.5, -0.1]}
"""
ZONE = """
zone: example.com
file: example.com.zone
services:
  www:
    pools:
      us: [198.51.100.1]
      eu: [{address: 203.0.113.1, weight: 3}, {address: 203.0.113.2}]
  dark:
    all_down: nodata
    pools: {eu: [203.0.113.9]}
"""
RECORDS = """
@ 300 IN SOA ns1 hostmaster 1 7200 900 1209600 30
@ 300 IN NS ns1.example.net.
shop 300 IN CNAME www
"""
LONDON = {"location": {"latitude": 51.5, "longitude": -0.1}}
NEW_YORK = {"location": {"latitude": 40.7, "longitude": -74.0}}
WWW = "www.example.com"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "gslb.yaml").write_text(MAIN)
    (tmp_path / "example.com.yaml").write_text(ZONE)
    (tmp_path / "example.com.zone").write_text(RECORDS)
    known = [("192.0.2.0/25", LONDON), ("192.0.2.128/25", NEW_YORK), ("2001:db8::/40", LONDON)]
    write(tmp_path / "geo.mmdb", [(ip_network(text), record) for text, record in known])
    return str(tmp_path / "gslb.yaml")


def changed(config, tmp_path, old: str, new: str) -> str:
    """Return another main file whose one zone is the fixture's with *old* replaced."""
    (tmp_path / "other.yaml").write_text(MAIN.replace("example.com.yaml", "other.com.yaml"))
    (tmp_path / "other.com.yaml").write_text(ZONE.replace(old, new))
    return str(tmp_path / "other.yaml")


def simulate(*arguments: str):
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


def simulated(*arguments: str):
    done = simulate(*arguments, "--json")
    return done.exit_code, json.loads(done.stdout)


def test_a_table_for_each_service_shows_regions_with_their_members(config):
    done = simulate(config)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.split("\n\n")[:2] == [
        "population 512",
        "www.example.com\n"
        "region, member  share\n"
        "us              25.0%  ########\n"
        "  198.51.100.1  25.0%  ########\n"
        "eu              75.0%  ########################\n"
        "  203.0.113.1   56.2%  ##################\n"
        "  203.0.113.2   18.8%  ######",
    ]


def test_json_has_the_shape_of_the_contract(config):
    status, result = simulated(config, "--service", WWW)

    assert status == 0
    assert result == {
        "population": 512,
        "services": {
            WWW: {
                "population": 512,
                "regions": {"us": 0.25, "eu": 0.75},
                "members": {"198.51.100.1": 0.25, "203.0.113.1": 0.5625, "203.0.113.2": 0.1875},
                "dark": 0.0,
            }
        },
    }


def test_down_alone_is_answered_with_what_one_configuration_does_then(config):
    status, result = simulated(config, "--down", "us", "--service", WWW)

    assert status == 0
    assert set(result) == {"population", "services"}
    assert result["services"][WWW]["regions"] == {"us": 0, "eu": 1}


def test_a_comparison_shows_before_after_change_and_what_moved(config):
    done = simulate(config, "--down", "203.0.113.2", "--service", WWW)

    assert done.exit_code == 0
    assert done.stdout == (
        "population 512\n"
        "\n"
        "www.example.com\n"
        "region, member  before  after  change\n"
        "us              25.0%   25.0%  =       ########\n"
        "  198.51.100.1  25.0%   25.0%  =       ########\n"
        "eu              75.0%   75.0%  =       ########################\n"
        "  203.0.113.1   56.2%   75.0%  +18.8   ########################\n"
        "  203.0.113.2   18.8%   0%     -18.8\n"
        "moved 18.8%\n"
    )


def test_another_configuration_is_compared_for_the_same_clients(config, tmp_path):
    other = changed(config, tmp_path, "weight: 3", "weight: 1")

    status, result = simulated(config, "--against", other, "--service", WWW)

    assert status == 0
    assert result["after"]["services"][WWW]["members"]["203.0.113.1"] == 0.375
    assert result["moved"] == {WWW: 0.1875}


def test_with_two_configurations_those_down_are_down_in_both(config, tmp_path):
    other = changed(config, tmp_path, "weight: 3", "weight: 1")

    _, result = simulated(config, "--against", other, "--service", WWW, "--down", "203.0.113.2")

    for side in ("before", "after"):
        assert result[side]["services"][WWW]["members"]["203.0.113.1"] == 0.75


def test_services_that_come_and_go_are_said_and_a_name_without_answers_is_dark(config, tmp_path):
    other = changed(config, tmp_path, "  dark:", "  new:")

    done = simulate(config, "--against", other)

    assert done.exit_code == 1
    assert "dark.example.com\ngone: not served after\n" in done.stdout
    assert "new.example.com\nnew: not served before\n" in done.stdout
    assert done.stderr == (
        "gslb: dark.example.com goes dark for 100.0% of its clients: they get no address\n"
    )


def test_clients_that_go_dark_are_shouted_about(config):
    done = simulate(config, "--down", "203.0.113.9")

    assert done.exit_code == 1
    assert "DARK            0%      100.0%  +100.0  ####" in done.stdout
    assert "gslb: dark.example.com goes dark for 100.0% of its clients" in done.stderr


def test_clients_come_from_a_csv_file(config, tmp_path):
    (tmp_path / "clients.csv").write_text("prefix,weight\n192.0.2.0/24,1.5\n192.0.2.0/25,0.5\n")

    _, result = simulated(config, "--clients", tmp_path / "clients.csv")

    assert result["population"] == 2
    assert result["services"][WWW]["regions"] == {"us": 0.375, "eu": 0.625}


def test_clients_come_from_a_query_log_and_a_name_counts_for_its_service_alone(config, tmp_path):
    (tmp_path / "queries").write_text(
        "192.0.2.1\n192.0.2.200 WWW.example.com.\n192.0.2.200 shop.example.com A\n"
        "192.0.2.1 dark.example.com\n192.0.2.1 www.example.org\n"
    )

    status, result = simulated(config, "--log", tmp_path / "queries")
    done = simulate(config, "--log", tmp_path / "queries")

    assert (status, result["population"]) == (0, 5)
    assert result["services"][WWW]["population"] == 3
    assert result["services"][WWW]["regions"] == {"us": 2 / 3, "eu": 1 / 3}
    assert result["services"]["dark.example.com"]["population"] == 2
    assert "no service answers 1 of the names in " in done.stderr
    assert "such as www.example.org: their queries count for none" in done.stderr
    assert "\nwww.example.com (population 3)\n" in done.stdout


def test_a_log_without_names_counts_for_every_service(config, tmp_path):
    (tmp_path / "queries").write_text("192.0.2.0/25\n192.0.2.200\n\n# a remark\n")

    _, result = simulated(config, "--log", tmp_path / "queries")

    assert {each["population"] for each in result["services"].values()} == {2}


def test_clients_from_two_files_are_wrong_usage(config):
    assert simulate(config, "--clients", "a", "--log", "b").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (("--down", "eus"), "--down eus: no such member or region", "did you mean us?"),
        (("--service", "ww.example.com"), "is no service", "did you mean www.example.com?"),
        (("--service", "zzz"), "is no service", "there are: dark.example.com, www.example.com"),
        (("--clients", "none.csv"), "none.csv:1:1: cannot be read: No such file", ""),
        (("--log", "none.log"), "none.log:1:1: cannot be read: No such file", ""),
        (("--against", "none.yaml"), "none.yaml:1:1: ", ""),
    ],
)
def test_wrong_input_is_status_1_with_a_hint(config, arguments, problem, hint):
    done = simulate(config, *arguments)

    assert (done.exit_code, done.stdout) == (1, "")
    assert problem in done.stderr
    assert f"hint: {hint}" in done.stderr


def test_a_configuration_with_a_broken_zone_is_not_simulated(config, tmp_path):
    other = changed(config, tmp_path, "pools", "pool")

    done = simulate(config, "--against", other)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "other.com.yaml:" in done.stderr


def test_the_program_simulates_in_a_process_of_its_own(config):
    done = subprocess.run(
        [sys.executable, "-m", "gslb", "simulate", config, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["population"] == 512


def wrong(read, path, octets: bytes, **keys) -> list[str]:
    """Return line:column, problem and hint of each complaint about a file of *octets*."""
    path.write_bytes(octets)
    with pytest.raises(ConfigError) as caught:
        read(path, **keys)
    return [f"{c.line}:{c.column} {c.problem}; {c.hint}" for c in caught.value.complaints]


def test_a_csv_may_have_either_header_a_mark_remarks_and_blanks(tmp_path):
    path = tmp_path / "clients.csv"
    path.write_bytes(b"\xef\xbb\xbfNetwork, Weight\r\n\r\n# x\r\n10.0.0.0/8, 2\r\n::/0,0.25\r\n")

    assert read_clients(path) == [
        (ip_network("10.0.0.0/8"), 2),
        (ip_network("::/0"), Fraction(1, 4)),
    ]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", "1:1 the header is ''; write 'prefix,weight' there"),
        (b"a,b\n10.0.0.0/8,1", "1:1 the header is 'a,b'; write 'prefix,weight' there"),
        (b"prefix,weight\nx,1", "2:1 'x' is not a network; write a network, such as"),
        (b"prefix,weight\n10.1.2.3/8,1", "2:1 '10.1.2.3/8' is not a network; write 10.0.0.0/8"),
        (b"prefix,weight\n10.0.0.0/8", "2:1 a line without a comma; write a network, a comma"),
        (b"prefix,weight\n10.0.0.0/8,-1", "2:12 '-1' is not a weight; write a number of"),
        (b"prefix,weight\n10.0.0.0/8,nan", "2:12 'nan' is not a weight; write a number"),
        (b"prefix,weight\n10.0.0.0/8,1e9999", "2:12 '1e9999' is not a weight; write"),
        (b"prefix,weight\n10.0.0.0/8,0", "1:1 no network has any weight; give at least one"),
        (b"prefix,weight\n", "1:1 no network has any weight; give at least one"),
        (b"prefix,weight\n10.0.0.0/8,\xff", "2:12 byte 0xff is not UTF-8; save the file as"),
    ],
)
def test_each_fault_of_a_csv_is_complained_of_at_its_place(tmp_path, octets, expected):
    [complaint] = wrong(read_clients, tmp_path / "clients.csv", octets)

    assert complaint.startswith(expected)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", "1:1 a log without a query; write a client's address"),
        (b"192.0.2.1\n  192.0.2.999 www", "2:3 '192.0.2.999' is not an address or network; write"),
        (b"192.0.2.1 www..example", "1:11 'www..example' has an empty label; write"),
        (b"\xff", "1:1 byte 0xff is not UTF-8; save the file as UTF-8"),
    ],
)
def test_each_fault_of_a_log_is_complained_of_at_its_place(tmp_path, octets, expected):
    complaints = wrong(read_log, tmp_path / "queries", octets)

    assert complaints[0].startswith(expected)


def test_every_line_is_judged_but_only_so_many_complaints_are_shown(tmp_path):
    lines = b"prefix,weight\n" + b"x,1\n" * COMPLAINTS_MAX

    just_all = wrong(read_clients, tmp_path / "a", lines)
    more = wrong(read_clients, tmp_path / "b", lines + b"y,z\n")

    assert len(just_all) == COMPLAINTS_MAX
    assert len(more) == COMPLAINTS_MAX + 1
    assert more[-1].startswith(f"{COMPLAINTS_MAX + 2}:1 2 more things are wrong")


@pytest.mark.parametrize("read", [read_clients, read_log])
def test_a_file_may_have_so_many_lines_and_no_more(tmp_path, read):
    lines = b"prefix,weight\n10.0.0.0/8,1\n" if read is read_clients else b"::1\n::2\n"
    path = tmp_path / "file"
    path.write_bytes(lines)
    read(path, lines_max=2)

    [complaint] = wrong(read, path, lines + b"::3 1\n", lines_max=2)

    assert complaint == "3:1 more than 2 lines; 2 lines say enough: take a sample"


def test_a_line_may_be_so_long_and_no_longer(tmp_path):
    path = tmp_path / "queries"
    just = b"::1 www " + b"x" * (LINE_BYTES_MAX - 9) + b"\n"
    path.write_bytes(just)
    assert read_log(path).names() == {name.parse("www")}

    [complaint, *_] = wrong(read_log, path, b"x" + just)

    assert complaint.startswith(f"1:1 a line longer than {LINE_BYTES_MAX} bytes; ")


def test_equal_queries_are_counted(tmp_path):
    path = tmp_path / "queries"
    path.write_text("::1 a\n::1 A.\n::1\n::2 .\n")

    log = read_log(path)

    assert log.clients() == [
        (ip_network("::1"), 2),
        (ip_network("::1"), 1),
        (ip_network("::2"), 1),
    ]
    assert log.clients({None}) == [(ip_network("::1"), 1)]
    assert log.names() == {name.parse("a"), name.ROOT}


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.0004, "<0.1%"),
        (0.001, "0.1%"),
        (0.5, "50.0%"),
        (0.9994, "99.9%"),
        (0.9999, ">99.9%"),
        (1, "100.0%"),
    ],
)
def test_a_share_above_0_never_looks_like_0_nor_one_below_1_like_1(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("after", "text"),
    [(0.5, "="), (0.75, "+25.0"), (0.25, "-25.0"), (0.50001, "+<0.1"), (0.49999, "-<0.1")],
)
def test_a_change_is_told_in_points(after, text):
    assert change(0.5, after) == text


def test_numbers_have_their_thousands_apart():
    assert [number(size) for size in (1234567, 1234.5)] == ["1,234,567", "1,234.500"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_whoever_has_a_share_has_a_bar(is_terminal):
    shares = (0, 1e-9, 0.5, 1)
    bars = [bar(share, in_blocks=is_terminal) for share in shares]

    assert bars == (["", "▏", "█" * 16, "█" * 32] if is_terminal else ["", "#", "#" * 16, "#" * 32])
