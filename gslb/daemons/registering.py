"""Members that register themselves over the admin API, with a lease that heart-beats renew.

`PUT` is a registration and a heart-beat alike; the lease ends by itself when none comes, and
`DELETE` ends it at once.  It goes into a table that nodes merge (`gslb.health.lease`), so that a
member tells one node, any one, and all know.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gslb.config import addresses, scalars
from gslb.config.nodes import closest
from gslb.config.scalars import ScalarError
from gslb.daemons.discovery import Discovery
from gslb.daemons.events import show_time
from gslb.daemons.jsonhttp import Asked, RequestError, Route, json_response
from gslb.daemons.words import read_object
from gslb.health.lease import LEASES_MAX, SPAN_MAX_S, SPAN_MIN_S
from gslb.model import WEIGHT_MAX, Address, Pool, Service, Source
from gslb.routing.found import POOL_MEMBERS_MAX, FoundMember

PATH = "/v1/pools/{service}/{region}/members/{address}"
LEASE_DEFAULT_S = 30.0

_HINT = 'send an object, such as {"weight": 3, "lease": "30s"}'


class Registering:
    """Takes registrations into *discovery*; *check* raises RequestError for who may not."""

    def __init__(self, discovery: Discovery, check: Callable[[Asked], bool]) -> None:
        self._discovery = discovery
        self._check = check

    def routes(self) -> tuple[Route, ...]:
        """Return the routes by which members come and go."""
        return (Route("PUT", PATH, self._register), Route("DELETE", PATH, self._leave))

    async def _register(self, asked: Asked) -> web.Response:
        self._check(asked)
        body = await asked.body()
        service, pool, address = self._whom(asked)
        member, span_s = read_registration(body, address)
        written = {m.address: p.region for p in service.pools for m in p.members}
        if address in written:
            problem = f"{address} is configured as a member in {written[address]} already"
            raise RequestError(409, problem, "take it out of the zone's file, or leave it there")
        key, leases = (service.text, pool.region, address), self._discovery.leases
        if not leases.holds(key):
            held = leases.members().get((service.text, pool.region), ())
            if len(held) + len(pool.members) >= POOL_MEMBERS_MAX:
                problem = f"the pool has {POOL_MEMBERS_MAX} members, as many as may be"
                raise RequestError(409, problem, "let some leave, or make several pools of it")
            if len(leases) >= LEASES_MAX:
                problem = f"{LEASES_MAX} leases are held, as many as may be"
                raise RequestError(409, problem, "let some end")
        ends_s = leases.register(key, member, span_s)
        return json_response(
            {
                "address": str(address),
                "service": service.text,
                "region": pool.region,
                "weight": member.weight,
                "source": Source.LEASE.value,
                "lease_s": span_s,
                "until": show_time(ends_s),
            }
        )

    async def _leave(self, asked: Asked) -> web.Response:
        self._check(asked)
        service, pool, address = self._whom(asked)
        self._discovery.leases.leave((service.text, pool.region, address))
        return web.Response(status=204)

    def _whom(self, asked: Asked) -> tuple[Service, Pool, Address]:
        """Return the pool and address that a request is about; raises RequestError."""
        try:
            address = addresses.address(asked.variables["address"])
        except ScalarError as wrong:
            raise RequestError(400, wrong.problem, wrong.hint) from None
        written = asked.variables["service"].lower().removesuffix(".")
        services = {service.text: service for service in self._discovery.configured}
        service = services.get(written)
        if service is None:
            hint = closest(written, services, what="service")
            raise RequestError(404, f"there is no service {written[:255]!r}", hint)
        pools = {pool.region: pool for pool in service.pools}
        region = asked.variables["region"]
        pool = pools.get(region)
        if pool is None:
            hint = closest(region, pools, what="pool")
            raise RequestError(404, f"{service.text} has no pool in {region[:63]!r}", hint)
        if pool.discover is None or not pool.discover.register:
            problem = f"members do not register with the pool {region} of {service.text}"
            raise RequestError(409, problem, "write `discover: {register: true}` in the pool")
        return service, pool, address


def read_registration(body: bytes, address: Address) -> tuple[FoundMember, float]:
    """Return the member that a body says, and its lease in seconds; raises RequestError."""
    whole = read_object(body, _HINT) if body.strip() else {}
    for key in whole:
        if key not in _KEYS:
            hint = closest(key, _KEYS, what="key")
            raise RequestError(400, f"unknown key {key[:60]!r}", hint)
    values: dict[str, object] = {"weight": 1, "lease": LEASE_DEFAULT_S, "probe": None}
    for key, value in whole.items():
        try:
            values[key] = _KEYS[key](value)
        except ScalarError as wrong:
            raise RequestError(400, f"{key}: {wrong.problem}", wrong.hint) from None
    weight, span_s, probe = values["weight"], values["lease"], values["probe"]
    assert isinstance(weight, int)
    assert isinstance(span_s, float)
    assert probe is None or isinstance(probe, tuple)
    return FoundMember(address, weight, probe), span_s


_KEYS: dict[str, Callable[[object], object]] = {
    "weight": scalars.whole(0, WEIGHT_MAX),
    "lease": scalars.duration_s(SPAN_MIN_S, SPAN_MAX_S),
    "probe": lambda value: None if value is None else addresses.target(value),
}
