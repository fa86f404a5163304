"""Pins: the clients seen lately, and never more than there is room for."""

from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.pins import Pins
from gslb.proxy.target import Target
from tests.targets import targets

ONE, TWO = targets(1, 1)


def test_a_client_has_the_target_that_it_was_given_last():
    pins = Pins(4)
    assert pins.get(1) is None
    pins.put(1, ONE)
    assert pins.get(1) is ONE
    pins.put(1, TWO)
    assert pins.get(1) is TWO
    pins.put(2, ONE)
    pins.put(3, ONE)  # the table is turned
    assert pins.get(1) is TWO
    pins.put(1, ONE)
    assert (pins.get(1), len(pins)) == (ONE, 3)
    assert isinstance(pins.get(2), Target)


@given(st.lists(st.integers(0, 50), max_size=200))
def test_there_are_never_more_than_may_be_and_the_newest_is_there(keys):
    pins = Pins(10)
    for key in keys:
        pins.put(key, ONE)
        assert pins.get(key) is ONE
        assert len(pins) <= 10
