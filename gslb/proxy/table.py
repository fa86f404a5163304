"""The table: routes and services of a tier, compiled into what a request needs of them.

It is made when a file or a member changes, and replaced whole.  What must outlive that is taken
over from the table before, by name: who of a service is under way where (its `Chooser`), and how
full a route's buckets are, if it has the same rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_network
from math import inf
from typing import Final

from gslb.model import Network, Regions, Service
from gslb.proxy.bucket import Buckets
from gslb.proxy.budget import Budget
from gslb.proxy.chooser import Chooser
from gslb.proxy.forwarding import Forwarder, Peer
from gslb.proxy.head import Fields
from gslb.proxy.pins import Pins
from gslb.proxy.rules import Matcher
from gslb.proxy.splitting import Split
from gslb.proxy.tally import RouteTally, Tally
from gslb.routing.geo import Atlas
from gslb.tier import UNCHANGED, Balance, Forward, Page, Rate, Rewrite, Route, Tier

PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(slots=True, eq=False)
class Rule:
    """A route, with what is counted for it.

    `balance` is how members are chosen; where clients keep them by header or address, it hashes
    on that.  `rewrite` is None where nothing is changed.  `is_plain` says that neither anything of
    a request but its route, nor what its client had before, decides which member it gets.
    """

    route: Route
    rewrite: Rewrite | None
    balance: Balance
    split: Split | None
    rates: tuple[tuple[Rate, Buckets], ...]
    budget: Budget
    pins: Pins | None
    tally: RouteTally
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Table:
    """What the files say, compiled."""

    tier: Tier
    region: str
    matcher: Matcher
    rules: Mapping[int, Rule]
    choosers: Mapping[str, Chooser]
    forwarders: Mapping[int, Forwarder]
    pages: Mapping[int, Page] = field(default_factory=dict)

    def renewed(self, peer: Peer) -> Peer | None:
        """Return *peer*, perhaps of a table before, as this one has it: by whom it trusts.

        None where there is no such listener any more, or one that speaks another scheme.
        """
        before = peer.forwarder
        now = self.forwarders.get(before.port)
        if now is None or now.scheme != before.scheme:
            return None
        return peer if now is before else now.peer(peer.address)

    def onward(self, hops: Sequence[bytes]) -> bytes:
        """Return the line by which a request tells another region's proxy where it was."""
        return next(iter(self.forwarders.values())).onward(hops)


def compile_table(
    tier: Tier,
    services: Iterable[Service],
    regions: Regions,
    region: str,
    atlas: Atlas,
    *,
    workers: int,
    seed: int,
    tally: Tally,
    previous: Table | None = None,
) -> Table:
    """Return the table of *tier* for one of *workers* processes in *region*."""
    known = {} if previous is None else previous.choosers
    choosers: dict[str, Chooser] = {}
    for service in routed(tier, services):
        name = service.text
        chooser = choosers[name] = known.get(name) or Chooser(region, seed)
        for target in chooser.adopt(service, tier.upstreams[name], tier.across, regions, atlas):
            tally.forget(name, target)
    before = {} if previous is None else {rule.route.name: rule for rule in previous.rules.values()}
    return Table(
        tier,
        region,
        Matcher(tier.routes),
        {id(route): _rule(route, workers, before.get(route.name), tally) for route in tier.routes},
        choosers,
        _forwarders(tier, regions, region),
        tier.pages,
    )


def routed(tier: Tier, services: Iterable[Service]) -> Iterator[Service]:
    """Yield those of *services* that routes or listeners of *tier* send to."""
    wanted = _names_in(tier)
    return (service for service in services if service.text in wanted)


def _names_in(tier: Tier) -> frozenset[str]:
    by_route = (
        name
        for route in tier.routes
        if isinstance(route.action, Forward)
        for name, _ in route.action.parts
    )
    passed = (each.service for listener in tier.listeners for each in listener.passes)
    return frozenset((*by_route, *passed))


def _forwarders(tier: Tier, regions: Regions, region: str) -> dict[int, Forwarder]:
    """Return what each listener adds to requests; the regions' own proxies are believed."""
    trusted = (*tier.trusted, *proxies_of(regions))
    return {
        each.port: Forwarder(
            region=region,
            scheme="http" if each.tls is None else "https",
            port=each.port,
            trusted=trusted,
            via=tier.via,
        )
        for each in tier.listeners
    }


def proxies_of(regions: Regions) -> tuple[Network, ...]:
    """Return the addresses of all regions' proxies, as networks."""
    return tuple(
        ip_network(proxy.address)
        for region in regions.values()
        for proxy in region.proxies
        if not isinstance(proxy.address, str)
    )


def _rule(route: Route, workers: int, before: Rule | None, tally: Tally) -> Rule:
    affinity, action = route.affinity, route.action
    balance, pins = route.balance, None
    if affinity is not None and affinity.by != "cookie":
        balance = Balance("hash", affinity.by, affinity.name, inf)
        kept = before.pins if before is not None and before.balance == balance else None
        pins = Pins() if kept is None else kept
    same_rates = before is not None and before.route.rates == route.rates
    same_budget = before is not None and before.route.retry == route.retry
    return Rule(
        route,
        None if route.rewrite == UNCHANGED else route.rewrite,
        balance,
        Split(action) if isinstance(action, Forward) and len(action.parts) > 1 else None,
        before.rates if before is not None and same_rates else _buckets(route, workers),
        before.budget if before is not None and same_budget else Budget(route.retry.budget_percent),
        pins,
        tally.of(route.name),
        affinity is None and balance.kind not in ("ip_hash", "hash"),
    )


def _buckets(route: Route, workers: int) -> tuple[tuple[Rate, Buckets], ...]:
    """Return the buckets of a route's rates.

    Each worker has its own.  What is for a route as a whole is shared out among them, since its
    requests are; a client's connections may all be at one, so each lets it have all of its rate.
    """
    return tuple(
        (rate, Buckets(rate.per_s / workers, max(1, rate.burst // workers)))
        if rate.by == "route"
        else (rate, Buckets(rate.per_s, rate.burst))
        for rate in route.rates
    )


def plain_page(status: int) -> tuple[Fields, bytes]:
    """Return the fields and the body of an error page where none is configured."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return [PLAIN], f"{status} {phrase}\n".encode()
