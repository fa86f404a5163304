"""Readers of heads: what is plainly right by a cutter, where there is one, and all else by llhttp.

llhttp, by httptools, reads what stands up to the empty line, and refuses a bare CR or LF, a folded
line, white space before a colon, NUL, two lengths, a length beside a transfer coding.  Spaces in
the request line, which it lets pass, are refused here; what the fields mean is read by
`gslb.proxy.head`.

A head is given to the reader whole, and never anything behind it: so where a message ends is
decided here alone, and the octets of a body pass without being looked at.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import httptools

from gslb.errors import MessageError
from gslb.proxy.head import (
    Fields,
    RequestHead,
    ResponseHead,
    sort_request_fields,
    sort_response_fields,
)

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} ")
_CRLFS: Final = b"\r\n"


class Cutter(Protocol):
    """Cuts heads over HTTP/1.1 that nobody could take differently, and declines all others.

    Both methods give what the first line says, then all fields, those of them that are not in
    `gslb.proxy.head.HERE_ALONE`, and those that are, names in lower case; or None.
    """

    def request(self, octets: bytes) -> tuple[bytes, bytes, Fields, Fields, Fields] | None:
        """Return a request's method and target, and its fields."""

    def response(self, octets: bytes) -> tuple[int, bytes, Fields, Fields, Fields] | None:
        """Return a response's status and reason phrase, and its fields."""


class RequestReader:
    """Reads the heads of one connection's requests; at most *fields_max* fields in each."""

    __slots__ = ("_cutter", "_fields", "_fields_max", "_parser", "_target")

    def __init__(self, fields_max: int, cutter: Cutter | None = None) -> None:
        self._fields_max = fields_max
        self._cutter = cutter
        self._fields: Fields = []
        self._target = b""
        self._parser: httptools.HttpRequestParser | None = None

    def on_url(self, target: bytes) -> None:
        """Hear the target from the parser."""
        self._target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Hear a field from the parser."""
        self._fields.append((name.lower(), value))

    def read(self, octets: bytes) -> RequestHead:
        """Return the head that *octets* are, from its first to the end of its empty line.

        Raises MessageError, with 400, 431, 501 or 505.
        """
        if self._cutter is not None and (cut := self._cutter.request(octets)) is not None:
            head = RequestHead()
            head.method, head.target, head.fields, head.passing, rest = cut
            self._check_count(head.fields)
            sort_request_fields(head, rest)
            return head
        return self._parsed(octets)

    def _parsed(self, octets: bytes) -> RequestHead:
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        fields = self._fields = []
        try:
            parser.feed_data(octets)
        except httptools.HttpParserUpgrade:
            self._parser = None
            if parser.get_method() == b"CONNECT":
                raise MessageError("CONNECT: this is no forward proxy", 405) from None
        except httptools.HttpParserError as error:
            self._parser = None
            raise _refused(octets, error) from None
        self._check_count(fields)
        method, target = parser.get_method(), self._target
        # Nothing but one space between the parts, and HTTP/1.0 or 1.1 at the end.
        end = octets.find(_CRLFS)
        if end != len(method) + len(target) + 10:
            raise MessageError("a request line that is not of the form METHOD TARGET HTTP/1.1")
        head = RequestHead()
        head.method, head.target, head.fields = method, target, fields
        if (version := octets[end - 8 : end]) != b"HTTP/1.1":
            if version != b"HTTP/1.0":
                raise MessageError("a version other than HTTP/1.0 and 1.1", 505)
            head.minor, head.keep_alive = 0, False
        sort_request_fields(head, fields)
        if head.length or head.upgrade or _may_end(fields):
            self._parser = None  # it waits for a body, which it is not given, or for the end
        return head

    def _check_count(self, fields: Fields) -> None:
        if len(fields) > self._fields_max:
            raise MessageError(f"more than {self._fields_max} fields", 431)


class ResponseReader:
    """Reads the heads of one connection's responses.

    The parser waits for the body behind a head.  Where that is here whole it is given to it, which
    costs less than a new parser; else the next head gets a new one.
    """

    __slots__ = ("_cutter", "_fields", "_parser", "_reason", "_waiting")

    def __init__(self, cutter: Cutter | None = None) -> None:
        self._cutter = cutter
        self._fields: Fields = []
        self._reason = b""
        self._parser: httptools.HttpResponseParser | None = None
        self._waiting: httptools.HttpResponseParser | None = None

    def on_status(self, reason: bytes) -> None:
        """Hear the reason phrase from the parser."""
        self._reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Hear a field from the parser."""
        self._fields.append((name.lower(), value))

    def skip(self, octets: bytes, length: int) -> None:
        """Let the parser pass by the body of *length* that *octets* begin with."""
        parser = self._waiting
        if parser is not None:
            parser.feed_data(octets if len(octets) == length else octets[:length])
            self._parser = parser

    def read(self, octets: bytes, method: bytes) -> ResponseHead:
        """Return the head that *octets* are, of a response to a request with *method*.

        Raises MessageError, with 502.
        """
        if self._cutter is not None and (cut := self._cutter.response(octets)) is not None:
            self._waiting = None
            head = ResponseHead()
            head.status, head.reason, head.fields, head.passing, rest = cut
            sort_response_fields(head, rest, method)
            return head
        return self._parsed(octets, method)

    def _parsed(self, octets: bytes, method: bytes) -> ResponseHead:
        self._reason = b""
        fields = self._fields = []
        parser, self._parser = self._parser, None
        if parser is None:
            parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(octets)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise MessageError(f"a response that is none: {error}", 502) from None
        head = ResponseHead()
        head.status = status = parser.get_status_code()
        head.fields = fields
        if not _CONTROLS.search(self._reason):
            head.reason = self._reason
        if not octets.startswith(b"HTTP/1.1 "):
            if not octets.startswith(b"HTTP/1.0 "):
                raise MessageError("a response of a version other than HTTP/1.0 and 1.1", 502)
            head.minor, head.keep_alive = 0, False
        if not 100 <= status <= 999:
            raise MessageError(f"a response with status {status}", 502)
        sort_response_fields(head, fields, method)
        is_reused = head.keep_alive and head.length > 0 and not _may_end(fields)
        self._waiting = parser if is_reused else None
        return head


def _may_end(fields: Fields) -> bool:
    """Return whether llhttp may expect no more: it takes Proxy-Connection for Connection."""
    return any(name == b"proxy-connection" for name, _ in fields)


def _refused(octets: bytes, error: httptools.HttpParserError) -> MessageError:
    """Return what is answered for a head that llhttp refuses."""
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(octets):
        return MessageError("an unknown method", 501)
    if "version" in str(error).lower():
        return MessageError("a version other than HTTP/1.0 and 1.1", 505)
    return MessageError(f"a request that is none: {error}")
