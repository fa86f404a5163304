"""Bodies in chunks: taken apart however they are cut, refused where two readers could differ."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import MessageError
from gslb.proxy.chunks import (
    FIELDS_MAX,
    LAST,
    LINE_MAX,
    TINY,
    TINY_MAX,
    TRAILERS_MAX,
    ChunkReader,
    chunk,
    last,
)

BEHIND = [b"", b"\r\n", b"GET / HTTP/1.1\r\n", b"0\r\n\r\n"]


def read(*pieces):
    """Return the body, the trailers and what came behind, of a body that came in *pieces*."""
    reader = ChunkReader()
    found = rest = b""
    for piece in pieces:
        if reader.is_done:
            rest += piece
        else:
            found += reader.feed(piece)
            rest = reader.rest
    assert reader.is_done
    return found, reader.trailers, rest


def each_octet(octets):
    return [octets[at : at + 1] for at in range(len(octets))]


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(
    ("sent", "body", "trailers"),
    [
        (b"0\r\n\r\n", b"", []),
        (b"000\r\n\r\n", b"", []),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!", []),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", []),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", []),
        (b"00000000000000a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", []),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", []),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", []),
        (b"1;a\r\nx\r\n0;b\r\n\r\n", b"x", []),
        (b'1 ; a="b;c"\r\nx\r\n0\t;\r\n\r\n', b"x", []),
        (b"0\r\nX-Sum: 1\r\n\r\n", b"", [(b"x-sum", b"1")]),
        (
            b"0\r\nA:\t1 2 \r\nB:\r\nA: \xff\r\n\r\n",
            b"",
            [(b"a", b"1 2"), (b"b", b""), (b"a", b"\xff")],
        ),
        (
            b"0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nhost: y\r\nB: 2\r\n\r\n",
            b"",
            [(b"b", b"2")],
        ),
    ],
)
def test_a_body_is_read_whole_and_by_octets_with_whatever_is_behind_it(
    sent, body, trailers, behind
):
    assert read(sent + behind) == (body, trailers, behind)
    assert read(*each_octet(sent + behind)) == (body, trailers, behind)


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n0\r\n\r\n",
        b"\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\n",
        b"5\rhello",
        b"5\r\r\n",
        b"5\x00\r\n",
        b"0x5\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"5_0\r\n",
        b"5,5\r\n",
        b"g\r\n",
        b";a\r\n",
        b"1000000000000000\r\n",
        b"0000000000000005\r\n",
        b"ffffffffffffffffffff\r\n",
        b"5;a\nb\r\n",
        b"5;a\x00\r\n",
        b"5;a\x7f\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0",
        b"5\r\nhello!\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n X: 1\r\n\r\n",
        b"0\r\n: 1\r\n\r\n",
        b"0\r\nX: 1\r\n folded\r\n\r\n",
        b"0\r\nX: 1\nY: 2\r\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\nX: a\rb\r\n\r\n",
        b"5;" + b"a" * LINE_MAX,
        b"0\r\nX: " + b"a" * TRAILERS_MAX,
        b"0\r\n" + b"X: a\r\n" * (TRAILERS_MAX // 6 + 1) + b"\r\n\r\n",
    ],
)
def test_what_is_no_body_in_chunks_is_refused_whole_and_by_octets(sent):
    with pytest.raises(MessageError):
        read(sent)
    with pytest.raises(MessageError):
        read(*each_octet(sent))


def test_trailers_too_long_are_said_to_be_that():
    with pytest.raises(MessageError, match="too long") as refused:
        ChunkReader().feed(b"0\r\n" + b"a" * TRAILERS_MAX)

    assert refused.value.status == 431


def test_as_many_trailers_may_come_as_there_may_be():
    as_many = b"0\r\n" + b"X: 1\r\n" * FIELDS_MAX
    assert read(as_many + b"\r\n") == (b"", [(b"x", b"1")] * FIELDS_MAX, b"")

    with pytest.raises(MessageError, match=f"more than {FIELDS_MAX} trailers") as refused:
        read(as_many + b"X: 1\r\n\r\n")
    assert refused.value.status == 431


def test_a_body_may_be_cut_small_but_not_for_ever():
    reader, tiny = ChunkReader(), chunk(b"x")
    assert reader.feed(tiny * TINY_MAX) == b"x" * TINY_MAX

    with pytest.raises(MessageError, match="tiny"):
        reader.feed(tiny)


def test_chunks_that_are_tiny_are_made_up_for_by_great_ones():
    great, tiny = chunk(b"x" * TINY * TINY_MAX), chunk(b"x")

    body, _, _ = read(great + tiny * TINY_MAX + LAST)

    assert len(body) == TINY * TINY_MAX + TINY_MAX


@pytest.mark.parametrize("ending", [b"\x00", b"\x01 "])
def test_a_trailer_of_white_space_takes_no_longer_than_another(ending):
    began_s = time.perf_counter()

    with pytest.raises(MessageError):
        ChunkReader().feed(b"0\r\nX:" + b" " * (TRAILERS_MAX - 100) + ending + b"\r\n\r\n")

    assert time.perf_counter() - began_s < 1


@given(st.lists(st.binary(min_size=1)), st.binary(), st.data())
def test_what_is_put_together_is_taken_apart_wherever_it_is_cut(parts, behind, data):
    whole = b"".join(map(chunk, parts)) + last([(b"x-sum", b"1")]) + behind
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert read(*pieces) == (b"".join(parts), [(b"x-sum", b"1")], behind)


@given(st.lists(st.sampled_from([b"0", b"5", b"a", b"\r", b"\n", b"\r\n", b";", b" ", b":", b"x"])))
def test_whole_or_by_octets_the_same_is_read_or_refused(pieces):
    def outcome(pieces):
        reader = ChunkReader()
        try:
            found = b"".join([reader.feed(piece) for piece in pieces if not reader.is_done])
        except MessageError:
            return None
        return found, reader.trailers, reader.is_done

    assert outcome([b"".join(pieces)]) == outcome(each_octet(b"".join(pieces)))


def test_a_body_without_trailers_ends_in_the_shortest_way():
    assert last([]) == LAST == b"0\r\n\r\n"
    assert chunk(b"x" * 17) == b"11\r\n%b\r\n" % (b"x" * 17)
