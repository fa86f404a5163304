"""The house rules, held by the code's own syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gslb"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
MAY_IMPORT = {
    "errors": set(),
    "model": {"errors"},
    "tier": {"errors", "model"},
    "dns": {"errors"},
    "health": {"errors", "model"},
    "routing": {"errors", "model", "dns", "health"},
    "proxy": {"errors", "model", "tier", "health", "routing"},
    "nativecode": {"dns", "_native"},
    "config": {"errors", "model", "tier", "dns", "nativecode", "_native"},
    "daemons": {
        "errors",
        "model",
        "tier",
        "dns",
        "health",
        "routing",
        "proxy",
        "config",
        "nativecode",
        "_native",
    },
    "cli": {"errors", "model", "tier", "dns", "health", "routing", "proxy", "config", "daemons"},
}
PURE = {"errors", "model", "tier", "dns", "health", "routing", "proxy"}
THE_WORLD = {"asyncio", "socket", "ssl", "time", "random", "os", "threading", "logging"}
LINES_MAX = 400


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def each_module(test):
    names = [str(path.relative_to(PACKAGE)) for path in MODULES]
    return pytest.mark.parametrize("path", MODULES, ids=names)(test)


@each_module
def test_a_room_imports_only_the_rooms_below_it(path):
    room = room_of(path)
    if room.startswith("__"):
        return
    ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("gslb.")}
    assert ours - {room, "__version__"} <= MAY_IMPORT[room]


@each_module
def test_a_pure_room_never_touches_the_world(path):
    if room_of(path) in PURE:
        assert not {name.split(".")[0] for name in imports_of(path)} & THE_WORLD


@each_module
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= LINES_MAX


@each_module
def test_a_module_opens_with_a_caption_of_one_line(path):
    caption = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
    assert caption
    assert 0 < len(caption[0]) <= 100
