"""Places as records of a fixed size, each read when it is asked for.

A city database knows some hundred thousand places, and hardly any of them is looked at once
the geo maps are compiled.  So they stay as the octets of their image until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is an exception, not a constant
from typing import overload

from gslb.model import Place

# Latitude, longitude, country, continent, AS number, and which of these are said.
RECORD = Struct("=dd2s2sIB3x")
_LOCATION, _COUNTRY, _CONTINENT, _ASN = 1, 2, 4, 8


class Places(Sequence[Place]):
    """Places read from records: as good as a tuple of them."""

    __slots__ = ("_records",)

    def __init__(self, records: memoryview) -> None:
        """Read *records*; their size is a multiple of a record's, or ValueError is raised."""
        if len(records) % RECORD.size:
            raise ValueError("an image whose places are cut")
        self._records = records

    def __len__(self) -> int:
        return len(self._records) // RECORD.size

    @overload
    def __getitem__(self, at: int) -> Place: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Place, ...]: ...

    def __getitem__(self, at: int | slice) -> Place | tuple[Place, ...]:
        if isinstance(at, slice):
            return tuple(self[each] for each in range(*at.indices(len(self))))
        try:
            # Like a sequence, it counts an offset below 0 from the end.
            return _place(*RECORD.unpack_from(self._records, at * RECORD.size))
        except StructError:
            raise IndexError("there is no such place") from None

    def __iter__(self) -> Iterator[Place]:
        return starmap(_place, RECORD.iter_unpack(self._records))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment] # a tuple is hashed by all that it holds

    def __repr__(self) -> str:
        return repr(tuple(self))


def _place(
    latitude: float, longitude: float, country: bytes, continent: bytes, asn: int, said: int
) -> Place:
    return Place(
        (latitude, longitude) if said & _LOCATION else None,
        country.decode("ascii") if said & _COUNTRY else None,
        continent.decode("ascii") if said & _CONTINENT else None,
        asn if said & _ASN else None,
    )


def encode(places: Iterable[Place]) -> bytes:
    """Return *places* as records; raises ValueError for one that the databases cannot say."""
    try:
        return b"".join(map(_record, places))
    except StructError as error:
        raise ValueError(f"a place that no database says: {error}") from error


def _record(place: Place) -> bytes:
    latitude, longitude = place.location or (0.0, 0.0)
    said = (
        _LOCATION * (place.location is not None)
        | _COUNTRY * (place.country is not None)
        | _CONTINENT * (place.continent is not None)
        | _ASN * (place.asn is not None)
    )
    codes = (_code(place.country), _code(place.continent))
    return RECORD.pack(latitude, longitude, *codes, place.asn or 0, said)


def _code(code: str | None) -> bytes:
    if code is None:
        return b"\0\0"
    if len(code) != 2:
        raise ValueError(f"a code of {len(code)} letters")
    return code.encode("ascii")
