"""What a route changes of requests and responses, where redirects lead, and what is hashed."""

import re
from collections import Counter
from ipaddress import ip_address
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy import affinity, rewrite
from gslb.proxy.hashing import client_key, key_for
from gslb.proxy.splitting import STICKY_S, Split, token_of
from gslb.tier import Balance, Forward, Redirect, Rewrite
from tests.test_proxy_request import asked

KEY = b"k" * 32
NOW_S = 1_700_000_000.0


def target_of(target, pattern, to):
    """Return the target that a rewrite of the path makes of *target*."""
    return rewrite.request(Rewrite(path_pattern=pattern, path_to=to), target, [])[0]


@pytest.mark.parametrize(
    ("target", "pattern", "to", "made"),
    [
        (b"/api/x?a=b", "^/api/", "/", b"/x?a=b"),
        (b"/api/x%2Fy%3F", "^/api/", "/", b"/x%2Fy%3F"),
        (b"/v1/users/7", "^/v1/(.*)/([0-9]+)$", r"/\2/\1", b"/7/users"),
        (b"/other", "^/api/", "/", b"/other"),
        (b"/api", "^/api", "", b"/"),
        (b"/api/x", "^/api", "/", b"/x"),
        (b"/a/api/x/api/", "/api", "", b"/a/x/api/"),
        (b"/x?a", "^/x$", "/y?b=1", b"/y?b=1&a"),
        (b"/x", "^/x$", "/y?b=1", b"/y?b=1"),
        (b"http://h.example/api/x?y", "^/api/", "/", b"/x?y"),
        (b"*", ".*", "/", b"*"),
    ],
)
def test_a_pattern_in_the_path_is_replaced_once_and_the_rest_stays_as_it_came(
    target, pattern, to, made
):
    assert target_of(target, pattern, to) == made


@pytest.mark.parametrize(
    "target",
    [b"/%61pi/x", b"//api/x", b"/y/../api/x", b"/api/./x", b"/%61pi/%2e%2e/api/x", b"/api/%2E/x"],
)
def test_a_path_that_is_spelt_otherwise_is_rewritten_like_the_one_that_is_matched(target):
    assert asked(target).path == b"/api/x"
    assert target_of(target, "^/api/", "/public/") == b"/public/x"


def test_dot_segments_do_not_lead_out_of_where_a_rewrite_leads():
    made = target_of(b"/api/../api/..%2Fapi/x", "^/api/", "/public/")

    assert made == b"/public/x"


@given(st.binary(max_size=40), st.sampled_from(["", "/", "/a?b=", r"\g<0>"]))
def test_no_target_brings_an_octet_that_ends_a_line_or_a_word(octets, to):
    made = target_of(b"/api/" + octets.replace(b"?", b""), "^/api/", to)

    assert re.fullmatch(rb"/[!-~]*", made) or made == b"/api/" + octets.replace(b"?", b"")
    if asked(b"/api/" + octets).path.startswith(b"/api/") and b"?" not in octets:
        assert re.fullmatch(rb"/[!-~]*", made)


FIELDS = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


def test_headers_are_set_in_place_of_all_of_that_name_and_removed():
    changed = Rewrite(set=(("X-New", "n"), ("A", "only")), remove=frozenset({"b"}))

    assert rewrite.request(changed, b"/", FIELDS) == (b"/", [(b"x-new", b"n"), (b"a", b"only")])
    assert rewrite.response(changed, FIELDS) == FIELDS


def test_responses_have_changes_of_their_own():
    changed = Rewrite(response_set=(("B", "x"),), response_remove=frozenset({"a"}))

    assert rewrite.response(changed, FIELDS) == [(b"b", b"x")]
    assert rewrite.request(changed, b"/p", FIELDS) == (b"/p", FIELDS)
    assert rewrite.response(changed, FIELDS) is not FIELDS


@pytest.mark.parametrize(
    ("to", "target", "made"),
    [
        ("https://{host}{path}{query}", b"/a%20b?c=d", b"https://www.example.com/a%20b?c=d"),
        ("https://{host}{path}{query}", b"/", b"https://www.example.com/"),
        (
            "https://{host}{path}{query}",
            b"//evil.example/",
            b"https://www.example.com//evil.example/",
        ),
        ("{scheme}://new.example:8443{path}", b"*", b"http://new.example:8443/"),
        ("/new{path}", b"//evil.example", b"/new//evil.example"),
        ("/search{query}", b"/find?q=1", b"/search?q=1"),
        ("https://{host}{path}", b"http://x.example/a", b"https://www.example.com/a"),
        ("https://x.example/{host}", b"/", b"https://x.example/www.example.com"),
    ],
)
def test_a_redirect_is_filled_in(to, target, made):
    assert rewrite.location(Redirect(to), asked(target, scheme="http")) == made


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_nothing_in_a_request_ends_the_line_of_a_redirect_or_changes_its_host(path, host):
    to = Redirect("https://www.example.com{path}{query}")

    assert re.fullmatch(
        rb"https://www\.example\.com/[!-~]*", rewrite.location(to, asked(b"/" + path))
    )
    made = rewrite.location(Redirect("https://{host}/x"), asked(host=host))
    assert re.fullmatch(rb"https://[^/?#@\\\s]*/x", made)


def test_a_hole_that_a_client_sends_is_not_filled():
    made = rewrite.location(Redirect("https://{host}{path}"), asked(b"/{query}?x"))

    assert made == b"https://www.example.com/%7Bquery%7D"


# Splits.


def test_the_draws_of_a_split_are_shared_out_by_weight():
    split = Split(Forward((("a", 3), ("none", 0), ("b", 1))))

    found = Counter(split.choose(asked(), number / 400, NOW_S)[0] for number in range(400))

    assert found == {"a": 300, "b": 100}
    assert split.choose(asked(), 0.9999999999999999, NOW_S)[0] == "b"


def test_without_a_sticky_cookie_none_is_set():
    assert Split(Forward((("a", 1), ("b", 1)))).choose(asked(), 0.6, NOW_S) == ("b", None)


def test_a_client_keeps_the_part_that_its_cookie_stands_for():
    split = Split(Forward((("a", 1), ("b", 1)), sticky="part"))

    name, (cookie, text) = split.choose(asked(scheme="http"), 0.6, NOW_S)
    value = text.partition(b";")[0]

    assert (name, cookie) == ("b", "part")
    assert value == b"part=" + token_of("b").encode()
    assert b"Max-Age=%d;" % STICKY_S in text
    assert b"Secure" not in text
    assert b"Secure" in split.choose(asked(), 0.6, NOW_S)[1][1]
    for draw in (0.0, 0.3, 0.9):
        assert split.choose(asked(fields=[(b"cookie", value)]), draw, NOW_S) == ("b", None)


def test_a_part_that_is_gone_or_has_no_weight_left_gives_up_its_clients():
    split = Split(Forward((("a", 1), ("b", 0)), sticky="part"))

    for value in (token_of("b"), token_of("gone"), "junk"):
        fields = [(b"cookie", b"part=" + value.encode())]
        name, cookie = split.choose(asked(fields=fields), 0.5, NOW_S)
        assert (name, cookie[0]) == ("a", "part")


def signed(key=KEY, sticky="part", **weights):
    """Return a split whose cookie is signed."""
    return Split(Forward(tuple((weights or {"a": 1, "b": 1}).items()), sticky, key))


def part_cookie(split, draw, now_s=NOW_S):
    """Return what a client that *draw* decides for brings from then on."""
    _, (_, text) = split.choose(asked(), draw, now_s)
    return text.partition(b";")[0]


def kept(split, cookie, now_s=NOW_S):
    """Return the part that the cookie keeps its client at, None where chance decides."""
    name, new = split.choose(asked(fields=[(b"cookie", cookie)]), 0.0, now_s)
    return name if new is None else None


def test_a_client_keeps_the_part_that_its_signed_cookie_stands_for():
    split = signed()

    cookie = part_cookie(split, 0.6)

    assert kept(split, cookie) == "b"
    assert kept(signed(b=3, c=1), cookie) == "b"


def test_nobody_without_the_key_chooses_a_part():
    split = signed()

    assert kept(split, b"part=" + token_of("b").encode()) is None
    assert kept(split, part_cookie(signed(b"x" * 32), 0.6)) is None
    assert kept(split, part_cookie(split, 0.6)[:-1] + b"~") is None


def test_a_signed_cookie_holds_for_its_time():
    split = signed()
    cookie = part_cookie(split, 0.6)

    assert kept(split, cookie, NOW_S + STICKY_S - 1) == "b"
    assert kept(split, cookie, NOW_S + STICKY_S) is None


def test_a_signed_cookie_of_another_split_or_of_a_member_is_nothing_here():
    split = signed()
    value = part_cookie(signed(sticky="other"), 0.6).removeprefix(b"other=")
    pin = affinity.make(KEY, "b", NOW_S + 10).encode()

    assert kept(split, b"part=" + value) is None
    assert kept(split, b"part=" + pin) is None


# Hashes.

FULL = asked(
    b"/a?q=1&q=2",
    [(b"x-tenant", b"t"), (b"cookie", b"c=1")],
    client=ip_address("203.0.113.9"),
)
BY = [("path", None), ("query", "q"), ("header", "x-tenant"), ("cookie", "c"), ("client", None)]


def hashed(by, name=None, bound=1.25):
    return Balance("hash", by, name, bound)


def test_each_part_of_a_request_can_be_hashed_and_each_has_its_own_key():
    keys = [key_for(hashed(by, name), FULL) for by, name in BY]

    assert len(set(keys[:2] + keys[2:3] + keys[4:])) == 4
    assert all(0 < key < 2**64 for key in keys)
    assert keys[1] == keys[3], "two parts with one content are hashed alike"
    assert keys == [key_for(hashed(by, name, inf), FULL) for by, name in BY]


def test_what_is_not_there_has_no_key():
    for by, name in BY[1:4]:
        assert key_for(hashed(by, name), asked()) == 0


@pytest.mark.parametrize("kind", ["round_robin", "least_connections", "least_time", "random"])
def test_a_balance_that_hashes_nothing_has_no_key(kind):
    assert key_for(Balance(kind), FULL) == 0


def test_a_clients_key_is_that_of_its_address_however_that_is_written():
    v4, mapped = ip_address("203.0.113.9"), ip_address("::ffff:203.0.113.9")

    assert key_for(Balance("ip_hash"), FULL) == key_for(hashed("client"), FULL) == client_key(v4)
    assert client_key(mapped) == client_key(v4)
    assert client_key(ip_address("::cb00:7109")) != client_key(v4)


def test_paths_are_hashed_as_rules_see_them():
    assert key_for(hashed("path"), asked(b"/x/../%61?q")) == key_for(hashed("path"), asked(b"/a"))
