/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file capture_needs.h  What of the engine's state the driver's filter has to capture. */
#ifndef ENGINE_CAPTURE_NEEDS_H
#define ENGINE_CAPTURE_NEEDS_H

#include "state.h"

/** What the filter is to capture from now on; NULL: nothing new, or the answer to the last one is still to come. */
const struct capture_set *capture_needs_next(struct engine *e, uint64_t now_ms);

#endif
