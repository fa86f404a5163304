"""HTTP responses read in pieces: what frames them, what is kept of them, and what is no HTTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.probe import BODY_MAX_BYTES
from gslb.health.reply import HEAD_MAX_BYTES, LINE_MAX_BYTES, Reply

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces, end=False):
    reply = Reply()
    for piece in pieces:
        reply.feed(piece)
    if end:
        reply.end()
    return reply


@pytest.mark.parametrize(
    ("octets", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello and more", b"hello"),
        (OK + b"content-length:5, 5\r\nContent-Length:\t5 \r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Content-Length:\r\n 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200\nContent-Length: 5\n\nhello", b"hello"),
        (CHUNKED + b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n", b"hello world"),
        (CHUNKED + b"5\nhello\n0\nTrailer: x\n\n", b"hello"),
        (OK + b"Transfer-Encoding: gzip, Chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", b""),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n\x00\x01", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK
         + b"Content-Length: 2\r\n\r\nok", b"ok"),
    ],
)  # fmt: skip
def test_a_response_is_complete_when_its_framing_says_so_however_it_is_cut(octets, body):
    whole = read(octets)
    by_octet = read(*(bytes([octet]) for octet in octets))

    for reply in (whole, by_octet):
        assert reply.complete
        assert bytes(reply.body) == body
        assert reply.status == int(octets.rpartition(b"HTTP/1.")[2][2:5])


@pytest.mark.parametrize(
    "head", [OK + b"\r\n", OK + b"Transfer-Encoding: gzip\r\n\r\n"], ids=["none", "gzip"]
)
def test_a_body_of_unsaid_length_lasts_until_the_end(head):
    assert not read(head, b"hello").complete
    reply = read(head, b"hello", end=True)

    assert reply.complete
    assert bytes(reply.body) == b"hello"


@pytest.mark.parametrize(
    "octets",
    [b"", b"HTTP/1.1 200", OK, OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello\r\n",
     CHUNKED + b"5\r\nhel", CHUNKED + b"0\r\n"],
)  # fmt: skip
def test_a_response_that_ends_before_it_is_whole_is_never_complete(octets):
    assert not read(octets, end=True).complete


@pytest.mark.parametrize(
    "head",
    [OK + b"Content-Length: 9999999\r\n\r\n", CHUNKED + b"fffff\r\n", OK + b"\r\n"],
    ids=["length", "chunked", "until the end"],
)
def test_of_a_body_so_much_is_kept_and_the_rest_not_waited_for(head):
    reply = read(head, b"x" * 40_000, b"y" * 40_000, b"z" * 40_000)

    assert reply.complete
    assert len(reply.body) == BODY_MAX_BYTES
    assert not reply.body.count(b"z")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"SSH-2.0", "begins"),
        (b"HTTX", "begins"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "begins"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        (b"HTTP/1.x 200 OK\r\n\r\n", "status line"),
        (OK + b"no field\r\n\r\n", "header field"),
        (OK + b"Bad Name: x\r\n\r\n", "header field"),
        (OK + b"Zero: \0\r\n\r\n", "header field"),
        (OK + b"Content-Length: -1\r\n\r\n", "content-length"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "content-length"),
        (OK + b"Content-Length: " + b"1" * 16 + b"\r\n\r\n", "content-length"),
        (OK + b"A: " + b"x" * HEAD_MAX_BYTES, "header is longer"),
        (CHUNKED + b"zz\r\n", "chunk's size"),
        (CHUNKED + b"\r\n", "chunk's size"),
        (CHUNKED + b"5\r\nhelloo\r\n", "chunk ends"),
        (CHUNKED + b"1" * LINE_MAX_BYTES, "line is longer"),
    ],
)
def test_what_is_no_http_says_why(octets, why):
    with pytest.raises(ValueError, match=why):
        read(octets)


PIECES = [
    *(b"HTTP/1.1 ", b"200 ", b"OK", b"\r\n", b"\n", b"\r\n\r\n", b"Content-Length: ", b"5", b"-1"),
    *(b"Transfer-Encoding: chunked\r\n", b"\x00", b" folded", b"101 ", b"100 ", b"0\r\n", b";"),
    *(OK, CHUNKED, b"5\r\nhello\r\n"),
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=16), st.data())
def test_any_octets_mean_the_same_however_they_are_cut_and_nothing_but_value_error_leaves(
    pieces, data
):
    octets = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    ends = [*cuts, len(octets)]

    def said(*pieces):
        try:
            reply = read(*pieces)
        except ValueError:
            return None
        return reply.status, bytes(reply.body), reply.complete

    parts = [octets[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert said(*parts) == said(octets)
