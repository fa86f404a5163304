"""Names in wire form: parsed, shown, taken apart."""

import dns.exception
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns import name

EXAMPLE = b"\7example\3com\0"

labels = st.binary(min_size=1, max_size=name.LABEL_MAX)
wires = (
    st.lists(labels, max_size=8)
    .map(lambda parts: b"".join(bytes((len(part),)) + part for part in parts) + name.ROOT)
    .filter(lambda wire: len(wire) <= name.NAME_MAX)
)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("www", b"\3www" + EXAMPLE),
        ("WWW", b"\3www" + EXAMPLE),
        ("a.b", b"\1a\1b" + EXAMPLE),
        ("www.example.net.", b"\3www\7example\3net\0"),
        ("@", EXAMPLE),
        (".", b"\0"),
        ("*", b"\1*" + EXAMPLE),
        (r"a\.b", b"\3a.b" + EXAMPLE),
        (r"a\.", b"\2a." + EXAMPLE),
        (r"\@", b"\1@" + EXAMPLE),
        (r"\065", b"\1a" + EXAMPLE),
        (r"\000\255", b"\2\0\xff" + EXAMPLE),
        (r"\\", b"\1\\" + EXAMPLE),
        ("a b", b"\3a b" + EXAMPLE),
        ("a" * 63, b"\x3f" + b"a" * 63 + EXAMPLE),
    ],
)
def test_text_becomes_lower_case_wire_form(text, wire):
    assert name.parse(text, EXAMPLE) == wire


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty label"),
        ("..", "empty label"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a" * 64, "longer than 63"),
        ("a" * 64 + ".b", "longer than 63"),
        ("grün", "not ASCII"),
        ("a\\", "lone backslash"),
        (r"\256", "not an octet"),
        (r"\25", "not an octet"),
        (r"\2x5", "not an octet"),
    ],
)
def test_what_is_no_name_says_why(text, problem):
    with pytest.raises(ValueError, match=problem):
        name.parse(text)


def test_a_name_may_have_255_octets_and_no_more():
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61]) + "."

    assert len(name.parse(longest)) == name.NAME_MAX

    with pytest.raises(ValueError, match="longer than 255"):
        name.parse(longest[:-1] + "d.")
    with pytest.raises(ValueError, match="longer than 255"):
        name.parse(longest[:-1], EXAMPLE)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"\0", "."),
        (EXAMPLE, "example.com"),
        (b"\3a.b\0", r"a\.b"),
        (b"\1@\0", r"\@"),
        (b"\3 \x7f\xff\0", r"\032\127\255"),
        (b'\5"\\();\0', r"\"\\\(\)\;"),
        (b"\2*$\0", r"*\$"),
    ],
)
def test_a_name_is_shown_without_its_last_dot(wire, text):
    assert name.show(wire) == text


@given(wires)
def test_what_is_shown_parses_to_the_same_name(wire):
    shown = name.show(wire)

    assert name.parse(shown) == wire.lower()
    assert shown.isascii()
    assert shown.isprintable()


@given(wires)
def test_dnspython_reads_what_is_shown(wire):
    assert dns.name.from_text(name.show(wire)).to_wire() == wire


texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=r"aB\.012@*-_ é", max_size=40),
    st.lists(st.integers(1, 64), max_size=6).map(lambda sizes: ".".join("x" * n for n in sizes)),
)


@given(texts, st.sampled_from([name.ROOT, EXAMPLE]))
def test_any_text_is_a_name_or_a_value_error_as_dnspython_has_it(text, origin):
    try:
        ours = name.parse(text, origin)
    except ValueError:
        ours = None

    try:
        theirs = dns.name.from_text(text, dns.name.from_wire(origin, 0)[0]).to_wire().lower()
    except (dns.exception.DNSException, ValueError):
        theirs = None

    if text.isascii() and text:
        assert ours == theirs
    else:
        assert ours is None


@given(wires)
def test_labels_parents_and_ancestors_agree(wire):
    parts = list(name.labels(wire))
    above = list(name.ancestors(wire))

    assert len(above) == len(parts) + 1
    assert above[0] == wire
    assert above[-1] == name.ROOT
    assert [name.parent(each) for each in above[:-1]] == above[1:]
    assert [each[1 : 1 + each[0]] for each in above[:-1]] == parts


@pytest.mark.parametrize(
    ("text", "apex", "within"),
    [
        ("example.com.", "example.com.", True),
        ("a.b.example.com.", "example.com.", True),
        ("xexample.com.", "example.com.", False),
        ("com.", "example.com.", False),
        ("example.net.", "example.com.", False),
        (".", ".", True),
        ("com.", ".", True),
        # ends in the apex's octets, but not at a label
        (r"a\007example.com.", "example.com.", False),
    ],
)
def test_within_a_zone_is_told_label_by_label(text, apex, within):
    assert name.is_within(name.parse(text), name.parse(apex)) is within


@given(wires, wires)
def test_within_is_what_dnspython_calls_a_subdomain(wire, apex):
    wire, apex = wire.lower(), apex.lower()
    ours = name.is_within(wire, apex)

    theirs = dns.name.from_wire(wire, 0)[0].is_subdomain(dns.name.from_wire(apex, 0)[0])

    assert ours == theirs
    assert name.is_within(wire, name.ROOT)
