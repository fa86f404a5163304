"""Vantages played by hand, and configurations of nodes that hear them.

    eu = Voter("eu")
    await eu.reports(node, UP, {"127.1.0.1": DOWN})

posts one report as `gslb probe` would, signed with that voter's key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import aiohttp

from gslb.config.settings import Endpoint
from gslb.health.load import Load
from gslb.health.report import Composer
from gslb.health.verdict import Record, Verdict
from gslb.model import Subject
from tests.running import Asker, Running, written

UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN
NODES_KEY = "the-key-of-all-nodes"
EXPIRY_S = 2.0

Keys = Mapping[str, object]


def key_of(name: str) -> str:
    """Return the key of a voter in these tests."""
    return f"the-key-of-the-vantage-{name}"


def voting(
    *names: str,
    nodes: Mapping[str, Endpoint] | None = None,
    tiers: Mapping[str, str] | None = None,
    **keys: object,
) -> dict[str, object]:
    """Return the keys of a main file by which these vantages vote, on these nodes.

    *tiers* are the regions of voters of kind proxy, by the voters' names.
    """
    of_tiers = {
        name: {"kind": "proxy", "region": region, "key": key_of(name)}
        for name, region in (tiers or {}).items()
    }
    vantages = {
        "expiry": f"{EXPIRY_S}s",
        "report_interval": "500ms",
        "voters": {**{name: {"key": key_of(name)} for name in names}, **of_tiers},
        **keys,
    }
    carrier = {
        "key": NODES_KEY,
        "nodes": {name: f"http://{endpoint}" for name, endpoint in (nodes or {}).items()},
    }
    return {"vantages": vantages, **({"carrier": carrier} if nodes else {})}


def node_of(
    folder: Path, name: str, services: Keys, nodes: Mapping[str, Endpoint], **main: object
) -> Path:
    """Write the files of one of several nodes; return its main file."""
    listen = {"dns": ["127.0.0.1:0"], "admin": str(nodes[name])}
    return written(folder / name, services, node=name, listen=listen, **main)


class Voter:
    """One vantage whose reports a test writes."""

    def __init__(self, name: str, *, key: str | None = None) -> None:
        self.name = name
        self.composer = Composer(name, (key or key_of(name)).encode())
        self.sequence = 0

    def report(
        self,
        subjects: Mapping[Subject, Verdict],
        now_s: float,
        *,
        cut_off: bool = False,
        number: tuple[int, int] | None = None,
        load: Load | None = None,
        suspects: Collection[str] = (),
    ) -> bytes:
        """Return the next report, which says this of the subjects; *suspects* are addresses."""
        self.sequence += 1
        records = {
            subject: Record(verdict, "ok" if verdict is UP else "refused", now_s - 1.0)
            for subject, verdict in subjects.items()
        }
        doubted = {subject for subject in subjects if subject.address in suspects}
        return self.composer.compose(
            number or (1, self.sequence), now_s, records, cut_off, load, doubted
        )

    async def reports(
        self,
        node: Running,
        verdict: Verdict = UP,
        others: Mapping[str, Verdict] | None = None,
        **keys: object,
    ) -> int:
        """Post a report to *node* on all that it watches; return the status of the response."""
        subjects = {
            subject: (others or {}).get(subject.address, verdict)
            for subject in node.node.controller.subjects()
        }
        return await post(node, self.report(subjects, node.node.clock(), **keys))


async def post(node: Asker, octets: bytes, box: str = "reports") -> int:
    """Post octets to a node's box; return the status of the response."""
    url = f"http://{node.admin}/v1/{box}"
    headers = {"Content-Type": "application/octet-stream"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=octets, headers=headers) as response,
    ):
        return response.status
