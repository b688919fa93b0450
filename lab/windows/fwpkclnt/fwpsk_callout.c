/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Registration of callouts (fwpsk.h).
 *
 * Theory of operation: registering gives the functions, adding (fwpmk.c) makes the callout known to
 * filters; either may come first. A callout that keeps contexts for flows cannot be unregistered
 * (STATUS_DEVICE_BUSY); the driver removes them and tries again. When it has been, none of its functions
 * is running or will be called: its filters block from then on.
 */
#include "exports.h"
#include "engine.h"

enum { CALLOUTS_MAX = LAB_HANDLES_MAX * 12 };

static struct callout *callouts;
static uint32_t count, last_id = 256; /* those below are the platform's own */

struct callout *callout_of_key(const GUID *key)
{
    struct callout *callout = callouts;

    while (callout && !guid_equal(&callout->given.calloutKey, key)) {
        callout = callout->next;
    }
    return callout;
}

struct callout *callout_of_id(uint32_t id)
{
    struct callout *callout = callouts;

    while (callout && callout->id != id) {
        callout = callout->next;
    }
    return callout;
}

NTSTATUS NTAPI FwpsCalloutRegister0(void *device, const FWPS_CALLOUT0 *given, uint32_t *id)
{
    struct callout *callout;
    NTSTATUS status = STATUS_SUCCESS;

    if (!device || !given || !given->classifyFn || !given->notifyFn) {
        return FWP_NULL_POINTER;
    }
    callout = lab_allocate(sizeof(*callout));
    if (!callout) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    callout->given = *given;
    mutex_lock(&fwp_lock);
    if (callout_of_key(&given->calloutKey)) {
        status = FWP_ALREADY_EXISTS;
    } else if (count == CALLOUTS_MAX) {
        status = FWP_TOO_MANY_CALLOUTS;
    }
    if (NT_SUCCESS(status)) {
        callout->id = ++last_id;
        callout->next = callouts;
        callouts = callout;
        count++;
        layer_callout_changed(callout, true);
        if (id) {
            *id = callout->id;
        }
    }
    mutex_unlock(&fwp_lock);
    if (!NT_SUCCESS(status)) {
        lab_free(callout);
    }
    return status;
}

NTSTATUS NTAPI FwpsCalloutUnregisterByKey0(const GUID *key)
{
    NTSTATUS status = STATUS_SUCCESS;
    struct callout *callout, **at;

    mutex_lock(&fwp_lock);
    callout = callout_of_key(key);
    if (!callout) {
        status = FWP_CALLOUT_NOT_FOUND;
    } else if (callout->flows > 0) {
        status = STATUS_DEVICE_BUSY;
    } else {
        for (at = &callouts; *at != callout; at = &(*at)->next) {
            ;
        }
        *at = callout->next;
        count--;
        layer_callout_changed(callout, false);
    }
    mutex_unlock(&fwp_lock);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    visits_wait();
    lab_free(callout);
    return status;
}
