"""docs/reference.md, made from the code: keys, commands, API, metrics, events, limits.

    python -m docs.reference

A test makes it again and compares, so that whatever the program reads, serves or counts is
described.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from typer.main import get_command

from docs import keys, scan
from gslb.cli.app import app
from gslb.daemons import counters, planner
from gslb.daemons.controller import Controller
from gslb.daemons.counters import Counters
from gslb.daemons.database import Cache
from gslb.daemons.events import Events
from gslb.daemons.gauges import gauges_of
from gslb.daemons.openapi import document
from gslb.daemons.tieradmin import tier_routes
from gslb.daemons.tiermetrics import INFO, tier_gauges
from gslb.dns import name
from gslb.health import probe
from gslb.routing import answer, snapshot
from gslb.routing.climb import Way

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"

HEAD = """\
# Reference

Made from the code by `make docs`; a test holds it to the code. What the words mean is in
[architecture.md](architecture.md), how a node is run in [operating.md](operating.md).

- [Configuration](#configuration)
- [Commands](#commands)
- [DNS](#dns)
- [Admin API](#admin-api)
- [Metrics](#metrics)
- [Events](#events)
- [Limits](#limits)
"""

CONFIGURATION = """\
## Configuration

YAML, one main file and one file a zone. An unknown key is an error that names the closest
known one. Paths are relative to the file that they stand in. A duration is `500ms`, `5s`,
`2m`, `1h` or `1d`; a bare number is seconds. A list of regions is an order, a list inside it a
tie: `[eu-west, [us-east, us-west]]`. Words in capitals stand for names of your own. Where a
key takes a map or something shorter, the keys of the map are listed. `gslb schema` prints the
same as JSON Schema, for editors.
"""

WAYS = {
    Way.RUNG: "the first rung with enough living weight",
    Way.ANYONE: "no rung had enough: the first with anyone living who has weight",
    Way.PROXIES: "the living proxies of a failing rung's regions",
    Way.RESERVES: "nobody with weight lives: the first rung with living reserves",
    Way.FAIL_OPEN: "nobody lives: served as if all were up (`all_down: serve_all`)",
    Way.NODATA: "nobody lives, or the fences leave nothing: no address (`all_down: nodata`)",
    Way.SERVFAIL: "nobody lives: an error (`all_down: servfail`)",
}

ERRORS = {
    0: "Other",
    3: "Stale Answer",
    20: "Not Authoritative",
    24: "Invalid Data",
    29: "Synthesized",
}


TIER_PATHS = {
    "/healthz": "Whether the main process lives.",
    "/readyz": "200 once every member has had a result of its probes, 503 before.",
    "/metrics": "What all workers count, for Prometheus.",
    "/v1/proxy": "How the tier stands: its region, engine, addresses, workers, vantage, reloads; "
    "`config_hash`, as nodes have it, and `tier_hash`, which covers `proxy`; "
    "connections and requests under way; of each member and proxy that it may send to what is "
    "under way, its connections, who waits, in how many workers it is left out (`out`), circuits.",
}


def reference() -> str:
    """Return the whole page."""
    described = [keys.tables(), commands(), wire(), api(), tier_api(), metrics()]
    described += [scan.events(), scan.limits()]
    return "\n".join([HEAD, CONFIGURATION, *described])


# Commands


def commands() -> str:
    """Return every command with its arguments and options."""
    top: Any = get_command(app)
    lines = [
        "## Commands",
        "",
        "Data on stdout, all else on stderr; without a terminal, plain text. Exit status: 0 well,",
        "1 the operator's input is wrong or the answer is no, 2 wrong usage. `python -m gslb` is",
        "`gslb`.",
        "",
    ]
    for verb, command in _verbs("gslb", top):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        usage = " ".join([verb, *(_metavar(each) for each in arguments)])
        lines += [f"### `{usage}`", "", *_prose(command.help or ""), ""]
        rows = [(_cell(_names(each)), _cell(each.help or "")) for each in command.params]
        rows = [row for row in rows if row[0] != "`--help`"]
        if rows:
            lines += [
                "| | |",
                "|---|---|",
                *(f"| {names} | {about} |" for names, about in rows),
                "",
            ]
    return "\n".join(lines)


def _verbs(verb: str, command: Any) -> Iterator[tuple[str, Any]]:
    for text, each in command.commands.items():
        if hasattr(each, "commands"):
            yield from _verbs(f"{verb} {text}", each)
        else:
            yield f"{verb} {text}", each


def _prose(text: str) -> list[str]:
    """Return help text as Markdown: what is indented as it stands, behind a blank line."""
    lines = text.replace("\b\n", "").strip().splitlines()
    out: list[str] = []
    for line in lines:
        if line.startswith("  "):
            if out and out[-1] and not out[-1].startswith("    "):
                out.append("")
            out.append(f"    {line.strip()}")
        else:
            out.append(line)
    return out


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter)}`"
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    value = parameter.metavar or parameter.opts[0].strip("-").upper()
    variable = f", or `{parameter.envvar}`" if parameter.envvar else ""
    return f"`{names}{'' if parameter.is_flag else f' {value}'}`{variable}"


# DNS


def wire() -> str:
    """Return what can be asked over DNS beside records, and what is said beside answers."""
    node = ", ".join(f"`{name.show(each)}`" for each in sorted(answer._NAMES_OF_THE_NODE))
    program = ", ".join(f"`{name.show(each)}`" for each in sorted(answer._NAMES_OF_THE_PROGRAM))
    told = [
        answer._NOT_AUTHORITATIVE,
        answer._INVALID_DATA,
        snapshot.STALE,
        *snapshot._UNUSUAL.values(),
    ]
    rows = sorted((code, text.decode()) for code, text in told)
    return "\n".join(
        [
            "## DNS",
            "",
            "Names of class CH, type TXT:",
            "",
            "| name | |",
            "|---|---|",
            f"| {node} | the node's name (`node`), to anyone |",
            f"| {program} | the program and its version, to anyone |",
            "| a service's name | why the asker, or its client subnet, gets what it gets; "
            "to clients in `explain_to`, REFUSED for others |",
            "",
            "Extended DNS Errors (RFC 8914):",
            "",
            "| code | name | text |",
            "|---|---|---|",
            *(f"| {code} | {ERRORS[code]} | {text} |" for code, text in rows),
            "",
        ]
    )


# Admin API


def api() -> str:
    """Return every operation of the admin API, and the shapes of what it takes and gives."""
    described = document()
    lines = [
        "## Admin API",
        "",
        'At `listen.admin`. Errors are JSON, `{"error": …, "hint": …}`. Reading is open to whoever',
        "reaches the address; changing needs `Authorization: Bearer TOKEN` once `admin_token` is",
        "configured, and a loopback address and a local page until then. `GET /openapi.json` says",
        "the same for machines.",
        "",
        "| | | answers |",
        "|---|---|---|",
    ]
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
            query = "&".join(f"{each['name']}=" for each in parameters if each["in"] == "query")
            shown = f"{method.upper()} {path}" + (f"?{query}" if query else "")
            body = _shape_in(operation.get("requestBody", {}))
            about = operation["summary"] + (f" Takes {body}." if body else "")
            answers = ", ".join(
                _answer(code, each) for code, each in operation["responses"].items()
            )
            lines.append(f"| `{shown}` | {_cell(about)} | {answers} |")
    lines += ["", "Shapes; more keys may be added, none are taken away:", "", "```"]
    for title, schema in described["components"]["schemas"].items():
        lines += textwrap.wrap(f"{title}: {_shown(schema)}", 96, subsequent_indent="    ")
    return "\n".join([*lines, "```", ""])


def tier_api() -> str:
    """Return every operation of the API of an L7 tier."""
    lines = [
        "### Of the L7 tier",
        "",
        "`gslb proxy` serves at `proxy.admin`, for reading alone:",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += (
        f"| `{each.method} {each.path}` | {_cell(TIER_PATHS[each.path])} |"
        for each in tier_routes(Counters(), lambda: True, dict)
    )
    return "\n".join([*lines, ""])


def _answer(code: str, response: dict[str, Any]) -> str:
    shape = _shape_in(response)
    return f"{code} {shape}" if shape else code


def _shape_in(described: dict[str, Any]) -> str:
    schema = described.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _shown(schema: dict[str, Any]) -> str:
    """Return a JSON Schema as one writes down an example of it."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "oneOf" in schema:
        return " | ".join(_shown(each) for each in schema["oneOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join("null" if each is None else f'"{each}"' for each in values)
    kind = schema.get("type")
    if kind == "array":
        return f"[{_shown(schema['items'])}]"
    if kind == "object":
        required = schema.get("required", ())
        properties = schema.get("properties", {}).items()
        shown = (
            f"{key}{'' if key in required else '?'}: {_shown(each)}" for key, each in properties
        )
        return "{" + ", ".join(shown) + "}"
    kinds = kind if isinstance(kind, list) else [kind]
    words = {"string": "time" if schema.get("format") == "date-time" else "text"}
    return " | ".join(words.get(str(each), str(each)) for each in kinds)


# Metrics


def metrics() -> str:
    """Return every metric with its labels, and the values of the labels that are closed sets."""
    rows = []
    for metric in _metrics():
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # type: ignore[attr-defined]
        suffix = "_total" if metric.type == "counter" else ""
        rows.append(
            f"| `{metric.name}{suffix}` | {metric.type} | {labels} | {metric.documentation} |"
        )
    hows = (f"| `{way.value}` | {WAYS[way]} |" for way in Way)
    return "\n".join(
        [
            "## Metrics",
            "",
            "`GET /metrics`, in Prometheus' text format.",
            "",
            "| metric | type | labels | |",
            "|---|---|---|---|",
            *sorted(rows),
            "",
            "`how`, by which rule of the ladder:",
            "",
            "| | |",
            "|---|---|",
            *hows,
            "",
            "`result`, of a probe, which is also the `reason` of a verdict:",
            "",
            "```",
            *_reasons(),
            "```",
            "",
            f"`type` is {', '.join(sorted(counters.TYPES.values()))} or `{counters.OTHER}`.",
            "",
        ]
    )


def _metrics() -> Iterable[Metric]:
    """Return all metrics, as a node with the example's configuration has them."""
    counted = Counters()
    world = planner.make(planner.read(ROOT / "gslb.yaml"), Cache(None))
    controller = Controller(world, lambda: 0.0, counted, Events(lambda: 0.0))
    counted.gauges = gauges_of(controller, lambda: 0.0)
    yield from counted.collect()
    histogram = next(iter(counted.probe_duration_s.collect()))
    histogram._labelnames = counted.probe_duration_s._labelnames  # type: ignore[attr-defined]
    yield histogram
    yield from tier_gauges(lambda: ((), ()), lambda: dict.fromkeys(INFO, ""))()


def _reasons() -> list[str]:
    """Return the lines of the docstring that say what each reason means."""
    lines = (probe.__doc__ or "").splitlines()
    begun = next(at for at, line in enumerate(lines) if line.startswith("ok "))
    ended = lines.index("", begun)
    return lines[begun:ended]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(reference())
