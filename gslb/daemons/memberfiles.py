"""Members from files: a file, or a folder of files, that others write and this process watches.

A file is a line a member, ``ADDRESS [WEIGHT] [HOST:PORT of its probe]``, with comments from ``#``
on; or, if its first sign is ``[``, a JSON list of addresses and of objects with the keys
``address``, ``weight`` and ``probe``, as in a zone's file.  A folder is all its files but those
whose names start with a dot or end in ``~``; of an address that several files list, the first
file by name counts.

A file that is broken keeps what it said before: one that cannot be read, that holds a mistake
anywhere, or nothing at all, which is what a writer leaves for a moment that does not rename.  So
does a path at which there is nothing.  But a file that leaves its folder takes its members along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gslb.config import addresses, scalars
from gslb.config.nodes import Sheet, closest, shown
from gslb.config.scalars import ScalarError
from gslb.config.yamlfile import UnreadableError, decode, read_bytes
from gslb.daemons.watching import Stamp, stamp_of
from gslb.errors import GslbError
from gslb.model import WEIGHT_MAX
from gslb.routing.found import POOL_MEMBERS_MAX, FoundMember

FILES_MAX = 4_096

_WEIGHT = re.compile(r"[0-9]{1,9}", re.ASCII)
_KEYS = ("address", "weight", "probe")
_LINE_HINT = "write ADDRESS, ADDRESS WEIGHT, or ADDRESS WEIGHT HOST:PORT"
_EMPTY_HINT = "write a line `# nobody` or `[]` if nobody is meant"


class MemberFileError(GslbError):
    """A list of members cannot be used; says where and why, with a hint."""


def parse(raw: bytes, name: str = "the list") -> tuple[FoundMember, ...]:
    """Return the members that a file's octets list; raises MemberFileError."""
    sheet = Sheet(name)
    try:
        text = decode(raw, sheet)
    except UnreadableError:
        raise MemberFileError(str(sheet.complaints[0])) from None
    if not text.strip():
        raise _wrong(name, 1, "is empty", _EMPTY_HINT)
    read = _of_json if text.lstrip().startswith("[") else _of_lines
    members: dict[object, FoundMember] = {}
    for line, member in read(text, name):
        if member.address in members:
            raise _wrong(name, line, f"{member.address} is listed twice", "list it once")
        members[member.address] = member
        if len(members) > POOL_MEMBERS_MAX:
            problem = f"lists more than {POOL_MEMBERS_MAX} members"
            raise _wrong(name, line, problem, "make several pools of them")
    return tuple(members.values())


def _wrong(name: str, line: int, problem: str, hint: str) -> MemberFileError:
    return MemberFileError(f"{name}:{line}: {problem}\n  hint: {hint}")


def _of_lines(text: str, name: str) -> Iterator[tuple[int, FoundMember]]:
    for line, written in enumerate(text.splitlines(), 1):
        words = written.partition("#")[0].split()
        if not words:
            continue
        try:
            if len(words) > len(_KEYS):
                raise ScalarError(f"has {len(words)} words", _LINE_HINT)
            weight = words[1] if len(words) > 1 else "1"
            if not _WEIGHT.fullmatch(weight):
                raise ScalarError(f"{shown(weight)} is not a weight", _LINE_HINT)
            yield line, member_of(words[0], int(weight), words[2] if len(words) > 2 else None)
        except ScalarError as error:
            raise _wrong(name, line, error.problem, error.hint) from None


def _of_json(text: str, name: str) -> Iterator[tuple[int, FoundMember]]:
    hint = 'write a list such as ["192.0.2.1", {"address": "192.0.2.2", "weight": 3}]'
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(name, error.lineno, f"is not JSON: {error.msg}", hint) from None
    except (ValueError, RecursionError) as error:
        raise _wrong(name, 1, f"is not JSON: {error}", hint) from None
    for number, written in enumerate(whole):
        each = {"address": written} if isinstance(written, str) else written
        try:
            if not isinstance(each, dict):
                raise ScalarError(f"{shown(each)} is no member", hint)
            for key in each:
                if key not in _KEYS:
                    raise ScalarError(f"unknown key {shown(key)}", closest(key, _KEYS, what="key"))
            yield 1, member_of(each.get("address"), each.get("weight", 1), each.get("probe"))
        except ScalarError as error:
            raise _wrong(name, 1, f"[{number}]: {error.problem}", error.hint) from None


def member_of(address: object, weight: object, probe: object) -> FoundMember:
    """Return a found member as somebody has written it; raises ScalarError."""
    return FoundMember(
        addresses.address(address),
        scalars.whole(0, WEIGHT_MAX)(weight),
        None if probe is None else addresses.target(probe),
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one file said when it was last good, and the stamp that it was last read with."""

    stamp: Stamp
    members: tuple[FoundMember, ...]


class MemberFiles:
    """What one path, a file's or a folder's, says of members; it remembers what it said before."""

    def __init__(self, path: Path, remembered: tuple[FoundMember, ...] = ()) -> None:
        self.path = path
        self.members = remembered
        self.problems: tuple[str, ...] = ()
        self._kept: Mapping[Path, _Kept] = {path: _Kept(None, remembered)} if remembered else {}
        self._wrong: dict[Path, str] = {}

    def look(self) -> None:
        """Read what has changed into `members`, and what is wrong into `problems`; in a thread."""
        try:
            names = self._names()
        except OSError as error:
            self.problems = (f"{self.path}: cannot be read: {error.strerror}",)
            return
        kept: dict[Path, _Kept] = {}
        wrong: dict[Path, str] = {}
        for name in names:
            before, stamp = self._kept.get(name), stamp_of(name)
            if before is not None and stamp is not None and before.stamp == stamp:
                kept[name] = before
                if name in self._wrong:
                    wrong[name] = self._wrong[name]
                continue
            members: tuple[FoundMember, ...] = () if before is None else before.members
            try:
                members = parse(read_bytes(name), str(name))
            except MemberFileError as error:
                wrong[name] = str(error)
            except UnreadableError as error:
                wrong[name] = f"{name}: {error.problem}\n  hint: {error.hint}"
            kept[name] = _Kept(stamp, members)
        self._kept, self._wrong = kept, wrong
        self.problems = tuple(wrong.values())
        first: dict[object, FoundMember] = {}
        for one in kept.values():
            for each in one.members:
                first.setdefault(each.address, each)
        self.members = tuple(first.values())[:POOL_MEMBERS_MAX]

    def _names(self) -> list[Path]:
        """Return the files to read, the first to count first; raises OSError."""
        self.path.stat()
        if not self.path.is_dir():
            return [self.path]
        found = []
        for path in self.path.iterdir():
            if not (path.name.startswith(".") or path.name.endswith("~")):
                with suppress(OSError):
                    if path.is_file():
                        found.append(path)
        return sorted(found)[:FILES_MAX]
