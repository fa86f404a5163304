"""Leases: members that register themselves for a while, as a table that nodes merge.

A table holds the newest lease of each member, newest by its *stamp*: the author's clock in
milliseconds, always beyond what that node has seen of the same member, and the author's name.
Merging keeps the newer of two for each member, so it does not matter in which order, how often or
by which way tables come.  To end a lease at once is a newer one that has ended.

`ends_s` is by the author's clock, and clocks differ.  So whoever hears of a lease lets it hold for
its `span_s` from then on, but never more than `SKEW_MAX_S` beyond its end: a heart-beat that
arrives keeps a member in, wherever the clocks stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from gslb.errors import GslbError
from gslb.model import PORT_MAX, WEIGHT_MAX, Address

SPAN_MIN_S, SPAN_MAX_S = 1.0, 86_400.0
SKEW_MAX_S = 10.0
AHEAD_MAX_S = 60.0  # as of operators' words
LEASES_MAX = 100_000
TIME_MAX_S = 253_402_300_799.0  # the end of the year 9999
TEXT_CHARS_MAX = 255

# Whom a lease is about: the service's name as text, the region, the member's address.
LeaseKey = tuple[str, str, Address]


class LeaseError(GslbError, ValueError):
    """A table of leases that came from elsewhere cannot be used."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A member's place in a pool for `span_s` seconds, until `ends_s` by its author's clock.

    `probe` is where it is probed; None for where it serves, and a port of None for the monitor's.
    """

    stamp: tuple[int, str]
    span_s: float
    ends_s: float
    weight: int = 1
    probe: tuple[str, int | None] | None = None


Leases = Mapping[LeaseKey, Lease]


def next_stamp(seen: Lease | None, now_s: float, node: str) -> tuple[int, str]:
    """Return a stamp of *node* newer than what it has *seen*, even if its clock is behind."""
    return max(int(now_s * 1000), 0 if seen is None else seen.stamp[0] + 1), node


def newer(known: Leases, other: Leases) -> dict[LeaseKey, Lease]:
    """Return the leases of *other* that are newer than those that are *known*."""
    return {
        key: lease
        for key, lease in other.items()
        if (have := known.get(key)) is None or _rank(lease) > _rank(have)
    }


def _rank(lease: Lease) -> tuple[object, ...]:
    """Return what orders leases: the stamp; the rest only so that everyone keeps the same one."""
    return lease.stamp, lease.ends_s, lease.span_s, lease.weight, str(lease.probe)


def pruned(leases: Leases, now_s: float) -> dict[LeaseKey, Lease]:
    """Return *leases* without those that any older one of the same member has outlived too.

    Those from the future go as well: such a stamp would win over all that is said until then.
    """
    kept_s = SPAN_MAX_S + 2 * SKEW_MAX_S
    return {
        key: lease
        for key, lease in leases.items()
        if now_s < _said_s(lease) + kept_s
        and lease.stamp[0] / 1000 <= now_s + AHEAD_MAX_S
        and lease.ends_s <= now_s + SPAN_MAX_S + AHEAD_MAX_S
    }


def _said_s(lease: Lease) -> float:
    return max(lease.stamp[0] / 1000, lease.ends_s)


def ends_at_s(lease: Lease, heard_s: float | None) -> float:
    """Return when *lease* ends by our clock, by which it was heard; None: it is our own."""
    if heard_s is None or lease.span_s <= 0:
        return lease.ends_s
    return min(heard_s + lease.span_s, lease.ends_s + SKEW_MAX_S)


def encode(leases: Leases) -> list[list[object]]:
    """Return a table as plain values, ready for JSON, in one order for one table."""
    return [
        [
            *(service, region, str(address)),
            *lease.stamp,
            *(lease.span_s, lease.ends_s, lease.weight),
            None if lease.probe is None else list(lease.probe),
        ]
        for (service, region, address), lease in sorted(leases.items(), key=_place)
    ]


def _place(item: tuple[LeaseKey, Lease]) -> tuple[str, str, int, int]:
    service, region, address = item[0]
    return service, region, address.version, int(address)


def decode(rows: object) -> dict[LeaseKey, Lease]:
    """Return the table that `encode` made plain values of; raises LeaseError for all else."""
    if not isinstance(rows, list) or len(rows) > LEASES_MAX:
        raise LeaseError("not a list of leases, or too long a one")
    try:
        return dict(map(_row, rows))
    except (ValueError, TypeError, OverflowError) as error:
        raise LeaseError(f"not a lease: {error}") from None


def _row(row: Iterable[object]) -> tuple[LeaseKey, Lease]:
    service, region, address, time_ms, node, span_s, ends_s, weight, probe = row
    lease = Lease(
        (_whole(time_ms, int(TIME_MAX_S) * 1000), _text(node)),
        _number(span_s, SPAN_MAX_S),
        _number(ends_s, TIME_MAX_S),
        _whole(weight, WEIGHT_MAX),
        None if probe is None else _probe(probe),
    )
    return (_text(service), _text(region), ip_address(_text(address))), lease


def _probe(value: object) -> tuple[str, int | None]:
    if not isinstance(value, list):
        raise ValueError("a probe is a host and a port")
    host, port = value
    return _text(host), None if port is None else _whole(port, PORT_MAX)


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_CHARS_MAX:
        raise ValueError("no text, or too long a one")
    return value


def _number(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"no number from 0 to {most:g}")
    return float(value)


def _whole(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"no whole number from 0 to {most}")
    return value
