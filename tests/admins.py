"""An admin API over loopback for tests: a controller on real files, a clock and records by hand.

Whatever it answers is held to the OpenAPI document that it publishes itself.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema

from gslb.config.load import load
from gslb.config.settings import Endpoint
from gslb.daemons import planner
from gslb.daemons.admin import Admin
from gslb.daemons.controller import Controller
from gslb.daemons.counters import Counters
from gslb.daemons.discovery import Discovery
from gslb.daemons.events import Events
from gslb.daemons.gauges import gauges_of
from gslb.daemons.openapi import document
from gslb.health.verdict import Record, Verdict

NOON_S = 1_800_000_000.0
PATIENCE_S = 20.0

MAIN = """\
node: ns1.example.net
state_dir: var
listen: {dns: ["127.0.0.1:5353"], admin: "127.0.0.1:8053"}
zones: [zone.yaml, other.yaml]
regions:
  us: {location: [40.7, -74.0]}
  eu: {location: [51.5, -0.1], proxies: [198.51.100.200]}
monitors:
  web: {path: /, interval: 5s, timeout: 2s}
"""
ZONE = """\
zone: example.com
file: example.com.zone
services:
  www:
    monitor: web
    route: weighted
    pools:
      us: [192.0.2.1, 192.0.2.2]
      eu:
        weight: 70
        members:
          - {address: 198.51.100.1, weight: 3}
          - {address: 198.51.100.2, probe: "198.51.100.2:8080"}
  api: {monitor: web, pools: {us: [192.0.2.1]}}
  six: {monitor: web, proxies: never, pools: {us: ["2001:db8::1", "2001:db8::2"]}}
  cdn: {route: weighted, pools: {us: [lb.example.net]}}
"""
BROKEN = "zone: example.org\nfile: missing.zone\nservices: {}\n"
MASTER = "$TTL 300\n@ SOA ns1 admin 1 7200 900 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n"


@dataclass
class Said:
    """A response: its status, headers and text."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.text)


@cache
def world_of(main: str) -> planner.World:
    """Return the world of a main file; its second zone is broken."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gslb.yaml").write_text(main)
        (folder / "zone.yaml").write_text(ZONE)
        (folder / "other.yaml").write_text(BROKEN)
        (folder / "example.com.zone").write_text(MASTER)
        config = load(folder / "gslb.yaml", hostname="ns1", environ={})
        return planner.make(config, planner.cache_of(config))


class Desk:
    """A controller with an admin API, and what tests move: the clock and the records."""

    def __init__(self, main: str = MAIN, **options: Any) -> None:
        self.now_s = NOON_S
        self.counters = Counters()
        self.events = Events(self.clock)
        self.controller = Controller(world_of(main), self.clock, self.counters, self.events)
        self.counters.gauges = gauges_of(self.controller, self.clock)
        self.records: dict[Any, Record] = {}
        self.is_complete = False
        self.controller.follow(self.records, lambda: self.is_complete)
        self.discovery = Discovery(self.controller.config, self.clock)
        self.admin = Admin(
            self.controller,
            self.counters,
            self.events,
            self.clock,
            discovery=self.discovery,
            **options,
        )

    def clock(self) -> float:
        """Return the time that the test says it is."""
        return self.now_s

    def probe_all(self, **reasons: str) -> None:
        """Let every subject have a first result, at once; all are up but those with a reason."""
        for subject in self.controller.subjects():
            reason = reasons.get(subject.address, "ok")
            verdict = Verdict.UP if reason == "ok" else Verdict.DOWN
            self.records[subject] = Record(
                verdict, reason, self.now_s, last_started_s=self.now_s - 0.5, last_reason=reason
            )
        self.is_complete = True
        self.look_again()

    def look_again(self) -> None:
        """Let the controller see what the test changed in the records."""
        self.controller.follow(self.records, lambda: self.is_complete)
        self.controller.tick()

    @property
    def url(self) -> str:
        """Where the admin API is."""
        return f"http://{self.admin.endpoint}"

    async def ask(self, method: str, path: str, *, body: Any = None, **options: Any) -> Said:
        """Send one request; a response that the OpenAPI document does not foresee is an error."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            options.setdefault("headers", {})
            options["headers"] = {"Content-Type": "application/json", **options["headers"]}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.url + path, data=body, **options) as response,
        ):
            text = "" if is_stream(response) else await response.text()
            said = Said(response.status, response.headers, text)
        check_documented(method, path, said)
        return said


def is_stream(response: aiohttp.ClientResponse) -> bool:
    """Return whether a response has no end."""
    return response.content_type == "text/event-stream"


def operation_of(method: str, path: str) -> Any:
    """Return what the OpenAPI document says of a request, or None."""
    path = path.partition("?")[0]
    for template, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return operations.get("get" if method == "HEAD" else method.lower())
    return None


def check_documented(method: str, path: str, said: Said) -> None:
    """Hold a response to the document; errors are `Error`s everywhere, documented or not."""
    whole = document()
    operation = operation_of(method, path)
    if operation is None or said.status == 405:
        assert said.status in (404, 405), said
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    else:
        expected = operation["responses"].get(str(said.status))
        assert expected is not None, f"{method} {path}: {said.status} is not documented"
        if "$ref" in expected:
            expected = whole["components"]["responses"][expected["$ref"].rpartition("/")[2]]
        content = expected.get("content")
    if content is None:
        assert said.text == ""
        return
    [(kind, form)] = content.items()
    assert said.headers["Content-Type"].startswith(kind), said
    if kind == "application/json" and method != "HEAD":
        schema = {**form["schema"], "components": whole["components"]}
        jsonschema.Draft202012Validator(schema).validate(said.json)


@asynccontextmanager
async def desk_at(host: str = "127.0.0.1", main: str = MAIN, **options: Any) -> AsyncIterator[Desk]:
    """Give a desk that listens at an address of loopback."""
    desk = Desk(main, **options)
    await desk.admin.listen(Endpoint(host, 0))
    try:
        yield desk
    finally:
        await desk.admin.close()
