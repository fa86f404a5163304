"""Bodies in chunks: taken apart as they come in, put together as they go on (RFC 9112 7.1).

The sizes must be hexadecimal digits and nothing else, each line must end in CRLF, chunk extensions
are checked and dropped, and trailers are fields of their own, read only at the end.  What goes on
is cut anew, so that nothing of the sender's framing reaches the next reader.
"""

from __future__ import annotations

import re
from typing import Final

from gslb.errors import MessageError

LINE_MAX: Final = 4096  # of a chunk's size with its extensions
FIELDS_MAX: Final = 100  # trailers
TINY, TINY_MAX = 8, 10_000  # octets of a chunk; chunks of which the mean may be below that
TRAILERS_MAX: Final = 16_384  # octets of all trailers
SIZE_DIGITS_MAX: Final = 15

LAST: Final = b"0\r\n\r\n"
_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,%d})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?" % SIZE_DIGITS_MAX
)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")

# Fields that mean something only in a head (RFC 9110 6.5.1): as trailers they are dropped.
_NOT_IN_TRAILERS: Final = frozenset(
    (
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-for",
        b"traceparent",
        b"tracestate",
        b"via",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-real-ip",
        b"x-forwarded-proto",
        b"x-gslb-hops",
        b"x-request-id",
    )
)


class ChunkReader:
    """Takes one body apart; `is_done` once its end was seen, with what came behind it in `rest`.

    `trailers` are the fields behind the body, names in lower case.
    """

    __slots__ = (
        "_buffer",
        "_count",
        "_in_trailers",
        "_left",
        "_total",
        "is_done",
        "rest",
        "trailers",
    )

    def __init__(self) -> None:
        self._buffer = b""
        self._left = -1  # octets of the chunk still to come; -1: its size is; 0: its CRLF is
        self._in_trailers = False
        self._count = self._total = 0
        self.is_done = False
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, octets: bytes) -> bytes:
        """Return what of the body *octets* hold; raises MessageError."""
        if self._buffer:
            octets = self._buffer + octets
            self._buffer = b""
        found: list[bytes] = []
        at, end = 0, len(octets)
        while not self._in_trailers:
            if self._left > 0:
                piece = octets[at : at + self._left]
                if not piece:
                    break
                found.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            if self._left == 0:
                if end - at < 2:
                    if octets[at:end] not in (b"", b"\r"):
                        raise MessageError("a chunk that does not end in CRLF")
                    break
                if octets[at : at + 2] != b"\r\n":
                    raise MessageError("a chunk that does not end in CRLF")
                at += 2
                self._left = -1
            line = octets.find(b"\r\n", at, at + LINE_MAX)
            if line < 0:
                self._check_line_begun(octets[at:])
                break
            size = _size(octets[at:line])
            at = line + 2
            if size:
                self._left = size
                self._count += 1
                self._total += size
                if self._count > TINY_MAX and self._total < TINY * self._count:
                    raise MessageError("a body in chunks that are tiny")
            else:
                self._in_trailers = True
        if self._in_trailers:
            self._read_trailers(octets[at:])
        else:
            self._buffer = octets[at:]
        return found[0] if len(found) == 1 else b"".join(found)

    def _check_line_begun(self, begun: bytes) -> None:
        if len(begun) >= LINE_MAX:
            raise MessageError("a chunk's size on a line too long")
        # White space may end it before a semicolon only, which may still come.
        _size(begun.removesuffix(b"\r").rstrip(b" \t") or b"0")

    def _read_trailers(self, octets: bytes) -> None:
        if octets.startswith(b"\r\n"):
            self.is_done, self.rest = True, octets[2:]
            return
        end = octets.find(b"\r\n\r\n", 0, TRAILERS_MAX)
        if end < 0:
            if len(octets) >= TRAILERS_MAX:
                raise MessageError("trailers too long", 431)
            self._buffer = octets
            return
        for line in octets[:end].split(b"\r\n"):
            field = _FIELD.fullmatch(line)
            if field is None:
                raise MessageError("a trailer that is no field")
            name = field[1].lower()
            if len(self.trailers) >= FIELDS_MAX:
                raise MessageError(f"more than {FIELDS_MAX} trailers", 431)
            if name.replace(b"_", b"-") not in _NOT_IN_TRAILERS:
                self.trailers.append((name, field[2].strip(b" \t")))
        self.is_done, self.rest = True, octets[end + 4 :]


def _size(line: bytes) -> int:
    found = _LINE.fullmatch(line)
    if found is None:
        raise MessageError("a chunk's size that is none")
    return int(found[1], 16)


def chunk(octets: bytes) -> bytes:
    """Return *octets*, of which there is one at least, as a chunk."""
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def last(trailers: list[tuple[bytes, bytes]]) -> bytes:
    """Return what ends a body, with its trailers."""
    if not trailers:
        return LAST
    return b"0\r\n" + b"".join([b"%b: %b\r\n" % pair for pair in trailers]) + b"\r\n"
