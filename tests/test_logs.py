"""Log lines: how they look, and that nobody waits for whoever reads them."""

from __future__ import annotations

import logging
import os
from io import StringIO

import pytest

from gslb.daemons.logs import LINES_WAITING_MAX, FieldsFormatter, LineHandler


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("gslb", logging.INFO, "here", 1, message, (), None)
    made.fields = fields
    return made


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("refused", "refused"),
        (3, "3"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("two\nlines", r'"two\nlines"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("a\rb", r'"a\rb"'),
        ("a\u2028b", r'"a\u2028b"'),
    ],
)
def test_a_value_can_neither_end_its_line_nor_pass_for_another_field(value, shown):
    line = FieldsFormatter().format(record("forced", reason=value))

    assert line.endswith(f"Z info    forced reason={shown}")


def test_lines_are_written_in_their_order_and_the_last_ones_at_the_end():
    stream = StringIO()
    handler = LineHandler(stream)
    for number in range(100):
        handler.emit(record(f"line {number}"))
    handler.close()

    assert stream.getvalue() == "".join(f"line {number}\n" for number in range(100))


def test_a_reader_that_stops_reading_stops_nothing_and_is_told_what_it_lost():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        handler = LineHandler(stream)
        for number in range(2 * LINES_WAITING_MAX):
            handler.emit(record(f"line {number}"))
        # All of them would not fit into the pipe and the queue; nobody has read one.
        for number in range(LINES_WAITING_MAX):
            assert reader.readline() == f"line {number}\n"
        handler.emit(record("after"))
        rest = [reader.readline()]
        while rest[-1] != "after\n":
            rest.append(reader.readline())
        handler.close()

    told = [line for line in rest if "lines lost" in line]
    lost = sum(int(line.strip("(").split()[0]) for line in told)
    written = LINES_WAITING_MAX + len(rest) - len(told) - 1  # without "after"
    assert lost
    assert written + lost == 2 * LINES_WAITING_MAX


def test_a_reader_that_has_gone_away_stops_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    handler = LineHandler(stream)
    for number in range(100):
        handler.emit(record(f"line {number}"))
    handler.close()

    with pytest.raises(BrokenPipeError):
        stream.close()
