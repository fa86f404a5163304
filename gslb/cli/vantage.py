"""`gslb probe`: one vantage, which probes and reports to the nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gslb.cli.serve import ConfigFile
from gslb.cli.shown import complaints, err, fail
from gslb.config import addresses
from gslb.config.scalars import ScalarError
from gslb.config.settings import Endpoint
from gslb.daemons import logs
from gslb.daemons.node import steady_clock
from gslb.daemons.outpost import Outpost
from gslb.model import VoterKind


def probe(
    config: ConfigFile,
    vantage: Annotated[
        str, typer.Option("--vantage", metavar="NAME", help="Which of `vantages.voters` this is.")
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="HOST:PORT", help="Serve /healthz and /metrics; default: nowhere."
        ),
    ] = None,
) -> None:
    """Stand at one vantage: probe the members, and report what is found to all nodes.

    It reads the nodes' configuration; of its keys it needs its own alone.  SIGHUP or a changed
    file reloads; a bad file keeps what was and says so.  SIGTERM stops.  Log lines go to stderr.

    \b
    examples:
      gslb probe gslb.yaml --vantage eu
      gslb probe gslb.yaml --vantage eu --metrics 127.0.0.1:8054

    exit status: 0 stopped, 1 the configuration is wrong or an address is taken, 2 wrong usage
    """
    logs.set_up()
    with complaints():
        uvloop.run(_probe(config, vantage, None if metrics is None else _endpoint(metrics)))


async def _probe(path: Path, name: str, metrics: Endpoint | None) -> None:
    outpost = await Outpost.start(path, name, steady_clock())
    if outpost.config.voters[name].kind is VoterKind.PROXY:
        hint = f"gslb proxy {path} reports for it, or name a voter of kind prober"
        raise fail(f"{name} is of kind proxy, and a prober alone is none", hint)
    err(*(f"gslb: {each}" for each in (*outpost.config.complaints(), *outpost.config.warnings)))
    if metrics is not None:
        try:
            await outpost.listen(metrics)
        except OSError as error:
            hint = "choose another address or port with --metrics"
            raise fail(f"cannot listen: {error}", hint) from None
    await outpost.run()


def _endpoint(text: str) -> Endpoint:
    try:
        return addresses.endpoint(text)
    except ScalarError as wrong:
        raise typer.BadParameter(f"{wrong.problem}; {wrong.hint}") from None
