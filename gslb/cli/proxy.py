"""`gslb proxy`: the L7 tier of one region."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gslb.cli.serve import ConfigFile
from gslb.cli.shown import complaints, err, fail
from gslb.daemons import logs
from gslb.daemons.node import steady_clock
from gslb.daemons.ownaddresses import NoAddressError
from gslb.daemons.tier import TierHost


def proxy(
    config: ConfigFile,
    region: Annotated[
        str, typer.Option("--region", metavar="NAME", help="Which of `regions` this stands in.")
    ],
) -> None:
    """Stand at the addresses of a region's proxies, and pass requests on to living members.

    It listens at those of the region's `proxies` that are addresses of this host, as `proxy:`
    says.  SIGHUP or a changed file reloads, without losing a connection; a bad file keeps what was
    and says so.  SIGTERM drains: what runs may finish.  Log lines go to stderr.

    \b
    examples:
      gslb proxy gslb.yaml --region eu-west

    exit status: 0 stopped, 1 the configuration is wrong or an address is taken, 2 wrong usage
    """
    logs.set_up()
    with complaints():
        uvloop.run(_proxy(config, region))


async def _proxy(path: Path, region: str) -> None:
    try:
        host = await TierHost.start(path, region, steady_clock())
    except NoAddressError as error:
        raise fail(str(error), "run it on a host that has one, or mend `proxies`") from None
    err(*(f"gslb: {each}" for each in (*host.config.complaints(), *host.config.warnings)))
    if (problem := await host.serve()) is not None:
        await host.crew.drain(0)
        raise fail(f"cannot serve: {problem}", "mend what it names, and start again")
    await host.run()
