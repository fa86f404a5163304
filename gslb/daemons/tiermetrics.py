"""What the tier's workers counted, summed up for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from gslb.daemons.briefing import Figures
from gslb.daemons.counters import Gauges, gauge
from gslb.proxy.tally import BOUNDS_S

# What is counted, with the labels of each.
COUNTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gslb_proxy_requests_total": (
        "Requests that were answered, by route and status; 499 for clients that left.",
        ("route", "status"),
    ),
    "gslb_proxy_attempts_total": (
        "Tries at members: ok, server_error, connect_error, server_name or timeout.",
        ("service", "member", "outcome"),
    ),
    "gslb_proxy_retries_total": (
        "Further tries that were asked for, and whether the budget granted them.",
        ("route", "granted"),
    ),
    "gslb_proxy_bytes_total": (
        "Octets of bodies: in from clients, out to them.",
        ("route", "direction"),
    ),
    "gslb_proxy_bad_requests_total": ("What was no request, by the answer to it.", ("status",)),
    "gslb_proxy_refused_connections_total": (
        "Connections closed at once: too many of them, or of their client.",
        (),
    ),
    "gslb_proxy_failed_handshakes_total": (
        "Connections whose TLS handshake or PROXY header failed: tls, malformed or timeout.",
        ("why",),
    ),
    "gslb_proxy_passed_total": (
        "Connections passed on in tcp mode; `none` where no member took one.",
        ("service", "member"),
    ),
    "gslb_proxy_log_lines_dropped_total": ("Lines of the access log that were not written.", ()),
}
GAUGES = {
    "gslb_proxy_info": "Always 1; says whose tier this is, what carries it, and by which files.",
    "gslb_proxy_connections": "Open connections of clients.",
    "gslb_proxy_requests_active": "Requests under way.",
    "gslb_proxy_workers": "Workers that serve.",
    "gslb_proxy_member_active": "Requests under way at a member.",
    "gslb_proxy_member_connections": "Open connections to a member.",
    "gslb_proxy_member_waiting": "Requests that wait for a connection to a member.",
    "gslb_proxy_member_out": "Workers that leave a member out: shunned or ejected.",
}
DURATION = "gslb_proxy_request_duration_seconds"
MEMBER_GAUGES = {
    "gslb_proxy_member_active": "active",
    "gslb_proxy_member_connections": "connections",
    "gslb_proxy_member_waiting": "waiting",
    "gslb_proxy_member_out": "out",
}

INFO = ("region", "version", "tier", "config_hash", "tier_hash")

Told = Callable[[], tuple[Sequence[Figures], Sequence[Figures]]]
Info = Callable[[], Mapping[str, Any]]


def tier_gauges(told: Told, info: Info) -> Gauges:
    """Return what yields the tier's metrics; *told* gives figures of workers, now and past.

    *info* has the labels of `INFO`, among others.
    """

    def collect() -> Iterator[Metric]:
        now, past = told()
        said = info()
        labels = tuple(said[name] for name in INFO)
        yield gauge("gslb_proxy_info", GAUGES["gslb_proxy_info"], {labels: 1.0}, INFO)
        yield from _counted((*now, *past))
        yield _durations((*now, *past))
        plain = {
            "gslb_proxy_connections": float(sum(each.connections for each in now)),
            "gslb_proxy_requests_active": float(sum(each.active for each in now)),
            "gslb_proxy_workers": float(len(now)),
        }
        for name, value in plain.items():
            yield gauge(name, GAUGES[name], {(): value})
        for name, key in MEMBER_GAUGES.items():
            values: Counter[tuple[str, ...]] = Counter()
            for each in now:
                for member in each.members:
                    values[member["service"], member["member"]] += member[key]
            of = {labels: float(value) for labels, value in values.items()}
            yield gauge(name, GAUGES[name], of, ("service", "member"))

    return collect


def _counted(figures: Sequence[Figures]) -> Iterator[Metric]:
    sums: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in COUNTED}
    for each in figures:
        for key, count in each.counts.items():
            sums[key[0]][key[1:]] += count  # type: ignore[assignment]
    for name, (about, labels) in COUNTED.items():
        family = CounterMetricFamily(name.removesuffix("_total"), about, labels=labels)
        for key, total in sorted(sums[name].items()):
            family.add_metric(list(key), total)
        yield family


def _durations(figures: Sequence[Figures]) -> Metric:
    about = "Time from a request's head to the last octet of its response."
    family = HistogramMetricFamily(DURATION, about, labels=["route"])
    sums: dict[str, list[float]] = {}
    for each in figures:
        for route, times in each.times.items():
            known = sums.get(route)
            sums[route] = times if known is None else list(map(sum, zip(known, times, strict=True)))
    for route, times in sorted(sums.items()):
        *counts, sum_s = times
        upto, buckets = 0.0, []
        for bound, count in zip((*map(str, map(float, BOUNDS_S)), "+Inf"), counts, strict=True):
            upto += count
            buckets.append((bound, upto))
        family.add_metric([route], buckets, sum_s)
    return family
