"""The documents, held to the code: what they show is there, and what is there they show."""

import ast
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from docs import keys, reference, scan, tree
from gslb.cli.app import app
from gslb.config.load import load
from gslb.config.mainkeys import MainFile
from gslb.config.routekeys import BALANCES
from gslb.config.zonekeys import ZoneFile
from gslb.daemons.openapi import document
from gslb.proxy.accesslog import Entry
from gslb.routing import answer, snapshot

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
DEPLOYED = sorted(path for path in (ROOT / "docker").rglob("*") if path.is_file())
ARCHITECTURE = (DOCS / "architecture.md").read_text()
REFERENCE = (DOCS / "reference.md").read_text()
OPERATING = (DOCS / "operating.md").read_text()
PROXY = (DOCS / "proxy.md").read_text()

# What the pieces of the tier's configuration stand beside.
AROUND: dict[str, object] = {
    "zones": ["example.com.yaml"],
    "regions": {"eu-west": {"location": [53.34, -6.26], "proxies": ["198.51.100.100"]}},
    "geo": {"database": str(ROOT / "data" / "demo.mmdb")},
}
SERVED = ("www", "api", "canary", "db", "*.apps")


def each_page(test):
    names = [str(path.relative_to(ROOT)) for path in PAGES]
    return pytest.mark.parametrize("page", PAGES, ids=names)(test)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def verbs() -> set[str]:
    return {verb for verb, _ in reference._verbs("gslb", get_command(app))}


# What is generated


def test_the_tree_and_its_captions_are_those_of_the_code():
    assert tree.page_with_tree(ARCHITECTURE) == ARCHITECTURE, "run: make docs"


def test_the_reference_is_made_from_the_code():
    assert reference.reference() == REFERENCE, "run: make docs"


def test_every_key_of_the_configuration_is_described():
    described = {re.split(r"[.\[]", path)[-1] for path in keys.paths()}

    assert keys_of(MainFile) | keys_of(ZoneFile) <= described


def keys_of(model: type[BaseModel]) -> set[str]:
    """Return the keys of a model and of all models that its annotations name."""
    found = {field.alias or text for text, field in model.model_fields.items()}
    for inner in models_in([field.annotation for field in model.model_fields.values()]):
        found |= keys_of(inner)
    return found


def models_in(annotations) -> set[type[BaseModel]]:
    found = set()
    for each in annotations:
        if isinstance(each, type) and issubclass(each, BaseModel):
            found.add(each)
        found |= models_in(getattr(each, "__args__", ()))
    return found


def test_every_command_is_described():
    for verb in verbs():
        assert re.search(rf"^### `{verb}[ `]", REFERENCE, re.MULTILINE), verb


def test_every_metric_that_the_code_names_is_described():
    sources = "".join(path.read_text() for path in (ROOT / "gslb").rglob("*.py"))

    named = set(re.findall(r'"(gslb_\w+)"', sources))

    assert named
    for metric in named:
        assert f"| `{metric}" in REFERENCE, metric


def test_every_path_of_the_api_is_described():
    served = re.findall(
        r'Route\("(\w+)", "?([\w/.{}]+)', (ROOT / "gslb/daemons/admin.py").read_text()
    )

    assert served
    for method, path in served:
        shown = path.replace("FORCED_PATH", "/v1/members/{address}/forced")
        assert f"`{method} {shown}" in REFERENCE
        assert method.lower() in document()["paths"][shown]


def test_every_extended_error_is_described():
    told = [answer._NOT_AUTHORITATIVE, answer._INVALID_DATA, snapshot.STALE]

    for code, text in [*told, *snapshot._UNUSUAL.values()]:
        assert f"| {code} | {reference.ERRORS[code]} | {text.decode()} |" in REFERENCE


def test_every_event_is_described():
    for kind, _call in scan.announced():
        assert f"| `{kind}` |" in REFERENCE


def test_every_key_of_the_access_log_is_described():
    told = set(re.findall(r"`(\w+)`", PROXY[PROXY.index("### The access log") :]))

    assert {"time" if key == "time_s" else key for key in Entry._fields} <= told


def test_every_way_to_balance_is_described():
    for kind in (*BALANCES, "{hash: path}"):
        assert f"| `{kind}`" in PROXY, kind


# What is written by hand


@each_page
def test_links_lead_somewhere(page):
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED], ids=lambda path: path.name)
def test_no_path_of_anybodys_machine_is_told(path):
    assert not re.search(r"/(home|Users|root|work|tmp)/\w", path.read_text())


@each_page
def test_lines_of_prose_can_be_read_in_a_terminal(page):
    if page.name == "reference.md":
        return
    for line in re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL).splitlines():
        assert len(line) <= 110 or line.startswith("|"), line


@each_page
def test_commands_that_are_shown_exist(page):
    known = {verb.removeprefix("gslb ").split()[0] for verb in verbs()}
    code = re.findall(r"```.*?```|`[^`\n]*`", page.read_text(), re.DOTALL)
    for verb in re.findall(r"^(?:`|\$ )?gslb ([a-z]+)", "\n".join(code), re.MULTILINE):
        assert verb in known, f"gslb {verb}"


@each_page
def test_metrics_that_are_named_exist(page):
    for metric in re.findall(r"gslb_[a-z_]+", page.read_text()):
        assert f"| `{metric}` |" in REFERENCE, metric


def test_pieces_of_configuration_are_right():
    found = blocks(OPERATING, "yaml")

    assert found
    for text in found:
        whole = yaml.safe_load(text)
        (ZoneFile if "zone" in whole else MainFile).model_validate(whole)


@pytest.mark.parametrize("at", range(len(blocks(PROXY, "yaml"))))
def test_a_piece_of_the_tiers_configuration_can_be_served(at, tmp_path):
    whole = AROUND | yaml.safe_load(blocks(PROXY, "yaml")[at])
    pools = {region: [f"192.0.2.{n}"] for n, region in enumerate(whole["regions"], 1)}
    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {name: {"pools": pools} for name in SERVED},
    }
    for file, text in {
        "gslb.yaml": yaml.safe_dump(whole),
        "example.com.yaml": yaml.safe_dump(zone),
        "example.com.zone": "@ 30 SOA ns1 hostmaster 1 2 3 4 5\n@ 30 NS ns1\nns1 30 A 192.0.2.53\n",
        "keys/tier-eu-west.key": "0123456789abcdef0123456789abcdef",
        "keys/us-east.key": "1123456789abcdef0123456789abcdef",
        "keys/eu-west.key": "2123456789abcdef0123456789abcdef",
        "keys/nodes.key": "3123456789abcdef0123456789abcdef",
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)

    found = load(tmp_path / "gslb.yaml", hostname="ns1.example.com", environ={})

    assert found.tier is not None
    assert found.tier.routes or found.tier.listeners
    assert not found.broken


def test_the_example_can_be_served_with_a_tier_in_each_region():
    found = load(ROOT / "gslb.yaml", hostname="ns1.example.com", environ={})

    assert not found.broken
    assert not found.warnings
    assert all(region.proxies for region in found.regions.values())
    assert found.tier.routes


def test_every_promise_names_tests_that_there_are():
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", ARCHITECTURE, re.MULTILINE)

    assert [int(number) for number, _ in rows] == list(range(1, 13))
    for _, cell in rows:
        for file, named in re.findall(r"\(\.\./(tests/\w+\.py)\): ((?:`\w+`(?:, )?)+)", cell):
            parsed = ast.parse((ROOT / file).read_text())
            functions = {
                node.name
                for node in ast.walk(parsed)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert set(re.findall(r"\w+", named)) <= functions, file


def test_decisions_are_numbered_and_in_the_index():
    index = (DOCS / "decisions" / "README.md").read_text()

    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.*) \|$", index, re.MULTILINE)

    assert [number for number, *_ in rows] == [f"{at:04}" for at in range(1, len(rows) + 1)]
    assert [file for _, file, _ in rows] == [path.name for path in DECISIONS]
    for number, file, title in rows:
        text = (DOCS / "decisions" / file).read_text()
        assert text.startswith(f"# {number}: {title}\n")


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_context_and_its_price(path):
    for part in ("Context", "Decision", "Price"):
        assert f"\n**{part}.** " in path.read_text()


def test_every_library_that_is_installed_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = next(path for path in DECISIONS if path.name.startswith("0007")).read_text()

    for wanted in project["dependencies"]:
        library = re.match(r"[\w-]+", wanted)[0]
        assert f"- **{library}**: " in reasons


def test_the_changelog_knows_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
