"""Words of HAProxy's configuration: quoted, escaped, in the units it takes.

A line of its configuration is read thrice: as words, some of these as expressions whose arguments
have quotes of their own, some as formats in which ``%`` is special (HAProxy 2.6, configuration
manual 2.2 and 8.2.4).  There is one function for each, so that no text of an operator is ever read
as anything but text.
"""

from __future__ import annotations

import re
from http import HTTPStatus

BARE = re.compile(r"[A-Za-z0-9_.:/@+=-]+")
NAME = re.compile(r"[A-Za-z0-9_.-]+")  # a proxy's or server's, a region's
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
ARGUMENT = re.compile(r"[A-Za-z0-9_.~!*:@\[\]-]+")  # needs no quotes within an expression
HOLDER = "src,ipmask(32,64)"  # whom clients are counted as (`gslb.proxy.holder`)
TIME_MAX_S = 24 * 86_400.0  # HAProxy counts milliseconds in 31 bits


def word(text: str) -> str:
    """Return *text* as one word."""
    return text if BARE.fullmatch(text) else _quoted(text)


def argument(text: str) -> str:
    """Return *text* as an argument within an expression, before the line's own quotes."""
    return text if ARGUMENT.fullmatch(text) else _quoted(text)


def literal(text: str) -> str:
    """Return *text* with what is special in a format escaped, before the line's own quotes."""
    return text.replace("%", "%%")


def value(text: str) -> str:
    """Return *text* as one word that is read as a format: an empty one has no words of its own."""
    return word(literal(text)) if text else "%[var(txn.nothing)]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


def milliseconds(time_s: float) -> str:
    """Return a time as HAProxy reads it, a millisecond at least."""
    return f"{max(1, round(time_s * 1000))}ms"


def phrase(status: int) -> str:
    """Return a status with its reason (RFC 9110 15), as plain pages show it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def is_plain(text: str) -> bool:
    """Return whether *text* fits on a line: no control characters."""
    return not any(ord(each) < 0x20 or ord(each) == 0x7F for each in text)
