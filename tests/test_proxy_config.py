"""The `proxy:` part of the main file: what each key means, and which files who needs."""

from ipaddress import ip_network
from pathlib import Path

import jsonschema
import pytest
from cryptography.hazmat.primitives import serialization

from gslb.config.load import load
from gslb.config.schema import json_schema
from gslb.config.tierfiles import ELSEWHERE, Need
from gslb.daemons.reload import tier_needs_restart
from gslb.errors import ConfigError
from gslb.tier import (
    UNCHANGED,
    Across,
    Affinity,
    Balance,
    Certificate,
    Deny,
    Ejection,
    Forward,
    Has,
    Limits,
    Listener,
    Match,
    Page,
    PassRoute,
    Rate,
    Redirect,
    Respond,
    Retry,
    Rewrite,
    Route,
    Tier,
    Timeouts,
    Tls,
    Upstream,
    UpstreamTls,
)
from tests.configs import MAIN, ZONE, Folder
from tests.servers import Authority
from tests.test_config_schema import as_json

KEY = "0123456789abcdef"
REGIONS = MAIN.replace("-6.26]}", "-6.26], proxies: [192.0.2.80]}")
SERVICES = (
    ZONE
    + "  www: {monitor: web, pools: {eu-west: [192.0.2.1]}}\n"
    + "  db: {pools: {eu-west: [192.0.2.2]}}\n"
)
LEAST = "proxy: {routes: [{service: www.example.com}]}\n"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def tier_of(folder, proxy, **more):
    """Return the tier that this text under `proxy:` means."""
    text = "".join(f"  {line}\n" for line in proxy.splitlines())
    config = folder.load(REGIONS + "proxy:\n" + text, SERVICES, **more)
    return config.tier


def route_of(folder, text, **more):
    """Return the one route that is written so."""
    (route,) = tier_of(folder, f"routes: [{text}]", **more).routes
    return route


def test_without_the_key_there_is_no_tier(folder):
    assert folder.load().tier is None


def test_what_is_not_written_is_as_the_tier_has_it(folder):
    tier = folder.load(REGIONS + LEAST, SERVICES).tier

    assert tier == Tier(
        listeners=(Listener(port=80),),
        routes=(Route(name="route 1", action=Forward((("www.example.com", 1),))),),
        upstreams={"www.example.com": Upstream(service="www.example.com")},
        admin=("127.0.0.1", 8054),
    )
    assert tier.routes[0].rewrite is UNCHANGED


def test_everything_about_the_tier_can_be_written(folder):
    tier = tier_of(
        folder,
        """\
tier: haproxy
haproxy: /usr/sbin/haproxy
workers: 4
admin: null
trusted: [127.0.0.0/8, "::1"]
via: edge
access_log: logs/access
drain: 1m
limits: {head_size: 16KiB, fields: 50, head_timeout: 5s, keep_alive: 1m, body_timeout: 20s,
         connections: 1000, connections_per_client: 10}
across: {to: [members], port: 8080, tls: {name: edge.example.com}}
""",
    )

    assert (tier.engine, tier.haproxy, tier.workers) == ("haproxy", "/usr/sbin/haproxy", 4)
    assert (tier.admin, tier.via, tier.drain_s) == (None, "edge", 60.0)
    assert tier.trusted == (ip_network("127.0.0.0/8"), ip_network("::1"))
    assert tier.access_log == str(folder.path / "logs/access")
    assert tier.limits == Limits(
        head_max=16384,
        fields_max=50,
        head_s=5.0,
        keep_alive_s=60.0,
        body_s=20.0,
        connections_max=1000,
        connections_per_client=10,
    )
    assert tier.across == Across(
        to=("members",), port=8080, tls=UpstreamTls(name="edge.example.com")
    )


@pytest.mark.parametrize(
    ("written", "across"),
    [
        ("{to: null}", Across(to=())),
        ("{to: []}", Across(to=())),
        ("{tls: true}", Across(tls=UpstreamTls())),
        ("{tls: false}", Across()),
        ("", Across()),
    ],
)
def test_other_regions_may_be_left_alone(folder, written, across):
    assert tier_of(folder, f"across: {written}").across == across


def test_the_access_log_may_go_to_stdout(folder):
    assert tier_of(folder, "access_log: stdout").access_log == "stdout"


def test_listeners_are_ports_with_or_without_tls_or_pass_connections_on(folder):
    tier = tier_of(
        folder,
        """\
listen:
  - 80
  - {port: 443, tls: {certificates: [{cert: a.pem, key: a.key}, b.pem], min_version: "1.3",
                      client_ca: ca.pem, client_required: false, http2: false}}
  - {port: 81, proxy_protocol: true}
  - {port: 5432, mode: tcp, service: db.example.com}
  - {port: 8443, mode: tcp, pass: [{server_names: [A.example.com, "*.b.example"],
     service: www.example.com, balance: {hash: client}}, {service: db.example.com}]}
""",
    )

    path = str(folder.path) + "/"
    assert tier.listeners == (
        Listener(port=80),
        Listener(
            port=443,
            tls=Tls(
                certificates=(
                    Certificate(path + "a.pem", path + "a.key"),
                    Certificate(path + "b.pem", path + "b.pem"),
                ),
                client_ca_file=path + "ca.pem",
                client_required=False,
                min_version="1.3",
                http2=False,
            ),
        ),
        Listener(port=81, proxy_protocol=True),
        Listener(port=5432, mode="tcp", passes=(PassRoute((), "db.example.com"),)),
        Listener(
            port=8443,
            mode="tcp",
            passes=(
                PassRoute(
                    ("a.example.com", "*.b.example"), "www.example.com", Balance("hash", "client")
                ),
                PassRoute((), "db.example.com"),
            ),
        ),
    )
    assert set(tier.upstreams) == {"www.example.com", "db.example.com"}


def test_members_are_reached_as_is_written(folder):
    tier = tier_of(
        folder,
        """\
services:
  WWW.example.com.: {port: 8080, tls: {verify: false, name: m.example}, host: inner.example,
                     connections: 10, queue: 0, queue_timeout: 500ms, idle: 5, idle_timeout: 1m,
                     slow_start: 30s, proxy_protocol: v2,
                     eject: {errors: null, connect_errors: 2, slow_factor: 3, base: 1s, max: 1m,
                             most: 30%}}
  db.example.com: {eject: null, proxy_protocol: v1}
routes: [{split: {www.example.com: 1, db.example.com: 1}}]
""",
    )

    assert tier.upstreams == {
        "db.example.com": Upstream(service="db.example.com", ejection=None, proxy_protocol=1),
        "www.example.com": Upstream(
            service="www.example.com",
            port=8080,
            tls=UpstreamTls(verify=False, name="m.example"),
            host="inner.example",
            connections_max=10,
            queue_max=0,
            queue_s=0.5,
            idle_max=5,
            idle_s=60.0,
            slow_start_s=30.0,
            proxy_protocol=2,
            ejection=Ejection(
                errors=None,
                connect_errors=2,
                slow_factor=3.0,
                base_s=1.0,
                max_s=60.0,
                most_percent=30,
            ),
        ),
    }


@pytest.mark.parametrize(
    ("monitor", "service", "port", "tls"),
    [
        ("{port: 8080}", "", 8080, None),
        ("{type: tcp, port: 9}", "", 9, None),
        ("{type: https, host: m.example}", "", 443, UpstreamTls(name="m.example")),
        ("{type: https, verify: false}", "{host: a.example}", 443, UpstreamTls(verify=False)),
        ("{type: https}", "{tls: null}", 443, None),
        ("{type: https}", "{port: 80}", 80, None),
        ("{type: https}", "{tls: {name: n.example}}", 443, UpstreamTls(name="n.example")),
    ],
)
def test_members_are_reached_as_they_are_probed_unless_that_is_written(
    folder, monitor, service, port, tls
):
    main = REGIONS.replace("{path: /healthz}", monitor)
    proxy = (
        f"proxy: {{services: {{www.example.com: {service}}}, routes: [service: www.example.com]}}"
    )

    upstream = folder.load(main + proxy, SERVICES).tier.upstreams["www.example.com"]

    assert (upstream.port, upstream.tls) == (port, tls)


@pytest.mark.parametrize("discovers", ["", ", monitor: web"])
def test_members_that_are_discovered_are_reached_as_they_will_be_probed(folder, discovers):
    zone = ZONE + f"  www: {{pools: {{eu-west: {{discover: {{register: true}}}}}}{discovers}}}\n"
    main = REGIONS.replace("{path: /healthz}", "{port: 8080}")

    upstream = folder.load(main + LEAST, zone).tier.upstreams["www.example.com"]

    assert upstream.port == (8080 if discovers else 80)


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ("{service: WWW.Example.com.}", Forward((("www.example.com", 1),))),
        (
            "{split: {www.example.com: 95, db.example.com: 5}, sticky: part}",
            Forward((("www.example.com", 95), ("db.example.com", 5)), "part"),
        ),
        (
            "{split: {www.example.com: 95, db.example.com: 5}, sticky: {cookie: part}}",
            Forward((("www.example.com", 95), ("db.example.com", 5)), "part"),
        ),
        ('{redirect: "https://{host}{path}{query}"}', Redirect("https://{host}{path}{query}")),
        ('{redirect: {to: "/new{path}", status: 302}}', Redirect("/new{path}", 302)),
        ("{respond: 204}", Respond(204)),
        ("{respond: {body: hi, type: text/x}}", Respond(200, b"hi", "text/x")),
        ("{deny: 451}", Deny(451)),
    ],
)
def test_a_route_does_one_thing(folder, written, action):
    assert route_of(folder, written).action == action


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ("{host: WWW.example.com}", Match(hosts=("www.example.com",))),
        (
            '{host: ["*.example.com", "[2001:DB8::1]", 192.0.2.1]}',
            Match(hosts=("*.example.com", "[2001:db8::1]", "192.0.2.1")),
        ),
        ("{path: /a}", Match(path_kind="exact", path="/a")),
        ("{path: /a/*}", Match(path_kind="prefix", path="/a/")),
        ("{path: /a*}", Match(path_kind="prefix", path="/a")),
        ('{path: "*"}', Match(path_kind="prefix", path="/")),
        ('{path: "/ä b"}', Match(path_kind="exact", path="/ä b")),
        ('{path: {pattern: "[.]php$"}}', Match(path_kind="regex", path="[.]php$")),
        ("{method: GET, scheme: http}", Match(methods=frozenset({"GET"}), scheme="http")),
        ("{method: [GET, M-SEARCH]}", Match(methods=frozenset({"GET", "M-SEARCH"}))),
        (
            '{header: {X-A: "1", X-B: null, X-C: true, X-D: {pattern: "^v"}}}',
            Match(
                headers=(
                    Has("x-a", "1"),
                    Has("x-b", absent=True),
                    Has("x-c"),
                    Has("x-d", pattern="^v"),
                )
            ),
        ),
        ("{cookie: {Beta: yes}}", Match(cookies=(Has("Beta", "yes"),))),
        ("{query: {Über: null}}", Match(query=(Has("Über", absent=True),))),
        ("{clients: 192.0.2.0/24}", Match(clients=(ip_network("192.0.2.0/24"),))),
        (
            '{clients: [192.0.2.1, "2001:db8::/32"]}',
            Match(clients=(ip_network("192.0.2.1"), ip_network("2001:db8::/32"))),
        ),
        ("{countries: [DE, NO]}", Match(countries=frozenset({"DE", "NO"}))),
        ("{countries: DE}", Match(countries=frozenset({"DE"}))),
    ],
)
def test_a_match_says_what_a_request_must_be_like(folder, written, match):
    assert route_of(folder, f"{{match: {written}, deny: 403}}").matches == (match,)
    listed = route_of(folder, f"{{match: [{written}, {{scheme: https}}], deny: 403}}")
    assert listed.matches == (match, Match(scheme="https"))


@pytest.mark.parametrize(
    ("written", "balance"),
    [
        ("round_robin", Balance("round_robin")),
        ("{kind: least_time}", Balance("least_time")),
        ("{hash: path}", Balance("hash", "path")),
        ("{hash: {query: q}, bound: 2}", Balance("hash", "query", "q", 2.0)),
        ("{hash: {header: X-Tenant}}", Balance("hash", "header", "x-tenant")),
        ("{hash: {cookie: c}}", Balance("hash", "cookie", "c")),
    ],
)
def test_members_are_chosen_by_a_balance(folder, written, balance):
    assert route_of(folder, f"{{service: www.example.com, balance: {written}}}").balance == balance


@pytest.mark.parametrize(
    ("written", "affinity"),
    [
        ("client", Affinity(by="client")),
        ("{client: true, drain: 1m}", Affinity(by="client", drain_s=60.0)),
        ("{header: X-User}", Affinity(by="header", name="x-user")),
        (
            f"{{cookie: gslb, key: {KEY}, ttl: 2h}}",
            Affinity(by="cookie", name="gslb", key=KEY.encode(), ttl_s=7200.0),
        ),
    ],
)
def test_clients_keep_their_member_by_an_affinity(folder, written, affinity):
    route = route_of(folder, f"{{service: www.example.com, affinity: {written}}}", region="eu-west")

    assert route.affinity == affinity


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (f"sticky: {{cookie: part, key: {KEY}}}, affinity: client", KEY),
        (f"sticky: part, affinity: {{cookie: gslb, key: {KEY}}}", KEY),
        (
            f"sticky: {{cookie: part, key: {KEY[::-1]}}}, affinity: {{cookie: gslb, key: {KEY}}}",
            KEY[::-1],
        ),
        ("sticky: part, affinity: client", ""),
        ("sticky: part", ""),
    ],
)
def test_a_part_is_remembered_under_its_own_key_or_that_of_the_routes_affinity(
    folder, written, key
):
    split = "split: {www.example.com: 1, db.example.com: 1}"
    route = route_of(folder, f"{{{split}, {written}}}", region="eu-west")

    assert route.action.sticky == "part"
    assert route.action.key == key.encode()
    assert not key or key not in repr(route)


def test_everything_else_of_a_route_can_be_written(folder):
    route = route_of(
        folder,
        r"""{name: api, service: www.example.com,
    rewrite: {path: {pattern: "^/v(.)/", to: "/\\1/"}, host: inner.example, set: {X-A: b},
              remove: [X-C], response: {set: {X-D: e}, remove: [Server]}},
    timeouts: {connect: 500ms, response: 10s, idle: 20s, tunnel: 2h, total: 1m},
    retry: {tries: 2, budget: 10, statuses: [502, 503]},
    rates: [{rate: 100/s, burst: 200}, {rate: 30/m, by: {header: X-Key}}, {rate: 5/s, by: route}],
    body_size: 1MiB, buffer: 0, hsts: 365d}""",
    )

    assert route.name == "api"
    assert route.rewrite == Rewrite(
        path_pattern="^/v(.)/",
        path_to=r"/\1/",
        host="inner.example",
        set=(("X-A", "b"),),
        remove=frozenset({"x-c"}),
        response_set=(("X-D", "e"),),
        response_remove=frozenset({"server"}),
    )
    assert route.timeouts == Timeouts(
        connect_s=0.5, response_s=10.0, idle_s=20.0, tunnel_s=7200.0, total_s=60.0
    )
    assert route.retry == Retry(tries=2, budget_percent=10, statuses=frozenset({502, 503}))
    assert route.rates == (
        Rate(100.0, 200),
        Rate(0.5, 1, "header", "x-key"),
        Rate(5.0, 5, "route"),
    )
    assert (route.body_max, route.buffer, route.hsts_s) == (2**20, 0, 365 * 86_400)


def test_one_rate_needs_no_list(folder):
    assert route_of(folder, "{deny: 403, rates: {rate: 2/s}}").rates == (Rate(2.0, 2),)


@pytest.mark.parametrize("written", ["rewrite:", "timeouts:", "retry:"])
def test_a_key_with_nothing_after_it_has_its_defaults(folder, written):
    tier = tier_of(folder, f"limits:\nroutes:\n  - service: www.example.com\n    {written}\n")

    assert tier.routes == (Route(name="route 1", action=Forward((("www.example.com", 1),))),)
    assert tier.limits == Limits()


# Files.


def with_files(certificate, *, key="www.key"):
    return f"""\
listen:
  - {{port: 443, tls: {{certificates: [{{cert: {certificate}, key: {key}}}], client_ca: ca.pem}}}}
errors: {{503: pages/503.html, 404: {{file: pages/404.txt, type: text/plain}}}}
across: {{tls: {{ca: ca.pem}}}}
routes:
  - {{match: {{path: /robots.txt}}, respond: {{file: robots.txt}}}}
  - {{service: www.example.com, affinity: {{cookie: gslb, key: {{file: cookie.key}}}}}}
"""


@pytest.fixture
def files(folder, authority):
    """Write the files that `with_files` names."""
    pair = authority.certificate("www.example.com").read_bytes()
    start = pair.index(b"-----BEGIN PRIVATE")
    folder.write(
        {
            "www.pem": pair[:start],
            "www.key": pair[start:],
            "both.pem": pair,
            "ca.pem": Path(authority.ca_file).read_bytes(),
            "pages/503.html": "<p>busy",
            "pages/404.txt": "none",
            "robots.txt": "Disallow: /",
            "cookie.key": KEY + "\n",
        }
    )
    return folder


def test_a_proxy_reads_the_files_of_the_tier_and_watches_them(files):
    tier = tier_of(files, with_files("www.pem"), region="eu-west")
    config = load(files.path / "gslb.yaml", hostname="h", environ={}, region="eu-west")

    assert tier == config.tier
    assert tier.pages == {503: Page(b"<p>busy"), 404: Page(b"none", "text/plain")}
    assert tier.routes[0].action == Respond(200, b"Disallow: /", "text/html; charset=utf-8")
    assert tier.routes[1].affinity.key == KEY.encode()
    assert tier.across.tls.ca_file == str(files.path / "ca.pem")
    named = ("www.pem", "www.key", "ca.pem", "pages/503.html", "robots.txt", "cookie.key")
    assert {files.path / name for name in named} <= config.files
    assert KEY not in repr(config)


def test_a_node_needs_none_of_them_and_watches_none(folder):
    config = folder.load(
        REGIONS + "proxy:\n  " + with_files("www.pem").replace("\n", "\n  "), SERVICES
    )

    assert not [note for note in config.warnings if note.key.startswith("proxy")]
    assert config.files == {
        folder.path / name for name in ("gslb.yaml", "zone.yaml", "example.com.zone")
    }
    assert config.tier.pages == {}
    assert config.tier.routes[0].action.body == b""
    assert config.tier.routes[1].affinity.key == b""


def test_a_check_warns_of_files_that_are_not_there(folder):
    proxy = "proxy:\n  " + with_files("www.pem").replace("\n", "\n  ")

    config = folder.load(REGIONS + proxy, SERVICES, tier_files=Need.IF_THERE)

    told = [note for note in config.warnings if note.key.startswith("proxy")]
    assert [(note.key, note.hint == ELSEWHERE) for note in told] == [
        ("proxy.listen[0].tls.certificates[0].cert", True),
        ("proxy.listen[0].tls.certificates[0].key", True),
        ("proxy.listen[0].tls.client_ca", True),
        ("proxy.errors.503", True),
        ("proxy.errors.404.file", True),
        ("proxy.across.tls.ca", True),
        ("proxy.routes[0].respond.file", True),
        ("proxy.routes[1].affinity.key.file", False),
    ]


def test_a_proxy_misses_files_that_are_not_there(folder):
    with pytest.raises(ConfigError) as error:
        tier_of(folder, with_files("www.pem"), region="eu-west")

    keys = [note.key.removeprefix("proxy.") for note in error.value.complaints]
    assert sorted(keys) == [
        "across.tls.ca",
        "errors.404.file",
        "errors.503",
        "listen[0].tls.certificates[0].cert",
        "listen[0].tls.certificates[0].key",
        "listen[0].tls.client_ca",
        "routes[0].respond.file",
        "routes[1].affinity.key.file",
    ]


@pytest.mark.parametrize("need", [{"region": "eu-west"}, {"tier_files": Need.IF_THERE}])
def test_certificates_that_are_there_must_fit_their_keys(files, authority, need):
    other = authority.certificate("other.example.com").read_bytes()
    private = serialization.load_pem_private_key(other[other.index(b"-----BEGIN PRIVATE") :], None)
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    files.write({"other.pem": other, "locked.key": locked, "bad.pem": "none"})

    def complaint(cert, key):
        with pytest.raises(ConfigError) as error:
            tier_of(files, with_files(cert, key=key), **need)
        (note,) = error.value.complaints
        return note.key.rpartition(".")[2], note.problem.rpartition("/")[2], note.hint

    assert complaint("www.pem", "other.pem") == (
        "key",
        "www.pem",
        "name the key that it was made with",
    )
    assert complaint("www.pem", "locked.key")[1] == "locked.key is encrypted"
    assert complaint("www.pem", "www.pem")[1] == "www.pem holds no key that can be used"
    assert complaint("bad.pem", "www.key")[:2] == (
        "cert",
        "bad.pem holds no certificate that can be used",
    )
    assert tier_of(files, with_files("both.pem", key="both.pem"), **need)


def test_a_proxy_needs_no_secrets_of_nodes(folder):
    main = REGIONS + LEAST + "admin_token: {env: NONE}\ncookies: {secrets: {file: none}}\n"
    main += "vantages: {voters: {eu: {key: {env: NONE}}, us: {key: {file: none}}}}\n"
    main += "carrier: {key: {env: NONE}, nodes: {ns1: 'http://192.0.2.53:8053'}}\n"
    main += "webhooks: [{url: 'https://hooks.example.com', key: {env: NONE}}]\n"
    with pytest.raises(ConfigError):
        folder.load(main, SERVICES)

    config = folder.load(main, SERVICES, region="eu-west")

    assert config.tier is not None
    assert (config.admin_token, config.webhooks, config.carrier.key) == (None, (), b"")
    assert {name: voter.key for name, voter in config.voters.items()} == {"eu": b"", "us": b""}


def test_a_proxy_that_votes_needs_its_own_key(folder):
    main = REGIONS + LEAST + "vantages: {voters: {tier-eu: {region: eu-west, kind: proxy, "
    main += "key: {env: OWN}}, us: {key: {env: NONE}}}}\n"
    main += f"carrier: {{key: {KEY}, nodes: {{ns1: 'http://192.0.2.53:8053'}}}}\n"

    with pytest.raises(ConfigError) as error:
        folder.load(main, SERVICES, region="eu-west")
    config = folder.load(main, SERVICES, region="eu-west", environ={"OWN": KEY})

    assert [note.key for note in error.value.complaints] == ["vantages.voters.tier-eu.key.env"]
    assert config.voters["tier-eu"].key == KEY.encode()


def test_a_vantage_has_no_tier(folder):
    folder.load(REGIONS + LEAST, SERVICES)
    main = REGIONS + LEAST + f"vantages: {{voters: {{eu: {{key: {KEY}}}}}}}\n"
    main += f"carrier: {{key: {KEY}, nodes: {{ns1: 'http://192.0.2.53:8053'}}}}\n"
    (folder.path / "gslb.yaml").write_text(main)

    assert load(folder.path / "gslb.yaml", hostname="h", environ={}, vantage="eu").tier is None


def test_the_tier_is_no_part_of_what_nodes_must_have_alike(folder):
    assert folder.load(REGIONS + LEAST, SERVICES).hash == folder.load(REGIONS, SERVICES).hash


def test_a_zone_that_is_broken_does_not_break_the_routes_to_it(folder):
    config = folder.load(REGIONS + LEAST, SERVICES + "  bad: {}\n")

    assert config.broken
    assert config.tier.routes[0].action == Forward((("www.example.com", 1),))
    elsewhere = LEAST.replace("www.example.com", "www.example.net")
    assert folder.load(REGIONS + elsewhere, SERVICES + "  bad: {}\n").tier is not None


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ("drain: 5s\n  listen: [81, 82]\n  access_log: stdout", []),
        ("workers: 2", ["proxy.workers"]),
        ("tier: haproxy\n  workers: 2", ["proxy.tier", "proxy.workers"]),
        ("admin: null", ["proxy.admin"]),
        ("drain: 5s\nstate_dir: other", ["state_dir"]),
    ],
)
def test_hardly_a_key_of_the_tier_needs_a_restart(folder, written, keys):
    before = folder.load(REGIONS + "proxy:\n  routes: [{deny: 403}]\n", region="eu-west")
    after = folder.load(REGIONS + f"proxy:\n  {written}\n", region="eu-west")

    assert tier_needs_restart(before, after, "eu-west") == keys


def test_other_addresses_of_the_own_region_need_a_restart(folder):
    before = folder.load(REGIONS + LEAST, SERVICES, region="eu-west")
    after = folder.load(REGIONS.replace("2.80]", "2.81]") + LEAST, SERVICES, region="eu-west")
    elsewhere = REGIONS.replace("-77.49]", "-77.49], proxies: [192.0.2.90]")

    assert tier_needs_restart(before, after, "eu-west") == ["regions.eu-west.proxies"]
    other = folder.load(elsewhere + LEAST, SERVICES, region="eu-west")
    assert tier_needs_restart(before, other, "eu-west") == []


def test_the_json_schema_accepts_what_loads(files):
    tier_of(files, with_files("www.pem"), region="eu-west")
    jsonschema.validate(as_json((files.path / "gslb.yaml").read_text()), json_schema())
