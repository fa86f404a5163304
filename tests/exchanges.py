"""An exchange among fakes: a client and connections that note what they are told, a made-up clock.

The desk gives members out in turn, and connections only when a test says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from gslb.proxy.exchange import Exchange
from gslb.proxy.forwarding import Forwarder
from gslb.proxy.head import CHUNKED, RequestHead, ResponseHead, ResponseReader
from gslb.proxy.request import Request
from gslb.proxy.target import Target
from gslb.tier import Forward, Retry, Route, Timeouts
from tests.targets import targets

TIMEOUTS = Timeouts(response_s=5.0, idle_s=10.0, tunnel_s=100.0)
TO = Forward((("www.example.com", 1),))


def route(**keys: object) -> Route:
    """Return a route to members."""
    whole: dict[str, object] = {"name": "r", "action": TO, "timeouts": TIMEOUTS, "retry": Retry()}
    return Route(**{**whole, **keys})  # type: ignore[arg-type]


class FakeClient:
    """Notes what it is told; `finished` and `went_on` count ends."""

    tls = None

    def __init__(self) -> None:
        self.status = 0
        self.length = 0
        self.fields: dict[bytes, bytes] = {}
        self.closes = False
        self.body = b""
        self.interims: list[int] = []
        self.finished = 0
        self.went_on = 0
        self.aborted = 0
        self.held = False
        self.tunnels = False

    def respond(self, status, reason, fields, length, *, close):
        assert not self.status, "one response"
        self.status, self.length, self.closes = status, length, close
        self.fields = dict(fields)

    def interim(self, status, reason, fields):
        assert not self.status
        self.interims.append(status)

    def send(self, octets):
        assert self.status, "a head comes before the body"
        assert not self.finished
        assert not self.aborted
        self.body += octets

    def flush(self):
        pass

    def finish(self, trailers):
        self.finished += 1

    def go_on(self):
        self.went_on += 1

    def abort(self):
        self.aborted += 1

    def hold(self, *, held):
        self.held = held

    def tunnel(self):
        self.tunnels = True


class FakeBack:
    """A connection to a member; `released` is None while it is in use."""

    def __init__(self, desk: FakeDesk, target: Target) -> None:
        self.desk, self.target = desk, target
        self.sent = b""
        self.released: bool | None = None
        self.held = False
        self.ended = False
        desk.backs.append(self)

    def begin(self, exchange, method, octets):
        assert self.released is None
        self.sent += octets

    def send(self, octets):
        assert self.released is None
        self.sent += octets

    def end_sending(self):
        self.ended = True

    def hold(self, *, held):
        self.held = held

    def release(self, *, reusable):
        assert self.released is None, "released once"
        self.released = reusable


class FakeDesk:
    """Gives out its members one after another, those that were not tried."""

    def __init__(self, route: Route | None, members: int = 3, budget: int = 100) -> None:
        self.clock_s = 1.0
        self.to = route
        self.targets: Sequence[Target] = targets(*[1] * members)
        self.budget = budget
        self.limit_s = 0.0
        self.backs: list[FakeBack] = []
        self.asked: list[Target] = []  # connections that were asked for, and are not there yet
        self.outcomes: list[str] = []
        self.over: list[Exchange] = []
        self.answers_with = 0

    def now_s(self):
        return self.clock_s

    def route(self, exchange):
        return self.to

    def limited_s(self, exchange, route):
        return self.limit_s

    def service_for(self, exchange, forward):
        if self.answers_with:
            exchange.fail(self.answers_with, "asked of it")

    def choose(self, exchange):
        left = [each for each in self.targets if each not in exchange.tried]
        if not left:
            return None
        left[0].active += 1
        return left[0]

    def connect(self, exchange, target):
        self.asked.append(target)

    def forget(self, exchange):
        self.asked.remove(exchange.target)

    def head_for(self, exchange, target, length):
        framing = b"chunked" if length == CHUNKED else b"%d" % length
        return b"[%b %b]" % (exchange.head.method, framing)

    def fields_for(self, exchange, head):
        return list(head.passing)

    def page(self, status):
        return [], b"page %d" % status

    def own_fields(self, exchange, fields):
        return fields

    def redirect(self, exchange, to):
        return to.to.encode()

    def may_retry(self, exchange):
        self.budget -= 1
        return self.budget >= 0

    def succeeded(self, exchange, target, now_s):
        self.outcomes.append("ok")

    def failed(self, exchange, target, outcome):
        self.outcomes.append(outcome.value)

    def done(self, exchange):
        assert exchange not in self.over, "over once"
        self.over.append(exchange)

    def connected(self, exchange: Exchange) -> FakeBack:
        """Let the connection that was asked for be there."""
        back = FakeBack(self, self.asked.pop())
        exchange.on_connected(back)
        return back

    @property
    def active(self) -> int:
        """How many requests are under way at members, as they are counted."""
        return sum(each.active for each in self.targets)


def head(method: bytes = b"GET", length: int = 0, **keys: object) -> RequestHead:
    """Return the head of a request."""
    made = RequestHead()
    made.method, made.target, made.length = method, b"/", length
    made.authority = made.host = b"www.example.com"
    for key, value in keys.items():
        setattr(made, key, value)
    return made


def response(status: int = 200, *lines: bytes, method: bytes = b"GET") -> ResponseHead:
    """Return the head of a response."""
    octets = (
        b"HTTP/1.1 %d Some\r\n" % status + b"".join(b"%b\r\n" % line for line in lines) + b"\r\n"
    )
    return ResponseReader().read(octets, method)


FORWARDER = Forwarder(region="eu", scheme="http", port=80, trusted=(), via=None)


def begun(desk: FakeDesk, client: FakeClient, head: RequestHead) -> Exchange:
    """Return an exchange that has begun."""
    passage = FORWARDER.peer(ip_address("192.0.2.99")).pass_on(head, 1)
    asked = Request(
        head.method, head.target, "1.1", head.fields, head.host, passage.scheme, passage.client
    )
    made = Exchange(desk, client, head, asked, passage, desk.now_s())
    made.begin()
    return made
