"""Requests per second, response times, CPU time and memory of the L7 tier, beside other proxies.

All proxies are up at once, on the first core; members and load share the last one.  Each round
asks one after the other, for one figure at a time, so that a ratio is of two runs that are
seconds apart; the ratio that is told is the median of the rounds'.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import proxytables, store
from bench.idling import idle
from bench.origin import origins
from bench.process import NotMeasured, cpu_s, free_port
from bench.proxies import (
    BARE,
    NGINX,
    PROXIES,
    Running,
    certificate,
    many_descriptors,
    started,
    under,
)
from bench.proxyfiles import HOST, MEMBERS
from bench.webload import Load, Seen, ab, wrk

SECONDS, ROUNDS = 3.0, 5
WARM_UP_S = 1.0
BODY_BYTES = 10_240
STEADY_CONNECTIONS = 256
STEADY_PART = 0.5  # of what the slowest can
# A proxy that does less than this part of nginx is left out of the higher of two steady rates.
FAST_MIN = 0.4
SLOW_RATE, SLOW_CONNECTIONS, SLOW_SECONDS_MIN, SLOW_ROUNDS_MAX = 600.0, 200, 8.0, 3
NOTE_MAX = 200
DIRECT = "members directly"


@dataclass(frozen=True, slots=True)
class Case:
    """One way of asking."""

    words: str
    path: str
    client: Callable[[Load], Seen] = wrk
    tls: bool = False
    connections: int = 64
    body_bytes: int = 0
    close: bool = False


CASES = {
    "1k": Case("1 kB", "/1k"),
    "1m": Case("1 MiB", "/1m"),
    "post": Case("POST of 10 kB", "/sink", body_bytes=BODY_BYTES),
    "tls": Case("TLS, 1 kB", "/1k", tls=True),
    "resumed": Case("TLS, new connection, resumed", "/1k", tls=True, connections=16, close=True),
    "handshake": Case(
        "TLS, new connection, whole", "/1k", ab, tls=True, connections=16, close=True
    ),
    "one": Case("1 kB, one connection", "/1k", connections=1),
}
STEADY, SLOW, IDLE = "steady", "slow", "idle"
NAMES = (*CASES, STEADY, SLOW, IDLE)


def measure(
    *,
    quick: bool = False,
    seconds: float | None = None,
    rounds: int | None = None,
    servers: Sequence[str] = (),
    only: Sequence[str] = (),
    python: str = "",
) -> store.Result:
    """Measure the figures of *only* (of `NAMES`; none: all) of those servers (none: all).

    With *python*, gslb is measured once more, run by that interpreter.
    """
    seconds = seconds or (1.0 if quick else SECONDS)
    rounds = rounds or (1 if quick else ROUNDS)
    found: store.Result = {"seconds": seconds, "rounds": rounds, "servers": {}, "notes": []}
    found |= {"rows": [], "slow": [], "idle": [], "load_before": os.getloadavg()[0]}
    many_descriptors()
    with TemporaryDirectory(prefix="gslb-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # a worker that gave up root reads here
        quick_port, slow_port = free_port(), free_port()
        stack.enter_context(origins(folder, quick_port, slow_port))
        up: dict[str, Running] = {}
        for proxy in (*PROXIES.values(), *([under(python)] if python else [])):
            if servers and proxy.name not in servers:
                continue
            try:
                found["servers"][proxy.name] = {"version": proxy.shown_version()}
                members = (quick_port, slow_port)
                up[proxy.name] = stack.enter_context(
                    started(proxy, folder / proxy.name, members, certificate(folder))
                )
                found["servers"][proxy.name]["command"] = " ".join(up[proxy.name].argv)
            except NotMeasured as why:
                found["servers"].pop(proxy.name, None)
                said = " ".join(str(why).split())[:NOTE_MAX]
                found["notes"].append(f"{proxy.name}: left out, {said}")
        if not up:
            raise NotMeasured("; ".join(found["notes"]))
        wanted = [each for each in NAMES if not only or each in only]
        for each in wanted:
            print(f"{each} …", file=sys.stderr, flush=True)
            _one(found, each, up, quick_port)
    found["load_after"] = os.getloadavg()[0]
    return found


def _one(found: store.Result, name: str, up: Mapping[str, Running], quick_port: int) -> None:
    seconds, rounds = found["seconds"], found["rounds"]
    if name == SLOW:
        seconds, rounds = max(SLOW_SECONDS_MIN, seconds), min(SLOW_ROUNDS_MAX, rounds)
        found["slow"] = list(_slow(up, seconds, rounds, found["notes"]))
    elif name == IDLE:
        found["idle"] = list(_idle(up, found["notes"]))
    elif name == STEADY:
        for words, rate, who in _steady_rates(found["rows"], up):
            wait_ms = STEADY_CONNECTIONS / rate * 1000
            loads = {
                server: Load(
                    url=f"http://127.0.0.1:{up[server].ports.http}/1k",
                    host=HOST,
                    seconds=seconds,
                    connections=STEADY_CONNECTIONS,
                    wait_ms=wait_ms,
                )
                for server in who
            }
            rows = _rounds(words, loads, wrk, up, rounds, found["notes"])
            found["rows"] += [{**row, "steady": True} for row in rows]
    else:
        case = CASES[name]
        loads = {
            server: Load(
                url=_url(proxy, case),
                host=HOST,
                seconds=seconds,
                connections=case.connections,
                body_bytes=case.body_bytes,
                close=case.close,
            )
            for server, proxy in up.items()
            if server != BARE or not (case.tls or case.body_bytes)  # it passes on, and no more
        }
        if name == "one":
            direct = f"http://{MEMBERS[0]}:{quick_port}{case.path}"
            loads = {DIRECT: replace(loads[next(iter(up))], url=direct), **loads}
        found["rows"] += _rounds(case.words, loads, case.client, up, rounds, found["notes"])


def _url(proxy: Running, case: Case) -> str:
    scheme, port = ("https", proxy.ports.https) if case.tls else ("http", proxy.ports.http)
    return f"{scheme}://127.0.0.1:{port}{case.path}"


def _rounds(
    words: str,
    loads: Mapping[str, Load],
    client: Callable[[Load], Seen],
    up: Mapping[str, Running],
    rounds: int,
    notes: list[str],
) -> list[store.Result]:
    """Ask all of them in turn, so many times; leave out who fails."""
    runs: dict[str, list[store.Result]] = {server: [] for server in loads}
    for number in range(-1, rounds):
        for server, load in loads.items():
            if server not in runs:
                continue
            asked = replace(load, seconds=WARM_UP_S) if number < 0 else load
            try:
                run = _run(asked, client, up.get(server))
            except NotMeasured as why:
                said = up[server].said() if server in up else ""
                notes.append(f"{server}, {words}: left out, {' '.join(f'{why}{said}'.split())}")
                del runs[server]
                continue
            if number >= 0:
                runs[server].append(run)
    return [{"kind": words, "server": server, "runs": all_} for server, all_ in runs.items()]


def _run(load: Load, client: Callable[[Load], Seen], proxy: Running | None) -> store.Result:
    before_s = cpu_s(proxy.pid) if proxy else 0.0
    start_s = time.monotonic()
    seen = client(load)
    wall_s = time.monotonic() - start_s
    used_s = cpu_s(proxy.pid) - before_s if proxy else 0.0
    return {
        **asdict(seen),
        "cpu_us": round(used_s / seen.requests * 1e6, 2),
        "busy": round(used_s / wall_s, 3),
    }


def _steady_rates(
    rows: Sequence[store.Result], up: Mapping[str, Running]
) -> Iterator[tuple[str, float, list[str]]]:
    """Give the two steady rates with who is asked: half of the slowest's, of all and of the fast.

    They rest on the rates at 1 kB, which must have been measured before.
    """
    rates = {
        row["server"]: median(run["rate"] for run in row["runs"])
        for row in rows
        if row["kind"] == CASES["1k"].words
    }
    if not rates:
        raise NotMeasured("equal load needs the rates of 1k before it")
    best = rates.get(NGINX, max(rates.values()))
    fast = [server for server, rate in rates.items() if rate >= FAST_MIN * best and server in up]
    for who in dict.fromkeys((tuple(rates), tuple(fast))):
        rate = STEADY_PART * min(rates[server] for server in who)
        yield f"1 kB at {rate / 1000:.1f}k/s", rate, list(who)


def _slow(
    up: Mapping[str, Running], seconds: float, rounds: int, notes: list[str]
) -> Iterator[store.Result]:
    """Ask members for which one request of a hundred is slow, by each balancing rule."""
    loads, owners = {}, {}
    for server, proxy in up.items():
        for rule in proxy.proxy.rules:
            owners[f"{server} {rule}"] = (server, rule)
            loads[f"{server} {rule}"] = Load(
                url=f"http://127.0.0.1:{proxy.ports.http}/",
                host=f"{rule}.example.com",
                seconds=seconds,
                connections=SLOW_CONNECTIONS,
                wait_ms=SLOW_CONNECTIONS / SLOW_RATE * 1000,
            )
    for row in _rounds("1 % slow", loads, wrk, {}, rounds, notes):
        server, rule = owners[row["server"]]
        yield {"server": server, "rule": rule, "runs": row["runs"]}


def _idle(up: Mapping[str, Running], notes: list[str]) -> Iterator[store.Result]:
    for server, proxy in up.items():
        try:
            yield {"server": server, **idle(proxy)}
        except (NotMeasured, OSError) as why:
            notes.append(f"{server}, idle connections: left out, {why}")


def table(found: store.Result) -> str:
    """Return the tables of a result, as plain text."""
    return proxytables.table(found)
