"""Members from names: A and AAAA records, or SRV records, looked up again when their TTL is over.

The addresses of a name are members of weight 1.  Of SRV records (RFC 2782) the targets' addresses
are members: the port is where they are probed; those of the lowest priority have the record's
weight, 0 counting as 1, and the others are reserves.  An address that several records lead to
has their weights together, and is probed at the first one's port.

A look-up that fails keeps what was known of that name and type: a resolver that is down takes
nobody out.  When a name says that there is nobody, by NXDOMAIN or without records, those that
were known are kept for `EMPTY_KEPT_S`, since that is what mistakes in a zone look like; probes go
on looking at them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from gslb.config import addresses
from gslb.config.scalars import ScalarError
from gslb.errors import GslbError
from gslb.model import WEIGHT_MAX, Address
from gslb.routing.found import POOL_MEMBERS_MAX, FoundMember

TTL_MIN_S, TTL_MAX_S = 1.0, 3600.0
RETRY_S = 5.0  # after a failure
MISSING_S = 10.0  # for what is not there
EMPTY_KEPT_S = 60.0
LOOKUP_MAX_S = 5.0
TARGETS_MAX = 256  # SRV records that are followed

# What records of a type a name has, as text, and for how many seconds.
Records = tuple[tuple[str, ...], float]
Ask = Callable[[str, str], Awaitable[Records]]


class LookupFailedError(GslbError):
    """Nobody could say what records a name has; that it has none is no failure."""


class Asking:
    """Asks the system's resolvers, or the one that is given, through dnspython."""

    def __init__(self, resolver: tuple[str, int] | None) -> None:
        self._address = resolver
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def __call__(self, name: str, type_: str) -> Records:
        """Return the records of a type that *name* has; raises LookupFailedError."""
        try:
            if self._resolver is None:
                self._resolver = self._made()
            answer = await self._resolver.resolve(
                dns.name.from_text(name),
                type_,
                raise_on_no_answer=False,
                lifetime=LOOKUP_MAX_S,
            )
        except dns.resolver.NXDOMAIN:
            return (), MISSING_S
        except (dns.exception.DNSException, OSError) as error:
            self._resolver = None  # the system's resolvers may be others by now
            raise LookupFailedError(f"{name} {type_}: {_shown(error)}") from None
        if answer.rrset is None:
            return (), MISSING_S
        return tuple(each.to_text() for each in answer.rrset), _ttl_s(answer)

    def _made(self) -> dns.asyncresolver.Resolver:
        if self._address is None:
            return dns.asyncresolver.Resolver()
        host, port = self._address
        made = dns.asyncresolver.Resolver(configure=False)
        made.nameservers, made.port = [host], port
        return made


def _shown(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:200]


def _ttl_s(answer: dns.resolver.Answer) -> float:
    return float(answer.chaining_result.minimum_ttl)


@dataclass(frozen=True, slots=True)
class _Service:
    """One SRV record."""

    priority: int
    weight: int
    port: int
    target: str


class MemberName:
    """What one name says of members; it remembers what it said before."""

    def __init__(
        self,
        name: str,
        ask: Ask,
        clock: Callable[[], float],
        remembered: tuple[FoundMember, ...] = (),
    ) -> None:
        self.name = name
        self.members = remembered
        self.problems: tuple[str, ...] = ()
        self._ask = ask
        self._clock = clock
        self._empty_since_s: float | None = None
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}
        self._failed: list[str] = []
        self._wait_s = TTL_MAX_S

    async def look(self) -> float:
        """Look the name up into `members` and `problems`; return the seconds until the next."""
        self._failed, self._wait_s = [], TTL_MAX_S
        known, self._known = self._known, {}
        is_srv = self.name.startswith("_")
        found = await (self._of_services(known) if is_srv else self._of_name(self.name, known))
        self.problems = tuple(self._failed)
        if found is None:
            # Never known yet: what is remembered from before a restart is as good as it gets.
            return RETRY_S
        self._take(found)
        return min(TTL_MAX_S, max(TTL_MIN_S, self._wait_s))

    def _take(self, found: Iterable[FoundMember]) -> None:
        members = _merged(found)
        if members or not self.members:
            self.members, self._empty_since_s = members, None
            return
        now_s = self._clock()
        if self._empty_since_s is None:
            self._empty_since_s = now_s
        left_s = self._empty_since_s + EMPTY_KEPT_S - now_s
        if left_s <= 0:
            self.members, self._empty_since_s = (), None
        else:
            self._wait_s = min(self._wait_s, left_s)

    async def _records(
        self, name: str, type_: str, known: dict[tuple[str, str], tuple[str, ...]]
    ) -> tuple[str, ...] | None:
        """Return what is known of a name and type now; None if nothing ever was."""
        records = known.get((name, type_))
        try:
            records, ttl_s = await self._ask(name, type_)
        except LookupFailedError as error:
            self._failed.append(str(error))
            ttl_s = RETRY_S
        self._wait_s = min(self._wait_s, ttl_s)
        if records is not None:
            self._known[name, type_] = records
        return records

    async def _of_name(
        self, name: str, known: dict[tuple[str, str], tuple[str, ...]]
    ) -> list[FoundMember] | None:
        both = await asyncio.gather(*(self._records(name, each, known) for each in ("A", "AAAA")))
        if any(records is None for records in both):
            # A family that was never known is not known to be empty: but what there is, is used.
            if not any(both):
                return None
            rest = [m for m in self.members if not self._covers(m.address, both)]
            return [*_addresses(both), *rest]
        return _addresses(both)

    @staticmethod
    def _covers(address: Address, both: Iterable[tuple[str, ...] | None]) -> bool:
        """Return whether it is known which addresses of this one's family there are."""
        ipv4, ipv6 = both
        return (ipv4 if address.version == 4 else ipv6) is not None

    async def _of_services(
        self, known: dict[tuple[str, str], tuple[str, ...]]
    ) -> list[FoundMember] | None:
        records = await self._records(self.name, "SRV", known)
        if records is None:
            return None
        services = sorted(filter(None, map(_service, records)), key=_rank)[:TARGETS_MAX]
        targets = list(dict.fromkeys(each.target for each in services))
        found = await asyncio.gather(*(self._of_name(target, known) for target in targets))
        at = dict(zip(targets, found, strict=True))
        if services and all(members is None for members in found):
            return None
        lowest = services[0].priority if services else 0
        return [
            replace(
                member,
                weight=max(1, each.weight) if each.priority == lowest else 0,
                probe=(str(member.address), each.port),
            )
            for each in services
            for member in at[each.target] or ()
        ]


def _rank(service: _Service) -> tuple[int, str, int]:
    return service.priority, service.target, service.port


def _service(record: str) -> _Service | None:
    priority, weight, port, target = record.split()
    if target == "." or not int(port):
        return None  # there is no such service (RFC 2782)
    return _Service(int(priority), int(weight), int(port), target.lower().removesuffix("."))


def _addresses(records: Iterable[tuple[str, ...] | None]) -> list[FoundMember]:
    found = []
    for text in (text for some in records for text in some or ()):
        try:
            found.append(FoundMember(addresses.address(text)))
        except ScalarError:
            continue  # 0.0.0.0 and the like is nobody's address
    return found


def _merged(found: Iterable[FoundMember]) -> tuple[FoundMember, ...]:
    """Return each address once, in order, with the weights of all that lead to it."""
    merged: dict[Address, FoundMember] = {}
    for each in found:
        before = merged.get(each.address)
        weight = min(WEIGHT_MAX, each.weight + (0 if before is None else before.weight))
        merged[each.address] = replace(before or each, weight=weight)
    ordered = sorted(merged, key=lambda address: (address.version, address))
    return tuple(merged[address] for address in ordered[:POOL_MEMBERS_MAX])
