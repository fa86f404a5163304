"""The access log: one line of JSON for each request, written a batch at a time.

Lines are put together when a request is over, and written by the sweep, so that a request costs no
system call.  A file is opened to be appended to, and opened anew at each reload: whoever moves it
away (logrotate) tells by SIGHUP.  If it cannot be written, lines are dropped and counted: a full
disk must not stop requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from gslb.proxy.accesslog import AccessLog, Entry
from gslb.proxy.exchange import Exchange

HELD_MAX: Final = 65_536  # octets of lines that are held before they are written at once
STDOUT: Final = "stdout"


class Journal:
    """Writes what happened; *clock* is that of exchanges, *wall* is seconds since 1970.

    `dropped` counts lines that could not be written.
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._file: int | None = None
        self._lines: list[bytes] = []
        self._held = 0
        self._show: Callable[[Entry], bytes] = AccessLog().line
        self.dropped = 0

    def open(self, where: str | None, show: Callable[[Entry], bytes]) -> None:
        """Write to the file *where*, ``stdout``, or nowhere, from now on; raises OSError.

        *show* makes lines of entries.
        """
        fresh: int | None
        if where is None:
            fresh = None
        elif where == STDOUT:
            fresh = os.dup(1)
        else:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            fresh = os.open(where, flags, 0o640)
        self.close()
        self._file, self._show = fresh, show

    def note(self, exchange: Exchange) -> None:
        """Note that an exchange is over."""
        if self._file is None:
            return
        line = self._show(_entry(exchange, self._clock(), self._wall()))
        self._lines.append(line)
        self._held += len(line)
        if self._held >= HELD_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        lines, self._lines, self._held = self._lines, [], 0
        if not lines or self._file is None:
            return
        octets = b"".join(lines)
        try:
            while octets:
                octets = octets[os.write(self._file, octets) :]
        except OSError:
            self.dropped += octets.count(b"\n")

    def close(self) -> None:
        """Write what is held, and close."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None


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
