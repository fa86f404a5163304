"""How connections come to the tier and leave it: TLS, PROXY headers, caps, and passed on as is."""

import asyncio
import json
import signal
import ssl
from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest

from tests.messages import request
from tests.origins import US, Asked, Origin
from tests.running import PATIENCE_S, write
from tests.servers import Authority, free_port
from tests.tiers import REGION, running, tier, written
from tests.wires import PROXY, Wire

V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + bytes([192, 0, 2, 7, 127, 0, 0, 1])
    + b"\x10\x00\x00\x50"
)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca_file)


async def shown(at, authority: Authority, name: str) -> set[str]:
    """Return the names in the certificate that is shown to whoever asks for *name*."""
    context = trusting(authority)
    context.check_hostname = False
    wire = await at.open(tls=context, name=name)
    found = wire.writer.get_extra_info("peercert")["subjectAltName"]
    wire.close()
    return {value for _, value in found}


async def test_each_name_is_shown_its_certificate_and_a_new_one_is_taken_over(tmp_path, authority):
    port = free_port(PROXY)
    one = authority.certificate("www.example.com")
    two = authority.certificate("*.example.org", "example.org")
    tls = {"certificates": [{"cert": str(one)}, {"cert": str(two)}], "http2": False}
    async with (
        tier(tmp_path, port=port, proxy={"listen": [{"port": port, "tls": tls}]}) as it,
        Origin(US[0], it.member_port) as origin,
    ):
        assert await shown(it, authority, "www.example.com") == {"www.example.com"}
        assert await shown(it, authority, "a.example.org") == {"*.example.org", "example.org"}
        assert await shown(it, authority, "a.b.example.org") == {"www.example.com"}
        kept = await it.open(tls=trusting(authority))
        kept.send(request())
        assert (await kept.response()).status == 200
        assert (await origin.request()).get("x-forwarded-proto") == "https"

        start = it.said
        renewed = authority.certificate("www.example.com", "renewed.example.com")
        write(one, renewed.read_bytes())  # nobody tells it
        await it.line(" reload", start=start)
        assert "renewed.example.com" in await shown(it, authority, "www.example.com")
        kept.send(request())
        assert (await kept.response()).status == 200
        kept.close()

        start = it.said
        write(one, b"no certificate")
        await it.line("reload_failed", start=start)
        assert "renewed.example.com" in await shown(it, authority, "www.example.com")


async def test_old_versions_and_other_protocols_are_turned_away(tmp_path, authority):
    port = free_port(PROXY)
    tls = {
        "certificates": [{"cert": str(authority.certificate("www.example.com"))}],
        "min_version": "1.3",
    }
    async with (
        tier(tmp_path, port=port, proxy={"listen": [{"port": port, "tls": tls}]}) as it,
        Origin(US[0], it.member_port),
    ):
        old = trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await it.open(tls=old)
        plain = await it.open()
        plain.send(request())
        assert not (await plain.ended()).startswith(b"HTTP/")
        assert (await it.get(tls=trusting(authority))).status == 200


@pytest.mark.parametrize("required", [True, False])
async def test_clients_show_a_certificate_where_that_is_asked_for(tmp_path, authority, required):
    port = free_port(PROXY)
    tls = {
        "certificates": [{"cert": str(authority.certificate("www.example.com"))}],
        "client_ca": authority.ca_file,
        "client_required": required,
    }
    async with (
        tier(tmp_path, port=port, proxy={"listen": [{"port": port, "tls": tls}]}) as it,
        Origin(US[0], it.member_port) as origin,
    ):
        known = trusting(authority)
        known.load_cert_chain(authority.certificate("client.example.com"))
        assert (await it.get(tls=known)).status == 200
        if required:
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                await it.get(tls=trusting(authority))
        else:
            assert (await it.get(tls=trusting(authority))).status == 200
        folder = tmp_path / "other"
        folder.mkdir()
        stranger = trusting(authority)
        # An authority of the same name: it is the signature that is wrong.
        stranger.load_cert_chain(Authority(folder).certificate("client.example.com"))
        with pytest.raises(ssl.SSLError, match="ALERT_DECRYPT_ERROR"):
            await it.get(tls=stranger)
        assert len(origin.requests) == 2 - required


async def counted(asking: aiohttp.ClientSession, admin: str, what: str) -> str:
    """Return a tier's figures, once *what* is in them: its workers tell every second."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with asking.get(f"http://{admin}/metrics") as answer:
                text = await answer.text()
            if what in text:
                return text
            await asyncio.sleep(0.05)


async def test_handshakes_that_fail_are_counted(tmp_path, authority):
    port, admin = free_port(PROXY), f"{PROXY}:{free_port(PROXY)}"
    listen = [
        {"port": port, "tls": {"certificates": [str(authority.certificate("www.example.com"))]}},
        {"port": (other := free_port(PROXY)), "proxy_protocol": True},
    ]
    async with (
        tier(tmp_path, port=port, proxy={"listen": listen, "admin": admin}),
        aiohttp.ClientSession() as asking,
    ):
        for at, octets in ((port, b"GET / HTTP/1.1\r\n\r\n"), (other, b"GET / HTTP/1.1\r\n\r\n")):
            reader, writer = await asyncio.open_connection(PROXY, at)
            writer.write(octets)
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
        for why in ("malformed", "tls"):
            await counted(asking, admin, f'gslb_proxy_failed_handshakes_total{{why="{why}"}} 1.0')


async def test_plain_requests_are_sent_to_https_which_promises_to_stay(tmp_path, authority):
    port, plain = free_port(PROXY), free_port(PROXY)
    tls = {"certificates": [{"cert": str(authority.certificate("www.example.com"))}]}
    proxy = {
        "listen": [{"port": port, "tls": tls}, plain],
        "routes": [
            {"match": {"scheme": "http"}, "redirect": "https://{host}{path}{query}"},
            {"service": "www.example.com", "hsts": "365d"},
        ],
    }
    async with tier(tmp_path, port=port, proxy=proxy) as it, Origin(US[0], it.member_port):
        secure = await it.get(tls=trusting(authority))
        assert secure.get("strict-transport-security") == "max-age=31536000"
        it.port = plain
        response = await it.get("/a?b")
        assert (response.status, response.get("location")) == (308, "https://www.example.com/a?b")


@pytest.mark.parametrize(
    ("names", "keys", "status"),
    [
        (["www.example.com"], {}, 200),
        (["inner.example.com"], {"name": "inner.example.com"}, 200),
        (["inner.example.com"], {"rewritten": "inner.example.com"}, 200),
        (["inner.example.com"], {}, 502),
        (["inner.example.com"], {"verify": False}, 200),
    ],
)
async def test_members_are_spoken_to_by_tls_and_only_if_their_certificate_is_right(
    tmp_path, authority, names, keys, status
):
    keys = dict(keys)
    rewritten = keys.pop("rewritten", None)
    upstream = {"tls": {"ca": authority.ca_file, **keys}, "eject": None}
    route = {"service": "www.example.com", "rewrite": {"host": rewritten}}
    async with (
        tier(tmp_path, upstream=upstream, proxy={"routes": [route]}) as it,
        Origin(US[0], it.member_port, tls=authority.serving(*names)) as origin,
    ):
        for _ in range(2):
            assert (await it.get()).status == status
        assert len(origin.requests) == (2 if status == 200 else 0)
        if status == 200 and not keys and rewritten is None:
            # Names that no TLS can ask for are answered too, and hold nothing up.
            for host in ("a..example.com", "x" * 70 + ".example.com", ".example.com"):
                assert (await it.get("/", f"Host: {host}")).status == 502
            assert (await it.ask(b"GET / HTTP/1.0\r\n\r\n")).status == 502
            assert (await it.get()).status == 200


@pytest.mark.parametrize("octets", [b"PROXY TCP4 192.0.2.7 127.0.0.1 4096 80\r\n", V2])
async def test_a_proxy_header_says_who_the_client_is(tmp_path, octets):
    port = free_port(PROXY)
    listen = [{"port": port, "proxy_protocol": True}]
    async with (
        tier(tmp_path, port=port, proxy={"listen": listen}) as it,
        Origin(US[0], it.member_port) as origin,
    ):
        wire = await it.open()
        for octet in octets[:-1]:
            wire.send(bytes([octet]))
            await wire.writer.drain()
        wire.send(octets[-1:] + request())
        assert (await wire.response()).status == 200
        wire.close()
        assert (await origin.request()).get("x-forwarded-for") == "192.0.2.7"
        without = await it.open()
        without.send(request())
        assert await without.ended() == b""
        assert len(origin.requests) == 1


@pytest.mark.parametrize(("version", "begins"), [("v1", b"PROXY TCP4 127.0.0.1 "), ("v2", V2[:12])])
async def test_a_member_is_told_by_a_proxy_header_who_the_client_is(tmp_path, version, begins):
    heads = []

    async def hears(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if version == "v1":
            heads.append(await reader.readuntil(b"\r\n"))
        else:
            heads.append(await reader.readexactly(16 + 12))
        await reader.readuntil(b"\r\n\r\n")  # an answer before the request is nobody's
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    upstream = {"proxy_protocol": version}
    async with tier(tmp_path, upstream=upstream) as it:
        async with await asyncio.start_server(hears, US[0], it.member_port):
            assert (await it.get()).status == 200
        assert heads[0].startswith(begins)


async def test_a_client_has_as_many_connections_as_it_may_and_gets_others_once_they_end(tmp_path):
    limits = {"connections_per_client": 2}
    async with tier(tmp_path, proxy={"limits": limits}) as it, Origin(US[0], it.member_port):
        kept = [await it.open() for _ in range(2)]
        for wire in kept:
            wire.send(request())
            assert (await wire.response()).status == 200
        assert await (await it.open()).ended() == b""
        kept[0].writer.close()
        while True:  # until that was noticed
            wire = await it.open()
            try:
                wire.send(request())
                assert (await wire.response()).status == 200
                break
            except (ConnectionError, asyncio.IncompleteReadError):
                continue
            finally:
                wire.close()
        kept[1].close()


def preface(client: str) -> bytes:
    return f"PROXY TCP4 {client} 127.0.0.1 4096 80\r\n".encode()


async def answers(at, octets: bytes, address: str = "127.0.0.1") -> bool:
    """Return whether a connection that begins with *octets*, from *address*, is answered."""
    reader, writer = await asyncio.open_connection(PROXY, at.port, local_addr=(address, 0))
    wire = Wire(reader, writer)
    wire.send(octets)
    return (await wire.ended()).startswith(b"HTTP/1.1 200 ")


async def until_answered(at, octets: bytes) -> None:
    """Connect until that is answered: that others have left is noticed in a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while not await answers(at, octets):
            pass


CLOSING = request("/", "Connection: close")


async def test_connections_that_have_not_said_who_they_are_from_count_among_all(tmp_path):
    port = free_port(PROXY)
    proxy = {"listen": [{"port": port, "proxy_protocol": True}], "limits": {"connections": 2}}
    async with (
        tier(tmp_path, port=port, proxy=proxy) as it,
        Origin(US[0], it.member_port),
    ):
        silent = [await it.open() for _ in range(2)]
        silent[1].send(b"PROXY TCP4 ")
        assert not await answers(it, preface("192.0.2.7") + CLOSING)
        silent[0].close()
        await until_answered(it, preface("192.0.2.7") + CLOSING)
        silent[1].close()


async def test_behind_a_balancer_connections_are_those_of_whom_it_names(tmp_path):
    port = free_port(PROXY)
    proxy = {
        "listen": [{"port": port, "proxy_protocol": True}],
        "limits": {"connections_per_client": 1},
    }
    async with (
        tier(tmp_path, port=port, proxy=proxy) as it,
        Origin(US[0], it.member_port),
    ):
        silent = [await it.open() for _ in range(3)]
        kept = await it.open()
        kept.send(preface("192.0.2.7") + request())
        assert (await kept.response()).status == 200
        assert not await answers(it, preface("192.0.2.7") + CLOSING)
        assert await answers(it, preface("192.0.2.8") + CLOSING)
        kept.close()
        await until_answered(it, preface("192.0.2.7") + CLOSING)
        for wire in silent:
            wire.close()


@pytest.mark.parametrize("limits", [{"connections": 2}, {"connections_per_client": 2}])
async def test_connections_that_have_not_said_which_name_they_want_count_as_others(
    tmp_path, limits
):
    port, plain = free_port(PROXY), free_port(PROXY)
    passes = [{"server_names": ["www.example.com"], "service": "www.example.com"}]
    listen = [{"port": port, "mode": "tcp", "pass": passes}, plain]
    async with (
        tier(tmp_path, port=port, proxy={"listen": listen, "limits": limits}) as it,
        Origin(US[0], it.member_port),
    ):
        silent = [await it.open() for _ in range(2)]
        for wire in silent:
            wire.send(b"\x16\x03\x01")
        assert await (await it.open()).ended() == b""  # so the others were accepted
        it.port = plain
        assert not await answers(it, CLOSING)
        assert await answers(it, CLOSING, "127.0.0.2") == ("connections_per_client" in limits)
        silent[0].close()
        await until_answered(it, CLOSING)
        silent[1].close()


async def test_a_member_has_no_more_connections_than_it_may_and_the_others_wait(tmp_path):
    may, both, most, now = asyncio.Event(), asyncio.Event(), 0, 0

    async def waits(asked: Asked) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        if now == 2:
            both.set()
        await may.wait()
        now -= 1
        asked.reply(b"ok")

    upstream = {"connections": 2, "queue": 3, "queue_timeout": "10s"}
    async with (
        tier(tmp_path, upstream=upstream, proxy={"workers": 1}) as it,
        Origin(US[0], it.member_port, waits),
    ):
        asking = [asyncio.create_task(it.get()) for _ in range(7)]
        refused, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 2:
            refused, _ = await asyncio.wait(asking, timeout=0.05)
        async with asyncio.timeout(10):
            await both.wait()
        may.set()
        statuses = sorted([(await each).status for each in asking])
        assert statuses == [200] * 5 + [503] * 2
        assert most == 2
        response = next(each.result() for each in refused)
        assert response.get("retry-after") == "1"


async def test_a_post_gets_a_new_connection_where_the_only_one_has_been_idle_for_long(tmp_path):
    upstream = {"connections": 1, "queue_timeout": "5s"}
    async with tier(tmp_path, upstream=upstream) as it, Origin(US[0], it.member_port) as origin:
        assert (await it.get()).status == 200
        await asyncio.sleep(1.2)
        assert (await it.get("/", "Content-Length: 0", method="POST")).status == 200
        assert origin.connections == 2


async def test_after_a_lost_member_the_next_is_asked_over_a_new_connection(tmp_path):
    async def breaks(asked: Asked) -> None:
        asked.writer.transport.abort()
        first.answer = first.says_who

    pools = {REGION: list(US[:2])}
    route = {"service": "www.example.com", "balance": "round_robin"}
    async with (
        tier(tmp_path, members=pools, proxy={"routes": [route]}) as it,
        Origin(US[0], it.member_port) as first,
        Origin(US[1], it.member_port) as second,
    ):
        while not (first.requests and second.requests):
            assert (await it.get()).status == 200
        before = second.connections
        first.answer = breaks
        while first.answer is breaks:
            assert (await it.get()).status == 200
        assert second.connections == before + 1


@pytest.mark.parametrize("queue", [0, 5])
async def test_a_connection_that_is_not_for_a_request_makes_room_for_one_that_is(tmp_path, queue):
    async def breaks(asked: Asked) -> None:
        asked.writer.transport.abort()

    upstream = {"connections": 1, "queue": queue, "queue_timeout": "5s"}
    route = {"service": "www.example.com", "balance": "round_robin"}
    async with (
        tier(
            tmp_path,
            members={REGION: list(US[:2])},
            upstream=upstream,
            proxy={"routes": [route]},
        ) as it,
        Origin(US[0], it.member_port) as first,
        Origin(US[1], it.member_port) as second,
    ):
        while not (first.requests and second.requests):
            assert (await it.get()).status == 200
        first.answer = breaks  # the other's connection is idle, and kept
        assert (await it.get()).status == 200
        assert (await it.get()).status == 200
        await asyncio.sleep(1.2)
        assert (await it.get("/", "Content-Length: 0", method="POST")).status == 200


@pytest.mark.parametrize("answers", ["with an alert", "with a reset"])
async def test_a_name_that_only_the_client_says_is_held_against_no_member(
    tmp_path, authority, answers
):
    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        return None if name == "www.example.com" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    admin = f"{PROXY}:{free_port(PROXY)}"
    upstream = {"tls": {"ca": authority.ca_file}, "eject": {"connect_errors": 1, "most": "100%"}}
    pools = {REGION: list(US[:2])}
    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(
            tier(tmp_path, members=pools, upstream=upstream, proxy={"admin": admin})
        )
        secure = authority.serving("www.example.com")
        secure.sni_callback = choose
        for address in US[:2]:
            if answers == "with an alert":
                await stack.enter_async_context(Origin(address, it.member_port, tls=secure))
            else:
                server = await asyncio.start_server(resets, address, it.member_port)
                await stack.enter_async_context(server)
        for _ in range(3):
            assert (await it.get("/", "Host: other.example.com")).status in (502, 503)
        asking = await stack.enter_async_context(aiohttp.ClientSession())
        text = await counted(asking, admin, 'outcome="server_name"')
        assert 'outcome="connect_error"' not in text
        if answers == "with an alert":
            assert (await it.get("/", "Host: www.example.com")).status == 200


async def test_a_connection_for_another_name_makes_room_for_one_that_is_needed(tmp_path, authority):
    upstream = {
        "tls": {"ca": authority.ca_file},
        "connections": 1,
        "queue_timeout": "5s",
        "eject": None,
    }
    async with (
        tier(tmp_path, upstream=upstream) as it,
        Origin(US[0], it.member_port, tls=authority.serving("*.example.com")),
    ):
        for _ in range(2):
            for name in ("a", "b"):
                assert (await it.get("/", f"Host: {name}.example.com")).status == 200
        both = [it.get("/", f"Host: {name}.example.com") for name in "abab"]
        assert {each.status for each in await asyncio.gather(*both)} == {200}


# Passed on as they are.


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65_536):
        writer.write(octets)
        await writer.drain()
    writer.write(b"end")
    writer.close()


async def test_in_tcp_mode_octets_pass_both_ways_and_so_does_each_end(tmp_path):
    port = free_port(PROXY)
    proxy = {"listen": [{"port": port, "mode": "tcp", "service": "www.example.com"}], "routes": []}
    pools = {REGION: list(US[:2])}
    async with (
        tier(tmp_path, port=port, members=pools, proxy=proxy) as it,
        await asyncio.start_server(echo, US[1], it.member_port),
    ):
        for _ in range(3):  # the other member is not there: the next one is tried
            wire = await it.open()
            wire.send(b"x" * 1_000_000)
            assert await wire.reader.readexactly(1_000_000) == b"x" * 1_000_000
            wire.writer.write_eof()
            assert await wire.ended() == b"end"


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await reader.read()
    writer.close()


def passing(port: int) -> dict[str, object]:
    return {"listen": [{"port": port, "mode": "tcp", "service": "www.example.com"}], "routes": []}


async def test_in_tcp_mode_a_member_has_no_more_connections_than_it_may_and_others_wait(tmp_path):
    port = free_port(PROXY)
    upstream = {"connections": 1, "queue": 1, "queue_timeout": "20s"}
    async with (
        tier(tmp_path, port=port, upstream=upstream, proxy=passing(port)) as it,
        await asyncio.start_server(greet, US[0], it.member_port),
    ):
        first = await it.open()
        assert await first.reader.readexactly(5) == b"hello"
        others = [await it.open() for _ in range(2)]
        reading = [asyncio.create_task(wire.reader.read(5)) for wire in others]
        (refused,), (waiting,) = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
        assert await refused == b""
        assert not waiting.done()
        first.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await waiting == b"hello"
        for wire in others:
            wire.close()


async def test_in_tcp_mode_a_member_that_is_full_is_passed_by_for_another(tmp_path):
    port = free_port(PROXY)
    upstream = {"connections": 2, "queue": 0}
    log = tmp_path / "access.log"
    async with (
        tier(
            tmp_path,
            port=port,
            members={REGION: list(US[:2])},
            upstream=upstream,
            proxy={**passing(port), "access_log": str(log)},
        ) as it,
        await asyncio.start_server(greet, US[0], it.member_port),
        await asyncio.start_server(greet, US[1], it.member_port),
    ):
        wires = [await it.open() for _ in range(4)]
        assert [await wire.reader.readexactly(5) for wire in wires] == [b"hello"] * 4
        assert await (await it.open()).ended() == b""
        for wire in wires:
            wire.send(b"bye")
            wire.close()
        it.process.signal(signal.SIGTERM)
        assert await it.process.ended() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    refused = [each for each in lines if each["error"]]
    assert [(each["error"], each["member"], each["tries"]) for each in refused] == [
        ("no member", None, 0)
    ]
    passed = [each for each in lines if not each["error"]]
    assert sorted(each["member"] for each in passed) == [
        f"{address}:{it.member_port}" for address in US[:2] for _ in range(2)
    ]
    for each in passed:
        assert (each["http"], each["service"], each["tries"]) == ("tcp", "www.example.com", 1)
        assert (each["bytes_in"], each["bytes_out"]) == (3, 5)
        assert 0 < each["connect_ms"] < each["duration_ms"]


async def test_who_leaves_while_it_waits_for_a_place_has_a_line_that_says_so(tmp_path):
    port = free_port(PROXY)
    log = tmp_path / "access.log"
    upstream = {"connections": 1, "queue": 1, "queue_timeout": "60s"}
    proxy = {**passing(port), "access_log": str(log)}
    async with (
        tier(tmp_path, port=port, upstream=upstream, proxy=proxy) as it,
        await asyncio.start_server(greet, US[0], it.member_port),
    ):
        first = await it.open()
        assert await first.reader.readexactly(5) == b"hello"
        left = await it.open()
        left.send(b"x")
        left.break_off()
        while not log.read_text():
            await asyncio.sleep(0.05)
        (line,) = map(json.loads, log.read_text().splitlines())
        waiting = await it.open()  # in the queue, where there is room again
        first.close()
        assert await waiting.reader.readexactly(5) == b"hello"
        waiting.close()
    assert (line["error"], line["member"], line["tries"]) == ("client gone", None, 0)


async def test_a_server_name_decides_where_tls_goes_that_is_not_ended_here(tmp_path, authority):
    port = free_port(PROXY)
    passes = [
        {"server_names": ["www.example.com", "*.example.org"], "service": "www.example.com"},
        {"server_names": ["api.example.com"], "service": "api.example.com"},
    ]
    member_port = free_port(US[0])
    proxy = {
        "listen": [{"port": port, "mode": "tcp", "pass": passes}],
        "services": {
            name: {"port": member_port} for name in ("www.example.com", "api.example.com")
        },
        "routes": [],
    }
    path = written(
        tmp_path,
        proxy,
        members={REGION: [US[0]]},
        services={"api": {"pools": {REGION: [US[1]]}}},
    )
    www = authority.serving("www.example.com", "a.example.org")
    api = authority.serving("api.example.com")
    async with (
        running(path, port) as it,
        Origin(US[0], member_port, tls=www),
        Origin(US[1], member_port, tls=api),
    ):
        for name, who in (("www", US[0]), ("api", US[1])):
            response = await it.get(tls=trusting(authority), name=f"{name}.example.com")
            assert response.body == who.encode()
        response = await it.get(tls=trusting(authority), name="a.example.org")
        assert response.body == US[0].encode()
        with pytest.raises((ssl.SSLError, OSError)):
            await it.open(tls=trusting(authority), name="other.example.com")
        silent = await it.open()
        silent.send(request())
        assert await silent.ended() == b""
