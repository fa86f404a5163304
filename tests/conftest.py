"""What all tests share: hypothesis without deadlines, because machines are busy; the engines.

Tests that listen somewhere, or start programs, do so one after the other, in one process: addresses
and ports on loopback are written down in many of them.  All others are run beside them.
"""

import re

import pytest
from hypothesis import settings

from tests import running
from tests.engines import ENGINES

settings.register_profile("gslb", deadline=None)
settings.load_profile("gslb")


# What a test imports that listens or starts programs: modules, and helpers of ours that use them.
_WORLDLY = "aiohttp|asyncio|socket|ssl|subprocess|uvloop"
_HELPERS = (
    "admins|carrying|haproxies|nodes|peers|programs|regions|running|servers|tiers|vantages|voters"
    "|world"
)
_TOUCHES_THE_WORLD = re.compile(
    rf"^(?:import|from) (?:{_WORLDLY})\b|^from tests(?:\.| import .*\b)(?:{_HELPERS})\b",
    re.MULTILINE,
)


def pytest_collection_modifyitems(items):
    """Keep the tests that touch the world in one process, where several run (`-n`)."""
    known = {}
    for item in items:
        path = item.path
        if path not in known:
            known[path] = bool(_TOUCHES_THE_WORLD.search(path.read_text()))
        if known[path]:
            item.add_marker(pytest.mark.xdist_group("world"))


@pytest.fixture(params=ENGINES, scope="module")
def engine(request):
    """Run a test once with each engine; nodes made by `tests.running` have it too."""
    before, running.engine = running.engine, request.param
    yield request.param
    running.engine = before
