"""A connection's octets cut into messages: whole, by octets, and wherever they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import MessageError
from gslb.proxy.stream import (
    BURST_MAX,
    INTERIM_MAX,
    RESPONSE_HEAD_MAX,
    Mode,
    RequestStream,
    ResponseStream,
)
from tests.heads import CUTTERS

HEAD_MAX = 512
HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\nx-sum: 1\r\n\r\n"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY


@pytest.fixture(
    autouse=True, scope="module", params=CUTTERS, ids=["python", "native"][: len(CUTTERS)]
)
def cutter(request):
    """Have all streams of a test read heads so."""
    Requests.cutter = Responses.cutter = request.param


class Requests:
    """Remembers what it hears; answers each request at once if *answers*, by `go_on`."""

    def __init__(self, *, answers=True):
        self.stream = RequestStream(self, HEAD_MAX, 20, self.cutter)
        self.answers = answers
        self.heard = []
        self.bursts = 0

    def on_request(self, head):
        self.heard.append([head.method, head.target, b"", None])
        if not head.length and self.answers:
            self.stream.go_on()

    def on_body(self, octets):
        assert octets
        self.heard[-1][2] += octets

    def on_body_end(self, trailers):
        self.heard[-1][3] = trailers
        if self.answers:
            self.stream.go_on()

    def on_tunnelled(self, octets):
        self.heard.append(octets)

    def on_burst(self):
        self.bursts += 1


class Responses:
    """Remembers what it hears of the response to a request with *method*."""

    def __init__(self, method=b"GET"):
        self.stream = ResponseStream(self, self.cutter)
        self.stream.expect(method)
        self.heads = []
        self.body = b""
        self.trailers = None

    def on_response(self, head):
        self.heads.append(head.status)

    def on_data(self, octets):
        assert octets
        self.body += octets

    def on_end(self, trailers):
        assert self.trailers is None
        self.trailers = trailers


def each_octet(octets):
    return [octets[at : at + 1] for at in range(len(octets))]


def cut(octets, places):
    places = sorted(min(place, len(octets)) for place in places)
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True) if b > a]


def fed(side, *pieces):
    for piece in pieces:
        side.stream.feed(piece)
    return side


HEARD_GET = [b"GET", b"/", b"", None]
HEARD_POST = [b"POST", b"/p", b"hello", []]
HEARD_CHUNKS = [b"PUT", b"/c", b"hello", [(b"x-sum", b"1")]]

SENT = [
    (GET, [HEARD_GET]),
    (POST, [HEARD_POST]),
    (CHUNKS + BODY, [HEARD_CHUNKS]),
    (b"\r\n" + GET, [HEARD_GET]),
    (b"\r\n" * 300 + POST, [HEARD_POST]),
    (GET + b"\r\n\r\n" + GET, [HEARD_GET, HEARD_GET]),
    (GET + POST + CHUNKS + BODY + GET, [HEARD_GET, HEARD_POST, HEARD_CHUNKS, HEARD_GET]),
    (POST + POST, [HEARD_POST, HEARD_POST]),
    (b"\r\n\r\n", []),
]

# What a client sends.


@pytest.mark.parametrize(("sent", "heard"), SENT)
def test_requests_are_read_whole_and_by_octets(sent, heard):
    assert fed(Requests(), sent).heard == heard
    assert fed(Requests(), *each_octet(sent)).heard == heard


@given(st.sampled_from(SENT), st.lists(st.integers(0, 700), max_size=5))
def test_requests_are_read_wherever_they_are_cut(case, places):
    sent, heard = case

    assert fed(Requests(), *cut(sent, places)).heard == heard


@pytest.mark.parametrize("at", range(1, len(POST)))
def test_a_request_in_two_pieces_is_one(at):
    assert fed(Requests(), POST[:at], POST[at:]).heard == [HEARD_POST]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\nGET / HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEAD_MAX, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEAD_MAX + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 20 + b"\r\n", 431),
        (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (CHUNKS + b"x\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_nothing_is_read_behind_it(sent, status):
    for pieces in ([sent], each_octet(sent)):
        side = Requests()
        with pytest.raises(MessageError) as refused:
            fed(side, *pieces)
        assert refused.value.status == status
        heard = len(side.heard)
        fed(side, GET)
        assert len(side.heard) == heard


def test_a_head_may_be_as_long_as_it_may_be_and_no_longer():
    room = HEAD_MAX - len(GET) - len(b"X: \r\n")
    longest = GET[:-2] + b"X: " + b"a" * room + b"\r\n\r\n"
    too_long = longest.replace(b"aa", b"aaa", 1)
    assert len(longest) == HEAD_MAX

    for pieces in ([longest], each_octet(longest), [longest + GET]):
        assert fed(Requests(), *pieces).heard[0] == HEARD_GET
    for pieces in ([too_long], each_octet(too_long), [too_long + GET]):
        with pytest.raises(MessageError, match="more than 512 octets"):
            fed(Requests(), *pieces)


def test_what_comes_behind_a_request_waits_until_that_was_answered():
    side = fed(Requests(answers=False), GET, POST + GET)
    assert side.heard == [HEARD_GET]
    assert side.stream.has_begun

    side.stream.go_on()
    assert side.heard == [HEARD_GET, HEARD_POST]
    assert side.stream.holds_more
    side.stream.go_on()
    assert side.heard == [HEARD_GET, HEARD_POST, HEARD_GET]
    assert not side.stream.holds_more
    side.stream.go_on()
    assert not side.stream.has_begun


def test_reading_should_rest_once_more_waits_than_a_head_may_be_long():
    side = fed(Requests(answers=False), GET)

    fed(side, b"a" * HEAD_MAX)
    assert not side.stream.waits_full
    fed(side, b"a")
    assert side.stream.waits_full


def test_what_waited_and_is_no_request_is_refused_when_its_turn_comes():
    side = fed(Requests(answers=False), GET, b"@@@\r\n\r\n")

    with pytest.raises(MessageError):
        side.stream.go_on()
    assert side.stream.mode is Mode.OVER


def test_a_request_has_begun_with_its_first_octet_and_an_empty_line_begins_none():
    side = Requests(answers=False)
    assert not side.stream.has_begun
    fed(side, b"\r\n")
    assert not side.stream.has_begun
    fed(side, b"G")
    assert side.stream.has_begun


def test_a_body_is_passed_on_as_it_comes():
    side = fed(Requests(), POST[:-5])
    fed(side, b"he")
    assert side.heard == [[b"POST", b"/p", b"he", None]]
    fed(side, b"llo")
    assert side.heard == [HEARD_POST]


def test_what_comes_while_a_request_is_told_of_is_read_behind_it():
    side = Requests(answers=False)
    tell = side.on_request

    def on_request(head):
        tell(head)
        if len(side.heard) == 1:
            side.stream.feed(GET)
        side.stream.go_on()

    side.on_request = on_request
    fed(side, b"\r\n" + GET)

    assert side.heard == [HEARD_GET, HEARD_GET]


def test_after_many_requests_at_once_others_are_looked_after_before_the_rest():
    side = fed(Requests(), GET * (2 * BURST_MAX + 1))
    assert (len(side.heard), side.bursts) == (BURST_MAX, 1)

    side.stream.resume()
    assert (len(side.heard), side.bursts) == (2 * BURST_MAX, 2)
    side.stream.resume()
    assert (len(side.heard), side.bursts) == (2 * BURST_MAX + 1, 2)


def test_as_many_requests_as_may_be_read_at_once_are_no_burst():
    side = fed(Requests(), GET * BURST_MAX)
    assert (len(side.heard), side.bursts) == (BURST_MAX, 0)

    side.stream.resume()
    assert len(side.heard) == BURST_MAX


def test_a_tunnel_passes_on_what_waited_and_all_that_comes():
    side = fed(Requests(answers=False), GET, b"waited")

    side.stream.tunnel()
    fed(side, b"\r\n\r\n", GET)

    assert side.heard == [HEARD_GET, b"waited", b"\r\n\r\n", GET]


def test_a_tunnel_that_nothing_waited_for_passes_on_what_comes():
    side = fed(Requests(answers=False), GET)

    side.stream.tunnel()
    fed(side, b"x")

    assert side.heard == [HEARD_GET, b"x"]


# What a member sends.

ANSWERS = [
    (b"GET", OK, [200], b"hello", []),
    (b"GET", EMPTY, [204], b"", []),
    (b"GET", IN_CHUNKS, [200], b"hello", [(b"x-sum", b"1")]),
    (b"HEAD", OK.removesuffix(b"hello"), [200], b"", []),
    (b"HEAD", IN_CHUNKS.removesuffix(BODY), [200], b"", []),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [200], b"", []),
    (b"HEAD", EMPTY, [204], b"", []),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", [304], b"", []),
    (
        b"GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\n" + OK,
        [100, 103, 200],
        b"hello",
        [],
    ),
    (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [200], b"", []),
    (b"GET", b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", [204], b"", []),
    (b"GET", b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", [204], b"", []),
    (b"GET", b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", [304], b"", []),
    (b"GET", b"HTTP/1.1 304 X\r\n\r\n", [304], b"", []),
]


def tells_a_body_only(method, sent):
    """Return whether a faulty member could still send the body, which nobody reads."""
    is_bare = method == b"HEAD" or b" 204 " in sent or b" 304 " in sent
    return is_bare and (b"Length: 5" in sent or b"chunked" in sent)


@pytest.mark.parametrize(("method", "sent", "heads", "body", "trailers"), ANSWERS)
def test_responses_are_read_whole_and_by_octets(method, sent, heads, body, trailers):
    for pieces in ([sent], each_octet(sent)):
        side = fed(Responses(method), *pieces)
        assert (side.heads, side.body, side.trailers) == (heads, body, trailers)
        assert side.stream.is_clean == (not tells_a_body_only(method, sent))
        assert not side.stream.end()


@given(st.lists(st.sampled_from(ANSWERS), min_size=2, max_size=4), st.data())
def test_responses_one_after_the_other_are_read_wherever_they_are_cut(answers, data):
    side = Responses()
    for method, sent, heads, body, trailers in answers:
        side.heads, side.body, side.trailers = [], b"", None
        side.stream.expect(method)
        fed(side, *cut(sent, data.draw(st.lists(st.integers(0, 200), max_size=4))))
        assert (side.heads, side.body, side.trailers) == (heads, body, trailers)
        assert side.stream.is_clean == (not tells_a_body_only(method, sent))


@pytest.mark.parametrize(("method", "sent", "heads", "body", "trailers"), ANSWERS)
def test_what_comes_behind_a_response_is_read_by_nobody(method, sent, heads, body, trailers):
    for pieces in ([sent + OK], [sent, OK]):
        side = fed(Responses(method), *pieces)
        assert (side.heads, side.body, side.trailers) == (heads, body, trailers)
        assert not side.stream.is_clean


def test_more_than_a_body_of_known_length_in_a_later_piece_is_not_the_bodys():
    side = fed(Responses(), OK[:-1], b"oHTTP/1.1")

    assert side.body == b"hello"
    assert not side.stream.is_clean


def test_a_response_without_a_length_lasts_until_the_end():
    for pieces in ([b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo"], [b"HTTP/1.1 200 OK\r\n\r\n", b"hello"]):
        side = fed(Responses(), *pieces)
        assert (side.heads, side.body, side.trailers) == ([200], b"hello", None)
        assert not side.stream.is_clean
        assert side.stream.end()
        assert side.trailers == []


@pytest.mark.parametrize("sent", [b"", OK[:9], OK[:-1], IN_CHUNKS[:-1]])
def test_a_response_cut_short_is_not_whole(sent):
    side = fed(Responses(), sent)

    assert not side.stream.end()
    assert side.trailers is None


@pytest.mark.parametrize("waits", [b"", b"first"])
def test_a_tunnel_begins_behind_the_head_that_says_so(waits):
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    side = fed(Responses(), head + waits, b"\r\n\r\n")

    assert side.heads == [101]
    assert side.body == waits + b"\r\n\r\n"
    assert side.trailers is None
    assert not side.stream.end()


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\n\r\n",
        b"\r\nHTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * RESPONSE_HEAD_MAX,
        IN_CHUNKS.removesuffix(BODY) + b"x\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (INTERIM_MAX + 1),
    ],
)
def test_what_is_no_response_is_bad(sent):
    with pytest.raises(MessageError) as refused:
        fed(Responses(), sent)
    assert refused.value.status in (502, 400)


def test_as_many_interim_responses_as_there_may_be_are_passed_on():
    side = fed(Responses(), b"HTTP/1.1 103 X\r\n\r\n" * INTERIM_MAX, OK)

    assert side.heads == [103] * INTERIM_MAX + [200]
