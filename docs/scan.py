"""What is found in the source itself: the events that are announced, the bounds that are named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from gslb.config.eventkinds import EVENT_KINDS

ROOT = Path(__file__).parent.parent


def events() -> str:
    """Return every kind of event that is logged and streamed, with its fields."""
    found: dict[str, set[str]] = {}
    for kind, call in announced():
        fields = {each.arg for each in call.keywords if each.arg is not None}
        found.setdefault(kind, set()).update(fields)
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
            _POSTED,
            "",
            "| event | fields |",
            "|---|---|",
            *rows,
            "",
        ]
    )


_POSTED = """\
A webhook is posted them as JSON, `{"event", "at", "node", …fields}`, one by one and in order;
`node` is who posts, where the event has no such field. Headers: `X-Gslb-From` (who posts),
`X-Gslb-Event-Id` (the same when an event is posted again) and, where the hook has a `key`,
`X-Gslb-Signature: sha256=` with the HMAC-SHA-256 of the body in hex. A status of 2xx takes it;
408, 429, 5xx and no answer are tried again for an hour, `Retry-After` heeded; others drop it.
Events of webhooks themselves (`webhook_…`) are never posted."""


def announced() -> Iterator[tuple[str, ast.Call]]:
    """Yield each kind of event with a call that announces it.

    Where a call chooses among kinds, they are those that its argument, or else its module, names.
    """
    for path in sorted((ROOT / "gslb").rglob("*.py")):
        tree = ast.parse(path.read_text())
        calls = list(_calls(tree, "announce"))
        plain = {text for call in calls for text in _texts(call.args[0])}
        for call in calls:
            kinds = set(_texts(call.args[0]))
            if not kinds:
                kinds = set(_texts(tree)) & set(EVENT_KINDS) - plain
                assert kinds, f"{path}:{call.lineno}: events have names that can be found with grep"
            for kind in sorted(kinds):
                yield kind, call
        for call in _calls(tree, "_announce"):  # what they share, a module may add by itself
            if isinstance(call.args[0], ast.Constant):
                yield str(call.args[0].value), call


def _calls(tree: ast.AST, method: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == method
        ):
            yield node


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def limits() -> str:
    """Return every named bound on what comes from outside, with what its line says of it."""
    rows = []
    for path in sorted((ROOT / "gslb").rglob("*.py")):
        name_of_module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found = list(_bounds(path.read_text()))
        if found and name_of_module != "gslb.tier":  # whose limits are keys of the configuration
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
