"""The protection of a node as written → its rate limit, and the secrets of its cookies.

Nothing here shows a secret: a complaint says where it stands and what it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gslb.config import scalars
from gslb.config.mainkeys import CookiesSpec, RateLimitSpec
from gslb.config.nodes import At
from gslb.config.scalars import ScalarError
from gslb.config.settings import Cookies
from gslb.config.yamlfile import UnreadableError, read_bytes
from gslb.dns.cookie import SECRETS_MAX
from gslb.model import RateLimit

BURST_S_MAX = 60  # longer, and a bucket would seem busy when it has idled for days


def rate_limit(spec: RateLimitSpec | None, at: At) -> RateLimit | None:
    """Return the rule that *spec* writes; None for no limit."""
    if spec is None:
        return None
    burst = spec.per_second if spec.burst is None else spec.burst
    if burst > BURST_S_MAX * spec.per_second:
        problem = f"{burst} is more than {BURST_S_MAX} seconds of {spec.per_second} per_second"
        hint = f"write at most {BURST_S_MAX * spec.per_second}, or raise per_second"
        (at / "burst").wrong(problem, hint)
    return RateLimit(
        per_second=spec.per_second,
        burst=burst,
        slip=spec.slip,
        ipv4=spec.ipv4,
        ipv6=spec.ipv6,
        exempt=tuple(spec.exempt),
        table=spec.table,
    )


def cookies(spec: CookiesSpec, at: At, named: Callable[[str], Path]) -> Cookies:
    """Return what *spec* says of cookies; *named* turns a path written there into one from here."""
    written = spec.secrets
    if written is None:
        return Cookies(spec.enabled)
    here = at / "secrets"
    if written.file is None:
        if not written.hex:
            here.miss("write at least one secret, or leave the key out")
        return Cookies(spec.enabled, _distinct(written.hex, here))
    here = here / "file"
    path = named(written.file)
    try:
        text = read_bytes(path).decode("utf-8-sig", "replace")
    except UnreadableError as error:
        here.wrong(f"{path} {error.problem}", error.hint)
        return Cookies(spec.enabled)
    return Cookies(spec.enabled, _from_file(text, path, here))


def _from_file(text: str, path: Path, at: At) -> tuple[bytes, ...]:
    """Return the secrets of a file, one a line; what follows a ``#`` is for people."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        try:
            found.append(scalars.secret(said))
        except ScalarError as error:
            at.wrong(f"line {number} of {path} {error.problem}", error.hint)
            return ()
    if not 1 <= len(found) <= SECRETS_MAX:
        problem = f"{path} holds {len(found)} secrets"
        at.wrong(problem, f"write 1 to {SECRETS_MAX}, one a line, the active one first")
    return _distinct(found, at)


def _distinct(secrets: list[bytes], at: At) -> tuple[bytes, ...]:
    if len(set(secrets)) < len(secrets):
        at.wrong("holds a secret twice", "keep the first of the two")
    return tuple(secrets)
