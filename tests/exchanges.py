"""A desk of its own for each test, with fake clients, connections to members, and a fake clock."""

from ipaddress import ip_address
from itertools import count

from gslb.dns.name import parse
from gslb.health.belief import Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Member, Pool, Region, Service
from gslb.proxy.desk import Desk
from gslb.proxy.exchange import Exchange
from gslb.proxy.headreader import RequestReader, ResponseReader
from gslb.proxy.request import Request
from gslb.routing.geo import BLANK
from gslb.tier import Forward, Listener, Route, Tier, Upstream

CLIENT = ip_address("203.0.113.9")
WWW = "www.example.com"
HOST = WWW.encode()
UP = Belief(Verdict.UP)
DOWN = Belief(Verdict.DOWN)
DRAINED = Belief(Verdict.UP, forced=Word.DRAIN)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def member(address, weight=1):
    return Member(ip_address(address), weight)


def service(text=WWW, **pools):
    """Return a service whose *pools* are lists of addresses or members by region."""
    made = tuple(
        Pool(region, tuple(each if isinstance(each, Member) else member(each) for each in members))
        for region, members in pools.items()
    )
    return Service(name=parse(text + "."), text=text, zone=parse("example.com."), pools=made)


def route(name="all", *, to=(WWW,), **how):
    return Route(**{"name": name, "action": Forward(tuple((each, 1) for each in to))} | how)


class FakeClient:
    """Remembers what it is told; what it is told in a wrong order is a mistake."""

    tls = None

    def __init__(self):
        self.interims = []
        self.hints = []  # the fields of each
        self.status = None
        self.fields = self.length = self.close = self.trailers = None
        self.body = b""
        self.is_done = self.is_broken = self.is_held = self.is_tunnel = False
        self.readies = 0

    def respond(self, status, reason, fields, length, *, close):
        assert self.status is None
        assert not self.is_broken
        self.status, self.fields, self.length, self.close = status, fields, length, close

    def interim(self, status, reason, fields):
        assert self.status is None
        self.interims.append(status)
        self.hints.append(fields)

    def send(self, octets):
        assert self.status is not None
        assert not self.is_done
        self.body += octets

    def flush(self):
        pass

    def finish(self, trailers):
        assert self.status is not None
        assert not self.is_done
        self.is_done, self.trailers = True, trailers

    def go_on(self):
        assert self.is_done
        self.readies += 1

    def abort(self):
        self.is_broken = True

    def hold(self, *, held):
        assert held != self.is_held
        self.is_held = held

    def tunnel(self):
        assert self.status == 101
        self.is_tunnel = True


class FakeBack:
    """One connection to a member; `released` says how it was given back, if it was."""

    def __init__(self, target):
        self.target = target
        self.sent = b""
        self.exchange = self.method = self.released = None
        self.has_ended = self.is_held = False
        self.on_begin = lambda: None

    def begin(self, exchange, method, octets):
        assert self.exchange is None
        self.exchange, self.method = exchange, method
        self.sent += octets
        self.on_begin()

    def send(self, octets):
        assert self.released is None
        self.sent += octets

    def end_sending(self):
        self.has_ended = True

    def hold(self, *, held):
        self.is_held = held

    def release(self, *, reusable):
        assert self.released is None
        self.released = reusable

    @property
    def is_used(self):
        return self.exchange is not None and self.released is None

    @property
    def head(self):
        return self.sent.partition(b"\r\n\r\n")[0].split(b"\r\n")

    @property
    def body(self):
        return self.sent.partition(b"\r\n\r\n")[2]

    def respond(self, octets=OK):
        """Tell the exchange of a head."""
        self.exchange.on_response(ResponseReader().read(octets, self.method))

    def answer(self, body=b"hello", *, reusable=True):
        """Answer with 200 and *body*, whole."""
        self.respond(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        if body:
            self.exchange.on_data(body)
        self.exchange.on_end([], reusable=reusable)

    def lose(self, why="connection lost"):
        self.released = False
        self.exchange.on_lost(why)


class World:
    """A desk, its clock (`now_s`), and whom it asks for connections (`wanted`)."""

    def __init__(self, *routes, services=None, regions=None, region="eu", draw=0.0, **tier):
        self.now_s = 1000.0
        self.ahead_s = 1_700_000_000.0
        self.draw = draw
        self.wanted = []
        self.forgotten = []
        self.suspected = []
        self.done = []
        self.refused = []
        self.believed = {}
        self.services = services or [service(eu=["192.0.2.1", "192.0.2.2", "192.0.2.3"])]
        self.regions = regions or {name: Region(name) for name in ("eu", "us")}
        self.region = region
        self.backs = []
        self._numbers = count()
        self.desk = Desk(
            clock=lambda: self.now_s,
            wall=lambda: self.now_s + self.ahead_s,
            draw=lambda: self.draw,
            bits=lambda many: next(self._numbers) % (1 << many),
            seed=1,
            connector=self,
            on_done=self.done.append,
            on_refused=self.refused.append,
        )
        self.adopt(*(routes or [route()]), **tier)

    def adopt(self, *routes, **how):
        texts = [each.text for each in self.services]
        given = {
            "listeners": (Listener(port=80),),
            "routes": routes,
            "upstreams": {text: Upstream(service=text) for text in texts},
        }
        tier = self.tier = Tier(**(given | how))
        self.desk.adopt(tier, self.services, self.regions, self.region, BLANK, 1)
        self.believe()

    def believe(self, **of):
        """Believe this of members, named by the end of their address: `_1=DOWN`."""
        self.believed |= {name.strip("_"): belief for name, belief in of.items()}
        self.desk.believe(
            lambda _, each: self.believed.get(str(each.address).rpartition(".")[2], UP)
        )

    def chooser(self, text=WWW):
        return self.desk.table.choosers[text]

    def targets(self):
        return [target for _, target in self.desk.targets()]

    # The connector's side.

    def connect(self, exchange, target):
        self.wanted.append((exchange, target))

    def forget(self, exchange):
        self.wanted.remove((exchange, exchange.target))
        self.forgotten.append(exchange.target)

    def suspect(self, text, each):
        self.suspected.append((text, str(each.address)))

    # What happens.

    def ask(self, line=b"GET / HTTP/1.1", *lines, host=HOST, client=CLIENT, of=None):
        """Return a client, and the exchange of its request, begun."""
        head = RequestReader(100).read(b"\r\n".join([line, b"Host: " + host, *lines, b"", b""]))
        peer = self.desk.peer(self.tier.listeners[0], client)
        passage = peer.pass_on(head, self.desk.draw_bits())
        asker = of or FakeClient()
        request = Request(
            head.method,
            head.target,
            f"1.{head.minor}",
            head.fields,
            head.host,
            passage.scheme,
            passage.client,
        )
        exchange = Exchange(self.desk, asker, head, request, passage, self.now_s)
        exchange.begin()
        return asker, exchange

    def post(self, *body, length=None, chunked=False, method=b"POST", lines=()):
        """Return a client and its exchange: a request whose *body* came, and more if it is to."""
        told = b"Transfer-Encoding: chunked"
        if not chunked:
            told = b"Content-Length: %d" % (sum(map(len, body)) if length is None else length)
        asker, exchange = self.ask(method + b" / HTTP/1.1", told, *lines)
        for piece in body:
            exchange.on_body(piece)
        if length is None and (body or chunked):
            exchange.on_body_end([])
        return asker, exchange

    def connected(self, at=0):
        """Give the request that wants one a connection, and return it."""
        exchange, target = self.wanted.pop(at)
        back = FakeBack(target)
        self.backs.append(back)
        exchange.on_connected(back)
        return back

    def unreachable(self, why="refused", at=0):
        exchange, _ = self.wanted.pop(at)
        exchange.on_unreachable(why)

    def queue_full(self, at=0):
        exchange, _ = self.wanted.pop(at)
        exchange.on_queue_full()

    def wait(self, seconds, body_s=30.0):
        self.now_s += seconds
        self.desk.tick(self.now_s)
        for exchange in list(self.desk.under_way):
            exchange.overdue(self.now_s, body_s)

    def is_quiet(self):
        """Return whether nothing is under way, counted, wanted or held."""
        return (
            not self.desk.under_way
            and not self.wanted
            and all(target.active == 0 for target in self.targets())
            and all(not back.is_used for back in self.backs)
        )
