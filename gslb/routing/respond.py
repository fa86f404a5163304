"""From one message in to the octets that answer it, or to silence, with what is to be counted.

Pure: who sent it, chance and time are arguments, so that any engine can be held to this one
octet by octet.  Only errors of ours leave it; what is wrong with a message is answered.
"""

from __future__ import annotations

from dataclasses import dataclass

from gslb.dns.message import decode_query
from gslb.dns.response import UDP_MAX, encode, encode_error
from gslb.errors import WireError
from gslb.model import Address
from gslb.routing.answer import Explainer, answer
from gslb.routing.snapshot import Snapshot

NSID_BYTES_MAX = 128


@dataclass(frozen=True, slots=True)
class Reply:
    """What one message is answered: its octets (None: silence), and what is to be counted.

    `type` is what was asked for, 0 when the message is no query; `rcode` is what was said, None
    when nothing is.  `service` and `way` are the response's (`gslb.dns.response.Response`).
    """

    octets: bytes | None
    type: int = 0
    rcode: int | None = None
    service: str | None = None
    way: str = ""


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
) -> Reply:
    """Return what is answered to the message *wire* from *sender*.

    *now_s* are seconds since 1970.  *size_max* is the transport's own limit: `UDP_MAX` or
    `TCP_MAX`.  *keepalive_s* is the idle time-out to tell a TCP client that asks for it.
    *explain* gives the lines that explain a service to those who may ask (class CH).
    """
    try:
        query = decode_query(wire)
    except WireError as wrong:
        if wrong.rcode is None:
            return SILENCE
        return Reply(encode_error(wire, wrong.rcode), rcode=wrong.rcode)
    response = answer(snapshot, query, sender, draw, now_s, explain)
    octets = encode(
        query,
        response,
        node=snapshot.plan.node.encode()[:NSID_BYTES_MAX],
        size_max=size_max,
        keepalive_s=keepalive_s,
    )
    return Reply(octets, query.type, response.rcode, response.service, response.way)
