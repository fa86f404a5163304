"""The engines beside each other: the same snapshot, message, draw and time give the same octets.

`respond` asks both, wherever the native one is built, and holds one to the other; so every test
that asks through it is a test of both.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from gslb.daemons import native
from gslb.dns.response import UDP_MAX
from gslb.model import Address
from gslb.routing.entryimage import WAYS
from gslb.routing.respond import Reply
from gslb.routing.respond import respond as respond_in_python
from gslb.routing.snapshot import Snapshot

MIRRORED_MAX = 32

needs_native = pytest.mark.skipif(not native.IS_BUILT, reason="the native engine is not built")
ENGINES = ["python", pytest.param("native", marks=needs_native)]

_mirrored: OrderedDict[int, tuple[Snapshot, Any]] = OrderedDict()


def mirrored(snapshot: Snapshot) -> Any:
    """Return *snapshot* as the native engine has it; the last few are remembered."""
    known = _mirrored.get(id(snapshot))
    if known is None or known[0] is not snapshot:
        known = _mirrored[id(snapshot)] = (snapshot, native.Mirror().of(snapshot))
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
) -> Reply:
    """Return what both engines answer, which must be the same."""
    reply = respond_in_python(snapshot, wire, sender, draw, now_s, size_max=size_max)
    if native.IS_BUILT:
        said = mirrored(snapshot).respond(wire, sender.packed, draw, now_s, size_max)
        assert said is not None
        octets, type_, rcode, service, way = said
        named = WAYS[way].value if service is not None else ""
        assert Reply(octets, type_, rcode, service, named) == reply
    return reply
