"""The HTTP proxies that are compared, and how each is started: all on the first core, alone."""

from __future__ import annotations

import random
import re
import resource
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import proxyfiles
from bench.origin import answers
from bench.process import GSLB, NotMeasured, cores, free_port, running, tail
from bench.proxyfiles import HOST, Ports

NGINX, HAPROXY, CADDY, OURS = "nginx", "HAProxy", "Caddy", "gslb"
OTHER_PYTHON, BARE = "gslb, other Python", "bare uvloop"
START_MAX_S = 20.0
DESCRIPTORS_MIN = 12_000
CERTIFICATE_DAYS = "30"


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy: its program, how it says its version, its files' writer, its balancing rules."""

    name: str
    version: tuple[str, ...]
    prepare: Callable[[Path, Ports, Path], list[str]]
    rules: tuple[str, ...] = ("rr", "lc")

    def shown_version(self) -> str:
        """Return the first version number that the program prints."""
        if shutil.which(self.version[0]) is None:
            raise NotMeasured(f"{self.version[0]} is not installed")
        said = subprocess.run(self.version, capture_output=True, text=True, check=False)
        number = re.search(r"\d+\.\d+(\.\d+)*", said.stdout + said.stderr)
        return number[0] if number else "?"


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that answers."""

    proxy: Proxy
    ports: Ports
    argv: tuple[str, ...]
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process, of which others may be children."""
        return self.child.pid

    def said(self) -> str:
        """Return why it does not answer, where it ended."""
        if self.child.poll() is None:
            return ""
        return f"; it ended with status {self.child.returncode}: {tail(self.log)}"


def _ours(folder: Path, ports: Ports, certificate: Path) -> list[str]:
    return proxyfiles.gslb(folder, ports, certificate, GSLB)


def _bare(_: Path, ports: Ports, __: Path) -> list[str]:
    return [sys.executable, "-m", "bench.bare", str(ports.http), str(ports.quick)]


PROXIES = {
    each.name: each
    for each in (
        Proxy(NGINX, ("nginx", "-v"), proxyfiles.nginx),
        Proxy(HAPROXY, ("haproxy", "-v"), proxyfiles.haproxy),
        Proxy(CADDY, ("caddy", "version"), proxyfiles.caddy),
        Proxy(OURS, (*GSLB, "--version"), _ours, ("rr", "lc", "lt")),
        Proxy(BARE, (sys.executable, "-c", "import uvloop; print(uvloop.__version__)"), _bare, ()),
    )
}


def under(python: str) -> Proxy:
    """Return gslb run by another Python than this, with the libraries of this one."""
    path = ":".join([str(Path.cwd()), *site.getsitepackages()])
    program = ("env", f"PYTHONPATH={path}", python, "-m", "gslb")

    def prepare(folder: Path, ports: Ports, certificate: Path) -> list[str]:
        return proxyfiles.gslb(folder, ports, certificate, program)

    return Proxy(OTHER_PYTHON, (*program, "--version"), prepare, ())


@contextmanager
def started(
    proxy: Proxy, folder: Path, members: tuple[int, int], certificate: Path
) -> Iterator[Running]:
    """Start a proxy before the members at those ports (quick, slow), and end it after the block."""
    folder.mkdir()
    ports = Ports(free_port(), free_port(), free_port(), *members)
    argv = proxy.prepare(folder, ports, certificate)
    log = folder / "said.log"
    with running(cores([0], argv), log=log) as child:
        deadline_s = time.monotonic() + START_MAX_S
        while not answers("127.0.0.1", ports.http, "/1k", HOST):
            if child.poll() is not None:
                raise NotMeasured(f"ended at once with status {child.returncode}: {tail(log)}")
            if time.monotonic() > deadline_s:
                raise NotMeasured(f"does not answer within {START_MAX_S:g} s: {tail(log)}")
            time.sleep(0.05)
        yield Running(proxy, ports, tuple(_shown(argv, folder)), child, log)


def _shown(argv: Sequence[str], folder: Path) -> Iterator[str]:
    python = GSLB[0]
    for word in argv:
        if word.startswith("PYTHONPATH="):
            continue  # this machine's folders
        yield word.replace(python, "python").replace(f"{folder}/", "").replace(str(folder), ".")


def certificate(folder: Path) -> Path:
    """Make a self-signed certificate with its key behind it in one file, and return that.

    RSA of 2,048 bits, as most have: the server's part of a handshake is then the dear one, and the
    client does not become the limit.
    """
    made = folder / "certificate.pem"
    key, cert = folder / "tls.key", folder / "tls.crt"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", CERTIFICATE_DAYS]
    argv += ["-subj", f"/CN={HOST}", "-keyout", str(key), "-out", str(cert)]
    argv += ["-set_serial", str(random.randrange(1, 2**63))]
    argv += ["-addext", "subjectAltName=DNS:*.example.com,DNS:localhost,IP:127.0.0.1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasured(f"openssl: {done.stderr[-300:]}")
    made.write_bytes(cert.read_bytes() + key.read_bytes())
    return made


def many_descriptors() -> None:
    """Let this process and its children have as many files open as it may allow itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < DESCRIPTORS_MIN:
        raise NotMeasured(f"only {hard} open files are allowed, {DESCRIPTORS_MIN} are needed")
