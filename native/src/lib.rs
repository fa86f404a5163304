//! The fast engine: datagrams answered from snapshot images, without the interpreter.

pub mod atlas;
pub mod geo;
pub mod image;
pub mod mmdb;
pub mod record;
pub mod runs;

#[cfg(feature = "python")]
mod python;
