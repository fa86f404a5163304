"""Client populations read from files: a CSV of networks with weights, or a query log.

Every line is read, so that one run tells all that is wrong; but at most so many complaints
are shown, and at most so many lines taken, as a population needs no more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_network
from pathlib import Path

from gslb.dns import name
from gslb.errors import Complaint, ConfigError
from gslb.model import Network

CLIENTS_MAX = 5_000_000  # lines of a CSV
QUERIES_MAX = 50_000_000  # lines of a query log
LINE_BYTES_MAX = 4096
COMPLAINTS_MAX = 20  # shown of one file

HEADERS = ("prefix,weight", "network,weight")
_WEIGHT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_WRITE_NETWORK = "write a network, such as 198.51.100.0/24 or 2001:db8::/32"
_WRITE_CLIENT = "write a client's address or network, and after a blank the name it asked for"

Weight = int | Fraction


def read_clients(path: Path, *, lines_max: int = CLIENTS_MAX) -> list[tuple[Network, Weight]]:
    """Return the networks and weights of a CSV file with the header ``prefix,weight``.

    Blank lines and those that start with ``#`` are passed over.  Raises ConfigError.
    """
    wrong = _Wrong(path)
    lines = _lines(path, wrong, lines_max)
    number, header = next(lines, (1, ""))
    if header.replace(" ", "").lower() not in HEADERS:
        wrong.add(number, 1, f"the header is {header[:80]!r}", f"write {HEADERS[0]!r} there")
        wrong.raise_if_any()
    clients = []
    for number, line in lines:
        if (client := _client_of(line, number, wrong)) is not None:
            clients.append(client)
    wrong.raise_if_any()
    if not any(weight for _, weight in clients):
        wrong.add(1, 1, "no network has any weight", "give at least one a weight above 0")
        wrong.raise_if_any()
    return clients


def _client_of(line: str, number: int, wrong: _Wrong) -> tuple[Network, Weight] | None:
    network_text, comma, weight_text = line.partition(",")
    if not comma:
        wrong.add(number, 1, "a line without a comma", "write a network, a comma and its weight")
        return None
    network = weight = None
    try:
        network = ip_network(network_text.strip())
    except ValueError as error:
        hint = _WRITE_NETWORK
        if "host bits" in str(error):
            hint = f"write {ip_network(network_text.strip(), strict=False)}"
        wrong.add(number, 1, f"{network_text.strip()[:80]!r} is not a network", hint)
    text = weight_text.strip()
    if _WEIGHT.fullmatch(text):
        weight = int(text) if text.isdigit() else Fraction(text)
    else:
        column = len(network_text) + 2
        hint = "write a number of at least 0, with up to 15 digits and 9 decimals"
        wrong.add(number, column, f"{text[:80]!r} is not a weight", hint)
    return None if network is None or weight is None else (network, weight)


@dataclass(frozen=True, slots=True)
class QueryLog:
    """How often each client network asked for each name; None where no name was logged."""

    counts: Counter[tuple[Network, bytes | None]]

    def clients(self, names: Iterable[bytes | None] | None = None) -> list[tuple[Network, int]]:
        """Return networks with their numbers of queries: all, or those for *names* alone."""
        wanted = None if names is None else set(names)
        return [
            (network, count)
            for (network, asked), count in self.counts.items()
            if wanted is None or asked in wanted
        ]

    def names(self) -> set[bytes]:
        """Return all names that were asked for."""
        return {asked for _, asked in self.counts if asked is not None}


def read_log(path: Path, *, lines_max: int = QUERIES_MAX) -> QueryLog:
    """Return what a query log holds: one query a line, the client and perhaps the name.

    Further fields are passed over, and so are blank lines and those that start with ``#``.
    Raises ConfigError.
    """
    wrong = _Wrong(path)
    counts: Counter[tuple[Network, bytes | None]] = Counter()
    networks: dict[str, Network] = {}
    names: dict[str, bytes] = {}
    for number, line in _lines(path, wrong, lines_max):
        client, *others = line.split(None, 2)
        asked = others[0] if others else None
        if client not in networks:
            try:
                networks[client] = ip_network(client, strict=False)
            except ValueError:
                problem = f"{client[:80]!r} is not an address or network"
                wrong.add(number, line.index(client) + 1, problem, _WRITE_CLIENT)
                continue
        if asked is not None and asked not in names:
            try:
                names[asked] = name.parse(asked.removesuffix(".") or ".")
            except ValueError as error:
                column = len(line) - len(line.split(None, 1)[1]) + 1
                wrong.add(number, column, str(error)[:200], _WRITE_CLIENT)
                continue
        counts[networks[client], None if asked is None else names[asked]] += 1
    wrong.raise_if_any()
    if not counts:
        wrong.add(1, 1, "a log without a query", _WRITE_CLIENT)
        wrong.raise_if_any()
    return QueryLog(counts)


@dataclass(slots=True)
class _Wrong:
    """What is wrong in one file: the first complaints, and how many more there are."""

    path: Path
    complaints: list[Complaint] = field(default_factory=list)
    more: int = 0
    last_line: int = 1

    def add(self, line: int, column: int, problem: str, hint: str) -> None:
        self.last_line = line
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(Complaint(str(self.path), line, column, "", problem, hint))
        else:
            self.more += 1

    def raise_if_any(self) -> None:
        if self.more:
            problem = f"{self.more} more things are wrong up to this line"
            hint = "mend those above first"
            at = (str(self.path), self.last_line, 1)
            self.complaints.append(Complaint(*at, "", problem, hint))
        if self.complaints:
            raise ConfigError(self.complaints)


def _lines(path: Path, wrong: _Wrong, lines_max: int) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something with their numbers, without the blanks at their end."""
    try:
        with path.open("rb") as file:
            number = 0
            while octets := file.readline(LINE_BYTES_MAX + 1):
                number += 1
                if number > lines_max:
                    hint = f"{lines_max} lines say enough: take a sample"
                    wrong.add(number, 1, f"more than {lines_max} lines", hint)
                    return
                if len(octets) > LINE_BYTES_MAX:
                    problem = f"a line longer than {LINE_BYTES_MAX} bytes"
                    wrong.add(number, 1, problem, "give a text file with short lines")
                    return
                text = _decoded(octets.removeprefix(b"\xef\xbb\xbf"), number, wrong)
                if text and not text.startswith("#"):
                    yield number, text
    except OSError as error:
        wrong.add(1, 1, f"cannot be read: {error.strerror}", "give a file that can be read")


def _decoded(octets: bytes, number: int, wrong: _Wrong) -> str:
    try:
        return octets.decode().rstrip()
    except UnicodeDecodeError as error:
        problem = f"byte {octets[error.start]:#04x} is not UTF-8"
        wrong.add(number, error.start + 1, problem, "save the file as UTF-8")
        return ""
