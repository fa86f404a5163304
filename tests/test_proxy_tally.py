"""What a worker counts: whole numbers that only grow, and histograms of durations."""

import pytest

from gslb.proxy.tally import BOUNDS_S, Tally
from tests.targets import targets


def test_what_became_of_requests_is_told_by_route():
    tally = Tally()
    tally.of("a").done(200, 10, 20, 0.002)
    tally.of("a").done(200, 1, 2, 0.002)
    tally.of("a").done(404, 0, 0, 0.002)
    tally.of("b")

    assert tally.of("a") is tally.of("a")
    assert tally.counts([]) == {
        ("gslb_proxy_requests_total", "a", "200"): 2,
        ("gslb_proxy_requests_total", "a", "404"): 1,
        ("gslb_proxy_bytes_total", "a", "in"): 11,
        ("gslb_proxy_bytes_total", "a", "out"): 22,
        ("gslb_proxy_bytes_total", "b", "in"): 0,
        ("gslb_proxy_bytes_total", "b", "out"): 0,
    }


@pytest.mark.parametrize(
    ("took_s", "bucket"),
    [
        (0.0, 0),
        (BOUNDS_S[0], 0),
        (BOUNDS_S[0] * 1.01, 1),
        (BOUNDS_S[-1], len(BOUNDS_S) - 1),
        (1000.0, len(BOUNDS_S)),
    ],
)
def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass(took_s, bucket):
    tally = Tally()
    tally.of("a").done(200, 0, 0, took_s)
    tally.of("quiet")

    (name,) = tally.times()
    assert name == "a"
    *counts, sum_s = tally.times()["a"]
    assert counts == [int(at == bucket) for at in range(len(BOUNDS_S) + 1)]
    assert sum_s == took_s


def test_what_is_told_is_a_copy():
    tally = Tally()
    tally.of("a").done(200, 0, 0, 1.0)
    told = tally.times()
    tally.of("a").done(200, 0, 0, 1.0)

    assert told["a"][-1] == 1.0


def test_anything_else_is_counted_by_its_labels():
    tally = Tally()
    tally.count("x_total")
    tally.count("x_total", "a")
    tally.count("x_total", "a", by=2.5)

    assert tally.counts([]) == {("x_total",): 1, ("x_total", "a"): 3.5}


def test_tries_are_counted_while_their_target_is_there_and_when_it_is_gone():
    tally = Tally()
    one, other = targets(1, 1)
    one.oks = 3
    tally.attempt("www", one.name, "timeout")
    of = [("www", one), ("www", other)]
    ok = ("gslb_proxy_attempts_total", "www", one.name, "ok")
    assert tally.counts(of) == {ok: 3, (*ok[:3], "timeout"): 1}

    tally.forget("www", one)
    tally.forget("www", other)
    assert tally.counts([]) == tally.counts(of) == {ok: 3, (*ok[:3], "timeout"): 1}
    one.oks += 1
    assert tally.counts(of)[ok] == 4
