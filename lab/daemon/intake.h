/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the kernel side tells: its records are taken in, counted, audited and passed on.
 */
#ifndef LAB_INTAKE_H
#define LAB_INTAKE_H

#include <stddef.h>

/* One message, aligned to 8. Nothing in it is trusted; what cannot be understood is logged and left out. */
void intake_message(const void *message, size_t size);

#endif
