"""How busy a tier is, as octets."""

from hypothesis import given
from hypothesis import strategies as st

from gslb.health import load
from gslb.health.load import COUNT_MAX, LOAD_BYTES, Load

counts = st.integers(0, COUNT_MAX)
rates = st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000)


@given(st.builds(Load, counts, counts, counts, rates, rates))
def test_a_load_comes_back_as_it_was(some):
    block = load.encode(some)

    assert len(block) == LOAD_BYTES
    assert load.decode(block) == some


@given(st.binary(min_size=LOAD_BYTES, max_size=LOAD_BYTES))
def test_any_octets_are_some_load_that_can_be_told_on(octets):
    some = load.decode(octets)

    assert 0 <= some.connections <= COUNT_MAX
    assert load.decode(load.encode(some)) == some


def test_figures_beyond_all_bounds_are_capped():
    some = load.decode(load.encode(Load(-1, COUNT_MAX + 1, 0, 1e300, -0.5)))

    assert some == Load(0, COUNT_MAX, 0, COUNT_MAX / 1000, 0.0)
