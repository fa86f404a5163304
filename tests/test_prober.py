"""Probes over real sockets, and the prober that makes them on time."""

import asyncio
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Authority, Member, free_port, response

from gslb.daemons.prober import Prober
from gslb.daemons.probing import Probes
from gslb.health.probe import BODY_MAX_BYTES, OK, REASONS, failed
from gslb.health.verdict import Record, Verdict
from gslb.model import Expect, Monitor, Subject

ADDRESS = "127.1.0.1"
QUICK = Monitor(name="web", path="/healthz", timeout_s=0.15, interval_s=0.04, recheck_s=0.01)
PATIENT = replace(QUICK, timeout_s=10.0)


def subject_of(member, host="www.example.com"):
    return Subject(member.address, member.target, "web", host)


async def probed(target, monitor=PATIENT, host="www.example.com"):
    async with Probes() as probes:
        return await probes.probe(Subject(target[0], target, "web", host), monitor)


# One probe over plain HTTP


@pytest.mark.parametrize(
    ("behaviour", "monitor", "reason"),
    [
        ("ok", PATIENT, "ok"),
        ("continue", PATIENT, "ok"),
        ("redirect", PATIENT, "ok"),
        ("endless", PATIENT, "ok"),
        ("500", PATIENT, "status"),
        ("garbage", PATIENT, "protocol"),
        ("close", PATIENT, "reset"),
        ("reset", PATIENT, "reset"),
        ("short", PATIENT, "reset"),
        ("hang", QUICK, "timeout"),
        ("slow", QUICK, "timeout"),
        ("stuck", QUICK, "timeout"),
        ("informing", QUICK, "timeout"),
    ],
)
async def test_each_way_a_member_can_behave_has_its_reason(behaviour, monitor, reason):
    async with Member(ADDRESS) as member:
        member.behave(behaviour)

        result = await probed(member.target, monitor)

    assert result.reason == reason


async def test_a_port_where_nobody_listens_is_refused():
    result = await probed((ADDRESS, free_port(ADDRESS)))

    assert result == failed("refused", "connection refused")


async def test_a_probe_asks_as_a_client_of_the_service_would_on_a_connection_of_its_own():
    async with Member(ADDRESS) as member, Probes() as probes:
        for _ in range(2):
            await probes.probe(subject_of(member), replace(PATIENT, path="/a?b=c%20d"))

    request_line, *headers = member.requests[0].decode().splitlines()
    assert request_line == "GET /a?b=c%20d HTTP/1.1"
    assert "Host: www.example.com" in headers
    assert "User-Agent: gslb/0.1.0" in headers
    assert "Connection: close" in headers
    assert member.connections == 2


async def test_a_redirect_is_not_followed():
    async with Member(ADDRESS) as member:
        member.behave("redirect")
        await probed(member.target)

    assert len(member.requests) == 1


async def test_ipv6_members_are_probed_with_a_bracketed_host():
    async with Member("::1") as member:
        result = await probed(member.target, host="::1")

    assert result == OK
    assert b"Host: [::1]\r\n" in member.requests[0]


async def test_a_body_is_read_up_to_its_limit_and_no_further():
    at_the_end = b"x" * (BODY_MAX_BYTES - 4) + b"good"
    monitor = replace(PATIENT, expect=Expect(body="good$"))
    async with Member(ADDRESS, body=at_the_end) as member:
        within = await probed(member.target, monitor)
        member.body = b"x" + at_the_end
        past = await probed(member.target, monitor)

    assert (within.reason, past.reason) == ("ok", "body")


async def test_a_body_cut_by_its_chunk_lengths_is_no_http():
    async with Member(ADDRESS) as member:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        member.behave("raw", raw=head + b"zz\r\nwhat\r\n")

        result = await probed(member.target)

    assert result.reason == "protocol"


async def test_an_expected_status_need_not_be_a_good_one():
    async with Member(ADDRESS) as member:
        member.behave("500")

        result = await probed(member.target, replace(PATIENT, expect=Expect(status=((500, 500),))))

    assert result == OK


async def test_host_names_are_resolved():
    async with Member("127.0.0.1") as member:
        result = await probed(("localhost", member.port))

    assert result == OK


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".example.com"])
async def test_a_host_name_without_an_address_is_a_dns_failure(host):
    assert (await probed((host, 80))).reason == "dns"


async def test_an_address_without_a_way_to_it_is_unreachable():
    assert (await probed(("255.255.255.255", 9))).reason == "unreachable"


PIECES = [
    *(b"HTTP/1.1 ", b"200 ", b"OK", b"\r\n", b"\n", b"Content-Length: ", b"5", b"-1", b"\x00"),
    *(b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Location: http://[", b"hello"),
    *(b"Set-Cookie: a=b; c", b"HTTP/9.9 200", b": ", b"\xff\xfe", b"101 ", b"99999", b" folded"),
    *(b"Upgrade: websocket", b"Connection: upgrade", b"A" * 9000, response(200, b"hello")),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=14))
def test_whatever_a_member_sends_there_is_a_result(pieces):
    async def scenario():
        async with Member(ADDRESS) as member:
            member.behave("raw", raw=b"".join(pieces))
            return await probed(member.target)

    assert asyncio.run(scenario()).reason in REASONS


# HTTPS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def https(authority=None, **changes):
    ca_file = authority.ca_file if authority else None
    return replace(PATIENT, type="https", ca_file=ca_file, **changes)


async def test_a_certificate_of_the_own_authority_for_the_host_is_good(authority):
    async with Member(ADDRESS, tls=authority.serving("www.example.com")) as member:
        result = await probed(member.target, https(authority))

    assert result == OK


async def test_the_host_is_the_server_name_that_is_asked_for(authority):
    asked = []
    tls = authority.serving("www.example.com")
    tls.sni_callback = lambda _connection, name, _context: asked.append(name)
    async with Member(ADDRESS, tls=tls) as member:
        await probed(member.target, https(authority))

    assert asked == ["www.example.com"]


async def test_a_host_that_is_an_address_is_verified_by_address(authority):
    async with Member(ADDRESS, tls=authority.serving("192.0.2.1")) as member:
        right = await probed(member.target, https(authority), host="192.0.2.1")
        wrong = await probed(member.target, https(authority), host="192.0.2.2")

    assert (right.reason, wrong.reason) == ("ok", "tls")


async def test_a_certificate_for_another_host_is_a_tls_failure_unless_nothing_is_verified(
    authority,
):
    async with Member(ADDRESS, tls=authority.serving("mail.example.com")) as member:
        verified = await probed(member.target, https(authority))
        trusted = await probed(member.target, https(authority, verify=False))

    assert (verified.reason, trusted.reason) == ("tls", "ok")


async def test_an_unknown_authority_is_a_tls_failure(authority):
    async with Member(ADDRESS, tls=authority.serving("www.example.com")) as member:
        result = await probed(member.target, https())

    assert result.reason == "tls"


async def test_plain_http_where_tls_is_expected_is_a_tls_failure():
    async with await asyncio.start_server(_greets, ADDRESS, 0) as server:
        result = await probed(server.sockets[0].getsockname(), https())

    assert result.reason == "tls"


async def _greets(reader, writer):
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def test_a_ca_file_that_is_gone_says_nothing_of_the_member(authority, tmp_path):
    async with Member(ADDRESS, tls=authority.serving("www.example.com")) as member:
        gone = str(tmp_path / "gone.pem")
        result = await probed(member.target, replace(https(), ca_file=gone))

    assert result.reason == "local"
    assert "gone.pem" in result.detail


@pytest.mark.parametrize("behaviour", ["hang", "slow", "stuck"])
async def test_a_member_that_hangs_behind_tls_is_a_timeout(authority, behaviour):
    async with Member(ADDRESS, tls=authority.serving("www.example.com")) as member:
        member.behave(behaviour)
        result = await probed(member.target, https(authority, timeout_s=0.3))

    assert result.reason == "timeout"


# TCP


async def test_a_tcp_probe_is_content_with_a_connection():
    async with Member(ADDRESS) as member:
        member.behave("hang")
        up = await probed(member.target, replace(PATIENT, type="tcp"))
        member.behave("refuse")
        down = await probed(member.target, replace(PATIENT, type="tcp"))

    assert (up.reason, down.reason) == ("ok", "refused")


# The prober


class Watching:
    """A prober that runs, and the results it has told of."""

    def __init__(self, **options):
        self.told = []
        self.changed = asyncio.Condition()
        self.prober = Prober(time.monotonic, on_result=self._on_result, **options)

    def _on_result(self, subject, before, after, result, duration_s):
        self.told.append((subject, before, after, result, duration_s))
        self._waker = asyncio.ensure_future(self._notify())

    async def _notify(self):
        async with self.changed:
            self.changed.notify_all()

    async def until(self, true):
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(true)

    async def until_told(self, subject, count=1):
        goal = self.count(subject) + count
        await self.until(lambda: self.count(subject) >= goal)

    def count(self, subject):
        return sum(told[0] == subject for told in self.told)

    async def __aenter__(self):
        self.running = asyncio.create_task(self.prober.run())
        return self

    async def __aexit__(self, *_):
        await self.prober.close()
        await self.running


def believed(watching, subject, verdict, reason):
    def holds():
        record = watching.prober.records[subject]
        return (record.verdict, record.reason) == (verdict, reason)

    return holds


async def test_a_member_is_up_then_killed_then_hung_then_up_again():
    async with Member(ADDRESS) as member, Watching() as watching:
        subject = subject_of(member)
        watching.prober.watch({subject: QUICK})

        await watching.until(believed(watching, subject, Verdict.UP, "ok"))
        member.behave("refuse")
        await watching.until(believed(watching, subject, Verdict.DOWN, "refused"))
        member.behave("ok")
        await watching.until(believed(watching, subject, Verdict.UP, "ok"))
        assert watching.prober.records[subject].risen_at_s is not None
        member.behave("hang")
        await watching.until(believed(watching, subject, Verdict.DOWN, "timeout"))


async def test_each_result_is_told_with_the_record_before_and_after_it():
    async with Member(ADDRESS) as member, Watching() as watching:
        subject = subject_of(member)
        watching.prober.watch({subject: QUICK})
        await watching.until_told(subject, 3)

    first, second, *_ = watching.told
    assert first[1] == Record()
    assert second[1] == first[2]
    assert first[2].verdict is Verdict.UP
    assert first[3] == OK
    assert first[4] == first[2].last_took_s


async def test_the_first_round_is_complete_when_every_subject_has_a_result():
    async with Member(ADDRESS) as here, Watching() as watching:
        there = Subject(ADDRESS, (ADDRESS, free_port(ADDRESS)), "web", "www.example.com")
        watching.prober.watch({subject_of(here): QUICK, there: QUICK})
        assert not watching.prober.complete

        await watching.until(lambda: watching.prober.complete)

    assert {told[0] for told in watching.told} == {subject_of(here), there}


def fake_subject(number):
    return Subject(f"192.0.2.{number}", (f"192.0.2.{number}", 80), "web", "www.example.com")


class Doors:
    """A probe that stands still until it is let go, and counts who is inside."""

    def __init__(self):
        self.open = asyncio.Event()
        self.inside = []
        self.inside_max = 0
        self.entered = asyncio.Event()

    async def probe(self, subject, monitor):
        assert subject not in self.inside, "probes of one subject overlap"
        self.inside.append(subject)
        self.inside_max = max(self.inside_max, len(self.inside))
        self.entered.set()
        try:
            await self.open.wait()
        finally:
            self.inside.remove(subject)
        return OK


async def test_at_most_so_many_probes_are_under_way_and_nobody_is_left_out():
    doors = Doors()
    subjects = {fake_subject(number): QUICK for number in range(1, 31)}
    async with Watching(probe=doors.probe, probes_max=4) as watching:
        watching.prober.watch(subjects)
        await doors.entered.wait()
        doors.open.set()
        await watching.until(lambda: watching.prober.complete)

    assert doors.inside_max <= 4


async def test_the_limit_on_probes_is_reached_and_not_passed():
    doors = Doors()
    subjects = {fake_subject(number): QUICK for number in range(1, 31)}
    async with Watching(probe=doors.probe, probes_max=4) as watching:
        watching.prober.watch(subjects)
        async with asyncio.timeout(20):
            while len(doors.inside) < 4:
                await doors.entered.wait()
                await asyncio.sleep(0)
        doors.open.set()
        await watching.until(lambda: watching.prober.complete)

    assert doors.inside_max == 4


async def test_closing_cancels_what_is_under_way():
    doors = Doors()
    async with Watching(probe=doors.probe) as watching:
        watching.prober.watch({fake_subject(1): QUICK})
        await doors.entered.wait()

    assert watching.running.done()
    assert not doors.inside
    assert not watching.told


async def test_closing_a_prober_that_never_ran_returns():
    await Prober(time.monotonic).close()


async def test_cancelling_the_run_cancels_what_is_under_way():
    doors = Doors()
    prober = Prober(time.monotonic, probe=doors.probe)
    prober.watch({fake_subject(1): QUICK})
    running = asyncio.create_task(prober.run())
    await doors.entered.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not doors.inside
    await prober.close()


async def test_a_reload_keeps_the_records_of_subjects_that_stay_and_drops_the_others():
    async with Member(ADDRESS) as member, Watching() as watching:
        stays, goes, comes = subject_of(member), subject_of(member, "a"), subject_of(member, "b")
        watching.prober.watch({stays: QUICK, goes: QUICK})
        await watching.until(lambda: watching.prober.complete)
        since_s = watching.prober.records[stays].since_s

        watching.prober.watch({stays: QUICK, comes: QUICK})

        assert watching.prober.records.keys() == {stays, comes}
        assert watching.prober.records[stays].since_s == since_s
        assert not watching.prober.complete
        told = watching.count(goes)
        await watching.until(lambda: watching.prober.complete)
        await watching.until_told(stays, 3)
        assert watching.count(goes) == told


async def test_a_subject_removed_in_mid_probe_is_never_told_of():
    doors = Doors()
    async with Watching(probe=doors.probe) as watching:
        watching.prober.watch({fake_subject(1): QUICK})
        await doors.entered.wait()

        watching.prober.watch({fake_subject(2): QUICK})
        doors.open.set()
        await watching.until(lambda: watching.prober.complete)

        assert watching.count(fake_subject(1)) == 0
        assert watching.prober.records.keys() == {fake_subject(2)}


async def test_a_subject_whose_rule_changes_in_mid_probe_is_probed_again_by_the_new_one():
    doors = Doors()
    subject = fake_subject(1)
    async with Watching(probe=doors.probe) as watching:
        watching.prober.watch({subject: QUICK})
        await doors.entered.wait()

        watching.prober.watch({subject: replace(QUICK, path="/other")})
        doors.open.set()

        await watching.until_told(subject, 2)


async def test_a_subject_removed_and_added_again_at_once_does_not_overlap_itself():
    doors = Doors()
    subject = fake_subject(1)
    async with Watching(probe=doors.probe) as watching:
        watching.prober.watch({subject: QUICK})
        await doors.entered.wait()

        watching.prober.watch({})
        watching.prober.watch({subject: QUICK})
        doors.open.set()

        await watching.until_told(subject, 2)


async def test_a_subject_removed_before_its_task_first_ran_can_come_back():
    subject = fake_subject(1)
    doors = Doors()
    doors.open.set()
    async with Watching(probe=doors.probe) as watching:
        for _ in range(200):
            watching.prober.watch({subject: replace(QUICK, interval_s=1e-6)})
            await asyncio.sleep(0)
            watching.prober.watch({})
            await asyncio.sleep(0)
        watching.prober.watch({subject: QUICK})

        await watching.until_told(subject)


async def test_a_stored_verdict_is_a_verdict_so_one_failure_does_not_flip_it():
    subject = Subject(ADDRESS, (ADDRESS, free_port(ADDRESS)), "web", "www.example.com")
    watching = Watching()
    watching.prober.restore({subject: Record(verdict=Verdict.UP), fake_subject(1): Record()})
    watching.prober.watch({subject: QUICK})
    assert watching.prober.records[subject].verdict is Verdict.UP
    assert watching.prober.records.keys() == {subject}

    async with watching:
        await watching.until_told(subject, QUICK.fall)

    verdicts = [after.verdict for _, _, after, _, _ in watching.told]
    assert verdicts[: QUICK.fall] == [Verdict.UP] * (QUICK.fall - 1) + [Verdict.DOWN]


async def test_our_own_errors_leave_the_run():
    async def broken(subject, monitor):
        raise ZeroDivisionError

    prober = Prober(time.monotonic, probe=broken)
    prober.watch({fake_subject(1): QUICK})

    with pytest.raises(ExceptionGroup) as raised:
        await prober.run()

    assert raised.group_contains(ZeroDivisionError)
    await prober.close()


async def test_hundreds_of_members_are_probed_in_one_loop():
    async with Member(ADDRESS) as member, Watching() as watching:
        monitor = replace(QUICK, interval_s=0.5, timeout_s=10.0)
        subjects = {subject_of(member, f"h{number}.example.com"): monitor for number in range(200)}
        watching.prober.watch(subjects)

        await watching.until(lambda: watching.prober.complete)

    verdicts = {record.verdict for record in watching.prober.records.values()}
    assert verdicts == {Verdict.UP}
