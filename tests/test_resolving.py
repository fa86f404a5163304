"""Members from names, over a real resolver on loopback and by answers written down."""

from ipaddress import ip_address

import dns.rcode
import pytest

from gslb.daemons.resolving import (
    EMPTY_KEPT_S,
    MISSING_S,
    RETRY_S,
    TTL_MAX_S,
    TTL_MIN_S,
    Asking,
    LookupFailedError,
    MemberName,
)
from gslb.routing.found import FoundMember
from tests.names import names_served


def one(text, weight=1, probe=None):
    return FoundMember(ip_address(text), weight, probe)


class Table:
    """Answers as they are written down; what is an error fails."""

    def __init__(self, name="app.example.net", remembered=()):
        self.now_s = 1000.0
        self.records = {}
        self.name = MemberName(name, self.ask, lambda: self.now_s, remembered)

    async def ask(self, name, type_):
        found = self.records.get((name, type_), ((), MISSING_S))
        if isinstance(found, str):
            raise LookupFailedError(found)
        return found

    async def look(self, **records):
        """Look *name* up when its records are these, by type."""
        self.records = {("app.example.net", type_): found for type_, found in records.items()}
        return await self.name.look()

    @property
    def shown(self):
        return [str(member.address) for member in self.name.members]


async def test_the_addresses_of_a_name_are_members_of_both_families():
    table = Table()

    wait_s = await table.look(
        A=(("192.0.2.2", "192.0.2.1", "0.0.0.0"), 30.0), AAAA=(("2001:db8::1",), 20.0)
    )

    assert table.shown == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert wait_s == 20.0
    assert table.name.problems == ()


async def test_a_name_is_looked_up_again_when_its_ttl_is_over_within_bounds():
    table = Table()

    assert await table.look(A=(("192.0.2.1",), 0.0), AAAA=((), 60.0)) == TTL_MIN_S
    assert await table.look(A=(("192.0.2.1",), 90_000.0), AAAA=((), 90_000.0)) == TTL_MAX_S


async def test_a_look_up_that_fails_takes_nobody_out():
    table = Table()
    await table.look(A=(("192.0.2.1",), 30.0), AAAA=(("2001:db8::1",), 30.0))

    wait_s = await table.look(A="timed out", AAAA="timed out")

    assert table.shown == ["192.0.2.1", "2001:db8::1"]
    assert table.name.problems == ("timed out", "timed out")
    assert wait_s == RETRY_S
    await table.look(A=(("192.0.2.2",), 30.0), AAAA="timed out")
    assert table.shown == ["192.0.2.2", "2001:db8::1"]


async def test_what_is_remembered_holds_until_something_else_is_known():
    table = Table(remembered=(one("192.0.2.1"), one("2001:db8::1")))

    assert await table.look(A="down", AAAA="down") == RETRY_S
    assert table.shown == ["192.0.2.1", "2001:db8::1"]
    await table.look(A=(("192.0.2.2",), 30.0), AAAA="down")
    assert table.shown == ["192.0.2.2", "2001:db8::1"]
    await table.look(A="down", AAAA=(("2001:db8::2",), 30.0))
    assert table.shown == ["192.0.2.2", "2001:db8::2"]


async def test_a_family_that_was_never_known_is_not_taken_for_an_empty_one():
    table = Table(remembered=(one("192.0.2.1"),))

    await table.look(A="down", AAAA=(("2001:db8::2",), 30.0))

    assert table.shown == ["192.0.2.1", "2001:db8::2"]


async def test_a_name_without_anybody_keeps_who_was_there_for_a_while_and_no_longer():
    table = Table()
    await table.look(A=(("192.0.2.1",), 30.0))

    assert await table.look() == MISSING_S
    table.now_s += EMPTY_KEPT_S - 1
    assert await table.look() == 1.0
    assert table.shown == ["192.0.2.1"]
    table.now_s += 1
    await table.look()
    assert table.shown == []


async def test_a_name_that_has_somebody_again_in_time_has_a_whole_while_left():
    table = Table()
    await table.look(A=(("192.0.2.1",), 30.0))
    await table.look()
    table.now_s += EMPTY_KEPT_S - 1
    await table.look(A=(("192.0.2.2",), 30.0))
    table.now_s += EMPTY_KEPT_S
    await table.look()

    assert table.shown == ["192.0.2.2"]


SRV = "_http._tcp.app.example.net"


async def test_of_srv_records_the_lowest_priority_serves_and_the_others_are_reserves():
    table = Table(SRV)
    table.records = {
        (SRV, "SRV"): (
            (
                "10 3 8080 a.example.net.",
                "10 0 8080 b.example.net.",
                "20 5 8081 c.example.net.",
                "0 0 0 .",
            ),
            30.0,
        ),
        ("a.example.net", "A"): (("192.0.2.1",), 30.0),
        ("b.example.net", "A"): (("192.0.2.2",), 30.0),
        ("b.example.net", "AAAA"): (("2001:db8::2",), 7.0),
        ("c.example.net", "A"): (("192.0.2.3",), 30.0),
    }

    assert await table.name.look() == 7.0
    assert table.name.members == (
        one("192.0.2.1", 3, ("192.0.2.1", 8080)),
        one("192.0.2.2", 1, ("192.0.2.2", 8080)),
        one("192.0.2.3", 0, ("192.0.2.3", 8081)),
        one("2001:db8::2", 1, ("2001:db8::2", 8080)),
    )


async def test_an_address_that_several_srv_records_lead_to_has_all_their_weight():
    table = Table(SRV)
    table.records = {
        (SRV, "SRV"): (("1 3 8081 a.example.net.", "1 4 8080 a.example.net."), 30.0),
        ("a.example.net", "A"): (("192.0.2.1",), 30.0),
    }
    await table.name.look()

    assert table.name.members == (one("192.0.2.1", 7, ("192.0.2.1", 8080)),)


async def test_a_target_that_cannot_be_looked_up_keeps_its_addresses():
    table = Table(SRV)
    table.records = {
        (SRV, "SRV"): (("1 1 80 a.example.net.", "1 1 80 b.example.net."), 30.0),
        ("a.example.net", "A"): (("192.0.2.1",), 30.0),
        ("b.example.net", "A"): (("192.0.2.2",), 30.0),
    }
    await table.name.look()
    table.records["a.example.net", "A"] = table.records["a.example.net", "AAAA"] = "down"
    await table.name.look()
    assert table.shown == ["192.0.2.1", "192.0.2.2"]

    table.records[SRV, "SRV"] = "down"
    await table.name.look()
    assert table.shown == ["192.0.2.1", "192.0.2.2"]


async def test_srv_records_that_were_never_known_leave_what_is_remembered():
    table = Table(SRV, (one("192.0.2.1"),))
    table.records = {(SRV, "SRV"): "down"}
    assert await table.name.look() == RETRY_S
    assert table.shown == ["192.0.2.1"]

    table.records = {
        (SRV, "SRV"): (("1 1 80 a.example.net.",), 30.0),
        ("a.example.net", "A"): "down",
        ("a.example.net", "AAAA"): "down",
    }
    await table.name.look()

    assert table.shown == ["192.0.2.1"]


async def test_over_the_wire_records_absence_and_failure_are_told_apart():
    async with names_served() as names:
        names.has("app.example.net", "A", "192.0.2.1", ttl_s=17)
        ask = Asking(("127.0.0.1", names.port))

        assert await ask("app.example.net", "A") == (("192.0.2.1",), 17.0)
        assert await ask("app.example.net", "AAAA") == ((), MISSING_S)
        assert await ask("gone.example.net", "A") == ((), MISSING_S)
        names.rcode = dns.rcode.SERVFAIL
        for _ in range(2):
            with pytest.raises(LookupFailedError, match=r"app\.example\.net A"):
                await ask("app.example.net", "A")


async def test_srv_records_come_over_the_wire_as_well():
    async with names_served() as names:
        names.has(SRV, "SRV", "1 3 8080 A.example.net.", ttl_s=60)
        names.has("a.example.net", "A", "192.0.2.1", ttl_s=60)
        name = MemberName(SRV, Asking(("127.0.0.1", names.port)), lambda: 0.0)
        await name.look()

    assert name.members == (one("192.0.2.1", 3, ("192.0.2.1", 8080)),)
