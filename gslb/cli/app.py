"""The `gslb` command: its verbs, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from gslb import __version__
from gslb.cli import ask, demo, geo, operate, serve, simulate

app = typer.Typer(
    name="gslb",
    help="A DNS-based global server load balancer: answers by place, health and weight.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(serve.run)
app.command("check")(serve.check)
app.command("schema")(serve.schema)
app.command("explain")(ask.explain_command)
app.command("simulate")(simulate.simulate_command)
app.command("status")(operate.status)
app.command("drain")(operate.drain)
app.command("force")(operate.force)
app.command("release")(operate.release)
app.command("publish")(operate.publish)
app.command("demo")(demo.demo)
app.add_typer(geo.app, name="geo")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gslb {__version__} (engine: python)")
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
    app()
