"""Log lines: one event a line, with fields, on stderr; written on change only.

They are written by a thread of their own.  Whoever reads them may stop reading, as a pager
or a full disk does, and must not stop the answers with it; then lines are lost, and counted.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Thread
from typing import TextIO

LINES_WAITING_MAX = 10_000
LAST_LINES_S = 1.0


class FieldsFormatter(logging.Formatter):
    """Formats records as ``TIME LEVEL event key=value``; values that hold blanks are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback follows on lines of its own."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        fields = getattr(record, "fields", {})
        said = "".join(f" {key}={_shown(value)}" for key, value in fields.items())
        line = f"{at}Z {record.levelname.lower():7} {record.getMessage()}{said}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _shown(value: object) -> str:
    text = json.dumps(value) if isinstance(value, list | dict) else str(value)
    if not text or not text.isprintable() or any(sign in text for sign in ' "='):
        return json.dumps(text)
    return text


class LineHandler(logging.Handler):
    """Writes log lines to a stream from a thread, which is waited for by nobody."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: Queue[str | None] = Queue(LINES_WAITING_MAX)
        self._lost = 0
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let a record be written, unless too many wait already."""
        if self._lost:
            lost = f"({self._lost} lines lost: nobody read them)"
            with suppress(Full):
                self._lines.put_nowait(lost)
                self._lost = 0
        try:
            self._lines.put_nowait(self.format(record))
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Write the last lines, if that takes less than `LAST_LINES_S`; logging does it at exit."""
        with suppress(Full):
            self._lines.put_nowait(None)
        self._thread.join(LAST_LINES_S)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            # A reader that has gone away is none of our business.
            with suppress(OSError, ValueError):
                self._stream.write(line + "\n")
                self._stream.flush()


def set_up() -> None:
    """Send log lines to stderr, all from info on."""
    handler = LineHandler(sys.stderr)
    handler.setFormatter(FieldsFormatter())
    root = logging.getLogger("gslb")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
