"""Whatever a tier is, HAProxy takes what is rendered of it, or there is a complaint."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from gslb.errors import EngineError, Inexpressible
from gslb.model import Fact, Fence, Listed, Member, Region, Service
from gslb.proxy import haproxywords
from gslb.proxy.haproxy import CONFIG, PROXIES, Rendered, Wanted, render
from gslb.proxy.haproxydiff import Seen, changes, seen_in
from gslb.proxy.haproxyfigures import figures
from gslb.tier import (
    Across,
    Affinity,
    Balance,
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
from tests.haproxies import REGIONS, WWW, to_www
from tests.peers import program
from tests.servers import Authority

EXAMPLES = 25
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # each example is a process
QUICKLY = settings(
    max_examples=EXAMPLES, phases=PHASES, suppress_health_check=list(HealthCheck)
)
OTHER = "canary.example.com"
SERVICES = st.sampled_from([WWW, OTHER, "*.w.example.com"])


def some(strategy, max_size=3):
    return st.lists(strategy, max_size=max_size).map(tuple)


def maybe(strategy):
    return st.none() | strategy


def tiers_of(*, wild):
    """Return tiers of which most can be said, or which are full of what cannot."""
    odd = st.text(
        st.characters(codec="utf-8", exclude_categories=["Cs"] if wild else ["Cs", "Cc"]),
        max_size=12,
    ) | st.text("'\"\\ %$#{}[](),;&@", max_size=8)
    tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True) | st.sampled_from(
        ["a'b", "a|b", "", "é"] if wild else ["x-y.z"]
    )
    patterns = odd.map(re.escape) | st.sampled_from(
        ["^/v[0-9]+(a|b)$", r"\d{1,3}", "a'b\"c", "x,y(z)?"]
    )
    seconds = st.floats(0.001, 100_000) | st.sampled_from([0.3, 30.0, 3e6 if wild else 60.0])
    counts = st.integers(0 if wild else 1, 2000)
    networks = st.sampled_from(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"]).map(ip_network)

    has = st.builds(Has, tokens, maybe(odd), maybe(patterns), st.booleans())
    pairs = some(st.tuples(tokens, odd), 2)
    matches = st.builds(
        Match,
        hosts=some(st.sampled_from([WWW, "*.example.com", "x-1.example.com"])),
        path_kind=st.sampled_from(["exact", "prefix", "regex"]),
        path=maybe(patterns.map(lambda text: "/" + text)),
        methods=st.frozensets(
            st.sampled_from(["GET", "POST", "A B" if wild else "PURGE"]), max_size=2
        ),
        scheme=maybe(st.sampled_from(["http", "https"])),
        headers=some(has, 2),
        cookies=some(has, 2),
        query=some(has, 2),
        clients=some(networks),
        countries=st.sampled_from([frozenset[str](), frozenset({"DE"} if wild else ())]),
    )
    parts = some(st.tuples(SERVICES, st.integers(0 if wild else 1, 5)), 3).filter(bool)
    redirects = st.sampled_from([302, 308, 300 if wild else 301])
    statuses = st.sampled_from([200, 204, 301, 302, 304, 308, 403, 404, 451, 503, 599])
    actions = st.one_of(
        st.builds(Forward, parts, maybe(tokens)),
        st.builds(Forward, st.just(((WWW, 1),))),
        st.builds(Redirect, odd.map(lambda text: "https://{host}/" + text + "{path}"), redirects),
        st.builds(Respond, statuses, st.binary(max_size=50), odd.filter(bool)),
        st.builds(Deny, statuses),
    )
    balances = st.builds(
        Balance,
        st.sampled_from(
            [
                "round_robin",
                "least_connections",
                "least_time" if wild else "random",
                "random",
                "ip_hash",
                "hash",
            ]
        ),
        st.sampled_from(["path", "query", "header", "cookie", "client"]),
        tokens,
        st.sampled_from([1.25, 2.0, 1.001 if wild else 1.5]),
    )
    affinities = st.builds(
        Affinity,
        by=st.sampled_from(["cookie", "header", "client"]),
        name=tokens,
        key=st.binary(min_size=0 if wild else 1, max_size=40),
        ttl_s=seconds,
    )
    routes = st.builds(
        Route,
        name=odd,
        matches=some(matches, 2),
        action=actions,
        balance=balances,
        affinity=maybe(affinities),
        rewrite=st.builds(
            Rewrite,
            path_pattern=maybe(patterns),
            path_to=odd,
            host=maybe(st.sampled_from(["in.example.com", "10%"])),
            set=pairs,
            remove=st.frozensets(tokens, max_size=2),
            response_set=pairs,
            response_remove=st.frozensets(tokens, max_size=2),
        ),
        timeouts=st.just(Timeouts()) | seconds.map(lambda s: Timeouts(response_s=s, idle_s=s)),
        retry=st.builds(
            Retry,
            tries=st.integers(1, 4),
            budget_percent=st.sampled_from([20, 100, 7 if wild else 20]),
            statuses=st.frozensets(st.sampled_from([500, 503, 418 if wild else 404]), max_size=2),
        ),
        rates=some(
            st.builds(
                Rate,
                st.floats(0.01, 1e4),
                counts,
                st.sampled_from(["client", "route", "header"]),
                tokens,
            ),
            2,
        ),
        body_max=maybe(counts),
        buffer=st.sampled_from([0, 1, 1000, 65536]),
        hsts_s=maybe(counts),
    )
    tls = st.builds(
        UpstreamTls,
        verify=st.booleans(),
        name=maybe(st.sampled_from([WWW, "a b" if wild else OTHER])),
    )
    ejections = st.builds(
        Ejection,
        errors=maybe(st.integers(1, 9)),
        connect_errors=maybe(st.integers(1, 9)) if wild else st.none(),
        slow_factor=st.sampled_from([None, 3.0 if wild else None]),
        base_s=seconds,
        most_percent=st.sampled_from([50, 100, 7 if wild else 50]),
    )
    upstreams = st.builds(
        Upstream,
        service=st.just(WWW),
        tls=maybe(tls),
        host=maybe(odd),
        connections_max=counts,
        queue_max=counts,
        queue_s=seconds,
        idle_max=counts,
        idle_s=seconds,
        slow_start_s=seconds | st.just(0.0),
        proxy_protocol=st.integers(0, 2),
        ejection=maybe(ejections | st.just(Ejection())),
    )
    passes = st.builds(
        PassRoute,
        some(st.sampled_from([WWW, "*.example.com"])),
        SERVICES,
        balances if wild else st.just(Balance("random")),
    )
    tcp = st.builds(
        Listener,
        port=st.just(5000),
        mode=st.just("tcp"),
        passes=some(passes),
        proxy_protocol=st.booleans(),
    )
    return st.builds(
        Tier,
        listeners=some(tcp, 1).map(lambda some: (Listener(port=8080), *some)),
        routes=some(routes, 3),
        upstreams=maybe(upstreams).map(lambda one: {} if one is None else {WWW: one}),
        across=st.builds(
            Across,
            to=st.sampled_from([(), ("proxies",), ("members", "proxies")]),
            tls=maybe(tls),
        ),
        limits=st.builds(
            Limits,
            head_max=st.sampled_from([4096, 32768]),
            fields_max=st.integers(10, 200),
            connections_max=st.just(1000),
            connections_per_client=maybe(counts),
        ),
        pages=st.dictionaries(
            st.sampled_from([400, 404, 429, 451, 503]), st.builds(Page, st.binary(max_size=20), odd)
        ),
        workers=maybe(st.integers(1, 4)),
        trusted=some(networks),
        via=maybe(odd),
        access_log=st.sampled_from([None, "stdout"]),
    )


def rendered(tier, folder="/nowhere", region="us", services=None, wanted=None, order=("eu",)):
    return render(
        tier,
        region,
        services=services or {},
        regions=REGIONS,
        order=order,
        wanted=wanted or WANTED,
        folder=folder,
        files=folder,
    )


WANTED = {
    WWW: [
        Wanted("one", "192.0.2.1", 80, "us", 1000),
        Wanted("two", "2001:db8::1", 80, "us", 1, "drain"),
        Wanted("three", "192.0.2.3", 80, "eu", 1, "maint", backup=True),
    ],
    PROXIES: [Wanted("eu", "127.0.0.2", 80, "eu")],
}


def check(made: Rendered, folder: Path) -> str:
    """Have HAProxy look at a configuration; return what it does not like."""
    for name, content in {**made.files, CONFIG: made.config.encode()}.items():
        (folder / name).write_bytes(content)
    run = subprocess.run(
        [program("haproxy"), "-c", "-f", str(folder / CONFIG)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [each for each in run.stderr.splitlines() if "ALERT" in each or "WARNING" in each]
    # An empty page has no type, and it may well be empty.
    return "\n".join(each for each in lines if "used with an empty payload" not in each)


def taken(tier) -> bool:
    """Return whether a tier could be said; fail where HAProxy does not take what was said."""
    with tempfile.TemporaryDirectory(prefix="gslb-") as name:
        try:
            made = rendered(tier, name)
        except EngineError as error:
            return not error.inexpressible
        assert not check(made, Path(name))
        return True


@QUICKLY
@given(tiers_of(wild=False))
def test_haproxy_takes_what_is_rendered(tier):
    assume(taken(tier))


@QUICKLY
@given(tiers_of(wild=True))
def test_haproxy_takes_what_is_rendered_or_there_is_a_complaint(tier):
    taken(tier)


def test_haproxy_takes_listeners_with_tls(tmp_path):
    authority = Authority(tmp_path)
    pem = str(authority.certificate(WWW))
    from gslb.tier import Certificate

    twice = (Certificate(pem, pem), Certificate(pem, pem))
    listeners = tuple(
        Listener(
            port=8000 + index,
            mode=mode,
            proxy_protocol=index == 1,
            tls=Tls(
                certificates=twice,
                client_ca_file=ca,
                client_required=index == 0,
                min_version="1.3",
                http2=index == 0,
            ),
            passes=(PassRoute((WWW,), WWW),) if mode == "tcp" else (),
        )
        for index, (mode, ca) in enumerate(
            (("http", authority.ca_file), ("http", authority.ca_file), ("tcp", None))
        )
    )
    verified = UpstreamTls(ca_file=authority.ca_file, name=WWW)
    tier = Tier(
        listeners=listeners,
        routes=(to_www(),),
        upstreams={WWW: Upstream(service=WWW, tls=verified)},
        across=Across(tls=verified),
    )
    with tempfile.TemporaryDirectory(prefix="gslb-") as name:
        made = rendered(tier, name)
        assert list(made.joined) == ["certificate-0.pem"]
        (Path(name) / "certificate-0.pem").write_bytes(Path(pem).read_bytes())
        assert not check(made, Path(name))


REGION = Region("us", None, (Member(ip_address("127.0.0.1")),))
GOOD = Tier(listeners=(Listener(port=80),), routes=(to_www(),))


def of_route(**more):
    return replace(GOOD, routes=(to_www(**more),))


def matching(**match):
    return replace(GOOD, routes=(Route(name="m", matches=(Match(**match),), action=Deny()),))


def upstream(**more):
    return replace(GOOD, upstreams={WWW: Upstream(service=WWW, **more)})


def acting(action):
    return replace(GOOD, routes=(Route(name="a", action=action),))


@pytest.mark.parametrize(
    ("key", "tier"),
    [
        ("listen", Tier()),
        ("limits.head_size", replace(GOOD, limits=Limits(head_max=2 << 20))),
        ("limits.fields", replace(GOOD, limits=Limits(fields_max=40_000))),
        ("limits.keep_alive", replace(GOOD, limits=Limits(keep_alive_s=1e9))),
        ("errors.302", replace(GOOD, pages={302: Page(b"")})),
        ("errors.503", replace(GOOD, pages={503: Page(b"x" * 20_000)})),
        ("errors.503", replace(GOOD, pages={503: Page(b"", "a\nb")})),
        ("via", replace(GOOD, via="a\r\nX: y")),
        ("across.tls.name", replace(GOOD, across=Across(tls=UpstreamTls(name="a b")))),
        ("routes[0].name", of_route(name="a\0b")),
        ("routes[0].match[0].countries", matching(countries=frozenset({"DE"}))),
        ("routes[0].match[0].path", matching(path_kind="glob", path="/*")),
        ("routes[0].match[0]", matching(path="/a\nb")),
        ("routes[0].match[0]", matching(headers=tuple(Has(f"x{n}") for n in range(50)))),
        ("routes[0].match[0].method", matching(methods=frozenset({"A B"}))),
        ("routes[0].match[0].header.a b", matching(headers=(Has("a b"),))),
        ("routes[0].match[0].query.a(b", matching(query=(Has("a(b"),))),
        ("routes[0].match[0].cookie.c", matching(cookies=(Has("c", pattern="a\n"),))),
        ("routes[0].redirect.status", acting(Redirect("/", 300))),
        ("routes[0].redirect", acting(Redirect("/\n"))),
        ("routes[0].respond.status", acting(Respond(103))),
        ("routes[0].respond.type", acting(Respond(200, b"", "a\n"))),
        ("routes[0].respond.body", acting(Respond(200, b"x" * 20_000))),
        ("routes[0].deny", acting(Deny(600))),
        ("routes[0].split", acting(Forward(((WWW, 0),)))),
        ("routes[0].sticky", acting(Forward(((WWW, 1),), "a=b"))),
        ("routes[0].balance", of_route(balance=Balance("least_time"))),
        ("routes[0].balance.bound", of_route(balance=Balance("hash", "path", None, 1.001))),
        ("routes[0].balance.hash", of_route(balance=Balance("hash", "cookie", "a b"))),
        ("routes[0].affinity.key", of_route(affinity=Affinity(by="cookie", name="c"))),
        ("routes[0].affinity.cookie", of_route(affinity=Affinity(by="cookie", name="", key=b"k"))),
        ("routes[0].affinity.header", of_route(affinity=Affinity(by="header", name="a b"))),
        ("routes[0].affinity", of_route(affinity=Affinity(by="star sign"))),
        ("routes[0].rewrite.path.to", of_route(rewrite=Rewrite(path_to=r"\g<1>"))),
        ("routes[0].rewrite.set.a b", of_route(rewrite=Rewrite(set=(("a b", ""),)))),
        ("routes[0].rewrite.remove", of_route(rewrite=Rewrite(remove=frozenset({""})))),
        ("routes[0].timeouts.total", of_route(timeouts=Timeouts(total_s=5))),
        ("routes[0].timeouts.response", of_route(timeouts=Timeouts(response_s=5))),
        ("routes[0].retry.budget", of_route(retry=Retry(budget_percent=10))),
        ("routes[0].retry.statuses", of_route(retry=Retry(statuses=frozenset({418})))),
        ("routes[0].rates", of_route(rates=(Rate(1, 1),) * 4)),
        ("routes[0].rates[0].by", of_route(rates=(Rate(1, 1, "header", "a b"),))),
        ("services.www.example.com.queue", upstream(queue_max=0)),
        ("services.www.example.com.slow_start", upstream(slow_start_s=1e9)),
        ("services.www.example.com.tls.name", upstream(tls=UpstreamTls(name="a b"))),
        ("services.www.example.com.eject.slow_factor", upstream(ejection=Ejection(slow_factor=2))),
        ("services.www.example.com.eject.max", upstream(ejection=Ejection(max_s=20))),
        ("services.www.example.com.eject.most", upstream(ejection=Ejection(most_percent=10))),
        ("services.www.example.com.eject.errors", upstream(ejection=Ejection(errors=7))),
    ],
)
def test_what_haproxy_has_no_words_for_is_complained_of_by_its_key(key, tier):
    with pytest.raises(EngineError) as caught:
        rendered(tier)
    assert key in {each.key for each in caught.value.inexpressible}
    assert f"proxy.{key}: " in str(caught.value)


def test_in_tcp_mode_there_is_nothing_to_hash_but_the_client_and_no_host_to_verify():
    passes = (PassRoute((), WWW, Balance("hash", "path")),)
    listeners = (Listener(port=80, mode="tcp", passes=passes),)
    tier = Tier(listeners=listeners, upstreams={WWW: Upstream(service=WWW, tls=UpstreamTls())})
    with pytest.raises(EngineError) as caught:
        rendered(tier)
    assert [each.key for each in caught.value.inexpressible] == [
        "listen[0].pass[0].balance.hash",
        "services.www.example.com.tls.name",
    ]


def test_a_region_without_proxies_has_nowhere_to_listen():
    named = Region("named", None, (Member("proxy.example.com"),))
    for region in (named, Region("none")):
        with pytest.raises(EngineError, match=r"proxy\.listen: "):
            render(
                GOOD,
                region.name,
                services={},
                regions={region.name: region},
                order=[],
                wanted={},
                folder="/nowhere",
                files="/nowhere",
            )
    with pytest.raises(EngineError):
        rendered(GOOD, region="elsewhere")


def test_a_fence_is_kept_only_by_going_nowhere():
    fence = Fence((Listed(Fact.COUNTRIES, (("DE", (("eu",),)),)),))
    service = Service(name=b"", text=WWW, zone=b"", pools=(), route=(fence,))
    for to, kept in ((("members",), False), ((), True)):
        tier = replace(GOOD, across=Across(to=to))
        if kept:
            assert rendered(tier, services={WWW: service}).backends
        else:
            with pytest.raises(EngineError, match=r"across\.to"):
                rendered(tier, services={WWW: service})


def test_what_is_a_little_otherwise_is_noted():
    assert [note.partition(":")[0] for note in rendered(GOOD).notes] == [
        "timeouts",
        "retry",
        "eject",
    ]
    same = to_www(timeouts=Timeouts(response_s=5, idle_s=5), retry=Retry(tries=1))
    quiet = replace(upstream(ejection=None), routes=(same,))
    assert not rendered(quiet).notes
    twice = replace(quiet, routes=(same, replace(same, balance=Balance("random"))))
    assert "2 manners" in rendered(twice).notes[0]


def test_routes_that_are_alike_share_a_pool_and_names_of_regions_may_be_odd():
    first, second = to_www(name="a", path="/a"), to_www(name="b", hsts_s=5)
    made = rendered(replace(GOOD, routes=(first, second)), order=["us", "é u"])
    assert [each.name for each in made.backends] == [
        "p0.us.members",
        "p0.xc3a92075.proxies",
        "p0.xc3a92075.members",
    ]


def test_a_word_is_quoted_where_it_must_be():
    assert haproxywords.word("a-b.c") == "a-b.c"
    assert haproxywords.word("it's") == "'it'\"'\"'s'"
    assert haproxywords.phrase(404) == "404 Not Found"
    assert haproxywords.phrase(599) == "599"


def test_an_error_without_complaints_is_one_line():
    assert str(EngineError("it failed")) == "it failed"
    one = Inexpressible("a", "b", "c")
    assert EngineError("no", [one, one]).inexpressible == (one,)


# What is said to a HAProxy that runs.

SHOWN = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
3 p0.us.members 1 {one} 192.0.2.1 2 0 256
3 p0.us.members 2 mgone 192.0.2.9 2 8 1
3 p0.us.members 3 mleft 192.0.2.8 0 1 1
3 p0.eu.proxies 4 {proxy} 127.0.0.2 2 0 1
4 other 1 mwhoever 192.0.2.9 2 0 1

"""


def shown():
    one, proxy = WANTED[WWW][0].server, WANTED[PROXIES][0].server
    return SHOWN.format(one=one, proxy=proxy)


def test_only_what_differs_is_said():
    made = rendered(GOOD)
    said = changes(GOOD, made.backends, WANTED, seen_in(shown()))
    two, three = WANTED[WWW][1].server, WANTED[WWW][2].server
    lines = [command.line for command in said]
    assert lines[0].startswith(f"add server p0.us.members/{two} [2001:db8::1]:80 weight 1 ")
    assert lines[1] == f"enable health p0.us.members/{two}"
    assert lines[2] == f"set server p0.us.members/{two} state drain"
    assert lines[3].startswith(f"add server p0.eu.members/{three} 192.0.2.3:80 weight 1 backup ")
    assert lines[4] == f"enable health p0.eu.members/{three}"
    assert lines[5:] == [
        "set server p0.us.members/mgone state maint",
        "del server p0.us.members/mgone",
        "del server p0.us.members/mleft",
    ]
    assert [command.line for command in said if command.may_fail] == lines[6:]


def test_a_server_that_is_otherwise_is_put_right():
    made = rendered(GOOD)
    seen = seen_in(shown())
    one = WANTED[WWW][0].server
    seen["p0.us.members", one] = Seen(3, "drain", False)
    lines = [command.line for command in changes(GOOD, made.backends, WANTED, seen)]
    assert f"set server p0.us.members/{one} state ready" in lines
    assert f"set server p0.us.members/{one} weight 256" in lines


def test_members_that_nobody_checks_are_not_checked():
    tier = upstream(ejection=None)
    lines = [each.line for each in changes(tier, rendered(tier).backends, WANTED, {})]
    assert not [line for line in lines if "health" in line or "check" in line]


def test_a_drained_member_keeps_its_clients_until_the_deadline():
    affinity = Affinity(by="client", drain_s=60)
    tier = of_route(affinity=affinity)
    for drained_s, expected in ((59, "drain"), (60, "maint")):
        wanted = {WWW: [Wanted("a", "192.0.2.1", 80, "us", state="drain", drained_s=drained_s)]}
        at = f"p0.us.members/{wanted[WWW][0].server}"
        seen = {("p0.us.members", wanted[WWW][0].server): Seen(1, "ready", True)}
        (said,) = changes(tier, rendered(tier).backends, wanted, seen)
        assert said.line == f"set server {at} state {expected}"


@pytest.mark.parametrize(
    "reply", ["", "Unknown command", "1\nnothing\n", SHOWN + "3 p0.us.members x\n", "1\n# a\nb\n"]
)
def test_a_reply_that_is_not_understood_is_an_error(reply):
    with pytest.raises(EngineError, match="not understood"):
        seen_in(reply)


def test_figures_that_are_not_understood_are_an_error():
    made = rendered(GOOD)
    with pytest.raises(EngineError, match="not understood"):
        figures("Pid: 1\n", "# pxname,svname\n", made.backends, WANTED)
