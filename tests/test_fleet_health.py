"""A fleet of members on a made-up clock: fold and schedule together, seed by seed."""

import heapq
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from gslb.health.probe import OK, failed
from gslb.health.schedule import Schedule
from gslb.health.verdict import Record, Verdict, observe, worst_detection_s
from gslb.model import Monitor, Subject

SEEDS = range(25)
MEMBERS = 8
LASTS_S = 400.0
ROUNDING_S = 1e-6
REFUSED = failed("refused", "")
TIMEOUT = failed("timeout", "")


@dataclass
class Life:
    """One member's states: at `times[i]` it becomes `states[i]`."""

    times: list[float] = field(default_factory=lambda: [0.0])
    states: list[str] = field(default_factory=lambda: ["alive"])

    def state_at(self, now_s):
        return self.states[bisect_right(self.times, now_s) - 1]

    def dead_for_s(self, now_s):
        """Return for how long the member has not been alive."""
        last = bisect_right(self.times, now_s) - 1
        if self.states[last] == "alive":
            return 0.0
        while last > 0 and self.states[last - 1] != "alive":
            last -= 1
        return now_s - self.times[last]

    def probed(self, started_s, took_s, timeout_s):
        """Return the result of a probe, and when it is there."""
        if self.state_at(started_s) == "dead":
            return REFUSED, started_s + took_s
        whole = bisect_right(self.times, started_s) == bisect_right(self.times, started_s + took_s)
        if self.state_at(started_s) == "alive" and whole:
            return OK, started_s + took_s
        return TIMEOUT, started_s + timeout_s


def a_life(chance, change_every_s):
    life = Life()
    now_s = 0.0
    while (now_s := now_s + chance.expovariate(1 / change_every_s)) < LASTS_S:
        life.times.append(now_s)
        life.states.append(chance.choice(["alive", "alive", "dead", "hung"]))
    return life


def a_monitor(chance):
    return Monitor(
        name="web",
        interval_s=chance.choice([2.0, 5.0, 7.3]),
        timeout_s=chance.choice([0.3, 1.0, 1.9]),
        recheck_s=chance.choice([0.2, 1.0, 1.5]),
        fall=chance.randint(2, 4),
        rise=chance.randint(1, 4),
    )


class Fleet:
    """Members' lives, and a prober without sockets that watches them."""

    def __init__(self, seed, lives):
        self.chance = random.Random(seed)
        self.monitor = a_monitor(self.chance)
        subjects = [
            Subject(f"192.0.2.{i}", (f"192.0.2.{i}", 80), "web", "www.example.com")
            for i in range(MEMBERS)
        ]
        self.lives = {subject: lives(self.chance) for subject in subjects}
        self.records = dict.fromkeys(subjects, Record())
        self.schedule = Schedule()
        self.schedule.watch(dict.fromkeys(subjects, self.monitor), {}, now_s=0.0)
        self.finishing = []
        self.started = []

    def lose(self, subject):
        """Return whether the network loses the probe that starts now."""
        return False

    def run(self, check):
        """Run to the end; call check(subject, before, after, started_s, now_s) at each result."""
        while True:
            finish_s = self.finishing[0][0] if self.finishing else LASTS_S
            start_s = LASTS_S if self.schedule.next_at_s is None else self.schedule.next_at_s
            now_s = min(finish_s, start_s)
            if now_s >= LASTS_S:
                return
            if finish_s <= start_s:
                self.finish(check)
            else:
                self.start(now_s)

    def start(self, now_s):
        for subject in self.schedule.start(now_s, MEMBERS):
            took_s = self.chance.uniform(0.001, 0.25)
            result, end_s = self.lives[subject].probed(now_s, took_s, self.monitor.timeout_s)
            if self.lose(subject):
                result, end_s = TIMEOUT, now_s + self.monitor.timeout_s
            self.started.append((subject, now_s, end_s, self.records[subject].streak == 0))
            heapq.heappush(self.finishing, (end_s, subject, now_s, result.ok, result))

    def finish(self, check):
        now_s, subject, started_s, _, result = heapq.heappop(self.finishing)
        before = self.records[subject]
        after = observe(before, result, self.monitor, started_s=started_s, now_s=now_s)
        self.records[subject] = after
        self.schedule.finish(subject, after, now_s=now_s)
        check(subject, before, after, now_s)


def ailing(chance):
    return a_life(chance, 30.0)


def healthy(chance):
    return Life()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_dead_for_longer_than_detection_takes_is_down(seed):
    fleet = Fleet(seed, ailing)
    worst_s = worst_detection_s(fleet.monitor, tick_s=0.0)
    overdue = 0

    def check(subject, before, after, now_s):
        nonlocal overdue
        for each, life in fleet.lives.items():
            if life.dead_for_s(now_s) > worst_s + ROUNDING_S:
                overdue += 1
                assert fleet.records[each].verdict is Verdict.DOWN, f"seed {seed}: {each}"

    fleet.run(check)

    assert overdue


@pytest.mark.parametrize("seed", SEEDS)
def test_one_lost_probe_flips_nothing(seed):
    fleet = Fleet(seed, healthy)
    lost_before = set()

    def lose(subject):
        lost = subject not in lost_before and fleet.chance.random() < 0.3
        (lost_before.add if lost else lost_before.discard)(subject)
        return lost and fleet.records[subject].verdict is not Verdict.UNKNOWN

    fleet.lose = lose

    def check(subject, before, after, now_s):
        assert after.verdict is Verdict.UP, f"seed {seed}: {subject}"

    fleet.run(check)

    assert not all(quiet for *_, quiet in fleet.started)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_verdict_flips_before_the_time_that_was_announced(seed):
    fleet = Fleet(seed, ailing)
    flips = 0

    def check(subject, before, after, now_s):
        nonlocal flips
        if before.flips_at_s is None:
            return
        if after.verdict is not before.verdict:
            flips += 1
            assert now_s >= before.flips_at_s - ROUNDING_S, f"seed {seed}: {subject}"
        elif after.flips_at_s is not None:
            assert after.flips_at_s >= before.flips_at_s - ROUNDING_S, f"seed {seed}: {subject}"

    fleet.run(check)

    assert flips


@pytest.mark.parametrize("seed", SEEDS)
def test_probes_of_one_member_never_overlap_and_quiet_ones_stay_an_interval_apart(seed):
    fleet = Fleet(seed, ailing)

    fleet.run(lambda *_: None)

    for subject in fleet.lives:
        probes = [probe[1:] for probe in fleet.started if probe[0] == subject]
        assert len(probes) > LASTS_S / fleet.monitor.interval_s - 2
        for (start_s, end_s, quiet), (next_s, _, next_quiet) in pairwise(probes):
            assert next_s >= end_s, f"seed {seed}: {subject}"
            if quiet and next_quiet:
                gap_s = next_s - start_s
                assert gap_s == pytest.approx(fleet.monitor.interval_s), f"seed {seed}: {subject}"
