"""Load on a tier: clients that ask while something happens to it."""

from __future__ import annotations

import asyncio

from tests.messages import request
from tests.running import PATIENCE_S
from tests.wires import At, Wire


class Load:
    """Clients that ask again and again over kept connections, and count what went wrong.

    A connection that was closed between two requests is opened anew, as clients do.
    """

    def __init__(
        self, at: At, clients: int = 8, *, method: str = "GET", fresh: bool = False
    ) -> None:
        self._at, self._clients, self._method, self._fresh = at, clients, method, fresh
        self.answers: dict[tuple[int, bytes], int] = {}
        self.failures: list[str] = []
        self.count = 0
        self._more = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._ends = False

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._clients)]
        await self.some(self._clients)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Ask no more, once what runs was answered."""
        self._ends = True
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)

    async def some(self, count: int = 100) -> None:
        """Await that so many more requests were answered."""
        until = self.count + count
        async with asyncio.timeout(PATIENCE_S), self._more:
            await self._more.wait_for(
                lambda: self.count >= until or all(t.done() for t in self._tasks)
            )

    async def hear(self, *addresses: str) -> None:
        """Await an answer from each of the members at *addresses*."""
        async with asyncio.timeout(PATIENCE_S), self._more:
            await self._more.wait_for(lambda: self.who >= set(addresses))

    def forget(self) -> None:
        """Count from nothing."""
        self.answers = {}

    async def _run(self) -> None:
        wire: Wire | None = None
        octets = request(method=self._method, body=b"x" if self._method == "POST" else b"")
        while not self._ends:
            was_kept = wire is not None
            try:
                wire = wire or await self._at.open()
                wire.send(octets)
                message = await wire.response(self._method)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                if wire is not None:
                    wire.close()
                    wire = None
                empty = isinstance(error, asyncio.IncompleteReadError) and not error.partial
                if not (was_kept and (empty or isinstance(error, ConnectionError))):
                    self.failures.append(repr(error))
                    await asyncio.sleep(0.01)
                continue
            key = message.status, message.body
            self.answers[key] = self.answers.get(key, 0) + 1
            if message.status != 200:
                self.failures.append(f"{message.line} {message.body!r}")
            if message.get("connection") == "close" or self._fresh:
                wire.close()
                wire = None
            async with self._more:
                self.count += 1
                self._more.notify_all()
        if wire is not None:
            wire.close()

    @property
    def who(self) -> set[str]:
        """Who answered."""
        return {body.decode() for status, body in self.answers if status == 200}
