"""The native engine from Python's side: snapshots handed over as images, and UDP that it answers.

Python compiles and publishes; this hands each snapshot over as octets, encoding only what is
not the same object as before.  What the engine cannot answer (explanations) it hands back.
Where the extension was not built, `IS_BUILT` is False and all runs in Python.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from secrets import randbits

from gslb.config.masterquick import Nodes
from gslb.config.settings import Config, Endpoint
from gslb.daemons.counters import Counted, Counters
from gslb.daemons.protection import Protection
from gslb.daemons.udp import Responds
from gslb.dns.zone import Zone
from gslb.dns.zoneimage import encode_zone
from gslb.errors import Complaint, ConfigError
from gslb.model import Network, RateLimit
from gslb.routing.entryimage import WAYS, encode_entry, encode_facts
from gslb.routing.geo import GeoMap, MapKey
from gslb.routing.image import encode_map
from gslb.routing.ratelimit import Action, Kind
from gslb.routing.snapshot import Plan, Snapshot

try:
    from gslb import _native

    IS_BUILT = True
except ImportError:  # pragma: no cover - where there is no Rust toolchain
    IS_BUILT = False

DEFAULT = "native" if IS_BUILT else "python"
TIDY_EVERY_S = 1.0
HANDED_AT_ONCE_MAX = 16  # then the loop gets a turn


def chosen(config: Config) -> str:
    """Return the engine that *config* asks for on this machine; raises ConfigError."""
    if config.engine == "native" and not IS_BUILT:
        problem = "the native engine is not built here"
        hint = "install gslb where Rust 1.88 or later is, or write `engine: auto`"
        raise ConfigError([Complaint(str(config.file), 1, 1, "engine", problem, hint)])
    return DEFAULT if config.engine == "auto" else config.engine


class Mirror:
    """Native snapshots that answer as the given ones do; each shares what it can with the last."""

    def __init__(self, threads: int = 1) -> None:
        self.tallies = _native.Tallies(threads)
        self._zones: dict[int, tuple[Zone, _native.Zone]] = {}
        self._maps: dict[MapKey, tuple[GeoMap, _native.GeoMap]] = {}
        self._numbers: Mapping[MapKey, int] = {}
        self._explain_to: Sequence[Network] = ()
        self._last: tuple[Snapshot, _native.Snapshot] | None = None

    def of(self, snapshot: Snapshot, explain_to: Sequence[Network] = ()) -> _native.Snapshot:
        """Return *snapshot* as the native engine answers from it."""
        last = self._last
        generation, stale = snapshot.generation, snapshot.stale
        if last is None or last[0].plan is not snapshot.plan or self._explain_to != explain_to:
            plan = self._plan(snapshot.plan, explain_to)
            images = [encode_entry(entry, self._numbers) for entry in snapshot.entries.values()]
            made = _native.Snapshot(plan, images, generation, stale, self.tallies)
        else:
            # Of a snapshot that does not follow the last one all entries may differ.
            follows = snapshot.since == last[0].generation and snapshot.changed is not None
            changed = snapshot.changed if follows else snapshot.entries.keys()
            images = [encode_entry(snapshot.entries[key], self._numbers) for key in changed or ()]
            made = last[1].next(images, generation, stale)
        self._last = (snapshot, made)
        return made

    def _plan(self, plan: Plan, explain_to: Sequence[Network]) -> _native.Plan:
        self._zones = {id(zone): self._zone(zone) for zone in plan.zones.values()}
        self._maps = {key: self._map(key, geo_map) for key, geo_map in plan.maps.items()}
        self._numbers = {key: number for number, key in enumerate(plan.maps)}
        self._explain_to = explain_to
        zones = [made for _, made in self._zones.values()]
        maps = [made for _, made in self._maps.values()]
        return _native.Plan(encode_facts(plan, explain_to), zones, maps)

    def _zone(self, zone: Zone) -> tuple[Zone, _native.Zone]:
        if isinstance(zone.nodes, Nodes):
            return zone, zone.nodes.native
        return self._zones.get(id(zone)) or (zone, _native.Zone(encode_zone(zone)))

    def _map(self, key: MapKey, geo_map: GeoMap) -> tuple[GeoMap, _native.GeoMap]:
        known = self._maps.get(key)
        if known is not None and known[0] is geo_map:
            return known
        if geo_map.file is not None:
            with suppress(OSError, ValueError):  # thrown out of the cache meanwhile, or torn
                return geo_map, _native.GeoMap.open(geo_map.file)
        return geo_map, _native.GeoMap(encode_map(geo_map))


class NativeUdp:
    """Datagrams answered by the native engine's threads, *threads* for each of so many endpoints.

    The threads tell time as the monotonic clock plus an offset in seconds.
    """

    def __init__(
        self,
        responder: Responds,
        counters: Counters,
        *,
        clock_offset_s: float,
        endpoints: int,
        threads: int,
    ) -> None:
        self._responder = responder
        self._counters = counters
        self._threads = threads
        self._engine = _native.Engine(clock_offset_s)
        self._mirror = Mirror(endpoints * threads)
        self._guarded: tuple[RateLimit | None, _native.Guard] | None = None
        self._started = False
        self._tidying: asyncio.TimerHandle | None = None
        counters.elsewhere = self._counted

    def publish(self, snapshot: Snapshot, explain_to: Sequence[Network]) -> None:
        """Answer from *snapshot* from the next datagrams on."""
        served = self._engine.publish(self._mirror.of(snapshot, explain_to))
        assert served, "generations only grow"

    def guard(self, protection: Protection) -> None:
        """Guard answers as *protection* says; buckets stay while their rule does."""
        rule, secrets = protection.rule, list(protection.secrets)
        if self._guarded is not None and self._guarded[0] == rule:
            made = self._guarded[1].with_secrets(secrets)
        else:
            made = _native.Guard(secrets, rule, randbits(64))
        self._guarded = (rule, made)
        self._engine.guard(made)

    def bind(self, endpoint: Endpoint) -> Endpoint:
        """Bind *endpoint* and return it, with the port that port 0 became; raises OSError."""
        try:
            port = self._engine.bind(endpoint.host, endpoint.port, self._threads)
        except OSError as error:
            raise OSError(error.errno, f"{os.strerror(error.errno or 0)}: {endpoint}") from None
        return Endpoint(endpoint.host, port)

    def release(self, endpoint: Endpoint) -> None:
        """Let go of an endpoint that was bound and not started."""
        self._engine.unbind(endpoint.host, endpoint.port)

    def start(self) -> None:
        """Answer at all endpoints that are bound."""
        self._engine.start()
        asyncio.get_running_loop().add_reader(self._engine.fileno(), self._answer_handed)
        self._started = True
        self._tidy()

    def close(self) -> None:
        """Answer what has come in, and stop."""
        if self._started:
            asyncio.get_running_loop().remove_reader(self._engine.fileno())
        if self._tidying is not None:
            self._tidying.cancel()
        self._engine.close()
        while self._answer_handed():
            pass

    def _tidy(self) -> None:
        """Let go of old snapshots, now and every so often until this is closed."""
        self._engine.tidy()
        self._tidying = asyncio.get_running_loop().call_later(TIDY_EVERY_S, self._tidy)

    def _answer_handed(self) -> int:
        """Answer some of what the threads could not, and return how many that was."""
        handed = self._engine.take(HANDED_AT_ONCE_MAX)
        for each in handed:
            octets = self._responder.respond(each.wire, str(ip_address(each.sender)), "udp")
            if octets is None:
                continue
            try:
                each.answer(octets)
            except OSError:
                self._counters.events["gslb_dropped_datagrams"] += 1
        return len(handed)

    def _counted(self) -> Counted:
        dropped, handed, refused, errors = self._engine.events()
        counted = Counted()
        counted.events.update(
            gslb_dropped_datagrams=dropped,
            gslb_handed_queries=handed,
            gslb_refused_queries=refused,
            gslb_errors=errors,
        )
        for number, slipped, count in self._engine.limited():
            action = Action.SLIP if slipped else Action.DROP
            counted.limited[Kind(number).name.lower(), action.value] += count
        for type_, rcode, count in self._engine.queries():
            counted.queries["udp", type_, rcode] += count
        for service, way, count in self._mirror.tallies.told():
            counted.answers[service, WAYS[way].value] += count
        return counted
