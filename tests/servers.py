"""HTTP members on loopback whose behaviour can be switched, and certificates for them.

    async with Member("127.1.0.1") as member:
        member.behave("hang")
        ...
        member.behave("ok")

What a member can do is in `BEHAVIOURS`.  Switching takes effect for connections accepted from
then on; `refuse` also drops those that are open, as a killed process does.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import ipaddress
import random
import socket
import ssl
import struct
from itertools import cycle
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BEHAVIOURS = {
    "ok": "answers 200 with the member's body",
    "refuse": "listens no more and drops every connection",
    "hang": "accepts and reads, and says nothing",
    "500": "answers 500",
    "slow": "sends its header byte by byte, and never ends it",
    "stuck": "sends a header and half a body, and no more",
    "garbage": "answers something that is not HTTP",
    "redirect": "answers 302 to /elsewhere",
    "endless": "sends a body without end",
    "close": "closes as soon as it has read a request",
    "reset": "resets the connection",
    "short": "closes before the body it announced is whole",
    "continue": "answers 100 twice, and then 200",
    "informing": "answers 103 without end",
    "raw": "sends the bytes in `raw` and closes",
}
SLOW_STEP_S = 0.02
CHUNK = b"x" * 16_384

_ports = cycle(random.sample(range(10_000, 32_000), 22_000))


class Member:
    """One HTTP server at an address and port (0: a free one), behaving as it is told."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
        body: bytes = b"ok\n",
    ) -> None:
        self.address = address
        self.port = port
        self.body = body
        self.raw = b""
        self.requests: list[bytes] = []
        self.connections = 0
        self._tls = tls
        self._behaviour = "ok"
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted: set[socket.socket] = set()

    async def __aenter__(self) -> Member:
        if self._behaviour != "refuse":
            self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def target(self) -> tuple[str, int]:
        return self.address, self.port

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    def behave(self, behaviour: str, *, raw: bytes = b"") -> None:
        """Behave so from now on; *raw* is what "raw" sends."""
        assert behaviour in BEHAVIOURS, f"{behaviour!r} is none of {sorted(BEHAVIOURS)}"
        self._behaviour = behaviour
        self.raw = raw
        if behaviour == "refuse":
            self._stop()
        elif self._listener is None:
            self._listen()

    def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((self.address, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def _stop(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for task in self._tasks:
            task.cancel()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self._accepted.add(connection)
            task = asyncio.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(functools.partial(self._served, connection))

    def _served(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A task cancelled before its first step runs no `finally` of its own.
        if connection in self._accepted:
            self._accepted.remove(connection)
            connection.close()

    async def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        self._accepted.remove(connection)
        try:
            reader, writer = await self._streams(connection)
        except BaseException:
            connection.close()
            raise
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            await self._answer(reader, writer, connection)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    async def _streams(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: socket.socket,
    ) -> None:
        match self._behaviour:
            case "ok":
                writer.write(response(200, self.body))
            case "500":
                writer.write(response(500, b"broken\n"))
            case "redirect":
                writer.write(response(302, b"", "Location: /elsewhere\r\n"))
            case "garbage":
                writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
            case "continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + response(200, self.body))
            case "raw":
                writer.write(self.raw)
            case "short":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            case "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            case "close":
                return
            case "hang":
                await reader.read()
            case "stuck":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
                await reader.read()
            case _:
                await self._go_on(writer)
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            await reader.read()
        else:
            writer.close()
            await writer.wait_closed()

    async def _go_on(self, writer: asyncio.StreamWriter) -> None:
        if self._behaviour == "slow":
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(SLOW_STEP_S)
        chunk = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        if self._behaviour == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            chunk = CHUNK
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)


def response(status: int, body: bytes, headers: str = "") -> bytes:
    """Return a whole HTTP response as bytes."""
    head = f"HTTP/1.1 {status} Some\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port at which nobody listens, each time another one.

    It is below those that the kernel gives to connections: one of these may be the source of the
    next connection, even of one to itself, before the test comes to listen there.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = next(_ports)
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            return port


class Authority:
    """A certificate authority made for one test; its certificate is in `ca_file`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example authority")])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = (
            self._certificate(self._name, self._key)
            .add_extension(constraints, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = str(folder / "ca.pem")
        Path(self.ca_file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def serving(self, *names: str) -> ssl.SSLContext:
        """Return a context for a server whose certificate names these hosts and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(*names))
        return context

    def certificate(self, *names: str) -> Path:
        """Return a PEM file with a certificate that names these hosts, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example member")])
        certificate = (
            self._certificate(subject, key)
            .add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        both = self._folder / f"member-{certificate.serial_number}.pem"
        both.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return both

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
