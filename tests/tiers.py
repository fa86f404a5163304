"""A tier made from files and run as its own command, real members behind it, and clients.

    async with tier(tmp_path) as it, Origin(US[0], it.member_port):
        assert (await it.get("/")).body == US[0].encode()

Every tier has free ports, and stands in `REGION`.  What is awaited is so for `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import struct
import sys
from asyncio import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
import yaml

from tests.running import PATIENCE_S, REGIONS, ROOT, Process, command, environment, write
from tests.servers import free_port

REGION = "us-east"
PROXY = "127.91.0.100"
US = ("127.91.0.1", "127.91.0.2", "127.91.0.3")
EU = ("127.92.0.1", "127.92.0.2")
LINE_MAX = 1 << 20

Keys = Mapping[str, Any]
Fields = list[tuple[str, str]]


# Messages, as either end reads them: by lengths and chunks alone, and strictly.


@dataclass
class Message:
    """A request or a response as it was read; `raw` are its octets."""

    line: str
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    raw: bytes = b""

    def get(self, name: str) -> str | None:
        """Return the value of the one field of this name, None if there is none."""
        found = [value for key, value in self.fields if key == name.lower()]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        """Return the values of all fields of this name."""
        return [value for key, value in self.fields if key == name.lower()]

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.line.split(" ", 2)[1])

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        """The target of a request."""
        return self.line.split(" ")[1]


async def read_fields(reader: asyncio.StreamReader) -> tuple[Fields, bytes]:
    """Return fields up to the empty line, and their octets."""
    fields, raw = [], b""
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        raw += line
        found = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([^\r\n\0]*?) *\r\n", line)
        assert found, f"no field: {line!r}"
        fields.append((found[1].decode().lower(), found[2].decode("latin-1")))
    return fields, raw + line


async def read_head(reader: asyncio.StreamReader) -> Message:
    """Return a head; raises IncompleteReadError at the end of the connection."""
    line = await reader.readuntil(b"\r\n")
    fields, raw = await read_fields(reader)
    return Message(line[:-2].decode("latin-1"), fields, raw=line + raw)


async def read_body(
    reader: asyncio.StreamReader, message: Message, *, to_end: bool = False
) -> None:
    """Read the body of *message*; up to the end of the connection if *to_end* and nothing says."""
    if message.get("transfer-encoding") is not None:
        assert message.get("transfer-encoding") == "chunked"
        assert message.get("content-length") is None, "two framings"
        while True:
            line = await reader.readuntil(b"\r\n")
            assert re.fullmatch(rb"[0-9a-f]+\r\n", line), line
            message.raw += line
            size = int(line, 16)
            if not size:
                message.trailers, raw = await read_fields(reader)
                message.raw += raw
                return
            piece = await reader.readexactly(size + 2)
            assert piece[-2:] == b"\r\n"
            message.raw += piece
            message.body += piece[:-2]
    elif (length := message.get("content-length")) is not None:
        assert re.fullmatch("[0-9]+", length), length
        message.body = await reader.readexactly(int(length))
        message.raw += message.body
    elif to_end:
        message.body = await reader.read()
        message.raw += message.body


# Members.

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


# The tier.


def written(
    folder: Path,
    proxy: Keys,
    *,
    members: Mapping[str, Sequence[Any] | Keys],
    service: Keys | None = None,
    services: Mapping[str, Keys] | None = None,
    **main: object,
) -> Path:
    """Write the files of a tier into *folder*; return the main one.

    Its one service is www.example.com, unless *services* says otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    regions: dict[str, Any] = {
        name: dict(keys) for name, keys in REGIONS.items() if name == REGION or name in members
    }
    regions[REGION]["proxies"] = [PROXY]
    own = {"www": {"pools": dict(members), **(service or {})}}
    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {**own, **(services or {})},
    }
    write(
        folder / "example.com.zone",
        "@ 300 SOA ns1 hostmaster 1 7200 900 1209600 30\n@ 300 NS ns1\nns1 300 A 127.0.0.1\n",
    )
    write(folder / "example.com.yaml", yaml.safe_dump(zone))
    whole: dict[str, object] = {
        "node": "ns1.example.net",
        "state_dir": "var",
        "listen": {"dns": ["127.0.0.1:0"], "admin": "127.0.0.1:0"},
        "zones": ["example.com.yaml"],
        "geo": {"database": None},
        "regions": regions,
        "proxy": {"workers": 1, "admin": None, "routes": [{"service": "www.example.com"}], **proxy},
    }
    return write(folder / "gslb.yaml", yaml.safe_dump({**whole, **main}))


@dataclass
class At:
    """Where a tier listens."""

    port: int
    address: str = PROXY
    worker: int = 0  # the process id of its first worker

    async def open(self, tls: ssl.SSLContext | None = None, name: str | None = None) -> Wire:
        """Connect to it."""
        reader, writer = await asyncio.open_connection(
            self.address,
            self.port,
            limit=LINE_MAX,
            ssl=tls,
            server_hostname=(name or "www.example.com") if tls else None,
        )
        return Wire(reader, writer)

    async def ask(self, octets: bytes, **keys: Any) -> Message:
        """Return the response to *octets* over a connection of their own."""
        async with asyncio.timeout(PATIENCE_S):
            wire = await self.open(**keys)
            try:
                wire.send(octets)
                return await wire.response(octets.split(b" ", 1)[0].decode("latin-1"))
            finally:
                wire.close()

    async def get(
        self, target: str = "/", *lines: str, method: str = "GET", **keys: Any
    ) -> Message:
        """Return the response to a request of this method, with *lines* of fields beside."""
        return await self.ask(request(target, *lines, method=method), **keys)


def request(target: str = "/", *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Return a request as octets; a body has its length told."""
    head = [f"{method} {target} HTTP/1.1", *lines]
    if not any(line.lower().startswith("host:") for line in lines):
        head.insert(1, "Host: www.example.com")
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


class Wire:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.writer.write(octets)

    async def head(self) -> Message:
        """Return the next head."""
        async with asyncio.timeout(PATIENCE_S):
            return await read_head(self.reader)

    async def response(self, method: str = "GET") -> Message:
        """Return the next final response to *method*."""
        async with asyncio.timeout(PATIENCE_S):
            while (message := await read_head(self.reader)).status < 200:
                pass
            if method != "HEAD" and message.status not in (204, 304):
                await read_body(self.reader, message, to_end=True)
        return message

    async def ended(self) -> bytes:
        """Return all that still comes, up to the end, and close."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""
            finally:
                self.close()

    def close(self) -> None:
        """Close it."""
        self.writer.transport.abort()

    def break_off(self) -> None:
        """Reset it: what a program does that ends with something unread."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class Tier(At):
    """A tier that runs as a process of its own."""

    def __init__(self, process: Process, path: Path, port: int) -> None:
        super().__init__(port)
        self.member_port = 0
        self.process, self.path = process, path

    async def line(self, *parts: str, start: int = 0) -> str:
        """Return the first line that it said with all *parts*."""
        return await self.process.line(*parts, start=start)

    @property
    def said(self) -> int:
        """How many lines it has said."""
        return len(self.process.lines)

    async def refuses(self) -> None:
        """Await that nobody listens at its port any longer."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    (await self.open()).close()
                except ConnectionError:
                    return

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return children(self.process.process.pid)

    async def reload(self) -> None:
        """Have it read its files anew, and await that it did."""
        start = self.said
        self.process.signal(signal.SIGHUP)
        await self.line(" reload", start=start)


@asynccontextmanager
async def running(path: Path, port: int, stdout: int = subprocess.DEVNULL) -> AsyncIterator[Tier]:
    """Give the tier of the file *path*, that serves."""
    process = await asyncio.create_subprocess_exec(
        *command("proxy", path, "--region", REGION),
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    it = Tier(Process(process), path, port)
    try:
        await it.line(" started ")
        yield it
    finally:
        workers = it.workers() if process.returncode is None else []
        for pid in (*([process.pid] if process.returncode is None else []), *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
            await it.process._reading
        assert not (found := tracebacks(it.process.lines)), found


def children(pid: int) -> list[int]:
    """Return the ids of a process's child processes."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tracebacks(lines: Sequence[str]) -> str:
    """Return what was said of errors that nobody foresaw, with the lines around."""
    marks = ("Traceback", "never retrieved", "never awaited", "Exception in callback")
    for number, line in enumerate(lines):
        if any(mark in line for mark in marks):
            return "\n".join(lines[max(0, number - 2) : number + 30])
    return ""


@asynccontextmanager
async def tier(
    folder: Path,
    *,
    members: Mapping[str, Any] | None = None,
    upstream: Keys | None = None,
    member_port: int | None = None,
    port: int | None = None,
    proxy: Keys | None = None,
    **main: Any,
) -> AsyncIterator[Tier]:
    """Give a running tier whose members listen at the port `member_port`."""
    port = port or free_port(PROXY)
    member_port = member_port or free_port(US[0])
    whole: dict[str, Any] = {
        "listen": [port],
        "services": {"www.example.com": {"port": member_port, **(upstream or {})}},
        **(proxy or {}),
    }
    path = written(folder, whole, members=members or {REGION: [US[0]]}, **main)
    async with running(path, port) as it:
        it.member_port = member_port
        yield it


@contextmanager
def shared(path: Path, port: int) -> Iterator[At]:
    """Give a tier as a process that serves many tests, each with an event loop of its own."""
    with (path.parent / "stderr").open("w+") as stderr:
        process = Popen(
            command("proxy", path, "--region", REGION), stderr=PIPE, env=environment(), text=True
        )
        said: list[str] = []
        assert process.stderr is not None
        try:
            for line in process.stderr:
                said.append(line)
                if " started " in line:
                    break
            else:
                pytest.fail("it ended; it said:\n" + "".join(said))
            yield At(port, worker=children(process.pid)[0])
        finally:
            stderr.close()
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=PATIENCE_S)[1].splitlines(keepends=True)
    assert not (found := tracebacks(said)), found


# Load.


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
