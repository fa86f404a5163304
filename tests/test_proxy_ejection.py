"""Ejection: who fails is left out for a while, longer each time, and never everybody."""

from random import Random

import pytest

from gslb.proxy.ejection import Circuit, Ejector, Outcome, Phase
from gslb.proxy.slowness import SAMPLES_MIN, WINDOW_S
from gslb.tier import Ejection

OK, ERROR, CONNECT, TIMEOUT = Outcome
NAMES = ("a", "b", "c", "d")


def ejector(*, names=NAMES, **rules):
    return Ejector(Ejection(**rules), names)


def failed(made, name, count, now_s=0.0, outcome=ERROR):
    """Return what came of each of *count* failures."""
    return [made.observe(name, outcome, 0.01, now_s) for _ in range(count)]


def test_five_errors_in_a_row_eject():
    made = ejector()

    assert failed(made, "a", 5) == [False] * 4 + [True]
    assert made.ejected(0.0) == {"a"}
    assert made.state(0.0)["a"].why == "5 failures in a row"


def test_a_success_between_them_keeps_it_in():
    made = ejector()

    failed(made, "a", 4)
    made.observe("a", OK, 0.01, 0.0)
    failed(made, "a", 4)

    assert not made.ejected(0.0)


def test_a_success_between_them_keeps_in_one_that_was_ejected_before_too():
    made = ejector()
    failed(made, "a", 5)
    made.observe("a", OK, 0.01, 10.0)

    failed(made, "a", 4, 11.0)
    failed(made, "b", 2, 11.0, CONNECT)
    made.observe("a", OK, 0.01, 12.0)
    failed(made, "a", 4, 13.0)

    assert not made.ejected(13.0)


def test_three_connect_errors_in_a_row_eject():
    made = ejector()

    assert failed(made, "a", 3, outcome=CONNECT) == [False, False, True]
    assert made.state(0.0)["a"].why == "3 connect errors in a row"


def test_connect_errors_count_from_the_last_time_it_accepted():
    made = ejector(errors=None)

    for outcome in (CONNECT, CONNECT, ERROR, CONNECT, CONNECT):
        assert not made.observe("a", outcome, 0.01, 0.0)

    assert made.observe("a", CONNECT, 0.01, 0.0)


def test_timeouts_and_connect_errors_count_as_failures_too():
    made = ejector()

    for outcome in (CONNECT, CONNECT, TIMEOUT, ERROR):
        assert not made.observe("a", outcome, 1.0, 0.0)

    assert made.observe("a", CONNECT, 1.0, 0.0)


@pytest.mark.parametrize("outcome", [ERROR, CONNECT, TIMEOUT])
def test_rules_that_are_switched_off_eject_nobody(outcome):
    made = ejector(errors=None, connect_errors=None)

    assert not any(failed(made, "a", 1000, outcome=outcome))


def test_an_ejected_one_is_back_on_trial_when_its_time_is_over():
    made = ejector()
    failed(made, "a", 5, 100.0)

    assert made.until_s == 110.0
    assert made.ejected(109.9) == {"a"}
    assert made.trials(109.9) == set()
    assert made.trials(110.0) == {"a"}
    assert made.ejected(110.0) == set()
    assert made.until_s == float("inf")


@pytest.mark.parametrize("who_asks_first", ["ejected", "trials", "state"])
def test_its_return_is_noticed_by_whoever_asks_first(who_asks_first):
    made = ejector()
    failed(made, "a", 5, 100.0)

    getattr(made, who_asks_first)(110.0)

    assert made.until_s == float("inf")
    assert made._out == set()
    assert made._trials == {"a"}


def test_its_return_is_noticed_with_the_next_outcome_of_anybody_who_failed():
    made = ejector()
    failed(made, "a", 5)

    assert made.observe("a", OK, 0.01, 10.0)
    assert made.state(10.0)["a"].phase is Phase.CLOSED


def test_on_trial_one_success_closes_and_says_so():
    made = ejector()
    failed(made, "a", 5)
    assert made.trials(10.0) == {"a"}

    assert made.observe("a", OK, 0.01, 10.0)

    assert not made.trials(10.0)
    assert made.observe("a", OK, 0.01, 10.0) is False


def test_on_trial_one_failure_ejects_for_twice_as_long_and_at_last_for_the_longest():
    made = ejector(base_s=10, max_s=60)
    failed(made, "a", 5)
    lasted = []
    now_s = 10.0
    for _ in range(40):
        assert made.trials(now_s) == {"a"}
        assert made.observe("a", TIMEOUT, 1.0, now_s)
        lasted.append(made.until_s - now_s)
        now_s = made.until_s

    assert lasted == [20, 40] + [60] * 38
    assert made.state(now_s)["a"].why == "timeout on trial"


def test_after_a_quiet_while_one_doubling_is_forgotten():
    made = ejector(base_s=10, max_s=300)
    failed(made, "a", 5)  # until 10
    failed(made, "a", 1, 10.0)  # until 30
    failed(made, "a", 1, 30.0)  # until 70
    made.observe("a", OK, 0.01, 70.0)

    failed(made, "a", 5, 371.0)  # 301 s later

    assert made.until_s == 371.0 + 40


def test_in_the_end_nothing_is_remembered():
    made = ejector(base_s=10, max_s=300)
    failed(made, "a", 5)
    made.observe("a", OK, 0.01, 10.0)
    assert made.state(309.0)["a"].times == 1

    made.observe("a", OK, 0.01, 310.0)

    assert made.state(310.0)["a"] == Circuit()


def test_what_was_under_way_when_it_was_ejected_counts_for_nothing():
    made = ejector()
    failed(made, "a", 5)

    assert not any(failed(made, "a", 20, 1.0))
    assert not made.observe("a", OK, 0.01, 1.0)

    assert made.ejected(9.9) == {"a"}
    assert made.trials(10.0) == {"a"}
    assert not made.ejected(10.0)


@pytest.mark.parametrize(
    ("names", "percent", "most"),
    [("a", 100, 0), ("ab", 100, 1), ("ab", 50, 1), ("abc", 50, 1), ("abcd", 50, 2), ("abcd", 0, 0)],
)
def test_never_are_more_out_than_may_be(names, percent, most):
    made = ejector(names=names, most_percent=percent)

    for name in names:
        failed(made, name, 20)

    assert len(made.ejected(0.0)) == most


def test_one_that_fails_while_too_many_are_out_is_ejected_when_there_is_room():
    made = ejector(names="ab")
    failed(made, "a", 5)
    failed(made, "b", 5, 1.0)
    assert made.ejected(1.0) == {"a"}

    assert made.observe("b", ERROR, 0.01, 10.0)

    assert made.ejected(10.0) == {"b"}
    assert made.trials(10.0) == {"a"}


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("early", [False, True])
def test_when_the_pool_shrinks_those_who_would_be_back_first_are_back(first, second, early):
    made = ejector(base_s=10, max_s=1000)
    # Known in this order, whoever's time is over sooner.
    failed(made, first, 1)
    failed(made, second, 1)
    sooner, later = (first, second) if early else (second, first)
    failed(made, sooner, 5, 1.0)
    failed(made, later, 5, 2.0)
    assert made.ejected(2.0) == {"a", "b"}

    assert made.keep(("a", "b", "c"), 3.0)

    assert made.ejected(3.0) == {later}
    assert made.trials(3.0) == {sooner}


def test_a_pool_with_room_for_all_who_are_out_changes_nobody():
    made = ejector()
    failed(made, "a", 5)

    assert not made.keep(("a", "b"), 1.0)

    assert made.ejected(1.0) == {"a"}


def test_who_leaves_the_pool_is_forgotten():
    made = ejector()
    failed(made, "a", 5)

    assert not made.keep(("b", "c", "d"), 1.0)
    assert not made.ejected(1.0)
    assert made.until_s == float("inf")
    made.keep(NAMES, 2.0)

    assert made.state(2.0)["a"] == Circuit()


def test_an_empty_pool_has_nobody_to_eject():
    made = ejector(names=())

    assert not any(failed(made, "a", 10))
    assert made.state(0.0) == {}
    assert not made.keep((), 1.0)


def test_those_outside_the_pool_are_not_remembered():
    made = ejector()

    assert not any(failed(made, "x", 100))
    assert set(made.state(0.0)) == set(NAMES)


def test_one_that_is_slow_while_too_many_are_out_stays():
    made = ejector(slow_factor=5.0)
    failed(made, "c", 5, 1.0)
    failed(made, "d", 5, 1.0)

    assert not slow_for_a_window(made, 0.0, {"a": 0.01, "b": 1.0})

    assert made.ejected(WINDOW_S) == {"c", "d"}


def slow_for_a_window(made, now_s, times):
    for _ in range(SAMPLES_MIN):
        for name, time_s in times.items():
            made.observe(name, OK, time_s, now_s)
    return made.observe(next(iter(times)), OK, 0.01, now_s + WINDOW_S)


def test_one_that_is_much_slower_than_the_others_is_ejected_where_that_is_watched():
    made = ejector(slow_factor=5.0)

    assert slow_for_a_window(made, 0.0, {"a": 0.01, "b": 0.01, "c": 0.2})

    assert made.ejected(WINDOW_S) == {"c"}
    assert made.state(WINDOW_S)["c"].why == "0.200 s on average, the others 0.010 s"


def test_one_that_is_much_slower_stays_where_that_is_not_watched():
    made = ejector()

    assert not slow_for_a_window(made, 0.0, {"a": 0.01, "b": 0.01, "c": 0.2})


def test_times_to_connect_in_vain_are_no_response_times():
    made = ejector(slow_factor=5.0, errors=None, connect_errors=None)

    for _ in range(SAMPLES_MIN):
        made.observe("a", OK, 0.01, 0.0)
        made.observe("b", CONNECT, 1.0, 0.0)

    assert not made.observe("a", OK, 0.01, WINDOW_S)


def test_slow_ones_that_left_the_pool_are_not_ejected():
    made = ejector(slow_factor=5.0)
    for _ in range(SAMPLES_MIN):
        made.observe("a", OK, 0.01, 0.0)
        made.observe("b", OK, 1.0, 0.0)
    made.keep(("a", "c", "d"), 1.0)

    assert not made.observe("a", OK, 0.01, WINDOW_S)
    assert set(made.state(WINDOW_S)) == {"a", "c", "d"}


def test_what_is_shown_does_not_change_by_itself():
    made = ejector()
    failed(made, "a", 2)
    shown = made.state(0.0)["a"]

    failed(made, "a", 1)

    assert shown.failures == 2


@pytest.mark.parametrize("seed", range(100))
def test_whatever_happens_one_stays_no_more_than_may_be_are_out_and_none_for_too_long(seed):
    chance = Random(seed)
    percent, errors = chance.choice([0, 30, 50, 100]), chance.randint(1, 4)
    slow_factor = chance.choice([None, 2.0])
    made = ejector(
        errors=errors, max_s=25.0, base_s=5.0, most_percent=percent, slow_factor=slow_factor
    )
    bad = chance.choices(NAMES, k=chance.randint(1, 4))
    pool, now_s, failing, seen = frozenset(NAMES), 0.0, set(), set()

    for _ in range(400):
        was_out, were_on_trial, due_s = made.ejected(now_s), made.trials(now_s), made.until_s
        if chance.random() < 0.02:
            pool = frozenset(chance.sample(NAMES, chance.randint(0, 4)))
            changed = made.keep(pool, now_s)
            was_out, were_on_trial = was_out & pool, were_on_trial & pool
        else:
            now_s += chance.choice([0.0, 0.0, 0.0, 0.5, 3.0])
            name = chance.choice(NAMES)
            fails = name in bad and chance.random() < 0.9
            outcome = chance.choice([ERROR, CONNECT, TIMEOUT]) if fails else OK
            failing |= {name} if fails else set()
            changed = made.observe(name, outcome, chance.choice([0.01, 0.01, 0.5]), now_s)

        out, trials = made.ejected(now_s), made.trials(now_s)
        assert (out, trials) == (was_out, were_on_trial) or changed or due_s <= now_s
        assert out <= pool
        assert not out & trials
        assert len(out) <= len(pool) * percent // 100
        assert not pool or len(out) < len(pool)
        assert slow_factor is not None or not out - failing
        assert made.until_s > now_s
        assert (made.until_s < float("inf")) == bool(out)
        circuits = made.state(now_s)
        assert all(0 < circuits[each].until_s - now_s <= 25.0 for each in out)
        phases = {n: each.phase for n, each in circuits.items()}
        assert phases == {
            n: Phase.EJECTED if n in out else Phase.TRIAL if n in trials else Phase.CLOSED
            for n in pool
        }
        seen |= set(phases.values())

    assert percent < 30 or Phase.EJECTED in seen
