"""What is measured at the moment Prometheus asks: members, snapshot, reloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from gslb import __version__
from gslb.daemons.controller import Controller
from gslb.daemons.counters import Gauges, gauge
from gslb.health.load import FIGURES
from gslb.health.opinion import Opinion
from gslb.health.verdict import Verdict
from gslb.model import Source

_UP = {Verdict.UP: 1.0, Verdict.DOWN: 0.0, Verdict.UNKNOWN: 0.5}

GAUGES = {
    "gslb_member_up": "1 for a member that is up, 0 for down, 0.5 for unknown, as measured.",
    "gslb_member_forced": "1 for a member of which an operator's word holds.",
    "gslb_discovered_members": "Members that serve without being configured, by their source.",
    "gslb_info": "Always 1; says which node this is, and what runs on it.",
    "gslb_snapshot_generation": "The number of the snapshot that is served.",
    "gslb_snapshot_age_seconds": "Seconds since the snapshot was published.",
    "gslb_snapshot_restored": "1 while verdicts from before a restart are served.",
    "gslb_zones_broken": "Zones that cannot be served, or only in an older version.",
    "gslb_withdrawal_held_members": "Members that the safety catch keeps in.",
    "gslb_vantage_age_seconds": "Seconds since a vantage was heard.",
    "gslb_vantage_counts": "1 for a vantage whose votes count; 0 if silent or cut off.",
    "gslb_vantage_load": "How busy the tier of a vantage is: each figure that it reports.",
    "gslb_votes_frozen": "1 while too few vantages are heard, so that verdicts stay.",
}


def gauges_of(controller: Controller, clock: Callable[[], float]) -> Gauges:
    """Return what yields the gauges of *controller*."""

    def gauges() -> Iterator[Metric]:
        snapshot = controller.snapshot
        up: dict[tuple[str, ...], float] = {}
        forced: dict[tuple[str, ...], float] = {}
        discovered: Counter[tuple[str, ...]] = Counter()
        for service in controller.world.plan.services.values():
            for pool in service.pools:
                for member in pool.members:
                    key = (service.text, str(member.address))
                    if member.source is not Source.CONFIGURED:
                        discovered[service.text, pool.region, member.source.value] += 1
                    up[key] = _UP[controller.record_of(member).verdict]
                    forced[key] = float(controller.forced_of(service, member) is not None)
        broken = len(controller.config.broken) + len(controller.config.kept)
        plain = {
            "gslb_snapshot_generation": float(snapshot.generation),
            "gslb_snapshot_age_seconds": clock() - snapshot.made_s,
            "gslb_snapshot_restored": float(snapshot.stale),
            "gslb_zones_broken": float(broken),
            "gslb_withdrawal_held_members": float(len(controller.held.members)),
        }
        labels = ("service", "member")
        yield gauge("gslb_member_up", GAUGES["gslb_member_up"], up, labels)
        yield gauge("gslb_member_forced", GAUGES["gslb_member_forced"], forced, labels)
        found = {key: float(count) for key, count in discovered.items()}
        of = ("service", "region", "source")
        yield gauge("gslb_discovered_members", GAUGES["gslb_discovered_members"], found, of)
        info = (controller.config.node, __version__, controller.engine)
        yield gauge("gslb_info", GAUGES["gslb_info"], {info: 1.0}, ("node", "version", "engine"))
        for name, value in plain.items():
            yield gauge(name, GAUGES[name], {(): value})
        yield from _of_vantages(controller.opinion, clock())

    return gauges


def _of_vantages(opinion: Opinion | None, now_s: float) -> Iterator[Metric]:
    vantages = () if opinion is None else opinion.vantages(now_s=now_s)
    ages: dict[tuple[str, ...], float] = {
        (each.name,): each.age_s for each in vantages if each.age_s is not None
    }
    counts: dict[tuple[str, ...], float] = {
        (each.name,): float(each.state == "heard") for each in vantages
    }
    load: dict[tuple[str, ...], float] = {
        (each.name, figure): float(getattr(each.load, figure))
        for each in vantages
        if each.load is not None
        for figure in FIGURES
    }
    frozen = float(opinion is not None and opinion.frozen_since_s is not None)
    labels = ("vantage",)
    yield gauge("gslb_vantage_age_seconds", GAUGES["gslb_vantage_age_seconds"], ages, labels)
    yield gauge("gslb_vantage_counts", GAUGES["gslb_vantage_counts"], counts, labels)
    of = (*labels, "figure")
    yield gauge("gslb_vantage_load", GAUGES["gslb_vantage_load"], load, of)
    yield gauge("gslb_votes_frozen", GAUGES["gslb_votes_frozen"], {(): frozen})
