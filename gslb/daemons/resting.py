"""Which services rest on whom: by what is probed, and by the address that an operator speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gslb.config.settings import Config
from gslb.model import Member, Monitor, Regions, Service, Subject
from gslb.routing.snapshot import Plan, members_of


@dataclass(frozen=True, slots=True)
class Resting:
    """The names of the services whose answers rest on each subject, and on each address.

    With an address stand the services' names as text too.  So what a flip or a word touches is
    found by one look-up, however many members there are.
    """

    by_subject: dict[Subject, set[bytes]] = field(default_factory=dict)
    by_address: dict[str, dict[bytes, str]] = field(default_factory=dict)

    def add(self, service: Service, regions: Regions) -> None:
        """Let a service rest on its members."""
        for member in members_of(service, regions):
            self.by_address.setdefault(_address_of(member), {})[service.name] = service.text
            if member.subject is not None:
                self.by_subject.setdefault(member.subject, set()).add(service.name)

    def follow(self, before: Plan, after: Plan, names: Iterable[bytes]) -> None:
        """Rest on the members of another plan, in which only these services can be others."""
        for key in names:
            old, new = before.services.get(key), after.services.get(key)
            if old is not None and new is not None and old is not new:
                self.remove(old, before.regions)
                self.add(new, after.regions)

    def remove(self, service: Service, regions: Regions) -> None:
        """Let a service rest on its members no longer."""
        for member in members_of(service, regions):
            address, subject = _address_of(member), member.subject
            if (names := self.by_address.get(address)) is not None:
                names.pop(service.name, None)
                if not names:
                    del self.by_address[address]
            if subject is not None and (on := self.by_subject.get(subject)) is not None:
                on.discard(service.name)
                if not on:
                    del self.by_subject[subject]


def _address_of(member: Member) -> str:
    return str(member.address) if member.subject is None else member.subject.address


def subjects_of(services: Iterable[Service], config: Config) -> dict[Subject, Monitor]:
    """Return what of *services* is to be probed, with the rule for each."""
    return {
        member.subject: config.monitors[member.subject.monitor]
        for service in services
        for member in members_of(service, config.regions)
        if member.subject is not None
    }


def tier_subjects(services: Iterable[Service], config: Config) -> dict[Subject, Monitor]:
    """Return what the tier of a region probes: all members of *services*, and all proxies.

    What lives in other regions is what it sends requests to when nobody lives in its own.
    """
    members = [each for service in services for pool in service.pools for each in pool.members]
    members += [proxy for region in config.regions.values() for proxy in region.proxies]
    return {
        member.subject: config.monitors[member.subject.monitor]
        for member in members
        if member.subject is not None
    }


def subjects_at(services: Iterable[Service], name: str, address: str) -> Iterator[Subject]:
    """Yield what is probed of the members at *address* of the service *name*."""
    for service in services:
        if service.text == name:
            for pool in service.pools:
                for member in pool.members:
                    if str(member.address) == address and member.subject is not None:
                        yield member.subject


def resting(plan: Plan) -> Resting:
    """Return which services of *plan* rest on whom."""
    found = Resting()
    for service in plan.services.values():
        found.add(service, plan.regions)
    return found
