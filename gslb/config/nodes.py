"""Where in a file a value stands, and what is noted down there.

A file becomes a tree of `Node`s: plain values that know their line and column.  An `At` is
a place in such a tree: it goes down by keys and indexes, and writes complaints and warnings
on the file's `Sheet` with the key's path.  What is wrong is noted, not raised, so that one
run tells everything.

A part that is wrong is cut out of the tree, so that the rest can be checked as well; the
sheet remembers its key as spoiled, so that nothing is said about its absence.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from gslb.errors import Complaint

Scalar = str | int | float | bool | None
Key = str | int

SHOWN_MAX = 60


@dataclass(slots=True)
class Node:
    """A value and where it stands; lines and columns count from 1.

    `label` is its part of the key's path, ``.www`` or ``[1]``.  An item of a list has no
    key of its own: `key_line` and `key_column` are then the value's.
    """

    value: Scalar | dict[Key, Node] | list[Node]
    line: int
    column: int
    label: str = ""
    key_line: int = 0
    key_column: int = 0

    def child(self, step: Key) -> Node | None:
        """Return what stands under a key or index, or None."""
        if isinstance(self.value, dict):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None

    def plain(self) -> object:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(slots=True)
class Sheet:
    """The notes on one file: what is wrong, what is odd, and what was cut out of it.

    `spoiled` holds the paths of the parts that were cut out, and of all that they were in.
    """

    file: str
    complaints: list[Complaint] = field(default_factory=list)
    warnings: list[Complaint] = field(default_factory=list)
    spoiled: set[str] = field(default_factory=set)

    def wrong(self, line: int, column: int, problem: str, hint: str, key: str = "") -> None:
        """Note a complaint at a line and column."""
        self.complaints.append(Complaint(self.file, line, column, key, problem, hint))


@dataclass(frozen=True, slots=True)
class At:
    """A place in a file's tree, and the sheet for notes on it."""

    sheet: Sheet
    node: Node
    path: str = ""
    absent: bool = False

    def __truediv__(self, step: Key) -> At:
        """Return the place under *step*.

        A shorthand has no node for the steps that it leaves out: its own place stands for
        them.  A key that is absent has the place of the map that lacks it.
        """
        inner = self.node.child(step)
        if inner is not None:
            return At(self.sheet, inner, self.path + inner.label)
        if isinstance(self.node.value, dict) and isinstance(step, str):
            return At(self.sheet, self.node, f"{self.path}.{label_text(step)}", absent=True)
        return self

    @property
    def key(self) -> str:
        """Return the key's path, such as ``services.www.pools.eu[1].address``."""
        return self.path.removeprefix(".")

    @property
    def spoiled(self) -> bool:
        """Return whether this or something in it was wrong and has been cut out."""
        return self.path in self.sheet.spoiled

    def has(self, step: Key) -> bool:
        """Return whether *step* is written here with a value."""
        inner = self.node.child(step)
        return inner is not None and inner.value is not None

    def wrong(self, problem: str, hint: str, *, on_key: bool = False) -> None:
        """Note what is wrong with the value here, or with its key."""
        self.sheet.complaints.append(self._note(problem, hint, on_key))

    def miss(self, hint: str) -> None:
        """Note that there is nothing here, unless it was wrong and has been cut out."""
        if not self.spoiled:
            self.wrong("is missing" if self.absent else "is empty", hint)

    def warn(self, problem: str, hint: str, *, on_key: bool = False) -> None:
        """Note what is odd about the value here, or about its key."""
        self.sheet.warnings.append(self._note(problem, hint, on_key))

    def place(self, *, on_key: bool = False) -> tuple[str, int, int, str]:
        """Return file, line and column of the value here, or of its key, and the key's path."""
        node = self.node
        if on_key and node.key_line:
            return self.sheet.file, node.key_line, node.key_column, self.key
        return self.sheet.file, node.line, node.column, self.key

    def _note(self, problem: str, hint: str, on_key: bool) -> Complaint:
        return Complaint(*self.place(on_key=on_key), problem, hint)


def shown(value: object) -> str:
    """Return *value* as an operator would write it, cut short if it is long."""
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def label_text(key: Key) -> str:
    """Return a key as it stands in a path: as it is, or quoted if it would break the line."""
    text = str(key)
    return text if text.isprintable() and len(text) <= SHOWN_MAX else shown(text)


def closest(word: str, known: Iterable[str], *, what: str) -> str:
    """Return a hint: the closest of the *known* words, or all of them if none is close."""
    words = sorted(known)
    if not words:
        return f"there are no {what}s yet"
    lower = {candidate.lower(): candidate for candidate in words}
    near = difflib.get_close_matches(word.lower()[:SHOWN_MAX], lower, n=1)
    if near:
        return f"did you mean {lower[near[0]]}?"
    return f"known {what}s: {_listed(words)}"


def _listed(words: list[str], most: int = 30) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
