"""Pins: which member each client had last, in a table that does not grow."""

from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.pins import PINS_MAX, Pins
from tests.targets import targets


def test_a_client_has_the_target_that_it_had_last():
    first, second = targets(1, 1)
    pins = Pins()
    assert pins.get(7) is None

    pins.put(7, first)
    pins.put(8, second)
    pins.put(7, second)

    assert pins.get(7) is second
    assert len(pins) == 2


@given(st.lists(st.integers(0, 30), max_size=200))
def test_no_more_are_remembered_than_may_be_and_the_latest_half_always(keys):
    (target,) = targets(1)
    pins = Pins(10)

    for at, key in enumerate(keys):
        pins.put(key, target)
        assert len(pins) <= 10
        latest = list(dict.fromkeys(reversed(keys[: at + 1])))[:5]
        assert all(pins.get(each) is target for each in latest)


def test_a_client_that_comes_again_after_the_turn_is_remembered_once():
    first, second = targets(1, 1)
    pins = Pins(4)
    for key in (1, 2, 3):
        pins.put(key, first)

    pins.put(1, second)

    assert pins.get(1) is second
    assert len(pins) == 3


def test_many_clients_are_remembered_unless_it_is_said_how_many():
    (target,) = targets(1)
    pins = Pins()
    for key in range(PINS_MAX // 2):
        pins.put(key, target)

    assert len(pins) == PINS_MAX // 2
    assert pins.get(0) is target
