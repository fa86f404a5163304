"""The single words of a master file: TTL, class, type; what is wrong with them, and a way out.

dnspython knows the mnemonics.  It says little about a word that is none, so the guesses
are made here: the closest known type, or an example of a record.
"""

from __future__ import annotations

from difflib import get_close_matches

import dns.exception
import dns.rdataclass
import dns.rdatatype
import dns.ttl

from gslb.dns import records

DIRECTIVES = {
    "$ORIGIN": "$ORIGIN example.com.",
    "$TTL": "$TTL 300",
    "$INCLUDE": "$INCLUDE hosts.zone",
    "$GENERATE": "$GENERATE 1-100 host-$ A 192.0.2.$",
}

_EXAMPLES = {
    "A": "www 300 A 192.0.2.1",
    "AAAA": "www 300 AAAA 2001:db8::1",
    "CAA": '@ 300 CAA 0 issue "ca.example.net"',
    "CNAME": "www 300 CNAME web.example.com.",
    "DNAME": "old 300 DNAME new.example.com.",
    "MX": "@ 300 MX 10 mail.example.com.",
    "NS": "@ 300 NS ns1.example.com.",
    "SOA": "@ 300 SOA ns1.example.com. admin.example.com. 1 7200 900 1209600 60",
    "SRV": "_sip._tcp 300 SRV 10 5 5060 sip.example.com.",
    "TXT": '@ 300 TXT "some text"',
}
_TTL_CHARACTERS_MAX = 80


class Wrong(Exception):  # noqa: N818 - it becomes a Complaint where the place is known
    """An entry cannot be read: what is wrong with it, and how to mend it."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def ttl_s(text: str) -> int:
    """Return the seconds that *text*, such as ``300`` or ``1h30m``, stands for (RFC 2181 8)."""
    try:
        seconds = dns.ttl.from_text(text) if len(text) <= _TTL_CHARACTERS_MAX else -1
    except dns.ttl.BadTTL:
        seconds = -1
    if not 0 <= seconds <= records.TTL_MAX:
        raise Wrong(
            f"{text:.80} is not a TTL",
            f"write 0 to {records.TTL_MAX} seconds, or such as 1h30m",
        )
    return seconds


def is_class(text: str) -> bool:
    """Return whether *text* names the class IN, or no class at all; any other is wrong."""
    if text.upper() == "IN":
        return True
    try:
        class_ = dns.rdataclass.from_text(text)
    except (dns.exception.DNSException, ValueError):
        return False
    if class_ != dns.rdataclass.IN:
        raise Wrong(f"the class is {text}, not IN", "gslb serves class IN only")
    return True


def type_(text: str) -> int:
    """Return the RR type that *text* names: a mnemonic, or ``TYPE65280`` (RFC 3597 5)."""
    try:
        found = dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        raise Wrong(f"{text!r:.80} is not a record type", _hint_for_type(text)) from None
    if found == dns.rdatatype.NONE or dns.rdatatype.is_metatype(found):
        raise Wrong(f"{text} is a type for questions, not for data", "take the record out")
    return int(found)


def _hint_for_type(text: str) -> str:
    if text.upper() in DIRECTIVES:
        return "a directive must start in the first column"
    known = [known.name for known in dns.rdatatype.RdataType]
    near = get_close_matches(text.upper(), known, 1)
    return f"did you mean {near[0]}?" if near else f"write such as {_EXAMPLES['A']}"


def shown_type(type_: int) -> str:
    """Return an RR type's mnemonic, or ``TYPE65280`` for one without."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(type_))


def hint_for_data(type_: int) -> str:
    """Return how a record of that type is written."""
    shown = shown_type(type_)
    example = _EXAMPLES.get(shown)
    return f"write such as {example}" if example else f"see the RFC that defines {shown}"


def hint_for_directive(word: str) -> str:
    """Return what somebody who wrote *word* may have meant."""
    near = get_close_matches(word, DIRECTIVES, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(DIRECTIVES)}"
