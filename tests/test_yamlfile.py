"""YAML text → values with places: what is read, what is refused, and where."""

import math
import os
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.config.nodes import Sheet
from gslb.config.yamlfile import (
    DEPTH_MAX,
    FILE_BYTES_MAX,
    NODES_MAX,
    NUMBER_CHARS_MAX,
    UnreadableError,
    parse,
    plain_value,
    read_bytes,
)


def read(text, **limits):
    """Return the data and the notes of a file; None for one that cannot be read."""
    sheet = Sheet("a.yaml")
    raw = text if isinstance(text, bytes) else dedent(text).encode()
    try:
        return parse(raw, sheet, **limits).node.plain(), sheet.complaints
    except UnreadableError:
        return None, sheet.complaints


def test_every_key_and_value_knows_its_line_and_column():
    top = parse(b"a:\n  b: [1, two]\n", Sheet("a.yaml"))

    inner = top / "a" / "b"

    assert (inner.node.key_line, inner.node.key_column) == (2, 3)
    assert (inner.node.line, inner.node.column) == (2, 6)
    assert (inner / 1).place() == ("a.yaml", 2, 10, "a.b[1]")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("10", 10),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-3", -3),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("10.0.0.1", "10.0.0.1"),
        ("200-399", "200-399"),
        ("+", "+"),
        ("٣", "٣"),
        ("9" * NUMBER_CHARS_MAX, int("9" * NUMBER_CHARS_MAX)),
        ("9" * (NUMBER_CHARS_MAX + 1), "9" * (NUMBER_CHARS_MAX + 1)),
    ],
)
def test_a_plain_word_means_what_yaml_1_2_says(word, meant):
    found = plain_value(word)

    assert (found, type(found)) == (meant, type(meant))


def test_quoted_words_and_tagged_ones_are_text():
    data, notes = read("""{a: "1", b: '~', c: !!str 2, d: ! 3, e: "NO", f: !!int "4"}""")

    assert data == {"a": "1", "b": "~", "c": "2", "d": "3", "e": "NO", "f": 4}
    assert notes == []


def test_prefixes_and_addresses_work_as_keys():
    data, notes = read('10.0.0.0/8: 1\n2001:db8::/32: 2\n"::1": 3\n64500: 4\n')

    assert list(data) == ["10.0.0.0/8", "2001:db8::/32", "::1", 64500]
    assert notes == []


def test_anchors_aliases_and_merge_keys_work_and_own_keys_win():
    data, notes = read(
        """\
        base: &base {a: 1, b: 2}
        more: &more {c: 3}
        one: {<<: *base, b: 9}
        two: {<<: [*base, *more]}
        same: *more
        """
    )

    assert data["one"] == {"a": 1, "b": 9}
    assert data["two"] == {"a": 1, "b": 2, "c": 3}
    assert data["same"] == {"c": 3}
    assert notes == []


def test_a_byte_order_mark_and_crlf_are_fine():
    assert read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == ({"a": 1, "b": 2}, [])


REFUSED = [
    # text, line and column, a part of the problem, a part of the hint
    ("", "1:1", "empty", "key: value"),
    ("# nothing\n", "1:1", "empty", "key: value"),
    ("---\n...\n", "1:1", "empty", "key: value"),
    ("- a\n", "1:1", "a list, not a map", "key: value"),
    ("\nword\n", "2:1", "single value 'word'", "key: value"),
    ("a: 1\n---\nb: 2\n", "2:1", "second document", "one document"),
    ("a:\n\tb: 1\n", "2:1", "not YAML", "spaces, not tabs"),
    ("a: b: c\n", "1:5", "not YAML: mapping values", "colon"),
    ("a: [1, 2\nb: 3\n", "2:2", "not YAML", "bracket"),
    ('a: "b\n', "2:1", "not YAML", "close every quote"),
    ("@: 1\n", "1:1", "not YAML", "quote a text that starts with @"),
    ("*: 1\n", "1:2", "not YAML", "quote"),
    ("a:\n  b: 1\n c: 2\n", "3:2", "not YAML", "indentation"),
    ("a: *b\n", "1:4", "no anchor &b", 'quote it: "*b"'),
    ("a: &a [*a]\n", "1:8", "no anchor &a", "quote it"),
    (b"a: \xff\n", "1:4", "0xff is not UTF-8", "UTF-8"),
    (b"\xff\xfea\x00", "1:1", "UTF-16", "UTF-8"),
    (b"a: 1\nb: \x00\n", "2:4", "control character U+0000", "escape"),
    ("a: " + "[" * DEPTH_MAX + "]" * DEPTH_MAX, f"1:{3 + DEPTH_MAX}", "nested", "close"),
]


@pytest.mark.parametrize(("text", "place", "problem", "hint"), REFUSED)
def test_what_cannot_be_read_is_one_complaint_with_its_place(text, place, problem, hint):
    data, notes = read(text if isinstance(text, bytes) else text.encode())

    assert data is None
    assert [f"{note.line}:{note.column}" for note in notes] == [place]
    assert problem in notes[0].problem
    assert hint in notes[0].hint


NOTED = [
    ("a: 1\nb: 2\na: 3\n", {"a": 1, "b": 2}, "3:1", "a", "twice", "line 1"),
    ("a: {NO: 1}\n", {"a": {"NO": 1}}, "1:5", "a.NO", "not read as text", 'quote it: "NO"'),
    ("yes: 1\n", {"yes": 1}, "1:1", "yes", "not read as text", '"yes"'),
    ("on: 1\n", {"on": 1}, "1:1", "on", "not read as text", '"on"'),
    ("true: 1\n", {"true": 1}, "1:1", "true", "not read as text", '"true"'),
    ("~: 1\n", {"~": 1}, "1:1", "~", "not read as text", '"~"'),
    ("1.5: 1\n", {"1.5": 1}, "1:1", "1.5", "not read as text", '"1.5"'),
    ("{[a]: 1, b: 2}\n", {"b": 2}, "1:2", "", "a list cannot be a key", "quotes"),
    ("a: {{b}: 1}\n", {"a": {}}, "1:5", "a", "a map cannot be a key", "quotes"),
    ("a: !secret b\n", {"a": "b"}, "1:4", "a", "tag '!secret'", "remove"),
    ("a: !!set {}\n", {"a": {}}, "1:4", "a", "tag", "remove"),
    ("a: !!timestamp 2024-01-01\n", {"a": "2024-01-01"}, "1:4", "a", "timestamp", "remove"),
    ("a: {<<: 5}\n", {"a": {}}, "1:9", "a", "merges maps only", "alias"),
    ("? !!float 1.5\n: 1\n", {}, "1:3", "", "1.5 is not text", "quotes"),
]


@pytest.mark.parametrize(("text", "left", "place", "key", "problem", "hint"), NOTED)
def test_what_can_be_read_past_is_noted_with_its_key(text, left, place, key, problem, hint):
    data, notes = read(text)

    assert data == left
    assert [(f"{note.line}:{note.column}", note.key) for note in notes] == [(place, key)]
    assert problem in notes[0].problem
    assert hint in notes[0].hint


def test_as_deep_as_the_limit_is_fine():
    data, notes = read("a: " + "[" * (DEPTH_MAX - 2) + "x" + "]" * (DEPTH_MAX - 2))

    assert data is not None
    assert notes == []


def test_an_alias_bomb_ends_at_the_limit_of_values():
    aliases = [", ".join([f"*a{level}"] * 10) for level in range(30)]
    levels = [f"a{level}: &a{level} [{aliases[level - 1]}]" for level in range(1, 30)]
    lines = ["a0: &a0 [x]", *levels]

    data, notes = read("\n".join(lines), nodes_max=1000)

    assert data is None
    assert "more than 1000 values, aliases written out" in notes[0].problem
    assert NODES_MAX == 2_000_000


def test_aliases_count_as_often_as_they_are_used():
    text = "a: &a [1, 2]\nb: *a\n"  # the map, two keys, and twice a list of two

    assert read(text, nodes_max=9)[1] == []
    assert "more than 8 values" in read(text, nodes_max=8)[1][0].problem


def test_a_deep_alias_chain_ends_at_the_limit_of_depth():
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100))]

    data, notes = read("\n".join(lines))

    assert data is None
    assert "nested" in notes[0].problem


def test_a_million_open_brackets_are_a_complaint():
    data, notes = read("a: " + "[" * 1_000_000)

    assert data is None
    assert len(notes) == 1


def test_a_file_up_to_the_limit_is_read_and_past_it_refused(tmp_path):
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(FILE_BYTES_MAX)
    assert len(read_bytes(path)) == FILE_BYTES_MAX

    with path.open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    with pytest.raises(UnreadableError) as caught:
        read_bytes(path)

    assert "larger than 16 MiB" in caught.value.problem
    assert caught.value.hint


def test_directories_pipes_and_missing_files_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    expected = {"pipe": "not a regular file", ".": "a directory", "none": "No such file"}

    for name, problem in expected.items():
        with pytest.raises(UnreadableError) as caught:
            read_bytes(tmp_path / name)
        assert problem in caught.value.problem


@given(st.text(alphabet=st.sampled_from("ab:- \n\t[]{}&*!<?|>'\"#,%@`~01.")) | st.text())
def test_any_text_is_read_or_complained_of(text):
    data, notes = read(text.encode("utf-8", "surrogatepass"))

    assert (data is not None) or notes
    assert all(note.line >= 1 and note.column >= 1 and note.hint for note in notes)


@given(st.binary())
def test_any_bytes_are_read_or_complained_of(raw):
    data, notes = read(raw)

    assert (data is not None) or notes
