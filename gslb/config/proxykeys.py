"""The keys of the main file about the L7 tier: where it listens, and how members are reached.

Like `gslb.config.mainkeys`, of which they are a part.  What needs more than one value to be
judged is in `gslb.config.listeners` and `gslb.config.upstreams`; routes are in
`gslb.config.routekeys`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from gslb.config import httpscalars, scalars
from gslb.config.fields import (
    ITEMS_MAX,
    SERVICES_MAX,
    Boolean,
    FilePath,
    Host,
    Keys,
    ListenAt,
    Port,
    Prefix,
    Text,
    field,
    map_or_nothing,
    reader,
    required,
    span,
    whole,
    words,
)
from gslb.config.httpscalars import switched_map
from gslb.config.routekeys import (
    Balance,
    FieldName,
    FieldValue,
    Percent,
    PlainHost,
    RouteSpec,
    ServiceKey,
    ServiceName,
    sizes,
)
from gslb.config.scalars import DAY_S, ScalarError

ROUTES_MAX = 10_000
LISTENERS_MAX = 100
CERTIFICATES_MAX = 1_000
WORKERS_MAX = 256
CONNECTIONS_MAX = 1_000_000
QUEUE_MAX = 1_000_000
FIELDS_MAX = 1_000
ERRORS_MAX = 100

ServerName = Annotated[str, *reader(httpscalars.server_name, "string")]


def _certificate(value: object) -> object:
    return {"cert": value} if isinstance(value, str) else value


class CertificateSpec(Keys):
    """A certificate chain and its key."""

    cert: FilePath = required("PEM file of the certificate and those above it.")
    key: FilePath | None = field(None, "PEM file of its key, unencrypted; default: the same file.")


Certificate = Annotated[
    CertificateSpec, BeforeValidator(_certificate, json_schema_input_type=str | CertificateSpec)
]


class TlsSpec(Keys):
    """How TLS is ended."""

    certificates: Annotated[list[Certificate], Field(min_length=1, max_length=CERTIFICATES_MAX)] = (
        required("Certificates, chosen by the name that is asked for; the first is for all others.")
    )
    client_ca: FilePath | None = field(
        None, "PEM file of authorities: clients must show a certificate of theirs."
    )
    client_required: Boolean = field(True, "With `client_ca`: whether clients must show one.")
    min_version: Annotated[str, *words("1.2", "1.3")] = field("1.2", 'Least version: "1.2", "1.3".')
    http2: Boolean = field(True, "Whether HTTP/2 is offered.")


class PassSpec(Keys):
    """Where connections go in mode tcp."""

    server_names: list[ServerName] = field(
        [], "TLS server names, or wildcards such as *.example.com; none: all.", most=ITEMS_MAX
    )
    service: ServiceName = required("The service that they go to.")
    balance: Balance = field("least_connections", "How a member is chosen.")


def _listener(value: object) -> object:
    return value if isinstance(value, dict) else {"port": value}


class ListenerSpec(Keys):
    """A port at the addresses of the region's proxies."""

    port: Port = required("The port.")
    mode: Annotated[str, *words("http", "tcp")] = field(
        "http", "http, or tcp: connections are passed on as they are."
    )
    tls: TlsSpec | None = field(None, "How TLS is ended; null: plain HTTP.")
    proxy_protocol: Boolean = field(
        False, "Whether connections begin with a PROXY header, version 1 or 2."
    )
    service: ServiceName | None = field(None, "mode tcp: the service that all connections go to.")
    passes: list[PassSpec] = field(
        [],
        "mode tcp: to which services connections go, by TLS server name.",
        "pass",
        most=ITEMS_MAX,
    )


class UpstreamTlsSpec(Keys):
    """TLS to members, or to another region's proxies."""

    verify: Boolean = field(True, "Whether certificate and name are checked.")
    ca: FilePath | None = field(None, "PEM file of authorities to trust instead of the system's.")
    name: Host | None = field(None, "Server name; default: the request's host.")


UpstreamTls = Annotated[
    UpstreamTlsSpec | None,
    BeforeValidator(switched_map, json_schema_input_type=bool | UpstreamTlsSpec | None),
]


class EjectSpec(Keys):
    """When a member is left out because of what real requests met."""

    errors: Annotated[int, *whole(1, 1_000)] | None = field(
        5, "Responses of 500 and more in a row; null: they do not count."
    )
    connect_errors: Annotated[int, *whole(1, 1_000)] | None = field(
        3, "Failed connections in a row; null: they do not count."
    )
    slow_factor: (
        Annotated[
            float,
            *reader(scalars.decimal(1, 1_000, "a number"), "number", minimum=1, maximum=1_000),
        ]
        | None
    ) = field(None, "Latency as a multiple of the others'; null: it does not count.")
    base: Annotated[float, *span(0.1, DAY_S)] = field("10s", "How long at first.")
    max: Annotated[float, *span(0.1, DAY_S)] = field("5m", "How long at most; doubled until then.")
    most: Percent = field("50%", "Part of a region's members that may be left out at once.")


def _proxy_version(value: object) -> int:
    if value is None:
        return 0
    if value not in ("v1", "v2"):
        raise ScalarError("is no version of the PROXY protocol", "write v1, v2, or null for none")
    return int(str(value)[1])


class UpstreamSpec(Keys):
    """How the members of a service are reached."""

    port: Port | None = field(None, "Port of members; default: their monitor's, or 80.")
    tls: UpstreamTls = field(
        None, "TLS to members; absent: as the monitor does where its port is used; null: none."
    )
    host: PlainHost | None = field(None, "What Host becomes; null: as it came.")
    connections: Annotated[int, *whole(1, CONNECTIONS_MAX)] = field(
        1024, "Connections to one member at most."
    )
    queue: Annotated[int, *whole(0, QUEUE_MAX)] = field(1024, "Requests that wait for one at most.")
    queue_timeout: Annotated[float, *span(0, 300)] = field("1s", "How long they wait.")
    idle: Annotated[int, *whole(0, CONNECTIONS_MAX)] = field(
        256, "Connections that are kept for later at most."
    )
    idle_timeout: Annotated[float, *span(0.1, DAY_S)] = field("30s", "How long they are kept.")
    slow_start: Annotated[float, *span(0, DAY_S)] = field(
        "0s", "Time over which a member that came up gets its share."
    )
    proxy_protocol: Annotated[
        int,
        PlainValidator(_proxy_version),
        WithJsonSchema({"anyOf": [{"enum": ["v1", "v2"]}, {"type": "null"}]}),
    ] = field(None, "Version of the PROXY header that is sent: v1 or v2; null: none.")
    eject: EjectSpec | None = field(
        {}, "When a member is left out because of what real requests met; null: never."
    )


class AcrossSpec(Keys):
    """Where requests go when nobody lives in the region."""

    to: Annotated[
        list[Annotated[str, *words("proxies", "members")]],
        BeforeValidator(
            lambda value: [] if value is None else value,
            json_schema_input_type=list[Annotated[str, *words("proxies", "members")]] | None,
        ),
    ] = field(["proxies", "members"], "What of the next region is tried, in order; null: neither.")
    port: Port = field(80, "Port of its proxies.")
    tls: UpstreamTls = field(None, "TLS to its proxies; null: none.")


class LimitsSpec(Keys):
    """What one client may cost."""

    head_size: Annotated[int, *sizes(1_024, 2**20)] = field(
        "32KiB", "Greatest head of a request: its line and headers."
    )
    fields: Annotated[int, *whole(10, FIELDS_MAX)] = field(100, "Most headers of a request.")
    head_timeout: Annotated[float, *span(0.1, 600)] = field(
        "10s", "Time from a request's first octet until its head is there."
    )
    keep_alive: Annotated[float, *span(0, DAY_S)] = field(
        "75s", "Time until the next request on a connection."
    )
    body_timeout: Annotated[float, *span(0.1, DAY_S)] = field(
        "30s", "Time until more of a request's body is there."
    )
    connections: Annotated[int, *whole(1, CONNECTIONS_MAX)] = field(
        50_000, "Connections of all clients."
    )
    connections_per_client: Annotated[int, *whole(1, CONNECTIONS_MAX)] | None = field(
        None, "Connections of one IPv4 address or IPv6 /64; null: as many as there are."
    )


def _page(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


class PageSpec(Keys):
    """An error page."""

    file: FilePath = required("File that holds the page.")
    type: FieldValue = field("text/html; charset=utf-8", "Content-Type.")


def _error_status(value: object) -> object:
    return httpscalars.status(400, 599)(value)


ErrorStatus = Annotated[
    int,
    PlainValidator(_error_status),
    WithJsonSchema({"type": "string", "pattern": "^[45][0-9][0-9]$"}),
]


class TierSpec(Keys):
    """The L7 tier, the same in every region that has `proxies`."""

    tier: Annotated[str, *words("gslb", "haproxy")] = field(
        "gslb", "What carries requests: gslb itself, or an HAProxy that it drives."
    )
    listen: list[
        Annotated[
            ListenerSpec, BeforeValidator(_listener, json_schema_input_type=int | ListenerSpec)
        ]
    ] = field([80], "Ports at the addresses of the region's proxies.", least=1, most=LISTENERS_MAX)
    workers: Annotated[int, *whole(1, WORKERS_MAX)] | None = field(
        None, "Processes; default: one for each core."
    )
    admin: ListenAt | None = field("127.0.0.1:8054", "Metrics and state; null: none.")
    trusted: list[Prefix] = field(
        [],
        "Networks whose headers are believed what they say of clients; the regions' proxies are.",
        most=ITEMS_MAX,
    )
    via: FieldName | None = field(None, "Name in Via headers; null: none is sent.")
    access_log: FilePath | None = field(
        None, "stdout, or a file that a line for each request is written to; null: none."
    )
    drain: Annotated[float, *span(0, DAY_S)] = field(
        "30s", "Time that what runs has to finish at the end."
    )
    limits: Annotated[
        LimitsSpec, BeforeValidator(map_or_nothing, json_schema_input_type=LimitsSpec | None)
    ] = field({}, "What one client may cost.")
    errors: dict[
        ErrorStatus,
        Annotated[PageSpec, BeforeValidator(_page, json_schema_input_type=str | PageSpec)],
    ] = field({}, "Error pages, by status.", most=ERRORS_MAX)
    across: Annotated[
        AcrossSpec, BeforeValidator(map_or_nothing, json_schema_input_type=AcrossSpec | None)
    ] = field({}, "Where requests go when nobody lives in the region.")
    haproxy: Text = field("haproxy", "`tier: haproxy`: the program that is run.")
    services: dict[
        ServiceKey,
        Annotated[
            UpstreamSpec,
            BeforeValidator(map_or_nothing, json_schema_input_type=UpstreamSpec | None),
        ],
    ] = field({}, "How the members of services are reached.", most=SERVICES_MAX)
    routes: list[RouteSpec] = field(
        [], "Which requests go where: the first that matches counts.", most=ROUTES_MAX
    )
