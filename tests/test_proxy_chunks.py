"""Bodies in chunks: the same however they are cut, and refused wherever readers could differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import MessageError
from gslb.proxy.chunks import LINE_MAX, TRAILERS_MAX, ChunkReader, chunk, last

GOOD = [
    (b"0\r\n\r\n", b"", []),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
    (b"5;a=b\r\nhello\r\n00\r\n\r\n", b"hello", []),
    (b'A ;a="b"\r\n0123456789\r\n1\r\nx\r\n0;y\r\n\r\n', b"0123456789x", []),
    (b"0\r\nX-A: 1\r\nx-b:  2 \r\n\r\n", b"", [(b"x-a", b"1"), (b"x-b", b"2")]),
    (b"0\r\nHost: evil\r\nContent-Length: 1\r\nX: y\r\n\r\n", b"", [(b"x", b"y")]),
    (b"0\r\nX:\r\n\r\n", b"", [(b"x", b"")]),
]
BAD = [
    b"g\r\n",
    b"\r\n",
    b"-1\r\n",
    b"5\nhello",
    b"5\r\nhello0\r\n",
    b"5\r\nhello\n0\r\n",
    b"5 5\r\n",
    b"5;\x00\r\n",
    b"0" * 16 + b"\r\n",
    b"5;" + b"a" * LINE_MAX,
    b"0\r\nX\r\n\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\nX: y\x00\r\n\r\n",
    b"0\r\nX: " + b"y" * TRAILERS_MAX,
]


def read(reader: ChunkReader, parts: list[bytes]) -> tuple[bytes, bytes]:
    """Return the body of what comes in *parts*, and what came behind."""
    body, rest = b"", b""
    for part in parts:
        if reader.is_done:
            rest += part
        else:
            body += reader.feed(part)
    return body, reader.rest + rest


@pytest.mark.parametrize(("octets", "body", "trailers"), GOOD)
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n"])
def test_a_body_is_read_the_same_whole_and_octet_by_octet(octets, body, trailers, behind):
    whole = octets + behind
    for parts in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
        reader = ChunkReader()
        assert read(reader, parts) == (body, behind)
        assert reader.is_done
        assert reader.trailers == trailers


@pytest.mark.parametrize("octets", BAD)
def test_what_is_no_chunk_is_refused_whole_and_octet_by_octet(octets):
    for parts in ([octets], [octets[i : i + 1] for i in range(len(octets))]):
        with pytest.raises(MessageError):
            read(ChunkReader(), parts)


@given(st.lists(st.binary(min_size=1), max_size=5), st.data())
def test_what_is_cut_into_chunks_comes_out_as_it_was(parts, data):
    trailers = [(b"x-sum", b"1")] if data.draw(st.booleans()) else []
    octets = b"".join(map(chunk, parts)) + last(trailers) + b"behind"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(octets)))))
    reader = ChunkReader()
    pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    assert read(reader, pieces) == (b"".join(parts), b"behind")
    assert reader.trailers == trailers
