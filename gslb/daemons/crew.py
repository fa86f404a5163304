"""The tier's workers: started, told things, replaced when one ends that nobody told to."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from gslb.daemons.briefing import Beliefs, Brief, Drain, Figures, Line, Ready, Suspect
from gslb.daemons.events import Events

AGAIN_S: Final = 1.0  # before a worker that ended is replaced; doubled each time it ends young
AGAIN_MAX_S: Final = 30.0
YOUNG_S: Final = 60.0
# By itself glibc gives each large piece of a body pages of its own and hands them back: faulting
# them in again is a third of what a worker's core does at 1 MiB a response.
KEPT_MEMORY: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
}
READY_S: Final = 60.0
KILL_AFTER_S: Final = 5.0  # after a worker's time to drain is over


class Crew:
    """Keeps *count* workers; `figures` are those of each, the newest that it told.

    *on_suspect* hears of members at which real requests fail.
    """

    def __init__(self, count: int, events: Events, on_suspect: Callable[[Suspect], None]) -> None:
        self.count = count
        self._events = events
        self._on_suspect = on_suspect
        self._brief: Brief | None = None
        self._beliefs = Beliefs({})
        self._hands: dict[int, Hand] = {}
        self._ended = False
        self.figures: dict[int, Figures] = {}
        self.past: list[Figures] = []  # of workers that are no more

    async def start(self, brief: Brief, beliefs: Beliefs) -> str | None:
        """Start all workers with *brief*; return what one said was wrong, if any did."""
        self._brief, self._beliefs = brief, beliefs
        problems = await asyncio.gather(*(self._start(number) for number in range(self.count)))
        return next((problem for problem in problems if problem is not None), None)

    async def _start(self, number: int) -> str | None:
        assert self._brief is not None, "workers are started with a brief"
        hand = self._hands[number] = Hand(number, self._on_message)
        await hand.start()
        hand.say(self._beliefs)
        hand.say(self._brief)
        try:
            async with asyncio.timeout(READY_S):
                return await hand.ready()
        except TimeoutError:
            return f"worker {number} did not get ready within {READY_S:g} s"

    async def run(self) -> None:
        """Replace workers that end, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._mind(number))

    async def _mind(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        wait_s = AGAIN_S
        while not self._ended:
            began_s = loop.time()
            code = await self._hands[number].ended()
            if self._ended:
                return
            if (figures := self.figures.pop(number, None)) is not None:
                self.past.append(figures)
            wait_s = AGAIN_S if loop.time() - began_s > YOUNG_S else min(wait_s * 2, AGAIN_MAX_S)
            self._events.announce("worker_lost", worker=number, code=code, again_s=wait_s)
            await asyncio.sleep(wait_s)
            if (problem := await self._start(number)) is not None:
                self._events.announce("worker_failed", worker=number, error=problem)
            else:
                self._events.announce("worker_back", worker=number)

    async def adopt(self, brief: Brief, *, anew: bool = False) -> str | None:
        """Have all workers serve by *brief*; return what one said was wrong, if any did.

        They read all files anew in any case.
        """
        self._brief = brief
        waiting = []
        for hand in self._hands.values():
            hand.expect()
            hand.say(brief)
            waiting.append(hand.ready())
        try:
            async with asyncio.timeout(READY_S):
                problems = await asyncio.gather(*waiting)
        except TimeoutError:
            return f"a worker did not take it over within {READY_S:g} s"
        return next((problem for problem in problems if problem is not None), None)

    def believe(self, beliefs: Beliefs) -> None:
        """Tell all workers what is believed of members now."""
        self._beliefs = beliefs
        for hand in self._hands.values():
            hand.say(beliefs)

    def told(self) -> tuple[Sequence[Figures], Sequence[Figures]]:
        """Return what the workers counted, and what those did that are no more."""
        return list(self.figures.values()), self.past

    async def drain(self, within_s: float) -> None:
        """Have all workers finish what runs and end; end those that do not."""
        self._ended = True
        for hand in self._hands.values():
            hand.say(Drain(within_s))
        await asyncio.gather(*(hand.end(within_s + KILL_AFTER_S) for hand in self._hands.values()))

    def _on_message(self, number: int, message: object) -> None:
        if isinstance(message, Figures):
            self.figures[number] = message
        elif isinstance(message, Suspect):
            self._on_suspect(message)


class Hand:
    """One worker's process, from outside."""

    def __init__(self, number: int, on_message: Callable[[int, object], None]) -> None:
        self._number = number
        self._on_message = on_message
        self._process: asyncio.subprocess.Process | None = None
        self._line: Line | None = None
        self._ready: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gslb.daemons.worker",
                str(self._number),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                env=os.environ | KEPT_MEMORY,
            )
        self._line = Line(self._hear, self._on_close)
        await self._line.open(ours)

    @property
    def pid(self) -> int | None:
        """The id of the process."""
        return None if self._process is None else self._process.pid

    def _hear(self, message: Any) -> None:
        if isinstance(message, Ready):
            if not self._ready.done():
                self._ready.set_result(message.problem)
        else:
            self._on_message(self._number, message)

    def _on_close(self) -> None:
        if not self._ready.done():
            self._ready.set_result("ended before it was ready")

    def expect(self) -> None:
        """Expect to be told anew that it is ready."""
        self._ready = asyncio.get_running_loop().create_future()
        if self._process is None or self._process.returncode is not None:
            self._ready.set_result(None)  # the next one gets the newest brief

    async def ready(self) -> str | None:
        """Return once the worker took its brief over, with what was wrong with it."""
        return await self._ready

    def say(self, message: object) -> None:
        """Tell the worker something."""
        if self._line is not None:
            self._line.say(message)

    async def ended(self) -> int:
        """Return the exit status once the process has ended."""
        assert self._process is not None, "started before"
        return await self._process.wait()

    async def end(self, within_s: float) -> None:
        """Wait for the process to end, and end it when its time is over."""
        assert self._process is not None, "started before"
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._line is not None:
            self._line.close()
