"""Bulletins: what one node tells the others, whole each time, numbered and sealed.

It holds all operators' words that the node knows of, whoever said them, and all leases; beside them
what lets nodes be compared: the hash of the configuration, the generation, the vantages that are
heard; and what tiers doubt of late (`gslb.health.doubt`).  A node sends one every interval and at
once when something was said; the newest of each node is all that counts.

On the wire: sealed (`gslb.health.sealed`) with the magic ``gslb-words-1`` under the nodes' own
key, and deflated JSON.  One that was sent further than `SKEW_MAX_S` from now is refused.
Playing one back does no harm beyond that: its words are older than those they meet.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from gslb.errors import ReportError
from gslb.health import doubt, words
from gslb.health.doubt import Doubt
from gslb.health.sealed import inflated, seal, unseal
from gslb.health.words import ForcedKey, Register, Registers

MAGIC = b"gslb-words-1"
SKEW_MAX_S = 30.0
INFLATED_MAX_BYTES = 64 * 2**20
NUMBER_MAX = 2**63 - 1
VANTAGES_MAX = 1000
_LEVEL = 1  # of deflating: words are few, and leases much alike


@dataclass(frozen=True, slots=True)
class Bulletin:
    """What *node* says; `leases` are plain values, as whoever keeps leases made and reads them.

    `number` is (epoch, sequence), the epoch being when the node started, in ms.
    """

    node: str
    number: tuple[int, int]
    sent_at_s: float
    config_hash: str
    generation: int
    is_settled: bool
    vantages: tuple[str, ...] = ()
    registers: Registers = field(default_factory=dict)
    leases: object = None
    heard_at_s: float = 0.0
    doubts: tuple[Doubt, ...] = ()


def encode(bulletin: Bulletin, key: bytes) -> bytes:
    """Return the bulletin as octets under *key*; ReportError if it is too long to be taken."""
    document = {
        "number": list(bulletin.number),
        "sent_at_s": bulletin.sent_at_s,
        "config_hash": bulletin.config_hash,
        "generation": bulletin.generation,
        "settled": bulletin.is_settled,
        "vantages": list(bulletin.vantages),
        "words": words.encode(bulletin.registers),
        "leases": bulletin.leases,
        "doubts": doubt.encode(bulletin.doubts),
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return seal(MAGIC, bulletin.node, key, zlib.compress(text.encode(), _LEVEL))


def decode(raw: bytes, key: bytes, *, now_s: float) -> Bulletin:
    """Return the bulletin in *raw*, heard now; ReportError unless all of it is right."""
    node, body = unseal(MAGIC, raw, lambda _: key)
    try:
        bulletin = _parse(node, json.loads(inflated(body, INFLATED_MAX_BYTES)), now_s)
    except (ValueError, OverflowError, RecursionError) as problem:
        raise ReportError(f"{node!r}: {problem}") from None
    ahead_s = bulletin.sent_at_s - now_s
    if abs(ahead_s) > SKEW_MAX_S:
        raise ReportError(
            f"{node!r}: sent {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'before'} now;"
            f" at most {SKEW_MAX_S:g} s are allowed: set both clocks by NTP",
            "clock" if ahead_s > 0 else "stale",
        )
    return bulletin


def newer(held: Bulletin | None, bulletin: Bulletin) -> bool:
    """Return whether *bulletin* takes the place of the one *held* of the same node.

    A node whose clock was put back before a restart is believed again once what is held
    could no longer be accepted.
    """
    if held is None or bulletin.number > held.number:
        return True
    return bulletin.sent_at_s - held.sent_at_s > 2 * SKEW_MAX_S


def _parse(node: str, document: object, now_s: float) -> Bulletin:
    match document:
        case {
            "number": [epoch, sequence],
            "sent_at_s": sent_at_s,
            "config_hash": config_hash,
            "generation": generation,
            "settled": bool(is_settled),
            "vantages": vantages,
            "words": rows,
            "leases": leases,
            **rest,
        }:
            registers: Mapping[ForcedKey, Register] = words.decode(rows)
        case _:
            raise ValueError("something is missing of what a bulletin says")
    return Bulletin(
        node,
        (_whole(epoch), _whole(sequence)),
        words.time_s(sent_at_s),
        words.text(config_hash),
        _whole(generation),
        is_settled,
        words.names(vantages, VANTAGES_MAX),
        registers,
        leases,
        heard_at_s=now_s,
        doubts=doubt.decode(rest.get("doubts", [])),
    )


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise ValueError(f"a number is not a whole one from 0 to {NUMBER_MAX}")
    return value
