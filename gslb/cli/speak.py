"""`gslb drain`, `force`, `release`: an operator's word, said to one node and heard by all."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from gslb.cli.client import ADMIN, ApiError, call
from gslb.cli.operate import Admin, Json, Token, checked, word_text
from gslb.cli.shown import complaints, err

POLL_S = 1.0

Target = Annotated[str, typer.Argument(metavar="MEMBER", help="Its address or host name.")]
MaybeTarget = Annotated[
    str | None, typer.Argument(metavar="MEMBER", help="Its address or host name.")
]
Service = Annotated[
    str | None,
    typer.Option("--service", metavar="NAME", help="Only in this service; default: in all."),
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="NAME", help="A whole region instead of a member."),
]
For = Annotated[
    str | None,
    typer.Option("--for", metavar="DURATION", help="Such as 10m; default: until released."),
]
Over = Annotated[
    str | None,
    typer.Option("--over", metavar="DURATION", help="Gradually, such as 5m; default: at once."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Kept, and shown beside it.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Also if a service would be left without enough.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Return when no answer that holds it is in use any more.")
]


class Way(StrEnum):
    """What `gslb force` takes."""

    UP = "up"
    DOWN = "down"


def drain(
    member: MaybeTarget = None,
    region: Region = None,
    for_: For = None,
    over: Over = None,
    reason: Reason = None,
    service: Service = None,
    yes: Yes = False,
    wait: Wait = False,
    admin: Admin = ADMIN,
    token: Token = None,
) -> None:
    """Take a member or a region out of the answers gently, as if it were not configured.

    Clients that hold its address keep it until their TTL is over.  Probes go on.  With --over a
    growing part of the clients gets what all get in the end.  It is refused without --yes where a
    service would be left without enough.

    \b
    examples:
      gslb drain 192.0.2.10 --for 10m --reason "kernel update" --wait
      gslb drain 192.0.2.10 --service www.example.com
      gslb drain --region eu-west --over 5m

    exit status: 0 done, 1 it is no member or the node says no, 2 wrong usage
    """
    body = {"word": "drain", "for": for_, "over": over, "reason": reason}
    forced = _put(_path(member, region), body, service, admin, token, careful=not yes)
    print(f"{_shown(member, region)}: {word_text(forced)}{_where(service)}")
    if wait:
        wait_for(forced, admin, token)


def force(
    member: Target,
    word: Annotated[Way, typer.Argument(metavar="up|down", help="What it counts as.")],
    for_: For = None,
    reason: Reason = None,
    service: Service = None,
    yes: Yes = False,
    admin: Admin = ADMIN,
    token: Token = None,
) -> None:
    """Let a member count as up or down, whatever its probes say.

    Probes go on, so that it is at once what it was measured to be when it is released.  Down is
    refused without --yes where a service would be left without enough.

    \b
    examples:
      gslb force 192.0.2.10 down --reason "answers nonsense"
      gslb force 2001:db8::10 up --for 1h

    exit status: 0 done, 1 it is no member or the node says no, 2 wrong usage
    """
    body = {"word": word.value, "for": for_, "reason": reason}
    careful = word is Way.DOWN and not yes
    forced = _put(_path(member, None), body, service, admin, token, careful=careful)
    print(f"{member}: {word_text(forced)}{_where(service)}")


def release(
    member: MaybeTarget = None,
    region: Region = None,
    service: Service = None,
    admin: Admin = ADMIN,
    token: Token = None,
) -> None:
    """Take back what was said of a member or a region by drain or force, if anything.

    \b
    examples:
      gslb release 192.0.2.10
      gslb release --region eu-west

    exit status: 0 no word holds, 1 it is no member or the node says no, 2 wrong usage
    """
    path = _path(member, region)
    with complaints():
        call(admin, "DELETE", path, query=_in(service), token=token)
    print(f"{_shown(member, region)}: released{_where(service)}")


def _put(
    path: str,
    body: dict[str, str | None],
    service: str | None,
    admin: str,
    token: str | None,
    *,
    careful: bool,
) -> Json:
    said = {key: value for key, value in (*body.items(), ("by", _operator())) if value is not None}
    query = {**_in(service), **({"careful": "true"} if careful else {})}
    with complaints():
        try:
            answer = call(admin, "PUT", path, query=query, body=said, token=token)
        except ApiError as error:
            if error.status == 409 and "careful" in error.hint:
                raise ApiError(error.problem, "say --yes to do it all the same", 409) from None
            raise
        return checked(answer, "word", "until", "reason", "clear_in_s", "ttl_s")


def wait_for(
    forced: Json,
    admin: str,
    token: str | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until a word said just now is clear; an interrupt ends that, and not the word."""

    def others() -> tuple[Json, ...]:
        return tuple(checked(call(admin, "GET", "/v1/status", token=token), "nodes")["nodes"])

    try:
        with complaints():
            wait_until_clear(others, forced["clear_in_s"], forced["ttl_s"], clock, sleep)
    except KeyboardInterrupt:
        err("gslb: no longer waited for; the word holds until `gslb release` takes it back")
        raise typer.Exit(1) from None
    print("clear: no answer that holds it is in use any more")


def wait_until_clear(
    others: Callable[[], tuple[Json, ...]],
    clear_in_s: float,
    ttl_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Return once all nodes that are heard have the word, and what they said before is outlived.

    *others* returns what a node says of the others; what is waited for is said on stderr.
    """
    said_s, told, late = clock(), "", False
    while lacking := [
        each["node"] for each in others() if each["heard"] and not each["words_agree"]
    ]:
        late = True
        if (waiting := f"gslb: waiting for {', '.join(lacking)} to hear of it") != told:
            err(told := waiting)
        sleep(POLL_S)
    clear_s = max(said_s + clear_in_s, clock() + ttl_s if late else 0.0)
    if (left_s := clear_s - clock()) > 0:
        err(f"gslb: all nodes have heard; waiting {left_s:.0f} s for answers to run out")
        sleep(left_s)


def _operator() -> str | None:
    """Return who types, for the log and `status`; the node knows the address alone."""
    try:
        return getpass.getuser()[:100] or None
    except (KeyError, OSError, ImportError):
        return None


def _path(member: str | None, region: str | None) -> str:
    if (member is None) == (region is None):
        raise typer.BadParameter("give one of MEMBER and --region NAME")
    kind, name = ("members", member) if region is None else ("regions", region)
    assert name is not None, "one of both is given"
    return f"/v1/{kind}/{quote(name, safe='', errors='surrogateescape')}/forced"


def _shown(member: str | None, region: str | None) -> str:
    return f"region {region}" if member is None else member


def _in(service: str | None) -> dict[str, str]:
    return {} if service is None else {"service": service}


def _where(service: str | None) -> str:
    return "" if service is None else f" in {service}"
