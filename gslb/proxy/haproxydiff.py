"""What to tell a running HAProxy, from how its servers should be and how it says they are.

Only what differs is said, so that it may be asked and told every few seconds, and is put right
after it was restarted or told otherwise by somebody else (HAProxy 2.6, management guide 9.3).
A server that is no longer wanted is put in maintenance, and deleted as soon as HAProxy agrees:
not while it has connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gslb.errors import EngineError
from gslb.proxy.haproxypools import Backend, Wanted, is_checked, server_words, servers_of
from gslb.tier import Tier

MAINT, DRAIN = 0x01, 0x08  # of srv_admin_state: what was said by hand, not by checks
SHOW = "show servers state"


@dataclass(frozen=True, slots=True)
class Seen:
    """A server as HAProxy says it is; `runs` is whether its checks and real requests are well."""

    weight: int
    state: str
    runs: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A line for the runtime API, and how good replies to it begin.

    One that `may_fail` is said again by the next comparison, and nobody need know.
    """

    line: str
    good: str = ""
    may_fail: bool = False


def seen_in(reply: str) -> dict[tuple[str, str], Seen]:
    """Return the servers in a reply to `SHOW`, by backend and server; raises EngineError."""
    lines = [line for line in reply.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise EngineError(f"HAProxy's servers are not understood: {reply[:80]!r}")
    names = lines[1][2:].split()
    found = {}
    for line in lines[2:]:
        row = dict(zip(names, line.split(), strict=False))
        try:
            flags = int(row["srv_admin_state"])
            seen = Seen(int(row["srv_uweight"]), _state(flags), row["srv_op_state"] != "0")
            found[row["be_name"], row["srv_name"]] = seen
        except (KeyError, ValueError):
            raise EngineError(f"HAProxy's server is not understood: {line!r}") from None
    return found


def _state(flags: int) -> str:
    if flags & MAINT:
        return "maint"
    return "drain" if flags & DRAIN else "ready"


def changes(
    tier: Tier,
    backends: Sequence[Backend],
    wanted: Mapping[str, Sequence[Wanted]],
    seen: Mapping[tuple[str, str], Seen],
) -> list[Command]:
    """Return what to say, in order: who comes and who is changed before who goes."""
    said: list[Command] = []
    gone: list[Command] = []
    for backend in backends:
        kept = set()
        for server, weight, state in servers_of(backend, wanted):
            kept.add(server.server)
            is_there = seen.get((backend.name, server.server))
            if is_there is None:
                said += _added(tier, backend, server, weight, state)
            else:
                said += _changed(f"{backend.name}/{server.server}", is_there, weight, state)
        for (name, other), is_there in seen.items():
            if name == backend.name and other not in kept:
                gone += _removed(f"{name}/{other}", is_there)
    return said + gone


def _added(
    tier: Tier, backend: Backend, server: Wanted, weight: int, state: str
) -> Iterator[Command]:
    at = f"{backend.name}/{server.server}"
    words = " ".join(server_words(tier, backend, server, weight))
    yield Command(f"add server {at} {words}", "New server registered.")
    if is_checked(backend):
        yield Command(f"enable health {at}")
    if state != "maint":  # in which it comes
        yield Command(f"set server {at} state {state}")


def _changed(at: str, seen: Seen, weight: int, state: str) -> Iterator[Command]:
    if seen.state != state:
        yield Command(f"set server {at} state {state}")
    if seen.weight != weight:
        yield Command(f"set server {at} weight {weight}")


def _removed(at: str, seen: Seen) -> Iterator[Command]:
    if seen.state != "maint":
        yield Command(f"set server {at} state maint")
    yield Command(f"del server {at}", "Server deleted.", may_fail=True)
