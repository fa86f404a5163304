//! Zones, as Python holds them: read from master files, looked into, handed to the engine.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

use super::wrong;
use crate::image::Image;
use crate::{image, master, zone};

/// A zone, indexed.
#[pyclass(frozen)]
pub struct Zone(pub Arc<zone::Zone>);

#[pymethods]
impl Zone {
    #[new]
    fn new(py: Python<'_>, image: &[u8]) -> PyResult<Zone> {
        let image = Image::Copied(image.to_vec());
        let opened = py.detach(|| zone::Zone::open(image)).map_err(wrong)?;
        Ok(Zone(Arc::new(opened)))
    }

    /// Return what an image holds behind a node's name; None where no node is.
    fn node<'py>(&self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.0.node(name).map(|octets| PyBytes::new(py, octets))
    }

    /// Return all names, in no order.
    fn names<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.names().map(|name| PyBytes::new(py, name)).collect()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> bool {
        py.detach(|| Arc::ptr_eq(&self.0, &other.0) || self.0.image() == other.0.image())
    }
}

/// Return the zone of a master file, or the line of the entry that is declined, 0 for all of it.
#[pyfunction]
pub fn read_zone<'py>(
    py: Python<'py>,
    text: &[u8],
    apex: &[u8],
    services: Vec<Vec<u8>>,
    records_max: usize,
    ask: Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let services: Vec<&[u8]> = services.iter().map(Vec::as_slice).collect();
    let mut raised = None;
    let read = py.detach(|| {
        let mut ask = |mnemonic: &[u8], data: &[u8], origin: &[u8]| {
            let answer = Python::attach(|py| {
                ask.call1(py, (mnemonic, data, origin))?.extract::<Option<(u16, Vec<u8>)>>(py)
            });
            answer.unwrap_or_else(|error| {
                raised = Some(error);
                None
            })
        };
        let image = master::image(text, apex, &services, records_max, &mut ask)?;
        // What is written here can be opened; if not, there is still the other reader.
        let image = Image::apart(&image).map_err(|_| master::Declined::WHOLE)?;
        zone::Zone::open(image).map_err(|_| master::Declined::WHOLE)
    });
    if let Some(error) = raised {
        return Err(error);
    }
    match read {
        Ok(zone) => Ok(Bound::new(py, Zone(Arc::new(zone)))?.into_any()),
        Err(declined) => Ok(declined.line.into_pyobject(py)?.into_any()),
    }
}

/// Give memory that nobody uses back to the system.
#[pyfunction]
pub fn give_back(py: Python<'_>) {
    py.detach(image::give_back);
}
