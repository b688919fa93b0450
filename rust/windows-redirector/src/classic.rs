// SPDX-License-Identifier: LGPL-3.0-or-later

//! The five classic calls: one redirector per process, found by nobody's handle. For programs that were written against
//! them; others use [`Redirector`](crate::Redirector).

use crate::error::{blank, Error};
use crate::Status;
use windows_redirector_sys as sys;

/// Where a redirected connection was going: numbers in host byte order.
pub use windows_redirector_sys::WinDest;

/// Starts redirecting the TCP connections of a process and of all its descendants to a proxy on 127.0.0.1 and `[::1]`.
///
/// `agent_pid` runs the proxy and is never redirected; 0: this process. A port that is 0 means: not in that direction.
pub fn start_redirector(client_pid: u32, agent_pid: u32, proxy_port: u16, incoming_proxy: u16) -> Result<(), Error> {
    let done = unsafe { sys::start_redirector(client_pid, agent_pid, proxy_port.into(), incoming_proxy.into()) };
    outcome(done)
}

/// Stops what [`start_redirector`] started. Blocks for at most 1 s.
pub fn stop_redirector() -> Result<(), Error> {
    outcome(unsafe { sys::stop_redirector() })
}

/// Finds the original destination of the connection that reached the proxy from a source port.
pub fn get_destination(src_port: u16) -> Option<WinDest> {
    let found = unsafe { sys::get_destination(src_port.into()) };
    Some(found).filter(|found| found.ip_version != 0)
}

/// Removes a mapping for good; false: there was none. The connection itself goes on.
pub fn delete_destination(src_port: u16) -> bool {
    unsafe { sys::delete_destination(src_port.into()) != 0 }
}

/// Does nothing, because a [`WinDest`] owns no memory. For programs written against the original library.
pub fn free_windest(_dest: WinDest) {}

fn outcome(done: u32) -> Result<(), Error> {
    if done != 0 {
        return Ok(());
    }
    let mut why = blank();
    unsafe { sys::redirector_last_error(&mut why) };
    // Another thread may have called meanwhile, with success: then that is what the library tells.
    match Error::of_c(why.code, &why) {
        error if why.code != sys::REDIRECTOR_OK && error.status() != Status::Unknown(why.code) => Err(error),
        _ => Err(Error::of_status("the call failed, and another thread's came after it", why.code)),
    }
}
