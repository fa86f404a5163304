"""An HTTP server made of a table of routes, whose every error is JSON.

It stands on aiohttp's low-level server, because an application's own 404, 405, 413 and 417,
and the answer to bytes that are no HTTP at all, are text or HTML.  Here each of them is
``{"error": …, "hint": …}``, also when the error is ours.

What a peer sends is bounded: the size of a body, the time that it may take, the number of
connections, and (by aiohttp) the size and number of header lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from urllib.parse import unquote

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from gslb.config.settings import Endpoint
from gslb.daemons.counters import Counters
from gslb.errors import GslbError

log = logging.getLogger("gslb.admin")

KEEPALIVE_S = 30.0
LINGERING_S = 0.5
CLOSE_MAX_S = 2.0
BATCH = 250

_COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class RequestError(GslbError):
    """A request cannot be granted: the status to say so with, what is wrong, how to mend it."""

    def __init__(
        self, status: int, problem: str, hint: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem
        self.hint = hint
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may use."""

    body_max_bytes: int = 16_384
    body_max_s: float = 10.0
    connections_max: int = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way to a handler: itself, the variables of its path, and the limits."""

    request: web.BaseRequest
    variables: Mapping[str, str]
    limits: Limits

    @property
    def peer(self) -> str:
        """The address that the request comes from."""
        return self.request.remote or "unknown"

    def query(self, *known: str) -> dict[str, str]:
        """Return the query's parameters; raises RequestError for unknown or repeated ones."""
        found: dict[str, str] = {}
        for key, value in self.request.rel_url.query.items():
            if key not in known:
                hint = f"known here: {', '.join(known)}"
                raise RequestError(400, f"unknown query parameter {key[:60]!r}", hint)
            if key in found:
                raise RequestError(400, f"{key} is given more than once", "give it once")
            found[key] = value
        return found

    async def body(self, most: int | None = None) -> bytes:
        """Return the body; raises RequestError when it is too large, too slow or broken.

        *most* is how many bytes it may have, where that is not what the server's limits say.
        """
        most = self.limits.body_max_bytes if most is None else most
        too_large = RequestError(
            413, f"the body is larger than {most} bytes", f"send at most {most} bytes"
        )
        if (self.request.content_length or 0) > most:
            raise too_large
        octets = bytearray()
        try:
            await self._invite()
            async with asyncio.timeout(self.limits.body_max_s):
                async for some in self.request.content.iter_any():
                    octets += some
                    if len(octets) > most:
                        raise too_large
        except TimeoutError:
            hint = f"send it within {self.limits.body_max_s:g} s"
            raise RequestError(408, "the body did not arrive in time", hint) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            hint = "send as many bytes as Content-Length says, or well-formed chunks"
            raise RequestError(400, f"the body is broken: {error}", hint) from None
        return bytes(octets)

    async def _invite(self) -> None:
        """Send what a client may wait for before it sends a body (RFC 9110 10.1.1)."""
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # None of the response itself has been sent yet.
            self.request.writer.output_size = 0


Handler = Callable[[Asked], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """What is done for one method and path; ``{name}`` in a path stands for one segment.

    `streams` says that the response has no end, so that asking for its head alone is pointless.
    """

    method: str
    path: str
    handle: Handler
    streams: bool = False


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a response with *value* as JSON."""
    return _response(_dumps(value), status, headers)


async def long_json_response(
    shape: Mapping[str, object], key: str, values: Iterator[object]
) -> web.Response:
    """Return a response with *shape* as JSON, to which *key* adds a list of many values.

    Others get their turn after every `BATCH` of them, so that no query waits for all.
    """
    parts = []
    while batch := list(islice(values, BATCH)):
        parts.append(_dumps(batch)[1:-1])
        await asyncio.sleep(0)
    return _response(f'{_dumps(shape)[:-1]},"{key}":[{",".join(parts)}]}}', 200, None)


async def metrics_response(counters: Counters) -> web.Response:
    """Return a response with everything counted, as Prometheus reads it."""
    headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    # In a thread: with thousands of members the text takes longer than a query may wait.
    return web.Response(body=await asyncio.to_thread(counters.text), headers=headers)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _response(text: str, status: int, headers: Mapping[str, str] | None) -> web.Response:
    return web.Response(
        # Lone surrogates, which any percent-encoding can bring in, have no UTF-8.
        body=f"{text}\n".encode("utf-8", "replace"),
        status=status,
        content_type="application/json",
        headers={**_COMMON_HEADERS, **(headers or {})},
    )


def error_response(error: RequestError) -> web.Response:
    """Return the response that says what *error* does."""
    said = {"error": error.problem, "hint": error.hint}
    return json_response(said, error.status, error.headers)


class Server:
    """Serves a table of routes at one endpoint."""

    def __init__(self, routes: Iterable[Route], limits: Limits) -> None:
        self.routes = tuple(routes)
        self._limits = limits
        self._runner: web.ServerRunner | None = None
        self._listening: asyncio.Server | None = None

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """Accept connections at *endpoint*; return it with the port that it got.

        Raises OSError.
        """
        server = _Connections(self._respond, self._limits.connections_max)
        runner = web.ServerRunner(server, shutdown_timeout=CLOSE_MAX_S)
        await runner.setup()
        try:
            listening = await asyncio.get_running_loop().create_server(
                server, endpoint.host, endpoint.port, reuse_address=True
            )
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._listening = runner, listening
        return Endpoint(endpoint.host, int(listening.sockets[0].getsockname()[1]))

    async def close(self) -> None:
        """Accept no more, and finish what is asked for within `CLOSE_MAX_S`."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await self._stop_listening()
            await runner.cleanup()

    async def _stop_listening(self) -> None:
        """Accept no more.

        Who was accepted in this turn of the loop gets a transport in the next one.  Without the
        server asyncio would fail to make it, and leave the connection open and nobody's.
        """
        listening, self._listening = self._listening, None
        assert listening is not None, "what has a runner listens"
        for sock in listening.sockets:
            asyncio.get_running_loop().remove_reader(sock)
        await asyncio.sleep(0)
        listening.close()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            route, variables = self._find(request)
            return await route.handle(Asked(request, variables, self._limits))
        except RequestError as error:
            response = error_response(error)
            if error.status in (408, 413):
                response.force_close()
            return response

    def _find(self, request: web.BaseRequest) -> tuple[Route, dict[str, str]]:
        """Return the route of a request and its variables; raises RequestError."""
        segments = request.rel_url.raw_path.split("/")
        allowed: set[str] = set()
        for route in self.routes:
            variables = _match(route.path, segments)
            if variables is None:
                continue
            methods = {route.method}
            if route.method == "GET" and not route.streams:
                methods.add("HEAD")
            if request.method in methods:
                return route, variables
            allowed |= methods
        if not allowed:
            problem = f"there is nothing at {unquote(request.rel_url.raw_path)[:200]}"
            raise RequestError(404, problem, "GET /openapi.json lists what there is")
        listed = ", ".join(sorted(allowed))
        raise RequestError(
            405,
            f"{request.method[:20]} is not possible here",
            f"possible here: {listed}",
            {"Allow": listed},
        )


def _match(path: str, segments: list[str]) -> dict[str, str] | None:
    """Return the variables with which *path* stands for the segments, or None if it does not."""
    wanted = path.split("/")
    if len(wanted) != len(segments):
        return None
    variables = {}
    for want, segment in zip(wanted, segments, strict=True):
        if want.startswith("{"):
            variables[want.strip("{}")] = unquote(segment)
        elif want != segment:
            return None
    return variables


class _Connections(web.Server):
    """Makes a protocol for each connection, and closes those that are one too many."""

    def __init__(
        self,
        respond: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        connections_max: int,
    ) -> None:
        super().__init__(respond)
        self._connections_max = connections_max

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self._connections_max:
            handler.force_close()

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGERING_S,
            # A compressed body would have to be bounded twice; there is no use for one.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # which is how to have none
        )


class _Connection(web.RequestHandler):
    """Answers what is no HTTP, and errors of ours, in JSON as well."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response for bytes that aiohttp rejects, or for an error of ours."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("a request met an error of ours: %s", request.rel_url, exc_info=exc)
        # Something has been sent already: closing is all that is left to say.
        if request.writer.output_size > 0:
            raise ConnectionError("the response had begun")
        problem = (message or HTTPStatus(status).phrase).partition("\n")[0].rstrip(" :")
        hint = "the log says more" if status >= 500 else "send a well-formed HTTP/1.1 request"
        response = error_response(RequestError(status, problem, hint))
        response.force_close()
        return response
