/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Made by go/generate.sh: sources that have no names of their own in common. */
#include "znames.h"
#include "../../../src/windows/stack_guard.h"
#include "../../../src/engine/own_addresses.c"
#include "../../../src/engine/port_set.c"
#include "../../../src/engine/proof_plan.c"
#include "../../../src/engine/capture_plan.c"
#include "../../../src/engine/rules.c"
#include "../../../src/engine/process_tree.c"
#include "../../../src/engine/destinations.c"
#include "../../../src/engine/decisions.c"
