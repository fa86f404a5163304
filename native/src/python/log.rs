//! Lines of the access log, for Python.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::log::{Entry, line};

/// Return the line of a `gslb.proxy.accesslog.Entry`, with its end.
#[pyfunction]
pub fn log_line(entry: &Bound<'_, PyTuple>) -> PyResult<Vec<u8>> {
    let at = |index: usize| entry.get_borrowed_item(index);
    let items: [Borrowed<'_, '_, PyAny>; 23] = {
        let found: PyResult<Vec<_>> = (0..23).map(at).collect();
        found?.try_into().map_err(|_| super::wrong("an entry of another length"))?
    };
    let [
        time_s,
        client,
        method,
        host,
        path,
        status,
        bytes_in,
        bytes_out,
        route,
        service,
        member,
        region,
        tries,
        hop,
        duration_ms,
        connect_ms,
        first_byte_ms,
        tls,
        http,
        request_id,
        user_agent,
        referer,
        error,
    ] = &items;
    Ok(line(&Entry {
        time_s: time_s.extract()?,
        client: client.extract()?,
        method: method.extract()?,
        host: host.extract()?,
        path: path.extract()?,
        status: status.extract()?,
        bytes_in: bytes_in.extract()?,
        bytes_out: bytes_out.extract()?,
        route: route.extract()?,
        service: service.extract()?,
        member: member.extract()?,
        region: region.extract()?,
        tries: tries.extract()?,
        hop: hop.extract()?,
        duration_ms: duration_ms.extract()?,
        connect_ms: connect_ms.extract()?,
        first_byte_ms: first_byte_ms.extract()?,
        tls: tls.extract()?,
        http: http.extract()?,
        request_id: request_id.extract()?,
        user_agent: user_agent.extract()?,
        referer: referer.extract()?,
        error: error.extract()?,
    }))
}
