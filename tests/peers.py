"""Other people's DNS programs, for tests: found, started on loopback from files of our own, ended.

A test that needs one which is not installed is skipped and says which package has it.  Servers
run in the foreground on addresses and ports of their own, and are ended by their process.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from asyncio import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import pytest

from gslb.config.settings import Endpoint

PACKAGES = {
    "dig": "bind9-dnsutils",
    "delv": "bind9-dnsutils",
    "kdig": "knot-dnsutils",
    "unbound": "unbound",
    "nsd": "nsd",
    "nats-server": "nats-server",
    "haproxy": "haproxy",
}
PATIENCE_S = 60.0
DNS_PORT = 53  # where referrals send a resolver; they cannot name another


def program(name: str) -> str:
    """Return where the program is; skip the test if it is nowhere."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package {PACKAGES[name]})")
    return found


async def said(name: str, *arguments: str) -> str:
    """Return what a program prints, on stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        program(name), *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode()


@dataclass(frozen=True, slots=True)
class Dug:
    """What dig or kdig printed of one response."""

    text: str

    @property
    def status(self) -> str:
        """The rcode's name."""
        found = re.search(r"status: (\w+)", self.text)
        assert found, self.text
        return found[1]

    @property
    def flags(self) -> set[str]:
        """The header's flags."""
        found = re.search(r"^;; [Ff]lags: ([\w ]*);", self.text, re.MULTILINE)
        assert found, self.text
        return set(found[1].split())

    @property
    def scope(self) -> int:
        """The scope of the client subnet."""
        found = re.search(r"CLIENT-SUBNET: [0-9a-f.:]+/\d+/(\d+)", self.text)
        assert found, self.text
        return int(found[1])

    @property
    def ede(self) -> list[int]:
        """The codes of Extended DNS Errors."""
        return [int(code) for code in re.findall(r"EDE: (\d+)", self.text)]

    def records(self, *types: str) -> set[str]:
        """Return the data of all records of these types in the answer section, as shown."""
        return {data for _, _, type_, data in self.lines() if type_ in types}

    @property
    def addresses(self) -> set[str]:
        """The addresses in the answer section."""
        return self.records("A", "AAAA")

    def lines(self) -> list[tuple[str, int, str, str]]:
        """Return owner, TTL, type and data of each record in the answer section."""
        part = re.split(r"^;; ANSWER SECTION:$", self.text, maxsplit=1, flags=re.MULTILINE)
        if len(part) == 1:
            return []
        lines = part[1].strip().split("\n\n")[0].splitlines()
        split = [re.split(r"\s+", line, maxsplit=4) for line in lines if not line.startswith(";")]
        return [(each[0], int(each[1]), each[3], each[4]) for each in split]


async def dig(server: Endpoint, *arguments: str) -> Dug:
    """Ask with dig."""
    where = [f"@{server.host}", "-p", str(server.port), "+tries=3", "+time=5"]
    return Dug(await said("dig", *where, *arguments))


async def kdig(server: Endpoint, *arguments: str) -> Dug:
    """Ask with kdig."""
    where = [f"@{server.host}", "-p", str(server.port), "+retry=2", "+time=5"]
    return Dug(await said("kdig", *where, *arguments))


def own_address() -> str:
    """Return a loopback address that is nobody else's, in all likelihood."""
    chance = SystemRandom()
    return f"127.{chance.randint(16, 250)}.{chance.randint(1, 250)}.{chance.randint(1, 250)}"


def own_address_for_dns() -> str:
    """Return such an address whose port 53 may be bound; skip the test if none may."""
    address = own_address()
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind((address, DNS_PORT))
            except OSError as error:
                pytest.skip(f"port 53 of {address} cannot be bound ({error.strerror}): be root")
    return address


@asynccontextmanager
async def unbound(
    folder: Path, root: str, *, server: str = "", modules: str = "subnetcache validator iterator"
) -> AsyncIterator[Endpoint]:
    """Give a resolver whose only root server is the one at *root*, port 53.

    *server* are further lines of its ``server:`` clause.
    """
    endpoint = Endpoint(own_address(), 5300)
    folder.mkdir()
    hints = folder / "root.hints"
    hints.write_text(f". 3600 IN NS ns.root.\nns.root. 3600 IN A {root}\n")
    conf = folder / "unbound.conf"
    conf.write_text(
        f"""\
server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    verbosity: 1
    do-daemonize: no
    num-threads: 1
    interface: {endpoint.host}
    port: {endpoint.port}
    do-ip6: no
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    root-hints: "{hints}"
    module-config: "{modules}"
    send-client-subnet: 127.0.0.0/8
    client-subnet-always-forward: yes
    max-client-subnet-ipv4: 32
    trust-anchor-signaling: no
    cache-min-ttl: 0
{server}
remote-control:
    control-enable: no
"""
    )
    async with _served([program("unbound"), "-d", "-c", str(conf)], "start of service"):
        yield endpoint


@asynccontextmanager
async def nsd(
    folder: Path, address: str, zones: Mapping[str, str], *, server: str = "", port: int = DNS_PORT
) -> AsyncIterator[Endpoint]:
    """Give a nameserver at *address* for zones, each the text of a master file.

    *server* are further lines of its ``server:`` clause.
    """
    folder.mkdir()
    parts = []
    for number, (zone, text) in enumerate(zones.items()):
        (folder / f"{number}.zone").write_text(text)
        parts.append(f'zone:\n    name: "{zone}"\n    zonefile: "{number}.zone"\n')
    conf = folder / "nsd.conf"
    conf.write_text(
        f"""\
server:
    ip-address: {address}
    port: {port}
    server-count: 1
    username: ""
    chroot: ""
    pidfile: ""
    logfile: ""
    zonesdir: "{folder}"
    xfrdfile: ""
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zone.list"
    database: ""
    verbosity: 1
{server}
remote-control:
    control-enable: no
"""
        + "".join(parts)
    )
    async with _served([program("nsd"), "-d", "-c", str(conf)], "nsd started"):
        yield Endpoint(address, port)


@asynccontextmanager
async def _served(command: Sequence[str], ready: str) -> AsyncIterator[None]:
    """Run a server until the end; it serves once it has printed *ready*."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    printed: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not printed or ready not in printed[-1]:
                line = await process.stdout.readline()
                if not line:
                    pytest.fail(f"{command[0]} ended:\n" + "".join(printed))
                printed.append(line.decode())
        rest = asyncio.create_task(process.stdout.read())
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if ready in "".join(printed):
            await rest
