"""The files that a main file names: its zones, by path or glob, each of them once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gslb.config.fields import ZONES_MAX
from gslb.config.nodes import At, shown


class _FolderError(Exception):
    """The folder in which a glob looks cannot be listed."""


@dataclass(slots=True)
class ZoneFiles:
    """The zone files that the main file names, in its order, each once."""

    folder: Path
    most: int = ZONES_MAX
    zones: list[tuple[Path, At]] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    _plain: dict[Path, str] = field(default_factory=dict)
    _seen: set[Path] = field(default_factory=set)

    def add(self, written: str, at: At) -> None:
        """Add the file, or the files, that *written* names."""
        if not any(sign in written for sign in "*?["):
            path = beside(self.folder, written)
            if (first := self._plain.get(_identity(path))) is not None:
                at.wrong(f"{shown(written)} is the same file as {shown(first)}", "keep one")
                return
            self._plain[_identity(path)] = written
            self._add(path, at)
            return
        try:
            matches = sorted(self._matches(written))
        except (ValueError, NotImplementedError, OSError) as error:
            hint = "write a glob such as zones/*.yaml"
            at.wrong(f"{shown(written)} is not a glob: {error}", hint)
            return
        except _FolderError as error:
            hint = "check the spelling of the path, and that this user may list the folder"
            at.wrong(f"the folder of {shown(written)} cannot be listed: {error}", hint)
            return
        if not matches:
            at.warn(f"{shown(written)} matches no file", "check the spelling of the path")
        for path in matches:
            self._add(path, at)

    def _add(self, path: Path, at: At) -> None:
        if _identity(path) in self._seen:
            return
        if len(self.zones) == self.most:
            at.wrong(f"names more than {self.most} zones", "serve some of them elsewhere")
        if len(self.zones) <= self.most:
            self._seen.add(_identity(path))
            self.zones.append((path, at))

    def _matches(self, written: str) -> Iterator[Path]:
        pattern = Path(written)
        base = Path(pattern.anchor) if pattern.is_absolute() else self.folder
        parts = list(pattern.parts[1:] if pattern.is_absolute() else pattern.parts)
        while len(parts) > 1 and not any(sign in parts[0] for sign in "*?["):
            base /= parts.pop(0)
        self.folders.add(base)
        try:
            next(base.iterdir(), None)
        except OSError as error:
            # A glob says of such a folder that it is empty, and every zone in it would be gone.
            raise _FolderError(error.strerror) from None
        for found in base.glob(str(Path(*parts))):
            if found.is_file():
                self.folders.add(found.parent)
                yield shorter(found)


def beside(folder: Path, written: str) -> Path:
    """Return a path that is written in a file of *folder*."""
    return shorter(folder / written)


def shorter(path: Path) -> Path:
    """Return *path* from the working directory if it is inside it."""
    if ".." in path.parts:
        return path  # behind a link, what stands before the dots counts
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return path
    return path if relative.startswith("..") else Path(relative)


def as_watched(path: Path) -> Path:
    """Return *path* as it is looked at again: absolute, and through the links on its way.

    Whoever swaps a link to a folder changes the files behind it.
    """
    found = Path(path.absolute().anchor)
    for part in path.absolute().parts[1:]:
        if part != "..":
            found /= part
        else:
            found = (_identity(found) if found.is_symlink() else found).parent
    return found


def without_links(path: Path) -> Path:
    """Return *path* with its folder as it really is, and its own name."""
    return _identity(path.parent) / path.name


def _identity(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()
