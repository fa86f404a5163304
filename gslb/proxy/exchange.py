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

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from gslb.proxy.forwarding import Passage
from gslb.proxy.head import Fields, RequestHead, ResponseHead
from gslb.proxy.request import Request
from gslb.proxy.sides import NO_BODY, Back, Client, Desk
from gslb.proxy.target import Target
from gslb.proxy.upload import Upload
from gslb.tier import Deny, Forward, Redirect, Respond, Route

if TYPE_CHECKING:
    from gslb.proxy.chooser import Chooser
    from gslb.proxy.table import Rule, Table

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
UNSENT_MAX: Final = 16  # members that could not be reached at all, for one request
DISCARDED_MAX: Final = 1_048_576  # octets still read of a request that was answered already

CLIENT_GONE: Final = 499  # what is logged where the client left before it was answered
QUEUE_FULL: Final = "queue full"


class Phase(IntEnum):
    """Where an exchange is."""

    COLLECTING = 0  # reads the body before a member is chosen
    CONNECTING = 1
    SENT = 2  # waits for the response's head
    ANSWERING = 3
    TUNNEL = 4
    OVER = 5


class Exchange:
    """One request and its response.

    `status` is what the client was answered, 0 before.  `why` says in a word what went wrong, if
    anything did.  `member` is the last that was tried, `tried` are all of them, and `tries` counts
    those that were sent the request.  `sent_out` counts the octets of the response's body.  Times
    are those of the desk's clock, 0.0 where it did not come to that; `asked_s` is when a connection
    began to be opened for it.  `cookies` are set by the response, by name.  `table`, `rule` and
    `service` are the desk's.
    """

    __slots__ = (
        "_back",
        "_deadline_s",
        "_ends_s",
        "_is_held",
        "_is_sent",
        "_unsent",
        "asked_s",
        "began_s",
        "client",
        "connected_s",
        "cookies",
        "desk",
        "first_byte_s",
        "head",
        "member",
        "passage",
        "phase",
        "request",
        "request_id",
        "route",
        "rule",
        "sent_out",
        "service",
        "status",
        "table",
        "target",
        "tried",
        "tries",
        "upload",
        "why",
    )

    def __init__(
        self, desk: Desk, client: Client, head: RequestHead, request: Request, passage: Passage
    ) -> None:
        self.desk = desk
        self.client = client
        self.head = head
        self.request = request
        self.passage = passage
        self.began_s = desk.now_s()
        self.asked_s = self.connected_s = self.first_byte_s = 0.0
        self.route: Route | None = None
        self.table: Table | None = None
        self.rule: Rule | None = None
        self.service: Chooser | None = None
        self.target: Target | None = None
        self.member: Target | None = None
        self.tried: list[Target] = []
        self.tries = 0
        self.status = 0
        self.why = ""
        self.sent_out = 0
        self.cookies: dict[str, bytes] = {}
        self.phase = Phase.COLLECTING
        self.upload: Upload | None = None
        self._back: Back | None = None
        self._is_held = False
        self._is_sent = False
        self._unsent = 0
        self._deadline_s = 0.0
        self._ends_s = 0.0

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
            self._answer_here(action)
            return
        if route.body_max is not None and length > route.body_max:
            self.fail(413, "body too large")
            return
        if route.timeouts.total_s is not None:
            self._ends_s = self.began_s + route.timeouts.total_s
        desk.service_for(self, action)
        if self.phase == Phase.OVER:
            return  # the desk answered
        if length:
            self._deadline_s = self.began_s
            if self.head.expects_continue:
                self.client.interim(100, b"Continue", [])
            if route.buffer:
                return  # a member is chosen once enough of the body is here
        self._choose()

    def _answer_here(self, action: Redirect | Respond | Deny) -> None:
        if type(action) is Deny:
            self.fail(action.status, "denied")
        elif type(action) is Respond:
            fields = [(b"content-type", action.content_type.encode("latin-1"))]
            self._reply(action.status, fields, action.body)
        else:
            assert type(action) is Redirect, "there is no other action"
            self._reply(action.status, [(b"location", self.desk.redirect(self, action))], b"")

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
        self._deadline_s = self.desk.now_s()
        if route.body_max is not None and upload.received + len(octets) > route.body_max:
            self._cancel()
            self.fail(413, "body too large")
        elif phase == Phase.COLLECTING:
            upload.add(octets)
            if upload.is_full:
                self._choose()
        elif phase == Phase.CONNECTING:
            upload.add(octets)
            if upload.is_full and not self._is_held:
                self._is_held = True
                self.client.hold(held=True)
        else:
            self._deadline_s += route.timeouts.idle_s
            if self._back is not None:
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
                self._deadline_s = self.desk.now_s() + self.route.timeouts.response_s
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
        self._cancel()
        self._over()

    # The member's side.

    def _choose(self) -> None:
        self.phase = Phase.CONNECTING
        target = self.desk.choose(self)
        if target is None:
            self._give_up()
            return
        self.target = self.member = target
        self.tried.append(target)
        self.tries += 1
        self.desk.connect(self, target)

    def _give_up(self) -> None:
        if self.why == "timeout":
            self.fail(504, self.why)
        elif self.tried and self.why != QUEUE_FULL:
            self.fail(502, self.why or "unreachable")
        else:
            self.fail(503, self.why or "no member", retry_after_s=1.0)

    def on_connected(self, back: Back) -> None:
        """Hear that there is a connection: send what is here of the request."""
        desk, head, route, target = self.desk, self.head, self.route, self.target
        assert route is not None, "a connection is asked for a member"
        assert target is not None, "a connection is asked for a member"
        now_s = self.connected_s = desk.now_s()
        self._back = back
        self._is_sent = True
        self.phase = Phase.SENT
        upload, timeouts = self.upload, route.timeouts
        if upload is None:
            self._deadline_s = now_s + timeouts.response_s
            back.begin(self, head.method, desk.head_for(self, target, 0))
            return
        length = upload.length(head.length)
        self._deadline_s = now_s + (timeouts.response_s if upload.is_done else timeouts.idle_s)
        back.begin(self, head.method, desk.head_for(self, target, length) + upload.begun())
        self._free_client()

    def on_unreachable(self, why: str) -> None:
        """Hear that there is no connection to the member: it was never sent the request."""
        assert self.target is not None, "a connection is asked for a member"
        self.desk.observe(self, self.target, "connect_error")
        self._not_sent(why)

    def on_queue_full(self) -> None:
        """Hear that the member has all that it may have, and as many wait as may wait."""
        self._not_sent(QUEUE_FULL)

    def _not_sent(self, why: str) -> None:
        self._unsent += 1
        self.tries -= 1
        self._to_another(why, safe=self._unsent < UNSENT_MAX)

    def on_lost(self, why: str) -> None:
        """Hear that the connection to the member broke, or that what came was no response."""
        self._back = None
        if self.phase == Phase.TUNNEL:
            self._end([], close=True)
            return
        assert self.target is not None, "a connection is a member's"
        self.desk.observe(self, self.target, "server_error")
        if self.phase == Phase.ANSWERING:
            self.fail(502, why)
            return
        self._to_another(why, safe=self._may_repeat())

    def _may_repeat(self) -> bool:
        is_whole = self.upload is None or self.upload.is_whole
        return is_whole and self.head.method in IDEMPOTENT

    def _to_another(self, why: str, *, safe: bool) -> None:
        """Try another member if that is safe and within bounds, or give up."""
        self.why = why
        self._let_go()
        if safe and self._has_another_try():
            self._choose()
        else:
            self._give_up()

    def _has_another_try(self) -> bool:
        assert self.route is not None, "what is tried again has a route"
        if self.tries >= self.route.retry.tries:
            return False
        return not self._is_sent or self.desk.may_retry(self)

    def on_response(self, head: ResponseHead) -> None:
        """Hear the head of the response."""
        status, desk, route, target = head.status, self.desk, self.route, self.target
        assert route is not None, "a response comes from a member"
        assert target is not None, "a response comes from a member"
        if status < 200 and status != 101:
            if status != 100:  # that the client was told by us
                self.client.interim(status, head.reason, head.passing)
            return
        now_s = self.first_byte_s = desk.now_s()
        desk.observe(self, target, "server_error" if status >= 500 else "ok")
        if status in route.retry.statuses and self._may_repeat() and self._has_another_try():
            self._cancel()
            self._let_go()
            self.why = f"status {status}"
            self._choose()
            return
        self.status = status
        self.why = ""
        fields = desk.fields_for(self, head)
        upload = self.upload
        close = upload is not None and not upload.is_done
        if status == 101:
            self._upgrade(head, fields, now_s)
            return
        self.phase = Phase.ANSWERING
        self._deadline_s = now_s + route.timeouts.idle_s
        length = head.length
        if not length and (self.head.method == b"HEAD" or status in (204, 304)):
            length = NO_BODY
        self.client.respond(status, head.reason, fields, length, close=close)

    def _upgrade(self, head: ResponseHead, fields: Fields, now_s: float) -> None:
        assert self.route is not None, "a response comes from a member"
        if self.head.upgrade is None or head.upgrade is None:
            self._cancel()
            self.fail(502, "an upgrade that nobody asked for")
            return
        self.phase = Phase.TUNNEL
        self._deadline_s = now_s + self.route.timeouts.tunnel_s
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
        is_done = self.upload is None or self.upload.is_done
        if back is not None:
            back.release(reusable=reusable and is_done)
        self._end(trailers, close=not is_done)

    def tick(self) -> None:
        """Put off the deadline: octets came, or were taken."""
        route = self.route
        if route is None:
            return
        if self.phase == Phase.TUNNEL:
            self._deadline_s = self.desk.now_s() + route.timeouts.tunnel_s
        elif self.phase == Phase.ANSWERING:
            self._deadline_s = self.desk.now_s() + route.timeouts.idle_s

    def overdue(self, now_s: float, body_s: float) -> None:
        """Break off what has lasted too long; a client may let *body_s* pass within a body."""
        phase = self.phase
        if phase == Phase.OVER:
            return
        if self._ends_s and now_s >= self._ends_s:
            self._cancel()
            self.fail(504, "total timeout")
        elif phase == Phase.COLLECTING:
            if now_s >= self._deadline_s + body_s:
                self.fail(408, "slow client")
        elif phase != Phase.CONNECTING and now_s >= self._deadline_s:
            self._time_out(phase)

    def _time_out(self, phase: Phase) -> None:
        self._cancel()
        if phase != Phase.SENT:
            self.fail(504, "idle timeout")
        elif self.upload is not None and not self.upload.is_done:
            self.fail(408, "slow client")
        else:
            assert self.target is not None, "a request was sent to a member"
            self.desk.observe(self, self.target, "timeout")
            self._to_another("timeout", safe=self._may_repeat())

    # Ends.

    def fail(self, status: int, why: str, *, retry_after_s: float = 0.0) -> None:
        """Answer with an error page, or break off where an answer has begun."""
        self.why = why
        if self.phase >= Phase.ANSWERING:
            if self.phase != Phase.OVER:
                self._over()
                self.client.abort()
            return
        fields, body = self.desk.answer(self, status)
        if retry_after_s:
            fields.append((b"retry-after", b"%d" % max(1, int(retry_after_s + 0.999))))
        self._reply(status, fields, body)

    def _reply(self, status: int, fields: Fields, body: bytes) -> None:
        self.status = status
        self._free_client()
        close = self.upload is not None and not self.upload.is_done
        bare = self.head.method == b"HEAD" or status in (204, 304)
        if bare and status != 204:
            fields.append((b"content-length", b"%d" % len(body)))
        self.client.respond(status, b"", fields, NO_BODY if bare else len(body), close=close)
        if body and not bare:
            self.sent_out += len(body)
            self.client.send(body)
        self._end([], close=close)

    def _end(self, trailers: Fields, *, close: bool) -> None:
        """Send the end of the response; the next request waits until this one was counted."""
        if not close:
            self._free_client()
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

    def _cancel(self) -> None:
        """Take the request back from wherever it is."""
        if self.phase == Phase.CONNECTING:
            self.desk.forget(self)
        back, self._back = self._back, None
        if back is not None:
            back.release(reusable=False)

    def _free_client(self) -> None:
        if self._is_held:
            self._is_held = False
            self.client.hold(held=False)
