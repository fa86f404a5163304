"""Services as the L7 tier reaches them: which there are, and how their members are connected to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gslb.config.httpscalars import service_name
from gslb.config.nodes import At, closest, shown
from gslb.config.proxykeys import AcrossSpec, EjectSpec, UpstreamSpec, UpstreamTlsSpec
from gslb.config.tierfiles import TierFiles
from gslb.model import Family, Monitor, Service
from gslb.tier import Across, Ejection, Upstream, UpstreamTls

DEFAULT_PORT = 80
HTTP_ALONE = ("host", "idle", "idle_timeout")  # what means nothing where octets are passed on


@dataclass(frozen=True, slots=True)
class Offered:
    """The services that the zones have, for routes to name.

    `is_whole` is false where a zone could not be read, so that more services may be meant.
    `named` holds those that were named, by name.
    """

    services: Mapping[str, Service]
    is_whole: bool
    named: dict[str, None] = field(default_factory=dict)

    def name(self, written: str, at: At, *, on_key: bool = False) -> str:
        """Return the name of a service, once it is noted; complain at *at* if there is none."""
        name = service_name(written)
        self.named[name] = None
        service = self.services.get(name)
        if service is None and self.is_whole:
            hint = closest(name, self.services, what="service")
            at.wrong(f"there is no service {shown(written)}", hint, on_key=on_key)
        if service is not None and Family.CNAME in service.families():
            hint = "give it addresses as members, or let it `discover` them by `dns`"
            problem = f"{name} has host names as members, which the tier does not look up"
            at.wrong(problem, hint, on_key=on_key)
        return name


@dataclass(frozen=True, slots=True)
class UpstreamReader:
    """Reads how the members of services are reached; `top` is the place of the tier."""

    top: At
    offered: Offered
    monitors: Mapping[str, Monitor]
    files: TierFiles

    def read(
        self, specs: Mapping[str, UpstreamSpec], *, passed: Collection[str]
    ) -> dict[str, Upstream]:
        """Return the upstream of each service that is written here or was named by a route.

        Connections to those in *passed* come from listeners in mode tcp alone.
        """
        routed = frozenset(self.offered.named)
        found: dict[str, Upstream] = {}
        for written, spec in specs.items():
            here = self.top / "services" / written
            name = self.offered.name(written, here, on_key=True)
            if name in found:
                here.wrong(f"{shown(written)} is written twice", "keep one", on_key=True)
            elif name not in routed and not self.top.spoiled:
                hint = "name it in a route, or remove it"
                here.warn("no route and no listener names this service", hint, on_key=True)
            found[name] = self._upstream(name, spec, here)
            if name in passed:
                _check_passed(here)
        for name in routed - found.keys():
            found[name] = self._upstream(name, UpstreamSpec(), None)
        return dict(sorted(found.items()))

    def across(self, spec: AcrossSpec) -> Across:
        """Return where requests go when nobody lives here."""
        at = self.top / "across"
        for index, word in enumerate(spec.to):
            if word in spec.to[:index]:
                (at / "to" / index).wrong(f"{word} are listed twice", "list them once")
        return Across(to=tuple(spec.to), port=spec.port, tls=self._tls(spec.tls, at / "tls"))

    def _upstream(self, name: str, spec: UpstreamSpec, at: At | None) -> Upstream:
        service = self.offered.services.get(name)
        rule = None if service is None else _monitor_of(service, self.monitors)
        port, tls = spec.port, None
        if at is not None:
            tls = self._tls(spec.tls, at / "tls")
        if port is None:
            port = DEFAULT_PORT if rule is None else rule.port
            is_written = at is not None and at.node.child("tls") is not None
            if rule is not None and rule.type == "https" and not is_written:
                tls = UpstreamTls(verify=rule.verify, ca_file=rule.ca_file, name=rule.host)
        return Upstream(
            service=name,
            port=port,
            tls=tls,
            host=spec.host,
            connections_max=spec.connections,
            queue_max=spec.queue,
            queue_s=spec.queue_timeout,
            idle_max=spec.idle,
            idle_s=spec.idle_timeout,
            slow_start_s=spec.slow_start,
            proxy_protocol=spec.proxy_protocol,
            ejection=None if spec.eject is None else _ejection(spec.eject, at),
        )

    def _tls(self, spec: UpstreamTlsSpec | None, at: At) -> UpstreamTls | None:
        if spec is None:
            return None
        if not spec.verify and spec.ca is not None:
            hint = "write `verify: true`, or leave `ca` out"
            (at / "ca").warn("has no effect: nothing is verified", hint, on_key=True)
        ca_file = self.files.authorities(spec.ca, at / "ca")
        return UpstreamTls(verify=spec.verify, ca_file=ca_file, name=spec.name)


def _check_passed(at: At) -> None:
    """Complain of what is written for a service whose connections are passed on as they are."""
    if at.has("tls"):
        hint = "leave it out, or name the service in a route"
        problem = "mode tcp begins no TLS: what a client sends is passed on as it is"
        (at / "tls").wrong(problem, hint, on_key=True)
    for key in HTTP_ALONE:
        if at.has(key):
            problem = "has no effect: only listeners in mode tcp name this service"
            (at / key).warn(problem, "leave it out, or name the service in a route", on_key=True)


def _monitor_of(service: Service, monitors: Mapping[str, Monitor]) -> Monitor | None:
    """Return the first monitor that any member of *service* is probed by."""
    for name in _monitor_names(service):
        if name in monitors:
            return monitors[name]
    return None


def _monitor_names(service: Service) -> Iterable[str]:
    for pool in service.pools:
        for member in pool.members:
            if member.subject is not None:
                yield member.subject.monitor
        if pool.discover is not None and pool.discover.monitor is not None:
            yield pool.discover.monitor


def _ejection(spec: EjectSpec, at: At | None) -> Ejection:
    if spec.max < spec.base and at is not None:
        hint = "write a longer `max`, or a shorter `base`"
        (at / "eject" / "max").wrong("is shorter than `base`", hint)
    if spec.errors is spec.connect_errors is spec.slow_factor is None and at is not None:
        problem = "ejects nobody: each of its rules is null"
        (at / "eject").warn(problem, "write `eject: null`, or one of them", on_key=True)
    return Ejection(
        errors=spec.errors,
        connect_errors=spec.connect_errors,
        slow_factor=spec.slow_factor,
        base_s=spec.base,
        max_s=spec.max,
        most_percent=spec.most,
    )
