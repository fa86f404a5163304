"""The keys of the tier's routes: which requests each is for, and what becomes of them.

Like `gslb.config.mainkeys`, of which they are a part.  What needs more than one value to be
judged is in `gslb.config.requestroutes`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from gslb.config import httpscalars, scalars
from gslb.config.fields import (
    ITEMS_MAX,
    Boolean,
    CountryKey,
    FilePath,
    Keys,
    Prefix,
    Regex,
    Text,
    Weight,
    field,
    map_or_nothing,
    reader,
    required,
    span,
    whole,
    words,
)
from gslb.config.httpscalars import Condition, Keyed
from gslb.config.scalars import DAY_S, ScalarError
from gslb.config.votekeys import AnySecret

TRIES_MAX = 10
RATES_MAX = 16
MATCHES_MAX = 64
BOUND_MAX = 10
BURST_MAX = 1_000_000
YEARS_S = 10 * 366 * DAY_S

_SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*(B|KiB|MiB|GiB|TiB|)$"
_TOKEN_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


def sizes(low: int, high: int = httpscalars.SIZE_MAX) -> tuple[PlainValidator, WithJsonSchema]:
    """Return how a size between two bounds is read."""
    about = f"A size from {httpscalars.size_shown(low)} to {httpscalars.size_shown(high)}"
    schema = {
        "type": ["string", "integer"],
        "pattern": _SIZE_PATTERN,
        "description": f"{about}; a bare number is octets.",
    }
    return PlainValidator(httpscalars.size(low, high)), WithJsonSchema(schema)


def _keyed(*plain: str, named: tuple[str, ...]) -> tuple[PlainValidator, WithJsonSchema]:
    schema = {
        "anyOf": [
            {"enum": list(plain)},
            {
                "type": "object",
                "propertyNames": {"enum": list(named)},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
    return PlainValidator(httpscalars.keyed_by(*plain, named=named)), WithJsonSchema(schema)


def _rule(*more: str) -> dict[str, object]:
    pattern = {"type": "object", "propertyNames": {"enum": ["pattern"]}, "minProperties": 1}
    return {"anyOf": [{"type": ["string", *more]}, pattern]}


ServiceName = Annotated[str, *reader(httpscalars.service_name, "string")]
ServiceKey = Annotated[str, *reader(httpscalars.service_key, "string")]
HostPattern = Annotated[str, *reader(httpscalars.host_pattern, "string")]
PlainHost = Annotated[str, *reader(httpscalars.plain_host, "string")]
FieldName = Annotated[str, *reader(httpscalars.field_name, "string", pattern=_TOKEN_PATTERN)]
FreeFieldName = Annotated[
    str, *reader(httpscalars.free_field_name, "string", pattern=_TOKEN_PATTERN)
]
RequestFieldName = Annotated[
    str, *reader(httpscalars.request_field_name, "string", pattern=_TOKEN_PATTERN)
]
FieldValue = Annotated[str, *reader(httpscalars.field_value, "string")]
CookieName = Annotated[str, *reader(httpscalars.cookie_name, "string", pattern=_TOKEN_PATTERN)]
Method = Annotated[str, *reader(httpscalars.method, "string", pattern=_TOKEN_PATTERN)]
Percent = Annotated[
    int,
    PlainValidator(httpscalars.percent),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-9]+ *%?$", "maximum": 100}),
]
PerSecond = Annotated[
    float, *reader(httpscalars.rate, "string", pattern=r"^[0-9]+(\.[0-9]+)?\s*/\s*(s|m|h)$")
]
RedirectTarget = Annotated[str, *reader(httpscalars.redirect_target, "string")]
Content = Annotated[str, *reader(httpscalars.content, "string")]
PathTemplate = Annotated[str, *reader(httpscalars.path_template, "string")]
PathRule = Annotated[
    tuple[str, str], PlainValidator(httpscalars.path_rule), WithJsonSchema(_rule())
]
Wanted = Annotated[
    Condition,
    PlainValidator(httpscalars.condition),
    WithJsonSchema(_rule("boolean", "null")),
]


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _some(item: Any) -> tuple[BeforeValidator, Any]:
    """Return how one or a list of several is read."""
    schema = item | list[item]
    limits = Field(min_length=1, max_length=ITEMS_MAX)
    return BeforeValidator(_listed, json_schema_input_type=schema), limits


class MatchSpec(Keys):
    """What a request must be like: all that is written must hold."""

    host: Annotated[list[HostPattern], *_some(HostPattern)] | None = field(
        None, "Host without a port, or a wildcard such as *.example.com; or a list of them."
    )
    path: PathRule | None = field(
        None, '"/x" for one path, "/x/*" for all that start so, or {pattern: REGEX}; decoded.'
    )
    method: Annotated[list[Method], *_some(Method)] | None = field(
        None, "Method in upper case, or a list of them."
    )
    scheme: Annotated[str, *words("http", "https")] | None = field(None, "http or https.")
    header: dict[FieldName, Wanted] = field(
        {}, "Headers: a text, {pattern: REGEX}, true for any, null for none.", most=ITEMS_MAX
    )
    cookie: dict[CookieName, Wanted] = field({}, "Cookies, likewise.", most=ITEMS_MAX)
    query: dict[Text, Wanted] = field(
        {}, "Decoded parameters of the query, likewise.", most=ITEMS_MAX
    )
    clients: Annotated[list[Prefix], *_some(Prefix)] | None = field(
        None, "Client's network, or a list of them."
    )
    countries: Annotated[list[CountryKey], *_some(CountryKey)] | None = field(
        None, "Client's country by the geo database, or a list of them."
    )


def _redirect(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


class RedirectSpec(Keys):
    """A redirect."""

    to: RedirectTarget = required("Target; {scheme}, {host}, {path} and {query} are filled in.")
    status: Annotated[int, *whole(301, 308)] = field(308, "301, 302, 303, 307 or 308.")


def _respond(value: object) -> object:
    return {"status": value} if isinstance(value, int) else value


class RespondSpec(Keys):
    """A response that the tier makes by itself."""

    status: Annotated[int, *whole(200, 599)] = field(200, "Status.")
    body: Content | None = field(None, "The body as a text.")
    file: FilePath | None = field(None, "File that holds the body.")
    type: FieldValue | None = field(
        None, "Content-Type; default: text/plain, or for a file text/html, in UTF-8."
    )


BALANCES = ("round_robin", "least_connections", "least_time", "random", "ip_hash")


def _balance(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


class BalanceSpec(Keys):
    """How a member is chosen."""

    kind: Annotated[str, *words(*BALANCES)] = field(
        "least_connections", "How, where it is not by a hash."
    )
    hash: (
        Annotated[Keyed, *_keyed("path", "client", named=("query", "header", "cookie"))] | None
    ) = field(None, "Consistent hash of path, client, {query: Q}, {header: H} or {cookie: C}.")
    bound: Annotated[
        float,
        *reader(scalars.decimal(1, BOUND_MAX, "a number"), "number", minimum=1, maximum=BOUND_MAX),
    ] = field(1.25, "With a hash: times its part of all that a member has at most.")


Balance = Annotated[
    BalanceSpec, BeforeValidator(_balance, json_schema_input_type=Literal[BALANCES] | BalanceSpec)
]


def _affinity(value: object) -> object:
    if isinstance(value, str):
        if value != "client":
            hint = "write client, {cookie: NAME, key: {file: PATH}} or {header: NAME}"
            raise ScalarError("is nothing that a client keeps its member by", hint)
        return {"client": True}
    return value


class AffinitySpec(Keys):
    """What makes a client keep its member: one of a cookie, a header and its address."""

    cookie: CookieName | None = field(None, "Name of a signed cookie.")
    header: FieldName | None = field(None, "Name of a header.")
    client: Boolean = field(False, "The client's address.")
    key: AnySecret | None = field(None, "Key that signs the cookie, the same in all regions.")
    ttl: Annotated[float, *span(1, 366 * DAY_S)] = field("1h", "How long the cookie lasts.")
    drain: Annotated[float, *span(0, 7 * DAY_S)] = field(
        "10m", "How long a drained member keeps its clients."
    )


class PathChangeSpec(Keys):
    """A change of the path."""

    pattern: Regex = required("Regular expression that is searched for in the path as it came.")
    to: PathTemplate = field("", r"What its first match becomes; \1 is its first group.")


class ResponseChangeSpec(Keys):
    """Changes of a response's header."""

    set: dict[FreeFieldName, FieldValue] = field(
        {}, "Headers that are set, in place of all of that name.", most=ITEMS_MAX
    )
    remove: list[FreeFieldName] = field([], "Headers that are removed.", most=ITEMS_MAX)


class RewriteSpec(Keys):
    """Changes of requests and responses on their way."""

    path: PathChangeSpec | None = field(None, "A change of the path.")
    host: PlainHost | None = field(None, "What Host becomes.")
    set: dict[RequestFieldName, FieldValue] = field(
        {}, "Headers of the request that are set, in place of all of that name.", most=ITEMS_MAX
    )
    remove: list[RequestFieldName] = field(
        [], "Headers of the request that are removed.", most=ITEMS_MAX
    )
    response: ResponseChangeSpec = field({}, "Changes of the response.")


class TimeoutsSpec(Keys):
    """How long a member may take."""

    connect: Annotated[float, *span(0.01, 300)] = field("1s", "To accept a connection.")
    response: Annotated[float, *span(0.01, DAY_S)] = field("30s", "Until its response begins.")
    idle: Annotated[float, *span(0.01, DAY_S)] = field("60s", "Between octets.")
    tunnel: Annotated[float, *span(0.01, 366 * DAY_S)] = field(
        "1h", "Between octets in a tunnel, such as a WebSocket."
    )
    total: Annotated[float, *span(0.01, DAY_S)] | None = field(None, "In all; null: for ever.")


class RetrySpec(Keys):
    """When a request is tried again on another member."""

    tries: Annotated[int, *whole(1, TRIES_MAX)] = field(3, "Tries in all; 1: never again.")
    budget: Percent = field("20%", "Part of a route's requests that may be tried again.")
    statuses: list[Annotated[int, *whole(400, 599)]] = field(
        [], "Statuses of responses after which an idempotent request is.", most=ITEMS_MAX
    )


class RateSpec(Keys):
    """A token bucket."""

    rate: PerSecond = required("How many requests, such as 100/s, 30/m or 500/h.")
    burst: Annotated[int, *whole(1, BURST_MAX)] | None = field(
        None, "How many at once; default: those of a second."
    )
    by: Annotated[Keyed, *_keyed("client", "route", named=("header",))] = field(
        "client", "A bucket for each client, each {header: NAME}'s value, or the route."
    )


def _part_cookie(value: object) -> object:
    return {"cookie": value} if isinstance(value, str) else value


class PartCookieSpec(Keys):
    """The cookie by which a client keeps its part of a split."""

    cookie: CookieName = required("Name of the cookie.")
    key: AnySecret | None = field(
        None,
        "Key that signs it, the same in all regions; default: that of the route's `affinity`. "
        "Without any, clients can choose their part.",
    )


class RouteSpec(Keys):
    """Which requests, and what becomes of them: one of service, split, redirect, respond, deny."""

    name: Text | None = field(None, "Name in metrics and logs; default: route N.")
    match: Annotated[
        list[MatchSpec],
        BeforeValidator(_listed, json_schema_input_type=MatchSpec | list[MatchSpec]),
        Field(max_length=MATCHES_MAX),
    ] = field([], "What a request must be like, or a list of which one must hold; absent: any.")
    service: ServiceName | None = field(None, "Send it to this service.")
    split: dict[ServiceKey, Weight] | None = field(
        None, "Send it to one of these services by weight.", least=1, most=ITEMS_MAX
    )
    sticky: (
        Annotated[
            PartCookieSpec,
            BeforeValidator(_part_cookie, json_schema_input_type=CookieName | PartCookieSpec),
        ]
        | None
    ) = field(None, "With `split`: the cookie by which a client keeps its part, or its name.")
    redirect: (
        Annotated[
            RedirectSpec, BeforeValidator(_redirect, json_schema_input_type=str | RedirectSpec)
        ]
        | None
    ) = field(None, "Answer with a redirect.")
    respond: (
        Annotated[RespondSpec, BeforeValidator(_respond, json_schema_input_type=int | RespondSpec)]
        | None
    ) = field(None, "Answer with this.")
    deny: Annotated[int, *whole(400, 599)] | None = field(
        None, "Refuse with an error page of this status, such as 403."
    )
    balance: Balance = field("least_connections", "How a member is chosen.")
    affinity: (
        Annotated[
            AffinitySpec,
            BeforeValidator(_affinity, json_schema_input_type=Literal["client"] | AffinitySpec),
        ]
        | None
    ) = field(None, "What makes a client keep its member.")
    rewrite: Annotated[
        RewriteSpec, BeforeValidator(map_or_nothing, json_schema_input_type=RewriteSpec | None)
    ] = field({}, "Changes of requests and responses on their way.")
    timeouts: Annotated[
        TimeoutsSpec, BeforeValidator(map_or_nothing, json_schema_input_type=TimeoutsSpec | None)
    ] = field({}, "How long a member may take.")
    retry: Annotated[
        RetrySpec, BeforeValidator(map_or_nothing, json_schema_input_type=RetrySpec | None)
    ] = field({}, "When a request is tried again on another member.")
    rates: Annotated[
        list[RateSpec],
        BeforeValidator(_listed, json_schema_input_type=RateSpec | list[RateSpec]),
        Field(max_length=RATES_MAX),
    ] = field([], "Token buckets, of which each must have a token.")
    body_size: Annotated[int, *sizes(0)] | None = field(
        None, "Greatest body of a request; null: any."
    )
    buffer: Annotated[int, *sizes(0, 2**26)] = field(
        "64KiB", "A body up to so large is read whole before a member is chosen; 0: none."
    )
    hsts: Annotated[float, *span(0, YEARS_S)] | None = field(
        None, "How long Strict-Transport-Security holds; null: it is not sent."
    )
