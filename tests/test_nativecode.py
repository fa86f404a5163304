"""The native extension as a part of the package: which is used, and what it is built from."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gslb import nativecode
from gslb.config.fields import THREADS_MAX
from gslb.daemons import native
from gslb.dns import image
from tests.engines import needs_native
from tests.nodes import config

ROOT = Path(__file__).parent.parent


def test_the_oldest_rust_that_is_spoken_of_is_the_crates():
    crate = tomllib.loads((ROOT / "native" / "Cargo.toml").read_text())

    assert crate["package"]["rust-version"] == nativecode.RUST_MIN


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "of another version"])
def test_without_a_good_extension_all_is_there_in_python(missing):
    """In a process of its own: what is imported is imported once."""
    stand_in = "None" if missing else "types.ModuleType('gslb._native')"
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, types; sys.modules['gslb._native'] = {stand_in}\n"
            "from gslb.daemons import native, walking\n"
            "from gslb.nativecode import WHY_NOT\n"
            "print(native.DEFAULT, len(walking.WALKERS), WHY_NOT)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    why = "is not built here" if missing else "is of another version"
    assert said.stdout == f"python 1 the native engine {why}\n"


@needs_native
def test_the_version_of_images_is_one():
    assert native._native.VERSION == image.VERSION


@pytest.mark.parametrize(
    ("cores", "addresses", "written", "threads"),
    [(2, 1, None, 2), (96, 1, None, 64), (96, 2, None, 32), (1, 200, None, 1), (2, 1, 7, 7)],
)
def test_there_is_a_thread_for_each_core_as_long_as_there_may_be(
    cores, addresses, written, threads
):
    (endpoint,) = config().listen_dns
    made = config(listen_dns=(endpoint,) * addresses, threads=written)

    assert native.threads_of(made, cores) == threads


@needs_native
def test_the_engine_takes_as_many_threads_as_may_be_written_and_no_more():
    engine = native._native.Engine(0.0)

    port = engine.bind("127.0.0.1", 0, THREADS_MAX)

    with pytest.raises(ValueError, match="threads can answer in all"):
        engine.bind("127.0.0.1", 0, 1)
    engine.unbind("127.0.0.1", port)
    assert engine.bind("127.0.0.1", 0, 1)


def test_a_source_distribution_holds_what_the_extension_is_built_from():
    assert "graft native" in (ROOT / "MANIFEST.in").read_text()
