"""The demo: three regions on loopback, in each two real HTTP members behind a tier, and one node.

Every member and every tier is a process of its own, so that it can be killed like a real one;
whatever is left when the demo ends, however it ends, ends with it.  All files are written to a
temporary folder.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gslb.daemons import logs
from gslb.daemons.node import Node
from gslb.errors import GslbError

DNS_PORTS = (5353, 5354, 15353, 25353)
HTTP_PORTS = (8080, 18080, 28080)
ADMIN_PORTS = (8053, 18053, 28053)
MEMBERS = {
    "us-east": ("127.1.0.1", "127.1.0.2"),
    "eu-west": ("127.2.0.1", "127.2.0.2"),
    "ap-south": ("127.3.0.1", "127.3.0.2"),
}
PROXIES = {"us-east": "127.1.0.100", "eu-west": "127.2.0.100", "ap-south": "127.3.0.100"}
CLIENTS = {
    "us-east": "192.0.2.0/26",
    "eu-west": "198.51.100.0/26",
    "ap-south": "203.0.113.0/26",
}
_END_S = 5.0

_CONFIG = """\
node: demo.example.net
state_dir: {folder}/var
listen: {{dns: ["127.0.0.1:{dns}"], admin: "127.0.0.1:{admin}"}}
zones: [example.com.yaml]
geo: {{database: {database}}}
regions:
  us-east: {{location: [39.04, -77.49], proxies: [{{address: 127.1.0.100, monitor: tier}}]}}
  eu-west: {{location: [53.34, -6.26], proxies: [{{address: 127.2.0.100, monitor: tier}}]}}
  ap-south: {{location: [1.35, 103.82], proxies: [{{address: 127.3.0.100, monitor: tier}}]}}
monitors:
  web: {{type: http, port: {http}, path: /healthz, interval: 1s, timeout: 500ms, recheck: 300ms}}
  tier: {{type: tcp, port: {http}, interval: 1s, timeout: 500ms, recheck: 300ms}}
proxy:
  listen: [{http}]
  workers: 1
  admin: null
  drain: 1s
  across: {{port: {http}}}
  routes: [{{service: www.example.com}}]
"""

_SERVICES = """\
zone: example.com
file: example.com.zone
services:
  www:
    ttl: 10s
    ttl_min: 2s
    monitor: web
    route: nearest
    pools: {pools}
  api:
    monitor: web
    route: weighted
    answers: 2
    sticky: {{}}
    pools: {pools}
  "*.apps":
    monitor: web
    route: [{{order: [eu-west, us-east]}}]
    pools: {pools}
"""

_ZONE = """\
$TTL 300
@    SOA  ns1 hostmaster 1 7200 900 1209600 30
@    NS   ns1
ns1  A    127.0.0.1
@    MX   10 mail
mail A    192.0.2.25
shop CNAME www
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo listens."""

    dns: int
    http: int
    admin: int


def run_demo(for_s: float) -> int:
    """Run the demo for *for_s* seconds, or until it is interrupted; return the exit status."""
    logs.set_up()
    database = find_database()
    if database is None:
        print("gslb: data/demo.mmdb is not installed beside the program", file=sys.stderr)
        return 1
    addresses = [address for members in MEMBERS.values() for address in members]
    addresses += PROXIES.values()
    try:
        ports = Ports(
            _free(["127.0.0.1"], DNS_PORTS, udp=True),
            _free(addresses, HTTP_PORTS),
            _free(["127.0.0.1"], ADMIN_PORTS),
        )
    except OSError as error:
        print(f"gslb: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="gslb-demo-") as name:
        folder = Path(name)
        write_files(folder, ports, database)
        processes: dict[str, subprocess.Popen[str]] = {}
        try:
            start(processes, folder, ports.http)
            asyncio.run(_serve(folder, ports, processes, for_s))
        except KeyboardInterrupt:
            pass
        except (GslbError, OSError) as error:
            print(f"gslb: {error}", file=sys.stderr)
            return 1
        finally:
            end(processes.values())
    return 0


def find_database() -> Path | None:
    """Return the demo's geo database, from the source tree or from where it was installed."""
    tree = Path(__file__).parent.parent.parent / "data"
    for folder in (tree, Path(sys.prefix) / "share" / "gslb"):
        if (folder / "demo.mmdb").exists():
            return folder / "demo.mmdb"
    return None


def write_files(folder: Path, ports: Ports, database: Path) -> None:
    """Write the demo's configuration into *folder*."""
    pools = "{" + ", ".join(f"{region}: {list(each)}" for region, each in MEMBERS.items()) + "}"
    values = {"dns": ports.dns, "http": ports.http, "admin": ports.admin}
    text = _CONFIG.format(folder=folder, database=database, **values)
    (folder / "gslb.yaml").write_text(text)
    (folder / "example.com.yaml").write_text(_SERVICES.format(pools=pools.replace("'", "")))
    (folder / "example.com.zone").write_text(_ZONE)


def start(processes: dict[str, subprocess.Popen[str]], folder: Path, port: int) -> None:
    """Start every member and every tier, by address; return once all listen.

    Raises OSError if one does not.
    """
    for region, addresses in MEMBERS.items():
        for address in addresses:
            processes[address] = _started("gslb.daemons.member", address, str(port), region)
    for region, address in PROXIES.items():
        processes[address] = _started("gslb.daemons.demotier", str(folder / "gslb.yaml"), region)
    for address, process in processes.items():
        assert process.stdout is not None
        if not process.stdout.readline():
            raise OSError(f"what was to listen at {address} ended")


def _started(module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # so that Ctrl-C is ours alone
    )


def end(processes: Iterable[subprocess.Popen[str]]) -> None:
    """End those that still run, and wait for them."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


async def _serve(
    folder: Path, ports: Ports, processes: dict[str, subprocess.Popen[str]], for_s: float
) -> None:
    node = await Node.start(folder / "gslb.yaml", lambda _what, _part: None)
    running = asyncio.create_task(node.run())
    await node.ready.wait()
    pids = {address: process.pid for address, process in processes.items()}
    print(guide(ports, pids), flush=True)
    if for_s:
        asyncio.get_running_loop().call_later(for_s, node.stop)
    await running


def guide(ports: Ports, pids: dict[str, int]) -> str:
    """Return what can be tried, as lines to copy."""
    dig, admin = f"dig @127.0.0.1 -p {ports.dns}", f"http://127.0.0.1:{ports.admin}"
    one, two = MEMBERS["eu-west"]
    lines = ["", "Three regions, in each two members behind a proxy:"]
    for region, addresses in MEMBERS.items():
        shown = ", ".join(f"{address} (pid {pids[address]})" for address in addresses)
        proxy = PROXIES[region]
        lines.append(f"  {region:9} {shown}; {proxy}:{ports.http} (pid {pids[proxy]})")
    lines += ["", "Ask as a client of each region:"]
    lines += (f"  {dig} www.example.com +subnet={net}" for net in CLIENTS.values())
    lines += [
        "",
        "Ask why:",
        f"  {dig} CH TXT www.example.com +short +subnet={CLIENTS['eu-west']}",
        "",
        "Send a request to a region's proxy:",
        f"  curl http://{PROXIES['eu-west']}:{ports.http}/",
        "",
        "Kill a member, and ask again a second or two later; then the other one.  DNS then answers",
        "with the region's proxy, and the proxy goes on to the next region:",
        f"  kill {pids[one]}",
        f"  kill {pids[two]}",
        "",
        "Take a member out and put it back, and look at everything:",
        f"  gslb drain 127.1.0.1 --admin {admin}",
        f"  gslb release 127.1.0.1 --admin {admin}",
        f"  gslb status --admin {admin}",
        f"  a browser at {admin}/",
        "",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _free(addresses: list[str], ports: Iterable[int], *, udp: bool = False) -> int:
    """Return the first port that is free at all *addresses*; raises OSError if none is."""
    for port in ports:
        kinds = [socket.SOCK_STREAM, socket.SOCK_DGRAM] if udp else [socket.SOCK_STREAM]
        if all(_is_free(address, port, kind) for address in addresses for kind in kinds):
            return port
    raise OSError(f"no port of {', '.join(map(str, ports))} is free at {', '.join(addresses)}")


def _is_free(address: str, port: int, kind: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        try:
            sock.bind((address, port))
        except OSError:
            return False
    return True
