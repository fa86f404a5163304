"""Native code reads a master file as Python does, or declines it."""

import os
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gslb.config import masterfile, masterquick
from gslb.config.load import load
from gslb.config.masterquick import Declined, Nodes
from gslb.dns import name, zone
from gslb.dns.records import TXT, Rdata

native = pytest.importorskip("gslb._native", reason="the native engine is not built")

APEX = name.parse("example.com.")
HEAD = """\
$TTL 300
@ SOA ns1 admin 1 7200 900 1209600 60
@ NS ns1
ns1 A 192.0.2.53
"""


def wire(text):
    return name.parse(text, APEX)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Read a text both ways: the native zone or Declined, and Python's or None for complaints."""
    path = tmp_path_factory.mktemp("zones") / "example.zone"

    def read(text, services=(), apex=APEX):
        octets = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(octets)
        try:
            master = masterfile.read(path, apex, services=services)
        except masterfile.MasterFileError:
            slow = None
        else:
            slow = None if master.warnings else zone.build(apex, master.owned, services)
        return masterquick.zone_of(octets, apex, services), slow

    return read


def as_image(tree):
    """Return a zone whose rdata's uncompressed form is what its image says: octets and apex."""

    def rdata(one):
        whole, begin = b"", 0
        for hole in one.holes:
            whole += one.octets[begin:hole] + tree.apex
            begin = hole + 2
        whole += one.octets[begin:]
        assert whole.lower() == one.whole.lower()
        return Rdata(one.octets, one.holes, whole)

    def rrset(one):
        return replace(one, rdatas=tuple(map(rdata, one.rdatas)))

    def node(one):
        return replace(
            one,
            rrsets={type_: rrset(each) for type_, each in one.rrsets.items()},
            glue=tuple((owner, rrset(each)) for owner, each in one.glue),
        )

    return tree.apex, rrset(tree.soa), {owner: node(one) for owner, one in tree.nodes.items()}


def agree(both, text, services=(), apex=APEX):
    """Check that both readers come to one zone, or that the native one declines."""
    quick, slow = both(text, services, apex)
    if isinstance(quick, Declined):
        return False
    assert slow is not None
    apex, soa, nodes = as_image(slow)
    assert (quick.apex, quick.soa) == (apex, soa)
    assert dict(quick.nodes) == nodes
    for owner, node in nodes.items():
        assert list(quick.nodes[owner].rrsets) == list(node.rrsets)
    return True


labels = st.sampled_from(["a", "b", "*", "A", "ns", r"x\.y", r"\065", "_tcp", "xn--a"])
relative = st.lists(labels, min_size=1, max_size=3).map(".".join)
names = st.one_of(
    st.just("@"),
    relative,
    relative.map(lambda text: f"{text}.Example.com."),
    relative.map(lambda text: f"{text}.example.net."),
    st.just("."),
)
owners = st.one_of(st.just("@"), st.just(""), relative)
numbers = st.one_of(st.integers(0, 70_000).map(str), st.sampled_from(["00", "255", "65535", "1x"]))
ttls = st.one_of(
    st.just(""),
    st.integers(0, 2**32).map(str),
    st.from_regex(r"\A([0-9]{1,3}[smhdwW]){1,3}\Z"),
)
strings = st.one_of(
    st.text(alphabet='ab ;()é\\"', max_size=5).map(lambda text: f'"{text}"'),
    st.sampled_from(["a", r"\"", r"\255", r"a\;b", '""', "é", '"' + "a" * 256 + '"']),
)
hexadecimal = st.one_of(
    st.sampled_from([20, 32, 48, 64, 3]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    )
).map(bytes.hex)
ipv4 = st.one_of(st.ip_addresses(v=4).map(str), st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){3}\Z"))
ipv6 = st.one_of(
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.from_regex(r"\A[0-9a-fA-F]{0,4}(:[0-9a-f]{0,4}){1,8}\Z"),
    st.from_regex(r"\A(::|::ffff:|[0-9a-f]{1,4}::|(0:){5,7})[0-9]{1,3}(\.[0-9]{1,3}){3}\Z"),
)


def data(type_, *words):
    return st.tuples(*words).map(lambda found: " ".join((type_, *found)))


addresses = st.one_of(data("A", ipv4), data("AAAA", ipv6))
rdatas = st.one_of(
    addresses,
    addresses,
    data("NS", names),
    data("NS", st.sampled_from(["ns1", "NS1", "ns1.EXAMPLE.com.", "ns.a"])),
    data("CNAME", names),
    data("DNAME", names),
    data("PTR", names),
    data("MX", numbers, names),
    data("SRV", numbers, numbers, numbers, names),
    data("TXT", strings),
    data("TXT", strings, strings),
    data("HINFO", strings, strings),
    data("CAA", numbers, st.sampled_from(["issue", '"iodef"', "a-b"]), strings),
    data("DS", numbers, numbers, st.sampled_from("01245"), hexadecimal),
    data("TLSA", numbers, numbers, st.sampled_from("0123"), hexadecimal),
    data("SSHFP", numbers, st.sampled_from("0123"), hexadecimal),
    data("SOA", names, names, numbers, ttls, ttls, ttls, ttls),
    st.sampled_from(["TYPE1 192.0.2.1", r"A \# 4 C0000201", "HTTPS 1 . alpn=h2", "NULL", "ANY a"]),
)
classes = st.sampled_from(["", "", "IN", "in", "CH", "CLASS1"])
records = st.one_of(
    st.tuples(owners, ttls, classes, rdatas),
    st.tuples(owners, classes, ttls, rdatas),
    st.tuples(owners, st.just(""), st.just(""), rdatas),
).map(" ".join)
lines = st.one_of(
    *[records] * 8,
    st.tuples(st.just("$TTL"), ttls).map(" ".join),
    st.tuples(st.just("$ORIGIN"), names).map(" ".join),
    st.just("; said aside ("),
)
files = st.lists(lines, max_size=8).map("\n".join)
served = st.lists(relative.map(wire), max_size=2, unique=True)
PUT = [*' \t\r\n();"\\.@$*09aZé\x00\x0b\x85\ufeff', "IN", ""]
plenty = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@plenty
@given(text=files, services=served)
@example(text="a NS ns.a\nns.a A 192.0.2.1\nns.a AAAA ::1\na DS 1 1 2 " + "00" * 32, services=[])
@example(text="x.y.z TXT a\n*.z MX 1 a\n*.z MX 01 A\n*.z 5 MX 1 b", services=[b"\1c\1z" + APEX])
def test_what_is_not_declined_is_the_zone_that_python_reads(both, text, services):
    agree(both, HEAD + text, services)


@plenty
@given(text=st.one_of(records, addresses.map("www ".__add__)), data=st.data())
def test_what_is_mutated_is_declined_or_read_alike(both, text, data):
    text = HEAD + text
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        put = data.draw(
            st.sampled_from([*' \t\r\n();"\\.@$*09aZé\x00\x0b\x85', "\ufeff", "IN", ""])
        )
        text = text[:at] + put + text[at + data.draw(st.integers(0, 2)) :]
    agree(both, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "www 60 IN A 192.0.2.1\n 60 IN A 192.0.2.2\nwww A 192.0.2.1",
        "WWW.Example.COM. in 1m a 192.0.2.1 ; one\n\n\t60 A ( ; two\n192.0.2.2\n)",
        "$ORIGIN a\n@ AAAA 2001:db8::1\nx AAAA ::ffff:192.0.2.1\n$ttl 0\ny AAAA 1::",
        'a TXT "one;" two "" \\"three\\" "f\\065r" "grün"',
        "a MX 10 Mail\na MX 10 mail\na MX 20 mail.example.net.",
        '_sip._tcp SRV 1 2 3 Sip\n@ CAA 0 issue "ca.example.net"\nb HINFO one two',
        "old DNAME new\nalias CNAME www.example.net.\n10 PTR Host.EXAMPLE.com.",
        "sub NS ns.sub\nsub NS ns2\nsub NS ns.example.net.\nns.sub A 192.0.2.1\nns2 AAAA ::1",
        "sub NS ns\nns A 192.0.2.1\nsub DS 1 13 2 " + "ab" * 32,
        "x.y.z A 192.0.2.1\n*.w A 192.0.2.1\nlow NS in.w",
        "a SSHFP 1 2 "
        + "00" * 32
        + "\n_25._tcp.a TLSA 3 1 1 ( "
        + "ab" * 16
        + " "
        + "cd" * 16
        + " )",
        "a 5 A 192.0.2.1\n" + "".join(f"a A 192.0.2.{n % 40}\n" for n in range(80)),
    ],
)
def test_the_common_grammar_is_not_declined(both, text):
    assert agree(both, HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        "www A 192.0.2",
        "www A 192.0.2.1 x",
        "www 300",
        "www 1 1 A 192.0.2.1",
        "www CH A 192.0.2.1",
        "www.example.net. A 192.0.2.1",
        "www. A 192.0.2.1",
        "www.example.com A 192.0.2.1",
        "a" * 64 + " A 192.0.2.1",
        "a. .b A 192.0.2.1",
        "@ SOA ns1 admin 2 7200 900 1209600 60",
        "www SOA ns1 admin 1 7200 900 1209600 60",
        "www CNAME a\nwww TXT a",
        "www CNAME a\nwww CNAME b",
        "www DNAME a\nwww DNAME b",
        "*.a DNAME b",
        "a DNAME b\na NS ns1",
        "a DNAME b\nx.a A 192.0.2.1",
        "*.a NS ns1",
        "a NS ns.a",
        "a NS ns.example.net.\nb.a NS ns.b.a",
        "a NS ns2",
        "a NS ns.b\n*.c A 192.0.2.1",
        "a NS ns.example.net.\nx.a TXT a",
        "@ DNAME example.net.\na A 192.0.2.1",
        "a TXT " + " ".join(["a" * 255] * 300),
        "".join(f"a TXT {n} {'a' * 255}\n" for n in range(250)),
        "a RRSIG A 13 2 300 20300101000000 20200101000000 1 example.com. AAAA",
        "$TTL\n",
        "$TTL 300 300",
        "$TLL 300",
        "$ORIGIN a b",
        "www TXT (",
        "www TXT )",
        'www TXT "a',
    ],
)
def test_what_python_complains_or_warns_of_is_declined(both, text):
    quick, slow = both(HEAD + text)

    assert slow is None
    assert isinstance(quick, Declined)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_newlines_and_byte_order_marks_are_no_reason_to_decline(both, newline):
    text = "\ufeff" + (HEAD + 'www TXT "a" ; b\n').replace("\n", newline)

    assert agree(both, text)


def test_the_root_can_be_a_zone(both):
    text = "@ 60 SOA a. b. 1 2 3 4 5\n@ NS ns.net.\nns.net. A 192.0.2.1\ncom NS ns.com.\n"

    assert agree(both, text + "ns.com A 192.0.2.2\n", apex=name.ROOT)


def test_services_are_nodes_among_the_others(both):
    services = [wire("www"), wire("*.x.y"), wire("ns1")]

    assert agree(both, HEAD + "www TXT a\nsub NS www", services)


def test_more_records_than_are_allowed_are_declined_at_the_first_of_them():
    assert (
        native.read_zone(HEAD.encode(), APEX, [], 2, print)
        == HEAD[: HEAD.index("ns1 A")].count("\n") + 1
    )


def test_nodes_are_a_mapping(both):
    quick, slow = both(HEAD + "a.b A 192.0.2.1\n")
    other, _ = both(HEAD + "a.b A 192.0.2.2\n")
    again, _ = both(HEAD + "a.b A 192.0.2.1\n")

    assert isinstance(quick.nodes, Nodes)
    assert set(quick.nodes) == set(slow.nodes)
    assert len(quick.nodes) == len(slow.nodes)
    assert wire("b") in quick.nodes
    assert wire("c") not in quick.nodes
    assert quick.nodes.get(wire("c")) is None
    assert quick.nodes == again.nodes
    assert quick.nodes != other.nodes
    assert quick.nodes == slow.nodes
    assert quick.nodes != other
    assert quick.find(wire("x.b")) == slow.find(wire("x.b"))


# As part of a configuration

MAIN = """\
zones: [example.yaml]
state_dir: var
listen: {dns: ["127.0.0.1:0"], admin: "127.0.0.1:0"}
regions: {here: {location: [1, 2]}}
"""
SERVICE = "{route: weighted, monitor: null, pools: {here: [192.0.2.7]}}"
LARGE = HEAD + "".join(f"host-{n} A 198.51.100.{n % 250}\n" for n in range(12_000))


@pytest.fixture
def loaded(tmp_path):
    """Load a configuration with one zone, whose master file and services are given."""

    def load_all(text, **services):
        assert len(LARGE) >= masterquick.QUICK_BYTES_MIN
        (tmp_path / "gslb.yaml").write_text(MAIN)
        lines = [f"  {owner}: {SERVICE}" for owner in services] or ["  other: " + SERVICE]
        zone_file = ["zone: example.com", "file: example.zone", "services:", *lines]
        (tmp_path / "example.yaml").write_text("\n".join(zone_file))
        (tmp_path / "example.zone").write_text(text)
        return load(tmp_path / "gslb.yaml", hostname="here", environ={})

    return load_all


def test_a_large_file_is_kept_in_native_memory_and_a_small_one_at_hand(loaded):
    large = loaded(LARGE, www=True).zones[0].zone
    small = loaded(HEAD, www=True).zones[0].zone

    assert isinstance(large.nodes, Nodes)
    assert len(large.nodes) == 12_000 + 3
    assert large.nodes[wire("www")] == zone.Node(service=True)
    assert not isinstance(small.nodes, Nodes)
    assert large.soa == small.soa


def test_what_is_wrong_in_a_large_file_is_complained_of_where_it_stands(loaded):
    config = loaded(LARGE + "x A 192.0.2\n")

    assert not config.zones
    [complaint] = config.broken[0].complaints
    assert complaint.line == LARGE.count("\n") + 1


def test_a_service_beside_records_of_its_own_is_complained_of_in_a_large_file(loaded):
    config = loaded(LARGE + "sub NS ns.example.net.\n", **{"host-7": True, "a.sub": True})

    assert not config.zones
    own, below = sorted(config.broken[0].complaints)
    assert "host-7.example.com has static A records as well" in own.problem
    assert "is never asked here: sub.example.com has NS records" in below.problem


def test_other_services_of_a_large_file_stand_beside_their_records(loaded):
    nodes = loaded(LARGE + "www TXT a\n", www=True).zones[0].zone.nodes

    assert nodes[wire("www")].service
    assert set(nodes[wire("www")].rrsets) == {TXT}


def test_a_file_that_takes_minutes_the_slow_way_is_warned_of(tmp_path):
    path = tmp_path / "example.zone"
    path.touch()
    os.truncate(path, 8 * 1024 * 1024)

    [warning] = masterquick.slow(path, Declined(7))

    assert warning.line == 7
    assert masterquick.slow(path, Declined())[0].line == 1
    os.truncate(path, 8 * 1024 * 1024 - 1)
    assert masterquick.slow(path, Declined(7)) == ()
    assert masterquick.slow(tmp_path / "none", Declined(7)) == ()


def test_reading_does_not_keep_other_threads_waiting():
    text = (HEAD + "".join(f"h{n} A 192.0.2.1\n" for n in range(300_000))).encode()
    done = threading.Event()
    beats = []

    def beat():
        while not done.is_set():
            beats.append(time.perf_counter())

    thread = threading.Thread(target=beat)
    thread.start()
    start = time.perf_counter()
    assert len(masterquick.zone_of(text, APEX, ()).nodes) == 300_002
    end = time.perf_counter()
    done.set()
    thread.join()

    while_reading = [beat for beat in beats if start < beat < end]
    assert len(while_reading) > 1000
