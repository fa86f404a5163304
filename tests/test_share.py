"""Which vantages probe which members."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gslb.health.share import assigned
from gslb.model import Subject

VOTERS = st.sets(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=8)
MEMBERS = [
    Subject(f"192.0.2.{number}", (f"192.0.2.{number}", 80), "web", "www.example.com")
    for number in range(200)
]
members = st.sampled_from(MEMBERS)


@given(members, VOTERS, st.integers(1, 9))
def test_as_many_voters_probe_a_member_as_are_asked_for(member, voters, number):
    some = assigned(member, voters, number)

    assert some <= voters
    assert len(some) == min(number, len(voters))


@given(members, VOTERS)
def test_all_is_all(member, voters):
    assert assigned(member, voters, None) == voters


@given(members, st.permutations(["a", "b", "c", "d", "e"]), st.integers(1, 5))
def test_the_order_in_which_voters_are_listed_does_not_matter(member, voters, number):
    assert assigned(member, voters, number) == assigned(member, sorted(voters), number)


@given(members, VOTERS, st.text("xyz", min_size=1, max_size=3), st.integers(1, 9))
def test_a_voter_that_comes_takes_at_most_one_place_and_moves_nobody_else(
    member, voters, another, number
):
    before = assigned(member, voters, number)
    after = assigned(member, voters | {another}, number)

    assert after - before <= {another}
    assert len(before - after) <= 1
    if another not in after:
        assert after == before


def test_a_members_port_monitor_and_host_count_as_well():
    (first, *_) = MEMBERS
    others = [Subject(first.address, (first.address, port), "web", "www") for port in range(50)]

    assert len({assigned(other, {"a", "b", "c", "d"}, 1) for other in others}) == 4


def test_members_are_spread_evenly():
    load = Counter(
        voter for member in MEMBERS for voter in assigned(member, {"a", "b", "c", "d"}, 2)
    )

    assert all(70 < count < 130 for count in load.values())


def test_who_probes_what_is_the_same_for_ever():
    (first, second, *_) = MEMBERS

    assert assigned(first, {"a", "b", "c", "d"}, 2) == set("ac")
    assert assigned(second, {"a", "b", "c", "d"}, 2) == set("bc")
