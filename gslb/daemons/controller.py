"""The controller: holds what is believed, and publishes a snapshot when that changes.

It compiles on a clock, and at once when a verdict flips (`on_change`) or an operator speaks;
readers see one pointer, replaced whole.  Nothing here waits for a socket or a disk: results come
in by `on_result`, words by `force` and `release` (kept by `operators`), files by `adopt`.

A fresh node trusts itself only after every member has had a first result, or a grace
period is over.  Until then it answers with the verdicts it stored before it stopped, and
says so; without any, as if all were unknown, which is everyone by geography.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from gslb.config.settings import Config
from gslb.daemons.alarms import Alarms
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.operators import Operators
from gslb.daemons.planner import World
from gslb.daemons.reload import Reread, refuse
from gslb.daemons.resting import resting, subjects_of
from gslb.daemons.store import State
from gslb.dns import name
from gslb.health.belief import Belief, Forced, believe
from gslb.health.catch import Review, review
from gslb.health.opinion import Flip, Opinion
from gslb.health.probe import Result
from gslb.health.verdict import Record, Verdict, believed_part
from gslb.health.words import ForcedKey
from gslb.model import Member, Monitor, Service, Subject
from gslb.routing.careful import costs
from gslb.routing.found import NOTHING, Found, peopled
from gslb.routing.snapshot import Snapshot, compile_snapshot

TICK_S = 1.0

_NOT_PROBED = Record(verdict=Verdict.UP)


@dataclass(frozen=True, slots=True)
class Reloads:
    """How reloads have gone: counts, and what was wrong with the last one if it failed."""

    ok: int = 0
    failed: int = 0
    last_error: str | None = None


class Controller:
    """Believes, decides when to publish, and remembers operators' words."""

    def __init__(
        self,
        world: World,
        clock: Callable[[], float],
        counters: Counters,
        events: Events,
        restored: State | None = None,
        found: Found = NOTHING,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._events = events
        self._records: Mapping[Subject, Record] = restored.records if restored else {}
        self._is_restored = restored is not None and bool(restored.records)
        self._started_s = clock()
        self._settled = False
        self._complete: Callable[[], bool] = lambda: False
        self._held = Review()
        self._waives_hold = False
        self._touched: set[bytes] | None = None  # services to compile again; None is all
        self._found = found
        world = replace(world, plan=peopled(world.plan, found))
        self._resting = resting(world.plan)
        self.operators = Operators(
            world.config.node,
            clock,
            events,
            lambda: self.world.plan,
            lambda: self._resting.by_address,
            self._hear_of,
            restored.words if restored else {},
        )
        self.lease_ends_s: Callable[[str, str, Member], float | None] = lambda *_: None
        self.dirty = False
        self.on_change: Callable[[], None] = self.tick
        self.serve: Callable[[Snapshot], None] = lambda _: None
        self.prepare: Callable[[Snapshot, Config], None] = lambda _snapshot, _config: None
        self.engine = "python"
        self.opinion: Opinion | None = None  # where vantages report; else there is one prober
        self.reloads = Reloads()
        self.geo_held: str | None = None
        self.alarms = Alarms(events)
        self.world = world
        # For what is read at a start only; its zones must not be held for ever.
        self.at_start = replace(world.config, zones=())
        generation = (restored.generation if restored else 0) + 1
        self.snapshot = compile_snapshot(
            world.plan,
            self.believed,
            generation=generation,
            now_s=self._started_s,
            stale=self._is_restored,
        )
        self.alarms.look_at(self.snapshot)

    def follow(self, records: Mapping[Subject, Record], complete: Callable[[], bool]) -> None:
        """Read verdicts from *records* from now on; *complete* says when each has been probed."""
        self._records, self._complete = records, complete
        self._touched = None

    @property
    def config(self) -> Config:
        """The configuration that is in force."""
        return self.world.config

    @property
    def records(self) -> Mapping[Subject, Record]:
        """What is known of each subject, to be kept over a restart."""
        return self._records

    @property
    def is_settled(self) -> bool:
        """Whether the node trusts what it measures: all probed once, or the grace period over."""
        return self._settled

    @property
    def held(self) -> Review:
        """What the safety catch holds back."""
        return self._held

    def subjects(self) -> dict[Subject, Monitor]:
        """Return what is to be probed, with the rule for each."""
        return subjects_of(self.world.plan.services.values(), self.config)

    def record_of(self, member: Member) -> Record:
        """Return what has been measured of *member*."""
        if member.subject is None:
            return _NOT_PROBED
        return self._records.get(member.subject, Record())

    @property
    def forced(self) -> Mapping[ForcedKey, Forced]:
        """The operators' words that hold, by whom they are about."""
        return self.operators.forced

    def forced_of(self, service: Service, member: Member) -> Forced | None:
        """Return the word that holds for *member* in *service*, the closer one first."""
        return self.operators.forced_of(service, member)

    def believed(self, service: Service, member: Member) -> Belief:
        """Return what is believed of *member* in *service* now."""
        return self._belief(service, member, self.forced_of(service, member))

    def _belief(self, service: Service, member: Member, forced: Forced | None) -> Belief:
        record = self.record_of(member)
        if not self._settled and not self._is_restored and member.subject is not None:
            record = Record()
        belief = believe(record, forced, self._clock())
        if (service.name, member) in self._held.members:
            return replace(belief, verdict=Verdict.UP)
        return belief

    def on_result(
        self, subject: Subject, before: Record, after: Record, result: Result, duration_s: float
    ) -> None:
        """Hear one result of the node's own prober, whose verdict is the only one."""
        self._counters.probe(subject.monitor, result.reason, duration_s)
        self._turn(subject, before, after, detail=result.detail)

    def on_flip(self, flip: Flip) -> None:
        """Hear what the votes of several vantages come to."""
        votes = [
            {"vantage": vote.vantage, "verdict": vote.verdict.value, "reason": vote.reason}
            for vote in flip.votes
        ]
        self._turn(flip.subject, flip.before, flip.after, votes=votes)

    def _turn(self, subject: Subject, before: Record, after: Record, **why: object) -> None:
        """Take a subject's new record over; a flip is told, and published at once."""
        if after.verdict is not before.verdict:
            self.dirty = True
            self._events.announce(
                "verdict",
                member=subject.address,
                target="{}:{}".format(*subject.target),
                host=subject.host,
                monitor=subject.monitor,
                verdict=after.verdict.value,
                was=before.verdict.value,
                reason=after.reason,
                **why,
            )
        if believed_part(before) != believed_part(after):
            self._touch(self._resting.by_subject.get(subject, ()))
            self.on_change()

    def tick(self, ahead: Snapshot | None = None) -> None:
        """Compile what is believed now, and publish it if it differs from what is served.

        What was compiled *ahead* is used as far as it still holds.
        """
        now_s = self._clock()
        self._settle(now_s)
        stale = not self._settled and self._is_restored
        self.operators.drop_expired(now_s)
        self._hold_back(now_s)
        old = self.snapshot
        new = compile_snapshot(
            self.world.plan,
            self.believed,
            generation=old.generation + 1,
            now_s=now_s,
            stale=stale,
            previous=ahead or old,
            touched=self._touched,
        )
        self._touched = set()
        same = old.plan is new.plan and old.stale == stale
        if not same or new.changed:
            self.publish(new)

    def _touch(self, names: Iterable[bytes]) -> None:
        """Compile these services again at the next tick."""
        if self._touched is not None:
            self._touched.update(names)

    def _settle(self, now_s: float) -> None:
        """Trust what was measured from now on, if it is time."""
        waited_s = now_s - self._started_s
        if not self._settled and (self._complete() or waited_s >= grace_s(self.config)):
            self._settled, self._touched = True, None
            self._events.announce("settled", restored=self._is_restored)

    def publish(self, snapshot: Snapshot) -> None:
        """Serve *snapshot* from the next query on."""
        assert snapshot.generation > self.snapshot.generation, "generations only grow"
        self.snapshot = snapshot
        self.serve(snapshot)
        self.dirty = True
        self.alarms.look_at(snapshot)
        self._counters.events["gslb_publishes"] += 1

    def ahead(self, world: World) -> Snapshot:
        """Return *world* compiled from what is believed now, which may change meanwhile.

        For a thread: with thousands of services this takes seconds, which nobody should wait for.
        """
        plan = peopled(world.plan, self._found)
        made = compile_snapshot(plan, self.believed, generation=0, now_s=self._clock())
        self.prepare(made, world.config)
        return made

    def adopt(self, reread: Reread, ahead: Snapshot | None = None) -> None:
        """Serve another world from now on, and tell what of the files could not be taken over.

        Of what was compiled *ahead* only that is compiled again of which other things are believed.
        """
        old = self.config
        plan = peopled(reread.world.plan, self._found)
        self.world = replace(reread.world, plan=plan)
        self._touched, self._resting = None, resting(plan)
        if reread.held is not None and reread.held != self.geo_held:
            self._counters.events["gslb_geo_changes_held"] += 1
            self._events.announce("geo_held", error=reread.held)
        self.geo_held = reread.held
        self._counters.events["gslb_reloads"] += 1
        gone = {zone.text for zone in old.zones} - {zone.text for zone in self.config.zones}
        self._events.announce(
            "reload",
            config_hash=self.config.hash[:12],
            zones_gone=", ".join(sorted(gone)) or None,
        )
        for warning in sorted(set(self.config.warnings) - set(old.warnings)):
            self._events.announce("warning", warning=str(warning))
        self.reloads = replace(self.reloads, ok=self.reloads.ok + 1, last_error=None)
        if broken := [each for zone in self.config.kept for each in zone.complaints]:
            self.refuse("\n".join(map(str, broken)))
        self.tick(ahead)

    def adopt_members(self, found: Found) -> None:
        """Serve the members that were *found* from now on; only their services compile."""
        names = {name.parse(text) for text in found.differing(self._found)}
        old, self._found = self.world.plan, found
        plan = peopled(old, found, names)
        self._resting.follow(old, plan, names)
        self.world = replace(self.world, plan=plan)
        self.tick()

    def refuse(self, error: str) -> None:
        """Count a reload that failed; what is served stays."""
        self.reloads = replace(self.reloads, failed=self.reloads.failed + 1, last_error=error)
        refuse(error, self._counters, self._events)

    def force(self, address: str, forced: Forced, service: str = "") -> None:
        """Let an operator's word hold for a member at once; raises as `Operators.force` does."""
        self.operators.force(address, forced, service)
        self.tick()

    def release(self, address: str, service: str = "") -> None:
        """Take an operator's word back, if there is one; raises UnknownMemberError."""
        self.operators.release(address, service)
        self.tick()

    def costs(self, address: str, forced: Forced, service: str = "") -> tuple[str, ...]:
        """Return what a word would cost that is not said yet, once it and all others are whole.

        Raises UnknownMemberError.
        """
        supposed = {
            key: replace(word, over_s=0.0) if word.over_s else word
            for key, word in self.operators.supposing(address, forced, service).items()
        }

        def believed(service: Service, member: Member) -> Belief:
            return self._belief(
                service, member, self.operators.forced_of(service, member, supposed)
            )

        names = self.operators.resting_on(address).keys()
        return costs(self.snapshot, believed, names, self._clock())

    def _hear_of(self, services: Iterable[bytes]) -> None:
        """Take up that another word holds for members of *services*, or none any more."""
        self._touch(services)
        self.dirty = True

    def publish_held(self) -> bool:
        """Let what the safety catch holds go, at an operator's word; False if it holds nothing."""
        if self._held.since_s is None:
            return False
        self._waives_hold = True
        self.tick()
        return True

    def _hold_back(self, now_s: float) -> None:
        """Ask the safety catch what to hold of the verdicts that are not forced."""
        if not self._settled:
            return
        was, self._held = self._held, Review()
        if (catch := self.config.max_withdrawal) is None:
            return
        if self._touched == set() and not was.members and not self._waives_hold:
            self._held = was
            return
        waived, self._waives_hold = self._waives_hold, False
        weights, living = self._living()
        self._held = review(None if waived else catch, was, weights, living, now_s)
        if self._held.members != was.members:
            self._touched = None
        if self._held.members and not was.members:
            self._counters.events["gslb_withdrawals_held"] += 1
            self._events.announce("withdrawal_held", members=len(self._held.members))

    def _living(self) -> tuple[dict[Hashable, float], frozenset[Hashable]]:
        weights: dict[Hashable, float] = {}
        living = []
        for service in self.world.plan.services.values():
            for pool in service.pools:
                total = sum(member.weight for member in pool.members) or 1
                for member in pool.members:
                    key = (service.name, member)
                    weights[key] = pool.weight * member.weight / total
                    belief = self.believed(service, member)
                    if belief.lives or belief.forced is not None:
                        living.append(key)
        return weights, frozenset(living)


def grace_s(config: Config) -> float:
    """Return how long a fresh node waits for first verdicts: the longest round of any monitor.

    Where vantages report, their first report comes after that round.
    """
    rounds: Iterable[float] = (
        monitor.interval_s + monitor.timeout_s for monitor in config.monitors.values()
    )
    report_s = config.report_interval_s if config.voters else 0.0
    return max(rounds, default=0.0) + report_s
