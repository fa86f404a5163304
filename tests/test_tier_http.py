"""HTTP/1 through the tier, over real sockets: framing, headers, bodies, upgrades, slow peers."""

import asyncio
import hashlib
import os
import re
import time
from pathlib import Path

import pytest

from gslb.proxy.stream import BURST_MAX
from tests.messages import request
from tests.origins import US, Asked, Origin
from tests.servers import free_port
from tests.tiers import shared, written
from tests.wires import PROXY

MIB = 1 << 20
GREAT = 1024 * MIB
PIECE = os.urandom(MIB // 4)
FLAT = 48 * MIB  # how much a worker may grow by, whatever passes through it


@pytest.fixture(scope="module")
def member_port():
    return free_port(US[0])


@pytest.fixture(scope="module")
def at(tmp_path_factory, member_port):
    port = free_port(PROXY)
    folder = tmp_path_factory.mktemp("http")
    (folder / "503.html").write_text("<h1>soon</h1>")
    proxy = {
        "listen": [port],
        "limits": {"head_timeout": "400ms", "body_timeout": "400ms", "keep_alive": "2s"},
        "services": {"www.example.com": {"port": member_port, "eject": None}},
        "errors": {503: {"file": "503.html", "type": "text/html"}},
        "via": "edge",
        "routes": [
            {
                "name": "away",
                "match": {"path": "/away/*"},
                "redirect": "https://{host}{path}{query}",
            },
            {"name": "gone", "match": {"path": "/gone"}, "deny": 403},
            {"name": "busy", "match": {"path": "/busy"}, "deny": 503},
            {
                "name": "fixed",
                "match": {"path": "/fixed"},
                "respond": {"status": 200, "body": "hi"},
            },
            {
                "name": "rated",
                "match": {"path": "/rated"},
                "service": "www.example.com",
                "rates": [{"rate": "1/m", "burst": 2, "by": {"header": "X-Key"}}],
            },
            {
                "name": "small",
                "match": {"path": "/small"},
                "service": "www.example.com",
                "body_size": 10,
            },
            {
                "name": "straight",
                "match": {"path": "/straight"},
                "service": "www.example.com",
                "buffer": 0,
            },
            {
                "name": "short",
                "match": {"path": "/short"},
                "service": "www.example.com",
                "timeouts": {"response": "200ms", "idle": "200ms"},
                "retry": {"tries": 1},
            },
            {
                "name": "api",
                "match": {"path": "/api/*"},
                "service": "www.example.com",
                "rewrite": {
                    "path": {"pattern": "^/api/", "to": "/"},
                    "host": "inner.example.com",
                    "set": {"X-Set": "1"},
                    "remove": ["X-Gone"],
                    "response": {"set": {"X-Answer": "2"}, "remove": ["Server"]},
                },
            },
            {"service": "www.example.com"},
        ],
    }
    path = written(folder, proxy, members={"us-east": [US[0]]})
    with shared(path, port) as it:
        yield it


def raw(octets: bytes):
    async def says(asked: Asked) -> None:
        asked.say(octets)

    return says


async def echoes(asked: Asked) -> None:
    asked.reply(asked.message.body)


# Framing.


async def test_a_head_is_answered_as_it_would_be_with_a_body_but_without_one(at, member_port):
    answer = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-A: b\r\n\r\n")
    async with Origin(US[0], member_port, answer):
        wire = await at.open()
        for _ in range(2):
            wire.send(request(method="HEAD"))
            response = await wire.response("HEAD")
            assert (response.status, response.get("content-length")) == (200, "1000")
        wire.close()


@pytest.mark.parametrize("path", ["/fixed", "/gone", "/busy", "/away/x"])
async def test_a_head_of_what_the_tier_answers_itself_has_no_body_either(at, path):
    wire = await at.open()
    for _ in range(2):
        wire.send(request(path, method="HEAD") + request(path))
        head, whole = await wire.response("HEAD"), await wire.response()
        assert head.status == whole.status
        assert head.get("content-length") == str(len(whole.body))
    wire.close()


@pytest.mark.parametrize(
    ("head", "connections"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 1),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 3),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1),
        (b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', 1),
    ],
)
async def test_204_and_304_have_no_body_and_connections_go_on_unless_one_may_come_late(
    at, member_port, head, connections
):
    async with Origin(US[0], member_port, raw(head)) as origin:
        wire = await at.open()
        for _ in range(3):
            wire.send(request())
            response = await wire.response()
            assert response.status == int(head[9:12])
            assert response.get("transfer-encoding") is None
        wire.close()
        assert origin.connections == connections


async def test_chunks_and_trailers_go_both_ways(at, member_port):
    async def says_back(asked: Asked) -> None:
        asked.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        asked.say(b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n")

    async with Origin(US[0], member_port, says_back) as origin:
        wire = await at.open()
        wire.send(
            request(
                "/", "Transfer-Encoding: chunked", "TE: trailers", "Connection: TE", method="PUT"
            )
            + b"3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Check: 6\r\n\r\n"
        )
        response = await wire.response()
        wire.close()
        assert response.body == b"hello world"
        assert ("x-sum", "11") in response.trailers
        message = await origin.request()
        assert message.body == b"abcdef"
        assert message.trailers == [("x-check", "6")]


async def test_trailers_are_kept_from_a_client_that_cannot_read_them(at, member_port):
    answer = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n"
    )
    async with Origin(US[0], member_port, answer):
        response = await at.get()
        assert (response.body, response.trailers) == (b"ab", [])


async def test_a_client_of_1_0_gets_no_chunks(at, member_port):
    answer = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    async with Origin(US[0], member_port, answer):
        wire = await at.open()
        wire.send(b"GET / HTTP/1.0\r\n\r\n")
        response = await wire.response()
        assert response.get("transfer-encoding") is None
        assert response.get("connection") == "close"
        assert response.body == b"ab"
        assert await wire.ended() == b""


async def test_a_client_of_1_0_may_keep_its_connection(at, member_port):
    async with Origin(US[0], member_port):
        wire = await at.open()
        for _ in range(3):
            wire.send(b"GET / HTTP/1.0\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\r\n")
            assert (await wire.response()).get("connection") == "keep-alive"
        wire.close()


async def test_a_body_that_ends_with_the_connection_is_passed_in_chunks(at, member_port):
    async def until_close(asked: Asked) -> None:
        asked.say(b"HTTP/1.1 200 OK\r\n\r\nall that there is")
        asked.writer.close()

    async with Origin(US[0], member_port, until_close):
        wire = await at.open()
        for _ in range(2):
            wire.send(request())
            response = await wire.response()
            assert response.get("transfer-encoding") == "chunked"
            assert response.body == b"all that there is"
        wire.close()


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
    ],
)
async def test_a_response_that_breaks_off_breaks_off_for_the_client_too(at, member_port, octets):
    async def breaks(asked: Asked) -> None:
        asked.say(octets)
        await asked.writer.drain()
        asked.writer.close()

    async with Origin(US[0], member_port, breaks):
        wire = await at.open()
        wire.send(request())
        assert (await wire.head()).status == 200
        assert not (await wire.ended()).endswith(b"0\r\n\r\n")


# Bodies of requests.


@pytest.mark.parametrize("path", ["/", "/straight"])
async def test_who_expects_100_is_told_to_go_on(at, member_port, path):
    async with Origin(US[0], member_port, echoes) as origin:
        wire = await at.open()
        wire.send(request(path, "Expect: 100-continue", "Content-Length: 5", method="POST"))
        assert (await wire.head()).status == 100
        wire.send(b"hello")
        assert (await wire.response()).body == b"hello"
        wire.close()
        assert (await origin.request()).get("expect") is None


async def test_who_expects_100_for_a_body_too_large_is_told_so_at_once(at):
    response = await at.get("/small", "Expect: 100-continue", "Content-Length: 50", method="POST")
    assert response.status == 413


async def test_a_body_too_large_that_does_not_say_so_is_cut_off(at, member_port):
    async with Origin(US[0], member_port, echoes) as origin:
        wire = await at.open()
        wire.send(
            request("/small", "Transfer-Encoding: chunked", method="POST") + b"9\r\n123456789\r\n"
        )
        wire.send(b"2\r\nab\r\n0\r\n\r\n")
        assert (await wire.response()).status == 413
        wire.close()
        assert not origin.requests


async def test_an_interim_response_of_the_member_reaches_the_client(at, member_port):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    answer = raw(
        b"HTTP/1.1 100 Continue\r\n\r\n" + hints + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )
    async with Origin(US[0], member_port, answer):
        wire = await at.open()
        wire.send(request())
        first, second = await wire.head(), await wire.head()
        wire.close()
        assert (first.status, first.get("link")) == (103, "</a.css>")
        assert second.status == 200


async def test_an_early_response_reaches_a_client_that_still_sends(at, member_port):
    early = raw(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
    async with Origin(US[0], member_port, early, reads_body=False):
        wire = await at.open()
        wire.send(request("/straight", f"Content-Length: {MIB}", method="POST") + b"x" * 1000)
        response = await wire.response()
        assert (response.status, response.body) == (401, b"no")
        assert response.get("connection") == "close"
        wire.close()


async def test_requests_behind_each_other_are_answered_in_order(at, member_port):
    async def says(asked: Asked) -> None:
        asked.reply(asked.message.target.encode())

    async with Origin(US[0], member_port, says) as origin:
        wire = await at.open()
        targets = [f"/{number}" for number in range(200)] + ["/fixed"]
        wire.send(b"".join(map(request, targets)))
        assert [(await wire.response()).body.decode() for _ in targets] == [*targets[:-1], "hi"]
        wire.close()
        assert origin.connections == 1


async def test_a_client_that_sends_no_more_is_still_answered(at, member_port):
    may = asyncio.Event()

    async def waits(asked: Asked) -> None:
        await may.wait()
        asked.reply(b"late")

    async with Origin(US[0], member_port, waits) as origin:
        wire = await at.open()
        wire.send(request())
        wire.writer.write_eof()
        await origin.request()
        may.set()
        assert (await wire.response()).body == b"late"
        assert await wire.ended() == b""


async def test_a_client_that_breaks_off_frees_its_member(at, member_port):
    gone = asyncio.Event()

    async def waits(asked: Asked) -> None:
        try:
            await asked.reader.read()
        finally:
            gone.set()

    async with Origin(US[0], member_port, waits) as origin:
        wire = await at.open()
        wire.send(request())
        await origin.request()
        wire.break_off()
        async with asyncio.timeout(10):
            await gone.wait()


# What is large, long or slow.


def rss(pid: int) -> int:
    """Return how much memory a process has, in octets."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_great_body_goes_down_and_memory_stays_flat(at, member_port):
    async def sends(asked: Asked) -> None:
        asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GREAT)
        for _ in range(GREAT // len(PIECE)):
            asked.say(PIECE)
            await asked.writer.drain()

    async with Origin(US[0], member_port, sends):
        wire = await at.open()
        wire.send(request())
        assert (await wire.head()).status == 200
        await asyncio.sleep(0.2)  # nobody reads: what comes has to wait at the member
        before = rss(at.worker)
        left = GREAT
        while left:
            left -= len(await wire.reader.read(MIB))
        wire.close()
        assert rss(at.worker) - before < FLAT
        assert rss(at.worker) < 300 * MIB


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_great_body_goes_up_and_memory_stays_flat(at, member_port, chunked):
    async def takes(asked: Asked) -> None:
        digest, got = hashlib.sha256(), 0
        if chunked:
            while size := int(await asked.reader.readuntil(b"\r\n"), 16):
                digest.update((await asked.reader.readexactly(size + 2))[:-2])
                got += size
            await asked.reader.readexactly(2)
        else:
            while got < GREAT:
                piece = await asked.reader.read(MIB)
                digest.update(piece)
                got += len(piece)
        asked.reply(f"{got} {digest.hexdigest()}".encode())

    async with Origin(US[0], member_port, takes, reads_body=False):
        before = rss(at.worker)
        wire = await at.open()
        how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {GREAT}"
        wire.send(request("/", how, method="POST"))
        digest = hashlib.sha256()
        for _ in range(GREAT // len(PIECE)):
            digest.update(PIECE)
            wire.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
            await wire.writer.drain()
        if chunked:
            wire.send(b"0\r\n\r\n")
        response = await wire.response()
        wire.close()
        assert response.body == f"{GREAT} {digest.hexdigest()}".encode()
        assert rss(at.worker) - before < FLAT


async def test_events_arrive_as_they_are_sent(at, member_port):
    heard = asyncio.Queue()

    async def streams(asked: Asked) -> None:
        asked.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            asked.say(b"9\r\ndata: %d\n\n\r\n" % number)
            await asked.writer.drain()
            await heard.get()  # the client has this one before the next is sent
        asked.say(b"0\r\n\r\n")

    async with Origin(US[0], member_port, streams):
        wire = await at.open()
        wire.send(request())
        assert (await wire.head()).get("content-type") == "text/event-stream"
        for number in range(5):
            async with asyncio.timeout(10):
                assert await wire.reader.readexactly(14) == b"9\r\ndata: %d\n\n\r\n" % number
            heard.put_nowait(number)
        wire.close()


async def test_the_head_of_a_response_does_not_wait_for_its_body(at, member_port):
    may = asyncio.Event()

    async def begins(asked: Asked) -> None:
        asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await asked.writer.drain()
        await may.wait()
        asked.say(b"ok")

    async with Origin(US[0], member_port, begins):
        wire = await at.open()
        wire.send(request())
        assert (await wire.head()).status == 200
        may.set()
        assert await wire.reader.readexactly(2) == b"ok"
        wire.close()


async def test_a_websocket_is_tunnelled_both_ways_and_each_end_is_passed_on(at, member_port):
    async def echoes_frames(asked: Asked) -> None:
        assert asked.message.get("upgrade") == "websocket"
        asked.say(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nfirst"
        )
        while octets := await asked.reader.read(MIB):
            asked.say(octets)
            await asked.writer.drain()
        asked.writer.close()

    async with Origin(US[0], member_port, echoes_frames):
        wire = await at.open()
        upgrade = ("Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Key: x")
        wire.send(request("/", *upgrade))
        response = await wire.head()
        assert (response.status, response.get("upgrade")) == (101, "websocket")
        assert response.get("sec-websocket-accept") == "x"
        assert await wire.reader.readexactly(5) == b"first"
        for size in (1, 1000, MIB):
            wire.send(PIECE[:1] * size)
            assert await wire.reader.readexactly(size) == PIECE[:1] * size
        await asyncio.sleep(0.6)  # longer than the timeouts of heads and bodies
        wire.send(b"late")
        assert await wire.reader.readexactly(4) == b"late"
        wire.writer.write_eof()
        assert await wire.ended() == b""


async def test_an_upgrade_that_is_declined_is_an_answer_like_any(at, member_port):
    async with Origin(US[0], member_port):
        wire = await at.open()
        for _ in range(2):
            wire.send(request("/", "Upgrade: websocket", "Connection: Upgrade"))
            assert (await wire.response()).body == US[0].encode()
        wire.close()


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: www.exa", 408),
        (request("/", "Content-Length: 10", method="POST") + b"abc", 408),
        (request("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nab", 408),
    ],
)
async def test_a_client_that_never_ends_its_request_is_told_so_and_holds_no_member(
    at, member_port, begun, status
):
    async with Origin(US[0], member_port) as origin:
        began_s = time.monotonic()
        wire = await at.open()
        wire.send(begun)
        assert (await wire.response()).status == status
        assert time.monotonic() - began_s < 5
        wire.close()
        assert not origin.requests


async def test_a_head_that_comes_drop_by_drop_gets_no_more_time_by_that(at):
    wire = await at.open()
    wire.send(b"GET / HTTP/1.1\r\n")

    async def drips() -> None:
        while True:
            wire.send(b"X: y\r\n")
            await asyncio.sleep(0.05)

    task = asyncio.create_task(drips())
    assert (await wire.response()).status == 408
    task.cancel()
    wire.close()


async def test_a_connection_that_is_not_used_is_closed(at, member_port):
    async with Origin(US[0], member_port):
        wire, silent = await at.open(), await at.open()
        wire.send(request())
        await wire.response()
        assert await wire.ended() == b""
        assert await silent.ended() == b""


async def test_a_member_that_does_not_answer_in_time_is_504(at, member_port):
    async def waits(asked: Asked) -> None:
        await asked.reader.read()

    async with Origin(US[0], member_port, waits):
        assert (await at.get("/short")).status == 504


async def test_a_response_that_stops_is_broken_off(at, member_port):
    async def stops(asked: Asked) -> None:
        asked.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await asked.reader.read()

    async with Origin(US[0], member_port, stops):
        wire = await at.open()
        wire.send(request("/short"))
        assert (await wire.head()).status == 200
        assert await wire.ended() == b"abc"


async def test_a_post_is_not_sent_over_a_connection_that_was_idle_for_long(at, member_port):
    async with Origin(US[0], member_port) as origin:
        await at.get()
        await asyncio.sleep(1.2)
        assert (await at.get("/", "Content-Length: 0", method="POST")).status == 200
        assert origin.connections == 2


# What the tier says.


async def test_error_pages_redirects_and_fixed_answers(at):
    busy = await at.get("/busy")
    assert (busy.status, busy.body, busy.get("content-type")) == (
        503,
        b"<h1>soon</h1>",
        "text/html",
    )
    assert (await at.get("/gone")).status == 403
    away = await at.get("/away/x?y=1")
    assert (away.status, away.get("location")) == (308, "https://www.example.com/away/x?y=1")
    assert (await at.get("/fixed")).body == b"hi"


async def test_who_asks_too_often_is_told_when_to_ask_again(at, member_port):
    async with Origin(US[0], member_port):
        statuses = [(await at.get("/rated", "X-Key: a")).status for _ in range(2)]
        assert statuses == [200, 200]
        refused = await at.get("/rated", "X-Key: a")
        assert refused.status == 429
        assert 1 <= int(refused.get("retry-after") or 0) <= 60
        assert (await at.get("/rated", "X-Key: b")).status == 200


async def test_who_the_client_is_and_how_it_came_is_told_and_cannot_be_made_up(at, member_port):
    async with Origin(US[0], member_port) as origin:
        lies = (
            "X-Forwarded-For: 192.0.2.1",
            "X_Forwarded_For: 192.0.2.1",
            "X-Forwarded-Proto: https",
            "Forwarded: for=192.0.2.1",
            "X-Request-Id: made-up",
        )
        await at.get("/", *lies)
        message = await origin.request()
        (chain,) = message.all("x-forwarded-for")
        assert chain == "127.0.0.1"
        assert message.all("x_forwarded_for") == []
        assert message.get("x-forwarded-proto") == "http"
        assert message.get("x-forwarded-host") == "www.example.com"
        assert "192.0.2.1" not in str(message.get("forwarded"))
        assert re.fullmatch("[0-9a-f]{32}", str(message.get("x-request-id")))
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", str(message.get("traceparent")))


async def test_a_rewrite_changes_what_goes_there_and_what_comes_back(at, member_port):
    answer = raw(b"HTTP/1.1 200 OK\r\nServer: x\r\nX-Keep: 1\r\nContent-Length: 0\r\n\r\n")
    async with Origin(US[0], member_port, answer) as origin:
        response = await at.get("/api/a?b=c", "X-Gone: 1", "X-Keep: 1")
        message = await origin.request()
        assert message.target == "/a?b=c"
        assert message.get("host") == "inner.example.com"
        assert (message.get("x-set"), message.get("x-gone"), message.get("x-keep")) == (
            "1",
            None,
            "1",
        )
        assert (response.get("server"), response.get("x-answer")) == (None, "2")
        assert response.get("x-keep") == "1"
        assert response.get("via") == "1.1 edge"


async def test_several_cookies_are_passed_both_ways_one_by_one(at, member_port):
    answer = raw(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    )
    async with Origin(US[0], member_port, answer):
        assert (await at.get()).all("set-cookie") == ["a=1", "b=2"]


async def test_a_client_that_asks_without_reading_answers_is_not_asked_what_else_it_wants(
    at, member_port
):
    served = 0

    def large(asked: Asked) -> None:
        nonlocal served
        served += 1
        asked.reply(b"x" * 1_000_000)

    async with Origin(US[0], member_port, large):
        wire = await at.open()
        wire.writer.transport.pause_reading()
        wire.send(request() * 200)
        await asyncio.sleep(1.0)

        assert served < 100
        wire.close()


async def test_what_comes_behind_much_that_was_asked_at_once_is_read_to_its_end(at, member_port):
    async with Origin(US[0], member_port):
        wire = await at.open()
        wire.send(request("/gone") * BURST_MAX)
        wire.send(request("/", "Content-Length: 10", method="POST"))
        for _ in range(BURST_MAX):
            await wire.response()
        wire.send(b"x" * 10)

        assert (await wire.response()).status == 200
        wire.close()
