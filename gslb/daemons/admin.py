"""The admin API: what the node knows, and the words an operator may put in.

Everything is read from the controller on the event loop that it runs on, without a lock: all
but the list of members, which can be long, between two of its steps.  Reading is open to
whoever reaches the address; changing is for those that `gslb.daemons.guard` lets through.
`gslb.daemons.openapi` describes it for machines; the shapes are a contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_network

import dns.exception
import dns.rdatatype
from aiohttp import web

from gslb.config.nodes import closest
from gslb.config.settings import Endpoint
from gslb.daemons import guard
from gslb.daemons.controller import Controller
from gslb.daemons.counters import Counters
from gslb.daemons.discovery import Discovery
from gslb.daemons.events import LISTENERS_MAX, Event, Events
from gslb.daemons.explainer import as_json, explain_any
from gslb.daemons.fellows import Fellows
from gslb.daemons.intake import Intake
from gslb.daemons.jsonhttp import (
    Asked,
    Limits,
    RequestError,
    Route,
    Server,
    json_response,
    long_json_response,
    metrics_response,
)
from gslb.daemons.openapi import document
from gslb.daemons.page import Page, read_page
from gslb.daemons.registering import Registering
from gslb.daemons.shapes import members_shape, ready_shape, status_shape
from gslb.daemons.speaking import Speaking
from gslb.dns import name
from gslb.model import Network
from gslb.routing.explain import explain

HEARTBEAT_S = 15.0
RETRY_AFTER_S = 30


class Admin:
    """Serves the admin API of one controller over HTTP."""

    def __init__(
        self,
        controller: Controller,
        counters: Counters,
        events: Events,
        clock: Callable[[], float],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        limits: Limits | None = None,
        intake: Intake | None = None,
        discovery: Discovery | None = None,
        fellows: Fellows | None = None,
    ) -> None:
        self._controller = controller
        self._counters = counters
        self._events = events
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._intake = intake or Intake()
        self._fellows = fellows
        self._started_s = clock()
        self._closing = asyncio.Event()
        self._page: Page = read_page()
        self.server = Server(self._routes(discovery), limits or Limits())
        self.endpoint: Endpoint | None = None

    def _routes(self, discovery: Discovery | None) -> tuple[Route, ...]:
        return (
            Route("GET", "/", self._dashboard),
            Route("GET", "/healthz", self._healthz),
            Route("GET", "/readyz", self._readyz),
            Route("GET", "/metrics", self._metrics),
            Route("GET", "/openapi.json", self._openapi),
            Route("GET", "/v1/status", self._status),
            Route("GET", "/v1/members", self._members),
            *Speaking(self._controller, self._clock, self._check).routes(),
            Route("GET", "/v1/explain", self._explain),
            Route("POST", "/v1/publish", self._publish),
            *self._intake.routes(),
            Route("GET", "/v1/events", self._stream, streams=True),
            *(() if discovery is None else Registering(discovery, self._check).routes()),
        )

    async def listen(self, endpoint: Endpoint) -> None:
        """Serve at *endpoint*, whose port may be 0; `self.endpoint` then says which it got.

        Raises OSError.
        """
        self.endpoint = await self.server.listen(endpoint)

    async def close(self) -> None:
        """End the streams of events, finish what is asked for, and stop."""
        self._closing.set()
        await self.server.close()

    # Reading

    async def _healthz(self, _: Asked) -> web.Response:
        return json_response({"status": "ok"})

    async def _readyz(self, _: Asked) -> web.Response:
        shape = ready_shape(self._controller)
        return json_response(shape, 200 if shape["ready"] else 503)

    async def _metrics(self, _: Asked) -> web.Response:
        return await metrics_response(self._counters)

    async def _openapi(self, _: Asked) -> web.Response:
        return json_response(document())

    async def _dashboard(self, _: Asked) -> web.Response:
        return web.Response(body=self._page.body, headers=self._page.headers)

    async def _status(self, _: Asked) -> web.Response:
        shape = status_shape(self._controller, self.endpoint, self._started_s, self._clock())
        shape["nodes"] = [] if self._fellows is None else self._fellows.shapes()
        return json_response(shape)

    async def _members(self, _: Asked) -> web.Response:
        rest, members = members_shape(self._controller, self._clock())
        return await long_json_response(rest, "members", members)

    async def _explain(self, asked: Asked) -> web.Response:
        query = asked.query("name", "type", "client")
        qname, client = _name(query.get("name")), _client(query.get("client"))
        snapshot, now_s = self._controller.snapshot, self._clock()
        if "type" in query:
            told = explain(snapshot, qname, _type(query["type"]), client, now_s)
        else:
            told = explain_any(snapshot, qname, client, now_s)
        if told is None:
            zones = (zone.text for zone in self._controller.config.zones)
            problem = f"{name.show(qname)} is in none of the zones served here"
            raise RequestError(404, problem, closest(name.show(qname), zones, what="zone"))
        return json_response(as_json(told))

    async def _stream(self, asked: Asked) -> web.StreamResponse:
        with self._events.listen() as queue:
            if queue is None:
                raise RequestError(
                    503,
                    f"{LISTENERS_MAX} listeners are served already",
                    "close one, or try again later",
                    {"Retry-After": str(RETRY_AFTER_S)},
                )
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
            )
            response.force_close()
            # A listener that goes away is no error; nothing more can be told to it.
            with suppress(ConnectionError):
                await response.prepare(asked.request)
                await response.write(b": listening\n\n")
                while not self._closing.is_set():
                    event = await _next(queue, self._closing, self._heartbeat_s)
                    await response.write(_as_sse(event))
            return response

    # Changing

    def _check(self, asked: Asked) -> bool:
        assert self.endpoint is not None, "requests come in after `listen`"
        token = self._controller.config.admin_token
        return guard.check(asked.request, token, self.endpoint)

    async def _publish(self, asked: Asked) -> web.Response:
        self._check(asked)
        if not self._controller.publish_held():
            hint = "`held` of /v1/status says when the safety catch holds something"
            raise RequestError(409, "nothing is held back", hint)
        return web.Response(status=204)


async def _next(queue: asyncio.Queue[Event], closing: asyncio.Event, wait_s: float) -> Event | None:
    """Return the next event; None after *wait_s*, or once *closing* is set."""
    event = asyncio.ensure_future(queue.get())
    closed = asyncio.ensure_future(closing.wait())
    try:
        both = (event, closed)
        await asyncio.wait(both, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        return event.result() if event.done() else None
    finally:
        event.cancel()
        closed.cancel()


def _as_sse(event: Event | None) -> bytes:
    """Return an event as server-sent events have it; a comment keeps idle connections open."""
    if event is None:
        return b": heartbeat\n\n"
    return f"event: {event.kind}\ndata: {event.as_json()}\n\n".encode()


def _name(text: str | None) -> bytes:
    if not text:
        hint = "write a domain name, such as www.example.com"
        raise RequestError(400, "the name is missing", hint)
    try:
        return name.parse(text.removesuffix(".") or ".")
    except ValueError as error:
        raise RequestError(400, f"not a domain name: {error}", "write it as in a zone") from None


def _client(text: str | None) -> Network:
    hint = "write an address or a network, such as client=192.0.2.1 or client=192.0.2.0/24"
    if not text:
        raise RequestError(400, "client is missing", hint)
    try:
        return ip_network(text, strict=False)
    except ValueError:
        problem = f"{text[:100]!r} is neither an address nor a network"
        raise RequestError(400, problem, hint) from None


def _type(text: str) -> int:
    try:
        return int(dns.rdatatype.from_text(text))
    except (dns.exception.DNSException, ValueError):
        problem = f"{text[:40]!r} is not a record type"
        raise RequestError(400, problem, "write A, AAAA or another type's name") from None
