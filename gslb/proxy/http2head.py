"""Heads and trailers of HTTP/2 requests, read by the readers of HTTP/1 (RFC 9113 8.2, 8.3).

A request is put down as a head of HTTP/1.1 and read as one, so that whatever is refused there is
refused here, and nothing can be one request here and two to a member.  What such a head could not
hold, or would hold as something else, is refused before: control characters, names that are no
tokens or in upper case, fields of a connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gslb.errors import MessageError
from gslb.proxy.chunks import ChunkReader
from gslb.proxy.head import Fields, RequestHead
from gslb.proxy.headreader import RequestReader

# Fields of a connection, which HTTP/2 has none of (RFC 9113 8.2.2).
FORBIDDEN: Final = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    )
)
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_CONTROL: Final = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Decoded = Iterable[tuple[bytes, bytes]]


class Http2HeadReader:
    """Reads heads of up to *head_max* octets as HTTP/1 has them, and of *fields_max* fields."""

    __slots__ = ("_head_max", "_reader")

    def __init__(self, head_max: int, fields_max: int) -> None:
        self._head_max = head_max
        self._reader = RequestReader(fields_max)

    def read(self, fields: Decoded, *, is_whole: bool) -> RequestHead | None:
        """Return the head that decoded *fields* are, its `minor` 2; None if they are malformed.

        *is_whole* says that no body follows.  Raises MessageError for what is well-formed, and is
        to be answered with an error.
        """
        text = _text(fields, is_whole)
        if text is None:
            return None
        if len(text) > self._head_max:
            raise MessageError(f"a head of more than {self._head_max} octets", 431)
        head = self._reader.read(text)
        if is_whole and head.length:
            return None
        head.minor = 2
        return head


def read_trailers(fields: Decoded) -> Fields | None:
    """Return what of trailers is passed on; None if they are malformed."""
    lines = [b"0\r\n"]
    for name, value in fields:
        if not _is_name(name) or not _is_value(value):
            return None
        lines.append(b"%b: %b\r\n" % (name, value))
    reader = ChunkReader()
    try:
        reader.feed(b"".join(lines) + b"\r\n")
    except MessageError:
        return None
    return reader.trailers


def _text(fields: Decoded, is_whole: bool) -> bytes | None:
    """Return a request as a head of HTTP/1.1; None if it is malformed."""
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    cookies: list[bytes] = []
    has_length = False
    for name, value in fields:
        if not _is_value(value):
            return None
        if name[:1] == b":":
            # Before all fields, and once each; a Host counts among them below.
            if lines or cookies or b"host" in pseudo or name in pseudo or name not in _PSEUDO:
                return None
            pseudo[name] = value
        elif name == b"cookie":
            cookies.append(value)
        elif name == b"host":
            if name in pseudo:
                return None
            pseudo[name] = value
        else:
            if not _is_name(name) or (name == b"te" and value.lower() != b"trailers"):
                return None
            has_length = has_length or name == b"content-length"
            lines.append(b"%b: %b\r\n" % (name, value))
    start = _start(pseudo)
    if start is None:
        return None
    if cookies:
        lines.append(b"cookie: %b\r\n" % b"; ".join(cookies))  # 8.2.3
    if not is_whole and not has_length:
        lines.append(b"transfer-encoding: chunked\r\n")
    return b"%b%b\r\n" % (start, b"".join(lines))


def _start(pseudo: dict[bytes, bytes]) -> bytes | None:
    """Return the request line with its Host (8.3.1)."""
    method = pseudo.get(b":method", b"")
    if method == b"CONNECT":
        raise MessageError("CONNECT: this is no forward proxy", 405)
    path = pseudo.get(b":path", b"")
    is_path = path[:1] == b"/" or (path == b"*" and method == b"OPTIONS")
    if not is_path or b":scheme" not in pseudo or not _METHOD.fullmatch(method):
        return None
    host = pseudo.get(b"host")
    authority = pseudo.get(b":authority", host)
    if authority is None or (host is not None and host != authority):
        return None
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, path, authority)


def _is_name(name: bytes) -> bool:
    return name not in FORBIDDEN and _NAME.fullmatch(name) is not None


def _is_value(value: bytes) -> bool:
    return _CONTROL.search(value) is None and value.strip(b" \t") == value
