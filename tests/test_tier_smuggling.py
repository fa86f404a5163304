"""Request smuggling at the real command: telling forms are refused, or reach the member harmless.

The member here reads strictly and keeps what it was sent, octet for octet.  All forms of
`tests.smuggling` are sent to a worker in tests/test_worker_smuggling.py; what a member must not do
to the next client is here.
"""

import asyncio
import re

import pytest

from tests.messages import request
from tests.origins import US, Asked, Origin
from tests.running import PATIENCE_S
from tests.servers import free_port
from tests.smuggling import (
    BODY_MAX,
    FIELDS_MAX,
    HEAD_MAX,
    HOP_BY_HOP,
    PLAIN,
    REFUSALS,
    REFUSED,
    SMUGGLED,
    TELLING,
    TELLING_PLAIN,
    halves,
    whole,
)
from tests.tiers import shared, written
from tests.wires import PROXY, At


@pytest.fixture(scope="module")
def member_port():
    return free_port(US[0])


@pytest.fixture(scope="module")
def at(tmp_path_factory, member_port):
    port = free_port(PROXY)
    proxy = {
        "listen": [port],
        "limits": {"head_size": HEAD_MAX, "fields": FIELDS_MAX},
        "services": {"www.example.com": {"port": member_port, "eject": None}},
        "routes": [{"service": "www.example.com", "body_size": BODY_MAX}],
    }
    path = written(tmp_path_factory.mktemp("smuggling"), proxy, members={"us-east": [US[0]]})
    with shared(path, port) as it:
        yield it


async def says_path(asked: Asked) -> None:
    asked.reply(asked.message.target.encode())


async def next_one_is_right(at: At, origin: Origin) -> None:
    """See that the next client gets the answer to what it asked, and the member saw just that."""
    before = len(origin.requests)
    response = await at.get("/next", "X-Next: 1")
    assert (response.status, response.body) == (200, b"/next")
    (message,) = origin.requests[before:]
    assert (message.target, message.get("x-next")) == ("/next", "1")


@pytest.mark.parametrize("cut", [whole, halves])
async def test_telling_ways_to_make_two_readers_differ_are_refused(at, member_port, cut):
    async with Origin(US[0], member_port, says_path) as origin:
        let_through = []
        for name in TELLING:
            wire = await at.open()
            for part in cut(REFUSED[name]):
                wire.send(part)
                await asyncio.sleep(0.002)
            wire.writer.write_eof()
            said = await wire.ended()
            statuses = [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d+) ", said, re.MULTILINE)]
            if len(statuses) != 1 or statuses[0] not in REFUSALS or origin.requests:
                let_through.append((name, said[:60], [m.raw for m in origin.requests]))
                origin.requests.clear()
        assert not let_through
        await next_one_is_right(at, origin)


@pytest.mark.parametrize("name", TELLING_PLAIN)
async def test_what_is_let_through_is_one_request_and_the_next_is_the_next_clients(
    at, member_port, name
):
    sent = PLAIN[name]
    async with Origin(US[0], member_port, says_path) as origin:
        response = await at.ask(sent.octets)
        assert response.status == 200
        (message,) = origin.requests
        assert message.line.encode() == b"%b %b HTTP/1.1" % (sent.method, sent.target)
        assert message.body == sent.body
        assert message.get("host") == sent.host.decode()
        assert HOP_BY_HOP.isdisjoint(key.encode() for key, _ in message.fields)
        assert message.trailers == []
        await next_one_is_right(at, origin)


async def test_a_request_behind_another_is_answered_after_it_whatever_its_body_looks_like(
    at, member_port
):
    async with Origin(US[0], member_port, says_path) as origin:
        wire = await at.open()
        wire.send(request("/1", method="POST", body=SMUGGLED) + request("/2") + request("/3"))
        bodies = [(await wire.response()).body for _ in range(3)]
        wire.close()
        assert bodies == [b"/1", b"/2", b"/3"]
        assert [message.target for message in origin.requests] == ["/1", "/2", "/3"]


# What a member must not do to the next client.

WRONG_RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\nb: c\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"garbage\r\n\r\n",
]


@pytest.mark.parametrize("case", range(len(WRONG_RESPONSES)), ids=str)
async def test_a_response_that_two_readers_could_take_differently_becomes_502(
    at, member_port, case
):
    async def answers_wrongly(asked: Asked) -> None:
        if asked.message.target == "/next":
            await says_path(asked)
        else:
            asked.say(WRONG_RESPONSES[case])

    async with Origin(US[0], member_port, answers_wrongly) as origin:
        assert (await at.get("/seen", method="POST")).status == 502
        await next_one_is_right(at, origin)


async def test_a_member_that_offers_another_protocol_is_answered_on_as_it_is(at, member_port):
    async def offers(asked: Asked) -> None:
        asked.reply(b"ok", 200, "Upgrade: h2,h2c", "Connection: Upgrade")

    async with Origin(US[0], member_port, offers) as origin:
        wire = await at.open()
        for _ in range(3):
            wire.send(request("/"))
            response = await wire.response()
            assert (response.status, response.body) == (200, b"ok")
            assert response.get("upgrade") is None
        wire.close()
        assert origin.connections == 1


async def test_what_comes_behind_a_response_is_never_the_next_clients(at, member_port):
    async def says_more(asked: Asked) -> None:
        await says_path(asked)
        if asked.message.target == "/first":
            asked.reply(b"smuggled")

    async with Origin(US[0], member_port, says_more) as origin:
        assert (await at.get("/first")).body == b"/first"
        await next_one_is_right(at, origin)


ANSWER_BEHIND = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"


@pytest.mark.parametrize(
    "told", [f"Content-Length: {len(ANSWER_BEHIND)}", "Transfer-Encoding: chunked"]
)
async def test_the_body_that_a_member_sends_late_to_a_head_is_never_the_next_clients(
    at, member_port, told
):
    heads: list[Asked] = []

    async def sends_it_late(asked: Asked) -> None:
        if asked.message.method == "HEAD":
            asked.say(f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n".encode())
            heads.append(asked)
        else:
            heads[0].say(ANSWER_BEHIND)  # once the next request is under way
            await says_path(asked)

    async with Origin(US[0], member_port, sends_it_late) as origin:
        assert (await at.get("/first", method="HEAD")).status == 200
        await next_one_is_right(at, origin)


async def test_a_connection_on_which_something_comes_that_nobody_asked_for_is_closed(
    at, member_port
):
    said: list[Asked] = []

    async def keeps(asked: Asked) -> None:
        said.append(asked)
        await says_path(asked)

    async with Origin(US[0], member_port, keeps) as origin:
        assert (await at.get("/first")).body == b"/first"
        said[0].say(ANSWER_BEHIND)
        async with asyncio.timeout(PATIENCE_S):
            await said[0].writer.wait_closed()
        await next_one_is_right(at, origin)
        assert origin.connections == 2


async def test_a_connection_is_kept_after_a_head_that_tells_of_no_body(at, member_port):
    async def says_nothing(asked: Asked) -> None:
        asked.reply()

    async with Origin(US[0], member_port, says_nothing) as origin:
        for _ in range(3):
            assert (await at.get("/first", method="HEAD")).status == 200
        assert origin.connections == 1
