"""`gslb run`, `gslb check` and `gslb schema`: the configuration served, judged, described."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gslb.cli.progress import progress_bar
from gslb.cli.shown import complaints, counted, err, fail, show_json, show_table
from gslb.config.named import shorter
from gslb.config.schema import json_schema
from gslb.config.settings import Carrier, Config, Endpoint
from gslb.config.tierfiles import Need
from gslb.daemons import logs, native, planner
from gslb.daemons.controller import TICK_S
from gslb.daemons.node import Node
from gslb.daemons.resting import tier_subjects
from gslb.errors import Complaint, ConfigError
from gslb.health.report import REPORT_GAP_S
from gslb.health.share import assigned, probers_of
from gslb.health.verdict import worst_detection_s
from gslb.model import Discover, Monitor, Subject
from gslb.proxy import haproxycheck
from gslb.proxy.table import routed
from gslb.routing.snapshot import map_keys, members_of
from gslb.tier import Tier

SWITCH_S = 0.001  # until a thread that computes lets another have the interpreter

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The main file, gslb.yaml.", readable=False)
]


def run(config: ConfigFile) -> None:
    """Run everything on one node: nameserver, prober, controller and admin API.

    SIGHUP or a changed file reloads; a bad file keeps what is served and says so.
    SIGTERM finishes what was asked and stops.  Log lines go to stderr.

    exit status: 0 stopped, 1 the configuration is wrong or an address is taken, 2 wrong usage
    """
    logs.set_up()
    # A verdict that flips need not wait long for a thread that reads files.
    sys.setswitchinterval(SWITCH_S)
    with complaints():
        uvloop.run(_run(config))


async def _run(path: Path) -> None:
    with progress_bar() as progress:
        try:
            node = await Node.start(path, progress)
        except OSError as error:
            raise fail(
                f"cannot listen: {error}",
                "choose another address or port under `listen`; ports below 1024 need root "
                "or CAP_NET_BIND_SERVICE",
            ) from None
    # What was read stays: to look through millions of values for cycles, again and again, would
    # each time keep a verdict from being published.
    gc.collect()
    gc.freeze()
    native.give_back()
    broken = [complaint for zone in node.controller.config.broken for complaint in zone.complaints]
    err(*(f"gslb: {each}" for each in (*broken, *node.controller.config.warnings)))
    await node.run()


def check(
    config: ConfigFile,
    region: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Check it as the L7 proxy of this region reads it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Load and compile a configuration, serve nothing, and say what is wrong or what it holds.

    Complaints go to stderr, all of them at once; the summary to stdout, with the worst time
    from a member's death to changed answers for each monitor.  Certificates, keys and pages of
    the L7 tier that are not there are warned of, and with --region complained of.

    exit status: 0 it can be served (warnings may be printed), 1 it cannot, 2 wrong usage
    """
    with complaints():
        read = planner.read(config, region=region, tier_files=Need.IF_THERE)
        if broken := [each for zone in read.broken for each in zone.complaints]:
            raise ConfigError(broken)
        with progress_bar() as progress:
            world = planner.make(read, planner.cache_of(read), progress)
        engine_notes = notes_of_engine(read)
    err(*(f"gslb: warning: {each}" for each in (*read.warnings, *fenced_out(world))))
    err(*(f"gslb: note: {each}" for each in engine_notes))
    summary = summary_of(read)
    if as_json:
        show_json(summary)
        return
    counts = {key: summary[key] for key in ("zones", "services", "members", "regions")}
    print("ok: " + ", ".join(counted(count, key) for key, count in counts.items()))
    rows = [
        (each.name, each.type, members, f"{worst_s(each, read):g}s")
        for each, members in monitored(read)
    ]
    if rows:
        show_table(("monitor", "type", "members", "worst time from death to changed answers"), rows)
    if read.voters:
        show_table(
            ("voter", "kind", "region", "members"),
            [
                (name, read.voters[name].kind.value, read.voters[name].region or "", members)
                for name, members in watched_by(read).items()
            ],
        )
    if pools := discovering(read):
        found = [(service, region, ", ".join(sources)) for service, region, sources in pools]
        show_table(("service", "region", "discovers members from"), found)
    if read.tier is not None:
        print(f"proxies {tier_shown(read.tier)}")
    if read.carrier is not None:
        print(f"reports and words travel {how_carried(read.carrier)}")


def notes_of_engine(config: Config) -> tuple[str, ...]:
    """Return what another engine does otherwise; raises ConfigError for what it cannot do."""
    tier = config.tier
    if tier is None or tier.engine != "haproxy":
        return ()
    services = {service.text: service for service in config.services()}
    wrong = [
        Complaint(str(config.file), 1, 1, f"proxy.{each.key}", each.problem, each.hint)
        for region in config.regions.values()
        if region.proxies
        for each in haproxycheck.check(tier, region.name, services, config.regions)
    ]
    if wrong:
        raise ConfigError(wrong)
    return tuple(haproxycheck.notes(tier))


def summary_of(config: Config) -> dict[str, object]:
    """Return what `gslb check` prints of a configuration."""
    return {
        "zones": len(config.zones),
        "services": len(config.services()),
        "members": sum(len(p.members) for s in config.services() for p in s.pools),
        "regions": len(config.regions),
        "monitors": [
            {
                "monitor": each.name,
                "type": each.type,
                "members": members,
                "worst_s": worst_s(each, config),
            }
            for each, members in monitored(config)
        ],
        "voters": [
            {
                "vantage": name,
                "kind": config.voters[name].kind.value,
                "region": config.voters[name].region,
                "members": members,
            }
            for name, members in watched_by(config).items()
        ],
        "discovers": [
            {"service": service, "region": region, "from": sources}
            for service, region, sources in discovering(config)
        ],
        "tier": None if config.tier is None else tier_summary(config.tier),
        "carrier": None if config.carrier is None else how_carried(config.carrier),
        "config_hash": config.hash,
    }


def discovering(config: Config) -> list[tuple[str, str, list[str]]]:
    """Return the pools that discover members, and from where; nothing of it is looked at."""
    return [
        (service.text, pool.region, sources_shown(pool.discover))
        for service in config.services()
        for pool in service.pools
        if pool.discover is not None
    ]


def sources_shown(discover: Discover) -> list[str]:
    """Return from where members come, in a few words each."""
    shown = ["registration"] if discover.register else []
    if discover.file is not None:
        shown.append(f"file {shorter(Path(discover.file))}")
    if discover.dns is not None:
        at = "" if discover.resolver is None else f" at {Endpoint(*discover.resolver)}"
        shown.append(f"dns {discover.dns}{at}")
    return shown


def monitored(config: Config) -> list[tuple[Monitor, int]]:
    """Return each monitor that probes anyone, and how many addresses it probes."""
    counts = Counter(subject.monitor for subject in subjects_of(config))
    pools = (pool for service in config.services() for pool in service.pools)
    coming = {pool.discover.monitor for pool in pools if pool.discover is not None}
    return [
        (each, counts[name])
        for name, each in config.monitors.items()
        if counts[name] or name in coming
    ]


def watched_by(config: Config) -> dict[str, int]:
    """Return how many addresses each voter probes: one of kind proxy all that its tier may use."""
    probers = probers_of(config.voters)
    counts = Counter(
        voter
        for subject in subjects_of(config)
        for voter in assigned(subject, probers, config.probes_per_member)
    )
    for name in config.voters:
        if name not in probers and config.tier is not None:
            counts[name] = len(tier_subjects(routed(config.tier, config.services()), config))
    return {name: counts[name] for name in config.voters}


def subjects_of(config: Config) -> set[Subject]:
    """Return all that is probed."""
    return {
        member.subject
        for service in config.services()
        for member in members_of(service, config.regions)
        if member.subject is not None
    }


def tier_summary(tier: Tier) -> dict[str, object]:
    """Return what `gslb check --json` prints of the L7 tier."""
    return {
        "engine": tier.engine,
        "ports": [each.port for each in tier.listeners],
        "routes": [each.name for each in tier.routes],
        "services": list(tier.upstreams),
    }


def tier_shown(tier: Tier) -> str:
    """Return where the L7 tier listens and what it routes, in a few words."""
    ports = ", ".join(
        f"{each.port} ({'tcp' if each.mode == 'tcp' else 'https' if each.tls else 'http'})"
        for each in tier.listeners
    )
    routes = counted(len(tier.routes), "routes")
    return f"listen at {ports}: {routes} to {counted(len(tier.upstreams), 'services')}"


def how_carried(carrier: Carrier) -> str:
    """Return how reports and words travel, in a few words."""
    if carrier.nats is not None:
        return f"by NATS at {', '.join(carrier.nats.servers)}"
    return f"over HTTP between {', '.join(carrier.nodes)}"


def worst_s(monitor: Monitor, config: Config) -> float:
    """Return the worst time in seconds from a member's death to changed answers on one node.

    With voters a flip has to be reported; how long that is under way is the network's.
    """
    report_s = REPORT_GAP_S if config.voters else 0.0
    return worst_detection_s(monitor, report_s=report_s, tick_s=TICK_S)


def fenced_out(world: planner.World) -> list[Complaint]:
    """Return a warning for each service whose fences leave some client nothing."""
    found = []
    for zone in world.config.zones:
        for service in zone.services:
            for family, key in map_keys(service).items():
                if not all(world.plan.maps[key].orders):
                    what = f"a fence leaves some clients of {service.text} no {family.name} record"
                    hint = "list a region that has such members for each fenced client"
                    found.append(Complaint(str(shorter(zone.file)), 1, 1, "services", what, hint))
    return found


def schema() -> None:
    """Print the JSON Schema of the configuration files, for editors to complete and check.

    exit status: 0
    """
    show_json(json_schema())
