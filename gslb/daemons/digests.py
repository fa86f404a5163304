"""Digests of files, remembered beside what the system says of them, so that none is read twice.

To read and digest a database of some hundred megabytes takes longer than to map everything
that was made of it.  A file is taken for the same as long as its device, inode, size, and the
times at which its contents and its inode changed are.  The last of these nobody can set back,
so a file restored with an old date is read again.  A file that changed just before it was
read might change once more within the same tick of the system's clock; so it is remembered
only once it has been left alone for a while.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from gslb.daemons.store import write_whole

FILE = "digests.json"
SETTLED_S = 5.0  # no file system's clock is coarser than 2 s
KEPT_MAX = 64

_Signature = list[int]


class Digests:
    """The digests of files, remembered in a folder, or not at all without one."""

    def __init__(self, folder: Path | None, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._path = None if folder is None else folder / FILE
        self._now_ns = now_ns

    def remembered(self, path: Path) -> str | None:
        """Return the digest of a file that is still as it was, in hexadecimal; None if unknown."""
        with suppress(OSError):
            known = self._load().get(str(path.absolute()))
            if known is not None and known[:-1] == _signature(path.stat()):
                return str(known[-1])
        return None

    def read(self, path: Path) -> tuple[bytes, str]:
        """Return a file's octets and their digest, and remember that; raises OSError."""
        now_ns = self._now_ns()
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            octets = file.read()
            after = os.fstat(file.fileno())
        digest = sha256(octets).hexdigest()
        changed_ns = max(before.st_mtime_ns, before.st_ctime_ns)
        if _signature(before) == _signature(after) and now_ns - changed_ns > SETTLED_S * 1e9:
            self._remember(path, [*_signature(before), digest])
        return octets, digest

    def _load(self) -> dict[str, list[int | str]]:
        with suppress(OSError, ValueError):
            told = json.loads(self._path.read_bytes()) if self._path else {}
            if isinstance(told, dict):
                return {path: each for path, each in told.items() if isinstance(each, list)}
        return {}

    def _remember(self, path: Path, known: list[int | str]) -> None:
        if self._path is None:
            return
        kept = self._load()
        kept.pop(str(path.absolute()), None)
        kept[str(path.absolute())] = known
        kept = dict(list(kept.items())[-KEPT_MAX:])
        with suppress(OSError):  # a disk that refuses it costs only time later
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(kept).encode())


def _signature(stat: os.stat_result) -> _Signature:
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
