//! The fast engine: datagrams answered from snapshot images, without the interpreter.

pub mod image;
pub mod master;

#[cfg(feature = "python")]
mod python;
