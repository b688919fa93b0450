/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Made by go/generate.sh: sources that have no names of their own in common. */
#include "znames.h"
#include "../../../src/windows/stack_guard.h"
#include <winsock2.h>
#include "../../../src/windows/divert_claim.c"
#include "../../../src/windows/udptable.c"
#include "../../../src/windows/table_reader.c"
#include "../../../src/windows/firewall_permit.c"
#include "../../../src/roots.c"
#include "../../../src/queue_delay.c"
#include "../../../src/firewall.c"
