"""The members behind the proxies that are compared.

The quick ones are one nginx with one worker at three addresses: `/1k` comes from memory, `/1m`
from a file, `/sink` takes a body and answers 204.  The slow ones are `bench.slowmembers`: they
work on two requests at a time, and one request of a hundred takes them long.
"""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.process import NotMeasured, cores, last_core, running, tail
from bench.proxyfiles import MEMBERS

START_MAX_S = 10.0


@contextmanager
def origins(folder: Path, quick: int, slow: int) -> Iterator[None]:
    """Serve at both ports of the members' addresses until the block is left, on the last core."""
    config = _nginx(folder, quick)
    quick_argv = ["nginx", "-p", str(folder), "-e", f"{folder}/start.log", "-c", str(config)]
    slow_argv = [sys.executable, "-m", "bench.slowmembers", str(slow)]
    with ExitStack() as stack:
        for name, port, argv in (("quick", quick, quick_argv), ("slow", slow, slow_argv)):
            log = folder / f"{name}.log"
            child = stack.enter_context(running(cores([last_core()], argv), log=log))
            deadline_s = time.monotonic() + START_MAX_S
            while not answers(MEMBERS[-1], port, "/healthz"):
                if child.poll() is not None or time.monotonic() > deadline_s:
                    raise NotMeasured(f"the {name} members do not start: {tail(log)}")
                time.sleep(0.02)
        yield


def answers(address: str, port: int, path: str, host: str | None = None) -> bool:
    """Tell whether something answers a GET of *path* there with 200."""
    asking = http.client.HTTPConnection(address, port, timeout=2)
    try:
        asking.request("GET", path, headers={"Host": host} if host else {})
        return asking.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


def _nginx(folder: Path, port: int) -> Path:
    files = folder / "files"
    files.mkdir()
    for name, size in (("1m", 2**20), ("healthz", 2)):
        (files / name).write_bytes(b"x" * size)
    config = folder / "origin.conf"
    config.write_text(
        "worker_processes 1;\ndaemon off;\n"
        f"pid {folder}/origin.pid;\nerror_log {folder}/origin-error.log warn;\n"
        "events { worker_connections 4000; }\n"
        "http {\n  access_log off; sendfile on; tcp_nopush on; server_tokens off;\n"
        "  default_type application/octet-stream; open_file_cache max=16 inactive=1h;\n"
        f"  client_body_temp_path {folder}/origin-body; client_body_buffer_size 64k;\n"
        "  keepalive_timeout 1h; keepalive_requests 100000000;\n"
        f"  server {{ {_listens(MEMBERS, port)} root {files};\n"
        f"    location = /1k {{ return 200 {'x' * 1024}; }}\n"
        "    location = /sink { return 204; } }\n}\n"
    )
    return config


def _listens(addresses: Sequence[str], port: int) -> str:
    return " ".join(f"listen {address}:{port} backlog=4096;" for address in addresses)
