#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Builds the whole lab into build/lab/ (see Makefile).
exec make -s -j "$(nproc)" -C "$(dirname "$0")" "$@"
