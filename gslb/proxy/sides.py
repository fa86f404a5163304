"""Who an exchange speaks with: a client, a connection to a member, and the desk that decides.

Protocols alone: HTTP/1 and HTTP/2 clients look the same from here, and a test puts its own in.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from gslb.proxy.ejection import Outcome
from gslb.proxy.head import Fields, ResponseHead
from gslb.proxy.target import Target
from gslb.tier import Forward, Redirect, Route

if TYPE_CHECKING:
    from gslb.proxy.exchange import Exchange

QUEUE_FULL: Final = "queue full"  # why a request was not sent
NO_BODY: Final = -3  # of a length: there is none, whatever the fields say of one


class Phase(IntEnum):
    """Where an exchange is."""

    COLLECTING = 0  # reads the body before a member is chosen
    CONNECTING = 1
    SENT = 2  # waits for the response's head
    ANSWERING = 3
    TUNNEL = 4
    OVER = 5


class Client(Protocol):
    """The side that a request came from; `tls` is such as ``TLSv1.3``, None for none."""

    tls: str | None

    def respond(
        self, status: int, reason: bytes, fields: Fields, length: int, *, close: bool
    ) -> None:
        """Send a head; *length* is the body's in octets, `CHUNKED`, `UNTIL_CLOSE` or `NO_BODY`.

        With *close* nothing more is read of this client once the body is sent.
        """

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """Send an interim head (1xx)."""

    def send(self, octets: bytes) -> None:
        """Send a part of the body, or of a tunnel."""

    def flush(self) -> None:
        """Send what is held back to be sent together with what comes next."""

    def finish(self, trailers: Fields) -> None:
        """Send the end of the body, and all that was not sent yet."""

    def go_on(self) -> None:
        """Read the client's next request, or close if that was the last."""

    def abort(self) -> None:
        """Break off: what was sent is not whole."""

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading the request's body."""

    def tunnel(self) -> None:
        """Pass on what comes from now on as it is."""


class Back(Protocol):
    """A connection to a member."""

    def begin(self, exchange: Exchange, method: bytes, octets: bytes) -> None:
        """Send a request's head, with what is there of its body."""

    def send(self, octets: bytes) -> None:
        """Send more of the body, or of a tunnel."""

    def end_sending(self) -> None:
        """Say in a tunnel that the client sends no more."""

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading the response."""

    def release(self, *, reusable: bool) -> None:
        """Give the connection back, or close it."""


class Desk(Protocol):
    """What an exchange asks the worker for."""

    def now_s(self) -> float:
        """Return the time."""

    def route(self, exchange: Exchange) -> Route | None:
        """Return the rule for an exchange's request."""

    def limited_s(self, exchange: Exchange, route: Route) -> float:
        """Return for how many seconds the request has to wait by the route's rates; 0 for not."""

    def service_for(self, exchange: Exchange, forward: Forward) -> None:
        """Settle the service that the request goes to."""

    def choose(self, exchange: Exchange) -> Target | None:
        """Return the next member to try, which is counted as having the request."""

    def connect(self, exchange: Exchange, target: Target) -> None:
        """Get a connection: `on_connected` or `on_unreachable` is called, now or later."""

    def forget(self, exchange: Exchange) -> None:
        """Wait no longer for a connection for this exchange."""

    def head_for(self, exchange: Exchange, target: Target, length: int) -> bytes:
        """Return the head that goes to a member, up to its empty line."""

    def fields_for(self, exchange: Exchange, head: ResponseHead) -> Fields:
        """Return the fields of a response as they go to the client."""

    def hints_for(self, exchange: Exchange, head: ResponseHead) -> Fields:
        """Return the fields of an interim response as they go to the client."""

    def page(self, status: int) -> tuple[Fields, bytes]:
        """Return the fields and the body of an error page."""

    def own_fields(self, exchange: Exchange, fields: Fields) -> Fields:
        """Return the fields of a response with those that the tier adds."""

    def redirect(self, exchange: Exchange, to: Redirect) -> bytes:
        """Return where a redirect leads."""

    def may_retry(self, exchange: Exchange) -> bool:
        """Return whether the budget lets this be tried once more, and count it if so."""

    def succeeded(self, exchange: Exchange, target: Target, now_s: float) -> None:
        """Hear that a member answered, at *now_s*, and well."""

    def failed(
        self, exchange: Exchange, target: Target, outcome: Outcome, *, blames: bool = True
    ) -> None:
        """Hear that a member did not answer, or badly; if it *blames* the member, by its fault."""

    def done(self, exchange: Exchange) -> None:
        """Hear that an exchange is over: it is to be counted, and logged."""
