"""Members of a tier: a server in the test that keeps what it is sent, and one to be killed.

    async with Origin(US[0], port) as origin:
        assert (await origin.request()).target == "/"

What is awaited is so for `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
import sys
from asyncio import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.messages import LINE_MAX, Message, read_body, read_head
from tests.running import PATIENCE_S, ROOT, environment

US = ("127.91.0.1", "127.91.0.2", "127.91.0.3")
EU = ("127.92.0.1", "127.92.0.2")

Answer = Callable[["Asked"], Awaitable[None]]


@dataclass
class Asked:
    """A request at a member, and the connection that it came over."""

    origin: Origin
    message: Message
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: int

    def say(self, octets: bytes) -> None:
        """Write octets as they are."""
        self.writer.write(octets)

    def reply(self, body: bytes = b"", status: int = 200, *lines: str) -> None:
        """Write a whole response."""
        head = "".join(f"{line}\r\n" for line in lines)
        self.say(
            f"HTTP/1.1 {status} Some\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body
        )


class Origin:
    """A member: an HTTP server that keeps what it is sent, and answers who it is.

    `answer` may be replaced, by what is given a request once it was read whole, or, with
    `reads_body` off, once its head was.  An empty answer closes the connection.
    """

    def __init__(
        self,
        address: str = US[0],
        port: int = 0,
        answer: Answer | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        reads_body: bool = True,
    ) -> None:
        self.address, self.port = address, port
        self.answer = answer or self.says_who
        self.reads_body = reads_body
        self.requests: list[Message] = []
        self.raw: list[bytearray] = []
        self.wrong: list[str] = []
        self.connections = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.came = asyncio.Condition()

    async def says_who(self, asked: Asked) -> None:
        """Answer with the member's address."""
        body = b"" if asked.message.method == "HEAD" else self.address.encode()
        asked.reply(body)

    async def __aenter__(self) -> Origin:
        self._server = await asyncio.start_server(
            self._serve, self.address, self.port, limit=LINE_MAX, ssl=self._tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        assert not self.wrong, self.wrong

    async def kill(self) -> None:
        """Listen no more, and break off all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        number = self.connections
        self.connections += 1
        try:
            await self._serve_one_by_one(reader, writer, number)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except AssertionError as error:
            self.wrong.append(f"{self.address} was sent what is no request: {error}")
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one_by_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        while True:
            message = await read_head(reader)
            assert re.fullmatch(r"[A-Z-]+ (/|\*)\S* HTTP/1\.1", message.line), message.line
            assert len(message.all("host")) == 1, "no Host, or several"
            if self.reads_body:
                await read_body(reader, message)
            async with self.came:
                self.requests.append(message)
                self.came.notify_all()
            await self.answer(Asked(self, message, reader, writer, number))
            await writer.drain()
            if writer.is_closing():
                return

    async def request(self, count: int = 1) -> Message:
        """Return the request number *count*, once it has come."""
        async with asyncio.timeout(PATIENCE_S), self.came:
            await self.came.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]


class OwnProcess:
    """A member that is a process of its own, so that it can be killed; it says who it is."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.process: subprocess.Process | None = None

    async def __aenter__(self) -> OwnProcess:
        await self.start()
        return self

    async def start(self) -> None:
        """Start it, and await that it listens."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.tiermember",
            self.address,
            str(self.port),
            stdout=subprocess.PIPE,
            env=environment(),
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            assert await self.process.stdout.readline() == b"listening\n"

    async def kill(self) -> None:
        """Kill it, as ``kill -9`` does."""
        await self._end(signal.SIGKILL)

    def drain(self) -> None:
        """Have it say to whoever probes it that it is going, and serve on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    async def stop(self) -> None:
        """Have it finish what runs, and end."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            async with asyncio.timeout(PATIENCE_S):
                await self.process.wait()
            self.process = None

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
