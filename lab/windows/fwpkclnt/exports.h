/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the driver imports of fwpkclnt.sys.
 */
#ifndef LAB_FWP_EXPORTS_H
#define LAB_FWP_EXPORTS_H

#include "fwp.h"

NTSTATUS NTAPI FwpmEngineOpen0(const WCHAR *server, uint32_t authentication, void *identity,
                               const FWPM_SESSION0 *session, HANDLE *engine);
NTSTATUS NTAPI FwpmEngineClose0(HANDLE engine);
NTSTATUS NTAPI FwpmTransactionBegin0(HANDLE engine, uint32_t flags);
NTSTATUS NTAPI FwpmTransactionCommit0(HANDLE engine);
NTSTATUS NTAPI FwpmTransactionAbort0(HANDLE engine);
NTSTATUS NTAPI FwpmProviderAdd0(HANDLE engine, const FWPM_PROVIDER0 *provider, void *security);
NTSTATUS NTAPI FwpmProviderDeleteByKey0(HANDLE engine, const GUID *key);
NTSTATUS NTAPI FwpmSubLayerAdd0(HANDLE engine, const FWPM_SUBLAYER0 *sublayer, void *security);
NTSTATUS NTAPI FwpmSubLayerDeleteByKey0(HANDLE engine, const GUID *key);
NTSTATUS NTAPI FwpmCalloutAdd0(HANDLE engine, const FWPM_CALLOUT0 *callout, void *security, uint32_t *id);
NTSTATUS NTAPI FwpmCalloutDeleteByKey0(HANDLE engine, const GUID *key);
NTSTATUS NTAPI FwpmFilterAdd0(HANDLE engine, const FWPM_FILTER0 *filter, void *security, uint64_t *id);
NTSTATUS NTAPI FwpmFilterDeleteByKey0(HANDLE engine, const GUID *key);

NTSTATUS NTAPI FwpsCalloutRegister0(void *device, const FWPS_CALLOUT0 *callout, uint32_t *id);
NTSTATUS NTAPI FwpsCalloutUnregisterByKey0(const GUID *key);
NTSTATUS NTAPI FwpsFlowAssociateContext0(uint64_t flow, uint16_t layer, uint32_t callout, uint64_t context);
NTSTATUS NTAPI FwpsFlowRemoveContext0(uint64_t flow, uint16_t layer, uint32_t callout);
NTSTATUS NTAPI FwpsInjectionHandleCreate0(uint16_t family, uint32_t flags, HANDLE *handle);
NTSTATUS NTAPI FwpsInjectionHandleDestroy0(HANDLE handle);
FWPS_PACKET_INJECTION_STATE NTAPI FwpsQueryPacketInjectionState0(HANDLE handle, const NET_BUFFER_LIST *list,
                                                                 HANDLE *context);
NTSTATUS NTAPI FwpsAllocateNetBufferAndNetBufferList0(HANDLE pool, uint16_t context_size, uint16_t back_fill,
                                                      MDL *chain, uint32_t offset, SIZE_T length,
                                                      NET_BUFFER_LIST **list);
void NTAPI FwpsFreeNetBufferList0(NET_BUFFER_LIST *list);
NTSTATUS NTAPI FwpsInjectNetworkSendAsync0(HANDLE handle, HANDLE context, uint32_t flags, uint32_t compartment,
                                           NET_BUFFER_LIST *list, fwps_inject_complete_fn *complete,
                                           HANDLE complete_context);
NTSTATUS NTAPI FwpsInjectNetworkReceiveAsync0(HANDLE handle, HANDLE context, uint32_t flags, uint32_t compartment,
                                              uint32_t if_idx, uint32_t sub_if_idx, NET_BUFFER_LIST *list,
                                              fwps_inject_complete_fn *complete, HANDLE complete_context);
NTSTATUS NTAPI FwpsInjectForwardAsync0(HANDLE handle, HANDLE context, uint32_t flags, uint16_t family,
                                       uint32_t compartment, uint32_t if_idx, NET_BUFFER_LIST *list,
                                       fwps_inject_complete_fn *complete, HANDLE complete_context);

#endif
