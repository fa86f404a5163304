"""Two network namespaces with one virtual wire between them: a network of the benchmark's own.

The server's end is 192.0.2.1 and 2001:db8::1, the client's 192.0.2.2 and 2001:db8::2.  A third
address, 192.0.2.3, belongs to the load generator (`bench.load`), which sends and takes whole
frames: to the client's kernel its frames are for some other host, so they are dropped
at once after the generator's socket has seen them, and no response costs the server's core
a walk through the client's IP stack.

On such a wire a frame's way up to the receiver's socket is walked on the sender's core.  So
the server's core pays for the generator's reception, and the generator's for the server's;
every server pays the same, the bare echo too.

Nothing outside of the two namespaces is touched, and both are removed at the end.  Needs root.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import NotMeasured

SERVER, CLIENT, LOAD = "192.0.2.1", "192.0.2.2", "192.0.2.3"
SERVER_V6, CLIENT_V6 = "2001:db8::1", "2001:db8::2"
LOAD_MAC = "02:00:00:00:00:03"
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Wire:
    """The two namespaces by name, and the network interface that each has in the other's sight."""

    server: str
    client: str
    server_mac: str
    server_interface: str = "server0"
    client_interface: str = "client0"

    def at_server(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs *argv* at the server's end, under the same process id."""
        return ["ip", "netns", "exec", self.server, *argv]

    def at_client(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs *argv* at the client's end, under the same process id."""
        return ["ip", "netns", "exec", self.client, *argv]

    def without_xdp(self) -> None:
        """Take away what kxdpgun leaves at the client's interface: it slows all that follows."""
        _ip("-n", self.client, "link", "set", self.client_interface, "xdp", "off")


@contextmanager
def wire() -> Iterator[Wire]:
    """Make the namespaces and the wire, and remove them when the block is left."""
    if os.geteuid():
        raise NotMeasured("network namespaces need root")
    if shutil.which("ip") is None:
        raise NotMeasured("ip (iproute2) is not installed")
    suffix = secrets.token_hex(2)
    made = Wire(f"gslb-b-{suffix}-s", f"gslb-b-{suffix}-c", _random_mac())
    with ExitStack() as stack:
        for name in (made.server, made.client):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
        _ip(
            *("-n", made.server, "link", "add", made.server_interface),
            *("address", made.server_mac, "type", "veth"),
            *("peer", "name", made.client_interface, "netns", made.client),
        )
        ends = (
            (made.server, made.server_interface, SERVER, SERVER_V6),
            (made.client, made.client_interface, CLIENT, CLIENT_V6),
        )
        for name, interface, ipv4, ipv6 in ends:
            _ip("-n", name, "address", "add", f"{ipv4}/24", "dev", interface)
            _ip("-n", name, "address", "add", f"{ipv6}/64", "dev", interface, "nodad")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", interface, "up")
        _ip(
            *("-n", made.server, "neighbour", "replace", LOAD, "lladdr", LOAD_MAC),
            *("dev", made.server_interface, "nud", "permanent"),
        )
        yield made


@contextmanager
def within(name: str) -> Iterator[None]:
    """Let this thread open its sockets in that namespace until the block is left."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/thread-self/ns/net").open("rb") as home,
        Path(f"/run/netns/{name}").open("rb") as there,
    ):
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {name}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def _random_mac() -> str:
    # 02: locally administered, unicast.
    return ":".join(["02", *(f"{octet:02x}" for octet in secrets.token_bytes(5))])


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasured(f"ip {' '.join(words)}: {done.stderr.strip()}")
