"""The access log: one line of JSON for each request, put together at little cost.

A line is one format, filled in: what comes again with every request (the second, names of routes
and members, the client's own name) is kept as it was shown, and only the rest is escaped each time.
Whatever octets a client sends, a line is one JSON object in ASCII; octets that are no UTF-8 are
shown as ``\\xff``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _quoted
from typing import Final, NamedTuple

WORD_MAX: Final = 512  # letters of a word that is kept
NAMES_MAX: Final = 4096  # names that are kept as they are shown


class Entry(NamedTuple):
    """What is told of one request; made positionally, it costs a third.

    `time_s` is when its head had come, in seconds since 1970, before the year 10000.  `path` is the
    target as it came.  Octets are those of bodies.  `hop` is the way it took over regions, where it
    took one: ``us-east,eu-west``.  `duration_ms` is until the last octet went out, `first_byte_ms`
    until the member's response began, `connect_ms` what the connection to it took, None where one
    was there.  `tls` is such as ``TLSv1.3``, `http` ``1.1`` or ``2``, `error` why it failed.
    """

    time_s: float
    client: str
    method: bytes = b""
    host: bytes = b""
    path: bytes = b""
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    route: str | None = None
    service: str | None = None
    member: str | None = None
    region: str | None = None
    tries: int = 0
    hop: str | None = None
    duration_ms: float = 0.0
    connect_ms: float | None = None
    first_byte_ms: float | None = None
    tls: str | None = None
    http: str = ""
    request_id: bytes = b""
    user_agent: bytes | None = None
    referer: bytes | None = None
    error: str | None = None


class Words(dict[bytes | None, str]):
    """What clients write that comes again and again, such as their own name, as it is shown."""

    def __missing__(self, octets: bytes | None) -> str:
        """Return how *octets* are shown; short ones are kept."""
        shown = _text(octets)
        if len(shown) <= WORD_MAX:
            if len(self) >= NAMES_MAX:
                self.clear()
            self[octets] = shown
        return shown


class AccessLog:
    """Shows entries as lines; one for each worker."""

    __slots__ = ("_names", "_second", "_second_text", "_words")

    def __init__(self) -> None:
        self._names: dict[str | None, str] = {None: "null"}
        self._words = Words()
        self._second = -1
        self._second_text = ""

    def line(self, entry: Entry) -> bytes:
        """Return the line of one entry, with its end."""
        (
            time_s,
            client,
            method,
            host,
            path,
            status,
            bytes_in,
            bytes_out,
            route,
            service,
            member,
            region,
            tries,
            hop,
            duration_ms,
            connect_ms,
            first_byte_ms,
            tls,
            http,
            request_id,
            user_agent,
            referer,
            error,
        ) = entry
        words = self._words
        second = int(time_s)
        if second != self._second:
            self._begin(second)
        shown = self._names
        try:
            route, service, member, region, tls, http = (
                shown[route],
                shown[service],
                shown[member],
                shown[region],
                shown[tls],
                shown[http],
            )
        except KeyError:
            route, service, member, region, tls, http = map(
                self._name, (route, service, member, region, tls, http)
            )
        return (
            f'{{"time":"{self._second_text}.{int((time_s - second) * 1000):03d}Z"'
            f',"client":{_quoted(client)},"method":{words[method]},"host":{words[host]}'
            f',"path":{_text(path)},"status":{status},"bytes_in":{bytes_in}'
            f',"bytes_out":{bytes_out},"route":{route},"service":{service},"member":{member}'
            f',"region":{region},"tries":{tries},"hop":{"null" if hop is None else _quoted(hop)}'
            f',"duration_ms":{duration_ms:.3f},"connect_ms":{_number(connect_ms)}'
            f',"first_byte_ms":{_number(first_byte_ms)},"tls":{tls},"http":{http}'
            f',"request_id":{_text(request_id)},"user_agent":{words[user_agent]}'
            f',"referer":{words[referer]},"error":{"null" if error is None else _quoted(error)}}}\n'
        ).encode("ascii")

    def _begin(self, second: int) -> None:
        self._second = second
        self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    def _name(self, name: str | None) -> str:
        names = self._names
        if (shown := names.get(name)) is None:
            if len(names) >= NAMES_MAX:
                # Members come and go; those that are there now are soon kept again.
                names.clear()
                names[None] = "null"
            assert name is not None, "None is always kept"
            shown = names[name] = _quoted(name)
        return shown


def _text(octets: bytes | None) -> str:
    return "null" if octets is None else _quoted(octets.decode("utf-8", "backslashreplace"))


def _number(number: float | None) -> str:
    return "null" if number is None else f"{number:.3f}"
