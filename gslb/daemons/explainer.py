"""Explanations for whoever asks: as JSON, and over DNS as TXT strings of class CH."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from gslb.daemons.controller import Controller
from gslb.dns.message import Query
from gslb.dns.records import AAAA, A
from gslb.model import Address, Network, Place
from gslb.routing.answer import Explainer
from gslb.routing.explain import Explanation, explain
from gslb.routing.snapshot import Snapshot

STRINGS_MAX = 60


def explain_any(
    snapshot: Snapshot, qname: bytes, client: Network, now_s: float
) -> Explanation | None:
    """Return why *client* gets its A records, or its AAAA records where there are only those."""
    first = explain(snapshot, qname, A, client, now_s)
    if first is None or first.service is not None:
        return first
    second = explain(snapshot, qname, AAAA, client, now_s)
    return second if second is not None and second.service is not None else first


def explain_over_dns(controller: Controller, clock: Callable[[], float]) -> Explainer:
    """Return what explains a service to the networks of `explain_to`, and is None for others."""

    def told(qname: bytes, query: Query, sender: Address) -> list[str] | None:
        if not any(sender in net for net in controller.config.explain_to):
            return None
        client = _client(query, sender)
        explanation = explain_any(controller.snapshot, qname, client, clock())
        if explanation is None or explanation.service is None:
            return None
        return as_strings(explanation)

    return told


def _client(query: Query, sender: Address) -> Network:
    subnet = query.edns.subnet if query.edns is not None else None
    if subnet is None or not subnet.source:
        return ip_network(sender)
    packed = subnet.address.to_bytes(4 if subnet.family == 1 else 16, "big")
    return ip_network((packed, subnet.source))


def as_strings(told: Explanation) -> list[str]:
    """Return an explanation in lines, each short enough for a TXT string; at most `STRINGS_MAX`."""
    lines = [
        f"{told.name} {told.type} for {told.client}: {told.served}, scope /{told.scope}, "
        f"ttl {told.ttl_s}s, generation {told.generation}",
        f"client: {place_text(place_json(told.place))}",
        *(f"alias: {alias}" for alias in told.aliases),
        *(f"step {step.step}: {rungs_text(step.rungs)} ({step.why})" for step in told.steps),
    ]
    for number, rung in enumerate(told.rungs, 1):
        regions = "=".join(rung.regions)
        living = f"{rung.living_share:.0%} living"
        lines.append(f"rung {number} {regions}: {rung.outcome}, {living}")
        lines += (
            f"  {member.address} {member.region} {member.share:.1%}: {member.why}"
            for member in rung.members
        )
    lines += (f"answer {address} {region} {share:.1%}" for address, region, share in told.answers)
    lines.append(f"ttl {told.ttl_s}s: {told.ttl_why}")
    lines += (f"note: {note}" for note in told.notes)
    if len(lines) > STRINGS_MAX:
        left = len(lines) - STRINGS_MAX + 1
        lines[STRINGS_MAX - 1 :] = [f"… {left} more lines: ask `gslb explain`"]
    return [line.replace("…", "...") for line in lines]


def place_json(place: Place) -> dict[str, Any]:
    """Return what the databases say of a place, in the API's shape."""
    latitude, longitude = place.location or (None, None)
    return {
        "latitude": latitude,
        "longitude": longitude,
        "country": place.country,
        "continent": place.continent,
        "asn": place.asn,
    }


def place_text(place: Mapping[str, Any]) -> str:
    """Return a place in the API's shape in a few words."""
    known = []
    if place["latitude"] is not None:
        known.append(f"{place['latitude']:.4g},{place['longitude']:.4g}")
    known += [place[key] for key in ("country", "continent") if place[key]]
    if place["asn"] is not None:
        known.append(f"AS{place['asn']}")
    return " ".join(known) or "not known to the database"


def rungs_text(rungs: Iterable[Iterable[str]]) -> str:
    """Return rungs as ``a=b > c``."""
    return " > ".join("=".join(rung) for rung in rungs) or "nothing"


def as_json(told: Explanation) -> dict[str, object]:
    """Return an explanation in the API's shape (see docs/reference.md)."""
    return {
        "name": told.name,
        "type": told.type,
        "client": told.client,
        "scope": told.scope,
        "location": place_json(told.place),
        "generation": told.generation,
        "rcode": told.rcode,
        "ttl_s": told.ttl_s,
        "ttl_why": told.ttl_why,
        "served": told.served,
        "service": told.service,
        "aliases": list(told.aliases),
        "notes": list(told.notes),
        "answers": [
            {"address": address, "region": region, "share": share}
            for address, region, share in told.answers
        ],
        "steps": [
            {"step": step.step, "rungs": [list(rung) for rung in step.rungs], "why": step.why}
            for step in told.steps
        ],
        "rungs": [
            {
                "regions": list(rung.regions),
                "living_share": rung.living_share,
                "outcome": rung.outcome,
                "members": [
                    {
                        "address": member.address,
                        "region": member.region,
                        "share": member.share,
                        "verdict": member.verdict,
                        "forced": member.forced,
                        "kept": member.kept,
                        "why": member.why,
                    }
                    for member in rung.members
                ],
            }
            for rung in told.rungs
        ],
    }
