"""What is added to a request on its way to a member: who sent it, its id, its trace, its way.

Whoever connects is believed what it says of itself only if it is in a trusted network; from all
others such fields are dropped and written anew, in every spelling that CGI takes for the same.

A request of a client that sends none of them is the usual one: all that is known when it connects
is put together then, and little more than one join of octets is left for each request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

from gslb.model import Address, Network
from gslb.proxy import trace
from gslb.proxy.forwarded import (
    UNKNOWN,
    Element,
    Networks,
    Node,
    client_of,
    node_of,
    read_chain,
    read_forwarded,
    read_node,
)
from gslb.proxy.head import Fields, RequestHead
from gslb.tier import OWN_FIELDS

# What is heeded whoever says so: a loop ends even where proxies do not trust each other, and who
# makes a way up only keeps his own request from leaving the region.
_FROM_ALL: Final = (b"x-gslb-hops",)

HOPS_MAX: Final = 8  # regions that a request may have passed
DRAW_BITS: Final = 192  # of chance, for the id of a request and of its parent


def _spellings(name: str) -> Iterable[bytes]:
    first, *others = name.split("-")
    for marks in product("-_", repeat=len(others)):
        yield "".join([first, *map("".join, zip(marks, others, strict=True))]).encode()


# Fields that are never passed on as they came.
OWN: Final = frozenset(spelling for name in OWN_FIELDS for spelling in _spellings(name))

_NOT_ZERO: Final = 1 << 64 | 1  # no id of a trace or a parent is zero
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_REGION: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_PORT: Final = re.compile(rb"[1-9][0-9]{0,4}")
_DEFAULT_PORTS: Final = {"http": b"80", "https": b"443"}


class Passage:
    """What is known of one request beside its head, and what its head gets.

    `kept` are the fields that go on as they came, `added` the lines that go behind them, each with
    its CRLF.  `client` is who began the request, `client_text` the same as text, and `scheme` what
    it spoke, ``http`` or ``https``.  `hops` are the regions whose proxies sent the request on;
    unless `may_cross`, it must not go to another one.
    """

    __slots__ = (
        "added",
        "client",
        "client_text",
        "hops",
        "kept",
        "may_cross",
        "request_id",
        "scheme",
    )

    def __init__(
        self,
        kept: Fields,
        added: bytes,
        client: Address,
        client_text: str,
        scheme: str,
        request_id: bytes,
    ) -> None:
        self.kept = kept
        self.added = added
        self.client = client
        self.client_text = client_text
        self.scheme = scheme
        self.request_id = request_id
        self.hops: tuple[bytes, ...] = ()
        self.may_cross = True


class Forwarder:
    """What one listener adds: built once for it.

    *region* is the own one, *scheme* and *port* those of the listener, *trusted* the networks that
    are believed, *via* the name in Via fields, None for no such fields.
    """

    __slots__ = ("port", "region", "scheme", "trusted", "vias")

    def __init__(
        self,
        *,
        region: str,
        scheme: str,
        port: int,
        trusted: Iterable[Network] = (),
        via: str | None = None,
    ) -> None:
        self.region = region.encode()
        self.scheme = scheme
        self.port = port
        self.trusted = Networks(trusted)
        # By RequestHead.minor, which is 2 for HTTP/2 (RFC 9110 7.6.3).
        versions = (b"1.0", b"1.1", b"2.0")
        self.vias = tuple(
            b"" if via is None else b"Via: %b %b\r\n" % (version, via.encode())
            for version in versions
        )

    def peer(self, address: Address) -> Peer:
        """Return what passes on the requests of a connection from *address*."""
        return Peer(self, node_of(address))

    def onward(self, hops: Sequence[bytes]) -> bytes:
        """Return the line that a request gets besides where it goes to another region's proxy."""
        return b"X-Gslb-Hops: %b\r\n" % b",".join([*hops, self.region])


class Peer:
    """One connection's other end; `address` may be a proxy's, and `is_trusted` says so."""

    __slots__ = ("_element", "_node", "_start", "address", "forwarder", "is_trusted", "text")

    def __init__(self, forwarder: Forwarder, node: Node) -> None:
        self.forwarder = forwarder
        self._node = node
        self.address = node.address
        self.text = node.text.decode()
        self.is_trusted = node.address in forwarder.trusted
        scheme = forwarder.scheme.encode()
        self._element = b"for=%b;proto=%b" % (node.quoted, scheme)
        self._start = (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Port: %d\r\n"
            % (node.text, scheme, forwarder.port)
        )

    def pass_on(self, head: RequestHead, draw: int) -> Passage:
        """Return what the request of *head* gets; *draw* is uniform below 2**DRAW_BITS."""
        passing = head.passing
        kept = [pair for pair in passing if pair[0] not in OWN]
        digits = b"%048x" % (draw | _NOT_ZERO)
        request_id = digits[:32]
        forwarder = self.forwarder
        authority = head.authority
        via = forwarder.vias[head.minor]
        if len(kept) == len(passing):
            if authority:
                added = (
                    b'%bX-Forwarded-Host: %b\r\nForwarded: %b;host="%b"\r\nX-Request-Id: %b\r\n'
                    b"traceparent: 00-%b-%b-01\r\n%b"
                ) % (
                    self._start,
                    authority,
                    self._element,
                    authority,
                    request_id,
                    request_id,
                    digits[32:],
                    via,
                )
                return Passage(kept, added, self.address, self.text, forwarder.scheme, request_id)
            own: dict[bytes, list[bytes]] = {}
        else:
            own = _own_of(passing)
        parents, states = own.get(b"traceparent", ()), own.get(b"tracestate", ())
        traced = trace.passed(parents, states, digits[32:])
        if traced is None:
            traced = b"traceparent: 00-%b-%b-%b\r\n" % (request_id, digits[32:], trace.MADE_FLAGS)
        told = own if self.is_trusted else {name: own[name] for name in _FROM_ALL if name in own}
        return self._pass_on_told(kept, told, authority, request_id, traced + via)

    def _pass_on_told(
        self,
        kept: Fields,
        own: dict[bytes, list[bytes]],
        authority: bytes,
        request_id: bytes,
        rest: bytes,
    ) -> Passage:
        """Pass on what is believed of *own*, the fields that a trusted peer sent."""
        chain, elements, added = self._ways(own, authority)
        client = client_of(chain, self._node, self.forwarder.trusted)
        scheme, host, port = self._asked(own, elements, authority)
        if (found := _only(own, b"x-request-id")) and _ID.fullmatch(found):
            request_id = found
        added += b"X-Forwarded-Proto: %b\r\nX-Forwarded-Port: %b\r\n" % (scheme.encode(), port)
        if host:
            added += b"X-Forwarded-Host: %b\r\n" % host
        added += b"X-Request-Id: %b\r\n%b" % (request_id, rest)
        passage = Passage(kept, added, client.address, client.text.decode(), scheme, request_id)
        if (came := own.get(b"x-gslb-hops")) is not None:
            hops = [hop.strip(b" \t") for hop in b",".join(came).split(b",", HOPS_MAX)]
            passage.may_cross = (
                len(hops) < HOPS_MAX
                and self.forwarder.region not in hops
                and all(map(_REGION.fullmatch, hops))
            )
            passage.hops = tuple(hop for hop in hops[:HOPS_MAX] if _REGION.fullmatch(hop))
        return passage

    def _ways(
        self, own: dict[bytes, list[bytes]], authority: bytes
    ) -> tuple[list[Node | None], list[Element], bytes]:
        """Return the chain of nodes, what Forwarded says, and both as they go on.

        Where a peer tells but one of the two, the other is made of it (RFC 7239 7.4).
        """
        elements = read_forwarded(own.get(b"forwarded", ())) or []
        if b"x-forwarded-for" in own:
            texts = read_chain(own[b"x-forwarded-for"])
            chain = [read_node(text) for text in texts]
        else:
            chain = [read_node(element.get(b"for", UNKNOWN)) for element in elements]
            texts = [node.text if node else UNKNOWN for node in chain]
        if elements:
            way = b",".join(own[b"forwarded"]) + b", "
        else:
            way = b"".join([b"for=%b, " % (node.quoted if node else UNKNOWN) for node in chain])
        host = b';host="%b"' % authority if authority else b""
        lines = b"X-Forwarded-For: %b\r\nForwarded: %b%b%b\r\n" % (
            b", ".join([*texts, self._node.text]),
            way,
            self._element,
            host,
        )
        return chain, elements, lines

    def _asked(
        self,
        own: dict[bytes, list[bytes]],
        elements: list[Element],
        authority: bytes,
    ) -> tuple[str, bytes, bytes]:
        """Return the scheme, host and port that the client asked for.

        Each is believed if it is told once: a list may hold what a client wrote.
        """
        forwarder = self.forwarder
        told = _only(own, b"x-forwarded-proto") or (
            elements[-1].get(b"proto", b"") if elements else b""
        )
        told = told.lower()
        scheme = told.decode() if told in (b"http", b"https") else None
        host = _only(own, b"x-forwarded-host")
        found = _HOST.fullmatch(host)
        if found is None:
            host = authority
        port = _only(own, b"x-forwarded-port")
        if not _PORT.fullmatch(port):
            if found is not None and found[1]:
                port = found[1]
            else:
                port = b"%d" % forwarder.port if scheme is None else _DEFAULT_PORTS[scheme]
        return scheme or forwarder.scheme, host, port


def _own_of(fields: Fields) -> dict[bytes, list[bytes]]:
    own: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in OWN:
            own.setdefault(name, []).append(value.strip(b" \t"))
    return own


def _only(own: dict[bytes, list[bytes]], name: bytes) -> bytes:
    """Return the value of a field that came once; nothing if it came never or several times."""
    values = own.get(name, ())
    return values[0] if len(values) == 1 else b""
