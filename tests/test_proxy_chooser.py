"""Who takes the next request: weights, who is left out, who comes when nobody is left at home."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gslb.health.belief import Belief
from gslb.health.verdict import Verdict
from gslb.model import Failback, Region
from gslb.proxy.affinity import tag
from gslb.proxy.chooser import SHUN_S, Chooser, name_of
from gslb.proxy.ejection import Outcome
from gslb.proxy.ejection import Phase as CircuitPhase
from gslb.routing.geo import BLANK
from gslb.tier import Across, Balance, Ejection, Upstream
from tests.exchanges import CLIENT, DOWN, DRAINED, UP, WWW, member, service
from tests.targets import each_place
from tests.test_proxy_way import fence

PLAIN = Balance("random")
LEAST_TIME = Balance("least_time")
ORDINARY = Upstream(service=WWW)
REGIONS = {"eu": Region("eu"), "us": Region("us", proxies=(member("198.51.100.101"),))}
BOTH = service(eu=["192.0.2.1", "192.0.2.2"], us=["192.0.2.11"])
WALL_S = 1_000_000.0


class Choosing:
    """A chooser with its clock, for clients that try one member after the other."""

    def __init__(self, of=BOTH, upstream=ORDINARY, across=("members",), **believed):
        self.chooser = Chooser("eu", 1)
        self.now_s = 100.0
        self.across = Across(to=across)
        self.believed = {}
        self.adopt(of, upstream)
        self.believe(**believed)

    def adopt(self, of=BOTH, upstream=ORDINARY, regions=REGIONS, port=80):
        across = replace(self.across, port=port)
        return self.chooser.adopt(of, upstream, across, regions, BLANK)

    def believe(self, **of):
        self.believed |= {name.strip("_"): belief for name, belief in of.items()}
        self.chooser.update(self.belief, self.now_s, self.now_s + WALL_S)

    def belief(self, each):
        return self.believed.get(str(each.address).rpartition(".")[2], UP)

    def wait(self, seconds):
        self.now_s += seconds
        self.chooser.tick(self.now_s)

    def all(self, *, client=CLIENT, balance=PLAIN, **how):
        """Return the last numbers of whom a request tries until nobody is left."""
        tried = []
        while found := self.chooser.choose(balance, 7, client, tried, 0.0, self.now_s, **how):
            assert found not in tried
            tried.append(found)
        return [last(each) for each in tried]

    def firsts(self, places=100, balance=PLAIN):
        """Return how often each is the first that is tried."""
        found = [self.chooser.first(balance, at, self.now_s) for at in each_place(places)]
        return {last(each): found.count(each) for each in found if each}

    def target(self, number):
        return next(each for each in self.chooser.targets() if last(each) == number)

    def fails(self, number, outcome=Outcome.CONNECT_ERROR):
        return self.chooser.observe(self.target(number), outcome, 0.1, self.now_s)


def last(target):
    return int(target.name.removesuffix(":80").rpartition(".")[2])


def test_those_at_home_come_first_and_then_the_next_region():
    choosing = Choosing()

    assert choosing.all() == [1, 2, 11]
    assert choosing.firsts() == {1: 50, 2: 50}


def test_weights_are_the_shares():
    choosing = Choosing(of=service(eu=[member("192.0.2.1", 3), "192.0.2.2"]))

    assert choosing.firsts() == {1: 75, 2: 25}


def test_who_is_down_or_drained_is_tried_only_when_nobody_else_is_left():
    assert Choosing(_1=DOWN).all() == [2, 11, 1]
    assert Choosing(_1=DRAINED).firsts() == {2: 100}
    assert Choosing(_1=DOWN, _2=DOWN).firsts() == {}


def test_a_service_without_members_at_home_goes_to_the_next_region():
    choosing = Choosing(of=service(us=["192.0.2.11"]))

    assert choosing.firsts() == {}
    assert choosing.all() == [11]


def test_who_came_over_a_region_is_not_sent_back_and_who_may_not_cross_stays():
    choosing = Choosing(_1=DOWN, _2=DOWN)

    assert choosing.all(hops=(b"us",)) == [1, 2]
    assert choosing.all(hops=(b"ap",)) == [11, 1, 2]
    assert choosing.all(may_cross=False) == [1, 2]


def test_the_next_regions_proxies_are_reached_at_their_own_port():
    choosing = Choosing(across=("proxies", "members"), _1=DOWN, _2=DOWN)
    choosing.adopt(port=8080)
    choosing.believe()

    names = [
        target.name for _, targets in choosing.chooser.groups_for(CLIENT) for target in targets
    ]

    assert names[:2] == ["198.51.100.101:8080", "192.0.2.11:80"]


def test_who_cannot_be_reached_is_shunned_for_a_moment():
    choosing = Choosing()
    assert choosing.chooser.is_calm

    assert choosing.fails(1)
    assert not choosing.chooser.is_calm
    assert choosing.chooser.is_out(choosing.target(1))
    assert choosing.firsts() == {2: 100}
    assert choosing.all() == [2, 11, 1]
    choosing.wait(SHUN_S / 2)
    assert choosing.firsts() == {2: 100}
    choosing.wait(SHUN_S)

    assert choosing.firsts() == {1: 50, 2: 50}


def test_who_is_shunned_and_answers_is_back_at_once():
    choosing = Choosing(upstream=replace(ORDINARY, ejection=None))
    choosing.fails(1)

    assert not choosing.fails(1, Outcome.OK)

    assert choosing.firsts() == {1: 50, 2: 50}
    assert choosing.chooser.is_calm
    assert choosing.chooser.circuits(choosing.now_s) == {}


def test_who_is_shunned_and_found_to_live_again_is_back_at_once():
    choosing = Choosing()
    choosing.fails(1)
    choosing.believe(_1=DOWN)
    choosing.believe(_1=Belief(Verdict.UNKNOWN))
    assert choosing.firsts() == {2: 100}

    choosing.believe(_1=UP)

    assert choosing.firsts() == {1: 50, 2: 50}
    assert not choosing.chooser.is_out(choosing.target(1))


def test_who_was_never_dead_stays_shunned_whatever_else_is_believed():
    choosing = Choosing(_2=DOWN)
    choosing.fails(1)

    choosing.believe(_1=UP, _2=UP)

    assert choosing.firsts() == {2: 100}


def test_another_regions_proxy_that_lives_again_is_shunned_no_longer():
    choosing = Choosing(across=("proxies", "members"), _1=DOWN, _2=DOWN)
    assert choosing.all() == [101, 11, 1, 2]
    choosing.fails(101)
    choosing.believe(_101=DOWN)
    choosing.fails(101)

    choosing.believe(_101=UP)

    assert choosing.all() == [101, 11, 1, 2]


def test_who_keeps_failing_is_ejected_and_comes_back():
    rules = Ejection(errors=2, base_s=10, most_percent=50)
    choosing = Choosing(upstream=replace(ORDINARY, ejection=rules))

    assert not choosing.fails(1, Outcome.SERVER_ERROR)
    assert choosing.fails(1, Outcome.SERVER_ERROR)
    assert choosing.firsts() == {2: 100}
    phases = {name: each.phase for name, each in choosing.chooser.circuits(choosing.now_s).items()}
    assert phases == {"192.0.2.1:80": CircuitPhase.EJECTED, "192.0.2.2:80": CircuitPhase.CLOSED}
    choosing.wait(9)
    assert choosing.firsts() == {2: 100}
    choosing.wait(2)

    assert choosing.firsts() == {1: 50, 2: 50}


def test_rules_that_change_begin_anew_and_others_go_on():
    rules = Ejection(errors=1, base_s=10)
    choosing = Choosing(upstream=replace(ORDINARY, ejection=rules))
    choosing.fails(1, Outcome.SERVER_ERROR)

    choosing.adopt(upstream=replace(ORDINARY, ejection=rules, idle_max=1))
    choosing.believe()
    assert choosing.firsts() == {2: 100}
    choosing.adopt(upstream=replace(ORDINARY, ejection=None))
    choosing.believe()
    assert choosing.firsts() == {1: 50, 2: 50}


def test_a_member_that_came_up_gets_its_share_little_by_little():
    choosing = Choosing(upstream=replace(ORDINARY, slow_start_s=20), _1=DOWN)
    assert choosing.firsts() == {2: 100}

    choosing.now_s += 5
    choosing.believe(_1=UP)
    shares = [choosing.firsts()[1]]
    for _ in range(21):
        choosing.wait(1)
        shares.append(choosing.firsts()[1])

    assert shares == sorted(shares)
    assert shares[0] < 12
    assert shares[-1] == 50


def test_failing_back_is_not_undone_by_requests_that_leave():
    of = replace(BOTH, failback=Failback(hold_s=0, ramp_s=100))
    choosing = Choosing(of=of)
    risen = replace(UP, risen_at_s=WALL_S + choosing.now_s - 10)
    choosing.believe(_1=risen)
    before = choosing.target(1).weight, choosing.target(2).weight
    assert before[1] == pytest.approx(10 * before[0], rel=0.1)

    choosing.all()

    assert (choosing.target(1).weight, choosing.target(2).weight) == before


def test_response_times_are_of_interest_once_somebody_chooses_by_them():
    choosing = Choosing()
    assert choosing.chooser.is_calm
    assert sum(choosing.firsts(balance=LEAST_TIME).values()) == 100
    assert not choosing.chooser.is_calm

    for number, took_s in ((1, 1.0), (2, 0.001)):
        choosing.chooser.observe(choosing.target(number), Outcome.OK, took_s, choosing.now_s)

    assert choosing.firsts(balance=LEAST_TIME) == {2: 100}


def test_before_it_knows_anything_time_passes_all_the_same():
    chooser = Chooser("eu", 1)
    chooser.adopt(BOTH, ORDINARY, Across(), REGIONS, BLANK)

    chooser.tick(5.0)

    assert chooser.targets() == []


def test_members_that_are_gone_are_told_and_those_that_stay_are_the_same():
    choosing = Choosing()
    choosing.all()
    choosing.fails(1)
    one, two = choosing.target(1), choosing.target(2)

    assert choosing.adopt(service(eu=["192.0.2.2", "192.0.2.3"], us=["192.0.2.11"])) == [one]
    choosing.believe()

    assert choosing.all() == [2, 3, 11]
    assert choosing.target(2) is two
    assert choosing.chooser.is_calm


def test_a_member_at_another_port_is_another_target():
    choosing = Choosing()
    before = set(choosing.chooser.targets())
    of_one = choosing.target(1)
    key = b"k"
    assert choosing.chooser.tagged(key, tag(key, of_one.name)) is of_one

    assert set(choosing.adopt(upstream=replace(ORDINARY, port=81))) == before
    choosing.believe()

    names = {each.name for each in choosing.chooser.targets()}
    assert names == {"192.0.2.1:81", "192.0.2.2:81"}
    assert choosing.chooser.tagged(key, tag(key, of_one.name)) is None


def test_who_is_fenced_out_of_home_is_not_served_there():
    fenced = replace(BOTH, route=(fence(),))
    choosing = Choosing(of=fenced)
    there, here = ip_address("198.51.100.9"), CLIENT

    assert choosing.chooser.first(PLAIN, 0.0, choosing.now_s) is None
    assert choosing.all(client=there) == [11]
    assert choosing.all(client=here)[:2] == [1, 2]


@pytest.mark.parametrize(
    ("belief", "after_s", "kept"),
    [(UP, 0, True), (DOWN, 0, False), (DRAINED, 9, True), (DRAINED, 10, False)],
)
def test_a_member_keeps_its_clients_while_it_lives_and_a_while_when_drained(belief, after_s, kept):
    choosing = Choosing()
    target = choosing.target(1)
    choosing.believe(_1=belief)
    choosing.now_s += after_s
    choosing.believe()

    assert choosing.chooser.keeps(target, CLIENT, 10.0, choosing.now_s) is kept


def test_a_drain_that_was_undone_begins_anew():
    choosing = Choosing(_1=DRAINED)
    choosing.now_s += 9
    choosing.believe(_1=UP)
    choosing.now_s += 9
    choosing.believe(_1=DRAINED)
    target = choosing.chooser.tagged(b"k", tag(b"k", "192.0.2.1:80"))

    assert choosing.chooser.keeps(target, CLIENT, 10.0, choosing.now_s)


def test_a_member_that_is_out_or_gone_keeps_nobody():
    choosing = Choosing()
    one, two = choosing.target(1), choosing.target(2)
    choosing.fails(1)
    choosing.adopt(service(eu=["192.0.2.1"]))
    choosing.believe()

    assert not choosing.chooser.keeps(one, CLIENT, 10.0, choosing.now_s)
    assert not choosing.chooser.keeps(two, CLIENT, 10.0, choosing.now_s)


def test_who_is_back_from_an_ejection_is_so_though_somebody_looked_at_its_circuit():
    choosing = Choosing(upstream=Upstream(service=WWW, ejection=Ejection(errors=1, base_s=5.0)))
    choosing.fails(1, outcome=Outcome.SERVER_ERROR)
    assert choosing.chooser.is_out(choosing.target(1))
    choosing.now_s += 5.0

    choosing.chooser.circuits(choosing.now_s)
    choosing.chooser.tick(choosing.now_s)

    assert not choosing.chooser.is_out(choosing.target(1))


def test_tags_are_of_members_at_home_alone():
    choosing = Choosing()
    choosing.all()

    assert choosing.chooser.tagged(b"k", tag(b"k", "192.0.2.1:80")) is choosing.target(1)
    assert choosing.chooser.tagged(b"k", tag(b"k", "192.0.2.11:80")) is None
    assert choosing.chooser.tagged(b"k", b"anything") is None


def test_a_target_is_named_by_its_address_and_port():
    assert name_of(member("192.0.2.1"), 80) == "192.0.2.1:80"
    assert name_of(member("2001:db8::1"), 8080) == "[2001:db8::1]:8080"
