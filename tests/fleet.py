"""A fleet on a made-up clock: members, vantages and nodes, and the links between them.

Everything that decides is the real thing: schedules, folds, reports as octets, reception, opinion,
controller.  What is made up is time, the network, and who fails.  All chance comes from one seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import count
from math import inf

from gslb.daemons import store
from gslb.daemons.controller import TICK_S, Controller
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.planner import World
from gslb.daemons.reception import Reception
from gslb.errors import ReportError
from gslb.health import cutoff
from gslb.health.cutoff import CutOff
from gslb.health.probe import OK, Result, failed
from gslb.health.report import REPORT_GAP_S, Composer
from gslb.health.schedule import Schedule
from gslb.health.share import assigned, probers_of
from gslb.health.verdict import Record, Verdict, believed_part, observe, worst_detection_s
from gslb.model import Failback, Monitor, Quorum, SafetyCatch, Voter, VoterKind
from gslb.routing.entryimage import encode_entry
from tests.nodes import config, probed, subject_of, world_of
from tests.world import pool, service

US, EU = ("192.0.2.1", "192.0.2.2", "192.0.2.3"), ("198.51.100.1", "198.51.100.2")
EVERYONE = (*US, *EU)
MONITOR = Monitor(name="web", interval_s=3.0, timeout_s=1.0, recheck_s=0.5, fall=2, rise=2)
REPORT_S, EXPIRY_S, CATCH_S, FAILBACK = 3.0, 7.0, 10.0, Failback(3.0, 6.0)
# Death to every node's verdict when all is well, a vantage's restart and its silence with it.
NOTICED_S = worst_detection_s(MONITOR, report_s=REPORT_GAP_S, tick_s=TICK_S) + REPORT_S + EXPIRY_S
# All well to one opinion: what lingered is forgotten, who was held let go, who rose back.
QUIET_S = NOTICED_S + 3 * EXPIRY_S + CATCH_S + FAILBACK.hold_s + FAILBACK.ramp_s + 3 * REPORT_S


@cache
def world(voters: tuple[str, ...], rule: str, share: int | None, fails_back: bool) -> World:
    """Return what all nodes serve; *voters* are names, each with a region after a colon or none.

    Those with a ~ before their name are of kind proxy.
    """
    failback = FAILBACK if fails_back else Failback()
    pools = (pool("us", *probed(*US)), pool("eu", *probed(*EU)))
    named = [each.partition(":") for each in voters]
    return world_of(
        config(
            service(*pools, owner="www", failback=failback),
            service(*pools, owner="two", answers=2, healthy_at_least=Fraction(2, 3)),
            monitors={"web": MONITOR},
            quorum=Quorum(rule, expiry_s=EXPIRY_S),
            voters={
                name.lstrip("~"): Voter(
                    name.lstrip("~"),
                    region or None,
                    name.encode(),
                    VoterKind.PROXY if name.startswith("~") else VoterKind.PROBER,
                )
                for name, _, region in named
            },
            report_interval_s=REPORT_S,
            probes_per_member=share,
            max_withdrawal=SafetyCatch(Fraction(1, 2), CATCH_S),
        )
    )


@dataclass
class Link:
    """The way of reports from a vantage to a node."""

    up: bool = True
    loss: float = 0.0
    delay_s: float = 0.05
    doubles: float = 0.0


class Vantage:
    """One vantage: what it probes and remembers, until it dies."""

    def __init__(self, fleet: Fleet, name: str, clock_s: float) -> None:
        self.fleet, self.name, self.clock_s = fleet, name, clock_s
        self.blind: frozenset[str] = frozenset()
        self.lies: Callable[[str], bool] | None = None
        self.lives = False
        self.life = 0
        self.start()

    def now_s(self) -> float:
        return self.fleet.now_s + self.clock_s

    def start(self) -> None:
        """Start anew, with nothing known; a start that is no restart is none."""
        if self.lives:
            return
        self.lives, self.life = True, self.life + 1
        made = self.fleet.world.config
        probers, each = probers_of(made.voters), made.probes_per_member
        own = made.voters[self.name]
        if own.kind is VoterKind.PROXY:
            mine = [subject_of(a) for a in {"us": US, "eu": EU}.get(own.region, EVERYONE)]
        else:
            everyone = map(subject_of, EVERYONE)
            mine = [s for s in everyone if self.name in assigned(s, probers, each)]
        self.records = dict.fromkeys(mine, Record())
        self.unseen = set(mine)
        self.schedule = Schedule(self.name)
        self.schedule.watch(dict.fromkeys(mine, MONITOR), self.records, now_s=self.now_s())
        self.composer = Composer(self.name, made.voters[self.name].key)
        self.epoch_ms, self.sequence = int(self.now_s() * 1000), 0
        self.cut_off = CutOff()
        self.started_s, self.reported_s, self.wakes_s = self.now_s(), 0.0, inf
        self.probe_due()
        self.each_interval()

    def die(self) -> None:
        self.lives = False

    def later(self, after_s: float, what: Callable[[], None]) -> None:
        life = self.life
        self.fleet.later(
            after_s, lambda: what() if (self.lives, self.life) == (True, life) else None
        )

    def probe_due(self) -> None:
        for subject in self.schedule.start(self.now_s(), 100):
            result, took_s = self._probe(subject.address)
            started_s = self.now_s()
            self.later(took_s, lambda s=subject, r=result, at=started_s: self._observe(s, r, at))
        due_s = self.schedule.next_at_s
        if due_s is not None and due_s < self.wakes_s:
            self.wakes_s = due_s
            self.later(max(1e-6, due_s - self.now_s()), lambda: self._wake(due_s))

    def _wake(self, due_s: float) -> None:
        if due_s == self.wakes_s:
            self.wakes_s = inf
            self.probe_due()

    def _probe(self, address: str) -> tuple[Result, float]:
        good = self.fleet.alive[address] and address not in self.blind
        if self.lies is not None:
            good = self.lies(address)
        return (OK, 0.02) if good else (failed("timeout", ""), MONITOR.timeout_s)

    def _observe(self, subject: object, result: Result, started_s: float) -> None:
        before, now_s = self.records[subject], self.now_s()
        after = observe(before, result, MONITOR, started_s=started_s, now_s=now_s)
        self.records[subject] = after
        self.unseen.discard(subject)
        self.schedule.finish(subject, after, now_s=now_s)
        if believed_part(before) != believed_part(after):
            self.later(max(0.0, self.reported_s + REPORT_GAP_S - now_s), self.report)
        self.probe_due()

    def each_interval(self) -> None:
        self.report()
        self.later(REPORT_S, self.each_interval)

    def report(self) -> None:
        now_s = self.now_s()
        waited_s = now_s - self.started_s
        if self.unseen and waited_s < MONITOR.interval_s + MONITOR.timeout_s:
            return
        down = sum(record.verdict is Verdict.DOWN for record in self.records.values())
        share = self.fleet.world.config.cut_off_at
        self.cut_off = cutoff.look(self.cut_off, len(self.records), down, share, now_s=now_s)
        self.sequence, self.reported_s = self.sequence + 1, now_s
        number = (self.epoch_ms, self.sequence)
        octets = self.composer.compose(number, now_s, self.records, self.cut_off.is_cut_off)
        for node in self.fleet.nodes.values():
            self.fleet.carry(self.name, node, octets)


class Node:
    """One node, from its first start on."""

    def __init__(self, fleet: Fleet, name: str, clock_s: float) -> None:
        self.fleet, self.name, self.clock_s = fleet, name, clock_s
        self.turned: list[tuple[float, str, Verdict]] = []
        self.generation = 0
        self.start(None)

    def now_s(self) -> float:
        return self.fleet.now_s + self.clock_s

    def start(self, restored: store.State | None) -> None:
        self.started_s = self.fleet.now_s
        made, counters, events = self.fleet.world, Counters(), Events(self.now_s)
        self.controller = Controller(made, self.now_s, counters, events, restored)
        self.reception = Reception(made.config, self.now_s, counters, events, self._on_flip)
        self.opinion = self.reception.opinion
        self.opinion.restore({} if restored is None else restored.records)
        self.reception.watch(made.config, self.controller.subjects())
        self.controller.follow(self.opinion.records, lambda: self.opinion.is_complete)

    def restart(self) -> None:
        """Start anew with what was stored."""
        kept = store.State(self.controller.snapshot.generation, dict(self.opinion.records))
        self.start(store.decode(store.encode(kept)))

    def _on_flip(self, flip: object) -> None:
        if flip.after.verdict is not flip.before.verdict:
            self.turned.append((self.fleet.now_s, flip.subject.address, flip.after.verdict))
        self.controller.on_flip(flip)

    def receive(self, octets: bytes) -> None:
        with suppress(ReportError):
            self.reception.receive(octets)

    def tick(self) -> None:
        self.reception.look()
        self.controller.tick()
        self.fleet.later(TICK_S, self.tick)

    def images(self) -> list[bytes]:
        """Return what this node serves now, octet by octet."""
        snapshot = self.controller.snapshot
        numbers = {key: number for number, key in enumerate(snapshot.plan.maps)}
        return [encode_entry(entry, numbers) for entry in snapshot.entries.values()]

    def verdicts(self) -> dict[str, str]:
        return {s.address: r.verdict.value for s, r in self.opinion.records.items()}

    def downs(self) -> list[str]:
        """Return who was turned to down, turn by turn."""
        return [address for _, address, verdict in self.turned if verdict is Verdict.DOWN]


class Fleet:
    """The whole; clocks of vantages and nodes are up to 10 s apart where *apart*."""

    def __init__(
        self,
        seed: int = 0,
        voters: str = "a b c",
        nodes: int = 2,
        *,
        rule: str = "majority",
        share: int | None = None,
        fails_back: bool = False,
        apart: bool = False,
    ) -> None:
        self.seed, self.chance, self.now_s = seed, random.Random(seed), 1_700_000_000.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.world = world(tuple(voters.split()), rule, share, fails_back)
        self.alive = dict.fromkeys(EVERYONE, True)
        names = [each.partition(":")[0].lstrip("~") for each in voters.split()]
        self.links = {(v, f"ns{n}"): Link() for v in names for n in range(nodes)}

        def clock_s() -> float:
            return self.chance.uniform(-5.0, 5.0) if apart else 0.0

        self.nodes: dict[str, Node] = {}
        for number in range(nodes):
            self.nodes[f"ns{number}"] = Node(self, f"ns{number}", clock_s())
        self.vantages = {name: Vantage(self, name, clock_s()) for name in names}
        for node in self.nodes.values():
            self.later(self.chance.uniform(0.0, TICK_S), node.tick)

    def later(self, after_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + after_s, next(self._order), what))

    def run(self, for_s: float) -> None:
        until_s = self.now_s + for_s
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, what = heapq.heappop(self._events)
            what()
        self.now_s = until_s

    def carry(self, vantage: str, node: Node, octets: bytes) -> None:
        """Carry a report, if the link is up: lost, late, twice, or as something else."""
        link = self.links[vantage, node.name]
        if not link.up or self.chance.random() < link.loss:
            return
        for _ in range(1 + (self.chance.random() < link.doubles)):
            self.later(self.chance.uniform(0.0, link.delay_s), lambda: node.receive(octets))
        if link.doubles:
            forged = bytearray(octets)
            forged[self.chance.randrange(len(forged))] ^= self.chance.randint(1, 255)
            self.later(self.chance.uniform(0.0, link.delay_s), lambda: node.receive(bytes(forged)))

    def heal(self, *, views_differ: bool = False) -> None:
        """Let all be well but the members, which stay as they are; some may stay out of sight."""
        for pair in self.links:
            self.links[pair] = Link()
        for vantage in self.vantages.values():
            vantage.lies = None
            if not views_differ:
                vantage.blind = frozenset()
            vantage.start()

    def check_alike(self, *, views_differ: bool = False) -> None:
        """All nodes serve the same, octet by octet; it is right unless members are out of sight."""
        first, *others = self.nodes.values()
        for node in others:
            assert node.verdicts() == first.verdicts(), f"seed {self.seed}: {node.name}"
            assert node.images() == first.images(), f"seed {self.seed}: {node.name}"
        if views_differ:
            return
        believed = first.verdicts()
        expected = {address: "up" if up else "down" for address, up in self.alive.items()}
        assert believed == expected, f"seed {self.seed}"

    def served(self, node: Node) -> set[str]:
        """Return every address that some client may be answered by *node* now."""
        snapshot, found = node.controller.snapshot, set()
        for entry in snapshot.entries.values():
            for choice in entry.choices[1]:
                assert choice.upto, f"seed {self.seed}: never empty because of health"
                shares = [
                    choice.upto[0],
                    *(b - a for a, b in zip(choice.upto, choice.upto[1:], strict=False)),
                ]
                drawn = zip(choice.climb.candidates, shares, strict=True)
                found |= {str(each.member.address) for each, share in drawn if share}
        return found
