"""Configuration files for tests: written into a folder, with a mark where a complaint is due."""

from pathlib import Path

from gslb.config.load import load
from gslb.config.settings import Config
from gslb.errors import Complaint, ConfigError

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

    def load(self, main=MAIN, zone=WWW, master=MASTER, *, environ=None, **files) -> Config:
        """Load the configuration; `files` are more files, with `__` for a dot in the name."""
        more = {name.replace("__", "."): content for name, content in files.items()}
        self.write({"gslb.yaml": main, "zone.yaml": zone, "example.com.zone": master, **more})
        return load(self.path / "gslb.yaml", hostname="node.example", environ=environ or {})

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
