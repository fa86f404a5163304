"""A request's body on its way: what is held, what is told of it, and when it streams."""

from gslb.proxy.head import CHUNKED
from gslb.proxy.upload import Upload


def test_a_body_that_is_held_whole_has_its_length_told_whatever_the_client_said():
    upload = Upload(10, is_done=False)
    upload.add(b"ab")
    assert not upload.is_full
    upload.add(b"cd")
    upload.end([])
    assert upload.length(CHUNKED) == 4
    assert upload.begun() == b"abcd"
    assert upload.ending() == b""
    assert upload.is_whole
    assert upload.begun() == b"abcd", "it can be sent again"


def test_a_body_with_trailers_stays_in_chunks():
    upload = Upload(10, is_done=False)
    upload.add(b"ab")
    upload.add(b"")
    upload.end([(b"x", b"y")])
    assert upload.length(CHUNKED) == CHUNKED
    assert upload.begun() == b"2\r\nab\r\n0\r\nx: y\r\n\r\n"


def test_a_body_that_outgrows_its_room_streams_and_cannot_be_sent_again():
    upload = Upload(3, is_done=False)
    upload.add(b"ab")
    assert upload.length(CHUNKED) == CHUNKED
    assert upload.begun() == b"2\r\nab\r\n"
    assert upload.passing(b"c") == b"1\r\nc\r\n"
    assert upload.is_whole
    assert upload.passing(b"d") == b"1\r\nd\r\n"
    assert not upload.is_whole
    assert upload.passing(b"e") == b"1\r\ne\r\n"
    upload.end([])
    assert upload.ending() == b"0\r\n\r\n"
    assert upload.received == 5


def test_a_body_of_known_length_streams_as_it_is():
    upload = Upload(1, is_done=False)
    upload.add(b"abc")
    assert upload.is_full
    assert upload.length(5) == 5
    assert upload.begun() == b"abc"
    assert not upload.is_whole
    assert upload.passing(b"de") == b"de"
    upload.end([])
    assert upload.ending() == b""
