"""Outlets: files, pipes, terminals and sockets that lines go out to, without ever waiting for room.

Standard output is inherited, and its open file description shared: made non-blocking, it would be
so for the shell and for everybody else.  So a pipe or a terminal is opened anew, which gives one of
our own; a socket is told for each call; and where neither can be, room is asked for before writing.

Several processes write to one pipe.  What is no longer than `piece_max` goes out whole or not at
all (pipe(7)); whoever wrote a part of a longer line claims the pipe until the rest is out.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
from contextlib import suppress
from typing import Final

STDOUT: Final = "stdout"
STDOUT_DESCRIPTOR: Final = 1


class Outlet:
    """A file by its path, or ``stdout``; raises OSError where it cannot be written to."""

    def __init__(self, where: str) -> None:
        self._socket: socket.socket | None = None
        self._asks = False
        if where == STDOUT:
            self._descriptor = self._opened_anew()
        else:
            # Without O_NONBLOCK a named pipe that nobody reads would be waited at, here already.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
            self._descriptor = os.open(where, flags | os.O_CLOEXEC, 0o640)
        mode = os.fstat(self._descriptor).st_mode
        is_shared = stat.S_ISFIFO(mode) or os.isatty(self._descriptor)
        self._may_claim = is_shared
        self.piece_max = None if stat.S_ISREG(mode) else select.PIPE_BUF

    def _opened_anew(self) -> int:
        mode = os.fstat(STDOUT_DESCRIPTOR).st_mode
        if stat.S_ISFIFO(mode) or os.isatty(STDOUT_DESCRIPTOR):
            flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                return os.open(f"/proc/self/fd/{STDOUT_DESCRIPTOR}", flags)
            except OSError:
                self._asks = True  # it is somebody else's, or there is no /proc
        descriptor = os.dup(STDOUT_DESCRIPTOR)
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=descriptor)
        return descriptor

    def is_same(self, other: Outlet) -> bool:
        """Return whether what is written to both ends up in the same place."""
        return os.path.sameopenfile(self._descriptor, other._descriptor)

    def claim(self) -> bool:
        """Let nobody else who claims it write, until `release`; return False if another has."""
        if self._may_claim:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                self._may_claim = False  # it knows no locks
        return True

    def release(self) -> None:
        """Let others write."""
        if self._may_claim:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def write(self, octets: bytes) -> int:
        """Write what there is room for, and return how much; raises BlockingIOError, OSError."""
        if self._socket is not None:
            return self._socket.send(octets, socket.MSG_DONTWAIT)
        if self._asks:
            asked = select.poll()
            asked.register(self._descriptor, select.POLLOUT)
            if not asked.poll(0):
                raise BlockingIOError
            octets = octets[: select.PIPE_BUF]
        return os.write(self._descriptor, octets)

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._descriptor)
