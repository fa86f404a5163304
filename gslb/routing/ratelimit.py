"""Response rate limiting: how many answers of a kind a network of clients is sent over UDP.

Who forges the address of a victim must not have us send to it what it did not ask for.  So
each (client prefix, kind of answer) has a bucket of `burst` answers that fills again at
`per_second`; what finds it empty is dropped, or slips through as an empty answer with TC set,
on which a true client comes back over TCP or with its cookie.

A bucket is one number, its theoretical arrival time (GCRA): when it is full again.  Buckets
stand in a table of fixed size at a place that a keyed hash gives, in one of `PROBES` entries;
one whose time has passed is full, which is to say free.  When all are busy the one that is
full soonest makes room, and its clients get a fresh bucket: nothing that is asked, by however
many, makes the table grow or a look-up longer.

An entry is 24 bits of the hash and 40 of time in microseconds.  Time wraps every 12.7 days.
No bucket is ahead by more than `burst` intervals, so whatever seems to be is long past; one
that idled for a whole turn seems busy again for as long as a burst takes, at most a minute.
"""

from __future__ import annotations

from array import array
from enum import Enum, IntEnum

from gslb.dns.message import NOERROR, NXDOMAIN
from gslb.dns.response import Response
from gslb.model import Address, RateLimit
from gslb.routing.choice import stir
from gslb.routing.runs import Runs, from_prefixes

PROBES = 4
TIME_BITS = 40
SECOND_US = 1_000_000

_TIME = (1 << TIME_BITS) - 1
_TAG = ((1 << 64) - 1) ^ _TIME
_LOW = (1 << 64) - 1


class Kind(IntEnum):
    """What is counted apart, because a flood of one must not take the others' answers away."""

    ANSWER = 0
    NODATA = 1
    NXDOMAIN = 2
    REFERRAL = 3
    ERROR = 4


class Action(Enum):
    """What becomes of one answer."""

    SEND = "send"
    SLIP = "slip"
    DROP = "drop"


def kind_of(response: Response) -> Kind:
    """Return which bucket *response* is taken from."""
    if response.rcode == NXDOMAIN:
        return Kind.NXDOMAIN
    if response.rcode != NOERROR:
        return Kind.ERROR
    if response.answer:
        return Kind.ANSWER
    if response.authority and not response.authoritative:
        return Kind.REFERRAL
    return Kind.NODATA


class Limiter:
    """The buckets of all networks under one rule; *key* are 64 bits that nobody can guess."""

    def __init__(self, rule: RateLimit, key: int) -> None:
        self.rule = rule
        interval_us = (SECOND_US + rule.per_second // 2) // rule.per_second
        self._interval_us = interval_us
        self._tolerance_us = (rule.burst - 1) * interval_us
        self._ahead_max_us = rule.burst * interval_us
        # One seed for each kind of each family, so that their buckets lie apart.
        self._seeds = [stir(key ^ number) for number in range(2 * len(Kind))]
        self._exempt4 = _runs_of(rule, 4)
        self._exempt6 = _runs_of(rule, 6)
        size = 1 << (rule.table - 1).bit_length()
        self._places = size - 1
        self._table = array("Q", bytes(8 * size))

    def action(self, sender: Address, kind: Kind, draw: int, now_us: int) -> Action:
        """Return what becomes of an answer of *kind* to *sender*, and take it from its bucket.

        *draw* are the query's 64 random bits, *now_us* microseconds since 1970.
        """
        number = int(sender)
        if sender.version == 4:
            exempt, seed, bits = self._exempt4, self._seeds[2 * kind], 32 - self.rule.ipv4
        else:
            exempt, seed, bits = self._exempt6, self._seeds[2 * kind + 1], 128 - self.rule.ipv6
        if exempt is not None and exempt.value(number):
            return Action.SEND
        prefix = number >> bits << bits
        if self._admits(stir(stir(seed ^ prefix >> 64) ^ (prefix & _LOW)), now_us & _TIME):
            return Action.SEND
        slip = self.rule.slip
        return Action.SLIP if slip and stir(draw) % slip == 0 else Action.DROP

    def _admits(self, place: int, now_us: int) -> bool:
        """Take one answer from the bucket of hash *place*, unless it is empty."""
        table, tag = self._table, place & _TAG
        soonest_us, free = self._ahead_max_us + 1, 0
        for at in range(place, place + PROBES):
            entry = table[at & self._places]
            ahead_us = (entry - now_us) & _TIME
            if ahead_us > self._ahead_max_us:
                ahead_us = 0
            elif ahead_us and entry & _TAG == tag:
                if ahead_us > self._tolerance_us:
                    return False
                table[at & self._places] = self._entry(tag, now_us + ahead_us)
                return True
            if ahead_us < soonest_us:
                soonest_us, free = ahead_us, at & self._places
        table[free] = self._entry(tag, now_us)
        return True

    def _entry(self, tag: int, full_us: int) -> int:
        return tag | (full_us + self._interval_us) & _TIME


def _runs_of(rule: RateLimit, version: int) -> Runs | None:
    """Return runs with 1 for the exempt networks of one family; None where there are none."""
    found = [network for network in rule.exempt if network.version == version]
    if not found:
        return None
    bits = 32 if version == 4 else 128
    prefixes = [(int(each.network_address), each.prefixlen, 1) for each in found]
    return from_prefixes(bits, prefixes)
