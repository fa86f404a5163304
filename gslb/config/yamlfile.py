"""YAML text → a tree of plain values that know their line and column.

Read from the parser's events, one by one, so that a bound on depth and on the number of
values (aliases counted as often as they are used) holds before anything grows.

Plain words mean what YAML 1.2's core schema says: null, true, false, numbers, else text.  So
``1:30``, ``2024-01-01`` and ``no`` stay the text that an operator sees.  As a *key*, a word
that other YAML readers take for a truth value is refused: ``NO`` is Norway only in quotes.

Merge keys (``<<``) work as in YAML 1.1.  What can be read past is noted and read past; what
cannot raises `UnreadableError` once noted.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import yaml

from gslb.config.nodes import At, Key, Node, Scalar, Sheet, label_text, shown

FILE_BYTES_MAX = 16 * 1024 * 1024
NODES_MAX = 2_000_000
DEPTH_MAX = 32
NUMBER_CHARS_MAX = 100

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    re.ASCII,
)
_NUMBER_START = frozenset("0123456789+-.")
_BOOL_OF_OLD = re.compile(r"(?i:yes|no|on|off|true|false)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "map", "seq")}
_TEXT_TAGS = {"!", "tag:yaml.org,2002:str"}


class UnreadableError(Exception):
    """A file cannot be read any further; why stands on its sheet, or in `problem` and `hint`."""

    def __init__(self, problem: str = "", hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def read_bytes(path: Path) -> bytes:
    """Return the contents of a regular file of at most FILE_BYTES_MAX.

    Raises UnreadableError with problem and hint, for the place that names the file.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableError("is a directory", "name a file in it")
        if not stat.S_ISREG(mode):
            raise UnreadableError("is not a regular file", "name a file on disk")
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        hint = "check the spelling of the path, and that this user may read it"
        raise UnreadableError(f"cannot be read: {why}", hint) from None
    if len(raw) > FILE_BYTES_MAX:
        raise UnreadableError(
            f"is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB", "split it into several files"
        )
    return raw


def decode(raw: bytes, sheet: Sheet) -> str:
    """Return *raw* as text; notes where it is not UTF-8 and raises UnreadableError."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            sheet.wrong(1, 1, "is UTF-16, not UTF-8", "save the file as UTF-8")
        else:
            before = raw[: error.start].decode("utf-8-sig", "replace")
            line, column = _end_of(before)
            problem = f"byte 0x{raw[error.start]:02x} is not UTF-8"
            sheet.wrong(line, column, problem, "save the file as UTF-8")
        raise UnreadableError from None


def parse(raw: bytes, sheet: Sheet, *, nodes_max: int = NODES_MAX) -> At:
    """Return the top of a YAML file that is one map.

    Notes on *sheet* what is wrong with it; raises UnreadableError if nothing can be made of it.
    """
    text = decode(raw, sheet)
    if (found := _FORBIDDEN.search(text)) is not None:
        line, column = _end_of(text[: found.start()])
        name = f"U+{ord(found.group()):04X}"
        hint = r'remove it; in a quoted text, write it as an escape such as "\x00"'
        sheet.wrong(line, column, f"holds the control character {name}", hint)
        raise UnreadableError
    try:
        root = _Builder(text, sheet, nodes_max).document()
    except yaml.YAMLError as error:
        _note_syntax(error, text, sheet)
        raise UnreadableError from None
    if root is None:
        sheet.wrong(1, 1, "is empty", "write `key: value` lines")
        raise UnreadableError
    if not isinstance(root.value, dict):
        problem = f"is {_kind(root)}, not a map"
        sheet.wrong(root.line, root.column, problem, "write `key: value` lines")
        raise UnreadableError
    return At(sheet, root)


class _Builder:
    """Turns parser events into nodes; counts as it goes."""

    def __init__(self, text: str, sheet: Sheet, nodes_max: int) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._sheet = sheet
        self._nodes_max = nodes_max
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self._path: list[str] = []

    def document(self) -> Node | None:
        """Return the root of the only document, or None if there is none."""
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    hint = "keep one document in a file: remove this `---` and what follows"
                    raise self._fatal(event, "a second document starts here", hint)
                root = self._node(next(self._events), 1)
        empty = root is not None and root.value is None
        return None if empty else root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                problem = f"there is no anchor &{event.anchor} above"
                hint = f'to mean the text, quote it: "*{event.anchor}"'
                raise self._fatal(event, problem, hint)
            return self._copy(self._anchors[event.anchor], event, depth)
        self._count_one(event, depth)
        node = Node(None, *_place(event))
        if isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event)
            node.value = self._list(depth)
        else:
            assert isinstance(event, yaml.MappingStartEvent)
            self._check_tag(event)
            node.value = self._map(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _list(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            label = f"[{len(items)}]"
            item = self._inner(event, depth, label)
            item.label = label
            item.key_line, item.key_column = item.line, item.column
            items.append(item)
        return items

    def _inner(self, event: yaml.Event, depth: int, label: str) -> Node:
        self._path.append(label)
        node = self._node(event, depth + 1)
        self._path.pop()
        return node

    def _map(self, depth: int) -> dict[Key, Node]:
        pairs: dict[Key, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if _is_merge(event):
                merged += self._merged(self._node(next(self._events), depth + 1))
                continue
            key_node = self._node(event, depth + 1)
            key = self._key(key_node, event)
            label = "" if key is None else f".{label_text(key)}"
            node = self._inner(next(self._events), depth, label)
            node.label, node.key_line, node.key_column = label, key_node.line, key_node.column
            if key is None:
                continue
            if (first := pairs.get(key)) is not None:
                hint = f"keep one; the first is in line {first.key_line}"
                self._wrong(key_node, "this key stands here twice", hint, label)
            else:
                pairs[key] = node
        for node in merged:
            assert isinstance(node.value, dict)
            for key, inner in node.value.items():
                pairs.setdefault(key, inner)
        return pairs

    def _merged(self, node: Node) -> list[Node]:
        parts = node.value if isinstance(node.value, list) else [node]
        for part in parts:
            if not isinstance(part.value, dict):
                hint = "give it an alias of a map, such as `<<: *defaults`"
                self._wrong(part, "`<<` merges maps only", hint)
        return [part for part in parts if isinstance(part.value, dict)]

    def _key(self, node: Node, event: yaml.Event) -> Key | None:
        value = node.value
        if isinstance(value, dict | list):
            hint = "write a text as the key; braces that start a text need quotes"
            problem = f"{_kind(node)} cannot be a key"
            self._wrong(node, problem, hint)
            return None
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            written = event.value
            if plain and (not isinstance(value, str | int) or _BOOL_OF_OLD.fullmatch(written)):
                problem = f"the key {written or 'null'} is not read as text"
                hint = f'quote it: "{written or "null"}"'
                self._wrong(node, problem, hint, f".{label_text(written)}")
                return written
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        problem = f"the key {shown(value)} is not text"
        self._wrong(node, problem, "write the key as text, in quotes")
        return None

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        text: str = event.value
        if event.tag is None or event.tag in _TEXT_TAGS:
            return plain_value(text) if event.implicit[0] and event.tag is None else text
        self._check_tag(event)
        return plain_value(text)

    def _check_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TAGS and tag != "!":
            hint = "remove it; values here are texts, numbers, lists and maps"
            self._wrong(Node(None, *_place(event)), f"the tag {tag!r} means nothing here", hint)

    def _copy(self, node: Node, event: yaml.Event, depth: int) -> Node:
        self._count_one(event, depth)
        copy = Node(node.value, node.line, node.column, node.label, node.key_line, node.key_column)
        if isinstance(node.value, dict):
            copy.value = {k: self._copy(v, event, depth + 1) for k, v in node.value.items()}
        elif isinstance(node.value, list):
            copy.value = [self._copy(inner, event, depth + 1) for inner in node.value]
        return copy

    def _count_one(self, event: yaml.Event, depth: int) -> None:
        self._count += 1
        if self._count > self._nodes_max:
            problem = f"holds more than {self._nodes_max} values, aliases written out"
            raise self._fatal(event, problem, "use fewer aliases, or split the file")
        if depth > DEPTH_MAX:
            problem = f"is nested more than {DEPTH_MAX} deep"
            raise self._fatal(event, problem, "nothing here needs more; close the brackets")

    def _wrong(self, node: Node, problem: str, hint: str, label: str = "") -> None:
        path = "".join([*self._path, label]).removeprefix(".")
        self._sheet.wrong(node.line, node.column, problem, hint, path)

    def _fatal(self, event: yaml.Event, problem: str, hint: str) -> UnreadableError:
        self._wrong(Node(None, *_place(event)), problem, hint)
        return UnreadableError()


def plain_value(text: str) -> Scalar:
    """Return what a plain word means in YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] in _NUMBER_START and len(text) <= NUMBER_CHARS_MAX:
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


def _is_merge(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]


def _kind(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a map"
    return "a list" if isinstance(node.value, list) else f"the single value {shown(node.value)}"


def _end_of(text: str) -> tuple[int, int]:
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1


def _note_syntax(error: yaml.YAMLError, text: str, sheet: Sheet) -> None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    sheet.wrong(line, column, f"is not YAML: {what}", _syntax_hint(error, what, here, column))


def _syntax_hint(error: yaml.YAMLError, what: str, here: str, column: int) -> str:
    start = here.strip()[:1]
    if "\t" in here[: len(here) - len(here.lstrip())] or here[column - 1 : column] == "\t":
        return "indent with spaces, not tabs"
    if "alias" in (getattr(error, "context", None) or ""):
        return 'a text that starts with * needs quotes: "*"'
    if "cannot start any token" in what:
        return f'quote a text that starts with {here[column - 1 : column] or start}: "…"'
    if "mapping values" in what:
        return "quote a text that holds a colon and a space, and check the indentation"
    if "end of stream" in what:
        return "close every quote and bracket"
    if "',' or" in what:
        return "close every bracket, and put a comma between items; quote texts with brackets"
    return "check indentation and quotes in this line and the one above"
