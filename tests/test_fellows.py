"""Several nodes with one configuration: what is said on one comes to hold on all."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from hashlib import shake_128

import pytest
from admins import MAIN, NOON_S, Desk
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.daemons.fellows import FELLOWS_MAX, FORGET_S, Fellows
from gslb.daemons.operators import FORGET_EVERY_S, TooManyWordsError, UnknownMemberError
from gslb.errors import ReportError
from gslb.health import bulletin
from gslb.health.belief import Forced, Word
from gslb.health.words import FORCED_MAX, KEEP_S, Register, region_key
from gslb.routing.snapshot import members_of

KEY = b"the nodes' own key"
ONE = "192.0.2.1"
DRAIN = Forced(Word.DRAIN)
EU = region_key("eu")


class Node(Desk):
    """One node, its fellows, and what it announced."""

    def __init__(self, number=1):
        super().__init__(MAIN.replace("node: ns1", f"node: ns{number}"))
        self.fellows = Fellows(KEY, self.controller, self.clock, self.events)
        self.told = []
        announce = self.events.announce
        self.events.announce = lambda kind, **more: (
            self.told.append((kind, more)),
            announce(kind, **more),
        )
        self.probe_all()
        self.told.clear()

    def tells(self, *others):
        octets = self.fellows.compose()
        for other in others:
            other.fellows.receive(octets)

    @property
    def words(self):
        return dict(self.controller.forced)

    def word(self, address, service="www.example.com"):
        plan = self.controller.world.plan
        [found] = [each for each in plan.services.values() if each.text == service]
        [member] = [m for m in members_of(found, plan.regions) if str(m.address) == address]
        forced = self.controller.forced_of(found, member)
        return None if forced is None else forced.word


def nodes(count):
    return [Node(number + 1) for number in range(count)]


def test_a_word_said_on_one_node_holds_on_the_others_and_changes_their_answers():
    one, two = nodes(2)
    before = two.controller.snapshot.generation
    one.controller.force(ONE, replace(DRAIN, reason="update", by="ops"))

    one.tells(two)

    assert two.words == one.words == {(ONE, ""): replace(DRAIN, reason="update", by="ops")}
    assert two.controller.snapshot.generation > before
    assert two.controller.dirty


def test_a_word_is_told_with_the_node_where_it_was_said():
    one, two = nodes(2)
    one.controller.force(ONE, replace(DRAIN, until_s=NOON_S + 60))
    one.tells(two)
    one.now_s = two.now_s = NOON_S + 60
    two.controller.tick()
    one.controller.force(ONE, DRAIN)
    one.controller.release(ONE)
    one.tells(two)
    one.tells(two)

    told = [(kind, more["member"], more["node"]) for kind, more in two.told if "node" in more]
    assert told == [("forced", ONE, "ns1.example.net"), ("expired", ONE, "ns1.example.net")]
    assert ("released", ONE, "ns1.example.net") in [
        (kind, more["member"], more["node"]) for kind, more in one.told if "node" in more
    ]


def test_a_release_on_one_node_releases_on_the_others():
    one, two, three = nodes(3)
    one.controller.force(ONE, DRAIN)
    one.tells(two, three)
    two.controller.release(ONE)

    one.tells(two, three)
    two.tells(one, three)
    one.tells(two, three)

    assert one.words == two.words == three.words == {}
    assert [kind for kind, more in three.told if "node" in more] == ["forced", "released"]


def test_a_node_learns_of_words_through_others_when_their_author_is_gone():
    one, two, three = nodes(3)
    one.controller.force(ONE, DRAIN)
    one.tells(two)

    two.tells(three)

    assert three.words == {(ONE, ""): DRAIN}


def test_a_word_on_somebody_not_configured_here_is_kept_and_passed_on():
    one, two = nodes(2)
    stranger = {("192.0.2.77", ""): Register(int(NOON_S) * 1000, "ns3.example.net", DRAIN)}
    one.controller.operators.hear(stranger)

    one.tells(two)

    assert two.words == {("192.0.2.77", ""): DRAIN}


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_nodes_that_all_heard_each_other_hold_the_same_words(data):
    world = nodes(3)
    for _ in range(data.draw(st.integers(1, 12))):
        node = world[data.draw(st.integers(0, 2))]
        node.now_s = NOON_S + data.draw(st.floats(0, 10))
        whom = data.draw(st.sampled_from([ONE, "198.51.100.1", EU]))
        match data.draw(st.sampled_from(["drain", "release", "tell"])):
            case "drain":
                node.controller.force(whom, DRAIN)
            case "release":
                node.controller.release(whom)
            case _:
                world[data.draw(st.integers(0, 2))].tells(*(o for o in world if o is not node))
    for _ in range(2):
        for node in world:
            node.now_s = NOON_S + 10
            node.tells(*(other for other in world if other is not node))

    one, two, three = (node.words for node in world)
    assert one == two == three
    assert all(each.fellows.agrees(said) for each in world for said in each.fellows.heard)


def test_whether_another_node_agrees_is_a_matter_of_words_and_configuration():
    one, two = nodes(2)
    two.tells(one)
    [said] = one.fellows.heard
    agreed = one.fellows.agrees(said)
    one.controller.force(ONE, DRAIN)

    assert (said.node, said.generation) == ("ns2.example.net", two.controller.snapshot.generation)
    assert agreed
    assert not one.fellows.agrees(said)
    assert not one.fellows.agrees(replace(said, config_hash="cafe"))


def test_how_other_nodes_stand_is_shown_until_they_are_silent_and_after():
    one, two = nodes(2)
    two.tells(one)
    [before] = one.fellows.shapes()
    one.controller.force(ONE, DRAIN)
    one.now_s += one.controller.config.quorum.expiry_s + 1
    [after] = one.fellows.shapes()

    assert (before["node"], before["heard"], before["agrees"]) == ("ns2.example.net", True, True)
    assert (after["age_s"], after["heard"], after["words_agree"]) == (21.0, False, False)


def test_an_older_bulletin_is_refused_and_told_apart():
    one, two = nodes(2)
    old = one.fellows.compose()
    one.tells(two)

    with pytest.raises(ReportError) as wrong:
        two.fellows.receive(old)

    assert wrong.value.kind == "number"


def test_a_node_that_lost_its_state_learns_its_own_words_back_and_is_no_fellow_of_its_own():
    one = Node()
    one.controller.force(ONE, DRAIN)
    reborn = Node()

    one.tells(reborn)

    assert reborn.words == {(ONE, ""): DRAIN}
    assert reborn.fellows.heard == ()


def test_nodes_that_are_silent_for_long_are_forgotten_and_there_are_only_so_many():
    one, two, three = nodes(3)
    two.tells(one)
    for node in (one, three):
        node.now_s += FORGET_S
    three.tells(one)
    silent = [said.node for said in one.fellows.heard]
    for number in range(FELLOWS_MAX - 1):
        stranger = replace(one.fellows.heard[0], node=f"n{number}.example.net", number=(1, 1))
        one.fellows.receive(bulletin.encode(stranger, KEY))

    assert silent == ["ns3.example.net"]
    with pytest.raises(ReportError, match="are heard already"):
        one.fellows.receive(bulletin.encode(replace(stranger, node="one.more"), KEY))


def test_leases_are_handed_over_and_what_is_none_is_refused():
    one, two = nodes(2)
    one.fellows.leases = lambda: ["a lease"]
    one.fellows.vantages = lambda: ("eu",)
    got = []
    two.fellows.on_leases = got.append
    one.tells(two)

    def refuse(_):
        raise ValueError("no lease")

    two.fellows.on_leases = refuse
    one.controller.force(ONE, DRAIN)
    with pytest.raises(ReportError, match="no lease"):
        one.tells(two)
    # They cost the leases alone: the words hold, and are published.
    assert two.word(ONE) is Word.DRAIN
    assert two.controller.dirty
    assert got == [["a lease"]]
    assert two.fellows.heard[0].vantages == ("eu",)


def test_what_was_composed_last_is_kept_until_something_is_said():
    one = Node()
    first, again = one.fellows.latest(), one.fellows.latest()
    one.controller.force(ONE, DRAIN)

    assert first is again
    assert one.fellows.latest() != first


async def test_a_bulletin_is_sent_at_once_when_something_is_said_or_heard_anew():
    one, two = nodes(2)
    sent = asyncio.Queue()
    running = asyncio.create_task(two.fellows.run(sent.put_nowait))
    await asyncio.wait_for(sent.get(), 2)
    one.controller.force(ONE, DRAIN)

    one.tells(two)
    octets = await asyncio.wait_for(sent.get(), 2)

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert (
        bulletin.decode(octets, KEY, now_s=NOON_S).registers == one.controller.operators.registers
    )


async def test_a_bulletin_that_is_too_long_is_told_of_once():
    one = Node()
    one.fellows.leases = lambda: shake_128(b"leases").hexdigest(9_000_000)
    running = asyncio.create_task(one.fellows.run(lambda _: None))
    for _ in range(2):
        one.fellows.tell()
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert [kind for kind, _ in one.told] == ["words_failed"]


# Regions


def test_a_drained_region_is_all_its_members_and_proxies_but_for_those_with_a_word_of_their_own():
    one = Node()
    one.controller.force(EU, DRAIN)
    one.controller.force("198.51.100.2", Forced(Word.UP))

    assert one.word("198.51.100.1") is Word.DRAIN
    assert one.word("198.51.100.200") is Word.DRAIN
    assert one.word("198.51.100.2") is Word.UP
    assert one.word(ONE) is None
    [eu] = [each for each in one.controller.config.regions.values() if each.name == "eu"]
    proxy = one.controller.operators.forced_proxy("eu", eu.proxies[0])
    assert proxy is not None


def test_a_region_can_be_drained_in_one_service_and_released_in_one():
    one = Node()
    one.controller.force(EU, DRAIN, "www.example.com")
    alone = one.word("198.51.100.1")
    one.controller.release(EU, "www.example.com")

    assert alone is Word.DRAIN
    assert one.word("198.51.100.1") is None
    with pytest.raises(UnknownMemberError, match="no region of api"):
        one.controller.force(EU, DRAIN, "api.example.com")
    with pytest.raises(UnknownMemberError, match="'mars' is no region"):
        one.controller.force(region_key("mars"), DRAIN)


def test_a_region_is_emptied_in_steps_by_the_clock():
    one = Node()
    one.controller.force(EU, replace(DRAIN, from_s=one.now_s, over_s=100.0))
    begun = one.controller.snapshot.generation
    one.now_s += 50
    one.controller.tick()
    halfway = one.controller.snapshot
    one.now_s += 51
    one.controller.tick()

    [entry] = [e for e in halfway.entries.values() if e.service.text == "www.example.com"]
    shares = [(c.region, c.share) for choice in entry.choices[1] for c in choice.climb.candidates]
    total = sum(share for _, share in shares)
    # us has 100 of the weight and eu 70: half of the clients get that, the others us alone.
    assert sum(share for region, share in shares if region == "eu") / total == 70 / 170 / 2
    assert begun < halfway.generation < one.controller.snapshot.generation


def test_what_a_word_costs_is_judged_as_if_every_gradual_drain_were_whole():
    one = Node()
    us = {str(m.address) for s in one.controller.config.services() for p in s.pools
          for m in p.members if (s.text, p.region) == ("www.example.com", "us")}  # fmt: skip
    before = one.controller.costs(EU, DRAIN)
    for address in us:
        one.controller.force(address, replace(DRAIN, from_s=one.now_s, over_s=100.0))
    one.now_s += 1

    assert not before
    assert any("all its members" in cost for cost in one.controller.costs(EU, DRAIN))


def test_words_are_limited_and_one_that_holds_can_be_said_again():
    one = Node()
    one.controller.force(ONE, DRAIN)
    many = {(f"host-{n}.example.net", ""): Register(1, "", DRAIN) for n in range(FORCED_MAX)}
    one.controller.operators.hear(many)

    one.controller.force(ONE, Forced(Word.UP))
    with pytest.raises(TooManyWordsError):
        one.controller.force("192.0.2.2", DRAIN)


def test_what_was_taken_back_is_forgotten_in_the_end():
    one = Node()
    one.controller.force(ONE, DRAIN)
    one.controller.release(ONE)
    kept = dict(one.controller.operators.registers)
    one.now_s += KEEP_S + FORGET_EVERY_S
    one.controller.tick()

    assert kept
    assert not one.controller.operators.registers
