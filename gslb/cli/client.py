"""A running node's admin API, called from a command.

One request and one bounded wait, so that a command never hangs.  Environment variables that name
proxies are not looked at and redirects not followed: the token goes where the operator said.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from gslb.errors import GslbError

ADMIN = "http://127.0.0.1:8053"
TIMEOUT_S = 10.0
RESPONSE_MAX_BYTES = 64 * 2**20

_START_HINT = "is the node running there? `listen: {admin: …}` says where; give it with --admin"


class ApiError(GslbError):
    """A node cannot be asked, or says no; prints with its hint.

    `status` is that of the response, or None where there was none.
    """

    def __init__(self, problem: str, hint: str, status: int | None = None) -> None:
        super().__init__(f"{problem}\n  hint: {hint}" if hint else problem)
        self.problem = problem
        self.hint = hint
        self.status = status


def call(
    admin: str,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: object = None,
    token: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Return what the node at the URL *admin* answers, decoded; None for an empty response.

    *path* is percent-encoded already.  Raises ApiError, also for a response that takes longer
    than *timeout_s* in all.
    """
    asked = urlencode(query or {}, errors="surrogateescape")
    url = f"{_base(admin)}{path}{'?' if asked else ''}{asked}"
    return asyncio.run(_call(url, method, body, token, timeout_s))


def _base(admin: str) -> str:
    """Return scheme, host and port of a URL; raises ApiError for anything else."""
    hint = f"write it as {ADMIN}, or with https"
    text = admin if "://" in admin else f"http://{admin}"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ApiError(f"{admin!r} is not a URL: {error}", hint) from None
    if not good or parts.username is not None or not admin.isprintable() or " " in admin:
        raise ApiError(f"{admin!r} is not the URL of a node", hint)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ApiError(f"{admin!r} holds more than scheme, host and port", hint)
    return f"{parts.scheme}://{parts.netloc}"


async def _call(url: str, method: str, body: object, token: str | None, timeout_s: float) -> Any:
    where = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=False
            ) as session,
            session.request(
                method,
                url,
                json=body,
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            octets = await _read(response.content, where)
            return _judged(response.status, octets, where)
    except TimeoutError:
        problem = f"{where} did not answer within {timeout_s:g} s"
        raise ApiError(problem, _START_HINT) from None
    except aiohttp.ClientSSLError as error:
        hint = "its certificate must be one that this host trusts"
        raise ApiError(f"no TLS with {where}: {error}", hint) from None
    except aiohttp.ClientConnectorError as error:
        number = error.os_error.errno
        # A look-up of a name has numbers of its own, all negative.
        own = error.os_error.strerror or error.os_error
        reason = os.strerror(number) if number and number > 0 else own
        raise ApiError(f"cannot reach {where}: {reason}", _START_HINT) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ApiError(f"cannot talk to {where}: {error}", _START_HINT) from None


async def _read(content: aiohttp.StreamReader, where: str) -> bytes:
    octets = bytearray()
    async for some in content.iter_any():
        octets += some
        if len(octets) > RESPONSE_MAX_BYTES:
            problem = f"{where} sends more than {RESPONSE_MAX_BYTES} bytes"
            raise ApiError(problem, "is that a gslb node?")
    return bytes(octets)


def _judged(status: int, octets: bytes, where: str) -> Any:
    """Return the value in a response; raises ApiError if it is an error, or no answer of a node."""
    strange = ApiError(
        f"{where} answers with status {status} and no JSON", "is that a gslb node?", status
    )
    if not octets and 200 <= status < 300:
        return None
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        raise strange from None
    if 200 <= status < 300:
        return value
    if not isinstance(value, dict) or not isinstance(value.get("error"), str):
        raise strange
    raise ApiError(value["error"], str(value.get("hint", "")), status)
