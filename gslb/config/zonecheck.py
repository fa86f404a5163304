"""What a zone's static records must not say, must say, and are hardly meant to say.

`errors` holds whatever else the file says; `missing` only once all of it has been read;
`warnings` are about zones that can be served as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gslb.config.masterwords import shown_type
from gslb.dns import name, zone
from gslb.dns.records import AAAA, CNAME, DNAME, NS, RRSIG, SOA, A, RRset, name_in
from gslb.errors import Complaint

# An rrset must fit a message of 65,535 octets beside a header, a question and an OPT record.
RRSET_BYTES_MAX = 64_000

_KEY, _NSEC, _DNSKEY, _NSEC3, _NSEC3PARAM = 25, 47, 48, 50, 51
_BESIDE_A_CNAME = frozenset({CNAME, RRSIG, _NSEC, _KEY})  # RFC 2181 10.1, RFC 4034 4

# The types that prove something in a signed zone, and nothing without a signer.
OF_SIGNING = (RRSIG, _NSEC, _DNSKEY, _NSEC3, _NSEC3PARAM)
_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Checked:
    """A zone under check: its rrsets by owner and type, and where each begins."""

    apex: bytes
    rrsets: Mapping[bytes, Mapping[int, RRset]]
    places: Mapping[tuple[bytes, int], tuple[str, int]]
    services: frozenset[bytes]

    def complaint(self, owner: bytes, type_: int, problem: str, hint: str) -> Complaint:
        """Return a complaint about one rrset."""
        file, line = self.places[owner, type_]
        return Complaint(file, line, 1, f"{name.show(owner)} {shown_type(type_)}", problem, hint)

    def delegations(self) -> Iterator[tuple[bytes, RRset]]:
        """Yield the zone's cuts and their NS rrsets."""
        for owner, types in self.rrsets.items():
            if owner != self.apex and NS in types:
                yield owner, types[NS]

    def has_address(self, owner: bytes) -> bool:
        """Return whether *owner* itself has an address, here or from a service."""
        types = self.rrsets.get(owner, {})
        return A in types or AAAA in types or owner in self.services


def errors(checked: Checked) -> Iterator[Complaint]:
    """Yield what no server can answer from."""
    for owner, types in checked.rrsets.items():
        if SOA in types:
            yield from _about_soa(checked, owner, types[SOA])
        if CNAME in types:
            yield from _about_cname(checked, owner, types)
        if DNAME in types:
            yield from _about_dname(checked, owner, types)
        if NS in types and owner.startswith(b"\x01*"):
            yield checked.complaint(
                owner,
                NS,
                "a wildcard cannot be delegated (RFC 4592 4.2)",
                "write an NS record for each name that is delegated",
            )
        for type_, rrset in types.items():
            size_bytes = sum(12 + len(rdata.whole) for rdata in rrset.rdatas)
            if size_bytes > RRSET_BYTES_MAX:
                yield checked.complaint(
                    owner,
                    type_,
                    f"the {len(rrset.rdatas)} records take {size_bytes} octets together, more than"
                    f" the {RRSET_BYTES_MAX} that one response holds",
                    "spread them over several names",
                )


def missing(checked: Checked, file: str) -> Iterator[Complaint]:
    """Yield what a zone cannot do without; the whole of it is in *file* and its includes."""
    text = name.show(checked.apex)
    at_apex = checked.rrsets.get(checked.apex, {})
    for type_, example in (
        (SOA, "SOA ns1.example.com. admin.example.com. 1 7200 900 1209600 60"),
        (NS, "NS ns1.example.com."),
    ):
        if type_ not in at_apex:
            shown = shown_type(type_)
            problem = f"the zone has no {shown} record at its apex"
            hint = f"write such as {text}. 300 {example}"
            yield Complaint(file, 1, 1, f"{text} {shown}", problem, hint)
    for cut, servers in checked.delegations():
        for server in map(name_in, servers.rdatas):
            if name.is_within(server, cut) and not checked.has_address(server):
                shown = name.show(server)
                yield checked.complaint(
                    cut,
                    NS,
                    f"the name server {shown} is below its own delegation and has no address here",
                    f"add its glue, such as {shown}. 300 A 192.0.2.1",
                )


def warnings(checked: Checked) -> Iterator[Complaint]:
    """Yield what can be served, but is hardly meant."""
    barred = {
        owner
        for owner, types in checked.rrsets.items()
        if DNAME in types or (NS in types and owner != checked.apex)
    }
    yield from _servers_without_address(checked, barred)
    yield from _occluded(checked, barred)
    doubled = checked.apex[:-1] + checked.apex
    for owner, types in checked.rrsets.items():
        if checked.apex != name.ROOT and name.is_within(owner, doubled):
            yield checked.complaint(
                owner,
                min(types),
                "the zone's name stands twice in it",
                "write the last dot after a whole name",
            )
    signing = [
        (place, owner, type_)
        for (owner, type_), place in checked.places.items()
        if type_ in OF_SIGNING
    ]
    if signing:
        _place, owner, type_ = min(signing)
        yield checked.complaint(
            owner,
            type_,
            f"{len(signing)} DNSSEC rrsets are served as plain data; they prove nothing",
            "load the unsigned zone",
        )


def _about_soa(checked: Checked, owner: bytes, soa: RRset) -> Iterator[Complaint]:
    if owner != checked.apex:
        yield checked.complaint(
            owner,
            SOA,
            f"an SOA record away from the apex {name.show(checked.apex)}",
            "is this the file of another zone, or does a name lack its last dot?",
        )
    if len(soa.rdatas) > 1:
        problem = f"{len(soa.rdatas)} different SOA records"
        yield checked.complaint(owner, SOA, problem, "leave one of them")


def _about_cname(checked: Checked, owner: bytes, types: Mapping[int, RRset]) -> Iterator[Complaint]:
    others = ", ".join(shown_type(type_) for type_ in sorted(types.keys() - _BESIDE_A_CNAME))
    if others:
        yield checked.complaint(
            owner,
            CNAME,
            f"a CNAME beside other data: {others}",
            "a name with a CNAME has nothing else; take one of them away",
        )
    if len(types[CNAME].rdatas) > 1:
        problem = f"{len(types[CNAME].rdatas)} different CNAME records at one name"
        yield checked.complaint(owner, CNAME, problem, "leave one of them")


def _about_dname(checked: Checked, owner: bytes, types: Mapping[int, RRset]) -> Iterator[Complaint]:
    if len(types[DNAME].rdatas) > 1:
        problem = f"{len(types[DNAME].rdatas)} different DNAME records at one name"
        yield checked.complaint(owner, DNAME, problem, "leave one of them")
    if owner.startswith(b"\x01*"):
        yield checked.complaint(
            owner,
            DNAME,
            "a DNAME at a wildcard has no meaning (RFC 4592 4.4)",
            "write a DNAME for each name",
        )
    if NS in types and owner != checked.apex:
        yield checked.complaint(
            owner,
            DNAME,
            "a DNAME at a delegated name (RFC 6672 2.3)",
            "write it into the delegated zone",
        )


def _servers_without_address(checked: Checked, barred: set[bytes]) -> Iterator[Complaint]:
    """Yield name servers inside the zone, not below a cut, that lead nowhere."""
    apex = checked.apex
    for owner, types in checked.rrsets.items():
        if NS not in types:
            continue
        for server in map(name_in, types[NS].rdatas):
            if not name.is_within(server, apex) or zone.is_occluded(server, apex, barred):
                continue
            if server in barred - {apex} or _found_by_wildcard(checked, server):
                continue
            if not checked.has_address(server):
                shown = name.show(server)
                yield checked.complaint(
                    owner,
                    NS,
                    f"the name server {shown} is inside the zone and has no address",
                    f"add such as {shown}. 300 A 192.0.2.1",
                )


def _found_by_wildcard(checked: Checked, owner: bytes) -> bool:
    return any(
        checked.has_address(b"\x01*" + above)
        for above in name.ancestors(owner)
        if above != owner and name.is_within(above, checked.apex)
    )


def _occluded(checked: Checked, barred: set[bytes]) -> Iterator[Complaint]:
    """Yield, for each cut and DNAME, what stands below it and is never answered."""
    below: dict[bytes, list[bytes]] = {}
    for owner, types in checked.rrsets.items():
        if zone.is_occluded(owner, checked.apex, barred):
            bar = [above for above in name.ancestors(owner) if above in barred and above != owner]
            if DNAME in checked.rrsets[bar[-1]] or types.keys() - {A, AAAA}:
                below.setdefault(bar[-1], []).append(owner)
    for owner, names in below.items():
        type_ = DNAME if DNAME in checked.rrsets[owner] else NS
        shown = ", ".join(name.show(one) for one in names[:_SHOWN_MAX])
        if len(names) > _SHOWN_MAX:
            shown += ", …"
        yield checked.complaint(
            owner,
            type_,
            f"{len(names)} names below it are never answered: {shown}",
            "write them where their zone is served, or delete them",
        )
