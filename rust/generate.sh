#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# rust/generate.sh           writes what the crates have from the public header and from tests/abi/layout.h:
#                            windows-redirector-sys/src/bindings.rs: the C interface, by bindgen
#                            windows-redirector-sys/tests/layout.rs: sizes, offsets and numbers as they were published
#                            windows-redirector/src/status.rs: the statuses
# rust/generate.sh --check   shows what would change, and fails if anything would
#
# Run it after each change of the public header. bindgen, rustfmt and libclang are those of Debian (scripts/packages.txt).
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

license="// SPDX-License-Identifier: LGPL-3.0-or-later"

bindings() {
    printf '%s\n\n// Made from windows_redirector.h by rust/generate.sh.\n' "$license"
    /usr/bin/bindgen ../include/windows_redirector.h --allowlist-file '.*windows_redirector\.h' \
        --default-enum-style consts --no-prepend-enum-name --with-derive-default --no-layout-tests --no-rustfmt-bindings \
        -- --target=x86_64-pc-windows-gnu | sed -E 's/^( *#\[doc = ")< ?/\1/'
}

# layout NAME TEMPLATE: a line for each entry of LAYOUT_NAME, in which \1, \2 ... are its words.
layout() {
    sed -n "/^#define LAYOUT_$1(X)/,/^\$/p" ../tests/abi/layout.h |
        sed -n -E "s/^ *X\(([A-Za-z_]+), *([a-z0-9_]+)(, *([0-9]+), *([0-9]+))?\).*/$2/p"
}

layouts() {
    cat <<TEXT
$license

// Made from tests/abi/layout.h by rust/generate.sh: every structure, member and number as it was published.

use std::mem::{size_of, size_of_val, MaybeUninit};
use std::ptr::addr_of;
use windows_redirector_sys::*;

macro_rules! member {
    (\$structure:ty, \$member:ident, \$offset:expr, \$size:expr) => {{
        let object = MaybeUninit::<\$structure>::zeroed();
        let object = unsafe { object.assume_init_ref() };
        let offset = addr_of!(object.\$member) as usize - addr_of!(*object) as usize;
        let name = concat!(stringify!(\$structure), ".", stringify!(\$member));
        assert_eq!((offset, size_of_val(&object.\$member)), (\$offset, \$size), "{name}");
    }};
}

#[test]
fn sizes() {
$(layout STRUCTS 'assert_eq!(size_of::<\1>(), \2, "\1");')
}

#[test]
fn members() {
$(layout MEMBERS 'member!(\1, \2, \4, \5);')
}

#[test]
fn numbers() {
$(layout FLAGS 'assert_eq!(REDIRECTOR_\1, \2);')
$(layout NUMBERS 'assert_eq!(REDIRECTOR_\1, \2);')
$(layout STATUSES 'assert_eq!(REDIRECTOR_\1, \2);')
}
TEXT
}

bindings >"$work/bindings.rs"
layouts >"$work/layout.rs"
../scripts/generate_status.py rust >"$work/status.rs"
/usr/bin/rustfmt --edition 2021 --config max_width=120 "$work"/*.rs
targets=(windows-redirector-sys/src/bindings.rs windows-redirector-sys/tests/layout.rs windows-redirector/src/status.rs)
for target in "${targets[@]}"; do
    if [ "${1-}" = --check ]; then
        diff "$target" "$work/${target##*/}"
    else
        cp "$work/${target##*/}" "$target"
    fi
done
