"""Configuration files for tests: written into a folder, with a mark where a complaint is due."""

from pathlib import Path

from gslb.config.load import load
from gslb.config.settings import Config
from gslb.config.tierfiles import Need
from gslb.errors import Complaint, ConfigError

DATA = Path(__file__).parent.parent / "data"

MARK = "«"

MAIN = """\
zones: [zone.yaml]
regions:
  eu-west: {location: [53.34, -6.26]}
  us-east: {location: [39.04, -77.49]}
  nowhere: {}
monitors:
  web: {path: /healthz}
"""

ZONE = """\
zone: example.com
file: example.com.zone
services:
"""

WWW = ZONE + "  www: {pools: {eu-west: [192.0.2.1], us-east: [192.0.2.2]}}\n"

MASTER = """\
$TTL 300
@ SOA ns1 admin 1 7200 900 1209600 60
@ NS ns1
ns1 A 192.0.2.53
text TXT "static"
"""

FULL_MAIN = f"""\
node: ns1.example.net
state_dir: var
listen:
  dns: ["127.0.0.1:5353", "[::1]:5353"]
  admin: 127.0.0.1:8053
zones: [zones/*.yaml]
geo:
  database: {DATA}/demo.mmdb
  asn_database: null
regions:
  us-east:  {{location: [39.04, -77.49]}}
  eu-west:  {{location: [53.34, -6.26], proxies: [127.2.0.100]}}
  ap-south: {{location: [1.35, 103.82]}}
monitors:
  web:
    type: http
    port: 80
    path: /healthz
    host: null
    interval: 5s
    timeout: 2s
    fall: 3
    rise: 2
    recheck: 1s
    expect: {{status: [200-399], body: null, json: null}}
    verify: true
explain_to: [127.0.0.0/8, "::1"]
admin_token: null
vantages:
  quorum: majority
  expiry: 20s
"""

FULL_ZONE = """\
zone: example.com
file: example.com.zone
services:
  www:
    ttl: 30s
    ttl_min: 5s
    monitor: web
    route: nearest
    answers: 1
    pools:
      us-east: [127.1.0.1, 127.1.0.2]
      eu-west:
        weight: 70
        members:
          - {address: 127.2.0.1, weight: 3}
          - {address: 127.2.0.2, weight: 1, probe: "127.2.0.2:8080"}
"""

FULL = {
    "gslb.yaml": FULL_MAIN,
    "zones/example.com.yaml": FULL_ZONE,
    "zones/example.com.zone": MASTER,
}


class Folder:
    """A folder of configuration files, and what loading it came to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, files: dict[str, str | bytes]) -> None:
        """Write files by name, texts without their mark."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content.replace(MARK, ""), encoding="utf-8")

    def load(
        self,
        main=MAIN,
        zone=WWW,
        master=MASTER,
        *,
        environ=None,
        region=None,
        tier_files=Need.NONE,
        **files,
    ) -> Config:
        """Load the configuration; `files` are more files, with `__` for a dot in the name."""
        more = {name.replace("__", "."): content for name, content in files.items()}
        self.write({"gslb.yaml": main, "zone.yaml": zone, "example.com.zone": master, **more})
        return load(
            self.path / "gslb.yaml",
            hostname="node.example",
            environ=environ or {},
            region=region,
            tier_files=tier_files,
        )

    def complaints(self, main=MAIN, zone=WWW, master=MASTER, **more) -> tuple[Complaint, ...]:
        """Return everything that is wrong, with the main file or with its zones."""
        try:
            return self.load(main, zone, master, **more).complaints()
        except ConfigError as error:
            return error.complaints


def marked(text: str) -> str:
    """Return line and column of the mark."""
    before = text[: text.index(MARK)].split("\n")
    return f"{len(before)}:{len(before[-1]) + 1}"
