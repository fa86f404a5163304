"""What of a tier HAProxy has no words for, each thing with its key.

Nothing that an operator wrote is dropped in silence: it is in this list, and HAProxy is not
started.  Where a default has no exact counterpart there, what happens instead is among
the `notes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gslb.errors import Inexpressible
from gslb.model import Fence, Region, Service
from gslb.proxy.haproxypools import pools_of
from gslb.proxy.haproxyroutes import first_counter, read_ahead
from gslb.proxy.haproxywords import ARGUMENT, TIME_MAX_S, TOKEN, is_plain
from gslb.tier import (
    KIB,
    Balance,
    Deny,
    Ejection,
    Forward,
    Has,
    Match,
    Rate,
    Redirect,
    Respond,
    Retry,
    Rewrite,
    Route,
    Tier,
    Timeouts,
    Upstream,
)

CONDITIONS_MAX = 40  # a line of HAProxy has 64 words
COUNTERS = 3
READ_AHEAD_MAX = 1 << 20  # octets that each connection's two buffers may have
REDIRECTS = frozenset((301, 302, 303, 307, 308))
RETRIED = frozenset((401, 403, 404, 408, 425, 500, 501, 502, 503, 504))
USE_GSLB = "leave it out, or keep tier: gslb"


def check(
    tier: Tier, region: str, services: Mapping[str, Service], regions: Mapping[str, Region]
) -> list[Inexpressible]:
    """Return all that HAProxy cannot be told of *tier*, for the proxies of *region*."""
    found = [*_whole(tier, region, regions), *_fences(tier, services)]
    for index, route in enumerate(tier.routes):
        found += _route(tier, f"routes[{index}]", route)
    for index, listener in enumerate(tier.listeners):
        for number, each in enumerate(listener.passes):
            key = f"listen[{index}].pass[{number}]"
            found += _balance(f"{key}.balance", each.balance, http=False)
    for name, upstream in tier.upstreams.items():
        found += _upstream(f"services.{name}", upstream)
    return found


def notes(tier: Tier) -> list[str]:
    """Return, in a line each, what HAProxy does a little otherwise than the defaults say."""
    found = []
    forwards = [route for route in tier.routes if isinstance(route.action, Forward)]
    if any(route.timeouts.response_s != route.timeouts.idle_s for route in forwards):
        found.append("timeouts: HAProxy has one time for response and idle: that of idle is used")
    if any(route.retry.tries > 1 for route in forwards):
        found.append("retry: HAProxy keeps no budget: each request is tried as often as it may be")
    if any(route.buffer > read_ahead(tier) for route in forwards):
        kib = read_ahead(tier) // KIB
        found.append(f"buffer: HAProxy reads {kib} KiB ahead, and more only where it is written")
    if any(each.ejection is not None for each in _upstreams(tier)):
        found.append(
            "eject: HAProxy counts errors of both kinds together, looks after `base` whether a"
            " member accepts connections again, and may leave out all members of a region"
        )
    pools: dict[str, int] = {}
    for pool in pools_of(tier):
        pools[pool.service] = pools.get(pool.service, 0) + 1
    for service, count in pools.items():
        if count > 1:
            found.append(
                f"services.{service}: routes send to it in {count} manners: HAProxy counts"
                " connections and queue for each of them"
            )
    return found


def _upstreams(tier: Tier) -> list[Upstream]:
    return [pool.upstream for pool in pools_of(tier)]


def _whole(tier: Tier, region: str, regions: Mapping[str, Region]) -> Iterator[Inexpressible]:
    proxies = regions[region].proxies if region in regions else ()
    if not proxies:
        hint = f"write regions.{region}.proxies"
        yield Inexpressible("listen", f"region {region} has no proxies to listen at", hint)
    for proxy in proxies:
        if isinstance(proxy.address, str):
            problem = f"{proxy.address} is a name: HAProxy listens at addresses"
            yield Inexpressible("listen", problem, f"write addresses in regions.{region}.proxies")
    if not tier.listeners:
        yield Inexpressible("listen", "there is no port to listen at", "write listen: [80]")
    if tier.limits.head_max + read_ahead(tier) > READ_AHEAD_MAX:
        problem = "head_size and the greatest buffer are kept for each connection: 1MiB at most"
        yield Inexpressible("limits.head_size", problem, "write less in limits or routes")
    if tier.limits.fields_max > 32_000:
        yield Inexpressible("limits.fields", "HAProxy takes up to 32000 fields", "write less")
    for status, page in tier.pages.items():
        key = f"errors.{status}"
        if not 400 <= status <= 599:
            yield Inexpressible(key, "an error page is for a status of 400 to 599", "leave it out")
        yield from _type(key, page.content_type)
        yield from _fits(tier, key, page.body)
    if tier.via is not None:
        yield from _plain("via", tier.via)
    limits = tier.limits
    for key, time_s in (
        ("head_timeout", limits.head_s),
        ("keep_alive", limits.keep_alive_s),
        ("body_timeout", limits.body_s),
    ):
        yield from _time(f"limits.{key}", time_s)
    if tier.across.tls is not None and tier.across.tls.name is not None:
        yield from _name("across.tls.name", tier.across.tls.name)


def _fits(tier: Tier, key: str, body: bytes) -> Iterator[Inexpressible]:
    if len(body) > 12 * 1024:
        problem = f"a body of {len(body)} octets: HAProxy answers with 12KiB at most"
        yield Inexpressible(key, problem, "make it shorter, or send it to a service")


def _fences(tier: Tier, services: Mapping[str, Service]) -> Iterator[Inexpressible]:
    if not tier.across.to:
        return
    for name in sorted({pool.service for pool in pools_of(tier)}):
        service = services.get(name)
        if service is not None and any(isinstance(step, Fence) for step in service.route):
            problem = f"{name} has a fence, and HAProxy does not know whom it holds back"
            yield Inexpressible("across.to", problem, "write across: {to: []}, or keep tier: gslb")


def _route(tier: Tier, key: str, route: Route) -> Iterator[Inexpressible]:
    yield from _plain(f"{key}.name", route.name)
    for number, match in enumerate(route.matches):
        yield from _match(f"{key}.match[{number}]", match)
    yield from _action(tier, key, route)
    if len(route.rates) + first_counter(tier) > COUNTERS:
        left = COUNTERS - first_counter(tier)
        problem = f"{len(route.rates)} rates: HAProxy can count {left} for a request"
        yield Inexpressible(f"{key}.rates", problem, "leave some out")
    for number, rate in enumerate(route.rates):
        yield from _rate(f"{key}.rates[{number}]", rate)


def _match(key: str, match: Match) -> Iterator[Inexpressible]:
    if match.countries:
        problem = "HAProxy does not know in which country a client is"
        yield Inexpressible(f"{key}.countries", problem, "write their networks in clients")
    if match.path_kind not in ("exact", "prefix", "regex"):
        yield Inexpressible(f"{key}.path", f"no kind of path is {match.path_kind}", USE_GSLB)
    for each in (*match.hosts, match.path or ""):
        yield from _plain(f"{key}", each)
    for method in match.methods:
        yield from _token(f"{key}.method", method)
    conditions = 0
    for kind, all_of in (
        ("header", match.headers),
        ("cookie", match.cookies),
        ("query", match.query),
    ):
        conditions += len(all_of)
        for has in all_of:
            yield from _has(f"{key}.{kind}", kind, has)
    if conditions > CONDITIONS_MAX:
        problem = f"{conditions} headers, cookies and parameters: {CONDITIONS_MAX} at most"
        yield Inexpressible(key, problem, "say it in fewer")


def _has(key: str, kind: str, has: Has) -> Iterator[Inexpressible]:
    yield from _name(f"{key}.{has.name}", has.name)
    if kind == "header":
        yield from _token(f"{key}.{has.name}", has.name)
    for text in (has.value, has.pattern):
        yield from _plain(f"{key}.{has.name}", text or "")


def _action(tier: Tier, key: str, route: Route) -> Iterator[Inexpressible]:
    match route.action:
        case Redirect(to=to, status=status):
            yield from _plain(f"{key}.redirect", to)
            if status not in REDIRECTS:
                problem = f"HAProxy redirects by {sorted(REDIRECTS)}, not by {status}"
                yield Inexpressible(f"{key}.redirect.status", problem, "write one of these")
        case Respond(status=status, body=body, content_type=content_type):
            yield from _status(f"{key}.respond.status", status)
            yield from _type(f"{key}.respond.type", content_type)
            yield from _fits(tier, f"{key}.respond.body", body)
        case Deny(status=status):
            yield from _status(f"{key}.deny", status)
        case forward:
            yield from _forward(key, route, forward)


def _forward(key: str, route: Route, action: Forward) -> Iterator[Inexpressible]:
    if not 0 < sum(weight for _, weight in action.parts) < 1 << 31:
        problem = "the weights of a split are 1 at least, and below 2^31 together"
        yield Inexpressible(f"{key}.split", problem, "write such weights")
    if action.sticky is not None:
        yield from _cookie(f"{key}.sticky", action.sticky)
    yield from _balance(f"{key}.balance", route.balance, http=True)
    affinity = route.affinity
    if affinity is not None:
        at = f"{key}.affinity"
        yield from _time(f"{at}.ttl", affinity.ttl_s)
        if affinity.by == "cookie":
            yield from _cookie(f"{at}.cookie", affinity.name)
            if not affinity.key:
                yield Inexpressible(f"{at}.key", "a cookie is signed with a key", "write a key")
        elif affinity.by == "header":
            yield from _token(f"{at}.header", affinity.name)
            yield from _name(f"{at}.header", affinity.name)
        elif affinity.by != "client":
            yield Inexpressible(at, f"HAProxy keeps nobody by {affinity.by}", USE_GSLB)
    yield from _rewrite(f"{key}.rewrite", route.rewrite)
    yield from _timeouts(f"{key}.timeouts", route.timeouts)
    yield from _retry(f"{key}.retry", route.retry)


def _balance(key: str, balance: Balance, *, http: bool) -> Iterator[Inexpressible]:
    if balance.kind == "least_time":
        hint = "write least_connections, or keep tier: gslb"
        yield Inexpressible(key, "HAProxy does not balance by response time", hint)
    if balance.kind != "hash":
        return
    if balance.by != "client" and not http:
        problem = f"there is no {balance.by} in tcp mode"
        yield Inexpressible(f"{key}.hash", problem, "write hash: client")
    if balance.by in ("query", "header", "cookie"):
        yield from _name(f"{key}.hash", balance.name or "")
    percent = balance.bound * 100
    if not 100 < percent <= 10_000 or abs(percent - round(percent)) > 1e-6:
        problem = "HAProxy's bound is a whole percentage above 100"
        yield Inexpressible(f"{key}.bound", problem, "write such as 1.25")


def _rewrite(key: str, rewrite: Rewrite) -> Iterator[Inexpressible]:
    yield from _plain(f"{key}.path.pattern", rewrite.path_pattern or "")
    yield from _plain(f"{key}.path.to", rewrite.path_to)
    if "\\g" in rewrite.path_to:
        yield Inexpressible(f"{key}.path.to", "HAProxy has groups by number", "write \\1")
    yield from _plain(f"{key}.host", rewrite.host or "")
    for at, pairs in (("set", rewrite.set), ("response.set", rewrite.response_set)):
        for name, value in pairs:
            yield from _token(f"{key}.{at}.{name}", name)
            yield from _plain(f"{key}.{at}.{name}", value)
    for at, names in (("remove", rewrite.remove), ("response.remove", rewrite.response_remove)):
        for name in names:
            yield from _token(f"{key}.{at}", name)


def _timeouts(key: str, timeouts: Timeouts) -> Iterator[Inexpressible]:
    yield from _time(f"{key}.connect", timeouts.connect_s)
    yield from _time(f"{key}.response", timeouts.response_s)
    yield from _time(f"{key}.idle", timeouts.idle_s)
    yield from _time(f"{key}.tunnel", timeouts.tunnel_s)
    if timeouts.total_s is not None:
        yield Inexpressible(f"{key}.total", "HAProxy does not bound the whole time", USE_GSLB)
    said = (timeouts.response_s, timeouts.idle_s)
    if said[0] != said[1] and said != (Timeouts().response_s, Timeouts().idle_s):
        problem = f"HAProxy has one time for response ({said[0]} s) and idle ({said[1]} s)"
        yield Inexpressible(f"{key}.response", problem, "write the same for both")


def _retry(key: str, retry: Retry) -> Iterator[Inexpressible]:
    if retry.tries > 1 and retry.budget_percent not in (Retry().budget_percent, 100):
        hint = "leave it out (and see the notes), or write 100%"
        yield Inexpressible(f"{key}.budget", "HAProxy keeps no budget of retries", hint)
    if odd := retry.statuses - RETRIED:
        problem = f"HAProxy does not try again after {sorted(odd)}"
        yield Inexpressible(f"{key}.statuses", problem, f"write some of {sorted(RETRIED)}")


def _rate(key: str, rate: Rate) -> Iterator[Inexpressible]:
    yield from _time(key, max(1, rate.burst) / rate.per_s)
    if rate.by == "header":
        yield from _token(f"{key}.by", rate.name)
        yield from _name(f"{key}.by", rate.name)


def _upstream(key: str, upstream: Upstream) -> Iterator[Inexpressible]:
    yield from _plain(f"{key}.host", upstream.host or "")
    for at, number in (("connections", upstream.connections_max), ("queue", upstream.queue_max)):
        if not 1 <= number < 1 << 31:
            yield Inexpressible(f"{key}.{at}", "to HAProxy 0 is without bound", "write 1 or more")
    for at, time_s in (
        ("queue_timeout", upstream.queue_s),
        ("idle_timeout", upstream.idle_s),
        ("slow_start", upstream.slow_start_s),
    ):
        yield from _time(f"{key}.{at}", time_s)
    if upstream.tls is not None and upstream.tls.name is not None:
        yield from _name(f"{key}.tls.name", upstream.tls.name)
    if upstream.ejection is not None:
        yield from _ejection(f"{key}.eject", upstream.ejection)


def _ejection(key: str, ejection: Ejection) -> Iterator[Inexpressible]:
    usual = Ejection()
    yield from _time(f"{key}.base", ejection.base_s)
    if ejection.slow_factor is not None:
        yield Inexpressible(f"{key}.slow_factor", "HAProxy does not compare latencies", USE_GSLB)
    if ejection.max_s not in (usual.max_s, ejection.base_s):
        problem = "HAProxy does not leave members out longer each time"
        yield Inexpressible(f"{key}.max", problem, "write the same as base, or leave it out")
    if ejection.most_percent not in (usual.most_percent, 100):
        problem = "HAProxy does not bound how many members are left out"
        yield Inexpressible(f"{key}.most", problem, "write 100%, or leave it out")
    limits = (ejection.errors, ejection.connect_errors)
    apart = None not in limits and limits[0] != limits[1]
    if apart and limits != (usual.errors, usual.connect_errors):
        problem = "HAProxy counts errors and connect_errors together"
        yield Inexpressible(f"{key}.errors", problem, "write the same for both, or one as null")


def _plain(key: str, text: str) -> Iterator[Inexpressible]:
    if not is_plain(text):
        yield Inexpressible(key, "a line of HAProxy has no control characters", "leave them out")


def _type(key: str, content_type: str) -> Iterator[Inexpressible]:
    yield from _plain(key, content_type)
    if not content_type:
        yield Inexpressible(key, "HAProxy sends no body without a type", "write its type")


def _token(key: str, name: str) -> Iterator[Inexpressible]:
    if not TOKEN.fullmatch(name):
        yield Inexpressible(key, f"{name!r} is no name of a method or field", "see RFC 9110 5.6.2")


def _name(key: str, name: str) -> Iterator[Inexpressible]:
    if not ARGUMENT.fullmatch(name):
        problem = f"HAProxy has no words for the name {name!r}"
        yield Inexpressible(key, problem, "use letters, digits and -_.~")


def _cookie(key: str, name: str) -> Iterator[Inexpressible]:
    yield from _token(key, name)
    yield from _name(key, name)


def _status(key: str, status: int) -> Iterator[Inexpressible]:
    if not 200 <= status <= 599:
        yield Inexpressible(key, f"HAProxy does not answer with {status}", "200 to 599")


def _time(key: str, time_s: float) -> Iterator[Inexpressible]:
    if not 0 <= time_s <= TIME_MAX_S:
        yield Inexpressible(key, "HAProxy's times are 24 days at most", "write a shorter time")
