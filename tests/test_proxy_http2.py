"""HTTP/2 to clients, against a client made of the same library, back to back."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import MessageError
from gslb.proxy.frames import MOST, PING, RST_STREAM
from gslb.proxy.head import CHUNKED
from gslb.proxy.http2 import (
    CONNECTION_WINDOW,
    PASSED_BY_MAX,
    STREAM_WINDOW,
    STREAMS_MAX,
    TABLE_MAX,
    Http2Connection,
)

HEAD_MAX = 32_768
GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"www.example.com"),
    (b":path", b"/a?b=c"),
]
POST = [(b":method", b"POST"), *GET[1:]]
OK = [(b"server", b"x")]


class Heard:
    """Writes down what a connection tells; `answers` may say more at once."""

    def __init__(self):
        self.calls = []
        self.heads = {}
        self.bodies = {}
        self.answer = lambda stream: None

    def on_request(self, stream, head):
        self.calls.append(("request", stream))
        self.heads[stream] = head
        self.answer(stream)

    def on_refused(self, stream, problem):
        assert isinstance(problem, MessageError)
        self.calls.append(("refused", stream, problem.status))

    def on_body(self, stream, octets):
        self.calls.append(("body", stream))
        self.bodies[stream] = self.bodies.get(stream, b"") + octets

    def on_body_end(self, stream, trailers):
        self.calls.append(("end", stream, trailers))

    def on_reset(self, stream):
        self.calls.append(("reset", stream))

    def on_writable(self, stream):
        self.calls.append(("writable", stream))


class Pair:
    """A client and a connection, with nothing between them."""

    def __init__(self, **limits):
        self.heard = Heard()
        self.server = Http2Connection(self.heard, head_max=HEAD_MAX, fields_max=100, **limits)
        self.client = H2Connection(
            H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self.client.initiate_connection()
        self.now_s = 0.0
        self.run()

    def run(self):
        """Carry octets both ways until both are silent; return what the client sees of it."""
        seen = []
        while True:
            self.server.feed(self.client.data_to_send(), self.now_s)
            if not (back := self.server.taken()):
                return seen
            seen += self.client.receive_data(back)

    def ask(self, fields=GET, *, end=True):
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, fields, end_stream=end)
        return stream

    def raw(self, octets):
        """Send octets that the client would not."""
        self.server.feed(self.client.data_to_send() + octets, self.now_s)
        return self.client.receive_data(self.server.taken())


def kinds(seen, kind):
    return [event for event in seen if isinstance(event, kind)]


def body_of(seen):
    return b"".join(event.data for event in kinds(seen, DataReceived))


def frame(kind, stream, body=b"", flags=0):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def test_a_request_is_told_as_one_of_http_1_would_be():
    pair = Pair()
    fields = [(b"te", b"trailers"), (b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2")]
    stream = pair.ask([*GET, *fields])
    pair.run()

    head = pair.heard.heads[stream]
    assert pair.heard.calls == [("request", stream)]
    assert (head.method, head.target, head.minor) == (b"GET", b"/a?b=c", 2)
    assert (head.authority, head.host) == (b"www.example.com", b"www.example.com")
    assert head.passing == [(b"accept", b"*/*"), (b"cookie", b"a=1; b=2")]
    assert (head.length, head.accepts_trailers, head.upgrade) == (0, True, None)
    assert pair.server.active == 1


def test_a_response_with_a_body_and_trailers_arrives():
    pair = Pair()
    stream = pair.ask()
    pair.run()

    pair.server.head(stream, 103, [(b"link", b"</a.css>")])
    pair.server.head(stream, 200, [*OK, (b"connection", b"close"), (b"set-cookie", b"a=1")])
    assert pair.server.data(stream, b"x" * 40_000) == b""
    pair.server.end(stream, [(b"x-sum", b"1")])
    seen = pair.run()

    assert [event.headers[0] for event in kinds(seen, InformationalResponseReceived)] == [
        (b":status", b"103")
    ]
    (response,) = kinds(seen, ResponseReceived)
    assert response.headers == [(b":status", b"200"), *OK, (b"set-cookie", b"a=1")]
    assert body_of(seen) == b"x" * 40_000
    assert kinds(seen, TrailersReceived)[0].headers == [(b"x-sum", b"1")]
    assert kinds(seen, StreamEnded)
    assert not kinds(seen, StreamReset)
    assert pair.server.active == 0


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_response_without_a_body_is_a_head_alone(method):
    pair = Pair()
    stream = pair.ask([(b":method", method), *GET[1:]])
    pair.run()

    pair.server.head(stream, 204, [], end=True)
    seen = pair.run()

    assert kinds(seen, ResponseReceived)[0].stream_ended
    assert not kinds(seen, DataReceived)


@pytest.mark.parametrize(
    ("fields", "length"),
    [([(b"content-length", b"5")], 5), ([], CHUNKED)],
)
def test_a_body_is_told_with_its_length_or_in_chunks(fields, length):
    pair = Pair()
    stream = pair.ask([*POST, *fields], end=False)
    pair.client.send_data(stream, b"he")
    pair.client.send_data(stream, b"", pad_length=3)
    pair.client.send_data(stream, b"llo", end_stream=True, pad_length=9)
    pair.run()

    assert pair.heard.heads[stream].length == length
    assert pair.heard.bodies[stream] == b"hello"
    assert pair.heard.calls[-1] == ("end", stream, [])


def test_trailers_come_at_the_end_without_those_that_mean_something_in_a_head():
    pair = Pair()
    stream = pair.ask(POST, end=False)
    pair.client.send_data(stream, b"hello")
    pair.client.send_headers(stream, [(b"x-sum", b"1"), (b"host", b"a")], end_stream=True)
    pair.run()

    assert pair.heard.calls[-1] == ("end", stream, [(b"x-sum", b"1")])


@pytest.mark.parametrize(
    "bad", [(b"X-Sum", b"1"), (b"x sum", b"1"), (b":path", b"/"), (b"a", b"\n")]
)
def test_malformed_trailers_reset_the_stream(bad):
    pair = Pair()
    stream = pair.ask(POST, end=False)
    pair.client.send_headers(stream, [bad], end_stream=True)
    seen = pair.run()

    assert pair.heard.calls == [("request", stream), ("reset", stream)]
    assert kinds(seen, StreamReset)


def test_trailers_that_are_too_long_reset_the_stream():
    pair = Pair()
    stream = pair.ask(POST, end=False)
    pair.client.send_headers(stream, [(b"a", b"x" * 20_000)], end_stream=True)
    pair.run()

    assert pair.heard.calls == [("request", stream), ("reset", stream)]


def without(name):
    return [pair for pair in GET if pair[0] != name]


@pytest.mark.parametrize(
    "fields",
    [
        without(b":method"),
        without(b":scheme"),
        without(b":authority"),
        without(b":path"),
        [*without(b":path"), (b":path", b"")],
        [*without(b":path"), (b":path", b"*")],
        [*without(b":path"), (b":path", b"https://www.example.com/")],
        [*without(b":path"), (b":path", b"/ HTTP/1.1\r\nx: y")],
        [*without(b":method"), (b":method", b"GET /admin HTTP/1.1\r\nx:")],
        [*without(b":method"), (b":method", b"GET /admin")],
        [*GET, (b":path", b"/")],
        [*GET, (b":status", b"200")],
        [*GET, (b":protocol", b"websocket")],
        [(b"accept", b"*/*"), *GET],
        [(b"cookie", b"a=1"), *GET],
        [(b"host", b"www.example.com"), *GET],
        [*GET, (b"host", b"other.example.com")],
        [*without(b":authority"), (b"host", b"a.example.com"), (b"host", b"a.example.com")],
        [*GET, (b"Accept", b"*/*")],
        [*GET, (b"acc ept", b"*/*")],
        [*GET, (b"a: b\r\nc", b"d")],
        [*GET, (b"a:", b"d")],
        [*GET, (b"", b"d")],
        [*GET, (b"accept", b"a\r\nb: c")],
        [*GET, (b"accept", b"a\0")],
        [*GET, (b"accept", b" a")],
        [*GET, (b"connection", b"close")],
        [*GET, (b"transfer-encoding", b"chunked")],
        [*GET, (b"upgrade", b"h2c")],
        [*GET, (b"keep-alive", b"1")],
        [*GET, (b"proxy-connection", b"close")],
        [*GET, (b"te", b"gzip")],
        [*GET, (b"content-length", b"5")],
    ],
)
def test_a_malformed_request_resets_its_stream_and_nothing_else(fields):
    pair = Pair()
    bad = pair.ask(fields)
    good = pair.ask()
    seen = pair.run()

    assert [event.stream_id for event in kinds(seen, StreamReset)] == [bad]
    assert pair.heard.calls == [("request", good)]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b":method", b"CONNECT"), (b":authority", b"www.example.com:443")], 405),
        ([(b":method", b"BREW"), *GET[1:]], 501),
        ([*without(b":authority"), (b":authority", b"a b")], 400),
        ([*without(b":authority"), (b":authority", b"")], 400),
        ([*without(b":path"), (b":path", b"/a b")], 400),
        ([*without(b":path"), (b":path", b"/a#b")], 400),
        ([*GET, (b"expect", b"the-moon")], 417),
        ([*POST, (b"content-length", b"05"), (b"content-length", b"5")], 400),
        ([*POST, (b"content-length", b"5"), (b"content-length", b"5")], 400),
        ([*GET, *[(b"a", b"b")] * 101], 431),
        ([*GET, *[(b"a", b"b" * 12_000)] * 3], 431),
    ],
)
def test_a_request_that_http_1_would_refuse_is_refused_alike_and_can_be_answered(fields, status):
    pair = Pair()
    stream = pair.ask(fields, end=False)
    pair.client.send_data(stream, b"he")
    pair.run()

    assert pair.heard.calls == [("refused", stream, status)]
    pair.server.head(stream, status, OK)
    pair.server.data(stream, b"no")
    pair.server.end(stream)
    seen = pair.run()
    assert kinds(seen, ResponseReceived)[0].headers[0] == (b":status", b"%d" % status)
    assert body_of(seen) == b"no"
    assert kinds(seen, StreamEnded)


def test_options_of_everything_and_a_host_in_place_of_an_authority_are_well_formed():
    pair = Pair()
    one = pair.ask([(b":method", b"OPTIONS"), *GET[1:3], (b":path", b"*")])
    other = pair.ask([*without(b":authority"), (b"host", b"a.example.com")])
    same = pair.ask([*GET, (b"host", b"www.example.com")])
    pair.run()

    assert pair.heard.heads[one].target == b"*"
    assert pair.heard.heads[other].authority == b"a.example.com"
    assert pair.heard.heads[same].authority == b"www.example.com"


def test_a_body_shorter_than_its_length_resets_the_stream():
    pair = Pair()
    stream = pair.ask([*POST, (b"content-length", b"5")], end=False)
    pair.client.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    pair.run()

    assert pair.heard.calls == [("request", stream), ("reset", stream)]


@pytest.mark.parametrize(("length", "begins"), [(b"5", b""), (b"5", b"hel"), (b"0", b"")])
def test_a_body_longer_than_its_length_resets_its_stream_and_no_other(length, begins):
    pair = Pair()
    good = pair.ask(POST, end=False)
    bad = pair.ask([*POST, (b"content-length", length)], end=False)
    if begins:
        pair.client.send_data(bad, begins)
    pair.run()
    pair.client.send_data(bad, b"hello!", pad_length=3)
    pair.client.send_data(good, b"hello!", end_stream=True)
    seen = pair.run()

    assert [event.stream_id for event in kinds(seen, StreamReset)] == [bad]
    assert ("reset", bad) in pair.heard.calls
    assert ("end", good, []) in pair.heard.calls
    assert pair.heard.bodies.get(bad, b"") == begins
    assert not pair.server.is_over


def test_who_resets_many_streams_by_wrong_lengths_is_left():
    pair = Pair()
    seen = []
    for _ in range(2000):
        if pair.server.is_over:
            break
        pair.ask([*POST, (b"content-length", b"5")])
        seen = pair.run()

    assert kinds(seen, ConnectionTerminated)


@pytest.mark.parametrize("length", [b"+5", b"5a", b"", b"-1", b"1_0"])
def test_a_length_that_is_none_is_never_believed(length):
    pair = Pair()
    stream = pair.ask([*POST, (b"content-length", length)], end=False)
    pair.run()

    assert pair.heard.calls == [("refused", stream, 400)]
    assert not pair.server.is_over


def test_the_name_by_which_a_length_is_hidden_is_nobodys():
    pair = Pair()
    pair.ask([*POST, (b" length", b"5")], end=False)
    pair.run()

    assert not pair.heard.heads


def test_a_client_sends_no_more_than_is_taken():
    pair = Pair()
    stream = pair.ask(POST, end=False)
    pair.run()
    sent = fill(pair, stream)

    assert sent == STREAM_WINDOW == len(pair.heard.bodies[stream])
    pair.server.took(stream, 200_000)
    pair.run()
    assert 100_000 < fill(pair, stream) <= 200_000


def fill(pair, stream):
    """Send as much as the windows allow; return how much that was."""
    sent = 0
    while size := min(pair.client.local_flow_control_window(stream), 16_384):
        pair.client.send_data(stream, b"x" * size)
        sent += size
        pair.run()
    return sent


def test_streams_that_are_not_taken_leave_room_for_a_few_others_and_give_it_back_when_they_end():
    pair = Pair()
    streams = [pair.ask(POST, end=False) for _ in range(5)]
    pair.run()
    assert sum(fill(pair, stream) for stream in streams) == CONNECTION_WINDOW

    pair.server.reset(streams[0])
    pair.client.reset_stream(streams[1])
    pair.server.head(streams[2], 200, OK, end=True)
    pair.run()

    assert fill(pair, streams[4]) == STREAM_WINDOW


def test_what_a_client_has_no_room_for_is_handed_back_until_it_has():
    pair = Pair()
    stream = pair.ask()
    pair.run()
    pair.server.head(stream, 200, OK)
    body = bytes(range(256)) * 1024
    rest = pair.server.data(stream, body)
    seen = pair.run()

    assert body_of(seen) == body[:65_535]
    assert pair.server.data(stream, rest) == rest
    while rest:
        size = len(body_of(seen)) - (len(body) - len(rest)) + 65_535
        pair.client.increment_flow_control_window(size)
        pair.run()
        assert ("writable", stream) not in pair.heard.calls  # the connection's alone does not help
        pair.client.increment_flow_control_window(size, stream)
        pair.run()
        assert pair.heard.calls.pop() == ("writable", stream)
        rest = pair.server.data(stream, rest)
        seen += pair.run()
    pair.server.end(stream)
    pair.run()
    assert body_of(seen) == body


bodies = st.lists(st.lists(st.integers(0, 9_000), max_size=4), min_size=1, max_size=3)


@given(bodies, st.integers(1, 9_000), st.lists(st.integers(1_000, 9_000), min_size=1, max_size=5))
def test_whatever_the_windows_are_each_body_arrives_whole_and_in_order(pieces, window, opened):
    pair = Pair()
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
    waiting = {pair.ask(): [bytes([at + 1]) * size for at, size in enumerate(sizes)]
               for sizes in pieces}  # fmt: skip
    meant = {stream: b"".join(body) for stream, body in waiting.items()}
    pair.run()
    for stream in waiting:
        pair.server.head(stream, 200, OK)
    seen, turn = [], 0
    while waiting:
        for stream, body in list(waiting.items()):
            while body and not (rest := pair.server.data(stream, body[0])):
                del body[0]
            if body:
                body[0] = rest
            else:
                pair.server.end(stream)
                del waiting[stream]
        seen += pair.run()
        size = opened[turn % len(opened)]
        turn += 1
        pair.client.increment_flow_control_window(size)
        for stream in waiting:
            pair.client.increment_flow_control_window(size, stream)
        pair.run()

    for stream, body in meant.items():
        assert body_of([each for each in seen if each.stream_id == stream]) == body
    assert {each.stream_id for each in kinds(seen, StreamEnded)} == set(meant)


def test_streams_that_share_a_window_wait_their_turn():
    pair = Pair()
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
    one, other = pair.ask(), pair.ask()
    pair.run()
    for stream in (one, other):
        pair.server.head(stream, 200, OK)
        assert pair.server.data(stream, b"x" * 65_536)

    pair.client.increment_flow_control_window(5)
    pair.run()
    assert pair.heard.calls[-2:] == [("writable", one), ("writable", other)]
    pair.server.data(one, b"x" * 9)
    pair.run()
    pair.client.increment_flow_control_window(5)
    pair.run()
    assert pair.heard.calls[-2:] == [("writable", other), ("writable", one)]


def test_a_larger_window_in_settings_lets_streams_go_on():
    pair = Pair()
    stream = pair.ask()
    pair.client.increment_flow_control_window(1_000_000)
    pair.run()
    pair.server.head(stream, 200, OK)
    rest = pair.server.data(stream, b"x" * 70_000)

    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100_000})
    pair.run()

    assert pair.heard.calls[-1] == ("writable", stream)
    assert pair.server.data(stream, rest) == b""


def test_a_smaller_window_in_settings_may_be_less_than_nothing():
    pair = Pair()
    stream = pair.ask()
    pair.run()
    pair.server.head(stream, 200, OK)
    pair.server.data(stream, b"x" * 60_000)
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.run()

    assert pair.server.data(stream, b"more") == b"more"


def test_a_client_that_resets_is_told_once_and_all_else_about_it_does_nothing():
    pair = Pair()
    stream = pair.ask(POST, end=False)
    pair.client.send_data(stream, b"hello")
    pair.run()
    pair.client.reset_stream(stream)
    pair.run()

    assert pair.heard.calls == [("request", stream), ("body", stream), ("reset", stream)]
    pair.server.took(stream, 5)
    pair.server.head(stream, 200, OK)
    assert pair.server.data(stream, b"x") == b""
    pair.server.end(stream)
    pair.server.reset(stream)
    assert not pair.server.taken()


def test_a_request_that_is_taken_back_in_the_same_breath_is_not_heard():
    pair = Pair()
    stream = pair.ask(POST, end=False)
    pair.client.send_data(stream, b"hello")
    pair.client.reset_stream(stream)
    pair.run()

    assert pair.heard.calls == []
    assert pair.server.active == 0


def test_a_reset_counts_before_what_came_with_it_is_answered():
    pair = Pair()
    stream = pair.ask()
    pair.run()
    pair.heard.answer = lambda other: pair.server.head(stream, 200, OK)
    pair.client.reset_stream(stream)
    other = pair.ask()
    pair.run()

    assert pair.heard.calls[-2:] == [("reset", stream), ("request", other)]
    assert not pair.server.is_over


def test_trailers_of_what_was_answered_already_are_not_heard():
    pair = Pair()
    pair.heard.answer = lambda stream: pair.server.head(stream, 200, OK, end=True)
    stream = pair.ask(POST, end=False)
    pair.client.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    seen = pair.run()

    assert pair.heard.calls == [("request", stream)]
    assert not kinds(seen, StreamReset)


@pytest.mark.parametrize("comes_at_once", [True, False])
def test_an_answer_before_the_body_has_come_lets_the_client_finish_sending_it(comes_at_once):
    pair = Pair()

    def answer(stream):
        pair.server.head(stream, 413, OK, end=True)

    pair.heard.answer = answer
    stream = pair.ask(POST, end=False)
    if comes_at_once:
        pair.client.send_data(stream, b"hello", end_stream=True)
    seen = pair.run()

    assert pair.heard.calls == [("request", stream)]
    assert kinds(seen, ResponseReceived)
    assert not kinds(seen, StreamReset)
    assert pair.server.active == 0


def test_a_body_that_nobody_needs_is_passed_by_for_a_while_and_not_for_ever():
    pair = Pair()
    pair.heard.answer = lambda stream: pair.server.head(stream, 413, OK, end=True)
    stream = pair.ask(POST, end=False)
    pair.run()

    sent, resets = 0, []
    while not resets:
        room = min(pair.client.local_flow_control_window(stream), 16_384)
        pair.client.send_data(stream, bytes(room))
        sent += room
        resets = kinds(pair.run(), StreamReset)

    assert PASSED_BY_MAX < sent <= PASSED_BY_MAX + 16_384
    assert resets[0].error_code == 0
    assert not pair.server.is_over


def test_a_stream_can_be_broken_off():
    pair = Pair()
    stream = pair.ask()
    pair.run()
    pair.server.head(stream, 200, OK)
    pair.server.reset(stream)
    seen = pair.run()

    assert kinds(seen, StreamReset)[0].error_code == 2
    assert pair.heard.calls == [("request", stream)]


def test_leaving_answers_what_is_under_way_and_takes_no_more():
    pair = Pair()
    stream = pair.ask()
    pair.run()

    pair.server.go_away()
    pair.server.go_away()
    late = pair.ask()
    pair.server.feed(pair.client.data_to_send(), 0.0)
    assert not pair.server.is_done
    pair.server.head(stream, 200, OK, end=True)
    assert pair.server.is_done
    sent = pair.server.taken()

    assert sent.count(b"\0\0\x08\x07\0") == 1
    assert frame(7, 0, stream.to_bytes(4, "big") + bytes(4)) in sent
    assert frame(3, late, (7).to_bytes(4, "big")) in sent
    assert pair.heard.calls == [("request", stream)]


def test_a_client_that_leaves_gets_its_answers_first():
    pair = Pair()
    stream = pair.ask()
    pair.run()
    pair.server.feed(frame(7, 0, bytes(8)), 0.0)

    assert not pair.server.is_done
    pair.server.head(stream, 200, OK)
    pair.server.end(stream)
    assert kinds(pair.run(), StreamEnded)
    assert pair.server.is_done


def test_a_client_is_asked_to_connect_again_after_many_requests():
    pair = Pair(requests_max=3)
    pair.heard.answer = lambda stream: pair.server.head(stream, 200, [], end=True)
    for _ in range(2):
        pair.ask()
        pair.run()
        assert not pair.server.is_done
    pair.ask()
    seen = pair.run()

    assert pair.server.is_done
    assert kinds(seen, ResponseReceived)
    assert kinds(seen, ConnectionTerminated)[0].error_code == 0


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(lambda pair: pair.client.ping(bytes(8)), id="ping"),
        pytest.param(lambda pair: pair.client.reset_stream(pair.ask()), id="rapid reset"),
        pytest.param(lambda pair: pair.client.update_settings({}), id="settings"),
        pytest.param(lambda pair: pair.ask(GET[:2]), id="malformed requests"),
    ],
)
def test_a_flood_ends_the_connection(flood):
    pair = Pair()
    most = max(MOST[PING], MOST[RST_STREAM]) + 1
    seen = []
    for _ in range(most):
        flood(pair)
        seen += pair.run()
        if pair.server.is_over:
            break

    assert kinds(seen, ConnectionTerminated)[0].error_code == 11
    pair.server.feed(b"more", 0.0)
    assert not pair.server.taken()


def test_as_many_resets_over_a_longer_time_do_not():
    pair = Pair()
    for _ in range(2 * MOST[RST_STREAM]):
        pair.client.reset_stream(pair.ask())
        pair.run()
        pair.now_s += 0.1

    assert not pair.server.is_over


def test_pings_are_answered():
    pair = Pair()
    pair.client.ping(b"12345678")

    assert kinds(pair.run(), PingAckReceived)[0].ping_data == b"12345678"


def test_more_streams_than_may_be_end_the_connection():
    pair = Pair()
    for _ in range(STREAMS_MAX):
        pair.ask()
    pair.run()
    assert pair.server.active == STREAMS_MAX

    pair.raw(frame(1, 2 * STREAMS_MAX + 1, b"\x82\x87\x84\x41\x01a", 5))
    assert pair.server.is_over
    assert pair.server.active == 0
    assert pair.heard.calls.count(("reset", 1)) == 1


def test_fields_without_end_end_the_connection():
    pair = Pair()
    pair.ask([*GET, *[(b"a", b"b" * 15_000)] * 9])
    pair.run()

    assert pair.server.is_over
    assert pair.heard.calls == []


def test_little_is_remembered_for_a_client_that_allows_much():
    pair = Pair()
    pair.client.update_settings({SettingCodes.HEADER_TABLE_SIZE: 2**31})
    pair.heard.answer = lambda stream: pair.server.head(
        stream, 200, [(b"x", b"%d" % stream * 999)], end=True
    )
    for _ in range(20):
        pair.ask()
        assert kinds(pair.run(), ResponseReceived)

    assert pair.server._h2.encoder.header_table_size == TABLE_MAX


def conversation():
    """What a client sends in a conversation of several requests."""
    client = H2Connection()
    client.initiate_connection()
    client.send_headers(1, [*GET, (b"cookie", b"a=1")], end_stream=True)
    client.send_headers(3, POST)
    client.send_data(3, b"hello" * 100, pad_length=5)
    client.ping(bytes(8))
    client.send_data(3, b"bye", end_stream=True)
    client.send_headers(5, POST)
    client.reset_stream(5)
    client.send_headers(7, POST)
    client.send_headers(7, [(b"x-sum", b"1")], end_stream=True)
    return client.data_to_send()


SENT = conversation()


def heard_of(pieces):
    heard = Heard()
    server = Http2Connection(heard, head_max=HEAD_MAX, fields_max=100)
    for piece in pieces:
        server.feed(piece, 0.0)
        server.taken()
    return heard, server


@given(st.lists(st.integers(1, 60)))
def test_a_conversation_is_the_same_however_it_is_cut(cuts):
    pieces, at = [], 0
    for size in [*cuts, len(SENT)]:
        pieces.append(SENT[at : at + size])
        at += size
    heard, server = heard_of(pieces)

    assert not server.is_over
    assert set(heard.heads) - {5} == {1, 3, 7}
    assert heard.bodies[3] == b"hello" * 100 + b"bye"
    assert [call for call in heard.calls if call[0] == "end"] == [
        ("end", 3, []),
        ("end", 7, [(b"x-sum", b"1")]),
    ]


@given(st.lists(st.tuples(st.integers(24, len(SENT) - 1), st.integers(0, 255)), max_size=4))
def test_a_garbled_conversation_raises_nothing(changes):
    sent = bytearray(SENT)
    for index, octet in changes:
        sent[index] = octet
    heard, server = heard_of([bytes(sent), b""])

    if server.is_over:
        assert server.active == 0
    assert all(head.minor == 2 for head in heard.heads.values())


@given(st.binary(max_size=300))
def test_any_octets_behind_the_preface_raise_nothing(octets):
    heard_of([SENT[:24] + octets])
    heard_of([octets])


texts = st.binary(max_size=20)
names = st.sampled_from([b"a", b"host", b"cookie", b"te", b"content-length", b":path"]) | texts


@given(st.lists(st.tuples(names, texts), max_size=5), st.booleans())
def test_any_fields_are_read_or_refused(fields, end):
    pair = Pair()
    try:
        pair.ask([*GET, *fields], end=end)
    except (ProtocolError, IndexError):
        return
    pair.run()

    for head in pair.heard.heads.values():
        for name, value in head.passing:
            assert b"\n" not in name + value
            assert b"\r" not in name + value
            assert b":" not in name
