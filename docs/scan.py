"""What is found in the source itself: the events that are announced, the bounds that are named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent


def events() -> str:
    """Return every kind of event that is logged and streamed, with its fields."""
    found: dict[str, set[str]] = {}
    for call in calls("announce"):
        kind = call.args[0]
        assert isinstance(kind, ast.Constant), "events have names that can be found with grep"
        found.setdefault(str(kind.value), set()).update(each.arg or "" for each in call.keywords)
    rows = (
        f"| `{kind}` | {', '.join(f'`{field}`' for field in sorted(fields))} |"
        for kind, fields in sorted(found.items())
    )
    return "\n".join(
        [
            "## Events",
            "",
            "Lines on stderr, and server-sent events at `/v1/events`: what changed, never a line",
            "for a query. Fields without a value are left out.",
            "",
            "| event | fields |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def calls(method: str) -> Iterator[ast.Call]:
    """Yield every call of a method of that name in the program."""
    for path in sorted((ROOT / "gslb").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == method
            ):
                yield node


def limits() -> str:
    """Return every named bound on what comes from outside, with what its line says of it."""
    rows = []
    for path in sorted((ROOT / "gslb").rglob("*.py")):
        name_of_module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found = list(_bounds(path.read_text()))
        if found:
            module = import_module(name_of_module)
            for text, about in found:
                value = getattr(module if hasattr(module, text) else module.Limits(), text)
                rows.append(f"| `{name_of_module}` | `{text}` | {value:,} | {about} |")
    return "\n".join(
        [
            "## Limits",
            "",
            "What comes from outside is bounded, and every bound has a name.",
            "",
            "| module | name | value | |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _bounds(text: str) -> Iterator[tuple[str, str]]:
    """Yield the limits that a module names at its top or in its `Limits`, with their comments."""
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        is_limits = isinstance(statement, ast.ClassDef) and statement.name == "Limits"
        inner = statement.body if isinstance(statement, ast.ClassDef) and is_limits else [statement]
        for each in inner:
            about = lines[each.lineno - 1].partition("  # ")[2]
            for found in _targets(each):
                if is_limits or re.fullmatch(r"[A-Z][A-Z0-9_]*_MAX(_[A-Z]+)?", found):
                    yield found, about


def _targets(statement: ast.stmt) -> Iterator[str]:
    """Yield the public names that a statement gives a value to."""
    if isinstance(statement, ast.AnnAssign):
        yield ast.unparse(statement.target)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                yield ast.unparse(each)
