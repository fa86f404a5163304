"""Measured latencies: a CSV file with the header ``client,region,ms``.

A client is a prefix, a country's code, ``AS64500`` or ``*``.  Each bad row is complained of
at its own line, up to COMPLAINTS_MAX of them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from gslb.config.addresses import network
from gslb.config.known import Known
from gslb.config.nodes import At, Node, Sheet, shown
from gslb.config.scalars import ScalarError, asn, country
from gslb.config.yamlfile import decode, read_bytes
from gslb.model import Network

HEADER = ["client", "region", "ms"]
ROWS_MAX = 1_000_000
COMPLAINTS_MAX = 100
MS_MAX = 60_000

Client = Network | str | int


def read(
    path: Path, sheet: Sheet, known: Known, *, rows_max: int = ROWS_MAX
) -> tuple[tuple[Client, str, float], ...]:
    """Return client, region and milliseconds of each row; complaints go to *sheet*.

    Raises UnreadableError, with problem and hint if the file cannot be opened.
    """
    text = decode(read_bytes(path), sheet)
    measured: dict[tuple[Client, str], float] = {}
    rows = _rows(text, sheet)
    first = next(rows, None)
    if first is None or [field.strip() for field in first[1]] != HEADER:
        sheet.wrong(1, 1, "does not start with the header", f"write {','.join(HEADER)}")
        return ()
    for line, fields in rows:
        if len(sheet.complaints) >= COMPLAINTS_MAX or len(measured) >= rows_max:
            sheet.wrong(line, 1, "is not read from here on", "mend or shorten what is above")
            break
        _read_row(line, fields, measured, sheet, known)
    return tuple((client, region, ms) for (client, region), ms in measured.items())


def _read_row(
    line: int,
    fields: list[str],
    measured: dict[tuple[Client, str], float],
    sheet: Sheet,
    known: Known,
) -> None:
    if len(fields) != len(HEADER):
        problem = f"has {len(fields)} fields, not {len(HEADER)}"
        sheet.wrong(line, 1, problem, f"write {','.join(HEADER)}")
        return
    columns = [1, len(fields[0]) + 2, len(fields[0]) + len(fields[1]) + 3]
    places = [
        At(sheet, Node(None, line, column), key)
        for column, key in zip(columns, HEADER, strict=True)
    ]
    client, ms = _client(fields[0].strip(), places[0]), _ms(fields[2].strip(), places[2])
    region = fields[1].strip()
    if not known.check_region(region, places[1]) or client is None or ms is None:
        return
    if (client, region) in measured:
        problem = f"{shown(fields[0])} and {shown(region)} have been measured above"
        places[0].wrong(problem, "keep one row")
    measured[client, region] = ms


def _client(text: str, at: At) -> Client | None:
    try:
        if text == "*":
            return text
        if "/" in text or ":" in text or "." in text:
            return network(text)
        return asn(text) if text[:2].upper() == "AS" and len(text) > 2 else country(text)
    except ScalarError as error:
        hint = f"{error.hint}; a client is a prefix, a country's code, AS64500 or *"
        at.wrong(error.problem, hint)
        return None


def _ms(text: str, at: At) -> float | None:
    try:
        ms = float(text)
    except ValueError:
        ms = math.nan
    if not 0 <= ms <= MS_MAX:
        hint = f"write milliseconds from 0 to {MS_MAX}, such as 12.5"
        at.wrong(f"{shown(text)} is not a number of milliseconds", hint)
        return None
    return ms


def _rows(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, with their lines."""
    reader = csv.reader(text.splitlines(), strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            sheet.wrong(reader.line_num, 1, f"is not CSV: {error}", "close every quote")
            return
        if fields is None:
            return
        if any(field.strip() for field in fields):
            yield reader.line_num, fields
