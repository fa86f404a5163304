"""The files that each server wants for a case, and the command that serves them.

Each function writes into a folder and returns the command.  Caches and everything that is not
written here are at their defaults, except where a peer is listed with a change.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from bench.case import CONTINENTS, FIXED, LUA_SERVICE, PLACES, SERVICE, TTL_S, Case, Listen
from bench.process import GSLB, NotMeasured, free_port


@cache
def gslb_keys() -> frozenset[str]:
    """Return the keys of the main file that this gslb knows."""
    schema = subprocess.run([*GSLB, "schema"], capture_output=True, text=True, check=False).stdout
    known: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            keys = value.get("properties")
            if isinstance(keys, dict) and "zones" in keys and "listen" in keys:
                known.update(keys)
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(json.loads(schema or "{}"))
    return frozenset(known)


def gslb_engines() -> list[str]:
    """Return the engines that can be chosen, the fastest first."""
    return ["native", "python"] if "engine" in gslb_keys() else ["python"]


def gslb_engine(engine: str, threads: int) -> dict[str, object]:
    """Return the keys that choose an engine; raise NotMeasured if this gslb has no such choice."""
    if "engine" in gslb_keys():
        return {"engine": engine} | ({"threads": threads} if "threads" in gslb_keys() else {})
    if engine == "python":
        return {}
    raise NotMeasured(f"this gslb has no `engine` to be {engine}")


def gslb_files(
    folder: Path,
    case: Case,
    listen: Listen,
    engine: str = "auto",
    monitor: Mapping[str, object] | None = None,
    targets: Sequence[str] = (),
) -> Path:
    """Write gslb's files for a case, and return the main one.

    With a monitor its members are probed, not where they are but at the targets in turn.
    """
    case.write_zone(folder / "example.com.zone")
    probes = itertools.cycle(targets)
    watched: dict[str, object] = {} if monitor is None else {"monitor": "measured"}

    def member(address: str, weight: int) -> dict[str, object]:
        return {"address": address, "weight": weight} | ({"probe": next(probes)} if targets else {})

    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {
            name: {
                "ttl": TTL_S,
                "route": "nearest",
                "pools": {
                    place: [member(address, weight) for address, weight in members]
                    for place, members in case.pools(number).items()
                },
                **watched,
            }
            for number, name in enumerate(case.service_names())
        },
    }
    main: dict[str, object] = {
        "node": "ns1.example.com",
        "state_dir": "var",
        "listen": {
            "dns": [f"{listen.address}:{listen.port}"],
            "admin": f"127.0.0.1:{free_port()}",
        },
        "zones": ["example.com.yaml"],
        "regions": {place: {"location": list(where)} for place, where in PLACES.items()},
    }
    if case.database:
        main["geo"] = {"database": str(case.database)}
    if monitor is not None:
        main["monitors"] = {"measured": dict(monitor)}
    if engine != "auto":
        main |= gslb_engine(engine, listen.threads)
    # JSON is YAML.
    (folder / "example.com.yaml").write_text(json.dumps(zone))
    (folder / "gslb.yaml").write_text(json.dumps(main))
    return folder / "gslb.yaml"


def gslb_native(folder: Path, case: Case, listen: Listen) -> list[str]:
    """gslb with its native engine."""
    return [*GSLB, "run", str(gslb_files(folder, case, listen, "native"))]


def gslb_python(folder: Path, case: Case, listen: Listen) -> list[str]:
    """gslb in Python alone."""
    return [*GSLB, "run", str(gslb_files(folder, case, listen, "python"))]


def gdnsd(folder: Path, case: Case, listen: Listen) -> list[str]:
    """gdnsd: the nearest of three places by coordinates (geoip), then by weight (weighted)."""
    for name in ("zones", "run", "state"):
        (folder / name).mkdir()
    names = case.service_names() if case.database else []
    case.write_zone(
        folder / "zones/example.com", [f"{name} {TTL_S} DYNA geoip!{name}" for name in names]
    )
    plugins = ""
    if case.database:
        weighted, resources = [], []
        for number, name in enumerate(names):
            for place, members in case.pools(number).items():
                each = ", ".join(f"m{n} => [{a}, {w}]" for n, (a, w) in enumerate(members))
                weighted.append(f"{name}-{place} => {{ multi => false, {each} }}")
            dcmap = ", ".join(f'{place} => "%weighted!{name}-{place}"' for place in PLACES)
            resources.append(f"{name} => {{ map => world, dcmap => {{ {dcmap} }} }}")
        where = ", ".join(f"{place} => [{lat}, {lon}]" for place, (lat, lon) in PLACES.items())
        newline = "\n"
        plugins = f"""
plugins => {{
  weighted => {{ {newline.join(weighted)} }}
  geoip => {{
    maps => {{ world => {{
      geoip2_db => "{case.database}"
      datacenters => [{", ".join(PLACES)}]
      auto_dc_coords => {{ {where} }}
    }} }}
    resources => {{ {newline.join(resources)} }}
  }}
}}
"""
    (folder / "config").write_text(f"""
options => {{
  listen => [ "{listen.address}:{listen.port}" ]
  udp_threads => {listen.threads}
  tcp_threads => 1
  run_dir => "{folder}/run"
  state_dir => "{folder}/state"
}}
{plugins}""")
    return ["gdnsd", "-c", str(folder), "start"]


def knot(folder: Path, case: Case, listen: Listen) -> list[str]:
    """Knot: by continent (mod-geoip), which has no weights inside a place: one address each."""
    names = case.service_names() if case.database else []
    case.write_zone(folder / "example.com.zone", [f"{name} A 192.0.2.81" for name in names])
    module = ""
    if case.database:
        with (folder / "geo.conf").open("w") as out:
            for number, name in enumerate(names):
                pools = case.pools(number)
                out.write(f"{name}.example.com:\n")
                for continent, place in CONTINENTS.items():
                    out.write(f"  - geo: {continent}\n    A: {pools[place][0][0]}\n")
        module = f"""
mod-geoip:
  - id: world
    config-file: "{folder}/geo.conf"
    ttl: {TTL_S}
    mode: geodb
    geodb-file: "{case.database}"
    geodb-key: [continent/code]
"""
    (folder / "knot.conf").write_text(f"""\
server:
    rundir: "{folder}"
    listen: {listen.address}@{listen.port}
    udp-workers: {listen.threads}
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
database:
    storage: "{folder}"
{module}
zone:
  - domain: example.com
    file: "{folder}/example.com.zone"
    {"module: mod-geoip/world" if case.database else ""}
""")
    return ["knotd", "-c", str(folder / "knot.conf")]


def nsd(folder: Path, case: Case, listen: Listen) -> list[str]:
    """NSD: plain names only, response rate limiting off."""
    case.write_zone(folder / "example.com.zone")
    (folder / "nsd.conf").write_text(f"""\
server:
    ip-address: {listen.address}
    port: {listen.port}
    server-count: {listen.threads}
    username: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: example.com
    zonefile: example.com.zone
""")
    return ["nsd", "-d", "-c", str(folder / "nsd.conf")]


def powerdns(folder: Path, case: Case, listen: Listen) -> list[str]:
    """PowerDNS's geoip backend: by continent, then by weight; its Lua record by coordinates."""
    records: dict[str, list[dict[str, object]]] = {
        "example.com": [
            {"soa": "ns1.example.com hostmaster.example.com 1 3600 900 86400 30"},
            {"ns": "ns1.example.com"},
        ],
        "ns1.example.com": [{"a": "192.0.2.53"}],
        FIXED: [{"a": "192.0.2.80"}],
    }
    pools = case.pools(0)
    for continent, place in CONTINENTS.items():
        records[f"{continent.lower()}.places.example.com"] = [
            {"a": {"content": address, "weight": weight}} for address, weight in pools[place]
        ]
    closest = ",".join(f"'{members[0][0]}'" for members in pools.values())
    records[LUA_SERVICE] = [{"lua": f'A "pickclosest({{{closest}}})"'}]
    zones = {
        "domains": [
            {
                "domain": "example.com",
                "ttl": TTL_S,
                "records": records,
                "services": {SERVICE: ["%cn.places.example.com", "na.places.example.com"]},
            }
        ]
    }
    (folder / "zones.yaml").write_text(json.dumps(zones))
    (folder / "pdns.conf").write_text(f"""\
launch=geoip
geoip-zones-file={folder}/zones.yaml
geoip-database-files=mmdb:{case.database}
local-address={listen.address}
local-port={listen.port}
socket-dir={folder}
receiver-threads={listen.threads}
edns-subnet-processing=yes
enable-lua-records=yes
""")
    return ["pdns_server", f"--config-dir={folder}", "--daemon=no", "--guardian=no"]


def powerdns_uncached(folder: Path, case: Case, listen: Listen) -> list[str]:
    """PowerDNS with its packet and query caches off."""
    off = ("--cache-ttl=0", "--query-cache-ttl=0", "--negquery-cache-ttl=0")
    return [*powerdns(folder, case, listen), *off]


def echo(folder: Path, case: Case, listen: Listen) -> list[str]:
    """The bare echo of native/examples, which answers nothing: the limit of the socket path."""
    from bench.load import example  # noqa: PLC0415 - it is built when it is first wanted

    return [str(example("echo")), f"{listen.address}:{listen.port}", str(listen.threads)]
