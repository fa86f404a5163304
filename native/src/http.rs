//! Heads of HTTP/1 messages that are plainly right, cut into their parts (RFC 9112).
//!
//! Whatever is not written as nearly all programs write it is declined, and read in Python, where
//! llhttp says whether it is a head at all.  So nothing is refused here, and what is taken has one
//! meaning to every reader: one space between the parts of the first line, CRLF behind each line,
//! fields of one line without white space around their names or behind their values, one length at
//! most, and no coding beside it.

/// A field: where its name and its value stand.
pub type Field = (Span, Span);

/// From the first octet to the one behind the last.
pub type Span = (usize, usize);

/// Methods that are taken; others are rare.
pub const METHODS: [&[u8]; 7] = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"];

/// Octets of a name that are looked at; longer ones are rare.
pub const NAME_MAX: usize = 48;

const DIGITS_MAX: usize = 18;

/// What a message is, as its fields tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

/// The first line of a request: the method's index in `METHODS`, and its target.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// An index in `METHODS`.
    pub method: usize,
    /// A path, maybe with a query.
    pub target: Span,
}

/// The first line of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// From 200 to 999.
    pub status: u16,
    /// The reason phrase.
    pub reason: Span,
}

/// Cut the head of a request over HTTP/1.1, to the end of its empty line; None if it is declined.
pub fn request(octets: &[u8], fields: &mut Vec<Field>) -> Option<RequestLine> {
    let space = octets.iter().position(|&octet| octet == b' ')?;
    let method = METHODS.iter().position(|&method| method == &octets[..space])?;
    let from = space + 1;
    let end = from + octets[from..].iter().position(|&octet| !in_target(octet))?;
    if octets.get(from) != Some(&b'/') || !octets[end..].starts_with(b" HTTP/1.1\r\n") {
        return None;
    }
    read_fields(octets, end + 11, Kind::Request, fields)?;
    Some(RequestLine { method, target: (from, end) })
}

/// Cut the head of a final response over HTTP/1.1; None if it is declined.
pub fn response(octets: &[u8], fields: &mut Vec<Field>) -> Option<StatusLine> {
    let rest = octets.strip_prefix(b"HTTP/1.1 ")?;
    let (&[hundreds, tens, ones], rest) = rest.split_first_chunk::<3>()?;
    if !(b'2'..=b'9').contains(&hundreds) || !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    let status =
        [hundreds, tens, ones].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let rest = rest.strip_prefix(b" ")?;
    let from = octets.len() - rest.len();
    let end = from + rest.iter().position(|&octet| !in_value(octet))?;
    if end == from || !octets[end..].starts_with(b"\r\n") {
        return None;
    }
    read_fields(octets, end + 2, Kind::Response, fields)?;
    Some(StatusLine { status, reason: (from, end) })
}

fn read_fields(octets: &[u8], from: usize, kind: Kind, fields: &mut Vec<Field>) -> Option<()> {
    let mut at = from;
    let (mut has_length, mut has_coding) = (false, false);
    while !octets[at..].starts_with(b"\r\n") {
        let line = &octets[at..];
        let colon = line.iter().position(|&octet| !in_token(octet))?;
        if colon == 0 || colon > NAME_MAX || line[colon] != b':' {
            return None;
        }
        let gap = line[colon + 1..].iter().position(|&octet| octet != b' ' && octet != b'\t')?;
        let value = colon + 1 + gap;
        let end = value + line[value..].iter().position(|&octet| !in_value(octet))?;
        if end == value
            || matches!(line[end - 1], b' ' | b'\t')
            || !line[end..].starts_with(b"\r\n")
        {
            return None;
        }
        match (colon, &line[..colon], &line[value..end]) {
            (7, name, _) if name.eq_ignore_ascii_case(b"upgrade") => return None,
            (14, name, digits) if name.eq_ignore_ascii_case(b"content-length") => {
                let is_one = digits.len() <= DIGITS_MAX && digits.iter().all(u8::is_ascii_digit);
                if !is_one || has_length || has_coding {
                    return None;
                }
                has_length = true;
            }
            (17, name, coding) if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if kind == Kind::Request || coding != b"chunked" || has_length || has_coding {
                    return None;
                }
                has_coding = true;
            }
            _ => {}
        }
        fields.push(((at, at + colon), (at + value, at + end)));
        at += end + 2;
    }
    (at + 2 == octets.len()).then_some(())
}

/// What stands in a path or a query (RFC 3986), and nothing that some programs write besides.
fn in_target(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&octet)
}

fn in_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

fn in_value(octet: u8) -> bool {
    matches!(octet, b'\t' | 0x20..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(octets: &[u8], (from, to): Span) -> String {
        String::from_utf8_lossy(&octets[from..to]).into_owned()
    }

    #[test]
    fn a_usual_request_is_cut() {
        let octets = b"GET /a?b=%20 HTTP/1.1\r\nHost: www.example.com\r\nX-Y:\tz z\r\n\r\n";
        let mut fields = Vec::new();
        let line = request(octets, &mut fields).unwrap();
        assert_eq!(METHODS[line.method], b"GET");
        assert_eq!(shown(octets, line.target), "/a?b=%20");
        let fields: Vec<_> = fields
            .iter()
            .map(|&(name, value)| (shown(octets, name), shown(octets, value)))
            .collect();
        let expected = [("Host", "www.example.com"), ("X-Y", "z z")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_usual_response_is_cut() {
        let octets = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut fields = Vec::new();
        let line = response(octets, &mut fields).unwrap();
        assert_eq!((line.status, shown(octets, line.reason)), (404, "Not Found".to_owned()));
        assert_eq!(fields.len(), 1);
    }

    #[test]
    fn what_could_mean_two_things_is_declined() {
        for octets in [
            &b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a \r\n\r\n",
            b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET",
            b"",
        ] {
            assert_eq!(
                request(octets, &mut Vec::new()),
                None,
                "{}",
                String::from_utf8_lossy(octets)
            );
        }
        for octets in [
            &b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..],
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(
                response(octets, &mut Vec::new()),
                None,
                "{}",
                String::from_utf8_lossy(octets)
            );
        }
    }
}
