"""The name servers that are compared: each one's files for the same zone, and its command.

The zone is example.com with two names to ask for.  `fixed` is a plain A record.  `www` goes
to the client's part of the world, and there to one of two addresses by weight, as far as
the server can say that:

- gslb and gdnsd choose the nearest of three places by the database's coordinates, then one
  of two addresses 3 : 1 (gdnsd: geoip over weighted).
- Knot chooses by continent; mod-geoip has no weights inside a place: one address each.
- PowerDNS's geoip backend chooses by continent, then by weight; its Lua record
  (`pickclosest`) chooses by coordinates among one address a place.

All have one thread for UDP.  Caches and everything else are at their defaults.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.process import GSLB, free_port

FIXED = "fixed.example.com"
SERVICE = "www.example.com"
LUA_SERVICE = "lua.example.com"

PLACES: Mapping[str, tuple[float, float]] = {
    "us-east": (39.0, -77.5),
    "eu-west": (53.3, -6.3),
    "ap-south": (1.4, 103.8),
}
ADDRESSES = {
    "us-east": ("127.1.0.1", "127.1.0.2"),
    "eu-west": ("127.2.0.1", "127.2.0.2"),
    "ap-south": ("127.3.0.1", "127.3.0.2"),
}
WEIGHTS = (3, 1)
CONTINENTS = {
    "NA": "us-east",
    "SA": "us-east",
    "EU": "eu-west",
    "AF": "eu-west",
    "AS": "ap-south",
    "OC": "ap-south",
    "AN": "ap-south",
}
TTL_S = 30

ZONE_FILE = f"""\
$ORIGIN example.com.
$TTL {TTL_S}
@ SOA ns1 hostmaster 1 3600 900 86400 30
@ NS ns1
ns1 A 192.0.2.53
fixed A 192.0.2.80
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One server: how to set it up in a folder, and which names it can be asked for.

    `prepare` writes the files for a database and a port and returns the command.
    """

    name: str
    program: str
    version: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    prepare: Callable[[Path, Path, int], list[str]]

    def found(self) -> str | None:
        """Return where the program is, or None."""
        return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

    def shown_version(self) -> str:
        """Return the first version number that the program prints."""
        said = subprocess.run(self.version, capture_output=True, text=True, check=False)
        number = re.search(r"\d+\.\d+(\.\d+)*", said.stdout + said.stderr)
        return number[0] if number else "?"


def _gslb(folder: Path, database: Path, port: int) -> list[str]:
    (folder / "example.com.zone").write_text(ZONE_FILE)
    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {
            "www": {
                "ttl": TTL_S,
                "route": "nearest",
                "pools": {
                    place: [
                        {"address": address, "weight": weight}
                        for address, weight in zip(addresses, WEIGHTS, strict=True)
                    ]
                    for place, addresses in ADDRESSES.items()
                },
            }
        },
    }
    main = {
        "node": "ns1.example.com",
        "state_dir": "var",
        "listen": {"dns": [f"127.0.0.1:{port}"], "admin": f"127.0.0.1:{free_port()}"},
        "zones": ["example.com.yaml"],
        "geo": {"database": str(database)},
        "regions": {place: {"location": list(where)} for place, where in PLACES.items()},
    }
    # JSON is YAML.
    (folder / "example.com.yaml").write_text(json.dumps(zone))
    (folder / "gslb.yaml").write_text(json.dumps(main))
    return [*GSLB, "run", str(folder / "gslb.yaml")]


def _gdnsd(folder: Path, database: Path, port: int) -> list[str]:
    for name in ("zones", "run", "state"):
        (folder / name).mkdir()
    (folder / "zones/example.com").write_text(ZONE_FILE + f"www {TTL_S} DYNA geoip!www\n")
    weighted = "\n".join(
        f"{place} => {{ multi => false, "
        f"one => [{first}, {WEIGHTS[0]}], two => [{second}, {WEIGHTS[1]}] }}"
        for place, (first, second) in ADDRESSES.items()
    )
    places = ", ".join(PLACES)
    where = ", ".join(f"{place} => [{lat}, {lon}]" for place, (lat, lon) in PLACES.items())
    dcmap = ", ".join(f'{place} => "%weighted!{place}"' for place in PLACES)
    (folder / "config").write_text(f"""
options => {{
  listen => [ "127.0.0.1:{port}" ]
  udp_threads => 1
  tcp_threads => 1
  run_dir => "{folder}/run"
  state_dir => "{folder}/state"
}}
plugins => {{
  weighted => {{ {weighted} }}
  geoip => {{
    maps => {{
      world => {{
        geoip2_db => "{database}"
        datacenters => [{places}]
        auto_dc_coords => {{ {where} }}
      }}
    }}
    resources => {{ www => {{ map => world, dcmap => {{ {dcmap} }} }} }}
  }}
}}
""")
    return ["gdnsd", "-c", str(folder), "start"]


def _knot(folder: Path, database: Path, port: int) -> list[str]:
    (folder / "example.com.zone").write_text(ZONE_FILE + "www A 192.0.2.81\n")
    places = "".join(
        f"  - geo: {continent}\n    A: {ADDRESSES[place][0]}\n"
        for continent, place in CONTINENTS.items()
    )
    (folder / "geo.conf").write_text(f"{SERVICE}:\n{places}")
    (folder / "knot.conf").write_text(f"""\
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
database:
    storage: "{folder}"
mod-geoip:
  - id: world
    config-file: "{folder}/geo.conf"
    ttl: {TTL_S}
    mode: geodb
    geodb-file: "{database}"
    geodb-key: [continent/code]
zone:
  - domain: example.com
    file: "{folder}/example.com.zone"
    module: mod-geoip/world
""")
    return ["knotd", "-c", str(folder / "knot.conf")]


def _powerdns(folder: Path, database: Path, port: int) -> list[str]:
    records: dict[str, list[dict[str, object]]] = {
        "example.com": [
            {"soa": "ns1.example.com hostmaster.example.com 1 3600 900 86400 30"},
            {"ns": "ns1.example.com"},
        ],
        "ns1.example.com": [{"a": "192.0.2.53"}],
        FIXED: [{"a": "192.0.2.80"}],
    }
    for continent, place in CONTINENTS.items():
        records[f"{continent.lower()}.places.example.com"] = [
            {"a": {"content": address, "weight": weight}}
            for address, weight in zip(ADDRESSES[place], WEIGHTS, strict=True)
        ]
    closest = ",".join(f"'{first}'" for first, _ in ADDRESSES.values())
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
geoip-database-files=mmdb:{database}
local-address=127.0.0.1
local-port={port}
socket-dir={folder}
receiver-threads=1
edns-subnet-processing=yes
enable-lua-records=yes
""")
    return ["pdns_server", f"--config-dir={folder}", "--daemon=no", "--guardian=no"]


_BOTH = (("fixed", FIXED), ("service", SERVICE))

PEERS = (
    Peer("gslb", GSLB[0], (*GSLB, "--version"), _BOTH, _gslb),
    Peer("gdnsd", "gdnsd", ("gdnsd", "-V"), _BOTH, _gdnsd),
    Peer("Knot", "knotd", ("knotd", "-V"), _BOTH, _knot),
    Peer(
        "PowerDNS",
        "pdns_server",
        ("pdns_server", "--version"),
        (*_BOTH, ("service in Lua", LUA_SERVICE)),
        _powerdns,
    ),
)
