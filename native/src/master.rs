//! Master files (RFC 1035 5) → zone images, for files that leave nothing to be said.
//!
//! The whole grammar, and every complaint about it, is `gslb.config.masterfile`'s.  Here is only
//! what makes large zones quick and small, so everything that is rare, doubtful or wrong is
//! *declined*: unknown directives, mistakes, names outside the zone, whatever
//! `gslb.config.zonecheck` would complain or warn of.  Only for data that needs a second look, of
//! rare types for one, somebody is asked who knows them all.  What is not declined is the
//! image of the very zone that would have been read there.
//!
//! Names and rdata lie one after the other in one buffer, records are 16 octets that point into
//! it: a million names take tens of megabytes while they are read, not a gigabyte of objects.

mod check;
mod name;
mod rdata;
mod reading;
mod records;
mod tree;
mod words;

/// The file is none that can be read here: the reader of the whole grammar has the word.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Declined {
    /// The line of the entry that is declined, from 1; 0 where the zone as a whole is.
    pub line: usize,
}

impl Declined {
    /// No one entry is at fault, or it is not known yet which.
    pub const WHOLE: Declined = Declined { line: 0 };
}

/// Somebody who knows all types: mnemonic, data as text, origin → type, rdata in wire form.
///
/// The rdata must be its own canonical form (RFC 4034 6.2), so that equal records are equal
/// octets; None declines.
pub type Ask<'a> = &'a mut dyn FnMut(&[u8], &[u8], &[u8]) -> Option<(u16, Vec<u8>)>;

/// Most octets of an image: glue is written with each cut that needs it, however many do.
const IMAGE_BYTES_MAX: usize = 1 << 30;

/// Return the image of the zone `apex` that a master file's `text` describes.
///
/// `apex` and the names of `services` are in lower-case wire form; a name that is not inside the
/// zone, and more than `records_max` records, are declined as well.
pub fn image(
    text: &[u8],
    apex: &[u8],
    services: &[&[u8]],
    records_max: usize,
    ask: Ask,
) -> Result<Vec<u8>, Declined> {
    let mut records = reading::read(text, apex, records_max, ask)?;
    for service in services {
        if !name::is_lower(service) || !name::is_within(service, apex) {
            return Err(Declined::WHOLE);
        }
        let owner = records.intern(service)?;
        records.mark(owner, records::SERVICE);
    }
    let sets = records.settle()?;
    check::errors(&sets)?;
    check::warnings(&sets, apex)?;
    tree::image(sets, apex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const APEX: &[u8] = b"\x07example\x03com\x00";
    const HEAD: &str =
        "$TTL 300\n@ SOA ns1 admin 1 7200 900 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n";

    fn image(text: &[u8], services: &[&[u8]], records_max: usize) -> Result<Vec<u8>, Declined> {
        super::image(text, APEX, services, records_max, &mut |_, _, _| None)
    }

    fn read(text: &str) -> Result<Vec<u8>, Declined> {
        image(text.as_bytes(), &[], 1000)
    }

    fn below_head(text: &str) -> Result<Vec<u8>, Declined> {
        read(&format!("{HEAD}{text}"))
    }

    #[test]
    fn however_a_file_is_written_the_image_is_the_same() {
        let plain = below_head("www 60 IN A 192.0.2.1\nwww 60 IN A 192.0.2.2\n");
        assert!(plain.is_ok());
        for text in [
            "www 60 IN A 192.0.2.1\n 60 IN A 192.0.2.2",
            "WWW.Example.COM. in 1m a 192.0.2.1 ; one\n\n\t60 A ( ; two\n192.0.2.2\n)\n",
            "$ORIGIN com.\nwww.example 60 A 192.0.2.1\n$TTL 60\nwww.example A 192.0.2.2\n",
            "w\\119w 60 A 192.0.2.1\r\nwww 70 A 192.0.2.2\r\nwww 60 A 192.0.2.1\r\n",
        ] {
            assert_eq!(below_head(text), plain, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_doubtful_or_rare_is_declined() {
        assert_eq!(read(""), Err(Declined::WHOLE));
        for text in [
            "www A 192.0.2.01",
            "www A",
            "www TYPE65280 \\# 0",
            "www 60 60 A 192.0.2.1",
            "$INCLUDE other",
            "www A 192.0.2.1 )",
            "www ( A 192.0.2.1",
            "\"www\" A 192.0.2.1",
            "www.example.net. A 192.0.2.1",
            "www CNAME a\nwww A 192.0.2.1",
            "www CNAME a\nwww CNAME b",
            "* NS ns1",
            "sub NS ns.sub",
            "sub NS ns.example.net.\nx.sub TXT a",
            "@ NS ns2",
            "www.example.com A 192.0.2.1",
            "www SOA ns1 admin 1 2 3 4 5",
            "@ TXT \"gr\u{fc}n\nx\"",
            "www A 192.0.2.1\r \n",
            "a\u{e9} A 192.0.2.1",
            "a\0 A 192.0.2.1",
        ] {
            assert!(below_head(text).is_err(), "{text}");
        }
        assert!(image(HEAD.as_bytes(), &[], 2).is_err());
        assert!(image(HEAD.as_bytes(), &[b"\x03www\x00"], 9).is_err());
    }

    #[test]
    fn where_reading_stops_is_said() {
        for (text, line) in [
            ("", 0),
            (&format!("{HEAD}\nwww A 192.0.2.1\nwww A (\n192.0.2.1 2\n)\n"), 7),
            (&format!("{HEAD}\nwww A (\n192.0.2.1\n"), 6),
        ] {
            assert_eq!(read(text), Err(Declined { line }), "{text}");
        }
    }

    #[test]
    fn data_that_is_rare_is_asked_for() {
        let text = format!("{HEAD}x 5 HTTPS 1 .  alpn=\"h2\" ; why\nx A 192.0.2.1\n");
        let mut asked = Vec::new();
        let found = super::image(text.as_bytes(), APEX, &[], 9, &mut |type_, data, origin| {
            asked.push([type_, data, origin].concat());
            Some((65, b"\0\x01\0".to_vec()))
        });
        assert_eq!(asked, [[b"HTTPS", &b"1 . alpn= \"h2\" "[..], APEX].concat()]);
        assert!(found.is_ok_and(|image| image.windows(3).any(|part| part == b"\0\x01\0")));
    }

    fn piece() -> impl Strategy<Value = String> {
        let words = [
            "www",
            "@",
            "*.a",
            "sub",
            "ns.sub",
            "60",
            "IN",
            "A",
            "NS",
            "TXT",
            "SOA",
            "MX",
            "DS",
            "192.0.2.1",
            "::1",
            "\"",
            "(",
            ")",
            ";",
            "\\",
            "\\065",
            "$TTL",
            "$ORIGIN",
            " ",
            "\t",
            "\n",
            "\r\n",
            "10",
            "a.example.com.",
        ];
        prop_oneof![
            4 => proptest::sample::select(words.to_vec()).prop_map(|word| format!("{word} ")),
            1 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ]
    }

    proptest! {
        #[test]
        fn no_octets_whatever_are_too_much(
            octets in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = image(&octets, &[], 1000);
        }

        #[test]
        fn no_words_in_any_order_are_too_much(
            pieces in prop::collection::vec(piece(), 0..60),
            service in any::<bool>(),
        ) {
            let text = format!("{HEAD}{}", pieces.concat());
            let services: &[&[u8]] = if service { &[b"\x03sub\x07example\x03com\x00"] } else { &[] };
            let _ = image(text.as_bytes(), services, 1000);
        }
    }
}
