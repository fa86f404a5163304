"""Asked by other people's programs: a resolver behind a delegation, and dig, kdig and delv.

client → unbound → nsd (the root, com) → gslb (example.com)
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
import yaml

from gslb.config.settings import Endpoint
from tests import peers
from tests.peers import Dug, dig, kdig, nsd, said, unbound
from tests.running import (
    LONDON,
    NEW_YORK,
    SINGAPORE,
    At,
    Process,
    gslb,
    members,
    pool,
    service,
    serving,
    write,
    written,
)

LONG = " ".join(f'"{number:03} {"x" * 240}"' for number in range(12))
RECORDS = f"""\
$TTL 300
@       SOA   ns1 hostmaster 1 7200 900 1209600 30
@       NS    ns1
@       MX    10 mail
@       TXT   "v=spf1 -all"
mail    A     192.0.2.25
mail    AAAA  2001:db8::25
big     TXT   {LONG}
shop    CNAME www
legacy  DNAME apps
deep.empty.non.terminal A 192.0.2.26
sub     NS    ns.sub
ns.sub  A     192.0.2.53
_sip._tcp SRV 1 2 5060 mail
caa     CAA   0 issue "ca.example.net"
odd     TYPE65280 \\# 4 0A000001
"""
STATIC = {
    "www": service(
        pools={"us-east": ["192.0.2.1"], "eu-west": ["198.51.100.1"], "ap-south": ["203.0.113.1"]},
        monitor=None,
        ttl="30s",
    ),
    "*.apps": service(pools={"us-east": ["192.0.2.2"]}, monitor=None),
    "cdn": service(pools={"us-east": ["one.cdn.example.net"]}, monitor=None, answers=1),
    "six": service(pools={"us-east": ["2001:db8::1"]}, monitor=None),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[At]:
    """Give the program with records of many kinds, and members that nobody probes."""
    path = written(tmp_path_factory.mktemp("server"), STATIC, records=RECORDS)
    with serving(path) as at:
        yield at


@dataclass(frozen=True, slots=True)
class Chain:
    """A resolver and the node that answers it in the end."""

    resolver: Endpoint
    node: Process
    path: Path

    async def ask(self, *arguments: str) -> Dug:
        return await dig(self.resolver, *arguments)


@asynccontextmanager
async def chain(
    folder: Path, services: dict[str, object], *, server: str = ""
) -> AsyncIterator[Chain]:
    """Give a resolver that finds the node through the root and com."""
    parent, own = peers.own_address_for_dns(), peers.own_address_for_dns()
    soa = "SOA ns.root. hostmaster.example.net. 1 7200 900 1209600 30"
    zones = {
        ".": f". 60 {soa}\n. 60 NS ns.root.\nns.root. 60 A {parent}\n"
        f"com. 60 NS ns.com.\nns.com. 60 A {parent}\n",
        "com": f"com. 60 {soa}\ncom. 60 NS ns.com.\nns.com. 60 A {parent}\n"
        f"example.com. 60 NS ns1.example.com.\nns1.example.com. 60 A {own}\n",
    }
    records = RECORDS + f"ns1 A {own}\n"
    listen = {"dns": [f"{own}:53"], "admin": "127.0.0.1:0"}
    path = written(folder / "gslb", services, records=records, listen=listen)
    async with (
        nsd(folder / "nsd", parent, zones),
        gslb("run", path) as node,
        unbound(folder / "unbound", parent, server=server) as resolver,
    ):
        await node.is_serving()
        yield Chain(resolver, node, path)


async def _asked(node: Process) -> float:
    """Return how many queries for addresses the node has been asked."""
    _, text = await node.http("GET", "/metrics")
    lines = [line for line in str(text).splitlines() if line.startswith("gslb_queries_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'type="A"' in line)


# Behind a resolver


async def test_names_are_found_through_the_delegation(tmp_path):
    async with chain(tmp_path, STATIC) as found:
        www = await found.ask("www.example.com")
        alias = await found.ask("shop.example.com")
        wildcard = await found.ask("x.y.apps.example.com")
        renamed = await found.ask("x.legacy.example.com")
        static = await found.ask("example.com", "MX")
        six = await found.ask("six.example.com", "AAAA")

    assert www.status == "NOERROR"
    # The database does not know where a resolver on loopback is.
    assert www.addresses == {"192.0.2.1", "198.51.100.1", "203.0.113.1"}
    assert alias.records("CNAME") == {"www.example.com."}
    assert alias.addresses == www.addresses
    assert wildcard.addresses == {"192.0.2.2"}
    assert renamed.addresses == {"192.0.2.2"}
    assert static.records("MX") == {"10 mail.example.com."}
    assert six.addresses == {"2001:db8::1"}


async def test_a_resolver_follows_a_death_once_the_ttl_is_over(tmp_path):
    async with members("127.1.0.1", "127.1.0.2") as (one, two):
        services = {
            "www": service(pools={"us-east": pool(one, two)}, ttl="1s", ttl_min="1s"),
        }
        async with chain(tmp_path, services) as found:
            await found.node.line(" settled ")
            before = await _until(found, {one.address, two.address}, "www.example.com")
            one.behave("refuse")
            await found.node.line(" verdict ", f"member={one.address}", "verdict=down")
            after = await _until(found, {two.address}, "www.example.com")

    assert before.status == after.status == "NOERROR"


async def _until(found: Chain, wanted: set[str], *arguments: str) -> Dug:
    """Ask until the answer is *wanted*: a cache runs out by the clock alone."""
    for _ in range(200):
        dug = await found.ask(*arguments)
        if dug.addresses == wanted:
            return dug
    pytest.fail(f"still answered:\n{dug.text}")


async def test_a_resolver_keeps_answers_apart_for_clients_in_different_places(tmp_path):
    async with chain(tmp_path, STATIC) as found:
        first = {
            net: await found.ask("www.example.com", f"+subnet={net}")
            for net in (NEW_YORK, LONDON, SINGAPORE)
        }
        asked = await _asked(found.node)
        again = {
            net: await found.ask("www.example.com", f"+subnet={net}")
            for net in (NEW_YORK, LONDON, SINGAPORE)
        }
        # The scope of London's answer is wider than what was asked for.
        neighbour = await found.ask("www.example.com", "+subnet=198.51.100.64/26")
        asked_again = await _asked(found.node)
        elsewhere = await found.ask("www.example.com", "+subnet=198.51.100.192/26")

    assert {net: dug.addresses for net, dug in first.items()} == {
        NEW_YORK: {"192.0.2.1"},
        LONDON: {"198.51.100.1"},
        SINGAPORE: {"203.0.113.1"},
    }
    assert {net: dug.addresses for net, dug in again.items()} == {
        net: dug.addresses for net, dug in first.items()
    }
    assert neighbour.addresses == {"198.51.100.1"}
    assert asked_again == asked
    assert elsewhere.status == "NOERROR"


async def test_a_resolver_remembers_what_does_not_exist(tmp_path):
    async with chain(tmp_path, STATIC) as found:
        first = await found.ask("nowhere.example.com")
        asked = await _asked(found.node)
        second = await found.ask("nowhere.example.com")
        asked_again = await _asked(found.node)
        other_type = await found.ask("mail.example.com", "TXT")

    assert first.status == second.status == "NXDOMAIN"
    assert (other_type.status, other_type.lines()) == ("NOERROR", [])
    assert asked_again == asked


async def test_a_resolver_that_varies_the_case_gets_it_back(tmp_path):
    lines = "    use-caps-for-id: yes\n    qname-minimisation-strict: yes\n"
    async with chain(tmp_path, STATIC, server=lines) as found:
        dug = await found.ask("www.example.com", f"+subnet={LONDON}")
        wildcard = await found.ask("SoMe.ApPs.eXample.com")
        empty = await found.ask("deep.empty.non.terminal.example.com")

    assert dug.addresses == {"198.51.100.1"}
    assert wildcard.addresses == {"192.0.2.2"}
    assert empty.addresses == {"192.0.2.26"}


async def test_what_is_too_long_for_udp_comes_over_tcp(tmp_path):
    async with chain(tmp_path, STATIC) as found:
        dug = await found.ask("big.example.com", "TXT", "+tcp")
        _, text = await found.node.http("GET", "/metrics")

    (data,) = dug.records("TXT")
    assert data.count("xxx ") == 0
    assert all(f'"{number:03} ' in data for number in range(12))
    assert 'gslb_queries_total{proto="tcp",rcode="NOERROR",type="TXT"}' in str(text)


async def test_a_reload_under_a_resolver_costs_no_answer(tmp_path):
    async with chain(tmp_path, STATIC) as found:
        main = yaml.safe_load(found.path.read_text())
        for number in range(5):
            before = len(found.node.lines)
            write(found.path, yaml.safe_dump({**main, "node": f"ns{number}.example.net"}))
            got = [await found.ask(f"a{number}.apps.example.com") for _ in range(3)]
            await found.node.line(" reload ", start=before)
            got.append(await found.ask(f"b{number}.apps.example.com"))
            assert [dug.addresses for dug in got] == [{"192.0.2.2"}] * 4


# Asked directly


async def test_dig_over_every_transport_and_without_edns(server):
    where = server.dns
    plain = await dig(where, "mail.example.com", "+noedns")
    tcp = await dig(where, "mail.example.com", "+tcp")
    kept = await dig(where, "+tcp", "+keepopen", "mail.example.com", "six.example.com", "AAAA")
    truncated = await dig(where, "big.example.com", "TXT", "+ignore", "+bufsize=512")
    retried = await dig(where, "big.example.com", "TXT")
    nsid = await dig(where, "mail.example.com", "+nsid")

    assert plain.addresses == tcp.addresses == {"192.0.2.25"}
    assert "OPT PSEUDOSECTION" not in plain.text
    assert "2001:db8::1" in kept.text
    assert "tc" in truncated.flags
    assert '"011 ' in retried.text
    assert "ns1.example.net" in nsid.text
    assert plain.flags == {"qr", "aa", "rd"}


async def test_dig_is_told_how_far_an_answer_holds(server):
    here = await dig(server.dns, "www.example.com", "+subnet=198.51.100.0/24")
    hidden = await dig(server.dns, "www.example.com", "+subnet=0/0")
    six = await dig(server.dns, "www.example.com", "+subnet=2001:db8:2000::/56")
    static = await dig(server.dns, "mail.example.com", f"+subnet={LONDON}")
    missing = await dig(server.dns, "nowhere.example.com", f"+subnet={LONDON}")

    assert here.scope > 0
    assert hidden.scope == 0
    assert six.addresses == {"198.51.100.1"}
    assert 0 < six.scope <= 56
    assert static.scope == missing.scope == 0


@pytest.mark.parametrize(
    ("option", "status"),
    [
        ("8:0001", "FORMERR"),  # cut short
        ("8:00011900c0000201", "FORMERR"),  # bits after the prefix
        ("8:0001180ac0000201", "FORMERR"),  # a scope in a query, and an octet too many
        ("8:00013000c00002010000", "FORMERR"),  # longer than IPv4
        ("8:00031800c00002", "FORMERR"),  # no such family
        ("8:00011800c00002", "NOERROR"),
        ("3:", "NOERROR"),
        ("65001:abcdef", "NOERROR"),
    ],
)
async def test_dig_with_an_option_that_is_well_or_badly_formed(server, option, status):
    dug = await dig(server.dns, "www.example.com", f"+ednsopt={option}")

    assert dug.status == status


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["+opcode=NOTIFY", "example.com", "SOA"], "REFUSED"),
        (["+opcode=UPDATE", "example.com", "SOA"], "REFUSED"),
        (["+opcode=IQUERY", "example.com"], "NOTIMP"),
        (["+opcode=9", "example.com"], "NOTIMP"),
        (["+header-only"], "NOERROR"),  # dig sends a cookie: RFC 7873 5.4
        (["+header-only", "+nocookie"], "FORMERR"),
        (["+badcookie", "www.example.com"], "NOERROR"),
        (["+cookie=0123456789abcdef0123456789abcdef", "www.example.com"], "NOERROR"),
        (["+edns=1", "+noednsneg", "mail.example.com"], "BADVERS"),
        (["example.com", "AXFR", "+noidnin"], "REFUSED"),
        (["CH", "TXT", "version.bind"], "NOERROR"),
        (["CH", "TXT", "id.server"], "NOERROR"),
        (["CH", "TXT", "nothing.example.net"], "REFUSED"),
        (["HS", "TXT", "example.com"], "REFUSED"),
        (["elsewhere.example.net"], "REFUSED"),
        (["nowhere.example.com"], "NXDOMAIN"),
        (["deep.empty.non.terminal.example.com", "TXT"], "NOERROR"),
        (["empty.non.terminal.example.com"], "NOERROR"),
        (["terminal.example.com"], "NOERROR"),
        (["+dnssec", "www.example.com"], "NOERROR"),
        (["+zflag", "www.example.com"], "NOERROR"),
        (["+adflag", "+cdflag", "www.example.com"], "NOERROR"),
        (["+norecurse", "www.example.com"], "NOERROR"),
        (["+nocookie", "www.example.com"], "NOERROR"),
        (["+padding=128", "www.example.com"], "NOERROR"),
        (["+expire", "example.com", "SOA"], "NOERROR"),
        (["+keepalive", "+tcp", "www.example.com"], "NOERROR"),
    ],
    ids=" ".join,
)
async def test_dig_is_answered_whatever_it_asks(server, arguments, status):
    dug = await dig(server.dns, *arguments)

    if "AXFR" in arguments:
        assert "Transfer failed" in dug.text
    else:
        assert dug.status == status
    assert not re.search("malformed|bad packet|extra bytes|mismatch", dug.text, re.IGNORECASE)


async def test_dig_reads_the_explanation(server):
    dug = await dig(server.dns, "CH", "TXT", "www.example.com", f"+subnet={LONDON}")

    assert "www.example.com A for 198.51.100.0/26: rung 1" in dug.text


async def test_a_referral_is_one_with_its_glue(server):
    dug = await dig(server.dns, "host.sub.example.com")

    assert dug.status == "NOERROR"
    assert "aa" not in dug.flags
    assert "ns.sub.example.com." in dug.text
    assert "192.0.2.53" in dug.text


async def test_kdig_over_every_transport(server):
    plain = await kdig(server.dns, "mail.example.com", "+noedns")
    nsid = await kdig(server.dns, "mail.example.com", "+nsid")
    near = await kdig(server.dns, "www.example.com", f"+subnet={LONDON}")
    tcp = await kdig(server.dns, "big.example.com", "TXT", "+tcp")
    several = await kdig(
        server.dns,
        "+tcp",
        "+keepopen",
        "mail.example.com",
        "www.example.com",
        "six.example.com",
        "-t",
        "AAAA",
    )
    odd = await kdig(server.dns, "odd.example.com", "TYPE65280")

    assert plain.addresses == {"192.0.2.25"}
    assert "ns1.example.net" in nsid.text
    assert near.addresses == {"198.51.100.1"}
    assert '"011 ' in tcp.text
    assert several.text.count("status: NOERROR") == 3
    assert "0A000001" in odd.text


async def test_delv_reads_answers(server):
    where = [f"@{server.dns.host}", "-p", str(server.dns.port), "-i"]
    text = await said("delv", *where, "mail.example.com", "A")
    missing = await said("delv", *where, "nowhere.example.com", "A")

    assert "192.0.2.25" in text
    assert "ncache nxdomain" in missing


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(
    ("qname", "rdtype", "rcode", "answer"),
    [
        ("example.com", "SOA", "NOERROR", {"SOA"}),
        ("EXAMPLE.com", "NS", "NOERROR", {"NS"}),
        ("example.com", "MX", "NOERROR", {"MX"}),
        ("example.com", "A", "NOERROR", set()),
        ("www.example.com", "A", "NOERROR", {"A"}),
        ("WWW.EXAMPLE.COM", "A", "NOERROR", {"A"}),
        ("www.example.com", "AAAA", "NOERROR", set()),
        ("www.example.com", "ANY", "NOERROR", {"HINFO"}),
        ("six.example.com", "AAAA", "NOERROR", {"AAAA"}),
        ("six.example.com", "A", "NOERROR", set()),
        ("cdn.example.com", "A", "NOERROR", {"CNAME"}),
        ("cdn.example.com", "TXT", "NOERROR", {"CNAME"}),
        ("shop.example.com", "A", "NOERROR", {"CNAME", "A"}),
        ("shop.example.com", "CNAME", "NOERROR", {"CNAME"}),
        ("x.legacy.example.com", "A", "NOERROR", {"DNAME", "CNAME", "A"}),
        ("a.b.apps.example.com", "A", "NOERROR", {"A"}),
        ("apps.example.com", "A", "NOERROR", set()),
        ("empty.non.terminal.example.com", "A", "NOERROR", set()),
        ("nowhere.example.com", "A", "NXDOMAIN", set()),
        ("x.mail.example.com", "A", "NXDOMAIN", set()),
        ("_sip._tcp.example.com", "SRV", "NOERROR", {"SRV"}),
        ("caa.example.com", "CAA", "NOERROR", {"CAA"}),
        ("big.example.com", "TXT", "NOERROR", {"TXT"}),
        ("odd.example.com", "TYPE65280", "NOERROR", {"TYPE65280"}),
        ("example.net", "A", "REFUSED", set()),
        (".", "NS", "REFUSED", set()),
    ],
)
async def test_an_independent_library_reads_what_was_meant(
    server, qname, rdtype, rcode, answer, tcp
):
    response = await server.ask(qname, rdtype, tcp=tcp)

    assert dns.rcode.to_text(response.rcode()) == rcode
    assert response.question[0].name.to_text() == (qname if qname == "." else f"{qname}.")
    if qname == "big.example.com" and not tcp:
        assert response.flags & dns.flags.TC
        return
    assert not response.flags & dns.flags.TC
    assert {dns.rdatatype.to_text(rrset.rdtype) for rrset in response.answer} == answer
    if rcode != "REFUSED" and not answer:
        assert [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]
