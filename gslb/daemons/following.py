"""When to read a configuration again: its files changed, or somebody said so.

Stamps are taken before the files are read, so that what changes meanwhile differs, and is read
again.  Files that a failed reading missed are followed too: they may still come.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from gslb.config.settings import Config
from gslb.daemons import watching
from gslb.daemons.aside import aside


class Following:
    """Follows the files of one configuration, which each reload may replace."""

    def __init__(self) -> None:
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
        assert self._config is not None, "begin before awaiting"
        self._seen = await aside(partial(watching.stamps, self._config))

    async def follow(self, config: Config) -> None:
        """Follow the files of *config* from now on, which was read since `told`."""
        before = self._seen
        new = await aside(partial(watching.stamps, config))
        self._seen = {path: before.get(path, stamp) for path, stamp in new.items()}
        self._config = config
        self._moved.set()

    async def missed(self, files: frozenset[Path]) -> None:
        """Follow *files* too: a reading that failed named them."""
        assert self._config is not None, "begin before awaiting"
        self._config = replace(self._config, files=self._config.files | files)
        self._seen = {**await aside(partial(watching.stamps, self._config)), **self._seen}
        self._moved.set()
