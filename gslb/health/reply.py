"""HTTP responses read from octets as they come in, as far as a probe needs them (RFC 9112).

A `Reply` is fed what the connection gives, in pieces of any size, and told of its end.  It
knows the status once the header is whole, and the body, of which at most
`BODY_MAX_BYTES` are kept, once it is complete or so much of it is there.  Interim responses
(1xx, but 101) are passed over.  Of the header only what frames the body is read; nothing is
unpacked (a probe asks for ``identity``).

What cannot be HTTP/1 is a `ValueError` that says why, and no other exception leaves it.
"""

from __future__ import annotations

import re

from gslb.health.probe import BODY_MAX_BYTES

HEAD_MAX_BYTES = 65_536
LINE_MAX_BYTES = 4_096  # of a chunk's size with its extensions, and of a trailer field

_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\0]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0]*)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_DIGITS_MAX = 15
_MAGIC = b"HTTP/1."
_SWITCHING, _NO_CONTENT, _NOT_MODIFIED, _FINAL = 101, 204, 304, 200


class Reply:
    """One response as far as it has come: `status` is None until its header is whole."""

    __slots__ = (
        "_chunked",
        "_in_chunk",
        "_last",
        "_left",
        "_waiting",
        "body",
        "complete",
        "status",
    )

    def __init__(self) -> None:
        self.status: int | None = None
        self.body = bytearray()
        self.complete = False
        self._waiting = bytearray()
        self._left: int | None = 0  # octets of the body, or of a chunk; None: until the end
        self._chunked = False
        self._in_chunk = False  # its data, or the line break behind it, is still to come
        self._last = False  # the last chunk has come: trailers follow

    def feed(self, octets: bytes) -> None:
        """Take what came next; ValueError if this is no HTTP/1."""
        if self.complete:
            return
        self._waiting += octets
        while self.status is None:
            if not self._head():
                return
        if self._chunked:
            while not self.complete and self._chunk():
                pass
        else:
            self._take(len(self._waiting))
            self.complete = self.complete or self._left == 0

    def end(self) -> None:
        """Hear that nothing more will come: it may make the response complete."""
        if self.status is not None and self._left is None:
            self.complete = True

    def _head(self) -> bool:
        """Read one whole header, if it is there; an interim one leaves the status None."""
        if self._waiting[: len(_MAGIC)] != _MAGIC[: len(self._waiting)]:
            raise ValueError(f"it begins with {bytes(self._waiting[:20])!r}")
        end = _HEAD_END.search(self._waiting, 0, HEAD_MAX_BYTES)
        if end is None:
            if len(self._waiting) >= HEAD_MAX_BYTES:
                raise ValueError(f"the header is longer than {HEAD_MAX_BYTES} bytes")
            return False
        first, *fields = _FOLD.sub(b" ", bytes(self._waiting[: end.start()])).split(b"\n")
        del self._waiting[: end.end()]
        found = _STATUS.fullmatch(first.rstrip(b"\r"))
        if found is None:
            raise ValueError(f"the status line is {first[:60]!r}")
        status = int(found[1])
        if status >= _FINAL or status == _SWITCHING:
            self.status = status
            self._frame(status, fields)
        return True

    def _frame(self, status: int, fields: list[bytes]) -> None:
        """Learn how long the body is (RFC 9112 6.3)."""
        lengths: set[bytes] = set()
        codings: list[bytes] = []
        for line in fields:
            field = _FIELD.fullmatch(line.rstrip(b"\r"))
            if field is None:
                raise ValueError(f"a header field is {line[:60]!r}")
            match field[1].lower():
                case b"content-length":
                    lengths.update(each.strip(b" \t") for each in field[2].split(b","))
                case b"transfer-encoding":
                    codings += [each.strip(b" \t").lower() for each in field[2].split(b",")]
        if status in (_SWITCHING, _NO_CONTENT, _NOT_MODIFIED):
            self.complete = True
        elif codings:
            self._chunked = codings[-1] == b"chunked"
            self._left = 0 if self._chunked else None
        elif not lengths:
            self._left = None
        else:
            length = lengths.pop()
            if lengths or not length.isdigit() or len(length) > _DIGITS_MAX:
                raise ValueError("the content-length is not one whole number")
            self._left = int(length)

    def _chunk(self) -> bool:
        """Read a chunk's size, some of its data, its end or a trailer; False if more must come."""
        if self._left:
            return self._take(len(self._waiting)) > 0
        line = self._line()
        if line is None:
            return False
        if self._last:
            self.complete = not line
        elif self._in_chunk:
            if line:
                raise ValueError(f"a chunk ends with {line[:60]!r}")
            self._in_chunk = False
        else:
            found = _CHUNK.fullmatch(line)
            if found is None:
                raise ValueError(f"a chunk's size is {line[:60]!r}")
            self._left = int(found[1], 16)
            self._last = not self._left
            self._in_chunk = not self._last
        return True

    def _line(self) -> bytes | None:
        """Return the next line without its end, if it is there."""
        end = self._waiting.find(b"\n", 0, LINE_MAX_BYTES)
        if end < 0:
            if len(self._waiting) >= LINE_MAX_BYTES:
                raise ValueError(f"a chunk's line is longer than {LINE_MAX_BYTES} bytes")
            return None
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 1]
        return line.rstrip(b"\r")

    def _take(self, size: int) -> int:
        """Move so many octets, or what is left of the part, to the body; return how many."""
        if self._left is not None:
            size = min(size, self._left)
            self._left -= size
        self.body += self._waiting[: min(size, BODY_MAX_BYTES - len(self.body))]
        del self._waiting[:size]
        self.complete = len(self.body) == BODY_MAX_BYTES
        return size
