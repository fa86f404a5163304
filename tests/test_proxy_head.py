"""Heads of requests and responses: what is read of them, and what is refused."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gslb.errors import MessageError
from gslb.proxy.head import CHUNKED, HERE_ALONE, LENGTH_MAX, UNTIL_CLOSE
from tests.heads import CUTTER, RequestReaders, ResponseReaders

OK = b"HTTP/1.1 200 OK"


def asked(*lines, line=b"GET / HTTP/1.1", host=b"Host: a", reader=None):
    hosts = () if host is None else (host,)
    return (reader or RequestReaders()).read(b"\r\n".join([line, *hosts, *lines, b"", b""]))


def told(*lines, line=OK, method=b"GET", reader=None):
    return (reader or ResponseReaders()).read(b"\r\n".join([line, *lines, b"", b""]), method)


def refused(status, read, *lines, **how):
    with pytest.raises(MessageError) as error:
        read(*lines, **how)
    assert error.value.status == status


# Request lines.


@pytest.mark.parametrize(
    ("line", "method", "target", "minor", "authority"),
    [
        (b"GET / HTTP/1.1", b"GET", b"/", 1, b"a"),
        (b"GET / HTTP/1.0", b"GET", b"/", 0, b"a"),
        (b"PROPFIND /x?y=%20&z HTTP/1.1", b"PROPFIND", b"/x?y=%20&z", 1, b"a"),
        (b"GET //x/..y HTTP/1.1", b"GET", b"//x/..y", 1, b"a"),
        (b"OPTIONS * HTTP/1.1", b"OPTIONS", b"*", 1, b"a"),
        (b"GET http://b/x?y HTTP/1.1", b"GET", b"/x?y", 1, b"b"),
        (b"GET HTTPS://b HTTP/1.1", b"GET", b"/", 1, b"b"),
        (b"GET http://b:80?y HTTP/1.1", b"GET", b"/?y", 1, b"b:80"),
        (b"GET http://[2001:db8::1]:80/ HTTP/1.1", b"GET", b"/", 1, b"[2001:db8::1]:80"),
    ],
)
def test_a_request_line_is_read(line, method, target, minor, authority):
    head = asked(line=line)

    assert (head.method, head.target, head.minor, head.authority) == (
        method,
        target,
        minor,
        authority,
    )


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET", 400),
        (b"GET /", 400),
        (b"GET / ", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET /\tHTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/1.10", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / RTSP/1.0", 505),
        (b"GET / HTTP/11", 400),
        (b"GET / http/1.1", 400),
        (b"GET / ICE/1.0", 400),
        (b"SOURCE / ICE/1.0", 400),
        (b"PRI * HTTP/2.0", 400),
        (b"get / HTTP/1.1", 501),
        (b"FOO / HTTP/1.1", 501),
        (b"F@O / HTTP/1.1", 400),
        (b"CONNECT a:443 HTTP/1.1", 405),
        (b"CONNECT / HTTP/1.1", 405),
        (b"GET * HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET ? HTTP/1.1", 400),
        (b"GET /#x HTTP/1.1", 400),
        (b"GET http://b#x HTTP/1.1", 400),
        (b"GET http://b/#x HTTP/1.1", 400),
        (b"GET http:///x HTTP/1.1", 400),
        (b"GET http://u@b/ HTTP/1.1", 400),
        (b"GET http://b:80:80/ HTTP/1.1", 400),
        (b"GET http://b\\c/ HTTP/1.1", 400),
        (b"GET ftp://b/ HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\x0c HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /\r HTTP/1.1", 400),
        (b"GET /\nHTTP/1.1", 400),
    ],
)
def test_a_request_line_that_two_readers_could_take_differently_is_refused(line, status):
    refused(status, asked, line=line)


# Hosts.


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"Host: WWW.Example.Com", b"www.example.com"),
        (b"Host:\ta:8080 ", b"a"),
        (b"Host: a:", b"a"),
        (b"Host: 192.0.2.1:80", b"192.0.2.1"),
        (b"Host: [2001:DB8::1]:80", b"[2001:db8::1]"),
    ],
)
def test_a_host_is_read_without_its_port(line, host):
    head = asked(host=line)

    assert head.host == host
    assert head.authority == line.partition(b":")[2].strip()


@pytest.mark.parametrize(
    "lines",
    [
        [b"X: 1"],
        [b"Host: a", b"Host: a"],
        [b"Host: a", b"X: 1", b"hOST: b"],
        [b"Host:"],
        [b"Host: :80"],
        [b"Host: a b"],
        [b"Host: a/b"],
        [b"Host: a@b"],
        [b"Host: a:x"],
        [b"Host: a:999999"],
        [b"Host: \xe4"],
        [b"Host: a#"],
        [b"Host: a?"],
        [b"Host: [a"],
    ],
)
def test_a_request_has_one_host_that_is_one(lines):
    refused(400, asked, *lines, host=None)


@pytest.mark.parametrize("lines", [[], [b"Host:"]])
def test_in_http_1_0_a_host_may_be_missing(lines):
    head = asked(*lines, line=b"GET / HTTP/1.0", host=None)

    assert head.host == head.authority == b""


def test_what_a_target_names_counts_and_not_the_host():
    head = asked(line=b"GET http://b:81/x HTTP/1.1")

    assert (head.authority, head.host, head.target) == (b"b:81", b"b", b"/x")


# Lengths.


@pytest.mark.parametrize(
    ("line", "length"),
    [
        (b"X: 1", 0),
        (b"Content-Length: 0", 0),
        (b"Content-Length: 5", 5),
        (b"CONTENT-LENGTH:\t005\t", 5),
        (b"Content-Length: %d" % LENGTH_MAX, LENGTH_MAX),
        (b"Transfer-Encoding: chunked", CHUNKED),
        (b"transfer-encoding:\t CHUNKED ", CHUNKED),
    ],
)
def test_a_body_has_the_length_that_is_told(line, length):
    assert asked(line).length == length


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length:"],
        [b"Content-Length: +5"],
        [b"Content-Length: -5"],
        [b"Content-Length: 0x5"],
        [b"Content-Length: 1_0"],
        [b"Content-Length: 5 5"],
        [b"Content-Length: 5,5"],
        [b"Content-Length: 5, 6"],
        [b"Content-Length: 5\x0b"],
        [b"Content-Length: \xa05"],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 0", b"Content-Length: 0"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: %d" % (LENGTH_MAX + 1)],
        [b"Content-Length: 18446744073709551621"],
        [b"Content-Length: " + b"9" * 100],
        [b"Content-Length: " + b"0" * 5000 + b"5"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Content-Length : 5"],
        [b" Content-Length: 5"],
        [b"X: 1", b" Content-Length: 5"],
        [b"X: 1\nContent-Length: 5"],
        [b"X: 1\rContent-Length: 5"],
        [b"Content\x00-Length: 5"],
        [b"Transfer-Encoding:"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: chunkedx"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b'Transfer-Encoding: "chunked"'],
        [b"Transfer-Encoding: chunked;q=1"],
        [b"Transfer-Encoding: \x0bchunked"],
        [b"Transfer-Encoding: chun", b" ked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"],
        [b"Transfer-Encoding: x", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding\t: chunked"],
    ],
)
def test_a_length_that_two_readers_could_take_differently_is_refused(lines):
    with pytest.raises(MessageError) as error:
        asked(*lines)
    assert error.value.status in (400, 501)


def test_a_coding_in_http_1_0_is_refused():
    refused(400, asked, b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")


def test_what_cgi_takes_for_a_length_is_not_passed_on():
    head = asked(b"Content_Length: 5", b"Transfer_Encoding: chunked", b"X_Y: 1")

    assert head.length == 0
    assert head.passing == [(b"x_y", b"1")]


# Fields.


@pytest.mark.parametrize(
    "line",
    [
        b"X",
        b": 1",
        b"X : 1",
        b"X\t: 1",
        b"X(: 1",
        b"X\xff: 1",
        b"X: a\x00",
        b"X: a\x01",
        b"X: a\x7f",
        b"X: a\n",
        b"X: a\r",
        b"X: a\r\n b",
        b"X: a\r\n\tb",
    ],
)
def test_a_field_that_is_none_is_refused(line):
    refused(400, asked, line)
    refused(502, told, line)


def test_as_many_fields_may_come_as_there_may_be():
    assert len(asked(*[b"X: 1"] * 19).fields) == 20
    refused(431, asked, *[b"X: 1"] * 20)


def test_fields_keep_their_order_and_what_is_for_this_connection_does_not_go_on():
    head = asked(
        b"Accept: b",
        b"Connection: X-Own, close",
        b"X-Own: 1",
        b"Keep-Alive: 5",
        b"Proxy-Connection: close",
        b"Proxy-Authorization: x",
        b"Proxy-Authenticate: x",
        b"Upgrade: h2c",
        b"HTTP2-Settings: x",
        b"accept: a",
        b"connection: http2-settings",
    )

    assert head.passing == [(b"accept", b"b"), (b"accept", b"a")]
    assert len(head.fields) == 12
    assert not head.keep_alive
    assert head.upgrade is None


@pytest.mark.parametrize(
    "name", [b"cookie", b"authorization", b"x-forwarded-for", b"x-gslb-hops", b"forwarded"]
)
def test_nobody_has_what_protects_a_request_taken_out(name):
    assert asked(b"Connection: close, " + name, name + b": x").passing == [(name, b"x")]


@pytest.mark.parametrize(
    ("version", "lines", "stays"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: keep-alive, Close"], False),
        (b"1.1", [b"Connection: x", b"Connection: close"], False),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
    ],
)
def test_a_connection_stays_as_its_version_and_options_say(version, lines, stays):
    assert asked(*lines, line=b"GET / HTTP/" + version).keep_alive is stays


@pytest.mark.parametrize(
    ("version", "lines", "upgrade"),
    [
        (b"1.1", [b"Connection: Upgrade", b"Upgrade: WebSocket"], b"websocket"),
        (b"1.1", [b"Upgrade: websocket"], None),
        (b"1.1", [b"Connection: upgrade", b"Upgrade: h2c"], None),
        (b"1.1", [b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 1"], None),
        (b"1.0", [b"Connection: upgrade", b"Upgrade: websocket"], None),
    ],
)
def test_only_a_websocket_is_upgraded_to(version, lines, upgrade):
    assert asked(*lines, line=b"GET / HTTP/" + version).upgrade == upgrade


def test_an_expectation_is_of_100_continue_and_nothing_else():
    assert asked(b"Expect: 100-Continue").expects_continue
    assert not asked(b"Expect: 100-continue", line=b"GET / HTTP/1.0").expects_continue
    refused(417, asked, b"Expect: 200-ok")


def test_a_client_says_whether_it_reads_trailers():
    assert asked(b"TE: Trailers").accepts_trailers
    assert not asked(b"TE: gzip").accepts_trailers


def test_one_reader_reads_all_heads_of_a_connection():
    reader = RequestReaders()
    lines = ([], [b"Content-Length: 5"], [b"Connection: upgrade", b"Upgrade: h2c"], [b"X: 1"], [])

    for each in lines:
        head = asked(*each, line=b"GET /%d HTTP/1.1" % len(each), reader=reader)
        assert head.target == b"/%d" % len(each)
        assert len(head.fields) == 1 + len(each)


@pytest.mark.parametrize("value", [b"close", b"keep-alive", b"close, upgrade"])
def test_one_reader_reads_on_whatever_proxy_connection_says(value):
    reader = RequestReaders()

    for line in (b"X-Empty:", b"X: 1", b"X-Empty:"):
        assert asked(b"Proxy-Connection: " + value, line, reader=reader).keep_alive
    responses = ResponseReaders()
    for line in (b"X-Empty:", b"X: 1", b"X-Empty:"):
        head = told(b"Content-Length: 2", b"Proxy-Connection: " + value, line, reader=responses)
        assert (head.length, head.keep_alive) == (2, True)
        responses.skip(b"ok", 2)


octets = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b",", b"#", b"/", b"5", b"\xff"),
        *(b"GET", b"HTTP/1.1", b"http://b", b"Host", b"Host: a", b"X: 1", b"Connection: close"),
        *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"chunked", b"Upgrade: websocket"),
    ]
)


@given(st.lists(octets).map(b"".join) | st.binary())
@example(b"GET / HTTP/1.1\r\nHost: a")
def test_of_any_octets_a_whole_request_is_read_or_it_is_refused(octets):
    for start in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n"):
        begun = (start + octets + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        try:
            head = RequestReaders().read(begun)
        except MessageError:
            continue
        # Read as every reader would: by its lines alone.
        line, *lines = begun.removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert line.split(b" ")[0] == head.method
        assert [each.partition(b":")[0].lower() for each in lines] == [n for n, _ in head.fields]
        assert head.host or not head.minor
        assert set(head.target).isdisjoint(b" \r\n\x00#")


TOKENS = st.sampled_from(
    [
        *(b"a", b"Host", b"content-length", b"Content-Length", b"transfer-encoding", b"X-Y", b"TE"),
        *(b"connection", b"Upgrade", b"expect", b"proxy-authenticate", b"x" * 48, b"x" * 49, b"_"),
    ]
)
VALUES = st.sampled_from(
    [
        *(b"a", b"a b", b"0", b"5", b"007", b"9" * 18, b"9" * 19, b"chunked", b"Chunked", b"close"),
        *(b"gzip, chunked", b"100-continue", b"upgrade", b"\xe9", b"a\tb", b"", b"websocket"),
    ]
)
GAPS = st.sampled_from([b"", b" ", b"\t", b"  "])
LINES = st.lists(st.tuples(TOKENS, GAPS, VALUES, GAPS).map(lambda t: b"%b:%b%b%b" % t), max_size=6)


@given(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"CONNECT", b"PROPFIND", b"get", b"M-SEARCH"]),
    st.sampled_from(
        [b"/", b"/a?b=c", b"*", b"http://b/", b"/a|b", b'/"', b"/%2e/", b"/\xe9", b"/^"]
    ),
    st.sampled_from([b"1.1", b"1.0", b"1.2"]),
    LINES,
)
def test_what_is_cut_natively_is_what_the_parser_reads_of_requests(method, target, version, lines):
    with suppress(MessageError):
        asked(*lines, line=b"%b %b HTTP/%b" % (method, target, version))


@given(
    st.sampled_from(
        [b"200 OK", b"404 ", b"204 \xe9", b"101 X", b"100 Continue", b"99 X", b"304 \tX"]
    ),
    st.sampled_from([b"1.1", b"1.0"]),
    LINES,
    st.sampled_from([b"GET", b"HEAD"]),
)
def test_what_is_cut_natively_is_what_the_parser_reads_of_responses(line, version, lines, method):
    with suppress(MessageError):
        told(*lines, line=b"HTTP/%b %b" % (version, line), method=method)


@pytest.mark.skipif(CUTTER is None, reason="the native engine is not built")
def test_usual_heads_are_cut_natively():
    request = b"GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    method, target, fields, passing, here = CUTTER.request(request)
    assert (method, target) == (b"GET", b"/a")
    assert [name for name, _ in fields] == [b"host", b"accept", b"connection"]
    assert {name for name, _ in here} <= HERE_ALONE
    assert passing == [(b"accept", b"*/*")]

    response = OK + b"\r\nContent-Length: 0\r\nServer: x\r\n\r\n"
    status, reason, _, passing, here = CUTTER.response(response)
    assert (status, reason, passing) == (200, b"OK", [(b"server", b"x")])
    assert here == [(b"content-length", b"0")]


# Responses.


@pytest.mark.parametrize(
    ("line", "status", "reason", "minor"),
    [
        (b"HTTP/1.1 200 OK", 200, b"OK", 1),
        (b"HTTP/1.0 404 Not Found", 404, b"Not Found", 0),
        (b"HTTP/1.1 200 ", 200, b"", 1),
        (b"HTTP/1.1 200", 200, b"", 1),
        (b"HTTP/1.1 999 X", 999, b"X", 1),
    ],
)
def test_a_status_line_is_read(line, status, reason, minor):
    head = told(line=line)

    assert (head.status, head.reason, head.minor) == (status, reason, minor)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/2.0 200 OK",
        b"ICE/1.0 200 OK",
        b"RTSP/1.0 200 OK",
        b"HTTP/1.1 200 a\rb",
        b"HTTP/1.1 200 a\nb",
        b"\r\nHTTP/1.1 200 OK",
        b"GET / HTTP/1.1",
    ],
)
def test_a_status_line_that_is_none_is_refused(line):
    refused(502, told, line=line)


def test_a_reason_with_a_control_character_does_not_go_on():
    assert told(line=b"HTTP/1.1 200 a\x01b").reason == b""
    assert told(line=b"HTTP/1.1 200 a\tb").reason == b"a\tb"


@pytest.mark.parametrize(
    ("method", "status", "lines", "length", "passing"),
    [
        (b"GET", 200, [b"Content-Length: 5"], 5, []),
        (b"GET", 200, [b"Transfer-Encoding: chunked"], CHUNKED, []),
        (b"GET", 200, [], UNTIL_CLOSE, []),
        (b"HEAD", 200, [b"Content-Length: 5"], 0, [(b"content-length", b"5")]),
        (b"HEAD", 200, [b"Transfer-Encoding: chunked"], 0, []),
        (b"HEAD", 200, [], 0, []),
        (b"GET", 204, [b"Content-Length: 5"], 0, []),
        (b"GET", 304, [b"Content-Length: 5"], 0, [(b"content-length", b"5")]),
        (b"GET", 304, [], 0, []),
        (b"GET", 100, [b"Content-Length: 5"], 0, []),
        (b"GET", 101, [b"Content-Length: 5", b"Upgrade: x", b"Connection: upgrade"], 0, []),
    ],
)
def test_a_responses_length_follows_from_its_request_and_status(
    method, status, lines, length, passing
):
    head = told(*lines, line=b"HTTP/1.1 %d X" % status, method=method)

    assert head.length == length
    assert head.passing == passing


@pytest.mark.parametrize(
    ("line", "lines", "stays"),
    [
        (OK, [b"Content-Length: 5"], True),
        (OK, [b"Content-Length: 5", b"Connection: Keep-Alive"], True),
        (OK, [b"Content-Length: 5", b"Connection: x"], True),
        (OK, [b"Content-Length: 5", b"Connection: x", b"Connection: close"], False),
        (OK, [], False),
        (b"HTTP/1.0 200 OK", [b"Content-Length: 5"], False),
        (b"HTTP/1.0 200 OK", [b"Content-Length: 5", b"Connection: x"], False),
        (b"HTTP/1.0 200 OK", [b"Content-Length: 5", b"Connection: keep-alive"], True),
        (b"HTTP/1.0 200 OK", [b"Content-Length: 5", b"Connection: keep-alive, x"], True),
    ],
)
def test_a_members_connection_stays_as_it_says(line, lines, stays):
    assert told(*lines, line=line).keep_alive is stays


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: x"],
        [b"Content-Length: " + b"0" * 5000],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
    ],
)
def test_a_response_of_unsure_length_is_refused(lines):
    refused(502, told, *lines)


def test_a_coding_in_a_response_of_http_1_0_is_refused():
    refused(502, told, b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK")


def test_of_a_response_goes_on_what_is_not_for_the_connection_alone():
    head = told(
        b"Server: x",
        b"Connection: foo, set-cookie",
        b"Foo: 1",
        b"Keep-Alive: timeout=5",
        b"Set-Cookie: a=b",
        b"Proxy-Authenticate: y",
        b"Upgrade: h2",
        b"Content-Length: 0",
    )

    assert head.passing == [
        (b"server", b"x"),
        (b"set-cookie", b"a=b"),
        (b"proxy-authenticate", b"y"),
    ]
    assert head.upgrade is None


def test_a_change_of_protocol_says_to_which():
    head = told(b"Upgrade: websocket", b"Connection: upgrade", line=b"HTTP/1.1 101 X")

    assert head.upgrade == b"websocket"


def test_one_reader_reads_all_heads_whether_bodies_are_shown_to_it_or_not():
    reader = ResponseReaders()

    for behind in (b"", b"HTTP/1.1", None, b"x"):
        assert told(b"Content-Length: 5", reader=reader).length == 5
        if behind is not None:
            reader.skip(b"hello" + behind, 5)
    assert told(b"Content-Length: 0", b"Connection: close", reader=reader).length == 0
    reader.skip(b"", 0)
    assert told(line=b"HTTP/1.1 204 X", reader=reader).status == 204


@pytest.mark.parametrize(
    "path",
    [
        b"/a/../b",
        b"/a/..",
        b"/.",
        b"/a/./b",
        b"/a/%2e%2E/b",
        b"/a/.%2e",
        b"/a/..%2fb",
        b"/a%2F../b",
    ],
)
def test_a_path_that_two_readers_could_resolve_differently_is_refused(path):
    with pytest.raises(MessageError, match="dot segments") as refused:
        RequestReaders().read(b"GET %b?x=/../ HTTP/1.1\r\nHost: a\r\n\r\n" % path)

    assert refused.value.status == 400


@pytest.mark.parametrize("path", [b"/.well-known/x", b"/a/..b", b"/a.../b", b"/%2e%2ehidden"])
def test_a_path_with_dots_that_are_no_segments_passes(path):
    head = RequestReaders().read(b"GET %b?x=/../ HTTP/1.1\r\nHost: a\r\n\r\n" % path)

    assert head.target == path + b"?x=/../"
