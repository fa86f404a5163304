"""What the native engine offers to Python (native/src/python.rs)."""

from collections.abc import Callable
from os import PathLike

_Ipv4 = tuple[bytes, bytes]
_Ipv6 = tuple[bytes, bytes, bytes]

class GeoMap:
    """A geo map over its image: copied, or mapped with `open`."""

    def __new__(cls, image: bytes) -> GeoMap: ...
    @staticmethod
    def open(path: str | PathLike[str]) -> GeoMap: ...
    def find(self, version: int, address: int) -> tuple[int, int]: ...
    @property
    def orders(self) -> int: ...

class Walked:
    """One database, walked."""

def walk(
    octets: bytes, node_count: int, record_size: int, ip_version: int, asns: bool
) -> Walked: ...
def join(cities: Walked | None, asns: Walked | None, digest: str) -> bytes: ...
def overlay_ipv4(one: _Ipv4, other: _Ipv4, combine: Callable[[int, int], int]) -> _Ipv4: ...
def overlay_ipv6(one: _Ipv6, other: _Ipv6, combine: Callable[[int, int], int]) -> _Ipv6: ...
