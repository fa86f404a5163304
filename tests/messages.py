"""HTTP messages as either end of a test reads them: by lengths and chunks alone, and strictly."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

LINE_MAX = 1 << 20

Fields = list[tuple[str, str]]


@dataclass
class Message:
    """A request or a response as it was read; `raw` are its octets."""

    line: str
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    raw: bytes = b""

    def get(self, name: str) -> str | None:
        """Return the value of the one field of this name, None if there is none."""
        found = [value for key, value in self.fields if key == name.lower()]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        """Return the values of all fields of this name."""
        return [value for key, value in self.fields if key == name.lower()]

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.line.split(" ", 2)[1])

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        """The target of a request."""
        return self.line.split(" ")[1]


async def read_fields(reader: asyncio.StreamReader) -> tuple[Fields, bytes]:
    """Return fields up to the empty line, and their octets."""
    fields, raw = [], b""
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        raw += line
        found = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([^\r\n\0]*?) *\r\n", line)
        assert found, f"no field: {line!r}"
        fields.append((found[1].decode().lower(), found[2].decode("latin-1")))
    return fields, raw + line


async def read_head(reader: asyncio.StreamReader) -> Message:
    """Return a head; raises IncompleteReadError at the end of the connection."""
    line = await reader.readuntil(b"\r\n")
    fields, raw = await read_fields(reader)
    return Message(line[:-2].decode("latin-1"), fields, raw=line + raw)


async def read_body(
    reader: asyncio.StreamReader, message: Message, *, to_end: bool = False
) -> None:
    """Read the body of *message*; up to the end of the connection if *to_end* and nothing says."""
    if message.get("transfer-encoding") is not None:
        assert message.get("transfer-encoding") == "chunked"
        assert message.get("content-length") is None, "two framings"
        while True:
            line = await reader.readuntil(b"\r\n")
            assert re.fullmatch(rb"[0-9a-f]+\r\n", line), line
            message.raw += line
            size = int(line, 16)
            if not size:
                message.trailers, raw = await read_fields(reader)
                message.raw += raw
                return
            piece = await reader.readexactly(size + 2)
            assert piece[-2:] == b"\r\n"
            message.raw += piece
            message.body += piece[:-2]
    elif (length := message.get("content-length")) is not None:
        assert re.fullmatch("[0-9]+", length), length
        message.body = await reader.readexactly(int(length))
        message.raw += message.body
    elif to_end:
        message.body = await reader.read()
        message.raw += message.body


def request(target: str = "/", *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Return a request as octets; a body has its length told."""
    head = [f"{method} {target} HTTP/1.1", *lines]
    if not any(line.lower().startswith("host:") for line in lines):
        head.insert(1, "Host: www.example.com")
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
