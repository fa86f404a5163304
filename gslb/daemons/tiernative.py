"""What the native engine does for the tier, where it is built: heads cut, lines of logs shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gslb.nativecode import IS_BUILT
from gslb.proxy.accesslog import AccessLog, Entry
from gslb.proxy.forwarding import OWN
from gslb.proxy.head import HERE_ALONE
from gslb.proxy.headreader import Cutter

if IS_BUILT:
    from gslb import _native

# Names that are not made anew each time they come.
_USUAL: Final = (
    b"accept accept-encoding accept-language accept-ranges access-control-allow-origin age"
    b" authorization cache-control content-encoding content-language content-security-policy"
    b" content-type cookie date etag expires if-modified-since if-none-match last-modified link"
    b" location origin priority range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform"
    b" sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user server set-cookie"
    b" strict-transport-security upgrade-insecure-requests user-agent vary via"
    b" x-content-type-options x-frame-options x-powered-by"
).split()


def cutter_for(engine: str) -> Cutter | None:
    """Return what cuts heads for an *engine* of the configuration; None for Python alone."""
    return CUTTER if engine != "python" else None


def line_of(engine: str) -> Callable[[Entry], bytes]:
    """Return what shows entries of the access log as lines, for an *engine*."""
    return _native.log_line if IS_BUILT and engine != "python" else AccessLog().line


def _made() -> Cutter | None:
    if not IS_BUILT:
        return None
    others = sorted({*OWN, *_USUAL} - HERE_ALONE)
    return _native.HeadCutter(sorted(HERE_ALONE), others)


CUTTER: Final = _made()
