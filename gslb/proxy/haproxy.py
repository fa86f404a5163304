"""The L7 tier in HAProxy's words: the whole configuration of one region's HAProxy 2.6.

`render` is a pure function from what the operator wrote, and from the servers that there should be
now, to files.  What HAProxy has no words for is an `EngineError` that lists it all
(`gslb.proxy.haproxycheck`); how routes, backends and servers are said is in `haproxyroutes`,
`haproxybackends` and `haproxypools` beside this.

    file of                     holds
    ``haproxy.cfg``             `Rendered.config`
    ``certificate-0.pem`` …     a chain and its key, joined by who writes the files
    ``listen-443.list``         which of them a listener has, the first for names that none is for
    ``page-503``, ``respond-2`` bodies of error pages, and of routes that respond
    ``admin.sock``              the runtime API, ``peer.sock``: tables passed on to who comes next

What each key becomes:

    key                       in HAProxy 2.6
    ``listen``                a frontend each, bound at the region's proxies; ``accept-proxy``
    ``listen.tls``            ``crt-list``, ``alpn``, ``ssl-min-ver``, ``ca-file`` with ``verify``
    ``listen.pass``           ``mode tcp``; ``req.ssl_sni``, or ``ssl_fc_sni`` behind ``tls``
    ``match``                 ACLs over variables; **no** ``countries``
    ``service``, ``split``    ``use_backend`` by a variable; ``rand``; ``sticky`` by ``req.cook``
    ``redirect respond deny`` ``redirect``, ``return``; bodies up to 12 KiB
    ``balance``               ``roundrobin leastconn random(1)``, ``hash`` with ``consistent`` and
                              ``hash-balance-factor``; **no** ``least_time``
    ``affinity``              a signed cookie with ``use-server``; a stick table
    ``rewrite``               ``regsub``, ``set-header``, ``del-header``, in members' backends only
    ``timeouts``              ``connect``; ``server``: *one* for response and idle; ``tunnel``;
                              **no** ``total``
    ``retry``                 ``retries``, ``retry-on``, safe methods only; *no* ``budget``
    ``rates``                 ``gpc0_rate`` in a window of burst / rate, 3 at most
    ``body_size buffer``      ``req.body_size``, ``wait-for-body``; 411 where neither can tell
    ``services.queue …``      ``maxconn``, ``maxqueue``, ``timeout queue``, for each pool
    ``services.tls …``        ``ssl verify ca-file sni verifyhost``, ``send-proxy``, ``slowstart``
    ``services.eject``        ``observe``, ``error-limit``, ``check``: *both* limits in one, *no*
                              ``max``, ``most``; **no** ``slow_factor``
    ``across``                backends of other regions, in one order; **no** fences
    ``limits``                ``timeout``, ``maxconn``, ``tune``; a table of clients
    ``errors``                ``http-error``, ``return``
    ``trusted``, ``via`` …    ``set-src``; the same fields as the other engine's
    ``access_log``            JSON on its stdout, which is the file
    ``admin``                 not HAProxy's: the parent's

**no**: a complaint.  *no*: a complaint where it was written, a note where it is by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gslb.errors import EngineError
from gslb.model import Region, Service
from gslb.proxy import haproxybackends, haproxycheck, haproxyroutes
from gslb.proxy.haproxypools import (
    PROXIES,
    Backend,
    Wanted,
    backends_of,
    key_of,
    names_of,
    pools_of,
)
from gslb.proxy.haproxyroutes import page_file, reply
from gslb.proxy.haproxywords import HOLDER, milliseconds, word
from gslb.tier import KIB, Certificate, Listener, Respond, Tier

__all__ = ["PROXIES", "Rendered", "Wanted", "render"]

CONFIG = "haproxy.cfg"
SOCKET = "admin.sock"
OWN_ERRORS = (400, 408, 500, 502, 503, 504)  # what HAProxy itself answers with
ROOM = 8 * KIB  # in a buffer beside what a client may send: fields that are added, bookkeeping
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
LOG = (
    ("time", "%[date,utime(%Y-%m-%dT%H:%M:%SZ)]", True),
    ("client", "%[var(txn.client)]", True),
    ("method", "%[var(txn.method),json(utf8s)]", True),
    ("host", "%[var(txn.host),json(utf8s)]", True),
    ("path", "%[var(txn.raw),json(utf8s)]", True),
    ("status", "%ST", False),
    ("bytes_in", "%U", False),
    ("bytes_out", "%B", False),
    ("route", "%[var(txn.name),json(utf8s)]", True),
    ("service", "%[var(txn.service),json(utf8s)]", True),
    ("member", "%si:%sp", True),
    ("region", "%[var(txn.region),json(utf8s)]", True),
    ("retries", "%rc", True),
    ("hop", "%[var(txn.hops),json(utf8s)]", True),
    ("duration_ms", "%Ta", False),
    ("connect_ms", "%Tc", False),
    ("first_byte_ms", "%Tr", False),
    ("tls", "%sslv", True),
    ("http", "%HV", True),
    ("request_id", "%[var(txn.id),json(utf8s)]", True),
    ("user_agent", "%[var(txn.agent),json(utf8s)]", True),
    ("referer", "%[var(txn.referer),json(utf8s)]", True),
    ("error", "%ts", True),
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everything that one HAProxy is started with.

    `files` are to stand in its folder under these names, and `joined` likewise: chain and key of
    a certificate in one.  `backends` are those that have servers.  `notes` say what is a little
    otherwise than in the tier's defaults.
    """

    config: str
    files: Mapping[str, bytes]
    joined: Mapping[str, Certificate]
    backends: tuple[Backend, ...]
    notes: tuple[str, ...]


def render(
    tier: Tier,
    region: str,
    *,
    services: Mapping[str, Service],
    regions: Mapping[str, Region],
    order: Sequence[str],
    wanted: Mapping[str, Sequence[Wanted]],
    folder: str,
    files: str,
) -> Rendered:
    """Return what the HAProxy of *region* is started with.

    *order* is that of the regions where requests go when nobody lives here.  *wanted* are the
    servers by the text of their service, and the proxies of all regions under `PROXIES`.
    *folder* is the absolute path of where its sockets are, *files* of where files will stand.
    Raises EngineError.
    """
    if complaints := haproxycheck.check(tier, region, services, regions):
        raise EngineError("HAProxy cannot do what is configured:", complaints)
    joined: dict[str, Certificate] = {}
    bodies = _bodies(tier)
    for listener in tier.listeners:
        bodies.update(_list(listener, joined, files))
    backends = backends_of(tier, region, order)
    addresses = [str(proxy.address) for proxy in regions[region].proxies]
    lines = [*_global(tier, folder, files), "", *_defaults(tier)]
    for listener in tier.listeners:
        lines += ["", *_frontend(tier, region, listener, order, addresses, _trusted(tier, regions))]
    for backend in backends:
        lines += ["", *haproxybackends.section(tier, region, backend, wanted)]
    lines += ["", *_tables(tier), *_authorities(tier)]
    notes = tuple(haproxycheck.notes(tier))
    return Rendered("\n".join(lines) + "\n", bodies, joined, backends, notes)


def _bodies(tier: Tier) -> dict[str, bytes]:
    files = {page_file(status): page.body for status, page in tier.pages.items()}
    for index, route in enumerate(tier.routes):
        if isinstance(route.action, Respond):
            files[haproxyroutes.body_file(index)] = route.action.body
    return files


def _list(listener: Listener, joined: dict[str, Certificate], files: str) -> dict[str, bytes]:
    if listener.tls is None:
        return {}
    names = []
    for certificate in listener.tls.certificates:
        known = {each: name for name, each in joined.items()}
        name = known.get(certificate, f"certificate-{len(joined)}.pem")
        joined[name] = certificate
        names.append(f"{files}/{name}\n")
    return {f"listen-{listener.port}.list": "".join(names).encode()}


def _trusted(tier: Tier, regions: Mapping[str, Region]) -> list[str]:
    """Return whose headers are believed: the networks that are named, and all regions' proxies."""
    proxies = {str(each.address) for region in regions.values() for each in region.proxies}
    return [*map(str, tier.trusted), *sorted(proxies)]


def _global(tier: Tier, folder: str, files: str) -> Iterator[str]:
    yield "global"
    yield f"    stats socket {word(folder + '/' + SOCKET)} mode 600 level admin expose-fd listeners"
    yield "    stats timeout 30s"
    yield f"    default-path origin {word(files)}"
    yield "    localpeer gslb"
    if tier.workers is not None:
        yield f"    nbthread {tier.workers}"
    yield f"    maxconn {tier.limits.connections_max}"
    yield "    no strict-limits"
    yield f"    tune.bufsize {tier.limits.head_max + haproxyroutes.read_ahead(tier) + ROOM}"
    yield "    tune.maxrewrite 4096"
    yield f"    tune.http.maxhdr {tier.limits.fields_max + 1}"
    yield "    tune.ssl.default-dh-param 2048"
    yield f"    ssl-default-bind-ciphers {CIPHERS}"
    yield "    ssl-default-bind-options no-tls-tickets"
    if tier.access_log is not None:
        yield "    log stdout format raw daemon"
    yield ""
    yield "peers gslb"
    yield f"    peer gslb {word('unix@' + folder + '/peer.sock')}"


def _defaults(tier: Tier) -> Iterator[str]:
    limits = tier.limits
    yield "defaults"
    yield "    mode http"
    yield "    option dontlognull"
    yield "    http-reuse safe"
    yield f"    timeout http-request {milliseconds(limits.head_s)}"
    yield f"    timeout http-keep-alive {milliseconds(limits.keep_alive_s)}"
    yield f"    timeout client {milliseconds(limits.body_s)}"
    yield f"    timeout client-fin {milliseconds(limits.body_s)}"
    yield "    timeout connect 1s"
    yield "    timeout server 60s"
    if tier.access_log is not None:
        yield "    log global"
    for status in OWN_ERRORS:
        fields = (("Retry-After", "1"),) if status == 503 else ()
        said = reply(tier.pages, status, fields=fields)
        yield f"    http-error {said.removeprefix('return ')}"


def _frontend(
    tier: Tier,
    region: str,
    listener: Listener,
    order: Sequence[str],
    addresses: Sequence[str],
    trusted: Sequence[str],
) -> Iterator[str]:
    yield f"frontend listen-{listener.port}"
    for address in addresses:
        yield f"    {_bind(listener, address)}"
    if listener.mode == "tcp":
        rules = _passing(tier, region, listener, order)
    else:
        rules = _routing(tier, region, listener, order, trusted)
    yield from (f"    {rule}" for rule in (*_admitting(tier), *rules))


def _bind(listener: Listener, address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    said = ["bind", f"{host}:{listener.port}"]
    if listener.proxy_protocol:
        said.append("accept-proxy")
    tls = listener.tls
    if tls is not None:
        said += [
            "ssl",
            "crt-list",
            f"listen-{listener.port}.list",
        ]  # in the folder that it is run in
        said += ["ssl-min-ver", f"TLSv{tls.min_version}"]
        if listener.mode == "http":
            said += ["alpn", "h2,http/1.1" if tls.http2 else "http/1.1"]
        if tls.client_ca_file is not None:
            said += ["ca-file", word(tls.client_ca_file), "verify"]
            said.append("required" if tls.client_required else "optional")
    return " ".join(said)


def _admitting(tier: Tier) -> Iterator[str]:
    yield f"maxconn {tier.limits.connections_max}"
    most = tier.limits.connections_per_client
    if most is not None:
        yield f"tcp-request session track-sc0 {HOLDER} table clients"
        yield f"tcp-request session reject if {{ sc0_conn_cur gt {most} }}"


def _routing(
    tier: Tier, region: str, listener: Listener, order: Sequence[str], trusted: Sequence[str]
) -> Iterator[str]:
    yield "option idle-close-on-response"  # a soft stop closes no idle connection at once
    if tier.access_log is not None:
        yield f"log-format {haproxyroutes.word_of(log_format())}"
    yield from haproxyroutes.opening(tier, trusted, tls=listener.tls is not None)
    yield from haproxyroutes.matching(tier.routes)
    yield from haproxyroutes.acting(tier, names_of(pools_of(tier)))
    yield from haproxyroutes.passing(tier, region)
    yield from haproxyroutes.climbing(tier, region, order, http=True)


def log_format() -> str:
    """Return the format of the access log: one JSON object a line (HAProxy 2.6, 8.2.4)."""
    fields = (f'"{key}":' + (f'"{said}"' if text else said) for key, said, text in LOG)
    return "{" + ",".join(fields) + "}"


def _passing(tier: Tier, region: str, listener: Listener, order: Sequence[str]) -> Iterator[str]:
    yield "mode tcp"
    names = names_of(pools_of(tier))
    if listener.looks_at_names and listener.tls is None:
        yield f"tcp-request inspect-delay {milliseconds(tier.limits.head_s)}"
    fetch = "req.ssl_sni" if listener.tls is None else "ssl_fc_sni"
    for number, each in enumerate(listener.passes):
        yield from (
            f"acl pass{number} {haproxyroutes.host_test(name, fetch)}" for name in each.server_names
        )
        chosen = f"tcp-request content set-var(txn.way) str({names[key_of(each.service, each)]})"
        named = f" pass{number}" if each.server_names else ""
        yield f"{chosen} if !{{ var(txn.way) -m found }}{named}"
    if listener.looks_at_names:
        if listener.tls is None:
            yield "tcp-request content accept if { req.ssl_hello_type 1 }"
        yield "tcp-request content reject if !{ var(txn.way) -m found }"
    yield from haproxyroutes.climbing(tier, region, order, http=False)


def _tables(tier: Tier) -> Iterator[str]:
    if tier.limits.connections_per_client is not None:
        yield "backend clients"
        yield "    stick-table type ipv6 size 200k expire 1h store conn_cur"
    for index, route in enumerate(tier.routes):
        for number, rate in enumerate(route.rates):
            yield from haproxyroutes.table(haproxyroutes.table_of(index, number), rate)


def _authorities(tier: Tier) -> Iterator[str]:
    """Yield servers that nobody is sent to: what they name is read, for servers that come later."""
    named = {pool.upstream.tls.ca_file for pool in pools_of(tier) if pool.upstream.tls is not None}
    if tier.across.tls is not None:
        named.add(tier.across.tls.ca_file)
    files = sorted(each for each in named if each is not None)
    if files:
        yield "backend authorities"
    for index, each in enumerate(files):
        said = f"ssl verify required ca-file {word(each)} disabled"
        yield f"    server a{index} 127.0.0.1:1 {said}"
