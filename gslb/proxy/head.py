"""Heads of HTTP/1 messages: read strictly, with what they say of the body behind them (RFC 9112).

llhttp, by httptools, reads what stands up to the empty line, and refuses a bare CR or LF, a folded
line, white space before a colon, NUL, two lengths, a length beside a transfer coding.  What it lets
pass, and two readers could take differently, is refused here: spaces in the request line, codings
other than ``chunked``, a coding in HTTP/1.0, no Host or several, targets that are no path.

A head is given to the reader whole, and never anything behind it: so where a message ends is
decided here alone, and the octets of a body pass without being looked at.

Fields keep their order; their names are lower case.  What is for this connection alone (RFC 9110
7.6.1) is not among those that are passed on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import httptools

from gslb.errors import MessageError

CHUNKED: Final = -1  # of a length: the body is cut into chunks
UNTIL_CLOSE: Final = -2  # of a length: the body ends with the connection
LENGTH_MAX: Final = 2**62
LENGTH_DIGITS_MAX: Final = 64

Fields = list[tuple[bytes, bytes]]

# What is for one connection alone, and what is put together anew.
_HERE_ALONE: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"content_length",  # which CGI takes for the same
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy",  # which CGI takes for a variable of its own (httpoxy)
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"transfer_encoding",
        b"upgrade",
    )
)
_HOST: Final = re.compile(rb"([A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_DOTS: Final = re.compile(rb"(?:/|%2f)(?:\.|%2e){1,2}(?:/|%2f|$)", re.IGNORECASE)
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} ")
_KEEP_ALIVE: Final = frozenset((b"keep-alive",))
_CRLFS: Final = b"\r\n"


class RequestHead:
    """The head of a request.

    `target` is a path with a query, or ``*``; `authority` is the Host as it is passed on, and
    `host` its name in lower case without the port.  `minor` is that of HTTP/1, and 2 for HTTP/2.
    `fields` are all that were sent, `passing` those that go on.  `length` is that of the body in
    octets, or `CHUNKED`.  `upgrade` is the protocol that the client would change to, if it is one
    that is passed through.  `accepts_trailers` says that the client can read trailers.
    """

    __slots__ = (
        "accepts_trailers",
        "authority",
        "expects_continue",
        "fields",
        "host",
        "keep_alive",
        "length",
        "method",
        "minor",
        "passing",
        "target",
        "upgrade",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.minor = 1
        self.fields: Fields = []
        self.passing: Fields = []
        self.authority = b""
        self.host = b""
        self.length = 0
        self.keep_alive = True
        self.expects_continue = False
        self.accepts_trailers = False
        self.upgrade: bytes | None = None


class ResponseHead:
    """The head of a response; `passing` are the fields that go on, `length` may be UNTIL_CLOSE."""

    __slots__ = (
        "fields",
        "keep_alive",
        "length",
        "minor",
        "passing",
        "reason",
        "status",
        "upgrade",
    )

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.minor = 1
        self.fields: Fields = []
        self.passing: Fields = []
        self.length = UNTIL_CLOSE
        self.keep_alive = True
        self.upgrade: bytes | None = None


class RequestReader:
    """Reads the heads of one connection's requests; at most *fields_max* fields in each."""

    __slots__ = ("_fields", "_fields_max", "_parser", "_target")

    def __init__(self, fields_max: int) -> None:
        self._fields_max = fields_max
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
        if len(fields) > self._fields_max:
            raise MessageError(f"more than {self._fields_max} fields", 431)
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
        _sort_request_fields(head)
        if head.length or head.upgrade:
            self._parser = None  # it waits for a body, which it is not given
        return head


class ResponseReader:
    """Reads the heads of one connection's responses.

    The parser waits for the body behind a head.  Where that is here whole it is given to it, which
    costs less than a new parser; else the next head gets a new one.
    """

    __slots__ = ("_fields", "_parser", "_reason", "_waiting")

    def __init__(self) -> None:
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
        _sort_response_fields(head, method)
        self._waiting = parser if head.keep_alive and head.length > 0 else None
        return head


def _refused(octets: bytes, error: httptools.HttpParserError) -> MessageError:
    """Return what is answered for a head that llhttp refuses."""
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(octets):
        return MessageError("an unknown method", 501)
    if "version" in str(error).lower():
        return MessageError("a version other than HTTP/1.0 and 1.1", 505)
    return MessageError(f"a request that is none: {error}")


def _sort_request_fields(head: RequestHead) -> None:
    """Read the fields that are for this connection or the body, and take them out of the others."""
    passing = head.passing
    options: bytes | None = None
    hosts = 0
    upgrade = None
    for pair in head.fields:
        name = pair[0]
        if name not in _HERE_ALONE:
            passing.append(pair)
        elif name == b"host":
            hosts += 1
            head.authority = pair[1].strip(b" \t")
        elif name == b"content-length":
            head.length = _length(pair[1], 400)
        elif name == b"transfer-encoding":
            _check_coding(head, pair[1])
        elif name == b"connection":
            options = pair[1] if options is None else options + b"," + pair[1]
        elif name == b"expect":
            if pair[1].strip(b" \t").lower() != b"100-continue":
                raise MessageError("an expectation other than 100-continue", 417)
            head.expects_continue = head.minor == 1
        elif name == b"upgrade":
            upgrade = pair[1].strip(b" \t").lower()
        elif name == b"te":
            head.accepts_trailers = b"trailers" in pair[1].lower()
    if hosts > 1 or (not hosts and head.minor):
        raise MessageError("no Host, or several")
    _check_target(head)
    if options is not None:
        named = _options(options)
        _drop_named(head, named)
        if b"close" in named:
            head.keep_alive = False
        elif b"keep-alive" in named:
            head.keep_alive = True
        if upgrade == b"websocket" and b"upgrade" in named and not head.length and head.minor:
            head.upgrade = upgrade


def _check_coding(head: RequestHead, value: bytes) -> None:
    if not head.minor:
        raise MessageError("a transfer coding in HTTP/1.0")
    if head.length == CHUNKED or value.strip(b" \t").lower() != b"chunked":
        raise MessageError("a transfer coding other than chunked", 501)
    head.length = CHUNKED


def _check_target(head: RequestHead) -> None:
    """See that the target is a path, and the authority one; of a whole URL make both."""
    target = head.target
    if not target.startswith(b"/"):
        if (found := _ABSOLUTE.fullmatch(target)) is not None:
            # RFC 9112 3.2.2: whatever the Host was.
            head.authority, rest = found.groups()
            head.target = target = rest if rest.startswith(b"/") else b"/" + rest
        elif target != b"*" or head.method != b"OPTIONS":
            raise MessageError("a target that is neither a path nor a URL")
    if b"#" in target:
        raise MessageError("a target with a fragment")
    if (b"/." in target or b"%" in target) and _DOTS.search(target.partition(b"?")[0]):
        raise MessageError("a path with dot segments, which two readers could take differently")
    if head.authority:
        head.host = _host_of(head.authority)
    elif head.minor:
        raise MessageError("an empty Host")


def _sort_response_fields(head: ResponseHead, method: bytes) -> None:
    passing = head.passing
    options: bytes | None = None
    upgrade = None
    length: int | None = None
    for pair in head.fields:
        name = pair[0]
        if name not in _HERE_ALONE:
            passing.append(pair)
        elif name == b"content-length":
            length = _length(pair[1], 502)
        elif name == b"transfer-encoding":
            if length == CHUNKED or pair[1].strip(b" \t").lower() != b"chunked" or not head.minor:
                raise MessageError("a response with a coding other than chunked", 502)
            length = CHUNKED
        elif name == b"connection":
            options = pair[1] if options is None else options + b"," + pair[1]
        elif name == b"upgrade":
            upgrade = pair[1]
        elif name == b"proxy-authenticate":
            passing.append(pair)
    if options is not None:
        named = _options(options)
        if named == _KEEP_ALIVE:
            head.keep_alive = True
        else:
            _drop_named(head, named)
            head.keep_alive = b"close" not in named and (bool(head.minor) or b"keep-alive" in named)
    status = head.status
    if status == 101:
        head.upgrade = upgrade
        head.length = 0
    elif method == b"HEAD" or status < 200 or status in (204, 304):
        head.length = 0
        if length is not None and length >= 0 and status != 204 and status >= 200:
            passing.append((b"content-length", b"%d" % length))
    elif length is not None:
        head.length = length
    else:
        head.length = UNTIL_CLOSE
        head.keep_alive = False


def _length(value: bytes, status: int) -> int:
    # llhttp has seen to it that these are digits, with white space around them at most.
    if len(value) > LENGTH_DIGITS_MAX or (length := int(value)) > LENGTH_MAX:
        raise MessageError("a length beyond all measure", status)
    return length


@lru_cache(256)
def _options(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip(b" \t") for option in value.lower().split(b","))


@lru_cache(1024)
def _host_of(authority: bytes) -> bytes:
    """Return the host of an authority, in lower case without its port; raises MessageError."""
    if (found := _HOST.fullmatch(authority)) is None:
        raise MessageError("a Host that is none")
    return found[1].lower()


def _drop_named(head: RequestHead | ResponseHead, named: frozenset[bytes]) -> None:
    """Take out the fields that Connection names: they were for this connection (RFC 9110 7.6.1).

    Those that protect it or name its client stay: a client could have them taken out behind a hop.
    """
    others = named - {b"close", b"keep-alive", b"upgrade", b"te", b""} - _KEPT
    if others:
        head.passing[:] = [pair for pair in head.passing if pair[0] not in others]


_KEPT: Final = frozenset(
    b"authorization cookie forwarded set-cookie content-type content-encoding cache-control"
    b" x-forwarded-for x-forwarded-proto x-forwarded-host x-gslb-hops x-request-id"
    b" traceparent".split()
)
