// SPDX-License-Identifier: LGPL-3.0-or-later

//! The C interface of [windows-redirector](https://github.com/windows-redirector/windows-redirector), as bindgen writes
//! it down from `windows_redirector.h`. The crate `windows-redirector` is what programs use.
//!
//! The build script compiles the library's C sources, which are in this package, by the `cc` crate: the target is
//! `x86_64-pc-windows-gnu`. If the environment variable `WINDOWS_REDIRECTOR_LIB_DIR` names a folder, the DLL is linked
//! instead, by the import library that lies there. Crates that depend on this one find the folder of the header in
//! `DEP_WINDOWS_REDIRECTOR_INCLUDE`.

#![allow(non_camel_case_types)]
// The comments are those of the C header.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags, rustdoc::bare_urls)]

mod bindings;

pub use bindings::*;
