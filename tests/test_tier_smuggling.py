"""Request smuggling, over real sockets: each known form is refused, or reaches the member harmless.

The member here reads strictly and keeps what it was sent, octet for octet.
"""

import asyncio
import re

import pytest

from tests.running import PATIENCE_S
from tests.servers import free_port
from tests.tiers import PROXY, US, Asked, At, Origin, request, shared, written

HOST = b"Host: www.example.com\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: www.example.com\r\n\r\n"


@pytest.fixture(scope="module")
def member_port():
    return free_port(US[0])


@pytest.fixture(scope="module")
def at(tmp_path_factory, member_port):
    port = free_port(PROXY)
    proxy = {
        "listen": [port],
        "limits": {"head_size": 8192, "fields": 50},
        "services": {"www.example.com": {"port": member_port, "eject": None}},
        "routes": [{"service": "www.example.com", "body_size": 100_000}],
    }
    path = written(tmp_path_factory.mktemp("smuggling"), proxy, members={"us-east": [US[0]]})
    with shared(path, port) as it:
        yield it


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    """Return a POST whose fields are these lines, each as it is with its end."""
    return b"POST /seen HTTP/" + version + b"\r\n" + HOST + b"".join(lines) + b"\r\n" + body


def get(line: bytes, *lines: bytes) -> bytes:
    return line + b"\r\n" + HOST + b"".join(lines) + b"\r\n"


TE = b"Transfer-Encoding: chunked\r\n"
ZERO = b"0\r\n\r\n"
BOTH = b"Content-Length: 6\r\n"

CODINGS = [
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding\r\n: chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding: identity\r\n",
    b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding: 'chunked'\r\n",
    b"Transfer-Encoding: chun ked\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding: \x0cchunked\r\n",
    b"Transfer-Encoding: chunked\x00\r\n",
    b"Transfer-Encoding: chunked\x7f\r\n",
    b"Transfer-Encoding:\xa0chunked\r\n",
    b"Transfer-Encoding:\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding: chunked,\r\n",
    b"Transfer\x00-Encoding: chunked\r\n",
    b"Transfer-Encoding\x00: chunked\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b"Transfer-Encoding\x0b: chunked\r\n",
]
LENGTHS = [
    b"Content-Length: 6\r\nContent-Length: 5\r\n",
    b"Content-Length: 6\r\nContent-Length: 6\r\n",
    b"Content-Length: 6, 6\r\n",
    b"Content-Length: 6,5\r\n",
    b"Content-Length: +6\r\n",
    b"Content-Length: -6\r\n",
    b"Content-Length: 0x6\r\n",
    b"Content-Length: 6.0\r\n",
    b"Content-Length: 6 6\r\n",
    b"Content-Length: 6_0\r\n",
    b"Content-Length: \xb2\r\n",
    b"Content-Length: \xd9\xa6\r\n",
    b"Content-Length: \r\n",
    b"Content-Length:\r\n",
    b"Content-Length : 6\r\n",
    b"Content-Length\t: 6\r\n",
    b"Content-Length: \x0b6\r\n",
    b"Content-Length: 6\x00\r\n",
    b"Content-Length: 99999999999999999999999999\r\n",
    b"Content-Length: 18446744073709551622\r\n",
    b"Content-Length: 100001\r\n",
    b"Content-Length: 6;\r\n",
    b"Content-Length: six\r\n",
    b"X: y\nContent-Length: 6\r\n",
    b"X: y\r\n Content-Length: 6\r\n",
    b" Content-Length: 6\r\n",
]
LINES = [
    b"GET  /seen HTTP/1.1",
    b"GET /seen  HTTP/1.1",
    b"GET /seen HTTP/1.1 ",
    b"GET /seen HTTP/1.1\r",
    b" GET /seen HTTP/1.1",
    b"GET\t/seen HTTP/1.1",
    b"GET /seen\tHTTP/1.1",
    b"GET /seen x HTTP/1.1",
    b"GET /seen",
    b"GET /seen ",
    b"GET seen HTTP/1.1",
    b"GET  HTTP/1.1",
    b"GET /seen HTTP/0.9",
    b"GET /seen HTTP/2.0",
    b"GET /seen HTTP/1.2",
    b"GET /seen HTTP/1.10",
    b"GET /seen HTTP/01.1",
    b"GET /seen http/1.1",
    b"GET /seen HTTP/1",
    b"GET /seen HTTP/1,1",
    b"GET /seen ICE/1.0",
    b"GET /se\x00en HTTP/1.1",
    b"GET /se\x01en HTTP/1.1",
    b"GET /se\x7fen HTTP/1.1",
    b"GET /seen#part HTTP/1.1",
    b"GET /seen?a#part HTTP/1.1",
    b"GET http:///seen HTTP/1.1",
    b"GET http://user@www.example.com/seen HTTP/1.1",
    b"GET ftp://www.example.com/seen HTTP/1.1",
    b"GET www.example.com:80 HTTP/1.1",
    b"GET * HTTP/1.1",
    b"CONNECT www.example.com:443 HTTP/1.1",
    b"CONNECT / HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"G\x00ET /seen HTTP/1.1",
    b"G(T /seen HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"FROBNICATE /seen HTTP/1.1",
]
FIELDS = [
    b"Host: other.example.com\r\n",
    b"Host: www.example.com\r\n",
    b"Host : www.example.com\r\n",
    b"X : y\r\n",
    b": y\r\n",
    b"x\r\n",
    b"X: a\x00b\r\n",
    b"X: a\rb\r\n",
    b"X: a\nb\r\n",
    b"X: a\n\r\n",
    b"X: a\r\n\tb\r\n",
    b"X\xff: y\r\n",
    b"X(: y\r\n",
    b'"X": y\r\n',
    b"X Y: z\r\n",
    b"Expect: 200-ok\r\n",
    b"Expect: 100-continue, x\r\n",
    b"X: " + b"y" * 9000 + b"\r\n",
    b"x" * 9000 + b": y\r\n",
    b"X: y\r\n" * 60,
]
HOSTS = [
    b"",
    b"Host:\r\n",
    b"Host: a b\r\n",
    b"Host: a/b\r\n",
    b"Host: a@b\r\n",
    b"Host: a#b\r\n",
    b"Host: a?b\r\n",
    b"Host: a:b\r\n",
    b"Host: a, b\r\n",
    b"Host: a:80:80\r\n",
    b"Host: [::1\r\n",
    b"Host: a\xff\r\n",
    b"Host: a\\b\r\n",
    b"Host:\r\n www.example.com\r\n",
]
CHUNKS = [
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;a\x00\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhellohello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nx\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
]

REFUSED = [
    # CL.TE and TE.CL, whichever comes first.
    post(BOTH, TE, body=ZERO + b"G"),
    post(TE, BOTH, body=ZERO + b"G"),
    post(b"Content-Length: 4\r\n", TE, body=b"2e\r\n" + HIDDEN + b"\r\n" + ZERO),
    post(b"Content-Length: 0\r\n", TE, body=ZERO),
    *(post(each, body=ZERO + HIDDEN) for each in CODINGS),
    *(post(BOTH, each, body=ZERO + HIDDEN) for each in CODINGS),
    *(post(TE, each, body=ZERO + HIDDEN) for each in CODINGS),
    post(TE, body=ZERO + HIDDEN, version=b"1.0"),
    post(TE, b"Connection: keep-alive\r\n", body=ZERO, version=b"1.0"),
    *(post(each, body=b"abcdef" + HIDDEN) for each in LENGTHS),
    *(get(each) for each in LINES),
    *(get(b"GET /seen HTTP/1.1", each) for each in FIELDS),
    *(b"GET /seen HTTP/1.1\r\n" + each + b"\r\n" for each in HOSTS),
    b"GET /seen\r\n\r\n",
    b"GET /seen HTTP/1.1\n" + HOST + b"\r\n",
    b"GET /seen HTTP/1.1\nHost: www.example.com\n\n",
    b"GET /seen HTTP/1.1\r\nHost: www.example.com\n\r\n",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    *(post(TE, body=each) for each in CHUNKS),
]

# What reaches the member: how it is sent, and what is read there (method, target, body).
HARMLESS = [
    (get(b"GET /seen HTTP/1.1"), "GET", "/seen", b""),
    (b"\r\n\r\n" + get(b"GET /seen HTTP/1.1"), "GET", "/seen", b""),
    (get(b"GET http://www.example.com/seen HTTP/1.1"), "GET", "/seen", b""),
    (get(b"GET HTTP://www.example.com/seen HTTP/1.1"), "GET", "/seen", b""),
    (get(b"GET http://www.example.com?x HTTP/1.1"), "GET", "/?x", b""),
    (get(b"GET //seen HTTP/1.1"), "GET", "//seen", b""),
    (get(b"OPTIONS * HTTP/1.1"), "OPTIONS", "*", b""),
    (get(b"GET /seen HTTP/1.1", b"Content_Length: 5\r\n"), "GET", "/seen", b""),
    (get(b"GET /seen HTTP/1.1", b"Transfer_Encoding: chunked\r\n"), "GET", "/seen", b""),
    (
        get(
            b"GET /seen HTTP/1.1",
            b"Connection: upgrade, http2-settings\r\n",
            b"Upgrade: h2c\r\n",
            b"HTTP2-Settings: AAMAAABk\r\n",
        ),
        "GET",
        "/seen",
        b"",
    ),
    (
        get(b"GET /seen HTTP/1.1", b"Connection: content-length, host, x\r\n", b"X: y\r\n"),
        "GET",
        "/seen",
        b"",
    ),
    (
        get(b"GET /seen HTTP/1.1", b"Proxy-Connection: keep-alive\r\n", b"Keep-Alive: 300\r\n"),
        "GET",
        "/seen",
        b"",
    ),
    (post(b"Content-Length: 6\r\n", body=b"abcdef"), "POST", "/seen", b"abcdef"),
    (post(b"Content-Length: 006\r\n", body=b"abcdef"), "POST", "/seen", b"abcdef"),
    (post(b"Content-Length:6  \r\n", body=b"abcdef"), "POST", "/seen", b"abcdef"),
    (post(b"content-length: 6\r\n", body=b"abcdef"), "POST", "/seen", b"abcdef"),
    (
        get(b"GET /seen HTTP/1.1", b"Content-Length: %d\r\n" % len(HIDDEN)) + HIDDEN,
        "GET",
        "/seen",
        HIDDEN,
    ),
    (
        post(b"transfer-encoding:CHUNKED\r\n", body=b"5\r\nhello\r\n0\r\n\r\n"),
        "POST",
        "/seen",
        b"hello",
    ),
    (post(TE, body=b"005\r\nhello\r\n000\r\n\r\n"), "POST", "/seen", b"hello"),
    (post(TE, body=b"A\r\nhellohello\r\n0;x=y\r\n\r\n"), "POST", "/seen", b"hellohello"),
    (post(TE, body=b'5;a="b c"\r\nhello\r\n0\r\n\r\n'), "POST", "/seen", b"hello"),
    (post(TE, body=b"5 ;a\r\nhello\r\n0\r\n\r\n"), "POST", "/seen", b"hello"),
    (post(TE, body=b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"), "POST", "/seen", HIDDEN),
    (
        post(TE, body=b"5\r\nhello\r\n0\r\nContent-Length: 5\r\nHost: evil.example.com\r\n\r\n"),
        "POST",
        "/seen",
        b"hello",
    ),
    (
        b"POST /seen HTTP/1.0\r\n" + HOST + b"Content-Length: 6\r\n\r\nabcdef",
        "POST",
        "/seen",
        b"abcdef",
    ),
]


async def says_path(asked: Asked) -> None:
    asked.reply(asked.message.target.encode())


async def next_one_is_right(at: At, origin: Origin) -> None:
    """See that the next client gets the answer to what it asked, and the member saw just that."""
    before = len(origin.requests)
    response = await at.get("/next", "X-Next: 1")
    assert (response.status, response.body) == (200, b"/next")
    (message,) = origin.requests[before:]
    assert (message.target, message.get("x-next")) == ("/next", "1")


@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "in two parts"])
async def test_every_known_way_to_make_two_readers_differ_is_refused(at, member_port, bytewise):
    async with Origin(US[0], member_port, says_path) as origin:
        let_through = []
        for octets in REFUSED:
            wire = await at.open()
            cut = octets.find(b"\r\n") + 4 if bytewise else len(octets)
            wire.send(octets[:cut])
            if bytewise:
                await wire.writer.drain()
                wire.send(octets[cut:])
            wire.writer.write_eof()
            said = await wire.ended()
            wire.close()
            statuses = re.findall(rb"^HTTP/1\.1 (\d+) ", said, re.MULTILINE)
            if (
                len(statuses) != 1
                or statuses[0]
                not in (
                    b"400",
                    b"405",
                    b"413",
                    b"417",
                    b"431",
                    b"501",
                    b"505",
                )
                or origin.requests
            ):
                let_through.append((octets[:160], said[:60], [m.raw for m in origin.requests]))
                origin.requests.clear()
        assert not let_through
        await next_one_is_right(at, origin)


@pytest.mark.parametrize("case", range(len(HARMLESS)), ids=str)
async def test_what_is_let_through_is_one_request_and_the_next_is_the_next_clients(
    at, member_port, case
):
    octets, method, target, body = HARMLESS[case]
    async with Origin(US[0], member_port, says_path) as origin:
        response = await at.ask(octets)
        assert response.status == 200
        (message,) = origin.requests
        assert (message.method, message.target, message.body) == (method, target, body)
        assert message.get("host") == "www.example.com"
        assert message.get("upgrade") is None
        assert message.get("http2-settings") is None
        assert message.get("keep-alive") is None
        assert message.trailers == []
        await next_one_is_right(at, origin)


async def test_a_request_behind_another_is_answered_after_it_whatever_its_body_looks_like(
    at, member_port
):
    async with Origin(US[0], member_port, says_path) as origin:
        wire = await at.open()
        wire.send(request("/1", method="POST", body=HIDDEN) + request("/2") + request("/3"))
        bodies = [(await wire.response()).body for _ in range(3)]
        wire.close()
        assert bodies == [b"/1", b"/2", b"/3"]
        assert [message.target for message in origin.requests] == ["/1", "/2", "/3"]


# What a member must not do to the next client.

WRONG_RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\nb: c\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"garbage\r\n\r\n",
]


@pytest.mark.parametrize("case", range(len(WRONG_RESPONSES)), ids=str)
async def test_a_response_that_two_readers_could_take_differently_becomes_502(
    at, member_port, case
):
    async def answers_wrongly(asked: Asked) -> None:
        if asked.message.target == "/next":
            await says_path(asked)
        else:
            asked.say(WRONG_RESPONSES[case])

    async with Origin(US[0], member_port, answers_wrongly) as origin:
        assert (await at.get("/seen", method="POST")).status == 502
        await next_one_is_right(at, origin)


async def test_a_member_that_offers_another_protocol_is_answered_on_as_it_is(at, member_port):
    async def offers(asked: Asked) -> None:
        asked.reply(b"ok", 200, "Upgrade: h2,h2c", "Connection: Upgrade")

    async with Origin(US[0], member_port, offers) as origin:
        wire = await at.open()
        for _ in range(3):
            wire.send(request("/"))
            response = await wire.response()
            assert (response.status, response.body) == (200, b"ok")
            assert response.get("upgrade") is None
        wire.close()
        assert origin.connections == 1


async def test_what_comes_behind_a_response_is_never_the_next_clients(at, member_port):
    async def says_more(asked: Asked) -> None:
        await says_path(asked)
        if asked.message.target == "/first":
            asked.reply(b"smuggled")

    async with Origin(US[0], member_port, says_more) as origin:
        assert (await at.get("/first")).body == b"/first"
        await next_one_is_right(at, origin)


SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"


@pytest.mark.parametrize("told", [f"Content-Length: {len(SMUGGLED)}", "Transfer-Encoding: chunked"])
async def test_the_body_that_a_member_sends_late_to_a_head_is_never_the_next_clients(
    at, member_port, told
):
    heads: list[Asked] = []

    async def sends_it_late(asked: Asked) -> None:
        if asked.message.method == "HEAD":
            asked.say(f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n".encode())
            heads.append(asked)
        else:
            heads[0].say(SMUGGLED)  # once the next request is under way
            await says_path(asked)

    async with Origin(US[0], member_port, sends_it_late) as origin:
        assert (await at.get("/first", method="HEAD")).status == 200
        await next_one_is_right(at, origin)


async def test_a_connection_on_which_something_comes_that_nobody_asked_for_is_closed(
    at, member_port
):
    said: list[Asked] = []

    async def keeps(asked: Asked) -> None:
        said.append(asked)
        await says_path(asked)

    async with Origin(US[0], member_port, keeps) as origin:
        assert (await at.get("/first")).body == b"/first"
        said[0].say(SMUGGLED)
        async with asyncio.timeout(PATIENCE_S):
            await said[0].writer.wait_closed()
        await next_one_is_right(at, origin)
        assert origin.connections == 2


async def test_a_connection_is_kept_after_a_head_that_tells_of_no_body(at, member_port):
    async def says_nothing(asked: Asked) -> None:
        asked.reply()

    async with Origin(US[0], member_port, says_nothing) as origin:
        for _ in range(3):
            assert (await at.get("/first", method="HEAD")).status == 200
        assert origin.connections == 1
