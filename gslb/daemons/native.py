"""UDP answered by the native engine, from Python's side: bound, published to, counted.

What the engine's threads cannot answer, explanations, they hand on to be answered here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from ipaddress import ip_address
from secrets import randbits

from gslb.config.fields import THREADS_MAX
from gslb.config.settings import Config, Endpoint
from gslb.daemons.counters import Counted, Counters
from gslb.daemons.mirror import Mirror
from gslb.daemons.protection import Protection
from gslb.daemons.udp import Responds
from gslb.model import Network, RateLimit
from gslb.nativecode import IS_BUILT
from gslb.routing.entryimage import WAYS
from gslb.routing.ratelimit import Action, Kind
from gslb.routing.snapshot import Snapshot

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


def give_back() -> None:
    """Give memory that was let go of back to the system, where native code can."""
    if IS_BUILT:
        _native.give_back()


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
