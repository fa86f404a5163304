"""`gslb status`, `gslb publish`: how running nodes are, alone or beside each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from gslb.cli.client import ADMIN, ApiError, call
from gslb.cli.compare import differences
from gslb.cli.shown import complaints, counted, err, show_json, show_table

Json = Mapping[str, Any]

Admin = Annotated[str, typer.Option("--admin", metavar="URL", help="The node's admin API.")]
Admins = Annotated[
    list[str], typer.Option("--admin", metavar="URL", help="The admin API of each node.")
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", envvar="GSLB_ADMIN_TOKEN", help="Its admin token."),
]
_ONE = [ADMIN]

_WHO = ("service", "region", "member", "weight")
COLUMNS = (*_WHO, "verdict", "votes", "reason", "since", "forced")
TIER_COLUMNS = ("tier", "region", "connections", "requests under way", "requests/s", "errors/s")

ALARMS = {
    "proxies": "some clients get proxies, as no healthy member is near",
    "fail_open": "all members are down, and served all the same",
    "nodata": "all members are down: some clients get no address",
    "servfail": "all members are down: some clients get an error",
    "all_drained": "all members are drained, and served all the same",
}

_STATUS_KEYS = (
    "node",
    "config_hash",
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


def status(
    admin: Admins = _ONE,
    token: Token = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a running node is: its generation, its members, what is believed of them.

    Verdicts are as measured; an operator's word stands beside them.  What is out of order (a
    broken zone, a failed reload, a change held back) is said on stderr.  With several --admin
    the nodes are compared, and what differs is named.

    \b
    examples:
      gslb status
      gslb status --admin http://127.0.0.1:8053 --json
      gslb status --admin http://192.0.2.53:8053 --admin http://198.51.100.53:8053

    exit status: 0 it answered, or they agree, 1 one is out of reach or they differ, 2 wrong usage
    """
    if len(admin) > 1:
        _compare(admin, token, as_json=as_json)
        return
    with complaints():
        node, listed = _ask(admin[0], token)
    if as_json:
        show_json({**node, **{key: listed[key] for key in _LISTS}})
        return
    print(summary_of(node))
    if rows := list(rows_of(listed, time.time())):
        show_table(COLUMNS, rows)
    if tiers := list(tiers_of(node)):
        show_table(TIER_COLUMNS, tiers)
    err(*(f"gslb: {line}" for line in troubles_of(node)))


def _ask(admin: str, token: str | None) -> tuple[Json, Json]:
    node = checked(call(admin, "GET", "/v1/status", token=token), *_STATUS_KEYS)
    return node, checked(call(admin, "GET", "/v1/members", token=token), *_LISTS)


def _compare(admins: list[str], token: str | None, *, as_json: bool) -> None:
    """Compare the nodes that answer; those that do not are named, and are a difference too."""
    asked: dict[str, tuple[Json, Json]] = {}
    lost: dict[str, str] = {}
    for admin in admins:
        try:
            asked[admin] = _ask(admin, token)
        except ApiError as error:
            lost[admin] = error.problem
            err(f"gslb: {error}")
    found = list(differences(asked))
    if as_json:
        keys = ("node", "config_hash", "generation")
        nodes = [
            {"admin": admin, **{key: node[key] for key in keys}}
            for admin, (node, _) in asked.items()
        ]
        show_json({"nodes": nodes, "lost": lost, "differs": [each.shape() for each in found]})
    else:
        for node, _ in asked.values():
            print(summary_of(node))
        who = "they agree" if not lost else "those that answer agree"
        if asked and not found:
            print(f"{who}: configuration, verdicts, operators' words")
        print(*map(str, found), sep="\n", end="\n" if found else "")
        for node, _ in asked.values():
            err(*(f"gslb: {node['node']}: {line}" for line in troubles_of(node)))
    if found or lost:
        raise typer.Exit(1)


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


def checked(value: object, *keys: str) -> Json:
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
            "-" if member["forced"] is None else word_text(member["forced"]),
        )


def tiers_of(node: Json) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the table of tiers: how busy each says that it is."""
    for vantage in node.get("vantages", ()):
        if load := vantage.get("load"):
            yield (
                vantage["vantage"],
                vantage["region"] or "-",
                load["connections"],
                f"{load['active_requests']} ({load['member_requests']} at members)",
                f"{load['requests_per_s']:.1f}",
                f"{load['errors_per_s']:.1f}",
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
    if node.get("frozen_since"):
        yield (
            f"too few vantages are heard since {node['frozen_since']}: the last verdicts stay\n"
            "  hint: are the vantages running, and can they reach this node?"
        )
    for vantage in node.get("vantages", ()):
        if vantage["state"] == "silent":
            yield f"the vantage {vantage['vantage']} is silent for {vantage['age_s']:.0f} s"
        elif vantage["state"] == "cut off":
            yield f"the vantage {vantage['vantage']} holds that it is cut off, and abstains"
    if node["geo_held"]:
        yield f"a new database is held back: {node['geo_held']}"
    for other in node.get("nodes", ()):
        if not other["heard"]:
            yield f"{other['node']} was not heard for {other['age_s']:.0f} s"
        elif not other["agrees"]:
            yield f"{other['node']} has another configuration, or other words of operators"
    for alarm in node["alarms"]:
        yield f"{alarm['service']}: {ALARMS.get(alarm['alarm'], alarm['alarm'])}"
    for zone in node["zones"]:
        if zone["error"]:
            state = "broken" if zone["state"] == "broken" else "served in its old version"
            yield f"zone {zone['zone']} is {state}:\n{zone['error']}"
    if node["reloads"]["last_error"]:
        yield f"the last reload failed:\n{node['reloads']['last_error']}"


def _votes_text(votes: Iterable[Json]) -> str:
    """Return how many vantages say what, such as ``2 up, 1 down``; what does not count last."""
    counts = Counter(vote.get("left_out") or vote["verdict"] for vote in votes)
    return ", ".join(f"{counts[key]} {key}" for key in sorted(counts, reverse=True)) or "-"


def word_text(forced: Json) -> str:
    """Return an operator's word, until when it holds, and why."""
    until = "" if forced["until"] is None else f" until {forced['until']}"
    if whole_at := forced.get("whole_at"):
        until = f", whole at {whole_at},{until}" if until else f", whole at {whole_at}"
    reason = f" ({forced['reason']})" if forced["reason"] else ""
    return f"{forced['word']}{until}{reason}"


def _age(since: str, now_s: float) -> str:
    """Return how long ago a time was, in one unit that fits."""
    age_s = max(0, int(now_s - datetime.fromisoformat(since).timestamp()))
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if age_s >= 2 * size_s:
            return f"{age_s // size_s}{unit}"
    return f"{age_s}s"
