/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file fake_iphlpapi.h  What a test may tell fake_iphlpapi.c about the machine's addresses. */
#ifndef FAKE_IPHLPAPI_H
#define FAKE_IPHLPAPI_H

#include <windows.h>

struct fake_addresses {
    LONG rows;   /* as many addresses */
    LONG fails;  /* the table cannot be had */
    LONG deaf;   /* changes are not told */
    HANDLE hold; /* the table is told only once this event is set; NULL: at once */
    LONG tell;   /* and now is the moment to tell of a change */
};

typedef void fake_addresses_fn(const struct fake_addresses *now);

#endif
