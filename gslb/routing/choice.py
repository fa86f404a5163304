"""What the clients of one order are answered: records with shares, and how a draw picks.

A draw is 64 bits from outside.  One answer is `bisect(upto, draw % total)`: over a cycle of
`total` draws each record is picked exactly as often as its share says.  Several answers
are drawn one after the other without replacement, the draw being used up digit by digit
in the mixed radix of the totals that remain, so that this too is exact over a cycle of up
to 2^48 draws.  A digit that finds too little of the draw left comes from the draw stirred
anew: no pick is further from fair than 2^-16.

Sticky clients have no draw but a key made of their prefix.  Records are ranked by
weighted rendezvous hashing: each record's hash with the key is an exponential variate whose
rate is its share, and the earliest ones win.  A record that leaves moves only its own clients.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from math import log

from gslb.dns.records import Rdata
from gslb.routing.climb import Climb, Way

DRAW_BITS = 64
SHARES_MAX = 1 << 32  # above this sum shares are rounded: a draw of 64 bits stays fair to 2^-32
ANSWER_BYTES_MAX = 60_000  # what one message holds beside a question, aliases and an OPT record
SPARE_BITS = 16  # what must be left of a draw above a digit, for the digit to be fair

_MASK = (1 << DRAW_BITS) - 1


@dataclass(frozen=True, slots=True)
class Choice:
    """Records ready to be answered, with cumulative shares and keys, and how long they hold.

    `ttl_s` and `ttl_min_s` are the service's bounds; `until_s` is the earliest time at which
    a verdict may flip that this rests on.  `unusual` is an Extended DNS Error code and text
    for answers served in an unusual way.  `climb` tells where it comes from.
    """

    upto: tuple[int, ...]
    rdatas: tuple[Rdata, ...]
    keys: tuple[int, ...]
    answers: int
    ttl_s: int
    ttl_min_s: int
    until_s: float | None
    way: Way
    unusual: tuple[int, bytes] | None
    climb: Climb

    def ttl(self, now_s: float, *, stale: bool = False) -> int:
        """Return the TTL in seconds at *now_s*: never longer than a verdict can hold."""
        if stale or self.unusual is not None or self.way is Way.NODATA:
            return self.ttl_min_s
        if self.until_s is None:
            return self.ttl_s
        return max(self.ttl_min_s, min(self.ttl_s, int(self.until_s - now_s)))

    def pick(self, draw: int) -> Sequence[Rdata]:
        """Return the records that *draw* picks, in the order of their being drawn."""
        if not self.rdatas:
            return ()
        if self.answers == 1:
            return (self.rdatas[bisect_right(self.upto, draw % self.upto[-1])],)
        return [self.rdatas[at] for at in drawn(self.upto, self.answers, draw)]

    def pick_sticky(self, key: int) -> Sequence[Rdata]:
        """Return the records that are the client's with that *key*, the closest first."""
        return [self.rdatas[at] for at in ranked(self.upto, self.keys, key)[: self.answers]]


def drawn(upto: Sequence[int], count: int, draw: int) -> list[int]:
    """Return *count* indexes (or all there are), drawn by share without replacement."""
    shares = [end - begin for begin, end in zip((0, *upto), upto, strict=False)]
    sums = _sums(shares)
    total, room = upto[-1], 1 << DRAW_BITS
    whole, out = draw, []
    for _ in range(min(count, len(shares))):
        if room >> SPARE_BITS < total:
            whole = draw = stir(whole)
            room = 1 << DRAW_BITS
        draw, place = divmod(draw, total)
        room //= total
        at = _owner_of(sums, place)
        out.append(at)
        _take_away(sums, at, shares[at])
        total -= shares[at]
    return out


# A Fenwick tree: entry i sums up the i & -i shares that end with the i-th.  Thousands of
# answers are drawn in milliseconds, where adding up what is left each time takes a second.
def _sums(shares: Sequence[int]) -> list[int]:
    sums = [0, *shares]
    for at in range(1, len(sums)):
        above = at + (at & -at)
        if above < len(sums):
            sums[above] += sums[at]
    return sums


def _owner_of(sums: Sequence[int], place: int) -> int:
    """Return the index of the share that holds *place*, counted over those that are left."""
    at, step = 0, 1 << (len(sums) - 1).bit_length()
    while step := step >> 1:
        if at + step < len(sums) and sums[at + step] <= place:
            at += step
            place -= sums[at]
    return at


def _take_away(sums: list[int], at: int, share: int) -> None:
    at += 1
    while at < len(sums):
        sums[at] -= share
        at += at & -at


def ranked(upto: Sequence[int], keys: Sequence[int], key: int) -> list[int]:
    """Return all indexes, by when their exponential variates come (weighted rendezvous)."""
    waits = []
    begin = 0
    for at, end in enumerate(upto):
        uniform = ((stir(key ^ keys[at]) >> 11) + 0.5) / (1 << 53)
        waits.append((-log(uniform) / (end - begin), at))
        begin = end
    return [at for _, at in sorted(waits)]


def stir(number: int) -> int:
    """Return 64 bits that look unrelated to *number* (the finalizer of splitmix64)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def key_of(octets: bytes) -> int:
    """Return 64 bits that stand for *octets* on every node."""
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "big")


def client_key(service_key: int, version: int, address: int, length: int) -> int:
    """Return the key of all clients of a service that share the first *length* bits."""
    bits = 32 if version == 4 else 128
    prefix = address >> (bits - length) << (bits - length)
    return stir(stir(service_key ^ version ^ (prefix >> 64)) ^ (prefix & _MASK))


def cumulative(shares: Sequence[int]) -> tuple[int, ...]:
    """Return the running sums of *shares*, scaled down when they sum to more than `SHARES_MAX`.

    Scaled shares are rounded, but nobody loses its last one.
    """
    total = sum(shares)
    if total > SHARES_MAX:
        shares = [max(1, share * (SHARES_MAX - len(shares)) // total) for share in shares]
    return tuple(accumulate(shares))
