"""What is known of found members, kept over a restart: files' and names' last word, leases.

One JSON file in `state_dir`, replaced whole.  It is a help at a start and no more: one that is
not there, or cannot be read, is nothing to go by.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gslb.daemons.memberfiles import member_of
from gslb.daemons.store import write_whole
from gslb.errors import GslbError
from gslb.health import lease
from gslb.health.lease import Leases
from gslb.routing.found import FoundMember

log = logging.getLogger("gslb.state")

VERSION = 1
FILE = "members.json"

_UNREADABLE = (GslbError, ValueError, KeyError, TypeError, AttributeError, RecursionError)

Said = Mapping[str, tuple[FoundMember, ...]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The members that each file, by its path, and each name said when it was good; leases."""

    files: Said = field(default_factory=dict)
    names: Said = field(default_factory=dict)
    leases: Leases = field(default_factory=dict)


def save(folder: Path, remembered: Remembered) -> None:
    """Write what is to be remembered to *folder*; that it cannot be written is told of."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE, encode(remembered))
    except OSError as error:
        log.warning("cannot write %s: %s", folder / FILE, error)


def load(folder: Path) -> Remembered:
    """Return what is remembered in *folder*, nothing if it cannot be read."""
    path = folder / FILE
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return Remembered()
    except (OSError, *_UNREADABLE) as error:
        log.warning("cannot read %s, starting without it: %r", path, error)
        return Remembered()


def encode(remembered: Remembered) -> bytes:
    """Return what is to be remembered as JSON."""
    whole = {
        "version": VERSION,
        "files": {path: list(map(_shape, said)) for path, said in remembered.files.items()},
        "names": {name: list(map(_shape, said)) for name, said in remembered.names.items()},
        "leases": lease.encode(remembered.leases),
    }
    return (json.dumps(whole) + "\n").encode()


def _shape(member: FoundMember) -> dict[str, object]:
    probe = None if member.probe is None else list(member.probe)
    return {"address": str(member.address), "weight": member.weight, "probe": probe}


def decode(octets: bytes) -> Remembered:
    """Return what *octets* hold; raises ValueError, KeyError, TypeError or AttributeError."""
    whole = json.loads(octets)
    if whole["version"] != VERSION:
        raise ValueError(f"version {whole['version']} is not {VERSION}")
    leases = lease.decode(whole["leases"])
    return Remembered(_said(whole["files"]), _said(whole["names"]), leases)


def _said(shapes: Mapping[str, list[dict[str, object]]]) -> Said:
    return {key: tuple(map(_member, each)) for key, each in shapes.items()}


def _member(shape: Mapping[str, object]) -> FoundMember:
    found = member_of(shape["address"], shape["weight"], None)
    probe = shape["probe"]
    if probe is None:
        return found
    if not isinstance(probe, list):
        raise TypeError(f"{probe!r} is no host and port")
    host, port = probe
    return replace(found, probe=(str(host), None if port is None else int(port)))
