"""Single values of a configuration file, at their bounds and past them."""

from fractions import Fraction
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.config import addresses, scalars
from gslb.config.scalars import (
    ASN_MAX,
    DAY_S,
    NAME_CHARS_MAX,
    REGEX_CHARS_MAX,
    STATUS_MAX,
    STATUS_MIN,
    TEXT_CHARS_MAX,
    ScalarError,
)
from gslb.config.settings import Endpoint
from gslb.model import PORT_MAX

LONG_HOST = ".".join(["a" * 63] * 3 + ["b" * 61])

AT_THE_BOUND = [
    # reader, value, meaning; a value just past the bound
    (scalars.text, "x" * TEXT_CHARS_MAX, "x" * TEXT_CHARS_MAX, "x" * (TEXT_CHARS_MAX + 1)),
    (scalars.label, "x" * NAME_CHARS_MAX, "x" * NAME_CHARS_MAX, "x" * (NAME_CHARS_MAX + 1)),
    (scalars.regex, "x" * REGEX_CHARS_MAX, "x" * REGEX_CHARS_MAX, "x" * (REGEX_CHARS_MAX + 1)),
    (scalars.token, "x" * TEXT_CHARS_MAX, "x" * TEXT_CHARS_MAX, "x" * (TEXT_CHARS_MAX + 1)),
    (scalars.ttl_s, 2**31 - 1, 2**31 - 1, 2**31),
    (scalars.ttl_s, 0, 0, -1),
    (scalars.share, 1, Fraction(1), 1.0001),
    (scalars.share, "100%", Fraction(1), "100.1%"),
    (scalars.share, 0, Fraction(0), -0.1),
    (scalars.answers, 64, 64, 65),
    (scalars.answers, 1, 1, 0),
    (scalars.asn, ASN_MAX, ASN_MAX, ASN_MAX + 1),
    (scalars.asn, "as1", 1, "AS0"),
    (scalars.statuses, STATUS_MAX, (STATUS_MAX, STATUS_MAX), STATUS_MAX + 1),
    (scalars.statuses, f"{STATUS_MIN}-{STATUS_MAX}", (STATUS_MIN, STATUS_MAX), "99-100"),
    (scalars.quorum, 1000, ("count", 1000), 1001),
    (scalars.quorum, "100%", ("percent", 100), "101%"),
    (scalars.quorum, "1%", ("percent", 1), "0%"),
    (scalars.duration_s(0.1, DAY_S), "100ms", 0.1, "99ms"),
    (scalars.duration_s(0.1, DAY_S), "1d", 86_400.0, "86401"),
    (scalars.whole(1, 3), 3, 3, 4),
    (scalars.decimal(-90, 90, "degrees"), -90, -90.0, -90.1),
    (addresses.endpoint, f"[::1]:{PORT_MAX}", Endpoint("::1", PORT_MAX), "[::1]:65536"),
    (addresses.target, "a.example:1", ("a.example", 1), "a.example:0"),
    (addresses.member, LONG_HOST, LONG_HOST, "b" + LONG_HOST),
    (addresses.member, "a" * 63 + ".b", "a" * 63 + ".b", "a" * 64 + ".b"),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "value", "meant", "past"), AT_THE_BOUND)
def test_a_bound_itself_is_fine_and_what_is_past_it_is_not(reader, value, meant, past):
    assert reader(value) == meant
    with pytest.raises(ScalarError) as caught:
        reader(past)
    assert caught.value.problem
    assert caught.value.hint


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("5s", 5), ("2m", 120), ("1.5h", 5400), ("1d", 86_400), (5, 5), ("5", 5),
     (0.25, 0.25), ("3 s", 3)],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit(written, seconds):
    assert scalars.duration_s(0, DAY_S)(written) == seconds


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (0.01, "10ms"), (1, "1s"), (90, "90s"), (300, "5m"), (7200, "2h"), (DAY_S, "1d")],
)
def test_a_span_is_shown_as_an_operator_writes_it(seconds, written):
    assert scalars.span(seconds) == written
    assert scalars.duration_s(0, DAY_S)(written) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "x", "s5", "5 x", "1e3s", "-5s", "5s5", None, True, [], {}, float("nan"), float("inf")],
)
def test_what_is_no_duration_is_told(value):
    with pytest.raises(ScalarError):
        scalars.duration_s(0, DAY_S)(value)


@pytest.mark.parametrize(
    "value",
    ["fe80::1%eth0", "224.0.0.1", "::", "0.0.0.0", "127.1", "010.0.0.1", "1.2.3.4/32", "", 5, None],
)
def test_what_is_no_address_of_one_host_is_told(value):
    with pytest.raises(ScalarError):
        addresses.address(value)


READERS = [
    scalars.text, scalars.boolean, scalars.one_of("a", "b"), scalars.whole(0, 9), scalars.ttl_s,
    scalars.decimal(0, 9, "km"), scalars.duration_s(0, 9), scalars.share, scalars.quorum,
    scalars.answers, scalars.label, scalars.country, scalars.continent, scalars.asn,
    scalars.statuses, scalars.regex, scalars.url_path, scalars.pair, scalars.token,
    scalars.json_scalar, addresses.address, addresses.network, addresses.endpoint,
    addresses.target, addresses.host_or_address, addresses.member,
]  # fmt: skip
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.text(alphabet="0123456789.:/[]%-msASE*", max_size=20)
    | st.lists(st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


@pytest.mark.parametrize("reader", READERS)
@given(value=VALUES)
def test_any_value_is_read_or_told_with_a_hint(reader, value):
    told = ("nothing", "nothing")
    try:
        reader(value)
    except ScalarError as error:
        told = (error.problem, error.hint)

    assert all(text and "\n" not in text for text in told)


@given(st.ip_addresses())
def test_any_address_in_brackets_or_not_is_read_back(address):
    host = f"[{address}]" if address.version == 6 else str(address)

    assert addresses.endpoint(f"{host}:53") == Endpoint(str(address), 53)
    assert addresses.network(str(address)).network_address == ip_address(str(address))
