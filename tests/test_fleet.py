"""A whole fleet on a fake clock: node, prober, members and clients, from one seed.

Members die, hang and recover; operators force and release; the node restarts with what
its state directory holds.  All the while clients ask, and what they get is held against
what was promised.  A failing seed is a bug report.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_address

import dns.message
import pytest

from gslb.daemons import store
from gslb.daemons.controller import TICK_S, Controller, grace_s
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.dns.message import decode_query
from gslb.health.belief import Forced, Word
from gslb.health.probe import Result
from gslb.health.schedule import Schedule
from gslb.health.verdict import Record, Verdict, observe, resumed, worst_detection_s
from gslb.model import Failback, Monitor, SafetyCatch, Service
from gslb.routing.answer import answer
from tests.nodes import config, probed, subject_of, world_of
from tests.world import pool, service

US, EU = ("192.0.2.1", "192.0.2.2", "192.0.2.3"), ("198.51.100.1", "198.51.100.2")
EVERYONE = (*US, *EU)
LIFE_S = 600.0


@dataclass
class Fleet:
    """The world of one seed, and its clock."""

    seed: int
    monitor: Monitor
    services: tuple[Service, ...]
    catch: SafetyCatch | None = None
    now_s: float = 1_000.0
    events: list[tuple[float, int, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.behaviour = dict.fromkeys(EVERYONE, "ok")
        self.since_s = dict.fromkeys(EVERYONE, -1e9)
        self.records = {subject_of(each): Record() for each in EVERYONE}
        self.unseen = set(self.records)
        self.schedule = Schedule()
        self.served: list[tuple[float, int, str]] = []
        self.generation = 0
        self._start(None)

    def _start(self, restored: store.State | None) -> None:
        made = config(*self.services, monitors={"web": self.monitor}, max_withdrawal=self.catch)
        self.started_s = self.now_s
        self.controller = Controller(
            world_of(made), lambda: self.now_s, Counters(), Events(lambda: self.now_s), restored
        )
        if restored is not None:
            self.records = {
                subject: resumed(restored.records.get(subject, Record()), now_s=self.now_s)
                for subject in self.records
            }
        self.unseen = set(self.records)
        self.controller.follow(self.records, lambda: not self.unseen)
        self.schedule = Schedule()
        monitors = dict.fromkeys(self.records, self.monitor)
        self.schedule.watch(monitors, self.records, now_s=self.now_s)
        self.life = getattr(self, "life", 0) + 1

    def at(self, at_s: float, what: object) -> None:
        heapq.heappush(self.events, (at_s, len(self.events) + self.chance.getrandbits(30), what))

    def run(self, until_s: float) -> None:
        self.at(self.now_s, "tick")
        self.at(self.now_s, "query")
        self.at(self.now_s + self.chance.expovariate(0.05), "change")
        while self.now_s < until_s:
            due_s = self.schedule.next_at_s
            if due_s is not None and (not self.events or due_s < self.events[0][0]):
                self.now_s = max(self.now_s, due_s)
                for subject in self.schedule.start(self.now_s, 100):
                    self._probe(subject)
                continue
            self.now_s, _, what = heapq.heappop(self.events)
            self._happen(what)

    def _probe(self, subject: object) -> None:
        how = self.behaviour[subject.address]
        took_s = {"ok": 0.02, "refused": 0.001, "status": 0.03}.get(how, self.monitor.timeout_s)
        reason = "timeout" if how == "hang" else how
        self.at(self.now_s + took_s, ("result", self.life, subject, self.now_s, reason))

    def _happen(self, what: object) -> None:
        match what:
            case "tick":
                self.controller.tick()
                self.at(self.now_s + TICK_S, "tick")
            case "query":
                self._query()
                self.at(self.now_s + self.chance.expovariate(2.0), "query")
            case "change":
                self._change()
                self.at(self.now_s + self.chance.expovariate(0.05), "change")
            case ("result", self.life, subject, started_s, reason):
                self._result(subject, started_s, reason)
            case _:
                pass

    def _result(self, subject: object, started_s: float, reason: str) -> None:
        before = self.records[subject]
        result = Result(reason == "ok", reason, "")
        after = observe(before, result, self.monitor, started_s=started_s, now_s=self.now_s)
        if after.verdict is not before.verdict and before.verdict is not Verdict.UNKNOWN:
            self._check_promises(subject.address)
        self.records[subject] = after
        self.unseen.discard(subject)
        self.schedule.finish(subject, after, now_s=self.now_s)
        self.controller.on_result(subject, before, after, result, self.now_s - started_s)

    def _check_promises(self, address: str) -> None:
        """A verdict flips no sooner than what was promised while it was in doubt."""
        for served_at_s, ttl_s, doubted in self.served:
            if address in doubted and ttl_s > self.services[0].ttl_min_s:
                assert served_at_s + ttl_s <= self.now_s + 1e-6, f"seed {self.seed}"
        self.served.clear()

    def _change(self) -> None:
        address = self.chance.choice(EVERYONE)
        match self.chance.random():
            case x if x < 0.75:
                behaviours = ["ok", "ok", "hang", "refused", "status"]
                self.behaviour[address] = self.chance.choice(behaviours)
                self.since_s[address] = self.now_s
            case x if x < 0.85:
                word = self.chance.choice(list(Word))
                until_s = self.now_s + self.chance.uniform(1, 60)
                self.controller.force(address, Forced(word, until_s))
            case x if x < 0.93:
                self.controller.release(address)
            case _:
                octets = store.encode(
                    store.State(
                        self.controller.snapshot.generation,
                        self.records,
                        self.controller.operators.registers,
                    )
                )
                self._start(store.decode(octets))

    def _query(self) -> None:
        snapshot = self.controller.snapshot
        assert snapshot.generation >= self.generation, f"seed {self.seed}: generations only grow"
        self.generation = snapshot.generation
        asked = self.chance.choice(self.services)
        query = decode_query(dns.message.make_query(asked.text, "A").to_wire())
        draw = self.chance.getrandbits(64)
        response = answer(snapshot, query, ip_address("127.0.0.1"), draw, self.now_s)
        assert response.answer, f"seed {self.seed}: never empty because of health"
        got = [str(ip_address(rdata.whole)) for rdata in response.answer[0].rdatas]
        ttl_s = response.answer[0].ttl_s
        assert asked.ttl_min_s <= ttl_s <= asked.ttl_s
        self._remember(snapshot, asked, ttl_s)
        self._check_served(snapshot, asked, got)

    def _remember(self, snapshot: object, asked: Service, ttl_s: int) -> None:
        (choice, *_) = snapshot.entries[asked.name].choices[1]
        doubted = frozenset(
            str(standing.member.address)
            for rung in choice.climb.rungs[: (choice.climb.at or 0) + 1]
            for standing in rung.members
            if standing.belief.flips_at_s is not None and standing.belief.forced is None
        )
        self.served.append((self.now_s, ttl_s, doubted))

    def _check_served(self, snapshot: object, asked: Service, got: list[str]) -> None:
        """Nobody who has long been dead is served while somebody has long been well."""
        settled_s = (
            worst_detection_s(self.monitor, tick_s=TICK_S)
            + grace_s(self.controller.config)
            + 2 * self.monitor.rise * (self.monitor.interval_s + self.monitor.timeout_s)
        )
        if self.now_s - self.started_s < settled_s:
            return
        forced = {address for address, _ in self.controller.forced}
        members = [str(m.address) for p in asked.pools for m in p.members]
        long = [m for m in members if self.now_s - self.since_s[m] > settled_s and m not in forced]
        well = [m for m in long if self.behaviour[m] == "ok"]
        dead = [m for m in long if self.behaviour[m] != "ok"]
        if well and not self.controller.held.members:
            assert not set(got) & set(dead), f"seed {self.seed} at {self.now_s}: {got}"


def services(**keys: object) -> tuple[Service, ...]:
    pools = (pool("us", *probed(*US)), pool("eu", *probed(*EU)))
    return (
        service(*pools, owner="www", **keys),
        service(*pools, owner="two", answers=2, healthy_at_least=Fraction(2, 3), **keys),
    )


FAST = Monitor(name="web", interval_s=1.0, timeout_s=1.0, recheck_s=0.3, fall=3, rise=2)
DEFAULT = Monitor(name="web")
SLOW = Monitor(name="web", interval_s=10.0, timeout_s=3.0, recheck_s=4.0, fall=4, rise=3)


@pytest.mark.parametrize("seed", range(24))
def test_a_fleet_keeps_its_promises(seed):
    monitor = (FAST, DEFAULT, SLOW)[seed % 3]
    keys = {"failback": Failback(10.0, 30.0)} if seed % 2 else {}

    Fleet(seed, monitor, services(**keys)).run(1_000.0 + LIFE_S)


@pytest.mark.parametrize("seed", range(100, 108))
def test_a_fleet_with_a_safety_catch_keeps_its_promises(seed):
    catch = SafetyCatch(Fraction(1, 2), 20.0)

    fleet = Fleet(seed, FAST, services(), catch)
    fleet.run(1_000.0 + LIFE_S)
