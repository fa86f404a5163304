"""Reports: one vantage's whole table, numbered and authenticated.

A report is sent whole every interval, changed or not, and says nothing by being late: the
newest of each vantage is all that counts, so lost, doubled and reordered ones are
harmless.  Its number is (epoch, sequence); the epoch is the time in ms at which the vantage
started, so that a restarted vantage is newer than it was.

On the wire: a line ``gslb-report-1 VANTAGE MAC``, and compact JSON.  The MAC is hexadecimal
HMAC-SHA256 under that vantage's key, over the line without its MAC and the JSON; nothing
is parsed before it holds.  A report sent further than `SKEW_MAX_S` from now is refused: that
ends a recorded one's life, also on a node that just started and remembers none.

Times are the vantage's own clock's; `votes_on` moves them to the hearer's.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from math import isfinite
from types import MappingProxyType
from typing import cast

from gslb.errors import ReportError
from gslb.health.quorum import Vote
from gslb.health.verdict import Record, Verdict
from gslb.model import PORT_MAX, Subject

REPORT_MAX_BYTES = 8_388_608
SKEW_MAX_S = 30.0
REPORT_GAP_S = 0.25  # between two reports that flips send off; those in between go together
VANTAGE_MAX = 64
TEXT_MAX = 255
NUMBER_MAX = 2**63 - 1

_MAGIC = b"gslb-report-1"
_ROW_LENGTH = 8
_NAME_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


@dataclass(frozen=True, slots=True)
class Line:
    """What a vantage says of one subject, by its own clock."""

    verdict: Verdict
    reason: str = ""
    since_s: float = 0.0
    flips_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One vantage's whole table; `heard_at_s` is when it was decoded, by the hearer's clock."""

    vantage: str
    number: tuple[int, int]
    sent_at_s: float
    table: Mapping[Subject, Line]
    heard_at_s: float = 0.0


def table_of(records: Mapping[Subject, Record]) -> Mapping[Subject, Line]:
    """Return what a vantage reports of its records."""
    return {
        subject: Line(record.verdict, record.reason, record.since_s, record.flips_at_s)
        for subject, record in records.items()
    }


def votes_on(subject: Subject, reports: Iterable[Report], *, now_s: float) -> tuple[Vote, ...]:
    """Return the vote of each vantage whose report speaks of *subject*."""
    return tuple(
        Vote(
            vantage=report.vantage,
            verdict=line.verdict,
            age_s=max(0.0, now_s - report.heard_at_s),
            reason=line.reason,
            flips_at_s=None
            if line.flips_at_s is None
            else line.flips_at_s + (report.heard_at_s - report.sent_at_s),
        )
        for report in reports
        if (line := report.table.get(subject)) is not None
    )


def newest(have: Mapping[str, Report], report: Report) -> Mapping[str, Report]:
    """Return *have* with *report* in its vantage's place if it is newer, else *have* itself.

    A vantage whose clock was put back before a restart has a lower epoch for ever; it is
    believed once it sends from a time when what is held could no longer be accepted.
    """
    held = have.get(report.vantage)
    if held is not None and report.number <= held.number:
        # When one sent so much later is accepted, the held one is too old to be accepted
        # again, so it cannot be played back in its turn.
        outlived = report.sent_at_s - held.sent_at_s > 2 * SKEW_MAX_S
        if not outlived:
            return have
    return MappingProxyType({**have, report.vantage: report})


def encode(report: Report, key: bytes) -> bytes:
    """Return the report as bytes under *key*; ReportError if it is too large to be accepted."""
    if not _is_name(report.vantage):
        raise ReportError(
            f"vantage {report.vantage[:VANTAGE_MAX]!r} needs 1 to {VANTAGE_MAX} letters, digits,"
            " '-', '.' or '_'"
        )
    document = {
        "number": list(report.number),
        "sent_at_s": report.sent_at_s,
        "table": [
            [
                subject.address,
                *subject.target,
                subject.monitor,
                subject.host,
                [line.verdict.value, line.reason],
                line.since_s,
                line.flips_at_s,
            ]
            for subject, line in report.table.items()
        ],
    }
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    vantage = report.vantage.encode()
    raw = b"%b %b %b\n%b" % (_MAGIC, vantage, _mac(key, vantage, body), body)
    if len(raw) > REPORT_MAX_BYTES:
        raise ReportError(f"{len(raw)} bytes; a report has at most {REPORT_MAX_BYTES}")
    return raw


def decode(raw: bytes, keys: Mapping[str, bytes], *, now_s: float) -> Report:
    """Return the report in *raw*, heard now; ReportError unless all of it is right.

    *keys* are those of the vantages that may vote, by name.
    """
    if len(raw) > REPORT_MAX_BYTES:
        raise ReportError(f"{len(raw)} bytes; a report has at most {REPORT_MAX_BYTES}")
    head, _, body = raw.partition(b"\n")
    match head.split(b" "):
        case [magic, name, mac] if magic == _MAGIC:
            vantage = name.decode("ascii", "replace")
        case _:
            raise ReportError("this is no report: it does not begin with 'gslb-report-1'")
    if not _is_name(vantage) or vantage not in keys:
        raise ReportError(f"vantage {vantage[:VANTAGE_MAX]!r} is unknown; list it in `vantages`")
    if not hmac.compare_digest(mac, _mac(keys[vantage], name, body)):
        raise ReportError(f"vantage {vantage!r}: the MAC is wrong; do both sides hold one key?")
    try:
        report = _parse(vantage, body)
    except (ValueError, OverflowError, RecursionError) as problem:
        raise ReportError(f"vantage {vantage!r}: {problem}") from None
    skew_s = report.sent_at_s - now_s
    if abs(skew_s) > SKEW_MAX_S:
        word = "ahead" if skew_s > 0 else "behind, or the report is an old one"
        raise ReportError(
            f"vantage {vantage!r}: its clock is {abs(skew_s):.1f} s {word};"
            f" at most {SKEW_MAX_S:g} s are allowed: set both clocks by NTP"
        )
    return replace(report, heard_at_s=now_s)


def _mac(key: bytes, vantage: bytes, body: bytes) -> bytes:
    assert key, "an empty key authenticates nobody"
    signed = b"%b %b\n%b" % (_MAGIC, vantage, body)
    return hmac.new(key, signed, sha256).hexdigest().encode()


def _is_name(text: str) -> bool:
    return 0 < len(text) <= VANTAGE_MAX and _NAME_LETTERS.issuperset(text)


def _parse(vantage: str, body: bytes) -> Report:
    match json.loads(body):
        case {"number": [epoch, sequence], "sent_at_s": sent_at_s, "table": [*rows]}:
            number = (_whole(epoch, NUMBER_MAX), _whole(sequence, NUMBER_MAX))
        case _:
            raise ValueError("a report is {number: [epoch, sequence], sent_at_s, table: […]}")
    table = dict(map(_row, rows))
    if len(table) != len(rows):
        raise ValueError("a subject is in the table twice")
    return Report(vantage, number, _time(sent_at_s), MappingProxyType(table))


def _row(row: object) -> tuple[Subject, Line]:
    match row:
        case [address, host, port, monitor, name, [verdict, reason], since_s, flips_at_s]:
            subject = Subject(
                _text(address),
                (_text(host), _whole(port, PORT_MAX)),
                _text(monitor),
                _text(name),
            )
            flips = None if flips_at_s is None else _time(flips_at_s)
            return subject, Line(Verdict(verdict), _text(reason), _time(since_s), flips)
        case _:
            raise ValueError(f"a row of the table has {_ROW_LENGTH} values")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable():
        raise ValueError(f"a text is not one of at most {TEXT_MAX} printable letters")
    return value


def _whole(value: object, value_max: int) -> int:
    if type(value) is not int or not 0 <= value <= value_max:
        raise ValueError(f"a number is not a whole one from 0 to {value_max}")
    return value


def _time(value: object) -> float:
    if type(value) not in (int, float) or not isfinite(seconds := float(cast(float, value))):
        raise ValueError("a time is not a finite number of seconds")
    return seconds
