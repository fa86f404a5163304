"""A tier's vantage: what it says beside its verdicts, and whom it has probed at once."""

import pytest

from gslb.daemons.events import Events
from gslb.daemons.vantage import Vantage
from gslb.health.doubt import Doubt, token_of
from gslb.health.load import Load
from gslb.health.report import decode
from gslb.health.verdict import Record, Verdict
from gslb.model import Monitor, Voter, VoterKind
from tests.nodes import config, subject_of

KEYS = {"p": b"key of p", "a": b"key of a", "b": b"key of b"}
NOW_S = 1_700_000_000.0
WWW, API = subject_of("192.0.2.1"), subject_of("192.0.2.2")


class Probed:
    """Stands in for the prober: holds records, and notes whom it is to probe at once."""

    def __init__(self):
        self.records, self.rechecked, self.complete = {}, [], True

    def watch(self, subjects):
        self.records = {subject: Record(Verdict.UP, "ok", NOW_S) for subject in subjects}

    def recheck(self, subjects):
        self.rechecked += subjects


class Tier:
    """A vantage of kind proxy on a clock that stands still unless it is moved."""

    def __init__(self, name="p", share=None):
        self.now_s = NOW_S
        self.prober, self.sent = Probed(), []
        voters = {
            each: Voter(each, None, key, VoterKind.PROXY if each == "p" else VoterKind.PROBER)
            for each, key in KEYS.items()
        }
        made = config(voters=voters, probes_per_member=share)
        clock = lambda: self.now_s  # noqa: E731
        events = Events(clock)
        self.vantage = Vantage(name, made, self.prober, clock, events, self.sent.append)
        self.vantage.watch(dict.fromkeys((WWW, API), Monitor(name="web")))

    def report(self):
        self.vantage.report()
        return decode(self.sent[-1], KEYS, now_s=self.now_s)

    def result(self, subject, *, started_s, verdict=Verdict.UP):
        before = self.prober.records[subject]
        after = Record(verdict, "ok", NOW_S, last_started_s=started_s)
        self.prober.records[subject] = after
        self.vantage.on_result(subject, before, after)


@pytest.fixture
def tier():
    return Tier()


def test_a_tier_says_how_busy_it_is_and_others_do_not(tier):
    assert tier.report().load is None

    tier.vantage.load = lambda: Load(7, 3, 2, 100.5, 0.25)

    assert tier.report().load == Load(7, 3, 2, 100.5, 0.25)


def test_a_suspect_is_reported_and_probed_at_once(tier):
    tier.vantage.suspect(WWW)
    tier.vantage.suspect(WWW)

    report = tier.report()
    assert report.line(WWW).suspect
    assert report.line(WWW).verdict is Verdict.UP
    assert not report.line(API).suspect
    assert tier.prober.rechecked == [WWW]


def test_the_next_probe_that_begins_after_a_suspicion_ends_it(tier):
    tier.vantage.suspect(WWW)

    tier.result(WWW, started_s=NOW_S - 1.0)
    tier.result(API, started_s=NOW_S + 1.0)
    assert set(tier.vantage.suspects) == {WWW}
    tier.result(WWW, started_s=NOW_S)

    assert not tier.vantage.suspects
    tier.vantage.suspect(WWW)
    assert tier.prober.rechecked == [WWW, WWW]


def test_what_is_down_or_not_probed_here_is_no_suspect(tier):
    tier.prober.records[WWW] = Record(Verdict.DOWN, "refused", NOW_S)

    tier.vantage.suspect(WWW)
    tier.vantage.suspect(subject_of("192.0.2.9"))

    assert not tier.vantage.suspects
    assert tier.prober.rechecked == []


def test_a_suspect_that_is_no_longer_watched_is_forgotten(tier):
    tier.vantage.suspect(WWW)

    tier.vantage.watch({API: Monitor(name="web")})

    assert not tier.vantage.suspects


def test_what_another_tier_doubts_is_probed_at_once_and_once(tier):
    doubts = [Doubt(token_of(subject), "q", NOW_S) for subject in (WWW, subject_of("192.0.2.9"))]

    tier.vantage.heed(doubts)
    tier.vantage.heed(doubts)

    assert tier.prober.rechecked == [WWW]


def test_what_is_its_own_doubt_or_down_already_is_not_probed_for_it(tier):
    tier.prober.records[API] = Record(Verdict.DOWN, "refused", NOW_S)

    tier.vantage.heed([Doubt(token_of(WWW), "p", NOW_S), Doubt(token_of(API), "q", NOW_S)])

    assert tier.prober.rechecked == []


def test_members_that_come_are_found_by_what_is_doubted(tier):
    new = subject_of("192.0.2.9")
    tier.vantage.heed([Doubt(token_of(new), "q", NOW_S)])

    tier.vantage.watch({new: Monitor(name="web")})
    tier.vantage.heed([Doubt(token_of(new), "q", NOW_S + 1.0)])

    assert tier.prober.rechecked == [new]


def test_a_tier_probes_all_that_it_is_given_and_probers_their_share():
    assert set(Tier("p", share=1).prober.records) == {WWW, API}
    shares = [set(Tier(name, share=1).prober.records) for name in "ab"]
    assert set.union(*shares) == {WWW, API}
    assert sum(map(len, shares)) == 2
