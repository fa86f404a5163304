"""Affinity by cookie: a signed value that names the member a client stays with.

    cookie  = base64url(6 octets until | 8 tag | 16 MAC)                 40 letters, nothing padded
    tag     = HMAC-SHA256(key, "gslb target" NUL name), the first 8 octets
    MAC     = HMAC-SHA256(key, "gslb cookie" NUL until tag), the first 16 octets

*until* is seconds since 1970.  The tag stands for the member's name: nobody without the key learns
an address from it, or chooses a member by it.  Every process with the same key makes and takes the
same cookies.  A cookie that is forged, garbled, expired, or of a member that is gone, is no error:
its client is as one that came without.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

VALUE_CHARS = 40

_UNTIL_BYTES, _TAG_BYTES, _MAC_BYTES = 6, 8, 16
_SIGNED = slice(0, _UNTIL_BYTES + _TAG_BYTES)


class Pin(NamedTuple):
    """What a cookie of ours says: the `tag` of the target, and until when, in s since 1970."""

    tag: bytes
    until_s: int


def tag(key: bytes, target_name: str) -> bytes:
    """Return the octets that stand for *target_name*; targets are found by them in a dictionary."""
    return hmac.digest(key, b"gslb target\0" + target_name.encode(), "sha256")[:_TAG_BYTES]


def make(key: bytes, target_name: str, until_s: float) -> str:
    """Return the value of a cookie that pins its client to *target_name* until *until_s*."""
    signed = int(until_s).to_bytes(_UNTIL_BYTES, "big") + tag(key, target_name)
    return urlsafe_b64encode(signed + _mac(key, signed)).decode()


def read(key: bytes, text: str | bytes, now_s: float) -> Pin | None:
    """Return what the value *text* of a cookie says, None unless it is ours and holds at *now_s*.

    *text* may be anything.
    """
    if len(text) != VALUE_CHARS:
        return None
    try:
        octets = urlsafe_b64decode(text)
    except ValueError:
        return None
    signed = octets[_SIGNED]
    if not hmac.compare_digest(octets[_SIGNED.stop :], _mac(key, signed)):
        return None
    until_s = int.from_bytes(signed[:_UNTIL_BYTES], "big")
    return Pin(signed[_UNTIL_BYTES:], until_s) if now_s < until_s else None


def set_cookie(name: str, value: str, max_age_s: float, *, secure: bool) -> str:
    """Return the value of a Set-Cookie header (RFC 6265 4.1); *secure* where TLS is spoken."""
    tls_only = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={int(max_age_s)}; HttpOnly; SameSite=Lax{tls_only}"


def _mac(key: bytes, signed: bytes) -> bytes:
    assert key, "an empty key signs nothing"
    return hmac.digest(key, b"gslb cookie\0" + signed, "sha256")[:_MAC_BYTES]
