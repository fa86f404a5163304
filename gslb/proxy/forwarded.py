"""What proxies in front say of a request's way: ``X-Forwarded-For`` and ``Forwarded`` (RFC 7239).

Both are lists that each proxy adds to at the end, so that only the end that trusted proxies wrote
is to be believed.  Nothing here decides whom to believe but `client_of`, which walks from the end
to the first that is not trusted.

Nodes are addresses, with a port or without; ``unknown``, obfuscated names and all else are read as
None.  IPv4 addresses that are mapped into IPv6 are IPv4 addresses here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from typing import Final, NamedTuple

from gslb.model import Address, Network

CHAIN_MAX: Final = 32  # nodes that are read, and passed on, from the end
NODES_MAX: Final = 4096  # nodes that are remembered: the same ones come again and again
UNKNOWN: Final = b"unknown"

_NODE: Final = re.compile(
    rb'"?(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<four>[0-9.]{7,15}))(?::[0-9]{1,5})?"?'
    rb"|(?P<bare>[0-9A-Fa-f:.]{2,45})"
)
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(
    rb"[ \t]*(?:(%b)=(%b|\"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*\")[ \t]*)?(?:([;,])|\Z)"
    % (_TOKEN, _TOKEN)
)

Element = dict[bytes, bytes]


class Networks:
    """A set of networks in which an address is found in the time of one bisection."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, networks: Iterable[Network]) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._lasts: dict[int, list[int]] = {4: [], 6: []}
        all_of_them = list(networks)
        fours = [each for each in all_of_them if isinstance(each, IPv4Network)]
        sixes = [each for each in all_of_them if isinstance(each, IPv6Network)]
        merged: list[Network] = [*collapse_addresses(fours), *collapse_addresses(sixes)]
        for network in merged:
            self._firsts[network.version].append(int(network.network_address))
            self._lasts[network.version].append(int(network.broadcast_address))

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        place = bisect_right(self._firsts[address.version], number) - 1
        return place >= 0 and number <= self._lasts[address.version][place]


class Node(NamedTuple):
    """A host on a request's way: its address, that as text, and as ``Forwarded`` has it.

    An IPv6 address is in brackets and quotes there (RFC 7239 6).
    """

    address: Address
    text: bytes
    quoted: bytes


def node_of(address: Address) -> Node:
    """Return the node that an address is."""
    address = (address.version == 6 and address.ipv4_mapped) or address
    text = str(address).encode()
    return Node(address, text, b'"[%b]"' % text if address.version == 6 else text)


@lru_cache(NODES_MAX)
def read_node(text: bytes) -> Node | None:
    """Return the node of a chain that *text* names, its port left out; None if it is none."""
    found = _NODE.fullmatch(text)
    if found is None:
        return None
    try:
        if (four := found["four"]) is not None:
            return node_of(IPv4Address(four.decode()))
        return node_of(IPv6Address((found["six"] or found["bare"]).decode()))
    except ValueError:
        return None


def read_chain(values: Sequence[bytes]) -> list[bytes]:
    """Return the last nodes of all ``X-Forwarded-For`` fields of a request, in their order."""
    nodes = b",".join(values).rsplit(b",", CHAIN_MAX)[-CHAIN_MAX:]
    return [node for each in nodes if (node := each.strip(b" \t"))]


def read_forwarded(values: Sequence[bytes]) -> list[Element] | None:
    """Return the elements of all ``Forwarded`` fields of a request, names in lower case.

    None for what is malformed, says a thing twice in one element, or has too many elements: added
    to such a value, an element might not be read as what it is.
    """
    whole = b",".join(values)
    elements: list[Element] = []
    element: Element = {}
    at = 0
    while True:
        found = _PAIR.match(whole, at)
        if found is None:
            return None
        name, value, end = found.groups()
        if name is not None:
            if (name := name.lower()) in element:
                return None
            element[name] = re.sub(rb"\\(.)", rb"\1", value[1:-1]) if value[:1] == b'"' else value
        if end != b";":
            if element:
                elements.append(element)
            element = {}
        if end is None:
            break
        at = found.end()
    return elements if len(elements) <= CHAIN_MAX else None


def client_of(chain: Sequence[Node | None], peer: Node, trusted: Networks) -> Node:
    """Return who began the request: the last node of *chain* that is not trusted.

    *peer*, who is, sent the chain.  If all of it is trusted, its first node is the client; and
    a node that is no address ends what can be known, the one behind it being the client then.
    """
    client = peer
    for node in reversed(chain):
        if node is None:
            break
        client = node
        if node.address not in trusted:
            break
    return client
