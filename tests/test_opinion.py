"""What a node believes of what it hears, and of what it no longer hears."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.health.opinion import UNHEARD
from gslb.health.verdict import Record, Verdict
from gslb.model import Quorum
from tests.vantages import API, START_S, WWW, Desk

RULES = [Quorum(), Quorum("any"), Quorum("all"), Quorum("count", 2), Quorum("percent", 40)]
EXPIRY_S = Quorum().expiry_s
UP_SINCE_THE_START = {WWW: Record(Verdict.UP, "ok", START_S - 60.0)}
DOWN_SINCE_THE_START = {WWW: Record(Verdict.DOWN, "refused", START_S - 60.0)}


def test_enough_vantages_that_say_down_turn_a_member_and_the_flip_shows_their_votes():
    desk = Desk()
    desk.say("UUU")
    desk.now_s = 5.0
    desk.hear("a", "D")
    assert desk.word == "up"

    desk.now_s = 6.0
    (flip,) = desk.hear("b", "D")

    assert (flip.before.verdict, flip.after.verdict) == (Verdict.UP, Verdict.DOWN)
    assert (flip.after.reason, flip.after.since_s) == ("refused", START_S + 6.0)
    assert {vote.vantage: vote.verdict.value for vote in flip.votes} == {
        "a": "down",
        "b": "down",
        "c": "up",
    }
    assert desk.opinion.records[WWW] == flip.after


def test_only_the_subjects_whose_lines_differ_are_looked_at_again():
    desk = Desk(subjects=(WWW, API))
    for name in "abc":
        desk.hear(name, "UU")

    assert desk.hear("a", "UU") == ()
    assert [flip.subject for flip in (*desk.hear("a", "UD"), *desk.hear("b", "UD"))] == [API]


def test_the_node_is_complete_once_every_subject_has_a_verdict():
    desk = Desk("a b", subjects=(WWW, API))
    desk.hear("a", "U?")
    desk.hear("b", "??")
    assert not desk.opinion.is_complete

    desk.hear("b", "?D")

    assert desk.opinion.is_complete
    assert desk.opinion.records[API].verdict is Verdict.DOWN


def test_what_came_late_or_from_elsewhere_changes_nothing():
    desk = Desk()
    late = desk.report("a", "D")
    desk.say("UUU")

    assert desk.take(late) == ()
    assert desk.take(replace(late, vantage="x")) == ()
    assert desk.word == "up"


# Starts


def test_a_fresh_node_listens_until_all_are_heard_before_it_concludes():
    desk = Desk(restored=UP_SINCE_THE_START)
    desk.hear("a", "D")
    desk.at(1.0)
    desk.hear("b", "U")
    assert desk.turned == []

    desk.hear("c", "U")

    assert (desk.word, desk.turned) == ("up", [])
    assert desk.opinion.is_complete


def test_a_fresh_node_concludes_after_half_an_expiry_without_the_others():
    desk = Desk()
    desk.hear("a", "D")

    desk.at(EXPIRY_S / 2 - 0.1)
    assert desk.word == "unknown"
    desk.at(EXPIRY_S / 2)
    assert desk.word == "down"


def test_stored_verdicts_hold_until_the_votes_say_otherwise():
    desk = Desk(restored={WWW: Record(Verdict.DOWN, "refused", START_S + 99.0, streak=2)})
    record = desk.opinion.records[WWW]
    assert (record.verdict, record.since_s, record.streak) == (Verdict.DOWN, START_S, 0)
    assert not desk.opinion.is_complete

    desk.now_s = 3.0
    desk.say("UUU")

    assert desk.opinion.records[WWW].risen_at_s == START_S + 3.0


# Silence


def test_a_vantage_that_fell_silent_turns_nobody_until_it_is_forgotten():
    desk = Desk("a b")
    desk.say("UU")
    for now_s in range(5, int(2 * EXPIRY_S) + 1, 5):
        desk.at(float(now_s))
        desk.hear("a", "D")
        assert desk.word == "up"
    assert desk.states() == {"a": "heard", "b": "silent"}
    assert desk.opinion.records[WWW].flips_at_s == START_S + 2 * EXPIRY_S

    desk.now_s = 2 * EXPIRY_S + 0.5
    desk.hear("a", "D")
    assert desk.word == "down"


def test_a_silent_vantage_has_no_vote_that_could_turn_a_member():
    desk = Desk()
    desk.say("UUD")
    for now_s in range(5, 30, 5):
        desk.now_s = float(now_s)
        desk.hear("a", "U")
        desk.hear("b", "U")
    desk.hear("a", "D")

    (vote,) = [v for v in desk.opinion.votes(WWW, now_s=START_S + 25.0) if v.vantage == "c"]
    assert (vote.left_out, vote.age_s, vote.counts) == ("silent", 25.0, False)
    assert desk.word == "up"


@given(
    st.sampled_from(RULES),
    st.integers(1, 5),
    st.data(),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 7)), min_size=1, max_size=12),
)
def test_a_vantage_that_comes_and_goes_turns_a_member_at_most_once(rule, others, data, spells):
    """Its own vote, and all others', stay; each silence ends before it is forgotten."""
    names = " ".join(f"v{i}" for i in range(others + 1))
    letters = data.draw(st.text("UD", min_size=others + 1, max_size=others + 1))
    since = data.draw(st.lists(st.integers(-9, 0), min_size=others + 1, max_size=others + 1))
    stored = data.draw(st.sampled_from([{}, UP_SINCE_THE_START, DOWN_SINCE_THE_START]))
    desk = Desk(names, rule, restored=stored)
    pattern = [True] + [is_heard for on, off in spells for is_heard in [True] * on + [False] * off]

    for tick, is_heard in enumerate(pattern):
        desk.at(tick * 5.0)
        for number, name in enumerate(desk.regions):
            if number or is_heard:
                desk.hear(name, letters[number], since_s=float(since[number]))

    assert len([word for word in desk.turned if word != "unknown"]) <= 1 + (not stored)


def test_when_every_vantage_falls_silent_nothing_changes_until_all_is_unknown():
    desk = Desk(subjects=(WWW, API))
    for name in "abc":
        desk.hear(name, "UD", flips_in_s=3.0)
    before = {s: replace(r, flips_at_s=None) for s, r in desk.opinion.records.items()}
    assert desk.opinion.records[WWW].flips_at_s == START_S + 3.0

    flips = desk.at(EXPIRY_S + 0.5)
    assert {flip.subject for flip in flips} == {WWW, API}
    for now_s in range(21, 3600, 100):
        assert desk.at(float(now_s)) == ()
        assert desk.opinion.records == before
    assert desk.opinion.frozen_since_s == START_S + EXPIRY_S + 0.5

    desk.at(EXPIRY_S + 0.5 + 3600.0)
    assert {record.verdict for record in desk.opinion.records.values()} == {Verdict.UNKNOWN}
    assert desk.opinion.records[WWW].reason == UNHEARD
    assert desk.at(9000.0) == ()


def test_where_it_is_never_unknown_a_silent_world_stays_as_it_was():
    desk = Desk(quorum=Quorum(unknown_after_s=None))
    desk.say("DDD")

    desk.at(EXPIRY_S + 1.0)
    desk.at(1e9)

    assert desk.word == "down"


def test_a_node_that_never_hears_anyone_forgets_what_it_stored():
    desk = Desk(restored=DOWN_SINCE_THE_START)

    desk.at(EXPIRY_S)
    assert desk.opinion.frozen_since_s is None
    desk.at(EXPIRY_S + 1.0)
    assert (desk.word, desk.opinion.frozen_since_s) == ("down", START_S)
    desk.at(3600.0)
    assert desk.word == "unknown"


def test_a_frozen_node_thaws_when_it_hears_all_again():
    desk = Desk()
    desk.say("UUU")
    desk.at(100.0)
    desk.hear("a", "D")
    assert desk.opinion.frozen_since_s == START_S + 100.0

    desk.say(".DU")

    assert (desk.word, desk.opinion.frozen_since_s) == ("down", None)


def test_below_min_vantages_the_last_verdicts_freeze():
    desk = Desk(quorum=Quorum(min_vantages=2))
    desk.say("UUU")
    for now_s in range(5, 60, 5):
        desk.at(float(now_s))
        desk.hear("a", "D")

    assert desk.word == "up"
    assert desk.opinion.frozen_since_s is not None


def test_votes_that_nobody_counts_leave_a_record_as_it_is():
    desk = Desk(subjects=(WWW, API))
    for name in "abc":
        desk.hear(name, "DU")
    for name in "abc":
        desk.hear(name, "?U")

    assert desk.word == "down"


# Restarts of vantages


def test_a_vantage_that_starts_anew_and_knows_nothing_turns_nobody():
    desk = Desk()
    desk.say("DUU", since_s=0.0)
    desk.now_s = 5.0
    desk.hear("c", "?", anew=True)
    desk.hear("b", "U", since_s=4.0)
    assert desk.word == "up"

    desk.hear("c", "U")
    assert desk.turned == ["up"]


def test_what_a_vantage_said_before_it_started_anew_is_forgotten_in_the_end():
    desk = Desk("a b")
    desk.say("DU", since_s=0.0)
    for now_s in range(5, 40, 5):
        desk.at(float(now_s))
        desk.hear("a", "D", since_s=0.0)
        desk.hear("b", "?", anew=now_s == 5)

    assert desk.word == "down"


@pytest.mark.parametrize("former", ["?", None])
def test_a_vantage_that_never_spoke_of_a_member_has_nothing_to_be_remembered(former):
    desk = Desk("a b", subjects=(WWW, API))
    desk.hear("a", "UU", since_s=0.0)
    if former is None:
        desk.subjects = (API,)
        desk.hear("b", "U")
        desk.subjects = (WWW, API)
    else:
        desk.hear("b", "?U")
    desk.now_s = 5.0
    desk.hear("b", "?U", anew=True)

    desk.hear("a", "DU")

    assert desk.word == "down"


def test_a_vantage_that_knows_nothing_yet_keeps_nobody_in():
    desk = Desk("a b", restored=UP_SINCE_THE_START)

    desk.say("D?")

    assert desk.word == "down"


# Vantages that are cut off


def test_a_vantage_that_is_cut_off_has_no_vote_for_down():
    desk = Desk(quorum=Quorum("any"))
    desk.say("UUU")

    desk.hear("a", "D", cut_off=True)

    assert desk.word == "up"
    assert desk.states() == {"a": "cut off", "b": "heard", "c": "heard"}
    (vote,) = [v for v in desk.opinion.votes(WWW, now_s=START_S) if v.vantage == "a"]
    assert vote.left_out == "abstains"


def test_what_a_vantage_sees_up_counts_though_it_is_cut_off():
    desk = Desk()
    for name in "abc":
        desk.hear(name, "U", cut_off=name != "c")

    desk.hear("c", "D")

    assert desk.word == "up"


def test_when_all_are_cut_off_it_is_the_world_and_their_votes_count():
    desk = Desk()
    desk.say("UUU")

    for name in "abc":
        desk.now_s += 1.0
        desk.hear(name, "D", cut_off=True)

    assert desk.turned == ["up", "down"]


def test_half_of_the_voters_are_not_the_world():
    desk = Desk("a b c d")
    desk.say("UU..")
    desk.at(EXPIRY_S / 2)
    desk.hear("a", "D", cut_off=True)
    desk.hear("b", "D", cut_off=True)

    assert desk.word == "up"
    assert desk.opinion.frozen_since_s is not None


def test_a_member_that_is_down_is_not_turned_by_those_who_just_began_to_abstain():
    desk = Desk()
    desk.say("UUU")
    desk.now_s = 1.0
    desk.say("DDU")
    assert desk.word == "down"

    desk.now_s = 2.0
    desk.say("DD.", cut_off=True)
    assert desk.word == "down"
    assert desk.opinion.records[WWW].flips_at_s == START_S + 2.0 + EXPIRY_S

    for now_s in range(5, 30, 5):
        desk.at(float(now_s))
        desk.hear("c", "U")
        desk.say("DD.", cut_off=True)
    assert desk.word == "up"


def test_a_vantage_that_is_no_longer_cut_off_votes_again():
    desk = Desk("a b")
    desk.say("UU")
    desk.hear("a", "D", cut_off=True)
    desk.hear("b", "D", since_s=1.0)

    desk.hear("a", "D")

    assert desk.word == "down"
    assert desk.states() == {"a": "heard", "b": "heard"}


# Voters of kind proxy


def test_proxies_that_see_a_member_dead_do_not_take_it_out_without_a_prober():
    desk = Desk("a ~p ~q")
    desk.say("UDD")
    assert desk.word == "up"

    desk.now_s = 1.0
    desk.hear("a", "D")

    assert desk.word == "down"


def test_a_member_stays_down_when_its_prober_falls_silent_and_the_proxy_still_sees_it_dead():
    desk = Desk("a ~p")
    desk.say("DD")
    for now_s in range(5, int(4 * EXPIRY_S), 5):
        desk.at(float(now_s))
        desk.hear("p", "D")
    assert (desk.states()["a"], desk.word) == ("silent", "down")

    desk.hear("p", "U")

    assert desk.word == "up"


def test_a_prober_that_is_cut_off_lets_no_proxy_take_a_member_out():
    desk = Desk("a b ~p ~q", Quorum("any"))
    desk.say("UUUU")
    for now_s in range(5, int(3 * EXPIRY_S), 5):
        desk.at(float(now_s))
        desk.hear("a", "D", cut_off=True)
        desk.say(".UDD")

    assert desk.turned == ["up"]


def test_when_all_probers_are_cut_off_it_is_the_world_though_a_proxys_region_stands():
    desk = Desk("a b c ~p")
    desk.say("UUUU")

    for name in "abc":
        desk.now_s += 1.0
        desk.hear(name, "D", cut_off=True)

    assert desk.word == "down"


def test_each_voter_is_shown_with_its_kind():
    desk = Desk("a ~p ~q")
    desk.say("UU.")

    kinds = {each.name: each.kind.value for each in desk.opinion.vantages(now_s=START_S)}
    assert kinds == {"a": "prober", "p": "proxy", "q": "proxy"}
    votes = desk.opinion.votes(WWW, now_s=START_S)
    assert {vote.vantage: vote.kind.value for vote in votes} == {"a": "prober", "p": "proxy"}


@given(
    st.sampled_from(RULES),
    st.sampled_from([{}, UP_SINCE_THE_START]),
    st.lists(
        st.tuples(st.sampled_from("UD?."), st.sampled_from("U?."), st.booleans(), st.booleans()),
        max_size=40,
    ),
)
def test_however_many_proxies_lie_no_member_goes_out_that_no_prober_sees_down(rule, stored, says):
    desk = Desk("z ~p ~q ~r:eu", rule, restored=stored)
    for tick, (lie, truth, cut_off, anew) in enumerate(says):
        desk.at(tick * 4.0)
        for name in "pqr":
            if lie != ".":
                desk.hear(name, lie, cut_off=cut_off, anew=anew, since_s=-99.0)
        if truth != ".":
            desk.hear("z", truth, cut_off=cut_off)

    assert "down" not in desk.turned


# When a verdict may flip


def test_an_earliest_flip_is_told_by_the_nodes_clock_and_the_shortest_way_here():
    desk = Desk("a")
    desk.hear("a", "U")
    slow = desk.report("a", "U", flips_in_s=5.0)

    desk.now_s = 2.0
    desk.take(replace(slow, heard_at_s=START_S + 2.0))

    flips_at_s = desk.opinion.records[WWW].flips_at_s
    assert flips_at_s == pytest.approx(START_S + 5.0, abs=0.01)


def test_while_votes_linger_a_member_may_turn_when_they_end_or_another_vote_does():
    desk = Desk()
    desk.say("DDU")
    desk.now_s = 1.0
    desk.say("DD.", cut_off=True)
    desk.hear("c", "U", flips_in_s=4.0)

    assert desk.opinion.records[WWW].flips_at_s == START_S + 5.0


# Another configuration


def test_subjects_that_stay_keep_their_record_and_new_ones_are_unknown():
    desk = Desk()
    desk.say("DDD")

    desk.opinion.watch((API, WWW), desk.quorum, desk.regions, now_s=START_S)
    assert list(desk.opinion.records) == [API, WWW]
    assert desk.opinion.records[WWW].verdict is Verdict.DOWN
    assert not desk.opinion.is_complete
    desk.opinion.watch((WWW,), desk.quorum, desk.regions, now_s=START_S)
    assert list(desk.opinion.records) == [WWW]
    assert desk.opinion.is_complete


def test_another_rule_and_fewer_voters_hold_at_once():
    desk = Desk()
    desk.say("DUU")

    (flip,) = desk.opinion.watch((WWW,), Quorum("any"), desk.regions, now_s=START_S)
    assert flip.after.verdict is Verdict.DOWN
    (flip,) = desk.opinion.watch((WWW,), Quorum("any"), {"b": None, "c": None}, now_s=START_S)
    assert flip.after.verdict is Verdict.UP
    assert [each.name for each in desk.opinion.vantages(now_s=START_S)] == ["b", "c"]


def test_a_voter_that_is_added_is_waited_for_by_nobody():
    desk = Desk()
    desk.say("UUU")

    voters = {**desk.regions, "d": None}
    desk.opinion.watch((WWW,), desk.quorum, voters, now_s=START_S)

    assert desk.states()["d"] == "never heard"
    assert desk.opinion.frozen_since_s is None


def test_each_vantage_is_shown_as_it_is_heard():
    desk = Desk("a:eu b")
    desk.hear("a", "U")

    desk.now_s = 3.0
    first, second = desk.opinion.vantages(now_s=START_S + 3.0)

    assert (first.region, first.age_s, first.number, first.subjects) == ("eu", 3.0, (1, 1), 1)
    assert (second.age_s, second.number, second.state) == (None, None, "never heard")


# What is always true


@given(
    st.integers(2, 4),
    st.lists(st.tuples(st.sampled_from("UD?."), st.booleans(), st.booleans()), max_size=40),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([{}, UP_SINCE_THE_START]),
)
def test_12_one_vantage_lying_or_vanishing_takes_no_member_out_while_the_others_say_up(
    others, lies, flags, stored
):
    """It says what it likes, is cut off or not, starts anew or vanishes; is heard first."""
    desk = Desk(" ".join(["z", *"abcd"[:others]]), restored=stored)
    for tick, (lie, cut_off, anew) in enumerate(lies):
        desk.at(tick * 4.0)
        if lie != ".":
            desk.hear("z", lie, cut_off=cut_off, anew=anew, since_s=-99.0)
        for name, flag in zip("abcd"[:others], flags, strict=False):
            desk.hear(name, "U", cut_off=flag)

    assert "down" not in desk.turned


events = st.tuples(
    st.sampled_from("abcd"),
    st.sampled_from(["UU", "UD", "DU", "DD", "?U"]),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 5.0, 30.0]),
    st.sampled_from([(), (0,), (1,), (0, 1)]),
)


@given(
    st.sampled_from(RULES),
    st.sampled_from(["a b c d", "a:eu b:eu c:us d:us", "a:eu b:eu c:eu d", "a b ~c ~d:eu"]),
    st.lists(events, max_size=30),
    st.data(),
)
def test_10_nodes_that_hear_the_same_in_the_end_believe_the_same(rule, voters, history, data):
    """Each missed other reports, and one started anew; then both hear all for a while."""
    nodes = [Desk(voters, rule, (WWW, API)) for _ in range(2)]
    source = Desk(voters, rule, (WWW, API))
    last = dict.fromkeys("abcd", "UU")
    for name, words, cut_off, passed_s, hearers in history:
        source.now_s += passed_s
        report = source.report(name, words, cut_off=cut_off)
        last[name] = words
        for number in hearers:
            nodes[number].at(source.now_s)
            nodes[number].take(replace(report, heard_at_s=START_S + source.now_s))
    if data.draw(st.booleans()):
        nodes[1] = Desk(voters, rule, (WWW, API), restored=nodes[1].opinion.records)
        nodes[1].at(source.now_s)

    for _ in range(int(2.5 * EXPIRY_S / 5.0) + 1):
        source.now_s += 5.0
        for name in "abcd":
            report = source.report(name, last[name])
            for node in nodes:
                node.at(source.now_s)
                node.take(replace(report, heard_at_s=START_S + source.now_s))

    first, second = (
        {s: (r.verdict, r.reason, r.flips_at_s) for s, r in node.opinion.records.items()}
        for node in nodes
    )
    assert first == second


def test_reports_from_another_clock_are_dated_by_when_they_are_heard():
    desk = Desk("a")
    report = desk.report("a", "U")
    late = replace(report, heard_at_s=START_S + 9.0)

    desk.now_s = 9.0
    desk.take(late)

    assert desk.opinion.vantages(now_s=START_S + 10.0)[0].age_s == 1.0
