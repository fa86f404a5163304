"""The native extension, where it was built and speaks of the same images as this package does.

All who use it ask here first, so that one left over from another version counts as absent:

    from gslb.nativecode import IS_BUILT
    if IS_BUILT:
        from gslb import _native
"""

from __future__ import annotations

from gslb.dns.image import VERSION

RUST_MIN = "1.88"  # the `rust-version` of native/Cargo.toml; a test holds it to that

# Why it is not used, in words for a person; empty where it is.
WHY_NOT = ""
IS_BUILT = False
try:
    from gslb import _native

    IS_BUILT = getattr(_native, "VERSION", None) == VERSION
    if not IS_BUILT:
        WHY_NOT = "the native engine is of another version"
except ImportError:
    WHY_NOT = "the native engine is not built here"
