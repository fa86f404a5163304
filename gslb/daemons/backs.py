"""Connections to members: opened when needed, kept, shared, and never more than a member may have.

A pool holds a target's connections.  The one that was used last is used next, so that those not
needed grow old and are closed.  A request that might not be repeated is not given a connection that
has been idle for long: its member may be about to close it (RFC 9112 9.3.1).  One whose member was
lost is given a new one: where many members end at once, kept connections to those that are gone
would use up its tries, while a new one that is refused uses up none.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from gslb.daemons.wired import Wired
from gslb.errors import MessageError
from gslb.model import Address
from gslb.proxy import preface
from gslb.proxy.exchange import Exchange
from gslb.proxy.head import Fields, ResponseHead
from gslb.proxy.headreader import Cutter
from gslb.proxy.request import IDEMPOTENT
from gslb.proxy.stream import Mode, ResponseStream
from gslb.proxy.target import Target
from gslb.tier import Upstream

FRESH_S: Final = 1.0  # how long a connection may have been idle for a request not to be repeated


class BackConnection(Wired):
    """One connection to a member; `idle_since_s` counts while nobody uses it."""

    __slots__ = (
        "_exchange",
        "_pool",
        "_reusable",
        "_stream",
        "idle_since_s",
        "server_name",
    )

    def __init__(self, pool: Pool, server_name: str | None, cutter: Cutter | None) -> None:
        super().__init__()
        self._pool = pool
        self.server_name = server_name
        self._stream = ResponseStream(self, cutter)
        self._exchange: Exchange | None = None
        self._reusable = False
        self.idle_since_s = 0.0

    # The socket's side.

    def data_received(self, octets: bytes) -> None:
        """Take in what the member sent."""
        exchange = self._exchange
        if exchange is None:
            self.close()  # nobody asked for anything
            return
        try:
            self._stream.feed(octets)
        except MessageError as error:
            self._lose(str(error))
            return
        if self._exchange is exchange:
            exchange.tick()
            exchange.client.flush()

    def eof_received(self) -> bool:
        """Take in that the member sends no more."""
        if self._exchange is not None and self._stream.mode == Mode.TUNNEL:
            self._exchange.client.finish([])
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Take in that the connection is there no more."""
        self._transport = None
        exchange = self._exchange
        if exchange is not None and (error is not None or not self._stream.end()):
            self._lose("connection lost" if error is None else "connection reset")
        self._exchange = None
        self._pool.lost(self)

    def pause_writing(self) -> None:
        """Take in that the member reads more slowly than the request comes."""
        if self._exchange is not None:
            self._exchange.hold_client()

    def resume_writing(self) -> None:
        """Take in that the member has caught up."""
        if self._exchange is not None:
            self._exchange.tick()
            self._exchange.free_client()

    # What the stream tells.

    def on_response(self, head: ResponseHead) -> None:
        """Hand a head on."""
        if self._exchange is not None:
            self._reusable = head.keep_alive
            self._exchange.on_response(head)

    def on_data(self, octets: bytes) -> None:
        """Hand a part of the body on."""
        if self._exchange is not None:
            self._exchange.on_data(octets)

    def on_end(self, trailers: Fields) -> None:
        """Tell that the response is whole."""
        exchange = self._exchange
        if exchange is not None:
            exchange.on_end(trailers, reusable=self._reusable and self._stream.is_clean)

    # What the exchange says.

    def begin(self, exchange: Exchange, method: bytes, octets: bytes) -> None:
        """Send a request."""
        self._exchange = exchange
        self._stream.expect(method)
        if self._transport is not None:
            self._transport.write(octets)

    def send(self, octets: bytes) -> None:
        """Send more of its body."""
        if self._transport is not None and octets:
            self._transport.write(octets)

    def release(self, *, reusable: bool) -> None:
        """Be done with the exchange."""
        self._exchange = None
        transport = self._transport
        if transport is None:
            return
        if reusable and not transport.is_closing():
            self.hold(held=False)
            self._pool.give_back(self)
        else:
            transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._transport is not None and not self._transport.is_closing()

    def _lose(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_lost(why)
        if self._transport is not None:
            self._transport.abort()


class Pool:
    """The connections to one target, of which there are at most *most*.

    *secure* gives the context of TLS to it, if there is one; *cutter* cuts heads, if there is one.
    """

    def __init__(
        self,
        target: Target,
        upstream: Upstream,
        most: int,
        clock: Callable[[], float],
        secure: ssl.SSLContext | None,
        cutter: Cutter | None,
    ) -> None:
        self._target = target
        self.upstream = upstream
        self._most = most
        self._clock = clock
        self._secure = secure
        self._cutter = cutter
        self._is_retired = False
        self._idle: list[BackConnection] = []
        self._all: set[BackConnection] = set()
        self._opening: dict[Exchange, asyncio.Task[None]] = {}
        self._waiting: deque[tuple[Exchange, float]] = deque()

    @property
    def connections(self) -> int:
        """How many there are, with those that are being opened."""
        return len(self._all) + len(self._opening)

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return len(self._waiting)

    def acquire(self, exchange: Exchange) -> None:
        """Get *exchange* a connection, now or later."""
        exchange.waits_at = self
        idle = self._idle
        if idle:
            back = None if exchange.was_lost else self._reused(exchange)
            if back is not None:
                exchange.on_connected(back)
                return
            if idle and self.connections >= self._most:
                spare = idle.pop(0)  # of another name, or not for this one: it makes room
                self._all.discard(spare)
                spare.close()
        if self.connections < self._most:
            self._open_for(exchange)
        elif len(self._waiting) < self.upstream.queue_max:
            self._waiting.append((exchange, self._clock() + self.upstream.queue_s))
        else:
            exchange.on_queue_full()

    def forget(self, exchange: Exchange) -> None:
        """Get *exchange* no connection any longer."""
        task = self._opening.pop(exchange, None)
        if task is not None:
            task.cancel()
            self._serve_waiting()
            return
        for waiting in self._waiting:
            if waiting[0] is exchange:
                self._waiting.remove(waiting)
                return

    def give_back(self, back: BackConnection) -> None:
        """Keep a connection that is used no longer, or give it to who waits."""
        is_kept = not (self._is_retired or self.upstream.proxy_protocol)
        waiting = self._waiting
        if waiting and is_kept and self._server_name(waiting[0][0]) == back.server_name:
            exchange, _ = waiting.popleft()
            exchange.on_connected(back)
            return
        if waiting or not is_kept or len(self._idle) >= self.upstream.idle_max:
            back.close()  # which makes room for who waits
            return
        back.idle_since_s = self._clock()
        self._idle.append(back)

    def lost(self, back: BackConnection) -> None:
        """Take in that a connection is there no more."""
        self._all.discard(back)
        if back in self._idle:
            self._idle.remove(back)
        self._serve_waiting()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for long, and let nobody wait for too long."""
        idle = self._idle
        while idle and now_s - idle[0].idle_since_s >= self.upstream.idle_s:
            idle.pop(0).close()
        while self._waiting and now_s >= self._waiting[0][1]:
            exchange, _ = self._waiting.popleft()
            exchange.on_queue_full()

    def retire(self) -> None:
        """Keep no connection that nobody uses, from now on."""
        self._is_retired = True
        idle, self._idle = self._idle, []
        for back in idle:
            back.close()

    def _server_name(self, exchange: Exchange) -> str | None:
        tls = self.upstream.tls
        if tls is None:
            return None
        return self._own_name(exchange) or exchange.request.host.decode("ascii")

    def _own_name(self, exchange: Exchange) -> str | None:
        """Return the server name that is configured, None where clients say it."""
        tls, route = self.upstream.tls, exchange.route
        if tls is None:
            return None
        return tls.name or (route and route.rewrite.host) or self.upstream.host

    def _reused(self, exchange: Exchange) -> BackConnection | None:
        idle = self._idle
        name = self._server_name(exchange)
        for index in range(len(idle) - 1, -1, -1):
            back = idle[index]
            if back.server_name != name:
                continue
            is_old = self._clock() - back.idle_since_s > FRESH_S
            if is_old and exchange.head.method not in IDEMPOTENT:
                return None
            del idle[index]
            if back.is_open:
                return back
        return None

    def _open_for(self, exchange: Exchange) -> None:
        exchange.asked_s = self._clock()
        task = asyncio.get_running_loop().create_task(self._open(exchange))
        self._opening[exchange] = task

    async def _open(self, exchange: Exchange) -> None:
        assert exchange.route is not None, "what needs a connection has a route"
        name = self._server_name(exchange)
        host, port = self._target.endpoint
        # And not the client's word, which is no member's fault.
        is_own_name = name is None or self._own_name(exchange) is not None
        why, blames = "", True
        back: BackConnection | None = None
        try:
            if name is not None and not name.encode("idna"):
                raise ValueError(name)  # uvloop never ends a handshake that asks for no name
            async with asyncio.timeout(exchange.route.timeouts.connect_s):
                back = await self._connect(host, port, name, exchange)
        except TimeoutError:
            why = "connect timeout"
        except ssl.SSLCertVerificationError:
            why, blames = "certificate", is_own_name
        except ssl.SSLError:
            why, blames = "tls", is_own_name
        except ConnectionRefusedError:
            why = "refused"
        except ConnectionError:
            # In a handshake, a name that the member does not know is answered so as well.
            why, blames = "connection lost", is_own_name
        except ValueError:
            why, blames = "server name", False
        except OSError:
            why = "unreachable"
        self._opening.pop(exchange, None)
        if back is not None and back.is_open:
            exchange.on_connected(back)
        else:
            exchange.on_unreachable(why or "connection lost", blames=blames)
            self._serve_waiting()

    async def _connect(
        self, host: str, port: int, name: str | None, exchange: Exchange
    ) -> BackConnection:
        loop = asyncio.get_running_loop()
        back = BackConnection(self, name, self._cutter)
        if self.upstream.proxy_protocol:
            await self._connect_with_preface(back, host, port, name, exchange)
        elif self._secure is None:
            await loop.create_connection(lambda: back, host, port)
        else:
            await loop.create_connection(
                lambda: back, host, port, ssl=self._secure, server_hostname=name
            )
        self._all.add(back)
        return back

    async def _connect_with_preface(
        self, back: BackConnection, host: str, port: int, name: str | None, exchange: Exchange
    ) -> None:
        """Connect, and say first for whom (PROXY protocol); TLS, if any, begins behind that."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, (host, port))
            await loop.sock_sendall(sock, self._preface(exchange, ip_address(host), port))
        except BaseException:
            sock.close()
            raise
        if self._secure is None:
            await loop.create_connection(lambda: back, sock=sock)
        else:
            await loop.create_connection(
                lambda: back, sock=sock, ssl=self._secure, server_hostname=name
            )

    def _preface(self, exchange: Exchange, host: Address, port: int) -> bytes:
        """Return the PROXY header for whose sake a connection is: its client's."""
        version = self.upstream.proxy_protocol
        return preface.encode(version, (exchange.passage.client, 0), (host, port))

    def _serve_waiting(self) -> None:
        while self._waiting and self.connections < self._most:
            exchange, _ = self._waiting.popleft()
            self._open_for(exchange)
