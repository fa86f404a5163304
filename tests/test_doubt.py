"""What a tier doubts: when it is new, how long it is told, and that it is acted upon once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health import doubt
from gslb.health.doubt import (
    DOUBTS_MAX,
    HEARD_MAX,
    TOLD_S,
    Doubt,
    Doubts,
    Heeded,
    newly_doubted,
    token_of,
)
from gslb.health.report import Composer, decode
from gslb.health.verdict import Record, Verdict
from gslb.model import Subject

NOW_S = 1_700_000_000.0
MANY = [
    Subject(f"192.0.2.{number}", (f"192.0.2.{number}", 80), "web", "www.example.com")
    for number in range(256)
]
WWW, API = MANY[:2]


def report(letters, *, sequence=1, subjects=MANY, vantage="p", now_s=NOW_S):
    """Return a tier's report: U, D or s, for up and suspect, of each subject."""
    said = dict(zip(subjects, letters, strict=False))
    records = {
        subject: Record(Verdict.DOWN if letter == "D" else Verdict.UP, "ok", NOW_S)
        for subject, letter in said.items()
    }
    suspects = {subject for subject, letter in said.items() if letter == "s"}
    raw = Composer(vantage, b"key").compose((1, sequence), now_s, records, False, None, suspects)
    return decode(raw, {vantage: b"key"}, now_s=now_s)


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        (None, "UDs", "12"),
        ("UUU", "UUU", ""),
        ("UUU", "DUs", "02"),
        ("UDs", "UDs", ""),
        ("UDs", "UsD", ""),  # the same doubt in other words
        ("UDs", "DUU", "0"),
        ("UU", "UUD", "2"),
        ("UUD", "UU", ""),
    ],
)
def test_only_what_was_not_doubted_before_is_new(before, after, new):
    last = None if before is None else report(before)

    found = newly_doubted(report(after, sequence=2), last)

    assert set(found) == {MANY[int(place)] for place in new}


def test_doubts_are_told_for_a_while_each_once():
    doubts = Doubts()
    first = report("DU")
    assert doubts.take(first, None) == (Doubt(token_of(WWW), "p", NOW_S),)
    second = report("DD", sequence=2, now_s=NOW_S + 5.0)
    (new,) = doubts.take(second, first)

    assert (new.token, new.at_s) == (token_of(API), NOW_S + 5.0)
    assert [each.at_s for each in doubts.told(now_s=NOW_S + TOLD_S)] == [NOW_S, NOW_S + 5.0]
    assert doubts.told(now_s=NOW_S + TOLD_S + 1.0) == (new,)
    again = report("DD", now_s=NOW_S + 9.0)
    doubts.take(again, None)
    assert [each.at_s for each in doubts.told(now_s=NOW_S + 9.0)] == [NOW_S + 9.0] * 2


@pytest.mark.parametrize("over", [0, 1])
def test_no_more_are_told_than_fit_the_newest(over):
    doubts = Doubts()

    found = doubts.take(report("D" * (DOUBTS_MAX + over)), None)
    told = doubts.told(now_s=NOW_S)

    assert len(found) == DOUBTS_MAX + over
    assert told == found[-DOUBTS_MAX:]


def test_a_doubt_is_heeded_once_by_whatever_way_it_comes():
    heeded = Heeded()

    assert heeded.fresh([Doubt("a", "p", 5.0), Doubt("b", "p", 5.0)]) == {"a", "b"}
    assert heeded.fresh([Doubt("a", "p", 5.0), Doubt("a", "p", 4.0)]) == set()
    assert heeded.fresh([Doubt("a", "p", 6.0), Doubt("b", "q", 1.0)]) == {"a", "b"}


@pytest.mark.parametrize("over", [0, 1])
def test_what_was_heeded_is_forgotten_when_it_is_too_much(over):
    heeded = Heeded()
    heeded.fresh(Doubt(str(number), "p", 1.0) for number in range(HEARD_MAX + over))

    assert bool(heeded.fresh([Doubt("0", "p", 1.0)])) == bool(over)


def test_a_token_is_the_same_for_ever_and_of_each_subject_another():
    assert token_of(WWW) == "96a94186302fca12"
    assert len({token_of(subject) for subject in MANY}) == len(MANY)


doubts = st.builds(
    Doubt,
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.text("abc", min_size=1, max_size=255),
    st.floats(0.0, 2e11),
)


@given(st.lists(doubts, max_size=DOUBTS_MAX))
def test_doubts_come_back_as_they_were(some):
    assert doubt.decode(json.loads(json.dumps(doubt.encode(some)))) == tuple(some)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {},
        "doubts",
        [["0" * 16, "p", 1.0]] * (DOUBTS_MAX + 1),
        [["0" * 15, "p", 1.0]],
        [["0" * 16, "", 1.0]],
        [["0" * 16, "p" * 256, 1.0]],
        [["0" * 16, "p", 1]],
        [["0" * 16, "p", -1.0]],
        [["0" * 16, "p", float("nan")]],
        [["0" * 16, "p", float("inf")]],
        [["0" * 16, "p"]],
        [7],
    ],
)
def test_what_are_no_doubts_is_refused(rows):
    with pytest.raises(ValueError, match="doubt"):
        doubt.decode(rows)
