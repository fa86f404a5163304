"""The kinds of events there are: a closed set, from which a webhook chooses.

`gslb.daemons.events` announces them; a test holds the two together.
"""

from __future__ import annotations

EVENT_KINDS = (
    "admin_listens",
    "admin_waits",
    "alarm",
    "alarm_over",
    "carrier_back",
    "carrier_bucket_differs",
    "carrier_lost",
    "carrier_refused",
    "cut_off",
    "discovery_failed",
    "discovery_mended",
    "draining",
    "expired",
    "forced",
    "geo_held",
    "haproxy",
    "member_found",
    "member_gone",
    "rate_limiting",
    "rate_limiting_over",
    "reconnected",
    "released",
    "reload",
    "reload_failed",
    "report_failed",
    "restart_needed",
    "secrets_failed",
    "settled",
    "started",
    "state_failed",
    "state_written",
    "stopped",
    "vantage",
    "verdict",
    "votes_frozen",
    "votes_thawed",
    "warning",
    "withdrawal_held",
    "words_failed",
    "worker_back",
    "worker_failed",
    "worker_lost",
)

# Of what becomes of webhooks themselves, which is told to the log, but never posted.
UNPOSTED_KINDS = ("webhook_back", "webhook_failed", "webhook_refused")
