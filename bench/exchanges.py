"""CPU time of one request in the L7 tier without its sockets, and the functions that take it.

    python -m bench exchange

A request of wrk's and a response of nginx's go through the sans-IO part (`gslb.proxy`): head read,
route, member, head written, response read, counted; between two ends that write nothing.
The bare parser beside it is llhttp's callbacks alone, once for each of both heads.  What sockets,
the event loop and the access log cost comes on top.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import random
import time
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httptools

from bench import proxyfiles
from bench.proxies import certificate
from bench.proxyfiles import HOST, REGION, Ports
from gslb.config.load import load
from gslb.health.belief import Belief
from gslb.model import Member
from gslb.proxy.desk import Desk
from gslb.proxy.exchange import Exchange
from gslb.proxy.forwarding import Peer
from gslb.proxy.head import Fields, RequestHead, ResponseHead
from gslb.proxy.request import Request
from gslb.proxy.stream import RequestStream, ResponseStream
from gslb.proxy.target import Target
from gslb.routing.geo import BLANK

REQUEST = f"GET /1k HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: 1024\r\n"
    b"Connection: keep-alive\r\n\r\n" + b"x" * 1024
)
PORTS = Ports(8080, 8443, 8054, 80, 81)
REQUESTS, ROUNDS, PROFILED, LINES = 20_000, 7, 20_000, 28


class Ends:
    """A client and a connection to a member at once, that write into nothing."""

    tls: str | None = None

    def __init__(self, desk: Desk, peer: Peer) -> None:
        self.desk, self.peer = desk, peer
        self.requests = RequestStream(self, desk.limits.head_max, desk.limits.fields_max)
        self.responses = ResponseStream(self)
        self.exchange: Exchange | None = None
        self.statuses: set[int] = set()

    def once(self) -> None:
        """Take one request to its end."""
        self.requests.feed(REQUEST)
        self.responses.feed(RESPONSE)

    # What the streams tell.

    def on_request(self, head: RequestHead) -> None:
        peer = self.peer
        passage = peer.pass_on(head, self.desk.draw_bits())
        scheme, client = passage.scheme, passage.client
        request = Request(head.method, head.target, "1.1", head.fields, head.host, scheme, client)
        self.exchange = Exchange(self.desk, self, head, request, passage, self.desk.now_s())
        self.exchange.begin()

    def on_body(self, octets: bytes) -> None:
        raise AssertionError("the request has no body")

    def on_body_end(self, trailers: Fields) -> None:
        raise AssertionError("the request has no body")

    def on_tunnelled(self, octets: bytes) -> None:
        raise AssertionError("the request is no tunnel's")

    def on_response(self, head: ResponseHead) -> None:
        assert self.exchange is not None, "it was asked for"
        self.exchange.on_response(head)

    def on_data(self, octets: bytes) -> None:
        assert self.exchange is not None, "it was asked for"
        self.exchange.on_data(octets)

    def on_end(self, trailers: Fields) -> None:
        assert self.exchange is not None, "it was asked for"
        self.exchange.on_end(trailers, reusable=True)

    # What the exchange says to its client.

    def respond(
        self, status: int, reason: bytes, fields: Fields, length: int, *, close: bool
    ) -> None:
        self.statuses.add(status)
        head = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
        head += [b"%b: %b\r\n" % pair for pair in fields]
        b"".join(head)

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        raise AssertionError("there is none")

    def finish(self, trailers: Fields) -> None:
        """Write nothing."""

    def flush(self) -> None:
        """Write nothing."""

    def go_on(self) -> None:
        self.requests.go_on()

    def abort(self) -> None:
        raise AssertionError("nothing goes wrong")

    def tunnel(self) -> None:
        raise AssertionError("the request is no tunnel's")

    # What it says to both.

    def send(self, octets: bytes) -> None:
        """Write nothing."""

    def hold(self, *, held: bool) -> None:
        """Have nothing to rest."""

    def begin(self, exchange: Exchange, method: bytes, octets: bytes) -> None:
        self.responses.expect(method)

    def end_sending(self) -> None:
        """Have nothing to end."""

    def release(self, *, reusable: bool) -> None:
        """Keep it."""


class Links:
    """Gives every exchange the one connection at once."""

    def __init__(self) -> None:
        self.ends: Ends | None = None

    def connect(self, exchange: Exchange, target: Target) -> None:
        assert self.ends is not None, "it is there before the first request"
        exchange.on_connected(self.ends)

    def forget(self, exchange: Exchange) -> None:
        raise AssertionError("nothing goes wrong")

    def suspect(self, service: str, member: Member) -> None:
        raise AssertionError("nothing goes wrong")


def ends(folder: Path) -> Ends:
    """Return what `python -m bench proxy` measures, with the connections left out."""
    proxyfiles.gslb(folder, PORTS, certificate(folder), ["gslb"])
    config = load(folder / "gslb.yaml", hostname="bench", environ={}, region=REGION)
    assert config.tier is not None, "it stands in the file"
    draws, links = random.Random(1), Links()
    desk = Desk(
        clock=time.monotonic,
        wall=time.time,
        draw=draws.random,
        bits=draws.getrandbits,
        seed=1,
        connector=links,
        on_done=lambda exchange: None,
        on_refused=lambda refusal: None,
    )
    services = [service for zone in config.zones for service in zone.services]
    desk.adopt(config.tier, services, config.regions, REGION, BLANK, 1)
    desk.believe(lambda service, member: Belief())
    made = links.ends = Ends(desk, desk.peer(config.tier.listeners[0], ip_address("192.0.2.1")))
    return made


def figure() -> str:
    """Return the time of a request, of the bare parser, and the list of what takes it."""
    with TemporaryDirectory(prefix="gslb-bench-") as folder:
        made = ends(Path(folder))
    pairs = [(_us(made.once, REQUESTS), _us(_bare, REQUESTS)) for _ in range(ROUNDS)]
    assert made.statuses == {200}, f"answered with {made.statuses}"
    whole, bare = (median(pair[place] for pair in pairs) for place in (0, 1))
    ratio = median(pair[0] / pair[1] for pair in pairs)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(PROFILED):
        made.once()
    profile.disable()
    out = io.StringIO()
    pstats.Stats(profile, stream=out).strip_dirs().sort_stats("tottime").print_stats(LINES)
    said = f"{whole:.1f} µs a request, {ratio:.1f} of two heads read by llhttp ({bare:.1f} µs)"
    return f"{said}\n{out.getvalue().rstrip()}"


class _Heard:
    """Hears what llhttp says, and keeps it."""

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def _bare() -> None:
    httptools.HttpRequestParser(_Heard()).feed_data(REQUEST)
    httptools.HttpResponseParser(_Heard()).feed_data(RESPONSE)


def _us(once: object, times: int) -> float:
    assert callable(once), "it is run"
    start_s = time.process_time()
    for _ in range(times):
        once()
    return (time.process_time() - start_s) / times * 1e6
