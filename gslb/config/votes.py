"""Who may vote, as written → the voters and their quorum, if it can ever be met.

A quorum that more vantages would have to meet than there are would never take a member out:
that is wrong, and not merely odd; so are voters without a prober among them.  Where several
voters stand in one region, a region has one vote, so what is counted are places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from gslb.config import secrets
from gslb.config.known import Known
from gslb.config.mainkeys import MainFile
from gslb.config.nodes import At, closest, shown
from gslb.config.secrets import SecretReader
from gslb.config.votekeys import VantagesSpec
from gslb.model import Quorum, SafetyCatch, Voter, VoterKind

REPORTS_IN_EXPIRY = 2  # so that one lost report silences nobody
WITHDRAWAL = SafetyCatch(Fraction(1, 2), 60.0)  # where several vote and nothing is written


@dataclass(frozen=True, slots=True)
class VoteReader:
    """Reads who votes, for a node, for the vantage *vantage*, or for the L7 tier in *region*.

    `top` is the place of the whole main file.
    """

    top: At
    known: Known
    secrets: SecretReader
    vantage: str | None = None
    region: str | None = None

    def quorum(self, spec: VantagesSpec) -> Quorum:
        """Return the rule of the votes."""
        at = self.top / "vantages"
        voters = max(1, len(spec.voters))
        rule, number = spec.quorum
        most, why = _votes(spec)
        if at.spoiled:
            pass  # some voters may have been cut out
        elif rule == "count" and number > most:
            hint = f"write a number up to {most}, or majority"
            (at / "quorum").wrong(f"{number} can never agree: {why}", hint)
        if spec.min_vantages > voters and not at.spoiled:
            problem = f"{spec.min_vantages} are never heard: {_there_are(voters, 'voter')}"
            (at / "min_vantages").wrong(problem, f"write a number up to {voters}")
        if spec.expiry < REPORTS_IN_EXPIRY * spec.report_interval:
            problem = f"{spec.expiry:g}s is less than twice the {spec.report_interval:g}s between"
            hint = (
                f"write at least {REPORTS_IN_EXPIRY * spec.report_interval:g}s, or a shorter "
                "`report_interval`: one lost report would silence a vantage"
            )
            where = at / ("expiry" if at.has("expiry") else "report_interval")
            where.wrong(f"{problem} reports (`expiry`, `report_interval`)", hint)
        return Quorum(rule, number, spec.expiry, spec.min_vantages, spec.unknown_after)

    def voters(self, spec: MainFile) -> Mapping[str, Voter]:
        """Return the voters by name; on a vantage's host the others have no key."""
        at = self.top / "vantages" / "voters"
        found = {}
        holders: dict[bytes, str] = {}
        for name, written in spec.vantages.voters.items():
            here = at / name
            if written.region is not None:
                self.known.check_region(written.region, here / "region")
            elif written.kind == VoterKind.PROXY and not here.spoiled:
                problem = "is of kind proxy and has no region, so no tier knows that it is this one"
                here.wrong(problem, "write its region", on_key=True)
            key = None
            if self.vantage in (None, name):
                is_own = written.kind == VoterKind.PROXY and written.region == self.region
                read = replace(self.secrets, is_needed=self.secrets.is_needed or is_own)
                key = read.read(written.key, here / "key", secrets.key)
            if key is not None and (first := holders.setdefault(key, name)) != name:
                problem = f"is the key of {first} too, so either can speak for the other"
                (here / "key").warn(problem, "give each voter a key of its own")
            found[name] = Voter(name, written.region, key or b"", VoterKind(written.kind))
        self._check_own(spec, found, at)
        return found

    def _check_own(self, spec: MainFile, voters: Mapping[str, Voter], at: At) -> None:
        own = spec.vantage if self.vantage is None else self.vantage
        if own is not None and own not in voters and not at.spoiled:
            # The key that names it, or for a process of its own the place where it is missing.
            here = self.top / "vantage" if self.vantage is None else at
            here.wrong(f"there is no voter {shown(own)}", closest(own, voters, what="voter"))
            return
        voter = None if own is None else voters.get(own)
        if self.vantage is None and voter is not None and voter.kind is VoterKind.PROXY:
            problem = f"{shown(own)} is of kind proxy, and a node's own prober is none"
            (self.top / "vantage").wrong(problem, "name a voter of kind prober")
        vantages = self.top / "vantages"
        if not voters and not at.spoiled:
            if self.top.has("vantages"):
                problem = "has no effect without voters: the node's own prober alone votes"
                vantages.warn(problem, "list `voters`, or leave it out", on_key=True)
            return
        probers = len(_probers(spec.vantages))
        if voters and not probers and not at.spoiled:
            problem = "are all of kind proxy, so no member could ever be taken out"
            at.wrong(problem, "add a voter of kind prober: proxies alone only speed it up")
            return
        share = spec.vantages.probes_per_member
        if share is not None and share > probers and not at.spoiled:
            what = "voter" if probers == len(voters) else "prober"
            problem = f"{share} is more than there are: {_there_are(probers, what)}"
            (vantages / "probes_per_member").warn(problem, "write a smaller number, or all")

    def check_carried(self, spec: MainFile) -> None:
        """Say which votes never arrive because nothing carries them."""
        top, voters = self.top, spec.vantages.voters
        if spec.carrier is not None or not voters or (top / "carrier").spoiled:
            return
        if self.vantage is not None:
            hint = "write how they travel: carrier: {key: {file: PATH}, nodes: {NODE: URL}}"
            (top / "carrier").wrong("is missing, so that no report reaches a node", hint)
        elif set(voters) != {spec.vantage}:
            who = "nobody" if spec.vantage is None else f"only this node's own, {spec.vantage},"
            problem = f"there is no `carrier` by which their reports travel, so {who} can vote"
            hint = "write a carrier: {key: {file: PATH}, nodes: {NODE: URL}}"
            (top / "vantages" / "voters").warn(problem, hint, on_key=True)


def withdrawal(spec: MainFile, top: At) -> SafetyCatch | None:
    """Return how much may be withdrawn at once: what is written, null too, or the default."""
    if spec.max_withdrawal is not None:
        return SafetyCatch(spec.max_withdrawal.share, spec.max_withdrawal.for_)
    is_written = top.node.child("max_withdrawal") is not None
    return WITHDRAWAL if len(spec.vantages.voters) > 1 and not is_written else None


def _probers(spec: VantagesSpec) -> list[str]:
    return [name for name, voter in spec.voters.items() if voter.kind != VoterKind.PROXY]


def _votes(spec: VantagesSpec) -> tuple[int, str]:
    """Return how many votes a member can have at most, and why no more."""
    voters = max(1, len(spec.voters))
    regions = Counter(v.region for v in spec.voters.values() if v.region is not None)
    places = voters - sum(regions.values()) + len(regions)
    proxies = len(spec.voters) - len(_probers(spec))
    share = spec.probes_per_member
    if share is not None and share + proxies < places:
        beside = f", and there {'is' if proxies == 1 else 'are'} {proxies} of kind proxy"
        why = f"each member is probed by {share} (`probes_per_member`){beside if proxies else ''}"
        return share + proxies, why
    if places < voters:
        return places, f"{voters} voters have {places}, since those of a region have one"
    return voters, _there_are(voters, "voter")


def _there_are(count: int, what: str) -> str:
    return f"there is 1 {what}" if count == 1 else f"there are {count} {what}s"
