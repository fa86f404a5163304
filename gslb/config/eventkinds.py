"""The kinds of events there are: a closed set, from which a webhook chooses.

`gslb.daemons.events` announces them; a test holds the two together.
"""

from __future__ import annotations

EVENT_KINDS = (
    "alarm",
    "alarm_over",
    "carrier_back",
    "carrier_lost",
    "carrier_refused",
    "expired",
    "forced",
    "geo_held",
    "rate_limiting",
    "rate_limiting_over",
    "released",
    "reload",
    "reload_failed",
    "restart_needed",
    "secrets_failed",
    "settled",
    "started",
    "state_failed",
    "state_written",
    "stopped",
    "verdict",
    "warning",
    "withdrawal_held",
)
