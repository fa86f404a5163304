"""What the tier's main process and its workers tell each other, over a pair of sockets.

A worker is told whole things: its brief, when files or members changed, and all that is believed of
members, when that did.  It tells what it counts, once a second and whole, and whom it suspects, at
once.  Messages are pickled: both ends are processes of the same program that nobody else reaches.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from gslb.health.belief import Belief
from gslb.model import Region, Service
from gslb.tier import Tier

MESSAGE_MAX: Final = 256 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")

# What is believed of each member, by the service's text ("" for proxies) and the address's.
Believed = Mapping[tuple[str, str], Belief]


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a worker needs of a configuration, and the addresses at which it listens.

    `engine` is that of the configuration: unless it is ``python``, heads are cut natively.
    """

    tier: Tier
    region: str
    addresses: tuple[str, ...]
    services: tuple[Service, ...]
    regions: Mapping[str, Region]
    workers: int
    state_dir: Path
    geo_database: Path | None
    asn_database: Path | None
    engine: str


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What is believed of all members now."""

    of: Believed


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more connections, finish what runs, and end within `within_s`."""

    within_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker listens by its newest brief; `problem` says why it could not take it over."""

    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """Real requests failed at a member: of this service, at this address."""

    service: str
    address: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker counted since it began, and how it stands now.

    `counts` are numbers by a metric's name and its labels' values; `times` are histograms of
    seconds by route, of which the last two numbers are sum and count.  `members` tell of each
    target: what is under way, connections, who waits, and the state of its circuit.
    """

    counts: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    times: Mapping[str, list[float]] = field(default_factory=dict)
    members: tuple[Mapping[str, Any], ...] = ()
    connections: int = 0
    active: int = 0


class Line(asyncio.Protocol):
    """One end of the pair: `say` sends a message, *on_message* hears each that comes.

    *on_close* is called when the other end is there no more.
    """

    def __init__(
        self, on_message: Callable[[Any], None], on_close: Callable[[], None] = lambda: None
    ) -> None:
        self._on_message = on_message
        self._on_close = on_close
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    async def open(self, sock: socket.socket) -> None:
        """Speak over *sock*; messages may come in before this returns."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=sock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, octets: bytes) -> None:
        """Take in what came."""
        buffer = self._buffer
        buffer += octets
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if len(buffer) < _LENGTH.size + length:
                return
            message = bytes(buffer[_LENGTH.size : _LENGTH.size + length])
            del buffer[: _LENGTH.size + length]
            self._on_message(pickle.loads(message))

    def connection_lost(self, error: Exception | None) -> None:
        """Take in that the other end is gone."""
        self._transport = None
        self._on_close()

    def say(self, message: object) -> None:
        """Send *message*; it is lost if the other end is gone."""
        if self._transport is not None:
            octets = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
            assert len(octets) < MESSAGE_MAX, "a message beyond all measure"
            self._transport.write(_LENGTH.pack(len(octets)) + octets)

    def close(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()
