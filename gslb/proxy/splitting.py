"""Splits: to which of several services a request goes, by weight, and by what a cookie remembers.

A cookie names no service: its value stands for one, so that nobody reads off it what is tried out.
With a key it is made and read like those of `gslb.proxy.affinity`, so that nobody without the key
chooses a part by it, and what is of another split's cookie is nothing here.  Without, it is a plain
hash.  A client whose part is there no more, or has no weight left, or whose cookie is not ours, is
given one by chance.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from itertools import accumulate

from gslb.proxy import affinity
from gslb.proxy.request import Request
from gslb.tier import Forward

TOKEN_BYTES = 6
STICKY_S = 30 * 86_400

Cookie = tuple[str, bytes]  # its name, and the value of the Set-Cookie field


class Split:
    """The parts of one split, of which those without weight get nothing."""

    __slots__ = ("_key", "_name", "_names", "_services", "_sticky", "_total", "_upto")

    def __init__(self, forward: Forward) -> None:
        parts = [(name, weight) for name, weight in forward.parts if weight]
        assert parts, "a split has weight"
        self._sticky = sticky = forward.sticky
        self._key = key = forward.key
        self._name = (sticky or "").encode()
        self._names = tuple(name for name, _ in parts)
        self._upto = tuple(accumulate(weight for _, weight in parts))
        self._total = self._upto[-1]
        self._services = {
            affinity.tag(key, part_of(sticky or "", name)) if key else token_of(name).encode(): name
            for name in self._names
        }

    def choose(self, request: Request, draw: float, now_s: float) -> tuple[str, Cookie | None]:
        """Return the service that *request* goes to, and the cookie that is set to remember it.

        That is the one that its cookie stands for, or else the one that owns *draw*, which is from
        0 to below 1.  *now_s* is since 1970.
        """
        if self._sticky is not None and (kept := self._kept(request, now_s)) is not None:
            return kept, None
        found = self._names[bisect_right(self._upto, int(draw * self._total))]
        if self._sticky is None:
            return found, None
        secure = request.scheme == "https"
        value = self._value(self._sticky, found, now_s)
        text = affinity.set_cookie(self._sticky, value, STICKY_S, secure=secure)
        return found, (self._sticky, text.encode())

    def _kept(self, request: Request, now_s: float) -> str | None:
        """Return the service that a cookie of *request* stands for, if one does."""
        for value in request.cookies(self._name):
            token = value
            if self._key:
                pin = affinity.read(self._key, value, now_s)
                token = b"" if pin is None else pin.tag
            if (kept := self._services.get(token)) is not None:
                return kept
        return None

    def _value(self, sticky: str, service: str, now_s: float) -> str:
        if self._key:
            return affinity.make(self._key, part_of(sticky, service), now_s + STICKY_S)
        return token_of(service)


def token_of(service: str) -> str:
    """Return what stands for a service in cookies that are not signed."""
    return blake2b(b"gslb split\0" + service.encode(), digest_size=TOKEN_BYTES).hexdigest()


def part_of(sticky: str, service: str) -> str:
    """Return the name by which a service is signed; no member and no other cookie's part has it."""
    return f"split {sticky} {service}"
