//! Server cookies: who has shown that it receives at its address (RFC 7873, 9018).
//!
//! The same as `gslb.dns.cookie`, octet for octet.  Nothing is remembered, nothing allocated.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// The octets of a client's cookie.
pub const CLIENT_BYTES: usize = 8;
/// The octets of a server cookie of version 1.
pub const SERVER_BYTES: usize = 16;
/// The octets of both, as they are answered.
pub const COOKIE_BYTES: usize = CLIENT_BYTES + SERVER_BYTES;
/// The octets of a secret.
pub const SECRET_BYTES: usize = 16;
/// RFC 9018 4.3.
pub const AGE_S_MAX: i32 = 3600;
/// How much faster the clock of the node that made a cookie may run.
pub const AHEAD_S_MAX: i32 = 300;
/// From this age on a client is given a fresh one.
pub const RENEW_S: i32 = 1800;

const VERSION: [u8; 4] = [1, 0, 0, 0]; // with the reserved octets that we send

/// What a client has shown with the server cookie that it sent, if any.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Standing {
    /// It sent none.
    New,
    /// It sent one of ours: it receives at its address.
    Valid,
    /// It sent one that is not ours, or no longer.
    Wrong,
}

/// A cookie looked at: both cookies to answer with, and what the client has shown.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Checked {
    /// The client's cookie and a server's.
    pub octets: [u8; COOKIE_BYTES],
    /// What the one that came shows.
    pub standing: Standing,
}

/// Return what to answer the option `cookie` with, and what its server cookie shows.
///
/// `cookie` has 8 octets, or 16 to 40; None for any other length.  `sender` is an IPv4 address
/// also where a socket of IPv6 gives it as a mapped one.  `secrets` has the active one first; None
/// when it is empty.  `now_s` are the low 32 bits of the seconds since 1970.
pub fn check(
    cookie: &[u8],
    sender: IpAddr,
    secrets: &[[u8; SECRET_BYTES]],
    now_s: u32,
) -> Option<Checked> {
    let (client, server) = cookie.split_at_checked(CLIENT_BYTES)?;
    let active = secrets.first()?;
    let mut standing = match server.len() {
        0 => Standing::New,
        8..=32 => Standing::Wrong,
        _ => return None,
    };
    if let (&[1, _, _, _, a, b, c, d, ..], SERVER_BYTES) = (server, server.len()) {
        let age_s = now_s.wrapping_sub(u32::from_be_bytes([a, b, c, d])) as i32; // RFC 1982
        if (-AHEAD_S_MAX..=AGE_S_MAX).contains(&age_s) {
            let (head, came) = server.split_at(8);
            let maker = secrets
                .iter()
                .position(|secret| is_same(&hash(client, head, sender, secret), came));
            if maker.is_some() {
                standing = Standing::Valid;
            }
            if maker == Some(0) && age_s < RENEW_S && server.starts_with(&VERSION) {
                let octets = cookie.try_into().ok()?;
                return Some(Checked { octets, standing });
            }
        }
    }
    let mut octets = [0; COOKIE_BYTES];
    octets[..8].copy_from_slice(client);
    octets[8..12].copy_from_slice(&VERSION);
    octets[12..16].copy_from_slice(&now_s.to_be_bytes());
    let made = hash(client, &octets[8..16], sender, active);
    octets[16..].copy_from_slice(&made);
    Some(Checked { octets, standing })
}

/// Compare all octets whatever differs, so that time tells nothing.
fn is_same(one: &[u8; 8], other: &[u8]) -> bool {
    other
        .try_into()
        .is_ok_and(|other: [u8; 8]| u64::from_ne_bytes(*one) == u64::from_ne_bytes(other))
}

fn hash(client: &[u8], head: &[u8], sender: IpAddr, secret: &[u8; SECRET_BYTES]) -> [u8; 8] {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(client);
    octets[8..16].copy_from_slice(head);
    let length = match sender {
        IpAddr::V4(address) => {
            octets[16..20].copy_from_slice(&address.octets());
            20
        }
        IpAddr::V6(address) => {
            octets[16..32].copy_from_slice(&address.octets());
            32
        }
    };
    SipHasher24::new_with_key(secret).hash(&octets[..length]).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTORS: &str = include_str!("../../tests/vectors/cookies.txt");

    fn octets(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn cookies_are_answered_as_the_vectors_say() {
        let mut count = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            let [now_s, sender, secrets, came, standing, said] = words[..] else {
                panic!("{line}");
            };
            let secrets: Vec<[u8; 16]> =
                secrets.split(',').map(|each| octets(each).try_into().unwrap()).collect();
            let now_s: u64 = now_s.parse().unwrap();
            let sender = sender.parse().unwrap();
            let checked = check(&octets(came), sender, &secrets, now_s as u32).unwrap();
            let wanted = match standing {
                "NEW" => Standing::New,
                "VALID" => Standing::Valid,
                "WRONG" => Standing::Wrong,
                _ => panic!("{line}"),
            };
            assert_eq!(
                (checked.octets.to_vec(), checked.standing),
                (octets(said), wanted),
                "{line}"
            );
            count += 1;
        }
        assert!(count > 20);
    }

    #[test]
    fn what_is_no_cookie_is_not_checked() {
        let secrets = [[7; 16]];
        for length in (0..8).chain(9..16).chain(41..50) {
            assert_eq!(check(&vec![1; length], IpAddr::from([192, 0, 2, 1]), &secrets, 0), None);
        }
        assert_eq!(check(&[1; 8], IpAddr::from([192, 0, 2, 1]), &[], 0), None);
    }

    proptest! {
        #[test]
        fn what_was_answered_is_valid_for_that_address_alone(
            client: [u8; 8], sender: [u8; 16], other: [u8; 16], now_s: u32, age_s in 0u32..=3600,
        ) {
            let secrets = [[7; 16]];
            let made = check(&client, sender.into(), &secrets, now_s).unwrap();
            let later = now_s.wrapping_add(age_s);
            let back = check(&made.octets, sender.into(), &secrets, later).unwrap();
            prop_assert_eq!(back.standing, Standing::Valid);
            prop_assert_eq!(back.octets == made.octets, age_s < 1800 );
            if sender != other {
                let stolen = check(&made.octets, other.into(), &secrets, later).unwrap();
                prop_assert_eq!(stolen.standing, Standing::Wrong);
            }
        }

        #[test]
        fn any_octets_are_checked_or_are_none(cookie: Vec<u8>, sender: [u8; 4], now_s: u32) {
            let checked = check(&cookie, sender.into(), &[[1; 16], [2; 16]], now_s);
            prop_assert_eq!(checked.is_some(), cookie.len() == 8 || (16..=40).contains(&cookie.len()));
        }
    }
}
