"""The keys of the main file: their types, defaults and descriptions.

Each model is one map of YAML.  Defaults are written as an operator would write them, and
read like anything else.  A shorthand is turned into the map that it stands for before the
map is checked, so all that follows sees one form.

What needs more than one value to be judged is in `gslb.config.mainfile`; there, too, `zones`
is missed, so that all else can be checked without it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict

from gslb.config import addresses
from gslb.config.fields import (
    BURST_MAX,
    COUNT_MAX,
    INTERVAL_MIN_S,
    ITEMS_MAX,
    MONITORS_MAX,
    PER_SECOND_MAX,
    REGIONS_MAX,
    TABLE_MAX,
    TABLE_MIN,
    TIMEOUT_MAX_S,
    TIMEOUT_MIN_S,
    WEBHOOKS_MAX,
    ZONES_MAX,
    Boolean,
    Count,
    FilePath,
    Host,
    IpAddress,
    JsonScalar,
    Keys,
    Label,
    ListenAt,
    Location,
    Port,
    Prefix,
    Regex,
    Secret,
    Share,
    Statuses,
    Text,
    Threads,
    UrlPath,
    field,
    map_or_nothing,
    needed,
    required,
    span,
    whole,
    words,
)
from gslb.config.proxykeys import TierSpec
from gslb.config.scalars import DAY_S, ScalarError
from gslb.config.votekeys import AnySecret, CarrierSpec, VantagesSpec, WebhookSpec
from gslb.dns.cookie import SECRETS_MAX


class MainFile(Keys):
    """The main file."""

    model_config = ConfigDict(json_schema_extra={"required": ["zones"]})

    node: Text | None = field(
        None, "The node's name: NSID, id.server, gslb_info; default: the host's name."
    )
    state_dir: FilePath = field(
        "var", "Folder for the last verdicts, operators' words and compiled geo maps."
    )
    listen: ListenSpec = field({}, "Where the node listens.")
    engine: Annotated[str, *words("auto", "native", "python")] = field(
        "auto", "What answers over UDP: native threads, where they are built, or Python."
    )
    threads: Threads | None = field(
        None, "Threads of the native engine for each address; default: one for each core."
    )
    zones: list[FilePath] = needed([], "Zone files; paths and globs.", ZONES_MAX)
    geo: Annotated[
        GeoSpec, BeforeValidator(map_or_nothing, json_schema_input_type=GeoSpec | None)
    ] = field({}, "Where clients are.")
    regions: dict[
        Label,
        Annotated[
            RegionSpec, BeforeValidator(map_or_nothing, json_schema_input_type=RegionSpec | None)
        ],
    ] = field({}, "Places, by name.", most=REGIONS_MAX)
    monitors: dict[
        Label,
        Annotated[
            MonitorSpec, BeforeValidator(map_or_nothing, json_schema_input_type=MonitorSpec | None)
        ],
    ] = field({}, "Monitors, by name.", most=MONITORS_MAX)
    explain_to: list[Prefix] = field(
        ["127.0.0.0/8", "::1"],
        "Clients that may ask for explanations over DNS.",
        most=ITEMS_MAX,
    )
    admin_token: AnySecret | None = field(
        None, "Token that changes need once `admin` is not on loopback."
    )
    vantage: Label | None = field(
        None,
        "The voter that this node's own prober is. null: with voters listed, this node does not "
        "probe.",
    )
    vantages: Annotated[
        VantagesSpec, BeforeValidator(map_or_nothing, json_schema_input_type=VantagesSpec | None)
    ] = field({}, "Who may vote on verdicts; absent: the node's own prober alone.")
    carrier: CarrierSpec | None = field(
        None, "How reports and operators' words travel between nodes; absent: they do not."
    )
    webhooks: list[WebhookSpec] = field(
        [], "Where events are posted to, over HTTP.", most=WEBHOOKS_MAX
    )
    max_withdrawal: SafetySpec | None = field(
        None,
        "Hold back a change that would withdraw more than this at once; absent: with several "
        "voters {share: 50%, for: 60s}; null: never.",
    )
    cookies: Annotated[
        CookiesSpec, BeforeValidator(map_or_nothing, json_schema_input_type=CookiesSpec | None)
    ] = field({}, "Server cookies, by which clients show that they receive at their address.")
    rate_limit: RateLimitSpec | None = field(
        None, "How many answers clients without a valid cookie are sent over UDP; absent: all."
    )
    proxy: TierSpec | None = field(
        None, "The L7 tier of the regions that have `proxies`; absent: there is none."
    )


class ListenSpec(Keys):
    """Where the node listens."""

    dns: list[ListenAt] = field(
        ["127.0.0.1:5353", "[::1]:5353"],
        "Addresses and ports for DNS, UDP and TCP.",
        least=1,
        most=ITEMS_MAX,
    )
    admin: ListenAt = field("127.0.0.1:8053", "HTTP API, metrics and dashboard.")


class GeoSpec(Keys):
    """Where clients are."""

    database: FilePath | None = field(None, "MMDB file with location, country or continent.")
    asn_database: FilePath | None = field(None, "MMDB file with AS numbers, for `asns` steps.")
    max_moved: Share | None = field(
        "20%",
        "Hold back a new database that would give more than this part of the known addresses "
        "another order; null: never.",
    )


def _proxy(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, port = addresses.target(value)
    return {"address": host} if port is None else {"address": host, "port": port}


class ProxySpec(Keys):
    """One L7 proxy of a region."""

    address: IpAddress = required("IPv4 or IPv6 address.")
    port: Port | None = field(None, "Where it is probed; default 80, or the monitor's.")
    monitor: Label | None = field(None, "Name of a monitor; default: TCP to the port.")


class RegionSpec(Keys):
    """A place."""

    location: Location | None = field(None, "Latitude and longitude in degrees.")
    proxies: list[
        Annotated[ProxySpec, BeforeValidator(_proxy, json_schema_input_type=str | ProxySpec)]
    ] = field([], "The region's L7 proxies.", most=ITEMS_MAX)


class ExpectSpec(Keys):
    """What a good HTTP response looks like."""

    status: list[Statuses] = field(
        ["200-399"], "Good statuses, such as 200 or 200-399.", least=1, most=ITEMS_MAX
    )
    body: Regex | None = field(None, "Regular expression searched for in the first 64 KiB.")
    json_: dict[Text, JsonScalar] | None = field(
        None, "Dotted paths and the values they must have, such as {checks.db: ok}.", "json"
    )


class MonitorSpec(Keys):
    """How members are probed, and when a verdict flips."""

    type: Annotated[str, *words("http", "https", "tcp")] = field("http", "http, https or tcp.")
    port: Port | None = field(None, "Default 80, or 443 for https; required for tcp.")
    path: UrlPath = field("/", "Path that is asked for.")
    host: Host | None = field(None, "Host header and SNI; default: the service's name.")
    interval: Annotated[float, *span(INTERVAL_MIN_S, DAY_S)] = field("5s", "Time between probes.")
    timeout: Annotated[float, *span(TIMEOUT_MIN_S, TIMEOUT_MAX_S)] = field(
        "2s", "How long a whole probe may take."
    )
    fall: Count = field(3, "Failures in a row until down.")
    rise: Count = field(2, "Successes in a row until up again.")
    recheck: Annotated[float, *span(TIMEOUT_MIN_S, DAY_S)] = field(
        "1s", "Time between probes after a first disagreeing result, until decided."
    )
    expect: ExpectSpec = field({}, "What a good response looks like.")
    verify: Boolean = field(True, "https: check certificate and name.")
    ca: FilePath | None = field(None, "https: PEM file of authorities to trust instead.")


class SafetySpec(Keys):
    """When a change is held back because it withdraws too much at once."""

    share: Share = required("Part of all weight, such as 50%.")
    for_: Annotated[float, *span(1, DAY_S)] = field("60s", "How long it is held.", "for")


def _secrets(value: object) -> object:
    if isinstance(value, list):
        return {"hex": value}
    if value is not None and (
        not isinstance(value, dict) or list(value) not in (["file"], ["hex"])
    ):
        # What it is instead is not shown: it may be a secret.
        hint = "write a list of secrets, or {file: PATH}"
        raise ScalarError("is neither a list nor the name of a file", hint)
    return value


class SecretsSpec(Keys):
    """Where the secrets are."""

    file: FilePath | None = field(
        None, "File with a secret a line, the active one first; `#` comments."
    )
    hex: list[Secret] = field([], "The secrets themselves.", most=SECRETS_MAX)


class CookiesSpec(Keys):
    """Server cookies (RFC 7873, 9018)."""

    enabled: Boolean = field(True, "Whether clients that send a cookie get a server's.")
    secrets: Annotated[
        SecretsSpec | None,
        BeforeValidator(_secrets, json_schema_input_type=list[Secret] | SecretsSpec | None),
    ] = field(
        None,
        "Secrets of 32 hexadecimal digits: the first makes cookies, all are accepted. The same on "
        "all nodes of an anycast set; absent: the node makes its own.",
    )


class RateLimitSpec(Keys):
    """How many answers a network of clients is sent over UDP."""

    per_second: Annotated[int, *whole(1, PER_SECOND_MAX)] = field(
        200, "Answers of a kind a second for one network of clients."
    )
    burst: Annotated[int, *whole(1, BURST_MAX)] | None = field(
        None, "Answers at once; default: those of a second."
    )
    slip: Annotated[int, *whole(0, COUNT_MAX)] = field(
        2, "Of the answers above that, 1 in so many is sent truncated, the others not; 0: none."
    )
    ipv4: Annotated[int, *whole(1, 32)] = field(24, "Length of an IPv4 network.")
    ipv6: Annotated[int, *whole(1, 128)] = field(56, "Length of an IPv6 network.")
    exempt: list[Prefix] = field([], "Networks that are never limited.", most=ITEMS_MAX)
    table: Annotated[int, *whole(TABLE_MIN, TABLE_MAX)] = field(
        65_536, "Buckets that are kept, 8 octets each."
    )
