"""Ejection: who is left out for a while because of what real requests met there.

Each target is a circuit of its own:

    closed ──(errors in a row, connect errors in a row, or much slower than the others)──► ejected
    ejected ──(its time is over)──► trial ──(a failure)──► ejected, for twice as long
                                      └────(a success)───► closed

The first time is `base_s`, and each further one twice the last, up to `max_s`.  For every `max_s`
that a target has been back, one doubling is forgotten.

Never are more than `most_percent` of the pool out, and one always stays: when all fail alike it is
mostly not their fault, and with everybody gone there would be nobody to find that out with.  The
pool is those who could be given requests otherwise; whoever keeps it says when it changes.

Outcomes of requests that were under way when their target was ejected count for nothing.  While
nobody fails, and slowness is not watched, a success costs one look-up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from gslb.proxy.slowness import Slowness
from gslb.tier import Ejection

_FOREVER_S = float("inf")
_DOUBLINGS_MAX = 32  # what is doubled more often is above any `max_s`


class Outcome(Enum):
    """What became of one request at a target."""

    OK = "ok"
    SERVER_ERROR = "server_error"  # a status of 500 or more
    CONNECT_ERROR = "connect_error"  # nothing was sent
    TIMEOUT = "timeout"  # no response in time, or the connection was lost


class Phase(Enum):
    """Where a circuit stands; the value is what is shown."""

    CLOSED = "closed"
    EJECTED = "ejected"
    TRIAL = "trial"


@dataclass(slots=True)
class Circuit:
    """What is known of one target.

    `failures` and `connect_errors` are how many came in a row; `times` how often it was ejected,
    as far as that is remembered; `until_s` when its last ejection ends or ended, and `why` it was.
    `forget_s` is when one of `times` is forgotten.
    """

    phase: Phase = Phase.CLOSED
    failures: int = 0
    connect_errors: int = 0
    times: int = 0
    until_s: float | None = None
    forget_s: float = _FOREVER_S
    why: str | None = None


class Ejector:
    """The circuits of one pool: the targets of these *names*.

    Times are seconds by a clock that never goes back.
    """

    __slots__ = ("_circuits", "_names", "_out", "_rules", "_slowness", "_trials", "until_s")

    def __init__(self, rules: Ejection, names: Collection[str]) -> None:
        self._rules = rules
        self._names = frozenset(names)
        self._slowness = None if rules.slow_factor is None else Slowness(rules.slow_factor)
        self._circuits: dict[str, Circuit] = {}  # of those that failed lately; others are closed
        self._out: frozenset[str] = frozenset()
        self._trials: frozenset[str] = frozenset()
        self.until_s = _FOREVER_S  # when the next one is back

    def observe(self, name: str, outcome: Outcome, elapsed_s: float, now_s: float) -> bool:
        """Take in one outcome; return whether anybody is now ejected, on trial or back from it.

        *elapsed_s* is the time until the response began, or until there was no hope for it.
        """
        slowness = self._slowness
        if slowness is None and outcome is Outcome.OK and name not in self._circuits:
            return False
        changed = self._return_those_due(now_s)
        if name not in self._names:
            return changed
        if slowness is not None and outcome is not Outcome.CONNECT_ERROR and name not in self._out:
            for slow, why in slowness.observe(name, elapsed_s, now_s):
                changed |= self._eject(slow, why, now_s)
        if outcome is Outcome.OK:
            return self._succeeded(name, now_s) or changed
        return self._failed(name, outcome, now_s) or changed

    @property
    def is_watching(self) -> bool:
        """Whether a success is of interest: somebody failed lately, or slowness is watched."""
        return self._slowness is not None or bool(self._circuits)

    def ejected(self, now_s: float) -> frozenset[str]:
        """Return who is left out at *now_s*."""
        if now_s >= self.until_s:
            self._return_those_due(now_s)
        return self._out

    def trials(self, now_s: float) -> frozenset[str]:
        """Return who is back, and has not yet shown that it works: one failure ejects it again."""
        if now_s >= self.until_s:
            self._return_those_due(now_s)
        return self._trials

    def state(self, now_s: float) -> Mapping[str, Circuit]:
        """Return the circuits of all of the pool, to be shown."""
        self._return_those_due(now_s)
        known = self._circuits
        return {
            name: replace(known[name]) if name in known else Circuit()
            for name in sorted(self._names)
        }

    def keep(self, names: Collection[str], now_s: float) -> bool:
        """Make *names* the pool; return whether anybody is back, since fewer may be out of fewer.

        Of those who are gone nothing is remembered.
        """
        self._names = frozenset(names)
        self._circuits = {
            name: each for name, each in self._circuits.items() if name in self._names
        }
        out = [each for each in self._circuits.values() if each.phase is Phase.EJECTED]
        out.sort(key=_end_s)
        too_many = max(len(out) - self._room(), 0)
        for each in out[:too_many]:
            each.until_s = now_s
        self._note_who_is_out()
        return self._return_those_due(now_s)

    def _succeeded(self, name: str, now_s: float) -> bool:
        circuit = self._circuits.get(name)
        if circuit is None or circuit.phase is Phase.EJECTED:
            return False
        was = circuit.phase
        circuit.phase = Phase.CLOSED
        circuit.failures = circuit.connect_errors = 0
        _forget(circuit, self._rules.max_s, now_s)
        if not circuit.times:
            del self._circuits[name]
        if was is Phase.CLOSED:
            return False
        self._note_who_is_out()
        return True

    def _failed(self, name: str, outcome: Outcome, now_s: float) -> bool:
        circuit = self._circuits.setdefault(name, Circuit())
        if circuit.phase is Phase.EJECTED:
            return False
        circuit.failures += 1
        if outcome is Outcome.CONNECT_ERROR:
            circuit.connect_errors += 1
        else:
            circuit.connect_errors = 0
        rules = self._rules
        if circuit.phase is Phase.TRIAL:
            return self._eject(name, f"{outcome.value} on trial", now_s)
        if rules.connect_errors and circuit.connect_errors >= rules.connect_errors:
            why = f"{circuit.connect_errors} connect errors in a row"
            return self._eject(name, why, now_s)
        if rules.errors and circuit.failures >= rules.errors:
            return self._eject(name, f"{circuit.failures} failures in a row", now_s)
        return False

    def _eject(self, name: str, why: str, now_s: float) -> bool:
        """Eject *name*, unless as many are out as may be."""
        if name in self._out or name not in self._names or len(self._out) >= self._room():
            return False
        circuit = self._circuits.setdefault(name, Circuit())
        rules = self._rules
        _forget(circuit, rules.max_s, now_s)
        doublings = min(circuit.times, _DOUBLINGS_MAX)
        circuit.phase = Phase.EJECTED
        circuit.until_s = now_s + min(rules.base_s * 2**doublings, rules.max_s)
        circuit.forget_s = circuit.until_s + rules.max_s
        circuit.times += 1
        circuit.why = why
        self._note_who_is_out()
        return True

    def _room(self) -> int:
        """Return how many may be out at a time."""
        count = len(self._names)
        return max(min(count * self._rules.most_percent // 100, count - 1), 0)

    def _return_those_due(self, now_s: float) -> bool:
        if now_s < self.until_s:
            return False
        for each in self._circuits.values():
            if each.phase is Phase.EJECTED and _end_s(each) <= now_s:
                each.phase = Phase.TRIAL
        self._note_who_is_out()
        return True

    def _note_who_is_out(self) -> None:
        out = {n: each for n, each in self._circuits.items() if each.phase is Phase.EJECTED}
        self._out = frozenset(out)
        self._trials = frozenset(
            name for name, each in self._circuits.items() if each.phase is Phase.TRIAL
        )
        self.until_s = min(map(_end_s, out.values()), default=_FOREVER_S)


def _end_s(circuit: Circuit) -> float:
    assert circuit.until_s is not None, "an ejection has an end"
    return circuit.until_s


def _forget(circuit: Circuit, after_s: float, now_s: float) -> None:
    """Forget one ejection for each *after_s* since the last one was over."""
    while circuit.times and now_s >= circuit.forget_s:
        circuit.times -= 1
        circuit.forget_s += after_s
