//! From one message in to the octets that answer it, or to silence, with what is to be counted.
//!
//! The same as `gslb.routing.respond`, which it is held to octet by octet.

use std::sync::Arc;

use crate::answer::{Told, answer};
use crate::cookie::{self, Checked, SECRET_BYTES, Standing};
use crate::message::{BADCOOKIE, FORMERR, NOERROR, NXDOMAIN, Query, decode_query};
use crate::rate::{Action, Kind, Limiter};
use crate::response::{Extras, encode, encode_error};
use crate::said::{From, Response, Scratch};
use crate::snapshot::{Served, Snapshot};

/// What stands between us and those who forge addresses.
#[derive(Default)]
pub struct Guard {
    /// What makes server cookies, the first, and checks them; without any there are no cookies.
    pub secrets: Vec<[u8; SECRET_BYTES]>,
    /// How many answers a network is sent; over UDP alone.
    pub limiter: Option<Arc<Limiter>>,
}

/// What became of one message.
pub enum Reply<'s> {
    /// Nothing is to be said, or nothing any more.
    Silence(Option<Kind>),
    /// It is for an engine that can explain.
    Elsewhere,
    /// What is to be said has been written.
    Said {
        /// The RR type asked for; 0 when the message is no query.
        type_: u16,
        /// The response code.
        rcode: u16,
        /// The service that answered, and by which way.
        service: Option<(&'s Served, u8)>,
        /// The kind of an answer above its rate, which slipped through empty.
        slipped: Option<Kind>,
    },
}

/// Answer the message *wire*, writing what is to be said into *out*.
pub fn respond<'s>(
    snapshot: &'s Snapshot,
    guard: &Guard,
    wire: &[u8],
    from: &From,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Reply<'s> {
    let query = match decode_query(wire) {
        Ok(query) => query,
        Err(wrong) => match wrong.0 {
            None => return Reply::Silence(None),
            Some(rcode) => return error(guard, wire, from, rcode, out),
        },
    };
    let cookie = checked(guard, &query, from);
    let mut said = Response::default();
    if !query.question.is_empty() {
        if let Told::Explain = answer(snapshot, &query, from, scratch, &mut said) {
            return Reply::Elsewhere;
        }
    } else if let Some(cookie) = &cookie {
        // RFC 7873 5.4
        let is_wrong = cookie.standing == Standing::Wrong;
        said.rcode = if is_wrong { BADCOOKIE } else { NOERROR };
    } else {
        return error(guard, wire, from, FORMERR, out);
    }
    let mut slipped = None;
    if let Some(limiter) = &guard.limiter
        && cookie.is_none_or(|cookie| cookie.standing != Standing::Valid)
    {
        let kind = kind_of(&said);
        match limiter.action(from.sender.ip(), kind, from.draw, from.now_us()) {
            Action::Send => {}
            Action::Drop => return Reply::Silence(Some(kind)),
            Action::Slip => {
                slipped = Some(kind);
                said = Response { truncated: true, ..Response::default() };
            }
        }
    }
    let extras = Extras {
        nsid: &snapshot.plan.facts.nsid,
        cookie: cookie.as_ref().map_or(&[], |cookie| &cookie.octets),
        size_max: from.size_max,
    };
    encode(&query, &said, scratch, &extras, out);
    Reply::Said { type_: query.type_, rcode: said.rcode, service: said.service, slipped }
}

/// The query's cookie looked at; None without one, or where there are no cookies.
fn checked(guard: &Guard, query: &Query, from: &From) -> Option<Checked> {
    let cookie = query.edns.as_ref()?.cookie?;
    cookie::check(cookie, from.sender.ip(), &guard.secrets, from.now_s as u64 as u32)
}

/// Say that a message is no query; what slips is as short as it gets already.
fn error<'s>(guard: &Guard, wire: &[u8], from: &From, rcode: u16, out: &mut Vec<u8>) -> Reply<'s> {
    let mut slipped = None;
    if let Some(limiter) = &guard.limiter {
        match limiter.action(from.sender.ip(), Kind::Error, from.draw, from.now_us()) {
            Action::Send => {}
            Action::Drop => return Reply::Silence(Some(Kind::Error)),
            Action::Slip => slipped = Some(Kind::Error),
        }
    }
    encode_error(wire, rcode, out);
    Reply::Said { type_: 0, rcode, service: None, slipped }
}

/// Which bucket a response is taken from.
fn kind_of(said: &Response) -> Kind {
    match said.rcode {
        NXDOMAIN => Kind::Nxdomain,
        NOERROR if !said.answer.is_empty() => Kind::Answer,
        NOERROR if said.authority.is_some() && !said.authoritative => Kind::Referral,
        NOERROR => Kind::Nodata,
        _ => Kind::Error,
    }
}
