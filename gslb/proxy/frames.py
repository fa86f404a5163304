"""HTTP/2 frames as they come in, counted: how long they may be, and how many of a kind (RFC 9113).

The limits stand before the library that reads the frames, and cost it nothing: a frame is judged by
its nine octets of header, before the rest of it has come, and a peer that goes beyond is refused
before anything of what it just sent is acted upon (RFC 9113 10.5; CVE-2019-9511 and its kin,
CVE-2023-44487, CVE-2024-27316).

A peer's GOAWAY is noted and held back: for the library the connection would be over, while the peer
still waits for what it asked for (6.8).
"""

from __future__ import annotations

from typing import Final

from gslb.errors import FrameError

FRAME_MAX: Final = 16_384  # octets of a frame, as SETTINGS_MAX_FRAME_SIZE says unless it is changed
WINDOW_S: Final = 10.0  # counts are for so long

_PREFACE: Final = 24  # octets: the connection preface (3.4), which is no frame
_HEADER: Final = 9
_END_STREAM: Final = 0x1

DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9
_OTHERS: Final = 10  # extensions, which are ignored

# What may come within WINDOW_S, by type; 0 for HEADERS and CONTINUATION, which are not counted.
# DATA are empty ones that end nothing.  Updates of windows grow with what is sent.
MOST: Final = (200, 0, 2000, 200, 50, 10, 500, 10, 2000, 0, 2000)
OCTETS_AN_UPDATE: Final = 1024

PROTOCOL_ERROR: Final = 0x1
FRAME_SIZE_ERROR: Final = 0x6
ENHANCE_YOUR_CALM: Final = 0xB


class FrameCounter:
    """Counts the frames of one connection; *block_max* octets are the most that a head may take.

    `is_leaving` is set once the peer said GOAWAY.
    """

    __slots__ = (
        "_began_s",
        "_block",
        "_block_max",
        "_counts",
        "_held",
        "_hides",
        "_left",
        "_sent",
        "is_leaving",
    )

    def __init__(self, block_max: int) -> None:
        self._block_max = block_max
        self._block = 0
        self._held = b""  # a header that is not whole
        self._left = _PREFACE  # octets of what has begun
        self._hides = False  # whether that is held back
        self._began_s = 0.0
        self._counts = [0] * len(MOST)
        self._sent = 0
        self.is_leaving = False

    def sent(self, size: int) -> None:
        """Take note that *size* octets of bodies were sent."""
        self._sent += size

    def counted(self, kind: int, now_s: float) -> None:
        """Count one frame of this type, or what does as much harm; raises FrameError."""
        if now_s - self._began_s >= WINDOW_S:
            self._began_s = now_s
            self._counts = [0] * len(MOST)
            self._sent = 0
        kind = min(kind, _OTHERS)
        self._counts[kind] += 1
        most = MOST[kind]
        if kind == WINDOW_UPDATE:
            most += self._sent // OCTETS_AN_UPDATE
        if self._counts[kind] > most:
            raise FrameError(
                f"more than {most} frames of type {kind} in {WINDOW_S} s", ENHANCE_YOUR_CALM
            )

    def admit(self, octets: bytes, now_s: float) -> bytes:
        """Return what of *octets*, and of what was held before, is to be read now.

        Raises FrameError for a frame that is too long, or one too many.
        """
        data = self._held + octets if self._held else octets
        self._held = b""
        at, start, size = 0, 0, len(data)
        passed: list[bytes] = []
        while at < size:
            if not self._left:
                if size - at < _HEADER:
                    self._held = data[at:]
                    break
                self._begin(data, at, now_s)
                if self._hides:
                    passed.append(data[start:at])
            step = min(self._left, size - at)
            at += step
            self._left -= step
            if self._hides:
                start = at
                self._hides = self._left > 0
        if not start and at == size:
            return data
        passed.append(data[start:at])
        return b"".join(passed)

    def _begin(self, data: bytes, at: int, now_s: float) -> None:
        """Judge the frame whose header stands in *data* at *at*."""
        length = int.from_bytes(data[at : at + 3], "big")
        kind = data[at + 3]
        if length > FRAME_MAX:
            raise FrameError(f"a frame of {length} octets", FRAME_SIZE_ERROR)
        if kind == DATA:
            if not length and not data[at + 4] & _END_STREAM:
                self.counted(kind, now_s)
        elif kind in (HEADERS, CONTINUATION):
            self._block = length + (self._block if kind == CONTINUATION else 0)
            if self._block > self._block_max:
                raise FrameError(f"a head of more than {self._block_max} octets", ENHANCE_YOUR_CALM)
        else:
            self.counted(kind, now_s)
            if kind == GOAWAY:
                self.is_leaving = self._hides = True
        self._left = _HEADER + length
