"""What is served: one zone with plain names and services, the same for every server.

The zone is example.com.  `fixed` is a plain A record, and so are `h0`, `h1`, … as many as the
case says.  `www`, or `s0`, `s1`, … where a case has several services, goes to the client's
part of the world, and there to one of the place's members, weighted 3 : 1 : 3 : 1 ….
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIXED = "fixed.example.com"
SERVICE = "www.example.com"
LUA_SERVICE = "lua.example.com"
# The load generator puts random letters in place of the first label.
MISSING = "nosuchnamexx.example.com"

PLACES: Mapping[str, tuple[float, float]] = {
    "us-east": (39.0, -77.5),
    "eu-west": (53.3, -6.3),
    "ap-south": (1.4, 103.8),
}
CONTINENTS = {
    "NA": "us-east",
    "SA": "us-east",
    "EU": "eu-west",
    "AF": "eu-west",
    "AS": "ap-south",
    "OC": "ap-south",
    "AN": "ap-south",
}
WEIGHTS = (3, 1)
TTL_S = 30
SOA = "ns1 hostmaster {serial} 3600 900 86400 30"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens, and with how many threads (or processes) for UDP."""

    address: str
    port: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """How much is served: services of so many members in all, plain names, and a geo database.

    With `shared` members the services all stand on the same hosts.
    """

    database: Path | None
    services: int = 1
    members: int = 6
    names: int = 0
    shared: bool = False

    def service_names(self) -> list[str]:
        """Return the services' owner names, relative to the zone."""
        return ["www"] if self.services == 1 else [f"s{n}" for n in range(self.services)]

    def pools(self, service: int) -> dict[str, list[tuple[str, int]]]:
        """Return each place's members of a service, as addresses with weights."""
        service = 0 if self.shared else service
        pools: dict[str, list[tuple[str, int]]] = {place: [] for place in PLACES}
        for member, place in zip(range(self.members), _again(tuple(PLACES)), strict=False):
            pool = pools[place]
            number = service * -(-self.members // len(PLACES)) + len(pool) + 1
            third, fourth = divmod(number, 256)
            first = 1 + member % len(PLACES)
            second, third = divmod(third, 256)
            address = f"127.{first + 3 * second}.{third}.{fourth}"
            pool.append((address, WEIGHTS[len(pool) % len(WEIGHTS)]))
        return pools

    def write_zone(self, path: Path, more: Sequence[str] = (), *, serial: int = 1) -> None:
        """Write the master file (RFC 1035 5) with the plain names, and *more* lines."""
        with path.open("w") as out:
            soa = SOA.format(serial=serial)
            out.write(f"$ORIGIN example.com.\n$TTL {TTL_S}\n@ SOA {soa}\n@ NS ns1\n")
            out.write("ns1 A 192.0.2.53\nfixed A 192.0.2.80\n")
            out.writelines(f"h{n} A 192.0.2.{n % 256}\n" for n in range(self.names))
            out.writelines(f"{line}\n" for line in more)


def _again(values: Sequence[str]) -> Iterator[str]:
    while True:
        yield from values
