"""Reports on the wire, and which of them counts."""

import hmac
import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import ReportError
from gslb.health.quorum import Vote
from gslb.health.report import (
    NUMBER_MAX,
    REPORT_MAX_BYTES,
    SKEW_MAX_S,
    TEXT_MAX,
    VANTAGE_MAX,
    Line,
    Report,
    decode,
    encode,
    newest,
    table_of,
    votes_on,
)
from gslb.health.verdict import Record, Verdict
from gslb.model import PORT_MAX, Subject

KEY = b"a key of the vantage eu"
KEYS = {"eu": KEY, "us": b"a key of the vantage us"}
NOW_S = 1_700_000_000.0
WWW = Subject("192.0.2.1", ("192.0.2.1", 80), "web", "www.example.com")
API = Subject("2001:db8::1", ("2001:db8::1", 443), "tls", "api.example.com")
TABLE = {
    WWW: Line(Verdict.UP, "ok", NOW_S - 60.0, NOW_S + 2.0),
    API: Line(Verdict.DOWN, "refused", NOW_S - 5.5),
}
REPORT = Report("eu", (7, 1), NOW_S, TABLE)


def signed(body, vantage="eu", key=KEY):
    """Return a report of that body with a true MAC, as a vantage gone wrong would send it."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    mac = hmac.new(key, f"gslb-report-1 {vantage}\n".encode() + body, sha256).hexdigest()
    return f"gslb-report-1 {vantage} {mac}\n".encode() + body


def document(**changes):
    row = ["192.0.2.1", "192.0.2.1", 80, "web", "www.example.com", ["up", "ok"], 1.0, None]
    return {"number": [7, 1], "sent_at_s": NOW_S, "table": [row]} | changes


def row_with(place, value):
    row = [*document()["table"][0]]
    row[place] = value
    return document(table=[row])


def refused(raw, now_s=NOW_S):
    with pytest.raises(ReportError) as raised:
        decode(raw, KEYS, now_s=now_s)
    return str(raised.value)


def test_a_report_comes_back_as_it_was_sent_with_the_time_it_was_heard():
    raw = encode(REPORT, KEY)

    assert decode(raw, KEYS, now_s=NOW_S + 1.0) == replace(REPORT, heard_at_s=NOW_S + 1.0)


texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
times = st.floats(allow_nan=False, allow_infinity=False)
subjects = st.builds(Subject, texts, st.tuples(texts, st.integers(0, PORT_MAX)), texts, texts)
lines = st.builds(Line, st.sampled_from(list(Verdict)), texts, times, st.none() | times)


@given(st.dictionaries(subjects, lines, max_size=5), st.integers(0, NUMBER_MAX))
def test_every_table_survives_the_wire(table, sequence):
    report = Report("eu", (NUMBER_MAX, sequence), NOW_S, table, NOW_S)

    assert decode(encode(report, KEY), KEYS, now_s=NOW_S) == report


def test_an_empty_table_is_a_report():
    report = replace(REPORT, table={})

    assert decode(encode(report, KEY), KEYS, now_s=NOW_S).table == {}


# What is refused


@given(st.data())
def test_a_report_changed_at_any_byte_is_refused(data):
    raw = bytearray(encode(REPORT, KEY))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))

    refused(bytes(raw))


def test_a_report_cut_short_anywhere_is_refused():
    raw = encode(REPORT, KEY)

    for cut in range(len(raw)):
        refused(raw[:cut])


@given(st.binary() | st.binary().map(lambda tail: b"gslb-report-1 eu " + tail))
def test_garbage_is_refused(raw):
    refused(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["number", "sent_at_s", "table"]), inner)
        ),
    )
)
def test_a_vantage_that_signs_nonsense_is_refused_without_a_traceback(nonsense):
    assert "eu" in refused(signed(nonsense))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff\xff",
        document(number=[7]),
        document(number=[7, -1]),
        document(number=[7, NUMBER_MAX + 1]),
        document(number=[7, True]),
        document(number=[7, 1.0]),
        document(sent_at_s="now"),
        document(sent_at_s=float("nan")),
        document(sent_at_s=float("inf")),
        document(sent_at_s=10**400),
        document(sent_at_s=True),
        document(table={}),
        document(table=[1]),
        document(table=[[]]),
        document(table=document()["table"] * 2),
        row_with(0, 7),
        row_with(0, "x" * (TEXT_MAX + 1)),
        row_with(0, "\x1b[31m"),
        row_with(2, PORT_MAX + 1),
        row_with(2, "80"),
        row_with(5, ["sideways", "ok"]),
        row_with(5, ["up"]),
        row_with(6, None),
        row_with(7, "soon"),
    ],
)
def test_a_signed_report_of_another_shape_is_refused(body):
    assert "vantage 'eu'" in refused(signed(body))


@pytest.mark.parametrize(
    "body",
    [
        document(number=[NUMBER_MAX, NUMBER_MAX]),
        row_with(0, "x" * TEXT_MAX),
        row_with(2, PORT_MAX),
    ],
)
def test_a_value_at_its_limit_is_accepted(body):
    assert decode(signed(body), KEYS, now_s=NOW_S).vantage == "eu"


def test_a_report_at_the_size_limit_is_read_and_one_byte_more_is_not():
    at_the_limit = signed(b" " * (REPORT_MAX_BYTES - len(signed(b""))))
    assert len(at_the_limit) == REPORT_MAX_BYTES

    assert "Expecting value" in refused(at_the_limit)
    assert str(REPORT_MAX_BYTES) in refused(at_the_limit + b" ")


def test_a_table_too_large_to_be_accepted_is_not_sent():
    long = "x" * 1_000_000
    table = {replace(WWW, host=f"{number}{long}"): TABLE[WWW] for number in range(9)}

    with pytest.raises(ReportError, match=str(REPORT_MAX_BYTES)):
        encode(replace(REPORT, table=table), KEY)


def test_a_vantage_that_may_not_vote_is_refused_by_name():
    assert "'ap' is unknown" in refused(encode(replace(REPORT, vantage="ap"), KEY))


def test_one_vantage_cannot_speak_for_another():
    assert "MAC is wrong" in refused(encode(replace(REPORT, vantage="us"), KEY))


def test_a_vantages_name_has_a_longest_length():
    longest = "v" * VANTAGE_MAX
    raw = encode(replace(REPORT, vantage=longest), KEY)

    assert decode(raw, {longest: KEY}, now_s=NOW_S).vantage == longest
    with pytest.raises(ReportError, match="unknown"):
        decode(signed(document(), longest + "v"), {longest + "v": KEY}, now_s=NOW_S)


@pytest.mark.parametrize("name", ["", "v" * (VANTAGE_MAX + 1), "e u", "eü", "eu\n"])
def test_a_name_that_could_not_be_read_back_is_not_sent(name):
    with pytest.raises(ReportError, match="letters, digits"):
        encode(replace(REPORT, vantage=name), KEY)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_clock_may_be_wrong_by_the_limit_and_no_more(sign):
    raw = encode(REPORT, KEY)

    assert decode(raw, KEYS, now_s=NOW_S + sign * SKEW_MAX_S).vantage == "eu"
    assert "NTP" in refused(raw, now_s=NOW_S + sign * (SKEW_MAX_S + 0.5))


def test_an_empty_key_is_a_bug():
    with pytest.raises(AssertionError):
        encode(REPORT, b"")


# Which one counts


def of(vantage, epoch, sequence, *, sent_at_s=NOW_S):
    return Report(vantage, (epoch, sequence), sent_at_s, {})


def heard(*reports):
    have = {}
    for report in reports:
        have = newest(have, report)
    return have


def test_a_restarted_vantage_is_newer_than_it_was():
    assert heard(of("eu", 1, 900), of("eu", 2, 0))["eu"].number == (2, 0)


def test_an_older_or_doubled_report_changes_nothing():
    have = heard(of("eu", 1, 5))

    assert newest(have, of("eu", 1, 5)) is have
    assert newest(have, of("eu", 1, 4)) is have
    assert newest(have, of("eu", 0, 9)) is have


def test_a_vantage_whose_clock_was_put_back_is_believed_again_in_the_end():
    have = heard(of("eu", 9, 5))
    soon = of("eu", 8, 0, sent_at_s=NOW_S + 2 * SKEW_MAX_S)
    later = of("eu", 8, 1, sent_at_s=NOW_S + 2 * SKEW_MAX_S + 1)

    assert newest(have, soon) is have
    assert newest(have, later)["eu"] is later


numbers = st.tuples(st.integers(0, 3), st.integers(0, 5))
histories = st.lists(st.tuples(st.sampled_from(["eu", "us"]), numbers), min_size=1, max_size=30)


@given(histories, st.data())
def test_reports_lost_doubled_and_reordered_change_nothing_once_the_newest_has_arrived(sent, data):
    reports = [of(vantage, *number) for vantage, number in sent]
    truth = {
        vantage: max((r for r in reports if r.vantage == vantage), key=lambda r: r.number)
        for vantage in {report.vantage for report in reports}
    }
    some = data.draw(st.lists(st.sampled_from(reports), max_size=40))
    arriving = data.draw(st.permutations([*some, *truth.values()]))

    assert heard(*arriving) == truth


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 4), st.data())
def test_forged_reports_change_nothing(garbage, place, data):
    forged = encode(replace(REPORT, number=(NUMBER_MAX, 0)), b"another key")
    raws = [*garbage, forged]
    raws.insert(place, encode(REPORT, KEY))
    have = {}
    for raw in data.draw(st.permutations(raws)):
        try:
            have = newest(have, decode(raw, KEYS, now_s=NOW_S))
        except ReportError:
            continue

    assert have == {"eu": replace(REPORT, heard_at_s=NOW_S)}


# From records, and to votes


def test_a_table_says_of_each_record_what_others_need():
    record = Record(Verdict.UP, "ok", NOW_S - 60.0, streak=1, flips_at_s=NOW_S + 2.0)

    assert table_of({WWW: record}) == {WWW: TABLE[WWW]}


def test_a_vote_is_as_old_as_its_report_and_tells_time_by_the_hearers_clock():
    five_seconds_behind = replace(REPORT, heard_at_s=NOW_S + 5.0)
    another = Report("us", (1, 1), NOW_S, {API: TABLE[API]}, NOW_S + 9.0)
    reports = [five_seconds_behind, another]

    assert votes_on(WWW, reports, now_s=NOW_S + 7.0) == (
        Vote("eu", Verdict.UP, 2.0, "ok", NOW_S + 7.0),
    )
    assert votes_on(API, reports, now_s=NOW_S + 7.0) == (
        Vote("eu", Verdict.DOWN, 2.0, "refused", None),
        Vote("us", Verdict.DOWN, 0.0, "refused", None),
    )
