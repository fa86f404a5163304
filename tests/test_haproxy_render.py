"""Whatever a tier is, HAProxy takes what is rendered of it, or there is a complaint."""

from __future__ import annotations

import re
import subprocess
import tempfile
from ipaddress import ip_network
from pathlib import Path

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from gslb.errors import EngineError
from gslb.proxy.haproxy import CONFIG, Rendered, Wanted
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
from tests.haproxies import WANTED, WWW, rendered, to_www
from tests.peers import program
from tests.servers import Authority

EXAMPLES = 25
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # each example is a process
QUICKLY = settings(max_examples=EXAMPLES, phases=PHASES, suppress_health_check=list(HealthCheck))
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
        st.builds(Forward, parts, maybe(tokens), st.binary(max_size=40)),
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


FULL = Tier(
    listeners=(
        Listener(port=80, proxy_protocol=True),
        Listener(port=81, mode="tcp", passes=(PassRoute((), OTHER, Balance("random")),)),
        Listener(port=82, mode="tcp", passes=(PassRoute(("*.x.example.com",), OTHER),)),
    ),
    limits=Limits(connections_per_client=5),
    routes=(
        Route(name="gone", matches=(Match(cookies=(Has("c", absent=True),)),), action=Deny(204)),
        Route(name="empty", matches=(Match(path_kind="exact", path=""),), action=Respond(204)),
        Route(
            name="query",
            matches=(Match(query=(Has("q", pattern=""),), hosts=("*.example.com",)),),
            action=Redirect("{scheme}://x"),
            rates=(Rate(1, 1, "route"), Rate(1, 1, "header", "X-Key")),
        ),
        Route(
            name="said",
            matches=(Match(cookies=(Has("c", value="v"),)),),
            action=Respond(200, b"said"),
            rates=(Rate(10, 5),),
        ),
        Route(
            name="split",
            matches=(Match(headers=(Has("h"),), methods=frozenset({"GET"}), path=""),),
            action=Forward(((WWW, 2), (OTHER, 1), ("never", 0))),
            rewrite=Rewrite(path_pattern="", path_to="x", host="", response_set=(("a", ""),)),
        ),
        Route(
            name="sticky",
            matches=(Match(path="/a", scheme="https", clients=(ip_network("10.0.0.0/8"),)),),
            action=Forward(((WWW, 2), (OTHER, 1)), sticky="part"),
            affinity=Affinity(by="cookie", name="at", key=b"key"),
            body_max=5,
            buffer=0,
        ),
        to_www(name="h", path="/h", affinity=Affinity(by="header", name="u"), body_max=10),
        to_www(affinity=Affinity(by="client"), balance=Balance("hash", "path"), buffer=0),
        to_www(balance=Balance("ip_hash"), retry=Retry(statuses=frozenset({503})), hsts_s=3),
    ),
    upstreams={
        WWW: Upstream(
            service=WWW,
            host="in",
            tls=UpstreamTls(name=WWW),
            slow_start_s=1,
            proxy_protocol=1,
            ejection=Ejection(errors=None),
        ),
        OTHER: Upstream(
            service=OTHER,
            tls=UpstreamTls(verify=False, name="x"),
            proxy_protocol=2,
            ejection=Ejection(errors=None, connect_errors=None),
        ),
    },
    across=Across(to=("proxies", "members"), tls=UpstreamTls(ca_file="/nowhere/ca.pem")),
    pages={429: Page(b"<p>slowly</p>")},
    workers=2,
    via="gslb",
    access_log="stdout",
    trusted=(ip_network("10.0.0.0/8"),),
)


def test_everything_that_can_be_said_has_its_words():
    wanted = {**WANTED, OTHER: [Wanted("c", "192.0.2.5", 80, "us"), Wanted("d", "::1", 80, "us")]}
    lines = [line.strip() for line in rendered(FULL, wanted=wanted).config.splitlines()]
    servers = [line for line in lines if line.startswith("server ")]
    for words in (
        "bind 127.0.0.1:80 accept-proxy",
        "http-request return status 204 if r0",
        "http-request set-header Host %[var(txn.nothing)] if { var(txn.route) -m str r4 }",
        "hash-type consistent",
        "hash-balance-factor 125",
        "retry-on conn-failure empty-response response-timeout 503",
        "stick on src",
        "stick on req.fhdr(u),sha2(256)",
        "nbthread 2",
        "http-request set-header Host in",
        "server a0 127.0.0.1:1 ssl verify required ca-file /nowhere/ca.pem disabled",
    ):
        assert words in lines
    for words in (" send-proxy ", " send-proxy-v2 ", " slowstart 1000ms ", " sni 'str("):
        assert any(words in line for line in servers), words
    assert not [line for line in lines if "never" in line]
