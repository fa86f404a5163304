"""What is shouted about while it lasts: services that some clients get in an unusual way."""

from __future__ import annotations

from gslb.daemons.events import Events
from gslb.model import Family
from gslb.routing.climb import Way, is_absent
from gslb.routing.snapshot import Entry, Snapshot

_LOUD = (Way.PROXIES, Way.FAIL_OPEN, Way.NODATA, Way.SERVFAIL)
ALL_DRAINED = "all_drained"


class Alarms:
    """Compares each snapshot with the one before, and announces what begins and what ends."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.current: frozenset[tuple[str, str]] = frozenset()
        self._seen = -1  # the generation that was looked at last

    def look_at(self, snapshot: Snapshot) -> None:
        """Announce what is new in *snapshot*, and what is over."""
        follows = snapshot.since == self._seen
        self._seen = snapshot.generation
        if snapshot.changed is None or not follows:
            now = {kind for entry in snapshot.entries.values() for kind in _kinds(entry)}
        else:
            changed = [snapshot.entries[key] for key in snapshot.changed]
            names = {entry.service.text for entry in changed}
            now = {alarm for alarm in self.current if alarm[0] not in names}
            now.update(kind for entry in changed for kind in _kinds(entry))
        for service, kind in sorted(now - self.current):
            self._events.announce("alarm", service=service, alarm=kind)
        for service, kind in sorted(self.current - now):
            self._events.announce("alarm_over", service=service, alarm=kind)
        self.current = frozenset(now)


def _kinds(entry: Entry) -> set[tuple[str, str]]:
    """Return a service's alarms, each beside its name."""
    found = set()
    service = entry.service.text
    for family, choices in entry.choices.items():
        if is_absent(entry.service, Family(family)):
            continue
        for choice in choices:
            if choice.climb.all_drained:
                found.add((service, ALL_DRAINED))
            if choice.way in _LOUD and choice.climb.rungs:
                found.add((service, choice.way.value))
    return found
