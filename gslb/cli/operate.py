"""`gslb status`, `drain`, `force`, `release`, `publish`: a running node, asked and told."""

from __future__ import annotations

import getpass
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gslb.cli.client import ADMIN, ApiError, call
from gslb.cli.shown import complaints, counted, err, show_json, show_table

Json = Mapping[str, Any]

Admin = Annotated[str, typer.Option("--admin", metavar="URL", help="The node's admin API.")]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", envvar="GSLB_ADMIN_TOKEN", help="Its admin token."),
]
Target = Annotated[str, typer.Argument(metavar="MEMBER", help="Its address or host name.")]
Service = Annotated[
    str | None,
    typer.Option("--service", metavar="NAME", help="Only in this service; default: in all."),
]
For = Annotated[
    str | None,
    typer.Option("--for", metavar="DURATION", help="Such as 10m; default: until released."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Kept, and shown beside it.")
]

_WHO = ("service", "region", "member", "weight")
COLUMNS = (*_WHO, "verdict", "votes", "reason", "since", "forced")

ALARMS = {
    "proxies": "some clients get proxies, as no healthy member is near",
    "fail_open": "all members are down, and served all the same",
    "nodata": "all members are down: some clients get no address",
    "servfail": "all members are down: some clients get an error",
    "all_drained": "all members are drained, and served all the same",
}

_STATUS_KEYS = (
    "node",
    "engine",
    "generation",
    "settled",
    "restored",
    "counts",
    "held",
    "zones",
    "reloads",
    "geo_held",
    "alarms",
)
_LISTS = ("members", "proxies", "forced")


class Way(StrEnum):
    """What `gslb force` takes."""

    UP = "up"
    DOWN = "down"


def status(
    admin: Admin = ADMIN,
    token: Token = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a running node is: its generation, its members, what is believed of them.

    Verdicts are as measured; an operator's word stands beside them.  What is out of order (a
    broken zone, a failed reload, a change held back) is said on stderr.

    \b
    examples:
      gslb status
      gslb status --admin http://127.0.0.1:8053 --json

    exit status: 0 the node answered, 1 it cannot be reached or says no, 2 wrong usage
    """
    with complaints():
        node = _object(call(admin, "GET", "/v1/status", token=token), *_STATUS_KEYS)
        listed = _object(call(admin, "GET", "/v1/members", token=token), *_LISTS)
    if as_json:
        show_json({**node, **{key: listed[key] for key in _LISTS}})
        return
    print(summary_of(node))
    if rows := list(rows_of(listed, time.time())):
        show_table(COLUMNS, rows)
    err(*(f"gslb: {line}" for line in troubles_of(node)))


def drain(
    member: Target,
    for_: For = None,
    reason: Reason = None,
    service: Service = None,
    admin: Admin = ADMIN,
    token: Token = None,
) -> None:
    """Take a member out of the answers gently, as if it were not configured.

    Clients that hold its address keep it until their TTL is over.  Probes go on.

    \b
    examples:
      gslb drain 192.0.2.10 --for 10m --reason "kernel update"
      gslb drain 192.0.2.10 --service www.example.com

    exit status: 0 done, 1 it is no member or the node says no, 2 wrong usage
    """
    _put(member, "drain", for_, reason, service, admin, token)


def force(
    member: Target,
    word: Annotated[Way, typer.Argument(metavar="up|down", help="What it counts as.")],
    for_: For = None,
    reason: Reason = None,
    service: Service = None,
    admin: Admin = ADMIN,
    token: Token = None,
) -> None:
    """Let a member count as up or down, whatever its probes say.

    Probes go on, so that it is at once what it was measured to be when it is released.

    \b
    examples:
      gslb force 192.0.2.10 down --reason "answers nonsense"
      gslb force 2001:db8::10 up --for 1h

    exit status: 0 done, 1 it is no member or the node says no, 2 wrong usage
    """
    _put(member, word.value, for_, reason, service, admin, token)


def release(
    member: Target, service: Service = None, admin: Admin = ADMIN, token: Token = None
) -> None:
    """Take back what was said of a member by drain or force, if anything.

    \b
    examples:
      gslb release 192.0.2.10

    exit status: 0 no word holds, 1 it is no member or the node says no, 2 wrong usage
    """
    with complaints():
        call(admin, "DELETE", _path(member), query=_in(service), token=token)
    print(f"{member}: released{_where(service)}")


def publish(admin: Admin = ADMIN, token: Token = None) -> None:
    """Publish what the safety catch holds back: a change that takes much out at once.

    \b
    examples:
      gslb publish

    exit status: 0 published, 1 nothing is held or the node says no, 2 wrong usage
    """
    with complaints():
        call(admin, "POST", "/v1/publish", token=token)
    print("published: nothing is held back any more")


def _put(
    member: str,
    word: str,
    for_: str | None,
    reason: str | None,
    service: str | None,
    admin: str,
    token: str | None,
) -> None:
    body = {"word": word, "for": for_, "reason": reason, "by": _operator()}
    said = {key: value for key, value in body.items() if value is not None}
    with complaints():
        answer = call(admin, "PUT", _path(member), query=_in(service), body=said, token=token)
        forced = _object(answer, "word", "until", "reason")
    print(f"{member}: {_word_text(forced)}{_where(service)}")


def _operator() -> str | None:
    """Return who types, for the log and `status`; the node knows the address alone."""
    try:
        return getpass.getuser()[:100] or None
    except (KeyError, OSError, ImportError):
        return None


def _path(member: str) -> str:
    return f"/v1/members/{quote(member, safe='', errors='surrogateescape')}/forced"


def _in(service: str | None) -> dict[str, str]:
    return {} if service is None else {"service": service}


def _where(service: str | None) -> str:
    return "" if service is None else f" in {service}"


def _object(value: object, *keys: str) -> Json:
    """Return *value* if it is an object with these keys; raises ApiError."""
    if not isinstance(value, dict) or not value.keys() >= set(keys):
        raise ApiError("the answer is none of gslb's admin API", "is that a gslb node?")
    return value


def summary_of(node: Json) -> str:
    """Return a node's state in one line."""
    counts = node["counts"]
    words = [f"{counts[key]} {key}" for key in ("up", "down", "unknown", "forced")]
    state = "restored" if node["restored"] else "settled" if node["settled"] else "starting"
    services, members = (counted(counts[key], key) for key in ("services", "members"))
    return (
        f"{node['node']}: {state}, generation {node['generation']}, engine {node['engine']}, "
        f"{services}, {members} ({', '.join(words)})"
    )


def rows_of(listed: Json, now_s: float) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the members' table, the proxies of regions last."""
    for member in (*listed["members"], *listed["proxies"]):
        yield (
            member["service"] or "(proxy)",
            member["region"],
            member["address"],
            member["weight"],
            member["verdict"] + (" (held in)" if member.get("held") else ""),
            _votes_text(member["votes"]),
            member["reason"] or "-",
            "-" if member["since"] is None else _age(member["since"], now_s),
            "-" if member["forced"] is None else _word_text(member["forced"]),
        )


def troubles_of(node: Json) -> Iterator[str]:
    """Yield what is out of order on a node, a line each."""
    if node["restored"]:
        yield "restored: verdicts are those from before the restart, until all are probed again"
    if node["held"]["members"]:
        yield (
            f"the safety catch keeps {counted(node['held']['members'], 'members')} in since "
            f"{node['held']['since']}\n  hint: `gslb publish` lets them go"
        )
    if node["geo_held"]:
        yield f"a new database is held back: {node['geo_held']}"
    for alarm in node["alarms"]:
        yield f"{alarm['service']}: {ALARMS.get(alarm['alarm'], alarm['alarm'])}"
    for zone in node["zones"]:
        if zone["error"]:
            state = "broken" if zone["state"] == "broken" else "served in its old version"
            yield f"zone {zone['zone']} is {state}:\n{zone['error']}"
    if node["reloads"]["last_error"]:
        yield f"the last reload failed:\n{node['reloads']['last_error']}"


def _votes_text(votes: Iterable[Json]) -> str:
    """Return how many vantages say what, such as ``2 up, 1 down``."""
    counts = Counter(vote["verdict"] for vote in votes)
    return ", ".join(f"{counts[key]} {key}" for key in sorted(counts, reverse=True)) or "-"


def _word_text(forced: Json) -> str:
    until = "" if forced["until"] is None else f" until {forced['until']}"
    reason = f" ({forced['reason']})" if forced["reason"] else ""
    return f"{forced['word']}{until}{reason}"


def _age(since: str, now_s: float) -> str:
    """Return how long ago a time was, in one unit that fits."""
    age_s = max(0, int(now_s - datetime.fromisoformat(since).timestamp()))
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if age_s >= 2 * size_s:
            return f"{age_s // size_s}{unit}"
    return f"{age_s}s"
