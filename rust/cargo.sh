#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# rust/cargo.sh ARGUMENTS...   Debian's cargo, whatever else is in the PATH: offline, for crates come from Debian packages
#
# What it makes is in build/rust, or in the folder that RUST_BUILD names. Crates come from the folder crates/ in it, if
# there is one, or from the local registry in registry/.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${RUST_BUILD:-$root/build/rust}
source='directory = "/usr/share/cargo/registry"'
[ ! -d "$build/crates" ] || source="directory = \"$build/crates\""
[ ! -d "$build/registry" ] || source="local-registry = \"$build/registry\""
export PATH="/usr/bin:$PATH" CARGO_HOME=$build/home CARGO_TARGET_DIR=$build/target CARGO_NET_OFFLINE=true
mkdir -p "$CARGO_HOME"
cat >"$CARGO_HOME/config.toml.$$" <<TEXT
[source.crates-io]
replace-with = "folder"

[source.folder]
$source
TEXT
mv "$CARGO_HOME/config.toml.$$" "$CARGO_HOME/config.toml"
unset RUSTC RUSTFLAGS RUSTUP_TOOLCHAIN
exec /usr/bin/cargo "$@"
