"""Operators' words: what is forced of members or regions, until somebody takes it back.

A word is kept by its key: a member's address or a region, and a service's name or "" for all
services; the closer one holds, and one on a member is closer than one on its region.  What other
nodes were told is merged in (`hear`); it is kept, too, of members that are not configured here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gslb.daemons.events import Events
from gslb.errors import GslbError
from gslb.health.belief import Forced, forced_at
from gslb.health.words import (
    FORCED_MAX,
    ForcedKey,
    Register,
    Registers,
    Words,
    region_key,
    region_of,
)
from gslb.model import Member, Service
from gslb.routing.snapshot import Plan

FORGET_EVERY_S = 60.0

# The services that rest on each address: their names on the wire, and as text.
ByAddress = Mapping[str, Mapping[bytes, str]]
Holding = Mapping[ForcedKey, Forced]


class UnknownMemberError(GslbError):
    """Nobody of that address is a member, or not of that service; or there is no such region."""


class TooManyWordsError(GslbError):
    """As many operators' words are in force, or were said lately, as may be."""


class Operators:
    """Remembers what operators said, here and on other nodes.

    `on_change` is told the services of which another word holds; `on_said` that something was
    said on this node, which others should hear.
    """

    def __init__(
        self,
        node: str,
        clock: Callable[[], float],
        events: Events,
        plan: Callable[[], Plan],
        by_address: Callable[[], ByAddress],
        on_change: Callable[[Iterable[bytes]], None],
        restored: Registers,
    ) -> None:
        self._clock = clock
        self._events = events
        self._plan = plan
        self._by_address = by_address
        self._on_change = on_change
        self._words = Words(node, restored, clock())
        self._forgot_s = clock()
        self._placed: dict[bytes, tuple[Service, dict[str, str]]] = {}
        self.on_said: Callable[[], None] = lambda: None

    @property
    def forced(self) -> Holding:
        """The words that hold, by whom they are about; a live view."""
        return self._words.holding

    @property
    def registers(self) -> Registers:
        """All that is known, what was taken back included: to be kept, and told to others."""
        return self._words.registers

    def force(self, address: str, forced: Forced, service: str = "") -> None:
        """Let a word hold for a member or a region, in all services or in one.

        Raises UnknownMemberError or TooManyWordsError.
        """
        self._check_known(address, service)
        holding = self._words.holding
        said = [] if service else [key for key in holding if key[0] == address and key[1]]
        if (address, service) not in holding and not said and self._words.is_full:
            raise TooManyWordsError(f"{FORCED_MAX} words are in force, or were said lately")
        for key in said:
            self._words.say(key, None, self._clock())
        register = self._words.say((address, service), forced, self._clock())
        self._tell((address, service), register)
        self._on_change(self.resting_on(address))
        self.on_said()

    def release(self, address: str, service: str = "") -> None:
        """Take a word back, if there is one; raises UnknownMemberError."""
        self._check_known(address, service)
        now_s, holding = self._clock(), self._words.holding
        if service and (whole := holding.get((address, ""))) is not None:
            self._words.say((address, ""), None, now_s)
            others = {*self.resting_on(address).values(), service}
            for other in others.difference(k[1] for k in holding if k[0] == address):
                self._words.say((address, other), whole, now_s)
        for key in [key for key in holding if key[0] == address and service in ("", key[1])]:
            self._tell(key, self._words.say(key, None, now_s))
        self._on_change(self.resting_on(address))
        self.on_said()

    def hear(self, registers: Registers) -> bool:
        """Take in what another node knows; return whether anything was new here."""
        before = set(self._words.holding)
        news = self._words.merge(registers, self._clock())
        for key, register in news.items():
            if key in self._words.holding or key in before:
                self._tell(key, register)
                self._on_change(self.resting_on(key[0]))
        return bool(news)

    def drop_expired(self, now_s: float) -> None:
        """Let go of the words whose time is over, and forget what was taken back long ago."""
        for key, register in self._words.run_out(now_s).items():
            self._announce("expired", key, register)
            self._on_change(self.resting_on(key[0]))
        if now_s - self._forgot_s >= FORGET_EVERY_S:
            self._forgot_s = now_s
            self._words.forget(now_s)

    def forced_of(
        self, service: Service, member: Member, holding: Holding | None = None
    ) -> Forced | None:
        """Return the word that holds for *member* in *service*, the closest one.

        Instead of those that hold, words may be supposed.
        """
        holding = self._words.holding if holding is None else holding
        if not holding:
            return None
        address = str(member.address)
        region = self._region_of(service, address, holding)
        return self._closest(address, region, (service.text, ""), holding)

    def supposing(self, address: str, forced: Forced, service: str) -> Holding:
        """Return the words that would hold if one more were said; raises UnknownMemberError."""
        self._check_known(address, service)
        kept = {
            key: word for key, word in self._words.holding.items() if service or key[0] != address
        }
        return {**kept, (address, service): forced}

    def forced_proxy(self, region: str, proxy: Member) -> Forced | None:
        """Return the word that holds for a region's proxy in all services."""
        return self._closest(str(proxy.address), region, ("",), self._words.holding)

    def _closest(
        self, address: str, region: str | None, services: tuple[str, ...], holding: Holding
    ) -> Forced | None:
        now_s = self._clock()
        whom = (address,) if region is None else (address, region_key(region))
        for one in whom:
            for service in services:
                forced = holding.get((one, service))
                if forced_at(forced, now_s) is not None:
                    return forced
        return None

    def _region_of(self, service: Service, address: str, holding: Holding) -> str | None:
        """Return where in *service* an address stands, if a word on one of its regions holds.

        It is found once for each service; its regions are few, and words may be many.
        """
        keys = (region_key(pool.region) for pool in service.pools)
        if not any((key, text) in holding for key in keys for text in (service.text, "")):
            return None
        known, regions = self._placed.get(service.name, (None, {}))
        if known is not service:
            everyone = self._plan().regions
            regions = {
                str(each.address): pool.region
                for pool in service.pools
                for each in (*everyone[pool.region].proxies, *pool.members)
            }
            self._placed[service.name] = service, regions
        return regions.get(address)

    def resting_on(self, address: str) -> Mapping[bytes, str]:
        """Return the services that a word on *address*, or on a region, may touch."""
        region = region_of(address)
        if region is None:
            return self._by_address().get(address, {})
        return {
            service.name: service.text
            for service in self._plan().services.values()
            if any(pool.region == region for pool in service.pools)
        }

    def _check_known(self, address: str, service: str) -> None:
        found = self.resting_on(address).values()
        region = region_of(address)
        if service in found or (not service and found):
            return
        where = f" of {service}" if service else ""
        if region is None:
            raise UnknownMemberError(f"{address} is no member{where}")
        raise UnknownMemberError(f"{region!r} is no region{where or ' with members'}")

    def _tell(self, key: ForcedKey, register: Register) -> None:
        if (forced := register.value) is None:
            self._announce("released", key, register)
            return
        self._announce(
            "forced",
            key,
            register,
            word=forced.word.value,
            reason=forced.reason or None,
            by=forced.by or None,
            until_s=forced.until_s,
            over_s=forced.over_s or None,
        )

    def _announce(self, kind: str, key: ForcedKey, register: Register, **more: object) -> None:
        region = region_of(key[0])
        whom = {"member": key[0]} if region is None else {"region": region}
        service, node = key[1] or None, register.node or None
        self._events.announce(kind, **whom, service=service, **more, node=node)
