"""Zones as images: everything that is answered from a zone is in them, and nothing else."""

from gslb.dns import image, name
from gslb.dns.zoneimage import decode_node, encode_zone
from tests.reading import Octets
from tests.world import APEX, zone

ZONE = zone(
    ("www", "A", "192.0.2.1"),
    ("www", "A", "192.0.2.2"),
    ("www", "MX", "10 mail"),
    ("a.b", "TXT", '"below an empty one"'),
    ("away", "CNAME", "www.example.net."),
    ("sub", "NS", "ns1.sub"),
    ("sub", "NS", "ns1"),
    ("ns1.sub", "A", "192.0.2.54"),
    services=[name.parse("svc", APEX)],
)


def rrset_of(octets):
    """Return an rrset's type, TTL, and rdatas with their holes."""
    type_, ttl_s, count, size = octets.numbers("HIHI")
    end = octets.at + size
    rdatas = [octets.rdata() for _ in range(count)]
    assert octets.at == end, "an rrset says how long it is"
    return type_, ttl_s, rdatas


def said(rrset):
    return rrset.type, rrset.ttl_s, [(rdata.octets, rdata.holes) for rdata in rrset.rdatas]


def test_an_image_holds_every_node_with_its_rrsets_and_glue():
    octets = Octets(image.body_of(image.ZONE, encode_zone(ZONE)))

    count = octets.number("I")
    assert octets.short() == APEX
    assert rrset_of(octets) == said(ZONE.soa)
    seen = set()
    for _ in range(count):
        owner = octets.short()
        node = ZONE.nodes[owner]
        seen.add(owner)
        flags, rrsets, glue, needed = octets.numbers("BHHH")
        assert flags == node.service + 2 * node.cut
        assert [rrset_of(octets) for _ in range(rrsets)] == list(map(said, node.rrsets.values()))
        beside = [(octets.short(), rrset_of(octets)) for _ in range(glue)]
        assert beside == [(server, said(rrset)) for server, rrset in node.glue]
        assert needed == node.glue_needed
    assert octets.is_done
    assert seen == set(ZONE.nodes)


def test_a_node_is_read_back_as_it_was():
    octets = Octets(image.body_of(image.ZONE, encode_zone(ZONE)))
    octets.number("I")
    octets.short()
    rrset_of(octets)
    while not octets.is_done:
        owner = octets.short()

        node = decode_node(octets.octets[octets.at :], APEX)

        assert node == ZONE.nodes[owner]
        _, rrsets, glue, _ = octets.numbers("BHHH")
        for _ in range(rrsets):
            rrset_of(octets)
        for _ in range(glue):
            octets.short()
            rrset_of(octets)
