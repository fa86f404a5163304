"""The fast engine: datagrams answered from snapshot images, in threads without the interpreter."""

from collections.abc import Callable

class Zone:
    """One zone in the form of `gslb.dns.zoneimage`, checked, with an index of its names."""

    def __init__(self, image: bytes) -> None:
        """Open an image; raises ValueError if it is none, or contradicts itself."""
    def node(self, name: bytes) -> bytes | None:
        """Return what the image holds behind the name of a node, for `decode_node`, or None."""
    def names(self) -> list[bytes]:
        """Return the names of all nodes, in no order."""
    def __len__(self) -> int:
        """Return the number of nodes."""
    def __eq__(self, other: object) -> bool:
        """Return whether two zones have the same image."""

def read_zone(
    text: bytes,
    apex: bytes,
    services: list[bytes],
    records_max: int,
    ask: Callable[[bytes, bytes, bytes], tuple[int, bytes] | None],
) -> Zone | int:
    """Return the zone *apex* that a master file's *text* describes, with its *services*.

    Names are in lower-case wire form.  What is declined is the line of the entry at which
    reading stopped, or 0 where the zone as a whole is: a mistake, something doubtful or rare, or
    more than *records_max* records.  Nothing is said of it here.  Other threads run meanwhile.

    Data that needs a second look is asked for: *ask* gets the type's mnemonic, the data as text
    and the origin, and returns the type and the rdata in wire form, which must be canonical,
    or None to decline.  What it raises is raised here.
    """
