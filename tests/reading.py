"""A reader of images for tests: what another engine would take from their octets."""

from __future__ import annotations

from struct import Struct
from typing import Any


class Octets:
    """Octets read one thing after the other."""

    def __init__(self, octets: bytes) -> None:
        self.octets = bytes(octets)
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self.octets[self.at : self.at + count]
        assert len(taken) == count, "the image ends early"
        self.at += count
        return taken

    def numbers(self, form: str) -> tuple[Any, ...]:
        made = Struct("=" + form)
        return made.unpack(self.take(made.size))

    def number(self, form: str) -> Any:
        (found,) = self.numbers(form)
        return found

    def short(self) -> bytes:
        return self.take(self.number("B"))

    def rdata(self) -> tuple[bytes, tuple[int, ...]]:
        length, count = self.numbers("HB")
        holes = self.numbers(f"{count}H")
        return self.take(length), holes

    @property
    def is_done(self) -> bool:
        return self.at == len(self.octets)
