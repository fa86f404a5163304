"""Connections in tcp mode at their ends, by transports that are none: who lets go of whom."""

import asyncio
from ipaddress import ip_address

import pytest

from gslb.daemons import passing
from gslb.daemons.passing import IDLE_S, MemberSide, Passing
from gslb.daemons.places import Places
from gslb.tier import PassRoute
from tests.exchanges import WWW, World


class Wire:
    """A transport that remembers how it was ended."""

    def __init__(self):
        self.ended = []

    def get_write_buffer_size(self):
        return 1

    def close(self):
        self.ended.append("closed")

    def abort(self):
        self.ended.append("broken off")


class Pair:
    """A client's connection and its member's, each with a wire."""

    def __init__(self):
        self.world, self.done, self.left = World(), [], []
        route = PassRoute((), WWW)
        self.client = Passing(
            self.world.desk,
            Places(),
            route,
            ip_address("192.0.2.7"),
            self.done.append,
        )
        self.near, self.far = Wire(), Wire()
        self.client._transport = self.near
        self.member = self.joined()
        self.client._member = self.member

    def joined(self):
        member = MemberSide(self.client, lambda: self.left.append(member))
        member._transport = self.far
        return member


async def test_what_is_idle_is_broken_off_on_both_sides():
    pair = Pair()
    pair.client.sweep(pair.world.now_s + IDLE_S - 1)
    assert pair.near.ended == []

    pair.client.sweep(pair.world.now_s + IDLE_S)
    pair.client.connection_lost(None)

    assert (pair.near.ended, pair.far.ended) == (["broken off"], ["broken off"])
    assert pair.done[0].error == "idle"
    pair.member.connection_lost(None)
    assert pair.left == [pair.member]


@pytest.mark.parametrize(
    ("error", "ended"), [(ConnectionResetError(), ["broken off"]), (None, ["closed", "broken off"])]
)
async def test_a_member_that_hangs_is_let_go_once_its_client_is_gone(monkeypatch, error, ended):
    monkeypatch.setattr(passing, "LINGER_S", 0.0)
    pair = Pair()

    pair.client.connection_lost(error)
    await asyncio.sleep(0.01)

    assert pair.far.ended == ended


async def test_a_connection_that_failed_before_it_was_taken_ends_no_client():
    pair = Pair()
    other = pair.joined()

    other.connection_lost(None)

    assert pair.left == [other]
    assert pair.near.ended == []
    pair.member.connection_lost(None)
    assert pair.near.ended == ["closed"]
