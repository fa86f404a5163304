"""`discover` in a pool: what it comes to, and what is complained of."""

from ipaddress import ip_address

import jsonschema
import pytest

from gslb.config.schema import json_schema
from gslb.model import Discover, Family
from tests.configs import MAIN, MARK, ZONE, Folder, marked
from tests.test_config_schema import as_json


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def www(pool, more=""):
    return ZONE + f"  www: {{{more}pools: {{eu-west: {pool}}}}}\n"


def pool_of(folder, text, more=""):
    [service] = folder.load(zone=www(text, more)).services()
    [pool] = service.pools
    return service, pool


def test_a_pool_may_have_only_members_that_are_discovered(folder):
    service, pool = pool_of(folder, "{discover: {register: true}}")

    assert pool.members == ()
    assert pool.discover == Discover(register=True)
    assert service.families() == (Family.A, Family.AAAA)


def test_every_source_is_read_with_how_its_members_are_probed(folder):
    _, pool = pool_of(
        folder,
        "{members: [192.0.2.1], discover: {file: members/, dns: _http._tcp.App.example.net., "
        'resolver: "[2001:db8::53]:5353"}}',
        "monitor: web, ",
    )

    assert [member.address for member in pool.members] == [ip_address("192.0.2.1")]
    assert pool.discover == Discover(
        file=str((folder.path / "members").absolute()),
        dns="_http._tcp.app.example.net",
        resolver=("2001:db8::53", 5353),
        monitor="web",
        port=80,
        host="www.example.com",
    )


def test_a_resolver_is_asked_at_port_53_unless_it_says_otherwise(folder):
    _, pool = pool_of(folder, "{discover: {dns: app, resolver: 192.0.2.53}}")

    assert pool.discover.resolver == ("192.0.2.53", 53)


@pytest.mark.parametrize(
    ("zone", "problem", "hint"),
    [
        (www(f"{MARK}{{weight: 3}}"), "is missing", "member"),
        (www(f"{{members: {MARK}[], discover: {{register: true}}}}"), "is empty", "member"),
        (www(f"{{discover: {MARK}{{}}}}"), "discovers nothing", "register: true"),
        (www(f"{{discover: {MARK}{{register: false}}}}"), "discovers nothing", "dns"),
        (www(f"{{discover: {{register: {MARK}1}}}}"), "1 is neither true nor false", "true"),
        (www(f"{{discover: {{{MARK}fil: x}}}}"), "unknown key fil", "did you mean file?"),
        (www(f"{{discover: {{dns: {MARK}192.0.2.1}}}}"), "is an address", "members"),
        (www(f"{{discover: {{dns: {MARK}a b}}}}"), "neither", "letters"),
        (
            www(f"{{discover: {{file: x, resolver: {MARK}192.0.2.1}}}}"),
            "is asked for nothing",
            "dns",
        ),
        (www(f"{{discover: {{dns: a, resolver: {MARK}a}}}}"), "is not an IP address", "write"),
        (www(f'{{discover: {{dns: a, resolver: {MARK}"192.0.2.1:0"}}}}'), "has port 0", "1 to"),
        (
            www(f"{{members: [lb.example.net], {MARK}discover: {{register: true}}}}"),
            "lb.example.net is a host name",
            "all addresses",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(folder, zone, problem, hint):
    complaints = folder.complaints(zone=zone)

    [found] = [each for each in complaints if problem in each.problem]
    assert f"{found.line}:{found.column}" == marked(zone)
    assert hint in found.hint


def test_static_records_of_either_family_stand_in_the_way(folder):
    complaints = folder.complaints(
        zone=www("{members: [192.0.2.1], discover: {register: true}}"),
        master="$TTL 300\n@ SOA ns1 admin 1 7200 900 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n"
        "www AAAA 2001:db8::1\n",
    )

    assert any("static AAAA records as well" in each.problem for each in complaints)


def test_a_monitor_and_a_pool_that_wait_for_members_are_in_use(folder):
    config = folder.load(MAIN, zone=www("{discover: {register: true}}", "monitor: web, "))

    problems = [each.problem for each in config.warnings]
    assert "no member is probed by this monitor" not in problems
    assert not any("reserves" in problem for problem in problems)


def test_members_that_are_found_are_in_no_hash(folder):
    zone = www("{discover: {file: members.txt}}")
    before = folder.load(zone=zone).hash
    folder.write({"members.txt": "192.0.2.1\n"})

    config = folder.load(zone=zone)

    assert config.hash == before
    assert folder.path / "members.txt" not in config.files
    assert folder.load(zone=www("{discover: {file: members.txt, register: true}}")).hash != before


def test_the_json_schema_knows_discover(folder):
    zone = www("{discover: {register: true, file: a, dns: b, resolver: 192.0.2.1}}")
    folder.load(zone=zone)
    jsonschema.validate(as_json(zone), json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(www("{weight: 3}")), json_schema())
