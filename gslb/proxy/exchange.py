"""One request's way through the tier: from its head to the last octet of its response.

An exchange stands between a client's side and a connection to a member, and is told what happens
on both.  It asks its desk for a route and a member, sends the request, passes the response back,
and tries another member where that is safe: nothing of the response has gone to the client yet, all
that was read of the request is still held, and the request either never was sent or may be repeated
(its method is idempotent, RFC 9110 9.2.2).

Nothing here waits: each call returns, and the next one comes when something happened.  Time is told
by the desk's clock; whoever drives the exchange calls `overdue` now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gslb.proxy.answering import answer_here, fail, framed, give_up
from gslb.proxy.ejection import Outcome
from gslb.proxy.forwarding import Passage
from gslb.proxy.head import Fields, RequestHead, ResponseHead
from gslb.proxy.patience import break_off, put_off
from gslb.proxy.request import IDEMPOTENT, Request
from gslb.proxy.sides import NO_BODY, QUEUE_FULL, Back, Client, Desk, Phase
from gslb.proxy.target import Target
from gslb.proxy.upload import Upload
from gslb.tier import Forward, Route

if TYPE_CHECKING:
    from gslb.proxy.chooser import Chooser
    from gslb.proxy.table import Rule, Table

UNSENT_MAX: Final = 16  # members that could not be reached at all, for one request
DISCARDED_MAX: Final = 1_048_576  # octets still read of a request that was answered already
CLIENT_GONE: Final = 499  # what is logged where the client left before it was answered


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and its response.

    `status` is what the client was answered, 0 before; `why` a word for what went wrong.  `tried`
    are all members that were, `member` is the last; `tries` counts those sent the request, and
    `was_lost` says that one broke off.  `sent_out` counts octets of the response's body.  Times are
    by the desk's clock, 0.0 where it did not come to that: a connection was asked for at `asked_s`,
    something must happen until `deadline_s`, and all until `ends_s`.  `cookies` are set by name.
    While `is_held`, the client is not read from; `waits_at` gets it a connection.
    """

    desk: Desk
    client: Client
    head: RequestHead
    request: Request
    passage: Passage
    began_s: float
    asked_s: float = 0.0
    connected_s: float = 0.0
    first_byte_s: float = 0.0
    deadline_s: float = 0.0
    ends_s: float = 0.0
    table: Table | None = None
    route: Route | None = None
    rule: Rule | None = None
    service: Chooser | None = None
    target: Target | None = None
    member: Target | None = None
    tried: list[Target] = field(default_factory=list)
    tries: int = 0
    was_lost: bool = False
    status: int = 0
    why: str = ""
    sent_out: int = 0
    cookies: dict[str, bytes] = field(default_factory=dict)
    phase: Phase = Phase.COLLECTING
    is_held: bool = False
    upload: Upload | None = None
    waits_at: object = None
    _back: Back | None = None
    _is_sent: bool = False
    _unsent: int = 0

    @property
    def is_unread(self) -> bool:
        """Whether a part of the request's body has not been read."""
        return self.upload is not None and not self.upload.is_done

    def begin(self) -> None:
        """Decide what becomes of the request."""
        desk, length = self.desk, self.head.length
        route = self.route = desk.route(self)
        if length:
            self.upload = Upload(0 if route is None else route.buffer, is_done=False)
        if route is None:
            self.fail(404, "no route")
            return
        if route.rates and (wait_s := desk.limited_s(self, route)):
            self.fail(429, "rate limit", retry_after_s=wait_s)
            return
        action = route.action
        if not isinstance(action, Forward):
            answer_here(self, action)
            return
        if route.body_max is not None and length > route.body_max:
            self.fail(413, "body too large")
            return
        if route.timeouts.total_s is not None:
            self.ends_s = self.began_s + route.timeouts.total_s
        desk.service_for(self, action)
        if self.phase == Phase.OVER:
            return  # the desk answered
        if length:
            self.deadline_s = self.began_s
            if self.head.expects_continue:
                self.client.interim(100, b"Continue", [])
            if route.buffer:
                return  # a member is chosen once enough of the body is here
        self._choose()

    # The client's side.

    def on_body(self, octets: bytes) -> None:
        """Hear a part of the request's body."""
        phase, upload, route = self.phase, self.upload, self.route
        assert upload is not None, "a body comes with an upload"
        if phase == Phase.OVER or route is None:
            upload.received += len(octets)
            if upload.received > DISCARDED_MAX:
                self.client.abort()
            return
        self.deadline_s = self.desk.now_s()
        if route.body_max is not None and upload.received + len(octets) > route.body_max:
            self.cancel()
            self.fail(413, "body too large")
        elif phase == Phase.COLLECTING:
            upload.add(octets)
            if upload.is_full:
                self._choose()
        elif phase == Phase.CONNECTING:
            upload.add(octets)
            self.hold_client()
        else:
            assert self._back is not None, "what was sent has a connection"
            self.deadline_s += route.timeouts.idle_s
            self._back.send(upload.passing(octets))

    def on_body_end(self, trailers: Fields) -> None:
        """Hear that the request's body is whole."""
        upload, phase = self.upload, self.phase
        assert upload is not None, "a body comes with an upload"
        upload.end(trailers)
        if phase == Phase.COLLECTING:
            self._choose()
        elif phase in (Phase.SENT, Phase.ANSWERING) and self._back is not None:
            assert self.route is not None, "what was sent has a route"
            if phase == Phase.SENT:
                self.deadline_s = self.desk.now_s() + self.route.timeouts.response_s
            if ending := upload.ending():
                self._back.send(ending)

    def on_tunnelled(self, octets: bytes) -> None:
        """Hear octets of a tunnel from the client."""
        if self._back is not None:
            self.tick()
            self._back.send(octets)

    def on_client_half_closed(self) -> None:
        """Hear that the client sends no more, and still listens."""
        if self.phase == Phase.TUNNEL and self._back is not None:
            self._back.end_sending()

    def on_client_full(self, *, full: bool) -> None:
        """Hear that the client takes no more for now, or again."""
        if self._back is not None:
            self._back.hold(held=full)

    def on_client_gone(self) -> None:
        """Hear that the client is there no more."""
        if self.phase == Phase.OVER:
            return
        self.why = self.why or "client gone"
        self.status = self.status or CLIENT_GONE
        self.cancel()
        self._over()

    # The member's side.

    def _choose(self) -> None:
        self.phase = Phase.CONNECTING
        target = self.desk.choose(self)
        if target is None:
            give_up(self)
        else:
            self._try(target)

    def _try(self, target: Target) -> None:
        self.phase = Phase.CONNECTING
        self.target = self.member = target
        self.tried.append(target)
        self.tries += 1
        self.desk.connect(self, target)

    def on_connected(self, back: Back) -> None:
        """Hear that there is a connection: send what is here of the request."""
        if self.phase != Phase.CONNECTING:
            back.release(reusable=True)  # it came too late
            return
        desk, head, route, target = self.desk, self.head, self.route, self.target
        assert route is not None, "a connection is asked for a member"
        assert target is not None, "a connection is asked for a member"
        now_s = self.connected_s = desk.now_s()
        self._back = back
        self._is_sent = True
        self.phase = Phase.SENT
        upload, timeouts = self.upload, route.timeouts
        if upload is None:
            self.deadline_s = now_s + timeouts.response_s
            back.begin(self, head.method, desk.head_for(self, target, 0))
            return
        length = upload.length(head.length)
        self.deadline_s = now_s + (timeouts.response_s if upload.is_done else timeouts.idle_s)
        self.free_client()
        back.begin(self, head.method, desk.head_for(self, target, length) + upload.begun())

    def on_unreachable(self, why: str, *, blames: bool = True) -> None:
        """Hear that the member could not be sent the request, unless *blames* by its own fault."""
        if self.phase != Phase.CONNECTING:
            return
        assert self.target is not None, "a connection is asked for a member"
        self.desk.failed(self, self.target, Outcome.CONNECT_ERROR, blames=blames)
        self._not_sent(why)

    def on_queue_full(self) -> None:
        """Hear that the member has all that it may have, and as many wait as may wait."""
        if self.phase == Phase.CONNECTING:
            self._not_sent(QUEUE_FULL)

    def _not_sent(self, why: str) -> None:
        self._unsent += 1
        self.tries -= 1
        self.to_another(why, safe=self._unsent < UNSENT_MAX)

    def on_lost(self, why: str) -> None:
        """Hear that the connection to the member broke, or that what came was no response."""
        self._back = None
        if self.phase == Phase.TUNNEL:
            self.end([])
            return
        assert self.target is not None, "a connection is a member's"
        self.was_lost = True
        self.desk.failed(self, self.target, Outcome.TIMEOUT)
        if self.phase == Phase.ANSWERING:
            self.fail(502, why)
            return
        self.to_another(why, safe=self.may_repeat())

    def may_repeat(self) -> bool:
        """Return whether the request may be sent again, though a member had it."""
        is_whole = self.upload is None or self.upload.is_whole
        return is_whole and self.head.method in IDEMPOTENT

    def to_another(self, why: str, *, safe: bool) -> None:
        """Try another member if that is safe and within bounds, or give up."""
        self.why = why
        self._let_go()
        if safe and self._has_another_try():
            self._choose()
        else:
            give_up(self)

    def _has_another_try(self) -> bool:
        assert self.route is not None, "what is tried again has a route"
        if self.tries >= self.route.retry.tries:
            return False
        # What could not be reached since it was granted another sending has not used that up.
        self._is_sent = self._is_sent and not self.desk.may_retry(self)
        return not self._is_sent

    def on_response(self, head: ResponseHead) -> None:
        """Hear the head of the response."""
        status, desk, route, target = head.status, self.desk, self.route, self.target
        assert route is not None, "a response comes from a member"
        assert target is not None, "a response comes from a member"
        if status < 200 and status != 101:
            if status != 100:  # that the client was told by us
                self.client.interim(status, head.reason, desk.hints_for(self, head))
            return
        now_s = self.first_byte_s = desk.now_s()
        if status < 500:
            desk.succeeded(self, target, now_s)
        else:
            desk.failed(self, target, Outcome.SERVER_ERROR)
        if (
            status in route.retry.statuses
            and self.may_repeat()
            and self._has_another_try()
            and (another := desk.choose(self)) is not None
        ):
            self.cancel()
            self._let_go()
            self.why = f"status {status}"
            self._try(another)
            return
        self.status = status
        self.why = ""
        fields = desk.fields_for(self, head)
        if status == 101:
            self._upgrade(head, fields, now_s)
            return
        self.phase = Phase.ANSWERING
        self.deadline_s = now_s + route.timeouts.idle_s
        length = framed(self.head.method, status, head.length)
        self.client.respond(status, head.reason, fields, length, close=self.is_unread)

    def _upgrade(self, head: ResponseHead, fields: Fields, now_s: float) -> None:
        assert self.route is not None, "a response comes from a member"
        if self.head.upgrade is None or head.upgrade is None:
            self.cancel()
            self.fail(502, "an upgrade that nobody asked for")
            return
        self.phase = Phase.TUNNEL
        self.deadline_s = now_s + self.route.timeouts.tunnel_s
        fields += ((b"upgrade", head.upgrade), (b"connection", b"upgrade"))
        self.client.respond(head.status, head.reason, fields, NO_BODY, close=True)
        self.client.tunnel()

    def on_data(self, octets: bytes) -> None:
        """Hear a part of the response's body, or of a tunnel."""
        self.sent_out += len(octets)
        self.client.send(octets)

    def on_end(self, trailers: Fields, *, reusable: bool) -> None:
        """Hear that the response is whole."""
        back, self._back = self._back, None
        assert back is not None, "a response comes over a connection"
        back.release(reusable=reusable and not self.is_unread)
        self.end(trailers)

    def tick(self) -> None:
        """Put off the deadline: octets came, or were taken."""
        put_off(self, self.desk.now_s())

    def overdue(self, now_s: float, body_s: float) -> None:
        """Break off what has lasted too long; a client may let *body_s* pass within a body."""
        break_off(self, now_s, body_s)

    # Ends.

    def fail(self, status: int, why: str, *, retry_after_s: float = 0.0) -> None:
        """Answer with an error page, or break off where an answer has begun."""
        self.why = why
        if self.phase < Phase.ANSWERING:
            fail(self, status, retry_after_s)
        elif self.phase != Phase.OVER:
            self._over()
            self.client.abort()

    def end(self, trailers: Fields) -> None:
        """Send the end of the response; the next request waits until this one was counted."""
        self.free_client()
        client = self.client
        client.finish(trailers)
        self._over()
        client.go_on()

    def _over(self) -> None:
        if self.phase == Phase.OVER:
            return
        self._let_go()
        self.phase = Phase.OVER
        if self.upload is not None:
            self.upload.drop()
        self.desk.done(self)

    def _let_go(self) -> None:
        """Count the request as no longer under way at its member."""
        target, self.target = self.target, None
        if target is not None:
            target.active -= 1

    def cancel(self) -> None:
        """Take the request back from wherever it is."""
        if self.phase == Phase.CONNECTING:
            self.desk.forget(self)
        back, self._back = self._back, None
        if back is not None:
            back.release(reusable=False)

    def hold_client(self) -> None:
        """Let the client wait with what it sends: there is no room for it."""
        if not self.is_held:
            self.is_held = True
            self.client.hold(held=True)

    def free_client(self) -> None:
        """Let the client go on sending, if it was held."""
        if self.is_held:
            self.is_held = False
            self.client.hold(held=False)
