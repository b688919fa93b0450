#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Checks the GitHub workflows, which cannot run here, with actionlint (and shellcheck for the scripts inside them).
set -u
cd "$(dirname "$0")/.." || exit 1
if [ ! -x build/tools/actionlint ]; then
    packaging/tools.sh actionlint || exit 1
fi
build/tools/actionlint -no-color -pyflakes= .github/workflows/*.yml
