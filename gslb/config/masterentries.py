"""A master file cut into entries: a line each, or several while a parenthesis is open.

Only parentheses, quotes, escapes and comments count here (RFC 1035 5.1).  Cutting first
and reading afterwards is what lets a mistake in one entry leave the next one readable.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from gslb.errors import Complaint, ConfigError

# A place in an operator's files: file, line, column, and the key's path.
Place = tuple[str, int, int, str]

_ASIDE = re.compile(r'\\.|"(?:[^"\\]|\\.)*"?|;.*')


def text_of(path: Path, named_at: Place, bytes_max: int) -> tuple[str, tuple[int, int]]:
    """Return a file's text with plain newlines, and what tells it from all other files.

    Raises ConfigError: at *named_at* if it cannot be read, in it where it is not text.
    """
    octets, identity = octets_of(path, named_at, bytes_max)
    return _decoded(octets, path), identity


def octets_of(path: Path, named_at: Place, bytes_max: int) -> tuple[bytes, tuple[int, int]]:
    """Return what a file holds, and what tells it from all other files.

    Raises ConfigError at *named_at* if it cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise wrong(named_at, f"{path} is not a regular file", "name a master file")
        if status.st_size > bytes_max:
            problem = f"{path} has {status.st_size} bytes, more than {bytes_max}"
            raise wrong(named_at, problem, "delegate a part of the zone")
        octets = path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        hint = "give the path of a readable file, relative to the file that names it"
        raise wrong(named_at, f"cannot read {path}: {why}", hint) from None
    return octets, (status.st_dev, status.st_ino)


def _decoded(octets: bytes, path: Path) -> str:
    try:
        text = octets.decode("utf-8-sig")
        wrong_at = octets.find(b"\x00")
    except UnicodeDecodeError as error:
        text, wrong_at = "", error.start
    if wrong_at >= 0:
        before = octets[:wrong_at]
        raise wrong(
            (str(path), before.count(b"\n") + 1, wrong_at - before.rfind(b"\n"), ""),
            f"the octet 0x{octets[wrong_at]:02x} is not text",
            "save the file as UTF-8; write other octets in data as \\DDD",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def wrong(place: Place, problem: str, hint: str) -> ConfigError:
    """Return the error with one complaint."""
    return ConfigError([Complaint(*place, problem, hint)])


def entries(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each entry with its first line's number, and whether its parentheses close."""
    lines = enumerate(text.split("\n"), 1)
    for number, line in lines:
        depth = _depth(line)
        gathered = [line]
        while depth > 0 and (following := next(lines, None)) is not None:
            gathered.append(following[1])
            depth += _depth(following[1])
        yield number, "\n".join(gathered), depth <= 0


def _depth(line: str) -> int:
    if "(" not in line and ")" not in line:
        return 0
    bare = _ASIDE.sub("", line)
    return bare.count("(") - bare.count(")")
