"""Services' choices and a plan's facts as images, for other engines to answer from.

A choice is the whole of what a query needs of a service: records with cumulative shares, how
long they hold, and what to say of how they were served.  Orders that lead to equal choices
share one.  `native/src/entry.rs` and `native/src/snapshot.rs` read the same:

    entry   name, u16 octets of its text, text, u64 key, u8 sticky, u8 IPv4's length, u8 IPv6's,
            u8 families, families, u32 choices, choices
    family  u16 type, u32 number of the geo map, u32 orders, u32 for each: number of its choice
    choice  u8 way, u8 unusual, u16 error, u8 octets of its text, text, u32 TTL, u32 least TTL,
            f64 until (NaN: none), u32 answers, u32 records, u32 octets of rdatas,
            u64 each: cumulative shares, u64 each: keys, u32 each: places of rdatas, rdatas
    facts   u8 octets each: NSID, node's string, program's string, u32 networks (u8 IP version,
            u8 length, 16 octets of the number) that may ask why, u32 broken zones, names
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan
from struct import Struct

from gslb.dns.image import ENTRY, FACTS, framed
from gslb.dns.zoneimage import name_octets, rdata_octets
from gslb.model import Network
from gslb.routing.answer import character_string
from gslb.routing.choice import Choice
from gslb.routing.climb import Way
from gslb.routing.geo import MapKey
from gslb.routing.respond import NSID_BYTES_MAX
from gslb.routing.snapshot import Entry, Plan, map_keys

WAYS = tuple(Way)
_NUMBERS = {way: number for number, way in enumerate(WAYS)}

_TEXT = Struct("=H")
_KEY = Struct("=QBBBB")
_FAMILY = Struct("=HII")
_COUNT = Struct("=I")
_ERROR = Struct("=BBHB")
_CHOICE = Struct("=IIdIII")
_NETWORK = Struct("=BB")


def encode_entry(entry: Entry, numbers: Mapping[MapKey, int]) -> bytes:
    """Return the choices of a service as an image; *numbers* are those of the plan's geo maps."""
    service, text = entry.service, entry.service.text.encode()
    sticky = service.sticky
    lengths = (0, 0, 0) if sticky is None else (1, sticky.ipv4, sticky.ipv6)
    head = _KEY.pack(entry.key, *lengths, len(entry.choices))
    out = [name_octets(service.name), _TEXT.pack(len(text)), text, head]
    distinct: dict[bytes, int] = {}
    for family, key in map_keys(service).items():
        choices = entry.choices[family]
        out.append(_FAMILY.pack(family, numbers[key], len(choices)))
        for choice in choices:
            number = distinct.setdefault(_choice(choice), len(distinct))
            out.append(_COUNT.pack(number))
    return framed(ENTRY, b"".join((*out, _COUNT.pack(len(distinct)), *distinct)))


def _choice(choice: Choice) -> bytes:
    code, text = choice.unusual or (0, b"")
    rdatas = [rdata_octets((rdata,)) for rdata in choice.rdatas]
    places, at = [], 0
    for octets in rdatas:
        places.append(at)
        at += len(octets)
    count = len(rdatas)
    until_s = nan if choice.until_s is None else choice.until_s
    return b"".join(
        (
            _ERROR.pack(_NUMBERS[choice.way], choice.unusual is not None, code, len(text)),
            text,
            _CHOICE.pack(choice.ttl_s, choice.ttl_min_s, until_s, choice.answers, count, at),
            Struct(f"={2 * count}Q{count}I").pack(*choice.upto, *choice.keys, *places),
            *rdatas,
        )
    )


def encode_facts(plan: Plan, explain_to: Iterable[Network]) -> bytes:
    """Return what the node says of itself as an image, with who may ask for explanations."""
    networks = [
        _NETWORK.pack(net.version, net.prefixlen) + int(net.network_address).to_bytes(16, "big")
        for net in explain_to
    ]
    broken = [name_octets(apex) for apex in sorted(plan.broken)]
    texts = (
        name_octets(plan.node.encode()[:NSID_BYTES_MAX]),
        character_string(plan.node),
        character_string(plan.program),
    )
    return framed(
        FACTS,
        b"".join(
            (
                *texts,
                _COUNT.pack(len(networks)),
                *networks,
                _COUNT.pack(len(broken)),
                *broken,
            )
        ),
    )
