"""Reports: one vantage's whole table, numbered and authenticated.

A report is sent whole every interval, changed or not, and says nothing by being late: the
newest of each vantage is all that counts, so lost, doubled and reordered ones are
harmless.  Its number is (epoch, sequence); the epoch is the time in ms at which the vantage
started, so that a restarted vantage is newer than it was.

On the wire: sealed (`gslb.health.sealed`) under the vantage's key, and in it, little-endian,

    u64 epoch, u64 sequence, u64 sent at (us), u8 flags, u32 subjects, u32 octets,
    if the flags say so, a load (`gslb.health.load`),
    so many octets of deflated JSON: [[address, host, port, monitor, host's name], ...], then
    for each subject in that order: u8 verdict, u8 reason, u64 since, u64 flips at (us; 0: none)

The flags are 1, the vantage is cut off, and 2, there is a load.  To a verdict 128 is added where
the subject is suspect: a tier's requests to it fail, whatever probes say.

The subjects are deflated once and parsed once, for as long as they stay; of a line nothing is
unpacked until it is asked for.
So a report is as long, and costs as much to make and to read, whether nothing or all flips.

A report sent further than `SKEW_MAX_S` from now is refused: that ends a recorded one's life,
also on a node that just started and remembers none.  Times are the vantage's own clock's.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from struct import Struct
from types import MappingProxyType

from gslb.errors import ReportError
from gslb.health import load as loads
from gslb.health.load import LOAD_BYTES, Load
from gslb.health.sealed import NAME_MAX, SEALED_MAX_BYTES, inflated, seal, unseal
from gslb.health.verdict import Record, Verdict
from gslb.model import PORT_MAX, Subject

REPORT_MAX_BYTES = SEALED_MAX_BYTES
SUBJECTS_MAX_BYTES = 8_388_608  # of JSON, once it is inflated
SKEW_MAX_S = 30.0
REPORT_GAP_S = 0.25  # between two reports that flips send off; those in between go together
TEXT_MAX = 255
NUMBER_MAX = 2**63 - 1

# A line holds a place in these tuples: append to them, never reorder.
VERDICTS = (Verdict.UNKNOWN, Verdict.UP, Verdict.DOWN)
REASONS = (
    "",
    "ok",
    "refused",
    "unreachable",
    "timeout",
    "reset",
    "dns",
    "tls",
    "protocol",
    "status",
    "body",
    "json",
    "local",
)

_MAGIC = b"gslb-report-2"
_HEAD = Struct("<QQQBII")
_LINE = Struct("<BBQQ")
_LINE_BYTES = _LINE.size
_BLOCK_BYTES = 64 * _LINE_BYTES
_CUT_OFF = 1
_HAS_LOAD = 2
_SUSPECT = 128
_US = 1_000_000
_TIME_MAX_US = 2**63 - 1
_SUBJECT_LENGTH = 5
_VERDICT_NUMBERS = {verdict: number for number, verdict in enumerate(VERDICTS)}
_REASON_NUMBERS = {reason: number for number, reason in enumerate(REASONS)}
_VERDICT_OCTETS = bytes(
    number | suspect for number in range(len(VERDICTS)) for suspect in (0, _SUSPECT)
)
_REASON_OCTETS = bytes(range(len(REASONS)))


@dataclass(frozen=True, slots=True)
class Line:
    """What a vantage says of one subject, by its own clock, to the microsecond."""

    verdict: Verdict
    reason: str = ""
    since_s: float = 0.0
    flips_at_s: float | None = None
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of a table in order, as they travel and as they are looked up."""

    deflated: bytes
    places: Mapping[Subject, int] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """One vantage's whole table; `heard_at_s` is when it was decoded, by the hearer's clock.

    `load` is how busy the tier is for which it speaks, if it says that.
    """

    vantage: str
    number: tuple[int, int]
    sent_at_s: float
    cut_off: bool
    heard_at_s: float
    table: Subjects = field(repr=False)
    lines: bytes = field(repr=False)
    load: Load | None = None

    @property
    def subjects(self) -> Collection[Subject]:
        """The subjects that the report speaks of."""
        return self.table.places.keys()

    def line(self, subject: Subject) -> Line | None:
        """Return what is said of *subject*; None if nothing."""
        place = self.table.places.get(subject)
        if place is None:
            return None
        verdict, reason, since, flips = _LINE.unpack_from(self.lines, place * _LINE_BYTES)
        return Line(
            VERDICTS[verdict & ~_SUSPECT],
            REASONS[reason],
            since / _US,
            None if not flips else flips / _US,
            verdict >= _SUSPECT,
        )

    def differing(self, other: Report) -> Collection[Subject]:
        """Return the subjects of which the two reports do not say the same."""
        if self.table is not other.table and self.table != other.table:
            return {
                subject
                for subject in (*self.subjects, *other.subjects)
                if self.line(subject) != other.line(subject)
            }
        if self.lines == other.lines:
            return ()
        subjects = tuple(self.subjects)
        return [subjects[place] for place in _differing_places(self.lines, other.lines)]


def _differing_places(ours: bytes, theirs: bytes) -> list[int]:
    found = []
    for block in range(0, len(ours), _BLOCK_BYTES):
        if ours[block : block + _BLOCK_BYTES] != theirs[block : block + _BLOCK_BYTES]:
            found += [
                at // _LINE_BYTES
                for at in range(block, min(block + _BLOCK_BYTES, len(ours)), _LINE_BYTES)
                if ours[at : at + _LINE_BYTES] != theirs[at : at + _LINE_BYTES]
            ]
    return found


def accept(held: Report | None, report: Report) -> Report:
    """Return which of a vantage's two reports counts: *report* itself if it is newer.

    A vantage whose clock was put back before a restart has a lower epoch for ever; it is
    believed once it sends from a time when what is held could no longer be accepted.
    """
    if held is None or _supersedes(held, report.number, report.sent_at_s):
        return report
    return held


def _supersedes(held: Report, number: tuple[int, int], sent_at_s: float) -> bool:
    # When one sent so much later is accepted, the held one is too old to be accepted
    # again, so it cannot be played back in its turn.
    return number > held.number or sent_at_s - held.sent_at_s > 2 * SKEW_MAX_S


class Composer:
    """Writes one vantage's reports; remembers the deflated subjects while they stay."""

    def __init__(self, vantage: str, key: bytes) -> None:
        self._vantage = vantage
        self._key = key
        self._subjects: tuple[Subject, ...] = ()
        self._deflated = _deflate(())

    def compose(
        self,
        number: tuple[int, int],
        sent_at_s: float,
        records: Mapping[Subject, Record],
        cut_off: bool,
        load: Load | None = None,
        suspects: Collection[Subject] = (),
    ) -> bytes:
        """Return the report of these records; ReportError if it is too long to be accepted.

        *load* and *suspects* are what a tier knows from its requests.
        """
        if (subjects := tuple(records)) != self._subjects:
            self._subjects, self._deflated = subjects, _deflate(subjects)
        deflated = self._deflated
        flags = (_CUT_OFF if cut_off else 0) | (0 if load is None else _HAS_LOAD)
        head = _HEAD.pack(*number, _us(sent_at_s), flags, len(subjects), len(deflated))
        block = b"" if load is None else loads.encode(load)
        lines = bytearray(b"".join(map(_packed, records.values())))
        if suspects:
            for place, subject in enumerate(subjects):
                if subject in suspects:
                    lines[place * _LINE_BYTES] |= _SUSPECT
        body = b"".join((head, block, deflated, lines))
        return seal(_MAGIC, self._vantage, self._key, body)


def _packed(record: Record) -> bytes:
    flips_at_s = record.flips_at_s
    return _LINE.pack(
        _VERDICT_NUMBERS[record.verdict],
        _REASON_NUMBERS.get(record.reason, 0),
        _us(record.since_s),
        0 if flips_at_s is None else max(1, _us(flips_at_s)),
    )


def _us(time_s: float) -> int:
    return min(max(0, int(time_s * _US)), _TIME_MAX_US)


def _deflate(subjects: Collection[Subject]) -> bytes:
    rows = [[each.address, *each.target, each.monitor, each.host] for each in subjects]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 9)


def decode(
    raw: bytes,
    keys: Mapping[str, bytes],
    *,
    now_s: float,
    last: Mapping[str, Report] = MappingProxyType({}),
) -> Report:
    """Return the report in *raw*, heard now; ReportError unless all of it is right.

    *keys* are those of the vantages that may vote, by name; *last* the reports that are held,
    which this one must be newer than, and whose subjects need not be parsed again.
    """
    vantage, body = unseal(_MAGIC, raw, keys.get)
    try:
        return _parse(vantage, body, now_s, last.get(vantage))
    except (ValueError, RecursionError) as problem:
        raise ReportError(f"vantage {vantage!r}: {problem}") from None


def claimed(raw: bytes) -> str:
    """Return which vantage *raw* says that it is from, whether that is true or not."""
    head = raw[: len(_MAGIC) + 2 + NAME_MAX].split(b" ", 2)
    return head[1].decode("ascii", "replace") if len(head) == 3 else ""


def _parse(vantage: str, body: bytes, now_s: float, held: Report | None) -> Report:
    if len(body) < _HEAD.size:
        raise ValueError(f"{len(body)} bytes after the first line; there are {_HEAD.size} at least")
    epoch, sequence, sent_us, flags, count, size_bytes = _HEAD.unpack_from(body)
    number, sent_at_s = (epoch, sequence), sent_us / _US
    if max(number) > NUMBER_MAX:
        raise ValueError(f"a number is not a whole one from 0 to {NUMBER_MAX}")
    if flags & ~(_CUT_OFF | _HAS_LOAD):
        raise ValueError(f"the flags {flags:#x} are unknown")
    _check_time(vantage, sent_at_s - now_s)
    if held is not None and not _supersedes(held, number, sent_at_s):
        raise ReportError(
            f"vantage {vantage!r}: number {number} is not above {held.number}, which is held",
            "number",
        )
    load, at = None, _HEAD.size
    if flags & _HAS_LOAD:
        at += LOAD_BYTES
        if len(body) < at:
            raise ValueError("it is not as long as it says")
        load = loads.decode(body[_HEAD.size : at])
    deflated = body[at : at + size_bytes]
    lines = body[at + size_bytes :]
    if len(deflated) != size_bytes or len(lines) != count * _LINE_BYTES:
        raise ValueError("it is not as long as it says")
    if lines[::_LINE_BYTES].translate(None, _VERDICT_OCTETS):
        raise ValueError("a verdict is none of those that there are")
    if lines[1::_LINE_BYTES].translate(None, _REASON_OCTETS):
        raise ValueError("a reason is none of those that there are")
    if held is not None and held.table.deflated == deflated:
        table = held.table
    else:
        table = Subjects(deflated, MappingProxyType(_places(deflated)))
    if len(table.places) != count:
        raise ValueError(f"{len(table.places)} subjects where it says {count}, or one twice")
    return Report(vantage, number, sent_at_s, bool(flags & _CUT_OFF), now_s, table, lines, load)


def _check_time(vantage: str, skew_s: float) -> None:
    if abs(skew_s) > SKEW_MAX_S:
        word = "ahead" if skew_s > 0 else "behind, or the report is an old one"
        raise ReportError(
            f"vantage {vantage!r}: its clock is {abs(skew_s):.1f} s {word};"
            f" at most {SKEW_MAX_S:g} s are allowed: set both clocks by NTP",
            "clock" if skew_s > 0 else "stale",
        )


def _places(deflated: bytes) -> dict[Subject, int]:
    match json.loads(inflated(deflated, SUBJECTS_MAX_BYTES)):
        case [*rows]:
            return {_subject(row): place for place, row in enumerate(rows)}
        case _:
            raise ValueError("the subjects are no list")


def _subject(row: object) -> Subject:
    match row:
        case [address, host, port, monitor, name]:
            target = (_text(host), _port(port))
            return Subject(_text(address), target, _text(monitor), _text(name))
        case _:
            raise ValueError(f"a subject has {_SUBJECT_LENGTH} values")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable():
        raise ValueError(f"a text is not one of at most {TEXT_MAX} printable letters")
    return value


def _port(value: object) -> int:
    if type(value) is not int or not 0 <= value <= PORT_MAX:
        raise ValueError(f"a port is not a whole number from 0 to {PORT_MAX}")
    return value
