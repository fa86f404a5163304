"""What is wrong in a configuration file: where, which key, what, and how to mend it.

A `«` in a file marks where its complaint must stand; it is not written to disk.
"""

import re

import pytest

from gslb.config.fields import COUNT_MAX
from tests.configs import MAIN, WWW, ZONE, Folder, marked

# What pydantic would say; an operator must never read it.
JARGON = re.compile(
    r"Input should|pydantic|type=|value_error|Field required|Traceback", re.IGNORECASE
)

S = '"00112233445566778899aabbccddeeff"'

MAIN_CASES = [
    # text after the main file's head, key, a part of the problem, a part of the hint
    ("«lisen: {}", "lisen", "unknown key", "did you mean listen?"),
    ("«zzz: 1", "zzz", "unknown key", "known keys: admin_token, carrier, cookies, engine,"),
    ("node: «5", "node", "5 is not text", 'in quotes: "5"'),
    ("state_dir: «[a]", "state_dir", "a list is not text", "write a text"),
    ("listen: «[a]", "listen", "a list is not a map", "key: value"),
    ("listen: {dns: «127.0.0.1:53}", "listen.dns", "not a list", "brackets"),
    ("listen: {dns: [«127.0.0.1]}", "listen.dns[0]", "has no port", "127.0.0.1:5353"),
    ('listen: {dns: [«"[::1:53"]}', "listen.dns[0]", "brackets", "[2001:db8::1]:80"),
    ("listen: {dns: [«localhost:53]}", "listen.dns[0]", "IP address", "ADDRESS:PORT"),
    ("listen: {dns: [«127.0.0.1:65536]}", "listen.dns[0]", "not a port", "65535"),
    ("listen: {dns: [127.0.0.1:1, «127.0.0.1:1]}", "listen.dns[1]", "twice", "keep one"),
    ("listen: {dns: «[]}", "listen.dns", "is empty", "at least one"),
    ("listen: {admin: «0.0.0.0:8053}", "listen.admin", "no admin_token", "127.0.0.1"),
    ("listen: {admin: «192.0.2.1:8053}", "listen.admin", "not on loopback", "admin_token"),
    ("geo: {«databse: x}", "geo.databse", "unknown key", "did you mean database?"),
    ("geo: {database: «none.mmdb}", "geo.database", "No such file", "MMDB"),
    ("geo: {database: «gslb.yaml}", "geo.database", "not a whole MMDB file", "MMDB"),
    ("geo: {database: «.}", "geo.database", "cannot be read", "MMDB"),
    ("geo: {max_moved: «120%}", "geo.max_moved", "out of range", "percentage"),
    ("explain_to: [«127.0.0.1/8]", "explain_to[0]", "bits set", "127.0.0.0/8"),
    ("explain_to: [«all]", "explain_to[0]", "not a network", "192.0.2.0/24"),
    ("admin_token: «{}", "admin_token", "no single source", "{file: PATH}"),
    ("admin_token: {file: «none}", "admin_token.file", "No such file", "spelling"),
    ("admin_token: {file: «gslb.yaml}", "admin_token.file", "not a token", "ASCII"),
    ("admin_token: {env: «NONE}", "admin_token.env", "no environment variable", "set it"),
    ("admin_token: «a b", "admin_token", "spaces", "printable ASCII"),
    ("admin_token: «5", "admin_token", "not text", "in quotes"),
    ("engine: «fast", "engine", "'fast' is not", "auto"),
    ("threads: «0", "threads", "0", "1"),
    ("threads: «33", "threads", "33 threads for each of 2 addresses are 66", "write 32 or less"),
    ('listen: {dns: [«"[fe80::1%lo]:53"]}', "listen.dns[0]", "an interface", "alone"),
    ("vantages: {quorum: «most}", "vantages.quorum", "not a quorum", "majority"),
    ("vantages: {quorum: «0}", "vantages.quorum", "not a quorum", "a number from 1"),
    ("vantages: {quorum: «101%}", "vantages.quorum", "not a quorum", "100%"),
    ("vantages: {expiry: «500ms}", "vantages.expiry", "too short", "from 1s to 1d"),
    ("max_withdrawal: «{for: 60s}", "max_withdrawal.share", "is missing", "add `share`"),
    ("max_withdrawal: {share: «half}", "max_withdrawal.share", "part of the whole", "50%"),
    ("max_withdrawal: {share: «.nan}", "max_withdrawal.share", "part of the whole", "50%"),
    ("cookies: {«secret: []}", "cookies.secret", "unknown key", "did you mean secrets?"),
    ("cookies: {enabled: «maybe}", "cookies.enabled", "neither true nor", "true or false"),
    ("cookies: {secrets: «[]}", "cookies.secrets", "is empty", "at least one secret"),
    ("cookies: {secrets: «c0ffee}", "cookies.secrets", "neither a list nor", "{file: PATH}"),
    ("cookies: {secrets: «{c0ffee: 1}}", "cookies.secrets", "neither a list", "{file: PATH}"),
    ("cookies: {secrets: [«c0ffee]}", "cookies.secrets[0]", "32 hexadecimal", "openssl"),
    (f"cookies: {{secrets: [«{'1' * 32}]}}", "cookies.secrets[0]", "hexadecimal", "in quotes"),
    (f"cookies: {{secrets: «[{S}, {S}]}}", "cookies.secrets", "a secret twice", "the first"),
    ("cookies: {secrets: {file: «none}}", "cookies.secrets.file", "No such file", "spelling"),
    (
        "cookies: {secrets: {file: «gslb.yaml}}",
        "cookies.secrets.file",
        "gslb.yaml is not 32 hexadecimal digits",
        "openssl",
    ),
    (
        "cookies: {secrets: {file: «example.com.zone}, enabled: true}",
        "cookies.secrets.file",
        "line 1 of",
        "openssl",
    ),
    ("rate_limit: {per_second: «0}", "rate_limit.per_second", "out of range", "from 1 to"),
    ("rate_limit: {slip: «-1}", "rate_limit.slip", "out of range", "from 0 to 100"),
    ("rate_limit: {ipv4: «33}", "rate_limit.ipv4", "out of range", "from 1 to 32"),
    ("rate_limit: {ipv6: «all}", "rate_limit.ipv6", "not a whole number", "1 to 128"),
    ("rate_limit: {exempt: [«here]}", "rate_limit.exempt[0]", "not a network", "192.0.2.0/24"),
    ("rate_limit: {table: «64}", "rate_limit.table", "out of range", "from 1024"),
    (
        "rate_limit: {per_second: 10, burst: «601}",
        "rate_limit.burst",
        "more than 60 seconds of 10 per_second",
        "at most 600",
    ),
]

REGION_CASES = [
    ("«a b: {}", "regions.a b", "not a name", "letters"),
    ("«1: {}", "regions.1", "1 is not text", 'quotes: "1"'),
    ("«NO: {}", "regions.NO", "not read as text", 'quote it: "NO"'),
    ("a: {location: «[103.82, 1.35]}", "regions.a.location", "a latitude", "[1.35, 103.82]"),
    ("a: {location: [«91, 91]}", "regions.a.location[0]", "out of range", "-90 to 90"),
    ("a: {location: [0, «-181]}", "regions.a.location[1]", "out of range", "-180 to 180"),
    ("a: {location: [0, «north]}", "regions.a.location[1]", "not a number", "longitude"),
    ("a: {location: «[1]}", "regions.a.location", "two numbers", "[latitude, longitude]"),
    ("a: {location: «Dublin}", "regions.a.location", "two numbers", "53.34"),
    ("a: {proxies: [«lb.example.net]}", "regions.a.proxies[0]", "not an IP", "IPv4"),
    ("a: {proxies: [«127.0.0.1:0]}", "regions.a.proxies[0]", "port 0", "1 to 65535"),
    ("a: {proxies: [«{port: 80}]}", "regions.a.proxies[0].address", "is missing", "add"),
    (
        "a: {proxies: [{address: 127.0.0.1, monitor: «wob}]}",
        "regions.a.proxies[0].monitor",
        "no monitor 'wob'",
        "did you mean web?",
    ),
    ("a: {proxies: [127.0.0.1, «127.0.0.1:81]}", "regions.a.proxies[1]", "already", "once"),
]

MONITOR_CASES = [
    ("a: {type: «icmp}", "type", "not one of the words", "http, https or tcp"),
    ("a: «{type: tcp}", "port", "is missing", "needs a port"),
    ("a: {type: tcp, port: 1, «path: /}", "path", "no `path`", "remove it"),
    ("a: {type: tcp, port: 1, «expect: {body: x}}", "expect", "no `expect`", "remove it"),
    ("a: {type: tcp, port: 1, «verify: true}", "verify", "no `verify`", "remove it"),
    ("a: {port: «0}", "port", "out of range", "from 1 to 65535"),
    ('a: {port: «"80"}', "port", "not a whole number", "1 to 65535"),
    ("a: {port: «true}", "port", "true is not a whole number", "1 to 65535"),
    ("a: {path: «healthz}", "path", "not the path", "start it with /"),
    ('a: {path: «"/a b"}', "path", "not the path", "percent"),
    ("a: {interval: «5x}", "interval", "not a duration", "500ms, 5s, 2m, 1h or 1d"),
    ("a: {interval: «0s}", "interval", "too short", "from 100ms to 1d"),
    ("a: {interval: «-5}", "interval", "too short", "100ms"),
    ("a: {interval: «.inf}", "interval", "not a duration", "500ms"),
    ("a: {timeout: «1h}", "timeout", "too long", "from 10ms to 5m"),
    ("a: {recheck: «0}", "recheck", "too short", "10ms"),
    ("a: {interval: «}", "interval", "an empty value is not a duration", "write"),
    ("a: {fall: «0}", "fall", "out of range", f"1 to {COUNT_MAX}"),
    (f"a: {{rise: «{COUNT_MAX + 1}}}", "rise", "out of range", f"1 to {COUNT_MAX}"),
    ("a: {rise: «1.5}", "rise", "not a whole number", "1 to"),
    ("a: {host: «a_b..c}", "host", "host name", "letters"),
    ("a: {expect: {status: [200, «99]}}", "expect.status[1]", "HTTP status", "100 to 599"),
    ("a: {expect: {status: [«399-200]}}", "expect.status[0]", "HTTP status", "200-399"),
    ("a: {expect: {status: «200}}", "expect.status", "not a list", "brackets"),
    ('a: {expect: {body: «"(a"}}', "expect.body", "not a regular expression", "backslash"),
    ("a: {expect: {json: {a: «[1]}}}", "expect.json.a", "not a single value", "path"),
    ("a: {expect: {json: {«NO: 1}}}", "expect.json.NO", "not read as text", "quote"),
    ("a: {expect: {json: {«1: 1}}}", "expect.json.1", "1 is not text", 'quotes: "1"'),
    ("a: {verify: «no}", "verify", "neither true nor false", "true or false"),
    ("a: {type: https, ca: «none.pem}", "ca", "No such file", "spelling"),
    ("a: {type: https, ca: «gslb.yaml}", "ca", "no certificates", "PEM"),
    ("a: {«tiemout: 5s}", "tiemout", "unknown key", "did you mean timeout?"),
]

SERVICE_CASES = [
    # a service `x` with a pool in eu-west, unless it writes its own; key below the service
    ("ttl: «1.5", "ttl", "not whole seconds", "30s"),
    ("ttl: «-1", "ttl", "out of range", "0s"),
    ("ttl: «2147483648", "ttl", "out of range", "2147483647s"),
    ("ttl: «1:30", "ttl", "not a duration", "500ms"),
    ("ttl_min: «60s", "ttl_min", "ttl_min (60s) is above ttl (30s)", "at most 30s"),
    ("«tll: 5", "tll", "unknown key", "did you mean ttl?"),
    ("monitor: «wob", "monitor", "no monitor 'wob'", "did you mean web?"),
    ("answers: «0", "answers", "out of range", "1 to 64, or all"),
    ("answers: «65", "answers", "out of range", "1 to 64, or all"),
    ("answers: «some", "answers", "not a whole number", "or all"),
    ("sticky: «true", "sticky", "no stickiness", "{ipv4: 24"),
    ("sticky: {ipv4: «33}", "sticky.ipv4", "out of range", "0 to 32"),
    ("sticky: {ipv6: «129}", "sticky.ipv6", "out of range", "0 to 128"),
    ("healthy_at_least: «50", "healthy_at_least", "out of range", "50%"),
    ("proxies: «no", "proxies", "not one of the words", "fallback, never or always"),
    ("all_down: «nxdomain", "all_down", "not one of the words", "serve_all"),
    ("failback: {hold: «8d}", "failback.hold", "too long", "7d"),
    ("route: «nearst", "route", "not a step", "nearest, weighted"),
    ("route: [weighted, «5]", "route[1]", "not a map", "key: value"),
    ("route: «{}", "route", "not 0", "list of steps"),
    ("route: «{order: [eu-west], nearest: {}}", "route", "not 2", "list of steps"),
    ("route: {«ordr: [eu-west]}", "route.ordr", "unknown key", "did you mean order?"),
    ("route: {order: «}", "route.order", "needs a value", "colon"),
    ("route: {order: «eu-west}", "route.order", "not a list", "[eu-west]"),
    ("route: {order: [«eu-wst]}", "route.order[0]", "no region", "did you mean eu-west?"),
    ("route: {order: [eu-west, [us-east, «eu-west]]}", "route.order[1][1]", "twice", "keep"),
    ("route: {order: [«[]]}", "route.order[0]", "is empty", "at least one"),
    ("route: {nearest: {within_km: «-1}}", "route.nearest.within_km", "range", "0 to"),
    ("route: {nearest: {bias_km: {«eu: 5}}}", "route.nearest.bias_km.eu", "no region", "known"),
    ("route: {weighted: «{a: 1}}", "route.weighted", "takes no value", "just weighted"),
    ("route: {countries: {«de: [eu-west]}}", "route.countries.de", "upper-case", "write DE"),
    ("route: {countries: {«NO: [eu-west]}}", "route.countries.NO", "not read", '"NO"'),
    ("route: {countries: {«GER: [eu-west]}}", "route.countries.GER", "two", "such as DE"),
    ("route: {countries: {«49: [eu-west]}}", "route.countries.49", "not text", "quotes"),
    ("route: {countries: «{}}", "route.countries", "is empty", "at least one"),
    ("route: {continents: {«EUR: [eu-west]}}", "route.continents.EUR", "continent", "EU?"),
    (
        "route: {subnets: {«10.0.0.1/8: [eu-west]}}",
        "route.subnets.10.0.0.1/8",
        "bits",
        "10.0.0.0/8",
    ),
    ("route: {subnets: {«here: [eu-west]}}", "route.subnets.here", "not a network", "192.0.2.0"),
    (
        "route: {subnets: {2001:db8::/32: [eu-west], «2001:DB8::/32: [eu-west]}}",
        "route.subnets.2001:DB8::/32",
        "same as a key above",
        "keep one",
    ),
    ("route: {asns: {«AS0: [eu-west]}}", "route.asns.AS0", "not an AS number", "AS64500"),
    (
        "route: {asns: {64500: [eu-west], «AS64500: [eu-west]}}",
        "route.asns.AS64500",
        "same as a key above",
        "keep one",
    ),
    ("route: {fence: «{}}", "route.fence", "empty fence", "countries"),
    (
        "route: {fence: {countries: {DE: [«x]}}}",
        "route.fence.countries.DE[0]",
        "no region",
        "known",
    ),
    ("route: {latency: «none.csv}", "route.latency", "No such file", "spelling"),
    ("pools: «{}", "pools", "is empty", "eu-west: [192.0.2.1]"),
    ("pools: «[192.0.2.1]", "pools", "not a map", "key: value"),
    ("pools: {«eu-wst: [192.0.2.1]}", "pools.eu-wst", "no region 'eu-wst'", "eu-west?"),
    ("pools: {eu-west: «[]}", "pools.eu-west", "is empty", "a member"),
    ("pools: {eu-west: «192.0.2.1}", "pools.eu-west", "not a pool", "[192.0.2.1]"),
    ("pools: {eu-west: «{weight: 5}}", "pools.eu-west.members", "is missing", "a member"),
    (
        "pools: {eu-west: {members: [192.0.2.1], weight: «1000001}}",
        "pools.eu-west.weight",
        "range",
        "1000000",
    ),
    (
        "pools: {eu-west: [«192.0.2.300]}",
        "pools.eu-west[0]",
        "'192.0.2.300' is not an IP",
        "192.0.2.30",
    ),
    ("pools: {eu-west: [«1.5]}", "pools.eu-west[0]", "1.5 is not text", "quotes"),
    ("pools: {eu-west: [«0.0.0.0]}", "pools.eu-west[0]", "one host", "192.0.2.30"),
    ("pools: {eu-west: [«lb]}", "pools.eu-west[0]", "whole host name", "lb.example.net"),
    ("pools: {eu-west: [«a..b]}", "pools.eu-west[0]", "host name", "letters"),
    (
        "pools: {eu-west: [192.0.2.1, {address: «x y}]}",
        "pools.eu-west[1].address",
        "host name",
        "letters",
    ),
    (
        "pools: {eu-west: [{address: 192.0.2.1, weight: «-1}]}",
        "pools.eu-west[0].weight",
        "range",
        "0 to",
    ),
    (
        "pools: {eu-west: [{address: 192.0.2.1, probe: «a:b}]}",
        "pools.eu-west[0].probe",
        "port",
        "65535",
    ),
    (
        "pools: {eu-west: [{address: 192.0.2.1, monitor: «wob}]}",
        "pools.eu-west[0].monitor",
        "no monitor",
        "web?",
    ),
    ("pools: {eu-west: [192.0.2.1, «192.0.2.1]}", "pools.eu-west[1]", "already", "once"),
    (
        "pools: {eu-west: [192.0.2.1], us-east: [«192.0.2.1]}",
        "pools.us-east[0]",
        "as services.x.pools.eu-west[0]",
        "once",
    ),
    (
        "pools: {eu-west: [192.0.2.1, «lb.example.net]}",
        "pools.eu-west[1]",
        "two kinds",
        "all addresses",
    ),
    ("pools: {eu-west: [«X.Example.COM]}", "pools.eu-west[0]", "this service itself", "another"),
    ("pools: {«nowhere: [192.0.2.1]}", "pools.nowhere", "no location", "regions.nowhere"),
]

POOL = "pools: {eu-west: [192.0.2.9]}"

NAME_CASES = [
    ("«a.*: ", "a.*", "further right", "leftmost"),
    ("«a..b: ", "a..b", "empty label", "relative to the zone"),
    ("«www.example.net.: ", "www.example.net.", "not in the zone", "last dot"),
    ("«WWW: ", "WWW", "same name as 'www'", "letter case"),
    ("«www.example.com.: ", "www.example.com.", "same name as 'www'", "keep one"),
    ("«ö: ", "ö", "not ASCII", "relative to the zone"),
    ("«5: ", "5", "5 is not text", 'quotes: "5"'),
    ("«ns1: ", "ns1", "static A records", "delete"),
]

ZONE_CASES = [
    ("zone: «a..b\nfile: example.com.zone\n", "zone", "empty label", "example.com"),
    (
        'zone: «"*.example.com"\nfile: example.com.zone\n',
        "zone",
        "not the name of a zone",
        "example",
    ),
    ("zone: «5\nfile: example.com.zone\n", "zone", "5 is not text", "quotes"),
    ("«zone: example.com\n", "file", "is missing", "master file"),
    ("«file: example.com.zone\n", "zone", "is missing", "zone: example.com"),
    ("zone: example.com\nfile: «none.zone\n", "file", "none.zone", "path"),
    ("zone: example.com\nfile: example.com.zone\nservices: «{}\n", "services", "is empty", "leave"),
    ("zone: example.com\nfile: example.com.zone\nservices:«\n", "services", "is empty", "leave"),
    ("zone: example.com\nfile: example.com.zone\nservices: «[]\n", "services", "not a map", "key"),
    ("«zome: example.com\nzone: example.com\nfile: example.com.zone\n", "zome", "unknown", "zone?"),
]


def check(found, file, place, key, problem, hint):
    assert [(note.file.rpartition("/")[2], f"{note.line}:{note.column}") for note in found] == [
        (file, place)
    ]
    assert found[0].key == key
    assert problem in found[0].problem
    assert hint in found[0].hint
    assert found[0].hint
    assert not JARGON.search(str(found[0]))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), MAIN_CASES)
def test_a_mistake_in_the_main_file_is_told_where_it_stands(folder, text, key, problem, hint):
    main = MAIN + text + "\n"

    check(folder.complaints(main), "gslb.yaml", marked(main), key, problem, hint)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), REGION_CASES)
def test_a_mistake_in_a_region_is_told_where_it_stands(folder, text, key, problem, hint):
    main = MAIN.replace("regions:\n", f"regions:\n  {text}\n")

    check(folder.complaints(main), "gslb.yaml", marked(main), key, problem, hint)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), MONITOR_CASES)
def test_a_mistake_in_a_monitor_is_told_where_it_stands(folder, text, key, problem, hint):
    main = MAIN.replace("monitors:\n", f"monitors:\n  {text}\n")

    found = folder.complaints(main)

    check(found, "gslb.yaml", marked(main), f"monitors.a.{key}", problem, hint)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), SERVICE_CASES)
def test_a_mistake_in_a_service_is_told_where_it_stands(folder, text, key, problem, hint):
    pools = "" if text.startswith("pools") else f"    {POOL}\n"
    zone = f"{ZONE}  x:\n    {text}\n{pools}"

    found = folder.complaints(zone=zone)

    check(found, "zone.yaml", marked(zone), f"services.x.{key}", problem, hint)


@pytest.mark.parametrize(("text", "key", "problem", "hint"), NAME_CASES)
def test_a_wrong_service_name_is_told_where_it_stands(folder, text, key, problem, hint):
    zone = f"{WWW}  {text}{{{POOL}}}\n"

    found = folder.complaints(zone=zone)

    check(found, "zone.yaml", marked(zone), f"services.{key}", problem, hint)


def test_a_host_name_cannot_be_a_member_at_the_apex(folder):
    zone = ZONE + '  "@": {pools: {eu-west: [«lb.example.net]}}\n'

    found = folder.complaints(zone=zone)

    key = "services.@.pools.eu-west[0]"
    check(found, "zone.yaml", marked(zone), key, "the zone's apex", "use addresses")


@pytest.mark.parametrize(("zone", "key", "problem", "hint"), ZONE_CASES)
def test_a_mistake_in_a_zone_file_is_told_where_it_stands(folder, zone, key, problem, hint):
    check(folder.complaints(zone=zone), "zone.yaml", marked(zone), key, problem, hint)
