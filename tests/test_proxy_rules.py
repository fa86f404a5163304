"""Which route a request takes, and why the ones before did not hold."""

import re
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.rules import HOSTS_MAX, PLAIN_RULES_MAX, Matcher
from gslb.tier import Deny, Forward, Has, Match, Route
from tests.test_proxy_request import asked


def route(name, *matches, **match):
    """Return a route with these matches, or with one that says this."""
    return Route(name=name, matches=(*matches, *([Match(**match)] if match else [])), action=Deny())


def holds(request, country=None, **match):
    """Return whether a match holds."""
    return Matcher([route("r", **match)]).find(request, lambda: country) is not None


def test_the_first_route_that_matches_counts():
    matcher = Matcher([route("a", path="/a/"), route("all"), route("b", path="/b/")])

    assert matcher.find(asked(b"/a/x")).name == "a"
    assert matcher.find(asked(b"/b/x")).name == "all"


def test_without_a_route_that_matches_there_is_none():
    assert Matcher([]).find(asked()) is None
    assert Matcher([route("a", path="/a/")]).find(asked(b"/b")) is None


def test_any_of_a_routes_matches_is_enough():
    matcher = Matcher([route("r", Match(path_kind="exact", path="/a"), Match(path="/b"))])

    assert matcher.find(asked(b"/a"))
    assert matcher.find(asked(b"/bc"))
    assert not matcher.find(asked(b"/ab"))


@pytest.mark.parametrize(
    ("host", "hosts", "is_one"),
    [
        (b"www.example.com", ("www.example.com",), True),
        (b"www.example.com.", ("www.example.com",), True),
        (b"example.com", ("www.example.com",), False),
        (b"www.example.com", ("*.example.com",), True),
        (b"a.b.example.com", ("*.example.com",), True),
        (b"example.com", ("*.example.com",), False),
        (b"badexample.com", ("*.example.com",), False),
        (b"www.example.net", ("*.example.com", "*.example.net"), True),
        (b"", ("*.example.com",), False),
        (b"[2001:db8::1]", ("[2001:db8::1]",), True),
    ],
)
def test_a_host_is_a_name_or_below_a_wildcard(host, hosts, is_one):
    assert holds(asked(host=host), hosts=hosts) is is_one


def test_routes_of_names_wildcards_and_all_hosts_keep_their_order():
    matcher = Matcher(
        [
            route("deep", hosts=("*.b.example.com",)),
            route("any /x", path="/x"),
            route("wild", hosts=("*.example.com",)),
            route("name", hosts=("www.example.com",)),
        ]
    )

    found = {
        (host, path): getattr(matcher.find(asked(path, host=host)), "name", None)
        for host in (b"a.b.example.com", b"www.example.com", b"example.org")
        for path in (b"/", b"/x")
    }

    assert list(found.values()) == ["deep", "deep", "wild", "any /x", None, "any /x"]


def test_hosts_that_clients_make_up_are_not_remembered_for_ever():
    matcher = Matcher([route("wild", hosts=("*.example.com",))])

    for number in range(HOSTS_MAX + 10):
        assert matcher.find(asked(host=b"h%d.example.com" % number))

    assert len(matcher._by_host) <= HOSTS_MAX
    assert len(matcher._by_patterns) == 1


@pytest.mark.parametrize(
    ("kind", "path", "target", "is_one"),
    [
        ("exact", "/a", b"/a", True),
        ("exact", "/a", b"/a?b", True),
        ("exact", "/a", b"/a/", False),
        ("exact", "/ä b", b"/%C3%A4%20b", True),
        ("prefix", "/a/", b"/a/b", True),
        ("prefix", "/a/", b"/a", False),
        ("prefix", "/a", b"/ab", True),
        ("prefix", "/", b"/b", True),
        ("prefix", "/", b"*", True),
        ("prefix", None, b"/", True),
        ("regex", r"^/v[0-9]+/", b"/v12/x", True),
        ("regex", r"\.php$", b"/a.ph%70?b", True),
        ("regex", r"^/ä$", b"/%C3%A4", True),
        ("regex", r"^/v[0-9]+/", b"/a/v1/", False),
        ("regex", "x", b"/%FF", False),
    ],
)
def test_a_path_is_compared_decoded(kind, path, target, is_one):
    assert holds(asked(target), path_kind=kind, path=path) is is_one


@pytest.mark.parametrize(
    "target",
    [
        *[b"/admin/x", b"/%61dmin/x", b"/a/../admin/x", b"//admin//x", b"/a/%2E./admin/x"],
        *[b"/a/..%2fadmin/x", b"http://www.example.com/admin/x", b"/./admin/./x", b"/admin%2Fx"],
    ],
)
def test_no_spelling_of_a_path_passes_a_rule_that_denies_it(target):
    matcher = Matcher([route("deny", path="/admin/"), route("all")])

    assert matcher.find(asked(target)).name == "deny"


def test_method_and_scheme_are_compared_whole():
    assert holds(asked(), methods=frozenset({"GET", "HEAD"}))
    assert not holds(asked(method=b"POST"), methods=frozenset({"GET", "HEAD"}))
    assert not holds(asked(method=b"get"), methods=frozenset({"GET"}))
    assert holds(asked(), scheme="https")
    assert not holds(asked(scheme="http"), scheme="https")


FIELDS = [(b"x-v", b"v2.1"), (b"cookie", b"x-v=v2.1"), (b"x-v", b"other")]


@pytest.mark.parametrize("kind", ["headers", "cookies", "query"])
@pytest.mark.parametrize(
    ("has", "is_one"),
    [
        (Has("x-v"), True),
        (Has("x-w"), False),
        (Has("x-v", absent=True), False),
        (Has("x-w", absent=True), True),
        (Has("x-v", "v2.1"), True),
        (Has("x-v", "v2"), False),
        (Has("x-v", pattern=r"^v2\."), True),
        (Has("x-v", pattern="^V"), False),
        (Has("x-w", pattern=""), False),
    ],
)
def test_headers_cookies_and_parameters_are_there_or_not_or_have_a_value(kind, has, is_one):
    assert holds(asked(b"/?x-v=v2.1", FIELDS), **{kind: (has,)}) is is_one


def test_one_of_several_headers_of_a_name_is_enough():
    assert holds(asked(fields=FIELDS), headers=(Has("x-v", "other"),))


@pytest.mark.parametrize(
    ("client", "is_one"),
    [
        ("203.0.113.9", True),
        ("203.0.114.9", False),
        ("::ffff:203.0.113.9", True),
        ("2001:db8::9", True),
        ("2001:db9::9", False),
        ("198.51.100.7", True),
        ("::cb00:7109", False),
    ],
)
def test_a_client_is_in_one_of_the_networks(client, is_one):
    networks = ("203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32")
    clients = tuple(map(ip_network, networks))

    assert holds(asked(client=ip_address(client)), clients=clients) is is_one


def test_a_country_is_only_asked_for_where_a_rule_wants_to_know():
    asked_for = []
    matcher = Matcher(
        [route("post", methods=frozenset({"POST"}), countries=frozenset({"DE"})), route("all")]
    )

    matcher.find(asked(), lambda: asked_for.append("country"))

    assert not asked_for
    assert holds(asked(), "DE", countries=frozenset({"DE", "FR"}))
    assert not holds(asked(), "US", countries=frozenset({"DE", "FR"}))
    assert not holds(asked(), None, countries=frozenset({"DE", "FR"}))


def test_all_that_a_match_says_must_hold():
    whole = {
        "hosts": ("www.example.com",),
        "path": "/a",
        "methods": frozenset({"GET"}),
        "headers": (Has("x-v"),),
    }

    assert holds(asked(b"/a", FIELDS), **whole)
    for other in (
        asked(b"/b", FIELDS),
        asked(b"/a"),
        asked(b"/a", FIELDS, method=b"PUT"),
        asked(b"/a", FIELDS, host=b"example.com"),
    ):
        assert not holds(other, **whole)


SEGMENTS = st.sampled_from(["a", "b", "ab", "c", ""])
PATHS = st.lists(SEGMENTS, max_size=3).map(lambda parts: re.sub("/+", "/", "/" + "/".join(parts)))
HOSTS = st.sampled_from(["a.example", "b.a.example", "*.a.example", "*.example"])
MATCHES = st.builds(
    Match,
    hosts=st.lists(HOSTS, max_size=2).map(tuple),
    path_kind=st.sampled_from(["exact", "prefix"]),
    path=st.none() | PATHS,
    methods=st.sampled_from([frozenset(), frozenset({"PUT"})]),
)


def _one_by_one(routes, request):
    """Return the route that a request takes by the words of the documentation."""
    host, path = request.host.decode(), request.path.decode()
    for each in routes:
        for match in each.matches or (Match(),):
            hosts = not match.hosts or any(
                host == name or (name.startswith("*.") and host.endswith(name[1:]))
                for name in match.hosts
            )
            exact = match.path_kind == "exact"
            fits = match.path is None or (
                path == match.path if exact else path.startswith(match.path)
            )
            if hosts and fits and (not match.methods or request.method.decode() in match.methods):
                return each
    return None


@given(
    st.lists(st.lists(MATCHES, max_size=2), max_size=3 * PLAIN_RULES_MAX),
    PATHS,
    st.sampled_from([b"a.example", b"b.a.example", b"c.b.a.example", b"example", b"x.example"]),
    st.sampled_from([b"GET", b"PUT"]),
)
def test_tables_and_their_indexes_change_no_decision(matches, path, host, method):
    routes = [route(f"r{number}", *some) for number, some in enumerate(matches)]
    request = asked(path.encode(), host=host, method=method)
    matcher = Matcher(routes)

    found = matcher.find(request)

    assert found is _one_by_one(routes, request)
    assert matcher.find(request) is found
    *before, last = [*matcher.trace(request)] or [None]
    assert all(tried.failed for tried in before)
    assert (last is not None and last.failed is None) is (found is not None)
    assert found is None or last.route is found


def test_many_routes_are_found_by_the_first_segment_of_the_path():
    many = [route(f"r{number}", path=f"/s{number}/") for number in range(100)]
    matcher = Matcher([*many, route("exact", path_kind="exact", path="/s7x"), route("all")])

    assert matcher.find(asked(b"/s42/x")).name == "r42"
    assert matcher.find(asked(b"/s7x")).name == "exact"
    assert matcher.find(asked(b"/s7x/y")).name == "all"
    assert matcher.find(asked(b"/")).name == "all"


def test_a_trace_names_the_first_thing_that_did_not_hold():
    every = {
        "hosts": ("www.example.com", "*.example.net"),
        "path": "/a/",
        "methods": frozenset({"PUT", "POST"}),
        "scheme": "http",
        "clients": (ip_network("203.0.113.0/24"),),
        "headers": (Has("x-a", "1"),),
        "cookies": (Has("c", absent=True),),
        "query": (Has("q", pattern="^1"),),
        "countries": frozenset({"FR", "DE"}),
    }
    good = asked(
        b"/a/?q=1",
        [(b"x-a", b"1")],
        method=b"PUT",
        scheme="http",
        client=ip_address("203.0.113.1"),
    )
    matcher = Matcher([route("every", **every), route("last")])

    def why(country="DE", **changed):
        slots = ("method", "target", "version", "fields", "host", "scheme", "client")
        known = {slot: getattr(good, slot) for slot in slots} | changed
        first, *_ = matcher.trace(type(good)(**known), lambda: country)
        return first.failed

    assert why() is None
    assert why(host=b"a.example") == "host www.example.com, *.example.net"
    assert why(target=b"/b/") == "path /a/*"
    assert why(method=b"GET") == "method POST, PUT"
    assert why(scheme="https") == "scheme http"
    assert why(client=ip_address("192.0.2.1")) == "client 203.0.113.0/24"
    assert why(fields=[]) == "header x-a: 1"
    assert why(fields=[*good.fields, (b"cookie", b"c=")]) == "no cookie c"
    assert why(target=b"/a/?q=2") == "query q with pattern ^1"
    assert why("US") == "country DE, FR"


def test_a_trace_ends_with_the_route_that_is_taken():
    taken = Route(name="b", action=Forward((("s", 1),)))
    routes = [route("a", path_kind="regex", path="x"), taken, route("c")]
    found = list(Matcher(routes).trace(asked(b"/")))

    assert [(each.route.name, each.match, each.failed) for each in found] == [
        ("a", 0, "path with pattern x"),
        ("b", None, None),
    ]
    exact = replace(
        routes[0], matches=(Match(path_kind="exact", path="/x"), Match(headers=(Has("y"),)))
    )
    assert [each.failed for each in Matcher([exact]).trace(asked(b"/"))] == ["path /x", "header y"]
