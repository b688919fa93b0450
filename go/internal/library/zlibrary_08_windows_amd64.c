/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Made by go/generate.sh: sources that have no names of their own in common. */
#include "znames.h"
#include "../../../src/windows/stack_guard.h"
#include <winsock2.h>
#include "../../../src/windows/ip_table.c"
#include "../../../src/windows/address_watch.c"
#include "../../../src/proof_task.c"
