"""Rewrites: what a route changes of requests and responses, and where its redirects lead.

What goes on is the target as it came, byte for byte, where no pattern says otherwise.  A pattern is
searched for in the encoded path: as it came where that has no dot segments and no empty ones, else,
or where it is not found there, in the path that the route was chosen by, encoded anew.  So
``/api/../api/x`` cannot lead a rewrite of ``/api/`` out of where it leads.

Nothing that a client sends can end a line: what is filled into a redirect or a path is
percent-encoded where it is no octet of a URL (RFC 3986 2).
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gslb.proxy.request import Fields, Request, normal_path, origin_form
from gslb.tier import Redirect, Rewrite

COMPILED_MAX = 4_096  # rewrites that are remembered in their compiled form

_PATH_SAFE = "/:@!$&'()*+,;=-._~"
_URL_SAFE = "/:@!$&'()*+,;=-._~%?[]"
_HOST_SAFE = ":!$&'()*+,;=-._~%[]"
_HOLES = re.compile(rb"\{(scheme|host|path|query)\}")


class Changes:
    """The fields that are set, and the names of those that go, in requests or in responses."""

    __slots__ = ("_removed", "_set")

    def __init__(self, changed: tuple[tuple[str, str], ...], removed: frozenset[str]) -> None:
        self._set = [(name.lower().encode(), value.encode()) for name, value in changed]
        set_names = (name for name, _ in self._set)
        self._removed = frozenset((*(name.encode() for name in removed), *set_names))

    def of(self, fields: Fields) -> Fields:
        """Return *fields* changed; names are in lower case."""
        removed = self._removed
        return [*(pair for pair in fields if pair[0] not in removed), *self._set]

    def of_those(self, fields: Fields) -> Fields:
        """Return *fields* changed, without what is set where nothing of that name was."""
        names = {name for name, _ in fields}
        return [
            *(pair for pair in fields if pair[0] not in self._removed),
            *(pair for pair in self._set if pair[0] in names),
        ]


def request(rewrite: Rewrite, target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """Return the target and the fields of a request as they go to a member."""
    changes, _, pattern = _compiled(rewrite)
    if pattern is not None:
        target = _rewritten(target, pattern, rewrite.path_to)
    return target, changes.of(fields)


def response(rewrite: Rewrite, fields: Fields) -> Fields:
    """Return the fields of a response as they go to the client."""
    return _compiled(rewrite)[1].of(fields)


def interim(rewrite: Rewrite, fields: Fields) -> Fields:
    """Return the fields of an interim response (1xx) as they go to the client.

    What the route hides or replaces does not come by it either; what is added to every response
    comes with the last one, whose header it is meant for.
    """
    return _compiled(rewrite)[1].of_those(fields)


def location(redirect: Redirect, request: Request) -> bytes:
    """Return where *redirect* leads *request*: the value of a Location field (RFC 9110 10.2.2)."""
    raw, mark, query = origin_form(request.target).partition(b"?")
    filled = {
        b"scheme": request.scheme.encode(),
        b"host": _quoted(request.host, _HOST_SAFE),
        b"path": _quoted(raw if raw[:1] == b"/" else b"/", _URL_SAFE),
        b"query": _quoted(mark + query, _URL_SAFE),
    }
    return _HOLES.sub(lambda hole: filled[hole[1]], redirect.to.encode())


@lru_cache(COMPILED_MAX)
def _compiled(rewrite: Rewrite) -> tuple[Changes, Changes, re.Pattern[str] | None]:
    pattern = rewrite.path_pattern
    return (
        Changes(rewrite.set, rewrite.remove),
        Changes(rewrite.response_set, rewrite.response_remove),
        None if pattern is None else re.compile(pattern),
    )


def _rewritten(target: bytes, pattern: re.Pattern[str], template: str) -> bytes:
    whole = origin_form(target)
    if whole[:1] != b"/":
        return target
    raw, mark, query = whole.partition(b"?")
    normal = normal_path(raw)
    again = quote_from_bytes(normal, _PATH_SAFE)
    is_plain = unquote_to_bytes(raw) == normal
    for path in (raw.decode("latin-1"), again) if is_plain else (again,):
        if pattern.search(path) is not None:
            return _joined(pattern.sub(template, path, count=1), mark + query)
    return target


def _joined(path: str, query: bytes) -> bytes:
    """Return a target of a rewritten path, which may have brought a query of its own."""
    made = b"/" + _quoted(path.encode("latin-1"), _URL_SAFE).lstrip(b"/")
    return made + (b"&" + query[1:] if query and b"?" in made else query)


def _quoted(octets: bytes, safe: str) -> bytes:
    return quote_from_bytes(octets, safe).encode()
