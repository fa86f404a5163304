"""Splits: to which of several services a request goes, by weight, and by what a cookie remembers.

A cookie names no service: its value stands for one, so that nobody reads off it what is tried out.
A client whose part is there no more, or has no weight left, is given another by chance.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from itertools import accumulate

from gslb.proxy.affinity import set_cookie
from gslb.proxy.request import Request
from gslb.tier import Forward

TOKEN_BYTES = 6
STICKY_S = 30 * 86_400

Cookie = tuple[str, bytes]  # its name, and the value of the Set-Cookie field


class Split:
    """The parts of one split, of which those without weight get nothing."""

    __slots__ = ("_name", "_names", "_services", "_sticky", "_total", "_upto")

    def __init__(self, forward: Forward) -> None:
        parts = [(name, weight) for name, weight in forward.parts if weight]
        assert parts, "a split has weight"
        self._sticky = forward.sticky
        self._name = (forward.sticky or "").encode()
        self._names = tuple(name for name, _ in parts)
        self._upto = tuple(accumulate(weight for _, weight in parts))
        self._total = self._upto[-1]
        self._services = {token_of(name).encode(): name for name in self._names}

    def choose(self, request: Request, draw: float) -> tuple[str, Cookie | None]:
        """Return the service that *request* goes to, and the cookie that is set to remember it.

        That is the one that its cookie stands for, or else the one that owns *draw*, which is from
        0 to below 1.
        """
        if self._sticky is not None:
            for value in request.cookies(self._name):
                if (kept := self._services.get(value)) is not None:
                    return kept, None
        found = self._names[bisect_right(self._upto, int(draw * self._total))]
        if self._sticky is None:
            return found, None
        secure = request.scheme == "https"
        text = set_cookie(self._sticky, token_of(found), STICKY_S, secure=secure)
        return found, (self._sticky, text.encode())


def token_of(service: str) -> str:
    """Return what stands for a service in cookies."""
    return blake2b(b"gslb split\0" + service.encode(), digest_size=TOKEN_BYTES).hexdigest()
