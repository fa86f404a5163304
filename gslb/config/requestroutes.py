"""The L7 tier's routes as written → the routes that requests are matched with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gslb.config.httpscalars import Condition
from gslb.config.nodes import At, shown
from gslb.config.routekeys import (
    AffinitySpec,
    BalanceSpec,
    MatchSpec,
    PartCookieSpec,
    RateSpec,
    RespondSpec,
    RetrySpec,
    RewriteSpec,
    RouteSpec,
    TimeoutsSpec,
)
from gslb.config.tierfiles import TierFiles
from gslb.config.upstreams import Offered
from gslb.tier import (
    NO_ROUTE,
    UNCHANGED,
    Action,
    Affinity,
    Balance,
    Deny,
    Forward,
    Has,
    Match,
    Rate,
    Redirect,
    Respond,
    Retry,
    Rewrite,
    Route,
    Timeouts,
)

ACTIONS = ("service", "split", "redirect", "respond", "deny")
FORWARDING = ("balance", "affinity", "timeouts", "retry", "buffer", "sticky", "rewrite")
REDIRECTS = (301, 302, 303, 307, 308)
NO_BODY = (204, 205, 304)
TEXT_TYPE, HTML_TYPE = "text/plain; charset=utf-8", "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class RequestRouteReader:
    """Reads routes; `at` is the place of their list, `has_places` whether countries are known."""

    at: At
    offered: Offered
    files: TierFiles
    has_places: bool

    def read(self, specs: list[RouteSpec]) -> tuple[Route, ...]:
        """Return the routes in order, without those that have no action."""
        found: list[Route] = []
        first_of: dict[str, int] = {}
        all_taken: str | None = None
        for index, spec in enumerate(specs):
            here = self.at / index
            name = spec.name or f"route {index + 1}"
            if name == NO_ROUTE:
                problem = f"{shown(name)} is what figures call requests without a route"
                (here / "name").wrong(problem, "choose another name")
            if first_of.setdefault(name, index) != index:
                (here / "name").wrong(f"{shown(name)} is a route above", "choose another name")
            if all_taken is not None:
                problem = f"is never reached: {shown(all_taken)} above is for all requests"
                here.warn(problem, "move it up, or give the one above a `match`")
            route = self._route(name, spec, here)
            if route is not None:
                found.append(route)
                if not route.matches and not here.spoiled:
                    all_taken = all_taken or name
        return tuple(found)

    def _route(self, name: str, spec: RouteSpec, at: At) -> Route | None:
        action = self._action(spec, at)
        if action is None:
            return None
        if not isinstance(action, Forward):
            for key in FORWARDING:
                if at.has(key):
                    problem = "has no effect: this route sends nothing to a service"
                    (at / key).warn(problem, "leave it out", on_key=True)
        elif spec.sticky is not None and spec.split is None:
            hint = "write `split`, or `affinity` for one that keeps its member"
            (at / "sticky").wrong("stands without a `split`", hint, on_key=True)
        affinity = self._affinity(spec.affinity, at / "affinity")
        if isinstance(action, Forward):
            _check_total(spec.timeouts, at / "timeouts" / "total")
            _check_retry(spec.retry, at / "retry" / "statuses")
            _check_kept(action, affinity, at)
        if isinstance(action, Forward) and action.sticky and not action.key and affinity:
            action = replace(action, key=affinity.key)
        return Route(
            name=name,
            matches=tuple(
                self._match(match, at / "match" / index) for index, match in enumerate(spec.match)
            ),
            action=action,
            balance=balance(spec.balance, at / "balance"),
            affinity=affinity,
            rewrite=rewrite(spec.rewrite, at / "rewrite"),
            timeouts=Timeouts(
                connect_s=spec.timeouts.connect,
                response_s=spec.timeouts.response,
                idle_s=spec.timeouts.idle,
                tunnel_s=spec.timeouts.tunnel,
                total_s=spec.timeouts.total,
            ),
            retry=Retry(
                tries=spec.retry.tries,
                budget_percent=spec.retry.budget,
                statuses=frozenset(spec.retry.statuses),
            ),
            rates=tuple(map(_rate, spec.rates)),
            body_max=spec.body_size,
            buffer=spec.buffer,
            hsts_s=None if spec.hsts is None else round(spec.hsts),
        )

    def _action(self, spec: RouteSpec, at: At) -> Action | None:
        written = [key for key in ACTIONS if at.has(key)]
        if len(written) != 1:
            if written:
                problem = f"stands beside `{written[0]}`: a route does one thing"
                (at / written[1]).wrong(problem, "keep one of them", on_key=True)
            elif not at.spoiled:
                hint = "write service: NAME, or split, redirect, respond or deny"
                at.wrong("says not what becomes of a request", hint)
            return None
        if spec.service is not None:
            return Forward(((self.offered.name(spec.service, at / "service"), 1),))
        if spec.split is not None:
            return self._split(spec.split, spec.sticky, at)
        if spec.redirect is not None:
            if spec.redirect.status not in REDIRECTS:
                hint = "write 301, 302, 303, 307 or 308"
                here = at / "redirect" / "status"
                here.wrong(f"{spec.redirect.status} is no redirect with a target", hint)
            return Redirect(spec.redirect.to, spec.redirect.status)
        if spec.respond is not None:
            return self._respond(spec.respond, at / "respond")
        return Deny(spec.deny or 403)

    def _split(self, split: Mapping[str, int], sticky: PartCookieSpec | None, at: At) -> Forward:
        parts: dict[str, int] = {}
        key = b"" if sticky is None else self.files.key(sticky.key, at / "sticky" / "key")
        at /= "split"
        for written, weight in split.items():
            name = self.offered.name(written, at / written, on_key=True)
            if name in parts:
                (at / written).wrong(f"{name} has a part already", "keep one of them", on_key=True)
            parts[name] = weight
        if not any(parts.values()) and not at.spoiled:
            at.wrong("no part has any weight", "give one a weight above 0", on_key=True)
        return Forward(tuple(parts.items()), None if sticky is None else sticky.cookie, key)

    def _respond(self, spec: RespondSpec, at: At) -> Respond:
        body = (spec.body or "").encode()
        kind = spec.type or TEXT_TYPE
        if spec.file is not None:
            if spec.body is not None:
                (at / "file").wrong("stands beside `body`", "keep one of the two", on_key=True)
            else:
                body = self.files.content(spec.file, at / "file") or b""
            kind = spec.type or HTML_TYPE
        if spec.status in NO_BODY and (body or spec.file is not None):
            at.wrong(f"a response of status {spec.status} has no body", "leave it out")
        return Respond(spec.status, body, kind)

    def _match(self, spec: MatchSpec, at: At) -> Match:
        kind, path = ("prefix", None) if spec.path is None else spec.path
        if spec.countries and not self.has_places:
            hint = "name one as geo.database in the main file"
            (at / "countries").warn("matches nobody: there is no database of places", hint)
        return Match(
            hosts=tuple(spec.host or ()),
            path_kind=kind,
            path=path,
            methods=frozenset(spec.method or ()),
            scheme=spec.scheme,
            headers=tuple(_has(name.lower(), wanted) for name, wanted in spec.header.items()),
            cookies=tuple(_has(name, wanted) for name, wanted in spec.cookie.items()),
            query=tuple(_has(name, wanted) for name, wanted in spec.query.items()),
            clients=tuple(spec.clients or ()),
            countries=frozenset(spec.countries or ()),
        )

    def _affinity(self, spec: AffinitySpec | None, at: At) -> Affinity | None:
        if spec is None:
            return None
        ways = [key for key in ("cookie", "header", "client") if getattr(spec, key)]
        if len(ways) != 1:
            if not at.spoiled:
                hint = "write one of cookie: NAME, header: NAME, client: true"
                at.wrong("names no single thing that a client keeps its member by", hint)
            return None
        by = ways[0]
        key = b""
        if by == "cookie":
            if spec.key is None:
                (at / "key").miss("write key: {file: PATH}, which is the same in all regions")
            key = self.files.key(spec.key, at / "key")
        else:
            for unused in ("key", "ttl"):
                if at.has(unused):
                    (at / unused).warn("has no effect without a cookie", "leave it out")
        name = {"cookie": spec.cookie or "", "header": (spec.header or "").lower()}.get(by, "")
        return Affinity(by=by, name=name, key=key, ttl_s=spec.ttl, drain_s=spec.drain)


def _check_total(spec: TimeoutsSpec, at: At) -> None:
    """Warn of a whole time within which a member is never given up for another."""
    for key, time_s in (("response", spec.response), ("connect", spec.connect)):
        if spec.total is not None and spec.total < time_s:
            problem = f"is shorter than `{key}` ({time_s:g}s): a slow member is never given up"
            hint = f"write a longer `total`, or a shorter `{key}`, so that another can be tried"
            at.warn(problem, hint)
            return


def _check_retry(spec: RetrySpec, at: At) -> None:
    """Warn of statuses after which nothing is tried again."""
    if spec.statuses and (spec.tries == 1 or not spec.budget):
        reason, other = "a `budget` of nothing", "`budget: 20%`"
        if spec.tries == 1:
            reason, other = "`tries: 1`", "`tries: 2`"
        at.warn(f"has no effect beside {reason}", f"leave it out, or write {other}", on_key=True)


def _check_kept(action: Forward, affinity: Affinity | None, at: At) -> None:
    """Complain of two cookies of one name; warn of a balance by which nobody is given a member."""
    if affinity is None:
        return
    if affinity.by == "cookie" and affinity.name == action.sticky:
        problem = f"{shown(affinity.name)} is the cookie of `affinity` too"
        (at / "sticky").wrong(problem, "give the two cookies different names")
    if affinity.by == "client" and at.has("balance"):
        problem = "has no effect: clients keep a member by a hash of their address"
        (at / "balance").warn(problem, "leave it out, or keep members by a cookie", on_key=True)


def balance(spec: BalanceSpec, at: At) -> Balance:
    """Return how a member is chosen, as written at *at*."""
    if spec.hash is None:
        if at.has("bound"):
            (at / "bound").warn("has no effect without a hash", "leave it out", on_key=True)
        return Balance(spec.kind)
    if at.has("kind"):
        (at / "kind").wrong("stands beside `hash`", "keep one of the two", on_key=True)
    by, name = spec.hash
    return Balance("hash", by, name or None, spec.bound)


def rewrite(spec: RewriteSpec, at: At) -> Rewrite:
    """Return what is changed of requests and responses, as written at *at*."""
    response = spec.response
    for place, names in ((at / "set", spec.set), (at / "response" / "set", response.set)):
        first_of: dict[str, str] = {}
        for name in names:
            if (first := first_of.setdefault(name.lower(), name)) != name:
                problem = f"{name} is {first} in other letters"
                (place / name).wrong(problem, "keep one of them", on_key=True)
    if spec.path is not None:
        _check_template(spec.path.pattern, spec.path.to, at / "path" / "to")
    made = Rewrite(
        path_pattern=None if spec.path is None else spec.path.pattern,
        path_to="" if spec.path is None else spec.path.to,
        host=spec.host,
        set=tuple(spec.set.items()),
        remove=frozenset(map(str.lower, spec.remove)),
        response_set=tuple(response.set.items()),
        response_remove=frozenset(map(str.lower, response.remove)),
    )
    return UNCHANGED if made == UNCHANGED else made


def _check_template(pattern: str, template: str, at: At) -> None:
    try:
        re.compile(pattern).sub(template, "")
    except (re.error, IndexError) as error:
        hint = r"\1 is what the first pair of brackets in the pattern holds"
        at.wrong(f"{shown(template)} cannot be filled in: {error}", hint)


def _has(name: str, wanted: Condition) -> Has:
    value, pattern, absent = wanted
    return Has(name, value, pattern, absent)


def _rate(spec: RateSpec) -> Rate:
    by, name = spec.by
    return Rate(spec.rate, spec.burst or max(1, math.ceil(spec.rate)), by, name)
