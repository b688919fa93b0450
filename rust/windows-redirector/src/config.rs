// SPDX-License-Identifier: LGPL-3.0-or-later

use crate::address::to_c;
use crate::log::{receive, Function, LogLevel, Registration};
use crate::rules::RulesForC;
use crate::{Error, Redirector, Rule};
use std::ffi::CString;
use std::mem::size_of;
use std::net::SocketAddr;
use std::ops::BitOr;
use std::path::PathBuf;
use std::ptr::null;
use std::time::Duration;
use windows_redirector_sys as sys;

/// Switches of a [`Builder`]; several are joined by `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Stop does not reset the redirected connections; they then hang or break.
    pub const KEEP_FLOWS_ON_STOP: Flags = Flags(sys::REDIRECTOR_KEEP_FLOWS_ON_STOP);
    /// Redirects by swapped addresses instead of over loopback: the proxy must listen on all addresses, and the Windows
    /// firewall must permit it.
    pub const REFLECT: Flags = Flags(sys::REDIRECTOR_REFLECT);
    /// Connections are refused while nothing listens on the proxy's port, or when the driver's filter does not capture
    /// them in time, instead of passing unredirected.
    pub const FAIL_CLOSED: Flags = Flags(sys::REDIRECTOR_FAIL_CLOSED);
    /// The roots themselves are not redirected, only their descendants.
    pub const DESCENDANTS_ONLY: Flags = Flags(sys::REDIRECTOR_DESCENDANTS_ONLY);
    /// Stop also has Windows unload the driver, if no other program uses it.
    pub const UNLOAD_DRIVER: Flags = Flags(sys::REDIRECTOR_UNLOAD_DRIVER);
    /// Connections within this machine are left alone, in both directions.
    pub const NO_LOOPBACK: Flags = Flags(sys::REDIRECTOR_NO_LOOPBACK);
    /// All TCP packets of the machine pass through the library at all times: no connection waits for the driver's filter.
    pub const CAPTURE_ALL: Flags = Flags(sys::REDIRECTOR_CAPTURE_ALL);
    /// No permit for packets that are sent on is put into the Windows filtering platform.
    pub const NO_FIREWALL_PERMIT: Flags = Flags(sys::REDIRECTOR_NO_FIREWALL_PERMIT);
    /// No connections of the library's own are made to prove that this machine can redirect.
    pub const NO_PROOF: Flags = Flags(sys::REDIRECTOR_NO_PROOF);
    /// The right of Administrators to open any process is used: roots may be services and other users' programs.
    pub const DEBUG_PRIVILEGE: Flags = Flags(sys::REDIRECTOR_DEBUG_PRIVILEGE);
    /// Connections keep the size of segments that programs ask for.
    pub const SMALL_SEGMENTS: Flags = Flags(sys::REDIRECTOR_SMALL_SEGMENTS);
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

pub(crate) fn c_string(what: &str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::invalid(format!("{what} contains a NUL character: {text:?}")))
}

/// What to redirect and how. A root and one of the ports are needed; all else has a sensible default.
#[must_use = "nothing is redirected before start()"]
#[derive(Default)]
pub struct Builder {
    c: sys::redirector_config,
    flags: Flags,
    roots: Vec<u32>,
    rules: Vec<Rule>,
    upstreams: Vec<SocketAddr>,
    listen_ports: Vec<u16>,
    windivert_dir: Option<PathBuf>,
    log_path: Option<PathBuf>,
    log: Option<Function>,
    times: [(&'static str, Duration); 4],
}

impl Builder {
    /// A root of the process tree: it and all its descendants, present and future, are redirected. There may be several.
    /// Your own process may be one: then it is whatever you start, from its first connection on; you yourself are not.
    pub fn root(mut self, pid: u32) -> Builder {
        self.roots.push(pid);
        self
    }

    /// The process that runs the proxy, which is never redirected; this process, if none is given.
    pub fn agent_pid(mut self, pid: u32) -> Builder {
        self.c.agent_pid = pid;
        self
    }

    /// The port of 127.0.0.1 and `[::1]` on which the proxy accepts what the tree opens.
    pub fn proxy_port(mut self, port: u16) -> Builder {
        self.c.proxy_port = port.into();
        self
    }

    /// The port on which the proxy accepts connections to the tree's own listeners.
    pub fn incoming_port(mut self, port: u16) -> Builder {
        self.c.incoming_port = port.into();
        self
    }

    /// The port of 127.0.0.1 and `[::1]` on which the proxy receives the datagrams of the tree; it may be the proxy port's
    /// number. Without one UDP is left alone.
    pub fn udp_port(mut self, port: u16) -> Builder {
        self.c.udp_port = port.into();
        self
    }

    /// A UDP flow ends when nothing has come of it for so long, 1 s to 1 h; zero: a minute.
    pub fn udp_idle(mut self, time: Duration) -> Builder {
        self.times[3] = ("the idle time of UDP", time);
        self
    }

    /// Switches.
    pub fn flags(mut self, flags: Flags) -> Builder {
        self.flags = self.flags | flags;
        self
    }

    /// One more rule, applied after those before it.
    pub fn rule(mut self, rule: Rule) -> Builder {
        self.rules.push(rule);
        self
    }

    /// An address of this machine to which the proxy connects, such as that of a proxy that it goes on through:
    /// connections of the process that listens there are not redirected. Unspecified: whatever address it listens on.
    pub fn upstream(mut self, address: SocketAddr) -> Builder {
        self.upstreams.push(address);
        self
    }

    /// A local port whose listener counts as the tree's whoever owns it, for incoming connections (http.sys).
    pub fn listen_port(mut self, port: u16) -> Builder {
        self.listen_ports.push(port);
        self
    }

    /// How long each outgoing connection waits for [`Redirector::decide`] at most, up to a minute; zero: not at all.
    pub fn decision_timeout(mut self, time: Duration) -> Builder {
        self.times[0] = ("the decision timeout", time);
        self
    }

    /// How long a SYN is held until its owner is known, up to 1 s; zero: 50 ms.
    pub fn hold_timeout(mut self, time: Duration) -> Builder {
        self.times[1] = ("the hold timeout", time);
        self
    }

    /// How often redirected connections that no longer exist are searched for, 100 ms to 10 min; zero: 30 s.
    pub fn scan_interval(mut self, time: Duration) -> Builder {
        self.times[2] = ("the scan interval", time);
        self
    }

    /// The folder of WinDivert.dll, absolute; that of the running program, if none is given.
    pub fn windivert_dir(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.windivert_dir = Some(folder.into());
        self
    }

    /// The log file; if none is given, that of the environment variable `WINDOWS_REDIRECTOR_LOG`, else
    /// `windows_redirector.log` in the current folder. Empty: no file.
    pub fn log_path(mut self, path: impl Into<PathBuf>) -> Builder {
        self.log_path = Some(path.into());
        self
    }

    /// How much is logged.
    pub fn log_level(mut self, level: LogLevel) -> Builder {
        self.c.log_level = level as u32;
        self
    }

    /// Also receives each log line: on a thread of the library, one at a time. It must not stop or drop the redirector. A
    /// panic in it is caught and counted ([`Redirector::log_panics`]).
    pub fn log(mut self, function: impl FnMut(LogLevel, &str) + Send + 'static) -> Builder {
        self.log = Some(Box::new(function));
        self
    }

    /// Starts redirecting. It has started when this returns, or nothing has and the error says what to do. Blocks while
    /// Windows loads the driver, and for half a second at most beyond that.
    pub fn start(mut self) -> Result<Redirector, Error> {
        let [decision, hold, scan, udp_idle] = self.times;
        self.c.decision_timeout_ms = milliseconds(decision.0, decision.1)?;
        self.c.hold_timeout_ms = milliseconds(hold.0, hold.1)?;
        self.c.scan_interval_ms = milliseconds(scan.0, scan.1)?;
        self.c.udp_idle_ms = milliseconds(udp_idle.0, udp_idle.1)?;
        let rules = RulesForC::new(&self.rules)?;
        let upstreams: Vec<_> = self.upstreams.iter().map(|&address| to_c(address)).collect();
        let listen_ports: Vec<u32> = self.listen_ports.iter().map(|&port| port.into()).collect();
        let windivert_dir = path("the folder of WinDivert.dll", self.windivert_dir)?;
        let log_path = path("the log file's path", self.log_path)?;
        let log = self.log.map(Registration::new);

        let c = &mut self.c;
        c.size = size_of::<sys::redirector_config>() as u32;
        c.flags = self.flags.0;
        (c.roots, c.root_count) = (self.roots.as_ptr(), count("roots", self.roots.len())?);
        (c.rules, c.rule_count) = (rules.rules.as_ptr(), rules.count());
        (c.upstreams, c.upstream_count) = (upstreams.as_ptr(), count("upstreams", upstreams.len())?);
        (c.listen_ports, c.listen_port_count) = (listen_ports.as_ptr(), count("listen ports", listen_ports.len())?);
        c.windivert_dir = windivert_dir.as_ref().map_or(null(), |string| string.as_ptr());
        c.log_path = log_path.as_ref().map_or(null(), |string| string.as_ptr());
        if let Some(log) = &log {
            c.log_fn = Some(receive);
            c.log_context = log.context();
        }
        Redirector::start(c, log)
    }
}

pub(crate) fn count(what: &str, number: usize) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::invalid(format!("there are too many {what}: {number}")))
}

/// A time that is not 0 does not become 0, which means something else.
pub(crate) fn milliseconds(what: &str, time: Duration) -> Result<u32, Error> {
    let rounded = time.as_nanos().saturating_add(999_999) / 1_000_000;
    u32::try_from(rounded).map_err(|_| Error::invalid(format!("{what} of {time:?} is too long")))
}

fn path(what: &str, path: Option<PathBuf>) -> Result<Option<CString>, Error> {
    path.map(|path| match path.to_str() {
        Some(text) => c_string(what, text),
        None => Err(Error::invalid(format!("{what} is no Unicode text: {path:?}"))),
    })
    .transpose()
}
