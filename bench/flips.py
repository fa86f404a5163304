"""Time from an operator's word to the changed answer on the wire, with many services.

One member after the other is forced down and released by the admin API, and its service
asked, over UDP on loopback, until the answer is another.  Each has a pool of its own to
itself, in the region that comes first, so that one flip changes the answer for certain.  The
time starts before the request is sent, so it holds the API's part as well: parsing, compiling
what the flip touched, publishing, and whatever the engine needs to take it over.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import store
from bench.case import FIXED, PLACES, Case, Listen
from bench.load import query
from bench.peerfiles import gslb_engines, gslb_files
from bench.peers import NATIVE, PYTHON, STATIC, Peer, Started, started
from bench.process import NotMeasured, free_port
from bench.table import shown

PEERS = {"native": NATIVE, "python": PYTHON}
FLIPS = 100
START_MAX_S = 300.0
GIVE_UP_S = 5.0
# Services, members of each, and the aim for the worst of a hundred, in ms.
SIZES = ((1, 6, 10.0), (1_000, 20, 10.0), (20_000, 3, 100.0))


POLL_S = 0.0002  # between two questions: a core must be left for whoever works out the answer


def measure(*, quick: bool = False) -> store.Result:
    """Flip members under both engines and all sizes."""
    found: store.Result = {"flips": 10 if quick else FLIPS, "rows": [], "notes": []}
    for services, members, aim_ms in SIZES[:2] if quick else SIZES:
        # Most of a flip is Python under either engine; at the largest size one will do.
        engines = gslb_engines()[:1] if services == SIZES[-1][0] else gslb_engines()
        for engine in engines:
            peer = PEERS[engine]
            try:
                times_ms = _flipped(peer, engine, Case(None, services, members), found["flips"])
            except NotMeasured as why:
                found["notes"].append(f"{peer.name}, {services} services: left out, {why}")
                continue
            found["rows"].append(
                {
                    "server": peer.name,
                    "services": services,
                    "members": members,
                    "aim_ms": aim_ms,
                    "times_ms": [round(each, 3) for each in times_ms],
                }
            )
    return found


def _flipped(peer: Peer, engine: str, case: Case, flips: int) -> list[float]:
    def prepare(folder: Path, case: Case, listen: Listen) -> list[str]:
        config = gslb_files(folder, case, listen, engine)
        _ordered(folder)
        return [*peer.version[:-1], "run", str(config)]

    with TemporaryDirectory(prefix="gslb-bench-") as name:
        folder = Path(name) / "served"
        ours = Peer(peer.name, peer.program, peer.version, prepare, {STATIC: FIXED})
        listen = Listen("127.0.0.1", free_port())
        with started(ours, folder, case, listen, start_max_s=START_MAX_S) as server:
            return _times_ms(server, folder, case, flips)


def _ordered(folder: Path) -> None:
    """Let every service prefer the places in one order, whoever asks, and its first member."""
    path = folder / "example.com.yaml"
    zone = json.loads(path.read_text())
    for service in zone["services"].values():
        service["route"] = {"order": list(PLACES)}
        first = service["pools"][next(iter(PLACES))]
        # A reserve is answered only when nobody with weight lives.
        for member in first[1:]:
            member["weight"] = 0
    path.write_text(json.dumps(zone))


def _times_ms(server: Started, folder: Path, case: Case, flips: int) -> list[float]:
    where = json.loads((folder / "gslb.yaml").read_text())["listen"]["admin"]
    admin = http.client.HTTPConnection(where, timeout=30)
    admin.connect()
    assert admin.sock is not None, "it has just been connected"
    admin.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    names = case.service_names()
    _wait_until_ready(admin)
    times_ms = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect((server.listen.address, server.listen.port))
        asker.settimeout(GIVE_UP_S)
        for flip in range(flips):
            service = flip // 2 * max(1, len(names) // max(1, flips // 2)) % len(names)
            address = case.pools(service)[next(iter(PLACES))][0][0]
            down = flip % 2 == 0
            wire = query(f"{names[service]}.example.com", None)
            times_ms.append(_flip(admin, asker, address, wire, down=down) * 1000)
    admin.close()
    return times_ms


def _wait_until_ready(admin: http.client.HTTPConnection) -> None:
    """Wait until the node trusts what it measures: until then it compiles everything once."""
    deadline_s = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline_s:
        admin.request("GET", "/readyz")
        response = admin.getresponse()
        response.read()
        if response.status == 200:
            return
        time.sleep(0.1)
    raise NotMeasured("the node is not ready")


def _flip(
    admin: http.client.HTTPConnection,
    asker: socket.socket,
    address: str,
    wire: bytes,
    *,
    down: bool,
) -> float:
    """Give the word and ask until the answer follows; return the seconds from the word on."""
    octets = socket.inet_aton(address)
    asker.send(wire)
    if (octets in asker.recv(4096)) is not down:
        raise NotMeasured(f"{address} is not answered as before the flip")
    body = json.dumps({"word": "down"}) if down else None
    start_s = time.perf_counter()
    admin.request(
        "PUT" if down else "DELETE",
        f"/v1/members/{address}/forced",
        body,
        {"Content-Type": "application/json"},
    )
    while True:
        asker.send(wire)
        changed = (octets in asker.recv(4096)) is not down
        took_s = time.perf_counter() - start_s
        if changed:
            break
        time.sleep(POLL_S)
        if took_s > GIVE_UP_S:
            raise NotMeasured(f"the answer did not follow within {GIVE_UP_S:g} s")
    response = admin.getresponse()
    said = response.read()
    if response.status not in (200, 204):
        raise NotMeasured(f"the admin API says {response.status}: {said[:200]!r}")
    return took_s


def table(found: store.Result) -> str:
    """Return the table of a result, as plain text."""
    return "\n".join([shown(*rows(found)), *found["notes"]])


def rows(found: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: how long the flips took, beside the aim."""
    header = ["server", "services", "members", "flips", "p50 ms", "p99 ms", "worst ms", "aim ms"]
    return header, [
        [
            row["server"],
            str(row["services"]),
            str(row["services"] * row["members"]),
            str(len(row["times_ms"])),
            f"{median(row['times_ms']):.1f}",
            f"{quantile(row['times_ms'], 0.99):.1f}",
            f"{max(row['times_ms']):.1f}",
            f"{row['aim_ms']:.0f}",
        ]
        for row in found["rows"]
    ]


def quantile(values: list[float], part: float) -> float:
    """Return the least value that this part of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
