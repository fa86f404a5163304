"""Any datagram decodes to a query or to a WireError that says what to answer with."""

from struct import pack

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gslb.dns.edns import ClientSubnet, Edns
from gslb.dns.message import BADVERS, FORMERR, NOTIMP, REFUSED, Query, decode_query
from gslb.errors import WireError

WWW = b"\x03wWw\x07Example\x03COM\x00"
QUESTION = WWW + b"\x00\x01\x00\x01"
ENTRY = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04abcd"  # some A record


def header(flags=0x0100, questions=1, answers=0, authorities=0, additionals=0):
    return pack(">HHHHHH", 0x1234, flags, questions, answers, authorities, additionals)


def opt(rdata=b"", payload=1232, ttl=0, owner=b"\x00"):
    return owner + pack(">HHIH", 41, payload, ttl, len(rdata)) + rdata


def option(code, octets):
    return pack(">HH", code, len(octets)) + octets


def with_opt(rdata=b"", **keys):
    return decode_query(header(additionals=1) + QUESTION + opt(rdata, **keys))


def real_query():
    options = [
        dns.edns.ECSOption("192.0.2.0", 24),
        dns.edns.GenericOption(10, b"12345678"),
        dns.edns.GenericOption(3, b""),
    ]
    return dns.message.make_query(
        "www.example.com", "AAAA", use_edns=0, payload=1400, want_dnssec=True, options=options
    ).to_wire()


REAL = real_query()


# What a good query says.


def test_a_plain_query():
    query = decode_query(header() + QUESTION)

    assert query == Query(0x1234, 0x0100, QUESTION, WWW.lower(), 1, 1)


def test_the_question_keeps_its_case_and_the_key_has_none():
    query = decode_query(header() + QUESTION)

    assert query.question[:-4] == WWW
    assert query.key == b"\x03www\x07example\x03com\x00"


def test_labels_are_octets_and_only_ascii_letters_have_a_case():
    query = decode_query(header() + b"\x05\xc0A\x00.\xe9\x00\x00\x01\x00\x01")

    assert query.key == b"\x05\xc0a\x00.\xe9\x00"


def test_the_root_can_be_asked_for():
    assert decode_query(header() + b"\x00\x00\x02\x00\x01").key == b"\x00"


def test_a_real_query_with_everything():
    query = decode_query(REAL)

    assert query.type == 28
    assert query.wrong is None
    assert query.edns == Edns(
        1400,
        do=True,
        subnet=ClientSubnet(1, 24, 0xC0000200, b"\xc0\x00\x02"),
        nsid=True,
        cookie=b"12345678",
    )


def test_records_beside_the_opt_record_are_passed_over():
    wire = header(answers=1, authorities=1, additionals=3)
    wire += QUESTION + ENTRY * 2 + ENTRY + opt(payload=700) + ENTRY

    query = decode_query(wire)

    assert (query.edns, query.wrong) == (Edns(700), None)


def test_an_authority_section_without_edns_is_passed_over():
    query = decode_query(header(authorities=1) + QUESTION + b"\x01a" + ENTRY)

    assert (query.edns, query.wrong) == (None, None)


# What is no query.


@pytest.mark.parametrize("length", range(12))
def test_what_is_shorter_than_a_header_gets_silence(length):
    assert rcode_of((header() + QUESTION)[:length]) is None


def test_a_response_gets_silence():
    assert rcode_of(header(flags=0x8100) + QUESTION) is None


@pytest.mark.parametrize("opcode", range(1, 16))
@pytest.mark.parametrize("rest", [header()[4:] + QUESTION, header(questions=0)[4:], b"\xff" * 8])
def test_other_opcodes_are_refused_cleanly_with_or_without_a_question(opcode, rest):
    wire = header(flags=opcode << 11)[:4] + rest

    expected = REFUSED if opcode in (dns.opcode.NOTIFY, dns.opcode.UPDATE) else NOTIMP
    assert rcode_of(wire) == expected


@pytest.mark.parametrize("questions", [0, 2, 3, 65_535])
def test_there_is_one_question(questions):
    assert rcode_of(header(questions=questions) + QUESTION * 2) == FORMERR


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\x03www",
        b"\x03www\x07example\x03com\x00",
        b"\x03www\x07example\x03com\x00\x00\x01\x00",
        b"\xc0\x0c\x00\x01\x00\x01",
        b"\x03www\xc0\x0c\x00\x01\x00\x01",
        b"\x40" + b"a" * 64 + b"\x00\x00\x01\x00\x01",
        b"\x80\x00\x00\x01\x00\x01",
        b"\xff",
    ],
)
def test_a_broken_question_is_a_format_error(question):
    assert rcode_of(header() + question) == FORMERR


def test_a_name_of_255_octets_is_the_longest():
    longest = b"\x3f" + b"a" * 63
    longest = longest * 3 + b"\x3d" + b"b" * 61 + b"\x00"
    too_long = longest[:-63] + b"\x3e" + b"b" * 62 + b"\x00"
    assert (len(longest), len(too_long)) == (255, 256)

    assert decode_query(header() + longest + b"\x00\x01\x00\x01").key == longest
    assert rcode_of(header() + too_long + b"\x00\x01\x00\x01") == FORMERR


def test_a_name_of_127_labels_is_a_name():
    name = b"\x01a" * 127 + b"\x00"

    assert decode_query(header() + name + b"\x00\x01\x00\x01").key == name


def rcode_of(wire):
    with pytest.raises(WireError) as caught:
        decode_query(wire)
    return caught.value.rcode


# What is wrong behind the question: told by `wrong`, so that the question can be repeated.


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(header() + QUESTION + b"\x00", id="an octet too many"),
        pytest.param(header(additionals=1) + QUESTION + opt() + b"\x00", id="one behind the OPT"),
        pytest.param(header(additionals=1) + QUESTION, id="a record that is not there"),
        pytest.param(header(additionals=2) + QUESTION + opt(), id="a second one that is not"),
        pytest.param(header(additionals=65_535) + QUESTION + opt(), id="65535 of them"),
        pytest.param(header(additionals=1) + QUESTION + opt()[:-1], id="a record cut short"),
        pytest.param(header(additionals=1) + QUESTION + opt(b"1234")[:-1], id="rdata cut short"),
        pytest.param(header(additionals=1) + QUESTION + b"\xc0", id="a pointer cut short"),
        pytest.param(header(additionals=1) + QUESTION + b"\x03ab", id="an owner cut short"),
        pytest.param(header(additionals=1) + QUESTION + b"\x40" + b"a" * 99, id="a long label"),
        pytest.param(header(additionals=2) + QUESTION + opt() * 2, id="two OPT"),
        pytest.param(header(answers=1) + QUESTION + opt(), id="OPT as an answer"),
        pytest.param(header(authorities=1) + QUESTION + opt(), id="OPT as authority"),
        pytest.param(
            header(additionals=1) + QUESTION + opt(owner=b"\x01a\x00"), id="OPT with an owner"
        ),
        pytest.param(
            header(additionals=1) + QUESTION + opt(owner=b"\xc0\x1c"), id="OPT with a pointer"
        ),
    ],
)
def test_a_query_with_a_broken_tail_is_a_format_error_that_repeats_its_question(wire):
    query = decode_query(wire)

    assert query.wrong == FORMERR
    assert query.question == QUESTION


def test_an_opt_record_is_answered_by_one_also_where_another_thing_is_wrong():
    two = decode_query(header(additionals=2) + QUESTION + opt(payload=600) * 2)
    trailing = decode_query(header(additionals=1) + QUESTION + opt(payload=600) + b"x")

    assert (two.edns, two.wrong) == (Edns(600), FORMERR)
    assert (trailing.edns, trailing.wrong) == (Edns(600), FORMERR)


@pytest.mark.parametrize("version", [1, 2, 255])
def test_an_unknown_version_of_edns_is_told_ours(version):
    query = with_opt(option(3, b""), ttl=version << 16 | 0x8000)

    assert query.wrong == BADVERS
    assert query.edns == Edns(1232, do=True)


@pytest.mark.parametrize(("asked", "payload"), [(0, 512), (511, 512), (512, 512), (65535, 65535)])
def test_a_payload_below_512_counts_as_512(asked, payload):
    assert with_opt(payload=asked).edns == Edns(payload)


@pytest.mark.parametrize(
    ("ttl", "do"), [(0, False), (0x8000, True), (0x7FFF, False), (0xFF000000, False)]
)
def test_of_the_flags_do_is_read_and_all_others_are_ignored(ttl, do):
    query = with_opt(ttl=ttl)

    assert (query.edns, query.wrong) == (Edns(1232, do=do), None)


@pytest.mark.parametrize(
    "rdata",
    [
        option(65_001, b"x" * 50),
        option(65_001, b"") * 200,
        option(12, bytes(100)),
        option(3, b"an NSID that nobody should send"),
        option(3, b"") * 2,
        option(11, b"") * 2,
        option(10, b"12345678"),
        option(10, b"1" * 16),
        option(10, b"1" * 40),
    ],
)
def test_options_that_are_unknown_repeated_or_not_ours_do_no_harm(rdata):
    assert with_opt(rdata).wrong is None


@pytest.mark.parametrize(
    "rdata",
    [b"\x00", b"\x00\x03\x00", b"\x00\x03\x00\x01", option(3, b"") + b"\x00\x00\x00"],
)
def test_an_option_cut_short_is_a_format_error(rdata):
    query = with_opt(rdata)

    assert (query.wrong, query.edns) == (FORMERR, Edns(1232))


@pytest.mark.parametrize("length", [0, 1, 7, 9, 15, 41])
def test_a_cookie_of_a_wrong_length_is_a_format_error(length):
    assert with_opt(option(10, bytes(length))).wrong == FORMERR


@pytest.mark.parametrize("length", [8, 16, 24, 40])
def test_a_cookie_is_kept_as_it_came(length):
    assert with_opt(option(10, bytes(range(length)))).edns.cookie == bytes(range(length))


def test_all_cookies_but_the_first_are_passed_over():
    query = with_opt(option(10, b"12345678") + option(10, bytes(8)) + option(10, b"x"))

    assert (query.wrong, query.edns.cookie) == (None, b"12345678")


def test_a_query_without_a_question_may_ask_for_a_cookie():
    wire = header(questions=0, additionals=1) + opt(option(10, b"12345678"))

    query = decode_query(wire)

    assert (query.question, query.key, query.wrong) == (b"", b"", None)
    assert query.edns == Edns(1232, cookie=b"12345678")


@pytest.mark.parametrize(
    "rest",
    [b"", opt(), opt(option(10, b"short")), opt(option(10, b"12345678")) + b"!", b"\x01"],
)
def test_a_query_without_a_question_and_without_a_good_cookie_is_a_format_error(rest):
    with pytest.raises(WireError) as caught:
        decode_query(header(questions=0, additionals=1 if rest else 0) + rest)

    assert caught.value.rcode == FORMERR


def test_nsid_and_keepalive_are_asked_for():
    assert with_opt(option(3, b"") + option(11, b"")).edns == Edns(1232, nsid=True, keepalive=True)


# EDNS client subnet (RFC 7871 6 and 7.1).


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"\x00\x01\x18\x00\xc0\x00\x02", ClientSubnet(1, 24, 0xC0000200, b"\xc0\x00\x02")),
        (b"\x00\x01\x20\x00\xc0\x00\x02\x01", ClientSubnet(1, 32, 0xC0000201, b"\xc0\x00\x02\x01")),
        (b"\x00\x01\x01\x00\x80", ClientSubnet(1, 1, 1 << 31, b"\x80")),
        (b"\x00\x01\x00\x00", ClientSubnet(1, 0, 0, b"")),
        (b"\x00\x02\x00\x00", ClientSubnet(2, 0, 0, b"")),
        (b"\x00\x00\x00\x00", ClientSubnet(0, 0, 0, b"")),
        (
            b"\x00\x02\x38\x00\x20\x01\x0d\xb8\x00\x00\x01",
            ClientSubnet(2, 56, 0x20010DB8000001 << 72, b"\x20\x01\x0d\xb8\x00\x00\x01"),
        ),
        (b"\x00\x02\x80\x00" + b"\xff" * 16, ClientSubnet(2, 128, (1 << 128) - 1, b"\xff" * 16)),
    ],
)
def test_a_client_subnet(octets, expected):
    query = with_opt(option(8, octets))

    assert (query.edns.subnet, query.wrong) == (expected, None)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\x01\x18", id="no scope"),
        pytest.param(b"\x00\x03\x08\x00\x01", id="an unknown family"),
        pytest.param(b"\x00\x03\x00\x00", id="an unknown family without an address"),
        pytest.param(b"\xff\xff\x00\x00", id="family 65535"),
        pytest.param(b"\x00\x00\x08\x00\x01", id="family 0 with an address"),
        pytest.param(b"\x00\x00\x00\x00\x01", id="family 0 with an octet"),
        pytest.param(b"\x00\x00\x00\x01", id="family 0 with a scope"),
        pytest.param(b"\x00\x01\x21\x00\x01\x02\x03\x04\x05", id="source over 32"),
        pytest.param(b"\x00\x02\x81\x00" + bytes(17), id="source over 128"),
        pytest.param(b"\x00\x01\x18\x18\xc0\x00\x02", id="a scope in a query"),
        pytest.param(b"\x00\x01\x18\x00\xc0\x00", id="too few octets"),
        pytest.param(b"\x00\x01\x18\x00\xc0\x00\x02\x00", id="too many octets"),
        pytest.param(b"\x00\x01\x00\x00\x00", id="octets with source 0"),
        pytest.param(b"\x00\x01\x17\x00\xc0\x00\x03", id="a bit set past the source"),
        pytest.param(b"\x00\x02\x09\x00\x20\x40", id="a bit set past an IPv6 source"),
    ],
)
def test_every_malformed_client_subnet_is_a_format_error(octets):
    query = with_opt(option(8, octets))

    assert (query.wrong, query.edns) == (FORMERR, Edns(1232))


def test_two_client_subnets_are_a_format_error():
    assert with_opt(option(8, b"\x00\x01\x00\x00") * 2).wrong == FORMERR


# Whatever comes.


def is_decoded(wire):
    try:
        query = decode_query(wire)
    except WireError as error:
        rcode, query = error.rcode, None
    if query is None:
        assert rcode in (None, FORMERR, NOTIMP, REFUSED)
        return
    assert query.question == wire[12 : 12 + len(query.question)]
    assert query.wrong in (None, FORMERR, BADVERS)


@given(st.binary(max_size=80))
def test_random_octets(wire):
    is_decoded(wire)


@given(st.binary(max_size=60))
def test_random_octets_behind_a_good_header(rest):
    is_decoded(header(additionals=1) + rest)


@given(st.binary(max_size=60))
def test_random_octets_behind_a_good_question(rest):
    is_decoded(header(additionals=1) + QUESTION + rest)


@given(st.binary(max_size=60))
@example(option(8, b"\x00\x02\xff\x00"))
def test_random_options(rdata):
    assert with_opt(rdata).wrong in (None, FORMERR)


@given(st.binary(max_size=20))
def test_random_client_subnets(octets):
    query = with_opt(option(8, octets))

    assert query.wrong == FORMERR or query.edns.subnet.octets == octets[4:]


@given(st.data())
def test_mutated_real_queries(data):
    wire = bytearray(REAL)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire) - 1))
        wire[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))

    is_decoded(bytes(wire))


@pytest.mark.parametrize("cut", range(12, len(REAL)))
def test_a_query_cut_short_anywhere_is_a_format_error(cut):
    question_end = 12 + len(b"\x03www\x07example\x03com\x00") + 4

    if cut < question_end:
        assert rcode_of(REAL[:cut]) == FORMERR
    else:
        assert decode_query(REAL[:cut]).wrong == FORMERR
