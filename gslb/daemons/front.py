"""Clients over HTTP/1: requests read off a connection, responses written to it (RFC 9112).

What a request is and where it ends, `gslb.proxy.stream` says; what becomes of it, its exchange.
Here are the sockets: what is written when, when reading rests, and when the connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from gslb.daemons.wired import Wired
from gslb.errors import MessageError
from gslb.proxy.chunks import chunk, last
from gslb.proxy.desk import Desk, Refusal
from gslb.proxy.exchange import Exchange
from gslb.proxy.forwarding import Peer
from gslb.proxy.head import Fields, RequestHead
from gslb.proxy.request import Request
from gslb.proxy.sides import NO_BODY, Phase
from gslb.proxy.stream import RequestStream

JOINED_MAX: Final = 65_536  # octets of a body that are copied to be written with the head
_VERSIONS: Final = ("1.0", "1.1")
LINGER_S: Final = 5.0  # how long a client that still sends is listened to after its answer
FIRST_S: Final = 1.0  # how long the first request of who has just come is awaited while draining

_LINES: Final = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus
}


Left = Callable[["Front"], None]


class Front(Wired):
    """One client's connection."""

    __slots__ = (
        "_chunked",
        "_closes",
        "_desk",
        "_exchange",
        "_is_fresh",
        "_is_full",
        "_is_half_closed",
        "_left",
        "_lingers",
        "_pending",
        "_rests",
        "_stream",
        "_unread",
        "_waits",
        "deadline_s",
        "peer",
        "tls",
    )

    def __init__(self, desk: Desk, peer: Peer, left: Left) -> None:
        super().__init__()
        self._desk = desk
        self._left = left
        self.peer = peer
        limits = desk.limits
        self._stream = RequestStream(self, limits.head_max, limits.fields_max, desk.cutter)
        self._exchange: Exchange | None = None
        self._pending = b""
        self._chunked = False
        self._closes = False
        self._lingers = False
        self._is_half_closed = False
        self._is_fresh = True  # nothing was asked for yet
        self._is_full = False
        self._unread = 0  # octets of answers that the client had not taken when last looked at
        self._rests = False  # until the loop has looked after others
        self._waits = False  # for the client to read what it was answered
        self.tls: str | None = None
        self.deadline_s = desk.now_s() + limits.head_s

    # The socket's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        if (secure := transport.get_extra_info("ssl_object")) is not None:
            self.tls = secure.version()

    def data_received(self, octets: bytes) -> None:
        """Take in what the client sent."""
        if self._lingers:
            return
        stream = self._stream
        begun = stream.has_begun
        try:
            stream.feed(octets)
        except MessageError as error:
            self._refuse(error)
            return
        if self._exchange is None:
            if not begun and stream.has_begun:
                self.deadline_s = self._desk.now_s() + self._desk.limits.head_s
        elif stream.waits_full and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Take in that the client sends no more; return whether it is still answered."""
        self._is_half_closed = True
        exchange = self._exchange
        if exchange is None or self._lingers:
            return False
        if exchange.upload is not None and not exchange.upload.is_done:
            return False  # the rest of its body never comes
        exchange.on_client_half_closed()
        return self.tls is None  # TLS has no half-closed connections here

    def connection_lost(self, error: Exception | None) -> None:
        """Take in that the connection is there no more."""
        self._transport = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_client_gone()
        self._left(self)

    def pause_writing(self) -> None:
        """Take in that the client reads more slowly than its response comes."""
        self._is_full = True
        if self._exchange is not None:
            self._exchange.on_client_full(full=True)

    def resume_writing(self) -> None:
        """Take in that the client has caught up."""
        self._is_full = False
        if self._exchange is not None:
            self._exchange.tick()
            self._exchange.on_client_full(full=False)
        elif self._waits:
            self._waits = False
            self._read_on()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle, or half a request, for too long."""
        if self._exchange is None and now_s >= self.deadline_s:
            transport = self._transport
            if transport is None:
                return
            left = transport.get_write_buffer_size()
            if left and left < self._unread:
                # It reads, if slowly: it is given time as long as it goes on.
                self._unread, self.deadline_s = left, now_s + self._desk.limits.body_s
            elif left or self._waits:
                transport.abort()  # it does not even read what it asked for
            elif self._stream.has_begun and not self._lingers:
                self._refuse(MessageError("a request that did not come whole in time", 408))
            else:
                transport.close()

    def drain(self) -> None:
        """Close the connection, now or once what is under way is done."""
        if self._exchange is not None:
            self._closes = True
        elif self._is_fresh:
            # Its first request is on the way, which a client need not send again.
            self.deadline_s = min(self.deadline_s, self._desk.now_s() + FIRST_S)
        elif self._transport is not None and not self._stream.has_begun:
            self._transport.close()

    def close(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    # What the stream tells.

    def on_request(self, head: RequestHead) -> None:
        """Begin an exchange."""
        desk = self._desk
        self._is_fresh = False
        if (peer := desk.renewed(self.peer)) is not None:
            self.peer = peer
        passage = self.peer.pass_on(head, desk.draw_bits())
        request = Request(
            head.method,
            head.target,
            _VERSIONS[head.minor],
            head.fields,
            head.host,
            passage.scheme,
            passage.client,
        )
        self._closes = not head.keep_alive or desk.draining or peer is None
        exchange = self._exchange = Exchange(desk, self, head, request, passage, desk.now_s())
        exchange.begin()

    def on_body(self, octets: bytes) -> None:
        """Hand a part of the body on."""
        if self._exchange is not None:
            self._exchange.on_body(octets)

    def on_body_end(self, trailers: Fields) -> None:
        """Tell that the body is whole."""
        if self._exchange is not None:
            self._exchange.on_body_end(trailers)

    def on_tunnelled(self, octets: bytes) -> None:
        """Hand octets of a tunnel on."""
        if self._exchange is not None:
            self._exchange.on_tunnelled(octets)

    def on_burst(self) -> None:
        """Rest for a turn of the loop: a client that asks much at once is not alone."""
        if self._transport is not None:
            self._rests = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._after_burst)

    def _after_burst(self) -> None:
        self._rests = False
        transport = self._transport
        if transport is None or self._lingers:
            return
        try:
            self._stream.resume()
        except MessageError as error:
            self._refuse(error)
            return
        exchange = self._exchange
        wants_more = exchange is None or (exchange.is_unread and not exchange.is_held)
        rests = self._rests or self._waits
        if wants_more and not rests and not transport.is_reading():
            transport.resume_reading()

    # What the exchange says.

    def respond(
        self, status: int, reason: bytes, fields: Fields, length: int, *, close: bool
    ) -> None:
        """Write a head, with the first octets of the body if they come at once."""
        exchange = self._exchange
        assert exchange is not None, "only an exchange responds"
        line = _LINES.get(status) if not reason or status == 200 else None
        if line is None:
            line = b"HTTP/1.1 %d %b\r\n" % (status, reason)
        head = [line]
        head += [b"%b: %b\r\n" % pair for pair in fields]
        self._chunked = False
        if length >= 0:
            head.append(b"content-length: %d\r\n" % length)
        elif length != NO_BODY:
            if exchange.head.minor:
                self._chunked = True
                head.append(b"transfer-encoding: chunked\r\n")
            else:
                self._closes = True
        self._closes = closes = self._closes or close
        if status != 101:
            if closes:
                head.append(b"connection: close\r\n")
            elif not exchange.head.minor:
                head.append(b"connection: keep-alive\r\n")
        head.append(b"\r\n")
        self._pending = b"".join(head)

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """Write an interim head, which HTTP/1.0 does not know."""
        if self._exchange is not None and self._exchange.head.minor and self._transport is not None:
            lines = b"".join([b"%b: %b\r\n" % pair for pair in fields])
            self._transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines))

    def send(self, octets: bytes) -> None:
        """Write a part of the body."""
        transport = self._transport
        if transport is None or not octets:
            return
        if self._chunked:
            octets = chunk(octets)
        if pending := self._pending:
            self._pending = b""
            if len(octets) <= JOINED_MAX:
                transport.write(pending + octets)
                return
            transport.write(pending)
        transport.write(octets)

    def flush(self) -> None:
        """Write the head if it is still held back."""
        if self._pending and self._transport is not None:
            pending, self._pending = self._pending, b""
            self._transport.write(pending)

    def finish(self, trailers: Fields) -> None:
        """Write the end of the response."""
        ending, self._pending = self._pending, b""
        if self._chunked:
            ending += last(trailers if self._takes_trailers() else [])
        if ending and self._transport is not None:
            self._transport.write(ending)

    def _takes_trailers(self) -> bool:
        return self._exchange is not None and self._exchange.head.accepts_trailers

    def go_on(self) -> None:
        """Read the next request, or end the connection."""
        exchange, self._exchange = self._exchange, None
        transport = self._transport
        if transport is None:
            return
        if self._closes or (self._is_half_closed and not self._stream.holds_more):
            unread = exchange is not None and exchange.is_unread
            self._end(lingers=unread and not self._is_half_closed)
        elif self._is_full:
            # Whoever does not read answers is not asked what else it would like.
            self._waits = True
            self._unread = transport.get_write_buffer_size()
            self.deadline_s = self._desk.now_s() + self._desk.limits.body_s
            transport.pause_reading()
        else:
            self._read_on()

    def _read_on(self) -> None:
        transport = self._transport
        if transport is None:
            return
        now_s = self._desk.now_s()
        self.deadline_s = now_s + self._desk.limits.keep_alive_s
        if not self._rests and not transport.is_reading():
            transport.resume_reading()
        try:
            self._stream.go_on()
        except MessageError as error:
            self._refuse(error)
            return
        if self._exchange is None and self._stream.has_begun:
            self.deadline_s = now_s + self._desk.limits.head_s

    def abort(self) -> None:
        """Break the connection off, so that the client knows that the response is not whole."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def tunnel(self) -> None:
        """Pass on what comes as it is."""
        self.flush()
        self._stream.tunnel()
        self.hold(held=False)

    # Ends.

    def _refuse(self, error: MessageError) -> None:
        """Answer what is no request, and read no more of this client."""
        transport, exchange = self._transport, self._exchange
        if transport is None:
            return
        if exchange is not None:
            # The body went wrong.  Where nothing was answered yet, that can still be said.
            if exchange.phase >= Phase.ANSWERING:
                self.abort()
                exchange.on_client_gone()
                return
            self._exchange = None
            exchange.why = str(error)
            exchange.status = error.status
            exchange.on_client_gone()
        if exchange is None:
            fields, body = self._desk.refuse(Refusal(self.peer, self.tls, "1.1", error))
        else:
            fields, body = self._desk.refused(error)
        line = _LINES.get(error.status, _LINES[400])
        lines = b"".join([b"%b: %b\r\n" % pair for pair in fields])
        ending = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        transport.write(line + lines + ending + body)
        self._end(lingers=True)

    def _end(self, *, lingers: bool) -> None:
        """Close; first listen a while to a client that still sends, lest it loses its answer."""
        transport = self._transport
        if transport is None:
            return
        self._unread = transport.get_write_buffer_size()
        if not lingers:
            self.deadline_s = self._desk.now_s() + self._desk.limits.body_s
            transport.close()
            return
        self._lingers = True
        self.deadline_s = self._desk.now_s() + LINGER_S
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        if not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()
