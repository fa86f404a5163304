"""What the admin API says, as plain values ready for JSON (the shapes in docs/reference.md).

`verdict`, `reason`, `since` and `votes` are what was measured, and `forced` is an operator's
word beside it.  `lives` is what the served snapshot makes of both; `held` says that the safety
catch keeps it so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain

from gslb import __version__
from gslb.config.settings import Endpoint
from gslb.daemons.controller import Controller
from gslb.daemons.events import show_time
from gslb.errors import Complaint
from gslb.health.belief import Forced, forced_at
from gslb.health.verdict import Record, Verdict
from gslb.health.words import ForcedKey, region_of
from gslb.model import Member, Pool, Service, VoterKind
from gslb.routing.snapshot import Snapshot, members_of

Shape = dict[str, object]


def members_shape(controller: Controller, now_s: float) -> tuple[Shape, Iterator[Shape]]:
    """Return what is known of all members: their list by itself, since it can be long.

    Beside it stand the proxies of every region, and every word that holds.
    """
    rest: Shape = {
        "generation": controller.snapshot.generation,
        "proxies": list(_proxies(controller, now_s)),
        "forced": [
            {**_whom(key), **_word(forced)}
            for key, forced in controller.forced.items()
            if forced_at(forced, now_s) is not None
        ],
    }
    return rest, _members(controller, controller.snapshot, now_s)


def _members(controller: Controller, snapshot: Snapshot, now_s: float) -> Iterator[Shape]:
    # Others may publish while this is read: it goes on in the snapshot that it began with.
    for entry in snapshot.entries.values():
        service = entry.service
        # Beliefs stand in the order of the members; those of proxies follow.
        for (pool, member), belief in zip(_placed(service), entry.rests_on, strict=False):
            held = controller.held.members
            forced = controller.forced_of(service, member) if controller.forced else None
            shape = _member(controller, member, now_s)
            shape["service"] = service.text
            shape["region"] = pool.region
            shape["pool_weight"] = pool.weight
            ends_s = controller.lease_ends_s(service.text, pool.region, member)
            shape["until"] = None if ends_s is None else show_time(ends_s)
            shape["forced"] = forced_shape(forced)
            shape["lives"] = belief.lives
            shape["held"] = bool(held) and (service.name, member) in held
            yield shape


def _placed(service: Service) -> list[tuple[Pool, Member]]:
    return [(pool, member) for pool in service.pools for member in pool.members]


def _proxies(controller: Controller, now_s: float) -> Iterator[Shape]:
    for region in controller.config.regions.values():
        for proxy in region.proxies:
            forced = controller.operators.forced_proxy(region.name, proxy)
            shape = _member(controller, proxy, now_s)
            shape["service"] = None
            shape["region"] = region.name
            shape["forced"] = forced_shape(forced)
            yield shape


def _member(controller: Controller, member: Member, now_s: float) -> Shape:
    """Return what is known of a member or proxy wherever it stands."""
    record = controller.record_of(member)
    subject = member.subject
    return {
        "address": str(member.address),
        "service": None,
        "region": None,
        "weight": member.weight,
        "source": member.source.value,
        "until": None,
        "verdict": record.verdict.value,
        "reason": record.reason,
        "since": show_time(record.since_s) if record.since_s else None,
        "forced": None,
        "votes": _votes(controller, member, record, now_s),
        "monitor": None if subject is None else subject.monitor,
        "probe": None if subject is None else str(Endpoint(*subject.target)),
        "last_result": record.last_reason or None,
    }


def _votes(controller: Controller, member: Member, record: Record, now_s: float) -> list[Shape]:
    """Return each vantage's vote; one that does not count says why."""
    if controller.opinion is not None:
        if member.subject is None:
            return []
        return [
            {
                "vantage": vote.vantage,
                "verdict": vote.verdict.value,
                "age_s": round(vote.age_s, 3),
                "reason": vote.reason,
                "left_out": vote.left_out,
            }
            for vote in controller.opinion.votes(member.subject, now_s=now_s)
        ]
    at_s = _probed_at_s(record)
    if at_s is None:
        return []
    age_s = round(max(0.0, now_s - at_s), 3)
    own = {"vantage": controller.config.node, "verdict": record.verdict.value, "age_s": age_s}
    return [{**own, "reason": record.last_reason, "left_out": None}]


def _probed_at_s(record: Record) -> float | None:
    if record.last_started_s is None:
        return None
    return record.last_started_s + record.last_took_s


def forced_shape(forced: Forced | None) -> Shape | None:
    """Return an operator's word, or None where none holds."""
    return None if forced is None else _word(forced)


def _whom(key: ForcedKey) -> Shape:
    address, service = key
    if (region := region_of(address)) is not None:
        return {"address": None, "region": region, "service": service or None}
    return {"address": address, "service": service or None}


def _word(forced: Forced) -> Shape:
    shape: Shape = {
        "word": forced.word.value,
        "until": None if forced.until_s is None else show_time(forced.until_s),
        "reason": forced.reason,
        "by": forced.by,
    }
    if forced.over_s:
        shape["whole_at"] = show_time(forced.from_s + forced.over_s)
    return shape


def status_shape(
    controller: Controller, admin: Endpoint | None, started_s: float, now_s: float
) -> Shape:
    """Return how the node is: what it serves, what it holds back, what went wrong."""
    config, snapshot, held = controller.config, controller.snapshot, controller.held
    counts, _ = _tally(controller)
    return {
        "node": config.node,
        "version": __version__,
        "engine": controller.engine,
        "generation": snapshot.generation,
        "config_hash": config.hash,
        "snapshot_age_s": round(max(0.0, now_s - snapshot.made_s), 3),
        "uptime_s": round(max(0.0, now_s - started_s), 3),
        "settled": controller.is_settled,
        "restored": snapshot.stale,
        "held": {
            "members": len(held.members),
            "since": None if held.since_s is None else show_time(held.since_s),
        },
        "geo_held": controller.geo_held,
        "alarms": [
            {"service": service, "alarm": alarm}
            for service, alarm in sorted(controller.alarms.current)
        ],
        "counts": counts,
        "zones": zones_shape(controller),
        "reloads": {
            "ok": controller.reloads.ok,
            "failed": controller.reloads.failed,
            "last_error": controller.reloads.last_error,
        },
        "vantages": vantages_shape(controller, now_s),
        "frozen_since": _frozen_since(controller),
        "listen": {
            "dns": [str(endpoint) for endpoint in controller.at_start.listen_dns],
            "admin": None if admin is None else str(admin),
        },
    }


def vantages_shape(controller: Controller, now_s: float) -> list[Shape]:
    """Return who may vote, and when each was heard last; without voters the node's own prober."""
    if controller.opinion is not None:
        return [
            {
                "vantage": heard.name,
                "kind": heard.kind.value,
                "region": heard.region,
                "state": heard.state,
                "age_s": None if heard.age_s is None else round(heard.age_s, 3),
                "number": None if heard.number is None else list(heard.number),
                "members": heard.subjects,
                "load": None if heard.load is None else asdict(heard.load),
            }
            for heard in controller.opinion.vantages(now_s=now_s)
        ]
    counts, newest_s = _tally(controller)
    silence_s = None if newest_s is None else round(max(0.0, now_s - newest_s), 3)
    return [
        {
            "vantage": controller.config.node,
            "kind": VoterKind.PROBER.value,
            "region": None,
            "state": "never heard" if newest_s is None else "heard",
            "age_s": silence_s,
            "number": None,
            "members": counts["members"],
            "load": None,
        }
    ]


def _frozen_since(controller: Controller) -> str | None:
    opinion = controller.opinion
    if opinion is None or opinion.frozen_since_s is None:
        return None
    return show_time(opinion.frozen_since_s)


def _tally(controller: Controller) -> tuple[Shape, float | None]:
    """Return how many members there are of each kind, and when the newest result came in."""
    services = controller.world.plan.services.values()
    verdicts: Counter[Verdict] = Counter()
    forced = 0
    newest_s: float | None = None
    for service in services:
        for _, member in _placed(service):
            record = controller.record_of(member)
            verdicts[record.verdict] += 1
            at_s = _probed_at_s(record)
            if at_s is not None and (newest_s is None or at_s > newest_s):
                newest_s = at_s
            if controller.forced and controller.forced_of(service, member) is not None:
                forced += 1
    counts: Shape = {
        "services": len(services),
        "members": verdicts.total(),
        **{verdict.value: verdicts[verdict] for verdict in Verdict},
        "forced": forced,
    }
    return counts, newest_s


def zones_shape(controller: Controller) -> list[Shape]:
    """Return the zones, those that are broken or served in an older version with their error."""
    kept = {zone.text: _text(zone.complaints) for zone in controller.config.kept}
    served: Iterable[Shape] = (
        {
            "zone": zone.text,
            "state": "served",
            "error": kept.get(zone.text),
            "services": len(zone.services),
        }
        for zone in controller.config.zones
    )
    broken: Iterable[Shape] = (
        {"zone": zone.text, "state": "broken", "error": _text(zone.complaints), "services": 0}
        for zone in controller.config.broken
    )
    return list(chain(served, broken))


def _text(complaints: Iterable[Complaint]) -> str:
    return "\n".join(str(complaint) for complaint in complaints)


def ready_shape(controller: Controller) -> Shape:
    """Return whether the node trusts what it serves, and what it waits for if it does not."""
    ready = controller.is_settled
    shape: Shape = {
        "ready": ready,
        "generation": controller.snapshot.generation,
        "restored": controller.snapshot.stale,
        "zones_with_errors": [zone for zone in zones_shape(controller) if zone["error"]],
    }
    if not ready:
        probed = {
            member.subject: controller.record_of(member).last_started_s is not None
            for service in controller.world.plan.services.values()
            for member in members_of(service, controller.config.regions)
            if member.subject is not None
        }
        waiting = len(probed) - sum(probed.values())
        shape["waiting_for"] = waiting
        shape["error"] = f"{waiting} of {len(probed)} subjects of probes have no first result yet"
        shape["hint"] = "wait for them, or for the grace period: the longest interval + timeout"
    return shape
