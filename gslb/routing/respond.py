"""From one message in to the octets that answer it, or to silence, with what is to be counted.

Pure: who sent it, chance, time and secrets are arguments, so that any engine can be held to
this one octet by octet.  The buckets of a `Limiter` are all that it changes.  Only errors of
ours leave it; what is wrong with a message is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gslb.dns.cookie import Checked, Standing, check
from gslb.dns.edns import encode_cookie
from gslb.dns.message import BADCOOKIE, FORMERR, NOERROR, Query, decode_query
from gslb.dns.response import UDP_MAX, Response, encode, encode_error
from gslb.errors import WireError
from gslb.model import Address
from gslb.routing.answer import Explainer, answer
from gslb.routing.ratelimit import SECOND_US, Action, Kind, Limiter, kind_of
from gslb.routing.snapshot import Snapshot

NSID_BYTES_MAX = 128

_SLIPPED = Response(rcode=NOERROR, truncated=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one message is answered: its octets (None: silence), and what is to be counted.

    `type` is what was asked for, 0 when the message is no query; `rcode` is what was said, None
    when nothing is.  `service` and `way` are the response's (`gslb.dns.response.Response`).
    `limited` says of an answer above its rate what kind it was, and what became of it.
    """

    octets: bytes | None
    type: int = 0
    rcode: int | None = None
    service: str | None = None
    way: str = ""
    limited: tuple[Kind, Action] | None = None


SILENCE = Reply(None)


def respond(
    snapshot: Snapshot,
    wire: bytes,
    sender: Address,
    draw: int,
    now_s: float,
    *,
    size_max: int = UDP_MAX,
    keepalive_s: float | None = None,
    explain: Explainer | None = None,
    secrets: Sequence[bytes] = (),
    limiter: Limiter | None = None,
) -> Reply:
    """Return what is answered to the message *wire* from *sender*.

    *now_s* are seconds since 1970.  *size_max* is the transport's own limit: `UDP_MAX` or
    `TCP_MAX`.  *keepalive_s* is the idle time-out to tell a TCP client that asks for it.
    *explain* gives the lines that explain a service to those who may ask (class CH).
    *secrets* make server cookies, the first, and check them; without any there are no cookies.
    *limiter* is for UDP alone: over TCP a client has shown where it is.
    """
    now_us = int(now_s * SECOND_US)
    try:
        query = decode_query(wire)
    except WireError as wrong:
        if wrong.rcode is None:
            return SILENCE
        return _error(wire, wrong.rcode, sender, draw, now_us, limiter)
    cookie = _checked(query, sender, secrets, now_s)
    if query.question:
        response = answer(snapshot, query, sender, draw, now_s, explain)
    elif cookie is not None:  # RFC 7873 5.4
        response = Response(rcode=BADCOOKIE if cookie.standing is Standing.WRONG else NOERROR)
    else:
        return _error(wire, FORMERR, sender, draw, now_us, limiter)
    limited = None
    if limiter is not None and (cookie is None or cookie.standing is not Standing.VALID):
        kind = kind_of(response)
        action = limiter.action(sender, kind, draw, now_us)
        if action is not Action.SEND:
            limited, response = (kind, action), _SLIPPED
            if action is Action.DROP:
                return Reply(None, limited=limited)
    octets = encode(
        query,
        response,
        node=snapshot.plan.node.encode()[:NSID_BYTES_MAX],
        size_max=size_max,
        keepalive_s=keepalive_s,
        cookie=b"" if cookie is None else encode_cookie(cookie.octets),
    )
    return Reply(octets, query.type, response.rcode, response.service, response.way, limited)


def _checked(
    query: Query, sender: Address, secrets: Sequence[bytes], now_s: float
) -> Checked | None:
    """Return the query's cookie looked at; None without one, or where there are no cookies."""
    if not secrets or query.edns is None or query.edns.cookie is None:
        return None
    return check(query.edns.cookie, sender.packed, secrets, int(now_s))


def _error(
    wire: bytes, rcode: int, sender: Address, draw: int, now_us: int, limiter: Limiter | None
) -> Reply:
    """Return the reply to what is no query; one that slips is as short as it gets already."""
    limited = None
    if limiter is not None:
        action = limiter.action(sender, Kind.ERROR, draw, now_us)
        if action is not Action.SEND:
            limited = (Kind.ERROR, action)
            if action is Action.DROP:
                return Reply(None, limited=limited)
    return Reply(encode_error(wire, rcode), rcode=rcode, limited=limited)
