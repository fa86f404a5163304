"""Lengths of HTTP/2 bodies kept from h2, which would end a connection for one that is wrong.

A request whose body is not as long as its content-length says is malformed, and that is an error of
its stream alone (RFC 9113 8.1.1): the others on the connection may be other people's.  So h2 is
shown the field under a name that it does not know, and the connection counts for itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hpack import Decoder, HeaderTuple

LENGTH: Final = b"content-length"

_HIDDEN: Final = b" length"  # no client can send it: it is no token
_SHOWN: Final = {LENGTH: _HIDDEN, _HIDDEN: b""}


class LengthHidingDecoder(Decoder):
    """Decodes fields as HPACK does, and hides the length."""

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """Return the fields; raises what hpack raises."""
        return [
            HeaderTuple(_SHOWN[field[0]], field[1]) if field[0] in _SHOWN else field
            for field in super().decode(data, raw)
        ]


def with_lengths(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return *fields* with the length under its own name again."""
    return [(LENGTH, value) if name == _HIDDEN else (name, value) for name, value in fields]
