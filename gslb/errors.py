"""Every error gslb raises on purpose.

GslbError                   the one to catch at a process's edge
├── ConfigError             an operator's files are wrong; carries every complaint of the run
├── WireError               a peer's bytes are wrong; carries the rcode to answer with
├── ReportError             a vantage's report is wrong, forged or stale; dropped whole
├── MessageError            an HTTP message is wrong; carries the status to answer with
├── PrefaceError            what opens a connection is wrong; the connection is closed
├── EngineError             a proxy engine cannot do what is configured, or fails at it
└── FrameError              an HTTP/2 peer sends what it must not; carries the code of the GOAWAY

Anything else that escapes is a bug in gslb: let it crash, with its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# malformed: not of its shape; too_long; unknown_vantage: not listed; mac: forged, or another key;
# clock: from the future; stale: from the past; number: not newer than what is held, a replay.
REPORT_ERROR_KINDS = ("malformed", "too_long", "unknown_vantage", "mac", "clock", "stale", "number")


class GslbError(Exception):
    """The root of what gslb raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Complaint:
    """One thing that is wrong in an operator's file: where, what, and how to mend it.

    `line` and `column` count from 1.  `key` is the key's path, such as
    ``services.www.pools.eu[1].address``, and may be empty for a whole file.
    """

    file: str
    line: int
    column: int
    key: str
    problem: str
    hint: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.problem}\n  hint: {self.hint}"


class ConfigError(GslbError):
    """An operator's files cannot be served; `complaints` holds everything found in one run.

    `files` are those that were read or named as far as that is known: mending one of them,
    or putting it where it is missing, may mend the whole.
    """

    def __init__(
        self, complaints: Sequence[Complaint], *, files: frozenset[Path] = frozenset()
    ) -> None:
        assert complaints, "a ConfigError without a complaint helps nobody"
        self.files = files
        self.complaints = tuple(sorted(set(complaints)))
        super().__init__("\n".join(str(complaint) for complaint in self.complaints))


class WireError(GslbError):
    """A datagram is not a query that can be answered as asked.

    `rcode` is what to answer with (RFC 1035 4.1.1; extended ones per RFC 6891), or None
    where silence is right: too short to hold an id, or a response (QR=1).
    """

    def __init__(self, problem: str, rcode: int | None) -> None:
        super().__init__(problem)
        self.rcode = rcode


class ReportError(GslbError):
    """A vantage's report is malformed, forged, replayed or too old; it is dropped whole.

    `kind` says in one word of a closed set, `REPORT_ERROR_KINDS`, what was wrong, to be counted.
    """

    def __init__(self, problem: str, kind: str = "malformed") -> None:
        assert kind in REPORT_ERROR_KINDS, f"{kind!r} is no kind"
        super().__init__(problem)
        self.kind = kind


class MessageError(GslbError):
    """An HTTP message of a peer cannot be passed on; a request's is answered with `status`.

    What stands behind such a message cannot be told from it, so its connection ends there.
    """

    def __init__(self, problem: str, status: int = 400) -> None:
        super().__init__(problem)
        self.status = status


class PrefaceError(GslbError):
    """What opens a connection is not what must stand there: a PROXY header, or a ClientHello.

    Who sent it cannot be told, or where it should go: the connection is closed without an answer.
    """


@dataclass(frozen=True, slots=True, order=True)
class Inexpressible:
    """One thing that an operator wrote and that a proxy engine has no words for.

    `key` is the key's path below ``proxy``, such as ``routes[2].timeouts.total``.
    """

    key: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"proxy.{self.key}: {self.problem}\n  hint: {self.hint}"


class EngineError(GslbError):
    """A proxy engine cannot carry a configuration, or failed at what it was told.

    `inexpressible` holds everything that it has no words for; it is empty where it failed.
    """

    def __init__(self, problem: str, inexpressible: Sequence[Inexpressible] = ()) -> None:
        self.inexpressible = tuple(sorted(set(inexpressible)))
        super().__init__("\n".join([problem, *map(str, self.inexpressible)]))


class FrameError(GslbError):
    """A peer's HTTP/2 frames are too long or too many; the connection ends with GOAWAY.

    `code` is an error code of RFC 9113 7.
    """

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(problem)
        self.code = code
