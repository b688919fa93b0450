#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# go/cflags.sh     prints CGO_CFLAGS for builds in this checkout
#
# Go's build cache watches the C files in a package's own folder, and neither what they include nor a header elsewhere. So
# a mark of all the library's sources is made part of the flags. Who gets the module needs none of it: its files never
# change.
set -eu
cd "$(dirname "$0")/.."
mark=$(find include src -name '*.[ch]' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
echo "-O2 -DSOURCES_$mark"
