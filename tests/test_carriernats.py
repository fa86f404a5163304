"""Tables carried by a real nats-server, started by the test."""

from __future__ import annotations

import asyncio
import json
import os
import time
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.config.settings import Nats
from gslb.daemons.carriernats import NatsCarrier, key_of
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from tests.carrying import Carrying
from tests.peers import program
from tests.servers import Authority, free_port

PATIENCE_S = 20.0


class Server:
    """One nats-server on a port of its own, which can be killed and started again."""

    def __init__(self, folder: Path, more: str = "", jetstream: str | None = "") -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.file = folder / "nats.conf"
        store = f'jetstream {{ store_dir: "{folder}/store"{jetstream} }}\n'
        store = "" if jetstream is None else store
        self.file.write_text(f"listen: 127.0.0.1:{self.port}\n{store}{more}\n")

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            program("nats-server"), "-c", str(self.file), "-l", str(self.folder / "log")
        )
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                assert self.process.returncode is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            await self.kill()


class End(Carrying):
    """A carrier on NATS, and what it heard."""

    def __init__(
        self, url: str, listens=("reports", "words"), expiry_s=20.0, interval_s=1.0, **options
    ) -> None:
        self.counters = Counters()
        self.events = Events(lambda: 0.0)
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        keys = {
            "credentials": None,
            "user": None,
            "password": None,
            "token": None,
            "ca_file": None,
            "bucket": "gslb",
            "replicas": 1,
        }
        self.carrier = NatsCarrier(
            Nats(servers=(url,), **{**keys, **options}),
            listens=listens,
            interval_s=interval_s,
            expiry_s=expiry_s,
            counters=self.counters,
            events=self.events,
            on_received=lambda box, octets: self.heard.put_nowait((box, octets)),
            chance=lambda: 0.0,
        )


@asynccontextmanager
async def end(url: str, **options):
    made = End(url, **options)
    async with made.running(PATIENCE_S):
        yield made


async def hears(
    one: End, other: End, octets: bytes, box: str = "reports", sender: str = "eu"
) -> None:
    """Let *one* send, and await that *other* hears it, after what it heard before or twice.

    A table that is sent while *other* begins to listen comes from its bucket and live as well.
    """
    one.carrier.send(box, sender, octets)
    while await other.heard.get() != (box, octets):
        pass


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_senders_name_can_be_read_back_from_its_key(name):
    key = key_of(name)

    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert unquote(key.replace("=", "%")) == name


async def test_what_one_sends_the_others_hear(tmp_path):
    async with Server(tmp_path / "n") as server, end(server.url) as one, end(server.url) as other:
        await hears(one, other, b"table")
        await hears(other, one, b"another")


async def test_who_comes_late_hears_what_was_put_before(tmp_path):
    async with Server(tmp_path / "n") as server, end(server.url) as one, end(server.url) as other:
        await hears(one, other, b"table")
        await hears(one, other, b"bulletin", "words", "ns1.example.net")

        async with end(server.url, listens=("words",)) as late:
            assert await late.heard.get() == ("words", b"bulletin")


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_server_killed_and_started_again_is_filled_again(tmp_path, keeps):
    async with Server(tmp_path / "n") as server, end(server.url) as one, end(server.url) as other:
        await hears(one, other, b"before")
        await server.kill()
        await one.told("carrier_lost")
        if not keeps:
            (tmp_path / "n" / "store").rename(tmp_path / "gone")
        one.carrier.send("reports", "eu", b"older")
        await server.start()
        await one.told("carrier_back")

        await hears(one, other, b"after")


async def test_a_table_too_large_for_the_server_is_told_once(tmp_path):
    async with (
        Server(tmp_path / "n", "max_payload: 1000") as server,
        end(server.url) as one,
        end(server.url) as other,
    ):
        await hears(one, other, b"fits")
        one.carrier.send("words", "ns1", b"x" * 1001)
        await hears(one, other, b"fits still")

        assert "max_payload" in (await one.told("carrier_refused")).fields["error"]
        assert one.counters.carried["nats", "words", "too_large"] == 1


async def test_users_and_tokens_are_signed_in(tmp_path):
    user = 'authorization { user: "gslb", password: "secret" }'
    async with Server(tmp_path / "u", user) as server:
        good = {"user": "gslb", "password": "secret"}
        async with end(server.url, **good) as one, end(server.url, **good) as other:
            await hears(one, other, b"table")
        async with end(server.url) as stranger:
            await stranger.told("carrier_lost")
    async with (
        Server(tmp_path / "t", 'authorization { token: "secret" }') as server,
        end(server.url, token="secret") as one,
        end(server.url, token="secret") as other,
    ):
        await hears(one, other, b"table")


async def test_a_carrier_ends_when_it_is_cancelled_whatever_it_is_doing(tmp_path):
    async with Server(tmp_path / "n") as server, asyncio.timeout(PATIENCE_S):
        for steps in range(0, 120, 3):
            made = End(server.url)
            made.carrier.send("words", "ns1.example.net", b"bulletin")
            task = asyncio.create_task(made.carrier.run())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()


async def test_nodes_that_start_at_once_make_the_buckets_together(tmp_path):
    async with Server(tmp_path / "n") as server:
        ends = [End(server.url, interval_s=5.0) for _ in range(4)]
        for made in ends:
            made.told_of = []
            made.events.tell_too(made.told_of.append)
            made.carrier.send("words", f"ns{id(made)}", b"bulletin")
        tasks = [asyncio.create_task(made.carrier.run()) for made in ends]
        try:
            async with asyncio.timeout(PATIENCE_S):
                for made in ends:
                    while not made.counters.carried["nats", "words", "ok"]:
                        await asyncio.sleep(0.01)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert [made.told_of for made in ends] == [[], [], [], []]


async def test_a_bucket_with_other_settings_is_used_and_told_of_once(tmp_path):
    async with Server(tmp_path / "n") as server, end(server.url) as one, end(server.url) as other:
        await hears(one, other, b"table")
        async with end(server.url, expiry_s=30.0) as third:
            told = await third.told("carrier_bucket_differs")
            await hears(third, other, b"another")
            await server.kill()
            await third.told("carrier_lost")
            await server.start()
            await third.told("carrier_back")

            assert told.fields == {
                "bucket": "gslb-reports",
                "differs": "max_age_s: 60.0 instead of 90.0",
            }
            assert third.queue.empty()


async def test_a_server_is_known_by_its_certificate(tmp_path):
    authority = Authority(tmp_path)
    pem = authority.certificate("127.0.0.1")
    tls = f'tls {{ cert_file: "{pem}", key_file: "{pem}" }}'
    async with Server(tmp_path / "n", tls) as server:
        url = server.url.replace("nats:", "tls:")
        trusts = {"ca_file": authority.ca_file}
        async with end(url, **trusts) as one, end(url, **trusts) as other:
            await hears(one, other, b"table")
        async with end(url) as stranger:
            told = await stranger.told("carrier_lost")
            assert "certificate" in told.fields["error"].lower()


def signed(issuer, subject, kind: str, **nats) -> str:
    """Return what *issuer* says of *subject*, as a JWT that NATS takes."""
    now = int(time.time())
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    claims = {
        "jti": f"{kind}-{now}",
        "iat": now,
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": kind,
        "nats": {**nats, "type": kind, "version": 2},
    }
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims)]
    signature = issuer.sign(b".".join(parts))
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_a_credentials_file_signs_in(tmp_path):
    nkeys = pytest.importorskip("nkeys")
    kinds = (nkeys.PREFIX_BYTE_OPERATOR, *[nkeys.PREFIX_BYTE_ACCOUNT] * 2, nkeys.PREFIX_BYTE_USER)
    seeds = [nkeys.encode_seed(os.urandom(32), kind) for kind in kinds]
    operator, system, account, user = map(nkeys.from_seed, seeds)
    limited = (
        "subs",
        "data",
        "payload",
        "conn",
        "mem_storage",
        "disk_storage",
        "streams",
        "consumer",
    )
    limits = dict.fromkeys(limited, -1)
    accounts = {
        key.public_key.decode(): signed(operator, key, "account", limits=given)
        for key, given in ((system, {"conn": -1, "subs": -1}), (account, limits))
    }
    preload = "\n".join(f"  {name}: {jwt}" for name, jwt in accounts.items())
    more = (
        f"operator: {signed(operator, operator, 'operator')}\n"
        f"system_account: {system.public_key.decode()}\n"
        f"resolver: MEMORY\nresolver_preload: {{\n{preload}\n}}"
    )
    file = tmp_path / "gslb.creds"
    file.write_text(
        "-----BEGIN NATS USER JWT-----\n"
        f"{signed(account, user, 'user', subs=-1, data=-1, payload=-1)}\n"
        "------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seeds[3].decode()}\n------END USER NKEY SEED------\n"
    )

    async with Server(tmp_path / "n", more) as server:
        good = {"credentials": file}
        async with end(server.url, **good) as one, end(server.url, **good) as other:
            await hears(one, other, b"table")
            await hears(one, other, b"bulletin", "words", "ns1.example.net")
            assert one.carrier.link.is_up
        async with end(server.url) as stranger:
            await stranger.told("carrier_lost")


HUB = "leafnodes {{ listen: 127.0.0.1:{port} }}"
LEAF = """\
leafnodes {{ remotes: [{{ url: "nats://127.0.0.1:{port}" }}], reconnect: 1 }}
mappings {{ "$JS.API.>": "$JS.hub.API.>", "$KV.>": "$JS.hub.API.$KV.>" }}
"""


async def test_a_leaf_without_jetstream_carries_to_its_hub_and_goes_on_without_it(tmp_path):
    port = free_port()
    hub = Server(tmp_path / "hub", HUB.format(port=port), jetstream=", domain: hub")
    leaf = Server(tmp_path / "leaf", LEAF.format(port=port), jetstream=None)
    async with hub, leaf, end(hub.url) as far, end(leaf.url) as near, end(leaf.url) as same:
        await hears(near, far, b"up")
        await hears(far, near, b"down")
        near.carrier.send("words", "ns1.example.net", b"bulletin")
        while not near.counters.carried["nats", "words", "ok"]:
            await asyncio.sleep(0.01)
        async with end(leaf.url, listens=("words",)) as late:
            assert await late.heard.get() == ("words", b"bulletin")
        await hub.kill()

        await hears(near, same, b"within the region")
        await hub.start()
        await hears(near, far, b"up again")
