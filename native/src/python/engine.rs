//! The engine that answers from threads of its own: sockets bound, snapshots published, counts read.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::values::{Guard, Snapshot};
use super::{refused, wrong};
use crate::server::{self, Server};
use crate::tally::THREADS_MAX;

/// Threads that answer UDP queries from the snapshot that was published last.
#[pyclass(frozen)]
pub struct Engine {
    server: Mutex<Server>,
}

impl Engine {
    fn server(&self) -> PyResult<MutexGuard<'_, Server>> {
        self.server.lock().map_err(|_| wrong("the engine failed before"))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(clock_offset_s: f64) -> PyResult<Engine> {
        Ok(Engine { server: Mutex::new(Server::new(clock_offset_s)?) })
    }

    /// Bind sockets for so many threads; return the port.
    fn bind(&self, host: &str, port: u16, threads: usize) -> PyResult<u16> {
        let ip: IpAddr = host.parse().map_err(wrong)?;
        let mut server = self.server()?;
        if threads == 0 || server.len() + threads > THREADS_MAX {
            return Err(wrong(format!("1 to {THREADS_MAX} threads can answer in all")));
        }
        Ok(server.bind(SocketAddr::new(ip, port), threads).map_err(refused)?.port())
    }

    /// Let go of the sockets at an address that has not been started.
    fn unbind(&self, host: &str, port: u16) -> PyResult<()> {
        let ip: IpAddr = host.parse().map_err(wrong)?;
        self.server()?.unbind(SocketAddr::new(ip, port));
        Ok(())
    }

    /// Start the threads of the sockets that are bound.
    fn start(&self) -> PyResult<()> {
        Ok(self.server()?.start()?)
    }

    /// Serve another snapshot; False if a newer one is served.
    fn publish(&self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<bool> {
        let snapshot = snapshot.0.clone();
        // Without the interpreter: old snapshots are freed here, which can take a while.
        py.detach(|| Ok(self.server()?.publish(snapshot)))
    }

    /// Free the snapshots that no thread answers from any longer.
    fn tidy(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.server()?.tidy();
            Ok(())
        })
    }

    /// Guard answers in another way from the next datagrams on.
    fn guard(&self, guard: &Guard) -> PyResult<()> {
        self.server()?.guard(guard.0.clone());
        Ok(())
    }

    /// The counts of answers above their rate that are not 0: kind, whether it slipped, count.
    fn limited(&self) -> PyResult<Vec<(usize, bool, u64)>> {
        let server = self.server()?;
        Ok(server.counts().iter().flat_map(|counts| counts.limited.told()).collect())
    }

    /// The descriptor that is readable when queries wait to be taken.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.server()?.bell().fd())
    }

    /// Take at most so many of the queries that wait.
    fn take(&self, most: usize) -> PyResult<Vec<Handed>> {
        let server = self.server()?;
        server.bell().hush();
        let taken: Vec<_> = std::iter::from_fn(|| server.take()).take(most).map(Handed).collect();
        if taken.len() == most {
            server.bell().ring();
        }
        Ok(taken)
    }

    /// The counts of queries that are not 0: type (0 for others), response code, count.
    fn queries(&self) -> PyResult<Vec<(u16, u16, u64)>> {
        let server = self.server()?;
        Ok(server.counts().iter().flat_map(|counts| counts.queries.told()).collect())
    }

    /// The other counts: datagrams dropped, queries handed on, refused there, and errors of ours.
    fn events(&self) -> PyResult<(u64, u64, u64, u64)> {
        let server = self.server()?;
        let sum = |of: fn(&server::Counts) -> u64| server.counts().iter().map(|c| of(c)).sum();
        use std::sync::atomic::Ordering::Relaxed;
        Ok((
            sum(|counts| counts.dropped.load(Relaxed)),
            sum(|counts| counts.handed.load(Relaxed)),
            sum(|counts| counts.refused.load(Relaxed)),
            sum(|counts| counts.errors.load(Relaxed)),
        ))
    }

    /// Answer what has come in, and stop the threads.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.server()?.close();
            Ok(())
        })
    }
}

/// A query that was handed on, with the way back.
#[pyclass(frozen)]
pub struct Handed(server::Handed);

#[pymethods]
impl Handed {
    /// The query as it came.
    #[getter]
    fn wire<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.wire)
    }

    /// The address that it came from, 4 or 16 octets.
    #[getter]
    fn sender<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let sender = self.0.back.sender();
        match sender.version {
            4 => PyBytes::new(py, &(sender.number as u32).to_be_bytes()),
            _ => PyBytes::new(py, &sender.number.to_be_bytes()),
        }
    }

    /// Send the answer back; raises OSError.
    fn answer(&self, octets: &[u8]) -> PyResult<()> {
        Ok(self.0.socket.send(octets, &self.0.back)?)
    }
}
