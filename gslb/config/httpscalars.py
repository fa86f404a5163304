"""One value of the tier's configuration → what HTTP makes of it: a size, a rate, a path, a field.

Like `gslb.config.scalars`: each function takes what YAML gave, and returns what it means or
raises ScalarError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from ipaddress import ip_address

from gslb.config import addresses
from gslb.config.nodes import closest, shown
from gslb.config.scalars import ScalarError, boolean, regex, text, whole
from gslb.tier import OWN_FIELDS

SIZE_MAX = 2**40
RATE_MAX = 1_000_000
PLACEHOLDERS = ("scheme", "host", "path", "query")
FRAMING_FIELDS = frozenset(
    ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)

_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*([A-Za-z]*)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*/\s*(s|m|h)", re.ASCII)
_RATE_S = {"s": 1, "m": 60, "h": 3600}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
_WHOLE_TARGET = re.compile(
    r"(https?|\{scheme\})://(\{host\}|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"(?=[/?#]|\{path\}|\{query\}|\Z)"
)
_BRACES = re.compile(r"\{([^{}]*)\}")
_NAME_CHARS_MAX = 256

Condition = tuple[str | None, str | None, bool]  # value, pattern, absent: see gslb.tier.Has
Keyed = tuple[str, str]  # by what, and its name if it has one


def size(low: int, high: int = SIZE_MAX) -> Callable[[object], int]:
    """Return a reader of sizes in octets, written 64KiB, 1.5MiB or as a bare number."""

    def read(value: object) -> int:
        hint = "write a number of octets, or one with a unit: 64KiB, 1MiB, 2GiB"
        match = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
        if match is None or isinstance(value, bool):
            raise ScalarError(f"{shown(value)} is not a size", hint)
        if match[2] not in _UNITS:
            mended = {unit.lower(): unit for unit in _UNITS}.get(_binary(match[2]))
            raise ScalarError(
                f"{shown(match[2])} is no unit of sizes",
                hint if mended is None else f"write {match[1]}{mended}",
            )
        octets = Fraction(match[1]) * _UNITS[match[2]]
        if octets.denominator != 1:
            raise ScalarError(f"{shown(value)} is not a whole number of octets", hint)
        if not low <= octets <= high:
            problem = f"{shown(value)} is too {'small' if octets < low else 'large'}"
            raise ScalarError(problem, f"write from {size_shown(low)} to {size_shown(high)}")
        return int(octets)

    return read


def _binary(unit: str) -> str:
    """Return the binary unit that is most likely meant by ``KB``, ``kb`` or ``k``."""
    first = unit[:1].lower()
    return (
        f"{first}ib" if first in "kmgt" and unit.lower() in (first, f"{first}b") else unit.lower()
    )


def size_shown(octets: int) -> str:
    """Return a size as an operator writes it."""
    for unit, scale in reversed(_UNITS.items()):
        if scale > 1 and octets and octets % scale == 0:
            return f"{octets // scale}{unit}"
    return str(octets)


def rate(value: object) -> float:
    """Return how many a second are meant by ``100/s``, ``30/m`` or ``500/h``."""
    hint = "write a number a second, minute or hour, such as 100/s, 30/m or 500/h"
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ScalarError(f"{shown(value)} is not a rate", hint)
    per_s = float(Fraction(match[1]) / _RATE_S[match[2]])
    if not 0 < per_s <= RATE_MAX:
        raise ScalarError(f"{shown(value)} is out of range", f"write up to {RATE_MAX}/s, above 0")
    return per_s


def percent(value: object) -> int:
    """Return a whole percentage from 0 to 100, written 20% or as a bare number."""
    hint = "write a whole percentage, such as 20%"
    match = re.fullmatch(r"([0-9]{1,3})\s*%?", str(value), re.ASCII)
    if not isinstance(value, str | int) or isinstance(value, bool) or match is None:
        raise ScalarError(f"{shown(value)} is not a percentage", hint)
    if int(match[1]) > 100:
        raise ScalarError(f"{shown(value)} is out of range", hint)
    return int(match[1])


def method(value: object) -> str:
    """Return a request's method; upper and lower case are not the same (RFC 9110 9.1)."""
    found = text(value)
    if not _TOKEN.fullmatch(found) or found != found.upper():
        hint = f"write {found.upper()}" if _TOKEN.fullmatch(found) else "write such as GET or POST"
        raise ScalarError(f"{shown(value)} is not a method in upper case", hint)
    return found


def field_name(value: object) -> str:
    """Return the name of a header field as written (RFC 9110 5.1)."""
    found = text(value)
    if not _TOKEN.fullmatch(found) or len(found) > _NAME_CHARS_MAX:
        hint = "write letters, digits and hyphens, such as X-Tenant"
        raise ScalarError(f"{shown(value)} is not the name of a header", hint)
    return found


def free_field_name(value: object) -> str:
    """Return the name of a header field that an operator may set or remove."""
    found = field_name(value)
    lower = found.lower()
    if lower in FRAMING_FIELDS:
        hint = "leave it to gslb, which frames messages anew on each connection"
        raise ScalarError(f"{found} says where a message ends or what becomes of it", hint)
    if lower == "host":
        raise ScalarError("Host is not set like other headers", "write `host` in `rewrite`")
    return found


def request_field_name(value: object) -> str:
    """Return the name of a request's header field that an operator may set or remove."""
    found = free_field_name(value)
    if found.lower().replace("_", "-") in OWN_FIELDS:
        hint = "leave it out: it tells members what is known of the client"
        raise ScalarError(f"{found} is written by the tier itself", hint)
    return found


def field_value(value: object) -> str:
    """Return the value of a header field in printable ASCII (RFC 9110 5.5)."""
    found = text(value)
    if not found.isascii() or found != found.strip(" "):
        hint = "write printable ASCII, with no blanks around it"
        raise ScalarError(f"{shown(value)} is not the value of a header", hint)
    return found


def cookie_name(value: object) -> str:
    """Return the name of a cookie (RFC 6265 4.1.1)."""
    found = text(value)
    if not _TOKEN.fullmatch(found) or len(found) > _NAME_CHARS_MAX:
        hint = "write letters, digits, hyphens and underscores"
        raise ScalarError(f"{shown(value)} is not the name of a cookie", hint)
    return found


def plain_host(value: object) -> str:
    """Return a host in lower case without a port."""
    found = host_pattern(value)
    if found.startswith("*."):
        raise ScalarError(f"{shown(value)} is no single host", "write the host's whole name")
    return found


def host_pattern(value: object) -> str:
    """Return a host in lower case without a port, or a wildcard such as ``*.example.com``."""
    found = text(value)
    if found == "*":
        raise ScalarError("'*' is any host", "leave `host` out")
    if found.startswith("[") and found.endswith("]"):
        return f"[{addresses.address(found[1:-1])}]"
    star = "*." if found.startswith("*.") else ""
    if ":" in found:
        raise ScalarError(f"{shown(value)} has a port", "write the host alone")
    rest = found.removeprefix(star)
    return star + (addresses.host_or_address(rest) if not star else addresses.host_name(rest))


def server_name(value: object) -> str:
    """Return a TLS server name in lower case, or a wildcard such as ``*.example.com``."""
    found = text(value)
    star = "*." if found.startswith("*.") else ""
    name = star + addresses.host_name(found.removeprefix(star))
    try:
        ip_address(name)
    except ValueError:
        return name
    raise ScalarError(f"{shown(value)} is an address", "write a host name: SNI knows no addresses")


def service_name(value: object) -> str:
    """Return the whole name of a service in lower case without the last dot."""
    found = text(value).lower().removesuffix(".")
    star = "*." if found.startswith("*.") else ""
    return star + addresses.host_name(found.removeprefix(star))


def service_key(value: object) -> str:
    """Return the name of a service as written, once it is checked."""
    service_name(value)
    return text(value)


def path_rule(value: object) -> tuple[str, str]:
    """Return the kind of a path, ``exact``, ``prefix`` or ``regex``, and what it is compared with.

    A path that no decoded path can be equal to is refused: see `gslb.proxy.request`.
    """
    if isinstance(value, dict):
        if list(value) != ["pattern"]:
            raise ScalarError("is not the rule of a path", 'write "/x", "/x/*" or {pattern: REGEX}')
        return "regex", regex(value["pattern"])
    found = text(value)
    kind, path = ("prefix", found[:-1]) if found.endswith("*") else ("exact", found)
    if found == "*":
        path = "/"
    if not path.startswith("/"):
        hint = 'write "/x" for one path, "/x/*" for all that start so, or {pattern: REGEX}'
        raise ScalarError(f"{shown(value)} does not start with /", hint)
    if "*" in path:
        hint = "a * stands at the end; for anything else write {pattern: REGEX}"
        raise ScalarError(f"{shown(value)} has a * further left", hint)
    if "?" in path:
        raise ScalarError(f"{shown(value)} holds a ?", "write conditions on the query as `query`")
    if _ESCAPE.search(path):
        hint = "write the characters themselves: paths are decoded before they are compared"
        raise ScalarError(f"{shown(value)} is percent-encoded", hint)
    dots = [part in (".", "..") for part in path.split("/")]
    if "//" in path or any(dots):
        hint = "leave out //, /./ and /../: paths are compared without them"
        raise ScalarError(f"{shown(value)} never matches", hint)
    return kind, path


def condition(value: object) -> Condition:
    """Return what a header, cookie or parameter must be: its value, a pattern, there or absent."""
    if value is None:
        return None, None, True
    if value is True:
        return None, None, False
    if value is False:
        raise ScalarError("false says nothing here", "write null for what must be absent")
    if isinstance(value, dict):
        if list(value) != ["pattern"]:
            hint = "write a text, {pattern: REGEX}, true for any, or null for none"
            raise ScalarError("is not a condition", hint)
        return None, regex(value["pattern"]), False
    return text(value), None, False


def keyed_by(*plain: str, named: tuple[str, ...]) -> Callable[[object], Keyed]:
    """Return a reader of what something is counted or hashed by: a word, or {KIND: NAME}."""
    choice = [*plain, *(f"{{{kind}: NAME}}" for kind in named)]

    def read(value: object) -> Keyed:
        hint = f"write {', '.join(choice[:-1])} or {choice[-1]}"
        if isinstance(value, str) and value in plain:
            return value, ""
        if isinstance(value, dict) and len(value) == 1:
            ((kind, name),) = value.items()
            if kind == "header" in named:
                return "header", field_name(name).lower()
            if kind == "cookie" in named:
                return "cookie", cookie_name(name)
            if kind in named:
                return str(kind), text(name)
        raise ScalarError(f"{shown(value)} is nothing to go by", hint)

    return read


def redirect_target(value: object) -> str:
    """Return the target of a redirect, whose placeholders are known and which names one host.

    It starts with a scheme and host, or with a path; else a path such as ``//elsewhere`` that a
    client asks for could become the host.
    """
    found = text(value)
    bare = _BRACES.sub("", found)
    if "{" in bare or "}" in bare:
        hint = "write placeholders as {scheme}, {host}, {path} and {query}"
        raise ScalarError(f"{shown(value)} has a brace without its other", hint)
    for word in _BRACES.findall(found):
        if word not in PLACEHOLDERS:
            known = closest(word, PLACEHOLDERS, what="placeholder")
            raise ScalarError(f"there is no placeholder {shown(word)}", known)
    if not found.isascii() or " " in found:
        hint = "write anything unusual percent-encoded"
        raise ScalarError(f"{shown(value)} is not a URL", hint)
    if not _WHOLE_TARGET.match(found) and not re.match(r"/(?![/\\{])", found):
        hint = 'start it with https://HOST, https://{host}, or with a path such as "/new{path}"'
        raise ScalarError(f"{shown(value)} leaves the host to the client", hint)
    return found


def content(value: object) -> str:
    """Return the text of a body, which may be empty and have lines."""
    if not isinstance(value, str):
        raise ScalarError(f"{shown(value)} is not text", "write a text, in quotes")
    return value


def path_template(value: object) -> str:
    """Return what a part of a path becomes: ASCII without blanks, which may be empty."""
    found = content(value)
    if not found.isascii() or not found.isprintable() or " " in found or "#" in found:
        hint = "write anything unusual percent-encoded"
        raise ScalarError(f"{shown(value)} is no part of a path", hint)
    return found


def status(low: int, high: int) -> Callable[[object], int]:
    """Return a reader of HTTP statuses."""
    return whole(low, high)


def switched_map(value: object) -> object:
    """Return an empty map for true, None for false: a map whose keys all have defaults."""
    if isinstance(value, bool):
        return {} if boolean(value) else None
    return value
