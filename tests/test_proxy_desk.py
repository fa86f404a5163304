"""The desk: routes, rates, splits, pins and fields, for requests that are fake at both ends."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from gslb.errors import MessageError
from gslb.model import Region
from gslb.proxy.sides import Phase
from gslb.routing.geo import BLANK
from gslb.tier import (
    Across,
    Affinity,
    Balance,
    Ejection,
    Forward,
    Limits,
    Listener,
    Match,
    Page,
    PassRoute,
    Rate,
    Rewrite,
    Tls,
    Upstream,
)
from tests.exchanges import CLIENT, DOWN, DRAINED, UP, WWW, World, member, route, service
from tests.test_proxy_way import fence

API = "api.example.com"
COOKIE = Affinity(by="cookie", name="pin", key=b"k" * 32, ttl_s=100, drain_s=10)
HEADER = Affinity(by="header", name="x-client", drain_s=10)
HOME_AND_AWAY = {"eu": ["192.0.2.1", "192.0.2.2"], "us": ["192.0.2.11"]}


def field(client, name):
    return [value for each, value in client.fields if each == name]


def served(world, *lines, **how):
    """Return a client that was served, and by whom."""
    client, _ = world.ask(b"GET /x HTTP/1.1", *lines, **how)
    back = world.connected()
    back.answer()
    return client, back


def cookie_of(client):
    (text,) = field(client, b"set-cookie")
    return b"Cookie: " + text.partition(b";")[0]


# Routes and rates.


def test_before_it_has_a_table_a_desk_knows_no_routes_and_no_members():
    world = World()
    desk = world.desk
    desk.table = None

    desk.believe(lambda *_: UP)
    desk.tick(1.0)
    assert list(desk.targets()) == []
    assert desk.page(404) == ([(b"content-type", b"text/plain; charset=utf-8")], b"404 Not Found\n")


def test_a_request_that_begins_before_there_is_a_table_is_not_found():
    world = World()
    world.adopt(route(), via="edge")
    table, world.desk.table = world.desk.table, None
    peer = table.forwarders[80].peer(CLIENT)
    assert peer.address == CLIENT
    world.desk.peer = lambda *_: peer
    client, _ = world.ask()

    assert client.status == 404


def test_a_client_with_ipv6_has_one_rate_for_all_addresses_of_its_network():
    world = World(route(rates=(Rate(1, 1),)))
    one, exchange = world.ask(client=ip_address("2001:db8::1"))
    other, _ = world.ask(client=ip_address("2001:db8::ffff:0:0:2"))

    assert (one.status, other.status) == (None, 429)
    assert exchange.passage.client_text == "2001:db8::1"


@pytest.mark.parametrize(
    ("rate", "lines", "other"),
    [
        (Rate(1, 1), {}, {"client": CLIENT + 1}),
        (
            Rate(1, 1),
            {"client": ip_address("2001:db8::1")},
            {"client": ip_address("2001:db8:0:1::")},
        ),
        (Rate(1, 1, "header", "X-Key"), {"lines": [b"X-Key: a"]}, {"lines": [b"X-Key: b"]}),
        (Rate(1, 1, "route"), {}, None),
    ],
)
def test_rates_are_by_client_by_header_or_for_all(rate, lines, other):
    world = World(route(rates=(rate,)))

    def status(lines=(), **how):
        client, exchange = world.ask(b"GET / HTTP/1.1", *lines, **how)
        exchange.on_client_gone()
        return client.status

    assert status(**lines) is None
    assert status(**lines) == 429
    assert other is None or status(**other) is None
    world.now_s += 1
    assert status(**lines) is None


def test_a_country_is_asked_for_when_a_route_wants_to_know():
    world = World(route("de", matches=(Match(countries=frozenset({"DE"})),)), route())

    assert world.ask()[1].route.name == "all"


# Services.


@pytest.mark.parametrize("key", [b"", b"k" * 32])
def test_a_split_is_by_weight_and_what_a_cookie_remembers(key):
    parts = Forward(((WWW, 1), (API, 1)), "part", key)
    of = [service(eu=["192.0.2.1"]), service(API, eu=["192.0.2.2"])]
    world = World(route(action=parts), services=of)

    first, back = served(world)
    assert back.target.name == "192.0.2.1:80"
    world.draw = 0.9
    again, back = served(world, cookie_of(first))
    assert back.target.name == "192.0.2.1:80"
    assert field(again, b"set-cookie") == []
    _, back = served(world)
    assert back.target.name == "192.0.2.2:80"


def test_a_request_that_was_here_before_is_a_loop():
    world = World(trusted=(ip_network("203.0.113.0/24"),))
    client, exchange = world.ask(b"GET / HTTP/1.1", b"X-Gslb-Hops: us,eu")

    assert (client.status, exchange.why) == (508, "loop")
    assert world.is_quiet()


def test_a_service_that_is_not_there_is_unavailable():
    world = World(route(), route("api", matches=(Match(path="/api"),)))
    world.adopt(route(to=("gone.example.com",)))
    client, exchange = world.ask()

    assert (client.status, exchange.why) == (503, "no such service")


# Clients that keep their member.


@pytest.mark.parametrize(("pinning", "line"), [(COOKIE, None), (HEADER, b"X-Client: a")])
def test_a_client_keeps_its_member_through_a_drain_and_gets_another_when_it_dies(pinning, line):
    world = World(route(affinity=pinning, balance=Balance("random")))
    lines = [line] if line else []
    client, back = served(world, *lines)
    kept = back.target
    number = kept.name.removesuffix(":80").rpartition(".")[2]
    if not line:
        lines = [cookie_of(client)]

    def again():
        client, back = served(world, *lines)
        return client, back.target

    world.draw = 0.99
    client, target = again()
    assert target is kept
    assert field(client, b"set-cookie") == []
    world.believe(**{"_" + number: DRAINED})
    assert again()[1] is kept
    world.now_s += 11
    assert again()[1] is not kept

    world.believe(**{"_" + number: UP})
    world.now_s += 1
    world.believe(**{"_" + number: DOWN})
    client, target = again()
    assert target is not kept
    if not line:
        lines = [cookie_of(client)]
    world.draw = 0.0
    assert again()[1] is target


@pytest.mark.parametrize("cookie", [b"pin=", b"pin=x", b"pin=" + b"A" * 40, b"other=1; pin=y"])
def test_a_cookie_that_is_none_of_ours_is_as_none(cookie):
    world = World(route(affinity=COOKIE))
    client, _ = served(world, b"Cookie: " + cookie)

    assert len(field(client, b"set-cookie")) == 1


@pytest.mark.parametrize(("pinning", "line"), [(COOKIE, None), (HEADER, b"X-Client: a")])
def test_no_client_is_kept_over_a_fence(pinning, line):
    far = ip_address("198.51.100.1")
    made = replace(service(**HOME_AND_AWAY), route=(fence(),))
    world = World(
        route(affinity=pinning),
        services=[made],
        across=Across(to=("members",)),
    )
    client, back = served(world, *([line] if line else []))
    assert back.target.region == "eu"

    lines = [line or cookie_of(client)]
    _, back = served(world, *lines, client=far)
    assert back.target.region == "us"


def test_who_has_nothing_to_be_known_by_is_balanced_as_all():
    world = World(route(affinity=HEADER, balance=Balance("round_robin")))

    first = [served(world)[1].target for _ in range(6)]

    assert sorted(map(first.count, set(first))) == [2, 2, 2]


def test_a_transport_security_that_a_member_says_gives_way_to_the_routes():
    secure = Listener(port=443, tls=Tls(certificates=()))
    world = World(route(hsts_s=60), listeners=(secure,))
    client, _ = world.ask()
    world.connected().respond(
        b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"
    )

    assert field(client, b"strict-transport-security") == [b"max-age=60"]


def test_a_cookie_holds_until_its_time_is_over():
    world = World(route(affinity=COOKIE, balance=Balance("random")))
    client, _ = served(world)
    world.now_s += 101

    client, _ = served(world, cookie_of(client))

    assert len(field(client, b"set-cookie")) == 1


def test_a_member_that_was_tried_already_is_not_kept():
    world = World(route(affinity=COOKIE))
    client, back = served(world)
    client, exchange = world.ask(b"GET / HTTP/1.1", cookie_of(client))
    world.unreachable()
    other = world.connected()
    other.answer()

    assert exchange.tried == [back.target, other.target]
    assert len(field(client, b"set-cookie")) == 1


@pytest.mark.parametrize(("pinning", "line"), [(COOKIE, None), (HEADER, b"X-Client: a")])
def test_nobody_is_pinned_to_a_member_far_away(pinning, line):
    world = World(
        route(affinity=pinning), services=[service(**HOME_AND_AWAY)], across=Across(to=("members",))
    )
    world.believe(_1=DOWN, _2=DOWN)
    client, back = served(world, *([line] if line else []))
    assert back.target.region == "us"
    assert field(client, b"set-cookie") == []

    world.believe(_1=UP, _2=UP)
    _, back = served(world, *([line] if line else []))
    assert back.target.region == "eu"


# What is said of members.


def test_members_that_real_requests_fail_at_are_suspected_but_proxies_are_not():
    regions = {"eu": Region("eu"), "us": Region("us", proxies=(member("198.51.100.7"),))}
    world = World(
        services=[service(**HOME_AND_AWAY)], regions=regions, across=Across(to=("proxies",))
    )
    world.ask()
    for _ in range(3):
        world.unreachable()

    assert world.suspected == [(WWW, "192.0.2.1"), (WWW, "192.0.2.2")]
    assert world.targets()[-1].is_proxy
    assert world.is_quiet()


def test_successes_are_of_interest_while_somebody_fails():
    rules = Ejection(errors=3)
    world = World(upstreams={WWW: Upstream(service=WWW, ejection=rules)})
    for _ in range(2):
        _, exchange = world.ask()
        world.connected().respond(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
        exchange.on_client_gone()
        assert not world.chooser().is_calm
    while not world.chooser().is_calm:
        served(world)

    assert all(not world.chooser().is_out(each) for each in world.targets())


# Fields.


def test_a_request_goes_on_rewritten():
    changes = Rewrite(
        path_pattern="^/x",
        path_to="/y",
        host="inner.example",
        set=(("X-Set", "1"),),
        remove=frozenset({"x-no"}),
    )
    world = World(route(rewrite=changes))
    world.ask(b"GET /x/z HTTP/1.1", b"X-No: 1", b"X-Set: 0")

    head = world.connected().head
    assert head[:2] == [b"GET /y/z HTTP/1.1", b"host: inner.example"]
    assert b"x-set: 1" in head
    assert not any(line.startswith((b"x-no", b"x-set: 0")) for line in head)


def test_a_members_host_may_be_another():
    world = World(upstreams={WWW: Upstream(service=WWW, host="inner.example")})
    world.ask()

    assert world.connected().head[1] == b"host: inner.example"


def test_who_reads_trailers_says_so_to_its_member():
    world = World()
    world.ask(b"GET / HTTP/1.1", b"TE: trailers")

    assert world.connected().head[-2:] == [b"connection: te", b"te: trailers"]


def test_another_regions_proxy_is_told_the_way():
    regions = {"eu": Region("eu"), "us": Region("us", proxies=(member("198.51.100.7"),))}
    world = World(services=[service(**HOME_AND_AWAY)], regions=regions)
    world.believe(_1=DOWN, _2=DOWN)
    world.ask()

    back = world.connected()
    assert back.target.name == "198.51.100.7:80"
    assert b"X-Gslb-Hops: eu" in back.head


def test_a_response_goes_back_rewritten_with_what_the_tier_adds():
    changes = Rewrite(response_set=(("X-Set", "1"),), response_remove=frozenset({"server"}))
    world = World(
        route(rewrite=changes, hsts_s=60),
        via="edge",
        listeners=(Listener(port=443, tls=Tls(certificates=())),),
    )
    client, _ = world.ask()
    world.connected().respond(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n")

    assert client.fields == [
        (b"x-set", b"1"),
        (b"strict-transport-security", b"max-age=60"),
        (b"via", b"1.1 edge"),
    ]


def test_over_plain_http_nothing_is_promised():
    world = World(route(hsts_s=60))
    client, _ = served(world)

    assert field(client, b"strict-transport-security") == []


def test_what_is_no_request_is_counted_and_answered_with_its_page():
    world = World(pages={431: Page(b"long")})

    assert world.desk.refused(MessageError("long", 431)) == (
        [(b"content-type", b"text/html; charset=utf-8")],
        b"long",
    )
    assert world.desk.tally.counts([])["gslb_proxy_bad_requests_total", "431"] == 1


# Tables that follow one another.


def test_what_runs_and_what_was_counted_outlives_a_table():
    world = World(route(rates=(Rate(1, 1),), affinity=HEADER))
    client, exchange = world.ask(b"GET / HTTP/1.1", b"X-Client: a")
    before = world.desk.table
    kept = next(iter(before.rules.values()))

    world.adopt(route(rates=(Rate(1, 1),), affinity=HEADER), limits=Limits(head_max=99))
    rule = next(iter(world.desk.table.rules.values()))
    assert world.desk.limits.head_max == 99
    assert (rule.pins, rule.budget, rule.rates, rule.tally) == (
        kept.pins,
        kept.budget,
        kept.rates,
        kept.tally,
    )
    assert world.desk.table.choosers == before.choosers
    assert world.ask()[0].status == 429
    world.connected().answer()
    assert client.status == 200
    assert exchange.phase == Phase.OVER

    world.adopt(route(rates=(Rate(9, 9),), retry=replace(kept.route.retry, budget_percent=1)))
    rule = next(iter(world.desk.table.rules.values()))
    assert rule.pins is None
    assert rule.budget is not kept.budget
    assert rule.rates != kept.rates
    assert world.is_quiet()


def test_what_a_member_did_that_is_gone_stays_counted():
    world = World(services=[service(eu=["192.0.2.1"])])
    served(world)
    world.services = [service(eu=["192.0.2.2"])]
    world.adopt(route())

    counts = world.desk.tally.counts(world.desk.targets())
    assert counts["gslb_proxy_attempts_total", WWW, "192.0.2.1:80", "ok"] == 1


def test_services_are_those_that_routes_and_listeners_name():
    of = [service(), service(API), service("other.example.com")]
    passes = (PassRoute((), API),)
    world = World(services=of, listeners=(Listener(port=80), Listener(port=81, passes=passes)))

    assert set(world.desk.table.choosers) == {WWW, API}


def test_a_rate_of_a_route_is_shared_out_among_workers_and_a_clients_is_not():
    world = World()
    routes = (route("a", rates=(Rate(8, 4, "route"), Rate(8, 4))),)
    world.desk.adopt(
        replace(world.tier, routes=routes), world.services, world.regions, "eu", BLANK, 4
    )
    ((_, shared), (_, own)) = next(iter(world.desk.table.rules.values())).rates

    takes = [[buckets.take(1, 0.0) for _ in range(4)] for buckets in (shared, own)]
    assert [each.count(0) for each in takes] == [1, 4]


def test_who_connected_before_a_reload_is_judged_as_of_now():
    world = World()
    peer = world.desk.peer(world.tier.listeners[0], CLIENT)
    assert world.desk.renewed(peer) is peer
    assert not peer.is_trusted

    world.adopt(route(), trusted=(ip_network(CLIENT),))

    renewed = world.desk.renewed(peer)
    assert renewed.is_trusted
    assert (renewed.address, renewed.text) == (CLIENT, str(CLIENT))
    assert world.desk.renewed(renewed) is renewed


@pytest.mark.parametrize(
    "listener", [Listener(port=81), Listener(port=80, tls=Tls(certificates=()))]
)
def test_who_connected_where_no_such_listener_is_any_more_is_judged_by_nobody(listener):
    world = World()
    peer = world.desk.peer(world.tier.listeners[0], CLIENT)

    world.adopt(route(), listeners=(listener,))

    assert world.desk.renewed(peer) is None


def test_all_regions_proxies_are_believed():
    regions = {
        "eu": Region("eu", proxies=(member("198.51.100.7"),)),
        "us": Region("us", proxies=(replace(member("198.51.100.8"), address="us.example.com"),)),
    }
    world = World(regions=regions)

    assert world.desk.peer(world.tier.listeners[0], member("198.51.100.7").address).is_trusted
    assert not world.desk.peer(world.tier.listeners[0], CLIENT).is_trusted
