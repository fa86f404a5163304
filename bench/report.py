"""docs/performance.md: its tables and plots drawn from the results that were kept last.

    python -m bench report

The page's text is written by hand; between `<!-- NAME: … -->` and `<!-- end of NAME -->`
stands what is drawn here.  What has no kept result stays as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import (
    aims,
    flips,
    latency,
    memory,
    opinion,
    plots,
    probes,
    proxyaims,
    proxytables,
    qps,
    reports,
    store,
)
from bench.process import NotMeasured

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
PLOTS = PAGE.parent / "performance"


def _servers(found: store.Result) -> tuple[list[str], list[list[str]]]:
    return ["server", "version", "command", "what it does"], [
        [label, server["version"], f"`{server['command']}`", server["does"]]
        for label, server in found["servers"].items()
    ]


Rows = Callable[[store.Result], tuple[list[str], list[list[str]]]]
TABLES: dict[str, tuple[str, Rows]] = {
    "saturation": ("qps", qps.saturation_rows),
    "steady": ("qps", qps.steady_rows),
    "witnesses": ("qps", qps.witness_rows),
    "servers": ("qps", _servers),
    "latency": ("latency", latency.rows),
    "flips": ("flips", flips.rows),
    "memory": ("memory", memory.rows),
    "probes": ("probes", probes.rows),
    "reports": ("reports", reports.rows),
    "memory of many members": ("reports", reports.memory_rows),
    "opinion": ("opinion", opinion.rows),
    "tier": ("proxy", proxytables.rows),
    "tier aims": ("proxy", proxyaims.rows),
    "tier, slow members": ("proxy", proxytables.slow_rows),
    "tier, idle connections": ("proxy", proxytables.idle_rows),
    "tier, proxies": ("proxy", proxytables.server_rows),
}
FIGURES = tuple(dict.fromkeys(figure for figure, _ in TABLES.values()))


def main() -> None:
    """Draw the plots and put the tables into the page."""
    text = PAGE.read_text()
    noted: set[str] = set()
    for name, (figure, rows) in TABLES.items():
        if found := store.load(figure):
            # What was left out is said once, below the first table.
            notes = "" if figure in noted else _notes(found)
            noted.add(figure)
            text = put(text, name, _markdown(*rows(found)) + notes)
    results = {figure: store.load(figure) for figure in FIGURES}
    kept = {figure: found for figure, found in results.items() if found}
    text = put(text, "machine", _machine(kept, text))
    if missing := [figure for figure in FIGURES if figure not in kept and figure != "proxy"]:
        print(f"the aims stay as they are: no result is kept of {', '.join(missing)}")
    else:
        text = put(text, "aims", _markdown(*aims.rows(kept)))
    try:
        for plot in plots.draw(PLOTS):
            link = f"![{plots.CAPTIONS[plot.stem]}]({PLOTS.name}/{plot.name})"
            text = put(text, f"plot of {plot.stem}", link)
    except NotMeasured as why:
        print(f"no plots: {why}", file=sys.stderr)
    PAGE.write_text(text)
    print(f"{PAGE} is drawn from {', '.join(kept) or 'nothing'}")


def put(text: str, name: str, drawn: str) -> str:
    """Put what was drawn between the marks of that name."""
    marks = rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)"
    if not re.search(marks, text, re.DOTALL):
        raise ValueError(f"{PAGE.name} has no place for {name}")
    return re.sub(marks, lambda found: f"{found[1]}\n{drawn}\n\n{found[2]}", text, flags=re.DOTALL)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _notes(found: store.Result) -> str:
    notes = dict.fromkeys(found.get("notes", ()))
    return "".join(f"\n\n- {note}" if n == 0 else f"\n- {note}" for n, note in enumerate(notes))


def _machine(kept: dict[str, store.Result], text: str) -> str:
    """Return a line for each figure; what has no kept result keeps its line on the page."""
    said = dict(re.findall(r"^- (\w+): (\d{4}-.*)$", text, re.MULTILINE))
    for figure, found in kept.items():
        machine = found["machine"]
        said[figure] = (
            f"{machine['day']}, commit {machine['commit']}, {machine['cores']} cores "
            f"of {machine['cpu']}, {machine['kernel']}, Python {machine['python']}"
        )
    return "\n".join(f"- {figure}: {said[figure]}" for figure in FIGURES if figure in said)
