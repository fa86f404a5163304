"""Server cookies: who has shown that it receives at its address (RFC 7873, 9018).

A server cookie is a keyed hash over the client's cookie, a time and the client's address:
nothing is remembered, and every node with the same secrets makes and takes the same ones.
Version 1 of RFC 9018 4, which other servers of an anycast set speak too:

    1 octet version | 3 reserved | 4 time | 8 SipHash-2-4 of client cookie and all that, address

The first secret makes cookies, all of them are taken.  So a secret is rolled in three steps
that may each reach the nodes at their own time: add the new one behind, swap, remove the old.
A wrong cookie is no error: what comes with it is answered as if it had come with none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hmac import compare_digest

from siphash24 import siphash24

CLIENT_BYTES = 8
SERVER_BYTES = 16
SECRET_BYTES = 16
SECRETS_MAX = 8  # each is tried on a cookie that none of them made
AGE_S_MAX = 3600  # RFC 9018 4.3
AHEAD_S_MAX = 300  # how much faster the clock of the node that made it may run
RENEW_S = 1800  # from this age on a client is given a fresh one

_VERSION = b"\x01\0\0\0"  # with the reserved octets that we send
_TIME = slice(4, 8)


class Standing(Enum):
    """What a client has shown with the server cookie that it sent, if any."""

    NEW = "sent none"
    VALID = "sent one of ours: it receives at its address"
    WRONG = "sent one that is not ours, or no longer"


@dataclass(frozen=True, slots=True)
class Checked:
    """A cookie looked at: both cookies to answer with, and what the client has shown."""

    octets: bytes
    standing: Standing


def server_cookie(client: bytes, address: bytes, time_s: int, secret: bytes) -> bytes:
    """Return the 16 octets of the cookie made at *time_s*, seconds since 1970.

    *client* are the 8 octets of the client's cookie, *address* the 4 or 16 of its address.
    """
    head = _VERSION + (time_s & 0xFFFFFFFF).to_bytes(4, "big")
    return head + _hash(client, head, address, secret)


def check(cookie: bytes, address: bytes, secrets: Sequence[bytes], now_s: int) -> Checked:
    """Return what to answer the option *cookie* with, and what its server cookie shows.

    *cookie* is as long as RFC 7873 4 allows; *secrets* are one or more, the active one first.
    A valid cookie that is young and as we would make it comes back as it is.
    """
    client, server = cookie[:CLIENT_BYTES], cookie[CLIENT_BYTES:]
    standing = Standing.WRONG if server else Standing.NEW
    if len(server) == SERVER_BYTES and server[0] == _VERSION[0]:
        age_s = _age_s(int.from_bytes(server[_TIME], "big"), now_s)
        if -AHEAD_S_MAX <= age_s <= AGE_S_MAX:
            maker = _maker(client, server, address, secrets)
            if maker is not None:
                standing = Standing.VALID
            if maker == 0 and age_s < RENEW_S and server.startswith(_VERSION):
                return Checked(cookie, standing)
    return Checked(client + server_cookie(client, address, now_s, secrets[0]), standing)


def _maker(client: bytes, server: bytes, address: bytes, secrets: Sequence[bytes]) -> int | None:
    """Return the index of the secret that made *server*; reserved octets count as they came."""
    for number, secret in enumerate(secrets):
        if compare_digest(_hash(client, server[:8], address, secret), server[8:]):
            return number
    return None


def _age_s(time_s: int, now_s: int) -> int:
    """Return how old a time of 32 bits is, by serial number arithmetic (RFC 1982)."""
    return ((now_s - time_s + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def _hash(client: bytes, head: bytes, address: bytes, secret: bytes) -> bytes:
    return bytes(siphash24(client + head + address, key=secret).digest())
