"""Lines of the access log: valid JSON whatever clients send, with what they sent in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.daemons.tiernative import line_of
from gslb.proxy.accesslog import NAMES_MAX, WORD_MAX, AccessLog, Entry

ENTRY = Entry(
    time_s=1_767_225_599.125,
    client="192.0.2.1",
    method=b"GET",
    host=b"www.example.com",
    path=b"/a?b=c",
    status=200,
    bytes_in=0,
    bytes_out=1024,
    route="api",
    service="www.example.com",
    member="198.51.100.1:80",
    region="eu-west",
    tries=1,
    hop=None,
    duration_ms=1.23456,
    connect_ms=None,
    first_byte_ms=1.2,
    tls="TLSv1.3",
    http="1.1",
    request_id=b"id",
    user_agent=b"curl/8",
    referer=None,
    error=None,
)


class Logs:
    """Shows an entry as every engine does, which must be the same."""

    def __init__(self):
        self.python = AccessLog()

    def line(self, entry):
        line = self.python.line(entry)
        assert line_of("auto")(entry) == line
        return line


def read(line):
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    return json.loads(line)


def test_a_line_says_what_happened():
    assert read(Logs().line(ENTRY)) == {
        "time": "2025-12-31T23:59:59.125Z",
        "client": "192.0.2.1",
        "method": "GET",
        "host": "www.example.com",
        "path": "/a?b=c",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 1024,
        "route": "api",
        "service": "www.example.com",
        "member": "198.51.100.1:80",
        "region": "eu-west",
        "tries": 1,
        "hop": None,
        "duration_ms": 1.235,
        "connect_ms": None,
        "first_byte_ms": 1.2,
        "tls": "TLSv1.3",
        "http": "1.1",
        "request_id": "id",
        "user_agent": "curl/8",
        "referer": None,
        "error": None,
    }


def test_the_keys_are_those_of_an_entry():
    keys = list(read(Logs().line(ENTRY)))

    assert keys == ["time", *Entry._fields[1:]]


octets = st.binary(max_size=50) | st.text(max_size=20).map(lambda text: text.encode())
texts = st.text(max_size=20)
times = st.floats(0, 1e7, allow_nan=False)
entries = st.builds(
    Entry,
    time_s=st.floats(0, 253_402_300_799, allow_nan=False),
    client=texts,
    method=octets,
    host=octets,
    path=octets,
    status=st.integers(0, 999),
    bytes_in=st.integers(0, 2**63),
    bytes_out=st.integers(0, 2**63),
    route=st.none() | texts,
    service=st.none() | texts,
    member=st.none() | texts,
    region=st.none() | texts,
    tries=st.integers(0, 9),
    hop=st.none() | texts,
    duration_ms=times,
    connect_ms=st.none() | times,
    first_byte_ms=st.none() | times,
    tls=st.none() | texts,
    http=texts,
    request_id=octets,
    user_agent=st.none() | octets,
    referer=st.none() | octets,
    error=st.none() | texts,
)


@given(st.lists(entries, min_size=1, max_size=3))
def test_any_line_is_json_that_says_what_the_entry_says(some):
    log = Logs()
    for entry in some:
        told = read(log.line(entry))
        for name, value in entry._asdict().items():
            if name == "time_s":
                assert len(told["time"]) == len("2025-12-31T23:59:59.123Z")
            elif isinstance(value, bytes):
                assert told[name] == value.decode("utf-8", "backslashreplace")
            elif isinstance(value, float):
                assert told[name] == pytest.approx(value, abs=0.0005001)
            else:
                assert told[name] == value


def test_the_second_goes_on_and_may_go_back():
    log = Logs()

    shown = [
        read(log.line(ENTRY._replace(time_s=time_s)))["time"] for time_s in (0.0, 0.999, 1.5, 0.25)
    ]

    assert shown == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "1970-01-01T00:00:01.500Z",
        "1970-01-01T00:00:00.250Z",
    ]


def test_names_without_end_are_shown_and_not_all_kept():
    log = Logs()

    for number in range(NAMES_MAX + 10):
        line = log.line(ENTRY._replace(member=f"m{number}", region=None))
        assert (
            b'"route":"api","service":"www.example.com","member":"m%d","region":null' % number
            in line
        )
    assert len(log.python._names) <= NAMES_MAX


def test_words_without_end_or_measure_are_shown_and_not_all_kept():
    log = Logs()

    for number in range(NAMES_MAX + 10):
        assert b'"user_agent":"u%d"' % number in log.line(
            ENTRY._replace(user_agent=b"u%d" % number)
        )
    log.line(ENTRY._replace(user_agent=b"u" * (WORD_MAX + 1)))

    assert len(log.python._words) <= NAMES_MAX
    assert max(map(len, log.python._words.values())) <= WORD_MAX
