"""The desk: what exchanges are told of routes, members and fields.

It answers from one `Table`, which `adopt` replaces whole, and from what `believe` was told last.
Sockets, clocks and chance are handed in: a connector gets connections, and everything that happens
is counted in a tally.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, NamedTuple, Protocol

from gslb.errors import MessageError
from gslb.health.belief import Belief
from gslb.model import Address, Member, Regions, Service
from gslb.proxy import rewrite
from gslb.proxy.chooser import Chooser
from gslb.proxy.ejection import Outcome
from gslb.proxy.exchange import Exchange
from gslb.proxy.forwarding import DRAW_BITS, Peer
from gslb.proxy.hashing import key_for
from gslb.proxy.head import CHUNKED, Fields, ResponseHead
from gslb.proxy.headreader import Cutter
from gslb.proxy.holder import holder_of
from gslb.proxy.keeping import pin, pinned
from gslb.proxy.request import Request
from gslb.proxy.table import Rule, Table, compile_table, plain_page
from gslb.proxy.tally import Tally
from gslb.proxy.target import Target
from gslb.routing.geo import BLANK, Atlas
from gslb.tier import (
    NO_ROUTE,
    Forward,
    Limits,
    Listener,
    Redirect,
    Route,
    Tier,
    Upstream,
)

_HSTS: Final = b"strict-transport-security"
_HAS_BODY: Final = frozenset((b"POST", b"PUT", b"PATCH"))  # methods that mean something by it

BelievedOf = Callable[[str, Member], Belief]


class Refusal(NamedTuple):
    """What was no request: whose connection it came over, by which TLS and HTTP, and why."""

    peer: Peer
    tls: str | None
    http: str
    error: MessageError


class Connector(Protocol):
    """Who gets connections, and hears of members that fail."""

    def connect(self, exchange: Exchange, target: Target) -> None:
        """Get a connection to *target*: tell the exchange, now or later."""

    def forget(self, exchange: Exchange) -> None:
        """Get none any longer."""

    def suspect(self, service: str, member: Member) -> None:
        """Hear that real requests fail at a member."""


class Desk:
    """Serves the exchanges of one worker.

    *clock* is monotonic, *wall* gives seconds since 1970, *draw* is even on [0, 1), *bits* gives so
    many random bits.  *on_done* hears each exchange when it is over, and *on_refused* of what never
    came to be one.  `cutter` cuts heads for the desk's connections, if there is one.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        draw: Callable[[], float],
        bits: Callable[[int], int],
        seed: int,
        connector: Connector,
        on_done: Callable[[Exchange], None],
        on_refused: Callable[[Refusal], None],
    ) -> None:
        self.now_s = clock
        self._wall = wall
        self.draw = draw
        self._bits = bits
        self._seed = seed
        self._connector = connector
        self._on_done = on_done
        self._on_refused = on_refused
        self._atlas: Atlas = BLANK
        self.table: Table | None = None
        self.limits = Limits()
        self.draining = False
        self.cutter: Cutter | None = None
        self.under_way: dict[Exchange, None] = {}  # in the order in which they began
        self.tally = Tally()
        self._unrouted = self.tally.of(NO_ROUTE)

    # What it is told.

    def adopt(
        self,
        tier: Tier,
        services: Iterable[Service],
        regions: Regions,
        region: str,
        atlas: Atlas,
        workers: int,
    ) -> None:
        """Serve by *tier* from now on, in *region*."""
        self._atlas, self.limits = atlas, tier.limits
        self.table = compile_table(
            tier,
            services,
            regions,
            region,
            atlas,
            workers=workers,
            seed=self._seed,
            tally=self.tally,
            previous=self.table,
        )

    def believe(self, of: BelievedOf) -> None:
        """Take over what is believed of all members now."""
        if self.table is not None:
            for name, chooser in self.table.choosers.items():
                chooser.update(_of_service(of, name), self.now_s(), self._wall())

    def tick(self, now_s: float) -> None:
        """Let time pass."""
        if self.table is not None:
            for chooser in self.table.choosers.values():
                chooser.tick(now_s)

    def targets(self) -> Iterator[tuple[str, Target]]:
        """Yield all targets, each with its service."""
        if self.table is not None:
            for name, chooser in self.table.choosers.items():
                for target in chooser.targets():
                    yield name, target

    # What a client's connection asks.

    def peer(self, listener: Listener, address: Address) -> Peer | None:
        """Return what passes on the requests of a connection from *address* at *listener*.

        None once a reload took the listener away.
        """
        forwarder = None if self.table is None else self.table.forwarders.get(listener.port)
        return None if forwarder is None else forwarder.peer(address)

    def renewed(self, peer: Peer) -> Peer | None:
        """Return *peer* as it is judged now; None once a reload took its listener away."""
        return None if self.table is None else self.table.renewed(peer)

    def draw_bits(self) -> int:
        """Return the chance that the ids of one request are made of."""
        return self._bits(DRAW_BITS)

    def refuse(self, refusal: Refusal) -> tuple[Fields, bytes]:
        """Return the answer to what is no request, which is told on."""
        self._on_refused(refusal)
        return self.refused(refusal.error)

    def refused(self, error: MessageError) -> tuple[Fields, bytes]:
        """Return the answer to what is no request, or whose body is none."""
        self.tally.count("gslb_proxy_bad_requests_total", str(error.status))
        return self.page(error.status)

    # What an exchange asks.

    def route(self, exchange: Exchange) -> Route | None:
        """Return the rule for an exchange's request."""
        self.under_way[exchange] = None
        table = exchange.table = self.table
        if table is None:
            return None
        request = exchange.request
        route = table.matcher.find(request, partial(self._country_of, request))
        if route is not None:
            exchange.rule = table.rules[id(route)]
        return route

    def _country_of(self, request: Request) -> str | None:
        return self._atlas.place_of(request.client).country

    def limited_s(self, exchange: Exchange, route: Route) -> float:
        """Return for how many seconds a request has to wait by the route's rates; 0 for not."""
        request, now_s = exchange.request, self.now_s()
        for rate, buckets in _rule(exchange).rates:
            if rate.by == "client":
                key = hash(holder_of(request.client))
            elif rate.by == "header":
                key = hash(request.header(rate.name.lower().encode()))
            else:
                key = 0
            if wait_s := buckets.take(key, now_s):
                return wait_s
        return 0.0

    def service_for(self, exchange: Exchange, forward: Forward) -> None:
        """Settle the service that a request goes to, or answer it."""
        table = _table(exchange)
        name = forward.parts[0][0]
        if (split := _rule(exchange).split) is not None:
            name, cookie = split.choose(exchange.request, self.draw(), self._wall())
            if cookie is not None:
                exchange.cookies[cookie[0]] = cookie[1]
        exchange.service = table.choosers.get(name)
        if table.region.encode() in exchange.passage.hops:
            exchange.fail(508, "loop")
        elif exchange.service is None:
            exchange.fail(503, "no such service")

    def choose(self, exchange: Exchange) -> Target | None:
        """Return the next member to try, which is counted as having the request."""
        chooser, route, rule, now_s = exchange.service, exchange.route, exchange.rule, self.now_s()
        assert chooser is not None, "a service comes before its members"
        assert route is not None, "a route comes before its service"
        assert rule is not None, "a route has its rule"
        if not exchange.tried:
            rule.budget.request(now_s)
            if rule.is_plain:
                target = chooser.first(rule.balance, self.draw(), now_s)
                if target is not None:
                    target.active += 1
                    return target
        passage = exchange.passage
        pinning, request, balance = route.affinity, exchange.request, rule.balance
        key = key_for(balance, request)
        if rule.pins is not None and not key:
            # It has nothing that it could be known by.
            pinning, balance = None, route.balance
            key = key_for(balance, request)
        if pinning is not None and (found := pinned(exchange, key, pinning, now_s, self._wall())):
            found.active += 1
            return found
        target = chooser.choose(
            balance,
            key,
            request.client,
            exchange.tried,
            self.draw(),
            now_s,
            hops=passage.hops,
            may_cross=passage.may_cross,
        )
        if target is None:
            return None
        target.active += 1
        if pinning is not None and not target.is_proxy and target.region == chooser.own:
            pin(exchange, key, pinning, target, self._wall())
        return target

    def connect(self, exchange: Exchange, target: Target) -> None:
        """Get a connection: the exchange is told, now or later."""
        self._connector.connect(exchange, target)

    def forget(self, exchange: Exchange) -> None:
        """Wait no longer for a connection."""
        self._connector.forget(exchange)

    def upstream_of(self, exchange: Exchange) -> Upstream:
        """Return how members of the exchange's service are connected to."""
        assert exchange.service is not None, "a service comes before its members"
        return exchange.service.upstream

    def may_retry(self, exchange: Exchange) -> bool:
        """Return whether the budget lets this be tried once more, and count it if so."""
        assert exchange.route is not None, "what is tried again has a route"
        granted = _rule(exchange).budget.retry(self.now_s())
        self.tally.count("gslb_proxy_retries_total", exchange.route.name, str(granted).lower())
        return granted

    def succeeded(self, exchange: Exchange, target: Target, now_s: float) -> None:
        """Hear that a member answered, at *now_s*, and well."""
        target.oks += 1
        chooser = exchange.service
        assert chooser is not None, "an attempt is at a member of a service"
        if not chooser.is_calm:
            chooser.observe(target, Outcome.OK, now_s - exchange.connected_s, now_s)

    def failed(
        self, exchange: Exchange, target: Target, outcome: Outcome, *, blames: bool = True
    ) -> None:
        """Hear that a member did not answer, or badly; if it *blames* the member, by its fault."""
        chooser, now_s = exchange.service, self.now_s()
        assert chooser is not None, "an attempt is at a member of a service"
        elapsed_s = now_s - (exchange.connected_s or exchange.began_s)
        told = outcome.value if blames else "server_name"
        self.tally.attempt(chooser.service.text, target.name, told)
        if blames and chooser.observe(target, outcome, elapsed_s, now_s):
            self.suspect(chooser, target)

    def suspect(self, chooser: Chooser, target: Target) -> None:
        """Tell that real requests fail at a member."""
        if not target.is_proxy:
            self._connector.suspect(chooser.service.text, target.member)

    def done(self, exchange: Exchange) -> None:
        """Hear that an exchange is over: it is counted, and told on."""
        self.under_way.pop(exchange, None)
        rule, upload = exchange.rule, exchange.upload
        tally = self._unrouted if rule is None else rule.tally
        tally.done(
            exchange.status,
            0 if upload is None else upload.received,
            exchange.sent_out,
            self.now_s() - exchange.began_s,
        )
        self._on_done(exchange)

    # Fields.

    def head_for(self, exchange: Exchange, target: Target, length: int) -> bytes:
        """Return the head that goes to a member, with its empty line."""
        route, head, passage = exchange.route, exchange.head, exchange.passage
        assert route is not None, "a member is a route's"
        upstream = self.upstream_of(exchange)
        path, kept, authority = head.target, passage.kept, head.authority
        changes = _rule(exchange).rewrite
        if changes is not None:
            path, kept = rewrite.request(changes, path, kept)
        if (host := route.rewrite.host or upstream.host) is not None:
            authority = host.encode("ascii")
        parts = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (head.method, path, authority)]
        parts += [b"%b: %b\r\n" % pair for pair in kept]
        parts.append(passage.added)
        if target.is_proxy:
            parts.append(_table(exchange).onward(passage.hops))
        if length > 0 or (not length and (exchange.upload is not None or head.method in _HAS_BODY)):
            parts.append(b"content-length: %d\r\n" % length)
        elif length == CHUNKED:
            parts.append(b"transfer-encoding: chunked\r\n")
        if head.upgrade is not None:
            parts.append(b"connection: upgrade\r\nupgrade: %b\r\n" % head.upgrade)
        elif head.accepts_trailers:
            parts.append(b"connection: te\r\nte: trailers\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def fields_for(self, exchange: Exchange, head: ResponseHead) -> Fields:
        """Return the fields of a response as they go to the client."""
        fields, changes = head.passing, _rule(exchange).rewrite
        if changes is not None:
            fields = rewrite.response(changes, fields)
        return self.own_fields(exchange, fields)

    def hints_for(self, exchange: Exchange, head: ResponseHead) -> Fields:
        """Return the fields of an interim response as they go to the client."""
        changes = _rule(exchange).rewrite
        return head.passing if changes is None else rewrite.interim(changes, head.passing)

    def own_fields(self, exchange: Exchange, fields: Fields) -> Fields:
        """Return the fields of a response with those that the tier adds."""
        route, table = exchange.route, exchange.table
        if exchange.cookies:
            fields += [(b"set-cookie", text) for text in exchange.cookies.values()]
        if route is not None and route.hsts_s is not None and exchange.request.scheme == "https":
            # The first one counts (RFC 6797 8.1), and a member's own may say less.
            fields = [pair for pair in fields if pair[0] != _HSTS]
            fields.append((_HSTS, b"max-age=%d" % route.hsts_s))
        if table is not None and table.tier.via is not None:
            fields.append((b"via", b"1.1 " + table.tier.via.encode("ascii")))
        return fields

    def redirect(self, exchange: Exchange, to: Redirect) -> bytes:
        """Return where a redirect leads."""
        return rewrite.location(to, exchange.request)

    def page(self, status: int) -> tuple[Fields, bytes]:
        """Return the fields and the body of an error page."""
        page = None if self.table is None else self.table.pages.get(status)
        if page is not None:
            return [(b"content-type", page.content_type.encode("latin-1"))], page.body
        return plain_page(status)


def _table(exchange: Exchange) -> Table:
    assert exchange.table is not None, "a route is a table's"
    return exchange.table


def _rule(exchange: Exchange) -> Rule:
    assert exchange.rule is not None, "only what has a route is asked for"
    return exchange.rule


def _of_service(of: BelievedOf, name: str) -> Callable[[Member], Belief]:
    return lambda member: of(name, member)
