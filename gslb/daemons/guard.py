"""Who may change state over the admin API.

With `admin_token` configured, whoever knows it.  Without one, whoever can reach a listener
on loopback: that is everyone on the host, and nobody else.

But a browser on the host runs pages from elsewhere, and lets them send requests to
loopback: across sites, by a form or a script; or as the same site, when the page's own name
is made to resolve to 127.0.0.1 (DNS rebinding).  Such a page cannot set the Host header to
anything but its own name, its Origin header tells where it comes from, and without our
consent (CORS, which we never give) it cannot send a body as application/json.  So without a
token all three are looked at; a token needs none of it, since a foreign page has not got it.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from aiohttp import web

from gslb.config.settings import Endpoint
from gslb.daemons.jsonhttp import RequestError

JSON = "application/json"
REALM = 'Bearer realm="gslb"'


def check(request: web.BaseRequest, token: str | None, endpoint: Endpoint) -> bool:
    """Return whether the request has shown *token*; False where none is needed.

    `endpoint` is where it was received.  Raises RequestError if it must not change anything.
    """
    if token is not None:
        _check_token(request, token)
    elif is_loopback(endpoint.host):
        _check_site(request, endpoint)
    else:
        raise RequestError(
            403,
            "nothing may be changed here: this address is not on loopback and there is no token",
            "set `admin_token` in the configuration",
        )
    _check_type(request)
    return token is not None


def is_loopback(host: str) -> bool:
    """Return whether *host*, an address as text, is reached from this host alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_token(request: web.BaseRequest, token: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # In constant time, so that answering tells nothing of how much was right.
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not same:
        problem = "the token is wrong" if given else "this needs the admin token"
        hint = "send `Authorization: Bearer TOKEN`; commands take --token or GSLB_ADMIN_TOKEN"
        raise RequestError(401, problem, hint, {"WWW-Authenticate": REALM})


def _check_site(request: web.BaseRequest, endpoint: Endpoint) -> None:
    host = request.headers.get("Host", "")
    name = _name_of(host)
    if name not in ("localhost", endpoint.host) and not is_loopback(name):
        raise RequestError(
            403,
            f"changes asked for under the host {host[:100]!r} are refused without a token",
            f"use http://{endpoint}, or set `admin_token`",
        )
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        raise RequestError(
            403,
            f"changes asked for by a page of {origin[:100]} are refused without a token",
            "use the command line, or set `admin_token`",
        )


def _name_of(host: str) -> str:
    """Return a Host header's value without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _check_type(request: web.BaseRequest) -> None:
    given = request.headers.get("Content-Type")
    if not request.body_exists or request.method == "DELETE":
        return
    if given is None or request.content_type != JSON:
        raise RequestError(
            415,
            f"a body of type {(given or 'unknown')[:100]} is not understood",
            f"send `Content-Type: {JSON}`",
        )
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestError(415, "the body is compressed", "send it as it is")
