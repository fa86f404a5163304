"""What operators say over the admin API: words on members and on regions, and what they cost."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gslb.config import addresses
from gslb.config.scalars import ScalarError
from gslb.daemons.controller import Controller
from gslb.daemons.events import show_time
from gslb.daemons.jsonhttp import Asked, RequestError, Route, json_response
from gslb.daemons.operators import TooManyWordsError, UnknownMemberError
from gslb.daemons.shapes import Shape, forced_shape
from gslb.daemons.words import read_word
from gslb.dns import name
from gslb.health.belief import Forced, Word
from gslb.health.words import region_key

MEMBER_PATH = "/v1/members/{address}/forced"
REGION_PATH = "/v1/regions/{region}/forced"

_COSTS_SHOWN = 5

# Whom a word is about, as it is kept, from the variables of a path.
Whom = Callable[[Asked], str]


class Speaking:
    """Hears words; *check* raises RequestError for those that may not say any."""

    def __init__(
        self,
        controller: Controller,
        clock: Callable[[], float],
        check: Callable[[Asked], bool],
    ) -> None:
        self._controller = controller
        self._clock = clock
        self._check = check

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of the admin API by which words are said and taken back."""
        return (
            Route("PUT", MEMBER_PATH, self._force_member),
            Route("DELETE", MEMBER_PATH, self._release_member),
            Route("PUT", REGION_PATH, self._force_region),
            Route("DELETE", REGION_PATH, self._release_region),
        )

    async def _force_member(self, asked: Asked) -> web.Response:
        return await self._force(asked, _member)

    async def _force_region(self, asked: Asked) -> web.Response:
        return await self._force(asked, _region)

    async def _release_member(self, asked: Asked) -> web.Response:
        return self._release(asked, _member)

    async def _release_region(self, asked: Asked) -> web.Response:
        return self._release(asked, _region)

    async def _force(self, asked: Asked, whom: Whom) -> web.Response:
        authenticated = self._check(asked)
        query = asked.query("service", "careful")
        service, address = _service(query), whom(asked)
        is_careful = _truth(query.get("careful", "false"))
        by = "admin" if authenticated else asked.peer
        forced = read_word(await asked.body(), by, self._clock())
        if whom is _region and forced.word is not Word.DRAIN:
            raise RequestError(400, "a region can be drained, and no more", "say so of its members")
        try:
            if is_careful and (costs := self._controller.costs(address, forced, service)):
                raise RequestError(409, _shown(costs), "leave `careful` out to say it all the same")
            self._controller.force(address, forced, service)
        except TooManyWordsError as error:
            raise RequestError(409, str(error), "release some first") from None
        except UnknownMemberError as error:
            raise _unknown(whom, str(error)) from None
        return json_response(self._shape(address, forced))

    def _shape(self, address: str, forced: Forced) -> Shape:
        """Return a word, and when the last answer that holds whom it takes out is outlived."""
        shape = forced_shape(forced)
        assert shape is not None, "the word was said just now"
        services = self._controller.world.plan.services
        names = self._controller.operators.resting_on(address)
        ttl_s = max((services[each].ttl_s for each in names), default=0)
        if forced.word is Word.UP:
            return {**shape, "clear_at": None, "clear_in_s": None, "ttl_s": ttl_s}
        # By the longest TTL of the services that may hold it; a gradual drain must be whole first.
        now_s = self._clock()
        clear_s = max(now_s, forced.from_s + forced.over_s) + ttl_s
        clear_in_s = round(clear_s - now_s, 3)
        return {**shape, "clear_at": show_time(clear_s), "clear_in_s": clear_in_s, "ttl_s": ttl_s}

    def _release(self, asked: Asked, whom: Whom) -> web.Response:
        self._check(asked)
        service, address = _service(asked.query("service")), whom(asked)
        try:
            self._controller.release(address, service)
        except UnknownMemberError as error:
            raise _unknown(whom, str(error)) from None
        return web.Response(status=204)


def _member(asked: Asked) -> str:
    try:
        return addresses.host_or_address(asked.variables["address"])
    except ScalarError as wrong:
        raise _unknown(_member, wrong.problem) from None


def _region(asked: Asked) -> str:
    return region_key(asked.variables["region"])


def _unknown(whom: Whom, problem: str) -> RequestError:
    if whom is _region:
        return RequestError(404, problem, "`regions` of the main file lists the regions")
    return RequestError(404, problem, "GET /v1/members, or `gslb status`, lists the members")


def _service(query: dict[str, str]) -> str:
    """Return the service that a word is about, empty for all; raises RequestError."""
    if "service" not in query:
        return ""
    text = query["service"]
    if not text:
        hint = "write a domain name, such as www.example.com"
        raise RequestError(400, "the name is missing", hint)
    try:
        return name.show(name.parse(text.removesuffix(".") or "."))
    except ValueError as error:
        raise RequestError(400, f"not a domain name: {error}", "write it as in a zone") from None


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise RequestError(400, f"careful is {text[:20]!r}", "write careful=true or careful=false")
    return text == "true"


def _shown(costs: tuple[str, ...]) -> str:
    more = len(costs) - _COSTS_SHOWN
    rest = f", and so for {more} more services" if more > 0 else ""
    return "; ".join(costs[:_COSTS_SHOWN]) + rest
