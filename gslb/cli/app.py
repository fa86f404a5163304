"""The `gslb` command: its verbs, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from gslb import __version__
from gslb.cli import ask, demo, geo, operate, proxy, serve, simulate, speak, vantage
from gslb.cli.shown import warn_plainly
from gslb.daemons import native

app = typer.Typer(
    name="gslb",
    help="A DNS-based global server load balancer: answers by place, health and weight.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the list of commands a line is cut short, so each says its own in a few words.
app.command("run", short_help="Serve a configuration: everything on one node.")(serve.run)
app.command("probe", short_help="Probe from one vantage, and report.")(vantage.probe)
app.command("proxy", short_help="Run one region's L7 tier.")(proxy.proxy)
app.command("check", short_help="Say what is wrong with a configuration.")(serve.check)
app.command("schema", short_help="Print the JSON Schema of configurations.")(serve.schema)
app.command("explain", short_help="Say what a client would be answered, and why.")(
    ask.explain_command
)
app.command("simulate", short_help="Work out each member's traffic, and what moves.")(
    simulate.simulate_command
)
app.command("status", short_help="Show a running node and its members.")(operate.status)
app.command("drain", short_help="Take a member or a region out gently.")(speak.drain)
app.command("force", short_help="Let a member count as up or down.")(speak.force)
app.command("release", short_help="Take back what was said of a member.")(speak.release)
app.command("publish", short_help="Let go what the safety catch holds.")(operate.publish)
app.command("demo", short_help="Run a whole world on loopback.")(demo.demo)
app.add_typer(geo.app, name="geo")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gslb {__version__} (engine: {native.DEFAULT})")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and the engine."
        ),
    ] = False,
) -> None:
    """Answer DNS queries by place, health and weight."""


def main() -> None:
    """Run the command line."""
    warn_plainly()
    app()
