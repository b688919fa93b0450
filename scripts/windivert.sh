# SPDX-License-Identifier: LGPL-3.0-or-later
# The pinned files of WinDivert 2.2.2 x64. Sourced, never run; packaging/dist reads the two lines.
# shellcheck shell=bash disable=SC2034

readonly dll_sha256=c1e060ee19444a259b2162f8af0f3fe8c4428a1c6f694dce20de194ac8d7d9a2
readonly sys_sha256=8da085332782708d8767bcace5327a6ec7283c17cfb85e40b03cd2323a90ddc2

# is_genuine FILE SHA256
is_genuine() {
    [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ]
}
