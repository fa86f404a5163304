"""What HAProxy has no words for is complained of by its key, or noted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gslb.errors import EngineError, Inexpressible
from gslb.model import Fact, Fence, Listed, Member, Region, Service
from gslb.proxy import haproxywords
from gslb.proxy.haproxy import render
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
    UpstreamTls,
)
from tests.haproxies import GOOD, WWW, of_route, of_upstream, rendered, to_www


def matching(**match):
    return replace(GOOD, routes=(Route(name="m", matches=(Match(**match),), action=Deny()),))


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
        ("errors.503", replace(GOOD, pages={503: Page(b"x", "")})),
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
        ("services.www.example.com.queue", of_upstream(queue_max=0)),
        ("services.www.example.com.slow_start", of_upstream(slow_start_s=1e9)),
        ("services.www.example.com.tls.name", of_upstream(tls=UpstreamTls(name="a b"))),
        (
            "services.www.example.com.eject.slow_factor",
            of_upstream(ejection=Ejection(slow_factor=2)),
        ),
        ("services.www.example.com.eject.max", of_upstream(ejection=Ejection(max_s=20))),
        ("services.www.example.com.eject.most", of_upstream(ejection=Ejection(most_percent=10))),
        ("services.www.example.com.eject.errors", of_upstream(ejection=Ejection(errors=7))),
    ],
)
def test_what_haproxy_has_no_words_for_is_complained_of_by_its_key(key, tier):
    with pytest.raises(EngineError) as caught:
        rendered(tier)
    assert key in {each.key for each in caught.value.inexpressible}
    assert f"proxy.{key}: " in str(caught.value)


def test_in_tcp_mode_there_is_nothing_to_hash_but_the_client():
    passes = (PassRoute((), WWW, Balance("hash", "path")),)
    listeners = (Listener(port=80, mode="tcp", passes=passes),)
    with pytest.raises(EngineError) as caught:
        rendered(Tier(listeners=listeners))
    assert [each.key for each in caught.value.inexpressible] == ["listen[0].pass[0].balance.hash"]


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
        "buffer",
        "eject",
    ]
    same = to_www(timeouts=Timeouts(response_s=5, idle_s=5), retry=Retry(tries=1), buffer=0)
    quiet = replace(of_upstream(ejection=None), routes=(same,))
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
