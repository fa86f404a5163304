"""What a TLS client asks for before anything is encrypted: the server name, the protocols it knows.

A ClientHello (RFC 8446 4.1.2) is read from the first octets of a connection, which may come in any
number of pieces and records.  So a connection can be sent on by its name without TLS being ended:
the octets go on as they came, and whoever ends TLS judges the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gslb.errors import PrefaceError

HELLO_MAX: Final = 16_384  # octets of a ClientHello, with the headers of its records

_RECORD_HEADER: Final = 5
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_RECORD_MAX: Final = 16_384  # RFC 8446 5.1
_SESSION_MAX: Final = 32
_SERVER_NAME: Final = 0
_ALPN: Final = 16
_HOST_NAME: Final = 0
_NAME: Final = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_NAME_MAX: Final = 253


@dataclass(frozen=True, slots=True)
class Hello:
    """What was asked for: `server_name` in lower case, None without one; `protocols` by ALPN."""

    server_name: str | None = None
    protocols: tuple[bytes, ...] = ()


def decode(octets: bytes) -> Hello | None:
    """Return what the ClientHello that *octets* begin with asks for; None while more are needed.

    Raises PrefaceError for what is no ClientHello, or one of more than `HELLO_MAX` octets.
    """
    message = _message(octets)
    if message is None:
        if len(octets) >= HELLO_MAX:
            raise PrefaceError(f"a ClientHello of more than {HELLO_MAX} octets")
        return None
    body = _Reader(message)
    body.skip(2 + 32)  # legacy_version, random
    if len(body.vector(1)) > _SESSION_MAX:
        raise PrefaceError("a ClientHello whose session id is too long")
    ciphers = body.vector(2)
    if not ciphers or len(ciphers) % 2 or not body.vector(1):
        raise PrefaceError("a ClientHello without cipher suites or compression methods")
    if body.is_empty:
        return Hello()  # TLS 1.2 and before may do without extensions
    extensions = _extensions(body.vector(2))
    if not body.is_empty:
        raise PrefaceError("a ClientHello with something behind its extensions")
    return Hello(_server_name(extensions.get(_SERVER_NAME)), _protocols(extensions.get(_ALPN)))


def _message(octets: bytes) -> bytes | None:
    """Return the body of the first handshake message, from however many records; None if cut."""
    fragments = []
    at, have = 0, 0
    needed = 4
    while have < needed:
        header = octets[at : at + _RECORD_HEADER]
        if (header and header[0] != _HANDSHAKE) or (len(header) > 1 and header[1] != 3):
            raise PrefaceError("it does not begin with a TLS handshake")
        if len(header) < _RECORD_HEADER:
            return None
        length = int.from_bytes(header[3:], "big")
        if not 0 < length <= _RECORD_MAX:
            raise PrefaceError(f"a TLS record of {length} octets")
        at += _RECORD_HEADER
        fragment = octets[at : at + length]
        fragments.append(fragment)
        at += length
        have += len(fragment)
        start = b"".join(fragments)[:4] if needed == 4 else b""
        if start[:1] and start[0] != _CLIENT_HELLO:
            raise PrefaceError("a TLS handshake that does not begin with a ClientHello")
        if len(start) == 4:
            needed = 4 + int.from_bytes(start[1:], "big")
            if needed > HELLO_MAX:
                raise PrefaceError(f"a ClientHello of more than {HELLO_MAX} octets")
        if have < needed and len(fragment) < length:
            return None
    return b"".join(fragments)[4:needed]


def _extensions(octets: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    reader = _Reader(octets)
    while not reader.is_empty:
        kind = int.from_bytes(reader.take(2), "big")
        if kind in found:
            raise PrefaceError(f"a ClientHello with two extensions of type {kind}")
        found[kind] = reader.vector(2)
    return found


def _server_name(extension: bytes | None) -> str | None:
    """Return the host name of RFC 6066 3, without a dot at its end."""
    if extension is None:
        return None
    whole = _Reader(extension)
    names = _Reader(whole.vector(2))
    kind, name = names.take(1)[0], names.vector(2).lower().removesuffix(b".")
    if kind != _HOST_NAME or not names.is_empty or not whole.is_empty:
        raise PrefaceError("a ClientHello with other server names than one host name")
    if len(name) > _NAME_MAX or not _NAME.fullmatch(name):
        raise PrefaceError(f"a ClientHello with the server name {name[:_NAME_MAX]!r}")
    return name.decode()


def _protocols(extension: bytes | None) -> tuple[bytes, ...]:
    """Return the protocols of RFC 7301 3.1, the most wanted first."""
    if extension is None:
        return ()
    whole = _Reader(extension)
    names = _Reader(whole.vector(2))
    found = []
    while not names.is_empty:
        found.append(names.vector(1))
    if not whole.is_empty or not all(found) or not found:
        raise PrefaceError("a ClientHello whose protocols are malformed")
    return tuple(found)


class _Reader:
    """Takes octets apart from the front; PrefaceError where there are fewer than must be."""

    __slots__ = ("_at", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._octets)

    def take(self, size: int) -> bytes:
        taken = self._octets[self._at : self._at + size]
        if len(taken) < size:
            raise PrefaceError("a ClientHello that says more than it holds")
        self._at += size
        return taken

    def skip(self, size: int) -> None:
        self.take(size)

    def vector(self, size_octets: int) -> bytes:
        """Take a vector whose length stands before it (RFC 8446 3.4)."""
        return self.take(int.from_bytes(self.take(size_octets), "big"))
