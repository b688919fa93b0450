/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Injection of packets (fwpsk.h).
 *
 * Theory of operation: the injected list carries the injection handle and the caller's context, which
 * FwpsQueryPacketInjectionState0 tells when the packet is classified again at its layer. What becomes of
 * the packet is net/'s affair (inject.c there).
 *
 * On Windows injection is asynchronous: the function checks little and returns, the packet is classified
 * and sent, or lost, by another thread, and the completion function tells of it, with a status in the
 * list that the driver does not look at. Here all that happens before the function returns, the completion
 * last. The driver cannot tell: it leaves the list alone as soon as the call has succeeded. A packet
 * that is lost later than Windows' own checks is accepted all the same.
 */
#include "../net/net.h"
#include "exports.h"

struct injection_handle {
    uint16_t family;
    uint32_t types;
};

NTSTATUS NTAPI FwpsInjectionHandleCreate0(uint16_t family, uint32_t types, HANDLE *handle)
{
    struct injection_handle *injection;

    if (!handle || (family != WINDOWS_AF_INET && family != WINDOWS_AF_INET6)) {
        return STATUS_INVALID_PARAMETER;
    }
    injection = lab_allocate(sizeof(*injection));
    if (!injection) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *injection = (struct injection_handle){family, types};
    *handle = injection;
    return STATUS_SUCCESS;
}

/* Nothing is under way when no call is. */
NTSTATUS NTAPI FwpsInjectionHandleDestroy0(HANDLE handle)
{
    lab_free(handle);
    return STATUS_SUCCESS;
}

FWPS_PACKET_INJECTION_STATE NTAPI FwpsQueryPacketInjectionState0(HANDLE handle, const NET_BUFFER_LIST *list,
                                                                 HANDLE *context)
{
    if (list->impostor || (list->injected_by && list->injected_by != handle)) {
        return FWPS_PACKET_INJECTED_BY_OTHER;
    }
    if (!list->injected_by) {
        return FWPS_PACKET_NOT_INJECTED;
    }
    if (context) {
        *context = list->injection_context;
    }
    return FWPS_PACKET_INJECTED_BY_SELF;
}

NTSTATUS NTAPI FwpsAllocateNetBufferAndNetBufferList0(HANDLE pool, uint16_t context_size, uint16_t back_fill,
                                                      MDL *chain, uint32_t offset, SIZE_T length,
                                                      NET_BUFFER_LIST **list)
{
    NET_BUFFER_LIST *made;

    if (context_size || back_fill) {
        return STATUS_NOT_SUPPORTED;
    }
    made = net_buffer_list_allocate(pool);
    if (!made) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    net_buffer_init(&made->first, chain, offset, length);
    net_buffer_append(made, &made->first);
    *list = made;
    return STATUS_SUCCESS;
}

void NTAPI FwpsFreeNetBufferList0(NET_BUFFER_LIST *list)
{
    net_buffer_list_free(list);
}

static NTSTATUS inject(const struct injection_handle *handle, HANDLE context, struct injection *injection,
                       uint32_t type, fwps_inject_complete_fn *complete, HANDLE complete_context)
{
    NET_BUFFER_LIST *list = injection->list;
    NTSTATUS status;

    if (!handle || !list || !complete) {
        return STATUS_INVALID_PARAMETER;
    }
    if (!(handle->types & type)) {
        return FWP_INJECT_HANDLE_STALE;
    }
    if (!list->FirstNetBuffer || list->FirstNetBuffer->Next || list->Next) {
        return STATUS_NOT_SUPPORTED; /* the driver injects one by one */
    }
    list->injected_by = (HANDLE)handle;
    list->injection_context = context;
    injection->ipv6 = handle->family == WINDOWS_AF_INET6;
    injection->weight = (uint32_t)(uintptr_t)context;
    status = net_inject(injection);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    list->Status = STATUS_SUCCESS;
    complete(complete_context, list, FALSE);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI FwpsInjectNetworkSendAsync0(HANDLE handle, HANDLE context, uint32_t flags, uint32_t compartment,
                                           NET_BUFFER_LIST *list, fwps_inject_complete_fn *complete,
                                           HANDLE complete_context)
{
    struct injection injection = {.list = list, .way = WAY_OUT};

    (void)flags;
    (void)compartment;
    return inject(handle, context, &injection, FWPS_INJECTION_TYPE_NETWORK, complete, complete_context);
}

NTSTATUS NTAPI FwpsInjectNetworkReceiveAsync0(HANDLE handle, HANDLE context, uint32_t flags, uint32_t compartment,
                                              uint32_t if_idx, uint32_t sub_if_idx, NET_BUFFER_LIST *list,
                                              fwps_inject_complete_fn *complete, HANDLE complete_context)
{
    struct injection injection = {.list = list, .way = WAY_IN, .if_idx = if_idx, .sub_if_idx = sub_if_idx};

    (void)flags;
    (void)compartment;
    return inject(handle, context, &injection, FWPS_INJECTION_TYPE_NETWORK, complete, complete_context);
}

NTSTATUS NTAPI FwpsInjectForwardAsync0(HANDLE handle, HANDLE context, uint32_t flags, uint16_t family,
                                       uint32_t compartment, uint32_t if_idx, NET_BUFFER_LIST *list,
                                       fwps_inject_complete_fn *complete, HANDLE complete_context)
{
    struct injection injection = {.list = list, .way = WAY_FORWARD, .if_idx = if_idx};

    (void)flags;
    (void)family;
    (void)compartment;
    return inject(handle, context, &injection, FWPS_INJECTION_TYPE_FORWARD, complete, complete_context);
}
