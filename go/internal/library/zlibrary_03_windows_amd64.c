/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Made by go/generate.sh: sources that have no names of their own in common. */
#include "znames.h"
#include "../../../src/windows/stack_guard.h"
#include "../../../src/engine/rule_texts.c"
#include "../../../src/engine/listeners.c"
#include "../../../src/engine/icmp.c"
#include "../../../src/engine/held.c"
#include "../../../src/engine/capture_needs.c"
#include "../../../src/engine/udp_sockets.c"
