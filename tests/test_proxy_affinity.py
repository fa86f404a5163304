"""Affinity cookies: only ours are believed, and they tell nothing."""

from base64 import urlsafe_b64decode
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.affinity import VALUE_CHARS, Pin, make, read, set_cookie, tag

KEY = b"a key of the example"
NAME = "192.0.2.1:80"
COOKIE = make(KEY, NAME, 1_000)


def test_a_cookie_names_the_target_that_it_was_made_for():
    assert read(KEY, COOKIE, 999.9) == Pin(tag(KEY, NAME), 1_000)
    assert tag(KEY, NAME) != tag(KEY, "192.0.2.2:80")


@given(st.text(), st.integers(1, (1 << 48) - 1), st.binary(min_size=1))
def test_whatever_was_made_is_read_back(name, until_s, key):
    made = make(key, name, until_s)

    assert len(made) == VALUE_CHARS
    assert read(key, made, until_s - 1) == Pin(tag(key, name), until_s)
    assert read(key, made.encode(), until_s - 1) == Pin(tag(key, name), until_s)


def test_a_cookie_is_for_nothing_once_its_time_is_over():
    assert read(KEY, COOKIE, 1_000.0) is None


def test_a_cookie_is_for_nothing_under_another_key():
    assert read(b"another key", COOKIE, 0.0) is None


@pytest.mark.parametrize("at", range(VALUE_CHARS))
def test_a_cookie_with_any_letter_changed_is_for_nothing(at):
    for letter in "AZaz09-_!=\0é":
        forged = COOKIE[:at] + letter + COOKIE[at + 1 :]
        assert letter == COOKIE[at] or read(KEY, forged, 0.0) is None


@pytest.mark.parametrize("end", range(VALUE_CHARS))
def test_a_cookie_cut_short_is_for_nothing(end):
    assert read(KEY, COOKIE[:end], 0.0) is None


@given(st.text(min_size=VALUE_CHARS, max_size=VALUE_CHARS) | st.text())
def test_any_text_is_read_as_a_pin_or_as_nothing(text):
    assert read(KEY, text, 0.0) is None


@given(st.binary(min_size=VALUE_CHARS, max_size=VALUE_CHARS) | st.binary())
def test_any_octets_are_read_as_a_pin_or_as_nothing(octets):
    assert read(KEY, octets, 0.0) is None


def test_a_cookie_does_not_tell_its_target():
    octets = urlsafe_b64decode(COOKIE)

    assert b"192.0.2" not in octets
    assert bytes([192, 0, 2, 1]) not in octets
    assert tag(KEY, NAME) != tag(b"another key", NAME)


def test_an_empty_key_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="signs nothing"):
        make(b"", NAME, 1)


def test_the_header_keeps_the_cookie_from_scripts_and_from_other_sites():
    morsel = SimpleCookie(set_cookie("gslb", COOKIE, 3600.0, secure=False))["gslb"]

    assert morsel.value == COOKIE
    assert (morsel["path"], morsel["max-age"], morsel["samesite"]) == ("/", "3600", "Lax")
    assert morsel["httponly"]
    assert not morsel["secure"]


def test_where_tls_is_spoken_the_cookie_is_for_tls_only():
    assert set_cookie("gslb", COOKIE, 60, secure=True) == (
        f"gslb={COOKIE}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    )
