"""Work done in a thread of its own, for which the program's end does not wait.

Files can keep a reader waiting for ever: a pipe in place of a file, a server of files that is
gone.  A pool of threads is waited for at the end, so the program would never end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


async def aside(do: Callable[[], Result]) -> Result:
    """Return what *do* returns, or raise what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = do()
        except BaseException as raised:
            error = raised
        # The loop may have ended meanwhile: then nobody is left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    Thread(target=run, name="aside", daemon=True).start()
    return await done
