"""A request's body on its way: held back, sent on, and held for another try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.chunks import ChunkReader
from gslb.proxy.head import CHUNKED
from gslb.proxy.upload import Upload

pieces = st.lists(st.binary(min_size=1, max_size=9), max_size=6)


def plain(framed, length):
    """Return the body that was *framed* for a reader who was told *length*."""
    if length != CHUNKED:
        assert len(framed) == length
        return framed, []
    reader = ChunkReader()
    body = reader.feed(framed)
    assert reader.is_done
    assert reader.rest == b""
    return body, reader.trailers


@given(pieces, pieces, st.integers(0, 40), st.booleans(), st.booleans())
def test_a_body_arrives_as_it_came_and_again_as_long_as_it_is_whole(
    before, after, room, is_chunked, has_trailers
):
    upload = Upload(room, is_done=False)
    whole = b"".join(before + after)
    trailers = [(b"x-sum", b"1")] if is_chunked and has_trailers else []
    told = CHUNKED if is_chunked else len(whole)
    for piece in before:
        upload.add(piece)
    if not after:
        upload.end(trailers)
    length = upload.length(told)
    sent = upload.begun()
    for piece in after:
        sent += upload.passing(piece)
    if after:
        upload.end(trailers)
        sent += upload.ending()

    assert plain(sent, length) == (whole, trailers)
    assert upload.received == len(whole)
    assert upload.is_whole == (len(whole) <= room)
    if upload.is_whole:
        length = upload.length(told)
        assert plain(upload.begun(), length) == (whole, trailers)
        assert length == len(whole) or trailers
    upload.drop()
    assert not upload.is_whole
    assert upload.begun() == b"" or is_chunked


@pytest.mark.parametrize(("octets", "full"), [(b"abc", False), (b"abcd", True), (b"abcde", True)])
def test_as_much_is_held_as_there_is_room_for(octets, full):
    upload = Upload(4, is_done=False)
    upload.add(octets)

    assert upload.is_full is full
