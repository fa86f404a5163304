"""A tier made from files and run as its own command.

    async with tier(tmp_path) as it, Origin(US[0], it.member_port):
        assert (await it.get("/")).body == US[0].encode()

Every tier has free ports, and stands in `REGION`.  What is awaited is so for `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
import yaml

from tests.origins import US
from tests.running import PATIENCE_S, REGIONS, Process, command, environment, write
from tests.servers import free_port
from tests.wires import PROXY, At

REGION = "us-east"

Keys = Mapping[str, Any]


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
