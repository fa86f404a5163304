"""Balancers: how one of a service's targets is chosen for a request.

A balancer is built from the targets that may be given traffic, with the weights that they have
then.  When a member comes, goes, or changes its weight, another is built, with another seed, and
takes the old one's place whole.  What changes by the request, `Target.active` and the response
times, is read as it is at each pick.

Chance and time are arguments; nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gslb.proxy.leastconnections import LeastConnections
from gslb.proxy.leasttime import LeastTime
from gslb.proxy.rendezvous import Hashing
from gslb.proxy.roundrobin import RoundRobin
from gslb.proxy.target import Target
from gslb.proxy.weighted import Random

KINDS = ("round_robin", "least_connections", "least_time", "random", "ip_hash", "hash")
BOUND = 1.25


class Balancer(Protocol):
    """Whoever can say to which target a request goes."""

    def pick(
        self, key: int, draw: float, now_s: float, tried: Collection[Target] = ()
    ) -> Target | None:
        """Return a target that is not among those *tried*; None when all of them are.

        *key* are 64 bits that stand for what the route hashes on, 0 for nothing; *draw* is evenly
        drawn from [0, 1); *now_s* is the clock by which response times were observed.
        """
        ...


def build(kind: str, targets: Sequence[Target], seed: int, bound: float = BOUND) -> Balancer:
    """Return a balancer of a *kind* of `KINDS` for *targets*, whose weights are at least 1.

    *seed* is what round robin of several workers differs by; *bound* is for ``hash``.
    """
    assert all(each.weight >= 1 for each in targets), "who is given no traffic is no target"
    match kind:
        case "round_robin":
            return RoundRobin(targets, seed)
        case "least_connections":
            return LeastConnections(targets)
        case "least_time":
            return LeastTime(targets)
        case "random":
            return Random(targets)
        case "ip_hash":
            return Hashing(targets)
        case "hash":
            return Hashing(targets, bound)
    raise AssertionError(f"{kind!r} is none of {KINDS}")
