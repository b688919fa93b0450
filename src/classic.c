/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The classic calls, and the one process-wide instance behind them.
 *
 * Theory of operation: `lifecycle_lock` serializes start and stop. Lookups only take `pointer_lock`, and only while
 * they read one entry: they never wait for a start or a stop, and the instance is not freed while a lookup uses it.
 */
#include "classic.h"

#include "engine/destinations.h"
#include "service.h"

#include <windows.h>

static struct {
    SRWLOCK lifecycle_lock, pointer_lock;
    redirector *instance;
    redirector_error last_error; /* under pointer_lock */
} classic = {SRWLOCK_INIT, SRWLOCK_INIT, NULL, {.size = sizeof(redirector_error)}};

static void classic_set(redirector *instance, const redirector_error *error)
{
    AcquireSRWLockExclusive(&classic.pointer_lock);
    classic.instance = instance;
    classic.last_error = *error;
    ReleaseSRWLockExclusive(&classic.pointer_lock);
}

uint32_t classic_start(const redirector_config *config)
{
    redirector_error error = {.size = sizeof error};
    error_clear(&error);
    AcquireSRWLockExclusive(&classic.lifecycle_lock);
    redirector *instance = classic.instance;
    if (instance) {
        error_set(&error, REDIRECTOR_ALREADY_RUNNING, 0, NULL);
    } else if (config) {
        redirector_start(config, &instance, &error);
    }
    classic_set(instance, &error);
    ReleaseSRWLockExclusive(&classic.lifecycle_lock);
    return error.code == REDIRECTOR_OK;
}

uint32_t classic_refuse(redirector_status status, const char *detail)
{
    redirector_error error = {.size = sizeof error};
    error_set(&error, status, 0, detail);
    AcquireSRWLockExclusive(&classic.lifecycle_lock);
    classic_set(classic.instance, &error);
    ReleaseSRWLockExclusive(&classic.lifecycle_lock);
    return 0;
}

uint32_t stop_redirector(void)
{
    redirector_error error = {.size = sizeof error};
    error_clear(&error);
    AcquireSRWLockExclusive(&classic.lifecycle_lock);
    redirector *instance = classic.instance;
    classic_set(NULL, &error); /* lookups miss from here on */
    if (instance && redirector_stop(instance) != REDIRECTOR_OK) {
        error_set(&error, REDIRECTOR_STOPPED_BY_FORCE, 0, NULL);
        classic_set(NULL, &error);
    }
    redirector_free(instance);
    ReleaseSRWLockExclusive(&classic.lifecycle_lock);
    return error.code == REDIRECTOR_OK;
}

static WinDest windest_from(const struct destination *d)
{
    WinDest out = {.ip_version = d->family, .dest_port = d->port, .kernel_pid = d->pid};
    uint32_t words[4];
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *b = d->address.bytes + 4 * i;
        words[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    if (d->family == FAMILY_IP4) {
        out.dest_ip4 = words[3];
    } else {
        memcpy(out.dest_ip6, words, sizeof words);
    }
    return out;
}

WinDest get_destination(uint32_t src_port)
{
    struct destination d;
    bool hit = false;
    AcquireSRWLockShared(&classic.pointer_lock);
    if (classic.instance && src_port <= PORT_MAX) {
        hit = service_lookup(classic.instance, PROTOCOL_TCP, (uint16_t)src_port, NULL, &d);
    }
    ReleaseSRWLockShared(&classic.pointer_lock);
    return hit ? windest_from(&d) : (WinDest){0};
}

uint32_t delete_destination(uint32_t src_port)
{
    bool hit = false;
    AcquireSRWLockShared(&classic.pointer_lock);
    if (classic.instance && src_port <= PORT_MAX) {
        hit = service_forget(classic.instance, (uint16_t)src_port, NULL);
    }
    ReleaseSRWLockShared(&classic.pointer_lock);
    return hit;
}

void free_windest(WinDest dest)
{
    (void)dest;
}

uint32_t redirector_last_error(redirector_error *error)
{
    AcquireSRWLockShared(&classic.pointer_lock);
    bool ok = error_copy(error, &classic.last_error);
    ReleaseSRWLockShared(&classic.pointer_lock);
    return ok ? REDIRECTOR_OK : REDIRECTOR_INVALID_ARGUMENT;
}
