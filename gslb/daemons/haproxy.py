"""HAProxy as a child of the tier's parent process: started, reloaded, driven, stopped.

    haproxy = Haproxy(folder, plan, wanted, say)
    await haproxy.start()
    await haproxy.apply(wanted)      # whenever beliefs change
    await haproxy.reload(plan)       # whenever the configuration changes
    await haproxy.stop(drain_s)

HAProxy runs in master-worker mode: a reload starts a new worker, which takes over the listening
sockets, while the old one finishes what runs.  A configuration is checked by ``haproxy -c`` before
it is used, so that a bad one changes nothing.  Every few seconds servers are compared with what
they should be; a HAProxy that died is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gslb.daemons.haproxyapi import RuntimeApi
from gslb.errors import EngineError
from gslb.model import Region, Service
from gslb.proxy.haproxy import CONFIG, SOCKET, Rendered, Wanted, render
from gslb.proxy.haproxydiff import SHOW, changes, seen_in
from gslb.proxy.haproxyfigures import SHOW_INFO, SHOW_STAT, Figures, figures, info
from gslb.tier import Certificate, Tier

COMPARE_S = 3.0  # between two comparisons of servers with what they should be
RESTART_S = 1.0  # after a death
TAKEOVER_S = 20.0  # that a new process may take until it answers
AGAIN_S = 0.02
SIGNAL_AGAIN_S = 2.0  # the master executes itself anew once it has started, and is deaf meanwhile
FOLDER_MAX = 80  # octets: a socket's path has 108, and HAProxy needs a few of its own

Servers = Mapping[str, Sequence[Wanted]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is rendered: see `gslb.proxy.haproxy.render`."""

    tier: Tier
    region: str
    services: Mapping[str, Service]
    regions: Mapping[str, Region]
    order: Sequence[str]


class Haproxy:
    """One HAProxy of one region, in a private folder of its own.

    *wanted* is what `apply` is given; *say* is told in a line what an operator should know.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        wanted: Servers,
        say: Callable[[str], None],
        *,
        compare_s: float = COMPARE_S,
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._wanted = wanted
        self._say = say
        self._compare_s = compare_s
        self._api = RuntimeApi(folder / SOCKET)
        self._rendered: Rendered | None = None
        self._process: Process | None = None
        self._generation = 0
        self._telling = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int | None:
        """The process id of the master while it runs."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start it, and return once it answers; raises EngineError, and then nothing runs."""
        if len(os.fsencode(self._folder)) > FOLDER_MAX:
            raise EngineError(f"{self._folder} is too long a path for HAProxy's sockets")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        left_behind = self._left_behind()
        self._rendered = await self._prepare(self._plan)
        try:
            await self._spawn()
        except BaseException:
            await self._kill()
            raise
        if left_behind is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(left_behind, signal.SIGUSR1)
        self._tasks = [
            asyncio.create_task(self._supervise()),
            asyncio.create_task(self._compare_always()),
        ]

    async def reload(self, plan: Plan) -> None:
        """Run by another plan from now on, without dropping a connection; returns once it does.

        Raises EngineError, and then the former plan is still what runs.
        """
        async with self._telling:
            rendered = await self._prepare(plan)
            process = self._process
            if process is None or process.returncode is not None:
                raise EngineError("HAProxy does not run")
            before = await self._worker()
            self._plan, self._rendered = plan, rendered
            await self._answers(lambda pid: pid != before, again=signal.SIGUSR2)
        await self._compare()

    async def apply(self, wanted: Servers) -> None:
        """Let the servers be so from now on; raises EngineError where HAProxy will not have it."""
        self._wanted = wanted
        await self._compare()

    async def figures(self) -> Figures:
        """Return what HAProxy counts, and who does what now; raises EngineError."""
        assert self._rendered is not None, "it was never started"
        shown, stat = await self._api.ask([SHOW_INFO, SHOW_STAT])
        return figures(shown, stat, self._rendered.backends, self._wanted)

    async def stop(self, drain_s: float) -> None:
        """Accept no more, let what runs finish for *drain_s*, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await _signalled_until_it_ends(process)
        await self._kill()
        (self._folder / "pid").unlink(missing_ok=True)

    async def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()  # ends its workers too, which a kill would leave behind
            await process.wait()
        self._process = None

    async def _prepare(self, plan: Plan) -> Rendered:
        """Write the files of a plan beside the former ones, have them checked, and put them in."""
        self._generation += 1
        files = self._folder / f"files-{self._generation}"
        rendered = render(
            plan.tier,
            plan.region,
            services=plan.services,
            regions=plan.regions,
            order=plan.order,
            wanted=self._wanted,
            folder=str(self._folder),
            files=str(files),
        )
        await asyncio.to_thread(_write, files, rendered)
        await self._check(plan.tier.haproxy, files / CONFIG)
        (files / CONFIG).replace(self._folder / CONFIG)
        for old in self._folder.glob("files-*"):
            if old != files:
                await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)
        return rendered

    async def _check(self, program: str, config: Path) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                program, "-q", "-c", "-f", str(config), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
            )
        except OSError as error:
            raise EngineError(f"{program} cannot be run: {error.strerror}") from None
        said, _ = await process.communicate()
        if process.returncode:
            lines = [line for line in said.decode(errors="replace").splitlines() if "ALERT" in line]
            raise EngineError("HAProxy does not take its configuration:\n" + "\n".join(lines))

    async def _spawn(self) -> None:
        tier = self._plan.tier
        (self._folder / SOCKET).unlink(missing_ok=True)  # at which one left behind would answer
        log = None
        if tier.access_log not in (None, "stdout"):
            log = os.open(tier.access_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            self._process = await asyncio.create_subprocess_exec(
                tier.haproxy,
                *("-W", "-f", str(self._folder / CONFIG)),
                stdin=DEVNULL,
                stdout=log,
                start_new_session=True,  # a terminal's interrupt is for us, who then end it well
            )
        finally:
            if log is not None:
                os.close(log)
        (self._folder / "pid").write_text(f"{self._process.pid}\n")
        await self._answers(lambda pid: True)

    async def _worker(self) -> int:
        """Return the process id of the worker that answers now."""
        (shown,) = await self._api.ask([SHOW_INFO])
        return int(info(shown).get("Pid", "0"))

    async def _answers(
        self, is_it: Callable[[int], bool], again: signal.Signals | None = None
    ) -> None:
        """Wait for a worker that answers, one of the right process id; signal *again* for it."""
        deadline_s = asyncio.get_running_loop().time() + TAKEOVER_S
        signal_s = 0.0
        while True:
            now_s = asyncio.get_running_loop().time()
            if again is not None and self._process is not None and now_s >= signal_s:
                self._process.send_signal(again)
                signal_s = now_s + SIGNAL_AGAIN_S
            with contextlib.suppress(EngineError):
                if is_it(await self._worker()):
                    return
            ended = self._process is None or self._process.returncode is not None
            if ended or now_s > deadline_s:
                raise EngineError("HAProxy ended at once" if ended else "HAProxy does not answer")
            await asyncio.sleep(AGAIN_S)

    async def _compare(self) -> None:
        """Tell HAProxy what is otherwise than wanted; raises EngineError where it refuses."""
        async with self._telling:
            assert self._rendered is not None, "it was never started"
            (shown,) = await self._api.ask([SHOW])
            said = changes(self._plan.tier, self._rendered.backends, self._wanted, seen_in(shown))
            replies = await self._api.ask([command.line for command in said])
            refused = [
                f"{command.line}: {reply.strip()}"
                for command, reply in zip(said, replies, strict=True)
                if not command.may_fail and reply.strip() != command.good
            ]
            if refused:
                raise EngineError("HAProxy refuses: " + "; ".join(refused[:5]))

    async def _compare_always(self) -> None:
        last = ""
        while True:
            await asyncio.sleep(self._compare_s)
            try:
                await self._compare()
                last = ""
            except EngineError as error:
                if str(error) != last:
                    self._say(str(error))
                last = str(error)

    async def _supervise(self) -> None:
        """Start it again whenever it ends by itself."""
        while True:
            assert self._process is not None, "it was started before"
            status = await self._process.wait()
            self._say(f"HAProxy ended with status {status}, and is started again")
            try:
                await self._spawn()
            except (EngineError, OSError) as error:
                self._say(f"HAProxy could not be started again: {error}")
                await asyncio.sleep(RESTART_S)

    def _left_behind(self) -> int | None:
        """Return the process id of a HAProxy that a parent which was killed left in our folder."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            return pid if os.fsencode(self._folder / CONFIG) in command else None
        return None


async def _signalled_until_it_ends(process: Process) -> None:
    while process.returncode is None:
        process.send_signal(signal.SIGUSR1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), SIGNAL_AGAIN_S)


def _write(files: Path, rendered: Rendered) -> None:
    """Write the files of a configuration, which only we may read; raises EngineError."""
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(mode=0o700)
    contents = {CONFIG: rendered.config.encode(), **rendered.files}
    contents |= {name: _joined(certificate) for name, certificate in rendered.joined.items()}
    for name, content in contents.items():
        with open(os.open(files / name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:  # noqa: PTH123
            out.write(content)


def _joined(certificate: Certificate) -> bytes:
    """Return a chain and its key in one, as HAProxy reads them."""
    names = dict.fromkeys((certificate.cert_file, certificate.key_file))
    try:
        return b"\n".join(Path(name).read_bytes() for name in names)
    except OSError as error:
        raise EngineError(f"{error.filename} cannot be read: {error.strerror}") from None
