"""Trace context: the trace that a request belongs to (W3C Trace Context, ``traceparent``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TRACESTATE_MAX: Final = 4096  # octets of all its fields

# Made traces are marked as sampled: whoever traces by the mark of its parent would otherwise lose
# every trace without a word, where it now records them as if nobody had stood before it.
MADE_FLAGS: Final = b"01"

_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16


def passed(parents: Sequence[bytes], states: Sequence[bytes], parent_id: bytes) -> bytes | None:
    """Return the lines that pass a trace on with *parent_id*, 16 digits; None if there is none.

    *parents* and *states* are the values of all ``traceparent`` and ``tracestate`` fields.  Of
    versions to come, what version 00 has is passed on as that (2.2.4).
    """
    if len(parents) != 1 or not (found := _PARENT.fullmatch(parents[0])):
        return None
    version, trace_id, parent, flags, more = found.groups()
    if version == b"ff" or trace_id == _NO_TRACE or parent == _NO_PARENT:
        return None
    if version == b"00" and more is not None:
        return None
    sampled = b"01" if int(flags, 16) & 1 else b"00"
    lines = b"traceparent: 00-%b-%b-%b\r\n" % (trace_id, parent_id, sampled)
    if states and sum(map(len, states)) <= TRACESTATE_MAX:
        lines += b"tracestate: %b\r\n" % b",".join(states)
    return lines
