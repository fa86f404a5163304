"""Readers of heads beside each other: with the native cutter and without, they read the same.

Without the native engine both are the same reader, and tests of the one are all that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gslb.daemons.tiernative import CUTTER
from gslb.errors import MessageError
from gslb.proxy.head import RequestHead, ResponseHead
from gslb.proxy.headreader import RequestReader, ResponseReader

CUTTERS = [None] if CUTTER is None else [None, CUTTER]


class RequestReaders:
    """Reads as `RequestReader` does, with every cutter."""

    def __init__(self, fields_max: int = 20) -> None:
        self._readers = [RequestReader(fields_max, cutter) for cutter in CUTTERS]

    def read(self, octets: bytes) -> RequestHead:
        """Return the head, or raise the error, that all agree on."""
        return agreed(*(_said(each.read, octets) for each in self._readers))


class ResponseReaders:
    """Reads as `ResponseReader` does, with every cutter."""

    def __init__(self) -> None:
        self._readers = [ResponseReader(cutter) for cutter in CUTTERS]

    def read(self, octets: bytes, method: bytes) -> ResponseHead:
        """Return the head, or raise the error, that all agree on."""
        return agreed(*(_said(each.read, octets, method) for each in self._readers))

    def skip(self, octets: bytes, length: int) -> None:
        """Show all of them a body."""
        for each in self._readers:
            each.skip(octets, length)


def agreed(first: Any, *others: Any) -> Any:
    """Return *first*, which must be what the others are, or raise it."""
    for each in others:
        assert type(each) is type(first), (first, each)
        if isinstance(first, MessageError):
            assert (str(each), each.status) == (str(first), first.status)
        else:
            assert {name: getattr(each, name) for name in each.__slots__} == {
                name: getattr(first, name) for name in first.__slots__
            }
    if isinstance(first, MessageError):
        raise first
    return first


def _said(read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except MessageError as error:
        return error
