"""The JSON Schema of the configuration files, for editors to complete and check them.

It is made from the models that read the files, so it cannot tell anything else than they do;
what needs more than one value to be judged it leaves to `gslb check`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gslb.config.mainkeys import MainFile
from gslb.config.zonekeys import ZoneFile


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of both kinds of file, the main one and a zone's."""
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [
        (MainFile, "validation"),
        (ZoneFile, "validation"),
    ]
    _, schema = models_json_schema(models, ref_template="#/$defs/{model}")
    written = json.dumps(schema)
    meant = {"MainFile", "ZoneFile", *re.findall(r'"#/\$defs/(\w+)"', written)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gslb configuration",
        "description": "The main file of gslb, or the file of one zone.",
        "anyOf": [{"$ref": "#/$defs/MainFile"}, {"$ref": "#/$defs/ZoneFile"}],
        "$defs": {name: part for name, part in schema["$defs"].items() if name in meant},
    }
