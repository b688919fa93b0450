/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the driver gets for its imports from fwpkclnt.sys, and its allocator, which is listened to.
 */
#include "exports.h"
#include "engine.h"

/* Wine's own, which tells the platform that the driver makes a copy of what it looks at. */
static void *NTAPI allocate_listened(POOL_TYPE type, SIZE_T size, ULONG tag)
{
    void *memory = ExAllocatePoolWithTag(type, size, tag);

    if (memory) {
        visit_allocated(memory);
    }
    return memory;
}

#define EXPORT(name)                                                                                                   \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

const struct import fwpkclnt_imports[] = {
    EXPORT(FwpmEngineOpen0),
    EXPORT(FwpmEngineClose0),
    EXPORT(FwpmTransactionBegin0),
    EXPORT(FwpmTransactionCommit0),
    EXPORT(FwpmTransactionAbort0),
    EXPORT(FwpmProviderAdd0),
    EXPORT(FwpmProviderDeleteByKey0),
    EXPORT(FwpmSubLayerAdd0),
    EXPORT(FwpmSubLayerDeleteByKey0),
    EXPORT(FwpmCalloutAdd0),
    EXPORT(FwpmCalloutDeleteByKey0),
    EXPORT(FwpmFilterAdd0),
    EXPORT(FwpmFilterDeleteByKey0),
    EXPORT(FwpsCalloutRegister0),
    EXPORT(FwpsCalloutUnregisterByKey0),
    EXPORT(FwpsFlowAssociateContext0),
    EXPORT(FwpsFlowRemoveContext0),
    EXPORT(FwpsInjectionHandleCreate0),
    EXPORT(FwpsInjectionHandleDestroy0),
    EXPORT(FwpsQueryPacketInjectionState0),
    EXPORT(FwpsAllocateNetBufferAndNetBufferList0),
    EXPORT(FwpsFreeNetBufferList0),
    EXPORT(FwpsInjectNetworkSendAsync0),
    EXPORT(FwpsInjectNetworkReceiveAsync0),
    EXPORT(FwpsInjectForwardAsync0),
    {"ExAllocatePoolWithTag", allocate_listened},
    {NULL, NULL},
};
