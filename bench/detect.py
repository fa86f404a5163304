"""Time from a member's death to changed answers: as seen by a client that keeps asking.

`gslb run` watches real HTTP members on 127.x.  Every service prefers its own victim and
falls back to one survivor that all share.  Twenty victims die one after the other, each at
a moment of its probe interval that a seed picks; from its death on its service is asked
every 10 ms until the answer is the survivor.  "Refused" closes the port, "hung" goes on
accepting connections and says nothing.  Printed are minimum, median and worst beside the
bound of design: interval + (fall - 1) × max(recheck, timeout) + timeout, to which the
node's own report and tick are added; and what `gslb check` says.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import dns.message
import dns.rdatatype

from bench.process import GSLB, NotMeasured, free_port, running, tail, wait_for_answer
from bench.table import shown

VICTIMS = 20
POLL_S = 0.01
SETTLE_INTERVALS = 1.5
GIVE_UP_AFTER_BOUNDS = 3.0
SEED = 20_260_131
SURVIVOR = "127.42.0.1"
DEATHS = ("refused", "hung")


@dataclass(frozen=True, slots=True)
class Timing:
    """A monitor's timing in seconds, and the words it is configured with."""

    name: str
    interval_s: float
    timeout_s: float
    recheck_s: float
    fall: int
    words: str

    @property
    def bound_s(self) -> float:
        """The worst time until the verdict flips, without report and tick."""
        between_s = max(self.recheck_s, self.timeout_s)
        return self.interval_s + (self.fall - 1) * between_s + self.timeout_s


TIMINGS = (
    Timing("fast", 1.0, 1.0, 0.3, 3, "interval 1s, timeout 1s, recheck 300ms, fall 3"),
    Timing(
        "default", 5.0, 2.0, 1.0, 3, "the defaults: interval 5s, timeout 2s, recheck 1s, fall 3"
    ),
)


class Member:
    """A real HTTP server that answers 200 until it dies."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._hung = False
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Member:
        self._server = await asyncio.start_server(self._serve, self._address, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.die("refused")
        await asyncio.gather(*self._open, return_exceptions=True)

    def die(self, how: str) -> None:
        """Die: "refused" closes the port, "hung" keeps it and answers nothing."""
        assert self._server is not None, "a member dies after it has lived"
        if how == "hung":
            self._hung = True
            return
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None, "a stream is served in a task of its own"
        self._open[task] = writer
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self._hung:
                await reader.read()
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._open[task]
            writer.close()


def figure(timings: Sequence[Timing] = TIMINGS, victims: int = VICTIMS) -> str:
    """Kill members in both ways under each timing, and return the table."""
    rows: list[list[str]] = []
    checks: list[str] = []
    for timing in timings:
        for how in DEATHS:
            with TemporaryDirectory(prefix="gslb-bench-") as name:
                taken_s, check = _batch(timing, how, victims, Path(name))
            rows.append(
                [
                    timing.words,
                    how,
                    str(len(taken_s)),
                    *(f"{value:.2f} s" for value in (min(taken_s), median(taken_s), max(taken_s))),
                    f"{timing.bound_s:.2f} s",
                    f"{max(taken_s) / timing.bound_s:.2f}",
                ]
            )
        checks.append(f"gslb check, {timing.name}: {check}")
    header = ("monitor", "death", "runs", "least", "median", "worst", "bound", "worst to bound")
    return "\n".join([shown(header, rows), *checks])


def _batch(timing: Timing, how: str, victims: int, folder: Path) -> tuple[list[float], str]:
    dns_port, member_port = free_port(), free_port()
    config = _write_config(folder, timing, victims, dns_port, member_port)
    checked = subprocess.run(
        [*GSLB, "check", str(config)], capture_output=True, text=True, check=False
    )
    if checked.returncode:
        raise NotMeasured(f"gslb check: {checked.stderr.strip()[-500:]}")
    said = [line.strip() for line in checked.stdout.splitlines() if "measured" in line]
    log = folder / "log"

    async def measure() -> list[float]:
        addresses = [_victim(number) for number in range(victims)]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(Member(SURVIVOR, member_port))
            members = [
                await stack.enter_async_context(Member(address, member_port))
                for address in addresses
            ]
            with running([*GSLB, "run", str(config)], log=log) as child:
                await asyncio.to_thread(wait_for_answer, child, dns_port, "fixed.example.com", log)
                # Every member has its first verdict, and its probes their steady phase.
                await asyncio.sleep(SETTLE_INTERVALS * timing.interval_s + timing.timeout_s)
                chance = random.Random(SEED)
                taken_s = await asyncio.gather(
                    *(
                        _kill(member, number, how, timing, chance.random(), dns_port)
                        for number, member in enumerate(members)
                    )
                )
        late = [number for number, took_s in enumerate(taken_s) if took_s is None]
        if late:
            raise NotMeasured(f"{how}: s{late[0]} never changed its answer: {tail(log)}")
        return [took_s for took_s in taken_s if took_s is not None]

    return asyncio.run(measure()), "; ".join(said) or "does not name the monitor"


async def _kill(
    member: Member, number: int, how: str, timing: Timing, part: float, dns_port: int
) -> float | None:
    """Let the member die after that part of an interval; return how long it was answered."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(part * timing.interval_s)
    query = dns.message.make_query(f"s{number}.example.com", dns.rdatatype.A).to_wire()
    survivor = socket.inet_aton(SURVIVOR)
    victim = socket.inet_aton(_victim(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.connect(("127.0.0.1", dns_port))
        await loop.sock_sendall(asker, query)
        if victim not in await asyncio.wait_for(loop.sock_recv(asker, 4096), 5):
            raise NotMeasured(f"s{number} is not answered with its living first choice")
        member.die(how)
        died_s = loop.time()
        deadline_s = died_s + GIVE_UP_AFTER_BOUNDS * timing.bound_s
        while loop.time() < deadline_s:
            await loop.sock_sendall(asker, query)
            answer = await asyncio.wait_for(loop.sock_recv(asker, 4096), 5)
            if survivor in answer:
                return loop.time() - died_s
            await asyncio.sleep(POLL_S)
    return None


def _write_config(
    folder: Path, timing: Timing, victims: int, dns_port: int, member_port: int
) -> Path:
    monitor: dict[str, object] = {"type": "http", "port": member_port, "path": "/healthz"}
    if timing.name != "default":
        monitor |= {
            "interval": timing.interval_s,
            "timeout": timing.timeout_s,
            "recheck": timing.recheck_s,
            "fall": timing.fall,
        }
    main = {
        "node": "ns1.example.com",
        "state_dir": "var",
        "listen": {"dns": [f"127.0.0.1:{dns_port}"], "admin": f"127.0.0.1:{free_port()}"},
        "zones": ["example.com.yaml"],
        "regions": {"first": {}, "second": {}},
        "monitors": {"measured": monitor},
    }
    return written(folder, main, [_victim(number) for number in range(victims)])


def written(folder: Path, main: dict[str, object], victims: Sequence[str]) -> Path:
    """Write *main*, and a zone with a service for each victim, who has a survivor to follow it."""
    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {
            f"s{number}": {
                "monitor": "measured",
                "route": {"order": ["first", "second"]},
                "pools": {"first": [victim], "second": [SURVIVOR]},
            }
            for number, victim in enumerate(victims)
        },
    }
    (folder / "example.com.zone").write_text(
        "$TTL 30\n@ SOA ns1 hostmaster 1 3600 900 86400 30\n@ NS ns1\n"
        "ns1 A 192.0.2.53\nfixed A 192.0.2.80\n"
    )
    # JSON is YAML.
    (folder / "example.com.yaml").write_text(json.dumps(zone))
    config = folder / "gslb.yaml"
    config.write_text(json.dumps(main))
    return config


def _victim(number: int) -> str:
    return f"127.41.0.{number + 1}"
