"""Pools of HAProxy's servers: what is a backend, what is a server in it.

Routes that send to the same service in the same manner share a pool, named ``p0``, ``p1`` …  A pool
has a backend for each region and kind: ``p0.eu-west.members`` and ``p0.eu-west.proxies``.  Regions
are not each other's ``backup`` servers, because HAProxy gives all to the first of these: each has a
backend, which is used while it has a server that may be (`gslb.proxy.haproxyroutes`), so that its
members share what comes across by their own weights.  Only reserves are ``backup``.

A server is named by a hash of where it is: names go to clients in cookies, addresses should not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gslb.proxy.haproxywords import NAME, milliseconds
from gslb.tier import (
    Affinity,
    Balance,
    Forward,
    PassRoute,
    Retry,
    Route,
    Tier,
    Timeouts,
    Upstream,
    UpstreamTls,
)

STATES = ("ready", "drain", "maint")
WEIGHT_MAX = 256  # HAProxy's
PROXIES = ""  # the key in `wanted` under which the regions' proxies stand
BALANCES = {"round_robin": "roundrobin", "least_connections": "leastconn", "random": "random(1)"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server as it should be: a member of a service, or (under `PROXIES`) a region's proxy.

    `name` is what the operator knows it by.  `address` is an IP address as text.  `state` is
    ``ready``, ``drain`` or ``maint``; a drain began `drained_s` ago.  A `backup` is used only
    while no other of its region may be; its weight is at least 1.
    """

    name: str
    address: str
    port: int
    region: str
    weight: int = 1
    state: str = "ready"
    backup: bool = False
    drained_s: float = 0.0

    def __post_init__(self) -> None:
        assert self.state in STATES, f"{self.state!r} is none of {STATES}"

    @property
    def server(self) -> str:
        """Return what HAProxy calls it; another name once it is a backup, which is for good."""
        digest = hashlib.blake2s(f"{self.address} {self.port}".encode(), digest_size=8)
        return f"{'b' if self.backup else 'm'}{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Pool:
    """Where requests to one service go that are balanced, kept and tried again alike.

    `routes` are those that lead here, by their places in the tier.
    """

    name: str
    mode: str
    upstream: Upstream
    balance: Balance
    affinity: Affinity | None
    timeouts: Timeouts
    retry: Retry
    routes: tuple[tuple[int, Route], ...] = field(default=(), compare=False)

    @property
    def service(self) -> str:
        """Return the service's name as text."""
        return self.upstream.service


@dataclass(frozen=True, slots=True)
class Backend:
    """A pool's part in one region: its ``members``, or its ``proxies`` as seen from elsewhere."""

    pool: Pool
    region: str
    kind: str

    @property
    def name(self) -> str:
        """Return its name in HAProxy."""
        return f"{self.pool.name}{suffix(self.region, self.kind)}"


def suffix(region: str, kind: str) -> str:
    """Return what follows the pool's name in a backend's."""
    safe = region if NAME.fullmatch(region) else f"x{region.encode().hex()}"
    return f".{safe}.{kind}"


def pools_of(tier: Tier) -> tuple[Pool, ...]:
    """Return all pools of a tier, each once: those of routes first, then those of TCP listeners."""
    found: dict[tuple[object, ...], Pool] = {}
    for index, route in enumerate(tier.routes):
        if not isinstance(route.action, Forward):
            continue
        for service in (name for name, weight in route.action.parts if weight):
            key = key_of(service, route)
            pool = found.get(key)
            routes = (*(pool.routes if pool else ()), (index, route))
            name = pool.name if pool else f"p{len(found)}"
            upstream = upstream_of(tier, service)
            manner = (route.balance, route.affinity, route.timeouts, route.retry)
            found[key] = Pool(name, "http", upstream, *manner, routes)
    for listener in tier.listeners:
        for each in listener.passes:
            upstream = replace(upstream_of(tier, each.service), tls=None)  # it is the clients' own
            pool = Pool(f"p{len(found)}", "tcp", upstream, each.balance, None, Timeouts(), Retry())
            found.setdefault(key_of(each.service, each), pool)
    return tuple(found.values())


def key_of(service: str, leads: Route | PassRoute) -> tuple[object, ...]:
    """Return what a pool is found by: equal for those that may share one."""
    if isinstance(leads, PassRoute):
        return ("tcp", service, leads.balance)
    return ("http", service, leads.balance, leads.affinity, leads.timeouts, leads.retry)


def names_of(pools: Sequence[Pool]) -> dict[tuple[object, ...], str]:
    """Return the pools' names by what `key_of` says of who leads there."""
    named: dict[tuple[object, ...], str] = {}
    for pool in pools:
        manner: tuple[object, ...] = (pool.balance,)
        if pool.mode == "http":
            manner = (pool.balance, pool.affinity, pool.timeouts, pool.retry)
        named[(pool.mode, pool.service, *manner)] = pool.name
    return named


def upstream_of(tier: Tier, service: str) -> Upstream:
    """Return how a service's members are connected to: as written, or by default."""
    return tier.upstreams.get(service) or Upstream(service=service)


def backends_of(tier: Tier, region: str, order: Sequence[str]) -> tuple[Backend, ...]:
    """Return all backends of a region's HAProxy, which goes to other regions in this *order*.

    Connections in ``tcp`` mode cross to members alone: nothing in them would guard from loops.
    """
    found = []
    for pool in pools_of(tier):
        found.append(Backend(pool, region, "members"))
        found += [
            Backend(pool, other, kind)
            for other in order
            for kind in tier.across.to
            if other != region and (pool.mode == "http" or kind == "members")
        ]
    return tuple(found)


def servers_of(
    backend: Backend, wanted: Mapping[str, Sequence[Wanted]]
) -> tuple[tuple[Wanted, int, str], ...]:
    """Return the servers that a backend should have, each with its weight and state in HAProxy.

    Weights are kept as they are up to 256, and scaled down together beyond.  Without affinity, or
    past its deadline, a drain is one all the same: nobody new comes, and what runs may finish.
    """
    service = PROXIES if backend.kind == "proxies" else backend.pool.service
    servers = {
        each.server: each for each in wanted.get(service, ()) if each.region == backend.region
    }
    most = max((each.weight for each in servers.values()), default=1)
    affinity = backend.pool.affinity
    found = []
    for each in servers.values():
        weight = each.weight if most <= WEIGHT_MAX else round(each.weight * WEIGHT_MAX / most)
        kept_s = affinity.drain_s if affinity is not None else float("inf")
        over = each.state == "drain" and each.drained_s >= kept_s
        found.append((each, max(1, weight), "maint" if over else each.state))
    return tuple(found)


def server_words(tier: Tier, backend: Backend, each: Wanted, weight: int) -> tuple[str, ...]:
    """Return what is said of a server after its name, in the file as over the runtime API."""
    upstream = backend.pool.upstream
    address = f"[{each.address}]" if ":" in each.address else each.address
    said = [f"{address}:{each.port}", "weight", str(weight)]
    if each.backup:
        said.append("backup")
    if backend.kind == "proxies":
        return (*said, *_tls_words(tier.across.tls, checked=False))
    said += ["maxconn", str(upstream.connections_max), "maxqueue", str(upstream.queue_max)]
    if backend.pool.mode == "http":
        said += ["pool-max-conn", str(upstream.idle_max)]
        said += ["pool-purge-delay", milliseconds(upstream.idle_s)]
    if upstream.slow_start_s:
        said += ["slowstart", milliseconds(upstream.slow_start_s)]
    if upstream.proxy_protocol:
        said.append("send-proxy" if upstream.proxy_protocol == 1 else "send-proxy-v2")
    said += _ejection_words(backend)
    return (*said, *_tls_words(upstream.tls, checked=upstream.ejection is not None))


def is_checked(backend: Backend) -> bool:
    """Return whether HAProxy itself looks after servers that real requests failed at."""
    ejection = backend.pool.upstream.ejection
    if backend.kind == "proxies" or ejection is None:
        return False
    return ejection.errors is not None or ejection.connect_errors is not None


def _ejection_words(backend: Backend) -> list[str]:
    ejection = backend.pool.upstream.ejection
    if ejection is None or not is_checked(backend):
        return []
    limit = ejection.connect_errors if ejection.errors is None else ejection.errors
    layer = "layer7" if ejection.errors is not None and backend.pool.mode == "http" else "layer4"
    said = ["check", "inter", milliseconds(ejection.base_s), "rise", "1"]
    said += ["fall", str(ejection.connect_errors or 3)]
    return [*said, "observe", layer, "error-limit", str(limit), "on-error", "mark-down"]


def _tls_words(tls: UpstreamTls | None, *, checked: bool) -> list[str]:
    if tls is None:
        return []
    said = ["ssl", "verify", "required" if tls.verify else "none"]
    if tls.verify:
        said += ["ca-file", tls.ca_file or "@system-ca"]
    if tls.name is None:
        return [*said, "sni", "req.hdr(host),host_only"]
    said += ["sni", f"str({tls.name})"]
    if tls.verify:
        said += ["verifyhost", tls.name]
    return [*said, "check-sni", tls.name] if checked else said
