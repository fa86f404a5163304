"""HTTP/2 to clients: octets in, requests out; responses in, octets out (RFC 9113).

`h2` knows frames, states, windows and HPACK.  Here is what a proxy needs besides: floods are ended
(`gslb.proxy.frames`), requests are read as strictly as those of HTTP/1 (`gslb.proxy.http2head`), a
window opens again only as its body is taken, and what cannot be sent yet is handed back.

Nothing is raised to whoever feeds it.  When a connection ends in an error its streams are reset to
the sink, and GOAWAY is among what `taken` returns.  Calls about a stream that is no more do
nothing.  Whoever has octets that the transport does not take should not feed more: answers to pings
and the like would heap up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from gslb.errors import FrameError, MessageError
from gslb.proxy.frames import RST_STREAM, FrameCounter
from gslb.proxy.head import Fields, RequestHead
from gslb.proxy.http2head import FORBIDDEN, Http2HeadReader, read_trailers
from gslb.proxy.http2lengths import LengthHidingDecoder, with_lengths

STREAMS_MAX: Final = 100  # at a time
REQUESTS_MAX: Final = 10_000  # of a connection; then the client is asked to connect again
STREAM_WINDOW: Final = 262_144  # octets of one body that wait here
PASSED_BY_MAX: Final = 1_048_576  # octets that are read of a body whose request was answered
CONNECTION_WINDOW: Final = 1_048_576  # octets of all bodies that do
SENT_FRAME_MAX: Final = 65_536
TABLE_MAX: Final = 4096  # octets of fields that are remembered for a client, whatever it allows

_FIRST_WINDOW: Final = 65_535  # of every connection (6.9.2)
_STATUS: Final = b":status"


class Http2Sink(Protocol):
    """Who hears the requests of one connection; each call is about the stream of that number."""

    def on_request(self, stream: int, head: RequestHead) -> None:
        """Hear a head; with length 0 the request is whole."""

    def on_refused(self, stream: int, problem: MessageError) -> None:
        """Hear of a request that is to be answered with an error, and has no body."""

    def on_body(self, stream: int, octets: bytes) -> None:
        """Hear a part of the body, for which `Http2Connection.took` is called once it is used."""

    def on_body_end(self, stream: int, trailers: Fields) -> None:
        """Hear that the body is whole."""

    def on_reset(self, stream: int) -> None:
        """Hear that the client wants no answer any more, or cannot be given one."""

    def on_writable(self, stream: int) -> None:
        """Hear that what `Http2Connection.data` handed back may be sent now."""


class _Stream:
    """What is known of one request that is not answered whole."""

    __slots__ = ("has_ended", "hears", "left", "trailers", "unread")

    def __init__(self) -> None:
        self.unread = 0  # octets that the sink has not taken
        self.left = -1  # octets of the body that must still come; negative if it did not say
        self.hears = False  # whether the sink hears of its body
        self.has_ended = False  # whether the client is done
        self.trailers: Fields | None = []  # None if they are malformed


class Http2Connection:
    """One client's connection, from its preface on.

    Heads of more than *head_max* octets, or *fields_max* fields, are refused.  `is_over` is set
    when nothing more can be said: what `taken` returns is the last.
    """

    def __init__(
        self,
        sink: Http2Sink,
        *,
        head_max: int,
        fields_max: int,
        requests_max: int = REQUESTS_MAX,
    ) -> None:
        self._sink = sink
        self._reader = Http2HeadReader(head_max, fields_max)
        self._streams: dict[int, _Stream] = {}
        self._blocked: dict[int, None] = {}
        self._passed_by: dict[int, int] = {}  # octets still read of bodies that nobody needs
        self._frames = FrameCounter(2 * head_max)
        self._now_s = 0.0
        self._requests_left = requests_max
        self._last_stream: int | None = None  # streams after it are not taken
        self._farewell = b""
        self._gone: set[int] = set()  # streams that what is heard now resets
        self._ended: set[int] = set()  # streams that it ends, on the client's side
        self.is_over = False
        self._h2 = H2Connection(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,  # done by the reader, for less
                normalize_inbound_headers=False,
                validate_outbound_headers=False,  # members' heads were read strictly
                normalize_outbound_headers=False,
            )
        )
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: head_max,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 0,
            },
        )
        self._h2.decoder = LengthHidingDecoder()
        # Somewhat more is read, so that it can be answered with 431.
        self._h2.decoder.max_header_list_size = 2 * head_max
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - _FIRST_WINDOW)

    @property
    def active(self) -> int:
        """How many requests are under way."""
        return len(self._streams)

    @property
    def is_done(self) -> bool:
        """Whether one side said that it is leaving, and all was answered."""
        leaves = self._last_stream is not None or self._frames.is_leaving
        return self.is_over or (leaves and not self._streams)

    def taken(self) -> bytes:
        """Return what is to be sent to the client, once."""
        octets = self._h2.data_to_send() + self._farewell
        self._farewell = b""
        return octets

    def feed(self, octets: bytes, now_s: float) -> None:
        """Take in what the client sent, at the time *now_s* of a clock that never goes back."""
        if self.is_over:
            return
        self._now_s = now_s
        try:
            admitted = self._frames.admit(octets, now_s)
            try:
                events = self._h2.receive_data(admitted)
            except ProtocolError:
                self._end_all()  # h2 has said why
                return
            self._look_ahead(events)
            for event in events:
                self._hear(event)
        except FrameError as error:
            self._h2.close_connection(error.code)
            self._end_all()

    def head(self, stream: int, status: int, fields: Fields, *, end: bool = False) -> None:
        """Send the head of a response, an interim one too; with *end* it has no body.

        Names are in lower case.
        """
        if stream not in self._streams:
            return
        kept = [pair for pair in fields if pair[0] not in FORBIDDEN]
        self._h2.send_headers(stream, [(_STATUS, b"%d" % status), *kept], end_stream=end)
        if end:
            self._close(stream)

    def data(self, stream: int, octets: bytes) -> bytes:
        """Send a part of a response's body; return what the client's windows have no room for.

        That is to be given again after `Http2Sink.on_writable`, before anything behind it.
        """
        if stream not in self._streams:
            return b""
        room = max(self._h2.local_flow_control_window(stream), 0)
        size = min(len(octets), room)
        step = min(self._h2.max_outbound_frame_size, SENT_FRAME_MAX)
        for at in range(0, size, step):
            self._h2.send_data(stream, octets[at : min(at + step, size)])
        self._frames.sent(size)
        self._blocked.pop(stream, None)
        if size < len(octets):
            self._blocked[stream] = None  # behind the others that wait
        return octets[size:]

    def end(self, stream: int, trailers: Fields | None = None) -> None:
        """End a response, all of whose body was sent."""
        if stream not in self._streams:
            return
        if trailers:
            self._h2.send_headers(stream, trailers, end_stream=True)
        else:
            self._h2.end_stream(stream)
        self._close(stream)

    def reset(self, stream: int, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        """Break off a response that cannot be ended."""
        if stream in self._streams:
            self._h2.reset_stream(stream, code)
            self._forget(stream)

    def took(self, stream: int, size: int) -> None:
        """Let the client send as much again: *size* octets of this body were used."""
        known = self._streams.get(stream)
        if known is not None and size:
            known.unread -= size
            self._h2.acknowledge_received_data(size, stream)

    def go_away(self) -> None:
        """Take no more requests; those under way are answered (6.8)."""
        if self._last_stream is None and not self.is_over:
            # By hand: for h2 a connection is over after GOAWAY.
            self._last_stream = last = self._h2.highest_inbound_stream_id
            self._farewell = (
                b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + bytes(4)  # NO_ERROR
            )

    def _look_ahead(self, events: Iterable[Event]) -> None:
        """Learn where streams will stand when all these are heard: h2 has them there already.

        Who asks and takes it back in one breath is so not heard asking.
        """
        gone: set[int] = set()
        ended: set[int] = set()
        for event in events:
            if isinstance(event, StreamEnded):
                ended.add(event.stream_id)
                if (known := self._streams.get(event.stream_id)) is not None:
                    known.has_ended = True
            elif isinstance(event, StreamReset):
                gone.add(event.stream_id)
                self._passed_by.pop(event.stream_id, None)
                if event.stream_id in self._streams:
                    self._forget(event.stream_id)
                    self._sink.on_reset(event.stream_id)
        self._gone, self._ended = gone, ended

    def _hear(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            if event.stream_id not in self._gone:
                fields = with_lengths(event.headers)
                self._begin(event.stream_id, fields, event.stream_ended is not None)
        elif isinstance(event, DataReceived):
            self._hear_data(event)
        elif isinstance(event, TrailersReceived):
            known = self._streams.get(event.stream_id)
            if known is not None and known.hears:
                known.trailers = read_trailers(with_lengths(event.headers))
        elif isinstance(event, StreamEnded):
            self._hear_end(event.stream_id)
        elif isinstance(event, WindowUpdated):
            self._wake([event.stream_id] if event.stream_id else list(self._blocked))
        elif isinstance(event, RemoteSettingsChanged):
            encoder = self._h2.encoder
            encoder.header_table_size = min(encoder.header_table_size, TABLE_MAX)
            self._wake(list(self._blocked))

    def _begin(self, stream: int, fields: Iterable[tuple[bytes, bytes]], is_whole: bool) -> None:
        if self._last_stream is not None and stream > self._last_stream:
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        self._streams[stream] = known = _Stream()
        known.has_ended = stream in self._ended
        self._requests_left -= 1
        if self._requests_left <= 0:
            self.go_away()
        try:
            head = self._reader.read(fields, is_whole=is_whole)
        except MessageError as problem:
            self._sink.on_refused(stream, problem)
            return
        if head is None:
            self._refuse(stream)
            return
        known.left = head.length
        known.hears = head.length != 0
        self._sink.on_request(stream, head)

    def _hear_data(self, event: DataReceived) -> None:
        stream, octets, size = event.stream_id, event.data or b"", event.flow_controlled_length or 0
        known = self._streams.get(stream)
        if known is not None and 0 <= known.left < len(octets):
            self._h2.acknowledge_received_data(size, stream)
            self._refuse(stream)
            self._sink.on_reset(stream)
            return
        if known is None or not known.hears:
            self._pass_by(stream, size)
            return
        if size > len(octets):
            self._h2.acknowledge_received_data(size - len(octets), stream)  # padding
        if octets:
            known.unread += len(octets)
            known.left -= len(octets)
            self._sink.on_body(stream, octets)

    def _pass_by(self, stream: int, size: int) -> None:
        """Let a client go on with a body that nobody reads; not for ever."""
        self._h2.acknowledge_received_data(size, stream)
        left = self._passed_by.get(stream)
        if left is None:
            return
        self._passed_by[stream] = left - size
        if left < size:
            del self._passed_by[stream]
            self._h2.reset_stream(stream, ErrorCodes.NO_ERROR)  # 8.1: the rest is not needed

    def _hear_end(self, stream: int) -> None:
        self._passed_by.pop(stream, None)
        known = self._streams.get(stream)
        if known is None or not known.hears:
            return
        if known.left > 0 or known.trailers is None:
            self._refuse(stream)
            self._sink.on_reset(stream)
        else:
            self._sink.on_body_end(stream, known.trailers)

    def _refuse(self, stream: int) -> None:
        """Reset a stream whose request is malformed (8.1.1), which counts as if its client had."""
        self.reset(stream, ErrorCodes.PROTOCOL_ERROR)
        self._frames.counted(RST_STREAM, self._now_s)

    def _wake(self, streams: Iterable[int]) -> None:
        for stream in streams:
            if stream in self._blocked and self._h2.local_flow_control_window(stream) > 0:
                self._sink.on_writable(stream)

    def _close(self, stream: int) -> None:
        """Be done with a stream that was answered, though its request may not have come whole.

        Of what is still sent some is passed by, since there are clients that lose the response
        where a reset (8.1) comes right behind it.
        """
        if not self._streams[stream].has_ended:
            self._passed_by[stream] = PASSED_BY_MAX
        self._forget(stream)

    def _forget(self, stream: int) -> None:
        known = self._streams.pop(stream)
        self._blocked.pop(stream, None)
        if known.unread:
            self._h2.acknowledge_received_data(known.unread, stream)

    def _end_all(self) -> None:
        self.is_over = True
        streams = list(self._streams)
        self._streams.clear()
        self._blocked.clear()
        for stream in streams:
            self._sink.on_reset(stream)
