"""Verdicts as a fold over results, and the beliefs that are made from them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.belief import Belief, Forced, Word, believe, forced_at
from gslb.health.probe import OK, failed
from gslb.health.verdict import Record, Verdict, observe, resumed, worst_detection_s
from gslb.model import Monitor

UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN
BAD = failed("refused", "connection refused")
LOST = failed("local", "too many open files")
WEB = Monitor(name="web", interval_s=5.0, timeout_s=2.0, fall=3, rise=2, recheck_s=1.0)
UNTIL_S = 100.0


def after(*results, monitor=WEB, step_s=1.0):
    """Return the record after results that came at once, from probes *step_s* apart."""
    record = Record()
    for number, result in enumerate(results):
        started_s = number * step_s
        record = observe(record, result, monitor, started_s=started_s, now_s=started_s)
    return record


# The fold


@pytest.mark.parametrize(("result", "verdict"), [(OK, UP), (BAD, DOWN)])
def test_the_first_result_ever_decides_at_once(result, verdict):
    record = after(result)

    assert record.verdict is verdict
    assert record.reason == result.reason
    assert (record.streak, record.flips_at_s) == (0, None)


def test_one_lost_probe_flips_nothing():
    assert after(OK, BAD).verdict is UP


@pytest.mark.parametrize("fall", [1, 2, 3, 10])
def test_exactly_fall_failures_in_a_row_flip_to_down(fall):
    monitor = replace(WEB, fall=fall)

    assert after(OK, *[BAD] * (fall - 1), monitor=monitor).verdict is UP
    assert after(OK, *[BAD] * fall, monitor=monitor).verdict is DOWN


@pytest.mark.parametrize("rise", [1, 2, 3, 10])
def test_exactly_rise_successes_in_a_row_flip_to_up(rise):
    monitor = replace(WEB, rise=rise)

    assert after(BAD, *[OK] * (rise - 1), monitor=monitor).verdict is DOWN
    assert after(BAD, *[OK] * rise, monitor=monitor).verdict is UP


def test_a_result_that_agrees_wipes_the_streak():
    record = after(OK, BAD, BAD, OK)

    assert (record.verdict, record.streak, record.flips_at_s) == (UP, 0, None)
    assert after(OK, BAD, BAD, OK, BAD, BAD).verdict is UP


def test_since_is_when_the_verdict_changed_and_no_earlier_or_later():
    assert after(OK).since_s == 0.0
    assert after(OK, OK, BAD, BAD, BAD).since_s == 4.0
    assert after(OK, OK, BAD, BAD, BAD, BAD).since_s == 4.0


def test_risen_is_when_down_became_up_and_not_when_unknown_did():
    assert after(OK).risen_at_s is None
    assert after(BAD, OK).risen_at_s is None
    assert after(BAD, OK, OK).risen_at_s == 2.0
    assert after(BAD, OK, OK, BAD, BAD, BAD).risen_at_s == 2.0


def test_the_reason_is_that_of_the_newest_result_that_agrees():
    slow = failed("timeout", "")

    assert after(BAD, slow).reason == "timeout"
    assert after(OK, slow).reason == "ok"
    assert after(OK, slow).last_reason == "timeout"


def test_a_failure_of_our_own_moves_nothing_and_leaves_a_streak_as_it_is():
    assert after(LOST).verdict is UNKNOWN
    assert after(OK, LOST, LOST, LOST, LOST).verdict is UP
    assert after(OK, BAD, LOST, BAD).streak == 2
    assert after(OK, BAD, LOST, BAD, BAD).verdict is DOWN


def test_a_clock_that_stands_still_or_goes_back_gives_no_negative_duration():
    assert observe(Record(), OK, WEB, started_s=5.0, now_s=4.0).last_took_s == 0.0


# The earliest flip


def test_the_earliest_flip_supposes_that_every_further_probe_fails_at_once():
    one = observe(after(OK), BAD, WEB, started_s=10.0, now_s=10.25)
    two = observe(one, BAD, WEB, started_s=11.0, now_s=11.25)

    assert one.flips_at_s == 12.0
    assert two.flips_at_s == 12.0


def test_the_next_probe_starts_no_sooner_than_a_long_one_ended():
    hung = observe(after(OK), failed("timeout", ""), WEB, started_s=10.0, now_s=12.0)

    assert hung.flips_at_s == 13.0


def test_rising_is_announced_like_falling():
    rising = observe(after(BAD), OK, WEB, started_s=10.0, now_s=10.5)

    assert rising.flips_at_s == 11.0


# Times are 64ths of a second, which floats add without rounding.
ticks = st.integers(1, 640).map(lambda tick: tick / 64)
monitors = st.builds(
    Monitor,
    name=st.just("web"),
    recheck_s=ticks,
    timeout_s=ticks,
    fall=st.integers(1, 6),
    rise=st.integers(1, 6),
)


@given(
    monitor=monitors,
    first=st.sampled_from([OK, BAD]),
    probes=st.lists(st.tuples(st.sampled_from([OK, BAD, LOST]), ticks, ticks), max_size=40),
)
def test_no_verdict_flips_before_a_time_that_was_announced_and_none_moves_earlier(
    monitor, first, probes
):
    record = observe(Record(), first, monitor, started_s=0.0, now_s=0.0)
    announced_s = 0.0
    for result, took_s, late_s in probes:
        assert record.last_started_s is not None
        gap_s = max(monitor.recheck_s, record.last_took_s)
        started_s = record.last_started_s + gap_s + (late_s - 1 / 64)
        now_s = started_s + took_s
        after_it = observe(record, result, monitor, started_s=started_s, now_s=now_s)

        assert (after_it.streak > 0) == (after_it.flips_at_s is not None)
        if after_it.verdict is not record.verdict:
            assert now_s >= announced_s
        if after_it.flips_at_s is not None:
            assert after_it.flips_at_s >= now_s
            assert after_it.flips_at_s >= announced_s
        announced_s = after_it.flips_at_s or 0.0
        record = after_it


@given(st.lists(st.booleans(), min_size=1, max_size=60), monitors)
def test_a_verdict_is_what_the_last_long_enough_run_of_results_says(successes, monitor):
    record = after(*[OK if ok else BAD for ok in successes], monitor=monitor)

    expected = successes[0]
    for end in range(1, len(successes) + 1):
        needed = monitor.fall if expected else monitor.rise
        if end >= needed and all(ok != expected for ok in successes[end - needed : end]):
            expected = not expected
    assert record.verdict is (UP if expected else DOWN)


# Around a restart, and how long detection takes


def test_a_stored_verdict_holds_after_a_restart_and_its_streak_does_not():
    stored = after(BAD, OK, OK, BAD, BAD)

    record = resumed(stored, now_s=100.0)

    assert record == Record(verdict=UP, reason="ok", since_s=2.0, risen_at_s=2.0)


def test_times_stored_by_a_clock_that_was_ahead_are_not_in_the_future():
    record = resumed(Record(verdict=UP, since_s=50.0, risen_at_s=50.0), now_s=10.0)

    assert (record.since_s, record.risen_at_s) == (10.0, 10.0)


def test_a_stored_record_that_never_rose_has_not_risen():
    assert resumed(after(OK), now_s=1.0).risen_at_s is None


@pytest.mark.parametrize(
    ("monitor", "seconds"),
    [
        (WEB, 5 + 2 * 2 + 2 + 1),
        (replace(WEB, recheck_s=3.0), 5 + 2 * 3 + 2 + 1),
        (replace(WEB, fall=1), 5 + 0 + 2 + 1),
    ],
)
def test_worst_detection_adds_up_what_a_hanging_member_costs(monitor, seconds):
    assert worst_detection_s(monitor, tick_s=1.0) == seconds
    assert worst_detection_s(monitor, report_s=2.0, tick_s=1.0) == seconds + 2


# Beliefs


def test_nothing_known_and_nothing_said_is_living_and_not_drained():
    assert believe(None, None, 0.0) == Belief()
    assert Belief().verdict is UNKNOWN
    assert Belief().lives
    assert not Belief().drained


@pytest.mark.parametrize(
    ("verdict", "word", "lives", "drained"),
    [
        (UP, None, True, False),
        (UNKNOWN, None, True, False),
        (DOWN, None, False, False),
        (DOWN, Word.UP, True, False),
        (UP, Word.DOWN, False, False),
        (UNKNOWN, Word.DOWN, False, False),
        (UP, Word.DRAIN, True, True),
        (DOWN, Word.DRAIN, False, True),
    ],
)
def test_an_operators_word_stands_beside_the_verdict(verdict, word, lives, drained):
    forced = Forced(word) if word else None

    belief = believe(Record(verdict=verdict), forced, 0.0)

    assert (belief.lives, belief.drained) == (lives, drained)
    assert belief.verdict is verdict


def test_a_word_ends_at_its_time_and_one_without_a_time_does_not():
    forced = Forced(Word.DRAIN, until_s=UNTIL_S, reason="kernel update", by="ops")

    assert forced_at(forced, UNTIL_S - 0.1) is Word.DRAIN
    assert forced_at(forced, UNTIL_S) is None
    assert forced_at(replace(forced, until_s=None), 1e12) is Word.DRAIN
    assert forced_at(None, 0.0) is None


def test_a_belief_says_all_that_routing_needs_of_the_record():
    record = Record(UP, "ok", since_s=1.0, streak=1, flips_at_s=9.0, risen_at_s=1.0)

    assert believe(record, None, 2.0) == Belief(UP, "ok", 1.0, 9.0, 1.0, None)


@pytest.mark.parametrize("word", [Word.UP, Word.DOWN])
def test_under_a_word_that_replaces_the_verdict_no_flip_is_near(word):
    record = Record(UP, streak=1, flips_at_s=9.0)

    assert believe(record, Forced(word), 0.0).flips_at_s is None
    assert believe(record, Forced(Word.DRAIN), 0.0).flips_at_s == 9.0
