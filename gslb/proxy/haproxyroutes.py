"""Routes as rules of a HAProxy frontend: which one a request is for, what becomes of it.

The first lines put what is compared into variables: the host without its port, the path decoded
and without dot segments (`gslb.proxy.request` says why), the client behind trusted proxies.  The
first route whose conditions hold puts its name, ``r0``, ``r1`` …, into ``txn.route``; all that
follows asks for that.  A pool's name in ``txn.way`` and the ladder of regions make the backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gslb.proxy import affinity
from gslb.proxy.haproxypools import key_of, suffix
from gslb.proxy.haproxywords import HOLDER, argument, literal, milliseconds, phrase, word
from gslb.proxy.splitting import part_of
from gslb.tier import KIB, Deny, Forward, Has, Match, Page, Rate, Redirect, Respond, Route, Tier

HOPS_MAX = 8
TRUSTED_HOPS = 4  # how many proxies before a client are looked past
DOT_PASSES = 6  # how deep `..` may go until a request is refused
BODILESS = (204, 304)  # RFC 9110 15.3.5 and 15.4.5
READ_AHEAD = 16 * KIB  # octets of a body, where nobody wrote how many
READ_AHEAD_USUAL = 64 * KIB  # what a route has that says nothing
HOPS = "x-gslb-hops"
TRACE = "'^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'"
FILLED = {
    "{scheme}": "%[var(txn.scheme)]",
    "{host}": "%[var(txn.host)]",
    "{path}": "%[path]",
    "{query}": "%[var(txn.query)]",
}


def reply(pages: Mapping[int, Page], status: int, *, fields: Sequence[tuple[str, str]] = ()) -> str:
    """Return the words that answer with an error's page, or with its reason in plain text."""
    if status in BODILESS:
        return f"return status {status}"
    page = pages.get(status)
    said = f"return status {status} content-type "
    if page is None:
        said += f"'text/plain; charset=utf-8' string {word(phrase(status))}"
    else:
        said += f"{word(page.content_type)} file {page_file(status)}"
    return said + "".join(f" hdr {name} {word(literal(value))}" for name, value in fields)


def page_file(status: int) -> str:
    """Return the name of the file that holds an error's page."""
    return f"page-{status}"


def body_file(index: int) -> str:
    """Return the name of the file that holds what route *index* responds with."""
    return f"respond-{index}"


def opening(tier: Tier, trusted: Sequence[str], *, tls: bool) -> Iterator[str]:
    """Yield what comes before the routes: who asks, for what, in the words that rules compare."""
    yield from (f"acl trusted src {each}" for each in trusted)
    yield "http-request set-var(txn.peer) src"
    yield "http-request set-var(txn.trusted) bool(true) if trusted"
    for back in range(1, TRUSTED_HOPS + 1):
        there = f"{{ req.hdr_cnt(x-forwarded-for) ge {back} }}"
        yield f"http-request set-src req.hdr_ip(x-forwarded-for,-{back}) if trusted {there}"
    yield "acl believed var(txn.trusted) -m bool"
    scheme = "https" if tls else "http"
    yield f"http-request set-var(txn.scheme) str({scheme})"
    yield "http-request set-var(txn.scheme) str(https) if believed " + _proto("https")
    yield "http-request set-var(txn.scheme) str(http) if believed " + _proto("http")
    yield "http-request set-var(txn.client) src"
    yield "http-request set-var(txn.host) \"req.hdr(host),host_only,lower,regsub('\\\\.\\$','')\""
    yield "http-request set-var-fmt(txn.query) '?%[query]' if { query -m len gt 0 }"
    yield "http-request set-var(txn.method) method"
    yield "http-request set-var(txn.raw) path"
    yield "http-request set-var(txn.agent) req.fhdr(user-agent)"
    yield "http-request set-var(txn.referer) req.fhdr(referer)"
    yield from _path(tier.pages)
    for part in ("url", "req.hdrs"):
        over = f"{{ {part},length gt {tier.limits.head_max} }}"
        yield f"http-request {reply(tier.pages, 431)} if {over}"


def _proto(scheme: str) -> str:
    return f"{{ req.hdr(x-forwarded-proto) -i {scheme} }}"


def _path(pages: Mapping[int, Page]) -> Iterator[str]:
    """Yield how the path is decoded once, then loses empty and dot segments (RFC 3986 5.2.4)."""
    whole = r"path,url_dec,regsub('/\.\.?$','\0/'),regsub('/(\.?/)+','/',g)"
    yield f"http-request set-var(txn.path) {word_of(whole)}"
    yield "http-request set-var(txn.path) str(*) if METH_OPTIONS !{ path -m found }"
    up = r"var(txn.path),regsub('/(?!\.\./)[^/]+/\.\.(?=/)','',g),regsub('^(/\.\.)+(?=/)','')"
    for _ in range(DOT_PASSES):
        yield f"http-request set-var(txn.path) {word_of(up)} if {{ var(txn.path) -m sub /../ }}"
    refused = reply(pages, 400)
    yield f"http-request {refused} if !{{ var(txn.path) -m found }}"
    yield f"http-request {refused} if {{ var(txn.path) -m sub /../ }}"


def matching(routes: Sequence[Route]) -> Iterator[str]:
    """Yield how the first route that a request is for is found."""
    yield "acl routed var(txn.route) -m found"
    for index, route in enumerate(routes):
        yield f"acl r{index} var(txn.route) -m str r{index}"
        chosen = f"http-request set-var(txn.route) str(r{index}) if !routed"
        if not route.matches:
            yield chosen
        for number, match in enumerate(route.matches):
            conditions = []
            for lines, names in _conditions(f"r{index}_{number}", match):
                yield from lines
                conditions.append(names)
            yield " ".join([chosen, *conditions])


def _conditions(prefix: str, match: Match) -> Iterator[tuple[list[str], str]]:
    """Yield each condition of a match: the lines that define it, and its name or ``!`` name."""
    if match.hosts:
        yield _any(f"{prefix}_host", [host_test(each, "var(txn.host)") for each in match.hosts])
    if match.path is not None and (match.path or match.path_kind == "exact"):
        kind = {"exact": "str", "prefix": "beg", "regex": "reg"}[match.path_kind]
        yield _any(f"{prefix}_path", [f"var(txn.path) {_is(kind, match.path)}"])
    if match.methods:
        lines = [f"method {_is('str', each)}" for each in sorted(match.methods)]
        yield _any(f"{prefix}_method", lines)
    if match.scheme is not None:
        yield _any(f"{prefix}_scheme", [f"var(txn.scheme) -m str {match.scheme}"])
    for kind, fetch, all_of in (
        ("header", "req.fhdr({})", match.headers),
        ("cookie", "req.cook({})", match.cookies),
        ("query", "url_param({})", match.query),
    ):
        for number, has in enumerate(all_of):
            yield _has(f"{prefix}_{kind}{number}", fetch.format(argument(has.name)), kind, has)
    if match.clients:
        yield _any(f"{prefix}_client", [f"src {each}" for each in match.clients])


def _any(name: str, tests: Sequence[str]) -> tuple[list[str], str]:
    return [f"acl {name} {each}" for each in tests], name


def host_test(host: str, fetch: str) -> str:
    """Return how a host name, as *fetch* gets it, is compared with one name or wildcard."""
    if host.startswith("*."):
        return f"{fetch} -m end -i -- {word(host[1:])}"
    return f"{fetch} -m str -i -- {word(host)}"


def _is(kind: str, text: str) -> str:
    return f"-m {kind} -- {word(text)}" if text else "-m len 0"


def _has(name: str, fetch: str, kind: str, has: Has) -> tuple[list[str], str]:
    if has.absent:
        return [f"acl {name} {word_of(fetch)} -m found"], f"!{name}"
    if kind == "query" and (has.value is not None or has.pattern is not None):
        fetch += ",url_dec(1)"
    if has.value is not None:
        return [f"acl {name} {word_of(fetch)} {_is('str', has.value)}"], name
    if has.pattern is not None:
        return [f"acl {name} {word_of(fetch)} -m reg -- {word(has.pattern or '^')}"], name
    return [f"acl {name} {word_of(fetch)} -m found"], name


def word_of(expression: str) -> str:
    """Return an expression as one word of a line: whatever it holds is for the expression."""
    if not set(expression) & set(" \t'\"\\#$"):
        return expression
    escaped = "".join(f"\\{each}" if each in '"\\$' else each for each in expression)
    return f'"{escaped}"'


def acting(tier: Tier, ways: Mapping[tuple[object, ...], str]) -> Iterator[str]:
    """Yield what becomes of the requests of each route, and at the end of those of none."""
    for index, route in enumerate(tier.routes):
        named = word_of(f"str({argument(route.name)})")
        yield f"http-request set-var(txn.name) {named} if r{index}"
        yield from _rates(tier, index, route.rates)
        match route.action:
            case Deny(status=status):
                yield f"http-request {reply(tier.pages, status)} if r{index}"
            case Redirect():
                to = _filled(route.action.to)
                code = route.action.status
                yield f"http-request redirect code {code} location {to} if r{index}"
            case Respond():
                yield f"http-request {_response(index, route.action)} if r{index}"
            case forward:
                yield from _body(tier, index, route)
                yield from _forward(index, route, forward, ways)
        if route.hsts_s is not None:
            field = f"set-header Strict-Transport-Security max-age={route.hsts_s}"
            secure = "{ var(txn.scheme) -m str https }"
            yield f"http-after-response {field} if r{index} {secure}"
    yield f"http-request {reply(tier.pages, 404)} if !routed"


def _filled(to: str) -> str:
    said = literal(to)
    for placeholder, fetch in FILLED.items():
        said = said.replace(placeholder, fetch)
    return word(said)


def _response(index: int, action: Respond) -> str:
    said = f"return status {action.status}"
    if action.body and action.status not in BODILESS:
        said += f" content-type {word(action.content_type)} file {body_file(index)}"
    return said


def _rates(tier: Tier, index: int, rates: Sequence[Rate]) -> Iterator[str]:
    """Yield the limits of a route: only requests that are let through count."""
    first = first_counter(tier)
    for number, rate in enumerate(rates):
        key = {"client": HOLDER, "route": "int(1)"}.get(rate.by)
        key = key or f"req.fhdr({argument(rate.name)}),sha2(256)"
        counter = first + number
        yield f"http-request track-sc{counter} {key} table {table_of(index, number)} if r{index}"
    for number, rate in enumerate(rates):
        fields = (("Retry-After", str(max(1, round(1 / rate.per_s)))),)
        over = f"{{ sc{first + number}_gpc0_rate ge {max(1, rate.burst)} }}"
        yield f"http-request {reply(tier.pages, 429, fields=fields)} if r{index} {over}"
    for number, _ in enumerate(rates):
        yield f"http-request sc-inc-gpc0({first + number}) if r{index}"


def first_counter(tier: Tier) -> int:
    """Return the first of HAProxy's three counters that routes may use."""
    return 0 if tier.limits.connections_per_client is None else 1


def table_of(index: int, number: int) -> str:
    """Return the name of the table of a route's rate."""
    return f"rate-{index}-{number}"


def table(name: str, rate: Rate) -> Iterator[str]:
    """Yield the table of a rate: as many as its burst within the time that refills it."""
    kind = {"client": "ipv6", "route": "integer"}.get(rate.by, "binary len 32")
    window = milliseconds(max(1, rate.burst) / rate.per_s)
    size = 1 if rate.by == "route" else "200k"
    yield f"backend {name}"
    kept = f"store gpc0,gpc0_rate({window})"
    yield f"    stick-table type {kind} size {size} expire {window} peers gslb {kept}"


def read_ahead(tier: Tier) -> int:
    """Return how many octets of a body HAProxy has room for before a member is chosen.

    Its buffers are of one size for all, and are copied whole where a request may be tried again:
    they are made larger only for what was written.
    """
    written = {route.buffer for route in tier.routes} - {READ_AHEAD_USUAL}
    return max(READ_AHEAD, *written) if written else READ_AHEAD


def _body(tier: Tier, index: int, route: Route) -> Iterator[str]:
    """Yield how a body is waited for and measured, before a member is chosen."""
    room = read_ahead(tier)
    wait = f"wait-for-body time {milliseconds(tier.limits.body_s)} at-least"
    if route.body_max is None:
        if route.buffer:
            yield f"http-request {wait} {min(route.buffer, room)} if r{index}"
        return
    too_much = f"{{ req.body_size gt {route.body_max} }}"
    announced = f"{{ req.hdr_val(content-length) gt {route.body_max} }}"
    yield f"http-request {reply(tier.pages, 413)} if r{index} {announced}"
    unknown = "!{ req.hdr(content-length) -m found }"
    most = min(route.body_max + 1, max(1, route.buffer), room)
    yield f"http-request {wait} {most} if r{index} {unknown}"
    yield f"http-request {reply(tier.pages, 413)} if r{index} {unknown} {too_much}"
    if route.body_max + 1 > most:
        open_end = f"{{ req.body_size ge {most} }}"
        yield f"http-request {reply(tier.pages, 411)} if r{index} {unknown} {open_end}"
    if route.buffer:
        known = unknown.removeprefix("!")
        yield f"http-request {wait} {min(route.buffer, room)} if r{index} {known}"


def _forward(
    index: int, route: Route, action: Forward, ways: Mapping[tuple[object, ...], str]
) -> Iterator[str]:
    """Yield how a part of a route is chosen: the one that a cookie names, or by weight."""
    parts = [(name, weight, ways[key_of(name, route)]) for name, weight in action.parts if weight]
    if len(parts) == 1 and action.sticky is None:
        yield f"http-request set-var(txn.way) str({parts[0][2]}) if r{index}"
        return
    unless = "!{ var(txn.way) -m found }"
    if action.sticky is not None:
        cookie = f"req.cook({argument(action.sticky)})"
        for name, _, way in parts:
            said = f"{{ {word_of(cookie)} -m str -- {word(_remembered(action, name))} }}"
            yield f"http-request set-var(txn.way) str({way}) if r{index} {said}"
        kept = "{ var(txn.way) -m found }"
        yield f"http-request set-var(txn.kept) bool(true) if r{index} {kept}"
    total, below = sum(weight for _, weight, _ in parts), 0
    yield f"http-request set-var(txn.draw) rand({total}) if r{index}"
    for name, weight, way in parts:
        below += weight
        drawn = f"{{ var(txn.draw) -m int lt {below} }}"
        yield f"http-request set-var(txn.way) str({way}) if r{index} {unless} {drawn}"
        if action.sticky is not None:
            value = _remembered(action, name)
            cookie = word(literal(f"{action.sticky}={value}; Path=/; HttpOnly; SameSite=Lax"))
            new = f"{{ var(txn.way) -m str {way} }} !{{ var(txn.kept) -m bool }}"
            yield f"http-response add-header Set-Cookie {cookie} if r{index} {new}"


def _remembered(action: Forward, service: str) -> str:
    """Return the value of the cookie for a part; with a key, one that nobody makes without it.

    It has no end of its own: the text of a configuration knows no time.
    """
    if not action.key:
        return service
    return affinity.tag(action.key, part_of(action.sticky or "", service)).hex()


def passing(tier: Tier, region: str) -> Iterator[str]:
    """Yield what is said of the client and of the way to whoever is sent the request."""
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", HOPS):
        yield f"http-request del-header {name} if !believed"
    yield "http-request add-header X-Forwarded-For %[var(txn.peer)]"
    rest = """;host="%[req.hdr(host),regsub('["\\\\]','',g)]";proto=%[var(txn.scheme)]"""
    four, six = "for=%[var(txn.peer)]", 'for="[%[var(txn.peer)]]"'
    for peer, unless in ((six, ""), (four, "!")):
        said = f"{word_of(peer + rest)} if {unless}{{ var(txn.peer) -m sub : }}"
        yield f"http-request add-header Forwarded {said}"
    for name, fetch in (("Proto", "var(txn.scheme)"), ("Host", "req.hdr(host)")):
        missing = f"!{{ req.fhdr(x-forwarded-{name.lower()}) -m found }}"
        yield f"http-request set-header X-Forwarded-{name} %[{fetch}] if {missing}"
    sane = "{ req.fhdr(x-request-id) -m reg '^[A-Za-z0-9._-]{1,128}$' }"
    made = "set-header X-Request-Id '%[uuid(),regsub(-,,g)]'"
    yield f"http-request {made} if !believed or !{sane}"
    yield "http-request set-var(txn.id) req.fhdr(x-request-id)"
    traced = f"{{ req.fhdr(traceparent) -m reg {TRACE} }}"
    yield f"http-request del-header tracestate if !{traced}"
    made = "00-%[uuid(),regsub(-,,g)]-%[uuid(),regsub(-,,g),bytes(0,16)]-01"
    yield f"http-request set-header traceparent '{made}' if !{traced}"
    if tier.via is not None:
        yield f"http-request add-header Via '%[req.ver] '{word(literal(tier.via))}"
        yield f"http-after-response add-header Via '1.1 '{word(literal(tier.via))}"
    yield f"acl looped req.hdr({HOPS}) -m str -- {word(region)}"
    yield f"acl looped req.hdr_cnt({HOPS}) ge {HOPS_MAX}"
    yield f"http-request set-var(txn.hops) req.fhdr({HOPS})"


def climbing(tier: Tier, region: str, order: Sequence[str], *, http: bool) -> Iterator[str]:
    """Yield the ladder: this region's members, then region by region who is there, else nobody.

    Requests do not cross to a region that they have passed, nor further once they are back here.
    Connections in ``tcp`` mode cross to members alone: nothing in them would guard from loops.
    """
    own = f"var(txn.way),concat({suffix(region, 'members')})"
    yield f"use_backend %[{own}] if {{ {own},nbsrv gt 0 }}"
    for number, other in enumerate(order):
        if other == region:
            continue
        if http:
            yield f"acl passed{number} req.hdr({HOPS}) -m str -- {word(other)}"
        free = f" !looped !passed{number}" if http else ""
        for kind in tier.across.to:
            if http or kind == "members":
                there = f"var(txn.way),concat({suffix(other, kind)})"
                yield f"use_backend %[{there}] if {{ {there},nbsrv gt 0 }}{free}"
    yield f"use_backend %[{own}]"
