import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from bench.mmdbwriter import write
from gslb.cli.app import app

MAIN = """
zones: [zones/*.yaml]
geo: {database: geo.mmdb}
regions:
  us: {location: [40.7, -74.0], proxies: [198.51.100.200]}
  eu: {location: [51.5, -0.1]}
monitors:
  web: {path: /}
"""
ZONE = """
zone: example.com
file: example.com.zone
services:
  www:
    monitor: web
    pools:
      us: [198.51.100.1]
      eu: [{address: 203.0.113.1, weight: 3}, {address: 203.0.113.2}]
  six: {pools: {eu: ["2001:db8::1"]}}
  dark:
    all_down: nodata
    pools: {eu: [203.0.113.9]}
  cdn: {pools: {eu: [one.example.net]}}
"""
RECORDS = """
@ 300 IN SOA ns1 hostmaster 1 7200 900 1209600 30
@ 300 IN NS ns1
ns1 300 IN A 192.0.2.53
shop 300 IN CNAME www
"""
LONDON = {
    "location": {"latitude": 51.5, "longitude": -0.1},
    "country": {"iso_code": "GB"},
    "continent": {"code": "EU"},
}
WWW = "www.example.com"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "zones").mkdir()
    (tmp_path / "gslb.yaml").write_text(MAIN)
    (tmp_path / "zones" / "example.com.yaml").write_text(ZONE)
    (tmp_path / "zones" / "example.com.zone").write_text(RECORDS)
    write(tmp_path / "geo.mmdb", [(ip_network("192.0.2.0/24"), LONDON)])
    return str(tmp_path / "gslb.yaml")


def explain(*arguments: str):
    return CliRunner().invoke(app, ["explain", *arguments], env={"GSLB_ADMIN_TOKEN": ""})


def explained(*arguments: str):
    done = explain(*arguments, "--json")
    return done.exit_code, json.loads(done.stdout)


def test_the_explanation_shows_place_steps_rungs_members_and_shares(config):
    done = explain(config, WWW, "--client", "192.0.2.7")

    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "www.example.com A for 192.0.2.7/32: NOERROR, rung 1"
    assert "  client      51.5,-0.1 GB EU" in lines
    assert "  scope       /24" in lines
    assert "  ttl         30s: ttl, as no verdict is in doubt" in lines
    assert any(line.startswith("nearest  eu > us  eu 0 km, us 55") for line in lines)
    assert "rung 1  eu: served, 100.0% living" in lines
    assert "rung 2  us: not reached, 100.0% living" in lines
    assert lines[-2:] == ["203.0.113.1  eu      75.0%", "203.0.113.2  eu      25.0%"]


def test_json_has_the_shape_of_the_api(config):
    status, told = explained(config, WWW, "--client", "192.0.2.0/26")

    assert status == 0
    assert told["answers"] == [
        {"address": "203.0.113.1", "region": "eu", "share": 0.75},
        {"address": "203.0.113.2", "region": "eu", "share": 0.25},
    ]
    assert (told["scope"], told["rcode"], told["client"]) == (24, "NOERROR", "192.0.2.0/26")
    assert told["location"]["country"] == "GB"


def test_a_member_supposed_down_is_dropped_and_says_so(config):
    status, told = explained(config, WWW, "--client", "192.0.2.7", "--down", "203.0.113.2")

    dropped = told["rungs"][0]["members"][1]
    assert status == 0
    assert (dropped["verdict"], dropped["kept"], dropped["why"]) == (
        "down",
        False,
        "down: supposed",
    )
    assert [each["share"] for each in told["answers"]] == [1.0]


def test_a_region_supposed_down_takes_its_members_and_proxies(config):
    _, down = explained(config, WWW, "--client", "192.0.2.7", "--down", "eu")
    _, both = explained(config, WWW, "--client", "192.0.2.7", "--down", "eu", "--down", "us")

    assert [each["address"] for each in down["answers"]] == ["198.51.100.1"]
    assert both["served"] == "all_down: serve_all"


def test_a_proxy_serves_where_only_the_members_are_supposed_down(config):
    _, told = explained(
        config, WWW, "--client", "192.0.2.7", "--down", "eu", "--down", "198.51.100.1"
    )

    assert [each["address"] for each in told["answers"]] == ["198.51.100.200"]


def test_down_takes_host_names_and_addresses_in_any_spelling(config):
    cdn, _ = explained(config, "cdn.example.com", "--client", "::", "--down", "ONE.example.net.")
    _, six = explained(
        config, "six.example.com", "--client", "::", "--down", "2001:DB8:0::1", "--type", "aaaa"
    )

    assert cdn == 0
    assert six["rungs"][0]["members"][0]["why"] == "down: supposed"


def test_an_unknown_member_is_an_error_that_names_the_closest(config):
    done = explain(config, WWW, "--client", "192.0.2.7", "--down", "203.0.113.21")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "--down 203.0.113.21: no such member or region" in done.stderr
    assert "hint: did you mean 203.0.113.2?" in done.stderr


def test_nothing_answered_is_status_1(config):
    done = explain(config, "dark.example.com", "--client", "192.0.2.7", "--down", "203.0.113.9")

    assert done.exit_code == 1
    assert "all_down: nodata" in done.stdout
    assert done.stderr == "gslb: dark.example.com A: nothing would be answered (NOERROR)\n"


@pytest.mark.parametrize(
    ("owner", "more", "status", "served"),
    [
        ("ns1", (), 0, "static records"),
        ("shop", (), 0, "rung 1"),
        ("nobody", (), 1, "no such name"),
        ("www", ("--type", "AAAA"), 1, "no such record"),
        ("six", (), 0, "rung 1"),
    ],
)
def test_status_says_whether_there_is_an_answer(config, owner, more, status, served):
    got, told = explained(config, f"{owner}.example.com.", "--client", "192.0.2.7", *more)

    assert (got, told["served"]) == (status, served)


def test_a_service_of_ipv6_alone_is_explained_as_aaaa(config):
    _, told = explained(config, "six.example.com", "--client", "192.0.2.7")

    assert told["type"] == "AAAA"


def test_a_name_outside_all_zones_is_told_which_zones_there_are(config):
    done = explain(config, "www.example.org", "--client", "192.0.2.7")

    assert done.exit_code == 1
    assert "www.example.org is in no zone" in done.stderr
    assert "hint: its zones are: example.com" in done.stderr


def test_a_broken_zone_is_complained_of_and_answers_servfail(config, tmp_path):
    (tmp_path / "zones" / "example.com.yaml").write_text(ZONE.replace("pools", "pool"))

    done = explain(config, WWW, "--client", "192.0.2.7")

    assert done.exit_code == 1
    assert "example.com.yaml:" in done.stderr
    assert "SERVFAIL" in done.stdout


def test_a_broken_main_file_is_complained_of(config, tmp_path):
    (tmp_path / "gslb.yaml").write_text("regionz: {}")

    done = explain(config, WWW, "--client", "192.0.2.7")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "gslb.yaml:1:1: " in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (WWW, "--client", "192.0.2.7"),
        ("gslb.yaml", WWW, "more", "--client", "192.0.2.7"),
        ("gslb.yaml", WWW, "--client", "192.0.2.7", "--admin", "http://127.0.0.1:1"),
        ("gslb.yaml", WWW),
        ("gslb.yaml", WWW, "--client", "192.0.2.777"),
        ("gslb.yaml", "www..example.com", "--client", "192.0.2.7"),
        ("gslb.yaml", WWW, "--client", "192.0.2.7", "--type", "ABC"),
        (WWW, "--client", "192.0.2.7", "--admin", "http://127.0.0.1:1", "--down", "eu"),
    ],
)
def test_wrong_usage_is_status_2(arguments):
    done = explain(*arguments)

    assert done.exit_code == 2
    assert done.stdout == ""


@pytest.fixture
def node():
    """A stand-in for a node's admin API that gives `reply` and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, self.headers.get("Authorization")))
            octets = json.dumps(server.reply).encode()
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.reply, server.status = [], {}, 200
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_running_node_is_asked_for_its_own_explanation(config, node):
    _, node.reply = explained(config, WWW, "--client", "192.0.2.7")
    node.reply["generation"] = 12

    done = explain(
        WWW, "--client", "192.0.2.7", "--type", "a", "--admin", node.url, "--token", "secret"
    )

    assert done.exit_code == 0
    assert "  generation  12" in done.stdout
    [(path, authorization)] = node.asked
    assert urlsplit(path).path == "/v1/explain"
    assert parse_qs(urlsplit(path).query) == {
        "name": [WWW],
        "client": ["192.0.2.7/32"],
        "type": ["A"],
    }
    assert authorization == "Bearer secret"


def test_a_node_that_says_no_is_quoted_with_its_hint(node):
    node.status, node.reply = 404, {"error": "not a zone here", "hint": "ask for example.com"}

    done = explain("www.example.org", "--client", "192.0.2.7", "--admin", node.url)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "gslb: not a zone here\n  hint: ask for example.com\n"


@pytest.mark.parametrize("reply", [[], {}, {"name": "x"}])
def test_what_is_no_explanation_is_an_error(node, reply):
    node.reply = reply

    done = explain(WWW, "--client", "192.0.2.7", "--admin", node.url)

    assert done.exit_code == 1
    assert "gives no explanation" in done.stderr


def test_the_program_explains_in_a_process_of_its_own(config):
    done = subprocess.run(
        [sys.executable, "-m", "gslb", "explain", config, WWW, "--client", "192.0.2.7", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["answers"][0]["region"] == "eu"
