"""When each subject is probed next."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.probe import OK, failed
from gslb.health.schedule import Schedule, next_probe_at_s, phase_s
from gslb.health.verdict import Record, Verdict, observe
from gslb.model import Monitor, Subject

WEB = Monitor(name="web", interval_s=5.0, timeout_s=2.0, recheck_s=1.0)
UP = Verdict.UP
ALL = 1000


def subject(number=1):
    address = f"192.0.2.{number}"
    return Subject(address, (address, 80), "web", "www.example.com")


def scheduled(*subjects, now_s=0.0):
    schedule = Schedule()
    schedule.watch(dict.fromkeys(subjects, WEB), {}, now_s=now_s)
    return schedule


@given(st.integers(0, 10_000), st.floats(0.001, 1000.0))
def test_a_phase_lies_within_the_interval_and_is_always_the_same(number, interval_s):
    phase = phase_s(subject(number), interval_s)

    assert 0.0 <= phase < interval_s
    assert phase == phase_s(subject(number), interval_s)


def test_phases_spread_evenly():
    tenths = [int(phase_s(subject(number), 10.0)) for number in range(10_000)]

    counts = [tenths.count(tenth) for tenth in range(10)]

    assert min(counts) > 850
    assert max(counts) < 1150


def test_vantages_probe_one_subject_at_different_times():
    assert phase_s(subject(), 5.0, "eu") != phase_s(subject(), 5.0, "us")


# What somebody doubts


def after_a_probe(schedule, one, at_s, record=None):
    """Let *one* be probed at *at_s*, at once; return its record."""
    (started,) = schedule.start(at_s, ALL)
    assert started == one
    record = record or Record(UP, "ok", last_started_s=at_s)
    schedule.finish(one, record, now_s=at_s)
    return record


def test_a_doubted_subject_is_probed_at_once_and_then_goes_back_to_its_grid():
    one, other = subject(1), subject(2)
    schedule = scheduled(one, other)
    times_s = {each: phase_s(each, WEB.interval_s) for each in (one, other)}

    schedule.hasten((one, subject(3)), {one: Record(), other: Record()}, now_s=0.0)

    record = after_a_probe(schedule, one, 0.0)
    assert schedule.next_at_s == min(times_s.values())
    assert record.last_started_s == 0.0


def test_however_often_it_is_doubted_a_subject_is_probed_once_a_second_at_most():
    one, schedule = subject(), Schedule()
    schedule.watch({one: replace(WEB, interval_s=3600.0)}, {}, now_s=0.0)
    records = {one: Record(UP, "ok")}
    starts_s = []
    for tick in range(50):
        now_s = tick / 10
        schedule.hasten((one,), records, now_s=now_s)
        if schedule.next_at_s <= now_s:
            records[one] = after_a_probe(schedule, one, now_s)
            starts_s.append(now_s)

    assert starts_s == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_subject_that_is_undecided_is_probed_no_sooner_than_it_announced():
    one = subject()
    schedule = scheduled(one)
    start_s = schedule.next_at_s
    undecided = observe(
        Record(UP, "ok"), failed("refused", ""), WEB, started_s=start_s, now_s=start_s
    )
    after_a_probe(schedule, one, start_s, undecided)

    schedule.hasten((one,), {one: undecided}, now_s=start_s + 0.1)

    assert schedule.next_at_s == start_s + WEB.recheck_s


@pytest.mark.parametrize("fails", [False, True])
def test_a_subject_that_is_doubted_while_it_is_probed_is_probed_again(fails):
    one = subject()
    schedule = scheduled(one)
    start_s = schedule.next_at_s
    before = Record(UP, "ok", last_started_s=start_s)
    schedule.start(start_s, ALL)
    result = failed("refused", "") if fails else OK

    schedule.hasten((one,), {one: before}, now_s=start_s + 0.1)
    after = observe(before, result, WEB, started_s=start_s, now_s=start_s + 0.2)
    schedule.finish(one, after, now_s=start_s + 0.2)

    assert schedule.next_at_s == start_s + 1.0
    (again,) = schedule.start(start_s + 1.0, ALL)
    schedule.finish(again, Record(UP, "ok", last_started_s=start_s + 1.0), now_s=start_s + 1.0)
    assert schedule.next_at_s == pytest.approx(start_s + WEB.interval_s)


@given(
    now_s=st.floats(0.0, 2e9),
    interval_s=st.floats(0.05, 3600.0),
    fraction=st.floats(0.0, 0.999),
)
def test_a_quiet_subject_is_probed_at_each_point_of_its_grid_once(now_s, interval_s, fraction):
    monitor = Monitor(name="web", interval_s=interval_s)
    phase = fraction * interval_s
    at_s = next_probe_at_s(Record(), monitor, phase, now_s=now_s)
    assert now_s <= at_s <= now_s + interval_s * 1.0001

    for _ in range(5):
        record = Record(verdict=UP, last_started_s=at_s)
        next_at_s = next_probe_at_s(record, monitor, phase, now_s=at_s)

        assert next_at_s - at_s == pytest.approx(interval_s, abs=1e-5)
        at_s = next_at_s


def test_a_probe_that_outlasts_the_interval_waits_for_the_next_point():
    record = Record(verdict=UP, last_started_s=2.0, last_took_s=6.0)

    assert next_probe_at_s(record, WEB, 2.0, now_s=8.0) == 12.0


@pytest.mark.parametrize(
    ("took_s", "now_s", "at_s"), [(0.1, 7.1, 8.0), (2.0, 9.0, 9.0), (0.1, 11.0, 11.0)]
)
def test_an_undecided_subject_is_probed_again_after_a_recheck_or_when_the_last_probe_ended(
    took_s, now_s, at_s
):
    record = Record(verdict=UP, streak=1, last_started_s=7.0, last_took_s=took_s)

    assert next_probe_at_s(record, WEB, 2.0, now_s=now_s) == at_s


def test_subjects_that_are_due_start_the_most_overdue_first_and_as_many_as_there_is_room_for():
    subjects = [subject(number) for number in range(1, 21)]
    schedule = scheduled(*subjects)
    in_order = sorted(subjects, key=lambda each: phase_s(each, WEB.interval_s))

    assert schedule.start(5.0, 3) == in_order[:3]
    assert schedule.under_way == 3
    assert schedule.start(5.0, 0) == []
    assert schedule.start(5.0, ALL) == in_order[3:]
    assert schedule.next_at_s is None


def test_nothing_starts_before_its_time():
    schedule = scheduled(subject())
    at_s = schedule.next_at_s

    assert schedule.start(at_s - 0.001, ALL) == []
    assert schedule.start(at_s, ALL) == [subject()]


def test_a_finished_subject_waits_for_what_its_record_asks():
    schedule = scheduled(subject())
    at_s = schedule.next_at_s
    schedule.start(at_s, ALL)
    record = Record(verdict=UP)
    record = observe(record, failed("refused", ""), WEB, started_s=at_s, now_s=at_s)

    schedule.finish(subject(), record, now_s=at_s)

    assert schedule.next_at_s == at_s + WEB.recheck_s
    assert schedule.under_way == 0


def test_a_reload_leaves_the_times_of_subjects_that_stay_and_forgets_the_others():
    stays, goes, comes = subject(1), subject(2), subject(3)
    schedule = scheduled(stays, goes)
    stays_at_s = phase_s(stays, WEB.interval_s)

    schedule.watch({stays: WEB, comes: WEB}, {}, now_s=stays_at_s + 0.001)

    assert schedule.start(stays_at_s, ALL) == [stays]
    assert schedule.start(1000.0, ALL) == [comes]


def test_a_subject_whose_rule_changed_gets_another_time():
    schedule = scheduled(subject())
    slower = Monitor(name="web", interval_s=3600.0)

    schedule.watch({subject(): slower}, {}, now_s=0.0)

    assert schedule.next_at_s == phase_s(subject(), 3600.0)


def test_a_subject_under_way_is_not_started_again_by_a_reload():
    schedule = scheduled(subject())
    schedule.start(5.0, ALL)

    schedule.watch({}, {}, now_s=5.0)
    schedule.watch({subject(): WEB}, {}, now_s=5.0)
    assert schedule.start(100.0, ALL) == []

    schedule.finish(subject(), Record(), now_s=100.0)
    assert schedule.start(106.0, ALL) == [subject()]


def test_a_subject_removed_while_under_way_never_comes_back():
    schedule = scheduled(subject())
    schedule.start(5.0, ALL)
    schedule.watch({}, {}, now_s=5.0)

    record = observe(Record(), OK, WEB, started_s=5.0, now_s=5.1)
    schedule.finish(subject(), record, now_s=5.1)

    assert schedule.next_at_s is None
