"""Targets: members as one worker sees them, with what is under way at each of them now.

A `gslb.model.Member` is what was written or found, and does not change.  A `Target` is made of it
for each service that it is a member of, and is counted in: by the data path when a request goes
out and comes back, by whoever says what the member's weight is at the moment.  Balancers read it.

Targets are compared by identity: a member that is taken out and put back is another target, whose
counts begin anew, while requests that are under way still count down the old one.
"""

from __future__ import annotations

from dataclasses import dataclass

from gslb.model import Member

WHOLE = 1000  # the effective weight of a member of weight 1 that is given its whole share


@dataclass(slots=True, eq=False)
class Target:
    """One member of one service, in one worker.

    `name` is its address and port, such as ``192.0.2.1:80`` or ``[2001:db8::1]:80``: the same in
    every worker and region, because hashes are made of it.  `weight` is the effective weight now,
    in thousandths (`WHOLE`) of the configured one, at least 1 for whoever is given traffic.
    `active` is how many requests are under way.  `ewma_s` is the response time in seconds that is
    remembered of it, as of the time `ewma_at_s`; 0.0 is for one that was never measured
    (`gslb.proxy.leasttime`).  `is_proxy` says that it is another region's proxy.  `oks` counts the
    requests that it answered well.
    """

    name: str
    region: str
    member: Member
    weight: int = WHOLE
    active: int = 0
    ewma_s: float = 0.0
    ewma_at_s: float = 0.0
    is_proxy: bool = False
    oks: int = 0

    @property
    def endpoint(self) -> tuple[str, int]:
        """The address and port that it is connected to at."""
        host, _, port = self.name.rpartition(":")
        return host.strip("[]"), int(port)
