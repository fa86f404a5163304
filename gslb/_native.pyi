"""The fast engine: datagrams answered from snapshot images, in threads without the interpreter.

What is given and taken is octets, numbers and these values, all of them frozen.  An image that
is torn, of another kind, or contradicts itself is refused with ValueError.
"""

from collections.abc import Callable
from os import PathLike
from typing import final

from gslb.model import RateLimit
from gslb.proxy.accesslog import Entry

__all__ = [
    "VERSION",
    "Engine",
    "GeoMap",
    "Guard",
    "Handed",
    "HeadCutter",
    "Plan",
    "Snapshot",
    "Tallies",
    "Walked",
    "Zone",
    "give_back",
    "join",
    "log_line",
    "overlay_ipv4",
    "overlay_ipv6",
    "read_zone",
    "walk",
]

VERSION: int

_Ipv4 = tuple[bytes, bytes]
_Ipv6 = tuple[bytes, bytes, bytes]

_Fields = list[tuple[bytes, bytes]]

@final
class HeadCutter:
    """Cuts heads of HTTP/1.1 that are plainly right: a `gslb.proxy.headreader.Cutter`.

    *here_alone* and *others* are names of fields in lower case, without double; those in
    *here_alone* are not passed on.
    """

    def __new__(cls, here_alone: list[bytes], others: list[bytes]) -> HeadCutter: ...
    def request(self, octets: bytes) -> tuple[bytes, bytes, _Fields, _Fields, _Fields] | None:
        """Return method, target, all fields, those that are passed on, and the others."""

    def response(self, octets: bytes) -> tuple[int, bytes, _Fields, _Fields, _Fields] | None:
        """Return status, reason phrase, all fields, those that are passed on, and the others."""

def log_line(entry: Entry) -> bytes:
    """Return the line of an entry, octet for octet as `gslb.proxy.accesslog` shows it."""

@final
class Zone:
    """A zone, from the image of `gslb.dns.zoneimage`."""

    def __new__(cls, image: bytes) -> Zone: ...
    def node(self, name: bytes) -> bytes | None:
        """Return what stands at a lower-case name, for `decode_node`; None where no node is."""

    def names(self) -> list[bytes]:
        """Return the names of all nodes, in no order."""

    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

def read_zone(
    text: bytes,
    apex: bytes,
    services: list[bytes],
    records_max: int,
    ask: Callable[[bytes, bytes, bytes], tuple[int, bytes] | None],
) -> Zone | int:
    """Return the zone *apex* that a master file's *text* describes, with its *services*.

    Names are in lower-case wire form.  What is declined is the line of the entry at which
    reading stopped, or 0 where the zone as a whole is: a mistake, something doubtful or rare, or
    more than *records_max* records.  Nothing is said of it here.  Other threads run meanwhile.

    Data that needs a second look is asked for: *ask* gets the type's mnemonic, the data as text
    and the origin, and returns the type and the rdata in wire form, which must be canonical,
    or None to decline.  What it raises is raised here.
    """

def give_back() -> None:
    """Give memory that was let go of back to the system; after large work, it is a lot."""

@final
class GeoMap:
    """A geo map over its image: copied, or mapped with `open`."""

    def __new__(cls, image: bytes) -> GeoMap: ...
    @staticmethod
    def open(path: str | PathLike[str]) -> GeoMap: ...
    def find(self, version: int, address: int) -> tuple[int, int]: ...
    @property
    def orders(self) -> int: ...

@final
class Walked:
    """One database, walked."""

def walk(
    octets: bytes, node_count: int, record_size: int, ip_version: int, asns: bool
) -> Walked: ...
def join(cities: Walked | None, asns: Walked | None, digest: str) -> bytes: ...
def overlay_ipv4(one: _Ipv4, other: _Ipv4, combine: Callable[[int, int], int]) -> _Ipv4: ...
def overlay_ipv6(one: _Ipv6, other: _Ipv6, combine: Callable[[int, int], int]) -> _Ipv6: ...

@final
class Tallies:
    """What is counted of each service by so many threads, for as long as the program runs."""

    def __new__(cls, threads: int) -> Tallies: ...
    def told(self) -> list[tuple[str, int, int]]:
        """Return service, number of the way, and count, where that is not 0."""

@final
class Plan:
    """What the files say: facts (`gslb.routing.entryimage`), zones and geo maps."""

    def __new__(cls, facts: bytes, zones: list[Zone], maps: list[GeoMap]) -> Plan: ...

@final
class Snapshot:
    """A plan and the choices of all its services, from the images of their entries."""

    def __new__(
        cls, plan: Plan, entries: list[bytes], generation: int, stale: bool, tallies: Tallies
    ) -> Snapshot: ...
    def next(self, changed: list[bytes], generation: int, stale: bool) -> Snapshot:
        """Return the snapshot that follows, with other choices for some of the services."""

    def respond(
        self,
        wire: bytes,
        sender: bytes,
        draw: int,
        now_s: float,
        size_max: int,
        guard: Guard | None = None,
    ) -> tuple[bytes | None, int, int | None, str | None, int, tuple[int, bool] | None] | None:
        """Answer one message, as `gslb.routing.respond` does; None if another engine must.

        Octets (None: silence), type asked for, response code, service, number of the way, and
        of an answer above its rate the kind's number and whether it slipped through.
        *sender* has 4 or 16 octets.
        """

@final
class Guard:
    """Secrets of server cookies, 16 octets each, and a limiter whose key nobody can guess."""

    def __new__(
        cls, secrets: list[bytes], rule: RateLimit | None = None, key: int = 0
    ) -> Guard: ...
    def with_secrets(self, secrets: list[bytes]) -> Guard:
        """Return a guard with the same buckets and other secrets."""

@final
class Handed:
    """A query that another engine must answer, with the way back."""

    @property
    def wire(self) -> bytes:
        """The query as it came."""

    @property
    def sender(self) -> bytes:
        """The address that it came from: 4 or 16 octets."""

    def answer(self, octets: bytes) -> None:
        """Send the answer back; raises OSError."""

@final
class Engine:
    """Threads that answer UDP queries from the snapshot that was published last.

    They tell time as the monotonic clock plus an offset in seconds.
    """

    def __new__(cls, clock_offset_s: float) -> Engine: ...
    def bind(self, host: str, port: int, threads: int) -> int:
        """Bind sockets for so many threads and return the port; raises OSError."""

    def unbind(self, host: str, port: int) -> None:
        """Let go of the sockets at an address."""

    def start(self) -> None:
        """Start the threads of all sockets that are bound."""

    def publish(self, snapshot: Snapshot) -> bool:
        """Serve *snapshot* from the next datagrams on; False if a newer one is served."""

    def tidy(self) -> None:
        """Free the snapshots that no thread answers from any longer."""

    def guard(self, guard: Guard) -> None:
        """Guard answers in another way from the next datagrams on."""

    def limited(self) -> list[tuple[int, bool, int]]:
        """Return number of the kind, whether it slipped, and count, of answers above their rate."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when queries wait to be taken."""

    def take(self, most: int) -> list[Handed]:
        """Take at most so many of the queries that wait."""

    def queries(self) -> list[tuple[int, int, int]]:
        """Return type (0 for others), response code, and count, where that is not 0."""

    def events(self) -> tuple[int, int, int, int]:
        """Return datagrams dropped, queries handed on, those refused there, errors of ours."""

    def close(self) -> None:
        """Answer what has come in, and stop the threads."""
