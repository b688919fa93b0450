// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The REFLECT layer: handles are told of the opening and closing of those of other layers.
#ifndef LAB_REFLECT_H
#define LAB_REFLECT_H

#include "handle.h"

// To be called when a handle has been opened. Tells it to the REFLECT handles; a REFLECT handle is told
// of all that are open.
void reflect_opened(struct handle *opened);

// To be called before an open handle ends.
void reflect_closed(struct handle *closed);

#endif
