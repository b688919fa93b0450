/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Made by go/generate.sh: sources that have no names of their own in common. */
#include "znames.h"
#include "../../../src/windows/stack_guard.h"
#include "../../../src/engine/decisions.c"
