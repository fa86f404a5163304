"""A file's tree → a checked model, whatever is wrong with it.

What pydantic finds becomes complaints in plain words, at the place of the value or key.  The
wrong parts are then cut out and the rest is read again, so that what is right in a file with
mistakes is still there to be checked against everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gslb.config.nodes import At, Key, Node, closest, label_text, shown
from gslb.config.scalars import ScalarError

Model = TypeVar("Model", bound=BaseModel)

_KINDS = {"model_type": "a map", "dict_type": "a map", "list_type": "a list"}
_KIND_HINTS = {
    "a map": "write `key: value` pairs, indented or in braces",
    "a list": "write it in brackets, such as [a, b], or as lines that start with a dash",
}


def read_model(model: type[Model], top: At) -> Model | None:
    """Return what the tree at *top* says, without the parts that are wrong.

    They are noted on the sheet and cut out of the tree.  None: nothing is left.
    """
    first = True
    while True:  # each round cuts out something, so there is a last one
        try:
            return model.model_validate(top.node.plain())
        except ValidationError as error:
            details = error.errors(include_url=False)
        chains = [_chain(detail, top) for detail in details]
        if first:
            schema = model.model_json_schema(by_alias=True)
            for detail in details:
                _note(detail, schema, top)
        first = False  # what is wrong in later rounds is so because of what was cut out
        if any(len(chain) == 1 for chain in chains):
            return None
        _cut(chains, top)


def _places(detail: ErrorDetails, top: At) -> Iterator[At]:
    """Yield the places from the top down to the one that a mistake is about."""
    at = top
    yield at
    for step in detail["loc"]:
        if step != "[key]":
            at = at / (_number(step, at) if detail["type"] == "invalid_key" else step)
            yield at


def _chain(detail: ErrorDetails, top: At) -> list[Node]:
    """Return the nodes from the top down to the one that a mistake is about."""
    chain: list[Node] = []
    for at in _places(detail, top):
        if not chain or at.node is not chain[-1]:
            chain.append(at.node)
    return chain


def _note(detail: ErrorDetails, schema: Mapping[str, Any], top: At) -> None:
    *_, at = _places(detail, top)
    kind, context = detail["type"], detail.get("ctx", {})
    on_key = "[key]" in detail["loc"]
    if kind == "extra_forbidden":
        word = str(detail["loc"][-1])
        known = _known_keys(schema, detail["loc"][:-1])
        at.wrong(f"unknown key {label_text(word)}", closest(word, known, what="key"), on_key=True)
    elif kind == "missing":
        about = _about(schema, detail["loc"])
        at.wrong("is missing", f"add `{detail['loc'][-1]}`: {about}")
    elif isinstance(error := context.get("error"), ScalarError):
        at.wrong(error.problem, error.hint, on_key=on_key)
    else:
        at.wrong(*_in_words(kind, context, detail["input"]), on_key=on_key)


def _in_words(kind: str, context: Mapping[str, Any], value: object) -> tuple[str, str]:
    if kind in _KINDS:
        wanted = _KINDS[kind]
        return f"{shown(value)} is not {wanted}", _KIND_HINTS[wanted]
    if kind == "too_short":
        return "is empty", "write at least one item, or leave the key out"
    if kind == "too_long":
        return f"holds more than {context['max_length']} items", "split it up"
    if kind == "invalid_key":
        return f"the key {shown(value)} is not text", f'put it in quotes: "{value}"'
    return f"{shown(value)} cannot be read here", "see `gslb schema` for what can stand here"


def _cut(chains: Sequence[Sequence[Node]], top: At) -> None:
    """Cut the last node of each chain out of its parent; mark the way there as spoiled."""
    spoiled = top.sheet.spoiled
    for chain in chains:
        path = top.path
        spoiled.add(path)
        for node in chain[1:]:
            path += node.label
            spoiled.add(path)
    lost = {id(chain[-1]) for chain in chains}
    for parent in {id(chain[-2]): chain[-2] for chain in chains}.values():
        if isinstance(parent.value, dict):
            parent.value = {k: n for k, n in parent.value.items() if id(n) not in lost}
        elif isinstance(parent.value, list):
            parent.value = [node for node in parent.value if id(node) not in lost]


def _number(step: Key, at: At) -> Key:
    """Return the number that a key was, if it was one: pydantic shows it as text."""
    number = int(step) if str(step).lstrip("-").isdecimal() else step
    return step if at.node.child(number) is None else number


def _known_keys(schema: Mapping[str, Any], steps: Sequence[Key]) -> list[str]:
    found = _schemas_at(schema, steps)
    return [key for part in found for key in part.get("properties", {})]


def _about(schema: Mapping[str, Any], steps: Sequence[Key]) -> str:
    found = [part["description"] for part in _schemas_at(schema, steps) if "description" in part]
    return found[0] if found else "it has no default"


def _schemas_at(schema: Mapping[str, Any], steps: Sequence[Key]) -> list[Mapping[str, Any]]:
    """Return the parts of a JSON Schema that tell what may stand under *steps*."""
    here = _unfold(schema, schema)
    for step in steps:
        inner: list[Mapping[str, Any]] = []
        for part in here:
            if isinstance(step, int) and "items" in part:
                inner.append(part["items"])
            elif step in (properties := part.get("properties", {})):
                inner.append(properties[step])
            else:
                inner += part.get("patternProperties", {}).values()
                if isinstance(more := part.get("additionalProperties"), dict):
                    inner.append(more)
        here = [part for found in inner for part in _unfold(found, schema)]
    return here


def _unfold(part: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return *part*, or what it refers to, or all of its alternatives."""
    described = {"description": part["description"]} if "description" in part else {}
    if "$ref" in part:
        target = schema["$defs"][part["$ref"].rpartition("/")[2]]
        return [{**target, **described}]
    if "anyOf" in part:
        inner = (found for choice in part["anyOf"] for found in _unfold(choice, schema))
        return [{**found, **described} for found in inner]
    return [part]
