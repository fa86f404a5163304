//! From one message in to the octets that answer it, or to silence, with what is to be counted.
//!
//! The same as `gslb.routing.respond`, which it is held to octet by octet.

use crate::answer::{From, Response, Scratch, Told, answer};
use crate::message::decode_query;
use crate::response::{Extras, encode, encode_error};
use crate::snapshot::{Served, Snapshot};

/// What became of one message.
pub enum Reply<'s> {
    /// Nothing is to be said.
    Silence,
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
    },
}

/// Answer the message *wire*, writing what is to be said into *out*.
pub fn respond<'s>(
    snapshot: &'s Snapshot,
    wire: &[u8],
    from: &From,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Reply<'s> {
    let query = match decode_query(wire) {
        Ok(query) => query,
        Err(wrong) => {
            let Some(rcode) = wrong.0 else {
                return Reply::Silence;
            };
            encode_error(wire, rcode, out);
            return Reply::Said { type_: 0, rcode, service: None };
        }
    };
    let mut said = Response::default();
    if let Told::Explain = answer(snapshot, &query, from, scratch, &mut said) {
        return Reply::Elsewhere;
    }
    let extras = Extras { nsid: &snapshot.plan.facts.nsid, size_max: from.size_max };
    encode(&query, &said, scratch, &extras, out);
    Reply::Said { type_: query.type_, rcode: said.rcode, service: said.service }
}
