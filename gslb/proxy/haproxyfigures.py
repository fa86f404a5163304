"""Figures of a running HAProxy, read from what its runtime API shows.

Counters start again at 0 with each reload (HAProxy 2.6, management guide 9.1): they are of the
process that accepts connections now.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gslb.errors import EngineError
from gslb.proxy.haproxypools import Backend, Wanted, servers_of

SHOW_INFO, SHOW_STAT = "show info", "show stat"


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """What is known of one server in one pool.

    `name` is the operator's; `state` is HAProxy's word, such as ``UP``, ``DOWN``, ``DRAIN`` or
    ``MAINT``.  `active` requests are under way and `queued` wait; the others are counters.
    """

    service: str
    region: str
    kind: str
    name: str
    state: str
    weight: int
    active: int
    queued: int
    requests: int
    server_errors: int
    connect_errors: int
    response_errors: int
    retries: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a HAProxy as a whole, and of each server.

    `pid` is the process that answered, `since_s` how long it has run.  `connections` are open to
    clients; `requests_per_s` and `connections_per_s` are those of the last second.
    """

    pid: int
    since_s: int
    connections: int
    connections_per_s: int
    requests: int
    requests_per_s: int
    active: int
    servers: tuple[ServerFigures, ...]


def info(reply: str) -> dict[str, str]:
    """Return what `SHOW_INFO` was answered with, by name."""
    pairs = (line.partition(": ") for line in reply.splitlines())
    return {name: value for name, found, value in pairs if found}


def figures(
    shown: str,
    stat: str,
    backends: Sequence[Backend],
    wanted: Mapping[str, Sequence[Wanted]],
) -> Figures:
    """Return the figures in the replies to `SHOW_INFO` and `SHOW_STAT`; raises EngineError."""
    about = info(shown)
    rows = list(csv.DictReader(io.StringIO(stat.lstrip().removeprefix("# "))))
    known = {
        (backend.name, server.server): (backend, server)
        for backend in backends
        for server, _, _ in servers_of(backend, wanted)
    }
    servers, requests_per_s = [], 0
    try:
        for row in rows:
            if row["svname"] == "FRONTEND":
                requests_per_s += _number(row["req_rate"])
            at = (row["pxname"], row["svname"])
            if at in known:
                servers.append(_server(row, *known[at]))
        return Figures(
            pid=int(about["Pid"]),
            since_s=int(about["Uptime_sec"]),
            connections=int(about["CurrConns"]),
            connections_per_s=int(about["ConnRate"]),
            requests=int(about["CumReq"]),
            requests_per_s=requests_per_s,
            active=sum(server.active for server in servers),
            servers=tuple(servers),
        )
    except (KeyError, ValueError) as error:
        raise EngineError(f"HAProxy's figures are not understood: {error}") from None


def _server(row: Mapping[str, str], backend: Backend, server: Wanted) -> ServerFigures:
    return ServerFigures(
        service=backend.pool.service,
        region=backend.region,
        kind=backend.kind,
        name=server.name,
        state="UP" if row["status"] == "no check" else row["status"].partition(" ")[0],
        weight=_number(row["weight"]),
        active=_number(row["scur"]),
        queued=_number(row["qcur"]),
        requests=_number(row["stot"]),
        server_errors=_number(row["hrsp_5xx"]),
        connect_errors=_number(row["econ"]),
        response_errors=_number(row["eresp"]),
        retries=_number(row["wretr"]),
    )


def _number(text: str) -> int:
    return int(text) if text else 0
