"""A DNS server on loopback whose records tests change while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Names(asyncio.DatagramProtocol):
    """Answers from `records`: by name and type a TTL and texts, a response code, or silence.

    A name of which nothing is known does not exist; a type of a known name is empty.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.rcode: int | None = None  # answered to everyone, whatever the records
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    def has(self, name: str, type_: str, *texts: str, ttl_s: int = 1) -> None:
        """Let *name* have these records of a type."""
        self.records[name, type_] = (ttl_s, list(texts))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, type_ = question.name.to_text(omit_final_dot=True), question.rdtype
        self.asked.append((name, dns.rdatatype.to_text(type_)))
        response = dns.message.make_response(query, recursion_available=True)
        known = self.records.get((name, dns.rdatatype.to_text(type_)))
        if self.rcode is not None:
            response.set_rcode(self.rcode)
        elif known is not None and known[1]:
            response.answer.append(
                dns.rrset.from_text(question.name, known[0], "IN", type_, *known[1])
            )
        elif not any(each == name for each, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def names_served() -> AsyncIterator[Names]:
    """Give such a server."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
