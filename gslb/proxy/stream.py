"""A connection's octets cut into messages: requests on one side, responses on the other.

Octets go in by `feed`; heads, bodies and ends come out as calls on a sink, in order.  A body of
known length is passed on as it came, without being looked at.  On the client's side one request is
given out at a time: what a client sends behind it (pipelining, RFC 9112 9.3.2) waits until `go_on`.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, Protocol

from gslb.errors import MessageError
from gslb.proxy.chunks import ChunkReader
from gslb.proxy.head import CHUNKED, Fields, RequestHead, ResponseHead
from gslb.proxy.headreader import Cutter, RequestReader, ResponseReader

RESPONSE_HEAD_MAX: Final = 262_144
BURST_MAX: Final = 64  # parts of requests that are read before others are looked after
INTERIM_MAX: Final = 16  # responses before the final one
_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")


class Mode(IntEnum):
    """What the next octets are."""

    HEAD = 0
    LENGTH = 1
    CHUNKS = 2
    WAITING = 3  # for the other side to be done with the message
    UNTIL_CLOSE = 4
    TUNNEL = 5
    OVER = 6


# Members of an Enum are slow to look up in Python 3.11, and these are for every request.
_HEAD: Final = Mode.HEAD
_LENGTH: Final = Mode.LENGTH
_WAITING: Final = Mode.WAITING


class RequestSink(Protocol):
    """Who hears the requests of one connection."""

    def on_request(self, head: RequestHead) -> None:
        """Hear a head; without a body the request is whole."""

    def on_body(self, octets: bytes) -> None:
        """Hear a part of the body."""

    def on_body_end(self, trailers: Fields) -> None:
        """Hear that the body is whole."""

    def on_tunnelled(self, octets: bytes) -> None:
        """Hear octets of whatever the connection was upgraded to."""

    def on_burst(self) -> None:
        """Hear that more came at once than should be looked at before others: `resume` goes on."""


class RequestStream:
    """Cuts what a client sends into requests; `feed` and `go_on` raise MessageError."""

    __slots__ = ("_buffer", "_chunks", "_head_max", "_left", "_reader", "_running", "_sink", "mode")

    def __init__(
        self, sink: RequestSink, head_max: int, fields_max: int, cutter: Cutter | None = None
    ) -> None:
        self._sink = sink
        self._head_max = head_max
        self._reader = RequestReader(fields_max, cutter)
        self._buffer = b""
        self._left = 0
        self._chunks: ChunkReader | None = None
        self._running = False
        self.mode = Mode.HEAD

    @property
    def waits_full(self) -> bool:
        """Whether more is held back than a head may be long, so that reading should rest."""
        return len(self._buffer) > self._head_max

    @property
    def holds_more(self) -> bool:
        """Whether something came behind the request that is under way."""
        return bool(self._buffer)

    @property
    def has_begun(self) -> bool:
        """Whether a part of a request has come."""
        return self.mode is not Mode.HEAD or bool(self._buffer)

    def feed(self, octets: bytes) -> None:
        """Take in what came."""
        if not self._buffer and not self._running:
            mode = self.mode
            if mode == _LENGTH and len(octets) < self._left:
                self._left -= len(octets)
                self._sink.on_body(octets)
                return
            if (
                mode == _HEAD
                and octets.find(_END) + 4 == len(octets) <= self._head_max
                and octets.endswith(_END)
                and octets[0] != _CR
            ):
                self._read_alone(octets)
                return
        self._buffer = self._buffer + octets if self._buffer else octets
        if not self._running:
            self._run()

    def _read_alone(self, octets: bytes) -> None:
        """Read a head that nothing is behind, as most are."""
        try:
            head = self._reader.read(octets)
        except MessageError:
            self.mode = Mode.OVER
            raise
        if head.length:
            self._expect_body(head.length)
        else:
            self.mode = Mode.WAITING
        self._sink.on_request(head)

    def go_on(self) -> None:
        """Read the next request: the one before was answered, and its body was read whole."""
        self.mode = Mode.HEAD
        if self._buffer and not self._running:
            self._run()

    def resume(self) -> None:
        """Go on with what came, after `RequestSink.on_burst`."""
        if self._buffer and not self._running:
            self._run()

    def tunnel(self) -> None:
        """Pass on whatever comes from now on as it comes."""
        self.mode = Mode.TUNNEL
        if self._buffer and not self._running:
            self._run()

    def _run(self) -> None:
        self._running = True
        steps = 0
        try:
            while self._buffer and self._step():
                steps += 1
                if steps >= BURST_MAX and self._buffer:
                    self._sink.on_burst()
                    break
        except MessageError:
            self.mode = Mode.OVER
            raise
        finally:
            self._running = False

    def _step(self) -> bool:
        """Read one more part of a message; return whether there may be another."""
        mode, buffer = self.mode, self._buffer
        if mode == Mode.HEAD:
            return self._read_head(buffer)
        if mode == Mode.LENGTH:
            left = self._left
            piece, self._buffer = buffer[:left], buffer[left:]
            self._left = left = left - len(piece)
            if not left:
                self.mode = Mode.WAITING
            self._sink.on_body(piece)
            if not left:
                self._sink.on_body_end([])
            return True
        if mode == Mode.CHUNKS:
            chunks = self._chunks
            assert chunks is not None, "a body in chunks has its reader"
            self._buffer = b""
            piece = chunks.feed(buffer)
            if chunks.is_done:
                self.mode, self._buffer = Mode.WAITING, chunks.rest
            if piece:
                self._sink.on_body(piece)
            if chunks.is_done:
                self._sink.on_body_end(chunks.trailers)
            return chunks.is_done
        if mode == Mode.TUNNEL:
            self._buffer = b""
            self._sink.on_tunnelled(buffer)
        return False

    def _read_head(self, buffer: bytes) -> bool:
        if empty := _EMPTY_LINES.match(buffer):  # RFC 9112 2.2: before a request they are nothing
            self._buffer = buffer[empty.end() :]
            return True
        end = buffer.find(_END, 0, self._head_max)
        if end < 0:
            if len(buffer) >= self._head_max:
                raise MessageError(f"a head of more than {self._head_max} octets", 431)
            if buffer.count(b"\n") != buffer.count(b"\r\n"):
                raise MessageError("lines that do not end in CRLF")
            return False
        head = self._reader.read(buffer[: end + 4])
        self._buffer = buffer[end + 4 :]
        if head.length:
            self._expect_body(head.length)
        else:
            self.mode = Mode.WAITING
        self._sink.on_request(head)
        return True

    def _expect_body(self, length: int) -> None:
        if length == CHUNKED:
            self.mode, self._chunks = Mode.CHUNKS, ChunkReader()
        else:
            self.mode, self._left = Mode.LENGTH, length


class ResponseSink(Protocol):
    """Who hears the responses of one connection."""

    def on_response(self, head: ResponseHead) -> None:
        """Hear a head, an interim one (1xx) too."""

    def on_data(self, octets: bytes) -> None:
        """Hear a part of the body, or of what is tunnelled."""

    def on_end(self, trailers: Fields) -> None:
        """Hear that the response is whole."""


class ResponseStream:
    """Cuts what a member sends into responses, each to a request that was told by `expect`."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_interim",
        "_left",
        "_method",
        "_reader",
        "_sink",
        "mode",
    )

    def __init__(self, sink: ResponseSink, cutter: Cutter | None = None) -> None:
        self._sink = sink
        self._buffer = b""
        self._left = 0
        self._method = b""
        self._interim = 0
        self._chunks: ChunkReader | None = None
        self._reader = ResponseReader(cutter)
        self.mode = Mode.WAITING

    def expect(self, method: bytes) -> None:
        """Expect the response to a request with *method*."""
        self._method = method
        self._interim = 0
        self.mode = Mode.HEAD

    @property
    def is_clean(self) -> bool:
        """Whether another request can be sent: the response was whole, and nothing comes behind."""
        return self.mode == Mode.WAITING and not self._buffer

    def feed(self, octets: bytes) -> None:
        """Take in what came; raises MessageError."""
        mode = self.mode
        if mode == _HEAD:
            self._read_head(self._buffer + octets if self._buffer else octets)
        elif mode == _LENGTH:
            self._read_length(octets)
        elif mode == Mode.CHUNKS:
            self._read_chunks(octets)
        elif mode in (Mode.UNTIL_CLOSE, Mode.TUNNEL):
            self._sink.on_data(octets)
        else:
            self.mode = Mode.OVER  # a response that nobody asked for
            self._buffer = octets

    def end(self) -> bool:
        """Take in that nothing more comes; return whether the response was whole by that."""
        if self.mode == Mode.UNTIL_CLOSE:
            self.mode = Mode.OVER
            self._sink.on_end([])
            return True
        return False

    def _read_head(self, octets: bytes) -> None:
        while True:
            end = octets.find(_END, 0, RESPONSE_HEAD_MAX)
            if end < 0:
                if len(octets) >= RESPONSE_HEAD_MAX:
                    raise MessageError("a response whose head is too long", 502)
                self._buffer = octets
                return
            head = self._reader.read(octets[: end + 4], self._method)
            octets = octets[end + 4 :]
            if head.status >= 200 or head.status == 101:
                break
            self._interim += 1
            if self._interim > INTERIM_MAX:
                raise MessageError("more interim responses than there should be", 502)
            self._sink.on_response(head)
            if not octets:
                self._buffer = b""
                return
        self._buffer = b""
        self._begin(head, octets)

    def _begin(self, head: ResponseHead, octets: bytes) -> None:
        length = head.length
        sink = self._sink
        if length > 0:
            if len(octets) >= length:
                self._reader.skip(octets, length)
            self.mode, self._left = _LENGTH, length
            sink.on_response(head)
            if octets:
                self._read_length(octets)
        elif head.status == 101:
            self.mode = Mode.TUNNEL
            sink.on_response(head)
            if octets:
                sink.on_data(octets)
        elif not length:
            self.mode, self._buffer = Mode.OVER if _tells_a_body(head) else Mode.WAITING, octets
            sink.on_response(head)
            sink.on_end([])
        elif length == CHUNKED:
            self.mode, self._chunks = Mode.CHUNKS, ChunkReader()
            sink.on_response(head)
            if octets:
                self._read_chunks(octets)
        else:
            self.mode = Mode.UNTIL_CLOSE
            sink.on_response(head)
            if octets:
                sink.on_data(octets)

    def _read_length(self, octets: bytes) -> None:
        left = self._left
        if len(octets) < left:
            self._left = left - len(octets)
            self._sink.on_data(octets)
            return
        if len(octets) > left:
            octets, self._buffer = octets[:left], octets[left:]
        self._left, self.mode = 0, _WAITING
        self._sink.on_data(octets)
        self._sink.on_end([])

    def _read_chunks(self, octets: bytes) -> None:
        chunks = self._chunks
        assert chunks is not None, "a body in chunks has its reader"
        piece = chunks.feed(octets)
        if piece:
            self._sink.on_data(piece)
        if chunks.is_done:
            self.mode, self._buffer = Mode.WAITING, chunks.rest
            self._sink.on_end(chunks.trailers)


def _tells_a_body(head: ResponseHead) -> bool:
    """Return whether a body is told of that is not to come: a faulty member may send it later.

    It could not be told from the next response then, once that is asked for.  So it is behind the
    response to a HEAD, and behind 204 and 304.
    """
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and int(value))
        for name, value in head.fields
    )
