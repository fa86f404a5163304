"""The OPT record and its options (RFC 6891; 5001 NSID, 7828, 7871 client subnet, 7873, 8914).

What is answered is built from what is known, never copied from what was asked: options
that are unknown, repeated or oversized leave no trace.  The client subnet is echoed because
RFC 7871 asks for it, after it has been checked bit by bit, and a client's cookie, which has
8 octets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from gslb.dns.cookie import CLIENT_BYTES
from gslb.dns.records import OPT

VERSION = 0
DO = 0x8000
NSID, CLIENT_SUBNET, COOKIE, TCP_KEEPALIVE, EXTENDED_ERROR = 3, 8, 10, 11, 15
PAYLOAD_MIN = 512
COOKIE_BYTES_MIN, COOKIE_BYTES_MAX = 16, 40  # of both cookies; the client's alone has 8
OPT_BYTES = 11  # an OPT record without options

_FORMERR, _BADVERS = 1, 16
_OPTION = Struct(">HH")
_SUBNET = Struct(">HBB")
_RECORD = Struct(">BHHBBHH")

_BITS = {1: 32, 2: 128}


@dataclass(frozen=True, slots=True)
class ClientSubnet:
    """A client's network as RFC 7871 sends it.

    `family` is 1 (IPv4) or 2 (IPv6), or 0, which some clients send with a `source` of 0.
    `address` is the network's number, `octets` its address as sent.
    """

    family: int
    source: int
    address: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Edns:
    """What a query's OPT record asks for; `payload` is the asker's size, at least 512.

    `cookie` is the client's cookie and, if it has one, a server's (RFC 7873 4), unchecked.
    """

    payload: int
    do: bool = False
    subnet: ClientSubnet | None = None
    nsid: bool = False
    keepalive: bool = False
    cookie: bytes | None = None


class _MalformedError(ValueError):
    """An option breaks its own rules."""


def decode_opt(payload: int, ttl: int, rdata: bytes) -> tuple[Edns, int | None]:
    """Return what an OPT record asks for, and the rcode to refuse it with, if any.

    *payload* and *ttl* are the record's class and TTL fields (RFC 6891 6.1.3).
    """
    payload = max(payload, PAYLOAD_MIN)
    do = bool(ttl & DO)
    if (ttl >> 16) & 0xFF != VERSION:
        return Edns(payload, do), _BADVERS
    try:
        subnet, nsid, keepalive, cookie = None, False, False, None
        for code, octets in _options(rdata):
            if code == CLIENT_SUBNET:
                if subnet is not None:
                    raise _MalformedError
                subnet = _decode_subnet(octets)
            elif code == NSID:
                nsid = True
            elif code == TCP_KEEPALIVE:
                keepalive = True
            elif code == COOKIE and cookie is None:  # all but the first are ignored: RFC 7873 5
                cookie = _checked_cookie(octets)
    except _MalformedError:
        return Edns(payload, do), _FORMERR
    return Edns(payload, do, subnet, nsid, keepalive, cookie), None


def _options(rdata: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(rdata):
        if at + _OPTION.size > len(rdata):
            raise _MalformedError
        code, length = _OPTION.unpack_from(rdata, at)
        at += _OPTION.size
        if at + length > len(rdata):
            raise _MalformedError
        yield code, rdata[at : at + length]
        at += length


def _checked_cookie(octets: bytes) -> bytes:
    if len(octets) != CLIENT_BYTES and not COOKIE_BYTES_MIN <= len(octets) <= COOKIE_BYTES_MAX:
        raise _MalformedError
    return octets


def _decode_subnet(octets: bytes) -> ClientSubnet:
    """Return the subnet, checked against every rule of RFC 7871 6 and 7.1."""
    if len(octets) < _SUBNET.size:
        raise _MalformedError
    family, source, scope = _SUBNET.unpack_from(octets)
    address = octets[_SUBNET.size :]
    if family == 0 and not source and not scope and not address:
        return ClientSubnet(0, 0, 0, b"")
    bits = _BITS.get(family, -1)
    if source > bits or scope or len(address) != (source + 7) // 8:
        raise _MalformedError
    number = int.from_bytes(address, "big") << (bits - 8 * len(address))
    if number & ((1 << (bits - source)) - 1):
        raise _MalformedError
    return ClientSubnet(family, source, number, address)


def encode_subnet(subnet: ClientSubnet, scope: int) -> bytes:
    """Return the option that answers *subnet* with the prefix length for which that holds."""
    return _option(CLIENT_SUBNET, _SUBNET.pack(subnet.family, subnet.source, scope) + subnet.octets)


def encode_cookie(octets: bytes) -> bytes:
    """Return the option with a client's and a server's cookie (RFC 7873 4)."""
    return _option(COOKIE, octets)


def encode_nsid(node: bytes) -> bytes:
    """Return the option that names this node (RFC 5001)."""
    return _option(NSID, node)


def encode_keepalive(idle_s: float) -> bytes:
    """Return the option that tells a TCP client how long it may idle (RFC 7828)."""
    return _option(TCP_KEEPALIVE, min(round(idle_s * 10), 0xFFFF).to_bytes(2, "big"))


def encode_error(code: int, text: bytes) -> bytes:
    """Return an Extended DNS Error (RFC 8914)."""
    return _option(EXTENDED_ERROR, code.to_bytes(2, "big") + text)


def _option(code: int, octets: bytes) -> bytes:
    return _OPTION.pack(code, len(octets)) + octets


def encode_opt(payload: int, rcode: int, *, do: bool, options: bytes) -> bytes:
    """Return the OPT record of a response, with the upper bits of *rcode*."""
    flags = DO if do else 0
    return _RECORD.pack(0, OPT, payload, rcode >> 4, VERSION, flags, len(options)) + options
