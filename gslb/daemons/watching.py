"""Files that change: told by the system where it tells, and looked at every second in any case.

The system's word is quick but not whole.  It misses what happens before the watch stands,
behind a link (so are volumes of a cluster replaced), on some network file systems, in a
folder that is moved away and back, and when the host's watches are all in use.  So it only
says when to look, and the stamps of the files say whether anything has changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from watchfiles import awatch

log = logging.getLogger("gslb.files")

LOOK_EVERY_S = 1.0
CHANGE_SETTLES_MS = 200  # an editor writes a file in several steps

# A file's identity, size and times, or a folder's names; None for what is not there.
Stamp = tuple[object, ...] | None
Stamps = Mapping[Path, Stamp]


class Watched(Protocol):
    """What is watched: files, wherever they are, and folders whose names count."""

    @property
    def files(self) -> frozenset[Path]:
        """Return the files, which need not be there."""

    @property
    def folders(self) -> frozenset[Path]:
        """Return the folders."""


@dataclass(frozen=True, slots=True)
class Places:
    """Files and folders to be watched."""

    files: frozenset[Path]
    folders: frozenset[Path]


async def looks(watched: Watched, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever the files of *watched* should be looked at, until *stop* is set."""
    folders = {path.parent for path in watched.files} | watched.folders
    try:
        changes = awatch(
            *(folder for folder in folders if folder.is_dir()),
            watch_filter=None,
            recursive=False,
            debounce=CHANGE_SETTLES_MS,
            step=CHANGE_SETTLES_MS // 4,
            rust_timeout=int(LOOK_EVERY_S * 1000),
            yield_on_timeout=True,
            stop_event=stop,
        )
        async for _ in changes:
            yield
    except (OSError, RuntimeError) as error:
        log.info("files are only looked at every %g s: %s", LOOK_EVERY_S, error)
    while not stop.is_set():
        await asyncio.sleep(LOOK_EVERY_S)
        yield


def stamps(watched: Watched) -> Stamps:
    """Return what tells whether a file of *watched*, or what its globs match, has changed."""
    return {
        **{path: stamp_of(path) for path in watched.files},
        **{folder / "*": _of_folder(folder) for folder in watched.folders},
    }


def stamp_of(path: Path) -> Stamp:
    """Return what tells whether a file has changed; None if it is not there."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _of_folder(folder: Path) -> Stamp:
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return None
