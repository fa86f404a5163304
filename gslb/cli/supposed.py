"""A configuration compiled as if all members were up, but for those supposed down.

It is how commands answer without a running node: nothing is probed and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path

from gslb.cli.progress import progress_bar
from gslb.cli.shown import fail
from gslb.daemons import planner
from gslb.daemons.planner import World
from gslb.health.belief import Belief
from gslb.health.verdict import Verdict
from gslb.model import Member, Service
from gslb.routing.snapshot import Snapshot, compile_snapshot, members_of

NAMES_SHOWN_MAX = 8

UP = Belief(verdict=Verdict.UP, reason="supposed")
DOWN = Belief(verdict=Verdict.DOWN, reason="supposed")


def world_of(path: Path) -> World:
    """Return the world of a configuration file, with a progress bar if that takes long."""
    config = planner.read(path)
    with progress_bar() as progress:
        return planner.make(config, planner.cache_of(config), progress)


def supposing(world: World, down: Iterable[str]) -> Snapshot:
    """Return the snapshot in which the members, and those of the regions, in *down* are down."""
    return compile_snapshot(world.plan, believed(world, down), generation=0, now_s=0.0)


def believed(world: World, down: Iterable[str]) -> Callable[[Service, Member], Belief]:
    """Return what is believed of members where all are up but for *down*.

    What the world does not have is passed over; see `check_down`.
    """
    wanted = {as_written(text) for text in down}
    regions = world.config.regions
    dead: set[tuple[bytes, Member]] = set()
    for service in world.config.services():
        for pool in service.pools:
            for member in (*pool.members, *regions[pool.region].proxies):
                if pool.region in wanted or str(member.address) in wanted:
                    dead.add((service.name, member))

    def belief(service: Service, member: Member) -> Belief:
        return DOWN if (service.name, member) in dead else UP

    return belief


def check_down(worlds: Sequence[World], down: Iterable[str]) -> None:
    """Fail with the closest name for anything in *down* that no world has."""
    known = {
        str(member.address)
        for world in worlds
        for service in world.config.services()
        for member in members_of(service, world.config.regions)
    }
    known.update(region for world in worlds for region in world.config.regions)
    for text in down:
        if as_written(text) not in known:
            raise fail(f"--down {text}: no such member or region", closest(text, known))


def as_written(text: str) -> str:
    """Return an address in its usual form, a host name in lower case without its last dot."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text.lower().removesuffix(".")


def closest(text: str, known: Iterable[str]) -> str:
    """Return a hint: the name most like *text*, or else the first of those there are."""
    names = sorted(known)
    if near := get_close_matches(text, names, 1):
        return f"did you mean {near[0]}?"
    shown = ", ".join(names[:NAMES_SHOWN_MAX]) or "none"
    more = len(names) - NAMES_SHOWN_MAX
    return f"there are: {shown}" + (f" and {more} more" if more > 0 else "")
