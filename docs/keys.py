"""The configuration's keys as tables, from the JSON Schema that `gslb schema` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gslb.config.schema import json_schema

Schema = dict[str, Any]

# What stands for the key of a map in a path, by the path of the map.
_PLACEHOLDERS = {
    "regions": "REGION",
    "monitors": "MONITOR",
    "services": "SERVICE",
    "pools": "REGION",
    "bias_km": "REGION",
    "subnets": "PREFIX",
    "countries": "CODE",
    "continents": "CODE",
    "asns": "ASN",
    "json": "PATH",
    "voters": "VANTAGE",
    "nodes": "NODE",
    "errors": "STATUS",
}
_DURATION_STARTS = r"^[0-9]+(\.[0-9]+)?\s*(ms|"
_PERCENT_ENDS = r"\s*%$"
_WHOLE_PERCENT = "^[0-9]+ *%?$"
_SIZE_UNIT = "KiB"
_WORDS_MAX = 12  # more than the continents are
_REGIONS = "list of regions"


def tables() -> str:
    """Return the keys of both kinds of file, a table for each."""
    schema = json_schema()
    definitions = schema["$defs"]
    parts = []
    for title, root in (("The main file", "MainFile"), ("A zone's file", "ZoneFile")):
        rows = list(_rows(definitions[root], "", definitions))
        parts += [f"### {title}", "", "| key | value | default | |", "|---|---|---|---|"]
        parts += [f"| `{path}` | {' | '.join(others)} |" for path, *others in rows]
        parts.append("")
    return "\n".join(parts)


def paths() -> list[str]:
    """Return the path of every key there is."""
    definitions = json_schema()["$defs"]
    roots = (definitions["MainFile"], definitions["ZoneFile"])
    return [path for root in roots for path, *_ in _rows(root, "", definitions)]


def _rows(model: Schema, prefix: str, definitions: Schema) -> Iterator[tuple[str, str, str, str]]:
    required = model.get("required", ())
    for key, schema in model["properties"].items():
        path = prefix + key
        about = _about(schema, definitions)
        default = "required" if key in required else _default(schema)
        yield path, _kind(schema, definitions), default, about
        yield from _below(schema, key, path, definitions)


def _below(
    schema: Schema, key: str, path: str, definitions: Schema
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of the models that a key leads to: itself, in a list, or in a map."""
    for option in _without_shorthands(_options(schema)):
        if "$ref" in option:
            yield from _rows(_resolved(option, definitions), f"{path}.", definitions)
        elif option.get("type") == "array":
            yield from _below(option.get("items", {}), key, f"{path}[]", definitions)
        elif option.get("type") == "object" and key in _PLACEHOLDERS:
            yield from _below(_value_of(option), key, f"{path}.{_PLACEHOLDERS[key]}", definitions)


def _without_shorthands(options: list[Schema]) -> list[Schema]:
    """Return the long form where a map stands beside a list: of itself, or instead of itself."""
    maps = [option for option in options if "$ref" in option]
    lists = [option for option in options if option.get("type") == "array"]
    if not maps or not lists:
        return options
    items = _options(lists[0].get("items", {}))
    return lists if any(option in items for option in maps) else maps


def _about(schema: Schema, definitions: Schema) -> str:
    if "description" in schema:
        return _cell(schema["description"])
    found = (_resolved(each, definitions).get("description", "") for each in _options(schema))
    return _cell(next(filter(None, found), ""))


def _default(schema: Schema) -> str:
    default = schema.get("default")
    if default is None or default in ({}, []):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _kind(schema: Schema, definitions: Schema) -> str:
    kinds = [_kind_of(option, definitions) for option in _options(schema)]
    said = dict.fromkeys(kind for kind in kinds if kind != "null" or _takes_null(schema))
    return _cell(" or ".join(said))


def _takes_null(schema: Schema) -> bool:
    """Return whether null says something else than leaving the key out."""
    return len(_options(schema)) == 1 or schema.get("default") not in (None, {})


def _grouped(kind: str) -> str:
    return f"({kind})" if " or " in kind else kind


def _kind_of(schema: Schema, definitions: Schema) -> str:
    if "$ref" in schema:
        return "map"
    if len(schema.get("enum", ())) > _WORDS_MAX:
        return "one of the [events](#events)"
    if "enum" in schema or "const" in schema:
        return " or ".join(_said(each) for each in schema.get("enum", [schema.get("const")]))
    if _is_region_list(schema):
        return _REGIONS
    if isinstance(schema.get("type"), list):
        return _several(schema)
    match schema.get("type"):
        case "array":
            if "prefixItems" in schema:
                both = (_kind(each, definitions) for each in schema["prefixItems"])
                return f"[{'; '.join(both)}]"
            return f"list of {_grouped(_kind(schema['items'], definitions))}"
        case "object" if "enum" in schema.get("propertyNames", {}):
            return " or ".join(f"`{{{word}: TEXT}}`" for word in schema["propertyNames"]["enum"])
        case "object":
            return f"map to {_grouped(_kind(_value_of(schema), definitions))}"
        case "integer":
            return "whole number" + _range(schema)
        case "number":
            return "number" + _range(schema)
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case _:
            return "text"


def _several(schema: Schema) -> str:
    pattern = schema.get("pattern", "")
    if pattern.startswith(_DURATION_STARTS):
        return "duration"
    if pattern.endswith(_PERCENT_ENDS):
        return "number, 0 to 1, or percentage"
    if _SIZE_UNIT in pattern:
        return "size"
    if pattern == _WHOLE_PERCENT:
        return "percentage"
    names = {"integer": "whole number", "string": "text", "boolean": "true, false"}
    return " or ".join(names.get(kind, kind) for kind in schema["type"]) + _range(schema)


def _range(schema: Schema) -> str:
    if "minimum" not in schema:
        return ""
    return f", {schema['minimum']:,} to {schema['maximum']:,}"


def _is_region_list(schema: Schema) -> bool:
    """Return whether a list is one of regions in which a list stands for a tie."""
    options = schema.get("items", {}).get("anyOf", [])
    return [each.get("type") for each in options] == ["string", "array"]


def _options(schema: Schema) -> list[Schema]:
    if "anyOf" not in schema:
        return [schema]
    return [inner for option in schema["anyOf"] for inner in _options(option)]


def _value_of(schema: Schema) -> Schema:
    patterns: Schema = schema.get("patternProperties", {})
    found: Schema = next(iter(patterns.values()), schema.get("additionalProperties", {}))
    return found


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = definitions[schema["$ref"].rpartition("/")[2]]
    return found


def _said(value: object) -> str:
    return "`false`" if value is False else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
