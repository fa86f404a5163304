"""Log lines: one event a line, with fields, on stderr; written on change only."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


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
    text = str(value)
    if not text or any(octet in text for octet in ' "=\n'):
        return json.dumps(text)
    return text


def set_up(*, quiet: bool = False) -> None:
    """Send log lines to stderr: all from info on, or only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldsFormatter())
    root = logging.getLogger("gslb")
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if quiet else logging.INFO)
    root.propagate = False
