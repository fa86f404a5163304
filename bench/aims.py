"""The aims, beside what was measured: each a ratio of medians, met or missed and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from bench import latency, memory, opinion, probes, reports, store
from bench.flips import quantile
from bench.peers import (
    DYNAMIC,
    ECHO,
    GDNSD,
    KNOT,
    NATIVE,
    NSD,
    NXDOMAIN,
    POWERDNS_LUA,
    PYTHON,
    STATIC,
)
from bench.qps import LARGE

LOAD_MAX_S = 10.0


def rows(kept: Mapping[str, store.Result]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: the aim, what was measured, and whether that is enough."""
    found: list[list[str]] = []
    if "qps" in kept:
        found += _qps(kept["qps"])
    if "latency" in kept:
        found += _latency(kept["latency"])
    if "flips" in kept:
        found += _flips(kept["flips"])
    if "memory" in kept:
        found += _memory(kept["memory"])
    if "probes" in kept:
        found += _probes(kept["probes"])
    if "reports" in kept:
        found += _reports(kept["reports"])
    if "opinion" in kept:
        found += _opinion(kept["opinion"])
    return ["figure", "measured", "aim", "is"], found


def row(words: str, value: float | None, aim: float, *, most: bool, unit: str = "") -> list[str]:
    """Return a row; *most* tells an upper bound from a lower one."""
    bound = f"{'≤' if most else '≥'} {aim:g}{unit}"
    if value is None:
        return [words, "-", bound, "not measured"]
    met = value <= aim if most else value >= aim
    by = "" if met or not aim else f" by {abs(value / aim - 1) * 100:.0f} %"
    return [words, f"{value:.3g}{unit}", bound, "met" if met else f"**missed**{by}"]


def _middle(rows: Sequence[store.Result], key: str, **wanted: str) -> float | None:
    for row in rows:
        if all(row[name] == value for name, value in wanted.items()):
            return float(median(run[key] for run in row["runs"]))
    return None


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _of(rows: Sequence[store.Result], key: str) -> Callable[..., float | None]:
    def middle(server: str, kind: str, threads: int = 1) -> float | None:
        plural = "" if threads == 1 else "s"
        return _middle(rows, key, server=f"{server}, {threads} thread{plural}", kind=kind)

    return middle


def _qps(found: store.Result) -> Iterator[list[str]]:
    cpu, rate = _of(found["steady"], "cpu_us"), _of(found["saturation"], "rate")
    full_cpu = _of(found["saturation"], "cpu_us")
    for words, spent in (("at one steady rate", cpu), ("at saturation", full_cpu)):
        for kind in (STATIC, DYNAMIC):
            own = spent(NATIVE.name, kind)
            for base, aim in ((GDNSD, 1.0), (ECHO, 1.15)):
                ratio = _ratio(own, spent(base.name, kind))
                yield row(
                    f"CPU time per query {words}, {kind}, to {base.name}", ratio, aim, most=True
                )
    for threads in (1, 2):
        for kind in (STATIC, DYNAMIC):
            for base in (GDNSD, KNOT):
                ratio = _ratio(rate(NATIVE.name, kind, threads), rate(base.name, kind, threads))
                words = f"responses/s, {kind}, {threads} thread{'s' * (threads > 1)}"
                yield row(f"{words}, to {base.name}", ratio, 1.0, most=False)
    own = rate(NATIVE.name, DYNAMIC)
    ratio = _ratio(rate(NATIVE.name, LARGE), own)
    yield row("responses/s, large, to its own small case", ratio, 0.9, most=False)
    ratio = _ratio(rate(NATIVE.name, NXDOMAIN), rate(NATIVE.name, STATIC))
    yield row("responses/s, NXDOMAIN, to its own static", ratio, 0.9, most=False)
    ratio = _ratio(rate(PYTHON.name, DYNAMIC), rate(POWERDNS_LUA.name, DYNAMIC))
    yield row("responses/s, service, Python alone, to PowerDNS Lua", ratio, 5.0, most=False)


def _latency(found: store.Result) -> Iterator[list[str]]:
    for name in (NATIVE.name, f"{NATIVE.name}, all cores"):
        for key, words in (("p99_us", "p99"), ("p999_us", "p99.9")):
            busy = _middle(found["rows"], key, server=name, state=latency.BUSY)
            quiet = _middle(found["rows"], key, server=name, state=latency.QUIET)
            label = f"{words} under {latency.BUSY}, to quiet ({name})"
            yield row(label, _ratio(busy, quiet), 1.5, most=True)
        lost = [
            sum(run["lost"] for run in row["runs"])
            for row in found["rows"]
            if row["server"] == name and row["state"] == latency.BUSY
        ]
        label = f"lost under {latency.BUSY} ({name})"
        yield row(label, lost[0] if lost else None, 0, most=True)


def _flips(found: store.Result) -> Iterator[list[str]]:
    for size in found["rows"]:
        if size["server"] == NATIVE.name:
            words = f"from word to wire, {size['services']} services, p99"
            value = quantile(size["times_ms"], 0.99)
            yield row(words, value, size["aim_ms"], most=True, unit=" ms")


def _memory(found: store.Result) -> Iterator[list[str]]:
    def held(server: str, kind: str) -> float | None:
        return _middle(found["rows"], "held_bytes", server=server, kind=kind)

    for kind, bases in ((memory.MANY_NAMES, (GDNSD, NSD)), (memory.MANY_NETWORKS, (GDNSD,))):
        for base in bases:
            ratio = _ratio(held(NATIVE.name, kind), held(base.name, kind))
            yield row(f"memory, {kind}, to {base.name}", ratio, 1.0, most=True)
    load_s = _middle(found["rows"], "load_s", server=NATIVE.name, kind=memory.MANY_NAMES)
    yield row("first answer with a million names", load_s, LOAD_MAX_S, most=True, unit=" s")


def _probes(found: store.Result) -> Iterator[list[str]]:
    own, base = (
        _middle(found["rows"], "cpu_us", prober=name) for name in (probes.GSLB, probes.AIOHTTP)
    )
    words = "CPU time per probe, to a plain aiohttp loop"
    yield row(words, _ratio(own, base), 1.0, most=True)


def _reports(found: store.Result) -> Iterator[list[str]]:
    (flipping,) = (row for row in found["rows"] if row["flipping"] == reports.ALL)
    for key, words in (("octets", "octets"), ("composed", "CPU to make"), ("decoded", "to read")):
        label = f"a report, {words}, all flipping to none"
        yield row(label, reports.ratio(found, flipping, key), 1.05, most=True)


def _opinion(found: store.Result) -> Iterator[list[str]]:
    for each in found["rows"]:
        if each["world"] != opinion.ALONE:
            words = f"from death to all nodes, {each['world']}, {each['death']}: worst to bound"
            worst = max(each["times_s"]) / opinion.bound_s(found, each)
            yield row(words, worst, 1.0, most=True)
