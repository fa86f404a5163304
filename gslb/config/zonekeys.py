"""The keys of a zone's file: their types, defaults and descriptions.

Each model is one map of YAML.  Defaults are written as an operator would write them, and
read like anything else.  A shorthand is turned into the map that it stands for before the
map is checked, so all that follows sees one form.

What needs more than one value to be judged is in `gslb.config.zonefile`, `services` and
`routes`; there, too, what must not be absent is missed, so that all else can be checked.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from gslb.config import scalars
from gslb.config.fields import (
    MEMBERS_MAX,
    REGIONS_MAX,
    SERVICES_MAX,
    STEPS_MAX,
    Answers,
    Asns,
    BiasKm,
    Boolean,
    Continents,
    Countries,
    FilePath,
    HostName,
    Keys,
    Km,
    Label,
    MemberAddress,
    RegionList,
    Resolver,
    Share,
    Subnets,
    Target,
    Text,
    Ttl,
    Weight,
    field,
    map_or_nothing,
    needed,
    reader,
    required,
    span,
    words,
)
from gslb.config.nodes import shown
from gslb.config.scalars import DAY_S, ScalarError


class StickySpec(Keys):
    """Prefix lengths that make two clients the same one."""

    ipv4: Annotated[int, *reader(scalars.whole(0, 32), "integer", minimum=0, maximum=32)] = field(
        24, "Prefix length for IPv4 clients."
    )
    ipv6: Annotated[int, *reader(scalars.whole(0, 128), "integer", minimum=0, maximum=128)] = field(
        56, "Prefix length for IPv6 clients."
    )


class FailbackSpec(Keys):
    """How a member that rose again gets its share back."""

    hold: Annotated[float, *span(0, 7 * DAY_S)] = field("0s", "Time without any share.")
    ramp: Annotated[float, *span(0, 7 * DAY_S)] = field("0s", "Then, time from none to whole.")


def _member(value: object) -> object:
    return {"address": value} if isinstance(value, str | int | float) else value


class MemberSpec(Keys):
    """One address or host name that can take traffic."""

    address: MemberAddress = required("IPv4 or IPv6 address, or a host name (answered as CNAME).")
    weight: Weight = field(1, "Part of the pool's weight; 0: a reserve.")
    probe: Target | None = field(None, "Probe this HOST:PORT instead of the member itself.")
    monitor: Label | None = field(None, "Name of a monitor; default: the service's.")


Member = Annotated[MemberSpec, BeforeValidator(_member, json_schema_input_type=str | MemberSpec)]


def _pool(value: object) -> object:
    if isinstance(value, str):
        raise ScalarError(f"{shown(value)} is not a pool", f"write a list: [{value}]")
    return {"members": value} if isinstance(value, list) else value


class DiscoverSpec(Keys):
    """From where members come beside those that are written down."""

    registers: Boolean = field(
        False, "Whether members may register themselves over the admin API.", "register"
    )
    file: FilePath | None = field(None, "File, or folder of files, that lists members.")
    dns: HostName | None = field(
        None, "Name whose A and AAAA records are members, or _service._proto.NAME (SRV)."
    )
    resolver: Resolver | None = field(
        None, "Resolver to ask for `dns`: ADDRESS or ADDRESS:PORT; default: the system's."
    )


class PoolSpec(Keys):
    """A service's members in one region."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["members"]}, {"required": ["discover"]}]}
    )

    weight: Weight = field(100, "The pool's weight among those on its rung; 0: all are reserves.")
    members: list[Member] = field(
        [], "The pool's members; needed unless it discovers some.", most=MEMBERS_MAX
    )
    discover: DiscoverSpec | None = field(None, "Where else its members come from.")


Pool = Annotated[PoolSpec, BeforeValidator(_pool, json_schema_input_type=list[Member] | PoolSpec)]


class NearestSpec(Keys):
    """Great-circle distance from the client to the region."""

    within_km: Km = field(0, "Pools within this distance of the nearest one tie.")
    bias_km: dict[Label, BiasKm] = field({}, "Kilometres taken off each region's distance.")


class FenceSpec(Keys):
    """Regions that a matching client never leaves."""

    subnets: Subnets | None = field(None, "Regions for each client prefix.")
    countries: Countries | None = field(None, "Regions for each country.")
    continents: Continents | None = field(None, "Regions for each continent.")
    asns: Asns | None = field(None, "Regions for each autonomous system.")


def _step(value: object) -> object:
    if value in ("nearest", "weighted"):
        return {value: None}
    if isinstance(value, str):
        hint = "write nearest, weighted, or a map such as {order: [eu-west, us-east]}"
        raise ScalarError(f"{shown(value)} is not a step of a route", hint)
    return value


def _nothing(value: object) -> None:
    if value is not None:
        raise ScalarError("`weighted` takes no value", "write just weighted")


class StepSpec(Keys):
    """One step of a route: a map with one key."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    weighted: Annotated[None, PlainValidator(_nothing), WithJsonSchema({"type": "null"})] = field(
        None, "Split nothing: weights decide."
    )
    nearest: Annotated[
        NearestSpec, BeforeValidator(map_or_nothing, json_schema_input_type=NearestSpec | None)
    ] = field(None, "Split by distance.")
    order: RegionList | None = field(None, "Split by the place in a list.")
    subnets: Subnets | None = field(None, "Split by the client's prefix.")
    countries: Countries | None = field(None, "Split by the client's country.")
    continents: Continents | None = field(None, "Split by the client's continent.")
    asns: Asns | None = field(None, "Split by the client's autonomous system.")
    latency: FilePath | None = field(None, "Split by milliseconds; CSV with client,region,ms.")
    fence: FenceSpec | None = field(None, "Split nothing: drop what is not listed.")

    @model_validator(mode="before")
    @classmethod
    def _one_step(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) != 1:
            raise ScalarError(
                f"a step has one key, not {len(value)}",
                "write a list of steps, each with one key: [{order: [eu-west]}, nearest]",
            )
        return value


Step = Annotated[
    StepSpec,
    BeforeValidator(_step, json_schema_input_type=Literal["nearest", "weighted"] | StepSpec),
]


def _route(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _sticky(value: object) -> object:
    if value is False:
        return None
    if not isinstance(value, dict):
        hint = "write false, or a map such as {ipv4: 24, ipv6: 56}"
        raise ScalarError(f"{shown(value)} is no stickiness", hint)
    return value


class ServiceSpec(Keys):
    """An owner name answered from pools."""

    model_config = ConfigDict(json_schema_extra={"required": ["pools"]})

    ttl: Ttl = field("30s", "TTL; lowered while a verdict may be about to change.")
    ttl_min: Ttl | None = field(None, "The least TTL; default 5s, or `ttl` if that is less.")
    monitor: Label | None = field(None, "Name of a monitor; absent: members always count as up.")
    route: Annotated[
        list[Step],
        BeforeValidator(_route, json_schema_input_type=Step | list[Step]),
        Field(max_length=STEPS_MAX),
    ] = field("nearest", "Steps that order the pools for a client.")
    answers: Answers = field(1, "Members in one answer: a number, or all.")
    sticky: Annotated[
        StickySpec | None,
        BeforeValidator(_sticky, json_schema_input_type=Literal[False] | StickySpec),
    ] = field(False, "Give a client's prefix the same members again.")
    healthy_at_least: Share = field(
        0.5, "The living part of a rung's weight under which clients go to the next rung."
    )
    proxies: Annotated[str, *words("fallback", "never", "always")] = field(
        "fallback", "When the region's proxies stand in for its members."
    )
    all_down: Annotated[str, *words("serve_all", "nodata", "servfail")] = field(
        "serve_all", "What is answered when nobody lives."
    )
    failback: FailbackSpec = field({}, "How a member that rose again gets its share back.")
    pools: dict[Label, Pool] = needed({}, "A pool for each region.", REGIONS_MAX)


class ZoneFile(Keys):
    """The file of one zone."""

    model_config = ConfigDict(json_schema_extra={"required": ["zone", "file"]})

    zone: Text | None = field(None, "The zone's apex, such as example.com.")
    file: FilePath | None = field(None, "Master file with the static records (RFC 1035 5).")
    services: (
        Annotated[dict[Text, ServiceSpec], Field(min_length=1, max_length=SERVICES_MAX)] | None
    ) = field(None, "Services by owner name relative to the zone; @ is the apex.")
