"""Tables carried over HTTP, to real servers on loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web

from gslb.daemons.carrierhttp import HttpCarrier
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from tests.carrying import Carrying
from tests.servers import Authority, Member, free_port

PATIENCE_S = 20.0
OCTETS = {"Content-Type": "application/octet-stream"}


class Peer:
    """A node as a carrier sees it: it keeps what it is posted, and answers as it is told."""

    def __init__(self, port: int = 0, tls=None) -> None:
        self.port = port
        self.got: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.status = 200
        self.body = b""
        self.headers = OCTETS
        self._tls = tls

    async def __aenter__(self) -> Peer:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.got.put_nowait((request.path, await request.read()))
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Sender(Carrying):
    """A carrier with what it needs, and what it heard."""

    def __init__(self, peers: dict[str, str], interval_s: float = 5.0, ca_file=None) -> None:
        self.counters = Counters()
        self.events = Events(lambda: 0.0)
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.carrier = HttpCarrier(
            peers,
            ca_file=ca_file,
            interval_s=interval_s,
            counters=self.counters,
            events=self.events,
            on_received=lambda box, octets: self.heard.put_nowait((box, octets)),
            chance=lambda: 0.0,
        )
        self.said: list[asyncio.Queue] = []


@asynccontextmanager
async def sender(peers: dict[str, str], **options):
    made = Sender(peers, **options)
    async with made.running(PATIENCE_S):
        yield made


async def test_every_peer_gets_every_table():
    async with (
        Peer() as one,
        Peer() as other,
        sender({"ns1": one.url, "ns2": other.url + "/"}) as made,
    ):
        made.carrier.send("reports", "eu", b"table")
        made.carrier.send("words", "ns3", b"bulletin")

        for peer in (one, other):
            assert await peer.got.get() == ("/v1/reports", b"table")
            assert await peer.got.get() == ("/v1/words", b"bulletin")


async def test_a_newer_table_replaces_one_that_waits():
    async with Peer() as peer, sender({"ns1": peer.url}) as made:
        for number in range(100):
            made.carrier.send("reports", "eu", b"%d" % number)
        made.carrier.send("reports", "eu", b"last")

        assert await peer.got.get() == ("/v1/reports", b"last")
        assert peer.got.empty()


async def test_what_a_peer_answers_are_its_words():
    async with Peer() as peer, sender({"ns1": peer.url}) as made:
        peer.body = b"the bulletin of ns1"

        made.carrier.send("reports", "eu", b"table")

        assert await made.heard.get() == ("words", b"the bulletin of ns1")
        assert made.counters.carried == {("ns1", "reports", "ok"): 1}


async def test_an_answer_of_another_type_is_nobodys_words():
    async with Peer() as peer, sender({"ns1": peer.url}) as made:
        peer.body, peer.headers = b"{}", {"Content-Type": "application/json"}
        made.carrier.send("reports", "eu", b"table")
        await peer.got.get()
        peer.body, peer.headers = b"words", OCTETS
        made.carrier.send("reports", "eu", b"table")

        assert await made.heard.get() == ("words", b"words")


async def test_a_peer_that_is_down_holds_up_nobody_and_is_told_once():
    port = free_port()
    async with (
        Peer() as peer,
        sender({"ns1": f"http://127.0.0.1:{port}", "ns2": peer.url}) as made,
    ):
        for _ in range(3):
            made.carrier.send("reports", "eu", b"table")
            await peer.got.get()
        lost = await made.told("carrier_lost")
        async with Peer(port) as late:
            made.carrier.send("reports", "eu", b"newer")
            assert await late.got.get() == ("/v1/reports", b"newer")
            back = await made.queue.get()

    assert lost.fields["peer"] == "ns1"
    assert (back.kind, back.fields) == ("carrier_back", {"peer": "ns1"})
    assert made.counters.carried["ns1", "reports", "failed"] >= 1


async def test_what_failed_is_tried_again_without_a_newer_table():
    port = free_port()
    async with sender({"ns1": f"http://127.0.0.1:{port}"}, interval_s=0.2) as made:
        made.carrier.send("words", "ns3", b"bulletin")
        await made.told("carrier_lost")

        async with Peer(port) as peer:
            assert await peer.got.get() == ("/v1/words", b"bulletin")


async def test_a_refusal_is_told_once_and_not_tried_again():
    async with Peer() as peer, sender({"ns1": peer.url}) as made:
        peer.status, peer.body = 403, b'{"error": "the MAC does not hold", "hint": ""}'
        for _ in range(3):
            made.carrier.send("reports", "eu", b"table")
            await peer.got.get()
        peer.status, peer.body = 302, b""
        made.carrier.send("reports", "eu", b"table")
        await peer.got.get()

        first, second = await made.told("carrier_refused"), await made.told("carrier_refused")

    assert first.fields["error"] == "status 403: the MAC does not hold"
    assert second.fields["error"] == "status 302"
    assert made.counters.carried == {("ns1", "reports", "refused"): 4}


async def test_an_error_of_the_peers_own_is_tried_again():
    async with Peer() as peer, sender({"ns1": peer.url}) as made:
        peer.status = 503
        made.carrier.send("reports", "eu", b"table")
        await peer.got.get()
        peer.status = 200

        assert await peer.got.get() == ("/v1/reports", b"table")
        assert (await made.told("carrier_lost")).fields["error"] == "status 503"


async def test_a_peer_that_hangs_is_given_up_in_time():
    async with Member() as member:
        member.behave("hang")
        url = f"http://127.0.0.1:{member.port}"
        async with sender({"ns1": url}, interval_s=0.2) as made:
            made.carrier.send("reports", "eu", b"table")

            assert (await made.told("carrier_lost")).fields["error"] == "no answer in time"


async def test_no_nonsense_of_a_peer_ends_the_carrier():
    for nonsense in ("garbage", "close", "reset", "short", "endless"):
        async with Member() as member:
            member.behave(nonsense)
            url = f"http://127.0.0.1:{member.port}"
            async with sender({"ns1": url}, interval_s=0.5) as made:
                made.carrier.send("reports", "eu", b"table")

                await made.told("carrier_lost")


async def test_only_a_certificate_of_the_authority_is_trusted(tmp_path):
    (tmp_path / "theirs").mkdir()
    ours, theirs = Authority(tmp_path), Authority(tmp_path / "theirs")
    async with (
        Peer(tls=ours.serving("127.0.0.1")) as good,
        Peer(tls=theirs.serving("127.0.0.1")) as bad,
        sender(
            {
                name: peer.url.replace("http", "https")
                for name, peer in zip("gb", (good, bad), strict=True)
            },
            ca_file=ours.ca_file,
        ) as made,
    ):
        made.carrier.send("reports", "eu", b"table")

        assert await good.got.get() == ("/v1/reports", b"table")
        assert (await made.told("carrier_lost")).fields["peer"] == "b"
        assert bad.got.empty()
