//! Zones, as Python holds them: read from master files, looked into, handed to the engine.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

use crate::image::Image;
use crate::{master, zone};

/// One zone's names, and what stands at them.
#[pyclass(frozen, module = "gslb._native")]
pub struct Zone {
    zone: Arc<zone::Zone>,
}

impl Zone {
    /// The zone itself, for whoever answers from it.
    #[allow(dead_code)]
    pub fn shared(&self) -> Arc<zone::Zone> {
        Arc::clone(&self.zone)
    }
}

#[pymethods]
impl Zone {
    /// Return the zone of an image; ValueError if it is refused.
    #[new]
    fn new(py: Python<'_>, image: Vec<u8>) -> PyResult<Self> {
        let opened = py.detach(|| zone::Zone::open(Image::Copied(image)));
        let zone = opened.map_err(|refused| PyValueError::new_err(refused.to_string()))?;
        Ok(Zone { zone: Arc::new(zone) })
    }

    /// Return what an image holds behind a node's name; None where no node is.
    fn node<'py>(&self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.zone.node_octets(name).map(|octets| PyBytes::new(py, octets))
    }

    /// Return all names, in no order.
    fn names<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.zone.names().map(|name| PyBytes::new(py, name)).collect()
    }

    fn __len__(&self) -> usize {
        self.zone.len()
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> bool {
        py.detach(|| {
            Arc::ptr_eq(&self.zone, &other.zone) || self.zone.image() == other.zone.image()
        })
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
        // What is written here can be opened; if not, that is no reason to serve nothing.
        zone::Zone::open(Image::Copied(image)).map_err(|_| master::Declined::WHOLE)
    });
    if let Some(error) = raised {
        return Err(error);
    }
    match read {
        Ok(zone) => Ok(Bound::new(py, Zone { zone: Arc::new(zone) })?.into_any()),
        Err(declined) => Ok(declined.line.into_pyobject(py)?.into_any()),
    }
}
