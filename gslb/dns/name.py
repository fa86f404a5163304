"""Domain names in wire form (RFC 1035 3.1): octets, never text, lower-cased whole.

A length octet is at most 63 and ``A`` is 65, so lower-casing a name whole never touches
one.  A lower-cased wire name is therefore its own dictionary key, found without decoding
a label, and comparing two of them is the ASCII-case-insensitive match of RFC 4343.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

LABEL_MAX = 63
NAME_MAX = 255
ROOT = b"\x00"

_SPECIAL = frozenset(b'."\\();@$')


def parse(text: str, origin: bytes = ROOT) -> bytes:
    """Return the lower-case wire form of *text*, relative to *origin* without a last dot.

    ``@`` is the origin itself.  Escapes are those of master files, ``\\.`` and ``\\DDD``
    (RFC 1035 5.1).  Raises ValueError for anything that is not a domain name.
    """
    if text == "@":
        return origin
    if text == ".":
        return ROOT
    labels, absolute = _labels(text)
    wire = b"".join(bytes((len(label),)) + label for label in labels)
    wire = (wire + (ROOT if absolute else origin)).lower()
    if len(wire) > NAME_MAX:
        raise ValueError(f"{text!r} is longer than {NAME_MAX} octets")
    return wire


def _labels(text: str) -> tuple[list[bytes], bool]:
    labels: list[bytes] = []
    label = bytearray()
    try:
        octets = iter(text.encode("ascii"))
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not ASCII; write international names as xn--…") from None
    absolute = False
    for octet in octets:
        absolute = False
        if octet == ord("."):
            labels.append(_label(label, text))
            label.clear()
            absolute = True
        elif octet == ord("\\"):
            label.append(_escaped(octets, text))
        else:
            label.append(octet)
    if not absolute:
        labels.append(_label(label, text))
    return labels, absolute


def _label(label: bytearray, text: str) -> bytes:
    if not label:
        raise ValueError(f"{text!r} has an empty label")
    if len(label) > LABEL_MAX:
        raise ValueError(f"{text!r} has a label longer than {LABEL_MAX} octets")
    return bytes(label)


def _escaped(octets: Iterator[int], text: str) -> int:
    first = next(octets, None)
    if first is None:
        raise ValueError(f"{text!r} ends in a lone backslash")
    if not chr(first).isdigit():
        return first
    digits = chr(first) + "".join(chr(next(octets, 32)) for _ in range(2))
    if not digits.isdigit() or int(digits) > 255:
        raise ValueError(f"{text!r}: \\{digits} is not an octet; write three digits up to 255")
    return int(digits)


def show(wire: bytes) -> str:
    """Return *wire* as text without the last dot, escaped as in master files; the root is a dot."""
    if wire == ROOT:
        return "."
    return ".".join(_shown(label) for label in labels(wire))


def _shown(label: bytes) -> str:
    out = []
    for octet in label:
        if octet in _SPECIAL:
            out.append("\\" + chr(octet))
        elif 0x21 <= octet <= 0x7E:
            out.append(chr(octet))
        else:
            out.append(f"\\{octet:03d}")
    return "".join(out)


def labels(wire: bytes) -> Iterator[bytes]:
    """Yield the labels of *wire*, leftmost first, without the root."""
    at = 0
    while length := wire[at]:
        yield wire[at + 1 : at + 1 + length]
        at += 1 + length


def parent(wire: bytes) -> bytes:
    """Return *wire* without its leftmost label; the root, which has none, must not be asked for."""
    return wire[1 + wire[0] :]


def ancestors(wire: bytes) -> Iterator[bytes]:
    """Yield *wire*, then its parents one by one, the root last."""
    while wire[0]:
        yield wire
        wire = wire[1 + wire[0] :]
    yield wire


def closest(wire: bytes, apexes: Collection[bytes]) -> bytes:
    """Return the one of *apexes* that is nearest above *wire*, or *wire* itself; there is one."""
    return next(apex for apex in ancestors(wire) if apex in apexes)


def is_within(wire: bytes, apex: bytes) -> bool:
    """Return whether *wire* is *apex* or stands below it."""
    return any(name == apex for name in ancestors(wire)) if wire.endswith(apex) else False
