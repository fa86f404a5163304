"""One value of a configuration file → a URL that gslb connects to.

No complaint shows a URL: a password or a token may stand in it, and does where it is wrong.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from gslb.config import addresses
from gslb.config.scalars import ScalarError, text
from gslb.model import PORT_MAX

NATS_PORT = 4222
URL_CHARS_MAX = 2_048


def node(value: object) -> str:
    """Return the URL of a node's admin API: scheme, host, port if it is written, no more."""
    hint = "write http://HOST:PORT or https://HOST:PORT"
    url = _split(value, ("http", "https"), hint)
    if url.username is not None or url.password is not None:
        raise ScalarError("holds a user", f"{hint}: nodes know each other by `carrier.key`")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ScalarError("goes on after the host and port", hint)
    return f"{url.scheme}://{_at(url, None)}"


def nats(value: object) -> str:
    """Return the URL of a NATS server, with its port."""
    hint = f"write nats://HOST:{NATS_PORT}, or tls://HOST:{NATS_PORT}"
    url = _split(value, ("nats", "tls"), hint)
    if url.username is not None or url.password is not None:
        raise ScalarError("holds a user", "write `user` and `password`, or `token`, beside it")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ScalarError("goes on after the host and port", hint)
    return f"{url.scheme}://{_at(url, NATS_PORT)}"


def hook(value: object) -> str:
    """Return the URL that events are posted to, as written."""
    hint = "write https://HOST/PATH"
    url = _split(value, ("http", "https"), hint)
    if url.username is not None or url.password is not None:
        raise ScalarError("holds a user", "leave it out: a `key` signs what is sent")
    if url.fragment:
        raise ScalarError("holds a fragment", "leave out what follows the #: it is never sent")
    return str(value)


def _split(value: object, schemes: tuple[str, ...], hint: str) -> SplitResult:
    if not isinstance(value, str):
        raise ScalarError("is not text", hint)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ScalarError("is not a URL", f"{hint}, in plain ASCII without spaces")
    if len(value) > URL_CHARS_MAX:
        raise ScalarError(f"is longer than {URL_CHARS_MAX} characters", hint)
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ScalarError("has no port that can be used", f"{hint}, up to {PORT_MAX}") from None
    if url.scheme not in schemes:
        raise ScalarError(f"does not start with {' or '.join(f'{s}://' for s in schemes)}", hint)
    if not url.hostname:
        raise ScalarError("names no host", hint)
    if port == 0:
        raise ScalarError("has port 0", f"{hint}, from 1 to {PORT_MAX}")
    try:
        addresses.host_or_address(text(url.hostname))
    except ScalarError:
        raise ScalarError("names no host that can be reached", hint) from None
    return url


def _at(url: SplitResult, port: int | None) -> str:
    assert url.hostname is not None
    host = addresses.host_or_address(url.hostname)
    host = f"[{host}]" if ":" in host else host
    port = url.port or port
    return host if port is None else f"{host}:{port}"
