"""Reports on the wire, and which of them counts."""

import hmac
import json
import zlib
from dataclasses import replace
from hashlib import sha256, shake_256
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import REPORT_ERROR_KINDS, ReportError
from gslb.health.load import Load
from gslb.health.probe import REASONS as PROBE_REASONS
from gslb.health.report import (
    NUMBER_MAX,
    REASONS,
    REPORT_MAX_BYTES,
    SKEW_MAX_S,
    SUBJECTS_MAX_BYTES,
    TEXT_MAX,
    VERDICTS,
    Composer,
    Line,
    accept,
    claimed,
    decode,
)
from gslb.health.sealed import NAME_MAX
from gslb.health.verdict import Record, Verdict
from gslb.model import PORT_MAX, Subject

KEY = b"a key of the vantage eu"
KEYS = {"eu": KEY, "us": b"a key of the vantage us"}
NOW_S = 1_700_000_000.0
WWW = Subject("192.0.2.1", ("192.0.2.1", 80), "web", "www.example.com")
API = Subject("2001:db8::1", ("2001:db8::1", 443), "tls", "api.example.com")
RECORDS = {
    WWW: Record(Verdict.UP, "ok", NOW_S - 60.0, streak=1, flips_at_s=NOW_S + 2.0),
    API: Record(Verdict.DOWN, "refused", NOW_S - 5.5),
}


def composed(
    records=RECORDS, number=(7, 1), *, vantage="eu", key=None, sent_at_s=NOW_S, cut_off=False
):
    composer = Composer(vantage, KEYS.get(vantage, KEY) if key is None else key)
    return composer.compose(number, sent_at_s, records, cut_off)


def heard(raw, now_s=NOW_S, **held):
    return decode(raw, KEYS, now_s=now_s, last=held)


def refused(raw, now_s=NOW_S, **held):
    """Return what is said of a report that is refused, and of which kind that is."""
    with pytest.raises(ReportError) as raised:
        decode(raw, KEYS, now_s=now_s, last=held)
    assert raised.value.kind in REPORT_ERROR_KINDS
    return str(raised.value), raised.value.kind


def signed(body, vantage="eu", key=KEY):
    """Return a report of that body with a true MAC, as a vantage gone wrong would send it."""
    mac = hmac.new(key, f"gslb-report-2 {vantage}\n".encode() + body, sha256).hexdigest()
    return f"gslb-report-2 {vantage} {mac}\n".encode() + body


ROW = ["192.0.2.1", "192.0.2.1", 80, "web", "www.example.com"]


def body(
    rows=(ROW,),
    *,
    number=(7, 1),
    sent_us=int(NOW_S * 1e6),
    flags=0,
    count=None,
    lines=None,
    deflated=None,
):
    if deflated is None:
        deflated = zlib.compress(json.dumps(rows).encode())
    count = len(rows) if count is None else count
    lines = pack("<BBQQ", 1, 1, 0, 0) * count if lines is None else lines
    head = pack("<QQQBII", *number, sent_us, flags, count, len(deflated))
    return head + deflated + lines


def row_with(place, value):
    row = [*ROW]
    row[place] = value
    return body([row])


def test_a_report_comes_back_as_it_was_sent_with_the_time_it_was_heard():
    report = heard(composed(), now_s=NOW_S + 1.0)

    assert (report.vantage, report.number, report.cut_off) == ("eu", (7, 1), False)
    assert (report.sent_at_s, report.heard_at_s) == (NOW_S, NOW_S + 1.0)
    assert list(report.subjects) == [WWW, API]
    assert report.line(WWW) == Line(Verdict.UP, "ok", NOW_S - 60.0, NOW_S + 2.0)
    assert report.line(API) == Line(Verdict.DOWN, "refused", NOW_S - 5.5)
    assert report.line(replace(API, monitor="web")) is None


def test_a_vantage_that_is_cut_off_says_so():
    assert heard(composed(cut_off=True)).cut_off


# What a tier says besides


def test_a_tier_says_how_busy_it_is_and_whom_it_suspects():
    composer, load = Composer("eu", KEY), Load(10_000, 64, 60, 1234.5, 0.125)

    report = heard(composer.compose((7, 1), NOW_S, RECORDS, True, load, {WWW}))

    assert (report.load, report.cut_off) == (load, True)
    assert report.line(WWW) == Line(Verdict.UP, "ok", NOW_S - 60.0, NOW_S + 2.0, suspect=True)
    assert not report.line(API).suspect
    assert heard(composed()).load is None


def test_a_tiers_report_is_as_long_whomever_it_suspects_and_however_busy_it_is():
    composer, table = Composer("eu", KEY), many(Verdict.UP, "ok")

    quiet = composer.compose((7, 1), NOW_S, table, False, Load())
    wild = composer.compose((7, 2), NOW_S, table, False, Load(10**6, 10**6, 10**6, 1e6, 1e6), table)

    assert len(quiet) == len(wild)


def test_a_subject_that_becomes_suspect_differs_though_its_verdict_stays():
    composer = Composer("eu", KEY)
    before = heard(composer.compose((7, 1), NOW_S, RECORDS, False))

    after = heard(composer.compose((7, 2), NOW_S, RECORDS, False, None, {API}), eu=before)

    assert list(after.differing(before)) == [API]


@pytest.mark.parametrize("size", [0, 39])
def test_a_load_that_is_cut_short_is_refused(size):
    head = pack("<QQQBII", 7, 1, int(NOW_S * 1e6), 2, 0, 0)

    assert "not as long as it says" in refused(signed(head + bytes(size)))[0]


texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
times = st.integers(0, 2**50).map(lambda us: us / 1e6)
subjects = st.builds(Subject, texts, st.tuples(texts, st.integers(0, PORT_MAX)), texts, texts)
records = st.builds(
    Record,
    st.sampled_from(list(Verdict)),
    st.sampled_from(REASONS),
    times,
    flips_at_s=st.none() | times.filter(bool),
)


@given(st.dictionaries(subjects, records, max_size=5), st.integers(0, NUMBER_MAX))
def test_every_table_survives_the_wire(table, sequence):
    report = heard(composed(table, (NUMBER_MAX, sequence)))

    assert report.number == (NUMBER_MAX, sequence)
    assert list(report.subjects) == list(table)
    for subject, record in table.items():
        line = report.line(subject)
        assert (line.verdict, line.reason) == (record.verdict, record.reason)
        assert line.since_s == pytest.approx(record.since_s, abs=2e-6)
        assert line.flips_at_s == pytest.approx(record.flips_at_s, abs=2e-6)


def test_every_reason_of_a_probe_has_its_number_for_ever():
    assert set(REASONS) == {"", *PROBE_REASONS}
    assert REASONS[:5] == ("", "ok", "refused", "unreachable", "timeout")
    assert VERDICTS == (Verdict.UNKNOWN, Verdict.UP, Verdict.DOWN)


def test_a_reason_that_no_probe_gives_is_not_told():
    assert heard(composed({WWW: Record(Verdict.DOWN, "the moon")})).line(WWW).reason == ""


def test_times_before_and_after_all_times_are_told_as_the_first_and_the_last():
    odd = heard(composed({WWW: Record(Verdict.UP, "ok", -1.0, flips_at_s=-1.0)})).line(WWW)
    late = heard(composed({WWW: Record(Verdict.UP, "ok", 1e30)})).line(WWW)

    assert (odd.since_s, odd.flips_at_s) == (0.0, 1e-6)
    assert late.since_s > NOW_S


def test_an_empty_table_is_a_report():
    assert not heard(composed({})).subjects


# Constant work


def many(verdict, reason, count=1000):
    return {
        replace(WWW, address=f"198.51.100.{number}", host=f"www{number}.example.com"): Record(
            verdict, reason, NOW_S - number / 7
        )
        for number in range(count)
    }


def test_a_report_is_as_long_when_all_flip_as_when_none_does():
    composer = Composer("eu", KEY)

    quiet = composer.compose((7, 1), NOW_S, many(Verdict.UP, "ok"), False)
    wild = composer.compose((7, 2), NOW_S, many(Verdict.DOWN, "timeout"), True)

    assert len(quiet) == len(wild)


def test_ten_thousand_subjects_fit_into_a_message_of_nats():
    assert len(composed(many(Verdict.UP, "ok", 10_000))) < 1_048_576 / 2


def test_subjects_are_parsed_once_while_they_stay():
    first = heard(composed())

    again = heard(composed(number=(7, 2)), eu=first)
    others = heard(composed({WWW: RECORDS[WWW]}, (7, 3)), eu=again)

    assert again.table is first.table
    assert list(others.subjects) == [WWW]


def test_a_composer_tells_of_the_subjects_that_there_are_now():
    composer = Composer("eu", KEY)
    composer.compose((7, 1), NOW_S, RECORDS, False)

    report = heard(composer.compose((7, 2), NOW_S, {API: RECORDS[API]}, False))

    assert list(report.subjects) == [API]


@given(st.sets(st.integers(0, 299)))
def test_what_differs_between_two_reports_is_found_line_by_line(places):
    table = many(Verdict.UP, "ok", 300)
    subjects = list(table)
    turned = {subjects[place] for place in places}
    first = heard(composed(table))
    then = {s: Record(Verdict.DOWN) if s in turned else record for s, record in table.items()}

    assert set(heard(composed(then, (7, 2)), eu=first).differing(first)) == turned
    assert set(heard(composed(then, (7, 2))).differing(first)) == turned


def test_of_other_subjects_those_differ_that_came_went_or_turned():
    ours = heard(composed({WWW: RECORDS[WWW], API: RECORDS[API]}))
    theirs = heard(composed({API: RECORDS[API]}))

    assert set(ours.differing(theirs)) == set(theirs.differing(ours)) == {WWW}


# What is refused


@given(st.data())
def test_a_report_changed_at_any_byte_is_refused(data):
    raw = bytearray(composed())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))

    refused(bytes(raw))


def test_a_report_cut_short_anywhere_is_refused():
    raw = composed()

    for cut in range(len(raw)):
        refused(raw[:cut])


@given(st.binary() | st.binary().map(lambda tail: b"gslb-report-2 eu " + tail))
def test_garbage_is_refused(raw):
    refused(raw)


@given(st.binary(max_size=200))
def test_a_vantage_that_signs_garbage_is_refused_without_a_traceback(garbage):
    assert "eu" in refused(signed(garbage))[0]


@given(st.data())
def test_a_true_report_changed_at_any_byte_and_signed_is_read_or_refused(data):
    changed = bytearray(body())
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    raw = signed(bytes(changed))

    try:
        report = heard(raw)
    except ReportError:
        return
    for subject in report.subjects:
        assert report.line(subject).verdict in VERDICTS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
    ).filter(lambda nonsense: nonsense != [])
)
def test_a_vantage_that_signs_nonsense_for_subjects_is_refused(nonsense):
    deflated = zlib.compress(json.dumps(nonsense).encode())

    for count in (0, 1, 2):
        assert "eu" in refused(signed(body(deflated=deflated, count=count)))[0]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        body()[:20],
        body(number=(NUMBER_MAX + 1, 0)),
        body(number=(0, NUMBER_MAX + 1)),
        body(flags=2),
        body(flags=255),
        body(count=2),
        body(count=0),
        body(count=0, lines=b""),
        body() + b"x",
        body(lines=pack("<BBQQ", 3, 1, 0, 0)),
        body(lines=pack("<BBQQ", 1, len(REASONS), 0, 0)),
        body(deflated=b""),
        body(deflated=b"no zlib"),
        body(deflated=zlib.compress(b"[]")[:-1]),
        body(deflated=zlib.compress(json.dumps([ROW]).encode()) + b"x"),
        body(deflated=zlib.compress(b"{")),
        body(deflated=zlib.compress(b"{}")),
        body(deflated=zlib.compress(b"\xff\xff")),
        body(deflated=zlib.compress(b"[" * 100_000)),
        body(deflated=zlib.compress(b" " * (SUBJECTS_MAX_BYTES + 1))),
        body([1]),
        body([[]]),
        body([ROW, ROW]),
        row_with(0, 7),
        row_with(0, "x" * (TEXT_MAX + 1)),
        row_with(0, "\x1b[31m"),
        row_with(2, PORT_MAX + 1),
        row_with(2, -1),
        row_with(2, True),
        row_with(2, "80"),
    ],
)
def test_a_signed_report_of_another_shape_is_refused(wrong):
    said, kind = refused(signed(wrong))

    assert "vantage 'eu'" in said
    assert kind == "malformed"


@pytest.mark.parametrize(
    "right",
    [
        body(number=(NUMBER_MAX, NUMBER_MAX)),
        body(flags=1),
        body(lines=pack("<BBQQ", 2, len(REASONS) - 1, 2**64 - 1, 2**64 - 1)),
        row_with(0, "x" * TEXT_MAX),
        row_with(2, PORT_MAX),
    ],
)
def test_a_value_at_its_limit_is_accepted(right):
    report = heard(signed(right))

    assert [report.line(subject) is not None for subject in report.subjects] == [True]


def test_a_report_at_the_size_limit_is_read_and_one_byte_more_is_not():
    at_the_limit = signed(b" " * (REPORT_MAX_BYTES - len(signed(b""))))
    assert len(at_the_limit) == REPORT_MAX_BYTES

    assert refused(at_the_limit)[1] == "malformed"
    said, kind = refused(at_the_limit + b" ")
    assert (kind, str(REPORT_MAX_BYTES) in said) == ("too_long", True)


def test_a_table_too_large_to_be_accepted_is_not_sent():
    noise = shake_256(b"noise").hexdigest(REPORT_MAX_BYTES + 10_000)  # does not deflate below

    with pytest.raises(ReportError, match=str(REPORT_MAX_BYTES)) as raised:
        composed({replace(WWW, host=noise): RECORDS[WWW]})

    assert raised.value.kind == "too_long"


def test_a_vantage_that_may_not_vote_is_refused_by_name():
    said, kind = refused(composed(vantage="ap"))

    assert "'ap' is unknown" in said
    assert kind == "unknown_vantage"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (composed(key=b"another key"), "eu"),
        (b"gslb-report-2 us", ""),
        (b"", ""),
        (b"x \xff y", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_whom_a_report_claims_to_be_from_can_be_read_of_any_octets(raw, name):
    assert claimed(raw) == name


def test_one_vantage_cannot_speak_for_another():
    said, kind = refused(composed(vantage="us", key=KEY))

    assert "MAC is wrong" in said
    assert kind == "mac"


def test_a_vantages_name_has_a_longest_length():
    longest = "v" * NAME_MAX
    raw = composed(vantage=longest, key=KEY)

    assert decode(raw, {longest: KEY}, now_s=NOW_S).vantage == longest
    with pytest.raises(ReportError, match="begin with"):
        decode(signed(body(), longest + "v"), {longest + "v": KEY}, now_s=NOW_S)


@pytest.mark.parametrize("name", ["", "v" * (NAME_MAX + 1), "e u", "eü", "eu\n"])
def test_a_name_that_could_not_be_read_back_is_not_sent(name):
    with pytest.raises(ReportError, match="letters, digits"):
        Composer(name, KEY).compose((1, 1), NOW_S, {}, False)


@pytest.mark.parametrize(("sign", "kind"), [(-1.0, "clock"), (1.0, "stale")])
def test_a_clock_may_be_wrong_by_the_limit_and_no_more(sign, kind):
    raw = composed()

    assert heard(raw, now_s=NOW_S + sign * SKEW_MAX_S).vantage == "eu"
    said = refused(raw, now_s=NOW_S + sign * (SKEW_MAX_S + 0.5))
    assert ("NTP" in said[0], said[1]) == (True, kind)


def test_a_report_that_is_played_back_is_told_from_a_new_one():
    held = heard(composed(number=(7, 5)))

    for number in [(7, 5), (7, 4), (6, 9)]:
        assert refused(composed(number=number), eu=held)[1] == "number"
    assert heard(composed(number=(7, 6)), eu=held).number == (7, 6)


def test_an_empty_key_is_a_bug():
    with pytest.raises(AssertionError):
        composed(key=b"")


# Which one counts


def of(vantage, epoch, sequence, *, sent_at_s=NOW_S):
    raw = composed({}, (epoch, sequence), vantage=vantage, sent_at_s=sent_at_s)
    return decode(raw, KEYS, now_s=sent_at_s)


def test_a_restarted_vantage_is_newer_than_it_was():
    before, after = of("eu", 1, 900), of("eu", 2, 0)

    assert accept(before, after) is after
    assert accept(None, after) is after


def test_an_older_or_doubled_report_changes_nothing():
    held = of("eu", 1, 5)

    for epoch, sequence in [(1, 5), (1, 4), (0, 9)]:
        assert accept(held, of("eu", epoch, sequence)) is held


def test_a_vantage_whose_clock_was_put_back_is_believed_again_in_the_end():
    held = of("eu", 9, 5)
    soon = of("eu", 8, 0, sent_at_s=NOW_S + 2 * SKEW_MAX_S)
    later = of("eu", 8, 1, sent_at_s=NOW_S + 2 * SKEW_MAX_S + 1)

    assert accept(held, soon) is held
    assert accept(held, later) is later


numbers = st.tuples(st.integers(0, 3), st.integers(0, 5))
histories = st.lists(st.tuples(st.sampled_from(["eu", "us"]), numbers), min_size=1, max_size=30)


@given(histories, st.data())
def test_reports_lost_doubled_and_reordered_change_nothing_once_the_newest_has_arrived(sent, data):
    raws = {each: composed({}, each[1], vantage=each[0]) for each in sent}
    truth = {vantage: max(n for v, n in sent if v == vantage) for vantage, _ in sent}
    some = data.draw(st.lists(st.sampled_from(sent), max_size=40))
    arriving = data.draw(st.permutations([*some, *truth.items()]))

    assert newest(raws[each] for each in arriving) == truth


@given(st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_forged_reports_change_nothing(garbage, data):
    forged = composed(number=(NUMBER_MAX, 0), key=b"another key")

    assert newest(data.draw(st.permutations([*garbage, forged, composed()]))) == {"eu": (7, 1)}


def newest(raws):
    """Return the number of each vantage's report that counts, after these came in."""
    have = {}
    for raw in raws:
        try:
            report = decode(raw, KEYS, now_s=NOW_S, last=have)
        except ReportError:
            continue
        have[report.vantage] = report
    return {vantage: report.number for vantage, report in have.items()}
