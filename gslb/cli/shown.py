"""How commands speak: data on stdout, all else on stderr, and the exit status.

Status 0 is well, 1 is that the operator's input is wrong or the answer is no, 2 is wrong
usage.  Tables are plain text when stdout is no terminal.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING

import typer

from gslb.dns import name
from gslb.errors import ConfigError, GslbError
from gslb.model import Network

if TYPE_CHECKING:
    from rich.console import Console

CELL_MAX = 200


def out() -> Console:
    """Return the console for data; outside a terminal lines are as long as they are."""
    from rich.console import Console  # noqa: PLC0415 - a node that serves holds no rich

    width = None if sys.stdout.isatty() else 10_000
    return Console(highlight=False, markup=False, emoji=False, width=width, soft_wrap=True)


def err(*lines: object) -> None:
    """Say something that is not data."""
    for line in lines:
        print(line, file=sys.stderr)


def warn_plainly() -> None:
    """Say what is logged as a warning like anything else, until a daemon sets up its log."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("gslb: warning: %(message)s"))
    log = logging.getLogger("gslb")
    log.handlers[:] = [handler]
    log.setLevel(logging.WARNING)
    log.propagate = False


def show_json(value: object) -> None:
    """Print *value* as JSON."""
    print(json.dumps(value, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: ruled in a terminal, else columns padded by blanks."""
    cells = [[str(cell)[:CELL_MAX] for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Table  # noqa: PLC0415

        table = Table(*columns, box=None, pad_edge=False)
        for row in cells:
            table.add_row(*row)
        out().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [list(columns), *cells]:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


@contextmanager
def complaints() -> Iterator[None]:
    """Turn the operator's errors into lines on stderr and exit status 1."""
    try:
        yield
    except ConfigError as error:
        err(*(f"gslb: {complaint}" for complaint in error.complaints))
        raise typer.Exit(1) from None
    except GslbError as error:
        err(f"gslb: {error}")
        raise typer.Exit(1) from None


def counted(count: object, plural: str) -> str:
    """Return *count* with its noun, such as ``1 zone`` or ``2 zones``."""
    return f"{count} {plural.removesuffix('s') if count == 1 else plural}"


def fail(problem: str, hint: str) -> typer.Exit:
    """Say what is wrong with the input and how to mend it; raise what is returned."""
    err(f"gslb: {problem}", f"  hint: {hint}")
    return typer.Exit(1)


def client_network(text: str) -> Network:
    """Return the network that `--client` says; a bad one is wrong usage."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not an address or network; write 192.0.2.1 or 192.0.2.0/24"
        ) from None


def owner(text: str) -> bytes:
    """Return the wire form of a domain name argument; a bad one is wrong usage."""
    try:
        return name.parse(text.removesuffix(".") or ".")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
