// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Filters as text, in the form that the DLL's compiler and helpers use.
#ifndef LAB_SERIAL_H
#define LAB_SERIAL_H

#include <stddef.h>

#include "filter.h"

enum { SERIAL_MAX = 16384 }; // longer than any

// Writes at most SERIAL_MAX bytes; returns how many, the final NUL included.
size_t serial_write(const struct filter *filter, char text[SERIAL_MAX]);

#endif
