"""Services' choices and a plan's facts as images: what another engine takes from them."""

from dataclasses import replace
from ipaddress import ip_network
from math import isnan

import pytest

from gslb.dns import image, name
from gslb.health.belief import Belief
from gslb.health.verdict import Verdict
from gslb.model import Nearest, Place, Sticky
from gslb.routing.entryimage import WAYS, encode_entry, encode_facts
from gslb.routing.snapshot import map_keys
from tests.reading import Octets
from tests.world import DOWN, LONDON, NEW_YORK, atlas, member, plan, pool, service, snapshot

KNOWN = atlas({"192.0.2.0/24": Place(LONDON), "198.51.100.0/24": Place(NEW_YORK)})
IN_DOUBT = Belief(verdict=Verdict.UP, flips_at_s=12.5)
POOLS = [
    pool("us", member("10.0.0.1", 3), member("10.0.0.2"), member("2001:db8::1")),
    pool("eu", member("10.1.0.1")),
]


def read(octets):
    """Return what an entry's image says, choice by choice of each family's orders."""
    found = {"name": octets.short(), "text": octets.take(octets.number("H")).decode()}
    found["key"], *sticky, families = octets.numbers("QBBBB")
    found["sticky"] = tuple(sticky)
    orders = {}
    for _ in range(families):
        type_, geo_map, count = octets.numbers("HII")
        orders[type_] = (geo_map, octets.numbers(f"{count}I"))
    choices = [choice_of(octets) for _ in range(octets.number("I"))]
    assert octets.is_done
    found["families"] = {
        type_: (geo_map, [choices[number] for number in numbers])
        for type_, (geo_map, numbers) in orders.items()
    }
    return found, len(choices)


def choice_of(octets):
    way, unusual, code, length = octets.numbers("BBHB")
    text = octets.take(length)
    ttl_s, ttl_min_s, until_s, answers, count, size = octets.numbers("IIdIII")
    upto, keys = octets.numbers(f"{count}Q"), octets.numbers(f"{count}Q")
    places, begin = octets.numbers(f"{count}I"), octets.at
    rdatas = []
    for place in places:
        assert octets.at == begin + place, "places are where the rdatas are"
        rdatas.append(octets.rdata())
    assert octets.at == begin + size
    return {
        "way": WAYS[way],
        "unusual": (code, text) if unusual else None,
        "ttls": (ttl_s, ttl_min_s),
        "until_s": None if isnan(until_s) else until_s,
        "answers": answers,
        "upto": upto,
        "keys": keys,
        "rdatas": rdatas,
    }


def meant(choice):
    return {
        "way": choice.way,
        "unusual": choice.unusual,
        "ttls": (choice.ttl_s, choice.ttl_min_s),
        "until_s": choice.until_s,
        "answers": choice.answers,
        "upto": choice.upto,
        "keys": choice.keys,
        "rdatas": [(rdata.octets, rdata.holes) for rdata in choice.rdatas],
    }


@pytest.mark.parametrize(
    "beliefs",
    [
        {},
        {"10.0.0.1": IN_DOUBT},
        {"10.0.0.1": DOWN, "10.0.0.2": DOWN},
        dict.fromkeys(["10.0.0.1", "10.0.0.2", "10.1.0.1", "2001:db8::1"], DOWN),
    ],
    ids=["quiet", "in doubt", "a region down", "all down"],
)
@pytest.mark.parametrize("keys", [{}, {"sticky": Sticky(20, 40), "answers": 2}])
def test_an_entry_says_what_each_order_of_each_family_is_answered(beliefs, keys):
    made = plan(service(*POOLS, route=(Nearest(),), **keys), known=KNOWN)
    (entry,) = snapshot(made, beliefs).entries.values()
    numbers = {key: number for number, key in enumerate(made.maps)}

    found, distinct = read(Octets(image.body_of(image.ENTRY, encode_entry(entry, numbers))))

    asked = entry.service
    assert (found["name"], found["text"], found["key"]) == (asked.name, asked.text, entry.key)
    assert found["sticky"] == ((1, 20, 40) if keys else (0, 0, 0))
    assert found["families"] == {
        int(family): (numbers[key], [meant(choice) for choice in entry.choices[family]])
        for family, key in map_keys(asked).items()
    }
    assert distinct <= sum(len(choices) for choices in entry.choices.values())


def test_orders_that_lead_to_the_same_choice_share_it():
    # Whoever comes from anywhere is sent to the one pool that there is.
    made = plan(service(pool("us", "10.0.0.1"), pool("eu", "10.1.0.1")), known=KNOWN)
    (entry,) = snapshot(made, {"10.1.0.1": DOWN}).entries.values()
    numbers = {key: number for number, key in enumerate(made.maps)}
    assert len(entry.choices[1]) > 1

    _, distinct = read(Octets(image.body_of(image.ENTRY, encode_entry(entry, numbers))))

    assert distinct == 1


def test_facts_say_who_the_node_is_who_may_ask_why_and_which_zones_are_broken():
    broken = [name.parse("example.org"), name.parse("example.net")]
    made = replace(plan(), node="ns1." + "x" * 300, broken=frozenset(broken))
    networks = [ip_network("127.0.0.0/8"), ip_network("2001:db8::/32")]

    octets = Octets(image.body_of(image.FACTS, encode_facts(made, networks)))

    assert octets.short() == made.node.encode()[:128]
    assert octets.short() == made.node.encode()[:255]
    assert octets.short() == b"gslb test"
    found = []
    for _ in range(octets.number("I")):
        version, length = octets.numbers("BB")
        number = int.from_bytes(octets.take(16), "big")
        found.append(ip_network((number, length)))
        assert found[-1].version == version
    assert found == networks
    assert {octets.short() for _ in range(octets.number("I"))} == set(broken)
    assert octets.is_done
