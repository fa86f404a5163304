"""What is added to requests that pass, and who is believed what."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.proxy.forwarded import (
    CHAIN_MAX,
    Networks,
    node_of,
    read_chain,
    read_forwarded,
    read_node,
)
from gslb.proxy.forwarding import DRAW_BITS, HOPS_MAX, OWN, Forwarder
from gslb.proxy.headreader import RequestReader

CLIENT = ip_address("192.0.2.7")
PROXY = ip_address("198.51.100.1")
TRUSTED = (ip_network("198.51.100.0/24"), ip_network("2001:db8:f::/48"))
DRAW = 0x1234567890ABCDEF1234567890ABCDEF_FEDCBA0987654321
ID = b"1234567890abcdef1234567890abcdef"
PARENT = b"fedcba0987654321"
TRACE = b"00-%b-%b-01" % (b"a" * 32, b"b" * 16)

draws = st.integers(0, 2**DRAW_BITS - 1)


def forwarder(**changes):
    given_ones = {"region": "eu-west", "scheme": "http", "port": 80, "trusted": TRUSTED} | changes
    return Forwarder(**given_ones)


def head(*lines, host=b"www.example.com", version=b"1.1"):
    hosts = [] if host is None else [b"Host: " + host]
    start = b"GET / HTTP/" + version
    return RequestReader(100).read(b"\r\n".join([start, *hosts, *lines, b"", b""]))


def passed(sender, *lines, draw=DRAW, listener=None, **how):
    return (listener or forwarder()).peer(sender).pass_on(head(*lines, **how), draw)


def read(added):
    """The lines of what was added, by lower-case name; each came once and ends in CRLF."""
    assert added.endswith(b"\r\n")
    pairs = [line.split(b": ", 1) for line in added.removesuffix(b"\r\n").split(b"\r\n")]
    found = {name.lower(): value for name, value in pairs}
    assert len(found) == len(pairs)
    return found


def test_a_client_that_says_nothing_of_itself_gets_everything_added():
    passage = passed(CLIENT, b"Accept: */*")

    assert passage.kept == [(b"accept", b"*/*")]
    assert read(passage.added) == {
        b"x-forwarded-for": b"192.0.2.7",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-port": b"80",
        b"x-forwarded-host": b"www.example.com",
        b"forwarded": b'for=192.0.2.7;proto=http;host="www.example.com"',
        b"x-request-id": ID,
        b"traceparent": b"00-%b-%b-01" % (ID, PARENT),
    }
    assert (passage.client, passage.client_text, passage.scheme) == (CLIENT, "192.0.2.7", "http")
    assert (passage.request_id, passage.hops, passage.may_cross) == (ID, (), True)


def test_an_untrusted_client_is_believed_nothing_however_it_spells_it():
    lies = [
        b"X-Forwarded-For: 203.0.113.9",
        b"x_forwarded_for: 203.0.113.9",
        b"X-Forwarded_For: 203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil.example.com",
        b"X-Forwarded-Port: 1",
        b"Forwarded: for=203.0.113.9",
        b"X-Request-Id: mine",
        b"Accept: */*",
    ]

    lying, honest = passed(CLIENT, *lies), passed(CLIENT, b"Accept: */*")

    assert lying.kept == honest.kept
    assert read(lying.added) == read(honest.added)
    for name in ("client", "client_text", "scheme", "request_id", "hops", "may_cross"):
        assert getattr(lying, name) == getattr(honest, name)


def test_the_way_of_a_request_is_heeded_whoever_tells_it_so_that_no_loop_is_endless():
    here = Forwarder(region="eu-west", scheme="https", port=443)
    stranger = here.peer(ip_address("198.51.100.99"))

    head = RequestReader(100).read(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Gslb-Hops: us-east,eu-west\r\n\r\n"
    )
    passage = stranger.pass_on(head, 0)

    assert passage.hops == (b"us-east", b"eu-west")
    assert not passage.may_cross


def test_a_trusted_proxy_is_believed_and_added_behind():
    passage = passed(
        PROXY,
        b"X-Forwarded-For: 192.0.2.7",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example.com:8443",
        b"X-Forwarded-Port: 8443",
        b"Forwarded: for=192.0.2.7;proto=https",
        b"X-Request-Id: id-1",
        b"X-Gslb-Hops: us-east, ap-south",
    )

    assert read(passage.added) == {
        b"x-forwarded-for": b"192.0.2.7, 198.51.100.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-port": b"8443",
        b"x-forwarded-host": b"shop.example.com:8443",
        b"forwarded": b"for=192.0.2.7;proto=https, "
        b'for=198.51.100.1;proto=http;host="www.example.com"',
        b"x-request-id": b"id-1",
        b"traceparent": b"00-%b-%b-01" % (ID, PARENT),
    }
    assert (passage.client, passage.client_text, passage.scheme) == (CLIENT, "192.0.2.7", "https")
    assert (passage.hops, passage.may_cross) == ((b"us-east", b"ap-south"), True)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"203.0.113.9, 192.0.2.7", "192.0.2.7"),
        (b"203.0.113.9, 192.0.2.7, 198.51.100.2", "192.0.2.7"),
        (b"198.51.100.2, 198.51.100.3", "198.51.100.2"),
        (b"192.0.2.7:4711", "192.0.2.7"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"192.0.2.9, 2001:db8:f::1", "192.0.2.9"),
        (b"::ffff:192.0.2.7, ::ffff:198.51.100.9", "192.0.2.7"),
        (b"192.0.2.7, unknown", "198.51.100.1"),
        (b"192.0.2.7, unknown, 198.51.100.2", "198.51.100.2"),
        (b"192.0.2.7, , ,", "192.0.2.7"),
        (b"192.0.2.777", "198.51.100.1"),
        (b"::1::", "198.51.100.1"),
        (b"", "198.51.100.1"),
    ],
)
def test_the_client_is_the_last_hop_that_is_not_trusted(chain, client):
    assert str(passed(PROXY, b"X-Forwarded-For: " + chain).client) == client


def test_several_fields_are_one_chain():
    passage = passed(PROXY, b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-For: 192.0.2.7")

    assert passage.client == CLIENT
    assert read(passage.added)[b"x-forwarded-for"] == b"203.0.113.9, 192.0.2.7, 198.51.100.1"


def test_a_client_whose_address_is_mapped_into_ipv6_has_its_ipv4_address():
    passage = passed(ip_address("::ffff:192.0.2.7"))

    assert passage.client == CLIENT
    assert read(passage.added)[b"x-forwarded-for"] == b"192.0.2.7"
    assert forwarder().peer(ip_address("::ffff:198.51.100.1")).is_trusted


def test_an_ipv6_client_stands_in_brackets_and_quotes_in_forwarded_alone():
    added = read(passed(ip_address("2001:db8::1")).added)

    assert added[b"x-forwarded-for"] == b"2001:db8::1"
    assert added[b"forwarded"].startswith(b'for="[2001:db8::1]";proto=http')


def test_forwarded_is_made_of_x_forwarded_for_where_a_proxy_knows_only_that():
    added = read(passed(PROXY, b"X-Forwarded-For: odd, 2001:db8::1, 192.0.2.7").added)

    assert added[b"forwarded"] == (
        b'for=unknown, for="[2001:db8::1]", for=192.0.2.7, '
        b'for=198.51.100.1;proto=http;host="www.example.com"'
    )


def test_x_forwarded_for_is_made_of_forwarded_where_a_proxy_knows_only_that():
    line = b'Forwarded: by=a, For="[2001:db8::1]:80";proto=HTTPS, for=192.0.2.7;proto=https'
    passage = passed(PROXY, line)

    assert passage.client == CLIENT
    assert passage.scheme == "https"
    assert read(passage.added)[b"x-forwarded-for"] == (
        b"unknown, 2001:db8::1, 192.0.2.7, 198.51.100.1"
    )
    assert read(passage.added)[b"x-forwarded-port"] == b"443"


@pytest.mark.parametrize(
    "value",
    [
        b'for="192.0.2.7',
        b"for=192.0.2.7;for=192.0.2.8",
        b"for",
        b"for=",
        b"for=[2001:db8::1]",
        b"=192.0.2.7",
        b"for=a b=c",
        b",".join([b"for=192.0.2.7"] * (CHAIN_MAX + 1)),
    ],
)
def test_a_malformed_forwarded_is_replaced(value):
    added = read(passed(PROXY, b"Forwarded: " + value).added)

    assert added[b"forwarded"] == b'for=198.51.100.1;proto=http;host="www.example.com"'


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        (b"", []),
        (b",,;,", []),
        (b"for=a", [{b"for": b"a"}]),
        (b' for = "x"', None),
        (b'FOR="a\\"b,;c" ; by=d ,, for=e;', [{b"for": b'a"b,;c', b"by": b"d"}, {b"for": b"e"}]),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(value, elements):
    assert read_forwarded([value]) == elements


@given(st.lists(st.binary(max_size=40), max_size=3))
def test_any_forwarded_is_read_or_refused(values):
    found = read_forwarded(values)

    assert found is None or all(element for element in found)


nodes = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(node_of)


@given(st.lists(nodes, max_size=CHAIN_MAX - 1), draws)
def test_what_one_proxy_adds_the_next_one_reads(chain, draw):
    lines = [b"Forwarded: " + b", ".join(b"for=" + node.quoted for node in chain)] if chain else []

    added = read(passed(PROXY, *lines, draw=draw).added)
    elements = read_forwarded([added[b"forwarded"]])

    assert [read_node(each[b"for"]) for each in elements] == [*chain, node_of(PROXY)]
    assert [read_node(each) for each in read_chain([added[b"x-forwarded-for"]])] == [
        *chain,
        node_of(PROXY),
    ]


@given(st.ip_addresses(v=6) | st.ip_addresses(v=4), st.integers(0, 65535))
def test_a_node_is_read_with_a_port_or_without(address, port):
    node = node_of(address)

    assert read_node(node.text) == read_node(node.quoted) == node
    shown = b"[%b]" % node.text if node.address.version == 6 else node.text
    assert read_node(shown + b":%d" % port) == read_node(b'"%b:%d"' % (shown, port)) == node


@given(st.binary(max_size=50))
def test_any_node_is_an_address_or_none(text):
    assert read_node(text) is None or read_node(text) == node_of(read_node(text).address)


def test_of_a_long_chain_the_end_is_passed_on():
    chain = b", ".join(b"192.0.2.%d" % number for number in range(CHAIN_MAX + 5))
    added = read(passed(PROXY, b"X-Forwarded-For: " + chain).added)

    first, *_, last = added[b"x-forwarded-for"].split(b", ")
    assert (first, last) == (b"192.0.2.5", b"198.51.100.1")
    assert len(added[b"forwarded"].split(b", ")) == CHAIN_MAX + 1


networks = st.lists(
    st.builds(
        lambda address, cut: ip_network((address, address.max_prefixlen - cut), strict=False),
        st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
        st.integers(0, 30),
    ),
    max_size=6,
)


@given(networks, st.data())
def test_an_address_is_in_networks_as_it_is_in_one_of_them(some, data):
    inside = [each[data.draw(st.integers(0, each.num_addresses - 1))] for each in some]
    near = [each.network_address + each.num_addresses for each in some if int(each[-1]) + 1 < 2**32]
    any_address = data.draw(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))

    for address in (*inside, *near, any_address):
        assert (address in Networks(some)) == any(address in each for each in some)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([b"X-Forwarded-Proto: https"], (b"https", b"www.example.com", b"443")),
        ([b"X-Forwarded-Proto: HTTP"], (b"http", b"www.example.com", b"80")),
        ([b"X-Forwarded-Proto: https, http"], (b"http", b"www.example.com", b"8080")),
        ([b"X-Forwarded-Proto: https"] * 2, (b"http", b"www.example.com", b"8080")),
        ([b"X-Forwarded-Proto: gopher"], (b"http", b"www.example.com", b"8080")),
        ([b"X-Forwarded-Host: a.example.com:90"], (b"http", b"a.example.com:90", b"90")),
        ([b"X-Forwarded-Host: a.example.com"], (b"http", b"a.example.com", b"8080")),
        ([b"X-Forwarded-Host: [2001:db8::1]"], (b"http", b"[2001:db8::1]", b"8080")),
        ([b'X-Forwarded-Host: a"b'], (b"http", b"www.example.com", b"8080")),
        ([b"X-Forwarded-Port: 0"], (b"http", b"www.example.com", b"8080")),
        ([b"X-Forwarded-Port: 90"], (b"http", b"www.example.com", b"90")),
    ],
)
def test_what_the_client_asked_for_is_believed_if_it_is_told_once_and_makes_sense(lines, told):
    added = read(passed(PROXY, *lines, listener=forwarder(port=8080)).added)

    assert told == (
        added[b"x-forwarded-proto"],
        added[b"x-forwarded-host"],
        added[b"x-forwarded-port"],
    )


def test_a_request_without_a_host_names_none():
    added = read(passed(CLIENT, host=None, version=b"1.0").added)

    assert b"x-forwarded-host" not in added
    assert added[b"forwarded"] == b"for=192.0.2.7;proto=http"


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (b"a", True),
        (b"A.b_c-9", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"a b", False),
        (b"a/b", False),
        (b"", False),
    ],
)
def test_an_id_is_passed_on_if_it_is_sane(value, is_kept):
    passage = passed(PROXY, b"X-Request-Id: " + value)

    assert passage.request_id == (value if is_kept else ID)
    assert read(passage.added)[b"x-request-id"] == passage.request_id


@given(draws)
def test_ids_that_are_made_are_of_their_length_and_never_zero(draw):
    passage = passed(CLIENT, draw=draw)
    _, trace_id, parent_id, _ = read(passage.added)[b"traceparent"].split(b"-")

    assert len(passage.request_id) == len(trace_id) == 32
    assert len(parent_id) == 16
    assert int(trace_id, 16)
    assert int(parent_id, 16)


@pytest.mark.parametrize("sender", [CLIENT, PROXY])
@pytest.mark.parametrize(
    ("value", "goes_on"),
    [
        (TRACE, b"00-%b-%b-01" % (b"a" * 32, PARENT)),
        (TRACE[:-2] + b"00", b"00-%b-%b-00" % (b"a" * 32, PARENT)),
        (TRACE[:-2] + b"fe", b"00-%b-%b-00" % (b"a" * 32, PARENT)),
        (b"cc" + TRACE[2:] + b"-more", b"00-%b-%b-01" % (b"a" * 32, PARENT)),
    ],
)
def test_a_trace_goes_on_with_another_parent(sender, value, goes_on):
    states = [b"tracestate: a=1", b"tracestate: b=2"]
    added = read(passed(sender, b"traceparent: " + value, *states).added)

    assert added[b"traceparent"] == goes_on
    assert added[b"tracestate"] == b"a=1,b=2"


@pytest.mark.parametrize(
    "lines",
    [
        [b"traceparent: ff" + TRACE[2:]],
        [b"traceparent: " + TRACE + b"-more"],
        [b"traceparent: cc" + TRACE[2:] + b"more"],
        [b"traceparent: " + TRACE.upper()],
        [b"traceparent: " + TRACE.replace(b"a", b"0")],
        [b"traceparent: " + TRACE.replace(b"b", b"0")],
        [b"traceparent: " + TRACE[:-1]],
        [b"traceparent: " + TRACE] * 2,
        [],
    ],
)
def test_a_trace_that_is_none_begins_anew_and_without_a_state(lines):
    added = read(passed(CLIENT, *lines, b"tracestate: a=1").added)

    assert added[b"traceparent"] == b"00-%b-%b-01" % (ID, PARENT)
    assert b"tracestate" not in added


def test_a_state_that_is_too_long_is_left_out():
    added = read(passed(CLIENT, b"traceparent: " + TRACE, b"tracestate: a=" + b"1" * 4096).added)

    assert b"tracestate" not in added
    assert b"a" * 32 in added[b"traceparent"]


@pytest.mark.parametrize(
    ("value", "hops", "may_cross"),
    [
        (b"us-east", (b"us-east",), True),
        (b"us-east,eu-west", (b"us-east", b"eu-west"), False),
        (b"us-east, b d", (b"us-east",), False),
        (b"", (), False),
        (b",".join([b"a"] * (HOPS_MAX - 1)), (b"a",) * (HOPS_MAX - 1), True),
        (b",".join([b"a"] * HOPS_MAX), (b"a",) * HOPS_MAX, False),
        (b",".join([b"a"] * 99), (b"a",) * HOPS_MAX, False),
    ],
)
def test_a_request_crosses_unless_it_was_here_or_has_crossed_too_often(value, hops, may_cross):
    passage = passed(PROXY, b"X-Gslb-Hops: " + value)

    assert (passage.hops, passage.may_cross) == (hops, may_cross)
    assert b"x-gslb-hops" not in read(passage.added)


def test_the_way_is_told_to_the_next_region_and_seen_there():
    here, there = forwarder(region="us-east"), forwarder()
    line = here.onward(passed(CLIENT, listener=here).hops)

    passage = passed(PROXY, line.strip(), listener=there)

    assert (passage.hops, passage.may_cross) == ((b"us-east",), True)
    assert there.onward(passage.hops) == b"X-Gslb-Hops: us-east,eu-west\r\n"
    assert not passed(PROXY, there.onward(passage.hops).strip(), listener=here).may_cross


def test_via_names_the_version_a_request_came_in_behind_those_before():
    listener = forwarder(via="gslb")

    passage = passed(CLIENT, b"Via: 1.1 other", listener=listener)
    old = passed(CLIENT, listener=listener, version=b"1.0")

    assert passage.kept == [(b"via", b"1.1 other")]
    assert read(passage.added)[b"via"] == b"1.1 gslb"
    assert read(old.added)[b"via"] == b"1.0 gslb"


def test_no_field_is_both_kept_and_added():
    assert {b"x-forwarded-for", b"x_gslb_hops", b"forwarded", b"x-request_id"} <= OWN
    assert set(read(passed(PROXY, b"traceparent: " + TRACE, b"tracestate: a=1").added)) <= OWN
