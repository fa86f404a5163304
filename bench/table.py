"""A plain text table."""

from __future__ import annotations

from collections.abc import Sequence


def shown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows below the header, in columns; numbers stand to the right."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def si(number: float) -> str:
    """Return a number with three digits and k or M behind it."""
    for factor, suffix in ((1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g}{suffix}"
    return f"{number:.3g}"


def mib(size_bytes: float) -> str:
    """Return a size in MiB."""
    return f"{size_bytes / 2**20:.0f} MiB"
