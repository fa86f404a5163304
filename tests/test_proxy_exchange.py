"""An exchange: what is tried again and what is not, what is waited for, and that nothing leaks."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gslb.proxy.exchange import CLIENT_GONE, DISCARDED_MAX, UNSENT_MAX
from gslb.proxy.head import CHUNKED
from gslb.proxy.sides import NO_BODY, Phase
from gslb.tier import Deny, Rate, Redirect, Respond, Retry, Timeouts
from tests.exchanges import FakeClient, FakeDesk, begun, head, response, route


def made(request=None, desk=None, **keys):
    desk = desk or FakeDesk(route(**keys))
    client = FakeClient()
    return desk, client, begun(desk, client, request or head())


def is_over(desk, client, exchange, status):
    """See that it is over, was answered so, and left nothing behind."""
    assert exchange.phase == Phase.OVER
    assert desk.over == [exchange]
    assert (exchange.status, client.status or CLIENT_GONE) == (status, status)
    assert desk.active == 0
    assert desk.asked == []
    assert all(back.released is not None for back in desk.backs)
    assert not client.held


def test_a_request_is_sent_and_its_response_comes_back():
    desk, client, exchange = made()
    desk.clock_s = 2.0
    back = desk.connected(exchange)
    assert back.sent == b"[GET 0]"
    exchange.on_response(response(200, b"Content-Length: 5"))
    assert desk.active == 1
    exchange.on_data(b"he")
    exchange.on_data(b"llo")
    exchange.on_end([], reusable=True)
    assert (client.length, client.body, client.finished, client.went_on) == (5, b"hello", 1, 1)
    assert back.released is True
    assert (exchange.tries, exchange.sent_out, exchange.connected_s) == (1, 5, 2.0)
    is_over(desk, client, exchange, 200)


@pytest.mark.parametrize(
    ("action", "method", "status", "length", "body"),
    [
        (Deny(403), b"GET", 403, 8, b"page 403"),
        (Deny(403), b"HEAD", 403, NO_BODY, b""),
        (Respond(200, b"hi"), b"GET", 200, 2, b"hi"),
        (Respond(204), b"GET", 204, NO_BODY, b""),
        (Redirect("/x", 302), b"GET", 302, 0, b""),
    ],
)
def test_what_needs_no_member_is_answered_at_once(action, method, status, length, body):
    desk, client, exchange = made(head(method), action=action)
    assert (client.length, client.body) == (length, body)
    assert (b"content-length" in client.fields) == (length == NO_BODY and status != 204)
    is_over(desk, client, exchange, status)


def test_no_route_too_many_and_what_the_desk_refuses():
    desk, client, exchange = made(desk=FakeDesk(None))
    is_over(desk, client, exchange, 404)
    desk = FakeDesk(route(rates=(Rate(1, 1),)))
    desk.limit_s = 1.2
    desk, client, exchange = made(desk=desk)
    assert client.fields[b"retry-after"] == b"2"
    is_over(desk, client, exchange, 429)
    desk = FakeDesk(route())
    desk.answers_with = 508
    is_over(*made(desk=desk), 508)
    is_over(*made(desk=FakeDesk(route(), members=0)), 503)


def test_a_member_that_cannot_be_reached_is_passed_over_and_costs_no_budget():
    desk, client, exchange = made(head(b"POST"), retry=Retry(tries=1))
    desk.budget = 0
    for _ in range(2):
        desk.asked.pop()
        exchange.on_unreachable("refused")
    desk.connected(exchange)
    exchange.on_response(response(204))
    exchange.on_end([], reusable=True)
    assert desk.outcomes == ["connect_error", "connect_error", "ok"]
    assert exchange.tries == 1
    is_over(desk, client, exchange, 204)


def test_what_the_request_itself_is_to_blame_for_is_held_against_nobody():
    desk, client, exchange = made(desk=FakeDesk(route(), members=1))
    desk.asked.pop()
    exchange.on_unreachable("server name", blames=False)
    assert desk.outcomes == []
    is_over(desk, client, exchange, 502)


def test_no_more_members_are_sought_than_is_sensible():
    desk, client, exchange = made(desk=FakeDesk(route(), members=UNSENT_MAX + 5))
    for _ in range(UNSENT_MAX):
        desk.asked.pop()
        exchange.on_unreachable("refused")
    is_over(desk, client, exchange, 502)


def test_full_members_are_503_and_say_when_to_come_back():
    desk, client, exchange = made()
    for _ in range(3):
        desk.asked.pop()
        exchange.on_queue_full()
    assert client.fields[b"retry-after"] == b"1"
    assert desk.outcomes == []
    is_over(desk, client, exchange, 503)


@pytest.mark.parametrize(("method", "tries"), [(b"GET", 3), (b"DELETE", 3), (b"POST", 1)])
def test_only_what_may_be_repeated_is_sent_to_another(method, tries):
    desk, client, exchange = made(head(method))
    while exchange.phase != Phase.OVER:
        back = desk.connected(exchange)
        back.released = False
        exchange.on_lost("connection lost")
    assert (exchange.tries, len(desk.backs)) == (tries, tries)
    is_over(desk, client, exchange, 502)


@pytest.mark.parametrize(("budget", "tries"), [(0, 1), (1, 2), (2, 3), (9, 3)])
def test_retries_end_with_the_budget(budget, tries):
    desk, client, exchange = made(desk=FakeDesk(route(), 5, budget))
    while exchange.phase != Phase.OVER:
        desk.connected(exchange)
        desk.clock_s += 5.0
        exchange.overdue(desk.clock_s, 1.0)
    assert exchange.tries == tries
    is_over(desk, client, exchange, 504)


def test_a_status_may_be_a_reason_to_try_another():
    desk, client, exchange = made(retry=Retry(tries=2, statuses=frozenset({503})))
    desk.connected(exchange)
    exchange.on_response(response(503))
    assert exchange.phase == Phase.CONNECTING
    desk.connected(exchange)
    exchange.on_response(response(503, b"Content-Length: 0"))
    exchange.on_end([], reusable=True)
    assert desk.outcomes == ["server_error", "server_error"]
    is_over(desk, client, exchange, 503)


def test_a_body_is_held_and_sent_again_with_the_request():
    desk, client, exchange = made(head(b"PUT", CHUNKED))
    assert desk.asked == []
    exchange.on_body(b"ab")
    exchange.on_body(b"cd")
    exchange.on_body_end([])
    for _ in range(2):
        back = desk.connected(exchange)
        assert back.sent == b"[PUT 4]abcd"
        back.released = False
        exchange.on_lost("reset")
    desk.connected(exchange)
    exchange.on_response(response(200, b"Content-Length: 0"))
    exchange.on_end([], reusable=True)
    is_over(desk, client, exchange, 200)


def test_a_body_that_is_not_held_any_more_is_not_sent_again():
    desk, client, exchange = made(head(b"PUT", 6), buffer=2)
    exchange.on_body(b"abcd")
    exchange.on_body(b"e")
    assert client.held
    back = desk.connected(exchange)
    assert not client.held
    exchange.on_body(b"f")
    exchange.on_body_end([])
    assert back.sent == b"[PUT 6]abcdef"
    back.released = False
    exchange.on_lost("reset")
    assert exchange.tries == 1
    is_over(desk, client, exchange, 502)


def test_a_body_streams_where_none_is_to_be_held_and_its_end_is_passed_on():
    desk, client, exchange = made(head(b"POST", CHUNKED, expects_continue=True), buffer=0)
    assert client.interims == [100]
    back = desk.connected(exchange)
    exchange.on_body(b"ab")
    exchange.on_response(response(200))
    exchange.on_body(b"c")
    exchange.on_body_end([(b"x", b"y")])
    assert back.sent == b"[POST chunked]2\r\nab\r\n1\r\nc\r\n0\r\nx: y\r\n\r\n"
    assert client.closes, "the response began before the request was whole"
    exchange.on_end([], reusable=True)
    is_over(desk, client, exchange, 200)


def test_a_body_that_is_too_large_is_refused_by_its_length_and_by_what_comes():
    is_over(*made(head(b"POST", 11), body_max=10), 413)
    desk, client, exchange = made(head(b"POST", CHUNKED), body_max=10, buffer=4)
    exchange.on_body(b"12345")
    desk.connected(exchange)
    exchange.on_body(b"123456")
    assert client.closes
    is_over(desk, client, exchange, 413)
    exchange.on_body(b"x" * DISCARDED_MAX)
    assert client.aborted == 1


def test_a_body_that_comes_for_nobody_goes_nowhere():
    desk, _, exchange = made(head(b"POST", 100), buffer=0)
    back = desk.connected(exchange)
    exchange.cancel()
    exchange.on_body(b"some")
    assert back.sent == b"[POST 100]"


def test_an_early_response_ends_the_upload():
    desk, client, exchange = made(head(b"POST", 100), buffer=0)
    back = desk.connected(exchange)
    exchange.on_body(b"some")
    exchange.on_response(response(401, b"Content-Length: 0"))
    exchange.on_end([], reusable=True)
    assert client.closes
    assert back.released is False, "the member waits for the rest"
    exchange.on_body(b"more")
    exchange.on_body_end([])
    is_over(desk, client, exchange, 401)


def test_interim_responses_go_on_but_for_100():
    desk, client, exchange = made()
    desk.connected(exchange)
    exchange.on_response(response(100))
    exchange.on_response(response(103))
    assert client.interims == [103]
    assert exchange.phase == Phase.SENT


def test_a_response_that_breaks_off_breaks_the_client_off():
    desk, client, exchange = made()
    back = desk.connected(exchange)
    exchange.on_response(response(200, b"Content-Length: 9"))
    back.released = False
    exchange.on_lost("reset")
    assert (client.aborted, client.finished) == (1, 0)
    is_over(desk, client, exchange, 200)


def test_a_tunnel_passes_octets_and_ends_both_ways():
    desk, client, exchange = made(head(upgrade=b"websocket"))
    back = desk.connected(exchange)
    upgrade = response(101, b"Upgrade: websocket", b"Connection: upgrade")
    exchange.on_response(upgrade)
    assert client.tunnels
    exchange.on_tunnelled(b"up")
    exchange.on_data(b"down")
    exchange.on_client_half_closed()
    assert (back.sent, client.body, back.ended) == (b"[GET 0]up", b"down", True)
    desk.clock_s += 99.0
    exchange.tick()
    exchange.overdue(desk.clock_s + 99.0, 1.0)
    assert exchange.phase == Phase.TUNNEL
    back.released = False
    exchange.on_lost("closed")
    exchange.on_tunnelled(b"late")
    is_over(desk, client, exchange, 101)


@pytest.mark.parametrize("upgrade", [None, b"websocket"])
def test_an_upgrade_that_was_not_asked_for_or_names_nothing_is_refused(upgrade):
    desk, client, exchange = made(head(upgrade=upgrade))
    desk.connected(exchange)
    told = response(101, b"Upgrade: websocket", b"Connection: upgrade")
    if upgrade is not None:
        told.upgrade = None
    exchange.on_response(told)
    is_over(desk, client, exchange, 502)


def test_each_side_is_held_while_the_other_is_full():
    desk, _client, exchange = made()
    exchange.on_client_full(full=True)  # nobody to hold yet
    back = desk.connected(exchange)
    exchange.on_client_half_closed()
    assert not back.ended
    exchange.on_client_full(full=True)
    assert back.held
    exchange.on_client_full(full=False)
    assert not back.held


def test_what_comes_too_late_changes_nothing():
    desk, client, exchange = made(head(b"PUT", 4), buffer=0)
    exchange.on_body(b"ab")
    exchange.on_body(b"c")  # full already
    back = desk.connected(exchange)
    exchange.on_response(response(200, b"Content-Length: 0"))
    exchange.on_end([], reusable=True)
    exchange.on_end([], reusable=True)
    exchange.fail(504, "late")
    exchange.on_client_half_closed()
    assert (back.released, client.status) == (False, 200)
    assert desk.over == [exchange]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_client_that_goes_leaves_nothing_behind(phase):
    desk, _client, exchange = made(head(b"PUT", 4, upgrade=b"websocket"))
    if phase > Phase.COLLECTING:
        exchange.on_body(b"abcd")
        exchange.on_body_end([])
    if phase > Phase.CONNECTING:
        desk.connected(exchange)
    if phase == Phase.TUNNEL:
        exchange.on_response(response(101, b"Upgrade: websocket", b"Connection: upgrade"))
    elif phase > Phase.SENT:
        exchange.on_response(response(200))
    if phase == Phase.OVER:
        exchange.on_end([], reusable=True)
    assert exchange.phase == phase
    exchange.on_client_gone()
    exchange.on_client_gone()
    assert exchange.phase == Phase.OVER
    assert (desk.active, desk.asked, desk.over) == (0, [], [exchange])
    assert all(back.released is not None for back in desk.backs)
    assert exchange.why == ("" if phase == Phase.OVER else "client gone")


def test_each_wait_has_its_end():
    body_s = 3.0

    def wait(exchange, desk, just_s):
        exchange.overdue(desk.clock_s + just_s - 0.01, body_s)
        assert exchange.phase != Phase.OVER
        exchange.overdue(desk.clock_s + just_s, body_s)

    one = Retry(tries=1)
    desk, client, exchange = made(head(b"POST", 4))
    wait(exchange, desk, body_s)
    is_over(desk, client, exchange, 408)

    desk, client, exchange = made(head(b"POST", 4), buffer=0)
    exchange.overdue(1000.0, body_s)  # who connects has a time of its own
    desk.connected(exchange)
    wait(exchange, desk, 10.0)
    is_over(desk, client, exchange, 408)

    desk, client, exchange = made(retry=one)
    desk.connected(exchange)
    wait(exchange, desk, 5.0)
    assert desk.outcomes == ["timeout"]
    is_over(desk, client, exchange, 504)

    desk, client, exchange = made()
    desk.connected(exchange)
    exchange.on_response(response(200))
    desk.clock_s += 9.0
    exchange.tick()
    wait(exchange, desk, 10.0)
    assert client.aborted == 1
    is_over(desk, client, exchange, 200)
    exchange.tick()
    exchange.overdue(1e9, body_s)

    desk, client, exchange = made(timeouts=Timeouts(total_s=7.0))
    wait(exchange, desk, 7.0)
    is_over(desk, client, exchange, 504)

    desk, client, exchange = made()
    desk.connected(exchange)
    exchange.route = None
    exchange.tick()


class Exchanges(RuleBasedStateMachine):
    """Whatever happens in whatever order: one answer, one end, nothing counted that is no more."""

    @initialize(
        method=st.sampled_from([b"GET", b"POST", b"PUT"]),
        length=st.sampled_from([0, 0, 6, CHUNKED]),
        buffer=st.sampled_from([0, 2, 100]),
        members=st.integers(0, 4),
        budget=st.integers(0, 3),
        upgrade=st.booleans(),
        body_max=st.sampled_from([None, 3]),
    )
    def begin(self, method, length, buffer, members, budget, upgrade, body_max):
        total = Timeouts(response_s=5, idle_s=10, total_s=60)
        retry = Retry(statuses=frozenset({503}))
        self.desk = FakeDesk(
            route(buffer=buffer, timeouts=total, retry=retry, body_max=body_max), members, budget
        )
        self.client = FakeClient()
        self.length, self.given = length, 0
        self.is_gone = False
        self.upgrade = b"websocket" if upgrade and not length else None
        self.exchange = begun(self.desk, self.client, head(method, length, upgrade=self.upgrade))
        self.is_told_end = not length

    @property
    def back(self):
        return next((each for each in self.desk.backs if each.released is None), None)

    def at(self, *phases):
        return hasattr(self, "exchange") and self.exchange.phase in phases

    def may_send(self):
        return (
            hasattr(self, "exchange")
            and not self.is_told_end
            and not self.is_gone
            and not self.client.held
        )

    @precondition(may_send)
    @rule()
    def body(self):
        if self.length == CHUNKED or self.given < 5:
            self.given += 1
            self.exchange.on_body(b"x")

    @precondition(may_send)
    @rule()
    def body_end(self):
        if self.length != CHUNKED:
            self.exchange.on_body(b"x" * (self.length - self.given))
        self.is_told_end = True
        self.exchange.on_body_end([])

    @precondition(lambda self: self.at(Phase.CONNECTING))
    @rule(how=st.sampled_from(["connected", "connected", "refused", "misfit", "full"]))
    def connecting_ends(self, how):
        if how == "connected":
            self.desk.connected(self.exchange)
            return
        self.desk.asked.pop()
        if how == "full":
            self.exchange.on_queue_full()
        else:
            self.exchange.on_unreachable(how, blames=how == "refused")

    @precondition(lambda self: self.at(Phase.SENT))
    @rule(status=st.sampled_from([100, 103, 101, 200, 204, 503]))
    def answer(self, status):
        lines = (b"Upgrade: websocket", b"Connection: upgrade") if status == 101 else ()
        self.exchange.on_response(response(status, *lines))

    @precondition(lambda self: self.at(Phase.ANSWERING, Phase.TUNNEL))
    @rule()
    def data(self):
        self.exchange.on_data(b"y")
        self.exchange.tick()

    @precondition(lambda self: self.at(Phase.ANSWERING))
    @rule(reusable=st.booleans())
    def answer_ends(self, reusable):
        self.exchange.on_end([], reusable=reusable)

    @precondition(lambda self: hasattr(self, "exchange") and self.back is not None)
    @rule()
    def member_breaks_off(self):
        self.back.released = False
        self.exchange.on_lost("reset")

    @precondition(lambda self: self.at(Phase.TUNNEL))
    @rule()
    def tunnelled(self):
        self.exchange.on_tunnelled(b"z")
        self.exchange.on_client_half_closed()

    @precondition(lambda self: hasattr(self, "exchange"))
    @rule(full=st.booleans())
    def client_full(self, full):
        self.exchange.on_client_full(full=full)

    @precondition(lambda self: hasattr(self, "exchange") and not self.is_gone)
    @rule()
    def client_goes(self):
        self.is_gone = True
        self.exchange.on_client_gone()

    @precondition(lambda self: hasattr(self, "exchange"))
    @rule(passed_s=st.sampled_from([1.0, 6.0, 11.0, 61.0]))
    def time_passes(self, passed_s):
        self.desk.clock_s += passed_s
        self.exchange.overdue(self.desk.clock_s, 8.0)

    @invariant()
    def nothing_leaks(self):
        if not hasattr(self, "exchange"):
            return
        desk, exchange, client = self.desk, self.exchange, self.client
        under_way = exchange.phase not in (Phase.COLLECTING, Phase.OVER)
        assert desk.active == under_way
        assert len(desk.asked) == (exchange.phase == Phase.CONNECTING)
        in_use = [each for each in desk.backs if each.released is None]
        assert len(in_use) == (exchange.phase in (Phase.SENT, Phase.ANSWERING, Phase.TUNNEL))
        assert len(desk.over) == (exchange.phase == Phase.OVER)
        assert exchange.tries <= 3
        sent_again = len(desk.backs) - 1
        assert sent_again <= 2
        if exchange.phase == Phase.OVER:
            assert exchange.status
            assert client.finished + client.aborted >= 1 or self.is_gone
            assert not (client.held and not self.is_gone)

    @invariant()
    def what_is_not_idempotent_is_sent_once(self):
        if hasattr(self, "exchange") and self.exchange.head.method == b"POST":
            assert len(self.desk.backs) <= 1


def test_whatever_happens_there_is_one_answer_and_nothing_leaks():
    run_state_machine_as_test(Exchanges)
