"""Child processes of a benchmark: started in the foreground, watched, and ended by their id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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


def cores(wanted: Iterable[int], argv: Sequence[str]) -> list[str]:
    """Return the command that runs *argv* on some cores only, under the same process id.

    Where the machine has fewer cores they are counted round, and so shared.
    """
    if shutil.which("taskset") is None:
        raise NotMeasured("taskset (util-linux) is not installed, so nothing can be pinned")
    known = os.cpu_count() or 1
    return ["taskset", "-c", ",".join(str(core % known) for core in wanted), *argv]


def last_core() -> int:
    """Return the core of the load: the last, so that servers have the first ones."""
    return (os.cpu_count() or 1) - 1


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


def wait_for_answer(
    child: subprocess.Popen[bytes],
    port: int,
    name: str,
    log: Path,
    address: str = "127.0.0.1",
    start_max_s: float = START_MAX_S,
    *,
    empty: bool = False,
) -> None:
    """Return once *name* is answered, with something unless *empty* will do.

    Raise NotMeasured if that never happens.
    """
    query = dns.message.make_query(name, "A")
    deadline = time.monotonic() + start_max_s
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise NotMeasured(f"ended at once with status {child.returncode}: {tail(log)}")
        try:
            if dns.query.udp(query, address, port=port, timeout=0.1).answer or empty:
                return
        except (dns.exception.DNSException, OSError):
            pass
        time.sleep(0.02)
    raise NotMeasured(f"does not answer {name} within {start_max_s:g} s: {tail(log)}")


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


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in _tasks(parent):
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its descendants have used so far.

    The time that the kernel spent on packets while one of them was running is in it.
    """
    used_ns = 0
    for each in tree(pid):
        for task in _tasks(each):
            with suppress(OSError):
                used_ns += int((task / "schedstat").read_text().split()[0])
    return used_ns / 1e9


def held_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants; what is shared is counted once (PSS)."""
    return sum(_field_bytes(f"/proc/{each}/smaps_rollup", "Pss:") for each in tree(pid))


def peak_bytes(pid: int) -> int:
    """Return the sum of the most that a process and its descendants ever held (VmHWM)."""
    return sum(_field_bytes(f"/proc/{each}/status", "VmHWM:") for each in tree(pid))


def _field_bytes(path: str, field: str) -> int:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def core_busy_s(core: int) -> float:
    """Return the seconds that a core has not been idle since the machine started."""
    wanted = f"cpu{core} "
    line = next(
        line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(wanted)
    )
    ticks = [int(field) for field in line.split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has resident, in bytes, what it shares included."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tail(log: Path) -> str:
    """Return the last lines of a log, for a message."""
    return (
        log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip() or "(it said nothing)"
    )
