"""What several vantages' votes on one member come to."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gslb.health.quorum import Vote, conclude, tally
from gslb.health.verdict import Record, Verdict
from gslb.model import Quorum

UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN
MAJORITY = Quorum()


def votes(words, age_s=1.0):
    """Return one vote for each letter: U, D or ? for unknown."""
    verdicts = {"U": UP, "D": DOWN, "?": UNKNOWN}
    return [
        Vote(f"v{number}", verdicts[letter], age_s, "ok" if letter == "U" else "refused")
        for number, letter in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("rule", "number", "words", "verdict"),
    [
        ("majority", 0, "D", DOWN),
        ("majority", 0, "UD", UP),
        ("majority", 0, "UDD", DOWN),
        ("majority", 0, "UUDD", UP),
        ("any", 0, "UUUUD", DOWN),
        ("any", 0, "UUU", UP),
        ("all", 0, "DDDU", UP),
        ("all", 0, "DDD", DOWN),
        ("count", 2, "UUUD", UP),
        ("count", 2, "UUDD", DOWN),
        ("count", 2, "D", UP),
        ("count", 0, "U", UP),
        ("percent", 50, "UUD", UP),
        ("percent", 50, "UUDD", DOWN),
        ("percent", 18, "UUUUUD", UP),
        ("percent", 18, "UUUUD", DOWN),
        ("percent", 0, "U", UP),
        ("percent", 100, "UDD", UP),
    ],
)
def test_a_quorum_says_how_many_must_say_down(rule, number, words, verdict):
    assert tally(votes(words), Quorum(rule, number)).verdict is verdict


def test_vantages_that_know_nothing_abstain():
    assert tally(votes("D??"), MAJORITY).verdict is DOWN
    assert tally(votes("U??"), MAJORITY).verdict is UP


@pytest.mark.parametrize("words", ["", "?", "???"])
def test_where_nobody_votes_the_verdict_is_unknown_and_not_down(words):
    counted = tally(votes(words), MAJORITY)

    assert (counted.verdict, counted.heard) == (UNKNOWN, 0)


def test_a_silent_vantage_has_no_vote_once_it_is_older_than_the_expiry():
    up = votes("U", age_s=0.0)

    def with_two_at(age_s):
        return tally(up + [replace(vote, age_s=age_s) for vote in votes("DD")], MAJORITY)

    assert with_two_at(MAJORITY.expiry_s).verdict is DOWN
    assert with_two_at(MAJORITY.expiry_s + 0.1).verdict is UP
    assert with_two_at(MAJORITY.expiry_s + 0.1).heard == 1


def test_a_rule_that_does_not_exist_is_a_bug():
    with pytest.raises(ValueError, match="plurality"):
        tally(votes("U"), Quorum("plurality"))


def test_the_reason_is_the_commonest_of_those_who_agree():
    some = [
        replace(vote, reason=reason)
        for vote, reason in zip(votes("DDDU"), ["timeout", "refused", "timeout", "ok"], strict=True)
    ]

    assert tally(some, MAJORITY).reason == "timeout"
    assert tally(some[1:3], MAJORITY).reason == "refused"


def test_a_tally_says_who_was_counted():
    counted = tally(votes("UDD?"), MAJORITY)

    assert (counted.heard, counted.down, counted.needed) == (3, 2, 2)


# The earliest flip


def flipping(words, *flips):
    return [
        replace(vote, flips_at_s=flips_at_s)
        for vote, flips_at_s in zip(votes(words), flips, strict=True)
    ]


@pytest.mark.parametrize(
    ("words", "flips", "flips_at_s"),
    [
        ("U", [9.0], 9.0),
        ("UUU", [9.0, None, None], None),
        ("UUU", [9.0, 7.0, None], 7.0),
        ("UUD", [9.0, None, None], 9.0),
        ("UUD", [None, None, 9.0], None),
        ("UDD", [None, 8.0, None], 8.0),
        ("DDD", [8.0, None, None], None),
        ("UUU", [None, None, None], None),
    ],
)
def test_a_flip_is_near_when_the_undecided_votes_together_could_turn_the_tally(
    words, flips, flips_at_s
):
    assert tally(flipping(words, *flips), MAJORITY).flips_at_s == flips_at_s


# Conclusions


def test_a_conclusion_keeps_since_when_it_holds_and_when_the_member_rose():
    record = Record()
    for now_s, words in enumerate(["U", "UUU", "UDD", "DDD", "UUD", "UUU"]):
        record = conclude(record, tally(votes(words), MAJORITY), now_s=float(now_s))

    assert (record.verdict, record.since_s, record.risen_at_s) == (UP, 4.0, 4.0)
    assert record.reason == "ok"


def test_the_first_conclusion_is_no_rise():
    assert conclude(Record(), tally(votes("U"), MAJORITY), now_s=1.0).risen_at_s is None


def test_a_conclusion_carries_the_tallys_earliest_flip():
    record = conclude(Record(), tally(flipping("U", 9.0), MAJORITY), now_s=1.0)

    assert record.flips_at_s == 9.0


@pytest.mark.parametrize("verdict", list(Verdict))
def test_without_any_vote_the_last_conclusion_stands(verdict):
    record = Record(verdict=verdict, reason="x", since_s=3.0, flips_at_s=5.0)

    after = conclude(record, tally([], MAJORITY), now_s=9.0)

    assert after == replace(record, flips_at_s=None)


# What is always true

verdicts = st.sampled_from(list(Verdict))
ages = st.floats(0.0, 1000.0)
vote_lists = st.lists(st.builds(Vote, st.just("v"), verdicts, ages), max_size=8).map(
    lambda some: [replace(vote, vantage=f"v{i}") for i, vote in enumerate(some)]
)
quorums = st.builds(
    Quorum,
    st.sampled_from(["majority", "any", "all", "count", "percent"]),
    st.integers(1, 100),
    st.floats(1.0, 100.0),
)


@given(
    others=st.integers(2, 9),
    ages=st.lists(st.floats(0.0, MAJORITY.expiry_s), min_size=9, max_size=9),
    lie=verdicts,
    lie_age_s=st.floats(0.0, 1e9),
)
def test_one_vantage_lying_or_gone_takes_no_member_out_while_two_or_more_others_say_up(
    others, ages, lie, lie_age_s
):
    honest = [Vote(f"v{i}", UP, age_s) for i, age_s in enumerate(ages[:others])]

    with_a_liar = tally([*honest, Vote("liar", lie, lie_age_s)], MAJORITY)
    without_it = tally(honest, MAJORITY)

    assert with_a_liar.verdict is UP
    assert without_it.verdict is UP


@given(vote_lists, quorums, st.integers(0, 100_000))
def test_when_every_vantage_falls_silent_nothing_changes_however_long_it_lasts(
    some, quorum, silence_s
):
    whole = [replace(vote, age_s=float(int(vote.age_s))) for vote in some]
    later = [replace(vote, age_s=vote.age_s + silence_s) for vote in whole]

    assert tally(later, quorum) == tally(whole, quorum)


@given(vote_lists, quorums)
def test_one_more_vote_for_down_never_brings_a_member_back_under_a_majority_or_any(some, quorum):
    assume(quorum.rule in {"majority", "any", "all", "percent"})
    fresh = [replace(vote, age_s=0.0) for vote in some]
    before = tally(fresh, quorum)

    after = tally([*fresh, Vote("one-more", DOWN, 0.0)], quorum)

    if before.verdict is DOWN:
        assert after.verdict is DOWN


@given(vote_lists, quorums, st.randoms())
def test_the_order_of_votes_does_not_matter(some, quorum, chance):
    shuffled = list(some)
    chance.shuffle(shuffled)

    assert tally(shuffled, quorum) == tally(some, quorum)


@given(vote_lists, quorums)
def test_where_all_who_are_heard_say_up_the_member_is_not_down(some, quorum):
    up = [replace(vote, verdict=UP) for vote in some]

    assert tally(up, quorum).verdict is not DOWN
