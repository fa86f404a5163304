"""One request's way: tries, retries, timeouts, early answers, interim ones, clients that leave."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gslb.proxy.exchange import CLIENT_GONE, DISCARDED_MAX, UNSENT_MAX
from gslb.proxy.head import CHUNKED, UNTIL_CLOSE, ResponseHead
from gslb.proxy.sides import NO_BODY, Phase
from gslb.tier import NO_ROUTE, Deny, Match, Page, Rate, Redirect, Respond, Retry, Rewrite, Timeouts
from tests.exchanges import FakeBack, FakeClient, World, route, service

CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WEBSOCKET = (b"Connection: Upgrade", b"Upgrade: websocket")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def field(client, name):
    return [value for each, value in client.fields if each == name]


# The usual way.


def test_a_request_goes_to_a_member_and_its_response_comes_back():
    world = World()
    client, exchange = world.ask(b"GET /x?y HTTP/1.1", b"Accept: a")

    back = world.connected()
    world.now_s += 0.25
    assert back.target.active == 1
    assert back.head[:3] == [b"GET /x?y HTTP/1.1", b"host: www.example.com", b"accept: a"]
    back.respond()
    back.exchange.on_data(b"hel")
    back.exchange.on_data(b"lo")
    back.exchange.on_end([(b"x-sum", b"1")], reusable=True)

    assert (client.status, client.length, client.body) == (200, 5, b"hello")
    assert (client.close, client.readies, client.trailers) == (False, 1, [(b"x-sum", b"1")])
    assert back.released is True
    assert (exchange.status, exchange.tries, exchange.sent_out, exchange.why) == (200, 1, 5, "")
    assert exchange.first_byte_s - exchange.connected_s == 0.25
    assert exchange.member is back.target
    assert world.done == [exchange]
    assert world.is_quiet()


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", NO_BODY),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", NO_BODY),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", NO_BODY),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
    ],
)
def test_a_response_without_a_body_has_none(method, answer, length):
    world = World()
    client, _ = world.ask(method + b" / HTTP/1.1")

    back = world.connected()
    back.respond(answer)
    back.exchange.on_end([], reusable=True)

    assert client.length == length
    assert (client.body, client.is_done, back.released) == (b"", True, True)


@pytest.mark.parametrize(
    ("answer", "length"), [(CHUNKED_OK, CHUNKED), (b"HTTP/1.1 200 OK\r\n\r\n", UNTIL_CLOSE)]
)
def test_a_length_that_is_not_known_is_passed_on_as_that(answer, length):
    world = World()
    client, _ = world.ask()

    world.connected().respond(answer)

    assert client.length == length


def test_interim_responses_are_passed_on_but_100_which_was_told_already():
    world = World()
    client, _ = world.ask()

    back = world.connected()
    back.respond(b"HTTP/1.1 100 Continue\r\n\r\n")
    back.respond(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    assert client.interims == [103]
    back.answer()

    assert client.status == 200
    assert world.is_quiet()


def test_an_interim_response_leaks_nothing_that_its_route_removes_and_gains_nothing():
    changes = Rewrite(
        response_set=(("X-Shown", "ours"), ("X-Added", "1")),
        response_remove=frozenset({"x-secret"}),
    )
    world = World(route(rewrite=changes, hsts_s=60), via="edge")
    client, _ = world.ask()

    back = world.connected()
    hints = (b"X-Secret: s", b"Link: x", b"X-Shown: theirs", b"X-Shown: too")
    back.respond(b"\r\n".join((b"HTTP/1.1 103 Early Hints", *hints, b"", b"")))
    back.answer()

    assert client.hints == [[(b"link", b"x"), (b"x-shown", b"ours")]]
    assert field(client, b"x-added") == [b"1"]


def test_a_response_that_errs_is_passed_on_and_counted_against_its_member():
    world = World()

    for _ in range(5):
        client, _ = world.ask()
        back = world.connected()
        back.target.weight = 1
        back.respond(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
        back.exchange.on_end([], reusable=True)
        assert client.status == 500

    counts = world.desk.tally.counts(world.desk.targets())
    errors = [count for key, count in counts.items() if key[-1] == "server_error"]
    assert sum(errors) == 5


# Answers of the tier's own.


@pytest.mark.parametrize(
    ("action", "status", "name", "value", "body"),
    [
        (Deny(), 403, b"content-type", b"text/plain; charset=utf-8", b"403 Forbidden\n"),
        (Deny(499), 499, b"content-type", b"text/plain; charset=utf-8", b"499 Error\n"),
        (Deny(410), 410, b"content-type", b"text/html", b"gone"),
        (Respond(200, b"hi", "text/css"), 200, b"content-type", b"text/css", b"hi"),
        (
            Redirect("https://{host}{path}{query}"),
            308,
            b"location",
            b"https://www.example.com/x?y",
            b"",
        ),
    ],
)
def test_some_requests_are_answered_here(action, status, name, value, body):
    world = World(route(action=action), pages={410: Page(b"gone", "text/html")})
    client, exchange = world.ask(b"GET /x?y HTTP/1.1")

    assert (client.status, client.body, client.length) == (status, body, len(body))
    assert field(client, name) == [value]
    assert (client.readies, exchange.sent_out, exchange.tries) == (1, len(body), 0)
    assert world.is_quiet()


def test_an_answer_to_head_says_its_length_and_has_no_body():
    world = World(route(action=Respond(200, b"hi")))
    client, _ = world.ask(b"HEAD / HTTP/1.1")

    assert (client.length, client.body) == (NO_BODY, b"")
    assert field(client, b"content-length") == [b"2"]


def test_an_answer_of_no_content_says_no_length():
    world = World(route(action=Respond(204, b"hi")))
    client, _ = world.ask()

    assert (client.length, client.body) == (NO_BODY, b"")
    assert field(client, b"content-length") == []


def test_what_no_route_is_for_is_not_found():
    world = World(route(matches=(Match(hosts=("a.example",)),)))
    client, exchange = world.ask()

    assert (client.status, exchange.why) == (404, "no route")
    assert world.desk.tally.of(NO_ROUTE).statuses == {404: 1}


def test_what_is_over_its_rate_is_told_when_to_come_again():
    world = World(route(rates=(Rate(0.5, 1),)))
    world.ask()[1].on_client_gone()
    client, _ = world.ask()

    assert client.status == 429
    assert field(client, b"retry-after") == [b"2"]


def test_a_refusal_while_a_body_comes_ends_the_connection():
    world = World(route(action=Deny()))
    client, _ = world.post(b"he", length=5)

    assert (client.status, client.close) == (403, True)
    assert world.is_quiet()


def test_a_client_that_sends_on_and_on_after_its_answer_is_broken_off():
    world = World(route(action=Deny()))
    client, exchange = world.post(b"x", length=2 * DISCARDED_MAX)

    exchange.on_body(b"x" * (DISCARDED_MAX - 1))
    assert not client.is_broken
    exchange.on_body(b"x")
    assert client.is_broken


# Other members.


def test_a_member_that_cannot_be_reached_is_another_ones_turn():
    world = World()
    client, exchange = world.ask()

    world.unreachable()
    world.unreachable("connect timeout")
    back = world.connected()
    back.answer()

    assert client.status == 200
    assert len(set(exchange.tried)) == 3
    assert exchange.tries == 1
    assert world.is_quiet()


@pytest.mark.parametrize(("blames", "counted"), [(True, 1), (False, 0)])
def test_a_member_is_not_blamed_for_what_was_its_requests_own_fault(blames, counted):
    world = World()
    client, exchange = world.ask()
    _, target = world.wanted.pop()

    exchange.on_unreachable("no server name", blames=blames)
    back = world.connected()
    back.answer()

    assert client.status == 200
    assert back.target is not target
    failed = "gslb_proxy_attempts_total", "www.example.com", target.name, "connect_error"
    assert world.desk.tally.counts([]).get(failed, 0) == counted
    assert len(world.suspected) == counted


def test_with_nobody_left_who_could_be_reached_the_gateway_is_bad():
    world = World()
    client, exchange = world.ask()
    for _ in range(3):
        world.unreachable()

    assert (client.status, exchange.why) == (502, "refused")
    assert world.is_quiet()


def test_no_more_members_are_tried_than_may_be():
    many = [f"192.0.2.{last}" for last in range(1, UNSENT_MAX + 3)]
    world = World(services=[service(eu=many)])
    client, exchange = world.ask()
    while world.wanted:
        world.unreachable()

    assert client.status == 502
    assert len(exchange.tried) == UNSENT_MAX


def test_where_all_are_full_the_service_is_unavailable_for_a_moment():
    world = World()
    client, _ = world.ask()
    for _ in range(3):
        world.queue_full()

    assert client.status == 503
    assert field(client, b"retry-after") == [b"1"]
    assert world.is_quiet()


def test_without_a_member_the_service_is_unavailable():
    world = World(services=[service(eu=[])])
    client, exchange = world.ask()

    assert (client.status, exchange.why) == (503, "no member")
    assert field(client, b"retry-after") == [b"1"]
    assert world.is_quiet()


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
def test_what_is_idempotent_is_sent_again_if_its_member_is_lost(method):
    world = World()
    client, exchange = world.ask(method + b" / HTTP/1.1")

    first = world.connected()
    first.lose()
    second = world.connected()
    assert second.sent == first.sent
    assert second.target is not first.target
    second.answer(b"")

    assert client.status == 200
    assert exchange.tries == 2
    assert world.is_quiet()


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_what_is_not_idempotent_is_sent_once(method):
    world = World()
    client, exchange = world.ask(method + b" / HTTP/1.1")

    world.connected().lose("connection reset")

    assert (client.status, exchange.why) == (502, "connection reset")
    assert world.is_quiet()


def test_what_was_not_sent_may_be_tried_again_whatever_it_is():
    world = World()
    client, _ = world.post(b"hello")

    world.unreachable()
    back = world.connected()
    assert back.body == b"hello"
    back.answer()

    assert client.status == 200


def test_no_more_is_tried_than_the_route_lets():
    world = World(route(retry=Retry(tries=2)))
    client, exchange = world.ask()

    world.connected().lose()
    world.connected().lose()

    assert (client.status, exchange.tries) == (502, 2)
    assert world.is_quiet()


def test_what_could_not_be_sent_since_uses_no_more_of_the_budget():
    world = World(services=[service(eu=[f"192.0.2.{n}" for n in range(1, 5)])])
    rule = next(iter(world.desk.table.rules.values()))
    client, exchange = world.ask()

    world.connected().lose()
    world.unreachable()
    world.queue_full()
    assert rule.budget.retries == 1
    world.connected().answer()

    assert (client.status, exchange.tries) == (200, 2)


def test_without_a_budget_nothing_is_sent_twice():
    world = World(route(retry=Retry(budget_percent=0)))
    client, _ = world.ask()

    world.connected().lose()

    assert client.status == 502
    counts = world.desk.tally.counts([])
    assert counts["gslb_proxy_retries_total", "all", "false"] == 1


def test_a_status_may_be_one_that_is_tried_again():
    world = World(route(retry=Retry(statuses=frozenset((503,)))))
    client, _ = world.ask()

    first = world.connected()
    first.respond(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
    assert first.released is False
    world.connected().answer()

    assert (client.status, client.body) == (200, b"hello")
    assert world.is_quiet()


@pytest.mark.parametrize("members", [["192.0.2.1"], ["192.0.2.1", "192.0.2.2"]])
def test_a_status_is_passed_on_when_nobody_else_is_left(members):
    world = World(route(retry=Retry(statuses=frozenset((503,)))), services=[service(eu=members)])
    client, exchange = world.ask()

    for each in members:
        back = world.connected()
        back.respond(b"HTTP/1.1 503 X\r\nContent-Length: 4\r\nX: %b\r\n\r\n" % each.encode())
    back.exchange.on_data(b"busy")
    back.exchange.on_end([], reusable=True)

    assert (client.status, client.body, exchange.why) == (503, b"busy", "")
    assert field(client, b"x") == [members[-1].encode()]
    assert world.is_quiet()


def test_a_response_that_breaks_off_is_broken_off():
    world = World()
    client, exchange = world.ask()
    back = world.connected()
    back.respond()
    back.exchange.on_data(b"he")

    back.lose()

    assert client.is_broken
    assert not client.is_done
    assert (exchange.status, exchange.why) == (200, "connection lost")
    assert world.is_quiet()


# Bodies.


def test_a_small_body_is_read_whole_before_a_member_is_chosen():
    world = World()
    client, exchange = world.post(b"he", length=5)
    assert not world.wanted

    exchange.on_body(b"llo")
    exchange.on_body_end([])
    back = world.connected()
    assert b"content-length: 5" in back.head
    assert back.body == b"hello"
    back.answer()

    assert client.close is False
    assert world.is_quiet()


def test_a_small_body_in_chunks_goes_on_with_its_length():
    world = World()
    world.post(b"he", b"llo", chunked=True)

    back = world.connected()

    assert b"content-length: 5" in back.head
    assert back.body == b"hello"


def test_an_empty_body_in_chunks_goes_on_as_an_empty_one():
    world = World()
    world.post(chunked=True)

    assert b"content-length: 0" in world.connected().head


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
def test_who_has_a_body_by_its_method_says_that_there_is_none(method):
    world = World()
    world.ask(method + b" / HTTP/1.1", b"Content-Length: 0")

    assert b"content-length: 0" in world.connected().head


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_who_has_none_by_its_method_says_nothing(method):
    world = World()
    world.ask(method + b" / HTTP/1.1")

    assert not any(b"content-length" in line for line in world.connected().head)


def test_trailers_of_a_request_go_on_in_chunks():
    world = World()
    _, exchange = world.post(b"hello", length=9, chunked=True)
    exchange.on_body_end([(b"x-sum", b"1")])

    back = world.connected()

    assert b"transfer-encoding: chunked" in back.head
    assert back.body == b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"


def test_a_large_body_streams_and_is_not_sent_twice():
    world = World(route(buffer=4))
    client, exchange = world.post(b"hello", length=10, method=b"PUT")

    back = world.connected()
    assert back.body == b"hello"
    exchange.on_body(b"world")
    exchange.on_body_end([])
    assert back.body == b"helloworld"
    back.lose()

    assert client.status == 502
    assert world.is_quiet()


def test_a_large_body_in_chunks_is_cut_anew():
    world = World(route(buffer=4))
    _, exchange = world.post(b"hello", length=1, chunked=True)

    back = world.connected()
    exchange.on_body(b"!")
    exchange.on_body_end([])

    assert b"transfer-encoding: chunked" in back.head
    assert back.body == b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"


def test_a_client_is_held_while_its_body_has_nowhere_to_go():
    world = World(route(buffer=4))
    client, exchange = world.post(b"hell", length=10)

    exchange.on_body(b"o")
    assert client.is_held
    world.unreachable()
    assert client.is_held
    back = world.connected()
    assert not client.is_held
    assert back.body == b"hello"


def test_a_client_that_a_lost_member_held_is_read_from_again():
    world = World()
    client, exchange = world.post(b"hello", method=b"PUT")
    back = world.connected()

    exchange.hold_client()
    exchange.hold_client()
    assert client.is_held
    back.lose()
    world.connected()

    assert not client.is_held


def test_a_member_that_takes_no_more_from_the_first_holds_the_client():
    world = World(route(buffer=4))
    client, exchange = world.post(b"hell", length=10)
    exchange.on_body(b"o")
    back = FakeBack(world.wanted[0][1])
    back.on_begin = exchange.hold_client

    exchange.on_connected(back)

    assert client.is_held
    exchange.free_client()
    assert not client.is_held


def test_a_held_body_is_sent_again():
    world = World()
    client, _ = world.post(b"hello", method=b"PUT")

    world.connected().lose()
    back = world.connected()
    assert back.body == b"hello"
    back.answer()

    assert client.status == 200


def test_without_a_buffer_the_member_comes_before_the_body():
    world = World(route(buffer=0))
    _, exchange = world.post(length=5, method=b"PUT")

    back = world.connected()
    assert back.body == b""
    exchange.on_body(b"hello")
    exchange.on_body_end([])

    assert back.body == b"hello"


def test_a_client_that_waits_for_100_is_told_to_go_on():
    world = World()
    client, _ = world.post(length=5, lines=[b"Expect: 100-continue"])

    assert client.interims == [100]


def test_a_client_that_waits_for_100_is_not_told_to_send_what_is_refused():
    world = World(route(body_max=4))
    client, _ = world.post(length=5, lines=[b"Expect: 100-continue"])

    assert (client.status, client.interims, client.close) == (413, [], True)


@pytest.mark.parametrize("buffer", [0, 2, 64])
def test_a_body_of_unknown_length_may_not_be_too_large(buffer):
    world = World(route(body_max=4, buffer=buffer))
    client, exchange = world.post(b"hell", length=1, chunked=True)
    if world.wanted:
        world.connected()
    exchange.on_body(b"o")

    assert (client.status, exchange.why) == (413, "body too large")
    assert world.is_quiet()


def test_a_body_too_large_while_it_is_answered_breaks_off():
    world = World(route(body_max=4, buffer=0))
    client, exchange = world.post(length=1, chunked=True)
    world.connected().respond()

    exchange.on_body(b"hello")

    assert client.is_broken
    assert world.is_quiet()


def test_an_answer_before_the_body_is_whole_ends_both_connections():
    world = World(route(buffer=0))
    client, exchange = world.post(b"he", length=5)
    back = world.connected()
    back.respond(b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")
    exchange.on_body(b"l")
    back.exchange.on_end([], reusable=True)

    assert (client.status, client.close) == (403, True)
    assert back.released is False
    assert back.body == b"hel"
    assert world.is_quiet()


def test_a_body_that_is_whole_while_it_is_answered_keeps_the_members_connection():
    world = World(route(buffer=0))
    client, exchange = world.post(b"he", length=5)
    back = world.connected()
    back.respond()
    exchange.on_body(b"llo")
    exchange.on_body_end([])
    back.exchange.on_end([], reusable=True)

    assert client.close is True
    assert back.released is True


# Time.


def test_a_member_that_does_not_answer_is_another_ones_turn_and_then_it_took_too_long():
    world = World(route(timeouts=Timeouts(response_s=2)))
    client, exchange = world.ask()

    for _ in range(3):
        back = world.connected()
        world.wait(1.9)
        assert back.is_used
        world.wait(0.2)
        assert back.released is False

    assert (client.status, exchange.why) == (504, "timeout")
    assert world.is_quiet()


def test_what_is_not_idempotent_times_out_once():
    world = World(route(timeouts=Timeouts(response_s=2)))
    client, _ = world.post(b"hello")
    world.connected()
    world.wait(2)

    assert client.status == 504
    assert world.is_quiet()


def test_a_response_that_stops_is_broken_off():
    world = World(route(timeouts=Timeouts(idle_s=3)))
    client, exchange = world.ask()
    back = world.connected()
    back.respond()
    world.wait(2)
    back.exchange.on_data(b"he")
    exchange.tick()
    world.wait(2)
    assert not client.is_broken
    world.wait(1)

    assert client.is_broken
    assert exchange.why == "idle timeout"
    assert world.is_quiet()


@pytest.mark.parametrize("phase", list(Phase)[:5])
def test_no_request_lasts_longer_than_it_may_in_all(phase):
    world = World(route(timeouts=Timeouts(total_s=5), buffer=4))
    if phase == Phase.COLLECTING:
        client, exchange = world.post(b"h", length=5)
    else:
        client, exchange = world.ask(b"GET / HTTP/1.1", *WEBSOCKET)
    if phase >= Phase.SENT:
        back = world.connected()
    if phase == Phase.ANSWERING:
        back.respond()
    if phase == Phase.TUNNEL:
        back.respond(SWITCHED)
    assert exchange.phase == phase
    world.wait(5)

    assert exchange.why == "total timeout"
    assert client.is_broken if phase >= Phase.ANSWERING else client.status == 504
    assert world.is_quiet()


def test_a_client_that_sends_too_slowly_is_told_so():
    world = World()
    client, exchange = world.post(b"h", length=5)
    world.wait(29)
    exchange.on_body(b"e")
    world.wait(29)
    assert client.status is None
    world.wait(1)

    assert (client.status, client.close) == (408, True)
    assert world.is_quiet()


def test_a_client_that_stops_while_its_member_reads_is_told_so_and_the_member_is_not_blamed():
    world = World(route(buffer=0, timeouts=Timeouts(idle_s=3)))
    client, exchange = world.post(b"h", length=5)
    back = world.connected()
    world.wait(2)
    exchange.on_body(b"e")
    world.wait(2)
    assert client.status is None
    world.wait(1)

    assert (client.status, exchange.why) == (408, "slow client")
    assert back.released is False
    assert world.desk.tally.counts([])["gslb_proxy_requests_total", "all", "408"] == 1
    assert not any("timeout" in key for key in world.desk.tally.counts([]))


def test_a_member_that_reads_no_more_is_blamed_and_not_its_client():
    world = World(route(buffer=0, timeouts=Timeouts(idle_s=3)))
    client, exchange = world.post(b"h", length=5)
    world.connected()
    exchange.hold_client()
    world.wait(3)

    assert (client.status, exchange.why) == (504, "timeout")
    assert any("timeout" in key for key in world.desk.tally.counts([]))
    assert world.is_quiet()


def test_a_member_that_reads_again_gives_its_client_time_again():
    world = World(route(buffer=0, timeouts=Timeouts(idle_s=3)))
    client, exchange = world.post(b"h", length=5)
    world.connected()
    exchange.hold_client()
    world.wait(2)
    exchange.tick()
    exchange.free_client()
    world.wait(2)
    assert client.status is None
    world.wait(1)

    assert client.status == 408


def test_what_is_over_or_waits_for_a_connection_is_not_broken_off():
    world = World()
    client, exchange = world.ask()
    world.wait(1000)
    assert client.status is None

    world.connected().answer()
    world.desk.under_way[exchange] = None
    world.wait(1000)
    exchange.tick()

    assert client.status == 200


def test_the_clock_of_a_request_without_a_route_is_nobodys():
    world = World(route(matches=(Match(hosts=("a.example",)),)))
    _, exchange = world.ask()
    exchange.tick()

    assert exchange.deadline_s == 0.0


# Clients that leave, or take no more.


@pytest.mark.parametrize("phase", Phase)
def test_of_a_client_that_leaves_nothing_is_left(phase):
    world = World()
    if phase == Phase.COLLECTING:
        _, exchange = world.post(b"h", length=5)
    else:
        _, exchange = world.ask(b"GET / HTTP/1.1", *WEBSOCKET)
    back = world.connected() if phase >= Phase.SENT else None
    if phase in (Phase.ANSWERING, Phase.OVER):
        back.respond()
    if phase == Phase.TUNNEL:
        back.respond(SWITCHED)
    if phase == Phase.OVER:
        back.exchange.on_end([], reusable=True)
    assert exchange.phase == phase

    exchange.on_client_gone()
    exchange.on_client_gone()

    assert world.is_quiet()
    assert world.done == [exchange]
    answered = {Phase.ANSWERING: 200, Phase.TUNNEL: 101, Phase.OVER: 200}
    assert exchange.status == answered.get(phase, CLIENT_GONE)
    assert exchange.why == ("" if phase == Phase.OVER else "client gone")
    assert bool(world.forgotten) == (phase == Phase.CONNECTING)
    if back is not None:
        assert back.released is (phase == Phase.OVER)


def test_a_client_that_reads_slowly_holds_its_member():
    world = World()
    _, exchange = world.ask()
    exchange.on_client_full(full=True)
    back = world.connected()

    exchange.on_client_full(full=True)
    assert back.is_held
    exchange.on_client_full(full=False)
    assert not back.is_held


def test_a_client_that_is_found_gone_when_its_response_ends_is_counted_once():
    world = World()
    client, exchange = world.ask()
    client.finish = lambda _: (exchange.on_client_gone(), setattr(client, "is_done", True))

    world.connected().answer()

    assert world.done == [exchange]
    assert world.is_quiet()


def test_what_is_over_cannot_fail():
    world = World()
    client, exchange = world.ask()
    world.connected().answer()

    exchange.fail(502, "late")

    assert (client.status, client.is_broken, exchange.status) == (200, False, 200)


def test_a_client_that_sends_no_more_is_answered_all_the_same():
    world = World()
    client, exchange = world.ask()
    exchange.on_client_half_closed()
    back = world.connected()
    exchange.on_client_half_closed()
    assert not back.has_ended
    back.answer()

    assert client.status == 200


# Tunnels.


def tunnel(**how):
    world = World(route(**how))
    client, exchange = world.ask(b"GET / HTTP/1.1", *WEBSOCKET)
    back = world.connected()
    assert back.head[-2:] == [b"connection: upgrade", b"upgrade: websocket"]
    back.respond(SWITCHED)
    return world, client, exchange, back


def test_a_tunnel_passes_on_both_ways_until_one_side_ends_it():
    world, client, exchange, back = tunnel()
    assert (client.status, client.length, client.is_tunnel) == (101, NO_BODY, True)
    assert field(client, b"upgrade") == [b"websocket"]

    exchange.on_tunnelled(b"ping")
    exchange.on_data(b"pong")
    exchange.on_client_half_closed()
    assert back.body == b"ping"
    assert client.body == b"pong"
    assert back.has_ended
    back.lose()

    assert client.is_done
    assert client.readies == 1
    assert world.is_quiet()
    exchange.on_tunnelled(b"late")
    exchange.on_client_full(full=True)
    assert back.body == b"ping"


def test_a_tunnel_that_is_still_for_too_long_is_ended():
    world, client, exchange, _ = tunnel(timeouts=Timeouts(tunnel_s=10))
    world.wait(9)
    exchange.on_tunnelled(b"ping")
    world.wait(9)
    assert not client.is_broken
    world.wait(1)

    assert client.is_broken
    assert world.is_quiet()


@pytest.mark.parametrize("asks", [(), WEBSOCKET])
def test_an_upgrade_that_nobody_asked_for_or_that_names_nothing_is_bad(asks):
    world = World()
    client, _ = world.ask(b"GET / HTTP/1.1", *asks)
    back = world.connected()
    if asks:
        head = ResponseHead()
        head.status = 101
        back.exchange.on_response(head)
    else:
        back.respond(SWITCHED)

    assert client.status == 502
    assert back.released is False
    assert world.is_quiet()


# Whatever happens.


class Anything(RuleBasedStateMachine):
    """Requests of all kinds, and whatever can happen to them: nothing leaks, none is lost."""

    def __init__(self):
        super().__init__()
        retry = Retry(tries=3, statuses=frozenset((503,)))
        slow = Timeouts(response_s=4, idle_s=5, tunnel_s=6)
        self.world = World(
            route(
                "put", matches=(Match(path="/total"),), timeouts=Timeouts(total_s=8), retry=retry
            ),
            route("stream", matches=(Match(path="/stream"),), buffer=0, timeouts=slow, body_max=90),
            route(buffer=20, timeouts=slow, retry=retry),
        )
        self.open = []
        self.all = []
        self.gone = set()

    def live(self):
        self.open = [each for each in self.open if each[1].phase != Phase.OVER]
        return self.open

    def backs(self):
        return [back for back in self.world.backs if back.is_used]

    @rule(
        method=st.sampled_from([b"GET", b"PUT", b"POST"]),
        path=st.sampled_from([b"/", b"/total", b"/stream"]),
        body=st.sampled_from([None, b"Content-Length: 30", b"Transfer-Encoding: chunked"]),
        upgrades=st.booleans(),
    )
    def ask(self, method, path, body, upgrades):
        lines = WEBSOCKET if upgrades else ()
        lines = (*lines, body) if body else lines
        pair = self.world.ask(method + b" " + path + b" HTTP/1.1", *lines, of=FakeClient())
        self.open.append(pair)
        self.all.append(pair)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), octets=st.sampled_from([b"x", b"x" * 10, b"x" * 30]), ends=st.booleans())
    def send(self, data, octets, ends):
        client, exchange = data.draw(st.sampled_from(self.open))
        upload = exchange.upload
        if exchange.phase == Phase.TUNNEL:
            exchange.on_tunnelled(octets)
        elif upload is not None and not upload.is_done and not client.is_held:
            if exchange.head.length > 0:
                octets = octets[: exchange.head.length - upload.received]
                ends = upload.received + len(octets) == exchange.head.length
            if octets:
                exchange.on_body(octets)
            if ends and exchange.phase != Phase.OVER:
                exchange.on_body_end([])

    @precondition(lambda self: self.world.wanted)
    @rule(data=st.data(), how=st.sampled_from(["connected", "unreachable", "queue_full"]))
    def connect(self, data, how):
        at = data.draw(st.integers(0, len(self.world.wanted) - 1))
        getattr(self.world, how)(at=at)

    @precondition(lambda self: self.backs())
    @rule(data=st.data(), status=st.sampled_from([100, 101, 103, 200, 204, 404, 500, 503]))
    def respond(self, data, status):
        back = data.draw(st.sampled_from(self.backs()))
        if back.exchange.phase == Phase.SENT:
            upgrade = b"Upgrade: websocket\r\nConnection: upgrade\r\n" if status == 101 else b""
            back.respond(b"HTTP/1.1 %d X\r\n%bContent-Length: 3\r\n\r\n" % (status, upgrade))

    @precondition(lambda self: self.backs())
    @rule(data=st.data(), what=st.sampled_from(["data", "end", "lose", "hold", "free"]))
    def go_on(self, data, what):
        back = data.draw(st.sampled_from(self.backs()))
        exchange = back.exchange
        if what == "lose":
            back.lose()
        elif what == "hold":
            exchange.hold_client()
        elif what == "free":
            exchange.tick()
            exchange.free_client()
        elif exchange.phase in (Phase.ANSWERING, Phase.TUNNEL) and what == "data":
            exchange.on_data(b"x")
        elif exchange.phase == Phase.ANSWERING:
            exchange.on_end([], reusable=True)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), what=st.sampled_from(["on_client_gone", "on_client_half_closed", "tick"]))
    def leave(self, data, what):
        _, exchange = data.draw(st.sampled_from(self.open))
        getattr(exchange, what)()
        if what == "on_client_gone":
            self.gone.add(exchange)

    @rule(seconds=st.sampled_from([0.5, 3, 5]))
    def wait(self, seconds):
        self.world.wait(seconds)

    @invariant()
    def members_are_counted_as_what_is_under_way(self):
        under_way = [e.target for _, e in self.live() if e.target is not None]
        for target in self.world.targets():
            assert target.active == under_way.count(target)

    @invariant()
    def each_client_has_one_answer_or_is_broken_off_or_gone_or_waits(self):
        assert {e for _, e in self.live()} == set(self.world.desk.under_way)
        for client, exchange in self.all:
            if exchange.phase == Phase.OVER:
                assert client.is_done + client.is_broken + (exchange in self.gone) == 1
                assert exchange.status
                assert not client.is_done or not client.is_held
            assert self.world.done.count(exchange) == (exchange.phase == Phase.OVER)
            assert client.readies == client.is_done

    def teardown(self):
        for _, exchange in self.live():
            exchange.on_client_gone()
        assert self.world.is_quiet()


Anything.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnything = Anything.TestCase


@pytest.mark.parametrize("late", ["queue full", "unreachable", "connected"])
def test_what_comes_of_a_connection_after_the_end_wakes_nothing(late):
    world = World()
    _, exchange = world.ask()
    exchange.on_client_gone()

    if late == "queue full":
        exchange.on_queue_full()
    elif late == "unreachable":
        exchange.on_unreachable("refused")
    else:
        back = FakeBack(world)
        exchange.on_connected(back)
        assert back.released is True

    assert exchange.phase == Phase.OVER
    assert exchange.target is None
    assert world.is_quiet()
