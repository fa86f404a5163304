"""Clients over HTTP/2: the streams of one connection, each with an exchange of its own (RFC 9113).

What frames mean, `gslb.proxy.http2` says.  Here are the sockets, and what each stream still has to
send where its client's window is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from h2.errors import ErrorCodes

from gslb.daemons.wired import Wired
from gslb.errors import MessageError
from gslb.proxy.desk import Desk, Refusal
from gslb.proxy.exchange import Exchange
from gslb.proxy.forwarding import Peer
from gslb.proxy.head import Fields, RequestHead
from gslb.proxy.http2 import Http2Connection
from gslb.proxy.request import Request
from gslb.proxy.sides import NO_BODY

HTTP2: Final = "h2"  # its name in ALPN (RFC 9113 3.1)

Left = Callable[["Http2Front"], None]


class Http2Front(Wired):
    """One client's connection."""

    def __init__(self, desk: Desk, peer: Peer, left: Left) -> None:
        super().__init__()
        self.desk = desk
        self.peer = peer
        self._left = left
        limits = desk.limits
        self.connection = Http2Connection(
            self, head_max=limits.head_max, fields_max=limits.fields_max
        )
        self._streams: dict[int, StreamClient] = {}
        self._is_full = False
        self._full_until_s = 0.0
        self.tls: str | None = None
        self.deadline_s = desk.now_s() + limits.head_s

    # The socket's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        if (secure := transport.get_extra_info("ssl_object")) is not None:
            self.tls = secure.version()
        self.write()

    def data_received(self, octets: bytes) -> None:
        """Take in what the client sent."""
        now_s = self.desk.now_s()
        self.connection.feed(octets, now_s)
        self.deadline_s = now_s + self.desk.limits.keep_alive_s
        self.write()

    def eof_received(self) -> bool:
        """Take in that the client sends no more: it cannot even open windows, so it is gone."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Take in that the connection is there no more."""
        self._transport = None
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.exchange_gone()
        self._left(self)

    def pause_writing(self) -> None:
        """Take in that the client reads more slowly than responses come: nothing is read either."""
        self._is_full = True
        self._full_until_s = self.desk.now_s() + self.desk.limits.body_s
        self.hold(held=True)
        for stream in list(self._streams.values()):
            stream.hold_response()

    def resume_writing(self) -> None:
        """Take in that the client has caught up."""
        self._is_full = False
        self.hold(held=False)
        for stream in list(self._streams.values()):
            stream.hold_response()

    @property
    def is_full(self) -> bool:
        """Whether the transport takes no more for now."""
        return self._is_full

    def write(self) -> None:
        """Write what the connection has to say, and close it when that was all."""
        transport = self._transport
        if transport is None:
            return
        if octets := self.connection.taken():
            transport.write(octets)
        if self.connection.is_done:
            transport.close()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for too long."""
        for stream in list(self._streams.values()):
            stream.sweep(now_s)
        if self._is_full and now_s >= self._full_until_s:
            self.close()  # it reads nothing
        elif not self._streams and now_s >= self.deadline_s:
            self.drain()

    def drain(self) -> None:
        """Take no more requests, and close once those under way are answered."""
        self.connection.go_away()
        self.write()

    def close(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def forget(self, stream: int) -> None:
        """Be done with a stream."""
        self._streams.pop(stream, None)
        self.deadline_s = self.desk.now_s() + self.desk.limits.keep_alive_s
        self.write()

    # What the connection tells.

    def on_request(self, stream: int, head: RequestHead) -> None:
        """Begin an exchange."""
        desk = self.desk
        self.peer = desk.renewed(self.peer) or self.peer
        client = self._streams[stream] = StreamClient(self, stream)
        passage = self.peer.pass_on(head, desk.draw_bits())
        request = Request(
            head.method, head.target, "2", head.fields, head.host, passage.scheme, passage.client
        )
        exchange = Exchange(desk, client, head, request, passage, desk.now_s())
        client.exchange = exchange
        exchange.begin()

    def on_refused(self, stream: int, problem: MessageError) -> None:
        """Answer what is no request."""
        fields, body = self.desk.refuse(Refusal(self.peer, self.tls, "2", problem))
        client = self._streams[stream] = StreamClient(self, stream)
        client.respond(problem.status, b"", fields, len(body), close=False)
        client.send(body)
        client.finish([])
        client.go_on()

    def on_body(self, stream: int, octets: bytes) -> None:
        """Hand a part of a body on."""
        if (client := self._streams.get(stream)) is not None:
            client.on_body(octets)

    def on_body_end(self, stream: int, trailers: Fields) -> None:
        """Tell that a body is whole."""
        client = self._streams.get(stream)
        if client is not None and client.exchange is not None:
            client.exchange.on_body_end(trailers)

    def on_reset(self, stream: int) -> None:
        """Tell that a client wants no answer any more."""
        if (client := self._streams.pop(stream, None)) is not None:
            client.exchange_gone()

    def on_writable(self, stream: int) -> None:
        """Let a stream go on sending."""
        if (client := self._streams.get(stream)) is not None:
            client.go_on_sending()


class StreamClient:
    """One stream, as its exchange sees it."""

    __slots__ = (
        "_ends",
        "_front",
        "_holds",
        "_is_held",
        "_number",
        "_pending",
        "_stuck_s",
        "_trailers",
        "_untaken",
        "exchange",
        "tls",
    )

    def __init__(self, front: Http2Front, number: int) -> None:
        self._front = front
        self._number = number
        self.tls = front.tls
        self.exchange: Exchange | None = None
        self._pending = b""  # of the response, until the client's window opens
        self._stuck_s = 0.0  # until when some of that must be taken
        self._ends = False  # what is pending is the end of it
        self._trailers: Fields = []
        self._holds = False  # the member was told to rest
        self._is_held = False  # the client is to rest: its window stays as it is
        self._untaken = 0

    # The client's side.

    def on_body(self, octets: bytes) -> None:
        """Hand a part of the body on; its window opens again unless the client is to rest."""
        exchange = self.exchange
        if exchange is not None:
            exchange.on_body(octets)
        if self._is_held:
            self._untaken += len(octets)
        else:
            self._front.connection.took(self._number, len(octets))

    def exchange_gone(self) -> None:
        """Tell the exchange that the client is gone."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.on_client_gone()

    def go_on_sending(self) -> None:
        """Send what is pending as far as the client's window lets it."""
        pending, self._pending = self._pending, b""
        self._await_taking()
        if pending:
            self._pending = self._front.connection.data(self._number, pending)
        if not self._pending and self._ends:
            self._front.connection.end(self._number, self._trailers or None)
            self._front.forget(self._number)
            return
        if self.exchange is not None:
            self.exchange.tick()
        self.hold_response()

    def _await_taking(self) -> None:
        """Give the client time to take some of what is pending."""
        desk = self._front.desk
        self._stuck_s = desk.now_s() + desk.limits.body_s

    def hold_response(self) -> None:
        """Have the member rest while there is more than the client takes."""
        held = bool(self._pending) or self._front.is_full
        if held != self._holds and self.exchange is not None:
            self._holds = held
            self.exchange.on_client_full(full=held)

    def sweep(self, now_s: float) -> None:
        """Break off what was answered whole, and is not taken."""
        if self.exchange is None and now_s >= self._stuck_s:
            self._front.connection.reset(self._number, ErrorCodes.CANCEL)
            self._front.forget(self._number)

    # What the exchange says.

    def respond(
        self, status: int, reason: bytes, fields: Fields, length: int, *, close: bool
    ) -> None:
        """Send a head."""
        if length >= 0:
            fields = [*fields, (b"content-length", b"%d" % length)]
        self._front.connection.head(self._number, status, fields, end=length == NO_BODY)

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """Send an interim head."""
        self._front.connection.head(self._number, status, fields)
        self._front.write()

    def send(self, octets: bytes) -> None:
        """Send a part of the body."""
        if self._pending:
            self._pending += octets
        else:
            self._pending = self._front.connection.data(self._number, octets)
        self.hold_response()

    def flush(self) -> None:
        """Write what was sent."""
        self._front.write()

    def finish(self, trailers: Fields) -> None:
        """Send the end, now or once the client's window lets it."""
        if self._pending:
            self._ends, self._trailers = True, trailers
            self._await_taking()
        else:
            self._front.connection.end(self._number, trailers or None)
        self._front.write()

    def go_on(self) -> None:
        """Be done with the exchange."""
        self.exchange = None
        if not self._ends:
            self._front.forget(self._number)

    def abort(self) -> None:
        """Reset the stream: what was sent is not whole."""
        self.exchange = None
        self._front.connection.reset(self._number, ErrorCodes.INTERNAL_ERROR)
        self._front.forget(self._number)

    def hold(self, *, held: bool) -> None:
        """Let the client's window stay as it is, or open it for all that was taken since."""
        self._is_held = held
        if not held and self._untaken:
            untaken, self._untaken = self._untaken, 0
            self._front.connection.took(self._number, untaken)
            self._front.write()

    def tunnel(self) -> None:
        """Never: no upgrade comes over HTTP/2."""
        self.abort()


class Greeting(asyncio.Protocol):
    """A connection whose handshake says which protocol it speaks (ALPN, RFC 7301)."""

    def __init__(
        self, http1: Callable[[], asyncio.Protocol], http2: Callable[[], asyncio.Protocol]
    ) -> None:
        self._http1 = http1
        self._http2 = http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the protocol that was agreed on in this one's place."""
        secure = transport.get_extra_info("ssl_object")
        is_http2 = secure is not None and secure.selected_alpn_protocol() == HTTP2
        protocol = self._http2() if is_http2 else self._http1()
        cast(asyncio.Transport, transport).set_protocol(protocol)
        protocol.connection_made(transport)
