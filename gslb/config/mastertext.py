"""The records of a master file and its includes, one by one, each with its place (RFC 1035 5).

dnspython knows the grammar of tokens, TTLs, types and rdata, all types of it.  Its own
reader stops at the first mistake, drops names outside the zone silently, and follows
includes from the working directory without a limit; so the entries are walked here.

What carries over: origin, owner and TTLs go down into an include; coming back, the
includer's own are as before, but for a TTL that it did not have.  A record without a TTL
takes that of ``$TTL``, else the last one stated, else the SOA's minimum (RFC 2308 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.tokenizer

from gslb.config import generate
from gslb.config import masterwords as words
from gslb.config.masterentries import Place, entries, text_of, wrong
from gslb.config.masterwords import Wrong
from gslb.dns import name, records
from gslb.errors import Complaint, ConfigError

RDATA_BYTES_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Limits:
    """What a master file may ask for at most; the first is for each file, the others for all."""

    file_bytes_max: int = 64 * 1024 * 1024
    include_depth_max: int = 8
    includes_max: int = 1_000
    records_max: int = 1_000_000
    generate_max: int = 65_536
    complaints_max: int = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its owner in lower-case wire form, its data, and where it stands."""

    owner: bytes
    type: int
    ttl_s: int
    rdata: dns.rdata.Rdata
    wire: bytes
    file: str
    line: int


@dataclass(slots=True)
class Gathered:
    """What one run over a file and its includes brought together."""

    records: list[Record] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)


def gather(path: Path, apex: bytes, limits: Limits, named_at: Place | None) -> Gathered:
    """Return the records of *path* that lie within *apex*, and what is wrong with the others.

    A *path* that cannot be read is complained of at *named_at*.
    """
    run = _Run(apex, limits)
    start = _Here(path, apex, _dnspython_name(apex), apex)
    try:
        run.file(start, named_at or (str(path), 1, 1, ""))
    except (ConfigError, _EnoughError) as error:
        run.gathered.complaints.extend(error.complaints)
    return run.gathered


class _EnoughError(ConfigError):
    """A limit on the whole run is reached; nothing more is read."""


@dataclass(slots=True)
class _Here:
    """Where reading stands in one file, and what carries over to the next entry."""

    path: Path
    origin: bytes
    origin_name: dns.name.Name
    owner: bytes
    default_ttl_s: int | None = None
    stated_ttl_s: int | None = None
    soa_ttl_s: int | None = None
    line: int = 1
    directive: str = ""
    type: int | None = None
    includers: tuple[tuple[int, int], ...] = ()

    def place(self) -> Place:
        """Return the entry's place; its key is the directive, or the record's owner and type."""
        key = self.directive
        if self.type is not None:
            key = f"{name.show(self.owner)} {words.shown_type(self.type)}"
        return (str(self.path), self.line, 1, key)


class _Run:
    """One run over a file and its includes; complaints are collected, not raised."""

    def __init__(self, apex: bytes, limits: Limits) -> None:
        self.apex = apex
        self.limits = limits
        self.gathered = Gathered()
        self.includes = 0
        self.codec = _AsciiOnly()

    def file(self, here: _Here, named_at: Place) -> None:
        """Read the file at *here* whole; raise ConfigError if that cannot be done at all."""
        self.gathered.files.add(here.path)
        text, identity = text_of(here.path, named_at, self.limits.file_bytes_max)
        if identity in here.includers:
            problem = f"{here.path} is included from within itself"
            raise wrong(named_at, problem, "take out the $INCLUDE that closes the loop")
        here.includers = (*here.includers, identity)
        for line, entry, closed in entries(text):
            here.line, here.directive, here.type = line, "", None
            try:
                if not closed:
                    raise Wrong("the parenthesis opened here is never closed", "close it with ')'")
                self.entry(here, entry)
            except _EnoughError:
                raise
            except Wrong as error:
                self.complain(here, wrong(here.place(), error.problem, error.hint))
            except ConfigError as error:
                self.complain(here, error)

    def complain(self, here: _Here, error: ConfigError) -> None:
        complaints = self.gathered.complaints
        complaints.extend(error.complaints)
        if len(complaints) >= self.limits.complaints_max:
            problem = f"reading stops here, after {len(complaints)} complaints"
            raise _enough(here, problem, "mend those first; is this a master file at all?")

    def entry(self, here: _Here, text: str) -> None:
        tok = dns.tokenizer.Tokenizer(text, idna_codec=self.codec)
        first_line = here.line
        try:
            token = tok.get(want_leading=True)
            if token.is_identifier() and token.value.startswith("$"):
                here.directive = token.value.upper()
                self.directive(here, tok)
            elif not token.is_eol_or_eof():
                self.record(here, token, tok)
        except (dns.exception.DNSException, ValueError) as error:
            here.line = first_line + tok.line_number - 1
            raise Wrong(_said(error), "RFC 1035 section 5 has the format") from None

    def record(self, here: _Here, token: dns.tokenizer.Token, tok: dns.tokenizer.Tokenizer) -> None:
        if token.is_whitespace():
            token = tok.get()
            if token.is_eol_or_eof():
                return
            tok.unget(token)
        elif token.is_identifier():
            here.owner = name.parse(token.value, here.origin)
        else:
            raise Wrong("an owner name stands in quotes", "take the quotes away")
        ttl_s, here.type = _ttl_and_type(here, tok)
        self.add(here, ttl_s, here.type, tok)

    def add(
        self, here: _Here, ttl_s: int | None, type_: int, source: dns.tokenizer.Tokenizer | str
    ) -> None:
        rdata = self.rdata(here, type_, source)
        if isinstance(rdata, dns.rdtypes.ANY.SOA.SOA):
            here.soa_ttl_s = min(rdata.minimum, records.TTL_MAX)
        for implied_s in (here.default_ttl_s, here.stated_ttl_s, here.soa_ttl_s):
            ttl_s = implied_s if ttl_s is None else ttl_s
        if ttl_s is None:
            raise Wrong("the record has no TTL", "write $TTL 300 above the first record")
        if not name.is_within(here.owner, self.apex):
            raise Wrong(
                f"{name.show(here.owner)} is outside the zone {name.show(self.apex)}",
                "take it out; or does a name here, or in $ORIGIN, end in a dot too much?",
            )
        wire = rdata.to_wire() or b""
        if len(wire) > RDATA_BYTES_MAX:
            raise Wrong(f"the data is longer than {RDATA_BYTES_MAX} octets", "shorten or split it")
        if len(self.gathered.records) == self.limits.records_max:
            problem = f"there are more than {self.limits.records_max} records"
            raise _enough(here, problem, "delegate a part of the zone, or use a wildcard")
        self.gathered.records.append(
            Record(here.owner, type_, ttl_s, rdata, wire, str(here.path), here.line)
        )

    def rdata(
        self, here: _Here, type_: int, source: dns.tokenizer.Tokenizer | str
    ) -> dns.rdata.Rdata:
        try:
            return _rdata(type_, source, here.origin_name, self.codec)
        except dns.exception.DNSException as error:
            if isinstance(source, dns.tokenizer.Tokenizer):
                here.line += source.line_number - 1
            problem = f"the data cannot be read: {_said(error)}"
            raise Wrong(problem, words.hint_for_data(type_)) from None

    def directive(self, here: _Here, tok: dns.tokenizer.Tokenizer) -> None:
        word = here.directive
        if word not in words.DIRECTIVES:
            raise Wrong(f"{word:.80} is not a known directive", words.hint_for_directive(word))
        token = tok.get()
        if token.is_eol_or_eof():
            raise Wrong(f"{word} lacks its argument", f"write such as {words.DIRECTIVES[word]}")
        if word == "$INCLUDE":
            self.include(here, token.value, tok)
        elif word == "$GENERATE":
            self.generate(here, token.value, tok)
        else:
            tok.get_eol()
            if word == "$TTL":
                here.default_ttl_s = words.ttl_s(token.value)
            else:
                here.origin = name.parse(token.value, here.origin)
                here.origin_name = _dnspython_name(here.origin)

    def include(self, here: _Here, filename: str, tok: dns.tokenizer.Tokenizer) -> None:
        token = tok.get()
        origin = here.origin
        if not token.is_eol_or_eof():
            origin = name.parse(token.value, here.origin)
            tok.get_eol()
        if len(here.includers) > self.limits.include_depth_max:
            raise Wrong(
                f"includes are nested more than {self.limits.include_depth_max} deep",
                "include the file from further up",
            )
        if self.includes == self.limits.includes_max:
            problem = f"there are more than {self.limits.includes_max} includes"
            raise _enough(here, problem, "put some of the files together")
        self.includes += 1
        inner = replace(
            here,
            path=here.path.parent / filename,
            origin=origin,
            origin_name=_dnspython_name(origin),
        )
        self.file(inner, here.place())
        for ttl in ("default_ttl_s", "stated_ttl_s", "soa_ttl_s"):
            if getattr(here, ttl) is None:
                setattr(here, ttl, getattr(inner, ttl))

    def generate(self, here: _Here, span: str, tok: dns.tokenizer.Tokenizer) -> None:
        numbers = generate.numbers(span)
        if len(numbers) > self.limits.generate_max:
            raise Wrong(
                f"$GENERATE makes {len(numbers)} records, more than {self.limits.generate_max}",
                "split the range, or use a wildcard",
            )
        owner = tok.get_identifier()
        ttl_s, type_ = _ttl_and_type(here, tok)
        data = " ".join(token.value for token in tok.get_remaining())
        for number in numbers:
            here.owner = name.parse(generate.text(owner, number), here.origin)
            here.type = type_
            self.add(here, ttl_s, type_, generate.text(data, number))


def _ttl_and_type(here: _Here, tok: dns.tokenizer.Tokenizer) -> tuple[int | None, int]:
    """Read TTL and class, both optional and in either order, and the type."""
    ttl_s: int | None = None
    classed = False
    while True:
        token = tok.get()
        if not token.is_identifier():
            raise Wrong("the record has no type", words.hint_for_data(records.A))
        if ttl_s is None and token.value[0] in "0123456789":
            ttl_s = here.stated_ttl_s = words.ttl_s(token.value)
        elif not classed and words.is_class(token.value):
            classed = True
        else:
            return ttl_s, words.type_(token.value)


class _AsciiOnly(dns.name.IDNACodec):
    """Refuse letters beyond ASCII in names: which IDNA was meant is not ours to guess."""

    def __init__(self) -> None:
        pass

    def encode(self, label: str) -> bytes:
        if not label.isascii():
            raise ValueError(f"{label!r} is not ASCII; write international names as xn--…")
        return label.encode("ascii")


def rdata(type_: int, text: str, origin: bytes) -> dns.rdata.Rdata:
    """Return the data of a type that *text* says; raises DNSException or ValueError."""
    tok = dns.tokenizer.Tokenizer(text, idna_codec=_AsciiOnly())
    return _rdata(type_, tok, _dnspython_name(origin), _AsciiOnly())


def _rdata(
    type_: int,
    source: dns.tokenizer.Tokenizer | str,
    origin: dns.name.Name,
    codec: dns.name.IDNACodec,
) -> dns.rdata.Rdata:
    return dns.rdata.from_text(
        dns.rdataclass.IN,
        dns.rdatatype.RdataType.make(type_),
        source,
        origin,
        relativize=False,
        idna_codec=codec,
    )


def _dnspython_name(wire: bytes) -> dns.name.Name:
    return dns.name.from_wire(wire, 0)[0]


def _enough(here: _Here, problem: str, hint: str) -> _EnoughError:
    return _EnoughError([Complaint(*here.place(), problem, hint)])


def _said(error: Exception) -> str:
    """Return what dnspython says, on one line and not for pages."""
    return " ".join(str(error).split()).rstrip(".")[:200] or "malformed"
