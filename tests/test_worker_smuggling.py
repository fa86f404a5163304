"""Requests that two readers could take differently: a real worker refuses them or makes them plain.

Each goes to a worker of the tier over a socket.  Behind it stands a member that keeps every octet
and reads more strictly than any server would; it has one connection for all.  After each attempt
comes the request of another client, which must be the next thing that the member reads.
"""

import asyncio
import re
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest

from gslb.daemons.briefing import Brief, Drain, Line, Ready
from gslb.daemons.worker import Worker
from gslb.model import Region
from gslb.tier import Limits, Listener, Match, Respond, Tier, Upstream
from tests.exchanges import WWW, route, service
from tests.servers import free_port

HEAD_MAX = 4096
FIELDS_MAX = 50
PATIENCE_S = 20

POST = b"POST /first HTTP/1.1\r\nHost: www.example.com\r\n"
GET = b"GET /first HTTP/1.1\r\nHost: www.example.com\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
IN_CHUNKS = b"0\r\n\r\n" + SMUGGLED
TE = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(IN_CHUNKS)
NEXT = b"GET /next HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"

# What a client sends that must be refused, whatever is behind it.
REFUSED = {
    # Two lengths.
    "CL.TE": POST + LENGTH + TE + b"\r\n" + IN_CHUNKS,
    "TE.CL": POST + TE + b"Content-Length: 4\r\n\r\n" + IN_CHUNKS,
    "TE.CL zero": POST + TE + b"Content-Length: 0\r\n\r\n" + IN_CHUNKS,
    "CL twice, same": POST + LENGTH + LENGTH + b"\r\n" + IN_CHUNKS,
    "CL twice, other": POST + b"Content-Length: 0\r\n" + LENGTH + b"\r\n" + IN_CHUNKS,
    "CL list": POST + b"Content-Length: 5, 5\r\n\r\n" + IN_CHUNKS,
    "CL list, other": POST + b"Content-Length: 0,52\r\n\r\n" + IN_CHUNKS,
    # TE.TE: codings that one reader takes for chunked and another does not.
    **{
        f"TE {value!r}": POST + b"Transfer-Encoding:" + value + b"\r\n\r\n" + IN_CHUNKS
        for value in (
            b" xchunked",
            b" chunkedx",
            b" chunked, identity",
            b" identity, chunked",
            b" gzip, chunked",
            b" chunked, chunked",
            b" chunked;q=1",
            b' "chunked"',
            b" 'chunked'",
            b" chunk",
            b" identity",
            b" cow",
            b"",
            b" ,chunked",
            b" chunked,",
            b"\x0bchunked",
            b"\x0cchunked",
            b"\x00chunked",
            b" chunked\x00",
            b" \xa0chunked",
            b" chun\r\n ked",
            b"\r\n chunked",
            b"\n chunked",
            b" chunked\r\nTransfer-Encoding: chunked",
            b" chunked\r\nTransfer-Encoding: x",
            b" x\r\nTransfer-Encoding: chunked",
            b" chunked\r\nTransfer-encoding: identity",
        )
    },
    **{
        f"field {line!r}": POST + line + b"\r\n\r\n" + IN_CHUNKS
        for line in (
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding\t: chunked",
            b" Transfer-Encoding: chunked",
            b"\tTransfer-Encoding: chunked",
            b"X: y\r\n Transfer-Encoding: chunked",
            b"X: y\nTransfer-Encoding: chunked",
            b"X: y\rTransfer-Encoding: chunked",
            b"X: y\r\r\nTransfer-Encoding: chunked",
            b"X: y\n\rTransfer-Encoding: chunked",
            b"Transfer\x00-Encoding: chunked",
            b"Transfer-Encoding\x00: chunked",
            b"Transfer-\r\nEncoding: chunked",
            b"\x00Transfer-Encoding: chunked",
            b"Transfer Encoding: chunked",
            b"X\xff: y",
            b": y",
            b"X",
            b"X: \x00",
            b"X: \x01",
            b"X: \x7f",
            b"X: y\r\n\tfolded",
            b"Content-Length: ",
            b"Content-Length: +5",
            b"Content-Length: -5",
            b"Content-Length: 0x34",
            b"Content-Length: 5 5",
            b"Content-Length: 5_0",
            b"Content-Length: 5.0",
            b"Content-Length: 5e1",
            b"Content-Length: 5;",
            b"Content-Length: five",
            b"Content-Length:\x0b5",
            b"Content-Length: 5\x00",
            b"Content-Length: 5\n",
            b"Content-Length : 52",
            b" Content-Length: 52",
            b"Content-Length: 18446744073709551668",
            b"Content-Length: 99999999999999999999999999",
            b"Content-Length: " + b"0" * 100 + b"52",
            b"Host: other.example.com",
            b"Host: www.example.com",
            b"Expect: 200-ok",
            b"Expect: 100-continue, x",
        )
    },
    # The request line.
    **{
        f"line {line!r}": line + b"\r\nHost: www.example.com\r\n\r\n" + SMUGGLED
        for line in (
            b"GET  /first HTTP/1.1",
            b"GET /first  HTTP/1.1",
            b" GET /first HTTP/1.1",
            b"GET\t/first HTTP/1.1",
            b"GET /first\tHTTP/1.1",
            b"GET /first HTTP/1.1 ",
            b"GET /first HTTP/1.1\r",
            b"GET /fi rst HTTP/1.1",
            b"GET /first HTTP/1.1 HTTP/1.1",
            b"GET /first HTTP/1.2",
            b"GET /first HTTP/2.0",
            b"GET /first HTTP/0.9",
            b"GET /first HTTP/3",
            b"GET /first HTTP/1.1.1",
            b"GET /first HTTP/01.1",
            b"GET /first HTTP/1.01",
            b"GET /first http/1.1",
            b"GET /first RTSP/1.0",
            b"GET /first ICE/1.0",
            b"GET /first",
            b"GET /first ",
            b"GET",
            b"get /first HTTP/1.1",
            b"G@T /first HTTP/1.1",
            b"G\x00T /first HTTP/1.1",
            b"GET /fi\x00rst HTTP/1.1",
            b"GET /fi\xffrst HTTP/1.1",
            b"GET /fi\x7frst HTTP/1.1",
            b"GET /fi\nrst HTTP/1.1",
            b"GET /first#x HTTP/1.1",
            b"GET # HTTP/1.1",
            b"GET first HTTP/1.1",
            b"GET * HTTP/1.1",
            b"GET www.example.com:80 HTTP/1.1",
            b"GET http:///first HTTP/1.1",
            b"GET http://a@www.example.com/first HTTP/1.1",
            b"GET http://www.example.com:x/first HTTP/1.1",
            b"GET http://www.example.com#x HTTP/1.1",
            b"GET file:///first HTTP/1.1",
            b"CONNECT www.example.com:80 HTTP/1.1",
            b"CONNECT /first HTTP/1.1",
            b"PRI * HTTP/2.0",
        )
    },
    "HTTP/0.9": b"GET /first\r\n\r\n" + SMUGGLED,
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
    "HTTP/1.0 with a coding": POST.replace(b"1.1", b"1.0") + TE + b"\r\n" + IN_CHUNKS,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n" + SMUGGLED,
    "no Host": b"GET /first HTTP/1.1\r\n\r\n" + SMUGGLED,
    "empty Host": b"GET /first HTTP/1.1\r\nHost:\r\n\r\n" + SMUGGLED,
    "Host with a path": b"GET /first HTTP/1.1\r\nHost: a/b\r\n\r\n" + SMUGGLED,
    "Host with a space": b"GET /first HTTP/1.1\r\nHost: a b\r\n\r\n" + SMUGGLED,
    # Ends of lines.
    "bare LF": b"GET /first HTTP/1.1\nHost: www.example.com\n\n" + SMUGGLED,
    "bare LF in the end": GET + b"\n" + SMUGGLED,
    "bare LF before the end": GET.removesuffix(b"\r\n") + b"\n\r\n" + SMUGGLED,
    "bare CR": GET.replace(b"\r\n", b"\r") + b"\r\r" + SMUGGLED,
    "LF CR": GET.replace(b"\r\n", b"\n\r") + b"\n\r" + SMUGGLED,
    "LF before it": b"\n" + GET + b"\r\n" + SMUGGLED,
    "CR before it": b"\r" + GET + b"\r\n" + SMUGGLED,
    "space before it": b" " + GET + b"\r\n" + SMUGGLED,
    # Sizes.
    "long target": b"GET /" + b"a" * HEAD_MAX + b" HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "long field": GET + b"X: " + b"a" * HEAD_MAX + b"\r\n\r\n" + SMUGGLED,
    "long name": GET + b"a" * HEAD_MAX + b": x\r\n\r\n" + SMUGGLED,
    "long method": b"A" * HEAD_MAX + b" / HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "many fields": GET + b"X: y\r\n" * FIELDS_MAX + b"\r\n" + SMUGGLED,
    # Chunks.
    **{
        f"chunks {body!r}": POST + TE + b"\r\n" + body + SMUGGLED
        for body in (
            b"\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-1\r\nhello\r\n0\r\n\r\n",
            b"5_\r\nhello\r\n0\r\n\r\n",
            b"g\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\rhello\r\n0\r\n\r\n",
            b"5\r\rhello\r\n0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
            b"5;\x00\r\nhello\r\n0\r\n\r\n",
            b"5\x00\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"6\r\nhello\r\n0\r\n\r\n",
            b"4\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"0000000000000000000005\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
            b"0\r\nX y\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\n X: y\r\n\r\n",
            b"0\r\nX: y\r\n z\r\n\r\n",
            b"0\r\nX: y\nZ: a\r\n\r\n",
            b"0\r\nX: \x00\r\n\r\n",
            b"0\r\nX: " + b"a" * 17_000 + b"\r\n\r\n",
        )
    },
}

# What is answered, since it can be made plain; with the target that its member is to see.
MADE_PLAIN = {
    "absolute form": (b"GET http://www.example.com/first HTTP/1.1\r\nHost: other\r\n\r\n", b""),
    "absolute form without a path": (
        b"GET http://www.example.com?first HTTP/1.1\r\nHost: o\r\n\r\n",
        b"",
    ),
    "empty lines before it": (b"\r\n\r\n" + GET + b"\r\n", b""),
    "odd case": (POST + b"TRANSFER-encoding: \tChunKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "extensions": (POST + TE + b'\r\n5;a="\\"";b\r\nhello\r\n0 ;c\r\n\r\n', b"hello"),
    "size with zeros": (POST + TE + b"\r\n0000005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "trailers": (POST + TE + b"\r\n0\r\nContent-Length: 9\r\nHost: x\r\n\r\n", b""),
    "underscores": (POST + b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n", b""),
    "length with zeros": (POST + b"Content-Length:\t005 \r\n\r\nhello", b"hello"),
    "body of a GET": (GET + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "requests as a body": (POST + LENGTH + b"\r\n" + IN_CHUNKS, IN_CHUNKS),
    "h2c": (
        GET + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
        b"",
    ),
    "length taken out": (
        POST + b"Connection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
    ),
    "coding taken out": (
        POST + b"Connection: Transfer-Encoding\r\n" + TE + b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    "HTTP/1.0": (GET.replace(b"1.1", b"1.0") + b"\r\n", b""),
    "HTTP/1.0 without a Host": (b"GET /first HTTP/1.0\r\n\r\n", b""),
}

# What comes to nothing, since its sender ends before it does.
UNFINISHED = {
    "half a head": GET,
    "half a body": POST + LENGTH + b"\r\n" + IN_CHUNKS[:-1],
    "half a chunk": POST + TE + b"\r\n5\r\nhell",
    "no last chunk": POST + TE + b"\r\n5\r\nhello\r\n",
    "no end of trailers": POST + TE + b"\r\n0\r\nX: y\r\n",
    "nothing": b"",
    "empty lines": b"\r\n\r\n",
}

LINE = re.compile(rb"[A-Z]+ (/[\x21-\x7e]*) HTTP/1\.1")
FIELD = re.compile(rb"([a-zA-Z0-9_-]+): ([\x20-\x7e\x80-\xff]*)")


@dataclass
class Seen:
    """What a member read: whole requests, and the octets that were none."""

    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    raw: bytes = b""
    problem: str = ""
    transports: list[asyncio.Transport] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)


class StrictMember(asyncio.Protocol):
    """Reads requests as strictly as can be, and answers each with its target."""

    def __init__(self, seen):
        self._seen = seen
        self._buffer = b""

    def connection_made(self, transport):
        self._transport = transport
        self._number = len(self._seen.transports)
        self._seen.transports.append(transport)
        self._seen.closed.append(False)

    def connection_lost(self, error):
        self._seen.closed[self._number] = True

    def data_received(self, octets):
        self._seen.raw += octets
        self._buffer += octets
        try:
            while (found := self._read()) is not None:
                self._seen.requests.append(found)
                target = found[0]
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target)
                )
        except AssertionError as error:
            self._seen.problem = repr(error) + repr(self._buffer)
            self._transport.close()

    def _read(self):
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        line, *lines = head.split(b"\r\n")
        start = LINE.fullmatch(line)
        assert start, "a request line"
        told = {}
        for each in lines:
            pair = FIELD.fullmatch(each)
            assert pair, "a field"
            name = pair[1].lower().replace(b"_", b"-")
            assert name not in told, "a field that comes once"
            told[name] = pair[2]
        assert "content-length" not in told or "transfer-encoding" not in told
        assert b"host" in told
        if b"transfer-encoding" in told:
            assert told[b"transfer-encoding"] == b"chunked"
            body, end, rest = rest.partition(b"0\r\n\r\n")
            if not end:
                return None
            whole = b""
            while body:
                size, _, body = body.partition(b"\r\n")
                count = int(size, 16)
                assert b"%x" % count == size, "a size"
                assert body[count : count + 2] == b"\r\n", "a chunk's end"
                whole, body = whole + body[:count], body[count + 2 :]
        else:
            length = int(told.get(b"content-length", b"0"))
            if len(rest) < length:
                return None
            whole, rest = rest[:length], rest[length:]
        self._buffer = rest
        return start[1], whole


async def exchanged(port, octets):
    """Return all that a client is answered that sends *octets* and then no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(octets)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def attempt(octets, seen, *, buffer, tmp_path):
    """Return what a client that sends *octets* is answered, and what the next client is."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StrictMember(seen), "127.0.0.1", 0)
    there, here = socket.socketpair()
    ready = loop.create_future()

    def hear(message):
        if isinstance(message, Ready) and not ready.done():
            ready.set_result(message)

    line = Line(hear)
    await line.open(here)
    worker = loop.create_task(Worker(0).run(there))
    try:
        port = free_port()
        line.say(brief(server.sockets[0].getsockname()[1], buffer, tmp_path, listen=port))
        found = await ready
        assert found.problem is None
        answer = await exchanged(port, octets)
        return answer, await exchanged(port, NEXT)
    finally:
        line.say(Drain(0.0))
        await worker
        line.close()
        server.close()
        for transport in seen.transports:
            transport.close()
        while not all(seen.closed):  # nothing is left to the collector of garbage
            await asyncio.sleep(0.001)


def brief(port, buffer, tmp_path, *, listen):
    tier = Tier(
        listeners=(Listener(port=listen),),
        routes=(
            route("own", action=Respond(200, b"own"), matches=(Match(path="/own"),)),
            route(buffer=buffer),
        ),
        upstreams={WWW: Upstream(service=WWW, port=port, connections_max=1)},
        limits=Limits(head_max=HEAD_MAX, fields_max=FIELDS_MAX),
    )
    return Brief(
        tier=tier,
        region="eu",
        addresses=("127.0.0.1",),
        services=(service(eu=[str(ip_address("127.0.0.1"))]),),
        regions={"eu": Region("eu")},
        workers=1,
        state_dir=Path(tmp_path),
        geo_database=None,
        asn_database=None,
        engine="auto",
    )


async def answers(octets, tmp_path, buffer=65_536):
    """Return what both clients were answered, and what the member saw of them."""
    seen = Seen()

    async with asyncio.timeout(PATIENCE_S):
        first, then = await attempt(octets, seen, buffer=buffer, tmp_path=tmp_path)
    assert not seen.problem, seen.problem
    assert then.startswith(b"HTTP/1.1 200 OK\r\n")
    assert then.endswith(b"\r\n\r\n/next")
    return first, seen


def status_of(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


@pytest.mark.parametrize("name", REFUSED)
async def test_what_can_be_taken_in_two_ways_is_refused(name, tmp_path):
    answer, seen = await answers(REFUSED[name], tmp_path)

    assert status_of(answer) in {*range(400, 500), 501, 505}
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert seen.requests == [(b"/next", b"")]


@pytest.mark.parametrize("buffer", [0, 65_536])
@pytest.mark.parametrize("name", MADE_PLAIN)
async def test_what_can_be_made_plain_is_one_request(name, buffer, tmp_path):
    octets, body = MADE_PLAIN[name]

    answer, seen = await answers(octets, tmp_path, buffer)

    assert status_of(answer) == 200
    assert answer.count(b"HTTP/1.1 ") == 1
    target, got = seen.requests[0]
    assert target in (b"/first", b"/?first")
    assert got == body
    assert seen.requests[1:] == [(b"/next", b"")]


@pytest.mark.parametrize("name", UNFINISHED)
async def test_what_is_not_whole_comes_to_nothing(name, tmp_path):
    answer, seen = await answers(UNFINISHED[name], tmp_path)

    assert answer == b""
    assert seen.requests == [(b"/next", b"")]
