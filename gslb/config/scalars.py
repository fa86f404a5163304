"""One value of a configuration file → what it means: a duration, a share, a word.

Each function takes what YAML gave and returns the meaning, or raises `ScalarError` with the
problem in plain words and a hint.  Where a value stands is the caller's business.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from fractions import Fraction
from string import hexdigits

from gslb.config.eventkinds import EVENT_KINDS
from gslb.config.nodes import closest, shown

DAY_S = 86_400
ASN_MAX = 2**32 - 1
REGEX_CHARS_MAX = 1_000
TEXT_CHARS_MAX = 4_096
NAME_CHARS_MAX = 63
SECRET_DIGITS = 32
STATUS_MIN, STATUS_MAX = 100, 599
CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")

_UNITS_S: dict[str, int | Fraction] = {
    "ms": Fraction(1, 1000),
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": DAY_S,
    "": 1,
}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(ms|s|m|h|d|)", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,15})?)\s*%", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_BUCKET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_STATUSES = re.compile(r"([0-9]{3})\s*-\s*([0-9]{3})", re.ASCII)
_CODE = re.compile(r"[A-Z]{2}", re.ASCII)
_ASN = re.compile(r"(?:AS)?([0-9]{1,10})", re.ASCII | re.IGNORECASE)

_DURATION_HINT = "write a number and a unit, such as 500ms, 5s, 2m, 1h or 1d"


class ScalarError(ValueError):
    """A value does not mean anything here; says why, and how to mend it."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def text(value: object) -> str:
    """Return a text without control characters that is not empty."""
    if not isinstance(value, str):
        kind = "is not text" if value is not None else "is no value for a text"
        hint = f'put it in quotes: "{value}"' if _is_number(value) else "write a text"
        raise ScalarError(f"{shown(value)} {kind}", hint)
    if not value or not value.isprintable():
        raise ScalarError(
            f"{shown(value)} is empty or holds control characters", "write a plain text"
        )
    if len(value) > TEXT_CHARS_MAX:
        raise ScalarError(f"is longer than {TEXT_CHARS_MAX} characters", "write a shorter text")
    return value


def boolean(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ScalarError(f"{shown(value)} is neither true nor false", "write true or false")
    return value


def one_of(*words: str) -> Callable[[object], str]:
    """Return a reader of one of *words*."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            choice = " or ".join((", ".join(words[:-1]), words[-1]))
            raise ScalarError(
                f"{shown(value)} is not one of the words known here", f"write {choice}"
            )
        return value

    return read


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a reader of whole numbers from *low* to *high*."""

    def read(value: object) -> int:
        hint = f"write a whole number from {low} to {high}"
        if isinstance(value, bool) or not isinstance(value, int):
            raise ScalarError(f"{shown(value)} is not a whole number", hint)
        if not low <= value <= high:
            raise ScalarError(f"{shown(value)} is out of range", hint)
        return value

    return read


def decimal(low: float, high: float, unit: str) -> Callable[[object], float]:
    """Return a reader of numbers from *low* to *high*."""

    def read(value: object) -> float:
        hint = f"write {unit} from {low:g} to {high:g}"
        if not _is_number(value):
            raise ScalarError(f"{shown(value)} is not a number", hint)
        assert isinstance(value, int | float)
        if not low <= value <= high:
            raise ScalarError(f"{shown(value)} is out of range", hint)
        return float(value)

    return read


def duration_s(low_s: float, high_s: float) -> Callable[[object], float]:
    """Return a reader of durations; a bare number is seconds."""

    def read(value: object) -> float:
        seconds = float(_seconds(value))
        if not low_s <= seconds <= high_s:
            problem = f"{shown(value)} is too {'short' if seconds < low_s else 'long'}"
            raise ScalarError(problem, f"write from {span(low_s)} to {span(high_s)}")
        return seconds

    return read


def ttl_s(value: object) -> int:
    """Return a TTL in whole seconds, up to 2^31 - 1 (RFC 2181 8)."""
    seconds = _seconds(value)
    if seconds.denominator != 1:
        raise ScalarError(
            f"{shown(value)} is not whole seconds", "a TTL is whole seconds, such as 30s"
        )
    if not 0 <= seconds <= 0x7FFFFFFF:
        raise ScalarError(f"{shown(value)} is out of range", "write from 0s to 2147483647s")
    return int(seconds)


def _seconds(value: object) -> Fraction:
    if _is_number(value) and math.isfinite(float(str(value))):
        return Fraction(str(value))
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ScalarError(f"{shown(value)} is not a duration", _DURATION_HINT)
    return Fraction(match[1]) * Fraction(str(_UNITS_S[match[2]]))


def span(seconds: float) -> str:
    """Return a duration as an operator writes it."""
    for unit, size_s in (("d", DAY_S), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds and seconds % size_s == 0:
            return f"{seconds / size_s:.0f}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def share(value: object) -> Fraction:
    """Return a part of the whole, exactly as written: 0 to 1, or 0% to 100%."""
    hint = "write a number from 0 to 1, or a percentage such as 50%"
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        part = Fraction(match[1]) / 100
    elif _is_number(value) and math.isfinite(float(str(value))):
        part = Fraction(str(value))
    else:
        raise ScalarError(f"{shown(value)} is not a part of the whole", hint)
    if not 0 <= part <= 1:
        raise ScalarError(f"{shown(value)} is out of range", hint)
    return part


def quorum(value: object) -> tuple[str, int]:
    """Return a quorum's rule and number."""
    hint = "write majority, any, all, a number from 1, or a percentage from 1% to 100%"
    if isinstance(value, str) and value in ("majority", "any", "all"):
        return value, 0
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,3})\s*%", value, re.ASCII)):
        if 1 <= int(match[1]) <= 100:
            return "percent", int(match[1])
    elif isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return "count", value
    raise ScalarError(f"{shown(value)} is not a quorum", hint)


def answers(value: object) -> int:
    """Return the number of members in one answer, 0 for all."""
    return 0 if value == "all" else _number_or_all(value, 64)


def probes_per_member(value: object) -> int | None:
    """Return by how many vantages a member is probed, None for all of them."""
    return None if value == "all" else _number_or_all(value, 1000)


def _number_or_all(value: object, most: int) -> int:
    try:
        return whole(1, most)(value)
    except ScalarError as wrong:
        raise ScalarError(wrong.problem, f"write a number from 1 to {most}, or all") from None


def event_kind(value: object) -> str:
    """Return one of the kinds of events."""
    found = text(value)
    if found not in EVENT_KINDS:
        hint = closest(found, EVENT_KINDS, what="kind")
        raise ScalarError(f"there is no event {shown(value)}", hint)
    return found


def bucket(value: object) -> str:
    """Return the name of a bucket, which becomes part of subjects."""
    found = text(value)
    if not _BUCKET.fullmatch(found) or len(found) > NAME_CHARS_MAX:
        hint = f"write up to {NAME_CHARS_MAX} letters, digits, hyphens and underscores"
        raise ScalarError(f"{shown(value)} is not the name of a bucket", hint)
    return found


def label(value: object) -> str:
    """Return the name of a region, monitor, vantage or node."""
    found = text(value)
    if not _NAME.fullmatch(found) or len(found) > NAME_CHARS_MAX:
        hint = f"write up to {NAME_CHARS_MAX} letters, digits, dots, hyphens and underscores"
        raise ScalarError(f"{shown(value)} is not a name that can be used here", hint)
    return found


def country(value: object) -> str:
    """Return a country's code, ISO 3166-1 alpha-2 in upper case."""
    found = text(value)
    if not _CODE.fullmatch(found):
        upper = found.upper()
        mended = f"write {upper}" if _CODE.fullmatch(upper) else "write a code such as DE"
        raise ScalarError(f"{shown(value)} is not two upper-case letters", mended)
    return found


def continent(value: object) -> str:
    """Return a continent's code."""
    found = text(value)
    if found not in CONTINENTS:
        hint = closest(found, CONTINENTS, what="continent")
        raise ScalarError(f"{shown(value)} is not the code of a continent", hint)
    return found


def asn(value: object) -> int:
    """Return the number of an autonomous system, written 64500 or AS64500."""
    match = _ASN.fullmatch(str(value)) if isinstance(value, str | int) else None
    if match is None or not 1 <= int(match[1]) <= ASN_MAX:
        raise ScalarError(
            f"{shown(value)} is not an AS number", f"write 1 to {ASN_MAX}, or AS64500"
        )
    return int(match[1])


def statuses(value: object) -> tuple[int, int]:
    """Return an inclusive range of HTTP statuses, written 200 or 200-399."""
    hint = f"write a status or a range from {STATUS_MIN} to {STATUS_MAX}, such as 200 or 200-399"
    match = _STATUSES.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        low, high = int(match[1]), int(match[2])
    elif isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    else:
        raise ScalarError(f"{shown(value)} is not an HTTP status", hint)
    if not STATUS_MIN <= low <= high <= STATUS_MAX:
        raise ScalarError(f"{shown(value)} is not a range of HTTP statuses", hint)
    return low, high


def regex(value: object) -> str:
    """Return a regular expression that compiles."""
    if not isinstance(value, str) or not value:
        raise ScalarError(f"{shown(value)} is not a regular expression", "write a text in quotes")
    if len(value) > REGEX_CHARS_MAX:
        raise ScalarError(f"is longer than {REGEX_CHARS_MAX} characters", "search for less")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "put a backslash before characters meant literally, such as ( [ * + ? \\"
        raise ScalarError(f"{shown(value)} is not a regular expression: {error}", hint) from None
    return value


def url_path(value: object) -> str:
    """Return the path that a probe asks for."""
    found = text(value)
    if not found.startswith("/") or not found.isascii() or " " in found or "#" in found:
        hint = "start it with /, and write anything unusual percent-encoded"
        raise ScalarError(f"{shown(value)} is not the path of a URL", hint)
    return found


def pair(value: object) -> object:
    """Return *value* if it is a list of two in their order; what they are is checked elsewhere."""
    if not isinstance(value, list) or len(value) != 2:
        hint = "write [latitude, longitude], such as [53.34, -6.26]"
        raise ScalarError("is not a list of two numbers", hint)
    first, second = value
    if _is_number(first) and _is_number(second) and abs(second) <= 90 < abs(first) <= 180:
        hint = f"the latitude comes first: write [{second}, {first}]"
        raise ScalarError(f"{first} is not a latitude", hint)
    return value


def token(value: object) -> str:
    """Return a token that fits into an Authorization header; never shows it."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ScalarError("is not a token", "write printable ASCII without spaces, in quotes")
    if not value or " " in value or len(value) > TEXT_CHARS_MAX:
        hint = f"write 1 to {TEXT_CHARS_MAX} printable ASCII characters without spaces"
        raise ScalarError("is empty, too long, or holds spaces", hint)
    return value


def secret_text(value: object) -> str:
    """Return a text that is kept secret, whatever its letters; never shows it."""
    if not isinstance(value, str):
        raise ScalarError("is not text", "write it in quotes")
    if not value or not value.isprintable() or len(value) > TEXT_CHARS_MAX:
        hint = f"write 1 to {TEXT_CHARS_MAX} characters"
        raise ScalarError("is empty, too long, or holds control characters", hint)
    return value


def secret(value: object) -> bytes:
    """Return a secret of 128 bits written as hexadecimal digits; never shows it."""
    digits = value if isinstance(value, str) else ""
    if len(digits) != SECRET_DIGITS or not set(digits) <= set(hexdigits):
        hint = f"`openssl rand -hex 16` prints {SECRET_DIGITS}; in YAML they stand in quotes"
        raise ScalarError(f"is not {SECRET_DIGITS} hexadecimal digits", hint)
    return bytes.fromhex(digits)


def json_scalar(value: object) -> str | int | float | bool | None:
    """Return a single JSON value to compare with."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ScalarError(f"{shown(value)} is no JSON number", "write a finite number")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ScalarError(
        f"{shown(value)} is not a single value", "name the path down to a single value"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
