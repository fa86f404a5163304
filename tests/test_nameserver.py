"""The nameserver over real sockets: UDP, TCP, their limits, and what an error costs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.rcode
import pytest

from gslb.config.settings import Endpoint
from gslb.daemons import native
from gslb.daemons.counters import Counters
from gslb.daemons.nameserver import Datagrams, Limits, Nameserver, Responder
from gslb.daemons.udp import Udp
from gslb.routing.snapshot import Snapshot
from tests import running
from tests.world import plan, pool, service, snapshot

WWW = plan(
    service(pool("us", "192.0.2.1")),
    records=[("big", "TXT", " ".join(f'"{"x" * 250}"' for _ in range(8)))],
)


@pytest.fixture(autouse=True, scope="module")
def _each_engine(engine: str) -> None: ...


def datagrams(responder: Responder, counters: Counters, snap: Snapshot) -> Datagrams:
    """Return what answers UDP in the engine that is tried."""
    if running.engine == "python":
        return Udp(responder, counters)
    udp = native.NativeUdp(responder, counters, clock_offset_s=0.0, endpoints=1, threads=2)
    udp.publish(snap, [ip_network("127.0.0.0/8")])
    return udp


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    current: Callable[[], Snapshot] | None = None,
) -> AsyncIterator[tuple[Nameserver, Counters]]:
    snap = snapshot(WWW)
    counters = Counters()
    responder = Responder(current or (lambda: snap), lambda: 0.0, counters)
    server = Nameserver(responder, counters, limits, udp=datagrams(responder, counters, snap))
    await server.listen([Endpoint(host, 0)])
    try:
        yield server, counters
    finally:
        await server.close(0.1)


def query(qname: str = "www.example.com", rdtype: str = "A", **keys: object) -> bytes:
    return dns.message.make_query(qname, rdtype, **keys).to_wire()


async def udp(endpoint: Endpoint, *wires: bytes, to: str | None = None) -> list[tuple[bytes, str]]:
    """Send datagrams and return as many responses, each with the address it came from."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for wire in wires:
            await loop.sock_sendto(sock, wire, (to or endpoint.host, endpoint.port))
        got = []
        async with asyncio.timeout(10):
            for _ in wires:
                wire, peer = await loop.sock_recvfrom(sock, 65535)
                got.append((wire, peer[0]))
        return got


def framed(wire: bytes) -> bytes:
    return struct.pack(">H", len(wire)) + wire


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)


async def test_a_query_over_udp_is_answered():
    async with serving() as (server, counters):
        ((wire, _),) = await udp(server.endpoints[0], query())

    response = dns.message.from_wire(wire)
    assert response.answer[0].to_text() == "www.example.com. 30 IN A 192.0.2.1"
    assert counters.total().queries["udp", 1, 0] == 1
    assert counters.total().answers["www.example.com", "rung"] == 1


async def test_ipv6_is_served():
    async with serving("::1") as (server, _):
        ((wire, _),) = await udp(server.endpoints[0], query())

    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.7", "127.9.9.9"])
async def test_a_wildcard_socket_answers_from_the_address_that_was_asked(asked):
    async with serving("0.0.0.0") as (server, _):
        ((_, came_from),) = await udp(server.endpoints[0], query(), to=asked)

    assert came_from == asked


async def test_an_ipv6_wildcard_answers_from_the_address_that_was_asked():
    async with serving("::") as (server, _):
        ((_, came_from),) = await udp(server.endpoints[0], query(), to="::1")

    assert came_from == "::1"


async def test_garbage_costs_only_itself():
    async with serving() as (server, counters):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            at = (server.endpoints[0].host, server.endpoints[0].port)
            for wire in (b"", b"x", b"\0" * 11, b"\xff" * 40):
                await loop.sock_sendto(sock, wire, at)
        ((wire, _),) = await udp(server.endpoints[0], query())

    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOERROR
    assert counters.total().events["gslb_dropped_datagrams"] == 4


async def test_an_error_of_ours_is_a_servfail_for_that_query_alone(caplog):
    answers = iter([None, snapshot(WWW)])

    async with serving(current=lambda: next(answers)) as (server, counters):
        # An explanation, which the native engine too has answered here.
        asked = query("www.example.com", "TXT", rdclass="CH")
        ((broken, _),) = await udp(server.endpoints[0], asked)
        ((good, _),) = await udp(server.endpoints[0], query())

    assert dns.message.from_wire(broken).rcode() == dns.rcode.SERVFAIL
    assert dns.message.from_wire(good).rcode() == dns.rcode.NOERROR
    assert counters.total().events["gslb_errors"] == 1


async def test_what_does_not_fit_into_udp_is_truncated_and_whole_over_tcp():
    async with serving() as (server, _):
        endpoint = server.endpoints[0]
        asked = query("big.example.com", "TXT", use_edns=0, payload=4096)
        ((wire, _),) = await udp(endpoint, asked)
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(framed(query("big.example.com", "TXT")))
        whole = await read_frame(reader)
        writer.close()

    assert len(wire) <= 1232
    assert dns.message.from_wire(wire).flags & dns.flags.TC
    response = dns.message.from_wire(whole)
    assert not response.flags & dns.flags.TC
    assert len(response.answer) == 1


async def test_many_queries_on_one_connection_are_answered_in_their_order():
    async with serving() as (server, _):
        endpoint = server.endpoints[0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        wires = [query(f"n{number}.example.com") for number in range(50)]
        writer.write(b"".join(map(framed, wires)))
        ids = [(await read_frame(reader))[:2] for _ in wires]
        writer.close()

    assert ids == [wire[:2] for wire in wires]


async def test_a_frame_in_pieces_is_answered():
    async with serving() as (server, _):
        endpoint = server.endpoints[0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        for octet in framed(query()):
            writer.write(bytes((octet,)))
            await writer.drain()
        wire = await read_frame(reader)
        writer.close()

    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOERROR


async def test_a_half_closed_client_is_answered():
    async with serving() as (server, _):
        endpoint = server.endpoints[0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(framed(query()))
        writer.write_eof()
        wire = await read_frame(reader)
        writer.close()

    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOERROR


async def test_an_idle_client_is_let_go_and_blocks_nobody():
    async with serving(limits=Limits(idle_s=0.05)) as (server, _):
        endpoint = server.endpoints[0]
        idle, idle_writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        idle_writer.write(b"\x00")
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(framed(query()))
        answered = await read_frame(reader)
        async with asyncio.timeout(10):
            ended = await _until_closed(idle)
        writer.close()
        idle_writer.close()

    assert dns.message.from_wire(answered).rcode() == dns.rcode.NOERROR
    assert ended


async def _until_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_connections_of_one_client_beyond_its_limit_are_closed_at_once():
    async with serving(limits=Limits(connections_per_client_max=2)) as (server, counters):
        kept = [await _asked(server) for _ in range(2)]
        reader, writer = await asyncio.open_connection(*_at(server))
        async with asyncio.timeout(10):
            ended = await _until_closed(reader)
        for _, each in kept:
            each.close()
        writer.close()

    assert ended
    assert counters.total().events["gslb_refused_connections"] == 1


async def test_when_there_are_too_many_connections_the_longest_idle_makes_room():
    async with serving(limits=Limits(connections_max=2)) as (server, counters):
        oldest, older = await _asked(server), await _asked(server)
        await _asked(server, *oldest)  # and so it is not the longest idle any more
        newest = await _asked(server)
        async with asyncio.timeout(10):
            assert await _until_closed(older[0])
        for each in (oldest, newest):
            await _asked(server, *each)
        assert server.connections == 2
        for _, each in (oldest, older, newest):
            each.close()

    assert counters.events["gslb_idle_connections_closed"] == 1
    assert counters.events["gslb_refused_connections"] == 0


async def test_who_opens_many_connections_at_once_gets_as_many_as_there_may_be():
    async with serving(limits=Limits(connections_max=5)) as (server, counters):
        opened = [await asyncio.open_connection(*_at(server)) for _ in range(50)]
        answered = await _asked(server)
        async with asyncio.timeout(10):
            while server.connections > 5:
                await asyncio.sleep(0)
        for _, each in (*opened, answered):
            each.close()

    assert counters.events["gslb_idle_connections_closed"] >= 46


def _at(server: Nameserver) -> tuple[str, int]:
    return server.endpoints[0].host, server.endpoints[0].port


async def _asked(
    server: Nameserver,
    reader: asyncio.StreamReader | None = None,
    writer: asyncio.StreamWriter | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask on a connection, or on a new one, and return it once that was answered."""
    if reader is None or writer is None:
        reader, writer = await asyncio.open_connection(*_at(server))
    writer.write(framed(query()))
    await read_frame(reader)
    return reader, writer


async def test_a_client_that_goes_away_leaves_its_place_to_the_next():
    async with serving(limits=Limits(connections_max=1)) as (server, _):
        endpoint = server.endpoints[0]
        for _ in range(5):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            writer.write(framed(query()))
            await read_frame(reader)
            writer.close()
            await writer.wait_closed()
            async with asyncio.timeout(10):
                while server.connections:
                    await asyncio.sleep(0)


async def test_an_address_that_is_taken_is_an_error_and_leaves_nothing_bound():
    async with serving() as (server, counters):
        taken = server.endpoints[0]
        other = Nameserver(Responder(lambda: snapshot(WWW), lambda: 0.0, counters), counters)

        with pytest.raises(OSError, match="in use"):
            await other.listen([Endpoint("127.0.0.1", 0), taken])

        assert other.endpoints == ()


async def test_a_tcp_client_that_asks_is_told_how_long_it_may_idle():
    async with serving(limits=Limits(idle_s=7.0)) as (server, _):
        endpoint = server.endpoints[0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        options = [dns.edns.GenericOption(11, b"")]
        writer.write(framed(query(use_edns=0, options=options)))
        wire = await read_frame(reader)
        writer.close()

    (option,) = dns.message.from_wire(wire).options
    assert option.to_generic().data == (70).to_bytes(2, "big")


async def test_a_client_that_pipelines_without_end_keeps_nobody_else_out():
    async with serving() as (server, counters):
        endpoint = server.endpoints[0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        wires = [framed(query(f"n{number}.example.com")) for number in range(1000)]
        writer.write(b"".join(wires))
        await writer.drain()
        await read_frame(reader)
        await udp(endpoint, query())
        pipelined = counters.total().queries["tcp", 1, 3]
        for _ in wires[1:]:
            await read_frame(reader)
        writer.close()

    assert pipelined < 500, "the datagram was answered long before the pipeline was through"


async def test_types_that_have_no_name_are_counted_as_one():
    async with serving() as (server, counters):
        await udp(server.endpoints[0], *(query(rdtype=f"TYPE{n}") for n in range(40000, 40050)))

    assert dict(counters.total().queries) == {("udp", 0, 0): 50}


async def test_explanations_that_find_the_queue_full_are_dropped_and_keep_nobody_waiting():
    if running.engine == "python":
        pytest.skip("it has no queue")
    async with serving() as (server, counters):
        at = (server.endpoints[0].host, server.endpoints[0].port)
        asked = query("www.example.com", "TXT", rdclass="CH")
        # The loop gets no turn meanwhile, so nobody takes what the threads hand on.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            for _ in range(10):
                for _ in range(60):
                    sock.sendto(asked, at)
                sock.sendto(query(), at)
                assert dns.message.from_wire(sock.recv(4096)).rcode() == dns.rcode.NOERROR
        waiting, refused = (
            counters.total().events[f"gslb_{what}_queries"] for what in ("handed", "refused")
        )

    assert waiting == 256
    assert refused == 600 - 256
