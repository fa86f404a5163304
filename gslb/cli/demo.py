"""`gslb demo`: the command around the world of `gslb.daemons.demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from gslb.daemons.demo import run_demo


def demo(
    for_s: Annotated[
        float, typer.Option("--for", help="Stop after so many seconds; 0 runs until Ctrl-C.")
    ] = 0.0,
) -> None:
    """Run a whole world on loopback: three regions, real HTTP members and tiers, a nameserver.

    Prints the `dig` and `curl` lines to try.  Nothing is written but a temporary folder.

    exit status: 0 stopped, 1 an address that it needs is taken
    """
    raise typer.Exit(run_demo(for_s))
