"""The address space of one family cut into runs, each with a number: find, overlay, count.

A run goes from its start to the next one's start; neighbours always differ, so a run is
the widest range of addresses that get the same.  The widest *prefix* around an address
that is uniform, which is the scope to return (RFC 7871 7.2.1), then follows from the two
addresses just outside its run: it is one bit longer than what the address shares with the
closer of them.  No depth need be stored, and a million networks are two flat arrays.

IPv4 starts are kept in 32 bits, IPv6 ones as two halves of 64, because an array holds no
wider numbers.  A view of such an array, read from an image, is as good as the array.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

_LOW = (1 << 64) - 1

# Makes one value of two.
Combine = Callable[[int, int], int]


@dataclass(slots=True)
class Runs:
    """Starts and values of the runs of a family with addresses of `bits` bits (32 or 128).

    Built by `append` in rising order, the first run starting at 0, and only read thereafter.
    `starts` are the addresses, or of 128 bits their high halves; then `lows` are the others.
    """

    bits: int
    starts: array[int] = field(default_factory=lambda: array("Q"))
    lows: array[int] = field(default_factory=lambda: array("Q"))
    values: array[int] = field(default_factory=lambda: array("I"))

    def __post_init__(self) -> None:
        if self.bits == 32 and not self.starts:
            self.starts = array("I")

    def append(self, start: int, value: int) -> None:
        """Add the run from *start*; one with the value of the run before it just widens that."""
        if self.values and self.values[-1] == value:
            return
        if self.bits == 128:
            self.starts.append(start >> 64)
            self.lows.append(start & _LOW)
        else:
            self.starts.append(start)
        self.values.append(value)

    def __len__(self) -> int:
        return len(self.values)

    def start(self, at: int) -> int:
        """Return the first address of run *at*; past the last run, the end of the space."""
        if at == len(self.values):
            return 1 << self.bits
        if self.bits == 128:
            return self.starts[at] << 64 | self.lows[at]
        return self.starts[at]

    def find(self, address: int) -> tuple[int, int]:
        """Return the value for *address*, and the length of the widest uniform prefix around it."""
        at = self._index(address)
        return self.values[at], self._scope(at, address)

    def value(self, address: int) -> int:
        """Return the value for *address*."""
        return self.values[self._index(address)]

    def _index(self, address: int) -> int:
        if self.bits == 32:
            return bisect_right(self.starts, address) - 1
        high, low = address >> 64, address & _LOW
        end = bisect_right(self.starts, high)
        begin = bisect_left(self.starts, high, 0, end)
        return bisect_right(self.lows, low, begin, end) - 1

    def _scope(self, at: int, address: int) -> int:
        differing = self.bits
        if at:
            differing = (address ^ (self.start(at) - 1)).bit_length() - 1
        if at + 1 < len(self.values):
            after = (address ^ self.start(at + 1)).bit_length() - 1
            differing = min(differing, after)
        return self.bits - differing

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (start, value) of each run."""
        if self.bits == 128:
            pairs = zip(self.starts, self.lows, self.values, strict=True)
            return ((high << 64 | low, value) for high, low, value in pairs)
        return zip(self.starts, self.values, strict=True)

    def addresses(self, value: int) -> int:
        """Return how many addresses have *value*."""
        owned = (at for at, found in enumerate(self.values) if found == value)
        return sum(self.start(at + 1) - self.start(at) for at in owned)

    def map(self, value_of: Callable[[int], int]) -> Runs:
        """Return these runs with each value replaced; neighbours that become equal merge.

        *value_of* is asked once for each distinct value.
        """
        known: dict[int, int] = {}
        out = Runs(self.bits)
        for start, value in self:
            new = known.get(value)
            if new is None:
                new = known[value] = value_of(value)
            out.append(start, new)
        return out


def uniform(bits: int, value: int) -> Runs:
    """Return the one run that gives all addresses *value*."""
    runs = Runs(bits)
    runs.append(0, value)
    return runs


# As `overlay` below, by whatever code.
Overlay = Callable[[Runs, Runs, Combine], Runs]


def overlay(one: Runs, other: Runs, combine: Combine) -> Runs:
    """Return the runs in which both are uniform, with *combine* of their values.

    *combine* is asked once for each distinct pair.
    """
    if len(other) == 1:
        return one.map(lambda value: combine(value, other.values[0]))
    if len(one) == 1:
        return other.map(lambda value: combine(one.values[0], value))
    known: dict[tuple[int, int], int] = {}
    out = Runs(one.bits)
    for start, a, b in _together(one, other):
        value = known.get((a, b))
        if value is None:
            value = known[a, b] = combine(a, b)
        out.append(start, value)
    return out


def _together(one: Runs, other: Runs) -> Iterator[tuple[int, int, int]]:
    """Yield (start, value in one, value in the other) wherever either begins a run."""
    end = (1 << one.bits, 0)
    ones, others = iter(one), iter(other)
    (start, a), (_, b) = next(ones), next(others)
    next_one, next_other = next(ones, end), next(others, end)
    while start < end[0]:
        yield start, a, b
        start = min(next_one[0], next_other[0])
        if next_one[0] == start:
            a, next_one = next_one[1], next(ones, end)
        if next_other[0] == start:
            b, next_other = next_other[1], next(others, end)


def from_prefixes(bits: int, prefixes: Iterable[tuple[int, int, int]]) -> Runs:
    """Return the runs of nested *prefixes* (start, length, value); 0 where none covers.

    The longest prefix that covers an address gives it its value; of two equal ones the
    last.
    """
    ordered = sorted({(start, length): value for start, length, value in prefixes}.items())
    out = Runs(bits)
    edges: dict[int, int] = {0: 0}
    covering: list[tuple[int, int]] = []  # (end, value) of the prefixes we are inside of
    for (start, length), value in ordered:
        while covering and covering[-1][0] <= start:
            _close(edges, covering)
        edges[start] = value
        covering.append((start + (1 << (bits - length)), value))
    while covering:
        _close(edges, covering)
    for start, value in edges.items():
        if start < 1 << bits:
            out.append(start, value)
    return out


def _close(edges: dict[int, int], covering: list[tuple[int, int]]) -> None:
    end, _ = covering.pop()
    edges[end] = covering[-1][1] if covering else 0
