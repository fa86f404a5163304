"""Many vantages, many nodes, one opinion: scenarios by name, and whole lives from seeds.

A failing seed is a bug report.  ``GSLB_FLEETS=5000`` runs so many seeds instead of a few.
"""

from __future__ import annotations

import os

import pytest

from tests.fleet import EU, EVERYONE, EXPIRY_S, NOTICED_S, QUIET_S, US, Fleet

FLEETS = int(os.environ.get("GSLB_FLEETS", "40"))
A, B, C = US


@pytest.fixture
def fleet() -> Fleet:
    return well(Fleet())


def well(fleet: Fleet) -> Fleet:
    """Return *fleet* once all nodes know that all members are up."""
    fleet.run(QUIET_S)
    fleet.check_alike()
    for node in fleet.nodes.values():
        assert node.downs() == []
    return fleet


def downs(fleet: Fleet) -> set[str]:
    return {address for node in fleet.nodes.values() for address in node.downs()}


# Scenarios


def test_a_member_that_dies_is_served_by_no_node_once_it_is_noticed(fleet):
    fleet.alive[A] = False

    fleet.run(NOTICED_S)

    for node in fleet.nodes.values():
        assert fleet.served(node) == {*EVERYONE} - {A}
    fleet.run(QUIET_S)
    fleet.check_alike()


def test_one_vantage_isolated_from_all_members_takes_nobody_out(fleet):
    fleet.vantages["a"].blind = frozenset(EVERYONE)

    fleet.run(QUIET_S)

    assert fleet.vantages["a"].cut_off.is_cut_off
    assert downs(fleet) == set()
    fleet.check_alike()


def test_one_vantage_that_sees_some_members_down_takes_nobody_out(fleet):
    fleet.vantages["a"].blind = frozenset(EU)

    fleet.run(QUIET_S)

    assert not fleet.vantages["a"].cut_off.is_cut_off
    assert downs(fleet) == set()


@pytest.mark.parametrize("rule", ["any", "majority", "all"])
def test_a_vantage_that_is_cut_off_takes_nobody_out_for_long_whatever_the_rule(rule):
    fleet = well(Fleet(rule=rule))
    fleet.vantages["b"].blind = frozenset(EVERYONE)

    fleet.run(QUIET_S)

    fleet.check_alike()


def test_two_vantages_that_die_leave_the_third_to_decide(fleet):
    fleet.vantages["a"].die()
    fleet.vantages["b"].die()
    fleet.run(2 * EXPIRY_S)
    fleet.alive[B] = False

    fleet.run(NOTICED_S)

    assert downs(fleet) == {B}
    fleet.check_alike()


def test_when_all_vantages_die_nothing_changes(fleet):
    before = [node.images() for node in fleet.nodes.values()]
    for vantage in fleet.vantages.values():
        vantage.die()
    fleet.alive = dict.fromkeys(EVERYONE, False)

    fleet.run(600.0)

    assert [node.images() for node in fleet.nodes.values()] == before
    assert all(node.opinion.frozen_since_s is not None for node in fleet.nodes.values())
    for vantage in fleet.vantages.values():
        vantage.start()
    fleet.run(QUIET_S)
    fleet.check_alike()


def test_a_node_that_hears_nobody_goes_on_and_agrees_again_afterwards(fleet):
    for (_, node), link in fleet.links.items():
        link.up = node != "ns0"
    fleet.run(2 * EXPIRY_S)
    fleet.alive[A] = False
    fleet.run(QUIET_S)
    cut, other = fleet.nodes.values()
    assert cut.downs() == []
    assert other.downs() == [A]

    fleet.heal()
    fleet.run(EXPIRY_S)

    assert cut.downs() == [A]
    fleet.run(QUIET_S)
    fleet.check_alike()


def test_a_world_split_in_halves_has_two_opinions_and_then_one():
    fleet = well(Fleet(voters="a:us b:us c:eu d:eu"))
    for (vantage, node), link in fleet.links.items():
        link.up = (vantage in "ab") == (node == "ns0")
    for vantage in "ab":
        fleet.vantages[vantage].blind = frozenset(EU)
    for vantage in "cd":
        fleet.vantages[vantage].blind = frozenset(US)
    fleet.run(QUIET_S)

    west, east = fleet.nodes.values()
    assert fleet.served(west) == {*US}
    assert fleet.served(east) == {*EVERYONE}  # its vantages see three of five fall, and abstain
    fleet.heal()
    fleet.run(QUIET_S)
    fleet.check_alike()


def test_a_region_whose_vantages_are_cut_off_from_the_others_takes_nobody_out():
    fleet = well(Fleet(voters="a:us b:us c:us d:eu e:ap"))
    for vantage in "abc":
        fleet.vantages[vantage].blind = frozenset(EU)

    fleet.run(QUIET_S)

    assert downs(fleet) == set()


@pytest.mark.parametrize(
    "lie", [lambda _: False, lambda _: True, lambda a: a in EU, lambda a: a not in EU]
)
def test_a_vantage_that_lies_takes_nobody_out_and_keeps_nobody_in(fleet, lie):
    fleet.vantages["c"].lies = lie
    fleet.run(QUIET_S)
    assert downs(fleet) == set()

    fleet.alive[A] = False
    fleet.run(NOTICED_S)

    assert downs(fleet) == {A}
    assert all(A not in fleet.served(node) for node in fleet.nodes.values())


@pytest.mark.parametrize("rule", ["any", "majority"])
@pytest.mark.parametrize("liars", ["p", "pq", "pqrs"])
def test_proxies_that_lie_take_nobody_out_however_many(rule, liars):
    fleet = well(Fleet(voters="a b c ~p:us ~q:eu ~r ~s", rule=rule))
    for name in liars:
        fleet.vantages[name].lies = lambda _: False

    fleet.run(QUIET_S)

    assert downs(fleet) == set()
    fleet.check_alike()


def test_one_proxy_that_calls_all_alive_keeps_nobody_in():
    fleet = well(Fleet(voters="a b c ~p:us ~q:eu"))
    fleet.vantages["p"].lies = lambda _: True
    fleet.alive[A] = False

    fleet.run(NOTICED_S)

    assert all(A not in fleet.served(node) for node in fleet.nodes.values())


def test_with_one_prober_a_proxy_confirms_a_death_and_neither_could_alone():
    fleet = well(Fleet(voters="a ~p:us ~q:us"))
    fleet.vantages["p"].blind = fleet.vantages["q"].blind = frozenset({B})
    fleet.run(QUIET_S)
    assert downs(fleet) == set()

    fleet.vantages["a"].blind = frozenset({B})
    fleet.run(QUIET_S)

    assert downs(fleet) == {B}


def test_when_all_probers_die_the_proxies_take_nobody_out_and_leave_the_dead_where_they_are():
    fleet = well(Fleet(voters="a b ~p:us ~q:eu"))
    fleet.alive[A] = False
    fleet.run(QUIET_S)
    fleet.vantages["a"].die()
    fleet.vantages["b"].die()
    fleet.run(3 * EXPIRY_S)
    fleet.alive[B] = False

    fleet.run(QUIET_S)

    assert downs(fleet) == {A}
    assert all(fleet.served(node) == {*EVERYONE} - {A} for node in fleet.nodes.values())
    fleet.alive[A] = True
    fleet.run(QUIET_S)
    assert all(A in fleet.served(node) for node in fleet.nodes.values())


def test_when_most_of_the_world_dies_it_is_believed_though_a_proxys_region_stands():
    fleet = well(Fleet(voters="a b c ~p:us ~q:eu"))
    for address in US:
        fleet.alive[address] = False

    fleet.run(QUIET_S)

    fleet.check_alike()


def test_clocks_ten_seconds_apart_change_nothing():
    fleet = well(Fleet(15, apart=True))
    clocks = [each.clock_s for each in (*fleet.nodes.values(), *fleet.vantages.values())]
    assert max(clocks) - min(clocks) > 8.0

    fleet.alive[A] = False
    fleet.run(NOTICED_S)

    assert [node.downs() for node in fleet.nodes.values()] == [[A], [A]]


def test_a_node_that_is_restarted_answers_as_before_and_agrees_with_the_others(fleet):
    fleet.alive[A] = False
    fleet.run(QUIET_S)
    node, other = fleet.nodes.values()

    node.restart()

    assert node.images() == other.images() or node.controller.snapshot.stale
    assert A not in fleet.served(node)
    fleet.run(EXPIRY_S)
    fleet.check_alike()
    assert node.downs() == [A]


def test_when_most_of_the_world_dies_it_is_believed(fleet):
    for address in US:
        fleet.alive[address] = False

    fleet.run(QUIET_S)

    fleet.check_alike()
    assert all(vantage.cut_off.is_cut_off for vantage in fleet.vantages.values())
    assert all(node.downs().count(A) == 1 for node in fleet.nodes.values())


def test_a_share_of_the_vantages_for_each_member_finds_a_death_as_well():
    fleet = well(Fleet(voters="a b c d e", share=3))
    assert sum(len(each.records) for each in fleet.vantages.values()) == 3 * len(EVERYONE)
    fleet.alive[C] = False

    fleet.run(QUIET_S)

    fleet.check_alike()


@pytest.mark.parametrize("voters", ["a b", "a b c", "a b c d"])
def test_a_vantage_that_one_node_hears_now_and_then_takes_nobody_with_it(voters):
    fleet = well(Fleet(voters=voters))
    fleet.vantages["a"].blind = frozenset({A})
    for _ in range(10):
        fleet.links["b", "ns0"].up = not fleet.links["b", "ns0"].up
        fleet.run(1.1 * EXPIRY_S)

    assert downs(fleet) == set()


# Lives


class Life:
    """One fleet's misfortunes, and what must hold throughout them."""

    def __init__(self, seed: int) -> None:
        voters = (
            "a b c",
            "a b c d",
            "a:us b:us c:eu d:eu e:ap",
            "a:us b:eu c:ap",
            "a b c d e",
            "a:us b:eu c:ap ~p:us ~q:eu",
        )
        self.fleet = fleet = Fleet(
            seed,
            voters[seed % 6],
            nodes=2 + seed % 2,
            rule=("majority", "majority", "majority", "any", "all")[seed // 5 % 5],
            share=3 if seed % 7 == 0 and seed % 6 not in (3, 5) else None,
            fails_back=seed % 3 == 0,
            apart=seed % 2 == 1,
        )
        self.chance = fleet.chance
        self.changed_s = dict.fromkeys(EVERYONE, fleet.now_s)
        self.well_since_s: float | None = fleet.now_s
        self.generations = dict.fromkeys(fleet.nodes, 0)

    def live(self, for_s: float) -> None:
        """Live with misfortunes for a while; look at what is served every second."""
        until_s = self.fleet.now_s + for_s
        while self.fleet.now_s < until_s:
            if self.chance.random() < 0.15:
                self.change()
            self.fleet.run(1.0)
            self.look()

    def change(self) -> None:
        fleet, chance = self.fleet, self.chance
        vantage = chance.choice(list(fleet.vantages.values()))
        match chance.randrange(10):
            case 0 | 1 | 2:
                address = chance.choice(EVERYONE)
                fleet.alive[address] = chance.random() < 0.6
                self.changed_s[address] = fleet.now_s
            case 3:
                vantage.die()
            case 4:
                vantage.start()
            case 5:
                some = chance.randint(0, len(EVERYONE))
                vantage.blind = frozenset(chance.sample(EVERYONE, some))
            case 6:
                vantage.lies = chance.choice(
                    [None, lambda _: True, lambda _: False, lambda _: chance.random() < 0.5]
                )
            case 7:
                link = chance.choice(list(fleet.links.values()))
                link.up = not link.up
                link.loss, link.doubles = chance.choice([0.0, 0.5]), chance.choice([0.0, 0.5])
                link.delay_s = chance.choice([0.05, 1.0, 9.0])
            case 8:
                chance.choice(list(fleet.nodes.values())).restart()
            case _:
                fleet.heal()
        self.well_since_s = fleet.now_s if self.is_well() else None

    def is_well(self) -> bool:
        fleet = self.fleet
        links = all(
            (link.up, link.loss, link.delay_s) == (True, 0, 0.05) for link in fleet.links.values()
        )
        return links and all(
            v.lives and not v.blind and not v.lies for v in fleet.vantages.values()
        )

    def look(self) -> None:
        """Nobody dead for long is served while others live, if the vantages are well."""
        fleet = self.fleet
        now_s, seed = fleet.now_s, fleet.seed
        for node in fleet.nodes.values():
            generation = node.controller.snapshot.generation
            assert generation >= self.generations[node.name], f"seed {seed}: generations grow"
            self.generations[node.name] = generation
            served = fleet.served(node)
            if self.well_since_s is None or now_s - self.well_since_s < QUIET_S:
                continue
            if now_s - node.started_s < QUIET_S or node.controller.held.members:
                continue
            long = [a for a in EVERYONE if now_s - self.changed_s[a] > NOTICED_S]
            dead = {a for a in long if not fleet.alive[a]}
            if any(fleet.alive[a] for a in long):
                assert not served & dead, f"seed {seed} at {now_s}: {served & dead}"


@pytest.mark.parametrize("seed", range(FLEETS))
def test_a_fleet_that_is_whole_again_has_one_opinion_octet_by_octet(seed):
    life, views_differ = Life(seed), seed % 4 > 1

    life.live(60.0)
    life.fleet.heal(views_differ=views_differ)
    life.well_since_s = life.fleet.now_s if life.is_well() else None
    life.fleet.run(QUIET_S)

    life.look()
    life.fleet.check_alike(views_differ=views_differ)
