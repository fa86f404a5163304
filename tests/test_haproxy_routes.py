"""Routes of the tier as a real HAProxy carries them out."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from ipaddress import ip_network

import aiohttp
import pytest

from gslb.proxy import affinity
from gslb.proxy.splitting import part_of
from gslb.tier import (
    Affinity,
    Balance,
    Certificate,
    Deny,
    Forward,
    Has,
    Limits,
    Listener,
    Match,
    Page,
    PassRoute,
    Rate,
    Redirect,
    Respond,
    Rewrite,
    Route,
    Tier,
    Tls,
    Upstream,
    UpstreamTls,
)
from tests.haproxies import WWW, running, to_www, told
from tests.servers import Authority, free_port


def route(name, action=None, **match):
    return Route(name=name, matches=(Match(**match),), action=action or Respond(200, name.encode()))


async def test_the_first_route_that_matches_is_taken():
    routes = (
        route("denied", Deny(), path="/admin/"),
        route("exact", path_kind="exact", path="/x"),
        route("regex", path_kind="regex", path=r"^/v[0-9]+/(a|b)$"),
        route("host", hosts=("one.example.com", "*.wild.example.com")),
        route("posted", methods=frozenset({"POST"}), path="/form"),
        route("beta", headers=(Has("X-Beta", value="1"), Has("X-Old", absent=True))),
        route("found", headers=(Has("X-Re", pattern="^v[12]'$"),)),
        route("cookie", cookies=(Has("c", value="a\"b'"),)),
        route("query", query=(Has("q", value="a b"),)),
        route("here", path="/here", clients=(ip_network("127.0.0.0/8"),)),
        route("secure", path="/", scheme="https"),
        to_www(path="/rest"),
    )
    async with running(Tier(routes=routes)) as tier:
        for path, headers, expected in (
            ("/x", {}, "exact"),
            ("/v12/a", {}, "regex"),
            ("/", {"Host": "ONE.example.com:80"}, "host"),
            ("/", {"Host": "a.b.wild.example.com."}, "host"),
            ("/", {"X-Beta": "1"}, "beta"),
            ("/", {"X-Re": "v2'"}, "found"),
            ("/?z=1&q=a+b", {}, "query"),
            ("/?q=a%20b", {}, "query"),
            ("/here", {}, "here"),
        ):
            got = await tier.get(path, headers=headers)
            assert (got.status, got.text) == (200, expected), (path, headers)
        assert (await tier.get("/form", method="POST")).text == "posted"
        assert (await tier.get("/", headers={"X-Beta": "1", "X-Old": ""})).status == 404
        for path in ("/v12/c", "/form", "/y"):
            assert (await tier.get(path)).status == 404
        assert (await tier.get("/rest/of/it")).member in tier.origins


@pytest.mark.parametrize(
    "target",
    [
        "/admin/x",
        "//admin/x",
        "/%61dmin/x",
        "/a/../admin/x",
        "/a/b/../../admin/x",
        "/./admin/x",
        "/a/%2e%2e/admin/x",
        "/a%2f..%2fadmin%2fx",
        "/../../admin/x",
        "/a%3f/../admin/x",
        "/admin/",
        "/a/..//./admin/y/..",
    ],
)
async def test_no_spelling_of_a_path_gets_past_a_rule(target):
    routes = (route("denied", Deny(), path="/admin/"), route("rest", path="/"))
    async with running(Tier(routes=routes), members=()) as tier:
        assert await status_of(tier.port, target) == 403


async def test_a_path_that_cannot_be_read_is_refused():
    async with running(Tier(routes=(to_www(),)), members=("us1",)) as tier:
        assert await status_of(tier.port, "/%zz") == 400
        assert await status_of(tier.port, "/" + "a/" * 3 + "../" * 2 + "x") == 200
        assert await status_of(tier.port, "/" + "a/b/c/d/e/f/g/h/i/j/k/" + "../" * 11) in (200, 400)


async def status_of(port, target, *fields):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{each}\r\n" for each in ("Host: x", *fields, "Connection: close"))
    writer.write(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
    head = await reader.read()
    writer.close()
    return int(head.split(b" ")[1])


async def test_a_redirect_is_filled_in():
    to = "https://{host}/new{path}{query}&100%=%41"
    routes = (route("moved", Redirect(to, 301), path="/old"),)
    async with running(Tier(routes=routes), members=()) as tier:
        got = await tier.get("/old/x?a=b", headers={"Host": "www.example.com:81"})
        assert got.status == 301
        location = "https://www.example.com/new/old/x?a=b&100%=%41"
        assert got.headers["Location"] == location
        assert "?" not in (await tier.get("/old")).headers["Location"]


async def test_errors_have_pages_and_others_their_reason():
    pages = {404: Page(b"<p>nothing</p>"), 503: Page(b"<p>nobody</p>")}
    routes = (route("odd", Deny(451), path="/odd"), to_www(path="/www"))
    async with running(Tier(routes=routes, pages=pages), members=()) as tier:
        got = await tier.get("/none")
        assert (got.status, got.text) == (404, "<p>nothing</p>")
        assert got.headers["Content-Type"].startswith("text/html")
        got = await tier.get("/odd")
        assert (got.status, got.text) == (451, "451 Unavailable For Legal Reasons")
        got = await tier.get("/www")
        assert (got.status, got.text) == (503, "<p>nobody</p>")
        assert got.headers["Retry-After"] == "1"


async def test_a_rate_lets_a_burst_through_and_then_says_429():
    limited = to_www(path="/few", rates=(Rate(0.5, 3), Rate(1000, 1000, "route")))
    keyed = to_www(path="/keyed", rates=(Rate(0.5, 1, "header", "X-Key"),))
    async with running(Tier(routes=(limited, keyed)), members=("us1",)) as tier:
        got = [await tier.get("/few") for _ in range(5)]
        assert [each.status for each in got] == [200, 200, 200, 429, 429]
        assert got[-1].headers["Retry-After"] == "2"
        for key in "ab":
            got = [(await tier.get("/keyed", headers={"X-Key": key})).status for _ in range(2)]
            assert got == [200, 429]


async def test_addresses_of_one_network_of_64_bits_share_a_rate():
    routes = (to_www(rates=(Rate(0.5, 1),)),)
    tier = Tier(routes=routes, trusted=(ip_network("127.0.0.0/8"),))
    async with running(tier, members=("us1",)) as it:
        for client, status in (
            ("2001:db8::1", 200),
            ("2001:db8::ffff:0:0:2", 429),
            ("2001:db8:0:1::1", 200),
            ("192.0.2.1", 200),
            ("192.0.2.2", 200),
        ):
            assert (await it.get("/", headers={"X-Forwarded-For": client})).status == status


async def test_a_client_may_have_so_many_connections():
    limits = Limits(connections_per_client=2)
    async with running(Tier(routes=(to_www(),), limits=limits), members=("us1",)) as tier:
        pairs = [await asyncio.open_connection("127.0.0.1", tier.port) for _ in range(3)]
        for _, writer in pairs:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        starts = []
        for reader, _ in pairs:
            try:
                starts.append(await reader.read(12))
            except ConnectionError:
                starts.append(b"")
        assert sorted(starts) == [b"", b"HTTP/1.1 200", b"HTTP/1.1 200"]
        for _, writer in pairs:
            writer.close()


async def test_a_split_keeps_its_shares_and_a_sticky_one_its_clients():
    both = Forward(((WWW, 3), ("canary.example.com", 1)), sticky="part")
    routes = (Route(name="split", action=both, rewrite=Rewrite(response_set=(("X-A", "1"),))),)
    async with running(Tier(routes=routes), members=("us1",)) as tier:
        statuses = Counter()
        for _ in range(200):
            statuses[(await tier.get(headers={"Cookie": ""})).status] += 1
            tier.client.cookie_jar.clear()
        assert set(statuses) == {200, 503}  # nobody is in the canary
        assert 110 <= statuses[200] <= 185
        for part, status in ((WWW, 200), ("canary.example.com", 503)):
            for _ in range(10):
                got = await tier.get(headers={"Cookie": f"part={part}"})
                assert got.status == status
                assert "Set-Cookie" not in got.headers


async def test_with_a_key_nobody_chooses_a_part_by_its_name():
    both = Forward(((WWW, 1), ("canary.example.com", 1_000_000)), "part", b"secret/+'")
    routes = (Route(name="split", action=both),)
    async with running(Tier(routes=routes), members=("us1",)) as tier:
        got = await tier.get(headers={"Cookie": f"part={WWW}"})
        assert got.status == 503  # nobody is in the canary
        forged = affinity.tag(b"else", part_of("part", WWW)).hex()
        assert (await tier.get(headers={"Cookie": "part=" + forged})).status == 503
        ours = affinity.tag(both.key, part_of("part", WWW)).hex()
        for _ in range(5):
            got = await tier.get(headers={"Cookie": "part=" + ours})
            assert got.status == 200
            assert "Set-Cookie" not in got.headers


async def test_requests_and_responses_are_rewritten():
    rewrite = Rewrite(
        path_pattern="^/api/([a-z]+)[,;]?",
        path_to=r"/in/\1-x",
        host="in.example.com",
        set=(("X-Set", "50% 'of' \"it\" \\ $HOME #"),),
        remove=frozenset({"x-gone"}),
        response_set=(("X-Back", "a%b"),),
        response_remove=frozenset({"server"}),
    )
    async with running(Tier(routes=(to_www(rewrite=rewrite),)), members=("us1",)) as tier:
        got = await tier.get("/api/abc;/y?q=1", headers={"X-Gone": "1", "X-Set": "no"})
        assert got.path == "/in/abc-x/y?q=1"
        assert got.fields["host"] == ["in.example.com"]
        assert got.fields["x-set"] == ["50% 'of' \"it\" \\ $HOME #"]
        assert "x-gone" not in got.fields
        assert got.headers["X-Back"] == "a%b"
        assert "Server" not in got.headers


async def test_forwarding_fields_of_strangers_are_replaced_and_of_the_trusted_are_kept():
    fields = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Request-Id": "mine",
        "X-Gslb-Hops": "ap",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }
    here = route("client", clients=(ip_network("192.0.2.0/24"),), scheme="https")
    for trusted, expected in (("10.0.0.0/8", False), ("127.0.0.0/8", True)):
        routes = (to_www(path="/www"), here)
        # The address of the region's proxy is trusted: ask from another one.
        tier = Tier(routes=routes, trusted=(ip_network(trusted),), via="gslb")
        async with running(tier, members=("us1",)) as run:
            connector = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0))
            async with aiohttp.ClientSession(connector=connector) as client:
                url = f"http://127.0.0.1:{run.port}"
                got = await told(client, f"{url}/www", headers=fields)
                status = (await told(client, f"{url}/", headers=fields)).status
        assert status == (200 if expected else 404)
        if expected:
            assert got.fields["x-forwarded-for"] == ["192.0.2.7", "127.0.0.9"]
            assert got.fields["x-forwarded-proto"] == ["https"]
            assert got.fields["x-request-id"] == ["mine"]
            assert got.fields["x-gslb-hops"] == ["ap"]
        else:
            assert got.fields["x-forwarded-for"] == ["127.0.0.9"]
            assert got.fields["x-forwarded-proto"] == ["http"]
            assert len(got.fields["x-request-id"][0]) == 32
            assert "x-gslb-hops" not in got.fields
        host = f"127.0.0.1:{run.port}"
        proto = "https" if expected else "http"
        assert got.fields["forwarded"] == [f'for=127.0.0.9;host="{host}";proto={proto}']
        assert got.fields["traceparent"] == [fields["traceparent"]]
        assert got.fields["via"] == ["1.1 gslb"]
        assert got.headers["Via"] == "1.1 gslb"


async def test_a_head_beyond_what_is_allowed_is_refused():
    async with running(Tier(routes=(to_www(),)), members=("us1",)) as tier:
        for octets, status in ((30_000, 200), (33_000, 431)):
            assert await status_of(tier.port, "/", "X: " + "x" * octets) == status
            assert await status_of(tier.port, "/" + "x" * octets) == status


async def test_a_body_is_passed_on_whole_whatever_is_read_ahead():
    async with running(Tier(routes=(to_www(),)), members=("us1",)) as tier:
        for octets in (0, 1, 20_000, 70_000, 1_000_000):
            assert (await tier.get("/", method="POST", data=b"x" * octets)).body == octets


async def test_a_body_beyond_what_is_allowed_is_refused():
    small = to_www(path="/small", body_max=10)
    unread = to_www(path="/unread", body_max=10, buffer=0)

    async def chunks(octets):
        yield b"x" * octets

    async with running(Tier(routes=(small, unread)), members=("us1",)) as tier:
        for path in ("/small", "/unread"):
            assert (await tier.get(path, method="POST", data=b"x" * 10)).status == 200
            assert (await tier.get(path, method="POST", data=b"x" * 11)).status == 413
        assert (await tier.get("/small", method="POST", data=chunks(10))).status == 200
        assert (await tier.get("/small", method="POST", data=chunks(11))).status == 413
        assert (await tier.get("/unread", method="POST", data=chunks(3))).status == 411


async def test_a_signed_cookie_keeps_its_member_until_that_is_down():
    kept = to_www(affinity=Affinity(by="cookie", name="at", key=b"secret/+'"))
    async with running(Tier(routes=(kept,))) as tier:
        first = await tier.get()
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        assert str(tier.origins[first.member].port) not in cookie
        for _ in range(10):
            got = await tier.get(headers={"Cookie": cookie})
            assert got.member == first.member
            assert "Set-Cookie" not in got.headers
        tier.client.cookie_jar.clear()
        await tier.apply(**{first.member: "drain"})
        assert (await tier.get(headers={"Cookie": cookie})).member == first.member
        tier.client.cookie_jar.clear()
        assert (await tier.get()).member != first.member
        await tier.apply(**{first.member: "maint"})
        tier.client.cookie_jar.clear()
        moved = await tier.get(headers={"Cookie": cookie})
        assert moved.member != first.member
        assert moved.headers["Set-Cookie"].partition(";")[0] != cookie
        forged = cookie.partition(".")[0] + "." + "0" * 32
        await tier.apply(**{first.member: "ready"})
        tier.client.cookie_jar.clear()
        assert "Set-Cookie" in (await tier.get(headers={"Cookie": forged})).headers


@pytest.mark.parametrize("by", ["header", "client"])
async def test_a_header_or_an_address_keeps_its_member(by):
    affinity = Affinity(by=by, name="X-User" if by == "header" else "")
    kept = to_www(affinity=affinity, balance=Balance("round_robin"))
    async with running(Tier(routes=(kept,))) as tier:
        got = {(await tier.get(headers={"X-User": "one"})).member for _ in range(6)}
        assert len(got) == 1
        (member,) = got
        await tier.apply(**{member: "drain"})
        assert (await tier.get(headers={"X-User": "one"})).member == member
        await tier.apply(**{member: "maint"})
        assert (await tier.get(headers={"X-User": "one"})).member != member


@pytest.mark.parametrize(
    "balance",
    [
        Balance("hash", "path"),
        Balance("hash", "query", "q"),
        Balance("hash", "header", "X-Key"),
        Balance("hash", "cookie", "c"),
        Balance("hash", "client"),
        Balance("ip_hash"),
    ],
    ids=lambda balance: f"{balance.kind} {balance.by}",
)
async def test_a_hash_leads_to_the_same_member(balance):
    async with running(Tier(routes=(to_www(balance=balance),))) as tier:
        headers = {"X-Key": "k", "Cookie": "c=1"}
        got = {(await tier.get("/p?q=7", headers=headers)).member for _ in range(6)}
        assert len(got) == 1


@pytest.mark.parametrize("kind", ["round_robin", "least_connections", "random"])
async def test_weights_are_kept(kind):
    routes = (to_www(balance=Balance(kind)),)
    async with running(Tier(routes=routes), ("us1", "us2"), weights={"us1": 3}) as tier:
        got = Counter([(await tier.get()).member for _ in range(80)])
        if kind == "round_robin":
            assert got == {"us1": 60, "us2": 20}
        else:
            assert got["us1"] >= got["us2"] > 0


async def test_tls_is_ended_by_the_name_that_is_asked_for(tmp_path):
    authority = Authority(tmp_path)
    certificates = tuple(
        Certificate(str(pem), str(pem))
        for pem in map(authority.certificate, ("one.example.com", "two.example.com"))
    )
    port = free_port()
    listeners = (Listener(port=port, tls=Tls(certificates=certificates)),)
    tier = Tier(routes=(to_www(hsts_s=60),), listeners=listeners)
    async with running(tier, members=("us1",)):
        for name in ("one.example.com", "two.example.com"):
            context = ssl.create_default_context(cafile=authority.ca_file)
            context.set_alpn_protocols(["h2"])
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=name
            )
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            writer.close()
            context = ssl.create_default_context(cafile=authority.ca_file)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=name
            )
            writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            said = (await reader.read()).decode()
            writer.close()
            assert "\r\nstrict-transport-security: max-age=60\r\n" in said.lower()
            assert '"x-forwarded-proto": ["https"]' in said


async def test_connections_are_passed_by_the_server_name_unopened(tmp_path):
    authority = Authority(tmp_path)
    origin = await asyncio.start_server(
        lambda _, writer: writer.write(b"inside\n"),
        "127.0.0.1",
        0,
        ssl=authority.serving("a.example.com"),
    )
    port = free_port()
    passes = (PassRoute(("*.example.com",), WWW),)
    listeners = (Listener(port=port, mode="tcp", passes=passes),)
    # What routes need to speak to members by is none of these connections' business.
    upstreams = {WWW: Upstream(service=WWW, tls=UpstreamTls(verify=False))}
    made = Tier(listeners=listeners, upstreams=upstreams)
    async with origin, running(made, members=("us1",)) as tier:
        tier.origins["us1"].port = origin.sockets[0].getsockname()[1]
        tier.states.clear()
        await tier.apply(us1="ready")
        context = ssl.create_default_context(cafile=authority.ca_file)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="a.example.com"
        )
        assert await reader.readline() == b"inside\n"
        writer.close()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="a.example.net"
            )


async def test_the_access_log_is_an_object_a_line(tmp_path):
    log = tmp_path / "access.log"
    tier = Tier(routes=(to_www(name='the "one"'),), access_log=str(log))
    async with running(tier, members=("us1",)) as run:
        await run.get("/a%22b?c=d", headers={"User-Agent": 'x"y\\z\u00e9'})
        await status_of(run.port, "/%zz")
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [each["status"] for each in lines] == [200, 400]
    first = lines[0]
    assert first["route"] == 'the "one"'
    assert first["path"] == "/a%22b"
    assert first["service"] == WWW
    assert first["region"] == "us"
    assert first["user_agent"].startswith('x"y\\z')
    assert first["member"].startswith("127.0.0.1:")
