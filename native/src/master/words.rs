//! A master file cut into entries of words: quotes, comments, parentheses (RFC 1035 5.1).

use super::Declined;

/// A word as it is written, without its quotes; escapes are still in it.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    pub text: &'a [u8],
    pub quoted: bool,
    pub escaped: bool,
}

impl<'a> Word<'a> {
    /// Return the text of a word that has neither quotes nor escapes.
    pub fn plain(&self) -> Result<&'a [u8], Declined> {
        if self.quoted || self.escaped { Err(Declined::WHOLE) } else { Ok(self.text) }
    }

    /// Return the text of a word without quotes.
    pub fn bare(&self) -> Result<&'a [u8], Declined> {
        if self.quoted { Err(Declined::WHOLE) } else { Ok(self.text) }
    }
}

/// The entries of a text, one after the other.
pub struct Entries<'a> {
    text: &'a [u8],
    at: usize,
    start: usize,
}

impl<'a> Entries<'a> {
    /// Cut `text` up; it must be UTF-8 without NUL, and have a newline after each return.
    pub fn new(text: &'a [u8]) -> Result<Self, Declined> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if std::str::from_utf8(text).is_err() || text.contains(&0) || has_lone_return(text) {
            return Err(Declined::WHOLE);
        }
        Ok(Entries { text, at: 0, start: 0 })
    }

    /// Return the line on which the current entry begins, from 1.
    pub fn line(&self) -> usize {
        1 + self.text[..self.start].iter().filter(|&&octet| octet == b'\n').count()
    }

    /// Put the next entry's words in `words`, and tell whether white space came before them.
    ///
    /// None at the end.
    pub fn next(&mut self, words: &mut Vec<Word<'a>>) -> Result<Option<bool>, Declined> {
        words.clear();
        let start = self.at;
        self.start = start;
        let mut depth = 0usize;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    if depth == 0 {
                        return Ok(Some(is_space(self.text[start])));
                    }
                }
                b';' => self.at += length_to(&self.text[self.at..], |octet| octet == b'\n'),
                b'(' if self.at > start => {
                    self.at += 1;
                    depth += 1;
                }
                b')' => {
                    self.at += 1;
                    depth = depth.checked_sub(1).ok_or(Declined::WHOLE)?;
                }
                b'(' => return Err(Declined::WHOLE),
                b'"' => words.push(self.quoted()?),
                _ => words.push(self.word()?),
            }
        }
        match (depth, self.at > start) {
            (0, true) => Ok(Some(is_space(self.text[start]))),
            (0, false) => Ok(None),
            _ => Err(Declined::WHOLE),
        }
    }

    fn word(&mut self) -> Result<Word<'a>, Declined> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += length_to(&self.text[self.at..], ends_word);
            if self.text.get(self.at) != Some(&b'\\') {
                break;
            }
            escaped = true;
            self.escape()?;
        }
        Ok(Word { text: &self.text[start..self.at], quoted: false, escaped })
    }

    fn quoted(&mut self) -> Result<Word<'a>, Declined> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += length_to(&self.text[self.at..], ends_quoted);
            match self.text.get(self.at) {
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(b'"') => break,
                _ => return Err(Declined::WHOLE),
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok(Word { text, quoted: true, escaped })
    }

    /// Pass a backslash and the octet after it, which must not end the line.
    fn escape(&mut self) -> Result<(), Declined> {
        self.at += 2;
        match self.text.get(self.at - 1) {
            None | Some(b'\n' | b'\r') => Err(Declined::WHOLE),
            _ => Ok(()),
        }
    }
}

fn ends_word(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' | b'\\')
}

fn ends_quoted(octet: u8) -> bool {
    matches!(octet, b'"' | b'\\' | b'\n' | b'\r')
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

fn length_to(text: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&octet| ends(octet)).unwrap_or(text.len())
}

fn has_lone_return(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, &octet)| octet == b'\r' && text.get(at + 1) != Some(&b'\n'))
}

/// Write the octets that a word with escapes stands for (RFC 1035 5.1: `\X` and `\DDD`).
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), Declined> {
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet == b'\\' {
            let (escaped, after) = escaped(rest)?;
            out.push(escaped);
            rest = after;
        } else {
            out.push(octet);
        }
    }
    Ok(())
}

/// Return the octet for which what stands after a backslash stands, and what follows it.
pub fn escaped(text: &[u8]) -> Result<(u8, &[u8]), Declined> {
    let (&first, after) = text.split_first().ok_or(Declined::WHOLE)?;
    if !first.is_ascii_digit() {
        return Ok((first, after));
    }
    let (digits, after) = text.split_at_checked(3).ok_or(Declined::WHOLE)?;
    Ok((u8::try_from(number(digits)?).map_err(|_| Declined::WHOLE)?, after))
}

/// Return a whole number of at most ten digits.
pub fn number(digits: &[u8]) -> Result<u64, Declined> {
    if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Declined::WHOLE);
    }
    Ok(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Return the seconds of a TTL such as `300` or `1h30m`; one above 2^32 - 1 is declined.
pub fn seconds(text: &[u8]) -> Result<u32, Declined> {
    let total = if text.iter().all(u8::is_ascii_digit) { number(text)? } else { units(text)? };
    u32::try_from(total).map_err(|_| Declined::WHOLE)
}

fn units(text: &[u8]) -> Result<u64, Declined> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = length_to(rest, |octet| !octet.is_ascii_digit());
        let unit_s = match rest.get(digits).map(u8::to_ascii_lowercase) {
            Some(b'w') => 604_800,
            Some(b'd') => 86_400,
            Some(b'h') => 3_600,
            Some(b'm') => 60,
            Some(b's') => 1,
            _ => return Err(Declined::WHOLE),
        };
        let stated_s = number(&rest[..digits])? * unit_s;
        total = total.checked_add(stated_s).ok_or(Declined::WHOLE)?;
        rest = &rest[digits + 1..];
    }
    Ok(total)
}
