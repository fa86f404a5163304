"""Places at members: first come, first served, and none is lost whoever gives up when."""

import asyncio

import pytest

from gslb.daemons.places import Places
from gslb.tier import Upstream
from tests.targets import targets


def limited(**keys):
    return Upstream(service="www.example.com", **{"connections_max": 1, "queue_s": 60.0, **keys})


async def turns(count=3):
    """Let whatever can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def taking(places, at, upstream):
    task = asyncio.create_task(places.take(at, upstream))
    await turns()
    return task


async def test_who_waits_longest_has_the_next_place():
    places, at = Places(), targets(1)[0]
    assert await places.take(at, limited())
    first, second = [await taking(places, at, limited()) for _ in range(2)]
    assert (places.count(at), places.waiting(at), at.active) == (1, 2, 3)

    places.leave(at)
    await turns()

    assert first.done()
    assert not second.done()
    places.leave(at)
    assert await second
    places.leave(at)
    assert (places.count(at), places.waiting(at), at.active) == (0, 0, 0)


async def test_no_more_wait_than_may_nor_longer():
    places, at = Places(), targets(1)[0]
    upstream = limited(queue_max=1, queue_s=0.01)
    assert await places.take(at, upstream)
    waiting = await taking(places, at, upstream)

    assert not await places.take(at, upstream)
    assert not await waiting
    assert (places.count(at), places.waiting(at), at.active) == (1, 0, 1)


@pytest.mark.parametrize("is_given", [False, True], ids=["waits", "is given it just then"])
async def test_who_gives_up_leaves_the_place_to_others(is_given):
    places, at = Places(), targets(1)[0]
    assert await places.take(at, limited())
    gone, other = [await taking(places, at, limited()) for _ in range(2)]
    if is_given:
        places.leave(at)
        gone.cancel()
    else:
        gone.cancel()
        places.leave(at)

    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await other
    assert (places.count(at), places.waiting(at), at.active) == (1, 0, 1)


@pytest.mark.parametrize("by", ["a newcomer", "a reload"])
async def test_those_who_wait_are_given_places_that_are_new_before_others(by):
    places, at = Places(), targets(1)[0]
    assert await places.take(at, limited())
    first, second = [await taking(places, at, limited()) for _ in range(2)]
    more = limited(connections_max=3)
    if by == "a reload":
        places.adopt({at: more})
        await turns()
        assert first.done()
        assert second.done()
    last = await taking(places, at, more)

    assert (first.done(), second.done(), last.done()) == (True, True, False)
    last.cancel()


async def test_each_worker_has_its_part_and_fewer_places_are_not_handed_on():
    places, at = Places(), targets(1)[0]
    places.workers = 2
    for _ in range(2):
        assert await places.take(at, limited(connections_max=3))
    places.workers = 3
    waiting = await taking(places, at, limited(connections_max=3))
    places.leave(at)
    await turns()
    assert not waiting.done()
    places.leave(at)
    assert await waiting
