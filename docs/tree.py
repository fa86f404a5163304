"""The tree of gslb/ with each module's caption, as docs/architecture.md shows it.

    python -m docs.tree

The captions are the first lines of the docstrings; a test holds the page to them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: made by python -m docs.tree -->\n```\n", "```\n<!-- end of tree -->"

# The rooms from the bottom up; a room imports only those above it in this list.
ROOMS = ("errors", "model", "tier", "dns", "health", "routing", "proxy", "config", "daemons", "cli")


def tree() -> str:
    """Return the tree: each room, and in it each module with its caption."""
    package = ROOT / "gslb"
    lines = [_line("gslb/", package / "__init__.py")]
    for path, branch in _branches(sorted(filter(_is_code, package.iterdir()), key=_place)):
        if path.is_file():
            lines.append(_line(f"{branch} {path.name}", path))
            continue
        lines.append(_line(f"{branch} {path.name}/", path / "__init__.py"))
        modules = sorted(each for each in path.glob("*.py") if each.name != "__init__.py")
        lines += [_line(f"│   {inner} {each.name}", each) for each, inner in _branches(modules)]
    return "\n".join(lines) + "\n"


def _branches(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    for number, path in enumerate(paths, 1):
        yield path, "└──" if number == len(paths) else "├──"


def page_with_tree(text: str) -> str:
    """Return the page's text with the tree as it is now; raises ValueError without its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has lost the marks around its tree")
    return before + BEGIN + tree() + END + after


def _is_code(path: Path) -> bool:
    if path.name == "__init__.py":
        return False
    return path.suffix == ".py" or (path / "__init__.py").exists()


def _place(path: Path) -> tuple[int, str]:
    room = path.name.removesuffix(".py")
    return (ROOMS.index(room) if room in ROOMS else len(ROOMS), room)


def _line(shown: str, path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return f"{shown:<25} {docstring.partition(chr(10))[0]}".rstrip()


if __name__ == "__main__":
    PAGE.write_text(page_with_tree(PAGE.read_text()))
