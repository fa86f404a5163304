"""The `proxy:` part of the main file → the L7 tier, checked against regions and services."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gslb.config.known import Known
from gslb.config.listeners import ListenerReader
from gslb.config.nodes import At, closest, shown
from gslb.config.proxykeys import TierSpec
from gslb.config.requestroutes import RequestRouteReader
from gslb.config.tierfiles import TierFiles
from gslb.config.upstreams import Offered, UpstreamReader
from gslb.model import Service
from gslb.tier import Forward, Limits, Listener, Page, Route, Tier

STDOUT = "stdout"


@dataclass(frozen=True, slots=True)
class TierReader:
    """Reads the tier; `top` is the place of the whole main file.

    `region` is the one whose tier it is read for, None on any other host.
    """

    top: At
    known: Known
    files: TierFiles
    region: str | None = None

    def read(
        self, spec: TierSpec | None, services: Iterable[Service], *, is_whole: bool
    ) -> Tier | None:
        """Return the tier, None where there is none.

        *services* are those of all zones; *is_whole* is false where a zone could not be read.
        """
        at = self.top / "proxy"
        self._check_region(spec, at)
        if spec is None:
            return None
        offered = Offered({service.text: service for service in services}, is_whole)
        routes = RequestRouteReader(at / "routes", offered, self.files, self.known.has_places)
        upstreams = UpstreamReader(at, offered, self.known.monitors, self.files)
        listeners = ListenerReader(at / "listen", offered, self.files).read(spec.listen)
        self._check_probed({each.port for each in listeners})
        found = routes.read(spec.routes)
        if not found and not at.spoiled and any(each.mode == "http" for each in listeners):
            hint = "write routes: [{service: NAME}]"
            at.warn("has no routes: every request is answered 404", hint, on_key=True)
        self._check_across(spec, {each.port for each in listeners if each.mode == "http"}, at)
        if spec.tier != "haproxy" and at.has("haproxy"):
            problem = "has no effect: the tier is not HAProxy's"
            (at / "haproxy").warn(problem, "write `tier: haproxy`, or leave it out", on_key=True)
        limits = spec.limits
        return Tier(
            engine=spec.tier,
            listeners=listeners,
            routes=found,
            upstreams=upstreams.read(spec.services, passed=_passed_alone(listeners, found)),
            across=upstreams.across(spec.across),
            limits=Limits(
                head_max=limits.head_size,
                fields_max=limits.fields,
                head_s=limits.head_timeout,
                keep_alive_s=limits.keep_alive,
                body_s=limits.body_timeout,
                connections_max=limits.connections,
                connections_per_client=limits.connections_per_client,
            ),
            pages=self._pages(spec, at / "errors"),
            workers=spec.workers,
            trusted=tuple(spec.trusted),
            via=spec.via,
            access_log=self._access_log(spec.access_log, at / "access_log"),
            admin=None if spec.admin is None else (spec.admin.host, spec.admin.port),
            drain_s=spec.drain,
            haproxy=spec.haproxy,
        )

    def _check_region(self, spec: TierSpec | None, at: At) -> None:
        regions, name = self.known.regions, self.region
        if name is None:
            if spec is not None and not any(region.proxies for region in regions.values()):
                hint = "write `proxies: [ADDRESS]` in a region: the tier listens at them"
                at.warn("no region has proxies, so nobody is sent here", hint, on_key=True)
            return
        if spec is None and not at.spoiled:
            at.miss("write what the tier does: proxy: {listen: [80], routes: [{service: NAME}]}")
        here = self.top / "regions"
        if here.spoiled:
            return
        if name not in regions:
            here.wrong(f"there is no region {shown(name)}", closest(name, regions, what="region"))
        elif not regions[name].proxies:
            hint = "write `proxies: [ADDRESS]`: the tier listens at them"
            (here / name).wrong(f"the region {name} has no proxies", hint, on_key=True)

    def _check_probed(self, ports: set[int]) -> None:
        """Warn of proxies that are probed where no tier listens: they would count as down."""
        for name, region in self.known.regions.items():
            probed = [each.subject.target[1] for each in region.proxies if each.subject is not None]
            if ports and (missed := [port for port in probed if port not in ports]):
                here = self.top / "regions" / name / "proxies"
                problem = f"are probed at port {missed[0]}, where the tier does not listen"
                hint = f"write {{address: ADDRESS, port: {min(ports)}}}, or a monitor for them"
                here.warn(problem, hint, on_key=True)

    def _pages(self, spec: TierSpec, at: At) -> dict[int, Page]:
        found = {}
        for status, page in spec.errors.items():
            body = self.files.content(page.file, at / status / "file")
            if body is not None:
                found[status] = Page(body, page.type)
        return found

    def _check_across(self, spec: TierSpec, ports: set[int], at: At) -> None:
        """Warn of proxies of other regions that are asked where no tier listens."""
        proxied = [region for region in self.known.regions.values() if region.proxies]
        asked = "proxies" in spec.across.to and len(proxied) > 1
        if asked and ports and spec.across.port not in ports:
            problem = f"other regions' proxies are asked at port {spec.across.port}, "
            hint = f"write across: {{port: {min(ports)}}}"
            (at / "across").warn(f"{problem}where no tier listens", hint, on_key=True)

    def _access_log(self, written: str | None, at: At) -> str | None:
        if written is None or written == STDOUT:
            return written
        if written == "stderr":
            hint = "write stdout, or ./stderr for a file of that name"
            at.wrong("stderr is for what the tier says of itself", hint)
        path = self.files.beside(written).absolute()
        self.files.writable(path, at)
        return str(path)


def _passed_alone(listeners: Iterable[Listener], routes: Iterable[Route]) -> frozenset[str]:
    """Return the services that listeners in mode tcp lead to and no route does."""
    passed = frozenset(each.service for listener in listeners for each in listener.passes)
    actions = (route.action for route in routes)
    return passed.difference(
        name for action in actions if isinstance(action, Forward) for name, _ in action.parts
    )
