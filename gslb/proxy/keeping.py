"""Clients that keep their member: by a cookie that the tier sets, or as they are known.

How the cookie is written is the business of `gslb.proxy.affinity`, and what is remembered of others
that of `gslb.proxy.pins`; here is who is kept, and when.
"""

from __future__ import annotations

from gslb.proxy import affinity
from gslb.proxy.exchange import Exchange
from gslb.proxy.target import Target
from gslb.tier import Affinity


def pinned(
    exchange: Exchange, key: int, pinning: Affinity, now_s: float, wall_s: float
) -> Target | None:
    """Return the member that the client keeps, if it has one that may be kept.

    *key* is what the client is known by where that is no cookie.
    """
    chooser, rule, client = exchange.service, exchange.rule, exchange.request.client
    assert chooser is not None, "a service comes before its members"
    assert rule is not None, "a route has its rule"
    target: Target | None = None
    if rule.pins is not None:
        target = rule.pins.get(key)
    else:
        for value in exchange.request.cookies(pinning.name.encode()):
            told = affinity.read(pinning.key, value, wall_s)
            if told is not None:
                target = chooser.tagged(pinning.key, told.tag)
                break
    if target is None or target in exchange.tried:
        return None
    return target if chooser.keeps(target, client, pinning.drain_s, now_s) else None


def pin(exchange: Exchange, key: int, pinning: Affinity, target: Target, wall_s: float) -> None:
    """Let the client keep *target* from now on."""
    assert exchange.rule is not None, "a route has its rule"
    if (pins := exchange.rule.pins) is not None:
        pins.put(key, target)
        return
    value = affinity.make(pinning.key, target.name, wall_s + pinning.ttl_s)
    secure = exchange.request.scheme == "https"
    text = affinity.set_cookie(pinning.name, value, pinning.ttl_s, secure=secure)
    exchange.cookies[pinning.name] = text.encode()
