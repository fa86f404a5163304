"""Heads: what they say of the body and the connection, what goes on, and what is refused."""

import pytest

from gslb.errors import MessageError
from gslb.proxy.head import CHUNKED, UNTIL_CLOSE, RequestReader, ResponseReader

HOST = b"Host: www.example.com\r\n"


def read(*lines, first=b"GET / HTTP/1.1", host=HOST):
    octets = first + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    return RequestReader(10).read(octets)


def answer(*lines, first=b"HTTP/1.1 200 OK", method=b"GET"):
    octets = first + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    return ResponseReader().read(octets, method)


def test_a_request_is_read_with_its_fields_in_order():
    head = read(b"X-B: 1", b"x-a:  2", b"X-B: 3", first=b"PUT /a?b HTTP/1.1")
    assert (head.method, head.target, head.minor, head.length) == (b"PUT", b"/a?b", 1, 0)
    assert (head.authority, head.host) == (b"www.example.com", b"www.example.com")
    assert head.passing == [(b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3")]
    assert head.fields[0] == (b"host", b"www.example.com")
    assert head.keep_alive


@pytest.mark.parametrize(
    ("first", "host", "target", "authority"),
    [
        (b"GET http://Other.example.com:81/x HTTP/1.1", HOST, b"/x", b"Other.example.com:81"),
        (b"GET http://[2001:db8::1]:81 HTTP/1.1", HOST, b"/", b"[2001:db8::1]:81"),
        (b"OPTIONS * HTTP/1.1", HOST, b"*", b"www.example.com"),
        (b"GET / HTTP/1.0", b"", b"/", b""),
    ],
)
def test_targets_come_to_a_path_and_an_authority(first, host, target, authority):
    head = read(first=first, host=host)
    assert (head.target, head.authority) == (target, authority)
    assert head.host == authority.lower().removesuffix(b":81")


@pytest.mark.parametrize(
    ("first", "lines", "kept"),
    [
        (b"GET / HTTP/1.1", [], True),
        (b"GET / HTTP/1.1", [b"Connection: close"], False),
        (b"GET / HTTP/1.1", [b"Connection: keep-alive"], True),
        (b"GET / HTTP/1.1", [b"Connection: x", b"Connection: Close, y"], False),
        (b"GET / HTTP/1.0", [], False),
        (b"GET / HTTP/1.0", [b"Connection: keep-alive"], True),
        (b"GET / HTTP/1.0", [b"Connection: x"], False),
    ],
)
def test_a_connection_is_kept_as_both_say(first, lines, kept):
    assert read(*lines, first=first).keep_alive is kept


def test_what_connection_names_goes_no_further_but_for_what_protects():
    head = read(b"Connection: x-a, cookie, authorization", b"X-A: 1", b"Cookie: c", b"X-B: 2")
    assert head.passing == [(b"cookie", b"c"), (b"x-b", b"2")]
    told = answer(b"Connection: x-a", b"X-A: 1", b"X-B: 2", b"Content-Length: 0")
    assert told.passing == [(b"x-b", b"2")]


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([b"Content-Length: 5"], 5),
        ([b"Content-Length: 0"], 0),
        ([b"Transfer-Encoding: Chunked"], CHUNKED),
        ([], 0),
    ],
)
def test_the_length_of_a_request_is_told_once(lines, length):
    assert read(*lines, first=b"POST / HTTP/1.1").length == length


@pytest.mark.parametrize(
    ("lines", "minor", "upgrade"),
    [
        ([b"Upgrade: WebSocket", b"Connection: Upgrade"], 1, b"websocket"),
        ([b"Upgrade: websocket"], 1, None),
        ([b"Upgrade: h2c", b"Connection: upgrade"], 1, None),
        ([b"Upgrade: websocket", b"Connection: upgrade"], 0, None),
        ([b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 1"], 1, None),
    ],
)
def test_only_websockets_are_changed_to(lines, minor, upgrade):
    head = read(*lines, first=b"GET / HTTP/1.%d" % minor)
    assert head.upgrade == upgrade
    assert head.passing == []


def test_expectations_and_trailers():
    head = read(b"Expect: 100-Continue", b"TE: trailers", b"Content-Length: 1", b"Keep-Alive: 5")
    assert (head.expects_continue, head.accepts_trailers) == (True, True)
    old = read(b"Expect: 100-continue", first=b"GET / HTTP/1.0")
    assert not old.expects_continue
    assert not read(b"TE: gzip").accepts_trailers


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 10 + b"\r\n", 431),
        (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 505),
        (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"B(W / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /#a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: x\r\n\r\n", 417),
        (b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"PUT / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % 2**63, 400),
        (b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
    ],
)
def test_what_two_readers_could_take_differently_is_refused(octets, status):
    reader = RequestReader(10)
    with pytest.raises(MessageError) as caught:
        reader.read(octets)
    assert caught.value.status == status


def test_a_reader_reads_one_head_after_another_whatever_the_last_one_was():
    reader = RequestReader(10)
    for first, *lines in [
        (b"GET /1 HTTP/1.1",),
        (b"POST /2 HTTP/1.1", b"Content-Length: 5"),
        (b"GET /3 HTTP/1.1", b"Upgrade: websocket", b"Connection: upgrade"),
        (b"GET /4 HTTP/1.1", b"Upgrade: h2c", b"Connection: upgrade"),
        (b"GET /5 HTTP/1.1", b"Connection: close"),
    ]:
        octets = first + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
        assert reader.read(octets).target == first.split()[1]


@pytest.mark.parametrize(
    ("lines", "status", "method", "length", "kept"),
    [
        ([b"Content-Length: 5"], 200, b"GET", 5, True),
        ([b"Content-Length: 5"], 200, b"HEAD", 0, True),
        ([b"Content-Length: 5"], 304, b"GET", 0, True),
        ([], 204, b"GET", 0, True),
        ([b"Content-Length: 5"], 204, b"GET", 0, True),
        ([b"Transfer-Encoding: chunked"], 200, b"GET", CHUNKED, True),
        ([b"Transfer-Encoding: chunked"], 200, b"HEAD", 0, True),
        ([], 200, b"GET", UNTIL_CLOSE, False),
        ([b"Connection: keep-alive"], 200, b"GET", UNTIL_CLOSE, False),
        ([b"Content-Length: 0", b"Connection: close"], 200, b"GET", 0, False),
        ([b"Content-Length: 0", b"Connection: keep-alive, x"], 200, b"GET", 0, True),
    ],
)
def test_a_response_says_how_long_it_is_and_whether_its_connection_is_kept(
    lines, status, method, length, kept
):
    head = answer(*lines, first=b"HTTP/1.1 %d Some" % status, method=method)
    assert (head.length, head.keep_alive) == (length, kept)
    is_told = (b"content-length", b"5") in head.passing
    assert is_told == (length == 0 and status != 204 and b"Content-Length: 5" in lines)


def test_what_is_for_one_connection_is_not_passed_on_but_a_proxys_challenge_is():
    head = answer(b"Keep-Alive: 5", b"Proxy-Authenticate: x", b"Upgrade: h2", b"Content-Length: 0")
    assert head.passing == [(b"proxy-authenticate", b"x")]
    old = answer(b"Content-Length: 0", b"Connection: keep-alive", first=b"HTTP/1.0 200 OK")
    assert (old.minor, old.keep_alive) == (0, True)
    assert not answer(b"Content-Length: 0", first=b"HTTP/1.0 200 OK").keep_alive


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**63,
        b"what\r\n\r\n",
    ],
)
def test_what_is_no_response_is_refused(octets):
    with pytest.raises(MessageError) as caught:
        ResponseReader().read(octets, b"GET")
    assert caught.value.status == 502


def test_a_body_that_is_here_is_skipped_and_the_next_head_is_read():
    reader = ResponseReader()
    for body in (b"hello", b"hello and more"):
        head = reader.read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"GET")
        assert head.length == 5
        reader.skip(body, 5)
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    assert not reader.read(closing, b"GET").keep_alive
    reader.skip(b"hello", 5)
