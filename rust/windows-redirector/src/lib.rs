// SPDX-License-Identifier: LGPL-3.0-or-later

#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
pub mod classic;
mod config;
mod error;
mod log;
mod redirector;
mod rules;
mod status;
mod types;

pub use config::{Builder, Flags};
pub use error::Error;
pub use log::LogLevel;
pub use redirector::Redirector;
pub use rules::{test_rules, Action, Direction, Rule, RuleCase, Verdict};
pub use status::Status;
pub use types::{Connection, Decision, Destination, Flow, FlowKind, FlowState, Flows, Protocol, State};

/// Counters since the start; each field says what it counts. Of `size` nothing has to be known.
pub use windows_redirector_sys::redirector_stats as Stats;

/// The version of the C library that is running, for instance `0.1.0`.
pub fn version() -> &'static str {
    let text = unsafe { std::ffi::CStr::from_ptr(windows_redirector_sys::redirector_version()) };
    text.to_str().unwrap_or("unknown")
}
