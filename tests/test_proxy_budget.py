"""The retry budget: no more than a part of the requests, and a few that are free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.budget import RETRIES_PER_S, WINDOW_S, Budget

FREE = RETRIES_PER_S * WINDOW_S


def retried(budget, now_s, wanted):
    return sum(budget.retry(now_s) for _ in range(wanted))


def test_a_quiet_service_may_retry():
    assert Budget(20).retry(1000.5)


def test_a_quiet_service_may_retry_only_so_often():
    assert retried(Budget(20), 0.0, 1000) == FREE


def test_a_busy_service_may_retry_its_part_besides():
    budget = Budget(20)
    for _ in range(1000):
        budget.request(7.0)

    assert retried(budget, 7.5, 1000) == 200 + FREE


def test_without_a_part_nothing_is_retried():
    budget = Budget(0)
    budget.request(0.0)

    assert not budget.retry(0.0)


def test_what_is_older_than_the_window_is_forgotten():
    budget = Budget(20)
    for _ in range(1000):
        budget.request(0.0)
    used = retried(budget, 0.0, 1000)

    assert used == 230
    assert not budget.retry(WINDOW_S - 0.1)
    assert retried(budget, WINDOW_S, 1000) == FREE


def test_a_window_of_silence_forgets_all_however_long_it_is():
    budget = Budget(20)
    budget.request(3.0)
    budget.retry(3.0)

    budget.request(1e9)

    assert (budget.requests, budget.retries) == (1, 0)


@pytest.mark.parametrize("started_s", [0.0, 5.9, 1e6 + 0.3, -3.5])
def test_a_steady_service_may_retry_its_part_steadily(started_s):
    budget = Budget(10)
    granted = 0

    for tick in range(6000):  # 100 requests a second, of which each fails
        now_s = started_s + tick / 100
        budget.request(now_s)
        granted += budget.retry(now_s)

    assert granted <= 6000 * 0.1 + 60 * RETRIES_PER_S + FREE
    assert granted >= 6000 * 0.1 + 50 * RETRIES_PER_S


events = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.5]), st.booleans()), max_size=300
)


@given(events, st.integers(0, 100))
def test_in_no_window_are_there_more_retries_than_its_requests_allow(steps, percent):
    budget = Budget(percent)
    now_s = 0.0
    log = []  # the second of each request (False) and each retry that was granted (True)
    for later_s, is_retry in steps:
        now_s += later_s
        seen = [kind for second, kind in log if second > int(now_s) - WINDOW_S]
        if is_retry:
            allowed = percent * seen.count(False) / 100 + (FREE if percent else 0)
            granted = budget.retry(now_s)
            assert granted == (seen.count(True) + 1 <= allowed)
            if not granted:
                continue
        else:
            budget.request(now_s)
        log.append((int(now_s), is_retry))
        assert budget.requests == seen.count(False) + (not is_retry)
        assert budget.retries == seen.count(True) + is_retry
