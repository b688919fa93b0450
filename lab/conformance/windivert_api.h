/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The part of WinDivert 2.2's interface that the conformance programs use: own declarations of the
 * DLL's functions and of the binary layout of its address, not upstream's header.
 */
#ifndef LAB_WINDIVERT_API_H
#define LAB_WINDIVERT_API_H

#include <windows.h>

#include <stdint.h>

enum windivert_layer {
    LAYER_NETWORK = 0,
    LAYER_FORWARD = 1,
    LAYER_FLOW = 2,
    LAYER_SOCKET = 3,
    LAYER_REFLECT = 4,
};

enum windivert_event {
    EVENT_PACKET = 0,
    EVENT_ESTABLISHED = 1,
    EVENT_DELETED = 2,
    EVENT_BIND = 3,
    EVENT_CONNECT = 4,
    EVENT_LISTEN = 5,
    EVENT_ACCEPT = 6,
    EVENT_CLOSE = 7,
    EVENT_REFLECT_OPEN = 8,
    EVENT_REFLECT_CLOSE = 9,
};

#define FLAG_SNIFF 0x01u
#define FLAG_DROP 0x02u
#define FLAG_RECV_ONLY 0x04u
#define FLAG_SEND_ONLY 0x08u
#define FLAG_FRAGMENTS 0x20u

enum windivert_param {
    PARAM_QUEUE_LENGTH = 0,
    PARAM_QUEUE_TIME = 1,
    PARAM_QUEUE_SIZE = 2,
    PARAM_VERSION_MAJOR = 3,
    PARAM_VERSION_MINOR = 4,
};

enum windivert_shutdown {
    SHUTDOWN_RECV = 1,
    SHUTDOWN_SEND = 2,
    SHUTDOWN_BOTH = 3,
};

#define PRIORITY_LIMIT 30000
#define BATCH_MAX 255
#define PACKET_MAX (40 + 0xFFFF)

struct windivert_address {
    int64_t timestamp; /* performance counter */
    uint8_t layer;
    uint8_t event;
    uint8_t sniffed : 1;
    uint8_t outbound : 1;
    uint8_t loopback : 1;
    uint8_t impostor : 1;
    uint8_t ipv6 : 1;
    uint8_t ip_checksum : 1;
    uint8_t tcp_checksum : 1;
    uint8_t udp_checksum : 1;
    uint8_t reserved1;
    uint32_t reserved2;
    union {
        struct {
            uint32_t if_idx;
            uint32_t sub_if_idx;
        } network;
        struct {
            uint64_t endpoint;
            uint64_t parent_endpoint;
            uint32_t process_id;
            uint32_t local_addr[4]; /* word 0 least significant, host order */
            uint32_t remote_addr[4];
            uint16_t local_port; /* host order */
            uint16_t remote_port;
            uint8_t protocol;
        } socket; /* FLOW events, too */
        struct {
            int64_t timestamp;
            uint32_t process_id;
            uint32_t layer;
            uint64_t flags;
            int16_t priority;
        } reflect;
        uint8_t reserved3[64];
    };
};

_Static_assert(sizeof(struct windivert_address) == 80, "layout of WINDIVERT_ADDRESS");

HANDLE WinDivertOpen(const char *filter, int layer, int16_t priority, uint64_t flags);
BOOL WinDivertRecv(HANDLE handle, void *packet, unsigned packet_len, unsigned *recv_len,
                   struct windivert_address *addr);
BOOL WinDivertRecvEx(HANDLE handle, void *packet, unsigned packet_len, unsigned *recv_len, uint64_t flags,
                     struct windivert_address *addr, unsigned *addr_len, OVERLAPPED *overlapped);
BOOL WinDivertSend(HANDLE handle, const void *packet, unsigned packet_len, unsigned *send_len,
                   const struct windivert_address *addr);
BOOL WinDivertSendEx(HANDLE handle, const void *packet, unsigned packet_len, unsigned *send_len, uint64_t flags,
                     const struct windivert_address *addr, unsigned addr_len, OVERLAPPED *overlapped);
BOOL WinDivertShutdown(HANDLE handle, int how);
BOOL WinDivertClose(HANDLE handle);
BOOL WinDivertSetParam(HANDLE handle, int param, uint64_t value);
BOOL WinDivertGetParam(HANDLE handle, int param, uint64_t *value);
BOOL WinDivertHelperCalcChecksums(void *packet, unsigned packet_len, struct windivert_address *addr, uint64_t flags);
BOOL WinDivertHelperCompileFilter(const char *filter, int layer, char *object, unsigned object_len, const char **error,
                                  unsigned *error_pos);

#endif
