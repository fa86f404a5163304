"""An operator's word as a request's body says it: checked key by key, nothing passed over.

Durations and texts are read as in the configuration, so that `10m` means the same there,
here and on the command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from gslb.config import scalars
from gslb.config.nodes import closest
from gslb.config.scalars import ScalarError
from gslb.daemons.jsonhttp import RequestError
from gslb.health.belief import Forced, Word

FOR_MIN_S, FOR_MAX_S = 1, 366 * scalars.DAY_S
REASON_CHARS_MAX = 500
BY_CHARS_MAX = 100
_HINT = 'send an object, such as {"word": "drain", "for": "10m", "reason": "kernel update"}'


def read_word(body: bytes, by: str, now_s: float) -> Forced:
    """Return the word that a body says, said by *by* unless it names someone itself.

    Raises RequestError.
    """
    whole = read_object(body, _HINT)
    for key in whole:
        if key not in _KEYS:
            problem = f"unknown key {key[:60]!r}"
            raise RequestError(400, problem, closest(key, _KEYS, what="key"))
    values: dict[str, object] = {}
    for key, read in _KEYS.items():
        if key not in whole and key != "word":
            continue
        try:
            values[key] = read(whole.get(key))
        except ScalarError as wrong:
            raise RequestError(400, f"{key}: {wrong.problem}", wrong.hint) from None
    span_s, over_s = values.get("for"), values.get("over")
    if over_s is not None and values["word"] != Word.DRAIN.value:
        raise RequestError(400, "over: only a drain is gradual", "leave `over` out")
    return Forced(
        word=Word(values["word"]),
        until_s=now_s + span_s if isinstance(span_s, float) else None,
        reason=str(values.get("reason") or ""),
        by=str(values.get("by") or by),
        from_s=now_s if isinstance(over_s, float) else 0.0,
        over_s=over_s if isinstance(over_s, float) else 0.0,
    )


def read_object(body: bytes, hint: str) -> dict[str, object]:
    """Return the JSON object that a body is; raises RequestError, with *hint*."""
    try:
        whole = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON: {error}", hint) from None
    if not isinstance(whole, dict):
        raise RequestError(400, "the body is not a JSON object", hint)
    return whole


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        raise ValueError("a key is given twice")
    return whole


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _span_s(value: object) -> object:
    return None if value is None else scalars.duration_s(FOR_MIN_S, FOR_MAX_S)(value)


def _text(chars_max: int) -> Callable[[object], object]:
    def read(value: object) -> object:
        if value is None or value == "":
            return None
        found = scalars.text(value)
        if len(found) > chars_max:
            raise ScalarError(f"is longer than {chars_max} characters", "write a shorter text")
        return found

    return read


_KEYS: Mapping[str, Callable[[object], object]] = {
    "word": scalars.one_of(*(word.value for word in Word)),
    "for": _span_s,
    "over": _span_s,
    "reason": _text(REASON_CHARS_MAX),
    "by": _text(BY_CHARS_MAX),
}
