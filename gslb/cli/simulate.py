"""`gslb simulate`: the traffic of each region and member, before and after a change."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gslb.cli.clients import read_clients, read_log
from gslb.cli.shown import complaints, err, fail, owner, show_json, show_table
from gslb.cli.supposed import check_down, closest, supposing, world_of
from gslb.daemons.planner import World
from gslb.dns import name
from gslb.errors import ConfigError
from gslb.routing.population import Clients, Population
from gslb.routing.simulate import Comparison, Simulation, Traffic, compare, service_of, simulate
from gslb.routing.snapshot import Snapshot

BAR_CELLS = 32

_BLOCKS = " ▏▎▍▌▋▊▉█"


def simulate_command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The main file, gslb.yaml.", readable=False)
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG", help="Compare with this configuration: the change.", readable=False
        ),
    ] = None,
    down: Annotated[
        list[str] | None,
        typer.Option(metavar="MEMBER", help="Suppose a member or a whole region down; repeatable."),
    ] = None,
    clients: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clients as CSV: prefix,weight.", readable=False),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clients as a query log: CLIENT [NAME].", readable=False),
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This service alone; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Work out the traffic of each region and member, before and after a change.

    Nothing is sent and nothing changes.  Shares are exact, over all clients: every network
    of the geo database, IPv4 by its addresses and IPv6 by its /48s, unless --clients or
    --log says who they are.  All members are up but for those in --down: alone, it compares
    everything up with these down; with --against, they are down in both configurations.

    `moved` is the part of a service's traffic that another member answers than before,
    client by client.  Where an answer holds several members, a share is that of first places.
    In a log, a query without a name counts for every service.

    \b
    examples:
      gslb simulate gslb.yaml
      gslb simulate gslb.yaml --down eu-west
      gslb simulate gslb.yaml --against new.yaml --service www.example.com
      gslb simulate gslb.yaml --clients clients.csv --json

    exit status: 0 well, 1 clients would go dark or the input is wrong, 2 wrong usage
    """
    if clients is not None and log is not None:
        raise typer.BadParameter("give --clients or --log, not both")
    with complaints():
        worlds = [_whole(path) for path in (config, against) if path is not None]
        check_down(worlds, down or ())
        everyone_up = supposing(worlds[0], ())
        first = supposing(worlds[0], down or ()) if down else everyone_up
        snapshots = [first] if against is None else [first, supposing(worlds[1], down or ())]
        if down and against is None:
            snapshots = [everyone_up, first]
        only = _only(snapshots, service)
        who = _clients(worlds, snapshots, clients, log)
    result = _result(snapshots, who, only)
    if as_json:
        # Only --against is answered with both sides; --down says what one configuration would do.
        lone = result.after if isinstance(result, Comparison) and against is None else result
        show_json(lone.as_json())
    elif isinstance(result, Comparison):
        show_comparison(result)
    else:
        show_simulation(result)
    if _say_dark(result):
        raise typer.Exit(1)


def _whole(path: Path) -> World:
    """Return the world of a configuration without a broken zone; raises ConfigError."""
    world = world_of(path)
    if broken := [each for zone in world.config.broken for each in zone.complaints]:
        raise ConfigError(broken)
    return world


def _only(snapshots: Iterable[Snapshot], names: Sequence[str] | None) -> set[bytes] | None:
    if not names:
        return None
    entries = {key for snapshot in snapshots for key in snapshot.entries}
    for text in names:
        if owner(text) not in entries:
            raise fail(f"{text} is no service", closest(text, map(name.show, entries)))
    return {owner(text) for text in names}


def _clients(
    worlds: Sequence[World], snapshots: Sequence[Snapshot], csv: Path | None, log: Path | None
) -> Clients:
    """Return the population to simulate: the same before and after."""
    if csv is not None:
        return Clients(Population.of(read_clients(csv)))
    if log is not None:
        return _clients_of_log(log, snapshots)
    known = (world.plan.atlas for world in worlds if world.plan.atlas.digest)
    return Clients(Population.of_atlas(next(known, worlds[0].plan.atlas)))


def _clients_of_log(path: Path, snapshots: Sequence[Snapshot]) -> Clients:
    found = read_log(path)
    everyone = Population.of(found.clients())
    asked: dict[bytes, set[bytes | None]] = defaultdict(lambda: {None})
    strangers = []
    for each in sorted(found.names()):
        targets = {service_of(snapshot, each) for snapshot in snapshots} - {None}
        for key in targets:
            asked[key].add(each)  # type: ignore[index]
        if not targets:
            strangers.append(name.show(each))
    if strangers:
        err(
            f"gslb: note: no service answers {len(strangers)} of the names in {path}, such as "
            f"{strangers[0]}: their queries count for none"
        )
    if not found.names():
        return Clients(everyone)
    keys = {key for snapshot in snapshots for key in snapshot.entries}
    return Clients(everyone, {key: Population.of(found.clients(asked[key])) for key in keys})


def _result(
    snapshots: Sequence[Snapshot], clients: Clients, only: set[bytes] | None
) -> Simulation | Comparison:
    if len(snapshots) == 1:
        return simulate(snapshots[0], clients, only)
    return compare(snapshots[0], snapshots[1], clients, only)


def show_simulation(result: Simulation) -> None:
    """Print a table for each service: each region's and member's share, with a bar."""
    print(f"population {number(result.population)}")
    for text, traffic in result.services.items():
        _head(text, traffic, result.population)
        rows = []
        for label, key in _places(traffic):
            share = _share(traffic, key)
            rows.append((label, percent(share), bar(share)))
        show_table(("region, member", "share", ""), rows)


def show_comparison(result: Comparison) -> None:
    """Print a table for each service: shares before and after, and what moved."""
    before, after = result.before.services, result.after.services
    print(f"population {number(result.before.population)}")
    for text in dict.fromkeys([*before, *after]):
        was, becomes = before.get(text), after.get(text)
        both = [traffic for traffic in (was, becomes) if traffic is not None]
        _head(text, both[-1], result.before.population)
        if len(both) == 1:
            print("new: not served before" if was is None else "gone: not served after")
        rows = []
        for label, key in _places(*both):
            old, new = _share(was, key), _share(becomes, key)
            rows.append((label, percent(old), percent(new), change(old, new), bar(new)))
        show_table(("region, member", "before", "after", "change", ""), rows)
        if text in result.moved:
            print(f"moved {percent(result.moved[text])}")


# A row of a table: a region, a member in it, or (both empty) the dark part.
_Key = tuple[str, str]
_DARK: _Key = ("", "")


def _places(*both: Traffic) -> list[tuple[str, _Key]]:
    """Return label and key of each row: the regions of either side, each with its members."""
    keys = dict.fromkeys(key for traffic in both for key in traffic.shares)
    out = []
    for region in dict.fromkeys(region for region, _ in keys):
        out.append((region, (region, "")))
        out += [(f"  {key[1]}", key) for key in keys if key[0] == region]
    if any(traffic.dark for traffic in both):
        out.append(("DARK", _DARK))
    return out


def _share(traffic: Traffic | None, key: _Key) -> float:
    if traffic is None:
        return 0.0
    if key == _DARK:
        return traffic.dark
    return traffic.shares.get(key, 0.0) if key[1] else traffic.regions.get(key[0], 0.0)


def _head(text: str, traffic: Traffic, population: float) -> None:
    own = "" if traffic.population == population else f" (population {number(traffic.population)})"
    print(f"\n{text}{own}")


def _say_dark(result: Simulation | Comparison) -> bool:
    """Say on stderr which services leave clients without an answer; return whether any does."""
    after = result.after if isinstance(result, Comparison) else result
    gone = result.gone if isinstance(result, Comparison) else ()
    dark = {text: traffic.dark for text, traffic in after.services.items() if traffic.dark}
    for text, part in {**dark, **dict.fromkeys(gone, 1.0)}.items():
        err(f"gslb: {text} goes dark for {percent(part)} of its clients: they get no address")
    return bool(dark or gone)


def percent(share: float) -> str:
    """Return a share as text; one above 0 never looks like 0, nor one below 1 like 1."""
    if not share:
        return "0%"
    if share < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 - 1e-12 else f"{share:.1%}"


def change(before: float, after: float) -> str:
    """Return the difference of two shares in percentage points."""
    points = 100 * (after - before)
    if abs(points) < 1e-9:
        return "="
    return f"{points:+.1f}" if abs(points) >= 0.05 else ("-<0.1" if points < 0 else "+<0.1")


def number(size: float) -> str:
    """Return a weight with its thousands apart."""
    return f"{size:,}" if isinstance(size, int) else f"{size:,.3f}"


def bar(share: float, *, in_blocks: bool | None = None) -> str:
    """Return a horizontal bar: eighths of blocks (default: in a terminal), or number signs."""
    if in_blocks is None:
        in_blocks = sys.stdout.isatty()
    if not in_blocks:
        return "#" * (max(1, round(share * BAR_CELLS)) if share else 0)
    eighths = max(1, round(share * BAR_CELLS * 8)) if share else 0
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()
