"""Which route a request takes: the first, in order, of which one match holds.

Rules are compiled into tables by host: the exact names and wildcards that a request's host is one
of decide which rules can hold for it at all, and where these are many, so does the first segment of
the path.  What is left is compared in order, and most of it by one comparison of octets.

A request's path is compared as `gslb.proxy.request` reads it: decoded, without dot segments.  Where
a header, cookie or parameter is there several times, one that fits is enough.

`Matcher.trace` tells of every rule why it did not hold, by the same tables and comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gslb.model import Network
from gslb.proxy.request import Request
from gslb.tier import Has, Match, Route

HOSTS_MAX = 4_096  # that are remembered with their rules
PLAIN_RULES_MAX = 8  # of a table that is walked whole, without an index

CountryOf = Callable[[], str | None]
Holds = Callable[[Request, CountryOf], bool]
_ANY, _PREFIX, _EXACT = range(3)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold of a request; `text` says what."""

    text: str
    holds: Holds


@dataclass(frozen=True, slots=True)
class Tried:
    """One match of a route that was looked at: `failed` is the first thing that did not hold.

    `match` counts a route's matches from 0; it is None for a route without any.
    """

    route: Route
    match: int | None
    failed: str | None


@dataclass(frozen=True, slots=True)
class _Rule:
    """One match compiled; `place` counts all matches of all routes in order."""

    place: int
    route: Route
    match: int | None
    hosts: tuple[bytes, ...]
    path_test: int
    path: bytes
    path_text: str
    rest: tuple[Condition, ...]


# A rule as it is walked: how the path is tested, with what, what else must hold, the route.
_Step = tuple[int, bytes, tuple[Holds, ...], Route]


class _Table:
    """The rules that can hold for the hosts of some patterns, in order.

    Where these are many, `by_segment` holds those for paths that start with one segment, and
    `others` those for all other paths.
    """

    __slots__ = ("by_segment", "others", "steps")

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self.steps = tuple(map(_step, rules))
        self.by_segment: dict[bytes, tuple[_Step, ...]] = {}
        self.others = self.steps
        if len(rules) > PLAIN_RULES_MAX:
            segments = [_segment_of(rule) for rule in rules]
            for wanted in {each for each in segments if each is not None}:
                kept = (r for r, s in zip(rules, segments, strict=True) if s in (None, wanted))
                self.by_segment[wanted] = tuple(map(_step, kept))
            loose = (r for r, s in zip(rules, segments, strict=True) if s is None)
            self.others = tuple(map(_step, loose))


class Matcher:
    """All routes, compiled."""

    __slots__ = ("_by_host", "_by_patterns", "_exact", "_rules", "_wild")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._rules = tuple(_rules(routes))
        patterns = {host for rule in self._rules for host in rule.hosts}
        self._wild = frozenset(each[2:] for each in patterns if each.startswith(b"*."))
        self._exact = frozenset(each for each in patterns if not each.startswith(b"*."))
        self._by_host: dict[bytes, _Table] = {}
        # As many as there are patterns, whatever hosts clients ask for.
        self._by_patterns: dict[frozenset[bytes], _Table] = {}

    def find(self, request: Request, country: CountryOf = lambda: None) -> Route | None:
        """Return the route that *request* takes, None where none matches.

        *country* tells where the client is, and is only asked where a rule wants to know.
        """
        table = self._by_host.get(request.host)
        if table is None:
            table = self._table(request.host)
        steps = table.steps
        if table.by_segment:
            steps = table.by_segment.get(_first_segment(request.path), table.others)
        return _first(steps, request, country)

    def trace(self, request: Request, country: CountryOf = lambda: None) -> Iterator[Tried]:
        """Yield what became of each match in order, up to the first that holds."""
        patterns = self._patterns(request.host)
        for rule in self._rules:
            failed = _why_not(rule, patterns, request, country)
            yield Tried(rule.route, rule.match, failed)
            if failed is None:
                return

    def _table(self, host: bytes) -> _Table:
        patterns = self._patterns(host)
        table = self._by_patterns.get(patterns)
        if table is None:
            able = (r for r in self._rules if not r.hosts or not patterns.isdisjoint(r.hosts))
            table = self._by_patterns[patterns] = _Table(tuple(able))
        if len(self._by_host) >= HOSTS_MAX:
            self._by_host.clear()
        self._by_host[host] = table
        return table

    def _patterns(self, host: bytes) -> frozenset[bytes]:
        """Return the patterns in rules that *host* is one of."""
        host = host.removesuffix(b".")
        found = [host] if host in self._exact else []
        rest = host
        while rest and self._wild:
            _, _, rest = rest.partition(b".")
            if rest in self._wild:
                found.append(b"*." + rest)
        return frozenset(found)


def _first(steps: Sequence[_Step], request: Request, country: CountryOf) -> Route | None:
    """Return the route of the first of *steps* that holds."""
    path = request.path
    for test, wanted, rest, route in steps:
        if test:
            if test == _PREFIX:
                if not path.startswith(wanted):
                    continue
            elif path != wanted:
                continue
        for holds in rest:
            if not holds(request, country):
                break
        else:
            return route
    return None


def _why_not(
    rule: _Rule, patterns: frozenset[bytes], request: Request, country: CountryOf
) -> str | None:
    if rule.hosts and patterns.isdisjoint(rule.hosts):
        return f"host {_listed(rule.hosts)}"
    if _first(((rule.path_test, rule.path, (), rule.route),), request, country) is None:
        return rule.path_text
    return next((each.text for each in rule.rest if not each.holds(request, country)), None)


def _step(rule: _Rule) -> _Step:
    return rule.path_test, rule.path, tuple(each.holds for each in rule.rest), rule.route


def _first_segment(path: bytes) -> bytes:
    end = path.find(b"/", 1)
    return path[1:] if end < 0 else path[1:end]


def _segment_of(rule: _Rule) -> bytes | None:
    """Return the first segment that a path must have for *rule* to hold, None for any."""
    is_whole = rule.path_test == _EXACT or (
        rule.path_test == _PREFIX and rule.path.find(b"/", 1) > 0
    )
    return _first_segment(rule.path) if is_whole else None


# From what an operator wrote to rules.


def _rules(routes: Iterable[Route]) -> Iterator[_Rule]:
    place = 0
    for route in routes:
        matches: Sequence[Match] = route.matches or (Match(),)
        for index, match in enumerate(matches):
            test, path, text, more = _path(match)
            yield _Rule(
                place=place,
                route=route,
                match=index if route.matches else None,
                hosts=tuple(host.encode() for host in match.hosts),
                path_test=test,
                path=path,
                path_text=text,
                rest=(*more, *_conditions(match)),
            )
            place += 1


def _path(match: Match) -> tuple[int, bytes, str, tuple[Condition, ...]]:
    """Return how the path is tested, with what, what that says, and a condition for a pattern."""
    if match.path is None or (match.path_kind == "prefix" and match.path == "/"):
        return _ANY, b"", "path", ()
    if match.path_kind == "regex":
        search = re.compile(match.path).search

        def found(request: Request, _country: CountryOf) -> bool:
            return search(request.path.decode("utf-8", "surrogateescape")) is not None

        return _ANY, b"", "path", (Condition(f"path with pattern {match.path}", found),)
    if match.path_kind == "exact":
        return _EXACT, match.path.encode(), f"path {match.path}", ()
    return _PREFIX, match.path.encode(), f"path {match.path}*", ()


def _conditions(match: Match) -> Iterator[Condition]:
    if match.methods:
        methods = frozenset(each.encode() for each in match.methods)
        text = f"method {_listed(sorted(methods))}"
        yield Condition(text, lambda request, _: request.method in methods)
    if match.scheme is not None:
        scheme = match.scheme
        yield Condition(f"scheme {scheme}", lambda request, _: request.scheme == scheme)
    if match.clients:
        yield _clients(match.clients)
    for has in match.headers:
        yield _has("header", has, Request.headers)
    for has in match.cookies:
        yield _has("cookie", has, Request.cookies)
    for has in match.query:
        yield _has("query", has, Request.parameters)
    if match.countries:
        countries = match.countries
        text = f"country {', '.join(sorted(countries))}"
        yield Condition(text, lambda _, country: country() in countries)


def _clients(networks: Sequence[Network]) -> Condition:
    """Return the condition that a client is in one of *networks*; mapped addresses are IPv4."""
    masks: dict[tuple[int, int], set[int]] = {}
    for each in networks:
        key = each.version, int(each.netmask)
        masks.setdefault(key, set()).add(int(each.network_address))
    tests = tuple((version, mask, frozenset(found)) for (version, mask), found in masks.items())

    def holds(request: Request, _country: CountryOf) -> bool:
        client = request.client
        version, number = client.version, int(client)
        if version == 6 and number >> 32 == 0xFFFF:
            version, number = 4, number & 0xFFFFFFFF
        return any(wanted == version and number & mask in found for wanted, mask, found in tests)

    return Condition(f"client {', '.join(map(str, networks))}", holds)


def _has(kind: str, has: Has, values: Callable[[Request, bytes], list[bytes]]) -> Condition:
    name = has.name.encode()
    if has.absent:
        return Condition(f"no {kind} {has.name}", lambda request, _: not values(request, name))
    if has.pattern is not None:
        search = re.compile(has.pattern).search

        def found(request: Request, _country: CountryOf) -> bool:
            each = (value.decode("utf-8", "surrogateescape") for value in values(request, name))
            return any(search(text) is not None for text in each)

        return Condition(f"{kind} {has.name} with pattern {has.pattern}", found)
    if has.value is not None:
        wanted = has.value.encode()
        text = f"{kind} {has.name}: {has.value}"
        return Condition(text, lambda request, _: wanted in values(request, name))
    return Condition(f"{kind} {has.name}", lambda request, _: bool(values(request, name)))


def _listed(words: Iterable[bytes]) -> str:
    return ", ".join(word.decode() for word in words)
