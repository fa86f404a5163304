"""The tier's own HTTP API: whether it lives and serves, what it counts, how members stand."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from aiohttp import web

from gslb import __version__
from gslb.config.settings import Endpoint
from gslb.daemons.briefing import Figures
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.jsonhttp import Asked, Limits, Route, Server, json_response, metrics_response

AGAIN_S: Final = 1.0  # how often it is tried to listen where another program does


class TierAdmin:
    """The API at *endpoint*, None for none: where a tier that is ending listens, once it has ended.

    `at` is where it listens now.
    """

    def __init__(self, endpoint: Endpoint | None, routes: Sequence[Route], events: Events) -> None:
        self.at: Endpoint | None = None
        self._endpoint = endpoint
        self._server = Server(routes, Limits())
        self._events = events

    async def open(self) -> None:
        """Listen, or tell that another program does; raises OSError where that cannot be."""
        if self._endpoint is None:
            return
        try:
            self.at = await self._server.listen(self._endpoint)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._events.announce("admin_waits", address=str(self._endpoint))

    async def run(self) -> None:
        """Listen as soon as nobody else does."""
        while self._endpoint is not None and self.at is None:
            await asyncio.sleep(AGAIN_S)
            try:
                self.at = await self._server.listen(self._endpoint)
            except OSError:
                continue
            self._events.announce("admin_listens", address=str(self.at))

    async def close(self) -> None:
        """Listen no more."""
        await self._server.close()


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
