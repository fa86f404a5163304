"""What is wrong in the `proxy:` part of the main file: where, which key, what, how to mend it."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gslb.config.load import load
from gslb.errors import ConfigError
from tests.configs import MASTER, ZONE, Folder, marked
from tests.test_config_complaints import check
from tests.test_config_schema import files
from tests.test_proxy_config import REGIONS, SERVICES

PATH = "listen[0].tls.certificates"

TIER_CASES = [
    ("«lisen: [80]", "lisen", "unknown key", "did you mean listen?"),
    ("tier: «nginx", "tier", "'nginx' is not", "gslb or haproxy"),
    ("workers: «0", "workers", "out of range", "1 to 256"),
    ("admin: «localhost:1", "admin", "IP address", "ADDRESS:PORT"),
    ("trusted: [«proxies]", "trusted[0]", "not a network", "192.0.2.0/24"),
    ("via: «a b", "via", "not the name", "letters"),
    ("drain: «-1s", "drain", "not a duration", "5s"),
    ("limits: {head_size: «1}", "limits.head_size", "too small", "1KiB to 1MiB"),
    ("limits: {head_size: «2MiB}", "limits.head_size", "too large", "1KiB to 1MiB"),
    ("limits: {head_size: «32KB}", "limits.head_size", "'KB' is no unit", "write 32KiB"),
    ("limits: {head_size: «32k}", "limits.head_size", "'k' is no unit", "write 32KiB"),
    ("limits: {head_size: «32 mib}", "limits.head_size", "'mib' is no unit", "write 32MiB"),
    ("limits: {head_size: «32X}", "limits.head_size", "'X' is no unit", "64KiB"),
    ("limits: {head_size: «big}", "limits.head_size", "not a size", "64KiB"),
    ("limits: {head_size: «true}", "limits.head_size", "not a size", "64KiB"),
    ("limits: {head_size: «[1]}", "limits.head_size", "not a size", "64KiB"),
    ("limits: {head_size: «1024.5}", "limits.head_size", "not a size", "64KiB"),
    ("limits: {head_size: «0.3B}", "limits.head_size", "not a whole number", "octets"),
    ("limits: {fields: «5}", "limits.fields", "out of range", "10 to 1000"),
    ("access_log: «stderr", "access_log", "says of itself", "./stderr"),
    (
        "services: {www.example.com: {host: «'*.a.example'}}",
        "services.www.example.com.host",
        "no single host",
        "whole name",
    ),
    ("errors: {«200: a}", "errors.200", "out of range", "400 to 599"),
    ("errors: {503: «5}", "errors.503", "not a map", "key: value"),
    ("across: {to: [«peers]}", "across.to[0]", "'peers' is not", "proxies or members"),
    ("across: {to: [members, «members]}", "across.to[1]", "twice", "once"),
    ("across: {tls: «5}", "across.tls", "not a map", "key: value"),
    ("listen: «[]", "listen", "is empty", "at least one"),
    ("listen: [«http]", "listen[0]", "not a whole number", "1 to 65535"),
    ("listen: [80, «80]", "listen[1]", "port 80 is listened at", "another port"),
    ("listen: [80, {port: «80}]", "listen[1].port", "port 80 is listened at", "another port"),
    ("listen: [{port: 80, mode: «udp}]", "listen[0].mode", "'udp' is not", "http or tcp"),
    ("listen: [«{mode: http}]", "listen[0].port", "is missing", "add `port`"),
    ("listen: [«{port: 5, mode: tcp}]", "listen[0]", "to nobody", "`service: NAME`"),
    (
        "listen: [{port: 5, «service: www.example.com}]",
        "listen[0].service",
        "is for mode tcp",
        "`mode: tcp`",
    ),
    (
        "listen: [{port: 5, «pass: [{service: www.example.com}]}]",
        "listen[0].pass",
        "is for mode tcp",
        "`routes`",
    ),
    (
        "listen: [{port: 5, mode: tcp, service: «db.example.co}]",
        "listen[0].service",
        "no service 'db.example.co'",
        "did you mean db.example.com?",
    ),
    (
        "listen: [{port: 5, mode: tcp, service: db.example.com, "
        "«tls: {certificates: [{cert: none}]}}]",
        "listen[0].tls",
        "ends no TLS",
        "passed on",
    ),
    (
        "listen: [{port: 5, mode: tcp, service: db.example.com, "
        "«pass: [{service: www.example.com}]}]",
        "listen[0].pass",
        "beside `service`",
        "keep one",
    ),
    (
        "listen: [{port: 5, mode: tcp, pass: [{service: db.example.com}, "
        "«{server_names: [a.example], service: www.example.com}]}]",
        "listen[0].pass[1]",
        "never reached",
        "move it above",
    ),
    (
        "listen: [{port: 5, mode: tcp, pass: [{service: db.example.com, balance: «{hash: path}}]}]",
        "listen[0].pass[0].balance",
        "knows no path",
        "{hash: client}",
    ),
    (
        "listen: [{port: 5, mode: tcp, pass: [{server_names: [«192.0.2.1], "
        "service: db.example.com}]}]",
        "listen[0].pass[0].server_names[0]",
        "is an address",
        "host name",
    ),
    (
        "listen: [{port: 5, mode: tcp, pass: [«{server_names: [a.example]}]}]",
        "listen[0].pass[0].service",
        "is missing",
        "add `service`",
    ),
    (
        "listen: [{port: 5, mode: tcp, service: db.example.com}]\n"
        "  services: {db.example.com: {«tls: {}}}",
        "services.db.example.com.tls",
        "begins no TLS",
        "name the service in a route",
    ),
    ("listen: [{port: 443, tls: «{}}]", PATH, "is missing", "add `certificates`"),
    ("listen: [{port: 443, tls: {certificates: «[]}}]", PATH, "is empty", "at least one"),
    (
        "listen: [{port: 443, tls: {certificates: [a], min_version: «1.2}}]",
        "listen[0].tls.min_version",
        "1.2 is not",
        "1.2 or 1.3",
    ),
    (
        "services: {«ww.example.com: {}}",
        "services.ww.example.com",
        "no service",
        "www.example.com?",
    ),
    (
        "services: {www.example.com: {}, «WWW.example.com.: {}}",
        "services.WWW.example.com.",
        "written twice",
        "keep one",
    ),
    ("services: {«a..b: {}}", "services.a..b", "host name", "letters"),
    (
        "services: {www.example.com: {proxy_protocol: «2}}",
        "services.www.example.com.proxy_protocol",
        "no version",
        "v1, v2, or null",
    ),
    (
        "services: {www.example.com: {eject: {base: 1m, max: «30s}}}",
        "services.www.example.com.eject.max",
        "shorter than `base`",
        "longer",
    ),
    (
        "services: {www.example.com: {eject: {most: «half}}}",
        "services.www.example.com.eject.most",
        "not a percentage",
        "20%",
    ),
    (
        "services: {www.example.com: {eject: {most: «101%}}}",
        "services.www.example.com.eject.most",
        "out of range",
        "20%",
    ),
    ("routes: «{}", "routes", "not a list", "brackets"),
    ("routes: [«{}]", "routes[0]", "says not what becomes", "service: NAME"),
    ("routes: [{name: a, deny: 403}, {name: «a, deny: 404}]", "routes[1].name", "above", "another"),
]

ROUTE_CASES = [
    ("{«servce: www.example.com}", "servce", "unknown key", "did you mean service?"),
    ("{service: «wwww.example.com}", "service", "no service", "did you mean www.example.com?"),
    ("{service: «cdn.example.com}", "service", "host names as members", "give it addresses"),
    ("{service: www.example.com, «deny: 403}", "deny", "beside `service`", "keep one"),
    ("{service: www.example.com, «sticky: a}", "sticky", "without a `split`", "write `split`"),
    ("{split: «{}}", "split", "is empty", "at least one"),
    ("{split: {www.example.com: 1}, sticky: «a b}", "sticky", "not the name", "letters"),
    (
        "{split: {www.example.com: 1}, sticky: {cookie: a, key: {file: «none.key}}}",
        "sticky.key.file",
        "none.key",
        "",
    ),
    ("{split: {«w.example.com: 1}}", "split.w.example.com", "no service", "www.example.com?"),
    ("{split: {www.example.com: «-1}}", "split.www.example.com", "out of range", "0 to"),
    ("{«split: {www.example.com: 0}}", "split", "any weight", "above 0"),
    (
        "{split: {www.example.com: 1, «WWW.example.com: 1}}",
        "split.WWW.example.com",
        "has a part already",
        "keep one",
    ),
    ("{deny: «200}", "deny", "out of range", "400 to 599"),
    ("{respond: {status: «100}}", "respond.status", "out of range", "200 to 599"),
    ("{respond: «{status: 204, body: a}}", "respond", "has no body", "leave it out"),
    ("{respond: {body: a, «file: b}}", "respond.file", "beside `body`", "keep one"),
    ('{redirect: «"{path}"}', "redirect", "leaves the host to the client", "https://{host}"),
    ('{redirect: «"/{path}"}', "redirect", "leaves the host to the client", '"/new{path}"'),
    ('{redirect: «"//{host}/"}', "redirect", "leaves the host to the client", "https://"),
    ('{redirect: «"https://a.example{host}"}', "redirect", "the host to the client", "https://"),
    ('{redirect: «"https://{host}@b.example/"}', "redirect", "the host to the client", "https"),
    ('{redirect: «"ftp://a.example/"}', "redirect", "the host to the client", "https://"),
    ('{redirect: «"https://{hots}/"}', "redirect", "no placeholder 'hots'", "mean host?"),
    ('{redirect: «"https://{host/"}', "redirect", "a brace without its other", "{scheme}"),
    ('{redirect: «"https://{host}/a b"}', "redirect", "is not a URL", "percent-encoded"),
    ('{redirect: {to: "/a", status: «304}}', "redirect.status", "304 is no redirect", "301"),
    ("{redirect: «{status: 301}}", "redirect.to", "is missing", "add `to`"),
    ("{deny: 403, match: {«hots: a}}", "match.hots", "unknown key", "did you mean host?"),
    ('{deny: 403, match: {host: «"*"}}', "match.host", "any host", "leave `host` out"),
    ("{deny: 403, match: {host: «a.example:80}}", "match.host", "has a port", "host alone"),
    ("{deny: 403, match: {host: [a, «a..b]}}", "match.host[1]", "host name", "letters"),
    ("{deny: 403, match: {host: «[]}}", "match.host", "is empty", "at least one"),
    ("{deny: 403, match: {path: «admin}}", "match.path", "does not start with /", '"/x/*"'),
    ("{deny: 403, match: {path: «/a/*/b}}", "match.path", "further left", "pattern"),
    ("{deny: 403, match: {path: «/a?b}}", "match.path", "holds a ?", "`query`"),
    ("{deny: 403, match: {path: «/%61}}", "match.path", "percent-encoded", "themselves"),
    ("{deny: 403, match: {path: «/a/../b}}", "match.path", "never matches", "leave out"),
    ("{deny: 403, match: {path: «//a/*}}", "match.path", "never matches", "leave out"),
    ("{deny: 403, match: {path: «{regex: a}}}", "match.path", "not the rule", "pattern"),
    ('{deny: 403, match: {path: «{pattern: "("}}}', "match.path", "not a regular", "backslash"),
    ("{deny: 403, match: {method: «get}}", "match.method", "in upper case", "write GET"),
    ("{deny: 403, match: {method: «G T}}", "match.method", "not a method", "POST"),
    ("{deny: 403, match: {scheme: «ftp}}", "match.scheme", "'ftp' is not", "http or https"),
    (
        '{deny: 403, match: {header: {«"X A": true}}}',
        "match.header.X A",
        "not the name",
        "X-Tenant",
    ),
    ("{deny: 403, match: {header: {X-A: «1}}}", "match.header.X-A", "not text", 'quotes: "1"'),
    ("{deny: 403, match: {header: {X-A: «false}}}", "match.header.X-A", "says nothing", "null"),
    ("{deny: 403, match: {header: {X-A: «{re: a}}}}", "match.header.X-A", "condition", "pattern"),
    ("{deny: 403, match: {cookie: {«a=b: c}}}", "match.cookie.a=b", "name of a cookie", "letters"),
    ("{deny: 403, match: {clients: [«all]}}", "match.clients[0]", "not a network", "192.0.2.0/24"),
    ("{deny: 403, match: {countries: [«de]}}", "match.countries[0]", "upper-case", "write DE"),
    ("{service: www.example.com, balance: «rr}", "balance", "'rr' is not", "round_robin"),
    ("{service: www.example.com, balance: {hash: «ip}}", "balance.hash", "go by", "{cookie: NAME}"),
    (
        "{service: www.example.com, balance: {hash: «{body: a}}}",
        "balance.hash",
        "go by",
        "path, client, {query: NAME}",
    ),
    (
        "{service: www.example.com, balance: {hash: path, bound: «0.5}}",
        "balance.bound",
        "out of range",
        "1 to 10",
    ),
    (
        "{service: www.example.com, balance: {hash: path, «kind: random}}",
        "balance.kind",
        "beside `hash`",
        "keep one",
    ),
    ("{service: www.example.com, affinity: «ip}", "affinity", "keeps its member by", "client"),
    ("{service: www.example.com, affinity: «{}}", "affinity", "no single thing", "cookie: NAME"),
    (
        "{service: www.example.com, affinity: «{header: A, client: true}}",
        "affinity",
        "no single thing",
        "header: NAME",
    ),
    (
        "{service: www.example.com, affinity: «{cookie: a}}",
        "affinity.key",
        "is missing",
        "key: {file: PATH}",
    ),
    (
        "{service: www.example.com, affinity: {cookie: a, key: «short}}",
        "affinity.key",
        "shorter than 16",
        "openssl",
    ),
    (
        '{deny: 403, rewrite: {path: {pattern: "^/a", to: «"\\\\1"}}}',
        "rewrite.path.to",
        "cannot be filled in: invalid group reference",
        "first pair",
    ),
    ("{respond: {body: «5}}", "respond.body", "5 is not text", "in quotes"),
    (
        "{deny: 403, rewrite: {path: {pattern: a, to: «[]}}}",
        "rewrite.path.to",
        "a list is not text",
        "in quotes",
    ),
    (
        '{deny: 403, rewrite: {path: {pattern: "^/a", to: «"a b"}}}',
        "rewrite.path.to",
        "no part of a path",
        "percent-encoded",
    ),
    (
        "{deny: 403, rewrite: {set: {«Content-Length: a}}}",
        "rewrite.set.Content-Length",
        "where a message ends",
        "leave it",
    ),
    ("{deny: 403, rewrite: {set: {«Host: a}}}", "rewrite.set.Host", "not set like", "`host`"),
    (
        "{deny: 403, rewrite: {set: {X-A: a, «x-a: b}}}",
        "rewrite.set.x-a",
        "X-A in other letters",
        "keep one",
    ),
    (
        "{deny: 403, rewrite: {response: {set: {X-A: a, «x-a: b}}}}",
        "rewrite.response.set.x-a",
        "X-A in other letters",
        "keep one",
    ),
    (
        '{deny: 403, rewrite: {set: {X-A: «"a "}}}',
        "rewrite.set.X-A",
        "not the value",
        "no blanks",
    ),
    (
        '{deny: 403, rewrite: {response: {set: {X-A: «"a\\r\\nb"}}}}',
        "rewrite.response.set.X-A",
        "control characters",
        "plain text",
    ),
    (
        "{deny: 403, rewrite: {response: {remove: [«Transfer-Encoding]}}}",
        "rewrite.response.remove[0]",
        "where a message ends",
        "leave it",
    ),
    ("{deny: 403, rates: [{rate: «100}]}", "rates[0].rate", "not a rate", "100/s"),
    ("{deny: 403, rates: [{rate: «0/s}]}", "rates[0].rate", "out of range", "above 0"),
    ("{deny: 403, rates: [«{burst: 5}]}", "rates[0].rate", "is missing", "add `rate`"),
    ("{deny: 403, rates: [{rate: 1/s, by: «ip}]}", "rates[0].by", "go by", "client, route or"),
    ("{deny: 403, retry: {budget: «-1}}", "retry.budget", "not a percentage", "20%"),
    ("{deny: 403, name: «none}", "name", "figures call", "another name"),
    ("{deny: 403, rewrite: {host: «'*.a.example'}}", "rewrite.host", "no single host", "whole"),
    (
        "{deny: 403, rewrite: {set: {«X-Forwarded-For: a}}}",
        "rewrite.set.X-Forwarded-For",
        "by the tier itself",
        "leave it out",
    ),
    (
        "{deny: 403, rewrite: {remove: [«X_request-ID]}}",
        "rewrite.remove[0]",
        "by the tier itself",
        "leave it out",
    ),
    (
        "{split: {www.example.com: 1}, sticky: «{cookie: gslb, key: 0123456789abcdef}, "
        "affinity: {cookie: gslb, key: 0123456789abcdef}}",
        "sticky",
        "`affinity` too",
        "different names",
    ),
    ("{deny: 403, retry: {budget: «true}}", "retry.budget", "not a percentage", "20%"),
    ("{deny: 403, retry: {tries: «0}}", "retry.tries", "out of range", "1 to 10"),
    ("{deny: 403, hsts: «forever}", "hsts", "not a duration", "1d"),
    ("{deny: 403, body_size: «-1}", "body_size", "not a size", "1MiB"),
]

WARNED = [
    ("«proxy: {}", "proxy", "no routes", "write routes"),
    ("proxy: {routes: [{deny: 403}, «{deny: 404}]}", "proxy.routes[1]", "never reached", "move"),
    (
        "proxy: {routes: [{deny: 403, «balance: random}]}",
        "proxy.routes[0].balance",
        "no effect",
        "leave",
    ),
    (
        "proxy: {routes: [{service: www.example.com, balance: {«bound: 2}}]}",
        "proxy.routes[0].balance.bound",
        "without a hash",
        "leave",
    ),
    (
        "proxy: {routes: [{service: www.example.com, affinity: {client: true, ttl: «1m}}]}",
        "proxy.routes[0].affinity.ttl",
        "without a cookie",
        "leave",
    ),
    (
        "proxy: {routes: [{match: {countries: «[DE]}, deny: 403}]}",
        "proxy.routes[0].match.countries",
        "no database of places",
        "geo.database",
    ),
    (
        "proxy: {listen: [«443], routes: [{deny: 403}]}",
        "proxy.listen[0]",
        "plain HTTP",
        "certificates",
    ),
    (
        "proxy: {listen: [{port: 443, tls: {certificates: [a], client_required: «true}}], "
        "routes: [{deny: 403}]}",
        "proxy.listen[0].tls.client_required",
        "no client is asked",
        "client_ca",
    ),
    (
        "proxy: {services: {«db.example.com: {}}, routes: [{service: www.example.com}]}",
        "proxy.services.db.example.com",
        "no route",
        "remove it",
    ),
    (
        "proxy: {services: {www.example.com: {tls: {verify: false, «ca: a.pem}}}, "
        "routes: [{service: www.example.com}]}",
        "proxy.services.www.example.com.tls.ca",
        "nothing is verified",
        "verify: true",
    ),
    (
        "proxy: {routes: [{deny: 403, «rewrite: {host: a.example}}]}",
        "proxy.routes[0].rewrite",
        "no effect",
        "leave",
    ),
    (
        "proxy: {routes: [{service: www.example.com, retry: {tries: 1, «statuses: [503]}}]}",
        "proxy.routes[0].retry.statuses",
        "`tries: 1`",
        "`tries: 2`",
    ),
    (
        "proxy: {routes: [{service: www.example.com, retry: {budget: 0, «statuses: [503]}}]}",
        "proxy.routes[0].retry.statuses",
        "`budget` of nothing",
        "`budget: 20%`",
    ),
    (
        "proxy: {routes: [{service: www.example.com, affinity: client, «balance: random}]}",
        "proxy.routes[0].balance",
        "hash of their address",
        "by a cookie",
    ),
    (
        "proxy: {«haproxy: /usr/sbin/haproxy, routes: [{deny: 403}]}",
        "proxy.haproxy",
        "not HAProxy's",
        "`tier: haproxy`",
    ),
    (
        "proxy: {services: {www.example.com: {«eject: {errors: null, connect_errors: null}}}, "
        "routes: [{service: www.example.com}]}",
        "proxy.services.www.example.com.eject",
        "ejects nobody",
        "`eject: null`",
    ),
    *(
        (
            "proxy: {listen: [{port: 5, mode: tcp, service: db.example.com}], "
            f"services: {{db.example.com: {{«{key}: {value}}}}}}}",
            f"proxy.services.db.example.com.{key}",
            "only listeners in mode tcp",
            "name the service in a route",
        )
        for key, value in (("host", "a.example"), ("idle", "5"), ("idle_timeout", "5s"))
    ),
]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def zone():
    return SERVICES + "  cdn: {pools: {eu-west: [cdn.example.net]}}\n"


@pytest.mark.parametrize(("text", "key", "problem", "hint"), TIER_CASES)
def test_a_mistake_in_the_tier_is_told_where_it_stands(folder, text, key, problem, hint):
    main = f"{REGIONS}proxy:\n  {text}\n"

    found = folder.complaints(main, SERVICES)

    check(found, "gslb.yaml", marked(main), f"proxy.{key}", problem, hint)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), ROUTE_CASES)
def test_a_mistake_in_a_route_is_told_where_it_stands(folder, zone, text, key, problem, hint):
    main = f"{REGIONS}proxy:\n  routes:\n    - {text}\n"

    found = folder.complaints(main, zone, region="eu-west")

    check(found, "gslb.yaml", marked(main), f"proxy.routes[0].{key}", problem, hint)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), WARNED)
def test_what_has_no_effect_is_warned_of(folder, text, key, problem, hint):
    main = f"{REGIONS}{text}\n"

    found = [note for note in folder.load(main, SERVICES).warnings if note.key.startswith("proxy")]

    check(found, "gslb.yaml", marked(main), key, problem, hint)


@pytest.mark.parametrize(
    ("timeouts", "shorter"),
    [
        ("{total: «10s}", "`response` (30s)"),
        ("{response: 20s, total: «10s}", "`response` (20s)"),
        ("{response: 1s, connect: 5s, total: «2s}", "`connect` (5s)"),
    ],
)
def test_a_total_within_which_no_member_is_given_up_is_warned_of(folder, timeouts, shorter):
    main = f"{REGIONS}proxy: {{routes: [{{service: www.example.com, timeouts: {timeouts}}}]}}\n"

    found = [n for n in folder.load(main, SERVICES).warnings if n.key.startswith("proxy")]

    key = "proxy.routes[0].timeouts.total"
    check(found, "gslb.yaml", marked(main), key, f"shorter than {shorter}", "longer `total`")


@pytest.mark.parametrize("timeouts", ["{total: 30s}", "{response: 5s, total: 6s}", "{total: null}"])
def test_a_total_that_leaves_time_for_a_response_is_well(folder, timeouts):
    main = f"{REGIONS}proxy: {{routes: [{{service: www.example.com, timeouts: {timeouts}}}]}}\n"

    assert not [n for n in folder.load(main, SERVICES).warnings if n.key.startswith("proxy")]


def test_what_routes_need_of_a_service_is_right_though_connections_are_passed_to_it_too(folder):
    main = REGIONS + (
        "proxy:\n  listen: [80, {port: 5, mode: tcp, service: www.example.com}]\n"
        "  services: {www.example.com: {tls: {}, idle: 5}}\n"
        "  routes: [{service: www.example.com}]\n"
    )

    assert not [n for n in folder.load(main, SERVICES).warnings if n.key.startswith("proxy")]


def test_a_log_that_cannot_be_written_is_complained_of_where_the_tier_runs(folder):
    for written, problem in (("nowhere/x.log", "is not there"), (".", "is a folder")):
        main = f"{REGIONS}proxy: {{access_log: {written}, routes: [{{deny: 403}}]}}\n"
        (note,) = folder.complaints(main, SERVICES, region="eu-west")
        assert (note.key, problem in note.problem) == ("proxy.access_log", True)


def test_other_regions_proxies_that_are_asked_where_no_tier_listens_are_warned_of(folder):
    two = REGIONS.replace("us-east: {", "us-east: {proxies: [198.51.100.7], ", 1)
    for listen, across, is_wrong in (
        ("[8080]", "{}", True),
        ("[8080]", "{port: 8080}", False),
        ("[8080]", "{to: [members]}", False),
        ("[80]", "{}", False),
        ("[{port: 8080, mode: tcp, service: www.example.com}]", "{}", False),
        ("[8080, {port: 80, mode: tcp, service: www.example.com}]", "{}", True),
    ):
        proxy = f"{{listen: {listen}, across: {across}, routes: [{{service: www.example.com}}]}}"
        main = f"{two}proxy: {proxy}\n"
        found = [n.key for n in folder.load(main, SERVICES).warnings]
        assert ("proxy.across" in found) is is_wrong


def test_a_tier_without_any_regions_proxies_is_warned_of(folder):
    main = REGIONS.replace(", proxies: [192.0.2.80]", "") + "«proxy: {routes: [{deny: 403}]}\n"

    found = [note for note in folder.load(main, SERVICES).warnings if note.key == "proxy"]

    check(found, "gslb.yaml", marked(main), "proxy", "no region has proxies", "proxies: [ADDRESS]")


def test_proxies_that_are_probed_where_no_tier_listens_are_warned_of(folder):
    main = REGIONS + "proxy: {listen: [8080], routes: [{deny: 403}]}\n"

    (found,) = [n for n in folder.load(main, SERVICES).warnings if n.key.endswith("proxies")]

    assert "probed at port 80" in found.problem
    assert "port: 8080" in found.hint
    listens = REGIONS + "proxy: {listen: [80], routes: [{deny: 403}]}\n"
    assert not [n for n in folder.load(listens, SERVICES).warnings if n.key.endswith("proxies")]


@pytest.mark.parametrize(
    ("region", "key", "problem", "hint"),
    [
        ("eu-wst", "regions", "no region 'eu-wst'", "did you mean eu-west?"),
        ("us-east", "regions.us-east", "has no proxies", "proxies: [ADDRESS]"),
    ],
)
def test_a_proxy_stands_in_a_region_with_proxies(folder, region, key, problem, hint):
    main = REGIONS + "proxy: {routes: [{deny: 403}]}\n"

    (note,) = folder.complaints(main, SERVICES, region=region)

    assert (note.key, problem in note.problem, hint in note.hint) == (key, True, True)


def test_a_proxy_without_its_part_of_the_file_says_so(folder):
    (note,) = folder.complaints(REGIONS, SERVICES, region="eu-west")

    assert (note.key, note.problem) == ("proxy", "is missing")
    assert "routes: [{service: NAME}]" in note.hint


def test_a_region_that_is_wrong_is_not_missed(folder):
    main = REGIONS.replace("[53.34, -6.26]", "[530, 0]") + "proxy: {routes: [{deny: 403}]}\n"

    (note,) = folder.complaints(main, SERVICES, region="eu-west")

    assert note.key == "regions.eu-west.location[0]"


def test_all_that_is_wrong_is_told_at_once_and_once(folder):
    main = REGIONS + (
        "proxy:\n  listen: [{port: 0}, {port: 5, mode: tcp}]\n"
        "  routes: [{service: a.example}, {deny: 1}, {redirect: x}, {name: 5, deny: 403}]\n"
    )

    found = [note.key for note in folder.complaints(main, ZONE + "  a: {pools: {}}\n")]

    assert sorted(found) == [
        "proxy.listen[0].port",
        "proxy.listen[1]",
        "proxy.routes[1].deny",
        "proxy.routes[2].redirect",
        "proxy.routes[3].name",
        "services.a.pools",
    ]


WHOLE = (
    REGIONS
    + """\
proxy:
  listen: [80, {port: 5, mode: tcp, pass: [{server_names: [a.example], service: db.example.com}]}]
  services: {www.example.com: {port: 8080, tls: {ca: ca.pem}, eject: {most: 30%}}}
  errors: {503: {file: a.html}}
  routes:
    - match: {host: "*.example.com", path: /a/*, header: {X-A: null}, clients: 192.0.2.0/24}
      split: {www.example.com: 1, db.example.com: 2}
      balance: {hash: {query: q}, bound: 1.5}
      rewrite: {path: {pattern: "^/a", to: /b}, set: {X-B: c}}
      rates: {rate: 5/s, by: client}
    - {redirect: "https://{host}{path}{query}"}
"""
)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(main=files(WHOLE), region=st.none() | st.sampled_from(["eu-west", "us-east"]))
@example(main=WHOLE.encode(), region=None)
def test_any_file_about_the_tier_is_a_config_or_a_config_error(tmp_path, main, region):
    folder = Folder(tmp_path)
    folder.write({"gslb.yaml": main, "zone.yaml": SERVICES, "example.com.zone": MASTER})
    try:
        config = load(tmp_path / "gslb.yaml", hostname="h", environ={}, region=region)
    except ConfigError as error:
        notes = error.complaints
    else:
        assert region is None or config.tier is not None
        notes = config.warnings
    assert all(note.line >= 1 and note.column >= 1 and note.hint for note in notes)
