"""A progress bar on stderr for what takes long, and silence for what does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gslb.daemons.database import Progress as Told

PATIENCE_S = 1.0


@contextmanager
def progress_bar() -> Iterator[Told]:
    """Give what to tell progress to; a bar appears after a second, and only in a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _part: None
        return
    from rich.console import Console  # noqa: PLC0415 - a node that serves holds no rich
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("", total=1.0)
    begun_s = time.monotonic()

    def told(what: str, part: float) -> None:
        if time.monotonic() - begun_s >= PATIENCE_S and not bar.live.is_started:
            bar.start()
        bar.update(task, description=what, completed=part)

    try:
        yield told
    finally:
        bar.stop()
