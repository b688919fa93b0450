// SPDX-License-Identifier: LGPL-3.0-or-later

use crate::address::to_c;
use crate::config::milliseconds;
use crate::error::{blank, check, text_of, Error};
use crate::log::Registration;
use crate::rules::RulesForC;
use crate::{Builder, Connection, Decision, Destination, Flows, Protocol, Rule, State, Stats};
use std::ffi::CString;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::ptr::{null_mut, NonNull};
use std::time::Duration;
use windows_redirector_sys as sys;

/// How many flows are asked for at first; more, if there are.
const FIRST_FLOWS: usize = 32;
/// What the library takes for: as long as redirection lasts.
const WITHOUT_END: u32 = u32::MAX;
/// In bytes, as the library takes it.
const LONGEST_NAME: usize = 253;

/// Redirects, until it is stopped or dropped. Every call may be made from any thread.
#[derive(Debug)]
pub struct Redirector {
    c: NonNull<sys::redirector>,
    log: Option<LogGuard>,
    notice: Option<String>,
}

// The library: "any call may be made from any thread at any time". Only redirector_free() wants to be the last, and
// dropping is.
unsafe impl Send for Redirector {}
unsafe impl Sync for Redirector {}

struct LogGuard(Registration);

impl std::fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a function")
    }
}

impl Redirector {
    /// What to redirect and how is said to a builder, which starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(config: &sys::redirector_config, log: Option<Registration>) -> Result<Redirector, Error> {
        let mut c = null_mut();
        let mut error = blank();
        let status = unsafe { sys::redirector_start(config, &mut c, &mut error) };
        match NonNull::new(c) {
            Some(c) if status == sys::REDIRECTOR_OK => {
                let notice = Some(text_of(&error)).filter(|_| error.os_error != 0);
                Ok(Redirector { c, log: log.map(LogGuard), notice })
            }
            _ => Err(Error::of_c(status, &error)),
        }
    }

    /// What start had to say although it succeeded: where the log is, if it could not be written to the current folder.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Stops: redirected connections are reset at both ends (but see
    /// [`Flags::KEEP_FLOWS_ON_STOP`](crate::Flags::KEEP_FLOWS_ON_STOP)). Lookups then find nothing; statistics stay. Blocks
    /// for at most 1 s. An error means that the engine did not end in time, and traffic flows all the same.
    pub fn stop(&self) -> Result<(), Error> {
        check("redirector_stop", unsafe { sys::redirector_stop(self.c.as_ptr()) })
    }

    /// Whether it still redirects.
    pub fn state(&self) -> State {
        match unsafe { sys::redirector_get_state(self.c.as_ptr(), null_mut()) } {
            sys::REDIRECTOR_RUNNING => State::Running,
            sys::REDIRECTOR_STOPPED => State::Stopped,
            _ => State::Failed,
        }
    }

    /// Why redirection has ended by itself, also after a stop; `None`: it has not.
    pub fn failure(&self) -> Option<Error> {
        let why = self.why();
        (why.code != sys::REDIRECTOR_OK).then(|| Error::of_c(why.code, &why))
    }

    /// What limits redirection although it goes on, such as a process that Windows does not let into the library's job.
    pub fn limitation(&self) -> Option<String> {
        let why = self.why();
        (why.code == sys::REDIRECTOR_OK && why.os_error != 0).then(|| text_of(&why))
    }

    fn why(&self) -> sys::redirector_error {
        let mut why = blank();
        unsafe { sys::redirector_get_state(self.c.as_ptr(), &mut why) };
        why
    }

    /// Where a connection was going, by its peer as the proxy sees it (`TcpStream::peer_addr`). `None`: it is not a
    /// redirected one, or has ended. With an unspecified address (0.0.0.0) family and port alone are compared. Never blocks.
    pub fn lookup(&self, peer: SocketAddr) -> Result<Option<Destination>, Error> {
        self.lookup_of(Protocol::Tcp, peer)
    }

    /// Where a datagram was going, by the address that it came from (`UdpSocket::recv_from`). `None`: no program of the tree
    /// has sent it, or its flow has ended. What is sent to that address reaches the program as from there. Never blocks.
    pub fn lookup_udp(&self, peer: SocketAddr) -> Result<Option<Destination>, Error> {
        self.lookup_of(Protocol::Udp, peer)
    }

    /// Tells the program that sent datagrams from this peer that nobody listens at their destination, as from there; false: no
    /// UDP flow has this peer. Blocks for milliseconds, at most 1 s.
    pub fn udp_unreachable(&self, peer: SocketAddr) -> Result<bool, Error> {
        let status = unsafe { sys::redirector_udp_unreachable(self.c.as_ptr(), &to_c(peer)) };
        found("redirector_udp_unreachable", status)
    }

    fn lookup_of(&self, protocol: Protocol, peer: SocketAddr) -> Result<Option<Destination>, Error> {
        let size = size_of::<sys::redirector_destination>() as u32;
        let mut out = sys::redirector_destination { size, protocol: protocol as u32, ..Default::default() };
        let status = unsafe { sys::redirector_lookup(self.c.as_ptr(), &to_c(peer), &mut out) };
        Ok(found("redirector_lookup", status)?.then(|| Destination::from_c(&out)))
    }

    /// Removes the mapping of a peer for good; false: there was none. The connection itself goes on.
    pub fn forget(&self, peer: SocketAddr) -> Result<bool, Error> {
        found("redirector_forget", unsafe { sys::redirector_forget(self.c.as_ptr(), &to_c(peer)) })
    }

    /// Replaces the rules. Returns when the engine uses them: after milliseconds, at most 1 s. An error says which rule is not
    /// right, and why; the former rules stay.
    pub fn set_rules(&self, rules: &[Rule]) -> Result<(), Error> {
        let rules = RulesForC::new(rules)?;
        let mut error = blank();
        let status =
            unsafe { sys::redirector_set_rules(self.c.as_ptr(), rules.rules.as_ptr(), rules.count(), &mut error) };
        match status {
            sys::REDIRECTOR_OK => Ok(()),
            _ => Err(Error::of_c(status, &error)),
        }
    }

    /// Tells under which name an address was looked up, for rules that name a host: to be called by whoever has seen the
    /// answer of the DNS, before the program gets it, or has read a hosts file. Names are never guessed. Blocks for
    /// milliseconds, at most 1 s.
    pub fn tell_name(&self, address: IpAddr, name: &str) -> Result<(), Error> {
        let wrong =
            || Error::invalid(format!("the name {name:?} does not have 1 to {LONGEST_NAME} bytes without a NUL"));
        let bare = name.strip_suffix('.').unwrap_or(name); // as the DNS has it
        let c = CString::new(bare).ok().filter(|_| (1..=LONGEST_NAME).contains(&bare.len())).ok_or_else(wrong)?;
        let address = to_c(SocketAddr::new(address, 0));
        check("redirector_tell_name", unsafe { sys::redirector_tell_name(self.c.as_ptr(), &address, c.as_ptr()) })
    }

    /// Waits for the next outgoing connection to decide about ([`Builder::decision_timeout`]), for so long at most;
    /// [`Duration::MAX`]: as long as redirection lasts. `None`: none has come. Several threads may wait.
    pub fn next_connection(&self, timeout: Duration) -> Result<Option<Connection>, Error> {
        let wait = milliseconds("the time", timeout).unwrap_or(WITHOUT_END);
        let size = size_of::<sys::redirector_connection>() as u32;
        let mut out = sys::redirector_connection { size, ..Default::default() };
        let status = unsafe { sys::redirector_next_connection(self.c.as_ptr(), &mut out, wait) };
        Ok(found("redirector_next_connection", status)?.then(|| Connection::from_c(&out)))
    }

    /// Decides about a connection of [`next_connection`](Redirector::next_connection); false: it does not wait any more.
    pub fn decide(&self, connection_id: u64, decision: Decision) -> Result<bool, Error> {
        let status = unsafe { sys::redirector_decide(self.c.as_ptr(), connection_id, decision as u32) };
        found("redirector_decide", status)
    }

    /// The redirected connections that exist now. Blocks for milliseconds.
    pub fn flows(&self) -> Result<Flows, Error> {
        let size = size_of::<sys::redirector_flow>() as u32;
        let mut room = FIRST_FLOWS;
        loop {
            let mut flows = vec![sys::redirector_flow::default(); room];
            flows[0].size = size;
            let mut total = 0;
            let capacity = u32::try_from(room).unwrap_or(u32::MAX);
            let status =
                unsafe { sys::redirector_list_flows(self.c.as_ptr(), flows.as_mut_ptr(), capacity, &mut total) };
            check("redirector_list_flows", status)?;
            let total = total as usize;
            if total <= room {
                flows.truncate(total);
                return Ok(Flows(flows.into_iter()));
            }
            room = total + total / 8; // more may come meanwhile
        }
    }

    /// The counters, also after a stop.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { size: size_of::<Stats>() as u32, ..Default::default() };
        let status = unsafe { sys::redirector_get_stats(self.c.as_ptr(), &mut stats) };
        debug_assert_eq!(status, sys::REDIRECTOR_OK); // it refuses nothing but a wrong size
        stats
    }

    /// How many times the function of [`Builder::log`] has panicked.
    pub fn log_panics(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.0.panics())
    }
}

impl Drop for Redirector {
    /// Stops it, if it was not stopped. Blocks for at most 1 s.
    fn drop(&mut self) {
        unsafe { sys::redirector_free(self.c.as_ptr()) }
    }
}

/// The result of a call for which "not found" is an answer.
fn found(call: &str, status: u32) -> Result<bool, Error> {
    if status == sys::REDIRECTOR_NOT_FOUND {
        return Ok(false);
    }
    check(call, status).map(|()| true)
}
