// SPDX-License-Identifier: LGPL-3.0-or-later

//! Compiles the library's C sources, which are in this package, into the program. Or links the DLL, if
//! WINDOWS_REDIRECTOR_LIB_DIR names the folder of its import library.
//!
//! The compilations are those of the Go module (go/generate.sh): few, for with each the compiler reads Windows' headers
//! anew, and with names of the library's own where a program may have the same.

use std::env;
use std::path::Path;

const LIB_DIR: &str = "WINDOWS_REDIRECTOR_LIB_DIR";
/// Those of cmake/windows.cmake.
const SYSTEM_LIBRARIES: [&str; 6] = ["ws2_32", "userenv", "ntdll", "advapi32", "ole32", "oleaut32"];

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn give_up(text: &str) -> ! {
    eprintln!("windows-redirector-sys: {text}");
    std::process::exit(1)
}

/// What of the target speaks against compiling the sources, and what to do.
fn objection() -> Option<&'static str> {
    if variable("CARGO_CFG_TARGET_OS") != "windows" {
        return Some(
            "it is for Windows alone; put it under [target.'cfg(windows)'.dependencies] in Cargo.toml \
             (cargo add --target 'cfg(windows)' windows-redirector)",
        );
    }
    if variable("CARGO_CFG_TARGET_ARCH") != "x86_64" {
        return Some("it is for x86_64 alone, as WinDivert's driver here is");
    }
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return Some(
            "its C sources need GCC or Clang: build for the target x86_64-pc-windows-gnu; or set \
             WINDOWS_REDIRECTOR_LIB_DIR to the folder lib of windows-redirector's zip, which has windows_redirector.lib \
             for Microsoft's linker, and put windows_redirector.dll beside your program",
        );
    }
    None
}

fn link_dll(folder: &str) {
    if !Path::new(folder).is_dir() {
        give_up(&format!("{LIB_DIR} is '{folder}', which is no folder"));
    }
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=dylib=windows_redirector");
}

/// All C files of that folder, in an order that is the same everywhere.
fn c_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) => give_up(&format!("{}: {error}", folder.display())),
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().map_or(false, |extension| extension == "c"));
    files.sort();
    files
}

fn compile(root: &Path) {
    for folder in ["include", "src", "go/internal/library"] {
        println!("cargo:rerun-if-changed={}", root.join(folder).display());
    }
    // Optimised in debug builds, too: all packets of the process tree go through it.
    cc::Build::new()
        .files(c_files(&root.join("go/internal/library")))
        .include(root.join("include"))
        .include(root.join("src"))
        .flag("-std=c11")
        .flag("-fstack-protector-strong")
        .define("NDEBUG", None)
        .define("_WIN32_WINNT", "0x0A00")
        .define("WINVER", "0x0A00")
        .define("UNICODE", None)
        .define("_UNICODE", None)
        .opt_level(2)
        .compile("windows_redirector");
    for library in SYSTEM_LIBRARIES {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}

fn main() {
    let root = variable("CARGO_MANIFEST_DIR");
    println!("cargo:rerun-if-changed={}", Path::new(file!()).display());
    println!("cargo:rerun-if-env-changed={LIB_DIR}");
    println!("cargo:include={}", Path::new(&root).join("include").display());
    if env::var_os("DOCS_RS").is_some() {
        return; // documents are made without a compiler for Windows
    }
    match env::var(LIB_DIR) {
        Ok(folder) if !folder.is_empty() => link_dll(&folder),
        _ => match objection() {
            Some(text) => give_up(text),
            None => compile(Path::new(&root)),
        },
    }
}
