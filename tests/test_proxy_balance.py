"""What holds of every way to choose a target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.balance import KINDS, build
from gslb.tier import Balance
from tests.targets import draws, targets, weights

each_kind = pytest.mark.parametrize("kind", KINDS)
keys = st.integers(0, (1 << 64) - 1)


@each_kind
@given(weights(), keys, draws(), st.data())
def test_what_was_tried_is_never_picked_again_and_somebody_is_as_long_as_there_is_one(
    kind, given_weights, key, draw, data
):
    of = targets(*given_weights)
    for each in of:
        each.active = data.draw(st.integers(0, 5))
    balancer = build(kind, of, seed=1)
    tried = set()

    for _ in of:
        picked = balancer.pick(key, draw, 0.0, tried)
        assert picked in of
        assert picked not in tried
        tried.add(picked)

    assert balancer.pick(key, draw, 0.0, tried) is None


@each_kind
@given(weights(), keys, draws())
def test_a_first_pick_is_one_of_the_targets(kind, given_weights, key, draw):
    of = targets(*given_weights)

    assert build(kind, of, seed=key).pick(key, draw, 0.0) in of


@each_kind
@pytest.mark.parametrize("key", [0, 7])
def test_of_nobody_nobody_is_picked(kind, key):
    assert build(kind, (), seed=1).pick(key, 0.5, 0.0) is None


@each_kind
@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-53])
@pytest.mark.parametrize("size", [1, 2, 9, 500])
def test_greatest_weights_and_outermost_draws_pick_somebody(kind, draw, size):
    of = targets(*[1_000_000_000 - at for at in range(size)])

    assert build(kind, of, seed=1).pick(0, draw, 0.0) in of


@each_kind
def test_of_one_target_it_is_picked_however_much_is_under_way(kind):
    (only,) = targets(1, active=(1000,))

    assert build(kind, [only], seed=1).pick(5, 0.5, 0.0) is only


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"least_time", "round_robin", "random"}))
def test_weights_that_change_after_building_break_nothing(kind):
    of = targets(*[1000] * 20)
    balancer = build(kind, of, seed=1)

    for each in of:
        each.weight = 1

    assert {balancer.pick(key, key / 100, 0.0) for key in range(100)} <= set(of)


def test_a_kind_that_is_none_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="fastest"):
        build("fastest", targets(1), seed=1)


def test_a_target_without_weight_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="no target"):
        build("random", targets(0), seed=1)


def test_what_an_operator_has_by_default_can_be_built():
    assert Balance().kind in KINDS
