"""What all tests share: hypothesis without deadlines, because machines are busy; the engines."""

import pytest
from hypothesis import settings

from tests import namespaces, running
from tests.engines import ENGINES

settings.register_profile("gslb", deadline=None)
settings.load_profile("gslb")


def pytest_configure(config):
    """Have processes that run beside each other (`-n`) not share addresses and ports."""
    if hasattr(config, "workerinput"):
        namespaces.step_apart()


@pytest.fixture(params=ENGINES, scope="module")
def engine(request):
    """Run a test once with each engine; nodes made by `tests.running` have it too."""
    before, running.engine = running.engine, request.param
    yield request.param
    running.engine = before
