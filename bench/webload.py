"""HTTP load: wrk, and ab where each request has a connection of its own.

Both run on the last core, which the members have too.  wrk's percentiles count the requests
that a slow answer kept from being sent (its correction of coordinated omission); ab's do not.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.process import NotMeasured, cores, last_core

SCRIPT = Path(__file__).with_suffix(".lua").with_name("proxying.lua")
CONNECTIONS = 64
GIVE_UP_S = 30.0
AB_REQUESTS_MAX = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked: where, with how many connections, how long, and with what pauses."""

    url: str
    host: str
    seconds: float
    connections: int = CONNECTIONS
    body_bytes: int = 0
    wait_ms: float = 0.0  # mean pause of each connection between two requests
    close: bool = False  # a connection for each request


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the client saw."""

    rate: float  # requests a second
    p50_us: float
    p95_us: float
    p99_us: float
    failed: int  # not answered, or with a status of 400 and above
    requests: int


def wrk(load: Load) -> Seen:
    """Ask with kept connections; or with new ones, whose TLS sessions are resumed."""
    argv = [
        "wrk",
        "-t1",
        f"-c{load.connections}",
        f"-d{max(1, round(load.seconds))}s",
        "--timeout",
        "10s",
    ]
    argv += ["-H", f"Host: {load.host}", "-s", str(SCRIPT), load.url, "--"]
    argv[1:1] = ["-H", "Connection: close"] if load.close else []
    argv += [str(load.body_bytes), f"{load.wait_ms:.3f}"]
    said = _said(argv, load.seconds)
    line = next((line for line in said.splitlines() if line.startswith("JSON ")), None)
    if line is None:
        raise NotMeasured(f"wrk says nothing: {said[-500:]}")
    told = json.loads(line.removeprefix("JSON "))
    if not told["requests"]:
        raise NotMeasured(f"nothing is answered at {load.url}")
    return Seen(
        rate=told["requests"] / told["duration_us"] * 1e6,
        p50_us=told["p50_us"],
        p95_us=told["p95_us"],
        p99_us=told["p99_us"],
        failed=told["failed"] + told["refused"],
        requests=told["requests"],
    )


def ab(load: Load) -> Seen:
    """Ask with a new connection for each request, and a whole TLS handshake if it has TLS."""
    argv = ["ab", "-q", "-r", "-c", str(load.connections), "-t", str(max(1, round(load.seconds)))]
    argv += ["-n", str(AB_REQUESTS_MAX), "-H", f"Host: {load.host}", load.url]
    said = _said(argv, load.seconds)

    def number(pattern: str) -> float:
        found = re.search(pattern, said)
        if not found:
            raise NotMeasured(f"ab says nothing of {pattern!r}: {said[-500:]}")
        return float(found[1])

    other = re.search(r"Non-2xx responses:\s+(\d+)", said)
    return Seen(
        rate=number(r"Requests per second:\s+([\d.]+)"),
        p50_us=number(r"\s50%\s+(\d+)") * 1000,
        p95_us=number(r"\s95%\s+(\d+)") * 1000,
        p99_us=number(r"\s99%\s+(\d+)") * 1000,
        failed=int(number(r"Failed requests:\s+(\d+)")) + (int(other[1]) if other else 0),
        requests=int(number(r"Complete requests:\s+(\d+)")),
    )


def _said(argv: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            cores([last_core()], argv),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + GIVE_UP_S,
        )
    except subprocess.TimeoutExpired as why:
        raise NotMeasured(f"{argv[0]} does not end") from why
    if done.returncode:
        raise NotMeasured(f"{argv[0]}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout
