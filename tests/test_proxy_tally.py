"""What a worker counts: sums by name and labels, with what targets that are gone had."""

from gslb.proxy.tally import BOUNDS_S, Tally
from tests.targets import targets


def test_requests_are_counted_by_route_and_status_with_octets_and_durations():
    tally = Tally()
    route = tally.of("api")
    route.done(200, 10, 100, 0.003)
    route.done(200, 0, 5, 100.0)
    route.done(503, 0, 0, 0.0)
    tally.of("idle")
    assert tally.counts(()) == {
        ("gslb_proxy_requests_total", "api", "200"): 2,
        ("gslb_proxy_requests_total", "api", "503"): 1,
        ("gslb_proxy_bytes_total", "api", "in"): 10,
        ("gslb_proxy_bytes_total", "api", "out"): 105,
        ("gslb_proxy_bytes_total", "idle", "in"): 0,
        ("gslb_proxy_bytes_total", "idle", "out"): 0,
    }
    times = tally.times()
    assert list(times) == ["api"]
    assert sum(times["api"][:-1]) == 3
    assert (times["api"][2], times["api"][len(BOUNDS_S)]) == (1, 1)
    assert times["api"][-1] == 100.003


def test_what_a_target_answered_is_counted_once_it_is_gone_too():
    tally = Tally()
    (target,) = targets(1)
    name = ("gslb_proxy_attempts_total", "www", target.name, "ok")
    tally.attempt("www", target.name, "timeout")
    assert name not in tally.counts([("www", target)])
    target.oks = 3
    assert tally.counts([("www", target)])[name] == 3
    tally.forget("www", target)
    tally.forget("www", target)
    assert tally.counts(())[name] == 3
    target.oks = 2
    assert tally.counts([("www", target)])[name] == 5
    assert tally.counts(())["gslb_proxy_attempts_total", "www", target.name, "timeout"] == 1
