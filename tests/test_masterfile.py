"""Master files: what is read, what is complained of, and where."""

import os
from ipaddress import ip_address
from pathlib import Path
from textwrap import dedent

import dns.zone
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gslb.config import generate, zonecheck
from gslb.config.masterfile import MasterFileError, collisions, read
from gslb.config.mastertext import RDATA_BYTES_MAX, Limits
from gslb.dns import name, zone
from gslb.dns.records import AAAA, CNAME, DNAME, MX, NS, SOA, TXT, A
from gslb.errors import ConfigError
from gslb.model import Member, Pool, Service

APEX = name.parse("example.com.")
HEAD = """\
$TTL 300
@ SOA ns1 admin 1 7200 900 1209600 60
@ NS ns1
ns1 A 192.0.2.53
"""
HEAD_LINES = HEAD.count("\n")


@pytest.fixture
def written(tmp_path):
    """Write files by name, the zone itself as `zone`, and return its path."""

    def write_all(text, files=None):
        path = tmp_path / "example.zone"
        for filename, content in {"example.zone": text, **(files or {})}.items():
            target = tmp_path / filename
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                target.write_text(content)
        return path

    return write_all


@pytest.fixture
def rrsets(written):
    """Read a zone file below the usual head, and return its rrsets as text."""

    def of(text, files=None, **options):
        master = read(written(HEAD + text, files), APEX, **options)
        return shown(master)

    return of


@pytest.fixture
def complaints(written):
    """Read a zone file below the usual head, and return what is wrong with it."""

    def of(text, files=None, head=HEAD, **options):
        with pytest.raises(MasterFileError) as caught:
            read(written(head + text, files), APEX, **options)
        return caught.value.complaints

    return of


@pytest.fixture
def warnings(written):
    """Read a zone file below the usual head, and return what it warns of."""

    def of(text, **options):
        return read(written(HEAD + text), APEX, **options).warnings

    return of


def shown(master):
    return {
        (name.show(owner).removesuffix("example.com").removesuffix("."), rrset.type): (
            rrset.ttl_s,
            [rdata.whole for rdata in rrset.rdatas],
        )
        for owner, rrset in master.owned
    }


def wire(text):
    return name.parse(text, APEX)


def address(text):
    return ip_address(text).packed


# What is read


def test_the_head_of_a_zone_is_read(rrsets):
    assert rrsets("") == {
        ("", SOA): (
            300,
            [
                wire("ns1")
                + wire("admin")
                + b"".join(n.to_bytes(4, "big") for n in (1, 7200, 900, 1209600, 60))
            ],
        ),
        ("", NS): (300, [wire("ns1")]),
        ("ns1", A): (300, [address("192.0.2.53")]),
    }


@pytest.mark.parametrize(
    ("line", "owner", "type_", "ttl_s", "rdata"),
    [
        ("www A 192.0.2.1", "www", A, 300, address("192.0.2.1")),
        ("WWW a 192.0.2.1", "www", A, 300, address("192.0.2.1")),
        ("www 60 IN A 192.0.2.1", "www", A, 60, address("192.0.2.1")),
        ("www IN 60 A 192.0.2.1", "www", A, 60, address("192.0.2.1")),
        ("www in 1h30m A 192.0.2.1", "www", A, 5400, address("192.0.2.1")),
        ("www CLASS1 TYPE1 192.0.2.1", "www", A, 300, address("192.0.2.1")),
        ("www 2147483647 A 192.0.2.1", "www", A, 2147483647, address("192.0.2.1")),
        ("www 0 A 192.0.2.1", "www", A, 0, address("192.0.2.1")),
        ("www\tA\t192.0.2.1 ; the web", "www", A, 300, address("192.0.2.1")),
        ("www.example.com. A 192.0.2.1", "www", A, 300, address("192.0.2.1")),
        ("*.a A 192.0.2.1", "*.a", A, 300, address("192.0.2.1")),
        ("  A 192.0.2.54", "ns1", A, 300, address("192.0.2.54")),
        ("www AAAA 2001:db8::1", "www", AAAA, 300, address("2001:db8::1")),
        (r"www A \# 4 C0000201", "www", A, 300, address("192.0.2.1")),
        (r"www TYPE65280 \# 3 ( 01 02 03 )", "www", 65280, 300, b"\1\2\3"),
        (r"www TYPE65280 \# 0", "www", 65280, 300, b""),
        (r"a\.b A 192.0.2.1", r"a\.b", A, 300, address("192.0.2.1")),
        (r"a\046b A 192.0.2.1", r"a\.b", A, 300, address("192.0.2.1")),
        (r"\255 A 192.0.2.1", r"\255", A, 300, address("192.0.2.1")),
        (r'@ TXT "a b" c', "", TXT, 300, b"\3a b\1c"),
        (r'@ TXT "a;b" "(" ")" ; )', "", TXT, 300, b"\3a;b\1(\1)"),
        (r"@ TXT a\"b \(", "", TXT, 300, b'\3a"b\1('),
        (r"@ TXT \065\255", "", TXT, 300, b"\2A\xff"),
        ('@ TXT "grün"', "", TXT, 300, b"\5gr\xc3\xbcn"),
        ('@ TXT ""', "", TXT, 300, b"\0"),
        ("@ MX 10 Mail", "", MX, 300, b"\0\x0a\4Mail" + APEX),
        ("@ MX 10 mail.example.net.", "", MX, 300, b"\0\x0a" + name.parse("mail.example.net.")),
        ("old DNAME new", "old", DNAME, 300, wire("new")),
        ("www CNAME .", "www", CNAME, 300, b"\0"),
        ('@ CAA 0 issue "ca.example.net"', "", 257, 300, b"\0\5issueca.example.net"),
        ("@ HTTPS 1 . alpn=h2", "", 65, 300, b"\0\1\0\0\1\0\3\2h2"),
    ],
)
def test_a_record_is_read(rrsets, line, owner, type_, ttl_s, rdata):
    found = rrsets(line)

    assert found[owner, type_][0] == ttl_s
    assert rdata in found[owner, type_][1]


def test_an_entry_spans_lines_while_a_parenthesis_is_open(rrsets):
    found = rrsets(
        dedent("""\
        a TXT ( one ; (
                "two)"

                three )
        b ( 60
            A ) 192.0.2.1
        """)
    )

    assert found["a", TXT] == (300, [b"\3one\4two)\5three"])
    assert found["b", A] == (60, [address("192.0.2.1")])


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_newlines_are_those_of_any_system(written, newline):
    path = written((HEAD + 'www TXT "a" ; b\n').replace("\n", newline).encode())

    assert shown(read(path, APEX))["www", TXT] == (300, [b"\1a"])


def test_a_byte_order_mark_is_no_part_of_the_text(written):
    path = written(b"\xef\xbb\xbf" + HEAD.encode())

    assert ("ns1", A) in shown(read(path, APEX))


def test_a_blank_owner_is_the_last_one_and_at_first_the_origin(written):
    path = written(" 300 SOA ns1 admin 1 2 3 4 5\n NS ns1\nns1\tA 192.0.2.1\n\n \n\tTXT a\n")

    assert set(shown(read(path, APEX))) == {("", SOA), ("", NS), ("ns1", A), ("ns1", TXT)}


def test_an_origin_holds_until_the_next(rrsets):
    found = rrsets(
        dedent("""\
        $ORIGIN a
        @ A 192.0.2.1
        x A 192.0.2.2
        $origin b.example.com.
        x CNAME y
        """)
    )

    assert {("a", A), ("x.a", A), ("x.b", CNAME)} <= set(found)
    assert found["x.b", CNAME] == (300, [wire("y.b")])


@pytest.mark.parametrize(
    ("lines", "ttl_s"),
    [
        ("@ 300 SOA n a 1 2 3 4 60\nwww A 192.0.2.1", 300),
        ("@ SOA n a 1 2 3 4 60\nwww A 192.0.2.1", 60),
        ("$TTL 10\n@ 300 SOA n a 1 2 3 4 60\nwww A 192.0.2.1", 10),
        ("@ 300 SOA n a 1 2 3 4 60\n$TTL 10\nwww A 192.0.2.1", 10),
        ("@ SOA n a 1 2 3 4 4294967295\nwww A 192.0.2.1", 2147483647),
    ],
)
def test_a_record_without_a_ttl_takes_the_nearest_one_stated(written, lines, ttl_s):
    path = written(lines + "\n@ NS ns.example.net.\n")

    assert shown(read(path, APEX))["www", A][0] == ttl_s


def test_of_several_ttls_in_one_rrset_the_smallest_counts(rrsets):
    found = rrsets("www 60 A 192.0.2.1\nwww 30 A 192.0.2.2\nwww 90 A 192.0.2.3")

    assert found["www", A] == (30, [address(f"192.0.2.{n}") for n in (1, 2, 3)])


def test_records_that_differ_in_the_case_of_names_alone_are_one(rrsets):
    assert rrsets("www CNAME a\nWWW CNAME A")["www", CNAME] == (300, [wire("a")])


def test_places_are_those_of_each_rrset_s_first_record(written):
    path = written(HEAD + "\nwww TXT (\n a\n b )\n\nwww TXT c\n")

    master = read(path, APEX)

    assert master.places[wire("www"), TXT] == (str(path), HEAD_LINES + 2)
    assert master.places[APEX, SOA] == (str(path), 2)
    assert master.files == {path}
    assert master.warnings == ()


# Includes


def test_an_include_is_relative_to_the_file_it_stands_in(written):
    path = written(
        HEAD + "$INCLUDE sub/one.zone\n",
        {
            "sub/one.zone": "one A 192.0.2.1\n$INCLUDE two.zone\n",
            "sub/two.zone": "\ntwo A 192.0.2.2\n",
        },
    )

    master = read(path, APEX)

    inner = path.parent / "sub" / "two.zone"
    assert master.places[wire("two"), A] == (str(inner), 2)
    assert master.files == {path, path.parent / "sub" / "one.zone", inner}


def test_an_include_has_its_own_origin_and_leaves_the_includer_s_alone(rrsets):
    found = rrsets(
        '$INCLUDE "a zone" a\n  TXT back\nx TXT b\n',
        {"a zone": "x A 192.0.2.1\n$ORIGIN b\n$TTL 5\ny A 192.0.2.2\n"},
    )

    assert found["x.a", A][0] == 300
    assert found["y.b.a", A][0] == 5
    assert found["ns1", TXT][0] == 300
    assert found["x", TXT][0] == 300


@pytest.mark.parametrize(
    ("included", "ttl_s"),
    [
        ("$TTL 7\n@ 60 SOA n a 1 2 3 4 5\n", 7),
        ("@ 60 SOA n a 1 2 3 4 5\n", 60),
        ("@ SOA n a 1 2 3 4 5\n", 5),
    ],
)
def test_an_includer_without_a_ttl_keeps_the_include_s(written, included, ttl_s):
    path = written("$INCLUDE soa\n@ NS ns.example.net.\n", {"soa": included})

    assert shown(read(path, APEX))["", NS][0] == ttl_s


def test_a_mistake_in_an_include_is_placed_there(complaints, tmp_path):
    (one,) = complaints("$INCLUDE inner\nwww A 192.0.2.1\n", {"inner": "\n\nx A 1.2.3\n"})

    assert (one.file, one.line, one.key) == (str(tmp_path / "inner"), 3, "x.example.com A")


def test_a_missing_include_is_complained_of_where_it_is_named(complaints, tmp_path):
    (one,) = complaints("$INCLUDE inner\n")

    assert (one.file, one.line, one.key) == (
        str(tmp_path / "example.zone"),
        HEAD_LINES + 1,
        "$INCLUDE",
    )
    assert one.problem == f"cannot read {tmp_path / 'inner'}: No such file or directory"


def test_files_are_known_also_when_they_are_wrong(written):
    path = written(HEAD + "$INCLUDE inner\n")

    with pytest.raises(MasterFileError) as caught:
        read(path, APEX)

    assert caught.value.files == {path, path.parent / "inner"}


def test_an_include_loop_is_named_once(complaints, tmp_path):
    (one,) = complaints("$INCLUDE inner\n", {"inner": "$INCLUDE example.zone\n"})

    assert one.file == str(tmp_path / "inner")
    assert "included from within itself" in one.problem


def test_a_file_may_be_included_twice_but_not_in_itself(rrsets):
    found = rrsets("$INCLUDE inner a\n$INCLUDE inner b\n", {"inner": "x A 192.0.2.1\n"})

    assert {("x.a", A), ("x.b", A)} <= set(found)


def nested(depth):
    files = {f"f{n}": f"$INCLUDE f{n + 1}\n" for n in range(1, depth)}
    return "$INCLUDE f1\n", files | {f"f{depth}": "deep A 192.0.2.1\n"}


def test_includes_may_be_nested_to_a_limit_and_no_deeper(rrsets, complaints):
    assert ("deep", A) in rrsets(*nested(Limits().include_depth_max))

    (one,) = complaints(*nested(Limits().include_depth_max + 1))

    assert "nested more than 8 deep" in one.problem


def test_there_may_be_so_many_includes_and_no_more(rrsets, complaints):
    text = "$INCLUDE inner\n" * 3
    files = {"inner": "x A 192.0.2.1\n"}

    assert ("x", A) in rrsets(text, files, limits=Limits(includes_max=3))

    (one,) = complaints(text, files, limits=Limits(includes_max=2))

    assert one.line == HEAD_LINES + 3
    assert "more than 2 includes" in one.problem


# Files that cannot be read


@pytest.mark.parametrize("named_at", [None, ("zones/example.com.yaml", 2, 7, "file")])
def test_a_missing_file_is_complained_of_where_it_is_named(tmp_path, named_at):
    path = tmp_path / "absent.zone"

    with pytest.raises(ConfigError) as caught:
        read(path, APEX, named_at=named_at)

    first = caught.value.complaints[0]
    assert (first.file, first.line, first.column, first.key) == (named_at or (str(path), 1, 1, ""))
    assert len(caught.value.complaints) == 1


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "denied"])
def test_what_is_no_regular_readable_file_is_never_opened(tmp_path, kind):
    path = tmp_path / "example.zone"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path = Path("\0")

    with pytest.raises(ConfigError) as caught:
        read(path, APEX)

    assert len(caught.value.complaints) == 1


def test_a_file_may_have_so_many_bytes_and_no_more(written):
    path = written(HEAD)

    read(path, APEX, limits=Limits(file_bytes_max=len(HEAD)))

    with pytest.raises(ConfigError, match="more than"):
        read(path, APEX, limits=Limits(file_bytes_max=len(HEAD) - 1))


@pytest.mark.parametrize(
    ("octets", "line", "column"),
    [
        (HEAD.encode("utf-16"), 1, 1),
        (HEAD.encode() + b"; gr\xfcn\n", HEAD_LINES + 1, 5),
        (HEAD.encode() + b"a TXT \0", HEAD_LINES + 1, 7),
    ],
)
def test_octets_that_are_no_text_are_pointed_at(written, octets, line, column):
    with pytest.raises(ConfigError, match="is not text") as caught:
        read(written(octets), APEX)

    (one,) = caught.value.complaints
    assert (one.line, one.column) == (line, column)


# Entries that cannot be read


@pytest.mark.parametrize(
    ("line", "key", "problem", "hint"),
    [
        ("www A 192.0.2", "www.example.com A", "cannot be read", "www 300 A 192.0.2.1"),
        ("www A", "www.example.com A", "cannot be read", "www 300 A 192.0.2.1"),
        ("www A 192.0.2.1 192.0.2.2", "www.example.com A", "cannot be read", "www 300 A"),
        ("www MX mail", "www.example.com MX", "cannot be read", "MX 10 mail"),
        ("www LOC here", "www.example.com LOC", "cannot be read", "RFC that defines LOC"),
        ("www TYPE65280 x", "www.example.com TYPE65280", "cannot be read", "defines TYPE65280"),
        (r"www TYPE65280 \# 2 00", "www.example.com TYPE65280", "wrong length", "TYPE65280"),
        (r"www NS \# 2 C00C", "www.example.com NS", "cannot be read", "NS ns1"),
        ("www AAA 192.0.2.1", "", "'AAA' is not a record type", "did you mean AAAA?"),
        ("www !!! 192.0.2.1", "", "'!!!' is not a record type", "such as www 300 A"),
        ("www TYPE65536 x", "", "is not a record type", ""),
        ("www 60 60 A 192.0.2.1", "", "'60' is not a record type", ""),
        ("www IN IN A 192.0.2.1", "", "'IN' is not a record type", ""),
        ("www", "", "has no type", "such as"),
        ("www IN 60", "", "has no type", "such as"),
        ('www "A" 192.0.2.1', "", "has no type", "such as"),
        ("www CH A 192.0.2.1", "", "the class is CH, not IN", "class IN only"),
        ("www ANY A 192.0.2.1", "", "the class is ANY, not IN", "class IN only"),
        ("www IN ANY x", "", "for questions", "take"),
        ("www AXFR x", "", "for questions", "take"),
        ("www OPT x", "", "for questions", "take"),
        ("www TYPE0 x", "", "for questions", "take"),
        ("www 2147483648 A 192.0.2.1", "", "2147483648 is not a TTL", "0 to 2147483647"),
        ("www 4294967296 A 192.0.2.1", "", "is not a TTL", "0 to 2147483647"),
        ("www 1x A 192.0.2.1", "", "1x is not a TTL", "1h30m"),
        (f"www {'9' * 5000} A 192.0.2.1", "", "is not a TTL", "1h30m"),
        ('"www" A 192.0.2.1', "", "in quotes", "take the quotes away"),
        ("a..b A 192.0.2.1", "", "has an empty label", ""),
        (f"{'a' * 64} A 192.0.2.1", "", "longer than 63", ""),
        ("grün A 192.0.2.1", "", "not ASCII", ""),
        ("www CNAME a.grün", "www.example.com CNAME", "not ASCII", "CNAME"),
        ("www TXT \\", "www.example.com TXT", "cannot be read", "TXT"),
        ('www TXT "a', "www.example.com TXT", "cannot be read", "TXT"),
        (r"www TXT \256", "www.example.com TXT", "cannot be read", "TXT"),
        ("www A ) 192.0.2.1", "www.example.com A", "cannot be read", "A"),
        (") www A 192.0.2.1", "", "", "RFC 1035"),
        ("www A ( 192.0.2.1", "", "never closed", "close it"),
        (" $TTL 300", "", "is not a record type", "first column"),
        ("$TTL", "$TTL", "lacks its argument", "$TTL 300"),
        ("$TTL -1", "$TTL", "is not a TTL", "1h30m"),
        ("$TTL 300 300", "$TTL", "expected EOL", ""),
        ("$ORIGIN a..b", "$ORIGIN", "empty label", ""),
        ("$INCLUDE inner a..b", "$INCLUDE", "empty label", ""),
        ("$INCLUDE inner a b", "$INCLUDE", "expected EOL", ""),
        ("$INCLUD inner", "$INCLUD", "not a known directive", "did you mean $INCLUDE?"),
        ("$WHATEVER", "$WHATEVER", "not a known directive", "known are $ORIGIN, $TTL"),
        ("www.example.net. A 192.0.2.1", "www.example.net A", "outside the zone", "dot"),
        ("com. A 192.0.2.1", "com A", "outside the zone", "dot"),
        ("$GENERATE 1-2", "$GENERATE", "", ""),
        ("$GENERATE 1-2 a$", "$GENERATE", "has no type", ""),
        ("$GENERATE x a$ A 192.0.2.$", "$GENERATE", "is not a range", ""),
        ("$GENERATE 2-1 a$ A 192.0.2.$", "$GENERATE", "is empty", ""),
        ("$GENERATE 1-2/0 a$ A 192.0.2.$", "$GENERATE", "no step", ""),
        ("$GENERATE 255-256 a$ A 192.0.2.$", "a256.example.com A", "cannot be read", "A"),
        ("$GENERATE 1-2 a.$.b A 192.0.2.${", "a.1.b.example.com A", "after ${", ""),
    ],
)
def test_what_cannot_be_read_is_complained_of_at_its_line(
    complaints, tmp_path, line, key, problem, hint
):
    found = complaints(line + "\n")

    assert len(found) == 1
    assert (found[0].file, found[0].line) == (str(tmp_path / "example.zone"), HEAD_LINES + 1)
    assert found[0].key == key
    assert problem in found[0].problem
    assert hint in found[0].hint
    assert found[0].problem
    assert found[0].hint


def test_one_mistake_does_not_hide_the_next(complaints):
    found = complaints("a A x\nb A 192.0.2.1\nc AAA x\nd A (\n y )\n")

    assert [one.line - HEAD_LINES for one in found] == [1, 3, 5]


def test_a_record_without_any_ttl_is_complained_of(complaints):
    (one,) = complaints("@ NS ns.example.net.\n", head="")

    assert one.problem == "the record has no TTL"
    assert one.hint.startswith("write $TTL")


def test_nothing_is_missing_while_an_entry_cannot_be_read(complaints):
    (one,) = complaints("@ SOA x\n", head="")

    assert one.line == 1


def test_complaints_end_at_a_limit(complaints):
    found = complaints("www A x\n" * 3, limits=Limits(complaints_max=4))
    assert len(found) == 3

    found = complaints("www A x\n" * 3 + "y A x\n", limits=Limits(complaints_max=3))
    assert len(found) == 4
    assert "reading stops here, after 3 complaints" in {one.problem for one in found}


def test_complaints_about_the_zone_end_at_a_limit_too(complaints):
    text = "".join(f"a{n} CNAME b\na{n} TXT c\n" for n in range(4))

    assert len(complaints(text, limits=Limits(complaints_max=4))) == 4

    found = complaints(text, limits=Limits(complaints_max=3))
    assert len(found) == 4
    assert "1 more like these" in {one.problem for one in found}


def test_there_may_be_so_many_records_and_no_more(rrsets, complaints):
    text = "a A 192.0.2.1\nb A 192.0.2.1\nc A 192.0.2.1\n"

    assert ("c", A) in rrsets(text, limits=Limits(records_max=6))

    (one,) = complaints(text, limits=Limits(records_max=5))
    assert (one.line, one.problem) == (HEAD_LINES + 3, "there are more than 5 records")


def test_data_may_have_65535_octets_and_no_more(rrsets, complaints):
    longest = "00" * zonecheck.RRSET_BYTES_MAX

    (one,) = complaints(rf"www TYPE65280 \# {zonecheck.RRSET_BYTES_MAX} {longest}" + "\n")
    assert "take 64012 octets" in one.problem

    (one,) = complaints(rf"www TYPE65280 \# {RDATA_BYTES_MAX} {'00' * RDATA_BYTES_MAX}" + "\n")
    assert "take" in one.problem

    (one,) = complaints(rf"www TYPE65280 \# 65536 {'00' * 65536}" + "\n")
    assert one.problem == "the data is longer than 65535 octets"


def test_an_rrset_may_fill_a_message_and_no_more(rrsets, complaints):
    fits = zonecheck.RRSET_BYTES_MAX // 16

    def text(count):
        return "".join(f"www A 10.0.{n // 256}.{n % 256}\n" for n in range(count))

    assert len(rrsets(text(fits))["www", A][1]) == fits

    (one,) = complaints(text(fits + 1))
    assert f"the {fits + 1} records take" in one.problem


# $GENERATE


def test_a_line_generates_records(rrsets):
    found = rrsets(
        dedent("""\
        $GENERATE 1-3 host-$ A 192.0.2.$
        $GENERATE 0-4/2 ${0,3}.x 60 IN CNAME h${10,2,x}.y
        $GENERATE 1-1 m IN 60 MX 10 mail.$$
        $GENERATE 1-1 t TXT "a b"
        """)
    )

    assert found["host-3", A] == (300, [address("192.0.2.3")])
    assert [owner for owner, _ in found if owner.endswith(".x")] == ["000.x", "002.x", "004.x"]
    assert found["004.x", CNAME] == (60, [wire("h0e.y")])
    assert found["m", MX] == (60, [b"\0\x0a" + wire(r"mail.\$")])
    assert found["t", TXT] == (300, [b"\1a\1b"])


def test_a_line_generates_so_many_records_and_no_more(rrsets, complaints):
    line = "$GENERATE 1-3 host-$ A 192.0.2.$\n"

    assert ("host-3", A) in rrsets(line, limits=Limits(generate_max=3))

    (one,) = complaints(line, limits=Limits(generate_max=2))
    assert "makes 3 records, more than 2" in one.problem


@pytest.mark.parametrize(
    ("template", "number", "text"),
    [
        ("a", 7, "a"),
        ("$", 7, "7"),
        ("$$", 7, "$"),
        (r"\$", 7, r"\$"),
        ("${1}", 7, "8"),
        ("${-8}", 7, "-1"),
        ("${+1,3}", 7, "008"),
        ("${0,4,x}", 255, "00ff"),
        ("${0,4,X}", 255, "00FF"),
        ("${0,0,o}", 8, "10"),
        ("${0,3,n}", 0x1F, "f.1"),
        ("${0,4,n}", 0x1F, "f.1."),
        ("${0,6,N}", 0x1F, "F.1.0."),
        ("${0,2,n}", 0x1F, "f.1"),
        ("${0,0,n}", 0, "0"),
        (f"${{0,{generate.WIDTH_MAX}}}", 1, "1".zfill(generate.WIDTH_MAX)),
    ],
)
def test_a_template_is_filled(template, number, text):
    assert generate.text(template, number) == text


@pytest.mark.parametrize(
    "template", ["${", "${x}", "${1,2,q}", f"${{0,{generate.WIDTH_MAX + 1}}}", "${-8,1,n}"]
)
def test_a_template_that_means_nothing_is_an_error(template):
    with pytest.raises(ValueError, match=r"."):
        generate.text(template, 7)


# The zone as a whole


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ["example.com NS", "example.com SOA"]),
        ("@ NS ns1\nns1 A 192.0.2.1\n", ["example.com SOA"]),
        ("@ SOA a b 1 2 3 4 5\n", ["example.com NS"]),
    ],
)
def test_a_zone_needs_an_soa_and_name_servers(complaints, text, keys):
    found = complaints(text, head="$TTL 1\n")

    assert [one.key for one in found] == keys
    assert all(one.line == 1 and one.hint.startswith("write such as example.com.") for one in found)


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("@ SOA ns1 admin 2 2 3 4 5", "example.com SOA", "2 different SOA records"),
        ("sub SOA ns1 admin 1 2 3 4 5", "sub.example.com SOA", "away from the apex"),
        ("a CNAME b\na A 192.0.2.1", "a.example.com CNAME", "beside other data: A"),
        ("a A 192.0.2.1\na CNAME b", "a.example.com CNAME", "beside other data: A"),
        ("a CNAME b\na CNAME c", "a.example.com CNAME", "2 different CNAME records"),
        ("a CNAME b\na DNAME c", "a.example.com CNAME", "beside other data: DNAME"),
        ("@ CNAME b", "example.com CNAME", "beside other data: NS, SOA"),
        ("a DNAME b\na DNAME c", "a.example.com DNAME", "2 different DNAME records"),
        ("*.a DNAME b", "*.a.example.com DNAME", "wildcard"),
        ("*.a NS ns.example.net.", "*.a.example.com NS", "wildcard"),
        ("a NS ns.example.net.\na DNAME b", "a.example.com DNAME", "at a delegated name"),
        ("a NS ns.a", "a.example.com NS", "ns.a.example.com is below its own delegation"),
        ("a NS a", "a.example.com NS", "a.example.com is below its own delegation"),
    ],
)
def test_what_no_server_can_answer_from_is_complained_of(complaints, text, key, problem):
    (one,) = complaints(text + "\n")

    assert one.key == key
    assert problem in one.problem


@pytest.mark.parametrize(
    "text",
    [
        "@ SOA ns1 admin 1 7200 900 1209600 60",
        "a CNAME b\na CNAME b",
        "a CNAME b\na KEY 0 3 8 AAAA",
        "a NS ns.a\nns.a A 192.0.2.1",
        "a NS a\na AAAA 2001:db8::1",
        "a NS ns.example.net.",
        "a NS ns.b\nb NS ns.b\nns.b A 192.0.2.1",
        "a NS b\nb NS ns.example.net.",
        "a NS x.b\n*.b A 192.0.2.1",
        "a NS x.b\nb DNAME c",
        "@ DNAME example.net.",
        "a.example.com. A 192.0.2.1",
    ],
)
def test_what_is_right_says_nothing(written, text):
    if "DNAME example.net" in text:
        head = HEAD.replace("NS ns1", "NS ns.example.net.").replace("ns1 A 192.0.2.53\n", "")
    else:
        head = HEAD

    assert read(written(head + text + "\n"), APEX).warnings == ()


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("@ NS ns2", "example.com NS", "ns2.example.com is inside the zone and has no address"),
        ("a NS x.b", "a.example.com NS", "x.b.example.com is inside the zone"),
        ("a NS c\nc CNAME ns1", "a.example.com NS", "c.example.com is inside the zone"),
        (
            "a NS ns.example.net.\nx.a TXT a\ny.x.a A 192.0.2.1",
            "a.example.com NS",
            "1 names below it are never answered: x.a.example.com",
        ),
        (
            "a DNAME b\nw.a A 192.0.2.1\nx.a A 192.0.2.1\ny.a A 192.0.2.1\nz.a A 192.0.2.1",
            "a.example.com DNAME",
            "4 names below it are never answered: w.a.example.com, x.a.example.com,"
            " y.a.example.com, …",
        ),
        ("a.example.com A 192.0.2.1", "a.example.com.example.com A", "twice"),
        ("a NSEC b A\nb DNSKEY 256 3 8 AAAA", "a.example.com NSEC", "2 DNSSEC rrsets"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(warnings, text, key, problem):
    (one,) = warnings(text + "\n")

    assert one.key == key
    assert problem in one.problem


def test_a_name_server_that_is_a_service_has_addresses(warnings):
    assert warnings("@ NS www\n@ NS x.y\n", services=[wire("www"), wire("*.y")]) == ()


def test_warnings_end_at_a_limit(warnings):
    text = "".join(f"a{n}.example.com A 192.0.2.1\n" for n in range(4))

    assert len(warnings(text, limits=Limits(complaints_max=4))) == 4
    assert len(warnings(text, limits=Limits(complaints_max=3))) == 4


def test_the_root_zone_can_be_read(written):
    text = ". 300 SOA a. b. 1 2 3 4 5\n. 300 NS a.\na. 300 A 192.0.2.1\ncom. 300 NS a.\n"

    master = read(written(text), name.ROOT)

    assert zone.build(name.ROOT, master.owned, ()).nodes.keys() == {
        name.ROOT,
        name.parse("a."),
        name.parse("com."),
    }


# Services beside static records

PLACE = ("zones/example.com.yaml", 7, 3, "services.www")


def service(owner, *addresses):
    members = tuple(Member(text if text[-1].isalpha() else ip_address(text)) for text in addresses)
    wire_name = wire(owner)
    return Service(
        name=wire_name, text=name.show(wire_name), zone=APEX, pools=(Pool("eu", members),)
    )


@pytest.mark.parametrize(
    ("text", "owner", "addresses", "problem"),
    [
        ("www A 192.0.2.1", "www", ["192.0.2.2"], "has static A records as well"),
        ("www AAAA 2001:db8::1", "www", ["2001:db8::2"], "has static AAAA records as well"),
        ("*.a A 192.0.2.1", "*.a", ["192.0.2.2"], "has static A records as well"),
        ("www CNAME a", "www", ["192.0.2.2"], "is a static CNAME as well"),
        ("www DNAME a", "www", ["192.0.2.2"], "is a static DNAME as well"),
        ("www TXT a", "www", ["web.example.net"], "has a static TXT record beside them"),
        ("www CNAME a", "www", ["web.example.net"], "has a static CNAME record beside them"),
        ("www NS ns.example.net.", "www", ["192.0.2.2"], "is delegated by an NS record"),
        ("www NS ns.example.net.", "www", ["web.example.net"], "is delegated by an NS record"),
        ("a NS ns.example.net.", "x.y.a", ["192.0.2.2"], "a.example.com has NS records"),
        ("a DNAME b", "x.a", ["192.0.2.2"], "a.example.com has DNAME records"),
        ("@ DNAME example.net.", "x.a", ["192.0.2.2"], "example.com has DNAME records"),
        ("@ A 192.0.2.1", "@", ["192.0.2.2"], "has static A records as well"),
    ],
)
def test_a_service_and_static_records_that_collide_are_an_error(
    written, text, owner, addresses, problem
):
    path = written(HEAD + text + "\n")

    (one,) = collisions(read(path, APEX), APEX, [(service(owner, *addresses), PLACE)])

    assert (one.file, one.line, one.column, one.key) == PLACE
    assert one.problem.startswith(service(owner, *addresses).text + " ")
    assert problem in one.problem
    assert one.problem.endswith(f"in {path}:{HEAD_LINES + 1}")


@pytest.mark.parametrize(
    ("text", "owner", "addresses"),
    [
        ("www MX 10 a\nwww TXT b\nwww CAA 0 issue a", "www", ["192.0.2.2", "2001:db8::1"]),
        ("www A 192.0.2.1", "www", ["2001:db8::2"]),
        ("www AAAA 2001:db8::1", "www", ["192.0.2.1"]),
        ("www A 192.0.2.1", "*", ["192.0.2.2"]),
        ("", "@", ["192.0.2.2"]),
        ("x.www A 192.0.2.1", "www", ["web.example.net"]),
        ("a NS ns.example.net.", "b", ["192.0.2.2"]),
    ],
)
def test_a_service_and_static_records_of_other_types_stand_together(
    written, text, owner, addresses
):
    master = read(written(HEAD + text + "\n"), APEX)

    assert collisions(master, APEX, [(service(owner, *addresses), PLACE)]) == []


def test_every_collision_of_every_service_is_found(written):
    master = read(written(HEAD + "a A 192.0.2.1\nb TXT c\nb MX 1 d\n"), APEX)
    services = [(service("a", "192.0.2.1"), PLACE), (service("b", "web.example.net"), PLACE)]

    found = collisions(master, APEX, services)

    assert len(found) == 3


# Always


owners = st.sampled_from(["@", "a", "b", "*.a", "A.B", "", r"x\.y", "z.example.com.", "b.a"])
datas = st.sampled_from(
    [
        "A 192.0.2.1",
        "A 192.0.2.2",
        "AAAA 2001:db8::1",
        "MX 10 a",
        "TXT a (b\n c) ; d",
        'TXT "a;b"',
        r"TYPE65280 \# 2 0102",
        "SRV 0 0 1 a.b",
        "PTR @",
    ]
)
ttls = st.sampled_from(["", "60", "IN", "IN 90", "1m IN", "in"])
lines = st.one_of(
    st.builds("{} {} {}".format, owners, ttls, datas),
    st.sampled_from(
        ["$ORIGIN a", "$ORIGIN example.com.", "$TTL 30", "$GENERATE 1-3 g$ A 192.0.2.$"]
    ),
    st.sampled_from(["", "; a comment (", "   "]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(lines, max_size=12))
def test_a_file_means_what_dnspython_takes_it_to_mean(written, chosen):
    text = HEAD.removeprefix("$TTL 300\n").replace(" SOA", " 300 SOA") + "\n".join(chosen) + "\n"

    ours = read(written(text), APEX)

    theirs = dns.zone.from_text(text, "example.com.", relativize=False, check_origin=False)
    expected = {
        (owner.to_wire().lower(), int(rdataset.rdtype)): (
            rdataset.ttl,
            sorted(rdata.to_wire() for rdata in rdataset),
        )
        for owner, rdataset in theirs.iterate_rdatasets()
    }
    got = {
        (owner, rrset.type): (rrset.ttl_s, sorted(rdata.whole for rdata in rrset.rdatas))
        for owner, rrset in ours.owned
    }
    assert got == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='$@ab.*()";\\ \n\t0129INAMXTYPE#{},-é', max_size=120).map(str.encode),
        st.text(max_size=60).map(str.encode),
    )
)
def test_whatever_stands_in_a_file_it_is_read_or_complained_of(written, octets):
    path = written(HEAD.encode() + octets)

    try:
        master = read(path, APEX)
    except MasterFileError as error:
        complaints = error.complaints
    else:
        zone.build(APEX, master.owned, ())
        complaints = master.warnings

    assert all(complaint.problem and complaint.hint for complaint in complaints)
