"""Heads of HTTP/1 messages, and what they say of the body behind them (RFC 9112).

`gslb.proxy.headreader` reads them.  What its parser lets pass, and two readers could take
differently, is refused here: codings other than ``chunked``, a coding in HTTP/1.0, no Host or
several, targets that are no path.

Fields keep their order; their names are lower case.  What is for this connection alone (RFC 9110
7.6.1) is not among those that are passed on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from gslb.errors import MessageError

CHUNKED: Final = -1  # of a length: the body is cut into chunks
UNTIL_CLOSE: Final = -2  # of a length: the body ends with the connection
LENGTH_MAX: Final = 2**62
LENGTH_DIGITS_MAX: Final = 64

Fields = list[tuple[bytes, bytes]]

# What is for one connection alone, and what is put together anew.
HERE_ALONE: Final = frozenset(
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
_KEEP_ALIVE: Final = frozenset((b"keep-alive",))


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


def sort_request_fields(head: RequestHead, fields: Fields) -> None:
    """Read of *fields* those that are for this connection or the body, and pass on the others.

    Raises MessageError.
    """
    passing = head.passing
    options: bytes | None = None
    hosts = 0
    upgrade = None
    for pair in fields:
        name = pair[0]
        if name not in HERE_ALONE:
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


def sort_response_fields(head: ResponseHead, fields: Fields, method: bytes) -> None:
    """Do the same with those of the response to a request with *method*."""
    passing = head.passing
    options: bytes | None = None
    upgrade = None
    length: int | None = None
    for pair in fields:
        name = pair[0]
        if name not in HERE_ALONE:
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
