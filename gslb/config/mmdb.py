"""Whether an MMDB file opens, and holds what it is named for.

What a database is for is told by its records, a sample of them; the type in its metadata
counts as well, since a sample can miss.  Only look-ups are used, each bounded by the length
of an address: a damaged tree with a loop in it ends them, too.  And only the reader in
Python is used: the one in C can crash the whole process on damaged records.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import maxminddb

from gslb.config.nodes import shown

SAMPLES_MAX = 500
PLACES, ASNS = "places", "asns"

_WORDS = {
    PLACES: ("City", "Country", "Enterprise", "Location"),
    ASNS: ("ASN", "ISP"),
}
_KEYS = {
    PLACES: {"location", "country", "continent", "registered_country"},
    ASNS: {"autonomous_system_number"},
}
_NAMES = {PLACES: "location, country or continent", ASNS: "AS numbers"}


def check(path: Path, wanted: str) -> str | None:
    """Return what is wrong with a database that should hold PLACES or ASNS, or None."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        return "cannot be read: it is a pipe or a device"  # opening it could wait for ever
    try:
        with path.open("rb"):
            pass
        with maxminddb.open_database(str(path), maxminddb.MODE_MMAP) as reader:
            type_ = reader.metadata().database_type
            found = _kinds(reader, type_)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except Exception as error:
        return f"is not a whole MMDB file: {_first_line(error)}"
    if wanted not in found:
        return f"holds no {_NAMES[wanted]}: it is a database of type {shown(type_)}"
    return None


def _kinds(reader: maxminddb.Reader, type_: str) -> set[str]:
    found = {kind for kind, words in _WORDS.items() if any(word in type_ for word in words)}
    starts: list[IPv4Address | IPv6Address] = [IPv4Address(0)]
    if reader.metadata().ip_version == 6:
        starts.append(IPv6Address("2000::"))
    for start in starts:
        for record in _sample(reader, start):
            if isinstance(record, dict):
                found |= {kind for kind, keys in _KEYS.items() if keys & record.keys()}
    return found


def _sample(reader: maxminddb.Reader, start: IPv4Address | IPv6Address) -> list[object]:
    """Return the records of the first networks from *start* on."""
    records: list[object] = []
    at, bits = int(start), start.max_prefixlen
    for _ in range(SAMPLES_MAX):
        record, prefix_length = reader.get_with_prefix_len(type(start)(at))
        if record is not None:
            records.append(record)
        at += 1 << (bits - prefix_length)
        if at >> bits:
            break
    return records


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
