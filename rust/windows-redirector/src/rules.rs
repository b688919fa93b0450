// SPDX-License-Identifier: LGPL-3.0-or-later

use crate::address::to_c;
use crate::config::{c_string, count};
use crate::error::{blank, Error};
use crate::Protocol;
use std::ffi::CString;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::raw::c_char;
use std::ptr::null;
use windows_redirector_sys as sys;

/// What becomes of the connections that a [`Rule`] matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// They go directly to their destination.
    Pass = sys::REDIRECTOR_RULE_PASS,
    /// They go to the proxy.
    Redirect = sys::REDIRECTOR_RULE_REDIRECT,
    /// They are refused at once, as by a closed port; datagrams are dropped.
    Block = sys::REDIRECTOR_RULE_BLOCK,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Direction {
    /// A process.
    Outgoing = sys::REDIRECTOR_OUTGOING,
    /// Somebody who came to a listener of a process.
    Incoming = sys::REDIRECTOR_INCOMING,
}

/// Whose connections, to where, and what becomes of them. All that a rule names must match, and the last rule that matches
/// decides; where none does, the tree's connections are redirected, and all others pass. Rules apply to new connections only.
///
/// A rule that names a process is about that process, of the tree or not; if it names nothing else, it says whether the
/// process is in scope. A rule that names no process is about those in scope: the tree's, as the rules before it have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    action: Action,
    pid: u32,
    pattern: Option<String>,
    listener: Option<String>,
    host: Option<String>,
    protocol: Option<Protocol>,
    direction: Option<Direction>,
    network: Option<(IpAddr, u8)>,
    ports: Option<RangeInclusive<u16>>,
    upstream: u32,
}

impl Rule {
    /// About all that is in scope.
    pub fn new(action: Action) -> Rule {
        Rule {
            action,
            pid: 0,
            pattern: None,
            listener: None,
            host: None,
            protocol: None,
            direction: None,
            network: None,
            ports: None,
            upstream: 0,
        }
    }

    /// Redirect the process.
    pub fn include_pid(pid: u32) -> Rule {
        Rule::new(Action::Redirect).pid(pid)
    }

    /// Leave the process alone.
    pub fn exclude_pid(pid: u32) -> Rule {
        Rule::new(Action::Pass).pid(pid)
    }

    /// Redirect the programs that match; the pattern is as for [`Rule::program`].
    pub fn include(pattern: impl Into<String>) -> Rule {
        Rule::new(Action::Redirect).program(pattern)
    }

    /// Leave the programs that match alone; the pattern is as for [`Rule::program`].
    pub fn exclude(pattern: impl Into<String>) -> Rule {
        Rule::new(Action::Pass).program(pattern)
    }

    /// Leave connections alone that reach a listening socket of this machine whose program matches, whoever opens them.
    pub fn exclude_listener(pattern: impl Into<String>) -> Rule {
        Rule::new(Action::Pass).to_listener(pattern)
    }

    /// Connections of this process.
    pub fn pid(mut self, pid: u32) -> Rule {
        self.pid = pid;
        self
    }

    /// Connections of the programs that match. With a slash or backslash in it the pattern is matched against the full path,
    /// else against the file name; `*` stands for any characters, `?` for one, and letters match in either case.
    pub fn program(mut self, pattern: impl Into<String>) -> Rule {
        self.pattern = Some(pattern.into());
        self
    }

    /// Outgoing connections that reach a listening socket of this machine whose program matches.
    pub fn to_listener(mut self, pattern: impl Into<String>) -> Rule {
        self.listener = Some(pattern.into());
        self
    }

    /// Where the name of the other end matches, as [`Redirector::tell_name`](crate::Redirector::tell_name) has told it.
    pub fn to_host(mut self, pattern: impl Into<String>) -> Rule {
        self.host = Some(pattern.into());
        self
    }

    /// Where the address of the other end has these first bits: 0 to 32, or 128.
    pub fn to_network(mut self, address: IpAddr, prefix_length: u8) -> Rule {
        self.network = Some((address, prefix_length));
        self
    }

    /// Connections that go to one of these ports: `443..=443`.
    pub fn to_ports(mut self, ports: RangeInclusive<u16>) -> Rule {
        self.ports = Some(ports);
        self
    }

    /// What speaks this protocol.
    pub fn protocol(mut self, protocol: Protocol) -> Rule {
        self.protocol = Some(protocol);
        self
    }

    /// Connections in this direction.
    pub fn direction(mut self, direction: Direction) -> Rule {
        self.direction = Some(direction);
        self
    }

    /// Any number of yours: [`Destination::upstream`](crate::Destination::upstream) tells it of what this rule has redirected.
    pub fn upstream(mut self, number: u32) -> Rule {
        self.upstream = number;
        self
    }

    fn to_c(&self, strings: &mut Strings) -> Result<sys::redirector_rule, String> {
        let mut out = sys::redirector_rule {
            size: size_of::<sys::redirector_rule>() as u32,
            action: self.action as u32,
            pid: self.pid,
            direction: self.direction.map_or(sys::REDIRECTOR_BOTH_WAYS, |direction| direction as u32),
            pattern: strings.point("its pattern", &self.pattern)?,
            listener: strings.point("its listener", &self.listener)?,
            host: strings.point("its host", &self.host)?,
            protocol: self.protocol.map_or(0, |protocol| protocol as u32),
            upstream: self.upstream,
            ..Default::default()
        };
        if let Some(ports) = &self.ports {
            (out.first_port, out.last_port) = ((*ports.start()).into(), (*ports.end()).into());
            if out.last_port == 0 {
                return Err("its range of ports is that of port 0, which is none".to_owned());
                // to C it is any port
            }
        }
        if let Some((address, length)) = self.network {
            let c = to_c(SocketAddr::new(address, 0));
            let clothes = if address.is_ipv6() && c.family == 4 { 96 } else { 0 };
            let length = length.checked_sub(clothes).ok_or("its network is neither one of IPv4 nor one of IPv6")?;
            (out.family, out.prefix_length, out.network) = (c.family, length.into(), c.bytes);
        }
        Ok(out)
    }
}

/// Strings that C points to.
#[derive(Default)]
struct Strings(Vec<CString>);

impl Strings {
    fn point(&mut self, what: &str, text: &Option<String>) -> Result<*const c_char, String> {
        let text = match text {
            Some(text) => text,
            None => return Ok(null()),
        };
        let string = c_string(what, text).map_err(|error| error.to_string())?;
        let pointer = string.as_ptr(); // the string's own memory, which stays where it is
        self.0.push(string);
        Ok(pointer)
    }
}

/// Rules as the library takes them, with the strings that they point to.
pub(crate) struct RulesForC {
    pub(crate) rules: Vec<sys::redirector_rule>,
    _strings: Strings,
}

impl RulesForC {
    pub(crate) fn new(rules: &[Rule]) -> Result<RulesForC, Error> {
        count("rules", rules.len())?;
        let mut strings = Strings::default();
        let mut out = Vec::with_capacity(rules.len());
        for (number, rule) in rules.iter().enumerate() {
            out.push(rule.to_c(&mut strings).map_err(|wrong| Error::invalid(format!("rule {number}: {wrong}")))?);
        }
        Ok(RulesForC { rules: out, _strings: strings })
    }

    pub(crate) fn count(&self) -> u32 {
        self.rules.len() as u32 // new() has seen that it fits
    }
}

/// A connection that [`test_rules`] is asked about. [`RuleCase::new`] has what is mostly so; change what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCase {
    /// Of the other end; its port is the one that the connection goes to.
    pub address: SocketAddr,
    /// Its process belongs to the tree.
    pub in_tree: bool,
    /// Its process.
    pub pid: u32,
    /// What it speaks.
    pub protocol: Protocol,
    /// Who opened it.
    pub direction: Direction,
    /// Path of its process' program.
    pub program: Option<String>,
    /// Path of the program that listens at the other end, on this machine.
    pub listener: Option<String>,
    /// The other end's name.
    pub host: Option<String>,
}

impl RuleCase {
    /// A connection of TCP that a process of the tree opens.
    pub fn new(address: SocketAddr) -> RuleCase {
        RuleCase {
            address,
            in_tree: true,
            pid: 0,
            protocol: Protocol::Tcp,
            direction: Direction::Outgoing,
            program: None,
            listener: None,
            host: None,
        }
    }
}

/// What rules say of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// Index of the rule that has decided; `None`: the tree alone.
    pub rule: Option<usize>,
    /// Of that rule.
    pub upstream: u32,
}

/// Says what rules would make of a connection, by the code that redirects. It needs no redirector, and no administrator
/// rights. What is never redirected, such as the agent's own, is not known to it.
pub fn test_rules(rules: &[Rule], connection: &RuleCase) -> Result<Verdict, Error> {
    let rules = RulesForC::new(rules)?;
    let mut strings = Strings::default();
    let mut point = |what: &str, text: &Option<String>| strings.point(what, text).map_err(Error::invalid);
    let c = sys::redirector_rule_case {
        size: size_of::<sys::redirector_rule_case>() as u32,
        in_tree: connection.in_tree.into(),
        pid: connection.pid,
        protocol: connection.protocol as u32,
        direction: connection.direction as u32,
        address: to_c(connection.address),
        program: point("the connection's program", &connection.program)?,
        listener: point("the connection's listener", &connection.listener)?,
        host: point("the connection's host", &connection.host)?,
    };
    let size = size_of::<sys::redirector_rule_verdict>() as u32;
    let (mut verdict, mut error) = (sys::redirector_rule_verdict { size, ..Default::default() }, blank());
    let status =
        unsafe { sys::redirector_test_rules(rules.rules.as_ptr(), rules.count(), &c, &mut verdict, &mut error) };
    if status != sys::REDIRECTOR_OK {
        return Err(Error::of_c(status, &error));
    }
    Ok(Verdict {
        action: match verdict.action {
            sys::REDIRECTOR_RULE_REDIRECT => Action::Redirect,
            sys::REDIRECTOR_RULE_BLOCK => Action::Block,
            _ => Action::Pass,
        },
        rule: (verdict.rule != sys::REDIRECTOR_NO_RULE).then_some(verdict.rule as usize),
        upstream: verdict.upstream,
    })
}
