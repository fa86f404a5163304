"""Child processes of a benchmark: started in the foreground, watched, and ended by their id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query

GSLB = (sys.executable, "-m", "gslb")
START_MAX_S = 60.0
STOP_MAX_S = 10.0
LOG_TAIL_BYTES = 2_000


class NotMeasured(Exception):  # noqa: N818 - it is an outcome to print and not a failure
    """A figure cannot be had on this machine or in this state of the tree; says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child took: seconds on the clock, seconds of CPU, and its peak memory in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def free_port() -> int:
    """Return a port that nothing on 127.0.0.1 uses, for TCP and UDP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def pinned(core: int, argv: Sequence[str]) -> list[str]:
    """Return the command that runs *argv* on one core only, under the same process id."""
    if shutil.which("taskset") is None:
        raise NotMeasured("taskset (util-linux) is not installed, so nothing can be pinned")
    return ["taskset", "-c", str(core % (os.cpu_count() or 1)), *argv]


@contextmanager
def running(argv: Sequence[str], *, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run *argv* until the block is left; what it says goes to *log*."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP_MAX_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_for_answer(child: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    """Return once *name* is answered with an A record; raise NotMeasured if that never happens."""
    query = dns.message.make_query(name, "A")
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise NotMeasured(f"ended at once with status {child.returncode}: {tail(log)}")
        try:
            if dns.query.udp(query, "127.0.0.1", port=port, timeout=0.3).answer:
                return
        except (dns.exception.DNSException, OSError):
            pass
        time.sleep(0.1)
    raise NotMeasured(f"does not answer {name} within {START_MAX_S:g} s: {tail(log)}")


def measured(argv: Sequence[str], *, log: Path) -> Usage:
    """Run *argv* to its end and return what it took; raise NotMeasured if it fails."""
    start = time.monotonic()
    with log.open("wb") as out:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        # wait4 gives the resources of this one child; getrusage would mix all of them.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - start
    if child.returncode:
        raise NotMeasured(f"{' '.join(argv[:4])} … gave status {child.returncode}: {tail(log)}")
    return Usage(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used so far, all of its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has resident, in bytes, what it shares included."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tail(log: Path) -> str:
    """Return the last lines of a log, for a message."""
    return (
        log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip() or "(it said nothing)"
    )
