// SPDX-License-Identifier: LGPL-3.0-or-later

//! What the calls give.

use crate::address::from_c;
use std::net::SocketAddr;
use std::time::Duration;
use windows_redirector_sys as sys;

/// Where a redirected connection, or datagram, was going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The address. A link-local one has its scope.
    pub address: SocketAddr,
    /// Process that opened the connection, or owns the listener (incoming).
    pub pid: u32,
    /// The connection came to a listener of the tree; else the tree opened it.
    pub incoming: bool,
    /// What [`Connection::id`] it had; 0: it was not asked about.
    pub connection_id: u64,
    /// Of the rule that has redirected it; 0: none has.
    pub upstream: u32,
}

impl Destination {
    pub(crate) fn from_c(c: &sys::redirector_destination) -> Destination {
        Destination {
            address: from_c(&c.destination),
            pid: c.pid,
            incoming: c.incoming != 0,
            connection_id: c.connection_id,
            upstream: c.upstream,
        }
    }
}

/// An outgoing connection whose SYN is held until [`Redirector::decide`](crate::Redirector::decide) says what becomes of
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// For [`Redirector::decide`](crate::Redirector::decide).
    pub id: u64,
    /// Process that opens it.
    pub pid: u32,
    /// The end that opens it, as that end sees itself.
    pub client: SocketAddr,
    /// Where it is going.
    pub destination: SocketAddr,
    /// Of the rule that has it redirected; 0: none has.
    pub upstream: u32,
}

impl Connection {
    pub(crate) fn from_c(c: &sys::redirector_connection) -> Connection {
        Connection {
            id: c.connection_id,
            pid: c.pid,
            client: from_c(&c.client),
            destination: from_c(&c.destination),
            upstream: c.upstream,
        }
    }
}

/// What becomes of a connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Decision {
    /// It is redirected to the proxy, which accepts it.
    Accept = sys::REDIRECTOR_ACCEPT,
    /// Its SYN is answered with RST, each time that Windows sends it again.
    Refuse = sys::REDIRECTOR_REFUSE,
    /// It goes directly to its destination, unredirected.
    Pass = sys::REDIRECTOR_PASS,
    /// Its SYN is never answered: the program's `connect` times out.
    Drop = sys::REDIRECTOR_DROP,
}

/// Whether a redirector still redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// New connections are redirected.
    Running,
    /// [`Redirector::stop`](crate::Redirector::stop) was called.
    Stopped,
    /// Redirection has ended by itself, and all traffic goes to its original destination.
    Failed,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKind {
    /// The tree.
    Outgoing,
    /// It came to a listener of the tree.
    Incoming,
}

/// What the two ends speak. A port of one is not a port of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Protocol {
    /// TCP.
    Tcp = sys::REDIRECTOR_TCP,
    /// UDP.
    Udp = sys::REDIRECTOR_UDP,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// Its SYN, or its first datagram, is not answered yet.
    Opening,
    /// Established, half-closed included.
    Open,
    /// Reset, or closed by both ends; its last packets are still translated.
    Closing,
}

/// A redirected connection that exists now, or a UDP flow: what one socket sends to one destination, and the answers.
/// "Up" is the direction from the end that opened it to the end that accepted it. Bytes are those of the stream, so that
/// retransmissions count once, and with UDP those of the datagrams' contents; packets are all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Process that opened the connection, or owns the listener (incoming).
    pub pid: u32,
    /// Who opened it.
    pub kind: FlowKind,
    /// What it speaks.
    pub protocol: Protocol,
    /// How far it is.
    pub state: FlowState,
    /// The end that opened it, as that end sees itself.
    pub client: SocketAddr,
    /// Where it was going.
    pub destination: SocketAddr,
    /// The peer that the proxy sees, as [`Redirector::lookup`](crate::Redirector::lookup), or with UDP
    /// [`Redirector::lookup_udp`](crate::Redirector::lookup_udp), takes it.
    pub peer: SocketAddr,
    /// Bytes up.
    pub bytes_up: u64,
    /// Bytes down.
    pub bytes_down: u64,
    /// Packets up.
    pub packets_up: u64,
    /// Packets down.
    pub packets_down: u64,
    /// When it was opened: since 1970-01-01 UTC, by the clock as it is set now.
    pub opened: Duration,
    /// How long it has lived; not affected by changes of the clock.
    pub age: Duration,
}

impl Flow {
    fn from_c(c: &sys::redirector_flow) -> Flow {
        Flow {
            pid: c.pid,
            kind: match c.kind {
                sys::REDIRECTOR_FLOW_INCOMING => FlowKind::Incoming,
                _ => FlowKind::Outgoing,
            },
            protocol: match c.protocol {
                sys::REDIRECTOR_UDP => Protocol::Udp,
                _ => Protocol::Tcp,
            },
            state: match c.state {
                sys::REDIRECTOR_FLOW_OPENING => FlowState::Opening,
                sys::REDIRECTOR_FLOW_OPEN => FlowState::Open,
                _ => FlowState::Closing,
            },
            client: from_c(&c.client),
            destination: from_c(&c.destination),
            peer: from_c(&c.peer),
            bytes_up: c.bytes_up,
            bytes_down: c.bytes_down,
            packets_up: c.packets_up,
            packets_down: c.packets_down,
            opened: Duration::from_millis(c.opened_ms),
            age: Duration::from_millis(c.age_ms),
        }
    }
}

/// The connections that existed when [`Redirector::flows`](crate::Redirector::flows) was called, in no particular order.
#[derive(Debug)]
pub struct Flows(pub(crate) std::vec::IntoIter<sys::redirector_flow>);

impl Iterator for Flows {
    type Item = Flow;

    fn next(&mut self) -> Option<Flow> {
        self.0.next().map(|flow| Flow::from_c(&flow))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Flows {}
