//! The fast engine: datagrams answered from snapshot images, without the interpreter.

pub mod geo;
pub mod image;

#[cfg(feature = "python")]
mod python;
