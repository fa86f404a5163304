"""The admin API described for machines: an OpenAPI 3.1 document, written by hand.

It is what `GET /openapi.json` answers.  A test holds it to the routes that there are, and to
the responses that they give.
"""

from __future__ import annotations

from typing import Any

from gslb import __version__
from gslb.daemons.openapischemas import SCHEMAS

Json = dict[str, Any]

_ERRORS = {
    "400": "The request is malformed.",
    "401": "The admin token is missing or wrong.",
    "403": "Refused: without a token, only for this host, and not for pages from elsewhere.",
    "404": "There is no such thing here.",
    "408": "The body did not arrive in time.",
    "409": "Not possible as things are.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "503": "Not now.",
}


def document() -> Json:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gslb admin API",
            "version": __version__,
            "description": (
                "What a node knows, and the words an operator may put in. Errors are "
                "`Error` objects. Reading is open; changing needs the admin token where one "
                "is configured."
            ),
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/": {"get": _get("A status page for people.", "statusPage", _text("text/html"))},
            "/healthz": {"get": _get("Whether the process is alive.", "alive", _json("Alive"))},
            "/readyz": {"get": _ready()},
            "/metrics": {
                "get": _get("Metrics for Prometheus.", "metrics", _text("text/plain")),
            },
            "/openapi.json": {
                "get": _get("This document.", "openapi", _json({"type": "object"})),
            },
            "/v1/status": {"get": _get("How the node is.", "status", _json("Status"))},
            "/v1/members": {
                "get": _get("All members and what is known of them.", "members", _json("Members")),
            },
            "/v1/members/{address}/forced": _forced("address", "a member"),
            "/v1/regions/{region}/forced": _forced("region", "a region"),
            "/v1/pools/{service}/{region}/members/{address}": _registering(),
            "/v1/explain": {"get": _explain()},
            "/v1/publish": {"post": _publish()},
            "/v1/reports": {"post": _posted("report", "A vantage's whole table, numbered.")},
            "/v1/words": {"post": _posted("words", "Another node's bulletin: operators' words.")},
            "/v1/events": {"get": _events()},
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {code: _error(text) for code, text in _ERRORS.items()},
        },
    }


def _ref(kind: str, which: str) -> Json:
    return {"$ref": f"#/components/{kind}/{which}"}


def _json(schema: str | Json) -> Json:
    named = _ref("schemas", schema) if isinstance(schema, str) else schema
    return {"application/json": {"schema": named}}


def _text(kind: str) -> Json:
    return {kind: {"schema": {"type": "string"}}}


def _error(text: str) -> Json:
    return {"description": text, "content": _json("Error")}


def _errors(*codes: str) -> Json:
    return {code: _ref("responses", code) for code in codes}


def _get(summary: str, operation: str, content: Json) -> Json:
    good = {"description": summary, "content": content}
    return {"operationId": operation, "summary": summary, "responses": {"200": good}}


def _query(name: str, text: str, *, required: bool = False) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": text,
        "schema": {"type": "string"},
    }


def _ready() -> Json:
    operation = _get("Whether the node trusts what it serves.", "ready", _json("Ready"))
    operation["responses"]["503"] = {
        "description": "First verdicts are waited for; the body says how many.",
        "content": _json("Ready"),
    }
    return operation


def _forced(variable: str, whom: str) -> Json:
    address = {
        "name": variable,
        "in": "path",
        "required": True,
        "description": f"Of {whom}: its address, host name or name, percent-encoded.",
        "schema": {"type": "string"},
    }
    service = _query("service", "Only in this service; without it, in all that have the member.")
    errors = ("400", "401", "403", "404")
    return {
        "parameters": [address, service],
        "put": {
            "operationId": "force" if variable == "address" else "forceRegion",
            "summary": f"Let an operator's word hold for {whom}.",
            "parameters": [_query("careful", "true: 409 where it would cost too much.")],
            "security": [{"token": []}, {}],
            "requestBody": {"required": True, "content": _json("Word")},
            "responses": {
                "200": {"description": "The word that holds now.", "content": _json("Forced")},
                **_errors(*errors, "408", "409", "413", "415"),
            },
        },
        "delete": {
            "operationId": "release" if variable == "address" else "releaseRegion",
            "summary": "Take an operator's word back, if there is one.",
            "security": [{"token": []}, {}],
            "responses": {
                "204": {"description": "No word holds."},
                **_errors(*errors),
            },
        },
    }


def _registering() -> Json:
    errors = ("400", "401", "403", "404", "409")
    return {
        "parameters": [
            _in_path("service", "The service's name."),
            _in_path("region", "The region of its pool, which must let members register."),
            _in_path("address", "The member's IPv4 or IPv6 address."),
        ],
        "put": {
            "operationId": "register",
            "summary": "Let a member be in a pool for a while; again and again as a heart-beat.",
            "security": [{"token": []}, {}],
            "requestBody": {"required": False, "content": _json("Registration")},
            "responses": {
                "200": {"description": "The lease that holds now.", "content": _json("Registered")},
                **_errors(*errors, "408", "413", "415"),
            },
        },
        "delete": {
            "operationId": "leave",
            "summary": "End a member's lease at once, if there is one.",
            "security": [{"token": []}, {}],
            "responses": {"204": {"description": "No lease holds."}, **_errors(*errors)},
        },
    }


def _in_path(name: str, text: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string"},
    }


def _explain() -> Json:
    return {
        "operationId": "explain",
        "summary": "What one client is answered, and why.",
        "parameters": [
            _query("name", "The domain name that is asked for.", required=True),
            _query("client", "The client: an address or a network.", required=True),
            _query("type", "A record type; by default A, or AAAA where there is only that."),
        ],
        "responses": {
            "200": {"description": "The explanation.", "content": _json("Explanation")},
            **_errors("400", "404"),
        },
    }


def _publish() -> Json:
    return {
        "operationId": "publish",
        "summary": "Let go what the safety catch holds back.",
        "security": [{"token": []}, {}],
        "responses": {
            "204": {"description": "Nothing is held any more."},
            **_errors("401", "403", "409", "415"),
        },
    }


def _posted(operation: str, summary: str) -> Json:
    """Describe what vantages and other nodes post: octets under a key of their sender's."""
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {"required": True, "content": octets},
        "responses": {
            "200": {"description": "Taken; the node's own bulletin.", "content": octets},
            "204": {"description": "Taken."},
            **_errors("400", "401", "403", "408", "409", "413"),
        },
    }


def _events() -> Json:
    operation = _get(
        "What changes from now on, as server-sent events; comments keep the connection open.",
        "events",
        _text("text/event-stream"),
    )
    operation["responses"].update(_errors("503"))
    return operation
