/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A WinDivert.dll without a driver: the test decides what each call returns and when each receive completes. The test
 * reaches it through the exports fake_reset, fake_complete and fake_fail.
 */
#ifndef FAKE_WINDIVERT_H
#define FAKE_WINDIVERT_H

#include "windows/divert.h"

#include <windows.h>

enum { FAKE_PACKET_BYTES = 40, FAKE_PENDING_MAX = 16, FAKE_NO_INSTALL = 16 };

struct fake_state {
    /* set by the test */
    uint32_t open_error; /* open fails with it */
    bool open_null;      /* and returns NULL, not INVALID_HANDLE_VALUE */
    bool not_installed;  /* no driver is loaded: an open with the flag NO_INSTALL fails with 1060 */
    uint64_t version_major, version_minor;
    uint32_t param_error;
    uint32_t recv_error;    /* each receive fails at once */
    uint32_t recv_at_once;  /* so many receives complete at once, each with one packet */
    uint32_t send_error;    /* sends fail at once */
    bool send_pends;        /* sends stay pending until the handle is closed */
    bool send_is_slow;      /* sends take some milliseconds; the handle has to stay open as long */
    bool send_hangs;        /* sends do not come back until `unhang` is set */
    HANDLE hanging, unhang; /* events */
    bool never_completes;   /* not even when the handle is closed */

    /* left by the calls */
    char filter[200];
    int layer;
    int16_t priority;
    uint64_t flags;
    uint64_t params[3];
    volatile LONG opens, closes, shutdowns, sends, receives;
    uint32_t sent_bytes, sent_count;
    bool bad_call; /* a call broke WinDivert's rules */
};

/* Forgets everything; the DLL stays loaded from one test to the next. */
typedef struct fake_state *fake_reset_fn(void);
/* Completes the oldest receive with packets numbered from `first`; false when none is outstanding. */
typedef bool fake_complete_fn(uint32_t first, uint32_t count);
/* Fails the oldest receive with an NTSTATUS. */
typedef bool fake_fail_fn(uint32_t status);

#endif
