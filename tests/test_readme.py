"""The README, run: every block of it, as a newcomer would, and compared with what it shows.

A line that is ``…`` stands for any lines, and ``…`` in a line for anything.  The demo takes
other ports where its own are taken, and its processes have other numbers each time; what the
README says of them is translated.  What needs a moment to come true is asked again until it
does.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
FILES = {body.split()[1]: body for language, body in BLOCKS if language in ("yaml", "zone")}
DIALOGUES = [body for language, body in BLOCKS if language == "console"]
OF_THE_FILES = [body for body in DIALOGUES if "$ gslb check" in body]
OF_THE_DEMO = [body for body in DIALOGUES if body not in OF_THE_FILES]

GIVE_UP_S = 30.0
ASK_AGAIN_S = 0.2
DEMO_ENDS_ITSELF_S = 300
PORTS = {"dns": "5353", "admin": "8053", "http": "8080"}


def steps(dialogue: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a dialogue, each with the lines that it is shown to print."""
    found: list[tuple[str, list[str]]] = []
    for line in dialogue.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pattern_of(shown: list[str]) -> re.Pattern[str]:
    """Return what output has to look like to be what is shown."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r" *\n"
        for line in shown
    ]
    return re.compile("".join(lines))


@pytest.fixture
def environment(tmp_path):
    """Return an environment in which `gslb` is this program, as in an activated one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gslb").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gslb "$@"\n')
    (folder / "gslb").chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run(command: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=GIVE_UP_S,
        check=False,
        text=True,
    )
    return done.stdout


def test_every_block_is_run():
    assert {language for language, _ in BLOCKS} == {"console", "yaml", "zone"}
    assert OF_THE_FILES
    assert OF_THE_DEMO
    assert set(FILES) == {"site/gslb.yaml", "site/example.com.yaml", "site/example.com.zone"}


def test_the_configuration_is_right_and_does_what_is_shown(tmp_path, environment):
    shutil.copytree(ROOT / "data", tmp_path / "data")
    for file, text in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)

    for dialogue in OF_THE_FILES:
        for command, shown in steps(dialogue):
            output = run(command, environment, tmp_path)
            assert pattern_of(shown).fullmatch(output), f"$ {command}\n{output}"


class Demo:
    """A demo that runs, and how the README's ports and processes are its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        self.said = "".join(lines)
        self.translated: dict[str, str] = {}

    def learn(self, shown: list[str]) -> None:
        """Take over which of the README's numbers are which of the demo's."""
        for address, number in re.findall(r"([\d.]+)(?::\d+)? \(pid (\d+)\)", "\n".join(shown)):
            mine = re.search(rf"{re.escape(address)}(?::\d+)? \(pid (\d+)\)", self.said)
            assert mine, f"the demo says no process of {address}:\n{self.said}"
            self.translated[number] = mine[1]
        self.translated[PORTS["dns"]] = re.search(r"dig @127\.0\.0\.1 -p (\d+)", self.said)[1]
        self.translated[PORTS["http"]] = re.search(r"curl http://[\d.]+:(\d+)/", self.said)[1]
        self.translated[PORTS["admin"]] = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)[1]

    def translate(self, text: str) -> str:
        return re.sub(r"\d+", lambda found: self.translated.get(found[0], found[0]), text)

    def command(self, text: str) -> str:
        """Return a command for this demo; one that means the usual admin port is told which."""
        text = self.translate(text)
        if text.startswith("gslb ") and "--admin" not in text:
            text += f" --admin http://127.0.0.1:{self.translated[PORTS['admin']]}"
        return text


@pytest.fixture
def demo(tmp_path, environment):
    command = [sys.executable, "-m", "gslb", "demo", "--for", str(DEMO_ENDS_ITSELF_S)]
    log = tmp_path / "demo.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, env=environment, text=True
        ) as process,
    ):
        running = Demo(process)
        if process.poll() is not None:
            pytest.fail(f"the demo does not start:\n{log.read_text()}")
        try:
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(GIVE_UP_S)


@pytest.mark.skipif(not shutil.which("dig"), reason="dig is not installed: bind9-dnsutils")
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_demo_does_what_is_shown(demo, environment, tmp_path):
    for dialogue in OF_THE_DEMO:
        for command, shown in steps(dialogue):
            if command == "make demo":
                demo.learn(shown)
                expected = pattern_of([demo.translate(line) for line in shown])
                assert expected.fullmatch(demo.said), demo.said
            elif command != ". .venv/bin/activate":
                expected_lines = [demo.translate(line) for line in shown]
                wait_for(expected_lines, partial(run, demo.command(command), environment, tmp_path))


def wait_for(shown: list[str], ask: Callable[[], str]) -> None:
    """Ask until the answer is as shown; a kill takes a moment to be noticed."""
    expected, give_up_at_s = pattern_of(shown), time.monotonic() + GIVE_UP_S
    while not expected.fullmatch(output := ask()):
        assert time.monotonic() < give_up_at_s, f"{output}\nis not\n" + "\n".join(shown)
        time.sleep(ASK_AGAIN_S)
