"""The status page: one HTML file of the package, and the headers it is served with.

Its style and its script stand in it.  The content security policy names both by their
digests and allows nothing else, so that whatever text the page comes to show, no other
script runs and nothing is fetched but the API of the same origin.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

FILE = "page.html"

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """A page's bytes and headers."""

    body: bytes
    headers: Mapping[str, str]


def read_page() -> Page:
    """Return the status page as it is shipped."""
    text = files("gslb.daemons").joinpath(FILE).read_text("utf-8")
    return Page(
        text.encode(),
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy(text),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def policy(text: str) -> str:
    """Return the content security policy that allows what stands in *text*, and nothing else."""
    digests: dict[str, list[str]] = {"style": [], "script": []}
    for kind, inline in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        digests[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {' '.join(digests['style'])}",
            f"script-src {' '.join(digests['script'])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
