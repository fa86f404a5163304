//! What Python sees of the engine: the module `gslb._native`.

mod geo;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::geo::{GeoMap, Walked, join, overlay_ipv4, overlay_ipv6, walk};
    use super::*;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        Ok(())
    }
}
