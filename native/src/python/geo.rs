//! Geo maps and the walk of databases, as Python calls them.
//!
//! What takes long is done without the interpreter's lock, so that a node answers meanwhile.

use crate::geo;
use crate::image::Image;
use crate::mmdb::{self, Shape};
use crate::runs::Runs;
use crate::{atlas, record::Damaged};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::Arc;

/// A geo map opened over its image; shared, and never changed.
#[pyclass(frozen)]
pub struct GeoMap(pub Arc<geo::GeoMap>);

#[pymethods]
impl GeoMap {
    /// Open the map in *image*, of which a copy is kept; raises ValueError.
    #[new]
    fn new(image: Vec<u8>) -> PyResult<Self> {
        Self::over(Image::Copied(image))
    }

    /// Open the map in a file, which is mapped; raises OSError and ValueError.
    #[staticmethod]
    fn open(path: PathBuf) -> PyResult<Self> {
        Self::over(Image::map(&path).map_err(PyOSError::new_err)?)
    }

    /// Return the index of the order for an address, and its scope.
    fn find(&self, version: u8, address: u128) -> (u32, u8) {
        self.0.find(version, address)
    }

    /// How many orders there are.
    #[getter]
    fn orders(&self) -> u32 {
        self.0.orders()
    }
}

impl GeoMap {
    fn over(image: Image) -> PyResult<Self> {
        let map = geo::GeoMap::open(image).map_err(|why| PyValueError::new_err(why.to_string()))?;
        Ok(GeoMap(Arc::new(map)))
    }
}

/// One database, walked.
#[pyclass(frozen)]
pub struct Walked(mmdb::Walked);

/// Walk the database *octets*, whose tree is of this shape; raises ValueError.
#[pyfunction]
pub fn walk(
    py: Python<'_>,
    octets: &Bound<'_, PyBytes>,
    node_count: u128,
    record_size: u128,
    ip_version: u128,
    asns: bool,
) -> PyResult<Walked> {
    let octets = octets.as_bytes();
    let shape = Shape { node_count, record_size, ip_version };
    let walked = py.detach(|| mmdb::walk(octets, shape, asns));
    walked.map(Walked).map_err(|Damaged(why)| PyValueError::new_err(why))
}

/// Return the image of the atlas of a geographic and an ASN database.
#[pyfunction]
pub fn join<'py>(
    py: Python<'py>,
    cities: Option<&Bound<'py, Walked>>,
    asns: Option<&Bound<'py, Walked>>,
    digest: &str,
) -> Bound<'py, PyBytes> {
    let (cities, asns) = (cities.map(|each| &each.get().0), asns.map(|each| &each.get().0));
    PyBytes::new(py, &py.detach(|| atlas::join(cities, asns, digest)))
}

/// Return the starts and values of the IPv4 runs in which *one* and *other* are uniform, with
/// *combine* of their values; it is asked once for each pair, in the order of addresses.
///
/// Runs are starts and values of 32 bits, as octets.
#[pyfunction]
pub fn overlay_ipv4<'py>(
    py: Python<'py>,
    one: (Vec<u8>, Vec<u8>),
    other: (Vec<u8>, Vec<u8>),
    combine: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let read = |(starts, values): (Vec<u8>, Vec<u8>)| {
        let starts = numbers(&starts, u32::from_ne_bytes);
        whole(Runs { starts, values: numbers(&values, u32::from_ne_bytes) })
    };
    let runs = overlay(py, read(one)?, read(other)?, combine)?;
    Ok((bytes(py, &runs.starts, u32::to_ne_bytes), bytes(py, &runs.values, u32::to_ne_bytes)))
}

/// Return the high halves, low halves and values of such IPv6 runs; halves have 64 bits.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn overlay_ipv6<'py>(
    py: Python<'py>,
    one: (Vec<u8>, Vec<u8>, Vec<u8>),
    other: (Vec<u8>, Vec<u8>, Vec<u8>),
    combine: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let read = |(highs, lows, values): (Vec<u8>, Vec<u8>, Vec<u8>)| {
        let highs = numbers(&highs, u64::from_ne_bytes).into_iter();
        let both = highs.zip(numbers(&lows, u64::from_ne_bytes));
        let starts = both.map(|(high, low)| (high as u128) << 64 | low as u128).collect();
        whole(Runs { starts, values: numbers(&values, u32::from_ne_bytes) })
    };
    let runs = overlay(py, read(one)?, read(other)?, combine)?;
    Ok((
        bytes(py, &runs.starts, |start| ((start >> 64) as u64).to_ne_bytes()),
        bytes(py, &runs.starts, |start| (start as u64).to_ne_bytes()),
        bytes(py, &runs.values, u32::to_ne_bytes),
    ))
}

fn numbers<T, const N: usize>(octets: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    octets.chunks_exact(N).map(|each| number(each.try_into().unwrap())).collect()
}

fn whole<T: Copy + Ord + Default>(runs: Runs<T>) -> PyResult<Runs<T>> {
    if runs.are_whole() {
        Ok(runs)
    } else {
        Err(PyValueError::new_err("runs that do not rise from 0, each with a value"))
    }
}

fn overlay<T: Copy + Ord + Default + Send + Sync>(
    py: Python<'_>,
    one: Runs<T>,
    other: Runs<T>,
    combine: &Bound<'_, PyAny>,
) -> PyResult<Runs<T>> {
    let (mut runs, pairs) = py.detach(|| one.pairs(&other));
    let asked = pairs.into_iter().map(|pair| combine.call1(pair)?.extract());
    let table = asked.collect::<PyResult<Vec<u32>>>()?;
    py.detach(|| runs.replace(&table));
    Ok(runs)
}

fn bytes<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    all: &[T],
    octets: impl Fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    let mut out = Vec::new();
    atlas::numbers(&mut out, all, octets);
    PyBytes::new(py, &out)
}
