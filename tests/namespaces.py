"""Network namespaces for three regions, joined by links that can be cut one by one.

Each region has a router, and behind it, each in a namespace of its own, a node (`eu-ns`), a
vantage (`eu-probe`) and two members (`eu-1`, `eu-2`).  Every router has a link to every other,
to the clients, and to the NATS server, so that each pair can be cut from each other while all
else goes on.  It needs root, and leaves nothing behind.

Where the suite runs in several processes, each steps apart to a loopback of its own.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

PLACES = {
    "us": ("us-east", "192.0.2"),
    "eu": ("eu-west", "198.51.100"),
    "ap": ("ap-south", "203.0.113"),
}
HOSTS = {"ns": 53, "probe": 8, "1": 11, "2": 12}
CLIENTS, NATS = "192.0.2.200", "192.0.2.250"

# From <sched.h>, <net/if.h> and <linux/sockios.h>.
_CLONE_NEWNET, _IFF_UP, _SIOCSIFFLAGS = 0x40000000, 0x1, 0x8914

_MARK = "gslb-t-"  # and the id of the process that made it

why_not = (
    "network namespaces need root"
    if os.geteuid()
    else None
    if shutil.which("ip")
    else "ip (iproute2) is not installed"
)


def address(host: str) -> str:
    """Return a host's address, such as that of `eu-ns`."""
    if host in ("clients", "nats"):
        return {"clients": CLIENTS, "nats": NATS}[host]
    place, _, name = host.partition("-")
    return f"{PLACES[place][1]}.{HOSTS[name] if name else 1}"


def step_apart() -> None:
    """Move this thread, and all that it starts, to a network namespace with a loopback alone.

    Its addresses and ports are then nobody else's.  The namespace goes with the process.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(
            ctypes.get_errno(), "no network namespace can be made: be root, or leave -n out"
        )
    with socket.socket() as any_socket:
        loopback = struct.pack("16sH14x", b"lo", _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, loopback)
    # As docs/proxy.md advises: what is half done where a listener closes goes to the next one.
    with suppress(OSError):
        Path("/proc/sys/net/ipv4/tcp_migrate_req").write_text("1")


class Network:
    """Namespaces and links; `cut` and `restore` name a link by its two ends."""

    def __init__(self, stack: ExitStack) -> None:
        _sweep()
        self._prefix = f"{_MARK}{os.getpid()}-{secrets.token_hex(1)}-"
        self._stack = stack
        self._routes: dict[tuple[str, str], list[str]] = {}
        self.cuts: set[tuple[str, str]] = set()
        for host in ("clients", "nats", *PLACES):
            self._add(host)
        for place in PLACES:
            self._ip(place, "address", "add", f"{address(place)}/32", "dev", "lo")
            for name in HOSTS:
                host = f"{place}-{name}"
                self._add(host)
                self._link(place, host)
        for host in ("clients", "nats"):
            for place in PLACES:
                self._link(place, host)
        for one, other in (("us", "eu"), ("us", "ap"), ("eu", "ap")):
            self._link(one, other)

    def name(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return self._prefix + host

    def _add(self, host: str) -> None:
        name = self.name(host)
        _run("ip", "netns", "add", name)
        self._stack.callback(_run, "ip", "netns", "delete", name)
        self._ip(host, "link", "set", "lo", "up")
        if host in PLACES:
            _run("ip", "netns", "exec", name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        else:
            self._ip(host, "address", "add", f"{address(host)}/32", "dev", "lo")

    def _link(self, one: str, other: str) -> None:
        peer = ("peer", "name", f"to-{one}", "netns", self.name(other))
        self._ip(one, "link", "add", f"to-{other}", "type", "veth", *peer)
        for here, there in ((one, other), (other, one)):
            self._routes[here, there] = list(_reached(here, there))
            self._up(here, there)

    def _up(self, here: str, there: str) -> None:
        self._ip(here, "link", "set", f"to-{there}", "up")
        source = ("src", address(here))
        self._ip(here, "route", "replace", f"{address(there)}/32", "dev", f"to-{there}", *source)
        for net in self._routes[here, there]:
            way = ("via", address(there), "dev", f"to-{there}", "onlink", *source)
            self._ip(here, "route", "replace", net, *way)

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between these two any more."""
        if (one, other) not in self._routes:
            raise ValueError(f"there is no link between {one} and {other}")
        self.cuts.add((one, other))
        self._ip(one, "link", "set", f"to-{other}", "down")

    def restore(self, one: str, other: str) -> None:
        """Mend a link."""
        self.cuts.discard((one, other))
        self._up(one, other)

    def _ip(self, host: str, *words: str) -> None:
        _run("ip", "-n", self.name(host), *words)


def _reached(here: str, there: str) -> Iterator[str]:
    """Yield the networks that lie behind a neighbour."""
    if there in PLACES:
        if here.startswith(f"{there}-"):
            yield "default"
        else:
            yield f"{PLACES[there][1]}.0/26"


def _sweep() -> None:
    """Remove what a killed run of these tests left behind."""
    for name in _run("ip", "netns", "list").split():
        owner = name.removeprefix(_MARK).partition("-")[0]
        if name.startswith(_MARK) and not Path(f"/proc/{owner}").exists():
            for process in _run("ip", "netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            _run("ip", "netns", "delete", name)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not done.returncode, f"{' '.join(words)}: {done.stderr.strip()}"
    return done.stdout
