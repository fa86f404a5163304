"""Runs against the plainest oracle: every prefix looked at, at every address that matters."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.routing.runs import Runs, from_prefixes, overlay, uniform

BITS = [32, 128]
each_family = pytest.mark.parametrize("bits", BITS)


@st.composite
def prefixes_of(draw, bits):
    """(start, length, value) that nest, touch, repeat and reach the ends of the space."""
    last = (1 << bits) - 1
    near = [0, last, 1 << (bits - 1), (1 << (bits - 1)) - 1, 0x0A141E28, last >> (bits // 2)]
    found = []
    for _ in range(draw(st.integers(0, 8))):
        base = draw(st.sampled_from([*near, (last >> (bits // 2)) + 1]) | st.integers(0, last))
        length = draw(st.sampled_from([0, 1, bits - 1, bits]) | st.integers(0, bits))
        start = base >> (bits - length) << (bits - length)
        found.append((start, length, draw(st.integers(0, 3))))
    return found


@st.composite
def spaces(draw):
    bits = draw(st.sampled_from(BITS))
    return bits, draw(prefixes_of(bits))


@st.composite
def pairs_of_spaces(draw):
    bits = draw(st.sampled_from(BITS))
    return bits, draw(prefixes_of(bits)), draw(prefixes_of(bits))


def value_at(bits, prefixes, address):
    """The value of the longest prefix around *address*, the last of equals; 0 without one."""
    best, found = -1, 0
    for start, length, value in prefixes:
        if start <= address < start + (1 << (bits - length)) and length >= best:
            best, found = length, value
    return found


def edges(bits, *many):
    """Every address at which any of the prefixes begins, or has just ended."""
    found = {0}
    for prefixes in many:
        for start, length, _ in prefixes:
            found |= {start, start + (1 << (bits - length))}
    return sorted(edge for edge in found if edge < 1 << bits)


def around(bits, *many):
    """The edges, and the addresses beside them."""
    found = {edge + off for edge in edges(bits, *many) for off in (-1, 0, 1)}
    return sorted(edge for edge in {*found, (1 << bits) - 1} if 0 <= edge < 1 << bits)


def naive_scope(bits, prefixes, address):
    """The length of the widest prefix around *address* in which every address has one value."""
    wanted = value_at(bits, prefixes, address)
    others = [edge for edge in edges(bits, prefixes) if value_at(bits, prefixes, edge) != wanted]
    for length in range(bits + 1):
        start = address >> (bits - length) << (bits - length)
        inside = any(0 <= edge - start < 1 << bits - length for edge in others)
        if not inside and value_at(bits, prefixes, start) == wanted:
            return length
    raise AssertionError("one address alone is uniform")


def assert_well_formed(runs):
    pairs = list(runs)
    starts = [start for start, _ in pairs]
    values = [value for _, value in pairs]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(one != other for one, other in pairwise(values))
    assert len(runs) == len(pairs)
    assert [runs.start(at) for at in range(len(runs) + 1)] == [*starts, 1 << runs.bits]


@given(spaces())
def test_an_address_has_the_value_of_the_longest_prefix_around_it(space):
    bits, prefixes = space

    runs = from_prefixes(bits, prefixes)

    assert_well_formed(runs)
    for address in around(bits, prefixes):
        assert runs.value(address) == value_at(bits, prefixes, address)


@given(spaces())
def test_the_scope_is_that_of_the_widest_uniform_prefix(space):
    bits, prefixes = space

    runs = from_prefixes(bits, prefixes)

    for address in around(bits, prefixes):
        value, scope = runs.find(address)
        assert value == value_at(bits, prefixes, address)
        assert scope == naive_scope(bits, prefixes, address)


@pytest.mark.parametrize("low", [False, True], ids=["whole quarters", "last addresses"])
@each_family
@given(data=st.data())
def test_in_a_space_small_enough_to_try_every_prefix_the_scope_is_the_widest(bits, low, data):
    # Six bits are tried out in full: the first ones, or the last.
    shift = 0 if low else bits - 6
    cells = data.draw(st.lists(st.integers(0, 2), min_size=64, max_size=64))
    runs = Runs(bits)
    for at, value in enumerate(cells):
        runs.append(at << shift, value)

    for at in range(64):
        width = max(width for width in range(7) if len(set(cells[_block(at, width)])) == 1)
        _, scope = runs.find(at << shift)
        # If all cells are alike so is whatever lies behind them.
        assert scope == (0 if width == 6 else bits - shift - width)


def _block(at, width):
    first = at >> width << width
    return slice(first, first + (1 << width))


@each_family
@pytest.mark.parametrize(
    ("length", "at_start", "behind"),
    [(0, 0, None), (1, 1, 1), (8, 8, 8), (31, 31, 31), (32, 32, 32)],
)
def test_a_prefix_at_the_edge_of_the_space(bits, length, at_start, behind):
    runs = from_prefixes(bits, [(0, length, 7)])

    assert runs.find(0) == (7, at_start)
    if behind is not None:
        assert runs.find(1 << (bits - length)) == (0, behind)
        assert runs.find((1 << bits) - 1) == (0, 1)


@each_family
def test_a_single_address_at_either_end_is_its_own_scope(bits):
    last = (1 << bits) - 1

    runs = from_prefixes(bits, [(0, bits, 1), (last, bits, 2)])

    assert runs.find(0) == (1, bits)
    assert runs.find(last) == (2, bits)
    assert runs.find(1) == (0, bits)
    assert runs.find(1 << (bits - 1)) == (0, 2)


@pytest.mark.parametrize("start", [(1 << 64) - 1, 1 << 64, (1 << 64) + 1])
def test_ipv6_runs_that_begin_beside_the_middle_of_an_address_are_found(start):
    runs = Runs(128)
    runs.append(0, 1)
    runs.append(start, 2)

    assert runs.value(start - 1) == 1
    assert runs.value(start) == 2
    assert runs.addresses(1) == start


def test_of_two_equal_prefixes_the_last_counts():
    assert list(from_prefixes(32, [(0, 8, 1), (0, 8, 2)])) == [(0, 2), (1 << 24, 0)]


def test_prefixes_that_touch_with_one_value_are_one_run():
    runs = from_prefixes(32, [(0, 9, 5), (1 << 23, 9, 5)])

    assert list(runs) == [(0, 5), (1 << 24, 0)]
    assert runs.find(3) == (5, 8)


def test_a_prefix_inside_one_of_its_own_value_is_not_seen():
    assert list(from_prefixes(32, [(0, 8, 5), (1 << 8, 24, 5)])) == [(0, 5), (1 << 24, 0)]


@each_family
def test_uniform_runs_reach_from_end_to_end(bits):
    runs = uniform(bits, 9)

    assert runs.find((1 << bits) - 1) == (9, 0)
    assert runs.addresses(9) == 1 << bits


@given(pairs_of_spaces())
def test_an_overlay_has_at_every_address_what_combine_makes_of_both(spaces):
    bits, one, other = spaces
    asked = []

    def combine(a, b):
        asked.append((a, b))
        return (a * b) % 5  # different pairs may well become equal

    runs = overlay(from_prefixes(bits, one), from_prefixes(bits, other), combine)

    assert_well_formed(runs)
    seen = {}
    for address in around(bits, one, other):
        pair = value_at(bits, one, address), value_at(bits, other, address)
        seen[pair] = None
        assert runs.value(address) == (pair[0] * pair[1]) % 5
    assert sorted(asked) == sorted(seen)


@given(spaces())
def test_a_map_replaces_values_and_merges_what_became_equal(space):
    bits, prefixes = space
    asked = []

    def halve(value):
        asked.append(value)
        return value // 2

    runs = from_prefixes(bits, prefixes).map(halve)

    assert_well_formed(runs)
    assert sorted(asked) == sorted(set(asked))
    for address in around(bits, prefixes):
        assert runs.value(address) == value_at(bits, prefixes, address) // 2


@given(spaces())
def test_addresses_are_counted_exactly(space):
    bits, prefixes = space
    ends = [*edges(bits, prefixes), 1 << bits]
    counted = dict.fromkeys(range(5), 0)
    for start, end in pairwise(ends):
        counted[value_at(bits, prefixes, start)] += end - start

    runs = from_prefixes(bits, prefixes)

    assert {value: runs.addresses(value) for value in counted} == counted
    assert sum(counted.values()) == 1 << bits
