"""Why a client gets what it gets: the decision walked once more, with every step told.

It runs the code that serves: the same look-up of the name, the same geo map and choice,
and the same route, step by step.  What is told is a value; how it is shown, as JSON, as TXT
strings or as a table, is all that differs between the places that show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gslb.dns import name
from gslb.dns.message import NXDOMAIN, RCODES, SERVFAIL, Query
from gslb.dns.records import CNAME, IN, NS, TYPES
from gslb.dns.response import Response
from gslb.health.belief import PARTS
from gslb.model import (
    Address,
    Family,
    Fence,
    Latency,
    Listed,
    Nearest,
    Network,
    Order,
    Place,
    Regions,
    Step,
    Weighted,
)
from gslb.routing.answer import answer
from gslb.routing.choice import Choice
from gslb.routing.climb import Way
from gslb.routing.geo import as_looked_up, client_of
from gslb.routing.ladder import Rung, Standing
from gslb.routing.route import (
    Client,
    Lookup,
    Rungs,
    Table,
    distances_km,
    measured_ms,
    prepare,
)
from gslb.routing.snapshot import Entry, Snapshot, order_for


@dataclass(frozen=True, slots=True)
class ToldStep:
    """One step of the route: its text, the rungs after it, and what it went by."""

    step: str
    rungs: Rungs
    why: str


@dataclass(frozen=True, slots=True)
class ToldMember:
    """One member on its rung: its nominal share of the rung, and why it is kept or not."""

    address: str
    region: str
    share: float
    verdict: str
    forced: str | None
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class ToldRung:
    """One rung: its living share, and what became of it."""

    regions: tuple[str, ...]
    living_share: float
    outcome: str
    members: tuple[ToldMember, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer and its reasons; `service` is None for a name that only has static records.

    `answers` holds (address, region, share) of every member that may be answered.
    """

    name: str
    type: str
    client: str
    scope: int
    place: Place
    generation: int
    rcode: str
    ttl_s: int
    ttl_why: str
    served: str
    service: str | None = None
    aliases: tuple[str, ...] = ()
    answers: tuple[tuple[str, str, float], ...] = ()
    steps: tuple[ToldStep, ...] = ()
    rungs: tuple[ToldRung, ...] = ()
    notes: tuple[str, ...] = ()


def explain(
    snapshot: Snapshot, qname: bytes, qtype: int, client: Network, now_s: float
) -> Explanation | None:
    """Return why *client* gets what it gets for *qname*; None for a name that is not ours."""
    if snapshot.zone_of(qname) is None:
        return None
    address = client.network_address
    query = Query(0, 0, b"", qname, qtype, IN)
    response = answer(snapshot, query, address, 0, now_s)
    answered = [part for part in (*response.answer, *response.authority) if part.rdatas]
    told = Explanation(
        name=name.show(qname),
        type=_type_text(qtype),
        client=str(client),
        scope=response.scope,
        place=snapshot.plan.atlas.place_of(address),
        generation=snapshot.generation,
        rcode=RCODES.get(response.rcode, str(response.rcode)),
        ttl_s=min((part.ttl_s for part in answered), default=0),
        ttl_why="as the zone's file says",
        served=_static(response),
        aliases=tuple(map(name.show, response.aliases)),
    )
    if response.service is None:
        return told
    entry = snapshot.entries[name.parse(response.service)]
    family = Family.CNAME if CNAME in entry.choices else Family(qtype)
    return _with_service(told, snapshot, entry, family, address, now_s)


def _static(response: Response) -> str:
    if response.rcode == NXDOMAIN:
        return "no such name"
    if response.rcode == SERVFAIL:
        return "zone broken"
    if any(part.type == NS for part in response.authority):
        return "delegated to other servers"
    return "static records" if response.answer else "no such record"


def _type_text(qtype: int) -> str:
    return TYPES.get(qtype, f"TYPE{qtype}")


def _with_service(
    told: Explanation,
    snapshot: Snapshot,
    entry: Entry,
    family: Family,
    address: Address,
    now_s: float,
) -> Explanation:
    service, plan = entry.service, snapshot.plan
    _, choice, _ = order_for(entry, family, *as_looked_up(address))
    client = client_of(service.route, plan.atlas, address)
    names = [pool.region for pool in service.pools if family in pool.families()]
    steps = tuple(
        ToldStep(show_step(step), rungs, why_of(step, table, names, client, plan.regions))
        for step, table, rungs in prepare(service.route, plan.regions).walk(names, client)
        if step is not None
    )
    total = choice.upto[-1] if choice.upto else 1
    candidates = choice.climb.candidates
    shares = [end - begin for begin, end in zip((0, *choice.upto), choice.upto, strict=False)]
    return replace(
        told,
        ttl_s=choice.ttl(now_s, stale=snapshot.stale) if choice.rdatas else told.ttl_s,
        ttl_why=_ttl_why(choice, now_s, stale=snapshot.stale),
        served=served_text(choice),
        service=service.text,
        answers=tuple(
            (str(candidate.member.address), candidate.region, share / total)
            for candidate, share in zip(candidates, shares, strict=True)
        ),
        steps=steps,
        rungs=tuple(
            _told_rung(rung, outcome.value)
            for rung, outcome in zip(choice.climb.rungs, choice.climb.outcomes, strict=True)
        ),
        notes=_notes(snapshot, choice),
    )


def served_text(choice: Choice) -> str:
    """Return by which rule of the ladder a choice is served."""
    at = 0 if choice.climb.at is None else choice.climb.at + 1
    match choice.way:
        case Way.RUNG:
            return f"rung {at}"
        case Way.ANYONE:
            return f"rung {at}, below its threshold"
        case Way.PROXIES:
            return f"proxies of rung {at}"
        case Way.RESERVES:
            return f"reserves of rung {at}"
        case Way.FAIL_OPEN:
            return "all_down: serve_all"
        case _:
            return f"all_down: {choice.way.value}"


def _ttl_why(choice: Choice, now_s: float, *, stale: bool) -> str:
    if stale:
        return "ttl_min, as health is not known again since the restart"
    if choice.unusual is not None or choice.way is Way.NODATA:
        return "ttl_min, as the answer is unusual"
    if choice.until_s is None:
        return "ttl, as no verdict is in doubt"
    left_s = max(0.0, choice.until_s - now_s)
    return (
        f"a verdict may flip in {left_s:.1f}s: at most that, at least ttl_min "
        f"({choice.ttl_min_s}s), at most ttl ({choice.ttl_s}s)"
    )


def _notes(snapshot: Snapshot, choice: Choice) -> tuple[str, ...]:
    notes = []
    if snapshot.stale:
        notes.append("restored: verdicts are those from before the restart")
    if choice.climb.all_drained:
        notes.append("all members are drained, so they are served all the same")
    if choice.climb.staying < PARTS:
        notes.append(
            f"drained gradually: {choice.climb.staying / 10:g} % of clients are answered as before"
        )
    if choice.unusual is not None:
        notes.append(choice.unusual[1].decode())
    if choice.climb.rungs and not any(rung.members for rung in choice.climb.rungs):
        notes.append("no member that could be answered is known yet")
    if not choice.climb.rungs:
        notes.append("the fences leave this client nothing")
    return tuple(notes)


def _told_rung(rung: Rung, outcome: str) -> ToldRung:
    nominal = sum(standing.share for standing in rung.members)
    return ToldRung(
        regions=rung.regions,
        living_share=rung.living / rung.weight if rung.weight else 0.0,
        outcome=outcome,
        members=tuple(_told_member(standing, nominal) for standing in rung.members),
    )


def _told_member(standing: Standing, nominal: int) -> ToldMember:
    belief = standing.belief
    return ToldMember(
        address=str(standing.member.address),
        region=standing.pool.region,
        share=standing.share / nominal if nominal else 0.0,
        verdict=belief.verdict.value,
        forced=None if belief.forced is None else belief.forced.value,
        kept=standing.lives and (standing.given > 0 or not standing.share),
        why=standing.why,
    )


def show_step(step: Step) -> str:
    """Return a step as its key in the configuration."""
    match step:
        case Weighted():
            return "weighted"
        case Nearest():
            return "nearest"
        case Order():
            return "order"
        case Listed(fact, _):
            return fact.value
        case Latency(file, _):
            return f"latency {file}"
        case _:
            return "fence " + ", ".join(listed.fact.value for listed in step.lists)


def why_of(step: Step, table: Table, names: Sequence[str], client: Client, regions: Regions) -> str:
    """Return what a step went by for *client*, in words."""
    match step, table:
        case Nearest(), _:
            away = distances_km(step, names, client, regions)
            if away is None:
                return "the client's location is not known: all tie"
            near = sorted(away, key=lambda region: (away[region], region))
            return ", ".join(f"{region} {away[region]:.0f} km" for region in near)
        case Order(), _:
            return "as listed"
        case Listed(), Lookup() as lookup:
            return _match_text(lookup, client)
        case Latency(), Mapping() as measured:
            ms = measured_ms(measured, names, client)
            known = sorted(ms, key=lambda region: (ms[region], region))
            told = [f"{region} {ms[region]:g} ms" for region in known]
            return ", ".join([*told, *(f"{n} unmeasured" for n in names if n not in ms)])
        case Fence(), tuple() as lookups:
            return "; ".join(_match_text(lookup, client) for lookup in lookups)
        case _:
            return "all tie"


def _match_text(lookup: Lookup, client: Client) -> str:
    matched = lookup.match(client)
    if matched is None:
        return f"no entry of {lookup.fact.value} matches"
    key, wanted = matched
    rungs = " > ".join("=".join(tied) for tied in wanted)
    return f"{lookup.fact.value} {key}: {rungs}"
