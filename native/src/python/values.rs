//! The values that are served, made from images: geo maps, plans and snapshots.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::geo::GeoMap;
use super::wrong;
use super::zone::Zone;
use crate::cookie::SECRET_BYTES;
use crate::entry::{self, Entry};
use crate::image::Image;
use crate::rate::{self, Limiter};
use crate::respond::{self, Reply, respond};
use crate::said::{Address, From, Scratch};
use crate::snapshot;
use crate::snapshot::{Facts, Served};
use crate::tally::{THREADS_MAX, Tally};

/// What is counted of each service, for as long as the program runs.
#[pyclass(frozen)]
pub struct Tallies {
    threads: usize,
    by_service: Mutex<HashMap<String, Arc<Tally>>>,
}

#[pymethods]
impl Tallies {
    #[new]
    fn new(threads: usize) -> Tallies {
        Tallies { threads: threads.min(THREADS_MAX), by_service: Mutex::default() }
    }

    /// The counts that are not 0: service, number of the way, count.
    fn told(&self) -> Vec<(String, usize, u64)> {
        let Ok(by_service) = self.by_service.lock() else {
            return Vec::new();
        };
        let told = by_service.iter().flat_map(|(service, tally)| {
            tally.sums().into_iter().enumerate().map(|(way, count)| (service.clone(), way, count))
        });
        told.filter(|told| told.2 > 0).collect()
    }
}

impl Tallies {
    fn of(&self, entry: Entry) -> Served {
        let tally = match self.by_service.lock() {
            Err(_) => Arc::new(Tally::new(self.threads)),
            Ok(mut known) => known
                .entry(entry.text().to_owned())
                .or_insert_with(|| Arc::new(Tally::new(self.threads)))
                .clone(),
        };
        Served { entry, tally }
    }
}

/// What the files say: facts, zones and geo maps.
#[pyclass(frozen)]
pub struct Plan(Arc<snapshot::Plan>);

#[pymethods]
impl Plan {
    #[new]
    fn new(facts: &[u8], zones: Vec<Py<Zone>>, maps: Vec<Py<GeoMap>>) -> PyResult<Plan> {
        let facts = Facts::open(&Image::Copied(facts.to_vec())).map_err(wrong)?;
        let zones = zones.iter().map(|zone| zone.get().0.clone()).collect();
        let maps = maps.iter().map(|map| map.get().0.clone()).collect();
        Ok(Plan(Arc::new(snapshot::Plan::new(facts, zones, maps))))
    }
}

/// A plan and the choices of all its services.
#[pyclass(frozen)]
pub struct Snapshot(pub Arc<snapshot::Snapshot>);

/// What stands between us and those who forge addresses.
#[pyclass(frozen)]
pub struct Guard(pub Arc<respond::Guard>);

#[pymethods]
impl Guard {
    #[new]
    #[pyo3(signature = (secrets, rule=None, key=0))]
    fn new(secrets: Vec<[u8; SECRET_BYTES]>, rule: Option<Rule>, key: u64) -> Guard {
        let limiter = rule.map(|rule| Arc::new(Limiter::new(&rule.0, key)));
        Guard(Arc::new(respond::Guard { secrets, limiter }))
    }

    /// The same buckets with other secrets.
    fn with_secrets(&self, secrets: Vec<[u8; SECRET_BYTES]>) -> Guard {
        Guard(Arc::new(respond::Guard { secrets, limiter: self.0.limiter.clone() }))
    }
}

/// A rule of rate limiting, read from the attributes of a `gslb.model.RateLimit`.
struct Rule(rate::Rule);

impl<'a, 'py> FromPyObject<'a, 'py> for Rule {
    type Error = PyErr;

    fn extract(rule: Borrowed<'a, 'py, PyAny>) -> PyResult<Rule> {
        let exempt = rule.getattr("exempt")?.try_iter()?.map(|network| {
            let network = network?;
            let address: IpAddr = network.getattr("network_address")?.extract()?;
            Ok((address, network.getattr("prefixlen")?.extract()?))
        });
        Ok(Rule(rate::Rule {
            per_second: rule.getattr("per_second")?.extract()?,
            burst: rule.getattr("burst")?.extract()?,
            slip: rule.getattr("slip")?.extract()?,
            ipv4: rule.getattr("ipv4")?.extract()?,
            ipv6: rule.getattr("ipv6")?.extract()?,
            table: rule.getattr("table")?.extract()?,
            exempt: exempt.collect::<PyResult<_>>()?,
        }))
    }
}

/// Octets (None: silence), type, response code, service, number of the way, and of an answer
/// above its rate its kind and whether it slipped through.
type Said<'py> =
    (Option<Bound<'py, PyBytes>>, u16, Option<u16>, Option<String>, usize, Option<(usize, bool)>);

#[pymethods]
impl Snapshot {
    #[new]
    fn new(
        plan: &Plan,
        entries: Vec<Bound<'_, PyBytes>>,
        generation: u64,
        stale: bool,
        tallies: &Tallies,
    ) -> PyResult<Snapshot> {
        let served = opened(&entries)?.into_iter().map(|entry| tallies.of(entry)).collect();
        let made = snapshot::Snapshot::new(plan.0.clone(), served, generation, stale);
        Ok(Snapshot(Arc::new(made.map_err(wrong)?)))
    }

    /// The snapshot that follows, with other choices for some services.
    fn next(
        &self,
        changed: Vec<Bound<'_, PyBytes>>,
        generation: u64,
        stale: bool,
    ) -> PyResult<Snapshot> {
        let made = self.0.next(opened(&changed)?, generation, stale).map_err(wrong)?;
        Ok(Snapshot(Arc::new(made)))
    }

    /// Answer one message; None is for those that another engine must answer.
    #[pyo3(signature = (wire, sender, draw, now_s, size_max, guard=None))]
    #[expect(clippy::too_many_arguments)] // all that an answer depends on
    fn respond<'py>(
        &self,
        py: Python<'py>,
        wire: &[u8],
        sender: &[u8],
        draw: u64,
        now_s: f64,
        size_max: usize,
        guard: Option<&Guard>,
    ) -> PyResult<Option<Said<'py>>> {
        let from = From { sender: address(sender)?, draw, now_s, size_max };
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let open = respond::Guard::default();
        let guard = guard.map_or(&open, |guard| &guard.0);
        Ok(match respond(&self.0, guard, wire, &from, &mut scratch, &mut out) {
            Reply::Elsewhere => None,
            Reply::Silence(limited) => {
                let limited = limited.map(|kind| (kind as usize, false));
                Some((None, 0, None, None, 0, limited))
            }
            Reply::Said { type_, rcode, service, slipped } => {
                let (text, way) = match service {
                    Some((served, way)) => (Some(served.entry.text().to_owned()), way as usize),
                    None => (None, entry::WAYS),
                };
                let limited = slipped.map(|kind| (kind as usize, true));
                Some((Some(PyBytes::new(py, &out)), type_, Some(rcode), text, way, limited))
            }
        })
    }
}

fn opened(images: &[Bound<'_, PyBytes>]) -> PyResult<Vec<Entry>> {
    let open = |image: &Bound<'_, PyBytes>| Entry::open(Image::Copied(image.as_bytes().to_vec()));
    images.iter().map(|image| open(image).map_err(wrong)).collect()
}

/// An address from its octets, 4 or 16.
fn address(packed: &[u8]) -> PyResult<Address> {
    if let Ok(octets) = packed.try_into() {
        return Ok(Address { version: 4, number: u128::from(u32::from_be_bytes(octets)) });
    }
    match packed.try_into() {
        Ok(octets) => Ok(Address::of_ipv6(u128::from_be_bytes(octets))),
        Err(_) => Err(wrong("an address has 4 or 16 octets")),
    }
}
