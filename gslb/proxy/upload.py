"""A request's body on its way: held back, sent on, and held still for another try.

While it is held whole, the request can be sent again.  Once more than *room* octets have come it
streams through, and what was sent is gone.
"""

from __future__ import annotations

from gslb.proxy.chunks import chunk, last
from gslb.proxy.head import CHUNKED, Fields


class Upload:
    """The body of one request; `received` counts its octets, and `is_done` once it is whole."""

    __slots__ = ("_held", "_is_chunked", "_room", "_trailers", "is_done", "is_whole", "received")

    def __init__(self, room: int, *, is_done: bool) -> None:
        self._held: list[bytes] = []
        self._room = room
        self._trailers: Fields = []
        self._is_chunked = False
        self.received = 0
        self.is_done = is_done
        self.is_whole = True  # all that came is held still

    @property
    def is_full(self) -> bool:
        """Whether as much is held as should be."""
        return self.received >= self._room

    def add(self, octets: bytes) -> None:
        """Hold a part that came before a member was there to take it."""
        self.received += len(octets)
        self._held.append(octets)

    def end(self, trailers: Fields) -> None:
        """Take in that it is whole."""
        self.is_done = True
        self._trailers = trailers

    def length(self, told: int) -> int:
        """Return the length as the next reader is told, where the client told *told*."""
        if self.is_done and self.is_whole and not self._trailers:
            told = self.received
        self._is_chunked = told == CHUNKED
        return told

    def begun(self) -> bytes:
        """Return what is to be sent at once, as it is framed on its way; `length` comes first."""
        held = self._held
        if self._is_chunked:
            held = [chunk(part) for part in held if part]
            if self.is_done:
                held.append(last(self._trailers))
        sent = held[0] if len(held) == 1 else b"".join(held)
        if self.received > self._room:
            self.drop()
        return sent

    def passing(self, octets: bytes) -> bytes:
        """Return a part that came after `begun` as it is framed on its way."""
        self.received += len(octets)
        if self.is_whole:
            if self.received <= self._room:
                self._held.append(octets)
            else:
                self.drop()
        return chunk(octets) if self._is_chunked else octets

    def ending(self) -> bytes:
        """Return what ends it on its way, after `end`."""
        return last(self._trailers) if self._is_chunked else b""

    def drop(self) -> None:
        """Hold nothing any longer."""
        self.is_whole = False
        self._held = []
