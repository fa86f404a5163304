"""What a request is hashed on, as 64 bits: a part of it that the same client or content has again.

The keys are the same in every worker and every region's tier, so that a member is chosen alike
everywhere (`gslb.proxy.rendezvous`).  Key 0 stands for nothing to hash on, such as a header that is
not there.
"""

from __future__ import annotations

from gslb.model import Address
from gslb.proxy.request import Request
from gslb.routing.choice import key_of
from gslb.tier import Balance

_MAPPED = bytes(10) + b"\xff\xff"


def key_for(balance: Balance, request: Request) -> int:
    """Return the key that *balance* chooses a member for *request* by, 0 for none."""
    if balance.kind == "ip_hash":
        return client_key(request.client)
    if balance.kind != "hash":
        return 0
    by = balance.by
    if by == "client":
        return client_key(request.client)
    if by == "path":
        return _key(request.path)
    name = (balance.name or "").encode()
    if by == "header":
        return _key(request.header(name))
    if by == "cookie":
        return _key(request.cookie(name))
    assert by == "query", "there is no other part of a request to hash"
    return _key(next(iter(request.parameters(name)), None))


def client_key(client: Address) -> int:
    """Return the key of a client's address; of a mapped IPv4 address, that of the IPv4 address."""
    octets = client.packed
    if octets.startswith(_MAPPED):
        octets = octets[12:]
    return key_of(octets) or 1


def _key(octets: bytes | None) -> int:
    return key_of(octets) or 1 if octets else 0
