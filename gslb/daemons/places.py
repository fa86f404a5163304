"""Places: how many connections each member has in tcp mode, and who waits for one of them.

They are counted apart from the connections of requests, which pools keep: a service is hardly ever
reached in both ways.  A client that waits is counted as under way at its member, as a request is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gslb.proxy.target import Target
from gslb.tier import Upstream


@dataclass(slots=True)
class _Taken:
    """The places at one target: at most `most`, of which `count` are taken."""

    most: int = 1
    count: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def hand_out(self) -> None:
        """Give the places that are free to those who have waited longest."""
        while self.waiting and self.count < self.most:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self.count += 1


class Places:
    """The places at all targets, as one of `workers` processes may take them."""

    def __init__(self) -> None:
        self.workers = 1
        self._taken: dict[Target, _Taken] = {}

    def count(self, target: Target) -> int:
        """Return how many connections there are."""
        taken = self._taken.get(target)
        return 0 if taken is None else taken.count

    def waiting(self, target: Target) -> int:
        """Return how many clients wait."""
        taken = self._taken.get(target)
        return 0 if taken is None else len(taken.waiting)

    def adopt(self, upstreams: Mapping[Target, Upstream]) -> None:
        """Have as many places as *upstreams* say from now on."""
        for target, taken in self._taken.items():
            if (upstream := upstreams.get(target)) is not None:
                taken.most = upstream.connections_each(self.workers)
                taken.hand_out()

    async def take(self, target: Target, upstream: Upstream) -> bool:
        """Take a place, waiting for it as *upstream* says; return whether there was one."""
        target.active += 1
        is_taken = False
        try:
            is_taken = await self._take(target, upstream)
        finally:
            if not is_taken:
                target.active -= 1
        return is_taken

    async def _take(self, target: Target, upstream: Upstream) -> bool:
        taken = self._taken.setdefault(target, _Taken())
        taken.most = upstream.connections_each(self.workers)
        taken.hand_out()
        if taken.count < taken.most:
            taken.count += 1
            return True
        if len(taken.waiting) >= upstream.queue_max:
            return False
        turn = asyncio.get_running_loop().create_future()
        taken.waiting.append(turn)
        try:
            async with asyncio.timeout(upstream.queue_s):
                await turn
        except BaseException as error:
            if not turn.cancelled():
                self._pass_on(target, taken)  # it was given a place just as it gave up
            elif turn in taken.waiting:
                taken.waiting.remove(turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def leave(self, target: Target) -> None:
        """Give a place back."""
        target.active -= 1
        self._pass_on(target, self._taken[target])

    def _pass_on(self, target: Target, taken: _Taken) -> None:
        """Let who has waited longest have a place that is free now."""
        taken.count -= 1
        taken.hand_out()
        if not taken.count:
            del self._taken[target]
