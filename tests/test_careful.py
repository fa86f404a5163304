"""What a word would cost: services that it would leave without enough."""

import pytest

from gslb.model import Order
from gslb.routing.careful import costs
from gslb.routing.snapshot import compile_snapshot
from tests.world import DOWN, DRAINED, FORCED_DOWN, UP, plan, pool, service

U1, U2, U3, E1 = "192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1"
PLAN = plan(service(pool("us", U1, U2, U3), pool("eu", E1), route=(Order((("us",), ("eu",))),)))
NOT_ENOUGH = ("www.example.com: too few would be left in us",)
NO_RUNG = ("www.example.com: no rung of some clients would be healthy enough",)
ALL_DRAINED = ("www.example.com: all its members would be drained",)


def believed(beliefs):
    return lambda _, each: beliefs.get(str(each.address), UP)


@pytest.mark.parametrize(
    ("now", "more", "said"),
    [
        ({}, {U1: DRAINED}, ()),
        ({}, {U1: FORCED_DOWN}, ()),
        ({}, {U1: FORCED_DOWN, U2: FORCED_DOWN}, NOT_ENOUGH),
        ({U2: DOWN}, {U1: FORCED_DOWN}, NOT_ENOUGH),
        ({U2: DOWN, U3: DOWN}, {U1: DRAINED}, ()),  # it was below the threshold before
        ({U2: DOWN}, {U1: DRAINED}, ()),  # half of what is left lives
        ({}, {U1: DRAINED, U2: DRAINED, U3: DRAINED}, ()),  # emptied: eu is next
        ({E1: DOWN}, {U1: DRAINED, U2: DRAINED, U3: DRAINED}, NO_RUNG),
        ({}, {U1: DRAINED, U2: DRAINED, U3: DRAINED, E1: DRAINED}, ALL_DRAINED),
        ({U1: DRAINED, U2: DRAINED, U3: DRAINED, E1: DRAINED}, {U1: DRAINED}, ()),
        ({U1: DOWN, U2: DOWN, U3: DOWN, E1: DOWN}, {U1: FORCED_DOWN}, ()),
    ],
)
def test_a_word_costs_too_much_where_it_leaves_too_little_of_what_was_enough(now, more, said):
    snapshot = compile_snapshot(PLAN, believed(now), generation=1, now_s=0.0)

    assert costs(snapshot, believed({**now, **more}), PLAN.services.keys(), 0.0) == said
