"""Who may connect: as many connections as there may be in one worker, of all clients and of each.

A connection has its place from when it is accepted.  Whose it is may be known later only, from a
PROXY header: until then it counts for nobody, but it counts.
"""

from __future__ import annotations

from gslb.model import Address
from gslb.proxy.desk import Desk
from gslb.proxy.holder import holder_of


class Admission:
    """Counts connections by *desk*'s limits, and those that it refuses."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_client: dict[Address, int] = {}
        self.count = 0

    def enter(self, client: Address | None) -> bool:
        """Give a connection a place, unless there are as many as may be; None: nobody's yet."""
        if self.count >= self._desk.limits.connections_max:
            return self._refuse()
        if client is not None and not self.name(client):
            return False
        self.count += 1
        return True

    def name(self, client: Address) -> bool:
        """Count a place that was nobody's as *client*'s, unless it has as many as it may."""
        holder = holder_of(client)
        held = self._by_client.get(holder, 0)
        most = self._desk.limits.connections_per_client
        if most is not None and held >= most:
            return self._refuse()
        self._by_client[holder] = held + 1
        return True

    def leave(self, client: Address | None) -> None:
        """Take a place back, that of *client*, or nobody's."""
        self.count -= 1
        if client is None:
            return
        holder = holder_of(client)
        held = self._by_client.pop(holder) - 1
        if held:
            self._by_client[holder] = held

    def _refuse(self) -> bool:
        self._desk.tally.count("gslb_proxy_refused_connections_total")
        return False
