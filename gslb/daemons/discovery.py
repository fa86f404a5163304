"""Discovery: members that come and go while the configuration stays, from all sources together.

A node and a vantage each run one.  It looks at files and names itself; leases are made on a node
(`leases`), and come from other nodes (`leases.hear`).  `found` is all that is known, replaced
whole; `on_change` is called when it says something else, at most once in `COALESCE_S`, however
many members come at once.

What files and names said last is kept in `state_dir`, with the leases, so that a start while a
resolver is down or a file is broken finds the members that were there before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from gslb.config.settings import Config
from gslb.daemons import watching
from gslb.daemons.aside import aside
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.leases import LeaseBook
from gslb.daemons.memberfiles import MemberFiles
from gslb.daemons.remembered import Remembered, load, save
from gslb.daemons.resolving import Ask, Asking, MemberName
from gslb.model import Discover, Member, Service, Source
from gslb.routing.found import NOTHING, Found, FoundMember, with_found

COALESCE_S = 0.05
FIRST_MAX_S = 2.0  # how long a start waits for names
LOOKUPS_MAX = 64  # names that are looked up at once
SAVE_AFTER_S = 0.5

# A name, and who is asked for it.
NameKey = tuple[str, tuple[str, int] | None]


class Discovery:
    """Finds the members of the pools of one configuration, which `adopt` replaces.

    *asking* stands in for real resolvers.
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
        *,
        events: Events | None = None,
        counters: Counters | None = None,
        asking: Callable[[tuple[str, int] | None], Ask] = Asking,
    ) -> None:
        self._clock = clock
        self.on_change = on_change
        self._events = events or Events(clock)
        self._counters = counters or Counters()
        self._asking = asking
        self._folder = config.state_dir
        self._remembered = load(self._folder)
        self._saved = self._remembered
        self._files: dict[str, MemberFiles] = {}
        self._names: dict[NameKey, MemberName] = {}
        self.leases = LeaseBook(config.node, clock, self._say, self._remembered.leases)
        self._told: dict[tuple[str, object], tuple[str, ...]] = {}
        self._renamed = asyncio.Event()  # other names are to be looked up
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._stale = asyncio.Event()  # `found` may say something else
        self._moved = asyncio.Event()  # other files are to be looked at
        self.found: Found = NOTHING
        self.adopt(config)
        self.refresh()

    def adopt(self, config: Config) -> None:
        """Find members for the pools of *config* from now on."""
        self._services = config.services()
        self._pools = dict(_discovering(self._services))
        files = {each.file for each in self._pools.values() if each.file is not None}
        names = {(each.dns, each.resolver) for each in self._pools.values() if each.dns is not None}
        was_files, was_names = self._files, self._names
        known = self._remembered
        self._files = {
            path: was_files.get(path) or MemberFiles(Path(path), known.files.get(path, ()))
            for path in sorted(files)
        }
        self._names = {
            (name, at): was_names.get((name, at))
            or MemberName(name, self._asking(at), self._clock, known.names.get(name, ()))
            for name, at in names
        }
        self._moved.set()
        self._renamed.set()
        self._stale.set()

    @property
    def configured(self) -> tuple[Service, ...]:
        """The services as they are configured, without what was found."""
        return self._services

    def services(self) -> tuple[Service, ...]:
        """Return the configured services with the members that were found."""
        return tuple(
            with_found(each, self.found) if each.discovers else each for each in self._services
        )

    def lease_ends_s(self, service: str, region: str, member: Member) -> float | None:
        """Return when the lease of a member ends; None for one without."""
        if member.source is not Source.LEASE or isinstance(member.address, str):
            return None
        return self.leases.ends_s((service, region, member.address))

    async def first(self) -> None:
        """Look at all files, and at all names once, for which at most `FIRST_MAX_S` is waited."""
        await aside(self._look_at_files)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_MAX_S):
                await asyncio.gather(*map(self._look_up, self._names.values()))
        self.refresh()

    async def run(self) -> None:
        """Look at files and names, and end leases, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_files())
            group.create_task(self._watch_names(group))
            group.create_task(self._save_changes())
            while True:
                await self._until_stale()
                await asyncio.sleep(COALESCE_S)
                self._stale.clear()
                self.refresh()

    def _say(self) -> None:
        self._stale.set()

    def refresh(self) -> None:
        """Put together what all sources say now, and tell if it is something else."""
        self._tell_problems()
        self.leases.prune()
        before, self.found = self.found, self._together()
        differing = before.differing(self.found)
        for name in sorted(differing):
            self._announce(name, before, self.found)
        if differing:
            self.on_change()

    def _together(self) -> Found:
        leased = self.leases.members()
        pools: dict[str, dict[str, dict[Source, tuple[FoundMember, ...]]]] = {}
        for (service, region), discover in self._pools.items():
            said = {
                Source.LEASE: tuple(leased.get((service, region), {}).values())
                if discover.register
                else (),
                Source.FILE: self._files[discover.file].members if discover.file else (),
                Source.DNS: (
                    self._names[discover.dns, discover.resolver].members if discover.dns else ()
                ),
            }
            said = {source: members for source, members in said.items() if members}
            if said:
                pools.setdefault(service, {})[region] = said
        return Found(pools)

    async def _until_stale(self) -> None:
        """Return when a source says something else, or a lease has ended."""
        first_s = self.leases.next_end_s()
        wait_s = None if first_s is None else first_s - self._clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stale.wait()

    def _look_at_files(self) -> None:
        for files in list(self._files.values()):
            files.look()

    async def _watch_files(self) -> None:
        """Look at the files at once when they are others, and whenever one may have changed."""
        while True:
            self._moved.clear()
            await self._look_again()
            if not self._files:
                await self._moved.wait()
                continue
            async for _ in watching.looks(await aside(self._places), self._moved):
                await self._look_again()

    def _places(self) -> watching.Places:
        paths = frozenset(map(Path, self._files))
        return watching.Places(paths, frozenset(path for path in paths if path.is_dir()))

    async def _look_again(self) -> None:
        def said() -> dict[str, object]:
            return {path: (each.members, each.problems) for path, each in self._files.items()}

        before = said()
        await aside(self._look_at_files)
        if said() != before:
            self._stale.set()

    async def _watch_names(self, group: asyncio.TaskGroup) -> None:
        """Keep a task for each name that looks it up again and again."""
        tasks: dict[NameKey, tuple[MemberName, asyncio.Task[None]]] = {}
        while True:
            self._renamed.clear()
            for key, (name, task) in list(tasks.items()):
                if self._names.get(key) is not name:
                    task.cancel()
                    del tasks[key]
            for key, name in self._names.items():
                if key not in tasks:
                    tasks[key] = (name, group.create_task(self._follow(name)))
            await self._renamed.wait()

    async def _follow(self, name: MemberName) -> None:
        while True:
            wait_s = await self._look_up(name)
            self._stale.set()
            await asyncio.sleep(wait_s)

    async def _look_up(self, name: MemberName) -> float:
        async with self._lookups:
            return await name.look()

    async def _save_changes(self) -> None:
        while True:
            await asyncio.sleep(SAVE_AFTER_S)
            await self.save()

    async def save(self) -> None:
        """Write what a next start should find, if it is something else than was written."""
        now = self._to_remember()
        if now != self._saved:
            self._saved = now
            await aside(partial(save, self._folder, now))

    def _to_remember(self) -> Remembered:
        return Remembered(
            {path: files.members for path, files in self._files.items() if files.members},
            {name: each.members for (name, _), each in self._names.items() if each.members},
            dict(self.leases.table),
        )

    def _tell_problems(self) -> None:
        """Tell of what is wrong with a source once, and when it is mended."""
        now: dict[tuple[str, object], tuple[str, ...]] = {
            **{(path, None): files.problems for path, files in self._files.items()},
            **{key: name.problems for key, name in self._names.items()},
        }
        for key, problems in now.items():
            was = self._told.get(key, ())
            for problem in (each for each in problems if each not in was):
                self._counters.events["gslb_discovery_failures"] += 1
                self._events.announce("discovery_failed", error=problem)
            if was and not problems:
                self._events.announce("discovery_mended", of=key[0])
        self._told = now

    def _announce(self, service: str, before: Found, after: Found) -> None:
        was, now = before.addresses(service), after.addresses(service)
        for source, region, address in sorted(now - was, key=str):
            place = {"source": source.value, "service": service, "region": region}
            self._events.announce("member_found", address=str(address), **place)
        for source, region, address in sorted(was - now, key=str):
            place = {"source": source.value, "service": service, "region": region}
            self._events.announce("member_gone", address=str(address), **place)


def _discovering(services: Iterable[Service]) -> Iterator[tuple[tuple[str, str], Discover]]:
    """Yield the pools that discover members, by service and region."""
    for service in services:
        for pool in service.pools:
            if pool.discover is not None:
                yield (service.text, pool.region), pool.discover
