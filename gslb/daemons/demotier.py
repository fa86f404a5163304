"""The tier of one of the demo's regions: what `gslb proxy` runs, in a process of its own.

`python -m gslb.daemons.demotier CONFIG REGION`; as the demo's members do, it ends with whoever
holds the other end of its stdin.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import uvloop

from gslb.daemons import logs
from gslb.daemons.member import when_abandoned
from gslb.daemons.node import steady_clock
from gslb.daemons.tier import TierHost


async def serve(path: Path, region: str) -> str | None:
    """Serve until the process ends, or return what is wrong.

    One line on stdout says that it is listening.
    """
    host = await TierHost.start(path, region, steady_clock())
    if (problem := await host.serve()) is not None:
        await host.crew.drain(0)
        return problem
    print("listening", flush=True)
    when_abandoned(host.stop)
    await host.run()
    return None


if __name__ == "__main__":
    logs.set_up()
    logging.getLogger("gslb").setLevel(logging.WARNING)  # the node tells of the same members
    sys.exit(uvloop.run(serve(Path(sys.argv[1]), sys.argv[2])))
