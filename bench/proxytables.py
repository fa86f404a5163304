"""The tables of the proxies: what `bench.proxying` measured, beside nginx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import median

from bench import store
from bench.proxies import NGINX
from bench.proxyfiles import POLICIES
from bench.table import mib, shown, si

Rows = tuple[list[str], list[list[str]]]


def table(found: store.Result) -> str:
    """Return all tables of a result, as plain text."""
    tables = [shown(*rows(found)) for rows in (rows, slow_rows, idle_rows) if rows(found)[1]]
    said = (
        f"load of the machine: {found['load_before']:.1f} before, {found['load_after']:.1f} after"
    )
    return "\n\n".join([*tables, "\n".join([*dict.fromkeys(found["notes"]), said])])


def ratio(row: store.Result, base: store.Result | None, key: str) -> float | None:
    """Return the median of the ratios of the rounds, each to the base's run of the same round."""
    if base is None:
        return None
    pairs = zip(row["runs"], base["runs"], strict=False)
    ratios = [run[key] / other[key] for run, other in pairs if other[key]]
    return median(ratios) if ratios else None


def rows(found: store.Result) -> Rows:
    """Return header and rows: how many, how soon, and how dearly."""
    header = ["asked", "proxy", "requests/s", "to nginx", "p50 ms", "p99 ms", "p99 to nginx"]
    header += ["CPU µs", "to nginx", "core", "failed"]
    made = []
    for kind, all_ in groupby(found["rows"], key=lambda row: row["kind"]):
        of_kind = list(all_)
        base = next((row for row in of_kind if row["server"] == NGINX), None)
        made += [[kind, *_cells(row, base)] for row in of_kind]
    return header, made


def _cells(row: store.Result, base: store.Result | None) -> list[str]:
    runs: Sequence[Mapping[str, float]] = row["runs"]
    has_cpu = any(run["cpu_us"] for run in runs)
    return [
        row["server"],
        store.spread([run["rate"] for run in runs], si),
        _shown(ratio(row, base, "rate")),
        f"{median(run['p50_us'] for run in runs) / 1000:.2f}",
        store.spread([run["p99_us"] / 1000 for run in runs], "{:.2f}".format),
        _shown(ratio(row, base, "p99_us")),
        store.spread([run["cpu_us"] for run in runs], "{:.0f}".format) if has_cpu else "-",
        _shown(ratio(row, base, "cpu_us") if has_cpu else None),
        f"{median(run['busy'] for run in runs):.0%}" if has_cpu else "-",
        str(sum(int(run["failed"]) for run in runs)),
    ]


def slow_rows(found: store.Result) -> Rows:
    """Return header and rows: response times by balancing rule, where 1 % of requests is slow."""
    header = ["rule", "proxy", "requests/s", "p50 ms", "p95 ms", "p99 ms", "failed"]
    return header, [
        [
            words,
            row["server"],
            si(median(run["rate"] for run in row["runs"])),
            *(
                store.spread([run[key] / 1000 for run in row["runs"]], "{:.1f}".format)
                for key in ("p50_us", "p95_us", "p99_us")
            ),
            str(sum(run["failed"] for run in row["runs"])),
        ]
        for rule, words in POLICIES.items()
        for row in found["slow"]
        if row["rule"] == rule
    ]


def idle_rows(found: store.Result) -> Rows:
    """Return header and rows: memory by idle connections."""
    header = ["proxy", "held before", "with 2,000", "with 10,000", "kB a connection"]
    return header, [
        [
            row["server"],
            mib(row["before_bytes"]),
            mib(row["held_2000_bytes"]),
            mib(row["held_10000_bytes"]),
            f"{row['connection_bytes'] / 1000:.1f}",
        ]
        for row in found["idle"]
    ]


def server_rows(found: store.Result) -> Rows:
    """Return header and rows: which proxies were measured, and how they were started."""
    header = ["proxy", "version", "command"]
    return header, [
        [name, server["version"], f"`{server['command']}`"]
        for name, server in found["servers"].items()
    ]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
