"""Plots of the kept results, as SVG: medians as bars, with the range of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench import latency, store
from bench.process import NotMeasured
from bench.proxies import NGINX
from bench.proxying import DIRECT

OURS, OTHERS, LIMIT = "#1f6fb4", "#9aa5b1", "#d9822b"


def draw(folder: Path) -> list[Path]:
    """Draw what there is, and return the files; raise NotMeasured without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only the plots need it
    except ImportError as why:
        raise NotMeasured("plots need matplotlib: pip install -e '.[bench]'") from why
    mpl.use("svg")
    # The same values give the same file.
    mpl.rcParams |= {
        "svg.hashsalt": "gslb",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.axisbelow": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    if found := store.load("qps"):
        for part, key, words in (
            ("saturation", "rate", "responses per second at saturation, thousands"),
            ("steady", "cpu_us", "CPU time per query at one steady rate, µs"),
        ):
            scale = 1e-3 if key == "rate" else 1.0
            drawn.append(_bars(folder / f"{part}.svg", found[part], key, words, scale))
    if found := store.load("latency"):
        rows = [{**row, "kind": row["state"]} for row in found["rows"]]
        words = "99.9 % of the responses within, ms (half load)"
        drawn.append(_bars(folder / "latency.svg", rows, "p999_us", words, 1e-3, log=True))
    if found := store.load("flips"):
        drawn.append(_flips(folder / "flips.svg", found))
    if found := store.load("memory"):
        words = "memory held, MiB"
        drawn.append(
            _bars(folder / "memory.svg", found["rows"], "held_bytes", words, 2**-20, log=True)
        )
    if found := store.load("proxy"):
        words = "requests per second, to nginx of the same round"
        drawn.append(_bars(folder / "tier.svg", _to_nginx(found), "to_nginx", words, 1.0))
    return drawn


def _to_nginx(found: store.Result) -> list[store.Result]:
    """Return the rows of the tier at saturation, each run as a ratio to nginx's."""
    rows = [row for row in found["rows"] if not row.get("steady") and row["server"] != DIRECT]
    bases = {row["kind"]: row["runs"] for row in rows if row["server"] == NGINX}
    return [
        {
            **row,
            "runs": [
                {"to_nginx": run["rate"] / base["rate"]}
                for run, base in zip(row["runs"], bases[row["kind"]], strict=False)
            ],
        }
        for row in rows
        if row["kind"] in bases
    ]


def _bars(
    path: Path,
    rows: Sequence[store.Result],
    key: str,
    words: str,
    scale: float,
    *,
    log: bool = False,
) -> Path:
    """Draw a panel for each kind, with a bar for each server."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - likewise

    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    counts = [sum(row["kind"] == kind for row in rows) for kind in kinds]
    figure = Figure(figsize=(7, 0.6 + sum(0.24 * count + 0.5 for count in counts)))
    panels = figure.subplots(
        len(kinds), squeeze=False, sharex=True, gridspec_kw={"height_ratios": counts}
    )[:, 0]
    for panel, kind in zip(panels, kinds, strict=True):
        shown = [row for row in rows if row["kind"] == kind]
        for place, row in enumerate(shown):
            values = [run[key] * scale for run in row["runs"]]
            middle = median(values)
            spread = [[middle - min(values)], [max(values) - middle]]
            panel.barh(place, middle, xerr=spread, color=_color(row["server"]), height=0.7)
        panel.set_yticks(range(len(shown)), [row["server"] for row in shown])
        panel.invert_yaxis()
        panel.set_title(kind, loc="left", fontsize=9, fontweight="bold")
        panel.grid(axis="x", alpha=0.3)
        if log:
            panel.set_xscale("log")
    panels[-1].set_xlabel(words)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    return path


def _flips(path: Path, found: store.Result) -> Path:
    """Draw what part of the flips was on the wire after how long."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - likewise

    figure = Figure(figsize=(7, 3.2))
    panel = figure.subplots()
    for row in found["rows"]:
        times_ms = sorted(row["times_ms"])
        parts = [(number + 1) / len(times_ms) for number in range(len(times_ms))]
        panel.step(times_ms, parts, label=f"{row['server']}, {row['services']} services")
    panel.set_xscale("log")
    panel.set_xlabel("ms from the operator's word to the changed answer")
    panel.set_ylabel("part of the flips")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    return path


def _color(server: str) -> str:
    if server.startswith("gslb"):
        return OURS
    return LIMIT if server.startswith("bare echo") else OTHERS


# What the plots show under these names.
CAPTIONS = {
    "saturation": "Responses per second at saturation",
    "steady": "CPU time per query at one steady rate",
    "latency": f"Response times at half load: {latency.QUIET}, and under {latency.BUSY}",
    "flips": "From a word to the changed answer",
    "memory": "Memory held",
    "tier": "The L7 tier: requests per second beside nginx",
}
