"""Operators' words: what is forced of members and for how long, until somebody takes it back.

A word is kept by its key: a member's address, and a service's name or "" for all services; the
closer one holds.  Who rests on an address is asked of the configuration in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gslb.daemons.events import Events
from gslb.daemons.store import ForcedKey
from gslb.errors import GslbError
from gslb.health.belief import Forced, forced_at
from gslb.model import Member, Service

FORCED_MAX = 100_000

# The services that rest on each address: their names on the wire, and as text.
ByAddress = Mapping[str, Mapping[bytes, str]]


class UnknownMemberError(GslbError):
    """Nobody of that address is a member, or not of that service."""


class TooManyWordsError(GslbError):
    """As many operators' words are in force as may be."""


class Operators:
    """Remembers what operators said; `on_change` is told each address that is spoken of anew."""

    def __init__(
        self,
        clock: Callable[[], float],
        events: Events,
        by_address: Callable[[], ByAddress],
        on_change: Callable[[str], None],
        restored: Mapping[ForcedKey, Forced],
    ) -> None:
        self._clock = clock
        self._events = events
        self._by_address = by_address
        self._on_change = on_change
        self.forced: dict[ForcedKey, Forced] = dict(restored)

    def force(self, address: str, forced: Forced, service: str = "") -> None:
        """Let a word hold for a member, in all services or in one.

        Raises UnknownMemberError or TooManyWordsError.
        """
        self._check_member(address, service)
        said = [
            k for k in self.forced if k == (address, service) or (k[0] == address and not service)
        ]
        if len(self.forced) - len(said) >= FORCED_MAX:
            raise TooManyWordsError(f"{FORCED_MAX} words are in force")
        for key in said:
            del self.forced[key]
        self.forced[address, service] = forced
        self._events.announce(
            "forced",
            member=address,
            service=service or None,
            word=forced.word.value,
            reason=forced.reason or None,
            by=forced.by or None,
            until_s=forced.until_s,
        )
        self._on_change(address)

    def release(self, address: str, service: str = "") -> None:
        """Take a word back, if there is one; raises UnknownMemberError."""
        self._check_member(address, service)
        if service and (whole := self.forced.pop((address, ""), None)) is not None:
            for other in self._by_address()[address].values():
                self.forced.setdefault((address, other), whole)
        for key in [key for key in self.forced if key[0] == address and service in ("", key[1])]:
            del self.forced[key]
            self._events.announce("released", member=address, service=key[1] or None)
        self._on_change(address)

    def _check_member(self, address: str, service: str) -> None:
        found = self._by_address().get(address, {}).values()
        if service in found or (not service and found):
            return
        where = f" of {service}" if service else ""
        raise UnknownMemberError(f"{address} is no member{where}")

    def drop_expired(self, now_s: float) -> None:
        """Forget the words whose time is over."""
        for key in [k for k, word in self.forced.items() if forced_at(word, now_s) is None]:
            del self.forced[key]
            self._events.announce("expired", member=key[0], service=key[1] or None)
            self._on_change(key[0])

    def forced_of(self, service: Service, member: Member) -> Forced | None:
        """Return the word that holds for *member* in *service*, the closer one first."""
        if not self.forced:
            return None
        now_s, address = self._clock(), str(member.address)
        for key in ((address, service.text), (address, "")):
            forced = self.forced.get(key)
            if forced_at(forced, now_s) is not None:
                return forced
        return None
