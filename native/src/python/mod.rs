//! What Python sees of the engine: the module `gslb._native`, whose stubs are `gslb/_native.pyi`.

mod engine;
mod geo;
mod http;
mod log;
mod values;
mod zone;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _native {
    /// The version of images that this speaks of.
    #[pymodule_export]
    const VERSION: u16 = crate::image::VERSION;
    #[pymodule_export]
    use super::engine::{Engine, Handed};
    #[pymodule_export]
    use super::geo::{GeoMap, Walked, join, overlay_ipv4, overlay_ipv6, walk};
    #[pymodule_export]
    use super::http::HeadCutter;
    #[pymodule_export]
    use super::log::log_line;
    #[pymodule_export]
    use super::values::{Guard, Plan, Snapshot, Tallies};
    #[pymodule_export]
    use super::zone::{Zone, give_back, read_zone};
}

/// An error of ours as Python's ValueError.
fn wrong(error: impl std::fmt::Display) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(error.to_string())
}

/// An error of the system's as Python's OSError, with its number.
fn refused(error: std::io::Error) -> PyErr {
    pyo3::exceptions::PyOSError::new_err((error.raw_os_error(), error.to_string()))
}
