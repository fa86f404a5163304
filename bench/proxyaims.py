"""The aims of the L7 tier, beside what was measured: ratios of runs of the same round."""

from __future__ import annotations

from bench import proxying, store
from bench.aims import row
from bench.proxies import CADDY, NGINX, OURS
from bench.proxytables import Rows, ratio


def rows(found: store.Result) -> Rows:
    """Return header and rows: the aim, what was measured, and whether that is enough."""
    small, large = (proxying.CASES[name].words for name in ("1k", "1m"))
    header = ["figure", "measured", "aim", "is"]
    made = [
        row("requests/s, 1 kB, to nginx", _ours(found, small, "rate"), 0.65, most=False),
        row("requests/s, 1 MiB, to nginx", _ours(found, large, "rate"), 1.0, most=False),
        row("requests/s, 1 kB, to Caddy", _ours(found, small, "rate", CADDY), 2.0, most=False),
    ]
    # The same in CPU time: on a machine that has more to do, less depends on its other work.
    words = "CPU time a request"
    made += [
        row(f"{words}, 1 kB, to nginx", _ours(found, small, "cpu_us"), 1.54, most=True),
        row(f"{words}, 1 MiB, to nginx", _ours(found, large, "cpu_us"), 1.0, most=True),
        row(f"{words}, 1 kB, to Caddy", _ours(found, small, "cpu_us", CADDY), 0.5, most=True),
    ]
    steady = dict.fromkeys(each["kind"] for each in found["rows"] if each.get("steady"))
    made += [
        row(f"p99, {words}, to nginx", _ours(found, words, "p99_us"), 1.5, most=True)
        for words in steady
        if any(each["kind"] == words and each["server"] == OURS for each in found["rows"])
    ]
    return header, made


def _ours(found: store.Result, kind: str, key: str, base: str = NGINX) -> float | None:
    """Return the ratio of ours to another proxy, if both were measured."""
    by_server = {each["server"]: each for each in found["rows"] if each["kind"] == kind}
    return ratio(by_server[OURS], by_server.get(base), key) if OURS in by_server else None
