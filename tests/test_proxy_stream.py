"""Octets cut into messages: the same messages however the octets come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import MessageError
from gslb.proxy.stream import INTERIM_MAX, RESPONSE_HEAD_MAX, Mode, RequestStream, ResponseStream

HOST = b"Host: a\r\n"
GET = b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /2 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT /3 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nx-sum: 5\r\n\r\n"
)
HEARD = {
    GET: [("request", b"/1")],
    POST: [("request", b"/2"), ("body", b"hello"), ("end", [])],
    CHUNKED: [("request", b"/3"), ("body", b"abcde"), ("end", [(b"x-sum", b"5")])],
}


def joined(heard):
    """Return what was heard, with the parts of a body put together."""
    found = []
    for kind, what in heard:
        if kind in ("body", "data", "tunnelled") and found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + what)
        else:
            found.append((kind, what))
    return found


class Requests:
    """Hears requests, and answers each at once when it is whole, if it *goes_on*."""

    def __init__(self, goes_on=True, head_max=1000, fields_max=5):
        self.heard = []
        self.goes_on = goes_on
        self.stream = RequestStream(self, head_max, fields_max)

    def on_request(self, head):
        self.heard.append(("request", head.target))
        if not head.length and self.goes_on:
            self.stream.go_on()

    def on_body(self, octets):
        self.heard.append(("body", octets))

    def on_body_end(self, trailers):
        self.heard.append(("end", trailers))
        if self.goes_on:
            self.stream.go_on()

    def on_tunnelled(self, octets):
        self.heard.append(("tunnelled", octets))


def cut(octets, data):
    at = sorted(data.draw(st.sets(st.integers(0, len(octets)))))
    return [octets[a:b] for a, b in zip([0, *at], [*at, len(octets)], strict=True) if a < b]


@given(st.lists(st.sampled_from([GET, POST, CHUNKED, b"\r\n"]), max_size=6), st.data())
def test_requests_are_the_same_however_their_octets_come(messages, data):
    sink = Requests()
    for part in cut(b"".join(messages), data):
        sink.stream.feed(part)
    assert joined(sink.heard) == [each for one in messages for each in HEARD.get(one, [])]
    assert not sink.stream.has_begun
    assert sink.stream.mode is Mode.HEAD


@given(st.lists(st.sampled_from([GET, POST, CHUNKED]), min_size=1, max_size=5), st.data())
def test_one_request_is_given_out_at_a_time(messages, data):
    sink = Requests(goes_on=False)
    for part in cut(b"".join(messages), data):
        sink.stream.feed(part)
    expected = []
    for message in messages:
        expected += HEARD[message]
        assert joined(sink.heard) == expected
        sink.stream.go_on()
    assert joined(sink.heard) == expected


def test_a_long_body_passes_as_it_comes():
    sink = Requests()
    sink.stream.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nabc")
    sink.stream.feed(b"def")
    assert sink.stream.has_begun
    sink.stream.feed(b"ghi" + GET)
    assert [what for kind, what in sink.heard if kind == "body"] == [b"abc", b"def", b"ghi"]
    assert sink.heard[-1] == ("request", b"/1")


def test_a_head_and_its_body_may_come_one_after_the_other():
    sink = Requests()
    end = POST.index(b"hello")
    sink.stream.feed(POST[:end])
    sink.stream.feed(POST[end:])
    assert sink.heard == HEARD[POST]


def test_what_comes_while_something_is_heard_waits_for_its_turn():
    sink = Requests()
    hears, more = sink.on_body, [POST, GET]

    def hears_more(octets):
        if more:
            sink.stream.feed(more.pop())
        hears(octets)

    sink.on_body = hears_more
    sink.stream.feed(POST)
    assert joined(sink.heard) == HEARD[POST] + HEARD[GET]


def test_what_waits_behind_a_request_may_be_more_than_should_be():
    sink = Requests(goes_on=False, head_max=100)
    sink.stream.feed(GET + b"x" * 100)
    assert not sink.stream.waits_full
    sink.stream.feed(b"x")
    assert sink.stream.waits_full


def test_a_tunnel_passes_what_is_there_and_what_comes():
    sink = Requests(goes_on=False)
    sink.stream.feed(GET + b"early")
    sink.stream.tunnel()
    sink.stream.feed(b"late")
    assert joined(sink.heard) == [("request", b"/1"), ("tunnelled", b"earlylate")]
    empty = Requests(goes_on=False)
    empty.stream.feed(GET)
    empty.stream.tunnel()
    assert empty.heard == [("request", b"/1")]


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 1000 + b"\r\n\r\n", 431),
        (b"x" * 1000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 5 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
@pytest.mark.parametrize("before", [b"", GET])
def test_what_is_no_request_is_refused_and_nothing_is_read_behind_it(octets, status, before):
    for whole in (True, False):
        sink = Requests()
        parts = [before + octets] if whole else [bytes([each]) for each in before + octets]
        with pytest.raises(MessageError) as caught:  # noqa: PT012
            for part in parts:
                sink.stream.feed(part)
        assert caught.value.status == status
        assert sink.stream.mode is Mode.OVER
        before_that = list(sink.heard)
        sink.stream.feed(GET)
        assert sink.heard == before_that


# Responses.

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = [
    (b"GET", OK + b"Content-Length: 5\r\n\r\nhello", b"hello", []),
    (b"GET", OK + b"Content-Length: 0\r\n\r\n", b"", []),
    (b"HEAD", OK + b"Content-Length: 5\r\n\r\n", b"", []),
    (b"GET", b"HTTP/1.1 204 None\r\n\r\n", b"", []),
    (b"GET", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", b"", []),
    (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
     b"hello", [(b"x", b"y")]),
    (b"GET", b"HTTP/1.1 100 On\r\n\r\nHTTP/1.1 103 Hint\r\nX: y\r\n\r\n" + OK
     + b"Content-Length: 1\r\n\r\na", b"a", []),
]  # fmt: skip


class Responses:
    def __init__(self):
        self.heard = []
        self.stream = ResponseStream(self)

    def on_response(self, head):
        self.heard.append(("response", head.status))

    def on_data(self, octets):
        self.heard.append(("data", octets))

    def on_end(self, trailers):
        self.heard.append(("end", trailers))

    @property
    def body(self):
        return b"".join(what for kind, what in self.heard if kind == "data")


@given(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=5), st.data())
def test_responses_are_the_same_however_their_octets_come(answers, data):
    sink = Responses()
    for method, octets, body, trailers in answers:
        sink.heard.clear()
        sink.stream.expect(method)
        for part in cut(octets, data):
            sink.stream.feed(part)
        assert sink.body == body
        assert sink.heard[-1] == ("end", trailers)
        assert sink.stream.is_clean
        assert not sink.stream.end()


@pytest.mark.parametrize(("method", "octets", "body", "trailers"), ANSWERS)
def test_a_connection_with_something_behind_a_response_is_not_used_again(
    method, octets, body, trailers
):
    sink = Responses()
    sink.stream.expect(method)
    sink.stream.feed(octets + b"more")
    assert (sink.body, sink.heard[-1]) == (body, ("end", trailers))
    assert not sink.stream.is_clean
    late = Responses()
    late.stream.expect(method)
    late.stream.feed(octets)
    late.stream.feed(b"more")
    assert late.heard == sink.heard
    assert not late.stream.is_clean


@pytest.mark.parametrize("behind", [b"", b"all"])
def test_a_body_without_a_length_ends_with_the_connection(behind):
    sink = Responses()
    sink.stream.expect(b"GET")
    sink.stream.feed(OK + b"\r\n" + behind)
    sink.stream.feed(b" that is")
    assert sink.heard[-1][0] == "data"
    assert sink.stream.end()
    assert sink.body == behind + b" that is"
    assert sink.heard[-1] == ("end", [])
    assert not sink.stream.is_clean


def test_an_interim_response_is_heard_before_the_final_one_is_there():
    sink = Responses()
    sink.stream.expect(b"GET")
    sink.stream.feed(b"HTTP/1.1 103 Hint\r\n\r\n")
    assert sink.heard == [("response", 103)]
    sink.stream.feed(OK + b"Content-Length: 0\r\n\r\n")
    assert sink.heard[1:] == [("response", 200), ("end", [])]


@pytest.mark.parametrize("behind", [b"", b"first"])
def test_a_tunnel_begins_behind_its_head(behind):
    sink = Responses()
    sink.stream.expect(b"GET")
    head = b"HTTP/1.1 101 Switch\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    sink.stream.feed(head + behind)
    sink.stream.feed(b"more")
    assert (sink.heard[0], sink.body) == (("response", 101), behind + b"more")
    assert not sink.stream.end()


@pytest.mark.parametrize(
    "octets",
    [
        b"x" * RESPONSE_HEAD_MAX,
        b"HTTP/1.1 103 Hint\r\n\r\n" * (INTERIM_MAX + 1),
        OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_response_is_refused(octets):
    sink = Responses()
    sink.stream.expect(b"GET")
    with pytest.raises(MessageError):
        sink.stream.feed(octets)
