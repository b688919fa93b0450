// SPDX-License-Identifier: LGPL-3.0-or-later

//! The way of a log line from the library's thread to a closure.
//!
//! What the library is given as context is a number, not an address: when the closure hangs, `redirector_stop` does not
//! wait for it for ever, so that a call may still be on its way when the redirector is gone. It then finds no closure, or
//! one that lives until the call has ended. A panic ends at the border to C, where it would be undefined behaviour.

use std::ffi::CStr;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windows_redirector_sys as sys;

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum LogLevel {
    /// Nothing.
    Off = sys::REDIRECTOR_LOG_OFF,
    /// What failed.
    Error = sys::REDIRECTOR_LOG_ERROR,
    /// What limits redirection.
    Warn = sys::REDIRECTOR_LOG_WARN,
    /// A line per connection.
    Info = sys::REDIRECTOR_LOG_INFO,
    /// What only its developers want to know.
    Debug = sys::REDIRECTOR_LOG_DEBUG,
}

impl LogLevel {
    fn from_number(number: u32) -> LogLevel {
        match number {
            sys::REDIRECTOR_LOG_OFF => LogLevel::Off,
            sys::REDIRECTOR_LOG_ERROR => LogLevel::Error,
            sys::REDIRECTOR_LOG_WARN => LogLevel::Warn,
            sys::REDIRECTOR_LOG_INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        }
    }
}

pub(crate) type Function = Box<dyn FnMut(LogLevel, &str) + Send>;

pub(crate) struct Logger {
    function: Mutex<Function>,
    panics: AtomicU64,
}

/// Of the last registration; a number is never used again, for a line of the earlier one may still come.
static LAST: AtomicUsize = AtomicUsize::new(0);
static LOGGERS: Mutex<Vec<(usize, Arc<Logger>)>> = Mutex::new(Vec::new());

fn loggers() -> MutexGuard<'static, Vec<(usize, Arc<Logger>)>> {
    LOGGERS.lock().unwrap_or_else(PoisonError::into_inner) // nothing panics while it is locked
}

/// A closure that the library can reach, until this is dropped.
pub(crate) struct Registration {
    number: usize,
    logger: Arc<Logger>,
}

impl Registration {
    pub(crate) fn new(function: Function) -> Registration {
        let logger = Arc::new(Logger { function: Mutex::new(function), panics: AtomicU64::new(0) });
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        loggers().push((number, Arc::clone(&logger)));
        Registration { number, logger }
    }

    pub(crate) fn context(&self) -> *mut c_void {
        self.number as *mut c_void
    }

    pub(crate) fn panics(&self) -> u64 {
        self.logger.panics.load(Ordering::Relaxed)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        loggers().retain(|(number, _)| *number != self.number);
    }
}

/// What the library calls, on its log thread.
pub(crate) unsafe extern "C" fn receive(context: *mut c_void, level: u32, line: *const c_char) {
    let number = context as usize;
    let logger = loggers().iter().find(|(key, _)| *key == number).map(|(_, logger)| Arc::clone(logger));
    let logger = match logger {
        Some(logger) => logger,
        None => return,
    };
    let line = CStr::from_ptr(line).to_string_lossy();
    let call = || {
        let mut function = logger.function.lock().unwrap_or_else(PoisonError::into_inner);
        function(LogLevel::from_number(level), &line);
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        logger.panics.fetch_add(1, Ordering::Relaxed);
        std::mem::forget(payload); // its destructor might panic, too
    }
}
