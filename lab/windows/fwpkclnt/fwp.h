/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Types of the Windows Filtering Platform as kernel drivers for x64 see them (fwptypes.h, fwpmtypes.h,
 * fwpstypes.h, fwpsk.h: those members that are used here), and what net/ asks of the platform.
 */
#ifndef LAB_FWP_H
#define LAB_FWP_H

#include "../ndis/net_buffer.h"

enum {
    FWP_EMPTY = 0,
    FWP_UINT8 = 1,
    FWP_UINT16 = 2,
    FWP_UINT32 = 3,
    FWP_UINT64 = 4,
    FWP_BYTE_ARRAY16_TYPE = 11,
};

typedef struct {
    uint32_t type;
    union {
        uint8_t uint8;
        uint16_t uint16;
        uint32_t uint32;
        uint64_t *uint64;
        uint8_t *byteArray16;
    };
} FWP_VALUE0;

enum {
    FWP_ACTION_BLOCK = 0x1001,
    FWP_ACTION_PERMIT = 0x1002,
    FWP_ACTION_CALLOUT_TERMINATING = 0x5003,
    FWP_ACTION_CALLOUT_INSPECTION = 0x6004,
    FWP_ACTION_CALLOUT_UNKNOWN = 0x4005,
    FWP_ACTION_CONTINUE = 0x2006,
};

enum {
    FWP_CONDITION_FLAG_IS_LOOPBACK = 0x01,
    FWP_CONDITION_FLAG_IS_WILDCARD_BIND = 0x08,
    FWP_CONDITION_FLAG_IS_FRAGMENT = 0x20,
    FWP_CONDITION_FLAG_IS_FRAGMENT_GROUP = 0x40,
    FWP_CONDITION_FLAG_IS_REASSEMBLED = 0x400,
};

enum { FWP_DIRECTION_OUTBOUND = 0, FWP_DIRECTION_INBOUND = 1 };
enum { FWPS_CLASSIFY_OUT_FLAG_ABSORB = 1, FWPS_RIGHT_ACTION_WRITE = 1 };
enum { FWPS_CALLOUT_NOTIFY_ADD_FILTER = 0, FWPS_CALLOUT_NOTIFY_DELETE_FILTER = 1 };
enum { FWPM_SESSION_FLAG_DYNAMIC = 1 };
enum {
    FWPS_INJECTION_TYPE_NETWORK = 0x4,
    FWPS_INJECTION_TYPE_FORWARD = 0x8,
    WINDOWS_AF_INET = 2,
    WINDOWS_AF_INET6 = 23
};

typedef enum {
    FWPS_PACKET_NOT_INJECTED,
    FWPS_PACKET_INJECTED_BY_SELF,
    FWPS_PACKET_INJECTED_BY_OTHER,
    FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF,
} FWPS_PACKET_INJECTION_STATE;

/* Missing in mingw's kernel headers. */
enum {
    FWP_CALLOUT_NOT_FOUND = (int)0xc0220001,
    FWP_FILTER_NOT_FOUND = (int)0xc0220003,
    FWP_LAYER_NOT_FOUND = (int)0xc0220004,
    FWP_PROVIDER_NOT_FOUND = (int)0xc0220005,
    FWP_SUBLAYER_NOT_FOUND = (int)0xc0220007,
    FWP_ALREADY_EXISTS = (int)0xc0220009,
    FWP_IN_USE = (int)0xc022000a,
    FWP_WRONG_SESSION = (int)0xc022000c,
    FWP_NO_TXN_IN_PROGRESS = (int)0xc022000d,
    FWP_TXN_IN_PROGRESS = (int)0xc022000e,
    FWP_INCOMPATIBLE_LAYER = (int)0xc0220014,
    FWP_TOO_MANY_CALLOUTS = (int)0xc0220018,
    FWP_NULL_POINTER = (int)0xc022001c,
    FWP_NULL_DISPLAY_NAME = (int)0xc0220023,
    FWP_INVALID_ACTION_TYPE = (int)0xc0220024,
    FWP_INVALID_WEIGHT = (int)0xc0220025,
    FWP_INJECT_HANDLE_STALE = (int)0xc0220102,
};

typedef struct {
    WCHAR *name;
    WCHAR *description;
} FWPM_DISPLAY_DATA0;

typedef struct {
    uint32_t size;
    uint8_t *data;
} FWP_BYTE_BLOB;

typedef struct {
    GUID sessionKey;
    FWPM_DISPLAY_DATA0 displayData;
    uint32_t flags;
    uint32_t txnWaitTimeoutInMSec;
} FWPM_SESSION0;

typedef struct {
    GUID providerKey;
    FWPM_DISPLAY_DATA0 displayData;
} FWPM_PROVIDER0;

typedef struct {
    GUID subLayerKey;
    FWPM_DISPLAY_DATA0 displayData;
    uint32_t flags;
    GUID *providerKey;
    FWP_BYTE_BLOB providerData;
    uint16_t weight;
} FWPM_SUBLAYER0;

typedef struct {
    GUID calloutKey;
    FWPM_DISPLAY_DATA0 displayData;
    uint32_t flags;
    GUID *providerKey;
    FWP_BYTE_BLOB providerData;
    GUID applicableLayer;
    uint32_t calloutId;
} FWPM_CALLOUT0;

typedef struct {
    GUID filterKey;
    FWPM_DISPLAY_DATA0 displayData;
    uint32_t flags;
    GUID *providerKey;
    FWP_BYTE_BLOB providerData;
    GUID layerKey;
    GUID subLayerKey;
    FWP_VALUE0 weight;
    uint32_t numFilterConditions;
    void *filterCondition;
    struct {
        uint32_t type;
        GUID calloutKey;
    } action;
    uint64_t rawContext;
    uint64_t rawContextEnd; /* the union is as large as a GUID */
    GUID *reserved;
    uint64_t filterId;
    FWP_VALUE0 effectiveWeight;
} FWPM_FILTER0;

typedef struct {
    uint64_t filterId;
    FWP_VALUE0 weight;
    uint16_t subLayerWeight;
    uint16_t flags;
    uint32_t numFilterConditions;
    void *filterCondition;
    struct {
        uint32_t type;
        uint32_t calloutId;
    } action;
    uint64_t context;
    void *providerContext;
} FWPS_FILTER0;

typedef struct {
    uint16_t layerId;
    uint32_t valueCount;
    FWP_VALUE0 *incomingValue;
} FWPS_INCOMING_VALUES0;

/* Which members below are valid. */
enum {
    FWPS_METADATA_FIELD_FLOW_HANDLE = 0x2,
    FWPS_METADATA_FIELD_IP_HEADER_SIZE = 0x4,
    FWPS_METADATA_FIELD_PROCESS_ID = 0x20,
    FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE = 0x8000,
    FWPS_METADATA_FIELD_PARENT_ENDPOINT_HANDLE = 0x4000000,
};

typedef struct {
    uint32_t currentMetadataValues;
    uint32_t flags;
    uint64_t reserved;
    uint64_t discardMetadata[2];
    uint64_t flowHandle;
    uint32_t ipHeaderSize;
    uint32_t transportHeaderSize;
    void *processPath;
    uint64_t token;
    uint64_t processId;
    uint8_t unused1[0x70 - 0x48];
    uint64_t transportEndpointHandle;
    uint8_t unused2[0xc0 - 0x78];
    uint64_t parentEndpointHandle;
    uint8_t unused3[0x200 - 0xc8]; /* later Windows' members: absent, as their bits say */
} FWPS_INCOMING_METADATA_VALUES0;

typedef struct {
    uint32_t actionType;
    uint64_t outContext;
    uint64_t filterId;
    uint32_t rights;
    uint32_t flags;
    uint32_t reserved;
} FWPS_CLASSIFY_OUT0;

typedef void NTAPI fwps_classify_fn(const FWPS_INCOMING_VALUES0 *, const FWPS_INCOMING_METADATA_VALUES0 *, void *data,
                                    const FWPS_FILTER0 *, uint64_t flow_context, FWPS_CLASSIFY_OUT0 *);
typedef NTSTATUS NTAPI fwps_notify_fn(uint32_t type, const GUID *filter_key, FWPS_FILTER0 *filter);
typedef void NTAPI fwps_flow_delete_fn(uint16_t layer, uint32_t callout, uint64_t flow_context);
typedef void NTAPI fwps_inject_complete_fn(void *context, NET_BUFFER_LIST *list, BOOLEAN dispatch_level);

typedef struct {
    GUID calloutKey;
    uint32_t flags;
    fwps_classify_fn *classifyFn;
    fwps_notify_fn *notifyFn;
    fwps_flow_delete_fn *flowDeleteFn;
} FWPS_CALLOUT0;

#define FWP_AT(type, member, offset)                                                                                   \
    _Static_assert(__builtin_offsetof(type, member) == (offset), "public layout of the platform on x64")
FWP_AT(FWPM_SESSION0, flags, 0x20);
FWP_AT(FWPM_SUBLAYER0, weight, 0x40);
FWP_AT(FWPM_CALLOUT0, applicableLayer, 0x40);
FWP_AT(FWPM_FILTER0, layerKey, 0x40);
FWP_AT(FWPM_FILTER0, weight, 0x60);
FWP_AT(FWPM_FILTER0, action, 0x80);
FWP_AT(FWPM_FILTER0, rawContext, 0x98);
FWP_AT(FWPM_FILTER0, filterId, 0xb0);
FWP_AT(FWPS_FILTER0, action, 0x28);
FWP_AT(FWPS_FILTER0, context, 0x30);
FWP_AT(FWPS_CALLOUT0, flowDeleteFn, 0x28);
FWP_AT(FWPS_CLASSIFY_OUT0, rights, 0x18);
FWP_AT(FWPS_INCOMING_VALUES0, incomingValue, 0x08);
FWP_AT(FWPS_INCOMING_METADATA_VALUES0, flowHandle, 0x20);
FWP_AT(FWPS_INCOMING_METADATA_VALUES0, ipHeaderSize, 0x28);
FWP_AT(FWPS_INCOMING_METADATA_VALUES0, processId, 0x40);
FWP_AT(FWPS_INCOMING_METADATA_VALUES0, transportEndpointHandle, 0x70);
FWP_AT(FWPS_INCOMING_METADATA_VALUES0, parentEndpointHandle, 0xc0);
#undef FWP_AT

/* ------------------------------------------------------------------ what net/ asks of the platform */

/* Layers that are served; IPv6 always follows IPv4. */
enum layer {
    LAYER_INBOUND_IPPACKET_V4,
    LAYER_INBOUND_IPPACKET_V6,
    LAYER_OUTBOUND_IPPACKET_V4,
    LAYER_OUTBOUND_IPPACKET_V6,
    LAYER_IPFORWARD_V4,
    LAYER_IPFORWARD_V6,
    LAYER_ALE_RESOURCE_ASSIGNMENT_V4,
    LAYER_ALE_RESOURCE_ASSIGNMENT_V6,
    LAYER_ALE_AUTH_LISTEN_V4,
    LAYER_ALE_AUTH_LISTEN_V6,
    LAYER_ALE_AUTH_RECV_ACCEPT_V4,
    LAYER_ALE_AUTH_RECV_ACCEPT_V6,
    LAYER_ALE_AUTH_CONNECT_V4,
    LAYER_ALE_AUTH_CONNECT_V6,
    LAYER_ALE_FLOW_ESTABLISHED_V4,
    LAYER_ALE_FLOW_ESTABLISHED_V6,
    LAYER_ALE_RESOURCE_RELEASE_V4,
    LAYER_ALE_RESOURCE_RELEASE_V6,
    LAYER_ALE_ENDPOINT_CLOSURE_V4,
    LAYER_ALE_ENDPOINT_CLOSURE_V6,
    LAYERS,
};

enum { FIELDS_MAX = 24 }; /* more than any layer has */

/* Is told when a handle's callout takes a packet (or an event: NULL), before a receive is completed with it. */
struct sink {
    void (*taken)(const struct sink *sink, uint32_t handle, enum lab_how how, NET_BUFFER *buffer);
};

/* The action that results for it: FWP_ACTION_BLOCK or another. */
uint32_t classify(enum layer layer, FWP_VALUE0 *values, const FWPS_INCOMING_METADATA_VALUES0 *metadata,
                  NET_BUFFER_LIST *list, const struct sink *sink);

/* Is there any filter at the layer? */
bool layer_is_watched(enum layer layer);

/* The flow has ended: callouts that keep a context for it are told. */
void flow_deleted(uint64_t flow, const struct sink *sink);
void flows_all_deleted(const struct sink *sink);

#endif
