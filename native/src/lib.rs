//! The fast engine: datagrams answered from snapshot images, without the interpreter.

pub mod cookie;
pub mod image;
pub mod rate;

#[cfg(feature = "python")]
mod python;
