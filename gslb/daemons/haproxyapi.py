"""A client of HAProxy's runtime API, over its unix socket.

Commands of one call go over one connection, one after the other in interactive mode, in which a
prompt ends each reply (HAProxy 2.6, management guide 9.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gslb.errors import EngineError

PROMPT = b"\n> "
REPLY_MAX = 64 << 20  # octets
PATIENCE_S = 10.0  # for one reply


class RuntimeApi:
    """Asks the HAProxy that listens at *path* now: after a reload, another process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, commands: Sequence[str]) -> list[str]:
        """Return the replies to *commands*, in order; raises EngineError where there are none."""
        if not commands:
            return []
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=REPLY_MAX)
        except OSError as error:
            raise EngineError(f"HAProxy cannot be asked: {error.strerror}") from None
        try:
            await self._ask(reader, writer, "prompt")
            return [await self._ask(reader, writer, command) for command in commands]
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            raise EngineError("HAProxy does not reply") from None
        finally:
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str
    ) -> str:
        assert "\n" not in command, command
        assert ";" not in command, command
        writer.write(command.encode() + b"\n")
        reply = await asyncio.wait_for(reader.readuntil(PROMPT), PATIENCE_S)
        return reply.removesuffix(PROMPT).decode(errors="replace")
