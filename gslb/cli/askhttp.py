"""`gslb explain --http`: what the L7 tier would do with one request, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from gslb.cli.shown import complaints, err, fail, show_json, show_table
from gslb.cli.supposed import believed, check_down, closest, supposing, world_of
from gslb.daemons.explainer import explain_any, place_json, place_text
from gslb.daemons.planner import World
from gslb.errors import MessageError
from gslb.model import Network, Service
from gslb.proxy import explain
from gslb.proxy.explain import ToldRequest
from gslb.proxy.headreader import RequestReader
from gslb.proxy.request import Request
from gslb.tier import Listener, Tier

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is asked about: its head, its URL, and the port that it comes in at.

    `octets` is its head as a client sends it.
    """

    request: Request
    octets: bytes
    url: str
    port: int
    client: Network


def check_usage(arguments: Sequence[str], type_: str | None, admin: str | None) -> None:
    """Refuse what does not go with --http."""
    if len(arguments) != 1:
        raise typer.BadParameter(f"give CONFIG alone with --http; this is {' '.join(arguments)!r}")
    if type_ is not None or admin is not None:
        raise typer.BadParameter("--type and --admin do not go with --http")


def asked(written: str, headers: Sequence[str], client: Network) -> Asked:
    """Return the request written as ``GET https://www.example.com/``; else it is wrong usage."""
    method, _, url = written.strip().rpartition(" ")
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        split, port = urlsplit(""), None
    host = split.hostname
    if split.scheme not in PORTS or not host or not url.isascii() or " " in method.strip():
        raise typer.BadParameter(f"{written!r} is no request; write 'GET https://www.example.com/'")
    name = f"[{host}]" if ":" in host else host
    authority = name if port is None else f"{name}:{port}"
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    fields = [(b"host", authority.encode()), *map(_field, headers)]
    request = Request(
        (method.strip() or "GET").encode(),
        target.encode(),
        "1.1",
        fields,
        name.encode(),
        split.scheme,
        client.network_address,
    )
    lines = b"".join([b"%b: %b\r\n" % pair for pair in fields])
    octets = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, lines)
    return Asked(request, octets, url, port or PORTS[split.scheme], client)


def _field(written: str) -> tuple[bytes, bytes]:
    name, colon, value = written.partition(":")
    if not colon or not name.strip() or not written.isascii():
        raise typer.BadParameter(f"{written!r} is no header; write 'X-Name: value'")
    return name.strip().lower().encode(), value.strip().encode()


def explain_request(
    path: Path, asked: Asked, region: str | None, down: Sequence[str], *, as_json: bool
) -> None:
    """Say what becomes of a request in the tier of *region*, or of the one where DNS sends it."""
    with complaints():
        world = world_of(path)
    config = world.config
    for zone in config.broken:
        err(*(f"gslb: {complaint}" for complaint in zone.complaints))
    if config.tier is None:
        raise fail(f"{path} has no `proxy:`", "write what the tier does: listeners and routes")
    if region is not None and region not in config.regions:
        raise fail(f"--region {region}: no such region", closest(region, config.regions))
    check_down([world], down)
    listener = _listener(config.tier, asked)
    if (problem := _refused(config.tier, asked.octets)) is not None:
        told = ToldRequest((), None, f"refused with {problem.status}: {problem}")
    else:
        told = explain.explain(
            _world(world, config.tier, down), asked.request, _region_for(world, region, down, asked)
        )
    if as_json:
        show_json(shape(asked, listener, told, world))
    else:
        show(shape(asked, listener, told, world))
    if problem is not None:
        raise typer.Exit(1)
    if told.route is None:
        err("gslb: no route matches: the request would be answered 404")
        raise typer.Exit(1)
    if told.services and not any(group.members for s in told.services for group in s.groups):
        err("gslb: nobody could be sent the request: it would be answered 503")
        raise typer.Exit(1)


def _refused(tier: Tier, octets: bytes) -> MessageError | None:
    """Return why no route is looked for: what is refused of any client."""
    if len(octets) > tier.limits.head_max:
        return MessageError(f"a head of more than {tier.limits.head_max} octets", 431)
    try:
        RequestReader(tier.limits.fields_max).read(octets)
    except MessageError as error:
        return error
    return None


def _listener(tier: Tier, asked: Asked) -> Listener:
    ports = {each.port: each for each in tier.listeners}
    listener = ports.get(asked.port)
    if listener is None:
        known = ", ".join(map(str, ports))
        raise fail(f"nobody listens at port {asked.port}", f"the tier listens at: {known}")
    if listener.mode == "tcp":
        problem = f"port {asked.port} passes connections on as they are, and reads no requests"
        raise fail(problem, "ask about a port of mode http")
    spoken = "http" if listener.tls is None else "https"
    if spoken != asked.request.scheme:
        raise fail(
            f"port {asked.port} speaks {spoken}, not {asked.request.scheme}",
            f"write {spoken}://, or another port",
        )
    return listener


def _world(world: World, tier: Tier, down: Sequence[str]) -> explain.World:
    belief = believed(world, down)
    return explain.World(
        tier=tier,
        services={service.text: service for service in world.config.services()},
        regions=world.config.regions,
        atlas=world.plan.atlas,
        beliefs_of=lambda service: partial(belief, service),
    )


def _region_for(
    world: World, region: str | None, down: Sequence[str], asked: Asked
) -> Callable[[Service], str]:
    """Return what names the region in which a service's requests come in."""
    if region is not None:
        return lambda service: region
    snapshot = supposing(world, down)

    def by_dns(service: Service) -> str:
        told = explain_any(snapshot, service.name, asked.client, 0.0)
        parts: dict[str, float] = {}
        for _, where, share in told.answers if told is not None else ():
            parts[where] = parts.get(where, 0.0) + share
        # Where nobody is answered, any region's tier could be asked.
        return max(parts, key=parts.__getitem__, default=service.pools[0].region)

    return by_dns


def shape(asked: Asked, listener: Listener, told: ToldRequest, world: World) -> dict[str, Any]:
    """Return an explanation as plain values ready for JSON."""
    request, regions = asked.request, world.config.regions
    return {
        "request": f"{request.method.decode()} {asked.url}",
        "client": str(asked.client),
        "location": place_json(world.plan.atlas.place_of(request.client)),
        "listener": {"port": listener.port, "scheme": request.scheme},
        "path": request.path.decode("utf-8", "replace"),
        "tried": [
            {"route": each.route, "match": each.match, "failed": each.failed} for each in told.tried
        ],
        "route": told.route,
        "does": told.does,
        "notes": list(told.notes),
        "target": told.target,
        "headers": [list(pair) for pair in told.fields],
        "services": [
            {
                "service": each.service,
                "share": each.share,
                "region": each.region,
                "has_proxies": each.region in regions and bool(regions[each.region].proxies),
                "groups": [
                    {
                        "why": group.why,
                        "regions": list(group.regions),
                        "proxies": group.are_proxies,
                        "members": [
                            {"address": address, "region": region, "share": share}
                            for address, region, share in group.members
                        ],
                    }
                    for group in each.groups
                ],
            }
            for each in told.services
        ],
    }


def show(told: Mapping[str, Any]) -> None:
    """Print an explanation as text."""
    print(f"{told['request']} for {told['client']}: {told['does']}")
    print(f"  {'client':<11} {place_text(told['location'])}")
    print(f"  {'listener':<11} port {told['listener']['port']} ({told['listener']['scheme']})")
    print(f"  {'path':<11} {told['path']}")
    for note in told["notes"]:
        print(f"  {'rule':<11} {note}")
    if told["tried"]:
        print("\nroutes")
        show_table(("route", "match", "outcome"), map(_route_row, told["tried"]))
    if told["target"] is not None:
        print(f"\nsent on as\n  {told['request'].partition(' ')[0]} {told['target']}")
        for name, value in told["headers"]:
            print(f"  {name}: {value}")
    for service in told["services"]:
        part = "" if service["share"] == 1 else f", {service['share']:.1%} of requests"
        where = f" in {service['region']}" if service["region"] else ": no zone has it"
        print(f"\nservice {service['service']}{where}{part}")
        if service["region"] and not service["has_proxies"]:
            print("  there is no tier there: the region has no proxies")
        rows = [
            row for number, group in enumerate(service["groups"], 1) for row in _rows(number, group)
        ]
        if rows:
            show_table(("try", "why", "member", "region", "share"), rows)


def _route_row(tried: Mapping[str, Any]) -> Sequence[object]:
    match = "" if tried["match"] is None else tried["match"] + 1
    failed = tried["failed"]
    return tried["route"], match, "taken" if failed is None else f"not {failed}"


def _rows(number: int, group: Mapping[str, Any]) -> list[Sequence[object]]:
    what = f"{group['why']}, its proxies" if group["proxies"] else group["why"]
    if not group["members"]:
        return [(number, what, "nobody", "=".join(group["regions"]), "")]
    return [
        (number, what, each["address"], each["region"], f"{each['share']:.1%}")
        for each in group["members"]
    ]
