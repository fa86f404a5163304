"""The types of single keys: how YAML's value is read, and what the JSON Schema says of it.

A map's keys are checked and kept as they were written, so that a complaint about what stands
under one can name it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from gslb.config import addresses, scalars, urls
from gslb.config.eventkinds import EVENT_KINDS
from gslb.config.nodes import shown
from gslb.config.scalars import ScalarError
from gslb.config.settings import Endpoint
from gslb.model import PORT_MAX, WEIGHT_MAX, Address, Network

ZONES_MAX = 10_000
SERVICES_MAX = 100_000
REGIONS_MAX = 1_000
MONITORS_MAX = 10_000
MEMBERS_MAX = 4_096
STEPS_MAX = 32
LIST_KEYS_MAX = 100_000
ITEMS_MAX = 1_000
THREADS_MAX = 64
VOTERS_MAX = 100
NODES_MAX = 100
WEBHOOKS_MAX = 20
REPLICAS_MAX = 5
COUNT_MAX = 100
PER_SECOND_MAX = 100_000
BURST_MAX = 1_000_000
TABLE_MIN, TABLE_MAX = 1_024, 16_777_216
KM_MAX = 20_100
INTERVAL_MIN_S, TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.1, 0.01, 300


def field(default: Any, about: str, key: str | None = None, **limits: int) -> Any:
    """Return a key's default, as YAML has it, and its description."""
    return Field(
        default,
        description=about,
        alias=key,
        min_length=limits.get("least"),
        max_length=limits.get("most"),
    )


def required(about: str) -> Any:
    """Return the description of a key without a default."""
    return Field(description=about)


def needed(default: Any, about: str, most: int) -> Any:
    """Return the description of a map or list that must hold something.

    That is checked by hand, so that what is around it can be checked without it.
    """

    def tell(schema: dict[str, Any]) -> None:
        del schema["default"]
        schema["minProperties" if isinstance(default, dict) else "minItems"] = 1

    return Field(default, description=about, max_length=most, json_schema_extra=tell)


def reader(
    read: Callable[[object], object], kind: str, **more: Any
) -> tuple[PlainValidator, WithJsonSchema]:
    """Return how a value is read, and its JSON type."""
    return PlainValidator(read), WithJsonSchema({"type": kind, **more})


def span(low_s: float, high_s: float) -> tuple[PlainValidator, WithJsonSchema]:
    """Return how a duration between two bounds is read."""
    about = f"A duration from {scalars.span(low_s)} to {scalars.span(high_s)}"
    schema = {**_DURATION, "description": f"{about}; a bare number is seconds."}
    return PlainValidator(scalars.duration_s(low_s, high_s)), WithJsonSchema(schema)


def whole(low: int, high: int) -> tuple[PlainValidator, WithJsonSchema]:
    """Return how a whole number between two bounds is read."""
    return reader(scalars.whole(low, high), "integer", minimum=low, maximum=high)


def words(*words: str) -> tuple[PlainValidator, WithJsonSchema]:
    """Return how one of some words is read."""
    return PlainValidator(scalars.one_of(*words)), WithJsonSchema({"enum": list(words)})


def _kept(read: Callable[[object], object]) -> Callable[[object], object]:
    def check(value: object) -> object:
        read(value)
        return value

    return check


def map_or_nothing(value: object) -> object:
    """Return an empty map for a key with nothing after it: all keys have defaults there."""
    return {} if value is None else value


_DURATION = {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|)$"}
_PERCENT = r"^[0-9]+(\.[0-9]+)?\s*%$"
_SHARE = {"type": ["string", "number"], "pattern": _PERCENT, "minimum": 0, "maximum": 1}

Text = Annotated[str, *reader(scalars.text, "string", minLength=1)]
FilePath = Annotated[str, *reader(scalars.text, "string", minLength=1)]
Label = Annotated[str, *reader(scalars.label, "string", pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Boolean = Annotated[bool, *reader(scalars.boolean, "boolean")]
Ttl = Annotated[int, PlainValidator(scalars.ttl_s), WithJsonSchema(_DURATION)]
Share = Annotated[Fraction, PlainValidator(scalars.share), WithJsonSchema(_SHARE)]
Weight = Annotated[
    int, *reader(scalars.whole(0, WEIGHT_MAX), "integer", minimum=0, maximum=WEIGHT_MAX)
]
Port = Annotated[int, *reader(scalars.whole(1, PORT_MAX), "integer", minimum=1, maximum=PORT_MAX)]
Count = Annotated[
    int, *reader(scalars.whole(1, COUNT_MAX), "integer", minimum=1, maximum=COUNT_MAX)
]
Threads = Annotated[
    int, *reader(scalars.whole(1, THREADS_MAX), "integer", minimum=1, maximum=THREADS_MAX)
]
Km = Annotated[
    float, *reader(scalars.decimal(0, KM_MAX, "km"), "number", minimum=0, maximum=KM_MAX)
]
BiasKm = Annotated[
    float,
    *reader(scalars.decimal(-KM_MAX, KM_MAX, "km"), "number", minimum=-KM_MAX, maximum=KM_MAX),
]
Latitude = Annotated[
    float, *reader(scalars.decimal(-90, 90, "a latitude"), "number", minimum=-90, maximum=90)
]
Longitude = Annotated[
    float, *reader(scalars.decimal(-180, 180, "a longitude"), "number", minimum=-180, maximum=180)
]
Location = Annotated[tuple[Latitude, Longitude], BeforeValidator(scalars.pair)]
ListenAt = Annotated[Endpoint, *reader(addresses.endpoint, "string")]
Prefix = Annotated[Network, *reader(addresses.network, "string")]
IpAddress = Annotated[Address, *reader(addresses.address, "string")]
MemberAddress = Annotated[Address | str, *reader(addresses.member, "string")]
Target = Annotated[tuple[str, int | None], *reader(addresses.target, "string")]
HostName = Annotated[str, *reader(addresses.dns_name, "string")]
Resolver = Annotated[tuple[str, int], *reader(addresses.resolver, "string")]
Host = Annotated[str, *reader(addresses.host_or_address, "string")]
UrlPath = Annotated[str, *reader(scalars.url_path, "string", pattern="^/")]
Regex = Annotated[str, *reader(scalars.regex, "string", maxLength=scalars.REGEX_CHARS_MAX)]
Token = Annotated[str, *reader(scalars.token, "string", minLength=1)]
SecretText = Annotated[str, *reader(scalars.secret_text, "string", minLength=1)]
NodeUrl = Annotated[str, *reader(urls.node, "string", pattern="^https?://")]
NatsUrl = Annotated[str, *reader(urls.nats, "string", pattern="^(nats|tls)://")]
HookUrl = Annotated[str, *reader(urls.hook, "string", pattern="^https?://")]
Bucket = Annotated[str, *reader(scalars.bucket, "string", pattern="^[A-Za-z0-9_-]+$")]
EventKind = Annotated[
    str, PlainValidator(scalars.event_kind), WithJsonSchema({"enum": list(EVENT_KINDS)})
]
Secret = Annotated[bytes, *reader(scalars.secret, "string", pattern="^[0-9A-Fa-f]{32}$")]
Statuses = Annotated[
    tuple[int, int],
    PlainValidator(scalars.statuses),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 100, "maximum": 599}),
]
JsonScalar = Annotated[
    str | int | float | bool | None,
    PlainValidator(scalars.json_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
QuorumRule = Annotated[
    tuple[str, int],
    PlainValidator(scalars.quorum),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^(majority|any|all|[0-9]+ *%)$"}),
]
ProbesPerMember = Annotated[
    int | None,
    PlainValidator(scalars.probes_per_member),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, {"const": "all"}]}
    ),
]
Answers = Annotated[
    int,
    PlainValidator(scalars.answers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 64}, {"const": "all"}]}),
]


class Keys(BaseModel):
    """One map of a configuration file: unknown keys are errors, defaults are read like values."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


def _list_of_regions(value: object) -> object:
    if isinstance(value, str):
        raise ScalarError(f"{shown(value)} is not a list", f"write [{value}]")
    return value


def _rung(value: object) -> object:
    return value if isinstance(value, list) else [value]


Rung = Annotated[
    list[Label],
    BeforeValidator(_rung, json_schema_input_type=Label | list[Label]),
    Field(min_length=1, max_length=REGIONS_MAX),
]
RegionList = Annotated[
    list[Rung], BeforeValidator(_list_of_regions), Field(min_length=1, max_length=REGIONS_MAX)
]
PrefixKey = Annotated[str, *reader(_kept(addresses.network), "string")]
CountryKey = Annotated[str, *reader(_kept(scalars.country), "string", pattern="^[A-Z]{2}$")]
ContinentKey = Annotated[
    str,
    PlainValidator(_kept(scalars.continent)),
    WithJsonSchema({"enum": list(scalars.CONTINENTS)}),
]
AsnKey = Annotated[int | str, *reader(_kept(scalars.asn), "string", pattern="^([Aa][Ss])?[0-9]+$")]
_SOME = Field(min_length=1, max_length=LIST_KEYS_MAX)
Subnets = Annotated[dict[PrefixKey, RegionList], _SOME]
Countries = Annotated[dict[CountryKey, RegionList], _SOME]
Continents = Annotated[dict[ContinentKey, RegionList], _SOME]
Asns = Annotated[dict[AsnKey, RegionList], _SOME]
