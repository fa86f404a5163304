"""The texts that one ``$GENERATE`` line of a master file stands for, as BIND defines it.

``$`` in a template is the number, ``${offset,width,base}`` the number plus an offset,
padded with zeros, in base d, o, x, X, or as dotted nibbles n, N (for ip6.arpa).  ``$$`` is
a dollar sign, and an escape is left as it is.
"""

from __future__ import annotations

import re

WIDTH_MAX = 127

_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?", re.ASCII)
_PLACEHOLDER = re.compile(
    r"\\.|\$\$|\$(?!\{)|\$\{([+-]?\d{1,10})(?:,(\d{1,10})(?:,([doxXnN]))?)?\}|\$\{", re.ASCII
)


def numbers(text: str) -> range:
    """Return the numbers of a range such as ``1-10`` or ``0-255/2``; raises ValueError."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r:.80} is not a range such as 1-10 or 0-255/2")
    start, stop, step = (int(group or 1) for group in match.groups())
    if start > stop or step < 1:
        raise ValueError(f"the range {text} is empty or has no step; write such as 1-10")
    return range(start, stop + 1, step)


def text(template: str, number: int) -> str:
    """Return *template* with *number* in its places; raises ValueError."""
    return _PLACEHOLDER.sub(lambda match: _substituted(match, number), template)


def _substituted(match: re.Match[str], number: int) -> str:
    found = match[0]
    if found == "$":
        return str(number)
    if found == "$$":
        return "$"
    if found.startswith("\\"):
        return found
    if match[1] is None:
        raise ValueError("after ${ write offset, width and base, such as ${0,3,d}")
    width = int(match[2] or 0)
    if width > WIDTH_MAX:
        raise ValueError(f"the width {width} in {found} is above {WIDTH_MAX}")
    value = number + int(match[1])
    base = match[3] or "d"
    if base in "nN":
        return _nibbles(value, width, base)
    return format(value, base).zfill(width)


def _nibbles(value: int, width: int, base: str) -> str:
    """Return hexadecimal digits, the last first, with dots; *width* counts the dots too."""
    if value < 0:
        raise ValueError(f"{value} is negative and has no nibbles")
    digits = format(value, "x" if base == "n" else "X").zfill((width + 1) // 2)
    shown = ".".join(reversed(digits))
    return shown + "." if len(shown) < width else shown
