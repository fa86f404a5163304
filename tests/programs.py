"""Programs of this tree as processes: started, killed, started again; what they say is kept."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running import PATIENCE_S, environment

AGAIN_S = 0.02  # between two looks


class Program:
    """One process in a namespace: started, killed, started again; what it says is kept."""

    def __init__(self, argv: list[str], log: Path) -> None:
        self.argv = argv
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.said_before = 0

    @property
    def runs(self) -> bool:
        """Whether it has been started and not been killed."""
        return self._process is not None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None:
            self.said_before = len(self.said())
            with self.log.open("ab") as out:
                self._process = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=quick_environment(),
                )

    def kill(self) -> None:
        """End it at once, without a last word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """End it as it may be asked to (SIGTERM), and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        """Return all that it has said so far."""
        return self.log.read_text() if self.log.exists() else ""

    async def line(self, *parts: str) -> str:
        """Return the first line since its last start that holds all *parts*."""

        def find() -> str | None:
            lines = self.said()[self.said_before :].splitlines()
            return next((line for line in lines if all(part in line for part in parts)), None)

        return await until(find, lambda: f"no line with {parts} in:\n{self.said()[-3000:]}")


def quick_environment() -> dict[str, str]:
    """Return an environment in which programs compile their modules once, not at each start."""
    return {k: v for k, v in environment().items() if k != "PYTHONDONTWRITEBYTECODE"}


async def until(
    look: Callable[[], Any], why: Callable[[], str], patience_s: float = PATIENCE_S
) -> Any:
    """Look again and again until there is something; fail when patience ends."""
    deadline_s = time.monotonic() + patience_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            pytest.fail(why())
        await asyncio.sleep(AGAIN_S)
    return found
