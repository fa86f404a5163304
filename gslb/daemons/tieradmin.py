"""The tier's own HTTP API: whether it lives and serves, what it counts, how members stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aiohttp import web

from gslb import __version__
from gslb.daemons.briefing import Figures
from gslb.daemons.counters import Counters
from gslb.daemons.jsonhttp import Asked, Route, json_response, metrics_response


def tier_routes(
    counters: Counters, is_ready: Callable[[], bool], state: Callable[[], dict[str, Any]]
) -> tuple[Route, ...]:
    """Return the routes; *state* is what ``/v1/proxy`` shows."""

    async def healthz(_: Asked) -> web.Response:
        return json_response({"status": "ok", "version": __version__})

    async def readyz(_: Asked) -> web.Response:
        ready = is_ready()
        return json_response({"ready": ready}, status=200 if ready else 503)

    async def metrics(_: Asked) -> web.Response:
        return await metrics_response(counters)

    async def proxy(_: Asked) -> web.Response:
        return json_response(state())

    return (
        Route("GET", "/healthz", healthz),
        Route("GET", "/readyz", readyz),
        Route("GET", "/metrics", metrics),
        Route("GET", "/v1/proxy", proxy),
    )


def members_shape(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """Return how members stand in all workers together.

    ``out`` is in how many workers a member is left out; ``circuits`` is the state of each.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for service, name, member in _each(figures):
        shape = found.setdefault(
            (service, name),
            {
                "service": service,
                "member": name,
                "region": member["region"],
                "proxy": member["is_proxy"],
                "active": 0,
                "connections": 0,
                "waiting": 0,
                "out": 0,
                "circuits": [],
            },
        )
        for key in ("active", "connections", "waiting"):
            shape[key] += member[key]
        shape["out"] += int(member["out"])
        if member["circuit"] is not None:
            shape["circuits"].append(
                {
                    "state": member["circuit"],
                    "why": member["why"],
                    "ejected_for_s": member["ejected_for_s"],
                }
            )
    return [found[key] for key in sorted(found)]


def _each(figures: Sequence[Figures]) -> Iterator[tuple[str, str, Any]]:
    for each in figures:
        for member in each.members:
            yield member["service"], member["member"], member
