"""The keys of the main file about who votes, how votes travel, whom events are told to.

Like `gslb.config.mainkeys`, of which they are a part.  What needs more than one value to be
judged is in `gslb.config.votes` and `gslb.config.carriers`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from gslb.config import secrets
from gslb.config.fields import (
    INTERVAL_MIN_S,
    NODES_MAX,
    REPLICAS_MAX,
    VOTERS_MAX,
    Bucket,
    EventKind,
    FilePath,
    HookUrl,
    Keys,
    Label,
    NatsUrl,
    NodeUrl,
    ProbesPerMember,
    QuorumRule,
    SecretText,
    Share,
    field,
    map_or_nothing,
    required,
    span,
    whole,
    words,
)
from gslb.config.scalars import DAY_S
from gslb.config.secrets import SecretSpec

SERVERS_MAX = 16

AnySecret = Annotated[
    SecretSpec, BeforeValidator(secrets.short, json_schema_input_type=str | SecretSpec)
]


class VoterSpec(Keys):
    """One vantage that may vote."""

    region: Label | None = field(
        None, "Name of the region that it stands in; several in one region have one vote."
    )
    kind: Annotated[str, *words("prober", "proxy")] = field(
        "prober",
        "prober, or proxy: the region's L7 tier, which votes on its members and whose word brings "
        "forward everyone's next probe, but which never takes a member out alone.",
    )
    key: AnySecret = required("Key that authenticates its reports.")


class VantagesSpec(Keys):
    """Who may vote on verdicts."""

    quorum: QuorumRule = field(
        "majority", "majority, any, all, a number, or a percentage such as 18%."
    )
    expiry: Annotated[float, *span(1, DAY_S)] = field(
        "20s", "Silence after which a vantage has no vote; at least twice `report_interval`."
    )
    min_vantages: Annotated[int, *whole(1, VOTERS_MAX)] = field(
        1, "While fewer vantages are heard, the last verdicts stay."
    )
    unknown_after: Annotated[float, *span(1, 30 * DAY_S)] | None = field(
        "1h", "When that has lasted so long, members are unknown; null: never."
    )
    cut_off_at: Share | None = field(
        "50%",
        "A vantage that sees more than this part of what it watches down, and shortly before saw "
        "less of it, takes itself to be cut off and abstains; null: never.",
    )
    report_interval: Annotated[float, *span(INTERVAL_MIN_S, 3600)] = field(
        "5s", "Time between a vantage's reports; a flip is reported at once."
    )
    probes_per_member: ProbesPerMember = field(
        "all", "How many of the voters of kind prober probe each member: all, or a number."
    )
    voters: Annotated[
        dict[Label, VoterSpec],
        BeforeValidator(map_or_nothing, json_schema_input_type=dict[Label, VoterSpec] | None),
    ] = field({}, "Vantages, by name; none: the node's own prober alone.", most=VOTERS_MAX)


class NatsSpec(Keys):
    """A NATS server with JetStream."""

    servers: Annotated[list[NatsUrl], Field(min_length=1, max_length=SERVERS_MAX)] = required(
        "Servers, tried in turn."
    )
    credentials: FilePath | None = field(None, "File of credentials, as `nsc` makes it.")
    user: SecretText | None = field(None, "User, with a password.")
    password: AnySecret | None = field(None, "The user's password.")
    token: AnySecret | None = field(None, "Token, instead of a user.")
    ca: FilePath | None = field(None, "PEM file of authorities to trust instead.")
    bucket: Bucket = field("gslb", "What the names of the buckets start with.")
    replicas: Annotated[int, *whole(1, REPLICAS_MAX)] = field(1, "Servers that hold each bucket.")


class CarrierSpec(Keys):
    """How reports and operators' words travel."""

    key: AnySecret = required("Key that authenticates nodes to each other.")
    nodes: Annotated[
        dict[Label, NodeUrl],
        BeforeValidator(map_or_nothing, json_schema_input_type=dict[Label, NodeUrl] | None),
    ] = field({}, "URL of each node's admin API, by the node's name.", most=NODES_MAX)
    ca: FilePath | None = field(None, "https: PEM file of authorities to trust instead.")
    nats: NatsSpec | None = field(None, "NATS, instead of `nodes`.")


class WebhookSpec(Keys):
    """Where events are posted to."""

    url: HookUrl = required("http or https URL.")
    events: list[EventKind] | None = field(None, "Kinds of events; default: all.", least=1)
    key: AnySecret | None = field(None, "Key that signs what is sent.")
