"""Which services rest on whom: by what is probed, and by the address that an operator speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gslb.config.settings import Config
from gslb.model import Monitor, Service, Subject
from gslb.routing.snapshot import Plan, members_of


@dataclass(frozen=True, slots=True)
class Resting:
    """The names of the services whose answers rest on each subject, and on each address.

    With an address stand the services' names as text too.  So what a flip or a word touches is
    found by one look-up, however many members there are.
    """

    by_subject: Mapping[Subject, set[bytes]] = field(default_factory=dict)
    by_address: Mapping[str, dict[bytes, str]] = field(default_factory=dict)


def subjects_of(services: Iterable[Service], config: Config) -> dict[Subject, Monitor]:
    """Return what of *services* is to be probed, with the rule for each."""
    return {
        member.subject: config.monitors[member.subject.monitor]
        for service in services
        for member in members_of(service, config.regions)
        if member.subject is not None
    }


def resting(plan: Plan) -> Resting:
    """Return which services of *plan* rest on whom."""
    by_subject: dict[Subject, set[bytes]] = {}
    by_address: dict[str, dict[bytes, str]] = {}
    for service in plan.services.values():
        for member in members_of(service, plan.regions):
            subject = member.subject
            address = str(member.address) if subject is None else subject.address
            by_address.setdefault(address, {})[service.name] = service.text
            if subject is not None:
                by_subject.setdefault(subject, set()).add(service.name)
    return Resting(by_subject, by_address)
