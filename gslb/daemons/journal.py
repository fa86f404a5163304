"""The access log: one line of JSON for each request, written a batch at a time.

Lines are put together when a request is over, and written by the sweep, so that a request costs no
system call.  A file is opened to be appended to, and opened anew at each reload: whoever moves it
away (logrotate) tells by SIGHUP.

Requests never wait for it.  What a pipe has no room for is held, up to a bound, and what is beyond,
or cannot be written at all, is dropped and counted: neither a full disk nor a reader that stopped
may stop requests.  A line that was written in part is finished before any other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from gslb.daemons.outlet import Outlet
from gslb.daemons.passing import Passing
from gslb.proxy.accesslog import AccessLog, Entry
from gslb.proxy.desk import Refusal
from gslb.proxy.exchange import Exchange

BATCH: Final = 65_536  # octets of lines that are held before they are written at once
AGAIN: Final = 16_384  # octets that come until room is looked for again
HELD_MAX: Final = 1 << 20  # octets of lines that are held while nobody reads them
LAST_S: Final = 2.0  # how long a reader is given at the end
LAST_TRIES: Final = 400  # a pipe may have room for little, and it is looked for that often

T = TypeVar("T")


class Journal:
    """Writes what happened; *clock* is that of exchanges, *wall* is seconds since 1970.

    `dropped` counts lines that could not be written.
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._outlet: Outlet | None = None
        self._lines: deque[bytes] = deque()
        self._rest = b""  # of what was given to the outlet last
        self._is_cut = False  # whether that begins within a line
        self._held = 0
        self._write_at = BATCH
        self._show: Callable[[Entry], bytes] = AccessLog().line
        self.dropped = 0

    def open(self, where: str | None, show: Callable[[Entry], bytes]) -> None:
        """Write to the file *where*, ``stdout``, or nowhere, from now on; raises OSError.

        *show* makes lines of entries.
        """
        fresh = None if where is None else Outlet(where)
        self._show = show
        if fresh is not None and self._outlet is not None and fresh.is_same(self._outlet):
            fresh.close()  # what waits for room there goes on waiting
            return
        self.close()
        self._outlet = fresh

    def note(self, exchange: Exchange) -> None:
        """Note that an exchange is over."""
        self._note(_entry, exchange)

    def note_refused(self, refusal: Refusal) -> None:
        """Note that something came that was no request."""
        self._note(_refused, refusal)

    def note_passed(self, passing: Passing) -> None:
        """Note that a connection in tcp mode is over."""
        self._note(_passed, passing)

    def _note(self, entry_of: Callable[[T, float, float], Entry], what: T) -> None:
        if self._outlet is None:
            return
        if self._held >= HELD_MAX:
            self.dropped += 1
            return
        line = self._show(entry_of(what, self._clock(), self._wall()))
        self._lines.append(line)
        self._held += len(line)
        if self._held >= self._write_at:
            self.flush()

    def flush(self) -> None:
        """Write what is held, as far as there is room."""
        outlet = self._outlet
        if outlet is None or not self._held:
            return
        if outlet.claim():
            try:
                self._write(outlet)
            except BlockingIOError:
                pass
            except OSError:
                self._drop(keeps_cut=True)
            if not self._is_cut:
                outlet.release()
        self._write_at = max(BATCH, self._held + AGAIN) if self._held else BATCH

    def _write(self, outlet: Outlet) -> None:
        while self._held:
            piece = self._rest = self._rest or self._piece(outlet.piece_max)
            count = outlet.write(piece)
            self._rest = piece[count:]
            self._held -= count
            if count:
                self._is_cut = not piece.endswith(b"\n", 0, count)

    def _piece(self, most: int | None) -> bytes:
        """Take whole lines, of *most* octets together or else one."""
        lines = self._lines
        taken = [lines.popleft()]
        size = len(taken[0])
        while lines and (most is None or size + len(lines[0]) <= most):
            size += len(lines[0])
            taken.append(lines.popleft())
        return b"".join(taken)

    def _drop(self, *, keeps_cut: bool = False) -> None:
        """Drop what is held, but perhaps the end of a line whose beginning was written."""
        rest = self._rest
        kept = rest[: rest.index(b"\n") + 1] if self._is_cut and keeps_cut else b""
        self.dropped += rest.count(b"\n", len(kept)) + len(self._lines)
        self._lines.clear()
        self._rest, self._held, self._is_cut = kept, len(kept), bool(kept)

    async def finish(self) -> None:
        """Write what is held, if it is taken in a moment, and close."""
        for _ in range(LAST_TRIES):
            self.flush()
            if not self._held:
                break
            await asyncio.sleep(LAST_S / LAST_TRIES)
        self.close()

    def close(self) -> None:
        """Write what there is room for, and close."""
        self.flush()
        self._drop()
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None


def _refused(refusal: Refusal, _: float, wall_s: float) -> Entry:
    peer, tls, http, error = refusal
    return Entry(wall_s, peer.text, status=error.status, tls=tls, http=http, error=str(error))


def _passed(passing: Passing, now_s: float, wall_s: float) -> Entry:
    target, lasted_s = passing.target, now_s - passing.began_s
    connecting_s = passing.connected_s - passing.asked_s
    return Entry(
        wall_s - lasted_s,
        str(passing.client),
        bytes_in=passing.bytes_in,
        bytes_out=passing.bytes_out,
        service=passing.route.service,
        member=None if target is None else target.name,
        region=None if target is None else target.region,
        tries=passing.tries,
        duration_ms=lasted_s * 1000,
        connect_ms=None if target is None else connecting_s * 1000,
        http="tcp",
        error=passing.error,
    )


def _entry(exchange: Exchange, now_s: float, wall_s: float) -> Entry:
    head, passage, member, upload = (
        exchange.head,
        exchange.passage,
        exchange.member,
        exchange.upload,
    )
    began_s, connected_s = exchange.began_s, exchange.connected_s
    agent = referer = None
    for name, value in head.fields:
        if name == b"user-agent":
            agent = value
        elif name == b"referer":
            referer = value
    return Entry(
        wall_s - (now_s - began_s),
        passage.client_text,
        head.method,
        head.authority,
        head.target,
        exchange.status,
        0 if upload is None else upload.received,
        exchange.sent_out,
        None if exchange.route is None else exchange.route.name,
        None if exchange.service is None else exchange.service.service.text,
        None if member is None else member.name,
        None if member is None else member.region,
        exchange.tries,
        b",".join(passage.hops).decode() if passage.hops else None,
        (now_s - began_s) * 1000,
        (connected_s - exchange.asked_s) * 1000 if exchange.asked_s and connected_s else None,
        (exchange.first_byte_s - began_s) * 1000 if exchange.first_byte_s else None,
        exchange.client.tls,
        exchange.request.version,
        passage.request_id,
        agent,
        referer,
        exchange.why or None,
    )
