"""A prober alone in a process: gslb's own, or the loop that one would write with aiohttp.

    python -m bench.probing (gslb | aiohttp) COUNT INTERVAL_S PORT

It probes so many members, `bench.probes.address` of each number, until it is ended.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import aiohttp
import uvloop

from bench.probes import HOST, PATH, TIMEOUT_S, address
from gslb.daemons.prober import Prober
from gslb.model import Monitor, Subject


async def ours(count: int, interval_s: float, port: int) -> None:
    """Probe as a node does."""
    monitor = Monitor(
        name="measured", port=port, path=PATH, interval_s=interval_s, timeout_s=TIMEOUT_S
    )
    prober = Prober(time.monotonic)
    prober.watch(
        {
            Subject(address(number), (address(number), port), "measured", HOST): monitor
            for number in range(count)
        }
    )
    await prober.run()


async def plain(count: int, interval_s: float, port: int) -> None:
    """Probe with a task for each member that asks, looks at the status, and sleeps.

    A connection for each probe, as all others here: one that is kept alive proves less.
    """
    up = dict.fromkeys(range(count), True)

    async def watch(session: aiohttp.ClientSession, number: int) -> None:
        url = f"http://{address(number)}:{port}{PATH}"
        await asyncio.sleep(random.random() * interval_s)
        while True:
            started_s = time.monotonic()
            try:
                async with session.get(url, headers={"Host": HOST}) as response:
                    await response.read()
                    up[number] = 200 <= response.status < 400
            except (aiohttp.ClientError, TimeoutError):
                up[number] = False
            await asyncio.sleep(max(0.0, started_s + interval_s - time.monotonic()))

    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        for number in range(count):
            group.create_task(watch(session, number))


if __name__ == "__main__":
    how = {"gslb": ours, "aiohttp": plain}[sys.argv[1]]
    uvloop.run(how(int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
