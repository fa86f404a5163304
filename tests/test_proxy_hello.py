"""The server name and the protocols of a TLS ClientHello."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import PrefaceError
from gslb.proxy.hello import HELLO_MAX, Hello, decode


def client_hello(server_name, protocols=(), newest=ssl.TLSVersion.TLSv1_3):
    """The first octets that a real client sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = newest
    if protocols:
        context.set_alpn_protocols(protocols)
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


REAL = client_hello("www.example.com", ["h2", "http/1.1"])


def body_of(hello):
    """What stands in the records of a ClientHello that came in one."""
    assert int.from_bytes(hello[3:5], "big") == len(hello) - 5
    return hello[5:]


def records(message, sizes):
    """A handshake message in records of these sizes, the last of whatever is left."""
    out, at = b"", 0
    for size in [*sizes, len(message)]:
        fragment = message[at : at + size]
        if fragment:
            out += b"\x16\x03\x01" + len(fragment).to_bytes(2, "big") + fragment
        at += size
    return out


def vector(size_octets, octets):
    return len(octets).to_bytes(size_octets, "big") + octets


def made(extensions=b"", *, session=b"", ciphers=b"\x13\x01", compression=b"\0", rest=b""):
    """A ClientHello made by hand."""
    body = b"\x03\x03" + bytes(32) + vector(1, session) + vector(2, ciphers)
    body += vector(1, compression)
    body += vector(2, extensions) if extensions else b""
    return records(b"\x01" + vector(3, body + rest), [])


def extension(kind, octets):
    return kind.to_bytes(2, "big") + vector(2, octets)


def named(name, kind=0):
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("name", "protocols", "told"),
    [
        ("www.example.com", ["h2", "http/1.1"], Hello("www.example.com", (b"h2", b"http/1.1"))),
        ("WWW.Example.COM", [], Hello("www.example.com")),
        ("192.0.2.1", ["http/1.1"], Hello(None, (b"http/1.1",))),
        (None, [], Hello()),
    ],
)
def test_what_real_clients_ask_for_is_read(name, protocols, told, newest):
    assert decode(client_hello(name, protocols, newest)) == told


def test_a_hello_cut_anywhere_asks_for_more():
    assert {decode(REAL[:cut]) for cut in range(len(REAL))} == {None}


@given(st.lists(st.integers(1, 200), max_size=20), st.data())
def test_a_hello_in_several_records_is_the_same_and_may_be_cut_anywhere(sizes, data):
    hello = records(body_of(REAL), sizes)
    cuts = data.draw(st.sets(st.integers(0, len(hello) - 1), max_size=20))

    assert decode(hello) == decode(hello + b"more") == decode(REAL)
    assert {decode(hello[:cut]) for cut in cuts} <= {None}


@given(st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), min_size=1))
def test_a_garbled_hello_is_one_or_cut_or_an_error_and_nothing_else(changes):
    hello = bytearray(REAL)
    for index, octet in changes:
        hello[index] = octet

    read_or_refused(bytes(hello))


@given(st.binary(max_size=200))
def test_any_octets_behind_a_record_header_are_read_or_refused(octets):
    read_or_refused(octets)
    read_or_refused(records(octets, []))
    read_or_refused(records(b"\x01" + vector(3, octets), []))
    read_or_refused(made(octets))


def read_or_refused(octets):
    try:
        found = decode(octets)
    except PrefaceError:
        return
    assert found is None or isinstance(found, Hello)


def test_a_hello_without_extensions_names_nobody():
    assert decode(made()) == Hello()


def test_a_name_with_a_dot_at_its_end_is_the_name_without():
    assert decode(made(named(b"www.example.com."))) == Hello("www.example.com")


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x00\x02",  # of SSL 2
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x40\x01",
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
        records(b"\x02" + vector(3, bytes(40)), []),
        made(session=bytes(33)),
        made(ciphers=b""),
        made(ciphers=b"\x13\x01\x13"),
        made(compression=b""),
        made(named(b"a.example"), rest=b"more"),
        made(rest=b"\0"),
        made(named(b"a.example") + named(b"b.example")),
        made(named(b"a.example", kind=1)),
        made(extension(0, vector(2, (b"\0" + vector(2, b"a.example")) * 2))),
        made(extension(0, vector(2, b"\0" + vector(2, b"a.example")) + b"more")),
        made(extension(0, b"")),
        made(extension(0, vector(2, b""))),
        made(named(b"")),
        made(named(b"a..example")),
        made(named(b"a b.example")),
        made(named("bücher.example".encode())),
        made(named(b"a." * 128)),
        made(extension(16, vector(2, b""))),
        made(extension(16, vector(2, vector(1, b"h2") + b"\0"))),
        made(extension(16, vector(2, vector(1, b"h2")) + b"more")),
        made(extension(16, vector(2, b"\x09h2"))),
        made(b"\0\0\0\x09"),
    ],
)
def test_what_is_no_hello_is_refused(octets):
    with pytest.raises(PrefaceError):
        decode(octets)


def test_records_of_another_kind_between_are_refused():
    start = records(body_of(REAL)[:100], [])

    with pytest.raises(PrefaceError):
        decode(start + b"\x15\x03\x01\x00\x02\x01\x00")


def padded(size):
    """A hello of so many octets, with the header of its one record."""
    padding = size - len(made(named(b"www.example.com") + extension(21, b"")))
    return made(named(b"www.example.com") + extension(21, bytes(padding)))


def test_a_hello_of_the_greatest_length_is_read_and_one_octet_more_is_not():
    greatest = padded(HELLO_MAX)

    assert len(greatest) == HELLO_MAX
    assert decode(greatest) == Hello("www.example.com")
    with pytest.raises(PrefaceError):
        decode(padded(HELLO_MAX + 5)[: HELLO_MAX + 4])
    with pytest.raises(PrefaceError):
        decode(padded(HELLO_MAX + 6)[:20])


def test_a_hello_that_says_it_is_longer_is_refused_before_it_has_come():
    message = b"\x01" + (HELLO_MAX - 3).to_bytes(3, "big")

    with pytest.raises(PrefaceError):
        decode(records(message, [1, 2]))


def test_many_small_records_end_at_the_same_length():
    message = body_of(padded(HELLO_MAX // 2))
    hello = records(message, [1] * len(message))

    assert decode(hello[: HELLO_MAX - 1]) is None
    with pytest.raises(PrefaceError):
        decode(hello[:HELLO_MAX])
