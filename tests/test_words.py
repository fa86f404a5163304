"""Operators' words as registers that nodes merge: in any order, any number of times."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health import words
from gslb.health.belief import Forced, Word
from gslb.health.words import (
    AHEAD_MAX_S,
    KEEP_S,
    REGISTERS_MAX,
    TIME_MAX_S,
    Register,
    Words,
    decode,
    encode,
    merged,
    region_key,
    region_of,
)

NOW_S = 1_800_000_000.0
NOW_MS = int(NOW_S) * 1000
KEY = ("192.0.2.1", "")
DRAIN = Forced(Word.DRAIN)

texts = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=4)
keys = st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1", "region:eu"]), texts)
values = st.none() | st.builds(
    Forced,
    st.sampled_from(Word),
    st.none() | st.floats(NOW_S - 2 * KEEP_S, NOW_S + KEEP_S),
    texts,
    texts,
    st.floats(0, NOW_S),
    st.floats(0, 3600),
)
times_ms = st.integers(NOW_MS - int(KEEP_S) * 2000, NOW_MS + int(AHEAD_MAX_S) * 2000)
tables = st.dictionaries(
    keys, st.builds(Register, times_ms | st.just(NOW_MS), st.sampled_from(["a", "b"]), values)
)


@given(tables, tables)
def test_it_does_not_matter_which_of_two_tables_is_merged_into_which(one, two):
    assert merged(one, two, NOW_S) == merged(two, one, NOW_S)


@given(tables, tables, tables)
def test_it_does_not_matter_in_which_groups_tables_are_merged(one, two, three):
    first = merged(merged(one, two, NOW_S), three, NOW_S)

    assert first == merged(one, merged(two, three, NOW_S), NOW_S)


@given(tables, tables)
def test_a_table_that_comes_twice_changes_nothing(one, two):
    once = merged(one, two, NOW_S)

    assert merged(once, two, NOW_S) == once == merged(once, once, NOW_S)


@given(st.lists(st.tuples(keys, values, st.floats(NOW_S - 50, NOW_S + 50)), max_size=20))
def test_a_nodes_next_word_is_newer_than_all_before_also_where_its_clock_goes_back(said):
    node = Words("a", {}, NOW_S)

    stamps = [node.say(key, value, now_s).time_ms for key, value, now_s in said]

    assert stamps == sorted(set(stamps))


@given(tables, keys, values)
def test_what_is_said_after_hearing_another_table_wins_over_it(heard, key, value):
    node = Words("a", {}, NOW_S)
    node.merge(heard, NOW_S)

    said = node.say(key, value, NOW_S - 1000)

    assert merged(heard, node.registers, NOW_S)[key] == said or not said.counts(NOW_S)


@given(tables, tables)
def test_what_holds_after_merging_is_what_the_registers_say_and_has_time_left(one, two):
    node = Words("a", one, NOW_S)
    node.run_out(NOW_S)

    news = node.merge(two, NOW_S)

    assert node.registers == merged(one, two, NOW_S)
    assert news.keys() <= two.keys()
    assert node.holding == {
        key: each.value
        for key, each in node.registers.items()
        if each.value is not None and (each.value.until_s is None or each.value.until_s > NOW_S)
    }


def test_what_was_taken_back_stays_taken_back_when_an_older_table_comes():
    one, two = Words("a", {}, NOW_S), Words("b", {}, NOW_S)
    one.say(KEY, DRAIN, NOW_S)
    two.merge(one.registers, NOW_S)
    two.say(KEY, None, NOW_S)

    two.merge(one.registers, NOW_S)
    one.merge(two.registers, NOW_S)

    assert not one.holding
    assert not two.holding


def test_what_was_taken_back_is_forgotten_after_a_day_and_not_learnt_again():
    node = Words("a", {}, NOW_S)
    node.say(KEY, DRAIN, NOW_S)
    node.say(KEY, None, NOW_S)
    old = dict(node.registers)

    node.forget(NOW_S + KEEP_S + 1)
    news = node.merge(old, NOW_S + KEEP_S + 1)

    assert not node.registers
    assert not news


def test_a_word_runs_out_at_its_time_and_is_not_heard_again():
    node = Words("a", {}, NOW_S)
    node.say(KEY, Forced(Word.UP, NOW_S + 10), NOW_S)

    before, over = node.run_out(NOW_S + 9), node.run_out(NOW_S + 10)
    again = node.merge(dict(node.registers), NOW_S + 11)

    assert (list(before), list(over), list(again)) == ([], [KEY], [])
    assert not node.holding


def test_a_stamp_from_far_in_the_future_counts_for_nothing():
    ahead = Register(NOW_MS + int(AHEAD_MAX_S) * 1000 + 1, "b", DRAIN)
    node = Words("a", {KEY: ahead}, NOW_S)

    assert not node.holding
    assert not node.merge({KEY: ahead}, NOW_S)
    assert node.say(KEY, None, NOW_S).time_ms == NOW_MS


def test_a_full_table_keeps_the_newest_and_says_that_it_is_full():
    many = {(f"192.0.2.{n}", ""): Register(NOW_MS - n, "a", DRAIN) for n in range(REGISTERS_MAX)}
    node = Words("a", many, NOW_S)
    eldest = (f"192.0.2.{REGISTERS_MAX - 1}", "")

    news = node.merge({("192.0.2.x", ""): Register(NOW_MS, "b", DRAIN)}, NOW_S)

    assert node.is_full
    assert list(news) == [("192.0.2.x", "")]
    assert eldest not in node.registers
    assert eldest not in node.holding
    assert len(node.registers) == len(node.holding) == REGISTERS_MAX


def test_a_region_stands_where_else_an_address_does():
    assert region_of(region_key("eu-west")) == "eu-west"
    assert region_of("2001:db8::1") is None


@given(tables)
def test_a_table_comes_back_from_json_as_it_was(table):
    assert decode(json.loads(json.dumps(encode(table)))) == table


GOOD = ["192.0.2.1", "", NOW_MS, "a", ["drain", None, "", "", 0.0, 0.0]]


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [GOOD, GOOD],
        [GOOD[:4]],
        [[*GOOD[:2], True, *GOOD[3:]]],
        [[*GOOD[:2], -1, *GOOD[3:]]],
        [[1, *GOOD[1:]]],
        [["a" * 501, *GOOD[1:]]],
        [["\ud800", *GOOD[1:]]],
        [[*GOOD[:4], ["sideways", None, "", "", 0, 0]]],
        [[*GOOD[:4], ["drain", "soon", "", "", 0, 0]]],
        [[*GOOD[:4], ["drain", float("nan"), "", "", 0, 0]]],
        [[*GOOD[:4], ["drain", TIME_MAX_S + 1, "", "", 0, 0]]],
        [[*GOOD[:4], ["drain", None, "", "", -1, 0]]],
        [GOOD] * (REGISTERS_MAX + 1),
    ],
)
def test_rows_that_are_no_table_are_refused(rows):
    with pytest.raises(ValueError, match=r"\w"):
        decode(rows)


def test_names_are_a_list_of_texts():
    assert words.names(["eu", "us"], 2) == ("eu", "us")
    with pytest.raises(ValueError, match="at most 1"):
        words.names(["eu", "us"], 1)
    with pytest.raises(ValueError, match="at most"):
        words.names("eu", 2)


def test_any_stamped_word_wins_over_one_that_was_kept_without_a_stamp():
    old = words.unstamped([(KEY, DRAIN)])
    new = {KEY: Register(NOW_MS, "a", replace(DRAIN, reason="later"))}

    assert Words("a", old, NOW_S).holding == {KEY: DRAIN}
    assert merged(old, new, NOW_S) == new
