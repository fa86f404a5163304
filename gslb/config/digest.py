"""The digest of a configuration: alike on all nodes that mean the same, wherever their files are.

It is over what decides answers.  Of the main file that is what it means: regions, monitors, who
votes and how, the safety catch; of zones, master files, measurements and databases their octets.
What is one node's own does not enter: its name, addresses, folders, threads, limits, secrets, how
it is reached, and what it tells others of.

The L7 tier has a digest of its own, which nodes know nothing of: they need not have its files.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

from gslb.config.mainfile import Main
from gslb.config.named import without_links
from gslb.config.zonefile import ReadZone
from gslb.model import Monitor
from gslb.tier import Certificate, Tier


def digest(main: Main, zones: Iterable[ReadZone]) -> str:
    """Return 64 hexadecimal digits that stand for what *main* and its *zones* say."""
    spec = main.spec
    meant = (
        [_of_file(path) for path in (main.own.geo_database, main.own.asn_database)],
        spec.geo.max_moved,
        list(main.known.regions.values()),
        [_meant(monitor) for monitor in main.known.monitors.values()],
        main.quorum,
        [(voter.name, voter.region, voter.kind.value) for voter in main.voters.values()],
        spec.vantages.report_interval,
        spec.vantages.probes_per_member,
        spec.vantages.cut_off_at,
        main.max_withdrawal,
        # Of two files for one zone the first is served, so those keep their order.
        sorted(map(_of_zone, zones), key=lambda of_zone: of_zone[0]),
    )
    return hashlib.sha256(repr(meant).encode()).hexdigest()


def tier_digest(tier: Tier) -> str:
    """Return 64 hexadecimal digits that stand for what *tier* does, alike wherever it does so.

    Files count by what is in them, and a certificate's key by its certificate.  The keys of cookies
    enter, since all tiers must have the same.  How one host runs it does not: its workers, where it
    is asked how it stands, where it logs to, and which program HAProxy is.
    """
    anywhere = replace(tier, workers=None, admin=None, access_log=None, haproxy="")
    return hashlib.sha256(repr(_plain(anywhere)).encode()).hexdigest()


def _plain(value: object, name: str = "") -> object:
    """Return *value*, which a field of that *name* holds, as what has one text in all processes."""
    if isinstance(value, Certificate):
        return _of_file(Path(value.cert_file))
    if isinstance(value, str):
        return _of_file(Path(value)) if name.endswith("_file") else value
    if is_dataclass(value):
        items = [
            (each.name, _plain(getattr(value, each.name), each.name)) for each in fields(value)
        ]
        return type(value).__name__, items
    if isinstance(value, Mapping):
        return sorted((key, _plain(each)) for key, each in value.items())
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return sorted(value) if isinstance(value, frozenset) else value


def _meant(monitor: Monitor) -> Monitor:
    """Return *monitor* with what its authorities are instead of where."""
    if monitor.ca_file is None:
        return monitor
    return replace(monitor, ca_file=_of_file(Path(monitor.ca_file)))


def _of_zone(zone: ReadZone) -> tuple[bytes, str, list[tuple[str, str]]]:
    """Return a zone's name, the digest of its file, and those of the files that this one names."""
    whole = without_links(zone.path)
    others = (without_links(path) for path in zone.files)
    return (
        zone.apex,
        _of_file(whole),
        sorted((os.path.relpath(p, whole.parent), _of_file(p)) for p in others if p != whole),
    )


def _of_file(path: Path | None) -> str:
    """Return the digest of a file's octets; nothing for what is no file or cannot be read."""
    if path is None:
        return ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
