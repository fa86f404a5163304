"""A carrier that runs while a test does, and the events that it tells."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager


class Carrying:
    """Runs `carrier`; what `events` tell is in `queue`."""

    async def told(self, kind: str):
        """Return the next event of that kind."""
        while (event := await self.queue.get()).kind != kind:
            pass
        return event

    @asynccontextmanager
    async def running(self, patience_s: float):
        """Let the carrier run meanwhile; an error of its own is one of the test's."""
        with self.events.listen() as self.queue:
            task = asyncio.create_task(self.carrier.run())
            try:
                async with asyncio.timeout(patience_s):
                    yield self
            finally:
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled(), task.exception()
