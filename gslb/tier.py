"""The nouns of the L7 tier: what an operator writes down of listeners, routes and upstreams.

A `Tier` is the same in every region.  Requests come in at `Listener`s, are matched by `Route`s in
order, and go to members of a `Service`, over what its `Upstream` says of connections to them.

Like `gslb.model`, all of it is frozen, and checked where it is read.  Times are in seconds, sizes
in octets, shares whole numbers.  Services are named by their text without the last dot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gslb.model import Network

KIB = 1024
NO_ROUTE = "none"  # what figures call the route of requests that have none

# Fields of a request that the tier writes itself: whom it is from, its id, its trace, its way.
OWN_FIELDS = (
    "forwarded",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-gslb-hops",
    "x-request-id",
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key, in PEM files that are read again when they change."""

    cert_file: str
    key_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How TLS is ended at a listener: the first certificate is for names that none is for.

    With `client_ca_file`, clients show a certificate that one of these authorities signed, or
    may show one where `client_required` is false.  `min_version` is ``1.2`` or ``1.3``.
    """

    certificates: tuple[Certificate, ...]
    client_ca_file: str | None = None
    client_required: bool = True
    min_version: str = "1.2"
    http2: bool = True


@dataclass(frozen=True, slots=True)
class Balance:
    """How a member is chosen among those that may be given a request.

    `kind` is ``round_robin``, ``least_connections``, ``least_time``, ``random``, ``ip_hash`` or
    ``hash``.  For a hash, `by` is ``path``, ``query``, ``header``, ``cookie`` or ``client``, with
    the `name` of what is hashed where it has one, and no member has more than `bound` times its
    part of all that is under way.
    """

    kind: str = "least_connections"
    by: str | None = None
    name: str | None = None
    bound: float = 1.25


@dataclass(frozen=True, slots=True)
class PassRoute:
    """In ``tcp`` mode: to which service connections go whose TLS server name matches.

    `server_names` are host names, or wildcards such as ``*.example.com``; none match all.
    """

    server_names: tuple[str, ...]
    service: str
    balance: Balance = Balance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port at the addresses of the region's proxies.

    `mode` is ``http``, or ``tcp`` with `passes`: connections passed on as they are.  With
    `proxy_protocol`, each connection begins with a PROXY header, and is closed without one.
    """

    port: int
    mode: str = "http"
    tls: Tls | None = None
    proxy_protocol: bool = False
    passes: tuple[PassRoute, ...] = ()

    @property
    def looks_at_names(self) -> bool:
        """Return whether the server name decides where a connection goes."""
        return any(each.server_names for each in self.passes)


@dataclass(frozen=True, slots=True)
class Has:
    """A header, cookie or parameter that a request must have, or must not have if `absent`.

    `value` is what it must be, `pattern` a regular expression that must be found in it; without
    either it must be there.
    """

    name: str
    value: str | None = None
    pattern: str | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What requests a route is for: all that is said must hold; what is empty says nothing.

    `hosts` are names without a port, or wildcards such as ``*.example.com``.  `path_kind` is
    ``exact``, ``prefix`` or ``regex`` and `path` what the decoded path is compared with, None
    for every path.  `scheme` is ``http`` or ``https``.  `countries` are upper-case codes.
    """

    hosts: tuple[str, ...] = ()
    path_kind: str = "prefix"
    path: str | None = None
    methods: frozenset[str] = frozenset()
    scheme: str | None = None
    headers: tuple[Has, ...] = ()
    cookies: tuple[Has, ...] = ()
    query: tuple[Has, ...] = ()
    clients: tuple[Network, ...] = ()
    countries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Forward:
    """Send it to a service; to one of several by weight, where there are several.

    With `sticky`, the name of a cookie, a client keeps the part that it first got.  `key` signs
    that cookie; empty where it is not signed, and clients can choose their part by it.
    """

    parts: tuple[tuple[str, int], ...]
    sticky: str | None = None
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect to `to`, where {scheme}, {host}, {path} and {query} are filled in."""

    to: str
    status: int = 308


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer with this."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse with an error page."""

    status: int = 403


Action = Forward | Redirect | Respond | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What is changed of requests and responses on their way.

    Where `path_pattern`, a regular expression, is found in the path, it becomes `path_to` (which
    may name groups as ``\\1``).  `host` replaces the Host.  Header names are lower case in what is
    removed, and as written in what is set; a header that is set replaces all of that name.
    """

    path_pattern: str | None = None
    path_to: str = ""
    host: str | None = None
    set: tuple[tuple[str, str], ...] = ()
    remove: frozenset[str] = frozenset()
    response_set: tuple[tuple[str, str], ...] = ()
    response_remove: frozenset[str] = frozenset()


UNCHANGED = Rewrite()


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """What makes a client keep its member: a ``cookie`` signed by `key`, a ``header``, ``client``.

    A drained member keeps its clients for `drain_s` after the drain began.
    """

    by: str
    name: str = ""
    key: bytes = field(default=b"", repr=False)
    ttl_s: float = 3600.0
    drain_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a member may take: to accept, until its response begins, between octets, in all.

    In a tunnel, such as a WebSocket, `tunnel_s` may pass between octets.
    """

    connect_s: float = 1.0
    response_s: float = 30.0
    idle_s: float = 60.0
    tunnel_s: float = 3600.0
    total_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a request is tried again on another member: at most `tries` in all, and only if safe.

    A request that was never sent may always be tried again; one that was sent, if its method is
    idempotent, and its member closed the connection, took too long, or answered with a status of
    `statuses`.  Of a service's requests at most `budget_percent` may be retries.
    """

    tries: int = 3
    budget_percent: int = 20
    statuses: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket for each ``client``, for each value of a ``header``, or for the ``route``."""

    per_s: float
    burst: int
    by: str = "client"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A rule: which requests it is for (any of `matches`, all if there are none), and what of them.

    `body_max` is the greatest body in octets, None for any.  A body of up to `buffer` octets is
    read whole before a member is chosen.  `hsts_s` is what Strict-Transport-Security promises.
    """

    name: str
    matches: tuple[Match, ...] = ()
    action: Action
    balance: Balance = Balance()
    affinity: Affinity | None = None
    rewrite: Rewrite = UNCHANGED
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    rates: tuple[Rate, ...] = ()
    body_max: int | None = None
    buffer: int = 64 * KIB
    hsts_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """TLS to members: verified against `ca_file` (None: the system's authorities), by `name`.

    `name` is the server name that is asked for and verified; None for the request's host.
    """

    verify: bool = True
    ca_file: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejection:
    """When a member is left out because of what real requests met; None switches a rule off.

    After `errors` responses of 500 and more in a row, `connect_errors` failures in a row, or
    when its latency is `slow_factor` times the others'.  Left out for `base_s`, doubled each time
    up to `max_s`; never more than `most_percent` of a region's members.
    """

    errors: int | None = 5
    connect_errors: int | None = 3
    slow_factor: float | None = None
    base_s: float = 10.0
    max_s: float = 300.0
    most_percent: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """How the members of a service are connected to.

    `connections_max` for each member, in all of a region's processes on this host; what is above
    waits in a queue of at most `queue_max` for at most `queue_s`.  `idle_max` connections are kept
    for `idle_s`.  A member that came up gets its share over `slow_start_s`.  `proxy_protocol` is
    the version of the PROXY header that is sent, 0 for none.  `host` replaces the Host.
    """

    service: str
    port: int = 80
    tls: UpstreamTls | None = None
    host: str | None = None
    connections_max: int = 1024
    queue_max: int = 1024
    queue_s: float = 1.0
    idle_max: int = 256
    idle_s: float = 30.0
    slow_start_s: float = 0.0
    proxy_protocol: int = 0
    ejection: Ejection | None = Ejection()

    def connections_each(self, workers: int) -> int:
        """Return how many connections to a member each of so many processes may have."""
        return max(1, -(-self.connections_max // workers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """Where requests go when nobody lives here: the next region's proxies or members, in order.

    `to` holds ``proxies`` and ``members`` in the order in which they are tried; empty for neither.
    Proxies are spoken to at `port`, with `tls` if it is there.
    """

    to: tuple[str, ...] = ("proxies", "members")
    port: int = 80
    tls: UpstreamTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may cost: sizes, times, and numbers of connections.

    A head must have come whole within `head_s` of its first octet, and a new request within
    `keep_alive_s` of the last; a body's next octets within `body_s`.
    """

    head_max: int = 32 * KIB
    fields_max: int = 100
    head_s: float = 10.0
    keep_alive_s: float = 75.0
    body_s: float = 30.0
    connections_max: int = 50_000
    connections_per_client: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered in place of an error's plain text."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """The L7 tier as written; `engine` is ``gslb`` or ``haproxy``.

    `workers` is the number of processes, None for one a core.  `trusted` networks are believed
    what their headers say of clients.  `access_log` is ``stdout``, the absolute path of a file, or
    None.  `admin` is the host and port of metrics and state, None for none.  At the end, what runs
    is given `drain_s` to finish.  `haproxy` is the program that the engine of that name runs.
    """

    engine: str = "gslb"
    listeners: tuple[Listener, ...] = ()
    routes: tuple[Route, ...] = ()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    across: Across = Across()
    limits: Limits = Limits()
    pages: Mapping[int, Page] = field(default_factory=dict)
    workers: int | None = None
    trusted: tuple[Network, ...] = ()
    via: str | None = None
    access_log: str | None = None
    admin: tuple[str, int] | None = None
    drain_s: float = 30.0
    haproxy: str = "haproxy"
