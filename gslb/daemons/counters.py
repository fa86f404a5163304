"""What the daemons count, and how Prometheus is told.

A query costs one to three additions to a plain dictionary; the metrics are made from it
when someone asks.  Label values are closed sets: record types that have no name here are
``other``, so that nobody can fill memory by asking for odd ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gslb.dns.message import RCODES
from gslb.dns.records import TYPES

OTHER = "other"

Gauges = Callable[[], Iterator[Metric]]


@dataclass(slots=True)
class Counted:
    """What was counted: queries by transport, type and rcode; answers by service and way; events.

    A type of 0 is any that has no name here.  `limited` are answers above their rate, by kind
    and by what became of them.
    """

    queries: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    limited: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


class Counters(Collector):
    """The program's counters; *gauges* yields what is measured at the moment of asking.

    `elsewhere` tells what an engine of its own counts, which is added when someone asks.
    """

    def __init__(self) -> None:
        self.queries: Counter[tuple[str, int, int]] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.probes: Counter[tuple[str, str]] = Counter()
        self.limited: Counter[tuple[str, str]] = Counter()
        self.reports: Counter[tuple[str, str]] = Counter()
        self.carried: Counter[tuple[str, str, str]] = Counter()
        self.posted: Counter[tuple[str, str]] = Counter()
        self.events: Counter[str] = Counter()
        self.elsewhere: Callable[[], Counted] = Counted
        self.gauges: Gauges = lambda: iter(())
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self.probe_duration_s = Histogram(
            "gslb_probe_duration_seconds",
            "How long probes took.",
            ["monitor"],
            registry=self._registry,
        )

    def query(self, proto: str, type_: int, rcode: int) -> None:
        """Count one query; all types without a name here are one, or asking would fill memory."""
        self.queries[proto, type_ if type_ in TYPES else 0, rcode] += 1

    def probe(self, monitor: str, result: str, duration_s: float) -> None:
        """Count one probe's result, and how long it took."""
        self.probes[monitor, result] += 1
        self.probe_duration_s.labels(monitor).observe(duration_s)

    def total(self) -> Counted:
        """Return what has been counted, here and elsewhere."""
        other = self.elsewhere()
        return Counted(
            self.queries + other.queries,
            self.answers + other.answers,
            self.limited + other.limited,
            self.events + other.events,
        )

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: registering asks for no values."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its present values."""
        total = self.total()
        yield _counter(
            "gslb_queries",
            "Queries by transport, record type and rcode answered.",
            ["proto", "type", "rcode"],
            _query_labels(total),
        )
        yield _counter(
            "gslb_answers",
            "Answers from services, and by which rule of the ladder.",
            ["service", "how"],
            total.answers,
        )
        yield _counter(
            "gslb_probes",
            "Probes by monitor and result: ok, or why not.",
            ["monitor", "result"],
            self.probes.copy(),
        )
        yield _counter(
            "gslb_reports",
            "Reports of vantages that came in: taken, or why not.",
            ["vantage", "result"],
            self.reports.copy(),
        )
        yield _counter(
            "gslb_rate_limited",
            "Answers above their rate, by kind, and whether they were dropped or slipped.",
            ["kind", "action"],
            total.limited,
        )
        yield _counter(
            "gslb_carrier_sent",
            "Tables sent to a peer, by box, and whether they were taken: "
            "ok, refused, failed or too_large.",
            ["peer", "box", "result"],
            self.carried.copy(),
        )
        yield _counter(
            "gslb_webhooks",
            "Events posted to a webhook's host, and what became of them: "
            "ok, refused, failed (and tried again), gave_up or dropped.",
            ["hook", "result"],
            self.posted.copy(),
        )
        for event, help_text in EVENTS.items():
            family = CounterMetricFamily(event, help_text)
            family.add_metric([], total.events[event])
            yield family
        yield from self.gauges()


def _query_labels(total: Counted) -> Counter[tuple[str, ...]]:
    shown: Counter[tuple[str, ...]] = Counter()
    for (proto, type_, rcode), count in total.queries.items():
        labels = (proto, TYPES.get(type_, OTHER), RCODES.get(rcode, OTHER))
        shown[labels] += count
    return shown


EVENTS = {
    "gslb_reload_failures": "Reloads that failed; the running state was kept.",
    "gslb_reloads": "Reloads that were taken over.",
    "gslb_publishes": "Snapshots published.",
    "gslb_dropped_datagrams": "Datagrams not answered: too short, responses, or unsendable.",
    "gslb_handed_queries": "Queries that the native engine handed to Python: explanations.",
    "gslb_refused_queries": "Queries for explanations dropped because too many waited.",
    "gslb_errors": "Queries that met an error of ours and were answered SERVFAIL.",
    "gslb_refused_connections": "TCP connections closed at once because there were too many.",
    "gslb_idle_connections_closed": "Idle TCP connections closed to make room for new ones.",
    "gslb_withdrawals_held": "Times that a change was held because it took out too much at once.",
    "gslb_geo_changes_held": "Times that a new database was held because it moved too much.",
    "gslb_discovery_failures": "Files of members that could not be used, and names not looked up.",
    "gslb_state_write_failures": "Writes of the state directory that failed.",
}


def _counter(
    name: str,
    help_text: str,
    labels: list[str],
    values: Counter[tuple[str, ...]] | Counter[tuple[str, str]] | Counter[tuple[str, str, str]],
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for key, count in sorted(values.items()):
        family.add_metric(list(key), count)
    return family


def gauge(
    name: str, help_text: str, values: dict[tuple[str, ...], float], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    """Return a gauge with a value for each tuple of label values."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
