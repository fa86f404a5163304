//! The fast engine: datagrams answered from snapshot images, without the interpreter.
//!
//! It decides nothing.  What is answered to whom has been worked out in Python and written into
//! images (`image`): of zones, of geo maps, of services' choices.  Here a query is read
//! (`message`, `edns`), its name and its client are looked up (`zone`, `geo`), one of the ready
//! choices is picked by a draw (`entry`, `choice`), and octets are copied (`answer`, `response`).
//! `server` does that in threads of its own, over `socket`; `python` is the way in.
//!
//! Beside it stands what is too much work for Python: `master` reads large zones into images, and
//! `mmdb`, `record`, `runs` and `atlas` walk geo databases; `http` cuts the heads of the L7 tier,
//! and `log` writes the lines of its access log.

pub mod answer;
pub mod atlas;
pub mod choice;
pub mod cookie;
pub mod edns;
pub mod entry;
pub mod geo;
pub mod http;
pub mod image;
pub mod log;
pub mod master;
pub mod message;
pub mod mmdb;
pub mod name;
pub mod rate;
pub mod record;
pub mod respond;
pub mod response;
pub mod runs;
pub mod said;
pub mod server;
pub mod snapshot;
pub mod socket;
pub mod tally;
pub mod zone;

#[cfg(feature = "python")]
mod python;
