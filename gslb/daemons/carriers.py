"""Which carrier a configuration names, ready to run."""

from __future__ import annotations

import random

from gslb.config.settings import Config
from gslb.daemons.carrier import Carrier, OnReceived
from gslb.daemons.carrierhttp import HttpCarrier
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events


def carrier_of(
    config: Config,
    own: str,
    listens: tuple[str, ...],
    on_received: OnReceived,
    counters: Counters,
    events: Events,
) -> Carrier | None:
    """Return the carrier of *config* for the node or vantage named *own*; None without one.

    What comes in by it, from the boxes that it *listens* to, is handed to *on_received*.
    """
    carrier = config.carrier
    if carrier is None:
        return None
    if carrier.nats is not None:
        # Its library is there only where it is asked for.
        from gslb.daemons.carriernats import NatsCarrier  # noqa: PLC0415

        return NatsCarrier(
            carrier.nats,
            listens=listens,
            expiry_s=config.quorum.expiry_s,
            interval_s=config.report_interval_s,
            counters=counters,
            events=events,
            on_received=on_received,
            chance=random.random,
        )
    return HttpCarrier(
        {name: url for name, url in carrier.nodes.items() if name != own},
        ca_file=carrier.ca_file,
        interval_s=config.report_interval_s,
        counters=counters,
        events=events,
        on_received=on_received,
        chance=random.random,
    )
