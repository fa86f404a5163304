//! What Python sees of the engine: the module `gslb._native`.

use pyo3::prelude::*;

mod zone;

/// The extension module.
#[pymodule]
mod _native {
    use super::*;

    #[pymodule_export]
    use super::zone::{Zone, read_zone};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        Ok(())
    }
}
