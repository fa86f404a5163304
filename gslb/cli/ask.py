"""`gslb explain`: what one client would be answered, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import dns.rdatatype
import typer

from gslb.cli import askhttp
from gslb.cli.client import call
from gslb.cli.shown import (
    client_network,
    complaints,
    err,
    fail,
    owner,
    show_json,
    show_table,
)
from gslb.cli.supposed import check_down, supposing, world_of
from gslb.daemons.explainer import as_json as told_as_json
from gslb.daemons.explainer import explain_any, place_text, rungs_text
from gslb.dns import name
from gslb.model import Network
from gslb.routing.explain import explain

_STATIC = "static records"
_KEYS = (
    *("name", "type", "client", "scope", "location", "generation", "rcode", "ttl_s", "ttl_why"),
    *("served", "aliases", "notes", "answers", "steps", "rungs"),
)


def explain_command(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[CONFIG] [NAME]",
            help="The main file (not with --admin); a name (not with --http).",
        ),
    ],
    client: Annotated[
        str, typer.Option(metavar="IP[/LEN]", help="The client's address, or its subnet.")
    ],
    type_: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="A or AAAA; default: A if there is any."),
    ] = None,
    down: Annotated[
        list[str] | None,
        typer.Option(metavar="MEMBER", help="Suppose a member or a whole region down; repeatable."),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="'METHOD URL'", help="Explain a request's way instead of a query's."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: VALUE'", help="With --http: a header; repeatable."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --http: where it comes in; default: where DNS sends it."
        ),
    ] = None,
    admin: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a running node instead of CONFIG.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="GSLB_ADMIN_TOKEN", help="The running node's admin token."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what one client would be answered, and why: rung by rung, step by step.

    Nothing is sent to the network: the answer is worked out from the files, as if all members
    were up but for those in --down.  With --admin a running node says what it answers now;
    CONFIG is left out then.  With --http it is said what the L7 tier does with a request: which
    route it takes and why none before, what is changed of it, to whom it goes; NAME is left out.

    \b
    examples:
      gslb explain gslb.yaml www.example.com --client 203.0.113.9
      gslb explain gslb.yaml www.example.com --client 2001:db8::/48 --type AAAA
      gslb explain gslb.yaml www.example.com --client 203.0.113.0/24 --down eu-west
      gslb explain www.example.com --client 203.0.113.9 --admin http://127.0.0.1:8053
      gslb explain gslb.yaml --http 'GET https://www.example.com/api/x' --client 203.0.113.9

    exit status: 0 answered, 1 nothing would be or the input is wrong, 2 wrong usage
    """
    network = client_network(client)
    if http is not None:
        askhttp.check_usage(arguments, type_, admin)
        asked = askhttp.asked(http, header or (), network)
        askhttp.explain_request(Path(arguments[0]), asked, region, down or (), as_json=as_json)
        return
    if header or region:
        raise typer.BadParameter("--header and --region go with --http")
    config, qname = _positional(arguments, admin)
    number = None if type_ is None else _type_number(type_)
    with complaints():
        if admin is None:
            told = _from_files(Path(config), qname, number, network, down or ())
        else:
            if down:
                raise typer.BadParameter("--down is for CONFIG; a running node knows who is down")
            query = {"name": name.show(qname), "client": str(network)}
            if type_ is not None:
                query["type"] = type_.upper()
            told = call(admin, "GET", "/v1/explain", query=query, token=token)
            if not isinstance(told, dict) or set(_KEYS) - told.keys():
                raise fail(f"{admin} gives no explanation", "is that a gslb node of this version?")
    if as_json:
        show_json(told)
    else:
        show_explanation(told)
    if not told["answers"] and told["served"] != _STATIC:
        err(f"gslb: {told['name']} {told['type']}: nothing would be answered ({told['rcode']})")
        raise typer.Exit(1)


def _positional(arguments: Sequence[str], admin: str | None) -> tuple[str, bytes]:
    """Return CONFIG (empty with --admin) and the wire form of NAME."""
    wanted = 2 if admin is None else 1
    if len(arguments) != wanted:
        usage = "CONFIG NAME, or NAME with --admin" if admin is None else "NAME alone with --admin"
        given = " ".join(arguments)
        raise typer.BadParameter(f"give {usage}; this is {given!r}")
    return ("", *arguments)[-2], owner(arguments[-1])


def _type_number(text: str) -> int:
    try:
        return int(dns.rdatatype.from_text(text.upper()))
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise typer.BadParameter(f"{text!r} is no record type; write A or AAAA") from None


def _from_files(
    path: Path, qname: bytes, qtype: int | None, client: Network, down: Sequence[str]
) -> dict[str, Any]:
    world = world_of(path)
    for zone in world.config.broken:
        err(*(f"gslb: {complaint}" for complaint in zone.complaints))
    check_down([world], down)
    snapshot = supposing(world, down)
    if qtype is None:
        told = explain_any(snapshot, qname, client, 0.0)
    else:
        told = explain(snapshot, qname, qtype, client, 0.0)
    if told is None:
        apexes = [*world.plan.zones, *world.plan.broken]
        zones = ", ".join(sorted(map(name.show, apexes))) or "none"
        raise fail(f"{name.show(qname)} is in no zone of {path}", f"its zones are: {zones}")
    return told_as_json(told)


def show_explanation(told: Mapping[str, Any]) -> None:
    """Print an explanation in the API's shape, as text."""
    print(f"{told['name']} {told['type']} for {told['client']}: {told['rcode']}, {told['served']}")
    facts = [
        ("client", place_text(told["location"])),
        ("scope", f"/{told['scope']}"),
        ("ttl", f"{told['ttl_s']}s: {told['ttl_why']}"),
        ("generation", told["generation"] or "none: worked out from the files"),
        *(("alias", alias) for alias in told["aliases"]),
        *(("note", note) for note in told["notes"]),
    ]
    for label, value in facts:
        print(f"  {label:<11} {value}")
    if told["steps"]:
        print("\nroute")
        rows = [(step["step"], rungs_text(step["rungs"]), step["why"]) for step in told["steps"]]
        show_table(("step", "rungs", "why"), rows)
    for number, rung in enumerate(told["rungs"], 1):
        living = f"{rung['living_share']:.1%} living"
        print(f"\nrung {number}  {rungs_text([rung['regions']])}: {rung['outcome']}, {living}")
        show_table(("member", "region", "share", "verdict", "kept", "why"), _member_rows(rung))
    if told["answers"]:
        print("\nanswer")
        rows = [(a["address"], a["region"], f"{a['share']:.1%}") for a in told["answers"]]
        show_table(("member", "region", "share"), rows)


def _member_rows(rung: Mapping[str, Any]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for member in rung["members"]:
        forced = f", forced {member['forced']}" if member["forced"] else ""
        kept = "kept" if member["kept"] else "dropped"
        share = f"{member['share']:.1%}"
        verdict = member["verdict"] + forced
        rows.append((member["address"], member["region"], share, verdict, kept, member["why"]))
    return rows
