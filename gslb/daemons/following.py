"""When to read a configuration again: its files changed, or somebody said so.

Stamps are taken before the files are read, so that what changes meanwhile differs, and is read
again.  Files that a failed reading missed are followed too: they may still come.  What was read and
could not be taken over, such as a port that another program holds, is told again after a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from gslb.config.settings import Config
from gslb.daemons import watching
from gslb.daemons.aside import aside

AGAIN_S: Final = 1.0  # before what was refused is tried again; doubled each time
AGAIN_MAX_S: Final = 30.0


class Timer(Protocol):
    """Something that is going to be called."""

    def cancel(self) -> None:
        """Have it not called."""


Later = Callable[[float, Callable[[], None]], Timer]


def _later(wait_s: float, act: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(wait_s, act)


class Following:
    """Follows the files of one configuration, which each reload may replace.

    *later* has something called after so many seconds.
    """

    def __init__(self, later: Later = _later) -> None:
        self._later = later
        self._again: Timer | None = None
        self._again_s = AGAIN_S
        self._told = asyncio.Event()
        self._moved = asyncio.Event()  # other files are to be followed
        self._config: Config | None = None
        self._seen: watching.Stamps = {}

    def tell(self) -> None:
        """Say that the files are to be read again, whether they changed or not."""
        self._told.set()

    def begin(self, config: Config) -> None:
        """Follow the files of the *config* that was just read."""
        self._config = config
        self._seen = watching.stamps(config)

    async def run(self) -> None:
        """Tell whenever a file that is followed, or a folder of a glob, has changed."""
        while True:
            assert self._config is not None, "begin before running"
            self._moved.clear()
            async for _ in watching.looks(self._config, self._moved):
                now = await aside(partial(watching.stamps, self._config))
                if now != self._seen:
                    self._told.set()

    async def told(self) -> None:
        """Return when the files are to be read; what changes from then on is told again."""
        await self._told.wait()
        self._told.clear()
        if self._again is not None:
            self.taken()  # something else came first: there is nothing to be patient with
        assert self._config is not None, "begin before awaiting"
        self._seen = await aside(partial(watching.stamps, self._config))

    async def follow(self, config: Config) -> None:
        """Follow the files of *config* from now on, which was read since `told`."""
        before = self._seen
        new = await aside(partial(watching.stamps, config))
        self._seen = {path: before.get(path, stamp) for path, stamp in new.items()}
        self._config = config
        self._moved.set()

    def refused(self) -> None:
        """Tell again after a pause: what was read cannot be taken over now."""
        self._again = self._later(self._again_s, self._try_again)
        self._again_s = min(self._again_s * 2, AGAIN_MAX_S)

    def _try_again(self) -> None:
        self._again = None
        self.tell()

    def taken(self) -> None:
        """Tell nothing again: what was read is taken over, or is the newest no more."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._again_s = AGAIN_S

    async def missed(self, files: frozenset[Path]) -> None:
        """Follow *files* too: a reading that failed named them."""
        self.taken()
        assert self._config is not None, "begin before awaiting"
        self._config = replace(self._config, files=self._config.files | files)
        self._seen = {**await aside(partial(watching.stamps, self._config)), **self._seen}
        self._moved.set()
