"""Requests that two readers could take differently: one table, for whoever reads requests.

`REFUSED` must be refused whatever is behind, `PLAIN` is answered since it can be made plain, and
`UNFINISHED` comes to nothing.  A reader is to have the limits `HEAD_MAX`, `FIELDS_MAX` and
`BODY_MAX`.  `TELLING` and `TELLING_PLAIN` are the few to run where each costs more.
"""

from typing import NamedTuple

HEAD_MAX = 4096
FIELDS_MAX = 50
BODY_MAX = 100_000

HOST = b"Host: www.example.com\r\n"
POST = b"POST /first HTTP/1.1\r\n" + HOST
GET = b"GET /first HTTP/1.1\r\n" + HOST
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
NO_CHUNKS = b"0\r\n\r\n"
IN_CHUNKS = NO_CHUNKS + SMUGGLED
HELLO = b"5\r\nhello\r\n" + NO_CHUNKS
TE = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(IN_CHUNKS)


def at_length(count: int) -> bytes:
    """Return the field that tells a body of *count* octets."""
    return b"Content-Length: %d\r\n" % count


def whole(octets: bytes) -> list[bytes]:
    """Return *octets* as what is sent at once."""
    return [octets]


def halves(octets: bytes) -> list[bytes]:
    """Return *octets* as two parts, cut within the line behind the first."""
    cut = octets.find(b"\r\n") + 4
    return [octets[:cut], octets[cut:]]


# Fields that one reader takes for a chunked coding and another does not.
CODINGS = (
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx",
    b"Transfer-Encoding: chunk",
    b"Transfer-Encoding: chun ked",
    b"Transfer-Encoding: chun\r\n ked",
    b"Transfer-Encoding: cow",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding:\x0cchunked",
    b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding:\x00chunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: chunked\x7f",
    b"Transfer-Encoding:\xa0chunked",
    b"Transfer-Encoding: \xa0chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding:\n chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: identity",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding\x0b: chunked",
    b"Transfer-Encoding\x00: chunked",
    b"Transfer-Encoding\r\n: chunked",
    b"Transfer\x00-Encoding: chunked",
    b"Transfer-\r\nEncoding: chunked",
    b"Transfer Encoding: chunked",
    b"\x00Transfer-Encoding: chunked",
    b" Transfer-Encoding: chunked",
    b"\tTransfer-Encoding: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\r\r\nTransfer-Encoding: chunked",
    b"X: y\n\rTransfer-Encoding: chunked",
)

# Fields that tell a length to one reader only, or two lengths.  What is behind has one of 5.
LENGTHS = (
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 0\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 0",
    b"Content-Length: 5, 5",
    b"Content-Length: 5,0",
    b"Content-Length: 0,5",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 0x5",
    b"Content-Length: 5.0",
    b"Content-Length: 5e1",
    b"Content-Length: 5 5",
    b"Content-Length: 5_0",
    b"Content-Length: 5;",
    b"Content-Length: five",
    b"Content-Length: \xb2",
    b"Content-Length: \xd9\xa5",
    b"Content-Length:",
    b"Content-Length: ",
    b"Content-Length : 5",
    b"Content-Length\t: 5",
    b"Content-Length:\x0b5",
    b"Content-Length: \x0b5",
    b"Content-Length: 5\x00",
    b"Content-Length: 5\n",
    b"Content-Length: 18446744073709551621",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length: " + b"0" * 100 + b"5",
    b"Content-Length: %d" % (BODY_MAX + 1),
    b"X: y\nContent-Length: 5",
    b"X: y\r\n Content-Length: 5",
    b" Content-Length: 5",
)

# Fields that are none, or that two readers end at different places.
FIELDS = (
    b"Host: other.example.com",
    b"Host: www.example.com",
    b"Host : www.example.com",
    b"X : y",
    b"X",
    b": y",
    b"X: \x00",
    b"X: a\x00b",
    b"X: \x01",
    b"X: \x7f",
    b"X: a\rb",
    b"X: a\nb",
    b"X: a\n",
    b"X: y\r\n\tfolded",
    b"X\xff: y",
    b"X(: y",
    b'"X": y',
    b"X Y: z",
    b"Expect: 200-ok",
    b"Expect: 100-continue, x",
)

LINES = (
    b"GET  /first HTTP/1.1",
    b"GET /first  HTTP/1.1",
    b" GET /first HTTP/1.1",
    b"GET\t/first HTTP/1.1",
    b"GET /first\tHTTP/1.1",
    b"GET /first HTTP/1.1 ",
    b"GET /first HTTP/1.1\r",
    b"GET /fi rst HTTP/1.1",
    b"GET /first HTTP/1.1 HTTP/1.1",
    b"GET /first HTTP/1.2",
    b"GET /first HTTP/2.0",
    b"GET /first HTTP/0.9",
    b"GET /first HTTP/3",
    b"GET /first HTTP/1",
    b"GET /first HTTP/1,1",
    b"GET /first HTTP/1.10",
    b"GET /first HTTP/1.1.1",
    b"GET /first HTTP/01.1",
    b"GET /first HTTP/1.01",
    b"GET /first http/1.1",
    b"GET /first RTSP/1.0",
    b"GET /first ICE/1.0",
    b"GET /first",
    b"GET /first ",
    b"GET",
    b"GET  HTTP/1.1",
    b"get /first HTTP/1.1",
    b"FROBNICATE /first HTTP/1.1",
    b"G@T /first HTTP/1.1",
    b"G(T /first HTTP/1.1",
    b"G\x00T /first HTTP/1.1",
    b"GET /fi\x00rst HTTP/1.1",
    b"GET /fi\x01rst HTTP/1.1",
    b"GET /fi\xffrst HTTP/1.1",
    b"GET /fi\x7frst HTTP/1.1",
    b"GET /fi\nrst HTTP/1.1",
    b"GET /first#x HTTP/1.1",
    b"GET /first?a#x HTTP/1.1",
    b"GET # HTTP/1.1",
    b"GET first HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET www.example.com:80 HTTP/1.1",
    b"GET http:///first HTTP/1.1",
    b"GET http://a@www.example.com/first HTTP/1.1",
    b"GET http://www.example.com:x/first HTTP/1.1",
    b"GET http://www.example.com#x HTTP/1.1",
    b"GET file:///first HTTP/1.1",
    b"CONNECT www.example.com:80 HTTP/1.1",
    b"CONNECT /first HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)

HOSTS = (
    b"",
    b"Host:\r\n",
    b"Host: a b\r\n",
    b"Host: a/b\r\n",
    b"Host: a@b\r\n",
    b"Host: a#b\r\n",
    b"Host: a?b\r\n",
    b"Host: a\\b\r\n",
    b"Host: a:b\r\n",
    b"Host: a, b\r\n",
    b"Host: a:80:80\r\n",
    b"Host: [::1\r\n",
    b"Host: a\xff\r\n",
    b"Host:\r\n www.example.com\r\n",
)

CHUNKS = (
    b"\r\n" + NO_CHUNKS,
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"5_\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5\r\rhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;\x00\r\nhello\r\n0\r\n\r\n",
    b"5\x00\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhellohello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"0000000000000000000005\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    b"0\r\nX y\r\n\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\n X: y\r\n\r\n",
    b"0\r\nX: y\r\n z\r\n\r\n",
    b"0\r\nX: y\nZ: a\r\n\r\n",
    b"0\r\nX: \x00\r\n\r\n",
    b"0\r\nX: " + b"a" * 17_000 + b"\r\n\r\n",
)

# What a client sends that must be refused, whatever is behind it.
REFUSED = {
    # Two framings, whichever comes first.
    "CL.TE": POST + LENGTH + TE + b"\r\n" + IN_CHUNKS,
    "CL.TE of one octet": POST + at_length(6) + TE + b"\r\n" + NO_CHUNKS + b"G",
    "TE.CL": POST + TE + at_length(4) + b"\r\n" + IN_CHUNKS,
    "TE.CL of one octet": POST + TE + at_length(6) + b"\r\n" + NO_CHUNKS + b"G",
    "TE.CL zero": POST + TE + at_length(0) + b"\r\n" + IN_CHUNKS,
    "CL zero.TE": POST + at_length(0) + TE + b"\r\n" + NO_CHUNKS,
    "CL.TE in a chunk": (
        POST + at_length(4) + TE + b"\r\n%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + NO_CHUNKS
    ),
    # One that is in doubt, alone, or beside one that is not.
    **{f"coding {each!r}": POST + each + b"\r\n\r\n" + IN_CHUNKS for each in CODINGS},
    **{f"CL, coding {each!r}": POST + LENGTH + each + b"\r\n\r\n" + IN_CHUNKS for each in CODINGS},
    **{f"TE, coding {each!r}": POST + TE + each + b"\r\n\r\n" + IN_CHUNKS for each in CODINGS},
    **{f"length {each!r}": POST + each + b"\r\n\r\n" + IN_CHUNKS for each in LENGTHS},
    **{f"field {each!r}": GET + each + b"\r\n\r\n" + SMUGGLED for each in FIELDS},
    **{f"line {each!r}": each + b"\r\n" + HOST + b"\r\n" + SMUGGLED for each in LINES},
    **{f"host {each!r}": b"GET /first HTTP/1.1\r\n" + each + b"\r\n" + SMUGGLED for each in HOSTS},
    "HTTP/0.9": b"GET /first\r\n\r\n" + SMUGGLED,
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
    "HTTP/1.0 with a coding": POST.replace(b"1.1", b"1.0") + TE + b"\r\n" + IN_CHUNKS,
    "HTTP/1.0 with a coding, kept": (
        POST.replace(b"1.1", b"1.0") + TE + b"Connection: keep-alive\r\n\r\n" + IN_CHUNKS
    ),
    # Ends of lines.
    "bare LF": b"GET /first HTTP/1.1\nHost: www.example.com\n\n" + SMUGGLED,
    "bare LF behind the line": b"GET /first HTTP/1.1\n" + HOST + b"\r\n" + SMUGGLED,
    "bare LF in the end": GET + b"\n" + SMUGGLED,
    "bare LF before the end": GET.removesuffix(b"\r\n") + b"\n\r\n" + SMUGGLED,
    "bare CR": GET.replace(b"\r\n", b"\r") + b"\r\r" + SMUGGLED,
    "LF CR": GET.replace(b"\r\n", b"\n\r") + b"\n\r" + SMUGGLED,
    "LF before it": b"\n" + GET + b"\r\n" + SMUGGLED,
    "CR before it": b"\r" + GET + b"\r\n" + SMUGGLED,
    # Sizes.
    "long target": b"GET /" + b"a" * HEAD_MAX + b" HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "long field": GET + b"X: " + b"a" * HEAD_MAX + b"\r\n\r\n" + SMUGGLED,
    "long name": GET + b"a" * HEAD_MAX + b": x\r\n\r\n" + SMUGGLED,
    "long method": b"A" * HEAD_MAX + b" / HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "many fields": GET + b"X: y\r\n" * FIELDS_MAX + b"\r\n" + SMUGGLED,
    **{f"chunks {each[:40]!r}": POST + TE + b"\r\n" + each + SMUGGLED for each in CHUNKS},
}

TELLING = (
    "CL.TE",
    "TE.CL",
    "coding b'Transfer-Encoding: xchunked'",
    "CL, coding b'Transfer-Encoding : chunked'",
    "CL, coding b'X: y\\nTransfer-Encoding: chunked'",
    "TE, coding b'Transfer-Encoding: x\\r\\nTransfer-Encoding: chunked'",
    "length b'Content-Length: 0\\r\\nContent-Length: 5'",
    "length b'Content-Length: +5'",
    "length b'Content-Length: 100001'",
    "field b'Host: other.example.com'",
    "field b'X: a\\x00b'",
    "field b'X: y\\r\\n\\tfolded'",
    "field b'Expect: 200-ok'",
    "line b'GET /first HTTP/1.2'",
    "line b'FROBNICATE /first HTTP/1.1'",
    "line b'CONNECT www.example.com:80 HTTP/1.1'",
    "host b''",
    "HTTP/0.9",
    "HTTP/2 with prior knowledge",
    "HTTP/1.0 with a coding",
    "bare LF",
    "long field",
    "many fields",
    "chunks b'5\\nhello\\r\\n0\\r\\n\\r\\n'",
    "chunks b'5\\r\\nhello0\\r\\n\\r\\n'",
    "chunks b'0\\r\\nX : y\\r\\n\\r\\n'",
)


# The statuses that refuse one of these.
REFUSALS = {400, 405, 413, 417, 431, 501, 505}

# Fields that no member is to see.
HOP_BY_HOP = {b"keep-alive", b"proxy-connection", b"upgrade", b"http2-settings", b"trailer"}


class Plain(NamedTuple):
    """What is sent, and what the member is to read of it."""

    octets: bytes
    body: bytes = b""
    target: bytes = b"/first"
    host: bytes = b"www.example.com"

    @property
    def method(self) -> bytes:
        """The method that the member is to read."""
        return self.octets.split(b" ", 1)[0].strip()


# What is answered, since it can be made plain.
PLAIN = {
    "as it is": Plain(GET + b"\r\n"),
    "empty lines before it": Plain(b"\r\n\r\n" + GET + b"\r\n"),
    "absolute form": Plain(b"GET http://www.example.com/first HTTP/1.1\r\nHost: other\r\n\r\n"),
    "absolute form in capitals": Plain(
        b"GET HTTP://www.example.com/first HTTP/1.1\r\n" + HOST + b"\r\n"
    ),
    "absolute form without a path": Plain(
        b"GET http://www.example.com?first HTTP/1.1\r\nHost: o\r\n\r\n", target=b"/?first"
    ),
    "two slashes": Plain(GET.replace(b"/first", b"//first") + b"\r\n", target=b"//first"),
    "asterisk": Plain(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", target=b"*"),
    "underscores": Plain(POST + b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n"),
    "h2c": Plain(
        GET + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n"
    ),
    "length taken out": Plain(
        POST + b"Connection: content-length\r\n" + at_length(5) + b"\r\nhello", b"hello"
    ),
    "coding taken out": Plain(
        POST + b"Connection: Transfer-Encoding\r\n" + TE + b"\r\n" + HELLO, b"hello"
    ),
    "host taken out": Plain(GET + b"Connection: content-length, host, x\r\nX: y\r\n\r\n"),
    "old ways to keep": Plain(
        GET + b"Proxy-Connection: keep-alive\r\nKeep-Alive: 300\r\n\r\n",
    ),
    "length": Plain(POST + at_length(5) + b"\r\nhello", b"hello"),
    "length with zeros": Plain(POST + b"Content-Length:\t005 \r\n\r\nhello", b"hello"),
    "length in small letters": Plain(POST + b"content-length:5  \r\n\r\nhello", b"hello"),
    "body of a GET": Plain(GET + at_length(len(SMUGGLED)) + b"\r\n" + SMUGGLED, SMUGGLED),
    "requests as a body": Plain(POST + LENGTH + b"\r\n" + IN_CHUNKS, IN_CHUNKS),
    "a request as a chunk": Plain(
        POST + TE + b"\r\n%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + NO_CHUNKS, SMUGGLED
    ),
    "coding in odd case": Plain(POST + b"TRANSFER-encoding: \tChunKED \r\n\r\n" + HELLO, b"hello"),
    "coding without a space": Plain(POST + b"transfer-encoding:CHUNKED\r\n\r\n" + HELLO, b"hello"),
    "extensions": Plain(POST + TE + b'\r\n5;a="\\"";b\r\nhello\r\n0 ;c\r\n\r\n', b"hello"),
    "extension with a space in it": Plain(
        POST + TE + b'\r\n5;a="b c"\r\nhello\r\n0;x=y\r\n\r\n', b"hello"
    ),
    "space before an extension": Plain(POST + TE + b"\r\n5 ;a\r\nhello\r\n0\r\n\r\n", b"hello"),
    "size with zeros": Plain(POST + TE + b"\r\n0000005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "size in capitals": Plain(POST + TE + b"\r\nA\r\nhellohello\r\n0\r\n\r\n", b"hellohello"),
    "trailers": Plain(POST + TE + b"\r\n0\r\nContent-Length: 9\r\nHost: x\r\n\r\n"),
    "trailers behind a body": Plain(
        POST + TE + b"\r\n5\r\nhello\r\n0\r\nContent-Length: 5\r\nHost: x\r\n\r\n", b"hello"
    ),
    "HTTP/1.0": Plain(GET.replace(b"1.1", b"1.0") + b"\r\n"),
    "HTTP/1.0 with a body": Plain(
        POST.replace(b"1.1", b"1.0") + at_length(5) + b"\r\nhello", b"hello"
    ),
    "HTTP/1.0 without a Host": Plain(b"GET /first HTTP/1.0\r\n\r\n", host=b""),
}

TELLING_PLAIN = (
    "empty lines before it",
    "absolute form",
    "asterisk",
    "underscores",
    "h2c",
    "host taken out",
    "old ways to keep",
    "requests as a body",
    "a request as a chunk",
    "trailers behind a body",
)

# What comes to nothing, since its sender ends before it does.
UNFINISHED = {
    "half a head": GET,
    "half a body": POST + LENGTH + b"\r\n" + IN_CHUNKS[:-1],
    "half a chunk": POST + TE + b"\r\n5\r\nhell",
    "no last chunk": POST + TE + b"\r\n5\r\nhello\r\n",
    "no end of trailers": POST + TE + b"\r\n0\r\nX: y\r\n",
    "nothing": b"",
    "empty lines": b"\r\n\r\n",
}
