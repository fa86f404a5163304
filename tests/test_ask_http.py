"""`gslb explain --http`: the route that a request takes, what is changed of it, who gets it."""

import json
from ipaddress import ip_network

import pytest
from typer.testing import CliRunner

from bench.mmdbwriter import write
from gslb.cli.app import app
from tests.configs import MASTER
from tests.test_ask import LONDON

MAIN = """
zones: [zones/*.yaml]
geo: {database: geo.mmdb}
regions:
  us: {location: [40.7, -74.0], proxies: [198.51.100.200]}
  eu: {location: [51.5, -0.1], proxies: [203.0.113.200]}
  ap: {location: [1.35, 103.8]}
monitors: {web: {port: 8080}}
proxy:
  listen:
    - 80
    - {port: 443, tls: {certificates: [none.pem]}}
    - {port: 25, mode: tcp, service: www.example.com}
  services: {canary.example.com: {host: canary.internal}}
  routes:
    - name: admin
      match: [{path: /admin/*, clients: 198.51.100.0/24}, {path: /admin/*, countries: GB}]
      deny: 403
    - {match: {scheme: http}, redirect: "https://{host}{path}{query}"}
    - {match: {path: /robots.txt}, respond: {body: "Disallow: /"}, rates: {rate: 1/s, by: route}}
    - name: api
      match: {path: /api/*, header: {X-Beta: true}}
      split: {www.example.com: 3, canary.example.com: 1, six.example.com: 0}
      sticky: part
      balance: {hash: {header: X-Tenant}, bound: 2}
      affinity: {cookie: gslb, key: 0123456789abcdef}
      rewrite: {path: {pattern: "^/api/", to: /}, set: {X-From: edge}}
      retry: {statuses: [502, 503]}
      timeouts: {total: 1m}
      rates: [{rate: 100/s}, {rate: 5/s, by: {header: X-Key}}]
      body_size: 1MiB
      hsts: 1h
    - match: {path: /api/*}
      service: canary.example.com
      balance: {hash: path}
      retry: {tries: 1}
      affinity: client
    - {match: {path: /dark/*}, service: dark.example.com}
    - {match: {path: /}, service: www.example.com, affinity: {header: X-User}}
"""
ZONE = """
zone: example.com
file: example.com.zone
services:
  www:
    monitor: web
    pools: {us: [198.51.100.1], eu: [{address: 203.0.113.1, weight: 3}, {address: 203.0.113.2}]}
  canary: {pools: {ap: [192.0.2.100], us: [198.51.100.2]}}
  six: {pools: {eu: ["2001:db8::1"]}}
  dark: {all_down: nodata, pools: {eu: [203.0.113.9]}}
"""
CLIENT = ("--client", "192.0.2.7")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "zones").mkdir()
    (tmp_path / "gslb.yaml").write_text(MAIN)
    (tmp_path / "zones" / "example.com.yaml").write_text(ZONE)
    (tmp_path / "zones" / "example.com.zone").write_text(MASTER)
    write(tmp_path / "geo.mmdb", [(ip_network("192.0.2.0/24"), LONDON)])
    return str(tmp_path / "gslb.yaml")


def explain(*arguments):
    return CliRunner().invoke(app, ["explain", *arguments], env={"GSLB_ADMIN_TOKEN": ""})


def explained(config, request, *options, status=0):
    """Return what is explained of a request as JSON."""
    done = explain(config, "--http", request, *(options or CLIENT), "--json")
    assert done.exit_code == status, done.stderr
    return json.loads(done.stdout)


def groups(service):
    """Return why each group is tried, whether it is of proxies, and its members' shares."""
    return [
        (
            group["why"],
            group["proxies"],
            {each["address"]: each["share"] for each in group["members"]},
        )
        for group in service["groups"]
    ]


def test_the_text_tells_the_way_from_the_listener_to_the_members(config):
    done = explain(
        config,
        "--http",
        "GET https://www.example.com/api/x?y=1",
        *CLIENT,
        "--header",
        "X-Beta: 1",
    )

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "GET https://www.example.com/api/x?y=1 for 192.0.2.7/32: "
        "sent to www.example.com or canary.example.com",
        "  client      51.5,-0.1 GB EU",
        "  listener    port 443 (https)",
        "  path        /api/x",
        "  rule        at most 100 requests a second for each client, 100 at once",
        "  rule        at most 5 requests a second for each x-key, 5 at once",
        "  rule        a body of at most 1048576 octets",
        "  rule        over TLS, clients are told to use TLS alone for 3600s",
        "  rule        member chosen by hash of header x-tenant, at most 2 times its part",
        "  rule        service kept by the cookie part",
        "  rule        member kept by the cookie gslb",
        "  rule        at most 3 tries where that is safe, or 502, or 503, of 20% of requests",
        "  rule        1s to connect, 30s until a response, 60s between octets, 60s in all",
        "",
        "routes",
        "route    match  outcome",
        "admin    1      not path /admin/*",
        "admin    2      not path /admin/*",
        "route 2  1      not scheme http",
        "route 3  1      not path /robots.txt",
        "api      1      taken",
        "",
        "sent on as",
        "  GET /x?y=1",
        "  host: www.example.com",
        "  x-beta: 1",
        "  x-from: edge",
        "",
        "service www.example.com in eu, 75.0% of requests",
        "try  why                                         member             region  share",
        "1    own region                                  203.0.113.1:8080   eu      75.0%",
        "1    own region                                  203.0.113.2:8080   eu      25.0%",
        "2    next region, its proxies                    198.51.100.200:80  us      100.0%",
        "3    next region                                 198.51.100.1:8080  us      100.0%",
        "4    all down: served all the same               203.0.113.1:8080   eu      75.0%",
        "4    all down: served all the same               203.0.113.2:8080   eu      25.0%",
        "5    all down: served all the same, its proxies  198.51.100.200:80  us      100.0%",
        "6    all down: served all the same               198.51.100.1:8080  us      100.0%",
        "",
        "service canary.example.com in us, 25.0% of requests",
        "try  why                            member           region  share",
        "1    own region                     198.51.100.2:80  us      100.0%",
        "2    next region                    192.0.2.100:80   ap      100.0%",
        "3    all down: served all the same  198.51.100.2:80  us      100.0%",
        "4    all down: served all the same  192.0.2.100:80   ap      100.0%",
    ]


def test_json_has_every_reason(config):
    told = explained(config, "GET https://www.example.com/%61dmin/x")

    assert told["request"] == "GET https://www.example.com/%61dmin/x"
    assert told["path"] == "/admin/x"
    assert told["location"]["country"] == "GB"
    assert told["listener"] == {"port": 443, "scheme": "https"}
    assert told["tried"] == [
        {"route": "admin", "match": 0, "failed": "client 198.51.100.0/24"},
        {"route": "admin", "match": 1, "failed": None},
    ]
    assert (told["route"], told["does"], told["services"]) == ("admin", "refused with 403", [])
    assert told["target"] is None


@pytest.mark.parametrize(
    ("request_", "does"),
    [
        (
            "http://www.example.com/a?b",
            "redirected (308) to https://www.example.com/a?b",
        ),
        (
            "HEAD https://www.example.com/robots.txt",
            "answered 200 with 11 octets of text/plain; charset=utf-8",
        ),
    ],
)
def test_answers_of_the_tiers_own_are_told(config, request_, does):
    told = explained(config, request_)

    assert told["does"] == does


def test_the_request_comes_in_where_dns_sends_the_client(config):
    eu = explained(config, "GET https://www.example.com/")["services"][0]
    us = explained(config, "GET https://www.example.com/", *CLIENT, "--down", "eu")["services"][0]

    assert (eu["region"], us["region"]) == ("eu", "us")
    assert groups(us)[0] == ("own region", False, {"198.51.100.1:8080": 1.0})


def test_a_region_can_be_named_whose_members_are_down(config):
    down = ("--region", "eu", "--down", "203.0.113.1", "--down", "203.0.113.2")
    told = explained(config, "GET https://www.example.com/", *CLIENT, *down)["services"][0]

    assert told["region"] == "eu"
    assert groups(told)[:3] == [
        ("own region", False, {}),
        ("next region", True, {"198.51.100.200:80": 1.0}),
        ("next region", False, {"198.51.100.1:8080": 1.0}),
    ]
    text = explain(config, "--http", "GET https://www.example.com/", *CLIENT, *down).stdout
    nobody = ["1", "own", "region", "nobody", "eu"]
    assert any(line.split() == nobody for line in text.splitlines())


def test_a_region_without_a_tier_says_so(config):
    done = explain(config, "--http", "GET https://www.example.com/api/", *CLIENT, "--region", "ap")

    lines = done.stdout.splitlines()
    at = lines.index("service canary.example.com in ap")
    assert lines[at + 1] == "  there is no tier there: the region has no proxies"
    assert "  host: canary.internal" in lines
    assert "  rule        member kept by the client's address" in lines
    assert not any("tries" in line for line in lines)


def test_nobody_to_send_a_request_to_is_status_one(config):
    done = explain(
        config,
        "--http",
        "GET https://www.example.com/dark/x",
        *CLIENT,
        *("--down", "203.0.113.9"),
    )

    assert done.exit_code == 1
    assert "answered 503" in done.stderr
    assert "service dark.example.com in eu" in done.stdout


@pytest.mark.parametrize(
    ("request_", "does"),
    [
        ("GET https://www.example.com/x/../admin", "refused with 400"),
        ("BREW https://www.example.com/", "refused with 501"),
        ("CONNECT https://www.example.com/", "refused with 4"),
        (f"GET https://www.example.com/{'a' * 40_000}", "refused with 431"),
    ],
)
def test_what_is_refused_of_any_client_is_told_as_refused(config, request_, does):
    done = explain(config, "--http", request_, *CLIENT)

    assert done.exit_code == 1
    assert does in done.stdout
    assert "404" not in done.stderr
    assert explained(config, request_, status=1)["does"].startswith(does)


def test_no_route_is_status_one(config, tmp_path):
    (tmp_path / "gslb.yaml").write_text(MAIN[: MAIN.index("  routes:")])

    done = explain(config, "--http", "GET https://www.example.com/", *CLIENT)

    assert done.exit_code == 1
    assert "answered 404: no route matches" in done.stdout
    assert "no route matches" in done.stderr


def test_a_service_of_a_broken_zone_is_told_as_one_that_nobody_has(config, tmp_path):
    zone = tmp_path / "zones" / "example.com.yaml"
    zone.write_text(ZONE + "  bad: {}\n")

    done = explain(config, "--http", "GET https://www.example.com/", *CLIENT)

    assert done.exit_code == 1
    assert "service www.example.com: no zone has it" in done.stdout
    assert "services.bad.pools: is missing" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["GET https://a.example:8443/"], "nobody listens at port 8443", "80, 443, 25"),
        (["GET http://a.example:25/"], "passes connections on", "mode http"),
        (["GET http://a.example:443/"], "speaks https, not http", "https://"),
        (["GET https://a.example:80/"], "speaks http, not https", "http://"),
        (["GET https://a.example/", "--region", "eus"], "no such region", "did you mean us?"),
        (["GET https://a.example/", "--down", "eus"], "no such member or region", "mean us?"),
    ],
)
def test_what_the_tier_does_not_have_is_an_error_with_a_hint(config, arguments, problem, hint):
    done = explain(config, "--http", *arguments, *CLIENT)

    assert done.exit_code == 1
    assert problem in done.stderr
    assert hint in done.stderr


def test_a_configuration_without_a_tier_explains_no_requests(config, tmp_path):
    (tmp_path / "gslb.yaml").write_text(MAIN[: MAIN.index("proxy:\n")])

    done = explain(config, "--http", "GET https://www.example.com/", *CLIENT)

    assert done.exit_code == 1
    assert "has no `proxy:`" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--http", "GET /x"],
        ["--http", "GET ftp://a.example/"],
        ["--http", "GET https:///x"],
        ["--http", "GET https://a.example:x/"],
        ["--http", "GE T https://a.example/"],
        ["--http", "GET https://a.example/ä"],
        ["--http", "GET https://a.example/", "--header", "X"],
        ["--http", "GET https://a.example/", "--header", ": x"],
        ["--http", "GET https://a.example/", "--type", "A"],
        ["--http", "GET https://a.example/", "--admin", "http://127.0.0.1:1"],
        ["www.example.com", "--http", "GET https://a.example/"],
        ["www.example.com", "--region", "eu"],
        ["www.example.com", "--header", "X: y"],
    ],
)
def test_wrong_usage_is_status_two(config, arguments):
    assert explain(config, *arguments, *CLIENT).exit_code == 2


def test_a_host_may_be_an_address_with_a_port(config):
    told = explained(config, "GET https://[2001:db8::1]:443/")

    assert told["headers"][0] == ["host", "[2001:db8::1]:443"]
