"""Whom an address is counted as: an IPv4 address as itself, an IPv6 one as its network of 64 bits.

One host has such a network whole (RFC 7421, RFC 7934), and could come from as many addresses as it
likes; counted one by one they would never be too many.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Final

from gslb.model import Address

_NETWORK: Final = (1 << 128) - (1 << 64)


def holder_of(address: Address) -> Address:
    """Return the address that stands for all that *address* is counted together with."""
    if address.version == 4:
        return address
    return address.ipv4_mapped or IPv6Address(int(address) & _NETWORK)
