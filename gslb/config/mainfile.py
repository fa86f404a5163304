"""The main file's tree → what it settles, and what the zones may name.

A part that is wrong is noted on the file's sheet and left out, so that everything else, the
zones too, can be checked in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from gslb.config import certificates, mmdb, protection, scalars
from gslb.config.carriers import HAS_NATS, CarrierReader
from gslb.config.fields import THREADS_MAX
from gslb.config.known import Known
from gslb.config.mainkeys import MainFile, MonitorSpec, ProxySpec, RegionSpec
from gslb.config.nodes import At
from gslb.config.reading import read_model
from gslb.config.secrets import SecretReader
from gslb.config.settings import Carrier, Cookies, Webhook
from gslb.config.votes import VoteReader, withdrawal
from gslb.model import (
    Expect,
    Member,
    Monitor,
    Quorum,
    RateLimit,
    Region,
    SafetyCatch,
    Subject,
    Voter,
)
from gslb.nativecode import IS_BUILT, RUST_MIN, WHY_NOT

PORTS = {"http": 80, "https": 443}
PROXY_PORT = 80
ANTARCTIC_CIRCLE = -66.5  # the latitude beyond which a region is hardly meant to be
HTTP_KEYS = ("path", "host", "expect", "verify", "ca")


@dataclass(slots=True)
class MainReader:
    """Reads one main file; `beside` turns a path written there into one from here.

    `vantage` is the voter that it is read for where that is a process of its own, which needs
    less than a node; so does an L7 proxy, which stands in `region`.  `has_nats` says whether
    nats-py is installed.
    """

    top: At
    beside: Callable[[str], Path]
    environ: Mapping[str, str]
    hostname: str
    vantage: str | None = None
    has_nats: bool = HAS_NATS
    region: str | None = None
    files: set[Path] = field(default_factory=set)

    @property
    def is_proxy(self) -> bool:
        """Return whether it is read for an L7 proxy."""
        return self.region is not None

    def read(self) -> Main | None:
        """Return what the file settles, or None if nothing in it can be read."""
        region_names, monitor_names = self._names("regions"), self._names("monitors")
        spec = read_model(MainFile, self.top)
        if spec is None:
            return None
        if not spec.zones:
            hint = "name the zones' files: zones: [zones/example.com.yaml]"
            (self.top / "zones").miss(hint)
        monitors = {
            name: self._monitor(name, monitor, self.top / "monitors" / name)
            for name, monitor in spec.monitors.items()
        }
        known = Known(
            main_file=self.top.sheet.file,
            regions={},
            monitors=monitors,
            region_names=region_names,
            monitor_names=monitor_names,
            has_places=spec.geo.database is not None or (self.top / "geo").spoiled,
            has_asns=spec.geo.asn_database is not None or (self.top / "geo").spoiled,
        )
        regions = {
            name: self._region(name, region, known, self.top / "regions" / name, monitors)
            for name, region in spec.regions.items()
            if not (self.top / "regions" / name / "location").spoiled
        }
        known = replace(known, regions=regions)
        read = SecretReader(self.named, self.environ, is_needed=self.region is None)
        votes = VoteReader(self.top, known, read, self.vantage, self.region)
        carried = CarrierReader(
            self.top, read, self.named, self.has_nats, self.vantage is not None or self.is_proxy
        )
        votes.check_carried(spec)
        return Main(
            spec=spec,
            known=known,
            node=spec.node or self.hostname,
            own=self._own(spec, read),
            quorum=votes.quorum(spec.vantages),
            vantage=self.vantage or spec.vantage,
            voters=votes.voters(spec),
            carrier=carried.carrier(spec, self.hostname),
            webhooks=carried.webhooks(spec.webhooks),
            max_withdrawal=withdrawal(spec, self.top),
        )

    def _own(self, spec: MainFile, read: SecretReader) -> Own:
        """Return what a vantage's host may lack; an L7 proxy needs the databases of it."""
        if self.vantage is not None:
            return Own()
        geo = self.top / "geo"
        places = self._mmdb(spec.geo.database, mmdb.PLACES, geo / "database")
        asns = self._mmdb(spec.geo.asn_database, mmdb.ASNS, geo / "asn_database")
        if self.is_proxy:
            return Own(geo_database=places, asn_database=asns)
        self._check_listen(spec)
        self._check_engine(spec)
        return Own(
            geo_database=places,
            asn_database=asns,
            admin_token=read.read(spec.admin_token, self.top / "admin_token", scalars.token),
            cookies=protection.cookies(spec.cookies, self.top / "cookies", self.named),
            rate_limit=protection.rate_limit(spec.rate_limit, self.top / "rate_limit"),
        )

    def _names(self, key: str) -> frozenset[str] | None:
        """Return the names declared under *key*, right or wrong; None if that is no map."""
        node = self.top.node.child(key)
        if node is None or node.value is None:
            return frozenset()
        return frozenset(map(str, node.value)) if isinstance(node.value, dict) else None

    def _monitor(self, name: str, spec: MonitorSpec, at: At) -> Monitor:
        if spec.type == "tcp":
            if spec.port is None:
                (at / "port").miss("a tcp monitor needs a port, such as 5432")
            for key in HTTP_KEYS:
                if at.has(key):
                    hint = "remove it, or write `type: http` or `type: https`"
                    (at / key).wrong(f"a tcp monitor has no `{key}`", hint, on_key=True)
        json = spec.expect.json_ or {}
        return Monitor(
            name=name,
            type=spec.type,
            port=spec.port or PORTS.get(spec.type, 80),
            path=spec.path,
            host=spec.host,
            interval_s=spec.interval,
            timeout_s=spec.timeout,
            fall=spec.fall,
            rise=spec.rise,
            recheck_s=spec.recheck,
            expect=Expect(tuple(spec.expect.status), spec.expect.body, tuple(json.items())),
            verify=spec.verify,
            ca_file=certificates.authorities(spec.ca, at / "ca", self.named),
        )

    def _region(
        self, name: str, spec: RegionSpec, known: Known, at: At, monitors: dict[str, Monitor]
    ) -> Region:
        proxies: dict[object, Member] = {}
        for index, proxy in enumerate(spec.proxies):
            here = at / "proxies" / index
            if proxy.address in proxies:
                (here / "address").wrong(
                    f"{proxy.address} is a proxy of this region already", "list it once"
                )
            proxies[proxy.address] = _proxy(name, proxy, known, here, monitors)
        if spec.location is not None and spec.location[0] < ANTARCTIC_CIRCLE:
            latitude, longitude = spec.location
            hint = f"the latitude comes first: did you mean [{longitude:g}, {latitude:g}]?"
            (at / "location").warn("lies in Antarctica", hint)
        return Region(name, spec.location, tuple(proxies.values()))

    def _check_listen(self, spec: MainFile) -> None:
        listen = self.top / "listen"
        seen = set()
        for index, endpoint in enumerate(spec.listen.dns):
            if endpoint.port and endpoint in seen:
                (listen / "dns" / index).wrong(f"{endpoint} is listed twice", "keep one of them")
            seen.add(endpoint)
        admin, token = spec.listen.admin, self.top / "admin_token"
        no_token = spec.admin_token is None and not token.spoiled
        if no_token and not ip_address(admin.host).is_loopback:
            hint = "write an admin_token, or bind to 127.0.0.1 or [::1]"
            problem = f"{admin} is not on loopback, and there is no admin_token"
            (listen / "admin").wrong(problem, hint)

    def _check_engine(self, spec: MainFile) -> None:
        if spec.engine == "native" and not IS_BUILT:
            hint = f"install gslb where Rust {RUST_MIN} or later is, or write `engine: auto`"
            (self.top / "engine").wrong(WHY_NOT, hint)
        addresses, threads = len(spec.listen.dns), spec.threads or 1
        if addresses * threads > THREADS_MAX and spec.engine != "python":
            problem = (
                f"{threads} threads for each of {addresses} addresses are {addresses * threads}"
            )
            hint = f"{THREADS_MAX} can answer in all: write {THREADS_MAX // addresses} or less"
            at = self.top / "threads" if self.top.has("threads") else self.top / "listen" / "dns"
            at.wrong(problem, hint)

    def _mmdb(self, written: str | None, wanted: str, at: At) -> Path | None:
        if written is None:
            return None
        path = self.named(written)
        problem = mmdb.check(path, wanted)
        if problem is not None:
            hint = "name an MMDB file such as GeoLite2-City, GeoIP2 or DB-IP"
            if wanted == mmdb.ASNS:
                hint = "name an MMDB file such as GeoLite2-ASN"
            at.wrong(f"{path} {problem}", hint)
        return path.absolute()

    def named(self, written: str) -> Path:
        """Return a path written in the file as one from here, once it is noted."""
        path = self.beside(written)
        self.files.add(path)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Main:
    """What the main file settles.

    A region whose location is wrong is left out, so that nothing is said about its absence.
    """

    spec: MainFile
    known: Known
    node: str
    own: Own
    quorum: Quorum
    vantage: str | None
    voters: Mapping[str, Voter]
    carrier: Carrier | None
    webhooks: tuple[Webhook, ...]
    max_withdrawal: SafetyCatch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What nodes alone need: databases, and what protects them."""

    geo_database: Path | None = None
    asn_database: Path | None = None
    admin_token: str | None = field(default=None, repr=False)
    cookies: Cookies = field(default_factory=Cookies)
    rate_limit: RateLimit | None = None


def _proxy(
    region: str, spec: ProxySpec, known: Known, at: At, monitors: dict[str, Monitor]
) -> Member:
    """Return a proxy as a member; a port that is probed over TCP gets its monitor here."""
    if spec.monitor is None:
        port = spec.port or PROXY_PORT
        rule = Monitor(name=f"tcp:{port}", type="tcp", port=port)
        monitors.setdefault(rule.name, rule)
    else:
        known.check_monitor(spec.monitor, at / "monitor")
        if (found := monitors.get(spec.monitor)) is None:
            return Member(spec.address)
        rule, port = found, spec.port or found.port
    address = str(spec.address)
    return Member(spec.address, 1, Subject(address, (address, port), rule.name, region))
