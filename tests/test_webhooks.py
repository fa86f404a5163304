"""Webhooks, posted to real servers on loopback; the clock and the pauses are the tests' own."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gslb.config.settings import Webhook
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.webhooks import AGE_MAX_S, QUEUE_MAX, RETRY_AFTER_MAX_S, RETRY_MAX_S, Webhooks
from tests.running import running, written
from tests.servers import free_port

PATIENCE_S = 20.0


class Receiver:
    """An HTTP server that keeps what it is posted, and answers 200 once `answers` are used up."""

    def __init__(self, *answers: int, headers=None, port: int = 0) -> None:
        self.answers = list(answers)
        self.headers = headers
        self.port = port
        self.got: asyncio.Queue[tuple[dict, web.BaseRequest, bytes]] = asyncio.Queue()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __aenter__(self) -> Receiver:
        server = web.Server(self._answer)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.goes_on.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.got.put_nowait((json.loads(body), request, body))
        await self.goes_on.wait()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers=self.headers)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/T0K3N"

    async def hears(self, *numbers: int) -> None:
        """Await events with these numbers, in this order, and none between."""
        for number in numbers:
            body, _, _ = await self.got.get()
            assert body["n"] == number


class Sender:
    """Webhooks whose clock moves by the pauses they make, which take no time."""

    def __init__(self, hooks, **options) -> None:
        self.now_s = 1000.0
        self.pauses_s: list[float] = []
        self.pausing = asyncio.Event()  # set once a pause was made that does not end
        self.pauses_max: int | None = None
        self.counters = Counters()
        self.events = Events(lambda: self.now_s)
        self.webhooks = Webhooks(
            hooks,
            node="ns1.example.net",
            counters=self.counters,
            events=self.events,
            clock=lambda: self.now_s,
            chance=lambda: 1.0,
            sleep=self._sleep,
            **options,
        )
        self.told: list[str] = []
        self.events.tell_too(lambda event: self.told.append(event.kind))

    async def _sleep(self, delay_s: float) -> None:
        self.pauses_s.append(delay_s)
        self.now_s += delay_s
        if len(self.pauses_s) == self.pauses_max:
            self.pausing.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    def say(self, *numbers: int, kind: str = "verdict") -> None:
        for number in numbers:
            self.events.announce(kind, n=number)

    def counted(self, host: str) -> dict[str, int]:
        return {result: n for (of, result), n in self.counters.posted.items() if of == host}


@asynccontextmanager
async def sender(*hooks: Webhook, **options):
    made = Sender(hooks, **options)
    task = asyncio.create_task(made.webhooks.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield made
            made.webhooks.stop()
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_events_are_posted_in_order_with_who_posts_them():
    async with Receiver() as receiver, sender(Webhook(receiver.url)) as made:
        made.events.announce("forced", member="192.0.2.1", by="ops")
        body, request, _ = await receiver.got.get()

        assert body == {
            "event": "forced",
            "at": "1970-01-01T00:16:40.000Z",
            "node": "ns1.example.net",
            "member": "192.0.2.1",
            "by": "ops",
        }
        assert (request.method, request.path) == ("POST", "/T0K3N")
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["X-Gslb-From"] == "ns1.example.net"
        assert "X-Gslb-Signature" not in request.headers
        made.say(*range(50))
        await receiver.hears(*range(50))


async def test_what_is_posted_is_signed_with_the_key():
    async with Receiver() as receiver, sender(Webhook(receiver.url, key=b"k")) as made:
        made.say(1)
        _, request, body = await receiver.got.get()

        signature = hmac.new(b"k", body, hashlib.sha256).hexdigest()
        assert request.headers["X-Gslb-Signature"] == f"sha256={signature}"


async def test_each_event_has_an_id_of_its_own_that_is_kept_when_it_is_posted_again():
    async with Receiver(500) as receiver, sender(Webhook(receiver.url)) as made:
        made.say(1, 2)
        got = [await receiver.got.get() for _ in range(3)]

        first, again, second = (request.headers["X-Gslb-Event-Id"] for _, request, _ in got)
        assert first == again != second
        assert [body["n"] for body, _, _ in got] == [1, 1, 2]


async def test_only_the_kinds_that_a_hook_names_are_posted_to_it():
    async with (
        Receiver() as some,
        Receiver() as whole,
        sender(Webhook(some.url, frozenset({"forced"})), Webhook(whole.url)) as made,
    ):
        made.say(1)
        made.say(2, kind="forced")

        await some.hears(2)
        await whole.hears(1, 2)


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_what_cannot_be_taken_now_is_tried_again_with_pauses_that_grow(status):
    async with Receiver(*[status] * 11) as receiver, sender(Webhook(receiver.url)) as made:
        made.say(1, 2)
        await receiver.hears(*[1] * 12, 2)

    assert made.pauses_s == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert made.counted(receiver.host) == {"failed": 11, "ok": 2}
    assert made.told.count("webhook_failed") == made.told.count("webhook_back") == 1
    line = f'gslb_webhooks_total{{hook="{receiver.host}",result="failed"}} 11.0'
    assert line in made.counters.text().decode()


async def test_a_receiver_that_is_not_there_is_tried_until_it_is():
    port = free_port()
    async with sender(Webhook(f"http://127.0.0.1:{port}/")) as made:
        made.pauses_max = 3
        made.say(1, 2)
        await made.pausing.wait()
        async with Receiver(port=port) as receiver:
            made.webhooks.stop()
            await receiver.hears(1, 2)


@pytest.mark.parametrize("asked", ["40", "Thu, 01 Jan 1970 00:17:20 GMT"])
async def test_a_receiver_that_asks_for_time_gets_it(asked):
    async with (
        Receiver(429, headers={"Retry-After": asked}) as receiver,
        sender(Webhook(receiver.url)) as made,
    ):
        made.say(1)
        await receiver.hears(1, 1)

    assert made.pauses_s == [40]


@pytest.mark.parametrize(
    ("asked", "given_s"),
    [("soon", 1), ("-5", 1), ("0", 1), ("9" * 30, RETRY_AFTER_MAX_S), ("²", 1)],
)
async def test_odd_wishes_for_time_are_bounded(asked, given_s):
    async with (
        Receiver(503, headers={"Retry-After": asked}) as receiver,
        sender(Webhook(receiver.url)) as made,
    ):
        made.pauses_max = 1
        made.say(1)
        await made.pausing.wait()

        assert made.pauses_s == [given_s]


@pytest.mark.parametrize("status", [301, 400, 404])
async def test_what_is_refused_is_dropped_and_told_once(status):
    async with Receiver(status, status) as receiver, sender(Webhook(receiver.url)) as made:
        made.say(1, 2, 3)
        await receiver.hears(1, 2, 3)

    assert made.counted(receiver.host) == {"refused": 2, "ok": 1}
    assert made.told.count("webhook_refused") == 1
    assert made.pauses_s == []


async def test_an_event_that_is_too_old_is_given_up_and_the_next_one_tried():
    attempts = 21  # at 0, 1, 3, …, 511, 811, …, 3511 and 3811 seconds
    async with Receiver(*[500] * attempts) as receiver, sender(Webhook(receiver.url)) as made:
        made.say(1)
        await receiver.hears(*[1] * attempts)
        made.say(2)
        await receiver.hears(2)

    assert AGE_MAX_S <= sum(made.pauses_s[:-1]) < AGE_MAX_S + RETRY_MAX_S
    assert made.counted(receiver.host) == {"failed": attempts, "gave_up": 1, "ok": 1}


async def test_of_too_many_that_wait_the_oldest_are_dropped():
    async with Receiver(500) as receiver, sender(Webhook(receiver.url)) as made:
        made.say(0)
        receiver.goes_on.clear()
        await receiver.hears(0)
        made.say(*range(1, QUEUE_MAX + 3))
        receiver.goes_on.set()

        # Two made room for the last two, and the one that was under way for none.
        await receiver.hears(*range(3, QUEUE_MAX + 3))

    assert made.counted(receiver.host) == {"failed": 1, "dropped": 3, "ok": QUEUE_MAX}


async def test_one_that_is_down_holds_up_nobody_and_its_trouble_is_posted_to_nobody():
    down = Webhook(f"http://127.0.0.1:{free_port()}/T0K3N")
    async with Receiver() as receiver, sender(down, Webhook(receiver.url)) as made:
        made.pauses_max = 2
        made.say(1)
        await made.pausing.wait()
        made.say(2)

        await receiver.hears(1, 2)

    assert "webhook_failed" in made.told
    assert receiver.got.empty()


async def test_no_path_of_a_url_is_told_or_counted(caplog):
    down = Webhook(f"http://127.0.0.1:{free_port()}/T0K3N?a=T0K3N")
    with caplog.at_level("INFO"):
        async with sender(down) as made:
            made.pauses_max = 1
            made.say(1)
            await made.pausing.wait()

    assert any(record.message == "webhook_failed" for record in caplog.records)
    assert "T0K3N" not in str([record.__dict__ for record in caplog.records])
    assert b"T0K3N" not in made.counters.text()


async def test_a_stop_lets_what_waits_be_posted():
    async with Receiver() as receiver, sender(Webhook(receiver.url)) as made:
        receiver.goes_on.clear()
        made.say(1, 2, 3)
        await receiver.hears(1)
        made.webhooks.stop()
        receiver.goes_on.set()

    await receiver.hears(2, 3)
    assert made.counted(receiver.host) == {"ok": 3}


async def test_a_stop_waits_for_no_receiver_for_long():
    async with (
        Receiver() as receiver,
        sender(Webhook(receiver.url), flush_max_s=0.05) as made,
    ):
        receiver.goes_on.clear()
        made.say(1, 2, 3)
        await receiver.hears(1)
        made.webhooks.stop()
        while "dropped" not in made.counted(receiver.host):
            await asyncio.sleep(0.01)

    assert made.counted(receiver.host) == {"dropped": 3}


async def test_hooks_change_while_events_wait():
    async with (
        Receiver() as stays,
        Receiver() as goes,
        Receiver() as comes,
        sender(Webhook(stays.url), Webhook(goes.url)) as made,
    ):
        goes.goes_on.clear()
        stays.goes_on.clear()
        made.say(1, 2)
        await goes.hears(1)
        await stays.hears(1)
        made.webhooks.adopt([Webhook(comes.url), Webhook(stays.url, key=b"k")])
        stays.goes_on.set()
        made.say(3)

        _, request, _ = await stays.got.get()
        assert "X-Gslb-Signature" in request.headers
        await stays.hears(3)
        await comes.hears(3)

    assert made.counted(goes.host) == {"dropped": 2}


async def test_a_node_posts_from_its_start_to_its_end_and_takes_over_new_hooks(tmp_path):
    async with asyncio.timeout(PATIENCE_S), Receiver() as first, Receiver() as second:
        path = written(tmp_path, webhooks=[{"url": first.url, "events": ["started", "stopped"]}])
        async with running(path) as node:
            assert (await first.got.get())[0]["event"] == "started"
            written(
                tmp_path,
                webhooks=[
                    {"url": first.url, "events": ["started", "stopped"]},
                    {"url": second.url},
                ],
            )
            node.node.reload()
            assert (await second.got.get())[0]["event"] == "reload"
        assert (await first.got.get())[0]["event"] == "stopped"
