"""Sealed messages: octets that only a holder of the key can have made.

On the wire: a line ``MAGIC NAME MAC``, and a body of any octets.  The MAC is hexadecimal
HMAC-SHA256 under the sender's key, over the line without its MAC and the body.  Nothing of the
body may be parsed before it holds; what is deflated in it is inflated within a bound.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Callable
from hashlib import sha256

from gslb.errors import ReportError

SEALED_MAX_BYTES = 8_388_608
NAME_MAX = 255

_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


def seal(magic: bytes, name: str, key: bytes, body: bytes) -> bytes:
    """Return *body* under *key*; ReportError for a strange name, or if it is too long."""
    if not _is_name(name.encode()):
        raise ReportError(f"{name[:NAME_MAX]!r} needs letters, digits, '-', '.' or '_'")
    raw = b"%b %b %b\n%b" % (magic, name.encode(), _mac(magic, name.encode(), key, body), body)
    if len(raw) > SEALED_MAX_BYTES:
        raise ReportError(f"{len(raw)} bytes, of {SEALED_MAX_BYTES} at most", "too_long")
    return raw


def unseal(magic: bytes, raw: bytes, key_of: Callable[[str], bytes | None]) -> tuple[str, bytes]:
    """Return the sender's name and the body; ReportError unless its key sealed them.

    *key_of* knows the key of each sender, or None.
    """
    if len(raw) > SEALED_MAX_BYTES:
        raise ReportError(f"{len(raw)} bytes, of {SEALED_MAX_BYTES} at most", "too_long")
    head, _, body = raw.partition(b"\n")
    match head.split(b" "):
        case [found, name, mac] if found == magic and _is_name(name):
            sender = name.decode()
        case _:
            raise ReportError(f"it does not begin with {magic.decode()!r}, a name and a MAC")
    key = key_of(sender)
    if key is None:
        raise ReportError(f"{sender!r} is unknown here", "unknown_vantage")
    if not hmac.compare_digest(mac, _mac(magic, name, key, body)):
        raise ReportError(f"{sender!r}: the MAC is wrong; do both sides hold one key?", "mac")
    return sender, body


def inflated(octets: bytes, bytes_max: int) -> bytes:
    """Return deflated *octets* as they were, *bytes_max* at most; ValueError for all else."""
    inflating = zlib.decompressobj()
    try:
        whole = inflating.decompress(octets, bytes_max)
    except zlib.error as problem:
        raise ValueError(f"it cannot be inflated: {problem}") from None
    if not inflating.eof or inflating.unused_data:
        raise ValueError(f"it is cut short, or over {bytes_max} bytes, or more follows")
    return whole


def _mac(magic: bytes, name: bytes, key: bytes, body: bytes) -> bytes:
    assert key, "an empty key authenticates nobody"
    mac = hmac.new(key, b"%b %b\n" % (magic, name), sha256)
    mac.update(body)
    return mac.hexdigest().encode()


def _is_name(name: bytes) -> bool:
    return 0 < len(name) <= NAME_MAX and _LETTERS.issuperset(name)
