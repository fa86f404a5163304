//! Heads of HTTP/1 messages, cut for Python.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use rustc_hash::FxHashMap;

use crate::http::{self, Field, METHODS, NAME_MAX, Span};

type Fields<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

/// Cuts heads that are plainly right.
#[pyclass(frozen)]
pub struct HeadCutter {
    methods: [Py<PyBytes>; METHODS.len()],
    /// Names in lower case, and whether each is for one connection alone.
    names: FxHashMap<Box<[u8]>, (Py<PyBytes>, bool)>,
}

#[pymethods]
impl HeadCutter {
    #[new]
    fn new(py: Python<'_>, here_alone: Vec<Vec<u8>>, others: Vec<Vec<u8>>) -> HeadCutter {
        let others = others.into_iter().map(|name| (name, false));
        let here_alone = here_alone.into_iter().map(|name| (name, true));
        let names = others.chain(here_alone).map(|(name, is_alone)| {
            let shown = PyBytes::new(py, &name).unbind();
            (name.into_boxed_slice(), (shown, is_alone))
        });
        let methods = METHODS.map(|method| PyBytes::new(py, method).unbind());
        HeadCutter { methods, names: names.collect() }
    }

    /// Return method, target, all fields, those that are passed on, and those that are not; or None.
    fn request<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let mut fields = Vec::with_capacity(16);
        let Some(line) = http::request(octets, &mut fields) else { return Ok(None) };
        let (all, passing, here) = self.sorted(py, octets, &fields)?;
        let method = self.methods[line.method].bind(py);
        let target = bytes(py, octets, line.target);
        (method, target, all, passing, here).into_pyobject(py).map(Some)
    }

    /// Return status, reason, all fields, those that are passed on, and those that are not; or None.
    fn response<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let mut fields = Vec::with_capacity(16);
        let Some(line) = http::response(octets, &mut fields) else { return Ok(None) };
        let (all, passing, here) = self.sorted(py, octets, &fields)?;
        let reason = bytes(py, octets, line.reason);
        (line.status, reason, all, passing, here).into_pyobject(py).map(Some)
    }
}

impl HeadCutter {
    fn sorted<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
        fields: &[Field],
    ) -> PyResult<Fields<'py>> {
        let (all, passing, here) = (PyList::empty(py), PyList::empty(py), PyList::empty(py));
        for &(name, value) in fields {
            let mut lower = [0; NAME_MAX];
            let lower = &mut lower[..name.1 - name.0];
            lower.copy_from_slice(&octets[name.0..name.1]);
            lower.make_ascii_lowercase();
            let (name, is_alone) = match self.names.get(&*lower) {
                Some((name, is_alone)) => (name.bind(py).clone(), *is_alone),
                None => (PyBytes::new(py, lower), false),
            };
            let pair = PyTuple::new(py, [name, bytes(py, octets, value)])?;
            all.append(&pair)?;
            if is_alone { &here } else { &passing }.append(pair)?;
        }
        Ok((all, passing, here))
    }
}

fn bytes<'py>(py: Python<'py>, octets: &[u8], (from, to): Span) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &octets[from..to])
}
