"""Which vantages probe a member, where not all need to: those that rank highest for it.

Rendezvous hashing: each vantage has a rank for each subject, which rests on nothing else.  So
everyone works out the same without asking, and a vantage that comes or goes moves only what
it takes over or leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b
from heapq import nlargest

from gslb.model import Subject, Voter, VoterKind


def probers_of(voters: Mapping[str, Voter]) -> frozenset[str]:
    """Return the names of the voters that are of kind prober."""
    return frozenset(name for name, voter in voters.items() if voter.kind is VoterKind.PROBER)


def assigned(
    subject: Subject, voters: Collection[str], probes_per_member: int | None
) -> frozenset[str]:
    """Return so many of the voters, those that probe *subject*; None is all of them.

    Only probers take shares (`probers_of`): no proxy could take out what is left to it alone.
    """
    if probes_per_member is None or probes_per_member >= len(voters):
        return frozenset(voters)
    host, port = subject.target
    texts = (subject.address, host, str(port), subject.monitor, subject.host)
    identity = "\0".join(texts).encode()

    def rank(voter: str) -> tuple[bytes, str]:
        return blake2b(b"%b\0%b" % (voter.encode(), identity), digest_size=16).digest(), voter

    return frozenset(nlargest(probes_per_member, voters, key=rank))
