"""Operators' words as a table of registers that nodes merge: of each key, the last writer wins.

A register is a value, or None where it was taken back, with a *stamp*: milliseconds since 1970
and the author's name.  A node's next stamp is beyond its clock and beyond all that it has seen, so
what an operator says after having seen another word wins over it, even where the clock of
one of the two nodes is wrong or was put back.  Of two that nobody saw together the later wins by
the authors' clocks; of equal stamps the larger text does, so that all nodes keep the same.

Merging is commutative, associative and idempotent: it does not matter in which order, how often
or by which way tables come.  What was taken back is kept for `KEEP_S`, and so is what ran out:
a node that was away for longer than that may bring back what it last knew.

`until_s` is by the author's clock: where clocks are 10 s apart, a word ends on one node 10 s before
it does on the other.  Whatever that comes to, it comes to the same in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gslb.health.belief import Forced, Word, forced_at

FORCED_MAX = 10_000  # words that hold at once
REGISTERS_MAX = 20_000  # with those taken back or run out within `KEEP_S`
KEEP_S = 86_400.0
AHEAD_MAX_S = 60.0  # a stamp further ahead would win over all that is said until then
TIME_MAX_S = 253_402_300_799.0  # the end of the year 9999, the last that can be shown
TEXT_MAX = 500
_TIME_MAX_MS = int(TIME_MAX_S) * 1000

# Whom a word is about: an address or a region as `region_key` has it, and a service's name or "".
ForcedKey = tuple[str, str]

_REGION = "region:"


def region_key(region: str) -> str:
    """Return what stands for a region where else an address stands."""
    return _REGION + region


def region_of(address: str) -> str | None:
    """Return the region that a key's first part names; None for a member's address."""
    return address.removeprefix(_REGION) if address.startswith(_REGION) else None


@dataclass(frozen=True, slots=True)
class Register:
    """What was last said of one key: by whom and when (`time_ms`, `node`), None: taken back."""

    time_ms: int
    node: str
    value: Forced | None

    def outlives(self, other: Register) -> bool:
        """Return whether this is the one to keep of the two."""
        return self._rank() > other._rank()

    def _rank(self) -> tuple[int, str, str]:
        return self.time_ms, self.node, repr(self.value)

    def counts(self, now_s: float) -> bool:
        """Return whether it is to be kept: neither over for long nor said far in the future."""
        if self.time_ms / 1000 > now_s + AHEAD_MAX_S:
            return False
        if self.value is not None and self.value.until_s is None:
            return True
        until_s = 0.0 if self.value is None else self.value.until_s or 0.0
        return now_s < max(until_s, self.time_ms / 1000) + KEEP_S


Registers = Mapping[ForcedKey, Register]


def merged(known: Registers, other: Registers, now_s: float) -> dict[ForcedKey, Register]:
    """Return what is to be kept of two tables; the newest `REGISTERS_MAX` where there are more."""
    out = {key: register for key, register in known.items() if register.counts(now_s)}
    for key, register in other.items():
        held = out.get(key)
        if register.counts(now_s) and (held is None or register.outlives(held)):
            out[key] = register
    if len(out) > REGISTERS_MAX:
        by_age = sorted(out.items(), key=lambda item: (item[1]._rank(), item[0]), reverse=True)
        out = dict(by_age[:REGISTERS_MAX])
    return out


class Words:
    """One node's table: `holding` are the words that hold, by key; it changes in place."""

    def __init__(self, node: str, known: Registers, now_s: float) -> None:
        self._node = node
        self._registers = merged({}, known, now_s)
        self._newest_ms = max((each.time_ms for each in self._registers.values()), default=0)
        self.holding: dict[ForcedKey, Forced] = {
            key: each.value for key, each in self._registers.items() if each.value is not None
        }

    @property
    def registers(self) -> Registers:
        """Everything that is kept, what was taken back included."""
        return self._registers

    @property
    def is_full(self) -> bool:
        """Whether so much holds, or was said lately, that nothing more may be said."""
        return len(self.holding) >= FORCED_MAX or len(self._registers) >= REGISTERS_MAX

    def say(self, key: ForcedKey, value: Forced | None, now_s: float) -> Register:
        """Let *value* be the last word on *key*, as this node's own; None takes back."""
        self._newest_ms = max(int(now_s * 1000), self._newest_ms + 1)
        register = self._registers[key] = Register(self._newest_ms, self._node, value)
        self._hold(key, value)
        return register

    def merge(self, other: Registers, now_s: float) -> dict[ForcedKey, Register]:
        """Take in another node's table; return what is new here, by key."""
        before, self._registers = self._registers, merged(self._registers, other, now_s)
        self._newest_ms = max((each.time_ms for each in self._registers.values()), default=0)
        news = {k: each for k, each in self._registers.items() if before.get(k) != each}
        for key in before.keys() - self._registers.keys():
            self._hold(key, None)
        for key, register in news.items():
            value = register.value
            self._hold(key, None if forced_at(value, now_s) is None else value)
        return news

    def run_out(self, now_s: float) -> dict[ForcedKey, Register]:
        """Let go of the words whose time is over; return them."""
        over = [key for key, word in self.holding.items() if forced_at(word, now_s) is None]
        for key in over:
            del self.holding[key]
        return {key: self._registers[key] for key in over}

    def forget(self, now_s: float) -> None:
        """Forget what was taken back or ran out long ago."""
        self._registers = merged(self._registers, {}, now_s)

    def _hold(self, key: ForcedKey, value: Forced | None) -> None:
        if value is None:
            self.holding.pop(key, None)
        else:
            self.holding[key] = value


def encode(registers: Registers) -> list[list[object]]:
    """Return a table as plain values ready for JSON, in one order for one table."""
    return [
        [*key, each.time_ms, each.node, None if each.value is None else _plain(each.value)]
        for key, each in sorted(registers.items())
    ]


def _plain(forced: Forced) -> list[object]:
    return [
        forced.word.value,
        forced.until_s,
        forced.reason,
        forced.by,
        forced.from_s,
        forced.over_s,
    ]


def decode(rows: object) -> dict[ForcedKey, Register]:
    """Return the table that `encode` made plain values of; raises ValueError for all else."""
    if not isinstance(rows, list) or len(rows) > REGISTERS_MAX:
        raise ValueError(f"the words are no list of at most {REGISTERS_MAX}")
    table = dict(map(_row, rows))
    if len(table) != len(rows):
        raise ValueError("of one key there are two words")
    return table


def _row(row: object) -> tuple[ForcedKey, Register]:
    match row:
        case [address, service, time_ms, node, None]:
            value = None
        case [address, service, time_ms, node, [word, until_s, reason, by, from_s, over_s]]:
            value = Forced(
                Word(word),
                None if until_s is None else time_s(until_s),
                text(reason),
                text(by),
                time_s(from_s),
                time_s(over_s),
            )
        case _:
            raise ValueError("a word is an address, a service, a time, a node and what was said")
    if type(time_ms) is not int or not 0 <= time_ms <= _TIME_MAX_MS:
        raise ValueError("a word's stamp is no time in milliseconds")
    return (text(address), text(service)), Register(time_ms, text(node), value)


def text(value: object) -> str:
    """Return *value* if it is a text of at most `TEXT_MAX` printable letters; raises ValueError."""
    if not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable():
        raise ValueError(f"a text is not one of at most {TEXT_MAX} printable letters")
    return value


def time_s(value: object) -> float:
    """Return *value* as seconds since 1970, or as a span; raises ValueError."""
    if type(value) not in (int, float) or not isinstance(value, int | float):
        raise ValueError("a time is no number")
    if not 0 <= value <= TIME_MAX_S:  # which holds of no NaN, and compares any whole number
        raise ValueError(f"a time is not from 0 to {TIME_MAX_S:g}")
    return float(value)


def names(values: object, count_max: int) -> tuple[str, ...]:
    """Return *values* if they are a list of texts; raises ValueError."""
    if not isinstance(values, list) or len(values) > count_max:
        raise ValueError(f"names are no list of at most {count_max}")
    return tuple(map(text, values))


def unstamped(forced: Iterable[tuple[ForcedKey, Forced]]) -> dict[ForcedKey, Register]:
    """Return words that were kept without stamps as registers over which any stamped one wins."""
    return {key: Register(0, "", word) for key, word in forced}
