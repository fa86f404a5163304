"""What the controller compiles when something changes, and what it leaves as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gslb.daemons.controller import Controller
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.mirror import Mirror
from gslb.daemons.planner import World
from gslb.daemons.reload import Reread
from gslb.dns import name
from gslb.health.probe import Result
from gslb.health.verdict import Record, Verdict
from gslb.model import Failback, Pool, Service
from gslb.routing.snapshot import Snapshot
from tests.engines import needs_native
from tests.nodes import config, probed, subject_of, world_of
from tests.world import APEX, service

WWW = service(Pool("us", probed("192.0.2.1", "192.0.2.2")))
API = service(Pool("us", probed("192.0.2.2", "192.0.2.3")), owner="api")
UP, DOWN = Record(verdict=Verdict.UP), Record(verdict=Verdict.DOWN)


class Desk:
    """A controller that is settled, all members up, with the snapshots that it published."""

    def __init__(self, *services: Service) -> None:
        self.now_s = 100.0
        self.world = world_of(config(*services))
        self.events = Events(self.clock)
        self.controller = Controller(self.world, self.clock, Counters(), self.events)
        self.records = dict.fromkeys(self.controller.subjects(), UP)
        self.controller.follow(self.records, lambda: True)
        self.published: list[Snapshot] = []
        self.controller.serve = self.published.append
        self.controller.tick()
        self.published.clear()

    def clock(self) -> float:
        return self.now_s

    def flip(self, address: str, after: Record) -> None:
        subject = subject_of(address)
        before, self.records[subject] = self.records[subject], after
        result = Result(True, "ok") if after.verdict is Verdict.UP else Result(False, "refused")
        self.controller.on_result(subject, before, after, result, 0.1)

    def again(self) -> World:
        """Return the world as a reload finds it: the same, and another object."""
        return world_of(replace(self.world.config))


def key(owner: str) -> bytes:
    return name.parse(owner, APEX)


@pytest.fixture
def desk() -> Desk:
    return Desk(WWW, API)


def test_a_flip_compiles_and_names_the_services_that_rest_on_it_alone(desk):
    before = desk.controller.snapshot

    desk.flip("192.0.2.1", DOWN)

    (after,) = desk.published
    assert after.changed == {key("www")}
    assert after.since == before.generation
    assert after.entries[key("api")] is before.entries[key("api")]


def test_a_flip_of_a_member_of_two_services_changes_both(desk):
    desk.flip("192.0.2.2", DOWN)

    assert desk.published[0].changed == {key("www"), key("api")}


def test_a_service_that_moves_is_compiled_until_it_stands_still():
    slow = replace(WWW, failback=Failback(ramp_s=10.0))
    desk = Desk(slow, API)
    desk.flip("192.0.2.1", DOWN)
    desk.flip("192.0.2.1", replace(UP, risen_at_s=100.0))
    assert desk.controller.snapshot.moving == {key("www")}

    desk.now_s = 105.0
    desk.controller.tick()
    half_way = desk.controller.snapshot
    desk.now_s = 111.0
    desk.controller.tick()

    assert half_way.changed == {key("www")}
    assert half_way.moving == {key("www")}
    assert desk.controller.snapshot.moving == frozenset()


def test_what_a_reload_compiled_ahead_is_taken_as_far_as_it_still_holds(desk):
    world = desk.again()
    ahead = desk.controller.ahead(world)
    desk.flip("192.0.2.1", DOWN)

    desk.controller.adopt(Reread(world), ahead)

    after = desk.controller.snapshot
    assert after.plan is world.plan
    assert after.entries[key("api")] is ahead.entries[key("api")]
    assert after.entries[key("www")] is not ahead.entries[key("www")]
    (choice,) = after.entries[key("www")].choices[1]
    assert [rdata.whole for rdata in choice.rdatas] == [bytes((192, 0, 2, 2))]
    assert after.generation > desk.published[0].generation


def test_alarms_that_a_flip_does_not_touch_go_on(desk):
    for address in ("192.0.2.1", "192.0.2.2"):
        desk.flip(address, DOWN)
    assert desk.controller.alarms.current == {("www.example.com", "fail_open")}

    desk.flip("192.0.2.3", DOWN)
    both = desk.controller.alarms.current
    desk.flip("192.0.2.1", UP)

    assert both == {("www.example.com", "fail_open"), ("api.example.com", "fail_open")}
    assert desk.controller.alarms.current == {("api.example.com", "fail_open")}


@needs_native
def test_images_made_ready_are_taken_and_answered_from_like_any(desk):
    mirror, whole = Mirror(), Mirror()
    mirror.of(desk.controller.snapshot)
    world = desk.again()
    desk.controller.prepare = lambda made, _: mirror.prepare(made, ())
    ahead = desk.controller.ahead(world)
    desk.flip("192.0.2.1", DOWN)
    desk.controller.adopt(Reread(world), ahead)
    after = desk.controller.snapshot

    made, anew = mirror.of(after), whole.of(after)

    for owner in ("www", "api"):
        for draw in range(4):
            wire = bytes((0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)) + key(owner) + bytes((0, 1, 0, 1))
            asked = (wire, bytes((192, 0, 2, 9)), draw, 100.0, 1232)
            assert made.respond(*asked) == anew.respond(*asked)
