"""Backends of HAProxy: how one pool's members in one region are balanced, kept and spoken to.

Clients that have a cookie are led to its server by ``use-server``, because HAProxy's own ``cookie``
is not to be had for servers that come while it runs.  The cookie is the server's name, which says
nothing, with an HMAC-SHA256 of it; a drained server is still found by it, one in maintenance not.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence

from gslb.proxy.haproxypools import (
    BALANCES,
    Backend,
    Wanted,
    server_words,
    servers_of,
)
from gslb.proxy.haproxyroutes import HOPS, reply, word_of
from gslb.proxy.haproxywords import argument, literal, milliseconds, value, word
from gslb.tier import Affinity, Balance, Rewrite, Tier

SAFE = "GET HEAD OPTIONS TRACE PUT DELETE"  # RFC 9110 9.2.2
SIGNED = 32  # digits of the HMAC that a cookie has
HASHED = {
    "client": "src",
    "path": "var(txn.path)",
    "query": "url_param({})",
    "header": "req.fhdr({})",
    "cookie": "req.cook({})",
}


def section(
    tier: Tier, region: str, backend: Backend, wanted: Mapping[str, Sequence[Wanted]]
) -> Iterator[str]:
    """Yield the lines of one backend, with the servers that it should have now."""
    yield f"backend {backend.name}"
    rules = _http(tier, region, backend) if backend.pool.mode == "http" else _tcp(backend)
    yield from (f"    {rule}" for rule in rules)
    for server, weight, state in servers_of(backend, wanted):
        said = " ".join(map(word, server_words(tier, backend, server, weight)))
        said += {"ready": "", "drain": " weight 0", "maint": " disabled"}[state]
        yield f"    server {server.server} {said}"


def _tcp(backend: Backend) -> Iterator[str]:
    yield "mode tcp"
    yield from _tries(backend)
    yield from _balance(backend.pool.balance)


def _http(tier: Tier, region: str, backend: Backend) -> Iterator[str]:
    pool = backend.pool
    yield from _tries(backend)
    statuses = " ".join(map(str, sorted(pool.retry.statuses)))
    yield f"retry-on conn-failure empty-response response-timeout {statuses}".rstrip()
    yield f"http-request disable-l7-retry if !{{ method {SAFE} }}"
    yield f"http-request set-var(txn.service) {word_of(f'str({argument(pool.service)})')}"
    yield f"http-request set-var(txn.region) {word_of(f'str({argument(backend.region)})')}"
    if backend.region != region:
        yield f"http-request add-header {HOPS} {word(literal(region))}"
    if backend.kind == "proxies":
        yield "balance leastconn"
        return
    fields = (("Retry-After", "1"),)
    full = f"{{ queue ge {pool.upstream.queue_max} }}"
    yield f"http-request {reply(tier.pages, 503, fields=fields)} if {full}"
    yield from _balance(pool.balance)
    if pool.upstream.host is not None:
        yield f"http-request set-header Host {value(pool.upstream.host)}"
    for index, route in pool.routes:
        chosen = f"if {{ var(txn.route) -m str r{index} }}"
        yield from (f"{rule} {chosen}" for rule in _rewrite(route.rewrite))
    if pool.affinity is not None:
        yield from _affinity(pool.affinity)


def _tries(backend: Backend) -> Iterator[str]:
    timeouts, upstream = backend.pool.timeouts, backend.pool.upstream
    yield f"timeout connect {milliseconds(timeouts.connect_s)}"
    yield f"timeout server {milliseconds(timeouts.idle_s)}"
    yield f"timeout tunnel {milliseconds(timeouts.tunnel_s)}"
    yield f"timeout queue {milliseconds(upstream.queue_s)}"
    yield f"retries {backend.pool.retry.tries - 1}"
    yield "option redispatch 1"
    yield "option allbackups"


def _balance(balance: Balance) -> Iterator[str]:
    """Yield how a server is chosen; consistent hashes move only the clients of who is gone."""
    if balance.kind in BALANCES:
        yield f"balance {BALANCES[balance.kind]}"
        return
    key = "src" if balance.kind == "ip_hash" else HASHED[balance.by or "client"]
    yield f"balance hash {word_of(key.format(argument(balance.name or '')))}"
    yield "hash-type consistent"
    if balance.kind == "hash":
        yield f"hash-balance-factor {round(balance.bound * 100)}"


def _rewrite(rewrite: Rewrite) -> Iterator[str]:
    if rewrite.path_pattern is not None:
        changed = (
            f"path,regsub({argument(rewrite.path_pattern or '^')},{argument(rewrite.path_to)})"
        )
        yield f"http-request set-var(txn.changed) {word_of(changed)}"
        yield "http-request set-path %[var(txn.changed)]"
    if rewrite.host is not None:
        yield f"http-request set-header Host {value(rewrite.host)}"
    for side, pairs, names in (
        ("request", rewrite.set, rewrite.remove),
        ("response", rewrite.response_set, rewrite.response_remove),
    ):
        yield from (f"http-{side} del-header {word(name)}" for name in sorted(names))
        for name, text in pairs:
            yield f"http-{side} set-header {word(name)} {value(text)}"


def _affinity(affinity: Affinity) -> Iterator[str]:
    if affinity.by != "cookie":
        key, kind = "src", "ipv6"
        if affinity.by == "header":
            key, kind = f"req.fhdr({argument(affinity.name)}),sha2(256)", "binary len 32"
        ttl = milliseconds(affinity.ttl_s)
        yield f"stick-table type {kind} size 200k expire {ttl} peers gslb"
        yield f"stick on {key}"
        return
    cookie = f"req.cook({argument(affinity.name)})"
    signed = f"hmac(sha256,{argument(base64.b64encode(affinity.key).decode())}),hex"
    yield f"http-request set-var(txn.pin) {cookie},field(1,.)"
    yield f"http-request set-var(txn.mac) {word_of(f'var(txn.pin),{signed},bytes(0,{SIGNED})')}"
    right = f"{{ {cookie},field(2,.),secure_memcmp(txn.mac) -m bool }}"
    yield f"http-request unset-var(txn.pin) if !{right}"
    given = f"{literal(affinity.name)}=%[srv_name].%[srv_name,{signed},bytes(0,{SIGNED})]"
    rest = f"; Path=/; Max-Age={max(1, round(affinity.ttl_s))}; HttpOnly; SameSite=Lax"
    kept = "{ srv_name,strcmp(txn.pin) eq 0 }"
    for secure, unless in (("; Secure", ""), ("", "!")):
        https = f"{unless}{{ var(txn.scheme) -m str https }}"
        field = word_of(given + rest + secure)
        yield f"http-response add-header Set-Cookie {field} if !{kept} {https}"
    yield "use-server %[var(txn.pin)] if { var(txn.pin) -m found }"
