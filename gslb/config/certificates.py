"""Whether a file holds authorities that can be trusted: certificates in PEM."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from gslb.config.nodes import At
from gslb.config.yamlfile import UnreadableError, read_bytes


def authorities(written: str | None, at: At, named: Callable[[str], Path]) -> str | None:
    """Return the whole path of the file named at *at*; complain there if it cannot be used.

    *named* turns a path written there into one from here.
    """
    if written is None:
        return None
    path = named(written)
    try:
        read_bytes(path)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except UnreadableError as error:
        at.wrong(f"{path} {error.problem}", error.hint)
    except (ssl.SSLError, OSError, ValueError):
        at.wrong(f"{path} holds no certificates", "name a file of certificates in PEM")
    return str(path.absolute())
