"""What several vantages' votes on one member come to."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gslb.health.quorum import Vote, conclude, tally
from gslb.health.verdict import Record, Verdict
from gslb.model import Quorum, VoterKind

PROBER, PROXY = VoterKind.PROBER, VoterKind.PROXY
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN
MAJORITY = Quorum()


def votes(words, since_s=0.0):
    """Return one vote for each letter: U, D or ? for unknown; all turned at *since_s*."""
    verdicts = {"U": UP, "D": DOWN, "?": UNKNOWN}
    return [
        Vote(
            f"v{number}",
            verdicts[letter],
            1.0,
            "ok" if letter == "U" else "refused",
            since_s=since_s,
        )
        for number, letter in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("rule", "number", "words", "verdict"),
    [
        ("majority", 0, "D", DOWN),
        ("majority", 0, "UDD", DOWN),
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


@pytest.mark.parametrize("why", ["silent", "abstains"])
def test_a_vote_that_is_left_out_does_not_count(why):
    one, *others = votes("UDD")

    left = tally([one, *(replace(vote, left_out=why) for vote in others)], MAJORITY)

    assert (left.verdict, left.heard, left.down) == (UP, 1, 0)


# Votes of kind proxy


def mixed(words):
    """Return a vote for each letter; those after a ~ are of kind proxy: ``UD~DD``.

    Each turned one second after the one before it.
    """
    probers, _, proxies = words.partition("~")
    return [
        replace(vote, since_s=float(number), kind=PROBER if number < len(probers) else PROXY)
        for number, vote in enumerate(votes(probers + proxies))
    ]


@pytest.mark.parametrize(
    ("words", "verdict", "since_s"),
    [
        ("U~DDDD", UP, 0.0),  # proxies alone take nobody out
        ("UU~DDDD", UP, 1.0),  # since the last prober came round
        ("?~DDD", UNKNOWN, 0.0),  # nor do they conclude anything against a member by themselves
        ("~DDD", UNKNOWN, 0.0),
        ("~UUD", UP, 1.0),  # what they saw serve does
        ("?~U", UP, 1.0),
        ("D~D", DOWN, 1.0),  # and they count: with one prober they make a majority
        ("DU~D", DOWN, 2.0),
        ("UD~D", DOWN, 2.0),
        ("DU~UUU", UP, 3.0),
        ("U~UU", UP, 0.0),
    ],
)
def test_proxies_count_but_take_nobody_out_by_themselves(words, verdict, since_s):
    counted = tally(mixed(words), MAJORITY)

    assert (counted.verdict, counted.since_s) == (verdict, since_s)


@pytest.mark.parametrize("rule", ["majority", "any", "all"])
def test_a_member_is_down_only_since_a_prober_said_so(rule):
    early, late = mixed("~DDD"), replace(votes("D", 9.0)[0], vantage="p")

    assert tally([*early, late], Quorum(rule)).since_s == 9.0


@pytest.mark.parametrize(
    ("words", "doubted", "flips"),
    [
        ("U~DD", 0, True),
        ("U~UU", 1, False),
        ("D~DD", 0, True),
        ("D~DD", 1, False),
        ("~U", 0, False),
    ],
)
def test_a_doubt_is_told_only_if_the_verdict_could_turn_by_it(words, doubted, flips):
    counted = mixed(words)
    counted[doubted] = replace(counted[doubted], flips_at_s=5.0)

    assert (tally(counted, MAJORITY).flips_at_s is not None) is flips


@given(
    st.sampled_from(["majority", "any", "all", "count", "percent"]),
    st.integers(0, 100),
    st.text("UD?", max_size=5),
    st.text("UD?", max_size=6),
    st.lists(st.sampled_from([None, "eu", "us"]), min_size=11, max_size=11),
)
def test_down_takes_a_prober_that_says_so_whatever_proxies_say(
    rule, number, probers, proxies, regions
):
    counted = [
        replace(vote, region=region)
        for vote, region in zip(mixed(f"{probers}~{proxies}"), regions, strict=False)
    ]

    verdict = tally(counted, Quorum(rule, number)).verdict

    if verdict is DOWN:
        assert "D" in probers
    if "U" in probers and "D" not in probers:
        assert verdict is UP
    assert verdict is tally(reversed(counted), Quorum(rule, number)).verdict


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


# Ties


def spoken(words, times, regions=None):
    return [
        replace(vote, since_s=since_s, region=region)
        for vote, since_s, region in zip(
            votes(words), times, regions or [None] * len(words), strict=True
        )
    ]


@pytest.mark.parametrize(
    ("words", "times", "verdict"),
    [
        ("UD", [1.0, 2.0], UP),
        ("UD", [2.0, 1.0], DOWN),
        ("UUDD", [1.0, 2.0, 3.0, 4.0], UP),
        ("UUDD", [1.0, 4.0, 3.0, 2.0], DOWN),
        ("UD", [1.0, 1.0], UP),
    ],
)
def test_a_tie_is_decided_without_the_one_who_spoke_last(words, times, verdict):
    assert tally(spoken(words, times), MAJORITY).verdict is verdict


@given(st.sampled_from([UP, DOWN]), st.lists(st.sampled_from([UP, DOWN]), max_size=30))
def test_of_two_vantages_one_that_turns_back_and_forth_turns_nobody(steady, turns):
    other = Vote("steady", steady, 1.0, since_s=0.5)

    for since_s, verdict in enumerate(turns, 1):
        turning = Vote("turning", verdict, 1.0, since_s=since_s)
        assert tally([other, turning], MAJORITY).verdict is steady


# Regions


@pytest.mark.parametrize(
    ("words", "regions", "verdict"),
    [
        ("DDUUU", ["eu", "eu", "us", "us", "us"], UP),
        ("DDUUUDD", ["eu", "eu", "us", "us", "us", "ap", "ap"], DOWN),
        ("DUUUUD", ["eu", "us", "us", "us", "us", "ap"], DOWN),
        ("DUUUUD", [None] * 6, UP),
        ("DDUUD", ["eu", "eu", "us", "us", None], DOWN),
    ],
)
def test_a_region_has_one_vote_its_majoritys(words, regions, verdict):
    counted = tally(spoken(words, range(len(words)), regions), MAJORITY)

    assert counted.verdict is verdict
    assert counted.heard == len(set(regions) - {None}) + regions.count(None)


def test_a_tie_of_regions_is_decided_by_all_their_votes():
    assert tally(spoken("DUU", [0, 1, 2], ["eu", "us", "us"]), MAJORITY).verdict is UP
    assert tally(spoken("DUD", [0, 1, 2], ["eu", "us", "us"]), MAJORITY).verdict is DOWN


@given(
    st.lists(st.tuples(st.sampled_from([UP, DOWN]), st.floats(0.0, 9.0)), min_size=1, max_size=9)
)
def test_with_one_vantage_a_region_it_is_as_without_regions(some):
    alone = [Vote(f"v{i}", word, 1.0, since_s=at) for i, (word, at) in enumerate(some)]
    placed = [replace(vote, region=vote.vantage) for vote in alone]

    for rule in ("majority", "any", "all"):
        assert tally(alone, Quorum(rule)) == tally(placed, Quorum(rule))


# Since when


@pytest.mark.parametrize(
    ("words", "times", "rule", "since_s"),
    [
        ("DDD", [1.0, 5.0, 9.0], "majority", 5.0),
        ("DDD", [1.0, 5.0, 9.0], "any", 1.0),
        ("DDD", [1.0, 5.0, 9.0], "all", 9.0),
        ("UUU", [1.0, 5.0, 9.0], "majority", 5.0),
        ("UUU", [1.0, 5.0, 9.0], "any", 9.0),
        ("UUU", [1.0, 5.0, 9.0], "all", 1.0),
        ("UUD", [1.0, 5.0, 9.0], "majority", 5.0),
        ("UD", [1.0, 2.0], "majority", 1.0),
    ],
)
def test_a_member_is_down_or_up_since_enough_had_turned(words, times, rule, since_s):
    assert tally(spoken(words, times), Quorum(rule)).since_s == since_s


def test_a_member_that_too_few_look_at_is_up_since_the_last_of_them_turned():
    assert tally(spoken("DD", [1.0, 5.0]), Quorum("count", 3)).since_s == 5.0


def test_a_turn_is_not_dated_before_the_last_one_nor_after_now():
    record = Record(verdict=DOWN, since_s=4.0)

    def risen_at_s(since_s):
        return conclude(record, tally(votes("U", since_s), MAJORITY), now_s=9.0).risen_at_s

    assert [risen_at_s(since_s) for since_s in (1.0, 6.0, 12.0)] == [4.0, 6.0, 9.0]


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
        ("UU", [9.0, None], 9.0),
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
        record = conclude(record, tally(votes(words, now_s), MAJORITY), now_s=float(now_s))

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
times = st.floats(0.0, 1000.0)
vote_lists = st.lists(
    st.builds(
        Vote,
        st.just("v"),
        verdicts,
        times,
        since_s=times,
        flips_at_s=st.none() | times,
        region=st.sampled_from([None, "us", "eu", "ap"]),
    ),
    max_size=8,
).map(lambda some: [replace(vote, vantage=f"v{i}") for i, vote in enumerate(some)])
quorums = st.builds(
    Quorum,
    st.sampled_from(["majority", "any", "all", "count", "percent"]),
    st.integers(1, 100),
    st.floats(1.0, 100.0),
)


@given(
    others=st.lists(
        st.tuples(st.sampled_from([None, "us", "eu"]), st.floats(0.0, 9.0)), min_size=2, max_size=9
    ),
    lie=st.builds(
        Vote,
        st.just("liar"),
        verdicts,
        st.just(1.0),
        since_s=st.floats(0.0, 9.0),
        region=st.sampled_from([None, "us", "eu"]),
        left_out=st.sampled_from(["", "silent", "abstains"]),
    ),
)
def test_one_vantage_lying_or_gone_takes_no_member_out_while_two_or_more_others_say_up(others, lie):
    honest = [
        Vote(f"v{i}", UP, 1.0, since_s=since_s, region=region)
        for i, (region, since_s) in enumerate(others)
    ]

    with_a_liar = tally([*honest, lie], MAJORITY)
    without_it = tally(honest, MAJORITY)

    assert with_a_liar.verdict is UP
    assert without_it.verdict is UP


@given(vote_lists, quorums, times)
def test_one_more_vote_for_down_never_brings_a_member_back(some, quorum, since_s):
    assume(quorum.rule in {"majority", "any", "all", "percent"})
    before = tally(some, quorum)

    after = tally([*some, Vote("one-more", DOWN, 0.0, since_s=since_s)], quorum)

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
