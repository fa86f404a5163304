"""The shapes of the admin API as JSON Schema, for the OpenAPI document.

Objects say which keys they always have, and nothing against more of them: keys are added
in later versions, never taken away.
"""

from __future__ import annotations

from typing import Any

from gslb.daemons.words import BY_CHARS_MAX, REASON_CHARS_MAX
from gslb.health.belief import Word
from gslb.health.verdict import Verdict
from gslb.model import WEIGHT_MAX, Source, VoterKind
from gslb.routing.climb import Outcome

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
TEXT_OR_NULL: Json = {"type": ["string", "null"]}
TIME_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
NUMBER: Json = {"type": "number"}
NUMBER_OR_NULL: Json = {"type": ["number", "null"]}
WHOLE: Json = {"type": "integer", "minimum": 0}
SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
TRUTH: Json = {"type": "boolean"}
VERDICT: Json = {"enum": [verdict.value for verdict in Verdict]}
SOURCE: Json = {"enum": [source.value for source in Source]}
WORD: Json = {"enum": [word.value for word in Word]}


def _object(optional: tuple[str, ...] = (), **properties: Json) -> Json:
    required = [key for key in properties if key not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(name: str) -> Json:
    return {"oneOf": [_ref(name), {"type": "null"}]}


_FORCED = _object(
    optional=("whole_at", "clear_at", "clear_in_s", "ttl_s"),
    word=WORD,
    until=TIME_OR_NULL,
    reason=TEXT,
    by=TEXT,
    whole_at=TEXT,
    clear_at=TIME_OR_NULL,
    clear_in_s=NUMBER_OR_NULL,
    ttl_s=WHOLE,
)
_MEMBER = _object(
    optional=("pool_weight", "lives", "held"),
    address=TEXT,
    service=TEXT_OR_NULL,
    region=TEXT,
    weight=WHOLE,
    pool_weight=WHOLE,
    source=SOURCE,
    until=TIME_OR_NULL,
    verdict=VERDICT,
    reason=TEXT,
    since=TIME_OR_NULL,
    forced=_or_null("Forced"),
    votes=_list(
        _object(vantage=TEXT, verdict=VERDICT, age_s=NUMBER, reason=TEXT, left_out=TEXT_OR_NULL)
    ),
    monitor=TEXT_OR_NULL,
    probe=TEXT_OR_NULL,
    last_result=TEXT_OR_NULL,
    lives=TRUTH,
    held=TRUTH,
)
_ZONE = _object(zone=TEXT, state={"enum": ["served", "broken"]}, error=TEXT_OR_NULL, services=WHOLE)
_RUNG = _object(
    regions=_list(TEXT),
    living_share=NUMBER,
    outcome={"enum": [outcome.value for outcome in Outcome]},
    members=_list(
        _object(
            address=TEXT,
            region=TEXT,
            share=SHARE,
            verdict=VERDICT,
            forced={"enum": [*WORD["enum"], None]},
            kept=TRUTH,
            why=TEXT,
        )
    ),
)

SCHEMAS: Json = {
    "Error": _object(error=TEXT, hint=TEXT),
    "Alive": _object(status={"const": "ok"}),
    "Ready": _object(
        optional=("waiting_for", "error", "hint"),
        ready=TRUTH,
        generation=WHOLE,
        restored=TRUTH,
        zones_with_errors=_list(_ref("Zone")),
        waiting_for=WHOLE,
        error=TEXT,
        hint=TEXT,
    ),
    "Zone": _ZONE,
    "Status": _object(
        node=TEXT,
        version=TEXT,
        engine={"enum": ["python", "native"]},
        generation=WHOLE,
        config_hash=TEXT,
        snapshot_age_s=NUMBER,
        uptime_s=NUMBER,
        settled=TRUTH,
        restored=TRUTH,
        held=_object(members=WHOLE, since=TIME_OR_NULL),
        geo_held=TEXT_OR_NULL,
        alarms=_list(_object(service=TEXT, alarm=TEXT)),
        counts=_object(
            services=WHOLE, members=WHOLE, up=WHOLE, down=WHOLE, unknown=WHOLE, forced=WHOLE
        ),
        zones=_list(_ref("Zone")),
        reloads=_object(ok=WHOLE, failed=WHOLE, last_error=TEXT_OR_NULL),
        vantages=_list(
            _object(
                vantage=TEXT,
                kind={"enum": [kind.value for kind in VoterKind]},
                region=TEXT_OR_NULL,
                state={"enum": ["heard", "silent", "cut off", "never heard"]},
                age_s=NUMBER_OR_NULL,
                number={"type": ["array", "null"], "items": WHOLE},
                members=WHOLE,
                load=_or_null("Load"),
            )
        ),
        frozen_since=TIME_OR_NULL,
        nodes=_list(
            _object(
                node=TEXT,
                age_s=NUMBER,
                heard=TRUTH,
                config_hash=TEXT,
                generation=WHOLE,
                settled=TRUTH,
                vantages=_list(TEXT),
                words_agree=TRUTH,
                agrees=TRUTH,
            )
        ),
        listen=_object(dns=_list(TEXT), admin=TEXT_OR_NULL),
    ),
    "Member": _MEMBER,
    "Load": _object(
        connections=WHOLE,
        active_requests=WHOLE,
        member_requests=WHOLE,
        requests_per_s=NUMBER,
        errors_per_s=NUMBER,
    ),
    "Members": _object(
        generation=WHOLE,
        members=_list(_ref("Member")),
        proxies=_list(_ref("Member")),
        forced=_list(
            _object(
                optional=("region", "whole_at"),
                address=TEXT_OR_NULL,
                region=TEXT,
                service=TEXT_OR_NULL,
                whole_at=TEXT,
                word=WORD,
                until=TIME_OR_NULL,
                reason=TEXT,
                by=TEXT,
            )
        ),
    ),
    "Forced": _FORCED,
    "Word": {
        **_object(
            optional=("for", "over", "reason", "by"),
            **{
                "word": WORD,
                "for": {
                    "type": ["string", "number", "null"],
                    "description": "A duration such as 10m, or seconds; null: until released.",
                },
                "over": {
                    "type": ["string", "number", "null"],
                    "description": "A drain is whole after so long; null: at once.",
                },
                "reason": {"type": ["string", "null"], "maxLength": REASON_CHARS_MAX},
                "by": {"type": ["string", "null"], "maxLength": BY_CHARS_MAX},
            },
        ),
        "additionalProperties": False,
    },
    "Registration": {
        **_object(
            optional=("weight", "lease", "probe"),
            weight={"type": "integer", "minimum": 0, "maximum": WEIGHT_MAX},
            lease={
                "type": ["string", "number"],
                "description": "A duration such as 30s, or seconds, from 1s to 1d; default 30s.",
            },
            probe={
                "type": ["string", "null"],
                "description": "Probe this HOST:PORT instead of the member itself.",
            },
        ),
        "additionalProperties": False,
    },
    "Registered": _object(
        address=TEXT,
        service=TEXT,
        region=TEXT,
        weight=WHOLE,
        source=SOURCE,
        lease_s=NUMBER,
        until={"type": "string", "format": "date-time"},
    ),
    "Explanation": _object(
        name=TEXT,
        type=TEXT,
        client=TEXT,
        scope=WHOLE,
        location=_object(
            latitude=NUMBER_OR_NULL,
            longitude=NUMBER_OR_NULL,
            country=TEXT_OR_NULL,
            continent=TEXT_OR_NULL,
            asn={"type": ["integer", "null"]},
        ),
        generation=WHOLE,
        rcode=TEXT,
        ttl_s=WHOLE,
        ttl_why=TEXT,
        served=TEXT,
        service=TEXT_OR_NULL,
        aliases=_list(TEXT),
        notes=_list(TEXT),
        answers=_list(_object(address=TEXT, region=TEXT, share=SHARE)),
        steps=_list(_object(step=TEXT, rungs=_list(_list(TEXT)), why=TEXT)),
        rungs=_list(_RUNG),
    ),
}
