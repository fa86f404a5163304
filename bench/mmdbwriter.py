"""A writer of MaxMind DB files: networks with records in, one file's bytes out.

Follows the MaxMind DB file format specification, version 2.0: a binary search tree of one
node a bit, sixteen zero bytes, a data section in which every value is stored once and
pointed at from then on, a marker, and metadata.

Networks may nest (the longest prefix wins) and come in any order; of two for the same
network the last counts.  The tree is built from the sorted networks, each starting where
it leaves the path of the one before, so the work is one step a node and not one step a
bit: a million networks take some seconds.

The same arguments give the same bytes: the build's time is one of them.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

Network = IPv4Network | IPv6Network
Record = Any  # str, bytes, bool, int, float, Uint, or a list or str-keyed dict of these
Frozen = Any  # text, or a pair of a type and what is in it

METADATA_MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)
RECORD_SIZES_BITS = (24, 28, 32)
VALUE_SIZE_MAX = 65_821 + 2**24 - 1
DEPTH_MAX = 256

# Where the IPv4 tree also shows when aliases are asked for: mapped addresses and 6to4.
ALIASES = (IPv6Network("::ffff:0:0/96"), IPv6Network("2002::/16"))

_POINTER, _UTF8, _DOUBLE, _BYTES, _UINT16, _UINT32, _MAP = 1, 2, 3, 4, 5, 6, 7
_INT32, _UINT64, _UINT128, _ARRAY, _BOOLEAN = 8, 9, 10, 11, 14

# In a tree under construction a child is a node's number, or one of these and below.
_NOTHING = -1
_RECORD_0 = -2


def write(
    path: Path,
    networks: Iterable[tuple[Network, Record]],
    *,
    ip_version: int = 6,
    database_type: str = "Test",
    description: str = "",
    build_epoch: int = 1,
    record_size: int = 28,
    aliases: bool = False,
) -> None:
    """Write *networks* to *path* as a MaxMind DB; see `encode`."""
    path.write_bytes(
        encode(
            networks,
            ip_version=ip_version,
            database_type=database_type,
            description=description,
            build_epoch=build_epoch,
            record_size=record_size,
            aliases=aliases,
        )
    )


def encode(
    networks: Iterable[tuple[Network, Record]],
    *,
    ip_version: int = 6,
    database_type: str = "Test",
    description: str = "",
    build_epoch: int = 1,
    record_size: int = 28,
    aliases: bool = False,
) -> bytes:
    """Return the bytes of a MaxMind DB that holds *networks*.

    IPv4 networks stand at ::/96 of a tree of *ip_version* 6; *aliases* shows them at
    `ALIASES` too.  *record_size* is in bits, *build_epoch* in seconds since 1970.  Raises
    ValueError for what the format cannot hold.
    """
    if record_size not in RECORD_SIZES_BITS:
        raise ValueError(f"record_size {record_size} is none of {RECORD_SIZES_BITS}")
    if ip_version not in {4, 6}:
        raise ValueError(f"ip_version {ip_version} is neither 4 nor 6")
    if build_epoch < 1:
        raise ValueError("build_epoch must be at least 1: libmaxminddb opens no file with 0")
    if aliases and ip_version == 4:
        raise ValueError("a tree of ip_version 4 has no place for aliases")

    data = DataSection()
    placed: dict[tuple[int, int], int] = {}
    for network, record in networks:
        placed[_key(network, ip_version)] = data.store(record)
    if aliases:
        _refuse_aliased(placed)

    tree = _Tree(32 if ip_version == 4 else 128)
    tree.insert_all(sorted(placed.items()))
    if aliases:
        tree.alias()
    metadata = DataSection()
    metadata.store(
        {
            "binary_format_major_version": Uint(16, 2),
            "binary_format_minor_version": Uint(16, 0),
            "build_epoch": Uint(64, build_epoch),
            "database_type": database_type,
            "description": {"en": description},
            "ip_version": Uint(16, ip_version),
            "languages": ["en"],
            "node_count": Uint(32, tree.node_count),
            "record_size": Uint(16, record_size),
        }
    )
    search = tree.packed(record_size, len(data.out))
    return b"".join((search, SEPARATOR, data.out, METADATA_MARKER, metadata.out))


@dataclass(frozen=True, slots=True)
class Uint:
    """An unsigned whole number of a chosen size in bits, where the format asks for one."""

    bits: int
    value: int

    def __post_init__(self) -> None:
        if self.bits not in _UINT_TYPES or not 0 <= self.value < 1 << self.bits:
            raise ValueError(f"{self.value} is not an unsigned number of {self.bits} bits")


_UINT_TYPES = {16: _UINT16, 32: _UINT32, 64: _UINT64, 128: _UINT128}


class DataSection:
    """The data section under construction: every distinct value is written once."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._offsets: dict[object, int] = {}
        # Records are mostly shared objects.  They are kept alive, or an id might come twice.
        self._by_identity: dict[int, tuple[Record, int]] = {}

    def store(self, record: Record) -> int:
        """Return the offset of *record*, written now or earlier; a record is not mutated later."""
        known = self._by_identity.get(id(record))
        if known is not None:
            return known[1]
        frozen = _frozen(record)
        offset = self._offsets.get(frozen)
        if offset is None:
            offset = len(self.out)
            self._write(frozen)
        self._by_identity[id(record)] = (record, offset)
        return offset

    def _put(self, frozen: Frozen) -> None:
        offset = self._offsets.get(frozen)
        if offset is None:
            self._write(frozen)
        else:
            self.out += _pointer(offset)

    def _write(self, frozen: Frozen) -> None:
        start = len(self.out)
        kind: type = str
        content: Any = frozen
        if not isinstance(frozen, str):
            kind, content = frozen
        if kind is dict:
            self.out += _control(_MAP, len(content))
            for key, item in content:
                self._put(key)
                self._put(item)
        elif kind is list:
            self.out += _control(_ARRAY, len(content))
            for item in content:
                self._put(item)
        else:
            self.out += _scalar(kind, content)
        # A value no longer than the longest usual pointer is cheaper repeated than pointed at.
        if len(self.out) - start > 4:
            self._offsets[frozen] = start


class _Tree:
    """The search tree: `children` holds the left and the right child of each node in turn."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._children = [_NOTHING, _NOTHING]

    @property
    def node_count(self) -> int:
        return len(self._children) // 2

    def insert_all(self, networks: Sequence[tuple[tuple[int, int], int]]) -> None:
        """Insert ((address, prefix length), data offset), sorted: what contains comes first."""
        children, bits = self._children, self._bits
        path = [0] * (bits + 1)  # path[depth] is the node on the way to the last network
        last_address, last_depth = 0, 0
        for (address, length), offset in networks:
            value = _RECORD_0 - offset
            if length == 0:
                children[:] = [value, value]
                continue
            # Nodes are shared with the last network down to where the two addresses part.
            shared = bits - (address ^ last_address).bit_length()
            depth = min(shared, last_depth, length - 1)
            node = path[depth]
            while depth < length - 1:
                slot = 2 * node + (address >> (bits - 1 - depth) & 1)
                child = children[slot]
                if child < 0:
                    children += (child, child)
                    child = children[slot] = len(children) // 2 - 1
                node = child
                depth += 1
                path[depth] = node
            children[2 * node + (address >> (bits - length) & 1)] = value
            last_address, last_depth = address, depth

    def alias(self) -> None:
        """Show what stands at ::/96 at `ALIASES` too."""
        root = 0
        for _ in range(96):
            root = self._children[2 * root]
            if root < 0:
                break
        for alias in ALIASES:
            self._point(int(alias.network_address), alias.prefixlen, root)

    def _point(self, address: int, length: int, value: int) -> None:
        node = 0
        for depth in range(length - 1):
            slot = 2 * node + (address >> (self._bits - 1 - depth) & 1)
            child = self._children[slot]
            if child < 0:
                self._children += (child, child)
                child = self._children[slot] = len(self._children) // 2 - 1
            node = child
        self._children[2 * node + (address >> (self._bits - length) & 1)] = value

    def packed(self, record_size: int, data_size: int) -> bytes:
        """Return the tree's bytes with records of *record_size* bits."""
        count = self.node_count
        if count + len(SEPARATOR) + data_size >= 1 << record_size:
            raise ValueError(
                f"{count} nodes and {data_size} bytes of data do not fit "
                f"records of {record_size} bits"
            )
        # A record that points into the data section is the offset there, the separator
        # included, plus the number of nodes; the number of nodes itself means "nothing".
        first = count + len(SEPARATOR) + _RECORD_0
        words = array(
            "I",
            [
                child if child >= 0 else count if child == _NOTHING else first - child
                for child in self._children
            ],
        )
        assert words.itemsize == 4, "the packing below takes words apart into four bytes"
        if sys.byteorder == "little":
            words.byteswap()
        return _PACKED[record_size](words.tobytes())


def _packed_24(words: bytes) -> bytes:
    out = bytearray(len(words) // 4 * 3)
    for place in range(3):
        out[place::3] = words[place + 1 :: 4]
    return bytes(out)


def _packed_28(words: bytes) -> bytes:
    # Seven bytes a node: left's low three, a byte of both high halves, right's low three.
    out = bytearray(len(words) // 8 * 7)
    for place in range(3):
        out[place::7] = words[place + 1 :: 8]
        out[place + 4 :: 7] = words[place + 5 :: 8]
    left_high = words[0::8].translate(bytes(value << 4 & 0xF0 for value in range(256)))
    both = int.from_bytes(left_high, "big") | int.from_bytes(words[4::8], "big")
    out[3::7] = both.to_bytes(len(left_high), "big")
    return bytes(out)


_PACKED: Mapping[int, Callable[[bytes], bytes]] = {24: _packed_24, 28: _packed_28, 32: bytes}


def _key(network: Network, ip_version: int) -> tuple[int, int]:
    if network.version == ip_version:
        return int(network.network_address), network.prefixlen
    if network.version == 4:
        return int(network.network_address), network.prefixlen + 96
    raise ValueError(f"{network} does not fit a tree of ip_version 4")


def _refuse_aliased(placed: Mapping[tuple[int, int], int]) -> None:
    for alias in ALIASES:
        first, last = int(alias.network_address), int(alias.broadcast_address)
        for address, length in placed:
            if length >= alias.prefixlen and first <= address <= last:
                raise ValueError(f"{IPv6Network((address, length))} lies in the alias {alias}")


def _frozen(value: Record, depth: int = 0) -> Frozen:
    """Return *value* as a key that only values of the same encoding share."""
    if depth > DEPTH_MAX:
        raise ValueError(f"a record is nested deeper than {DEPTH_MAX}")
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        # Equal floats may differ: 0.0 and -0.0.
        return float, struct.pack(">d", value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"a map's key is text, and {key!r} is not")
        return dict, tuple([(key, _frozen(item, depth + 1)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        return list, tuple([_frozen(item, depth + 1) for item in value])
    if isinstance(value, bool | int | bytes | Uint):
        return type(value), value
    raise ValueError(f"a record cannot hold {value!r}")


def _scalar(kind: type, value: Any) -> bytes:
    if kind is str:
        raw: bytes = value.encode()
        return _control(_UTF8, len(raw)) + raw
    if kind is bytes:
        return _control(_BYTES, len(value)) + bytes(value)
    if kind is bool:
        return _control(_BOOLEAN, int(value))
    if kind is float:
        return _control(_DOUBLE, 8) + bytes(value)
    if kind is Uint:
        size = (value.value.bit_length() + 7) // 8
        return _control(_UINT_TYPES[value.bits], size) + bytes(value.value.to_bytes(size, "big"))
    if -(1 << 31) <= value < 0:
        # A shorter int32 would be read as positive.
        return _control(_INT32, 4) + struct.pack(">i", value)
    if 0 <= value < 1 << 128:
        bits = next(bits for bits in (32, 64, 128) if value < 1 << bits)
        return _scalar(Uint, Uint(bits, value))
    raise ValueError(f"a record cannot hold {value}")


def _control(kind: int, size: int) -> bytes:
    if size > VALUE_SIZE_MAX:
        raise ValueError(f"a value of size {size} is larger than {VALUE_SIZE_MAX}")
    if size < 29:
        low, rest = size, b""
    elif size < 285:
        low, rest = 29, (size - 29).to_bytes(1, "big")
    elif size < 65_821:
        low, rest = 30, (size - 285).to_bytes(2, "big")
    else:
        low, rest = 31, (size - 65_821).to_bytes(3, "big")
    if kind > 7:
        return bytes((low, kind - 7)) + rest
    return bytes((kind << 5 | low,)) + rest


def _pointer(offset: int) -> bytes:
    if offset < 1 << 11:
        return struct.pack(">H", _POINTER << 13 | offset)
    if offset < (1 << 19) + 2048:
        return (_POINTER << 21 | 1 << 19 | offset - 2048).to_bytes(3, "big")
    if offset < (1 << 27) + 526_336:
        return (_POINTER << 29 | 2 << 27 | offset - 526_336).to_bytes(4, "big")
    return bytes((_POINTER << 5 | 3 << 3,)) + offset.to_bytes(4, "big")
