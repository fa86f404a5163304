"""Server cookies: made and checked as RFC 9018 says, octet for octet, in every engine."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns.cookie import Checked, Standing, check, server_cookie
from tests.protection import COOKIES, cookies_text, rfc_9018

CLIENT = bytes.fromhex("2464c4abcf10c957")
HERE = ip_address("192.0.2.1").packed
ACTIVE, OLDER, FOREIGN = (bytes([number]) * 16 for number in (1, 2, 3))
SECRETS = (ACTIVE, OLDER)
NOW_S = 1_800_000_000


def answered(made: bytes, now_s: int = NOW_S, address: bytes = HERE) -> Checked:
    return check(CLIENT + made, address, SECRETS, now_s)


def made(age_s: int = 0, secret: bytes = ACTIVE, address: bytes = HERE) -> bytes:
    return server_cookie(CLIENT, address, NOW_S - age_s, secret)


@pytest.mark.parametrize("line", rfc_9018(), ids=["A.1", "A.2", "A.3", "A.4"])
def test_the_vectors_of_the_rfc_hold(line):
    now_s, sender, secrets, came, standing, said = line.split()
    keys = [bytes.fromhex(secret) for secret in secrets.split(",")]

    checked = check(bytes.fromhex(came), ip_address(sender).packed, keys, int(now_s))

    assert (checked.octets.hex(), checked.standing.name) == (said, standing)


def test_reserved_octets_of_another_server_count_as_they_came():
    secret = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
    address = ip_address("203.0.113.203").packed
    came = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")

    checked = check(came, address, [secret], 1559727985)

    assert checked.standing is Standing.VALID
    assert checked.octets[8:12] == b"\1\0\0\0", "what we send has them zero"


def test_the_vectors_that_the_other_engine_is_held_to_are_those_of_this_one():
    assert COOKIES.read_text() == cookies_text(), "run: python -m tests.protection"


def test_a_client_without_a_server_cookie_gets_a_fresh_one():
    assert answered(b"") == Checked(CLIENT + made(), Standing.NEW)


@pytest.mark.parametrize("age_s", [-300, -1, 0, 1799])
def test_a_young_one_comes_back_as_it_is(age_s):
    assert answered(made(age_s)) == Checked(CLIENT + made(age_s), Standing.VALID)


@pytest.mark.parametrize("age_s", [1800, 3600])
def test_one_of_half_an_hour_is_valid_and_renewed(age_s):
    assert answered(made(age_s)) == Checked(CLIENT + made(), Standing.VALID)


@pytest.mark.parametrize("age_s", [-301, 3601, 1 << 31, -(1 << 31)])
def test_one_that_is_too_old_or_from_the_future_is_wrong(age_s):
    assert answered(made(age_s)) == Checked(CLIENT + made(), Standing.WRONG)


def test_one_by_another_accepted_secret_is_valid_and_replaced():
    assert answered(made(secret=OLDER)) == Checked(CLIENT + made(), Standing.VALID)


def test_one_by_a_secret_that_is_not_accepted_is_wrong():
    assert answered(made(secret=FOREIGN)) == Checked(CLIENT + made(), Standing.WRONG)


def test_one_of_another_version_or_length_is_wrong():
    for other in (b"\2" + made()[1:], made() + b"!", made()[:8], bytes(32)):
        assert answered(other) == Checked(CLIENT + made(), Standing.WRONG)


@given(now_s=st.integers(0, 1 << 40), age_s=st.integers(-300, 3600))
def test_time_wraps_without_anyone_noticing(now_s, age_s):
    cookie = CLIENT + server_cookie(CLIENT, HERE, now_s - age_s, ACTIVE)

    assert check(cookie, HERE, SECRETS, now_s).standing is Standing.VALID


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_one_is_good_at_its_address_alone(address):
    expected = Standing.VALID if address == HERE else Standing.WRONG

    assert answered(made(), address=address).standing is expected


@given(st.integers(0, 23), st.integers(1, 255))
def test_a_changed_octet_is_noticed(at, flip):
    cookie = bytearray(CLIENT + made())
    cookie[at] ^= flip

    assert check(bytes(cookie), HERE, SECRETS, NOW_S).standing is Standing.WRONG


def test_a_secret_is_rolled_in_three_steps_without_a_valid_cookie_lost():
    steps = [(ACTIVE,), (ACTIVE, OLDER), (OLDER, ACTIVE), (OLDER,)]
    for before, after in pairwise(steps):
        for ours, theirs in ((before, after), (after, before)):
            cookie = check(CLIENT, HERE, ours, NOW_S).octets
            assert check(cookie, HERE, theirs, NOW_S).standing is Standing.VALID
