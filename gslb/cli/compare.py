"""What differs between nodes that should be of one mind: configuration, verdicts, operators' words.

What each node serves by itself, such as its generation, is not compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

NOTHING = "nothing"
_HASH_CHARS = 12


@dataclass(frozen=True, slots=True)
class Difference:
    """What nodes say otherwise of one thing: `said` is by the URL of each."""

    what: str
    of: str
    said: Mapping[str, str]

    def __str__(self) -> str:
        said = ", ".join(f"{value} at {node}" for node, value in self.said.items())
        return f"{' of '.join(filter(None, (self.what, self.of)))} differs: {said}"

    def shape(self) -> dict[str, object]:
        """Return it as plain values, ready for JSON."""
        return {"what": self.what, "of": self.of, "said": dict(self.said)}


def differences(nodes: Mapping[str, tuple[Json, Json]]) -> Iterator[Difference]:
    """Yield what differs between nodes, given each one's status and list of members, by URL."""
    hashes = {url: {"": node["config_hash"][:_HASH_CHARS]} for url, (node, _) in nodes.items()}
    yield from _differing("configuration", hashes)
    verdicts = {url: dict(_verdicts(listed)) for url, (_, listed) in nodes.items()}
    yield from _differing("verdict", verdicts)
    words = {url: dict(_words(listed)) for url, (_, listed) in nodes.items()}
    yield from _differing("word", words)


def _differing(what: str, said: Mapping[str, Mapping[str, str]]) -> Iterator[Difference]:
    for of in sorted({key for values in said.values() for key in values}):
        by_node = {url: values.get(of, NOTHING) for url, values in said.items()}
        if len(set[Hashable](by_node.values())) > 1:
            yield Difference(what, of, by_node)


def _verdicts(listed: Json) -> Iterator[tuple[str, str]]:
    for member in (*listed["members"], *listed["proxies"]):
        where = member["service"] or "proxies"
        yield f"{member['address']} in {where}, {member['region']}", member["verdict"]


def _words(listed: Json) -> Iterator[tuple[str, str]]:
    for word in listed["forced"]:
        whom = word["address"] or f"region {word['region']}"
        where = "" if word["service"] is None else f" in {word['service']}"
        until = "" if word["until"] is None else f" until {word['until']}"
        yield f"{whom}{where}", f"{word['word']}{until}"
