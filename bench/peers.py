"""The servers that are compared, and how each is started and asked.

What each does for a service is in `bench.peerfiles`: they do not all do the same work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import peerfiles
from bench.case import FIXED, LUA_SERVICE, MISSING, SERVICE, Case, Listen
from bench.process import GSLB, START_MAX_S, NotMeasured, cores, running, wait_for_answer

STATIC, DYNAMIC, NXDOMAIN = "static", "service", "NXDOMAIN"
_ALL = {STATIC: FIXED, DYNAMIC: SERVICE, NXDOMAIN: MISSING}


@dataclass(frozen=True, slots=True)
class Peer:
    """One server: its program, the kinds of questions it can be asked, and its files' writer."""

    name: str
    program: str
    version: tuple[str, ...]
    prepare: Callable[[Path, Case, Listen], list[str]]
    names: dict[str, str]
    threads: tuple[int, ...] = (1,)
    fast: bool = False  # compared at one steady rate with the others that are

    def shown_version(self) -> str:
        """Return the first version number that the program prints."""
        if not self.version:
            return "-"
        said = subprocess.run(self.version, capture_output=True, text=True, check=False)
        number = re.search(r"\d+\.\d+(\.\d+)*", said.stdout + said.stderr)
        return number[0] if number else "?"


@dataclass(frozen=True, slots=True)
class Started:
    """A server that answers: where, which process it is, and how it was started."""

    peer: Peer
    listen: Listen
    pid: int
    argv: tuple[str, ...]
    log: Path

    @property
    def label(self) -> str:
        """The server's name in tables."""
        plural = "" if self.listen.threads == 1 else "s"
        return f"{self.peer.name}, {self.listen.threads} thread{plural}"

    def shown_command(self, root: Path) -> str:
        """Return the command line, without the machine's folders."""
        shown = " ".join(self.argv).replace(f"{root}/", "")
        return shown.replace(f"{sys.prefix}/bin/", "").replace(f"{Path(__file__).parents[1]}/", "")


@contextmanager
def started(
    peer: Peer,
    folder: Path,
    case: Case,
    listen: Listen,
    at: Callable[[list[str]], list[str]] = list,
    start_max_s: float = START_MAX_S,
    on_cores: int | None = None,
    prepared: list[str] | None = None,
) -> Iterator[Started]:
    """Run a server until the block is left, on as many of the first cores as it has threads.

    *at* says in which namespace it runs; *prepared* is its command if its files are there.
    """
    program = found(peer.program)
    if prepared is None:
        folder.mkdir(parents=True)
    argv = prepared or peer.prepare(folder, case, listen)
    if program:
        argv = [program, *argv[1:]]
    log = folder / "log"
    command = at(cores(range(on_cores or listen.threads), argv))
    with running(command, log=log) as child:
        server = Started(peer, listen, child.pid, tuple(argv), log)
        if STATIC in peer.names:
            wait_for_answer(
                *(child, listen.port, peer.names[STATIC], log, listen.address, start_max_s),
                empty=peer.name == ECHO.name,
            )
        yield server


def found(program: str) -> str | None:
    """Return where a program is; raise NotMeasured if it is a name that nothing bears."""
    if not program:
        return None
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise NotMeasured(f"{program} is not installed")
    return path


ECHO = Peer("bare echo", "", (), peerfiles.echo, _ALL, (1, 2), fast=True)
NATIVE = Peer("gslb", GSLB[0], (*GSLB, "--version"), peerfiles.gslb_native, _ALL, (1, 2), fast=True)
PYTHON = Peer("gslb in Python", GSLB[0], (*GSLB, "--version"), peerfiles.gslb_python, _ALL)
GDNSD = Peer("gdnsd", "gdnsd", ("gdnsd", "-V"), peerfiles.gdnsd, _ALL, (1, 2), fast=True)
KNOT = Peer("Knot", "knotd", ("knotd", "-V"), peerfiles.knot, _ALL, (1, 2), fast=True)
NSD = Peer(
    "NSD", "nsd", ("nsd", "-v"), peerfiles.nsd, {STATIC: FIXED, NXDOMAIN: MISSING}, (1, 2), True
)
_PDNS = ("pdns_server", ("pdns_server", "--version"))
POWERDNS = Peer("PowerDNS", *_PDNS, peerfiles.powerdns, _ALL)
POWERDNS_UNCACHED = Peer("PowerDNS uncached", *_PDNS, peerfiles.powerdns_uncached, _ALL)
POWERDNS_LUA = Peer(
    "PowerDNS Lua", *_PDNS, peerfiles.powerdns, {STATIC: FIXED, DYNAMIC: LUA_SERVICE}
)

PEERS = (ECHO, NATIVE, GDNSD, KNOT, NSD, POWERDNS, POWERDNS_UNCACHED, POWERDNS_LUA, PYTHON)
