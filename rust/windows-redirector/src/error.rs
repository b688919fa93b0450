// SPDX-License-Identifier: LGPL-3.0-or-later

use crate::Status;
use std::ffi::CStr;
use std::fmt;
use std::mem::size_of;
use std::os::raw::c_char;
use windows_redirector_sys::{redirector_error, redirector_status_name, REDIRECTOR_OK};

/// Why a call failed: a status for the program, and a line for people, which says what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    os_error: u32,
    text: String,
}

impl Error {
    /// What kind of error it is.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The Windows error behind it (`GetLastError`), if there is one.
    pub fn os_error(&self) -> Option<u32> {
        Some(self.os_error).filter(|&number| number != 0)
    }

    pub(crate) fn invalid(text: String) -> Error {
        Error { status: Status::InvalidArgument, os_error: 0, text }
    }

    /// Of calls that have a status alone; its name is the library's.
    pub(crate) fn of_status(call: &str, number: u32) -> Error {
        let name = unsafe { CStr::from_ptr(redirector_status_name(number)) };
        let text = format!("{call}: {}", name.to_string_lossy());
        Error { status: Status::from_number(number), os_error: 0, text }
    }

    /// Of calls that fill in a `redirector_error`.
    pub(crate) fn of_c(number: u32, error: &redirector_error) -> Error {
        Error { status: Status::from_number(number), os_error: error.os_error, text: text_of(error) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// One to be filled in.
pub(crate) fn blank() -> redirector_error {
    redirector_error { size: size_of::<redirector_error>() as u32, ..Default::default() }
}

pub(crate) fn text_of(error: &redirector_error) -> String {
    let bytes: Vec<u8> = error.text.iter().map(|&c: &c_char| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The result of a call that has a status alone.
pub(crate) fn check(call: &str, number: u32) -> Result<(), Error> {
    if number == REDIRECTOR_OK {
        return Ok(());
    }
    Err(Error::of_status(call, number))
}
