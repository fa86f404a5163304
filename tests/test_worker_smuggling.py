"""Requests that two readers could take differently: a real worker refuses them or makes them plain.

Each form of `tests.smuggling` goes to a worker of the tier over a socket.  Behind it stands a
member that keeps every octet and reads more strictly than any server would; it has one connection
for all.  After each attempt comes the request of another client, which must be the next thing that
the member reads.
"""

import asyncio
import re
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest

from gslb.daemons.briefing import Brief, Drain, Line, Ready
from gslb.daemons.worker import Worker
from gslb.model import Region
from gslb.tier import Limits, Listener, Match, Respond, Tier, Upstream
from tests import running
from tests.exchanges import WWW, route, service
from tests.servers import free_port
from tests.smuggling import (
    BODY_MAX,
    FIELDS_MAX,
    HEAD_MAX,
    HOP_BY_HOP,
    PLAIN,
    REFUSALS,
    REFUSED,
    UNFINISHED,
    halves,
    whole,
)

pytestmark = pytest.mark.usefixtures("engine")

PATIENCE_S = 20

NEXT = b"GET /next HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"

LINE = re.compile(rb"([A-Z]+) (/[\x21-\x7e]*|\*) HTTP/1\.1")
FIELD = re.compile(rb"([a-zA-Z0-9_-]+): ([\x20-\x7e\x80-\xff]*)")


class Read(NamedTuple):
    """A request as a member read it."""

    method: bytes
    target: bytes
    body: bytes
    fields: dict[bytes, bytes]


@dataclass
class Seen:
    """What a member read: whole requests, and the octets that were none."""

    requests: list[Read] = field(default_factory=list)
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
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(found.target), found.target)
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
        return Read(start[1], start[2], whole, told)


async def exchanged(port, *parts):
    """Return all that a client is answered that sends *parts*, one by one, and then no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(0.002)
            writer.write(part)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def attempt(ways, seen, *, buffer, tmp_path):
    """Return what clients are answered that send the parts in *ways*, and what the next one is."""
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
        firsts = [await exchanged(port, *parts) for parts in ways]
        return firsts, await exchanged(port, NEXT)
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
            route(buffer=buffer, body_max=BODY_MAX),
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
        engine=running.engine,
    )


async def answers(tmp_path, *ways, buffer=65_536):
    """Return what the clients before the last were answered, and what the member saw of all."""
    seen = Seen()

    async with asyncio.timeout(PATIENCE_S):
        firsts, then = await attempt(ways, seen, buffer=buffer, tmp_path=tmp_path)
    assert not seen.problem, seen.problem
    assert then.startswith(b"HTTP/1.1 200 OK\r\n")
    assert then.endswith(b"\r\n\r\n/next")
    return firsts, seen


def status_of(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


@pytest.mark.parametrize("table", [REFUSED, PLAIN, UNFINISHED], ids=["refused", "plain", "none"])
def test_no_form_is_in_the_table_twice(table):
    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_can_be_taken_in_two_ways_is_refused_at_once_and_in_parts(name, tmp_path):
    octets = REFUSED[name]

    found, seen = await answers(tmp_path, whole(octets), halves(octets))

    for answer in found:
        assert status_of(answer) in REFUSALS
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nconnection: close\r\n" in answer
    assert [each.target for each in seen.requests] == [b"/next"]


@pytest.mark.parametrize("buffer", [0, 65_536])
@pytest.mark.parametrize("name", PLAIN)
async def test_what_can_be_made_plain_is_one_request(name, buffer, tmp_path):
    sent = PLAIN[name]

    (answer,), seen = await answers(tmp_path, whole(sent.octets), buffer=buffer)

    assert status_of(answer) == 200
    assert answer.count(b"HTTP/1.1 ") == 1
    first, then = seen.requests
    assert (first.method, first.target, first.body) == (sent.method, sent.target, sent.body)
    assert first.fields[b"host"] == sent.host
    assert first.fields.keys().isdisjoint(HOP_BY_HOP)
    assert then.target == b"/next"


@pytest.mark.parametrize("name", UNFINISHED)
async def test_what_is_not_whole_comes_to_nothing(name, tmp_path):
    (answer,), seen = await answers(tmp_path, whole(UNFINISHED[name]))

    assert answer == b""
    assert [each.target for each in seen.requests] == [b"/next"]
