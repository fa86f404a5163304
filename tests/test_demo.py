"""The demo, as its reader uses it: its own lines are copied, run, and do what they say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
from asyncio import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from tests import peers
from tests.peers import Dug, said
from tests.running import PATIENCE_S, command, environment

REGIONS = {"us-east": "127.1.0.", "eu-west": "127.2.0.", "ap-south": "127.3.0."}


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs, in a process group of its own, and what it has printed."""

    process: subprocess.Process
    guide: str

    @property
    def pids(self) -> dict[str, int]:
        """The processes of the members, by address."""
        found = re.findall(r"(127\.\d+\.\d+\.\d+) \(pid (\d+)\)", self.guide)
        return {address: int(pid) for address, pid in found}

    @property
    def tiers(self) -> dict[str, int]:
        """The processes of the tiers, by address and port."""
        found = re.findall(r"(127\.\d+\.0\.100:\d+) \(pid (\d+)\)", self.guide)
        return {target: int(pid) for target, pid in found}

    def lines(self, start: str) -> list[str]:
        """Return the lines to copy that start so."""
        return [line.strip() for line in self.guide.splitlines() if line.strip().startswith(start)]

    async def ended(self) -> tuple[int, str]:
        """Await its end; return its exit status and what it wrote on stderr."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait(), (await self.process.stderr.read()).decode()


@asynccontextmanager
async def demo(*options: str) -> AsyncIterator[Demo]:
    """Give the demo once it has said what can be tried; all of it is ended in the end."""
    process = await asyncio.create_subprocess_exec(
        *command("demo", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    printed, it = "", Demo(process, "")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "Ctrl-C ends it." not in printed:
                line = await process.stdout.readline()
                if not line:
                    pytest.fail(f"it ended; it said:\n{printed}{(await it.ended())[1]}")
                printed += line.decode()
        yield Demo(process, printed)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def run(line: str) -> str:
    """Run a line of the guide, as a shell would."""
    name, *arguments = shlex.split(line)
    if name == "gslb":
        return (await gslb(*arguments))[1]
    return await said(name, *arguments)


async def gslb(*arguments: str) -> tuple[int, str]:
    """Return the exit status and the output of one command."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode() or err.decode()


async def serves(url: str) -> tuple[int, str]:
    """Return the status of a request to *url*, and the region that served it."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
        return response.status, text.split()[2] if response.ok else text


async def becomes(line: str, prefix: str) -> None:
    """Run a line with dig until all its answers start so."""
    dug = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                dug = Dug(await run(line))
                if dug.addresses and all(each.startswith(prefix) for each in dug.addresses):
                    return
    except TimeoutError:
        pytest.fail(f"{line} is still answered:\n{dug}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pids: dict[str, int]) -> None:
    """Await the end of processes that are nobody's children here."""
    async with asyncio.timeout(PATIENCE_S):
        while any(is_alive(pid) for pid in pids.values()):
            await asyncio.sleep(0.01)


async def test_every_line_of_the_guide_does_what_it_says():
    peers.program("dig")
    async with demo() as it:
        east, west, south = it.lines("dig @127.0.0.1 -p")[:3]
        for line, prefix in zip((east, west, south), REGIONS.values(), strict=True):
            await becomes(line, prefix)
        (why,) = (line for line in it.lines("dig") if "CH TXT" in line)
        explained = await run(why)

        (curl,) = it.lines("curl ")
        before = await serves(curl.split()[1])

        first, second = it.lines("kill ")
        await run_kill(first)
        await becomes(west, "127.2.0.2")
        await run_kill(second)
        # Each is a new connection; the first of them finds out.
        at_once = [await serves(curl.split()[1]) for _ in range(20)]
        await becomes(west, "127.2.0.100")

        (drain,) = it.lines("gslb drain")
        (release,) = it.lines("gslb release")
        (status,) = it.lines("gslb status")
        drained = await run(drain)
        await becomes(east, "127.1.0.2")
        shown = await run(status)
        members = json.loads(await run(f"{status} --json"))
        released = await run(release)
        os.killpg(it.process.pid, signal.SIGINT)
        code, err = await it.ended()
        await gone({**it.pids, **it.tiers})

    assert before == (200, "eu-west")
    assert {status for status, _ in at_once} == {200}, "a region without members fails requests"
    assert {region for _, region in at_once} <= {"us-east", "ap-south"}
    assert "www.example.com A for 198.51.100.0/26: rung 1" in explained
    assert "127.1.0.1" in drained
    assert "127.1.0.1" in released
    assert "127.2.0.1" in shown
    verdicts = {each["address"]: each["verdict"] for each in members["members"]}
    assert verdicts == {
        **dict.fromkeys(it.pids, "up"),
        "127.2.0.1": "down",
        "127.2.0.2": "down",
    }
    assert code == 0
    assert "Traceback" not in err


async def run_kill(line: str) -> None:
    name, pid = line.split()
    assert name == "kill"
    os.kill(int(pid), signal.SIGTERM)


async def test_it_stops_by_itself_when_it_is_told_for_how_long():
    async with demo("--for", "0.1") as it:
        code, err = await it.ended()
        await gone(it.pids)

    assert code == 0
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
async def test_neither_members_nor_tiers_outlive_it_however_it_ends(number):
    async with demo() as it:
        it.process.send_signal(number)
        await it.ended()
        await gone({**it.pids, **it.tiers})

    assert len(it.pids) == 6
    assert len(it.tiers) == 3
