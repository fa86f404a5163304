"""HTTP/2 frames counted before they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import FrameError
from gslb.proxy.frames import (
    CONTINUATION,
    DATA,
    ENHANCE_YOUR_CALM,
    FRAME_MAX,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    MOST,
    OCTETS_AN_UPDATE,
    WINDOW_S,
    WINDOW_UPDATE,
    FrameCounter,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BLOCK_MAX = 40_000
COUNTED = [kind for kind, most in enumerate(MOST) if most]


def frame(kind, body=b"", flags=0, length=None):
    size = (len(body) if length is None else length).to_bytes(3, "big")
    return size + bytes([kind, flags]) + (1).to_bytes(4, "big") + body


def begun():
    counter = FrameCounter(BLOCK_MAX)
    assert counter.admit(PREFACE, 0.0) == PREFACE
    return counter


frames = st.lists(
    st.builds(frame, st.sampled_from([DATA, HEADERS, 6, GOAWAY, 99]), st.binary(max_size=20)),
    max_size=9,
)


@given(frames, st.lists(st.integers(1, 40)))
def test_all_but_goaway_passes_as_it_came_however_it_is_cut(some, cuts):
    counter, sent = begun(), b"".join(some)
    passed, at = b"", 0
    for size in [*cuts, len(sent)]:
        passed += counter.admit(sent[at : at + size], 0.0)
        at += size

    assert passed == b"".join(each for each in some if each[3] != GOAWAY)
    assert counter.is_leaving == any(each[3] == GOAWAY for each in some)


def test_whole_frames_pass_without_being_copied():
    sent = frame(DATA, b"body") + frame(6, bytes(8))

    assert begun().admit(sent, 0.0) is sent


@pytest.mark.parametrize("kind", [*COUNTED, 99])
def test_of_a_kind_so_many_may_come_and_no_more_until_time_has_passed(kind):
    counter = begun()
    most = MOST[min(kind, len(MOST) - 1)]

    counter.admit(frame(kind) * most, 1.0)
    with pytest.raises(FrameError) as refused:
        counter.admit(frame(kind), WINDOW_S / 2)
    assert refused.value.code == ENHANCE_YOUR_CALM

    later = begun()
    later.admit(frame(kind) * most, 1.0)
    later.admit(frame(kind) * most, WINDOW_S + 1.0)


def test_windows_may_be_updated_as_often_as_there_is_need():
    counter = begun()
    counter.sent(10 * OCTETS_AN_UPDATE)
    counter.admit(frame(WINDOW_UPDATE) * (MOST[WINDOW_UPDATE] + 10), 0.0)

    with pytest.raises(FrameError):
        counter.admit(frame(WINDOW_UPDATE), 0.0)


def test_bodies_are_not_counted_nor_is_their_end():
    counter = begun()
    for _ in range(1000):
        counter.admit(frame(DATA, b"x") + frame(DATA, flags=1) + frame(HEADERS, b"x"), 0.0)


def test_a_frame_that_is_too_long_is_refused_by_its_header():
    begun().admit(frame(DATA, length=FRAME_MAX), 0.0)
    with pytest.raises(FrameError) as refused:
        begun().admit(frame(DATA, length=FRAME_MAX + 1), 0.0)

    assert refused.value.code == FRAME_SIZE_ERROR


def test_a_head_that_goes_on_and_on_is_refused():
    counter = begun()
    counter.admit(frame(HEADERS, bytes(FRAME_MAX)) + frame(CONTINUATION, bytes(FRAME_MAX)), 0.0)
    rest = BLOCK_MAX - 2 * FRAME_MAX
    counter.admit(frame(CONTINUATION, bytes(rest)), 0.0)

    with pytest.raises(FrameError):
        counter.admit(frame(CONTINUATION, b"x"), 0.0)


@given(st.binary(max_size=200))
def test_any_octets_pass_or_are_refused(octets):
    try:
        passed = begun().admit(octets, 0.0)
    except FrameError:
        return
    assert octets.startswith(passed) or GOAWAY in octets
