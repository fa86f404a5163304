"""The engines beside each other: the same snapshot, message, draw and time give the same octets.

`respond` asks both, wherever the native one is built, and holds one to the other; so every test
that asks through it is a test of both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest

from gslb.daemons import native
from gslb.daemons.mirror import Mirror
from gslb.dns.response import UDP_MAX
from gslb.model import Address, RateLimit
from gslb.routing.entryimage import WAYS
from gslb.routing.ratelimit import Action, Kind, Limiter
from gslb.routing.respond import Reply
from gslb.routing.respond import respond as respond_in_python
from gslb.routing.snapshot import Snapshot

MIRRORED_MAX = 32

needs_native = pytest.mark.skipif(not native.IS_BUILT, reason="the native engine is not built")
ENGINES = ["python", pytest.param("native", marks=needs_native)]


class Guard:
    """Secrets and a limiter, the same in both engines."""

    def __init__(
        self, secrets: Sequence[bytes] = (), rule: RateLimit | None = None, key: int = 0
    ) -> None:
        self.secrets = tuple(secrets)
        self.limiter = None if rule is None else Limiter(rule, key)
        self.native = None
        if native.IS_BUILT:
            self.native = native._native.Guard(list(self.secrets), rule, key)


OPEN = Guard()

_mirrored: OrderedDict[int, tuple[Snapshot, Any]] = OrderedDict()


def mirrored(snapshot: Snapshot) -> Any:
    """Return *snapshot* as the native engine has it; the last few are remembered."""
    known = _mirrored.get(id(snapshot))
    if known is None or known[0] is not snapshot:
        known = _mirrored[id(snapshot)] = (snapshot, Mirror().of(snapshot))
    _mirrored.move_to_end(id(snapshot))
    while len(_mirrored) > MIRRORED_MAX:
        _mirrored.popitem(last=False)
    return known[1]


def respond(
    snapshot: Snapshot,
    wire: bytes,
    sender: Address,
    draw: int = 0,
    now_s: float = 0.0,
    *,
    size_max: int = UDP_MAX,
    guard: Guard | None = None,
) -> Reply:
    """Return what both engines answer, which must be the same."""
    guard = guard or OPEN
    reply = respond_in_python(
        snapshot,
        wire,
        sender,
        draw,
        now_s,
        size_max=size_max,
        secrets=guard.secrets,
        limiter=guard.limiter,
    )
    if native.IS_BUILT:
        mirror = mirrored(snapshot)
        said = mirror.respond(wire, sender.packed, draw, now_s, size_max, guard.native)
        assert said is not None
        octets, type_, rcode, service, way, limited = said
        named = WAYS[way].value if service is not None else ""
        kept = None
        if limited is not None:
            kept = (Kind(limited[0]), Action.SLIP if limited[1] else Action.DROP)
        assert Reply(octets, type_, rcode, service, named, kept) == reply
    return reply
