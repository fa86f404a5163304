"""How long an exchange waits for either side, and what becomes of it then.

An exchange has one deadline, which moves on when something happens, and perhaps an end.  Nobody is
woken by it: whoever drives exchanges looks at them now and then, so that a request sets no timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gslb.proxy.ejection import Outcome
from gslb.proxy.sides import Phase

if TYPE_CHECKING:
    from gslb.proxy.exchange import Exchange

OCTETS_PER_S_MIN: Final = 500  # of a body that is collected, once it took longer than two pauses


def put_off(exchange: Exchange, now_s: float) -> None:
    """Move the deadline on: octets came, or were taken, at *now_s*."""
    route = exchange.route
    if route is None:
        return
    if exchange.phase == Phase.ANSWERING:
        exchange.deadline_s = now_s + route.timeouts.idle_s
    elif exchange.phase == Phase.TUNNEL:
        exchange.deadline_s = now_s + route.timeouts.tunnel_s
    elif exchange.phase == Phase.SENT and exchange.is_unread:
        exchange.deadline_s = now_s + route.timeouts.idle_s


def break_off(exchange: Exchange, now_s: float, body_s: float) -> None:
    """End what has lasted too long; a client may let *body_s* pass within a body."""
    phase = exchange.phase
    if phase == Phase.OVER:
        return
    if exchange.ends_s and now_s >= exchange.ends_s:
        exchange.cancel()
        exchange.fail(504, "total timeout")
    elif phase == Phase.COLLECTING:
        if now_s >= exchange.deadline_s + body_s or _trickles(exchange, now_s, body_s):
            exchange.fail(408, "slow client")
    elif phase != Phase.CONNECTING and now_s >= exchange.deadline_s:
        _time_out(exchange, phase)


def _trickles(exchange: Exchange, now_s: float, body_s: float) -> bool:
    """Return whether a body comes so slowly that its client means to hold what it holds."""
    upload = exchange.upload
    over_s = now_s - exchange.began_s - 2 * body_s
    return upload is not None and upload.received < over_s * OCTETS_PER_S_MIN


def _time_out(exchange: Exchange, phase: Phase) -> None:
    exchange.cancel()
    if phase != Phase.SENT:
        exchange.fail(504, "idle timeout")
    elif exchange.is_unread and not exchange.is_held:
        exchange.fail(408, "slow client")
    else:
        assert exchange.target is not None, "a request was sent to a member"
        exchange.desk.failed(exchange, exchange.target, Outcome.TIMEOUT)
        exchange.to_another("timeout", safe=exchange.may_repeat())
