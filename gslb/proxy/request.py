"""One request as rules see it: its head, with path, query and cookies decoded when asked for.

What is compared with rules is never the raw target.  The path is percent-decoded once, its dot
segments are removed and its empty segments merged (RFC 3986 6.2.2), so that ``/a/../admin``,
``/%61dmin`` and ``//admin`` are all ``/admin``: whoever denies one has denied the others.  What is
sent on is the target as it came.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from gslb.model import Address

Fields = list[tuple[bytes, bytes]]

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

_PERCENT, _SLASH = b"%/"


class Request:
    """The head of one request.

    `target` is in origin-form, absolute-form or ``*`` (RFC 9112 3.2), never empty.  Names in
    `fields` are in lower case.  `host` is in lower case without a port, from the target or else the
    Host field.  `scheme` is what the client spoke, ``http`` or ``https``, and `client` who it was,
    both past trusted proxies.  `version` is such as ``1.1``.
    """

    __slots__ = (
        "_cookies",
        "_parameters",
        "_path",
        "_query",
        "client",
        "fields",
        "host",
        "method",
        "scheme",
        "target",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        version: str,
        fields: Fields,
        host: bytes,
        scheme: str,
        client: Address,
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.host = host
        self.scheme = scheme
        self.client = client
        self._path: bytes | None = None
        self._query: bytes | None = None
        self._parameters: Fields | None = None
        self._cookies: Fields | None = None

    @property
    def path(self) -> bytes:
        """The path that rules are compared with: decoded, without dot and empty segments."""
        path = self._path
        if path is None:
            target = self.target
            if target[0] != _SLASH:
                target = origin_form(target)
            path, _, self._query = target.partition(b"?")
            # Asking for octets in octets by `in` would cost as much as all else here.
            if _PERCENT in path or path.find(b"//") >= 0 or path.find(b"/.") >= 0:
                path = normal_path(path)
            self._path = path
        return path

    @property
    def query(self) -> bytes:
        """The query as it came, without the question mark."""
        if self._query is None:
            self._query = origin_form(self.target).partition(b"?")[2]
        return self._query

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the first field of this lower-case name."""
        for each, value in self.fields:
            if each == name:
                return value
        return None

    def headers(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of this lower-case name."""
        return [value for each, value in self.fields if each == name]

    def cookie(self, name: bytes) -> bytes | None:
        """Return the value of the first cookie of this name."""
        return next(iter(self.cookies(name)), None)

    def cookies(self, name: bytes) -> list[bytes]:
        """Return the values of all cookies of this name (RFC 6265 5.4)."""
        if (found := self._cookies) is None:
            found = self._cookies = _cookies(self.headers(b"cookie"))
        return [value for each, value in found if each == name]

    def parameters(self, name: bytes) -> list[bytes]:
        """Return the decoded values of all parameters of this name in the query."""
        if (found := self._parameters) is None:
            found = self._parameters = _parameters(self.query)
        return [value for each, value in found if each == name]


def origin_form(target: bytes) -> bytes:
    """Return a target's path and query as they came; ``*`` and authorities are returned whole.

    A target in absolute-form without a path has the path ``/`` (RFC 9112 3.2.1).
    """
    if target[:1] == b"/":
        return target
    scheme, found, rest = target.partition(b"://")
    if not found or b"/" in scheme or b"?" in scheme:
        return target
    for index, octet in enumerate(rest):
        if octet == 0x2F:
            return rest[index:]
        if octet == 0x3F:
            return b"/" + rest[index:]
    return b"/"


def normal_path(raw: bytes) -> bytes:
    """Return a path percent-decoded once, without dot segments and empty ones (RFC 3986 5.2.4)."""
    raw = unquote_to_bytes(raw)
    kept: list[bytes] = []
    segments = raw.split(b"/")
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    last = segments[-1]
    ends = b"/" if kept and last in (b"", b".", b"..") else b""
    return b"/" + b"/".join(kept) + ends


def _cookies(lines: list[bytes]) -> Fields:
    found = []
    for line in lines:
        for pair in line.split(b";"):
            name, equals, value = pair.partition(b"=")
            if equals:
                found.append((name.strip(b" \t"), value.strip(b' \t"')))
    return found


def _parameters(query: bytes) -> Fields:
    found = []
    for pair in query.split(b"&"):
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            found.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return found
