"""Memory of a proxy for each idle connection kept alive: 2,000 and 10,000 of them.

Each connection has had one request answered.  What the kernel holds for the sockets is not in
it.  The bytes a connection are the difference between both counts, so that what a proxy sets aside
for all connections at its start (nginx) counts for nothing here, and shows in the first column.
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack

from bench import store
from bench.process import NotMeasured, held_bytes
from bench.proxies import Running
from bench.proxyfiles import HOST

COUNTS = (2_000, 10_000)
AT_ONCE = 50
ANSWER_MAX_S = 10.0
SETTLE_S = 1.0
REQUEST = f"GET /1k HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: idle\r\n\r\n".encode()
BODY_BYTES = 1024


def idle(proxy: Running) -> store.Result:
    """Return the memory held at the start, and with each count of idle connections."""
    # What it needs for a first batch (pools, caches) is no connection's.
    with ExitStack() as stack:
        _connect(proxy, AT_ONCE, stack)
    time.sleep(SETTLE_S)
    found: store.Result = {"before_bytes": held_bytes(proxy.pid)}
    with ExitStack() as stack:
        have = 0
        for count in COUNTS:
            while have < count:
                _connect(proxy, AT_ONCE, stack)
                have += AT_ONCE
            time.sleep(SETTLE_S)
            found[f"held_{count}_bytes"] = held_bytes(proxy.pid)
    few, many = COUNTS
    grown = found[f"held_{many}_bytes"] - found[f"held_{few}_bytes"]
    found["connection_bytes"] = round(grown / (many - few))
    return found


def _connect(proxy: Running, count: int, stack: ExitStack) -> None:
    """Open so many connections and have a request answered on each."""
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", proxy.ports.http), ANSWER_MAX_S)
            )
            client.sendall(REQUEST)
            selector.register(client, selectors.EVENT_READ, bytearray())
        waiting = count
        while waiting:
            ready = selector.select(ANSWER_MAX_S)
            if not ready:
                raise NotMeasured(f"{waiting} of {count} connections get no answer")
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket), "only sockets are registered"
                octets = key.fileobj.recv(65536)
                if not octets:
                    raise NotMeasured("a connection is closed that should be kept alive")
                key.data.extend(octets)
                head, found, body = key.data.partition(b"\r\n\r\n")
                if found and len(body) >= BODY_BYTES:
                    if not head.startswith(b"HTTP/1.1 200"):
                        raise NotMeasured(f"answered with {bytes(head[:40])!r}")
                    selector.unregister(key.fileobj)
                    waiting -= 1
