/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The WinDivert layer with a DLL that the test commands (fake_windivert.c). Each test program is given a folder, in which are
 * fake\WinDivert.dll, old\WinDivert.dll, empty\WinDivert.dll and text\WinDivert.dll (not a DLL).
 */
#ifndef FAKE_DRIVER_H
#define FAKE_DRIVER_H

#include "check.h"
#include "fake_windivert.h"
#include "windows/divert.h"

#include <stdlib.h>
#include <string.h>

static char folder[600];
static redirector_error error;
static struct divert_api *api;
static struct fake_state *fake;
static fake_complete_fn *complete;
static fake_fail_fn *fail;

static inline const char *in_folder(const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s\\%s", folder, name);
    return path;
}

static inline FARPROC fake_export(const char *name)
{
    char path[720];
    snprintf(path, sizeof path, "%s\\WinDivert.dll", in_folder("fake"));
    return GetProcAddress(GetModuleHandleA(path), name);
}

static inline bool load_fake(void)
{
    api = divert_load(in_folder("fake"), &error);
    if (!api) {
        CHECK(api != NULL);
        return false;
    }
    fake = ((fake_reset_fn *)(void (*)(void))fake_export("fake_reset"))();
    complete = (fake_complete_fn *)(void (*)(void))fake_export("fake_complete");
    fail = (fake_fail_fn *)(void (*)(void))fake_export("fake_fail");
    return true;
}

static inline void unload_fake(void)
{
    CHECK(!fake->bad_call);
    divert_unload(api);
    CHECK(fake_export("fake_reset") != NULL); /* the DLL stays: threads that go on have its events */
}

/* The first calls of divert_next() post the receives. */
static inline void post_all(struct divert_ring *ring, int receives)
{
    struct divert_batch batch;
    uint32_t code;
    for (int i = 0; i < receives; i++) {
        CHECK(WaitForSingleObject(divert_wait_handle(ring), 0) == WAIT_OBJECT_0);
        CHECK(divert_next(ring, &batch, &code) == DIVERT_NOTHING);
    }
}

static inline struct divert_ring *open_network(void)
{
    struct divert_ring *ring = divert_open(api, "outbound", DIVERT_LAYER_NETWORK, 7, &error);
    if (ring) {
        post_all(ring, 4);
    }
    return ring;
}

static inline bool is_set(HANDLE event)
{
    return WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
}

#endif
