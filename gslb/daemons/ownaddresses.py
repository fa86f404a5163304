"""Which of the addresses of a region's proxies are this host's."""

from __future__ import annotations

import errno
import socket

from gslb.errors import GslbError
from gslb.model import Region


class NoAddressError(GslbError):
    """None of the addresses of the region's proxies is one of this host."""


def own_addresses(region: Region) -> tuple[str, ...]:
    """Return the addresses of *region*'s proxies that this host has; raises NoAddressError."""
    wanted = [str(proxy.address) for proxy in region.proxies]
    found = tuple(address for address in wanted if _is_own(address))
    if not found:
        raise NoAddressError(f"none of {', '.join(wanted)} is an address of this host")
    return found


def _is_own(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True
