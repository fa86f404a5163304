"""Images: values as octets, with a kind, a version and a checksum, for disks and other engines.

Every image opens with the same frame, so that a torn, old or foreign one is refused with
ValueError before anything of it is read, and simply made anew.  Numbers are in the machine's
own order of octets: to a machine of the other order an image is one of another version.
`native/src/image.rs` reads the same.
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

VERSION = 2  # of all images: raised whenever any of them changes its form
ATLAS, MAP, ZONE, ENTRY, FACTS = 1, 2, 3, 4, 5

_MAGIC = b"GSLB"
_FRAME = Struct("=4sHHIIQ")  # magic, version, kind, checksum of the body, nothing, its length
FRAME_BYTES = _FRAME.size


def framed(kind: int, body: bytes) -> bytes:
    """Return *body* in a frame of that *kind*."""
    return _FRAME.pack(_MAGIC, VERSION, kind, crc32(body), 0, len(body)) + body


def body_of(kind: int, octets: bytes | memoryview) -> memoryview:
    """Return the body of the image *octets*; raises ValueError if it is no good one of *kind*."""
    if len(octets) < FRAME_BYTES:
        raise ValueError("shorter than an image's frame")
    magic, version, found, checksum, nothing, length = _FRAME.unpack_from(octets)
    if (magic, version, found, nothing) != (_MAGIC, VERSION, kind, 0):
        raise ValueError("an image of another kind or version")
    body = memoryview(octets)[FRAME_BYTES:]
    if len(body) != length or crc32(body) != checksum:
        raise ValueError("an image that was torn or changed")
    return body
