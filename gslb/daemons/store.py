"""What must outlive a restart: verdicts, operators' words, and the generation.

One JSON file in `state_dir`, replaced whole: written beside, flushed, renamed over.  A
reader therefore sees the old one or the new one.  One that cannot be read is told of and
set aside, never trusted in part and never overwritten unseen.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from gslb.health import words
from gslb.health.belief import Forced, Word
from gslb.health.verdict import Record, Verdict
from gslb.health.words import ForcedKey, Registers
from gslb.model import Subject

log = logging.getLogger("gslb.state")

VERSION = 1
FILE = "state.json"

GENERATION_MAX = 1 << 62
TIME_MAX_S = 253_402_300_799.0  # the end of the year 9999, the last that can be shown

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is kept; times are seconds since 1970."""

    generation: int = 0
    records: Mapping[Subject, Record] = field(default_factory=dict)
    words: Registers = field(default_factory=dict)


def write_whole(path: Path, octets: bytes, *, mode: int | None = None) -> None:
    """Replace *path* by a file with these octets, at once or not at all; raises OSError.

    *mode* are its permissions, which it has before anything is in it; default: as usual.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def save(folder: Path, state: State) -> None:
    """Write *state* to *folder*; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, encode(state))


class Keeper:
    """Writes states in the order in which they were made, whichever thread comes first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made = 0
        self._written = 0

    def writing(self, folder: Path, state: State) -> Callable[[], OSError | None]:
        """Return what writes *state* to *folder*, in any thread; it returns what was in the way."""
        self._made += 1
        return partial(self._write, folder, state, self._made)

    def _write(self, folder: Path, state: State, number: int) -> OSError | None:
        with self._lock:
            if number < self._written:
                return None
            try:
                save(folder, state)
            except OSError as error:
                return error
            self._written = number
            return None


def load(folder: Path) -> State | None:
    """Return the state in *folder*; None when there is none, or none that can be read."""
    path = folder / FILE
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("cannot read %s, starting without it: %s", path, error)
    except _UNREADABLE as error:
        aside = path.with_suffix(".unreadable")
        log.warning("cannot read %s, starting without it; it is now %s: %r", path, aside, error)
        with suppress(OSError):
            path.replace(aside)
    return None


def encode(state: State) -> bytes:
    """Return *state* as JSON."""
    records = [
        {
            "address": subject.address,
            "target": list(subject.target),
            "monitor": subject.monitor,
            "host": subject.host,
            "verdict": record.verdict.value,
            "reason": record.reason,
            "since_s": record.since_s,
            "risen_at_s": record.risen_at_s,
        }
        for subject, record in state.records.items()
        if record.verdict is not Verdict.UNKNOWN
    ]
    # Each by itself: no step is so long that other threads would notice, with however many.
    lines: Mapping[str, Iterable[object]] = {"records": records, "words": words.encode(state.words)}
    shown = [f'"{key}": [\n{_lines(each)}]' for key, each in lines.items()]
    head = f'"version": {VERSION},\n"generation": {state.generation}'
    return ("{\n" + ",\n".join((head, *shown)) + "\n}\n").encode()


def _lines(values: Iterable[object]) -> str:
    return ",\n".join(map(json.dumps, values))


def decode(octets: bytes) -> State:
    """Return the state that *octets* hold; raises what `_UNREADABLE` lists."""
    whole = json.loads(octets)
    if whole["version"] != VERSION:
        raise ValueError(f"version {whole['version']} is not {VERSION}")
    records = {}
    for each in whole["records"]:
        host, port = each["target"]
        subject = Subject(each["address"], (str(host), int(port)), each["monitor"], each["host"])
        records[subject] = Record(
            verdict=Verdict(each["verdict"]),
            reason=str(each["reason"]),
            since_s=_time_s(each["since_s"]),
            risen_at_s=None if each["risen_at_s"] is None else _time_s(each["risen_at_s"]),
        )
    said = words.unstamped(_unstamped(whole.get("forced", ())))
    said.update(words.decode(whole.get("words", [])))
    generation = int(whole["generation"])
    if not 0 <= generation <= GENERATION_MAX:
        raise ValueError(f"generation {generation} is not in 0..{GENERATION_MAX}")
    return State(generation, records, said)


def _unstamped(rows: Iterable[Mapping[str, object]]) -> Iterator[tuple[ForcedKey, Forced]]:
    """Yield the words in a file from before words had stamps."""
    for each in rows:
        until_s = None if each["until_s"] is None else _time_s(each["until_s"])
        word = Forced(Word(each["word"]), until_s, str(each["reason"]), str(each["by"]))
        yield (str(each["address"]), str(each["service"])), word


def _time_s(value: object) -> float:
    time_s = float(str(value))
    if not 0.0 <= time_s <= TIME_MAX_S:
        raise ValueError(f"{value} is no time")
    return time_s
