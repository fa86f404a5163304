"""Load: how busy a region's tier is, as a block of fixed size in the reports of its vantage.

On the wire, little-endian, five u64: the whole numbers as they are, the rates in thousandths.  Any
octets are some load, so nothing has to be checked; each number is capped, never wrapped.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from struct import Struct

COUNT_MAX = 2**53  # what JSON's readers and Prometheus hold exactly

_BLOCK = Struct("<QQQQQ")
_PER_UNIT = 1000  # thousandths

LOAD_BYTES = _BLOCK.size


@dataclass(frozen=True, slots=True)
class Load:
    """What a tier carries now: all its processes together.

    `connections` of clients are open, `active_requests` have begun and not ended, of which
    `member_requests` are under way at members.  The rates are over the last few seconds;
    an error is a request that the tier or the member answered with 5xx, or did not answer.
    """

    connections: int = 0
    active_requests: int = 0
    member_requests: int = 0
    requests_per_s: float = 0.0
    errors_per_s: float = 0.0


FIGURES = tuple(each.name for each in fields(Load))


def encode(load: Load) -> bytes:
    """Return the block of `LOAD_BYTES` octets."""
    numbers = (
        load.connections,
        load.active_requests,
        load.member_requests,
        load.requests_per_s * _PER_UNIT,
        load.errors_per_s * _PER_UNIT,
    )
    return _BLOCK.pack(*map(_capped, numbers))


def decode(block: bytes) -> Load:
    """Return the load that *block* says, of exactly `LOAD_BYTES` octets."""
    connections, active, at_members, requests, errors = map(_capped, _BLOCK.unpack(block))
    return Load(connections, active, at_members, requests / _PER_UNIT, errors / _PER_UNIT)


def _capped(number: float) -> int:
    return round(min(max(0, number), COUNT_MAX))
