"""Queries decoded from datagrams, and what they ask for (RFC 1035 4, 6891, 7871, 7873 5.4).

Sans-IO: octets and values only.  `decode_query` takes anything a network can send and
returns a `Query` or raises `WireError`; no other exception leaves it.  The header is judged
first, from twelve octets, then the one question, then the OPT record.  What is wrong
behind the question is told by `Query.wrong`, so that the response can repeat the question
and carry an OPT record of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from gslb.dns import name
from gslb.dns.edns import Edns, decode_opt
from gslb.dns.records import OPT
from gslb.errors import WireError

HEADER = Struct(">HHHHHH")
HEADER_BYTES = HEADER.size
_FIXED = Struct(">HHIH")
_QUESTION = Struct(">HH")

QR, AA, TC, RD = 0x8000, 0x0400, 0x0200, 0x0100
OPCODE_MASK, OPCODE_SHIFT = 0x7800, 11
QUERY, NOTIFY, UPDATE = 0, 4, 5

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = 0, 1, 2, 3, 4, 5, 6
BADVERS, BADCOOKIE = 16, 23
RCODES = {
    NOERROR: "NOERROR",
    FORMERR: "FORMERR",
    SERVFAIL: "SERVFAIL",
    NXDOMAIN: "NXDOMAIN",
    NOTIMP: "NOTIMP",
    REFUSED: "REFUSED",
    YXDOMAIN: "YXDOMAIN",
    BADVERS: "BADVERS",
    BADCOOKIE: "BADCOOKIE",
}


@dataclass(frozen=True, slots=True)
class Query:
    """One query: its header's id and flags, its question as asked, and its EDNS.

    `question` is the question section octet for octet, because a resolver may check its
    case; `key` is the name lower-cased.  `wrong` is the rcode to refuse it with, if any.
    Without a question it asks for a server cookie alone: `question` and `key` are empty.
    """

    id: int
    flags: int
    question: bytes
    key: bytes
    type: int
    cls: int
    edns: Edns | None = None
    wrong: int | None = None


def decode_query(wire: bytes) -> Query:
    """Return the query that *wire* holds; raises WireError with the rcode to answer with."""
    if len(wire) < HEADER_BYTES:
        raise WireError("shorter than a header", None)
    id_, flags, questions, answers, authorities, additionals = HEADER.unpack_from(wire)
    if flags & QR:
        raise WireError("a response", None)
    opcode = (flags & OPCODE_MASK) >> OPCODE_SHIFT
    if opcode != QUERY:
        raise WireError(f"opcode {opcode}", REFUSED if opcode in (NOTIFY, UPDATE) else NOTIMP)
    if questions == 0:
        return _for_a_cookie(wire, id_, flags, answers + authorities, additionals)
    if questions != 1:
        raise WireError(f"{questions} questions", FORMERR)
    end = _name_end(wire, HEADER_BYTES)
    at = end + _QUESTION.size
    if at > len(wire):
        raise WireError("a question cut short", FORMERR)
    type_, cls = _QUESTION.unpack_from(wire, end)
    edns, wrong = _records(wire, at, answers + authorities, additionals)
    question, key = wire[HEADER_BYTES:at], wire[HEADER_BYTES:end].lower()
    return Query(id_, flags, question, key, type_, cls, edns, wrong)


def _for_a_cookie(wire: bytes, id_: int, flags: int, before: int, additionals: int) -> Query:
    """Return a query without a question, which may ask for a server cookie (RFC 7873 5.4)."""
    edns, wrong = _records(wire, HEADER_BYTES, before, additionals)
    if edns is None or edns.cookie is None or wrong is not None:
        raise WireError("0 questions", FORMERR)
    return Query(id_, flags, b"", b"", 0, 0, edns)


def _name_end(wire: bytes, at: int) -> int:
    """Return where the name at *at* ends; before it there is nothing a pointer could mean."""
    begin = at
    while at < len(wire):
        length = wire[at]
        if length > name.LABEL_MAX:
            raise WireError("a question whose name is compressed or malformed", FORMERR)
        at += 1 + length
        if at - begin > name.NAME_MAX:
            raise WireError("a question whose name is too long", FORMERR)
        if not length:
            return at
    raise WireError("a name cut short", FORMERR)


def _records(wire: bytes, at: int, before: int, additionals: int) -> tuple[Edns | None, int | None]:
    """Return what the OPT record among those from *at* on asks for, and what is wrong, if anything.

    An OPT record is answered by one whatever else is wrong (RFC 6891 6.1.1).
    """
    edns: Edns | None = None
    wrong: int | None = None
    for number in range(before + additionals):
        start = at
        fixed = _skip_name(wire, at)
        if fixed is None or fixed + _FIXED.size > len(wire):
            return edns, FORMERR
        type_, cls, ttl, length = _FIXED.unpack_from(wire, fixed)
        at = fixed + _FIXED.size + length
        if at > len(wire):
            return edns, FORMERR
        if type_ == OPT:
            if edns is not None or number < before or wire[start] != 0:
                return edns, FORMERR
            edns, wrong = decode_opt(cls, ttl, wire[at - length : at])
    return edns, wrong if at == len(wire) else FORMERR


def _skip_name(wire: bytes, at: int) -> int | None:
    """Return where a name ends, compressed or not; None when it is malformed."""
    while at < len(wire):
        length = wire[at]
        if length >= 0xC0:
            return at + 2
        if length > name.LABEL_MAX:
            return None
        at += 1 + length
        if not length:
            return at
    return None
