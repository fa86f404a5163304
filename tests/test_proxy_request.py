"""A request as rules see it: paths decoded and normalised, queries, cookies and headers."""

from ipaddress import ip_address
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gslb.proxy.request import Request, normal_path, origin_form

CLIENT = ip_address("192.0.2.1")


def asked(target=b"/", fields=(), **more):
    """Return a GET of *target* on www.example.com."""
    known = {"method": b"GET", "host": b"www.example.com", "scheme": "https", "client": CLIENT}
    known |= more
    return Request(target=target, version="1.1", fields=list(fields), **known)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a/b?x=1?y", b"/a/b", b"x=1?y"),
        (b"/a/", b"/a/", b""),
        (b"/%61dmin", b"/admin", b""),
        (b"/a/../admin", b"/admin", b""),
        (b"/a/%2e%2e/admin", b"/admin", b""),
        (b"/a/.%2E/admin", b"/admin", b""),
        (b"/a%2f..%2fadmin", b"/admin", b""),
        (b"//admin", b"/admin", b""),
        (b"/./admin/.", b"/admin/", b""),
        (b"/admin/x/..", b"/admin/", b""),
        (b"/../../admin//", b"/admin/", b""),
        (b"/..", b"/", b""),
        (b"/.hidden/..x", b"/.hidden/..x", b""),
        (b"/%2561dmin", b"/%61dmin", b""),
        (b"/100%/%zz", b"/100%/%zz", b""),
        (b"/a%3Fb?c", b"/a?b", b"c"),
        (b"http://h.example/a?b", b"/a", b"b"),
        (b"http://h.example", b"/", b""),
        (b"http://h.example?b", b"/", b"b"),
        (b"*", b"*", b""),
        (b"h.example:443", b"h.example:443", b""),
    ],
)
def test_rules_see_the_decoded_and_normalised_path(target, path, query):
    assert asked(target).path == path
    assert asked(target).query == query


def test_a_path_and_its_query_are_read_in_any_order():
    request = asked(b"/%61?b")

    assert (request.query, request.path, request.path, request.query) == (b"b", b"/a", b"/a", b"b")


@given(st.lists(st.sampled_from([b"a", b".", b"..", b"", b"%2e", b"b c", b"%2F"])))
@example([b".."])
def test_a_normal_path_is_its_own_normal_path_and_has_no_dots(segments):
    path = normal_path(b"/" + b"/".join(segments))

    assert normal_path(quote_from_bytes(path).encode()) == path
    assert path.startswith(b"/")
    assert b"//" not in path
    assert not {b".", b".."} & set(path.split(b"/"))


@given(st.binary(min_size=1, max_size=60))
def test_any_target_has_a_path_and_a_query(target):
    request = asked(target)

    assert isinstance(request.path, bytes)
    assert isinstance(request.query, bytes)


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (b"/a?b", b"/a?b"),
        (b"https://h.example:8443/a?b=/c", b"/a?b=/c"),
        (b"http://h.example?/a", b"/?/a"),
        (b"a/b://c", b"a/b://c"),
        (b"a?b://c", b"a?b://c"),
        (b"*", b"*"),
    ],
)
def test_an_absolute_target_has_an_origin_form(target, form):
    assert origin_form(target) == form


def test_a_header_is_found_by_its_lower_case_name_however_often_it_is_there():
    request = asked(fields=[(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])

    assert request.header(b"a") == b"1"
    assert request.header(b"c") is None
    assert request.headers(b"a") == [b"1", b"3"]


def test_cookies_are_read_from_all_their_fields():
    request = asked(fields=[(b"cookie", b'a=1; b="2"; junk;c='), (b"cookie", b"a=3=4")])

    assert request.cookies(b"a") == [b"1", b"3=4"]
    assert request.cookie(b"b") == b"2"
    assert request.cookie(b"c") == b""
    assert request.cookie(b"junk") is None


def test_parameters_are_decoded_and_may_be_repeated():
    request = asked(b"/?a=1&a=%32+x&&b&%63=")

    assert request.parameters(b"a") == [b"1", b"2 x"]
    assert request.parameters(b"b") == [b""]
    assert request.parameters(b"c") == [b""]
    assert request.parameters(b"d") == []
