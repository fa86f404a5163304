"""Bulletins on the wire: sealed, bounded, and refused whole when anything is wrong with them."""

import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import ReportError
from gslb.health import bulletin, sealed
from gslb.health.belief import Forced, Word
from gslb.health.bulletin import INFLATED_MAX_BYTES, MAGIC, SKEW_MAX_S, Bulletin, newer
from gslb.health.doubt import Doubt
from gslb.health.words import Register

NOW_S = 1_800_000_000.0
KEY = b"the nodes' own key"
WORD = Register(int(NOW_S) * 1000, "ns1.example.net", Forced(Word.DRAIN, None, "update", "ops"))
GOOD = Bulletin(
    "ns1.example.net",
    (1, 2),
    NOW_S,
    "cafe",
    12,
    True,
    ("eu", "us"),
    {("192.0.2.1", "www.example.com"): WORD},
    [["www.example.com", "eu", "192.0.2.9"]],
    doubts=(Doubt("0123456789abcdef", "eu-proxy", NOW_S - 1.5),),
)


def kind_of(raw: bytes, key: bytes = KEY, now_s: float = NOW_S) -> str:
    with pytest.raises(ReportError) as wrong:
        bulletin.decode(raw, key, now_s=now_s)
    return wrong.value.kind


def of(document: object) -> bytes:
    return sealed.seal(MAGIC, GOOD.node, KEY, zlib.compress(json.dumps(document).encode()))


def test_a_bulletin_comes_back_as_it_was():
    raw = bulletin.encode(GOOD, KEY)

    assert bulletin.decode(raw, KEY, now_s=NOW_S + 1) == replace(GOOD, heard_at_s=NOW_S + 1)


def test_one_of_a_node_that_knows_no_doubts_has_none():
    raw = bulletin.encode(replace(GOOD, doubts=()), KEY)
    document = json.loads(zlib.decompress(raw.split(b"\n", 1)[1]))
    del document["doubts"]

    assert bulletin.decode(of(document), KEY, now_s=NOW_S).doubts == ()
    assert kind_of(of({**document, "doubts": [7]})) == "malformed"


@given(st.data())
def test_a_bulletin_with_any_octet_changed_is_refused(data):
    raw = bytearray(bulletin.encode(GOOD, KEY))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))

    assert kind_of(bytes(raw)) in ("mac", "malformed")


@given(st.binary(max_size=200))
def test_octets_that_are_none_are_refused(octets):
    assert kind_of(octets) == "malformed"


@given(st.binary(max_size=200))
def test_a_body_that_is_none_is_refused_though_its_mac_is_right(body):
    assert kind_of(sealed.seal(MAGIC, "ns1.example.net", KEY, body)) == "malformed"


def test_another_key_is_told_apart():
    assert kind_of(bulletin.encode(GOOD, b"another key")) == "mac"


@pytest.mark.parametrize(("off_s", "kind"), [(-SKEW_MAX_S - 1, "clock"), (SKEW_MAX_S + 1, "stale")])
def test_one_sent_too_far_from_now_is_refused(off_s, kind):
    assert kind_of(bulletin.encode(GOOD, KEY), now_s=NOW_S + off_s) == kind


@pytest.mark.parametrize(
    "change",
    [
        {"number": [1]},
        {"number": [-1, 2]},
        {"number": [1.5, 2]},
        {"sent_at_s": "now"},
        {"sent_at_s": 10**400},
        {"words": [["192.0.2.1", "", 1, "ns1", ["drain", 10**400, "", "", 0, 0]]]},
        {"config_hash": 7},
        {"generation": True},
        {"settled": 1},
        {"vantages": "eu"},
        {"vantages": [1]},
        {"words": None},
        {"words": [[]]},
    ],
)
def test_a_bulletin_of_another_shape_is_refused(change):
    body = sealed.unseal(MAGIC, bulletin.encode(GOOD, KEY), lambda _: KEY)[1]
    whole = json.loads(zlib.decompress(body))

    assert kind_of(of({**whole, **change})) == "malformed"
    assert kind_of(of({k: v for k, v in whole.items() if k not in change})) == "malformed"


def test_one_that_inflates_beyond_all_measure_is_refused():
    bomb = zlib.compress(b" " * (INFLATED_MAX_BYTES + 1))

    assert len(bomb) < 100_000
    assert kind_of(sealed.seal(MAGIC, GOOD.node, KEY, bomb)) == "malformed"


def test_the_newest_of_each_node_counts():
    later = replace(GOOD, number=(1, 3))

    assert newer(None, GOOD)
    assert newer(GOOD, later)
    assert not newer(later, GOOD)
    assert not newer(GOOD, GOOD)


def test_a_node_whose_clock_was_put_back_is_heard_once_the_held_one_could_not_be_taken_again():
    restarted = replace(GOOD, number=(0, 1), sent_at_s=NOW_S + 2 * SKEW_MAX_S)

    assert not newer(GOOD, restarted)
    assert newer(GOOD, replace(restarted, sent_at_s=NOW_S + 2 * SKEW_MAX_S + 1))


def test_only_senders_that_are_known_are_listened_to():
    raw = sealed.seal(MAGIC, "ns9.example.net", KEY, b"")

    with pytest.raises(ReportError) as wrong:
        sealed.unseal(MAGIC, raw, lambda _: None)

    assert wrong.value.kind == "unknown_vantage"


def test_what_is_too_long_is_neither_sealed_nor_opened():
    too_long = bytes(sealed.SEALED_MAX_BYTES)

    with pytest.raises(ReportError) as at_sealing:
        sealed.seal(MAGIC, "ns1.example.net", KEY, too_long)

    assert at_sealing.value.kind == "too_long"
    assert kind_of(too_long + b"x") == "too_long"


@pytest.mark.parametrize("name", ["", "two words", "é", "a" * 256])
def test_a_sender_has_a_plain_name(name):
    with pytest.raises(ReportError):
        sealed.seal(MAGIC, name, KEY, b"")
