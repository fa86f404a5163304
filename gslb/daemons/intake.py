"""Reports of vantages and bulletins of nodes, taken in over HTTP.

Neither needs the admin token: each is authenticated by a key of its sender's own, and says
nothing about who may change what.  A vantage is answered with the node's bulletin, from which
it learns of members that registered themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gslb.daemons.fellows import Fellows
from gslb.daemons.jsonhttp import Asked, RequestError, Route
from gslb.daemons.reception import Reception
from gslb.errors import ReportError
from gslb.health.report import REPORT_MAX_BYTES

OCTETS = "application/octet-stream"

# What is wrong with the sender's right to speak, with its time, with its words.
_STATUS = {"unknown_vantage": 401, "mac": 401, "number": 409, "stale": 409, "too_long": 413}

Take = Callable[[bytes], None]
Tell = Callable[[], bytes]


class Intake:
    """Takes in what is posted; without *take_report* or *take_words* there is nothing to post."""

    def __init__(
        self,
        take_report: Take | None = None,
        take_words: Take | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._take_report = take_report
        self._take_words = take_words
        self._tell = tell

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of the admin API that take in reports and bulletins."""
        return (
            Route("POST", "/v1/reports", self._reports),
            Route("POST", "/v1/words", self._words),
        )

    async def _reports(self, asked: Asked) -> web.Response:
        if self._take_report is None:
            hint = "list the vantages that may vote under `vantages.voters`, and start it again"
            raise RequestError(403, "this node takes no reports: it has no vantages", hint)
        await _take(asked, self._take_report)
        if self._tell is None:
            return web.Response(status=204)
        return web.Response(body=self._tell(), content_type=OCTETS)

    async def _words(self, asked: Asked) -> web.Response:
        if self._take_words is None:
            hint = "write a `carrier` with the nodes' key, and start it again"
            raise RequestError(403, "this node takes no words of others: it has no carrier", hint)
        await _take(asked, self._take_words)
        return web.Response(status=204)


def intake_of(reception: Reception | None, fellows: Fellows | None) -> Intake:
    """Return what takes in reports for *reception*, and words for *fellows*."""
    return Intake(
        take_report=None if reception is None else reception.receive,
        take_words=None if fellows is None else fellows.receive,
        tell=None if fellows is None else fellows.latest,
    )


async def _take(asked: Asked, take: Take) -> None:
    """Hand the body on; raises RequestError with what is wrong with it."""
    octets = await asked.body(REPORT_MAX_BYTES)
    try:
        take(octets)
    except ReportError as error:
        hint = "it is dropped whole; the sender's next one replaces it"
        raise RequestError(_STATUS.get(error.kind, 400), str(error), hint) from None
