"""One value of a configuration file → an address, a network, a host name, a port.

Like `gslb.config.scalars`: each function takes what YAML gave, and returns what it means or
raises ScalarError.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from gslb.config.nodes import shown
from gslb.config.scalars import ScalarError, text
from gslb.config.settings import Endpoint
from gslb.dns import name
from gslb.model import PORT_MAX, Address, Network

DNS_PORT = 53

_HOST_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def address(value: object) -> Address:
    """Return one IPv4 or IPv6 address that a client can connect to."""
    hint = "write one IPv4 or IPv6 address, such as 192.0.2.30 or 2001:db8::30"
    try:
        found = ip_address(text(value))
    except ScalarError:
        raise
    except ValueError:
        raise ScalarError(f"{shown(value)} is not an IP address", hint) from None
    if getattr(found, "scope_id", None) or found.is_multicast or found.is_unspecified:
        raise ScalarError(f"{shown(value)} is not the address of one host", hint)
    return found


def network(value: object) -> Network:
    """Return a network; a bare address is the network of itself alone."""
    try:
        return ip_network(text(value))
    except ScalarError:
        raise
    except ValueError as error:
        if "host bits" in str(error):
            mended = ip_network(str(value), strict=False)
            problem = f"{shown(value)} has bits set after its prefix"
            raise ScalarError(problem, f"write {mended}") from None
        hint = "write a prefix, such as 192.0.2.0/24 or 2001:db8::/32"
        raise ScalarError(f"{shown(value)} is not a network", hint) from None


def endpoint(value: object) -> Endpoint:
    """Return an address and port to listen at; port 0 lets the system choose."""
    hint = 'write ADDRESS:PORT, such as "127.0.0.1:5353" or "[::1]:5353"'
    host, port = _host_port(text(value))
    try:
        found = ip_address(host)
    except ValueError:
        raise ScalarError(f"{shown(value)} does not start with an IP address", hint) from None
    if port is None:
        raise ScalarError(f"{shown(value)} has no port", hint)
    if "%" in host:
        raise ScalarError(
            f"{shown(value)} names an interface", 'write the address alone, or "[::]"'
        )
    return Endpoint(str(found), port)


def target(value: object) -> tuple[str, int | None]:
    """Return host and port of a probe; the port is None where it is not written."""
    host, port = _host_port(text(value))
    if port == 0:
        raise ScalarError(f"{shown(value)} has port 0", f"write a port from 1 to {PORT_MAX}")
    return host_or_address(host), port


def resolver(value: object) -> tuple[str, int]:
    """Return address and port of a resolver; the port is 53 where it is not written."""
    host, port = _host_port(text(value))
    if port == 0:
        raise ScalarError(f"{shown(value)} has port 0", f"write a port from 1 to {PORT_MAX}")
    return str(address(host)), DNS_PORT if port is None else port


def dns_name(value: object) -> str:
    """Return a name to resolve, in lower case without the last dot; addresses are none."""
    host = text(value)
    if _looks_like_address(host):
        raise ScalarError(f"{shown(value)} is an address", "list it under `members`")
    return host_name(host)


def _host_port(value: str) -> tuple[str, int | None]:
    host, port = value, ""
    if value.startswith("["):
        hint = 'write an IPv6 address in brackets, such as "[2001:db8::1]:80"'
        host, closing, rest = value[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise ScalarError(f"{shown(value)} has brackets in odd places", hint)
        port = rest[1:] if rest else ""
        if rest == ":" or ":" not in host:
            raise ScalarError(f"{shown(value)} is not an address in brackets", hint)
    elif value.count(":") == 1:
        host, _, port = value.partition(":")
        port = port or "?"
    if not port:
        return host, None
    if not _PORT.fullmatch(port) or int(port) > PORT_MAX:
        raise ScalarError(f"{shown(port)} is not a port", f"write a port from 0 to {PORT_MAX}")
    return host, int(port)


def host_or_address(value: object) -> str:
    """Return a host name in lower case, or an address in its usual form, as text."""
    host = text(value)
    if _looks_like_address(host):
        return str(address(host))
    return host_name(host)


def member(value: object) -> Address | str:
    """Return a member's address, or its host name in lower case without the last dot."""
    host = text(value)
    if _looks_like_address(host):
        return address(host)
    found = host_name(host)
    if "." not in host:
        problem = f"{shown(value)} is neither an address nor a whole host name"
        raise ScalarError(problem, f"write the whole name, such as {found}.example.net")
    return found


def host_name(value: str) -> str:
    """Return a host name in lower case without the last dot."""
    found = value.lower().removesuffix(".")
    labels = found.split(".")
    if not all(_HOST_LABEL.fullmatch(label) for label in labels) or len(found) > name.NAME_MAX - 2:
        hint = "write letters, digits and hyphens with dots between, such as lb.example.net"
        raise ScalarError(f"{shown(value)} is neither an IP address nor a host name", hint)
    return found


def _looks_like_address(host: str) -> bool:
    return ":" in host or host.rstrip(".").rpartition(".")[2].isdigit()
