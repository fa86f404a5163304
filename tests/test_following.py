"""When files are read again by themselves: what was refused is tried anew, with growing pauses."""

import asyncio

import pytest

from gslb.daemons.following import AGAIN_MAX_S, Following
from tests.configs import MAIN, WWW, Folder
from tests.running import PATIENCE_S


class Clock:
    """Remembers what is to be called later, and calls it when it is told to."""

    def __init__(self):
        self.waiting = None
        self.pauses = []

    def later(self, wait_s, act):
        assert self.waiting is None, "one thing at a time"
        self.waiting = act
        self.pauses.append(wait_s)
        return self

    def cancel(self):
        self.waiting = None

    def ring(self):
        act, self.waiting = self.waiting, None
        act()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def following(tmp_path, clock):
    made = Following(clock.later)
    made.begin(Folder(tmp_path).load(MAIN, WWW))
    return made


async def told(following):
    async with asyncio.timeout(PATIENCE_S):
        await following.told()


async def test_what_was_refused_is_told_again_after_pauses_that_grow_up_to_a_bound(
    following, clock
):
    for _ in range(7):
        following.refused()
        clock.ring()
        await told(following)

    assert clock.pauses == [1, 2, 4, 8, 16, AGAIN_MAX_S, AGAIN_MAX_S]


async def test_what_was_taken_over_is_not_told_again_and_the_next_pause_is_short(following, clock):
    for _ in range(2):
        following.refused()
        clock.ring()
        await told(following)
    following.taken()
    following.refused()

    assert clock.pauses == [1, 2, 1]


async def test_what_is_told_meanwhile_comes_instead_and_the_next_pause_is_short(following, clock):
    following.refused()
    clock.ring()
    await told(following)
    following.refused()
    following.tell()
    await told(following)

    assert clock.waiting is None
    following.refused()
    assert clock.pauses == [1, 2, 1]


async def test_files_that_cannot_be_read_are_waited_for_instead(following, clock, tmp_path):
    following.refused()
    clock.ring()
    await told(following)
    await following.missed(frozenset({tmp_path / "none"}))
    following.refused()

    assert clock.pauses == [1, 1]
