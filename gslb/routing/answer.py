"""The answer to one query, worked out from one snapshot (RFC 1034 4.3.2, 4592, 6672, 7871).

Pure: who asks, chance and time are arguments.  The same snapshot, query, client, draw and
time give the same response, in a test, in an explanation and on the wire.

The client is the network of its EDNS client subnet, or else the address that asked.  A
subnet of length 0 says that the client's address must not be used; then it is the asker's
too that counts, and the scope is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from gslb.dns import name
from gslb.dns.message import (
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    YXDOMAIN,
    Query,
)
from gslb.dns.records import (
    ANY,
    AXFR,
    CH,
    CNAME,
    DNAME,
    DS,
    HINFO,
    IN,
    IXFR,
    NS,
    OPT,
    TXT,
    Rdata,
    RRset,
    encode,
)
from gslb.dns.response import Part, Response
from gslb.dns.zone import Found, How, Zone
from gslb.model import Address, Sticky
from gslb.routing.choice import Choice, client_key, stir
from gslb.routing.climb import Way
from gslb.routing.geo import MAPPED, as_looked_up
from gslb.routing.snapshot import STALE, Entry, Snapshot, order_for

LINKS_MAX = 8  # CNAMEs and DNAMEs followed inside a zone

# Extended DNS Errors (RFC 8914).
_NOT_AUTHORITATIVE = (20, b"not a zone of this server")
_INVALID_DATA = (24, b"the zone's files are broken; see the server's status")

_MINIMAL_ANY = Rdata(b"\x07RFC8482\x00", (), b"\x07RFC8482\x00")
_ANY_TTL_S = 3600
_TKEY, _TSIG, _MAILB, _MAILA = 249, 250, 253, 254

# What the CHAOS class is asked for a service's explanation: the service's name, and who asks.
Explainer = Callable[[bytes, Query, Address], Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who counts as the client: IP version and number.

    `bits_before` is how much longer the scope is on the wire: an IPv4 address may come as the
    end of an IPv6 one.
    """

    version: int
    address: int
    bits_before: int = 0

    @classmethod
    def of(cls, query: Query, sender: Address) -> Asked:
        """Return the client of *query* that came from *sender*."""
        subnet = query.edns.subnet if query.edns is not None else None
        if subnet is None or not subnet.source:
            return cls(*as_looked_up(sender))
        if subnet.family == 1:
            return cls(4, subnet.address)
        version, address = as_looked_up(IPv6Address(subnet.address))
        return cls(version, address, 96 if version == 4 else 0)


def answer(
    snapshot: Snapshot,
    query: Query,
    sender: Address,
    draw: int,
    now_s: float,
    explain: Explainer | None = None,
) -> Response:
    """Return what is said to *query* from *sender*.

    *explain* gives the lines that explain a service to those who may ask (class CH).
    """
    if query.wrong is not None:
        return Response(rcode=query.wrong)
    if query.cls == CH:
        return _chaos(snapshot, query, sender, explain)
    if query.cls != IN or query.type in (AXFR, IXFR):
        return Response(rcode=REFUSED)
    if query.type in (OPT, _TKEY, _TSIG, _MAILA, _MAILB):
        return Response(rcode=FORMERR if query.type == OPT else NOTIMP)
    apex = _zone_for(snapshot, query)
    if apex is None:
        return Response(rcode=REFUSED, error=_NOT_AUTHORITATIVE)
    zone = snapshot.plan.zones.get(apex)
    if zone is None:
        return Response(rcode=SERVFAIL, error=_INVALID_DATA)
    walk = _Walk(snapshot, zone, query, Asked.of(query, sender), draw, now_s)
    return walk.response()


def _zone_for(snapshot: Snapshot, query: Query) -> bytes | None:
    """Return the apex of the zone to answer from; a DS is the parent's (RFC 4035 3.1.4.1)."""
    apex = snapshot.zone_of(query.key)
    if query.type == DS and query.key == apex and apex != name.ROOT:
        above = snapshot.zone_of(name.parent(apex))
        return apex if above is None else above
    return apex


@dataclass(slots=True)
class _Walk:
    """The way of one query through its zone, link by link, and what has been said so far."""

    snapshot: Snapshot
    zone: Zone
    query: Query
    asked: Asked
    draw: int
    now_s: float
    said: list[Part] = field(default_factory=list)
    scope: int = 0
    links: list[bytes] = field(default_factory=list)
    error: tuple[int, bytes] | None = None
    service: str | None = None
    way: str = ""
    aliases: Sequence[bytes] = ()

    def response(self) -> Response:
        """Follow the name to its end."""
        owner: bytes | None = None
        qname = self.query.key
        while True:
            found = self.zone.find(qname)
            if found.how is How.NXDOMAIN:
                return self._negative(NXDOMAIN)
            if found.how is How.REFERRAL and not self._is_for_parent(found, qname):
                return self._referral(found)
            if len(self.links) == LINKS_MAX and self._is_link(found):
                return self._done(NOERROR)
            if found.how is How.DNAME:
                then = self._synthesize(found, owner, qname)
            else:
                then = self._at_node(found, owner)
            if isinstance(then, Response):
                return then
            self.links.append(qname)
            # What another zone holds is not this one's to deny, also when that zone is ours.
            if then in self.links or self.snapshot.zone_of(then) != self.zone.apex:
                return self._done(NOERROR)
            owner = qname = then

    def _is_for_parent(self, found: Found, qname: bytes) -> bool:
        return self.query.type == DS and found.owner == qname

    def _is_link(self, found: Found) -> bool:
        if found.node.service and CNAME in self.snapshot.entries[found.owner].choices:
            return True
        return found.how is How.DNAME or CNAME in found.node.rrsets

    def _at_node(self, found: Found, owner: bytes | None) -> Response | bytes:
        """Return the response from an existing name, or the name that it is an alias of."""
        node, type_ = found.node, self.query.type
        if node.service:
            entry = self.snapshot.entries[found.owner]
            if CNAME in entry.choices or type_ in entry.choices:
                return self._from_service(entry, owner)
        rrset = node.rrsets.get(CNAME)
        if rrset is not None:
            self._say(owner, rrset)
            if type_ in (CNAME, ANY):
                return self._done(NOERROR)
            return rrset.rdatas[0].whole.lower()
        if type_ == ANY and (node.rrsets or node.service):
            self.said.append(Part(owner, HINFO, _ANY_TTL_S, (_MINIMAL_ANY,)))
            return self._done(NOERROR)
        rrset = node.rrsets.get(type_)
        if rrset is None:
            return self._negative(NOERROR)
        self._say(owner, rrset)
        return self._done(NOERROR)

    def _from_service(self, entry: Entry, owner: bytes | None) -> Response | bytes:
        family = CNAME if CNAME in entry.choices else self.query.type
        _, choice, scope = order_for(entry, family, self.asked.version, self.asked.address)
        sticky = entry.service.sticky
        if sticky is not None:
            scope = max(scope, self._sticky_scope(sticky))
        self.scope = max(self.scope, scope + self.asked.bits_before)
        if self.service is None:
            self.service, self.way = entry.service.text, choice.way.value
            self.aliases = tuple(self.links)
        self.error = self.error or choice.unusual or (STALE if self.snapshot.stale else None)
        if choice.way is Way.SERVFAIL:
            return self._done(SERVFAIL)
        ttl_s = choice.ttl(self.now_s, stale=self.snapshot.stale)
        if not choice.rdatas:
            return self._negative(NOERROR, ttl_max_s=ttl_s)
        rdatas = self._pick(entry, choice)
        self.said.append(Part(owner, family, ttl_s, rdatas))
        if family != CNAME or self.query.type in (CNAME, ANY):
            return self._done(NOERROR)
        # The next service must not see the draw that chose its name among others.
        self.draw = stir(self.draw)
        return rdatas[0].whole

    def _pick(self, entry: Entry, choice: Choice) -> Sequence[Rdata]:
        sticky = entry.service.sticky
        if sticky is None:
            return choice.pick(self.draw)
        version, address = self.asked.version, self.asked.address
        length = sticky.ipv4 if version == 4 else sticky.ipv6
        return choice.pick_sticky(client_key(entry.key, version, address, length))

    def _sticky_scope(self, sticky: Sticky) -> int:
        """Return how long a prefix shares this client's key; IPv4's clients have others."""
        if self.asked.version == 4:
            return sticky.ipv4
        beside_ipv4 = 129 - (self.asked.address ^ int(MAPPED.network_address)).bit_length()
        return max(sticky.ipv6, beside_ipv4)

    def _say(self, owner: bytes | None, rrset: RRset) -> None:
        self.said.append(Part(owner, rrset.type, rrset.ttl_s, rrset.rdatas))

    def _synthesize(self, found: Found, owner: bytes | None, qname: bytes) -> Response | bytes:
        """Say a DNAME and its CNAME (RFC 6672); return the target, unless it is too long."""
        dname = found.node.rrsets[DNAME]
        if all(part.owner != found.owner for part in self.said):
            self._say(found.owner, dname)
        target = qname[: len(qname) - len(found.owner)] + dname.rdatas[0].whole
        if len(target) > name.NAME_MAX:
            return self._done(YXDOMAIN)
        rdata = encode(CNAME, target, self.zone.apex)
        self.said.append(Part(owner, CNAME, dname.ttl_s, (rdata,)))
        return self._done(NOERROR) if self.query.type == CNAME else target.lower()

    def _referral(self, found: Found) -> Response:
        node = found.node
        glue = [Part(owner, rrset.type, rrset.ttl_s, rrset.rdatas) for owner, rrset in node.glue]
        servers = node.rrsets[NS]
        authority = (Part(found.owner, NS, servers.ttl_s, servers.rdatas),)
        return self._done(
            NOERROR,
            authority=authority,
            authoritative=bool(self.said),
            additional=glue,
            needed=node.glue_needed,
        )

    def _negative(self, rcode: int, ttl_max_s: int | None = None) -> Response:
        soa = self.zone.soa
        ttl_s = soa.ttl_s if ttl_max_s is None else min(soa.ttl_s, ttl_max_s)
        return self._done(rcode, (Part(self.zone.apex, soa.type, ttl_s, soa.rdatas),))

    def _done(
        self,
        rcode: int,
        authority: Sequence[Part] = (),
        *,
        authoritative: bool = True,
        additional: Sequence[Part] = (),
        needed: int = 0,
    ) -> Response:
        return Response(
            rcode=rcode,
            authoritative=authoritative,
            apex=self.zone.apex,
            answer=self.said,
            authority=authority,
            additional=additional,
            needed=needed,
            scope=self.scope,
            error=self.error,
            service=self.service,
            way=self.way,
            aliases=self.aliases,
        )


_NAMES_OF_THE_NODE = {name.parse("id.server"), name.parse("hostname.bind")}
_NAMES_OF_THE_PROGRAM = {name.parse("version.server"), name.parse("version.bind")}


def _chaos(
    snapshot: Snapshot, query: Query, sender: Address, explain: Explainer | None
) -> Response:
    """Return what is said in class CH: the node, the program, or a service's explanation."""
    strings: Sequence[str] | None = None
    if query.type in (TXT, ANY):
        if query.key in _NAMES_OF_THE_NODE:
            strings = [snapshot.plan.node]
        elif query.key in _NAMES_OF_THE_PROGRAM:
            strings = [snapshot.plan.program]
        elif explain is not None:
            strings = explain(query.key, query, sender)
    if not strings:
        return Response(rcode=REFUSED)
    octets = b"".join(character_string(text) for text in strings)
    return Response(
        rcode=NOERROR,
        authoritative=True,
        cls=CH,
        answer=(Part(None, TXT, 0, (Rdata(octets, (), octets),)),),
    )


def character_string(text: str) -> bytes:
    """Return *text* as a TXT record holds it, what is not ASCII or too long left out."""
    octets = text.encode("ascii", "replace")[:255]
    return bytes((len(octets),)) + octets
