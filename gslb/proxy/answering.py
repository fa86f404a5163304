"""Answers of the tier's own: redirects, fixed responses, refusals and error pages."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from gslb.proxy.head import Fields
from gslb.proxy.sides import NO_BODY, QUEUE_FULL
from gslb.tier import Deny, Redirect, Respond

if TYPE_CHECKING:
    from gslb.proxy.exchange import Exchange

BODILESS = (204, 304)  # statuses of responses that never have a body (RFC 9110 6.4.1)


def answer_here(exchange: Exchange, action: Redirect | Respond | Deny) -> None:
    """Answer a request as its route's *action* says, without a member."""
    if isinstance(action, Deny):
        exchange.fail(action.status, "denied")
    elif isinstance(action, Respond):
        fields = [(b"content-type", action.content_type.encode("latin-1"))]
        _reply(exchange, action.status, fields, action.body)
    else:
        fields = [(b"location", exchange.desk.redirect(exchange, action))]
        _reply(exchange, action.status, fields, b"")


def fail(exchange: Exchange, status: int, retry_after_s: float) -> None:
    """Answer a request, of which nothing was answered yet, with the error page of *status*."""
    fields, body = exchange.desk.page(status)
    if retry_after_s:
        fields.append((b"retry-after", b"%d" % ceil(retry_after_s)))
    _reply(exchange, status, fields, body)


def give_up(exchange: Exchange) -> None:
    """Answer a request that no member is left for."""
    why = exchange.why
    if why == "timeout":
        exchange.fail(504, why)
    elif exchange.tried and why != QUEUE_FULL:
        exchange.fail(502, why or "unreachable")
    else:
        exchange.fail(503, why or "no member", retry_after_s=1.0)


def framed(method: bytes, status: int, length: int) -> int:
    """Return the length to be told of a body of *length*: `NO_BODY` where there can be none."""
    return NO_BODY if method == b"HEAD" or status in BODILESS else length


def _reply(exchange: Exchange, status: int, fields: Fields, body: bytes) -> None:
    exchange.status = status
    fields = exchange.desk.own_fields(exchange, fields)
    exchange.free_client()
    client, method = exchange.client, exchange.head.method
    length = framed(method, status, len(body))
    if length == NO_BODY and status != 204:
        fields.append((b"content-length", b"%d" % len(body)))
    client.respond(status, b"", fields, length, close=exchange.is_unread)
    if length > 0:
        exchange.sent_out += length
        client.send(body)
    exchange.end([])
