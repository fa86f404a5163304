"""What makes an HTTP response a good one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.probe import (
    BODY_MAX_BYTES,
    DETAIL_MAX,
    INDEX_DIGITS_MAX,
    OK,
    REASONS,
    Result,
    failed,
    judge,
)
from gslb.model import Expect


def having(path, wanted):
    return Expect(json=((path, wanted),))


def reason_for(document, path, wanted):
    return judge(200, json.dumps(document).encode(), having(path, wanted)).reason


@pytest.mark.parametrize(
    ("status", "reason"), [(199, "status"), (200, "ok"), (399, "ok"), (400, "status")]
)
def test_a_range_of_statuses_includes_both_its_ends(status, reason):
    assert judge(status, b"", Expect(status=((200, 399),))).reason == reason


def test_any_of_several_ranges_will_do():
    expect = Expect(status=((200, 200), (401, 403)))

    assert judge(402, b"", expect) == OK
    assert judge(404, b"", expect) == failed("status", "404, expected 200, 401-403")


def test_a_wrong_status_is_said_before_a_wrong_body():
    assert judge(500, b"", Expect(body="good", json=(("a", 1),))).reason == "status"


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"all is good today", "ok"), (b"bad", "body"), (b"", "body"), (b"\xff good", "ok")],
)
def test_the_body_expression_is_searched_for_anywhere(body, reason):
    assert judge(200, body, Expect(body="go+d")).reason == reason


def test_the_body_expression_is_searched_for_in_the_first_64_kib():
    within = b"x" * (BODY_MAX_BYTES - 4) + b"good"

    assert judge(200, within, Expect(body="good")) == OK
    assert judge(200, b"x" + within, Expect(body="good")).reason == "body"


def test_a_json_text_longer_than_64_kib_is_none():
    at_the_limit = json.dumps({"ok": True, "pad": ""}).encode()
    at_the_limit = at_the_limit[:-2] + b"x" * (BODY_MAX_BYTES - len(at_the_limit)) + b'"}'

    assert judge(200, at_the_limit, having("ok", True)) == OK
    assert judge(200, at_the_limit[:-2] + b'x"}', having("ok", True)).reason == "json"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b"[" * 60_000, b'{"a": Infinity}', b"\xff\xfe\xff", b"1" * 5000]
)
def test_what_is_not_json_is_a_json_failure(body):
    assert judge(200, body, having("a", 1)).reason == "json"


@pytest.mark.parametrize(
    ("document", "path", "wanted"),
    [
        ({"checks": {"db": "ok"}}, "checks.db", "ok"),
        ({"nodes": [{"up": False}, {"up": True}]}, "nodes.1.up", True),
        ({"a": None}, "a", None),
        ({"a": [1, 2]}, "a", [1, 2]),
        ({"a": {"b": [1.0]}}, "a", {"b": [1]}),
        ({"7": "x"}, "7", "x"),
        ({"n": 1}, "n", 1.0),
        ({"n": 1.0}, "n", 1),
    ],
)
def test_a_dotted_path_finds_its_value_through_keys_and_indexes(document, path, wanted):
    assert reason_for(document, path, wanted) == "ok"


@pytest.mark.parametrize(
    ("document", "path", "wanted"),
    [
        ({"a": True}, "a", 1),
        ({"a": 1}, "a", True),
        ({"a": "1"}, "a", 1),
        ({"a": 0}, "a", False),
        ({"a": 0}, "a", None),
        ({"a": [1]}, "a", [True]),
        ({"a": [1]}, "a", [1, 1]),
        ({"a": {"b": 1}}, "a", {"c": 1}),
        ({"a": {"b": 1}}, "a", {"b": 2}),
        ({"a": 2}, "a", 1),
        ({"a": 1}, "b", 1),
        ({"a": 1}, "a.b", 1),
        ([1], "1", 1),
        ([1], "-1", 1),
        ([1], "²", 1),
        ([1], "0" * (INDEX_DIGITS_MAX + 1), 1),
        ("text", "0", "t"),
    ],
)
def test_another_type_another_value_or_nothing_there_is_a_json_failure(document, path, wanted):
    assert reason_for(document, path, wanted) == "json"


def test_an_index_may_have_as_many_digits_as_the_limit():
    assert reason_for([1], "0" * INDEX_DIGITS_MAX, 1) == "ok"


def test_every_expectation_must_hold():
    expect = Expect(json=(("a", 1), ("b", 2)))

    assert judge(200, b'{"a": 1, "b": 3}', expect) == failed("json", "b is 3, expected 2")


@given(
    status=st.integers(100, 599),
    body=st.binary() | st.text().map(str.encode),
    path=st.text(),
    wanted=st.none() | st.booleans() | st.integers() | st.text(),
)
def test_every_response_gets_one_of_the_known_reasons(status, body, path, wanted):
    assert judge(status, body, Expect(json=((path, wanted),))).reason in REASONS


def test_details_are_made_printable_and_short():
    detail = failed("status", "\r\n\x1b[31m" + "x" * 1000).detail

    assert detail.isprintable()
    assert len(detail) == DETAIL_MAX


@pytest.mark.parametrize(("ok", "reason"), [(True, "status"), (False, "ok"), (False, "because")])
def test_a_result_that_contradicts_itself_is_a_bug(ok, reason):
    with pytest.raises(AssertionError):
        Result(ok, reason)
