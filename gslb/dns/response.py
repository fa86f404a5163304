"""Responses: first a list of what is said, then its octets (RFC 1035 4.1, 2181 9, 6891).

An answer is a list of rrsets with their owners, section by section; only `encode` knows of
offsets, sizes and truncation.  Every owner and compressed name ends in the zone's apex,
which the question ends in too, so each is some labels and one pointer (see
`gslb.dns.records`); the further records of an rrset point at the first one's owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from gslb.dns import edns, name
from gslb.dns.message import AA, HEADER, HEADER_BYTES, OPCODE_MASK, QR, RD, TC, Query
from gslb.dns.records import IN, Rdata

UDP_MAX = 1232  # Flag Day 2020: what fits everywhere without fragments
TCP_MAX = 65_535
PLAIN_MAX = 512  # what an asker without EDNS takes (RFC 1035 4.2.1)

_FIXED = Struct(">HHIH")
_AT_QUESTION = (0xC000 | HEADER_BYTES).to_bytes(2, "big")
_POINTED_MAX = 0x3FFF  # the last octet a pointer can tell (RFC 1035 4.1.4)


@dataclass(frozen=True, slots=True)
class Part:
    """One rrset of a section; an `owner` of None is the name that was asked for."""

    owner: bytes | None
    type: int
    ttl_s: int
    rdatas: Sequence[Rdata]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is said to one query, and for how wide a network of clients it holds.

    `needed` counts the leading parts of `additional` that must fit, or TC be set (RFC 9471).
    `error` is an Extended DNS Error's code and text.  `truncated` sets TC although all fits.
    `service` and `way` say, for counters
    and explanations, which service answered first and how, and `aliases` which names led to
    it; they leave no trace on the wire.
    """

    rcode: int
    authoritative: bool = False
    apex: bytes = name.ROOT
    cls: int = IN
    answer: Sequence[Part] = ()
    authority: Sequence[Part] = ()
    additional: Sequence[Part] = ()
    needed: int = 0
    scope: int = 0
    error: tuple[int, bytes] | None = None
    truncated: bool = False
    service: str | None = None
    way: str = ""
    aliases: Sequence[bytes] = ()


def encode(
    query: Query,
    response: Response,
    *,
    node: bytes,
    size_max: int = UDP_MAX,
    keepalive_s: float | None = None,
    cookie: bytes = b"",
) -> bytes:
    """Return the octets of *response* to *query*, fitted to the asker's size or with TC set.

    *size_max* is the transport's own limit; over TCP the asker's does not count.  *node*
    answers NSID.  *keepalive_s* is the idle time-out to tell a TCP client that asks for it.
    *cookie* is the option that answers the query's cookie, ready to be sent.
    """
    asked, kept, reserved = query.edns, b"", 0
    if size_max != TCP_MAX:
        size_max = min(size_max, PLAIN_MAX if asked is None else asked.payload)
    if asked is not None:
        kept = _subnet(asked, response) + cookie
        reserved = edns.OPT_BYTES + len(kept)
    flags = QR | (query.flags & (OPCODE_MASK | RD)) | (response.rcode & 0xF)
    if response.authoritative:
        flags |= AA
    if response.truncated:
        flags |= TC
    out = _Writer(query, response, size_max - reserved)
    answers, authorities, additionals = out.write(response.answer), None, 0
    if answers is not None:
        authorities = out.write(response.authority)
    if answers is None or authorities is None:
        flags |= TC
        answers = authorities = 0
        out.reset()
    else:
        for number, part in enumerate(response.additional):
            written = out.write((part,))
            if written is None and number < response.needed:
                flags |= TC
            additionals += written or 0
    opt = b""
    if asked is not None:
        room = size_max - HEADER_BYTES - len(out.octets) - reserved
        others, all_said = _others(asked, response, node, keepalive_s, room)
        opt = edns.encode_opt(UDP_MAX, response.rcode, do=asked.do, options=kept + others)
        flags |= 0 if all_said else TC
        additionals += 1
    questions = 1 if query.question else 0
    header = HEADER.pack(query.id, flags, questions, answers, authorities, additionals)
    return header + out.octets + opt


class _Writer:
    """The question and the records behind it, up to a size."""

    def __init__(self, query: Query, response: Response, size_max: int) -> None:
        self._question = query.question
        self._asked = query.question[:-4].lower()
        self._apex = response.apex
        self._cls = response.cls
        self._octets_max = size_max - HEADER_BYTES
        at = HEADER_BYTES + len(self._asked) - len(response.apex)
        self._to_apex = (0xC000 | at).to_bytes(2, "big")
        self.octets = bytearray(query.question)

    def reset(self) -> None:
        self.octets = bytearray(self._question)

    def write(self, parts: Sequence[Part]) -> int | None:
        """Write whole *parts* and return the number of records; None, and nothing, if too long."""
        out, before, count = self.octets, len(self.octets), 0
        for part in parts:
            owner = self._owner(part.owner)
            for rdata in part.rdatas:
                at = HEADER_BYTES + len(out)
                out += owner
                if len(owner) > 2 and at <= _POINTED_MAX:
                    owner = (0xC000 | at).to_bytes(2, "big")
                out += _FIXED.pack(part.type, self._cls, part.ttl_s, len(rdata.octets))
                begin = len(out)
                out += rdata.octets
                for hole in rdata.holes:
                    out[begin + hole : begin + hole + 2] = self._to_apex
                if len(out) > self._octets_max:
                    del out[before:]
                    return None
            count += len(part.rdatas)
        return count

    def _owner(self, owner: bytes | None) -> bytes:
        if owner is None or owner == self._asked:
            return _AT_QUESTION
        if self._apex == name.ROOT:
            return owner
        return owner[: len(owner) - len(self._apex)] + self._to_apex


def _subnet(asked: edns.Edns, response: Response) -> bytes:
    """Return the answer to a client subnet: with a cookie's the one never left out for size."""
    if asked.subnet is None:
        return b""
    return edns.encode_subnet(asked.subnet, response.scope if asked.subnet.source else 0)


def _others(
    asked: edns.Edns, response: Response, node: bytes, keepalive_s: float | None, room: int
) -> tuple[bytes, bool]:
    """Return the options that still fit into *room*, and whether the error is among them.

    An error is left out before any data is, and TC tells of it (RFC 8914 3).
    """
    options = []
    if response.error is not None:
        options.append(edns.encode_error(*response.error))
    if asked.keepalive and keepalive_s is not None:
        options.append(edns.encode_keepalive(keepalive_s))
    if asked.nsid:
        options.append(edns.encode_nsid(node))
    all_said = response.error is None or len(options[0]) <= room
    out = b""
    for option in options:
        if len(out) + len(option) <= room:
            out += option
    return out, all_said


def encode_error(wire: bytes, rcode: int) -> bytes:
    """Return the response to a datagram that is no query: its header with *rcode*, no question.

    *wire* holds at least a header.
    """
    id_, flags, *_ = HEADER.unpack_from(wire)
    return HEADER.pack(id_, QR | (flags & (OPCODE_MASK | RD)) | rcode, 0, 0, 0, 0)
