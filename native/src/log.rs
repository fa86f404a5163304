//! Lines of the L7 tier's access log: one object of JSON in ASCII for each request.
//!
//! `gslb.proxy.accesslog` says what a line is; this writes the same octets.

use std::io::Write;

/// What is told of one request; text that clients wrote is octets.
pub struct Entry<'a> {
    /// When its head had come, in seconds since 1970, before the year 10000.
    pub time_s: f64,
    /// Its address.
    pub client: &'a str,
    /// The method, as it came.
    pub method: &'a [u8],
    /// The authority, as it is passed on.
    pub host: &'a [u8],
    /// The target, as it came.
    pub path: &'a [u8],
    /// What the client was answered.
    pub status: u16,
    /// Octets of the request's body.
    pub bytes_in: u64,
    /// Octets of the response's body.
    pub bytes_out: u64,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The service's name.
    pub service: Option<&'a str>,
    /// The last member that was tried.
    pub member: Option<&'a str>,
    /// Its region.
    pub region: Option<&'a str>,
    /// How many were sent the request.
    pub tries: u32,
    /// The regions whose proxies sent it on.
    pub hop: Option<&'a str>,
    /// Until the last octet went out.
    pub duration_ms: f64,
    /// What the connection to the member took.
    pub connect_ms: Option<f64>,
    /// Until the response began.
    pub first_byte_ms: Option<f64>,
    /// The version of TLS.
    pub tls: Option<&'a str>,
    /// The version of HTTP.
    pub http: &'a str,
    /// The request's id.
    pub request_id: &'a [u8],
    /// What the client calls itself.
    pub user_agent: Option<&'a [u8]>,
    /// Where it came from.
    pub referer: Option<&'a [u8]>,
    /// Why the request failed.
    pub error: Option<&'a str>,
}

/// Return the line of an entry, with its end.
pub fn line(entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(640);
    time(&mut out, entry.time_s);
    key(&mut out, "client");
    text(&mut out, entry.client);
    for (name, octets) in [("method", entry.method), ("host", entry.host), ("path", entry.path)] {
        key(&mut out, name);
        quoted(&mut out, octets);
    }
    whole(&mut out, "status", entry.status.into());
    whole(&mut out, "bytes_in", entry.bytes_in);
    whole(&mut out, "bytes_out", entry.bytes_out);
    maybe(&mut out, "route", entry.route, text);
    maybe(&mut out, "service", entry.service, text);
    maybe(&mut out, "member", entry.member, text);
    maybe(&mut out, "region", entry.region, text);
    whole(&mut out, "tries", entry.tries.into());
    maybe(&mut out, "hop", entry.hop, text);
    maybe(&mut out, "duration_ms", Some(entry.duration_ms), number);
    maybe(&mut out, "connect_ms", entry.connect_ms, number);
    maybe(&mut out, "first_byte_ms", entry.first_byte_ms, number);
    maybe(&mut out, "tls", entry.tls, text);
    maybe(&mut out, "http", Some(entry.http), text);
    maybe(&mut out, "request_id", Some(entry.request_id), quoted);
    maybe(&mut out, "user_agent", entry.user_agent, quoted);
    maybe(&mut out, "referer", entry.referer, quoted);
    maybe(&mut out, "error", entry.error, text);
    out.extend_from_slice(b"}\n");
    out
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn maybe<T>(out: &mut Vec<u8>, name: &str, value: Option<T>, show: impl Fn(&mut Vec<u8>, T)) {
    key(out, name);
    match value {
        Some(value) => show(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn whole(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    write!(out, "{value}").expect("memory can be written");
}

fn number(out: &mut Vec<u8>, value: f64) {
    write!(out, "{value:.3}").expect("memory can be written");
}

/// Write the start of a line: when it was, to the millisecond.
fn time(out: &mut Vec<u8>, time_s: f64) {
    let second = time_s.trunc();
    let (days, of_day) = ((second as i64).div_euclid(86_400), (second as i64).rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second_of) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let millis = ((time_s - second) * 1000.0) as u32;
    write!(
        out,
        "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second_of:02}.{millis:03}Z\""
    )
    .expect("memory can be written");
}

/// Return year, month and day of so many days after 1970 began, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of one.
fn date(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097; // days in 400 years
    let days = days + 719_468; // since March of the year 0
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Write octets as text; those that are no UTF-8 are shown as `\xff`.
fn quoted(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
    for chunk in octets.utf8_chunks() {
        escaped(out, chunk.valid());
        for octet in chunk.invalid() {
            write!(out, "\\\\x{octet:02x}").expect("memory can be written");
        }
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    let is_plain = |octet: &u8| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\');
    if text.as_bytes().iter().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            ' '..='~' => out.push(letter as u8),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("memory can be written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn octets_that_are_no_text_are_shown_as_they_are() {
        let mut out = Vec::new();
        quoted(&mut out, b"a\"\\\n\x7f\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x98\x80");
        let expected = br#""a\"\\\n\u007f\u00e9\\xff\\xed\\xa0\\x80\ud83d\ude00""#;
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
    }
}
