"""What a configuration means: each key, written and left out."""

from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from gslb.config.fields import MEMBERS_MAX, STEPS_MAX
from gslb.config.load import load
from gslb.config.settings import Cookies, Endpoint
from gslb.dns import name
from gslb.model import (
    Expect,
    Fact,
    Failback,
    Fence,
    Latency,
    Listed,
    Nearest,
    Order,
    Quorum,
    RateLimit,
    SafetyCatch,
    Sticky,
    Subject,
    Weighted,
)
from tests.configs import FULL, MAIN, ZONE, Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def service(folder):
    """Return the service that these lines make, with the main file's lines before them."""

    def of(lines, main=MAIN, **files):
        text = "".join(f"    {line}\n" for line in lines.splitlines())
        if "pools:" not in lines:
            text += "    pools: {eu-west: [192.0.2.1], us-east: [192.0.2.2]}\n"
        config = folder.load(main, f"{ZONE}  x:\n{text}", **files)
        assert config.complaints() == ()
        return config.services()[0]

    return of


def test_the_example_of_the_contract_loads(folder):
    folder.write(FULL)

    config = load(folder.path / "gslb.yaml", hostname="h", environ={})

    www = config.services()[0]
    assert (www.text, www.ttl_s, www.ttl_min_s, www.answers) == ("www.example.com", 30, 5, 1)
    assert [(pool.region, pool.weight) for pool in www.pools] == [("us-east", 100), ("eu-west", 70)]
    assert www.pools[1].members[0].weight == 3
    assert www.pools[1].members[1].subject == Subject(
        "127.2.0.2", ("127.2.0.2", 8080), "web", "www.example.com"
    )
    assert config.regions["eu-west"].proxies[0].subject == Subject(
        "127.2.0.100", ("127.2.0.100", 80), "tcp:80", "eu-west"
    )
    assert (config.monitors["tcp:80"].type, config.monitors["tcp:80"].port) == ("tcp", 80)
    assert [note.key for note in config.warnings] == ["regions.ap-south", "vantages"]
    assert www.name in config.zones[0].zone.nodes


def test_a_region_in_antarctica_is_a_warning(folder):
    config = folder.load(MAIN.replace("[39.04, -77.49]", "[-77.49, 39.04]"))

    (note,) = [note for note in config.warnings if note.key == "regions.us-east.location"]
    assert (note.problem, "[39.04, -77.49]" in note.hint) == ("lies in Antarctica", True)


def test_what_is_not_written_has_its_default(folder):
    regions = "regions: {eu-west: {location: [1, 2]}, us-east: {location: [3, 4]}}\n"

    config = folder.load("zones: [zone.yaml]\n" + regions)

    assert config.node == "node.example"
    assert config.state_dir == folder.path / "var"
    assert config.listen_dns == (Endpoint("127.0.0.1", 5353), Endpoint("::1", 5353))
    assert config.listen_admin == Endpoint("127.0.0.1", 8053)
    assert config.explain_to == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert (config.geo_database, config.asn_database) == (None, None)
    assert config.geo_max_moved == Fraction(1, 5)
    assert (config.admin_token, config.max_withdrawal) == (None, None)
    assert (config.cookies, config.rate_limit) == (Cookies(enabled=True, secrets=None), None)
    assert config.quorum == Quorum("majority", 0, 20.0)
    service = config.services()[0]
    assert service.route == (Nearest(),)
    assert (service.ttl_s, service.ttl_min_s, service.answers) == (30, 5, 1)
    assert (service.proxies, service.all_down) == ("fallback", "serve_all")
    assert (service.sticky, service.failback) == (None, Failback(0, 0))
    assert service.healthy_at_least == Fraction(1, 2)
    assert service.pools[0].members[0].subject is None


def test_everything_in_the_main_file_can_be_written(folder):
    main = MAIN + (
        "node: a\nstate_dir: /var/lib/gslb\n"
        'listen: {dns: ["0.0.0.0:53", "[::]:0"], admin: "[::1]:9"}\n'
        "admin_token: {env: TOKEN}\nvantages: {quorum: 18%, expiry: 1m}\n"
        "max_withdrawal: {share: 33.3%, for: 90}\ngeo: {max_moved: null}\n"
        "explain_to: [192.0.2.1]\n"
    )

    config = folder.load(main, environ={"TOKEN": "s3cret"})

    assert config.state_dir == Path("/var/lib/gslb")
    assert config.listen_dns == (Endpoint("0.0.0.0", 53), Endpoint("::", 0))
    assert config.admin_token == "s3cret"
    assert config.quorum == Quorum("percent", 18, 60.0)
    assert config.max_withdrawal == SafetyCatch(Fraction(333, 1000), 90.0)
    assert config.geo_max_moved is None
    assert config.explain_to == (ip_network("192.0.2.1/32"),)


SECRETS = ("00112233445566778899aabbccddeeff", "E5E973E5A6B2A43F48E7DC849E37BFCF")


@pytest.mark.parametrize("written", [str(list(SECRETS)), f"{{hex: {list(SECRETS)}}}"])
def test_secrets_can_be_written_in_the_main_file(folder, written):
    config = folder.load(MAIN + f"cookies: {{secrets: {written}}}\n")

    assert config.cookies == Cookies(secrets=tuple(map(bytes.fromhex, SECRETS)))


def test_secrets_can_be_written_in_a_file_of_their_own_which_is_watched(folder):
    text = f"# the active one\n\n{SECRETS[0]}\n  {SECRETS[1]}  # of last month\n"

    config = folder.load(
        MAIN + "cookies: {enabled: false, secrets: {file: keys.txt}}\n", keys__txt=text
    )

    assert config.cookies == Cookies(False, tuple(map(bytes.fromhex, SECRETS)))
    assert folder.path / "keys.txt" in config.files


@pytest.mark.parametrize(("text", "count"), [("# none\n", 0), ("%032x\n" * 9, 9)])
def test_a_file_holds_some_secrets_and_not_too_many(folder, text, count):
    text = text % tuple(range(count))

    (note,) = folder.complaints(MAIN + "cookies: {secrets: {file: keys.txt}}\n", keys__txt=text)

    assert f"holds {count} secrets" in note.problem
    assert "1 to 8" in note.hint


def test_a_rate_limit_is_on_once_it_is_written_with_a_burst_of_a_second(folder):
    assert folder.load(MAIN + "rate_limit: {}\n").rate_limit == RateLimit()
    assert folder.load(MAIN + "rate_limit: {per_second: 7}\n").rate_limit == RateLimit(7, 7)


def test_everything_in_a_rate_limit_can_be_written(folder):
    config = folder.load(
        MAIN + "rate_limit: {per_second: 10, burst: 600, slip: 0, ipv4: 32, ipv6: 64, "
        "exempt: [192.0.2.0/24, 2001:db8::1], table: 1024}\n"
    )

    exempt = (ip_network("192.0.2.0/24"), ip_network("2001:db8::1"))
    assert config.rate_limit == RateLimit(10, 600, 0, 32, 64, exempt, 1024)


def test_everything_in_a_monitor_can_be_written(folder):
    main = MAIN.replace(
        "monitors:\n",
        "monitors:\n"
        "  db: {type: tcp, port: 5432, interval: 500ms, timeout: 0.25, recheck: 1m}\n"
        "  api: {type: https, host: API.Example.net., fall: 1, rise: 100, verify: false,\n"
        '        expect: {status: [200, 301-302], body: "^ok", json: {checks.db: ok, n: 1.5}}}\n',
    )

    monitors = folder.load(main).monitors

    db, api = monitors["db"], monitors["api"]
    assert (db.type, db.port, db.interval_s, db.timeout_s) == ("tcp", 5432, 0.5, 0.25)
    assert (db.recheck_s, api.port, api.host) == (60.0, 443, "api.example.net")
    assert (api.fall, api.rise, api.verify, api.path) == (1, 100, False, "/")
    assert api.expect == Expect(((200, 200), (301, 302)), "^ok", (("checks.db", "ok"), ("n", 1.5)))


def test_everything_in_a_service_can_be_written(service):
    found = service(
        "ttl: 1h\nttl_min: 0\nmonitor: web\nanswers: all\nsticky: {ipv4: 20}\n"
        "healthy_at_least: 12.5%\nproxies: never\nall_down: nodata\n"
        "failback: {hold: 10s, ramp: 1.5m}\nroute: []"
    )

    assert (found.ttl_s, found.ttl_min_s, found.answers) == (3600, 0, 0)
    assert (found.sticky, found.failback) == (Sticky(20, 56), Failback(10.0, 90.0))
    assert found.healthy_at_least == Fraction(1, 8)
    assert (found.proxies, found.all_down, found.route) == ("never", "nodata", ())


@pytest.mark.parametrize(
    ("written", "meant"),
    [("0.1", "1/10"), ("1", "1"), ("0", "0"), ("1e-3", "1/1000"), ("7%", "7/100")],
)
def test_a_share_is_exactly_what_is_written(service, written, meant):
    assert service(f"healthy_at_least: {written}").healthy_at_least == Fraction(meant)


@pytest.mark.parametrize(("ttl", "least"), [("3s", 3), ("5s", 5), ("0", 0), ("1h", 5)])
def test_the_least_ttl_is_never_above_the_ttl(service, ttl, least):
    assert service(f"ttl: {ttl}").ttl_min_s == least


EU, US = ("eu-west",), ("us-east",)


@pytest.mark.parametrize(
    ("route", "steps"),
    [
        ("nearest", (Nearest(),)),
        ("weighted", (Weighted(),)),
        ("[]", ()),
        ("[weighted, nearest]", (Weighted(), Nearest())),
        ("{weighted: }", (Weighted(),)),
        ("{nearest: }", (Nearest(),)),
        (
            "{nearest: {within_km: 100, bias_km: {eu-west: -5.5}}}",
            (Nearest(100.0, (("eu-west", -5.5),)),),
        ),
        ("{order: [eu-west, us-east]}", (Order((EU, US)),)),
        ("[{order: [[eu-west, us-east], nowhere]}]", (Order((EU + US, ("nowhere",))),)),
        (
            "{subnets: {10.0.0.0/8: [eu-west], 192.0.2.1: [us-east]}}",
            (
                Listed(
                    Fact.SUBNETS,
                    ((ip_network("10.0.0.0/8"), (EU,)), (ip_network("192.0.2.1"), (US,))),
                ),
            ),
        ),
        ('{countries: {"NO": [eu-west]}}', (Listed(Fact.COUNTRIES, (("NO", (EU,)),)),)),
        ("{continents: {EU: [us-east]}}", (Listed(Fact.CONTINENTS, (("EU", (US,)),)),)),
        (
            "{asns: {64500: [eu-west], AS64501: [us-east]}}",
            (Listed(Fact.ASNS, ((64500, (EU,)), (64501, (US,)))),),
        ),
        (
            "[{fence: {continents: {EU: [eu-west]}, asns: {1: [us-east]}}}, nearest]",
            (
                Fence(
                    (
                        Listed(Fact.CONTINENTS, (("EU", (EU,)),)),
                        Listed(Fact.ASNS, ((1, (US,)),)),
                    )
                ),
                Nearest(),
            ),
        ),
    ],
)
def test_each_step_of_a_route_means_what_it_says(service, route, steps):
    assert service(f"route: {route}").route == steps


def test_a_latency_file_is_read_from_the_zones_folder(service):
    csv = (
        '\ufeffclient,region,ms\n"10.0.0.0/8",eu-west,12.5\nDE,us-east,90\n'
        "AS64500,eu-west,1\n\n*,eu-west,3\n"
    )

    found = service("route: {latency: ms.csv}", ms__csv=csv)

    measured = (
        (ip_network("10.0.0.0/8"), "eu-west", 12.5),
        ("DE", "us-east", 90.0),
        (64500, "eu-west", 1.0),
        ("*", "eu-west", 3.0),
    )
    assert found.route == (Latency("ms.csv", measured),)


def test_members_are_addresses_of_both_families_or_host_names(service):
    found = service(
        "monitor: web\npools:\n"
        '  eu-west: [192.0.2.1, "2001:DB8::1"]\n'
        "  us-east: {members: [{address: 192.0.2.2, monitor: web, probe: Probe.example.net}]}"
    )

    first, second = found.pools[0].members
    assert (first.address, second.address) == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert second.subject == Subject("2001:db8::1", ("2001:db8::1", 80), "web", "x.example.com")
    assert found.pools[1].members[0].subject.target == ("probe.example.net", 80)

    named = service("monitor: web\npools: {eu-west: [LB.example.net., lb2.example.net]}")

    assert [m.address for m in named.pools[0].members] == ["lb.example.net", "lb2.example.net"]
    assert named.pools[0].members[0].subject.target == ("lb.example.net", 80)


@pytest.mark.parametrize(
    ("probe", "target"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[2001:db8::1]:8080", ("2001:db8::1", 8080)),
        ("[2001:db8::1]", ("2001:db8::1", 80)),
        ("2001:db8::1", ("2001:db8::1", 80)),
        ("probe.example.net", ("probe.example.net", 80)),
    ],
)
def test_a_probe_goes_where_it_is_told(service, probe, target):
    found = service(f'monitor: web\npools: {{eu-west: [{{address: 192.0.2.1, probe: "{probe}"}}]}}')

    assert found.pools[0].members[0].subject.target == target


def test_a_wildcard_is_probed_by_its_name_without_the_star(folder):
    zone = ZONE + '  "*.a": {monitor: web, pools: {eu-west: [192.0.2.1]}}\n'

    found = folder.load(zone=zone).services()[0]

    assert found.text == "*.a.example.com"
    assert found.pools[0].members[0].subject.host == "a.example.com"


@pytest.mark.parametrize(
    ("written", "owner"),
    [
        ('"@"', "example.com"),
        ('"*"', "*.example.com"),
        ("WWW", "www.example.com"),
        ("a.b", "a.b.example.com"),
        ("www.example.com.", "www.example.com"),
    ],
)
def test_a_service_name_is_relative_unless_it_ends_in_a_dot(folder, written, owner):
    config = folder.load(zone=f"{ZONE}  {written}: {{pools: {{eu-west: [192.0.2.1]}}}}\n")

    assert [s.text for s in config.services()] == [owner]
    assert config.services()[0].name == name.parse(owner)


def test_proxies_may_say_where_and_how_they_are_probed(folder):
    main = MAIN.replace(
        "nowhere: {}",
        'nowhere: {proxies: [127.0.0.1, "127.0.0.2:81", "[::1]:82",\n'
        "    {address: 127.0.0.3, port: 83}, {address: 127.0.0.4, monitor: web}]}",
    )

    config = folder.load(main)

    found = [
        (str(p.address), p.subject.target[1], p.subject.monitor, p.subject.host)
        for p in config.regions["nowhere"].proxies
    ]
    assert found == [
        ("127.0.0.1", 80, "tcp:80", "nowhere"),
        ("127.0.0.2", 81, "tcp:81", "nowhere"),
        ("::1", 82, "tcp:82", "nowhere"),
        ("127.0.0.3", 83, "tcp:83", "nowhere"),
        ("127.0.0.4", 80, "web", "nowhere"),
    ]
    assert {n for n in config.monitors if ":" in n} == {"tcp:80", "tcp:81", "tcp:82", "tcp:83"}


@pytest.mark.parametrize(
    ("lines", "fine"),
    [
        (f"route: [{', '.join(['weighted'] * STEPS_MAX)}]", True),
        (f"route: [{', '.join(['weighted'] * (STEPS_MAX + 1))}]", False),
    ],
)
def test_a_route_has_a_limit_of_steps(folder, lines, fine):
    zone = f"{ZONE}  x:\n    {lines}\n    pools: {{eu-west: [192.0.2.1]}}\n"

    found = folder.complaints(zone=zone)

    assert [note.problem for note in found] == (
        [] if fine else [f"holds more than {STEPS_MAX} items"]
    )


@pytest.mark.parametrize("over", [0, 1])
def test_a_pool_has_a_limit_of_members(folder, over):
    members = ", ".join(f"10.0.{n >> 8}.{n & 255}" for n in range(MEMBERS_MAX + over))

    found = folder.complaints(zone=f"{ZONE}  x: {{pools: {{eu-west: [{members}]}}}}\n")

    assert len(found) == over
