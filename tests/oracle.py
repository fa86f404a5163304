"""What an authoritative server must answer from a static zone, worked out with dnspython alone.

An oracle for differential tests: it shares no code with gslb, reads the zone with
`dns.zone`, and looks names up as RFC 1034 4.3.2 is written, label by label from the apex
down (with RFC 4592 wildcards, RFC 6672 DNAMEs, RFC 4035 3.1.4.1 for DS, RFC 2308 negative
answers, RFC 6604 response codes).

    oracle = Oracle("example.com.", text)
    expected = oracle.response("www.example.com.", "A")       # a dns.message.Message
    assert differences(expected, got) == []

What the RFCs leave open is settled so:

- A chain ends after `LINKS_MAX` CNAMEs, counting synthesized ones: the last one's target
  is still looked up, but another CNAME there is not added.  It also ends at a CNAME
  that is already in the answer.  Both leave NOERROR and no authority.
- A query for CNAME below a DNAME is answered by the synthesized CNAME, which is not followed.
- Positive answers have no authority and no additional section.
- The additional section of a referral holds the glue that is needed: addresses of the
  servers at or below the cut.  `differences` allows further in-zone addresses of its servers.
- Owners that a wildcard stands in for, and synthesized CNAMEs, have the name asked for.
- Type ANY and other meta types are not answered here: ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator

import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rrset
import dns.zone
from dns.rdatatype import AAAA, CNAME, DNAME, DS, NS, SOA, A

LINKS_MAX = 8


class Oracle:
    """One zone, and what must be answered from it."""

    def __init__(self, apex: str, text: str, links_max: int = LINKS_MAX) -> None:
        self.apex = dns.name.from_text(apex)
        self.links_max = links_max
        self.zone = dns.zone.from_text(text, self.apex, relativize=False, check_origin=False)
        self.existing = {
            ancestor for owner in self.zone.nodes for ancestor in self._up_to_apex(owner)
        } | {self.apex}

    def response(
        self, qname: str | dns.name.Name, qtype: str | dns.rdatatype.RdataType
    ) -> dns.message.Message:
        """Return the response to a query of class IN without EDNS."""
        if isinstance(qname, str):
            qname = dns.name.from_text(qname)
        qtype = dns.rdatatype.RdataType.make(qtype)
        if dns.rdatatype.is_metatype(qtype):
            raise ValueError(f"{dns.rdatatype.to_text(qtype)} is not for this oracle")
        query = dns.message.make_query(qname, qtype)
        query.flags = dns.flags.Flag(0)
        message = dns.message.make_response(query)
        if not qname.is_subdomain(self.apex):
            message.set_rcode(dns.rcode.REFUSED)
            return message
        message.flags |= dns.flags.AA
        for _link in range(self.links_max + 1):
            follow = self._step(message, qname, qtype)
            if follow is None:
                return message
            qname = follow
        return message

    def _step(
        self, message: dns.message.Message, qname: dns.name.Name, qtype: dns.rdatatype.RdataType
    ) -> dns.name.Name | None:
        """Add what is known of *qname*; return the name to go on with, if any."""
        current = self.apex
        while True:
            cut = current != self.apex and self._get(current, NS) is not None
            if cut and not (qtype == DS and qname == current):
                self._refer(message, current)
                return None
            if current == qname:
                return self._answer(message, qname, current, qtype)
            if self._get(current, DNAME) is not None:
                return self._synthesize(message, qname, current, qtype)
            below = dns.name.Name(qname.labels[-len(current.labels) - 1 :])
            if below in self.existing:
                current = below
                continue
            star = dns.name.Name((b"*", *current.labels))
            if star in self.existing:
                return self._answer(message, qname, star, qtype)
            message.set_rcode(dns.rcode.NXDOMAIN)
            self._deny(message)
            return None

    def _answer(
        self,
        message: dns.message.Message,
        qname: dns.name.Name,
        owner: dns.name.Name,
        qtype: dns.rdatatype.RdataType,
    ) -> dns.name.Name | None:
        """Answer with the data at *owner*, which may be a wildcard, under the name *qname*."""
        found = self._get(owner, qtype)
        if found is not None:
            message.answer.append(_renamed(found, qname))
            return None
        alias = self._get(owner, CNAME)
        if alias is None:
            self._deny(message)
            return None
        return self._follow(message, _renamed(alias, qname))

    def _synthesize(
        self,
        message: dns.message.Message,
        qname: dns.name.Name,
        owner: dns.name.Name,
        qtype: dns.rdatatype.RdataType,
    ) -> dns.name.Name | None:
        """Rewrite *qname* by the DNAME above it (RFC 6672 3.2)."""
        found = self._get(owner, DNAME)
        assert found is not None
        prefix = qname.labels[: len(qname.labels) - len(owner.labels)]
        already = len([rrset for rrset in message.answer if rrset.rdtype == CNAME])
        if already == self.links_max:
            return None
        if found not in message.answer:
            message.answer.append(found)
        try:
            target = dns.name.Name((*prefix, *found[0].target.labels))
        except dns.name.NameTooLong:
            message.set_rcode(dns.rcode.YXDOMAIN)
            return None
        alias = dns.rrset.from_rdata(
            qname, found.ttl, dns.rdtypes.ANY.CNAME.CNAME(found.rdclass, CNAME, target)
        )
        follow = self._follow(message, alias)
        return None if qtype == CNAME else follow

    def _follow(self, message: dns.message.Message, alias: dns.rrset.RRset) -> dns.name.Name | None:
        """Add a link to the chain; return its target if the zone can tell more of it."""
        links = [rrset.name for rrset in message.answer if rrset.rdtype == CNAME]
        if alias.name in links or len(links) == self.links_max:
            return None
        message.answer.append(alias)
        target: dns.name.Name = alias[0].target
        return target if target.is_subdomain(self.apex) else None

    def _refer(self, message: dns.message.Message, cut: dns.name.Name) -> None:
        if not message.answer:
            message.flags &= ~dns.flags.AA
        servers = self._get(cut, NS)
        assert servers is not None
        message.authority.append(servers)
        for server in sorted({rdata.target for rdata in servers}):
            if server.is_subdomain(cut):
                message.additional.extend(self.addresses(server))

    def addresses(self, owner: dns.name.Name) -> Iterator[dns.rrset.RRset]:
        """Yield the address rrsets at *owner*, occluded or not."""
        for rdtype in (A, AAAA):
            found = self._get(owner, rdtype)
            if found is not None:
                yield found

    def _deny(self, message: dns.message.Message) -> None:
        """Add the SOA of a negative answer (RFC 2308 3)."""
        soa = self._get(self.apex, SOA)
        assert soa is not None
        soa.ttl = min(soa.ttl, soa[0].minimum)
        message.authority.append(soa)

    def _get(self, owner: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        rdataset = self.zone.get_rdataset(owner, rdtype)
        return (
            None if rdataset is None else dns.rrset.from_rdata_list(owner, rdataset.ttl, rdataset)
        )

    def _up_to_apex(self, owner: dns.name.Name) -> Iterator[dns.name.Name]:
        while owner.is_subdomain(self.apex):
            yield owner
            if owner == self.apex:
                return
            owner = owner.parent()


def differences(expected: dns.message.Message, got: dns.message.Message) -> list[str]:
    """Return in words where *got* is not what was *expected*; an empty list is agreement.

    Compares the response code, QR, AA, TC, RA, AD, the question with its case, and the
    sections as sets of rrsets with owners, TTLs and data, names without regard to case.  An
    OPT record is not looked at.  Beside the glue that is needed, a referral may carry
    addresses of the servers that it names.
    """
    found = []
    if expected.rcode() != got.rcode():
        found.append(f"rcode {_code(got)}, not {_code(expected)}")
    found += [
        f"{flag.name} is {bool(got.flags & flag)}"
        for flag in (dns.flags.QR, dns.flags.AA, dns.flags.TC, dns.flags.RA, dns.flags.AD)
        if (expected.flags ^ got.flags) & flag
    ]
    if [q.name.labels for q in expected.question] != [q.name.labels for q in got.question]:
        found.append("the question is another")
    for section in ("answer", "authority", "additional"):
        wanted = {_shown(rrset) for rrset in getattr(expected, section)}
        given = {_shown(rrset) for rrset in getattr(got, section)}
        allowed = wanted
        if section == "additional":
            allowed = wanted | {_shown(rrset) for rrset in _extra_glue(got)}
        found += [f"{section} lacks {each}" for each in sorted(wanted - given)]
        found += [f"{section} has {each}" for each in sorted(given - allowed)]
        if len(given) != len(getattr(got, section)):
            found.append(f"{section} has an rrset twice")
    return found


def _extra_glue(message: dns.message.Message) -> Iterator[dns.rrset.RRset]:
    servers = {rdata.target for rrset in message.authority if rrset.rdtype == NS for rdata in rrset}
    for rrset in message.additional:
        if rrset.name in servers and rrset.rdtype in (A, AAAA):
            yield rrset


def _renamed(rrset: dns.rrset.RRset, owner: dns.name.Name) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(owner, rrset.ttl, rrset)


def _shown(rrset: dns.rrset.RRset) -> str:
    datas = sorted(rdata.to_digestable().hex() for rdata in rrset)
    owner = rrset.name.canonicalize().to_text()
    return f"{owner} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {' '.join(datas)}"


def _code(message: dns.message.Message) -> str:
    return dns.rcode.to_text(message.rcode())
