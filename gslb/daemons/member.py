"""A member of the demo: a tiny HTTP server that says who it is, in a process of its own.

`python -m gslb.daemons.member ADDRESS PORT REGION`; killing it is the point of it.  If its stdin
is a pipe it ends with whoever holds the other end, however that one ended.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Callable

from aiohttp import web


def member_app(address: str, region: str) -> web.Application:
    """Return the application: ``/healthz`` is 200, all else says where one is."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"{address} in {region} serves {request.host}{request.path}\n")

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/{path:.*}", hello)
    return app


async def serve(address: str, port: int, region: str) -> None:
    """Serve until the process ends; one line on stdout says that it is listening."""
    runner = web.AppRunner(member_app(address, region), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    print("listening", flush=True)
    ended = asyncio.Event()
    when_abandoned(ended.set)
    await ended.wait()


def when_abandoned(end: Callable[[], None]) -> None:
    """Call *end* once nobody holds the other end of stdin, if that is a pipe."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def closed() -> None:
        loop.remove_reader(stdin)
        end()

    if stat.S_ISFIFO(os.fstat(stdin).st_mode):
        # Nothing is ever written to it, so it becomes readable when it is closed.
        loop.add_reader(stdin, closed)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
