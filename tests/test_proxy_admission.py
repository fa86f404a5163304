"""Who may connect: places in all and for each client, from when a connection is accepted."""

from ipaddress import ip_address

from gslb.proxy.admission import Admission
from gslb.tier import Limits
from tests.exchanges import CLIENT, World, route

OTHER = ip_address("203.0.113.10")


def admitting(**limits):
    world = World()
    world.adopt(route(), limits=Limits(**limits))
    return Admission(world.desk), world


def refused(world):
    counts = world.desk.tally.counts(world.desk.targets())
    return counts.get(("gslb_proxy_refused_connections_total",), 0)


def test_there_are_as_many_connections_as_may_be_and_another_once_one_has_left():
    admission, world = admitting(connections_max=2)

    assert admission.enter(CLIENT)
    assert admission.enter(None)
    assert not admission.enter(OTHER)
    admission.leave(None)

    assert admission.enter(OTHER)
    assert admission.count == 2
    assert refused(world) == 1


def test_each_client_has_as_many_as_it_may():
    admission, world = admitting(connections_per_client=1)

    assert admission.enter(CLIENT)
    assert not admission.enter(CLIENT)
    assert admission.enter(OTHER)
    admission.leave(CLIENT)

    assert admission.enter(CLIENT)
    assert admission.count == 2
    assert refused(world) == 1


def test_addresses_of_one_network_of_64_bits_are_one_client():
    admission, _ = admitting(connections_per_client=2)

    assert admission.enter(ip_address("2001:db8::1"))
    assert admission.enter(ip_address("2001:db8::ffff:ffff:ffff:ffff"))
    assert not admission.enter(ip_address("2001:db8::2"))
    assert admission.enter(ip_address("2001:db8:0:1::1"))
    admission.leave(ip_address("2001:db8::1"))

    assert admission.enter(ip_address("2001:db8::3"))


def test_an_ipv4_address_is_one_client_however_it_is_written():
    admission, _ = admitting(connections_per_client=1)

    assert admission.enter(ip_address("::ffff:192.0.2.1"))
    assert not admission.enter(ip_address("192.0.2.1"))
    assert admission.enter(ip_address("192.0.2.2"))


def test_a_connection_is_somebodys_once_that_is_known():
    admission, world = admitting(connections_per_client=1)
    assert all(admission.enter(None) for _ in range(3))

    assert admission.name(CLIENT)
    assert not admission.name(CLIENT)
    admission.leave(None)

    assert admission.count == 2
    admission.leave(CLIENT)
    assert admission.name(CLIENT)
    assert refused(world) == 1


def test_limits_are_those_of_now():
    admission, world = admitting(connections_max=1)
    assert admission.enter(CLIENT)

    world.adopt(route(), limits=Limits(connections_max=2))

    assert admission.enter(CLIENT)
    assert not admission.enter(CLIENT)
