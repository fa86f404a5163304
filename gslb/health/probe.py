"""Probe results, and what makes an HTTP response a good one.

A result is good, or says why not with one of a closed set of words (`REASONS`), so that
metrics and alerts can be keyed by it; `detail` is for people:

ok            the response is as expected; for tcp: the connection was accepted
refused       nobody listens at the port
unreachable   the network has no way to the target
timeout       not finished when the monitor's timeout was over
reset         the connection was closed, or reset, before the response was whole
dns           the target's host name has no address
tls           no handshake: a certificate, name or protocol problem
protocol      what came back is not HTTP/1
status        the status is in none of the expected ranges
body          the expression is not found in the first 64 KiB
json          the first 64 KiB are not a JSON text, or a value differs
local         the prober itself lacks something (descriptors, ports, its CA file): nothing
              is learned of the member, so such a result moves no verdict

JSON values compare by type and value: true is not 1, but 1 is 1.0, since JSON has one
kind of number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gslb.model import Expect

BODY_MAX_BYTES = 65_536
DETAIL_MAX = 200
INDEX_DIGITS_MAX = 9

LOCAL = "local"
REASONS = frozenset(
    {
        "ok",
        "refused",
        "unreachable",
        "timeout",
        "reset",
        "dns",
        "tls",
        "protocol",
        "status",
        "body",
        "json",
        LOCAL,
    }
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found: good, or one of `REASONS`, with a line for people."""

    ok: bool
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        assert self.reason in REASONS, f"{self.reason!r} is no reason"
        assert self.ok == (self.reason == "ok"), "a result is good exactly when its reason is ok"


OK = Result(True, "ok")


def failed(reason: str, detail: str) -> Result:
    """Return a bad result; *detail* may hold a peer's words and is made printable and short."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in detail[:DETAIL_MAX])
    return Result(False, reason, printable)


def judge(status: int, body: bytes, expect: Expect) -> Result:
    """Return whether a response is as expected; of *body* the first 64 KiB count."""
    if not status_expected(status, expect):
        wanted = ", ".join(
            f"{low}-{high}" if low != high else str(low) for low, high in expect.status
        )
        return failed("status", f"{status}, expected {wanted}")
    body = body[:BODY_MAX_BYTES]
    text = body.decode("utf-8", "replace")
    if expect.body is not None and re.search(expect.body, text) is None:
        return failed("body", f"{expect.body!r} is not found in {len(body)} bytes")
    if expect.json:
        return _judge_json(body, expect)
    return OK


def status_expected(status: int, expect: Expect) -> bool:
    """Return whether *status* alone is good; if not, the body need not be read."""
    return any(low <= status <= high for low, high in expect.status)


def _judge_json(body: bytes, expect: Expect) -> Result:
    try:
        document = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as problem:
        return failed("json", f"not JSON: {problem}")
    for path, wanted in expect.json:
        try:
            found = _at(document, path)
        except LookupError:
            return failed("json", f"{path} is missing")
        if not _same(found, wanted):
            return failed("json", f"{path} is {found!r}, expected {wanted!r}")
    return OK


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


def _at(document: object, path: str) -> object:
    """Return what *path* leads to, through keys and list indexes; LookupError if nothing."""
    for part in path.split("."):
        if isinstance(document, Mapping):
            document = document[part]
        elif isinstance(document, list) and _is_index(part):
            document = document[int(part)]
        else:
            raise LookupError(part)
    return document


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= INDEX_DIGITS_MAX


def _same(found: object, wanted: object) -> bool:
    if isinstance(found, dict) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(
            _same(found[key], wanted[key]) for key in found
        )
    if isinstance(found, list) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if _is_number(found) and _is_number(wanted):
        return found == wanted
    return type(found) is type(wanted) and found == wanted


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
