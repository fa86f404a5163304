"""`gslb geo`: the database's word on an address, and the compiled maps."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated

import typer

from gslb.cli.progress import progress_bar
from gslb.cli.shown import complaints, fail, show_json, show_table
from gslb.daemons import planner
from gslb.daemons.database import Cache, DatabaseError, Progress, look_up, open_atlas, open_maps
from gslb.daemons.explainer import place_json, rungs_text
from gslb.daemons.planner import World
from gslb.errors import Complaint, ConfigError
from gslb.model import Address, Nearest, Place, Step
from gslb.routing.centroids import CENTRES
from gslb.routing.explain import show_step
from gslb.routing.geo import TRANSITION, Atlas, MapKey, as_looked_up
from gslb.routing.image import encode_map
from gslb.routing.mmdb import place_from
from gslb.routing.snapshot import map_keys

app = typer.Typer(
    help="The geo database's word on an address, and the compiled maps.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_CONFIG = Path("gslb.yaml")

ConfigOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The main file; default: ./gslb.yaml.", readable=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Ordered:
    """The order of regions that an address gets of one service and family, and its scope."""

    service: str
    type: str
    rungs: tuple[tuple[str, ...], ...]
    scope: int


@dataclass(frozen=True, slots=True)
class Word:
    """What the databases say of an address; `network` is the widest that they say it of.

    `kind` is known, unknown, or transition: a network that says nothing of where a client
    is.  `looked_up` is the address under which it is looked up: of an IPv4-mapped one, IPv4.
    """

    address: str
    looked_up: str
    kind: str
    network: str | None
    place: Place
    services: tuple[Ordered, ...] = ()


@app.command("lookup")
def lookup(
    address: Annotated[str, typer.Argument(metavar="IP", help="An IPv4 or IPv6 address.")],
    config: ConfigOption = None,
    database: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An MMDB file, in place of a config.", readable=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the geo database knows of an address, and which regions its services order.

    \b
    examples:
      gslb geo lookup 203.0.113.9
      gslb geo lookup 2001:db8::1 --config gslb.yaml --json
      gslb geo lookup 203.0.113.9 --database GeoLite2-City.mmdb

    exit status: 0 well, known or not, 1 the input is wrong, 2 wrong usage
    """
    if config is not None and database is not None:
        raise typer.BadParameter("give --config or --database, not both")
    client = _address(address)
    with complaints():
        if database is not None:
            word = _word([database], client)
        else:
            read = planner.read(config or DEFAULT_CONFIG)
            word = _word([read.geo_database, read.asn_database], client)
            with progress_bar() as progress:
                world = planner.make(read, planner.cache_of(read), progress)
            word = replace(word, services=tuple(_orders(world, client)))
    if as_json:
        show_json({**asdict(word), "place": place_json(word.place)})
    else:
        show_word(word)


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not an address; write 192.0.2.1 or 2001:db8::1"
        ) from None


def _word(paths: list[Path | None], client: Address) -> Word:
    """Return what a geographic database and perhaps one of ASNs say of an address."""
    version, number = as_looked_up(client)
    address = IPv4Address(number) if version == 4 else IPv6Address(number)
    found: list[tuple[object, int]] = []
    for path in paths:
        try:
            found.append((None, 0) if path is None else _record(path, address))
        except DatabaseError as error:
            raise fail(str(error), "give a readable MMDB file") from None
    records = [record for record, _ in found]
    told = [length for record, length in found if record is not None]
    place = place_from(records[0], records[-1])
    kind = "known" if place != Place() else "unknown"
    if any(address in network for network in TRANSITION):
        kind = "transition"
    network = ip_network((address, max(told)), strict=False) if told else None
    return Word(str(client), str(address), kind, None if network is None else str(network), place)


def _record(path: Path, address: Address) -> tuple[object, int]:
    """Return a database's record and prefix length; one of IPv4 alone knows no IPv6."""
    try:
        return look_up(path, address)
    except DatabaseError:
        if address.version == 4:
            raise
        look_up(path, IPv4Address(0))  # raises again unless it is the address that was wrong
        return None, 0


def _orders(world: World, client: Address) -> Iterator[Ordered]:
    version, number = as_looked_up(client)
    for service in world.config.services():
        for family, key in map_keys(service).items():
            geo_map = world.plan.maps[key]
            index, scope = geo_map.find(version, number)
            yield Ordered(service.text, family.name, geo_map.orders[index], scope)


def show_word(word: Word) -> None:
    """Print what is known of an address."""
    print(f"{word.address}: {_KINDS[word.kind]}")
    if word.looked_up != word.address:
        print(f"  looked up as {word.looked_up}: IPv6 that stands for IPv4 counts as IPv4")
    for label, text in _facts(word):
        print(f"  {label:<10} {text}")
    if word.services:
        print()
        rows = [(s.service, s.type, rungs_text(s.rungs), f"/{s.scope}") for s in word.services]
        show_table(("service", "type", "order of regions", "scope"), rows)


_KINDS = {
    "known": "known",
    "unknown": "not known to the database",
    "transition": "a transition network, which says nothing of where a client is: unknown",
}


def _facts(word: Word) -> Iterator[tuple[str, str]]:
    place = word.place
    if word.network is not None:
        yield "network", word.network
    if place.country is not None:
        yield "country", place.country
    if place.continent is not None:
        yield "continent", place.continent
    if place.location is not None:
        yield "location", "{:g}, {:g}".format(*place.location)
    elif place.country is not None and (centre := CENTRES.get(place.country)):
        yield "location", "{:g}, {:g} (the country's centre stands in)".format(*centre)
    if place.asn is not None:
        yield "ASN", f"AS{place.asn}"


@dataclass(frozen=True, slots=True)
class BuiltAtlas:
    """The databases walked: runs of addresses, distinct places, and what it took."""

    databases: tuple[str, ...]
    places: int
    runs_ipv4: int
    runs_ipv6: int
    took_s: float
    cached: bool


@dataclass(frozen=True, slots=True)
class BuiltMap:
    """One geo map, the services that share it, its sizes, and what it took."""

    steps: str
    regions: tuple[str, ...]
    services: tuple[str, ...]
    orders: int
    runs_ipv4: int
    runs_ipv6: int
    image_bytes: int
    took_s: float
    cached: bool


@app.command("build")
def build(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Walk the databases, compile every geo map, and keep both in the state directory.

    A node that starts afterwards reads them from there.  Prints a line for each map.

    exit status: 0 built, 1 the configuration or a database is wrong, 2 wrong usage
    """
    with complaints():
        read = planner.read(config or DEFAULT_CONFIG)
        if broken := [each for zone in read.broken for each in zone.complaints]:
            raise ConfigError(broken)
        cache = planner.cache_of(read)
        sharing: dict[MapKey, list[str]] = defaultdict(list)
        for service in read.services():
            for key in map_keys(service).values():
                sharing[key].append(service.text)
        with progress_bar() as progress:
            paths = (read.geo_database, read.asn_database)
            try:
                atlas, built = _walked(paths, cache, progress)
            except DatabaseError as error:
                hint = "put a readable MMDB file there, or write `database: null`"
                complaint = Complaint(str(read.file), 1, 1, "geo", str(error), hint)
                raise ConfigError([complaint]) from None
            maps = []
            for number, key in enumerate(sharing):
                progress("compiling geo maps", number / len(sharing))
                watch = _Watch(progress, number, len(sharing))
                began_s = time.perf_counter()
                geo_map = open_maps([key], atlas, read.regions, cache, watch)[key]
                took_s = time.perf_counter() - began_s
                maps.append(
                    BuiltMap(
                        steps=", ".join(map(_step_text, key.steps)) or "weighted",
                        regions=key.names,
                        services=tuple(dict.fromkeys(sharing[key])),
                        orders=len(geo_map.orders),
                        runs_ipv4=len(geo_map.ipv4),
                        runs_ipv6=len(geo_map.ipv6),
                        image_bytes=len(encode_map(geo_map)),
                        took_s=took_s,
                        cached=not watch.worked,
                    )
                )
    if as_json:
        show_json({"atlas": asdict(built), "maps": [asdict(each) for each in maps]})
    else:
        show_built(built, maps)


def _step_text(step: Step) -> str:
    """Return a step with what tells it from others of its kind."""
    if not isinstance(step, Nearest):
        return show_step(step)
    within = f" within {step.within_km:g} km" if step.within_km else ""
    return "nearest" + within + (" with bias" if step.bias_km else "")


@dataclass(slots=True)
class _Watch:
    """Progress passed on as a part of the whole; it tells work from what was in the cache."""

    progress: Progress
    number: int
    count: int
    worked: bool = False

    def __call__(self, what: str, part: float) -> None:
        self.worked = self.worked or part < 1
        self.progress(what, (self.number + part) / self.count)


def _walked(
    paths: tuple[Path | None, Path | None], cache: Cache, progress: Progress
) -> tuple[Atlas, BuiltAtlas]:
    watch = _Watch(progress, 0, 1)
    began_s = time.perf_counter()
    atlas = open_atlas(*paths, cache, watch)
    took_s = time.perf_counter() - began_s
    built = BuiltAtlas(
        databases=tuple(str(path) for path in paths if path is not None),
        places=len(atlas.places) - 1,
        runs_ipv4=len(atlas.ipv4),
        runs_ipv6=len(atlas.ipv6),
        took_s=took_s,
        cached=not watch.worked,
    )
    return atlas, built


def show_built(atlas: BuiltAtlas, maps: list[BuiltMap]) -> None:
    """Print the sizes of what was built."""
    print(f"databases: {', '.join(atlas.databases) or 'none: all clients are the same'}")
    if atlas.databases:
        print(
            f"  {atlas.places} places, {atlas.runs_ipv4} IPv4 and {atlas.runs_ipv6} IPv6 runs, "
            f"{_time_text(atlas.took_s, cached=atlas.cached)}"
        )
    if maps:
        print()
    columns = ("steps", "regions", "services", "orders", "IPv4", "IPv6", "image", "time")
    rows = [
        (
            each.steps,
            " ".join(each.regions),
            " ".join(each.services),
            each.orders,
            each.runs_ipv4,
            each.runs_ipv6,
            _size_text(each.image_bytes),
            _time_text(each.took_s, cached=each.cached),
        )
        for each in maps
    ]
    if rows:
        show_table(columns, rows)


def _time_text(took_s: float, *, cached: bool) -> str:
    return f"{took_s:.3f} s" + (" from the cache" if cached else "")


def _size_text(size_bytes: int) -> str:
    if size_bytes < 1 << 20:
        return f"{size_bytes / 1024:.1f} KiB"
    return f"{size_bytes / (1 << 20):.1f} MiB"
