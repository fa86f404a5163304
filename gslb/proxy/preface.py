"""The PROXY protocol: who a connection is from, told before its first octet (versions 1 and 2).

Version 1 is a line of text of at most 107 octets, version 2 a binary header (HAProxy's
proxy-protocol.txt, 2.1 and 2.2).  Connections that are not over TCP, unknown ones, and those that a
proxy opened for itself (LOCAL) are told without addresses: the socket's own count then.

Of version 2's extensions only the checksum is looked at, and must hold where it is sent; the others
must fit, and are skipped.  IPv4 addresses that are mapped into IPv6 are IPv4 addresses here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from gslb.errors import PrefaceError
from gslb.model import PORT_MAX, Address

Endpoint = tuple[Address, int]

V1_MAX: Final = 107  # octets of version 1, with its CRLF
V2_MAX: Final = 4096  # octets of version 2; the format could tell 65,551

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_START: Final = struct.Struct("!12sBBH")
_V2_ADDRESSES: Final = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
_V2_SIZES: Final = {0x0: 0, 0x1: 12, 0x2: 36, 0x3: 216}  # by address family: of its addresses
_VERSION_2: Final = 0x20
_LOCAL: Final = 0
_PROXY: Final = 1
_DATAGRAM: Final = 2  # the greatest transport there is
_CRC32C: Final = 0x03  # PP2_TYPE_CRC32C


@dataclass(frozen=True, slots=True)
class Preface:
    """Whose connection it is: both ends as address and port, or neither where it is not told."""

    source: Endpoint | None = None
    destination: Endpoint | None = None


def decode(octets: bytes) -> tuple[Preface, int] | None:
    """Return the preface that *octets* begin with, and its size; None while more are needed.

    Raises PrefaceError for what can be no preface, or is too long.
    """
    if octets.startswith(_V2):
        return _decode_v2(octets)
    if octets.startswith(_V1):
        return _decode_v1(octets)
    if _V1.startswith(octets) or _V2.startswith(octets):
        return None
    raise PrefaceError("it does not begin with a PROXY header")


def encode(version: int, source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """Return the header of that *version*, 1 or 2."""
    return (encode_v1 if version == 1 else encode_v2)(source, destination)


def encode_v1(source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """Return a header of version 1, which says UNKNOWN unless both ends are known."""
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    family, one, other = _alike(source[0], destination[0])
    line = f"PROXY TCP{family} {one} {other} {source[1]} {destination[1]}\r\n"
    return line.encode()


def encode_v2(source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """Return a header of version 2, which says LOCAL unless both ends are known."""
    if source is None or destination is None:
        return _V2_START.pack(_V2, _VERSION_2 | _LOCAL, 0, 0)
    family, one, other = _alike(source[0], destination[0])
    code = 0x11 if family == 4 else 0x21
    packed = _V2_ADDRESSES[code].pack(one.packed, other.packed, source[1], destination[1])
    return _V2_START.pack(_V2, _VERSION_2 | _PROXY, code, len(packed)) + packed


def _alike(one: Address, other: Address) -> tuple[int, Address, Address]:
    """Return the family that can tell both addresses, and them in it."""
    if one.version == other.version:
        return one.version, one, other
    return 6, _mapped(one), _mapped(other)


def _mapped(address: Address) -> IPv6Address:
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


def _unmapped(address: IPv6Address) -> Address:
    return address.ipv4_mapped or address


def _decode_v1(octets: bytes) -> tuple[Preface, int] | None:
    end = octets.find(b"\r\n", 0, V1_MAX)
    if end < 0:
        if len(octets) >= V1_MAX:
            raise PrefaceError(f"a PROXY line of more than {V1_MAX} octets")
        return None
    match octets[:end].split(b" "):
        case [_, b"TCP4" | b"TCP6" as family, one, other, from_port, to_port]:
            preface = Preface(
                (_read_address(family, one), _read_port(from_port)),
                (_read_address(family, other), _read_port(to_port)),
            )
        case [_, b"UNKNOWN", *_]:
            preface = Preface()
        case _:
            raise PrefaceError(f"a PROXY line that says {octets[:end]!r}")
    return preface, end + 2


def _read_address(family: bytes, text: bytes) -> Address:
    try:
        if family == b"TCP4":
            return IPv4Address(text.decode("ascii"))
        if b"%" in text:
            raise ValueError("no address has a zone here")
        return _unmapped(IPv6Address(text.decode("ascii")))
    except ValueError:
        raise PrefaceError(f"{text!r} is no address of {family.decode()}") from None


def _read_port(text: bytes) -> int:
    if text.isdigit() and len(text) <= 5 and (text[:1] != b"0" or text == b"0"):
        port = int(text)
        if port <= PORT_MAX:
            return port
    raise PrefaceError(f"{text!r} is no port")


def _decode_v2(octets: bytes) -> tuple[Preface, int] | None:
    if len(octets) < _V2_START.size:
        return None
    _, version_command, code, length = _V2_START.unpack_from(octets)
    command = version_command & 0x0F
    if version_command & 0xF0 != _VERSION_2 or command > _PROXY:
        raise PrefaceError(f"a PROXY header of version and command {version_command:#x}")
    size = _V2_START.size + length
    if size > V2_MAX:
        raise PrefaceError(f"a PROXY header of {size} octets, of {V2_MAX} at most")
    if len(octets) < size:
        return None
    header = octets[:size]
    addresses_size = _V2_SIZES.get(code >> 4)
    if command == _LOCAL:
        # What follows is to be skipped, whatever it is; it may be less than its family needs.
        return Preface(), size
    if addresses_size is None or code & 0x0F > _DATAGRAM or length < addresses_size:
        raise PrefaceError(f"a PROXY header of family {code:#x} with {length} octets")
    _check_extensions(header, _V2_START.size + addresses_size)
    return _read_v2_addresses(header, code), size


def _read_v2_addresses(header: bytes, code: int) -> Preface:
    shape = _V2_ADDRESSES.get(code)
    if shape is None:
        return Preface()
    one, other, from_port, to_port = shape.unpack_from(header, _V2_START.size)
    if code == 0x11:
        return Preface((IPv4Address(one), from_port), (IPv4Address(other), to_port))
    return Preface(
        (_unmapped(IPv6Address(one)), from_port), (_unmapped(IPv6Address(other)), to_port)
    )


def _check_extensions(header: bytes, at: int) -> None:
    """See that the extensions fill the header's rest, and that a checksum among them is right."""
    while at < len(header):
        if at + 3 > len(header):
            raise PrefaceError("an extension of a PROXY header that is cut short")
        kind, length = header[at], int.from_bytes(header[at + 1 : at + 3], "big")
        at += 3
        if at + length > len(header):
            raise PrefaceError("an extension of a PROXY header that is longer than it")
        if kind == _CRC32C:
            told = header[at : at + length]
            blank = header[:at] + b"\0" * length + header[at + length :]
            if told != crc32c(blank).to_bytes(4, "big"):
                raise PrefaceError("a PROXY header whose checksum is wrong")
        at += length


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE: Final = _crc32c_table()


def crc32c(octets: bytes) -> int:
    """Return the checksum of RFC 9260, appendix A (Castagnoli)."""
    value = 0xFFFFFFFF
    for octet in octets:
        value = value >> 8 ^ _TABLE[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
