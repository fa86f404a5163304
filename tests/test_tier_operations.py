"""The tier under load, while members, workers and files come and go: no request is lost."""

import asyncio
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
from contextlib import AsyncExitStack, ExitStack
from socket import create_connection
from subprocess import PIPE

import aiohttp
import pytest
import yaml
from h2.connection import H2Connection
from h2.events import StreamEnded

from tests.load import Load
from tests.messages import request
from tests.origins import EU, US, Asked, Origin, OwnProcess
from tests.running import PATIENCE_S, service, write
from tests.servers import Authority, free_port
from tests.tiers import REGION, running, tier, written
from tests.wires import PROXY, At

MANY = 10_000
ROOM = MANY + 2_000  # file descriptors


def monitored(port: int, **keys: object) -> dict[str, object]:
    """Return what makes a tier probe its members often."""
    monitor = {"type": "http", "port": port, "path": "/healthz", "interval": "200ms"}
    more = {"timeout": "1s", "recheck": "50ms", "fall": 2, "rise": 2}
    return {"monitors": {"web": {**monitor, **more}}, "service": service(**keys)}


async def own_processes(stack: AsyncExitStack, port: int, *addresses: str) -> list[OwnProcess]:
    made = [OwnProcess(address, port) for address in addresses]
    return list(await asyncio.gather(*map(stack.enter_async_context, made)))


async def test_all_members_are_restarted_one_after_another_and_no_request_fails(tmp_path):
    port = free_port(US[0])
    async with AsyncExitStack() as stack:
        members = await own_processes(stack, port, *US)
        it = await stack.enter_async_context(
            tier(tmp_path, member_port=port, members={REGION: list(US)}, **monitored(port))
        )
        async with Load(it) as load:
            for member in members:
                start = it.said
                member.drain()
                await it.line(" verdict ", member.address, "verdict=down", start=start)
                await load.some(50)
                await member.stop()
                await load.some(50)
                start = it.said
                await member.start()
                await it.line(" verdict ", member.address, "verdict=up", start=start)
            load.forget()
            # Each is back: it is shunned no longer once it is found to live.
            await load.hear(*US)
        assert not load.failures
        assert load.who == set(US)


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_one_of_three_members_is_killed_and_no_idempotent_request_fails(tmp_path, method):
    port = free_port(US[0])
    async with AsyncExitStack() as stack:
        members = await own_processes(stack, port, *US)
        it = await stack.enter_async_context(
            tier(tmp_path, member_port=port, members={REGION: list(US)}, **monitored(port))
        )
        async with Load(it, 16, method=method) as load:
            await load.some(500)
            assert load.who == set(US)
            start = it.said
            await members[1].kill()
            await it.line(" verdict ", US[1], "verdict=down", start=start)
            load.forget()
            await load.some(500)
        assert not load.failures
        assert load.who == {US[0], US[2]}


async def test_when_a_whole_region_is_killed_the_next_region_answers_within_a_second(tmp_path):
    port = free_port(US[0])
    pools = {REGION: list(US), "eu-west": list(EU)}
    # The processes do not end in one instant: a request may be under way at each of them in turn.
    route = {"service": "www.example.com", "retry": {"tries": len(US) + 1}}
    async with AsyncExitStack() as stack:
        members = await own_processes(stack, port, *US, *EU)
        it = await stack.enter_async_context(
            tier(
                tmp_path,
                member_port=port,
                members=pools,
                proxy={"routes": [route]},
                **monitored(port),
            )
        )
        async with Load(it) as load:
            await load.some(200)
            assert load.who <= set(US)
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(member.kill() for member in members[:3]))
            began_s = loop.time()
            while (await it.get()).body.decode() not in EU:
                pass
            took_s = loop.time() - began_s
            load.forget()
            await load.some(200)
        assert took_s < 1.0
        assert load.who <= set(EU)
        assert not load.failures


async def test_members_come_and_go_by_a_file_from_3_to_30_to_3_and_no_request_fails(tmp_path):
    port = free_port(US[0])
    addresses = [f"127.91.0.{number}" for number in range(1, 31)]
    found = write(tmp_path / "members", "\n".join(addresses[:3]))
    pools = {REGION: {"discover": {"file": str(found)}}}
    async with AsyncExitStack() as stack:
        for address in addresses:
            await stack.enter_async_context(Origin(address, port))
        it = await stack.enter_async_context(
            tier(tmp_path, member_port=port, members=pools, service={"answers": "all"})
        )
        async with Load(it) as load:
            await load.some()
            assert load.who == set(addresses[:3])
            write(found, "\n".join(addresses))
            while load.who != set(addresses):
                await load.some(20)
            write(found, "\n".join(addresses[:3]))
            while not load.who <= set(addresses[:3]):
                load.forget()
                await load.some(20)
        assert not load.failures


async def test_a_reload_under_load_loses_no_request_and_no_connection(tmp_path):
    async with tier(tmp_path, proxy={"workers": 2}) as it, Origin(US[0], it.member_port):
        kept = await it.open()
        kept.send(request())
        assert (await kept.response()).status == 200
        written = yaml.safe_load(it.path.read_text())
        async with Load(it, fresh=True) as load, Load(it) as keeping:
            for number in range(5):
                set_ = {"response": {"set": {"X-Number": str(number)}}}
                written["proxy"]["routes"] = [{"service": "www.example.com", "rewrite": set_}]
                write(it.path, yaml.safe_dump(written))
                await it.reload()
                await load.some(50)
                assert (await it.get()).get("x-number") == str(number)
        assert not load.failures
        assert not keeping.failures
        kept.send(request())
        assert (await kept.response()).get("x-number") == "4"
        kept.close()


async def trusts(it, *networks: str) -> None:
    """Have a tier trust *networks*, and no others."""
    whole = yaml.safe_load(it.path.read_text())
    whole["proxy"]["trusted"] = list(networks)
    write(it.path, yaml.safe_dump(whole))
    await it.reload()


async def test_requests_of_a_kept_connection_are_judged_by_the_networks_trusted_now(tmp_path):
    told = request("/", "X-Forwarded-For: 192.0.2.7")
    async with tier(tmp_path) as it, Origin(US[0], it.member_port) as origin:
        kept = await it.open()
        for networks, known in (
            ([], "127.0.0.1"),
            (["127.0.0.0/8"], "192.0.2.7, 127.0.0.1"),
            ([], "127.0.0.1"),
        ):
            await trusts(it, *networks)
            kept.send(told)
            assert (await kept.response()).status == 200
            assert origin.requests[-1].get("x-forwarded-for") == known
        kept.close()


async def test_streams_of_a_kept_connection_are_judged_by_the_networks_trusted_now(tmp_path):
    authority, port = Authority(tmp_path), free_port(PROXY)
    cert = authority.certificate("www.example.com")
    listen = [{"port": port, "tls": {"certificates": [{"cert": str(cert)}]}}]
    async with (
        tier(tmp_path, port=port, proxy={"listen": listen}) as it,
        Origin(US[0], it.member_port) as origin,
    ):
        context = ssl.create_default_context(cafile=authority.ca_file)
        context.set_alpn_protocols(["h2"])
        wire = await it.open(tls=context)
        ours = H2Connection()
        ours.initiate_connection()
        for networks, known in (
            (["127.0.0.0/8"], "192.0.2.7, 127.0.0.1"),
            ([], "127.0.0.1"),
        ):
            await trusts(it, *networks)
            fields = [(":method", "GET"), (":path", "/"), (":scheme", "https")]
            fields += [(":authority", "www.example.com"), ("x-forwarded-for", "192.0.2.7")]
            ours.send_headers(ours.get_next_available_stream_id(), fields, end_stream=True)
            wire.send(ours.data_to_send())
            events: list[object] = []
            async with asyncio.timeout(PATIENCE_S):
                while not any(isinstance(each, StreamEnded) for each in events):
                    events += ours.receive_data(await wire.reader.read(65_536))
            assert origin.requests[-1].get("x-forwarded-for") == known
        wire.close()


async def test_a_listener_that_is_no_more_lets_finish_what_it_took(tmp_path):
    may_end = asyncio.Event()

    async def waits(asked: Asked) -> None:
        if asked.message.target == "/waits":
            await may_end.wait()
        asked.reply(b"done")

    port, other = free_port(PROXY), free_port(PROXY)
    async with (
        tier(tmp_path, port=port, proxy={"listen": [port, other]}) as it,
        Origin(US[0], it.member_port, waits) as origin,
    ):
        idle, busy, half = [await it.open() for _ in range(3)]
        idle.send(request())
        assert (await idle.response()).status == 200
        busy.send(request("/waits"))
        await origin.request(2)
        half.send(request()[:-2])
        it.port = other
        kept = await it.open()
        kept.send(request())
        assert (await kept.response()).status == 200
        whole = yaml.safe_load(it.path.read_text())
        whole["proxy"]["listen"] = [other]
        write(it.path, yaml.safe_dump(whole))
        await it.reload()

        assert await idle.ended() == b""
        half.send(b"\r\n")
        may_end.set()
        for wire in (half, busy):
            response = await wire.response()
            assert (response.body, response.get("connection")) == (b"done", "close")
            wire.close()
        kept.send(request())
        assert (await kept.response()).get("connection") is None
        kept.close()


async def test_a_broken_file_changes_nothing_and_is_said(tmp_path):
    async with tier(tmp_path) as it, Origin(US[0], it.member_port):
        whole = it.path.read_text()
        start = it.said
        write(it.path, whole.replace("www.example.com", "nobody.example.com"))
        it.process.signal(signal.SIGHUP)
        await it.line("reload_failed", start=start)
        assert (await it.get()).status == 200


@pytest.mark.parametrize("text", ["x: [", "zone: example.com\n", None])
async def test_a_broken_zone_changes_nothing_and_is_said(tmp_path, text):
    port = free_port(US[0])
    file = tmp_path / "example.com.yaml"
    async with (
        # How members are spoken to is known from the zone: by whom they are probed.
        tier(tmp_path, member_port=port, proxy={"services": {}}, **monitored(port)) as it,
        Origin(US[0], port),
    ):
        whole = file.read_text()
        start = it.said
        if text is None:
            file.unlink()
        else:
            write(file, text)
        await it.line("reload_failed", "example.com.yaml", start=start)
        await it.line(" reload ", start=start)
        assert (await it.get()).status == 200
        main = yaml.safe_load(it.path.read_text())
        main["proxy"]["routes"][0]["rewrite"] = {"response": {"set": {"X-A": "b"}}}
        start = it.said
        write(it.path, yaml.safe_dump(main))
        await it.line(" reload ", start=start)
        response = await it.get()
        assert (response.status, response.get("x-a")) == (200, "b")
        start = it.said
        write(file, whole)
        await it.line(" reload ", start=start)
        assert (await it.get()).status == 200


async def test_a_reload_for_which_a_port_was_taken_is_tried_again_until_it_is_free(tmp_path):
    async with tier(tmp_path) as it, Origin(US[0], it.member_port):
        with socket.create_server((PROXY, 0)) as other:
            port = other.getsockname()[1]
            written = yaml.safe_load(it.path.read_text())
            written["proxy"]["listen"].append(port)
            start = it.said
            write(it.path, yaml.safe_dump(written))
            await it.line("reload_failed", f"port {port}", start=start)
            assert (await it.get()).status == 200
        await it.line(" reload ", start=start)
        assert (await At(port).get()).status == 200


async def test_a_tier_shows_by_which_configuration_it_serves(tmp_path):
    at = f"{PROXY}:{free_port(PROXY)}"
    async with tier(tmp_path, proxy={"admin": at}) as it, aiohttp.ClientSession() as asking:

        async def shown():
            async with asking.get(f"http://{at}/v1/proxy") as answer:
                said = await answer.json()
            async with asking.get(f"http://{at}/metrics") as answer:
                (info,) = re.findall(r"gslb_proxy_info\{(.*)\} 1\.0", await answer.text())
            hashes = said["config_hash"], said["tier_hash"]
            assert dict(re.findall(r'(\w+_hash)="(.*?)"', info)) == {
                "config_hash": hashes[0],
                "tier_hash": hashes[1],
            }
            return hashes

        before = await shown()
        text = it.path.read_text()
        start = it.said
        write(it.path, text.replace("proxy:\n", "proxy:\n  via: edge\n"))
        await it.line(" reload ", "tier_hash=", start=start)
        after = await shown()
    assert after[0] == before[0]
    assert after[1] != before[1]


async def test_a_reader_of_the_access_log_that_stops_stops_no_request(tmp_path):
    port, member_port = free_port(PROXY), free_port(US[0])
    proxy = {
        "listen": [port],
        "services": {"www.example.com": {"port": member_port}},
        "access_log": "stdout",
        "workers": 2,
    }
    path = written(tmp_path, proxy, members={REGION: [US[0]]})
    reads, writes = os.pipe()
    async with AsyncExitStack() as stack:
        stack.callback(os.close, reads)
        it = await stack.enter_async_context(running(path, port, stdout=writes))
        os.close(writes)
        await stack.enter_async_context(Origin(US[0], member_port))
        said = f"User-Agent: {'x' * 8000}"
        for _ in range(10):
            many = await asyncio.gather(*(it.get("/", said) for _ in range(30)))
            assert {response.status for response in many} == {200}
        with open(reads, "rb", closefd=False) as log:
            reading = asyncio.create_task(asyncio.to_thread(log.read))
            it.process.signal(signal.SIGTERM)
            lines = (await reading).splitlines()
        assert await it.process.ended() == 0
    assert 8 < len(lines) <= 300
    assert {json.loads(line)["status"] for line in lines} == {200}


async def test_what_was_no_request_has_a_line_in_the_access_log(tmp_path):
    log = tmp_path / "access.log"
    async with tier(tmp_path, proxy={"access_log": str(log)}) as it, Origin(US[0], it.member_port):
        for _ in range(10):
            assert (await it.get()).status == 200
        assert (await it.ask(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")).status == 400
        broken = await it.open()
        broken.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx")
        assert (await broken.response()).status == 400
        broken.close()
        it.process.signal(signal.SIGTERM)
        assert await it.process.ended() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [each["status"] for each in lines] == [200] * 10 + [400, 400]
    refused, body = lines[-2:]
    assert (refused["client"], refused["method"], refused["path"]) == ("127.0.0.1", "", "")
    assert "Host" in refused["error"]
    assert (body["method"], body["path"]) == ("POST", "/")
    # Times are finer than the turns of a loop.
    assert any(each["duration_ms"] % 1 for each in lines[:10])


async def test_sigterm_lets_finish_what_runs_and_takes_no_more(tmp_path):
    may_end = asyncio.Event()

    async def waits(asked: Asked) -> None:
        await may_end.wait()
        asked.reply(b"done")

    async with tier(tmp_path) as it, Origin(US[0], it.member_port, waits) as origin:
        idle = await it.open()
        busy = [await it.open() for _ in range(3)]
        for wire in busy:
            wire.send(request())
        await origin.request(3)
        it.process.signal(signal.SIGTERM)
        await it.line(" draining")
        assert await idle.ended() == b""
        await it.refuses()
        may_end.set()
        for wire in busy:
            response = await wire.response()
            assert (response.body, response.get("connection")) == (b"done", "close")
            wire.close()
        assert await it.process.ended() == 0


async def test_what_runs_for_longer_than_the_drain_is_broken_off(tmp_path):
    async def waits(asked: Asked) -> None:
        await asyncio.Event().wait()

    async with (
        tier(tmp_path, proxy={"drain": "100ms"}) as it,
        Origin(US[0], it.member_port, waits) as origin,
    ):
        wire = await it.open()
        wire.send(request())
        await origin.request()
        it.process.signal(signal.SIGTERM)
        assert await wire.ended() == b""
        assert await it.process.ended() == 0


async def test_a_new_tier_beside_an_old_one_takes_over_and_no_request_fails(tmp_path):
    at = f"{PROXY}:{free_port(PROXY)}"
    async with (
        tier(tmp_path, proxy={"workers": 2, "admin": at}) as old,
        Origin(US[0], old.member_port),
        running(old.path, old.port) as new,
        Load(old, fresh=True) as load,
        Load(old) as keeping,
        aiohttp.ClientSession() as asking,
    ):
        await new.line("admin_waits", at)
        await load.some(200)
        old.process.signal(signal.SIGTERM)
        assert await old.process.ended() == 0
        await new.line("admin_listens", at)
        async with asking.get(f"http://{at}/healthz") as answer:
            assert answer.status == 200
        await load.some(200)
        await keeping.some(200)
        await asyncio.gather(load.end(), keeping.end())
        assert not load.failures + keeping.failures


async def test_a_killed_worker_is_replaced_while_the_others_serve(tmp_path):
    async with tier(tmp_path, proxy={"workers": 2}) as it, Origin(US[0], it.member_port):
        before = it.workers()
        assert len(before) == 2
        async with Load(it, fresh=True) as load:
            os.kill(before[0], signal.SIGKILL)
            await it.line("worker_lost")
            load.failures.clear()  # what the killed one had
            await load.some(100)
            assert not load.failures
        await it.line("worker_back")
        start = it.said
        os.kill(before[1], signal.SIGKILL)  # the new one serves alone
        await it.line("worker_lost", start=start)
        assert (await it.get()).status == 200


async def test_ten_thousand_idle_connections_are_kept(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < ROOM:
        pytest.skip(f"only {hard} file descriptors may be had")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ROOM), hard))
    try:
        async with tier(tmp_path) as it, Origin(US[0], it.member_port):
            with ExitStack() as stack:
                idle = [
                    stack.enter_context(create_connection((PROXY, it.port))) for _ in range(MANY)
                ]
                for sock in idle[::100]:
                    sock.sendall(request())
                    await asyncio.sleep(0)
                for sock in idle[::100]:
                    received = await asyncio.to_thread(sock.recv, 100)
                    assert received.startswith(b"HTTP/1.1 200 ")
                for sock in idle:
                    sock.setblocking(False)
                    with pytest.raises(BlockingIOError):  # neither data nor an end
                        sock.recv(1000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_fenced_client_never_leaves_its_region(tmp_path):
    pools = {REGION: [US[0]], "eu-west": [EU[0]]}
    fence = [{"fence": {"subnets": {"127.0.0.0/8": [REGION]}}}, "nearest"]
    async with (
        tier(tmp_path, members=pools, service={"route": fence, "all_down": "nodata"}) as it,
        Origin(EU[0], it.member_port) as abroad,
    ):
        response = await it.get()
        assert response.status in (502, 503)
        assert not abroad.requests


async def test_a_request_that_was_here_before_is_answered_508(tmp_path):
    async with tier(tmp_path) as it, Origin(US[0], it.member_port) as origin:
        assert (await it.get("/", f"X-Gslb-Hops: {REGION}")).status == 508
        assert (await it.get("/", "X-Gslb-Hops: eu-west")).status == 200
        assert len(origin.requests) == 1


async def test_the_next_regions_proxy_is_asked_when_nobody_lives_here(tmp_path):
    port, abroad = free_port(US[0]), free_port(EU[0])
    proxy = {"across": {"to": ["proxies"], "port": abroad}}
    regions = {
        REGION: {"location": [39, -77], "proxies": [PROXY]},
        "eu-west": {"location": [53, -6], "proxies": [EU[0]]},
    }
    pools = {REGION: [US[0]], "eu-west": [EU[1]]}
    async with (
        tier(tmp_path, member_port=port, members=pools, proxy=proxy, regions=regions) as it,
        Origin(EU[0], abroad) as origin,
    ):
        response = await it.get("/x")
        assert response.body == EU[0].encode()
        assert (await origin.request()).get("x-gslb-hops") == REGION


async def test_a_cookie_keeps_a_client_at_its_member_until_that_dies(tmp_path):
    route = {
        "service": "www.example.com",
        "affinity": {"cookie": "pin", "key": "a-secret-of-tests"},
        "balance": "round_robin",
    }
    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(
            tier(tmp_path, members={REGION: list(US)}, proxy={"routes": [route]})
        )
        origins = {
            address: await stack.enter_async_context(Origin(address, it.member_port))
            for address in US
        }
        first = await it.get()
        cookie = str(first.get("set-cookie")).partition(";")[0]
        for _ in range(6):
            again = await it.get("/", f"Cookie: a=b; {cookie}")
            assert again.body == first.body
            assert again.get("set-cookie") is None
        await origins[first.body.decode()].kill()
        second = await it.get("/", f"Cookie: {cookie}")
        assert second.status == 200
        assert second.body != first.body
        moved = str(second.get("set-cookie")).partition(";")[0]
        for _ in range(6):
            assert (await it.get("/", f"Cookie: {moved}")).body == second.body
        forged = await it.get("/", f"Cookie: {moved[:-2]}xx")
        assert forged.status == 200
        assert forged.get("set-cookie") is not None


async def test_a_member_that_keeps_failing_is_left_out_and_comes_back(tmp_path):
    eject = {"errors": 3, "base": "1s", "most": "50%"}

    async def fails(asked: Asked) -> None:
        asked.reply(b"broken", 500)

    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(
            tier(
                tmp_path,
                members={REGION: list(US)},
                upstream={"eject": eject},
                proxy={"routes": [{"service": "www.example.com", "balance": "round_robin"}]},
            )
        )
        one, *_ = [
            await stack.enter_async_context(Origin(address, it.member_port)) for address in US
        ]
        one.answer = fails
        statuses = [(await it.get()).status for _ in range(30)]
        assert statuses.count(500) == 3
        one.answer = one.says_who
        async with asyncio.timeout(PATIENCE_S):
            while (await it.get()).body != US[0].encode():
                await asyncio.sleep(0.05)


async def test_a_browser_and_curl_come_by_tls(tmp_path):
    port = free_port(PROXY)
    certificate = Authority(tmp_path).certificate("www.example.com", PROXY)
    tls = {"certificates": [{"cert": str(certificate)}]}

    async def page(asked: Asked) -> None:
        asked.reply(b"<p id=who>hello from a member</p>", 200, "Content-Type: text/html")

    async with (
        tier(tmp_path, port=port, proxy={"listen": [{"port": port, "tls": tls}]}) as it,
        Origin(US[0], it.member_port, page) as origin,
    ):
        url = f"https://{PROXY}:{port}/"
        programs = {
            "curl": ["-sk", url],
            "chromium": [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--dump-dom",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--ignore-certificate-errors",
                url,
            ],
        }
        missing = [name for name in programs if shutil.which(name) is None]
        for name in programs.keys() - missing:
            process = await asyncio.create_subprocess_exec(
                name, *programs[name], stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            async with asyncio.timeout(PATIENCE_S):
                said, _ = await process.communicate()
            assert b"hello from a member" in said, name
        assert all(m.get("x-forwarded-proto") == "https" for m in origin.requests)
        if missing:
            pytest.skip(f"not here: {', '.join(missing)}")
