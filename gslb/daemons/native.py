"""The native engine from Python's side: snapshots handed over as images, and UDP that it answers.

Python compiles and publishes; this hands each snapshot over as octets, encoding only what is
not the same object as before.  What the engine cannot answer (explanations) it hands back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from secrets import randbits

from gslb.config.fields import THREADS_MAX
from gslb.config.masterquick import Nodes
from gslb.config.settings import Config, Endpoint
from gslb.daemons.counters import Counted, Counters
from gslb.daemons.protection import Protection
from gslb.daemons.udp import Responds
from gslb.dns.zone import Zone
from gslb.dns.zoneimage import encode_zone
from gslb.model import Network, RateLimit
from gslb.nativecode import IS_BUILT
from gslb.routing.entryimage import WAYS, encode_entry, encode_facts
from gslb.routing.geo import GeoMap, MapKey
from gslb.routing.image import encode_map
from gslb.routing.ratelimit import Action, Kind
from gslb.routing.snapshot import Entry, Plan, Snapshot

if IS_BUILT:
    from gslb import _native

DEFAULT = "native" if IS_BUILT else "python"
TIDY_EVERY_S = 1.0
HANDED_AT_ONCE_MAX = 16  # then the loop gets a turn


def chosen(config: Config) -> str:
    """Return the engine that *config* asks for; that it is there has been checked."""
    return DEFAULT if config.engine == "auto" else config.engine


def threads_of(config: Config, cores: int) -> int:
    """Return how many threads answer at each address: one for each core unless it is written."""
    return config.threads or max(1, min(cores, THREADS_MAX // len(config.listen_dns)))


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as the native engine has it, with the numbers of its geo maps."""

    plan: Plan
    explain_to: Sequence[Network]
    native: _native.Plan
    zones: Mapping[int, tuple[Zone, _native.Zone]]
    maps: Mapping[MapKey, tuple[GeoMap, _native.GeoMap]]
    numbers: Mapping[MapKey, int]


class Mirror:
    """Native snapshots that answer as the given ones do; each shares what it can with the last."""

    def __init__(self, threads: int = 1) -> None:
        self.tallies = _native.Tallies(threads)
        self._planned: Planned | None = None
        self._last: tuple[Snapshot, _native.Snapshot] | None = None
        self._ahead: tuple[Planned, Mapping[bytes, tuple[Entry, bytes]]] | None = None

    def prepare(self, snapshot: Snapshot, explain_to: Sequence[Network]) -> None:
        """Turn a plan and entries that will soon be published into images; in any thread."""
        planned = self._plan(snapshot.plan, explain_to)
        entries = snapshot.entries.items()
        images = {key: (entry, encode_entry(entry, planned.numbers)) for key, entry in entries}
        self._ahead = (planned, images)

    def of(self, snapshot: Snapshot, explain_to: Sequence[Network] = ()) -> _native.Snapshot:
        """Return *snapshot* as the native engine answers from it."""
        last, planned = self._last, self._planned
        generation, stale = snapshot.generation, snapshot.stale
        if last is None or not _fits(planned, snapshot, explain_to):
            planned, images = self._whole(snapshot, explain_to)
            made = _native.Snapshot(planned.native, images, generation, stale, self.tallies)
            self._planned, self._ahead = planned, None
        else:
            assert planned is not None
            # Of a snapshot that does not follow the last one all entries may differ.
            follows = snapshot.since == last[0].generation and snapshot.changed is not None
            changed = snapshot.changed if follows else snapshot.entries.keys()
            images = [encode_entry(snapshot.entries[key], planned.numbers) for key in changed or ()]
            made = last[1].next(images, generation, stale)
        self._last = (snapshot, made)
        return made

    def _whole(
        self, snapshot: Snapshot, explain_to: Sequence[Network]
    ) -> tuple[Planned, list[bytes]]:
        """Return a snapshot's plan and all its entries, those that were prepared as they are."""
        known: Mapping[bytes, tuple[Entry, bytes]] = {}
        if self._ahead is not None and _fits(self._ahead[0], snapshot, explain_to):
            planned, known = self._ahead
        else:
            planned = self._plan(snapshot.plan, explain_to)
        images = []
        for key, entry in snapshot.entries.items():
            before, image = known.get(key, (None, b""))
            images.append(image if before is entry else encode_entry(entry, planned.numbers))
        return planned, images

    def _plan(self, plan: Plan, explain_to: Sequence[Network]) -> Planned:
        zones = {id(zone): self._zone(zone) for zone in plan.zones.values()}
        maps = {key: self._map(key, geo_map) for key, geo_map in plan.maps.items()}
        facts = encode_facts(plan, explain_to)
        made = _native.Plan(
            facts, [made for _, made in zones.values()], [made for _, made in maps.values()]
        )
        numbers = {key: number for number, key in enumerate(plan.maps)}
        return Planned(plan, explain_to, made, zones, maps, numbers)

    def _zone(self, zone: Zone) -> tuple[Zone, _native.Zone]:
        if isinstance(zone.nodes, Nodes):
            return zone, zone.nodes.native
        known = None if self._planned is None else self._planned.zones.get(id(zone))
        return known or (zone, _native.Zone(encode_zone(zone)))

    def _map(self, key: MapKey, geo_map: GeoMap) -> tuple[GeoMap, _native.GeoMap]:
        known = None if self._planned is None else self._planned.maps.get(key)
        if known is not None and known[0] is geo_map:
            return known
        if geo_map.file is not None:
            with suppress(OSError, ValueError):  # thrown out of the cache meanwhile, or torn
                return geo_map, _native.GeoMap.open(geo_map.file)
        return geo_map, _native.GeoMap(encode_map(geo_map))


def _fits(planned: Planned | None, snapshot: Snapshot, explain_to: Sequence[Network]) -> bool:
    return (
        planned is not None and planned.plan is snapshot.plan and planned.explain_to == explain_to
    )


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

    def prepare(self, snapshot: Snapshot, explain_to: Sequence[Network]) -> None:
        """Make ready what will soon be published; in any thread."""
        self._mirror.prepare(snapshot, explain_to)

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
