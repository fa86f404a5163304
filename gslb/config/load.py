"""All configuration files of a node → one `Config`, or every complaint there is.

The main file decides whether there is anything to serve: if it, or what only it names, is
wrong, `load` raises.  A zone that is wrong is left out and stands in `Config.broken`; the
others are served.  Where its version before is known, that is served, and it stands in `kept`.

Paths are relative to the file that they stand in.  Told to operators they stay as they were
written, or from the working directory inside it; in the `Config` they are absolute.
Those to be watched go through the links that they were written through, since a link that is
swapped changes what is behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gslb.config import zonefile
from gslb.config.carriers import HAS_NATS
from gslb.config.digest import digest, tier_digest
from gslb.config.kept import Sorted, keep
from gslb.config.mainfile import Main, MainReader
from gslb.config.named import ZoneFiles, as_watched, beside
from gslb.config.nodes import At, Sheet
from gslb.config.secrets import SecretReader
from gslb.config.settings import Config, ServedZone
from gslb.config.tierfiles import Need, TierFiles
from gslb.config.tiers import TierReader
from gslb.config.yamlfile import UnreadableError, parse, read_bytes
from gslb.config.zonefile import ReadZone
from gslb.dns import name
from gslb.errors import Complaint, ConfigError
from gslb.model import Service
from gslb.tier import Tier


def load(
    path: Path,
    *,
    hostname: str,
    environ: Mapping[str, str],
    vantage: str | None = None,
    has_nats: bool = HAS_NATS,
    region: str | None = None,
    tier_files: Need = Need.NONE,
    before: Iterable[ServedZone] = (),
) -> Config:
    """Return what the main file *path* and all files that it names say.

    *vantage* names the voter that it is read for, if that is a process of its own: its host
    needs the key of this voter, and neither the other keys, nor databases, static records or
    measurements.  *region* names the region that it is read for, if that is an L7 proxy: its host
    needs the files of the tier, and of a node's secrets none.  On other hosts *tier_files* says how
    much of the tier's files is looked at.  *has_nats* says whether nats-py is installed.  Of zones
    that have become broken, the version *before* stays.

    Raises ConfigError, with the complaints about all files, if the main file cannot be used.
    """
    sheet = Sheet(str(path))
    try:
        top = parse(read_bytes(path), sheet)
    except UnreadableError as error:
        if error.problem:
            sheet.wrong(1, 1, error.problem, error.hint)
        raise ConfigError(sheet.complaints) from None
    folder = path.parent
    reader = MainReader(
        top, lambda written: beside(folder, written), environ, hostname, vantage, has_nats, region
    )
    main = reader.read()
    if main is None:
        raise ConfigError(sheet.complaints)
    named = ZoneFiles(folder)
    for index, written in enumerate(main.spec.zones):
        named.add(written, top / "zones" / index)
    zones = [
        zonefile.read(zone_path, at, main.known, is_served=vantage is None)
        for zone_path, at in named.zones
    ]
    found = keep(_sorted_out(zones), before, main.known)
    wrong = (*found.kept, *found.broken)
    tier = None
    if vantage is None:
        need = tier_files if region is None else Need.ALL
        tier = _tier(reader, main, [*_services(found, zones)], need, is_whole=not wrong)
    files = {path, *reader.files, *(file for zone in zones for file in zone.files)}
    if sheet.complaints:
        raise ConfigError(
            [*sheet.complaints, *(note for z in wrong for note in z.complaints)],
            files=frozenset(map(as_watched, files)),
        )
    if not wrong:
        _warn_of_unused(main, top, found.served)
    config = _config(path, main, found, sheet, zones, files, named.folders)
    tier_hash = "" if tier is None or region is None else tier_digest(tier)
    return replace(config, tier=tier, tier_hash=tier_hash)


def _services(found: Sorted, zones: Iterable[ReadZone]) -> Iterator[Service]:
    """Yield the services of all zones; of those that cannot be served, what can be read of them."""
    broken = {each.file for each in found.broken}
    for zone in zones:
        if zone.path.absolute() in broken:
            yield from zone.services
    for served in found.served:
        yield from served.services  # behind, since of two of one name the last one counts


def _tier(
    reader: MainReader, main: Main, services: Iterable[Service], need: Need, *, is_whole: bool
) -> Tier | None:
    """Return the L7 tier, whose routes may name *services*; not all of these if not *is_whole*."""
    secrets = SecretReader(reader.named, reader.environ)
    files = TierFiles(need, reader.named, reader.beside, secrets)
    read = TierReader(reader.top, main.known, files, reader.region)
    return read.read(main.spec.proxy, services, is_whole=is_whole)


def _config(
    path: Path,
    main: Main,
    found: Sorted,
    sheet: Sheet,
    zones: Iterable[ReadZone],
    files: Iterable[Path],
    folders: Iterable[Path],
) -> Config:
    spec = main.spec
    files = frozenset(files)
    warnings = {*sheet.warnings, *(note for zone in zones for note in zone.warnings)}
    return Config(
        file=path.absolute(),
        node=main.node,
        state_dir=beside(path.parent, spec.state_dir).absolute(),
        listen_dns=tuple(spec.listen.dns),
        listen_admin=spec.listen.admin,
        zones=found.served,
        broken=found.broken,
        kept=found.kept,
        geo_database=main.own.geo_database,
        asn_database=main.own.asn_database,
        engine=spec.engine,
        threads=spec.threads,
        geo_max_moved=spec.geo.max_moved,
        regions=main.known.regions,
        monitors=main.known.monitors,
        explain_to=tuple(spec.explain_to),
        admin_token=main.own.admin_token,
        quorum=main.quorum,
        vantage=main.vantage,
        voters=main.voters,
        report_interval_s=spec.vantages.report_interval,
        probes_per_member=spec.vantages.probes_per_member,
        cut_off_at=spec.vantages.cut_off_at,
        carrier=main.carrier,
        webhooks=main.webhooks,
        max_withdrawal=main.max_withdrawal,
        cookies=main.own.cookies,
        rate_limit=main.own.rate_limit,
        warnings=tuple(sorted(warnings)),
        files=frozenset(map(as_watched, files)),
        folders=frozenset(map(as_watched, folders)),
        hash=digest(main, zones),
    )


def _sorted_out(zones: Iterable[ReadZone]) -> Sorted:
    """Return the zones to serve, and those that cannot be; of two with one name, the first."""
    served: dict[bytes, ReadZone] = {}
    broken = []
    zones = tuple(zones)
    apexes = {zone.apex for zone in zones if zone.apex}
    for zone in zones:
        if zone.zone is None:
            broken.append(zone.broken())
        elif shadowed := tuple(_shadowed(zone, apexes)):
            broken.append(zone.broken(shadowed))
        elif (first := served.get(zone.apex)) is not None:
            problem = f"the zone {zone.text} is served from {first.path} already"
            note = Complaint(*zone.at.place(), problem, "keep one file for a zone")
            broken.append(zone.broken((note,)))
        else:
            served[zone.apex] = zone
    return Sorted(tuple(zone.served() for zone in served.values()), tuple(broken))


def _shadowed(zone: ReadZone, apexes: Collection[bytes]) -> Iterator[Complaint]:
    """Yield a complaint for each service whose name another zone below this one answers for."""
    for service in zone.services:
        closest = name.closest(service.name, apexes)
        if closest != zone.apex:
            problem = (
                f"the service {service.text} is never asked for here: "
                f"{name.show(closest)} is a zone of its own"
            )
            hint = f"move it to the file of the zone {name.show(closest)}"
            yield Complaint(*zone.at.place(), problem, hint)


def _warn_of_unused(main: Main, top: At, served: Iterable[ServedZone]) -> None:
    services = [service for zone in served for service in zone.services]
    pools = [pool for service in services for pool in service.pools]
    members = [member for pool in pools for member in pool.members]
    proxies = [proxy for region in main.known.regions.values() for proxy in region.proxies]
    monitors = {m.subject.monitor for m in (*members, *proxies) if m.subject is not None}
    monitors |= {pool.discover.monitor or "" for pool in pools if pool.discover is not None}
    for unused in main.spec.monitors.keys() - monitors:
        hint = "name it as the monitor of a service, or remove it"
        (top / "monitors" / unused).warn("no member is probed by this monitor", hint, on_key=True)
    for unused in main.spec.regions.keys() - {pool.region for pool in pools}:
        hint = "give a service a pool there, or remove it"
        (top / "regions" / unused).warn("no service has a pool in this region", hint, on_key=True)
