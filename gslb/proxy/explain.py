"""Why a request goes where it goes: its route, what is changed of it, the members it may go to.

It runs the code that serves: the same rules, rewrites and ways.  What is told is a value; how it is
shown is the business of whoever shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gslb.model import Regions, Service
from gslb.proxy import rewrite
from gslb.proxy.chooser import Chooser
from gslb.proxy.request import Fields, Request
from gslb.proxy.rules import Matcher
from gslb.proxy.target import Target
from gslb.proxy.way import Beliefs, Group
from gslb.routing.geo import Atlas
from gslb.tier import Affinity, Balance, Deny, Forward, Rate, Redirect, Respond, Route, Tier


@dataclass(frozen=True, slots=True)
class ToldRoute:
    """One match of a route that was looked at, and why it does not hold, None if it does."""

    route: str
    match: int | None
    failed: str | None


@dataclass(frozen=True, slots=True)
class ToldGroup:
    """Members, or proxies of regions, that are tried together: (address, region, share) of each."""

    why: str
    regions: tuple[str, ...]
    are_proxies: bool
    members: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, slots=True)
class ToldService:
    """One service that the request may go to, its part, and the groups of its members in order.

    `region` is the one in which the request came in.
    """

    service: str
    share: float
    region: str
    groups: tuple[ToldGroup, ...]


@dataclass(frozen=True, slots=True)
class ToldRequest:
    """What becomes of a request; `route` is None where none matches.

    `does` says what the route does, `notes` under which rules, `target` and `fields` are as they go
    to a member.
    """

    tried: tuple[ToldRoute, ...]
    route: str | None
    does: str
    notes: tuple[str, ...] = ()
    target: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    services: tuple[ToldService, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """What a request is explained by: what the files say, and what is believed of members."""

    tier: Tier
    services: Mapping[str, Service]
    regions: Regions
    atlas: Atlas
    beliefs_of: Callable[[Service], Beliefs]


def explain(world: World, request: Request, region_for: Callable[[Service], str]) -> ToldRequest:
    """Return what becomes of *request* in the region that *region_for* names for its service."""
    country = world.atlas.place_of(request.client).country
    traced = tuple(Matcher(world.tier.routes).trace(request, lambda: country))
    tried = tuple(ToldRoute(each.route.name, each.match, each.failed) for each in traced)
    route = traced[-1].route if traced and traced[-1].failed is None else None
    if route is None:
        return ToldRequest(tried, None, "answered 404: no route matches")
    if not isinstance(route.action, Forward):
        return ToldRequest(tried, route.name, _answered(route, request), _rules_of(route))
    target, fields = rewrite.request(route.rewrite, request.target, list(request.fields))
    total = sum(weight for _, weight in route.action.parts)
    services = tuple(
        _service(world, name, weight / total, request, region_for)
        for name, weight in route.action.parts
        if weight
    )
    return ToldRequest(
        tried,
        route.name,
        f"sent to {' or '.join(each.service for each in services)}",
        (*_rules_of(route), *_forwarding_of(route)),
        target.decode("latin-1"),
        _shown(_with_host(fields, route, world, services)),
        services,
    )


def _service(
    world: World,
    name: str,
    share: float,
    request: Request,
    region_for: Callable[[Service], str],
) -> ToldService:
    """Return by which groups of members a request's way to a service leads, as it is chosen."""
    upstream, service = world.tier.upstreams[name], world.services.get(name)
    if service is None:
        return ToldService(name, share, "", ())
    region = region_for(service)
    chooser = Chooser(region, 0)
    chooser.adopt(service, upstream, world.tier.across, world.regions, world.atlas)
    chooser.update(world.beliefs_of(service), 0.0, 0.0)
    groups = chooser.groups_for(request.client)
    return ToldService(name, share, region, tuple(_group(*each) for each in groups))


def _group(group: Group, targets: Sequence[Target]) -> ToldGroup:
    total = sum(each.weight for each in targets)
    members = tuple((each.name, each.region, each.weight / total) for each in targets)
    return ToldGroup(group.why.value, group.regions, group.are_proxies, members)


def _answered(route: Route, request: Request) -> str:
    action = route.action
    if isinstance(action, Redirect):
        where = rewrite.location(action, request).decode("latin-1")
        return f"redirected ({action.status}) to {where}"
    if isinstance(action, Respond):
        return f"answered {action.status} with {len(action.body)} octets of {action.content_type}"
    assert isinstance(action, Deny), "what is not sent on is answered here"
    return f"refused with {action.status}"


def _rules_of(route: Route) -> tuple[str, ...]:
    """Return what holds of a route whatever it does."""
    notes = [f"at most {_rate(rate)}" for rate in route.rates]
    if route.body_max is not None:
        notes.append(f"a body of at most {route.body_max} octets")
    if route.hsts_s is not None:
        notes.append(f"over TLS, clients are told to use TLS alone for {route.hsts_s}s")
    return tuple(notes)


def _forwarding_of(route: Route) -> tuple[str, ...]:
    """Return under which rules a route sends requests on."""
    times, retry = route.timeouts, route.retry
    notes = [f"member chosen by {_balance(route.balance)}"]
    if isinstance(route.action, Forward) and route.action.sticky is not None:
        notes.append(f"service kept by the cookie {route.action.sticky}")
    if route.affinity is not None:
        notes.append(f"member kept by {_affinity(route.affinity)}")
    if retry.tries > 1:
        statuses = "".join(f", or {status}" for status in sorted(retry.statuses))
        notes.append(
            f"at most {retry.tries} tries where that is safe{statuses}, "
            f"of {retry.budget_percent}% of requests"
        )
    whole = "" if times.total_s is None else f", {times.total_s:g}s in all"
    notes.append(
        f"{times.connect_s:g}s to connect, {times.response_s:g}s until a response, "
        f"{times.idle_s:g}s between octets{whole}"
    )
    return tuple(notes)


def _rate(rate: Rate) -> str:
    by = {"route": "in all", "client": "for each client"}.get(rate.by, f"for each {rate.name}")
    return f"{rate.per_s:g} requests a second {by}, {rate.burst} at once"


def _balance(balance: Balance) -> str:
    if balance.kind != "hash":
        return balance.kind.replace("_", " ")
    name = "" if balance.name is None else f" {balance.name}"
    return f"hash of {balance.by}{name}, at most {balance.bound:g} times its part"


def _affinity(affinity: Affinity) -> str:
    if affinity.by == "client":
        return "the client's address"
    return f"the {affinity.by} {affinity.name}"


def _with_host(
    fields: Fields, route: Route, world: World, services: tuple[ToldService, ...]
) -> Fields:
    """Return *fields* with the Host that the first service's members are asked for."""
    host = route.rewrite.host or world.tier.upstreams[services[0].service].host
    if host is None:
        return fields
    return [(name, host.encode() if name == b"host" else value) for name, value in fields]


def _shown(fields: Fields) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
