/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Made by go/generate.sh: sources that have no names of their own in common. */
#include "znames.h"
#include "../../../src/windows/stack_guard.h"
#include "../../../src/engine/tuple_map.c"
#include "../../../src/engine/packet.c"
#include "../../../src/engine/checksum.c"
#include "../../../src/engine/rewrite.c"
#include "../../../src/engine/flow.c"
#include "../../../src/engine/translate.c"
#include "../../../src/engine/engine.c"
