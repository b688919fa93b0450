/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What WinDivert 2.2 programs and driver agree on: layouts and numbers, little-endian.
 */
#ifndef LAB_ABI_H
#define LAB_ABI_H

#include <stdint.h>

enum wd_layer {
    WD_NETWORK = 0,
    WD_NETWORK_FORWARD = 1,
    WD_FLOW = 2,
    WD_SOCKET = 3,
    WD_REFLECT = 4,
    WD_LAYERS,
};

enum wd_event {
    WD_NETWORK_PACKET = 0,
    WD_FLOW_ESTABLISHED = 1,
    WD_FLOW_DELETED = 2,
    WD_SOCKET_BIND = 3,
    WD_SOCKET_CONNECT = 4,
    WD_SOCKET_LISTEN = 5,
    WD_SOCKET_ACCEPT = 6,
    WD_SOCKET_CLOSE = 7,
    WD_REFLECT_OPEN = 8,
    WD_REFLECT_CLOSE = 9,
};

/* Flags of an open handle. */
enum {
    WD_SNIFF = 0x01,
    WD_DROP = 0x02,
    WD_RECV_ONLY = 0x04,
    WD_SEND_ONLY = 0x08,
    WD_NO_INSTALL = 0x10,
    WD_FRAGMENTS = 0x20,
    WD_FLAGS = 0x3f,
};

/* What a filter can match at all; computed by the DLL, given at STARTUP. */
enum {
    WD_MATCH_INBOUND = 0x10,
    WD_MATCH_OUTBOUND = 0x20,
    WD_MATCH_IP = 0x40,
    WD_MATCH_IPV6 = 0x80,
    WD_MATCH_FLOW_DELETED = 0x100,
    WD_MATCH_BIND = 0x200,
    WD_MATCH_CONNECT = 0x400,
    WD_MATCH_LISTEN = 0x800,
    WD_MATCH_ACCEPT = 0x1000,
    WD_MATCH_CLOSE = 0x2000,
    WD_MATCH_ALL = 0x3ff0,
};

enum wd_param {
    WD_QUEUE_LENGTH = 0,
    WD_QUEUE_TIME = 1,
    WD_QUEUE_SIZE = 2,
    WD_VERSION_MAJOR = 3,
    WD_VERSION_MINOR = 4,
};

enum { WD_SHUTDOWN_RECV = 1, WD_SHUTDOWN_SEND = 2, WD_SHUTDOWN_BOTH = 3 };

enum wd_ioctl {
    WD_INITIALIZE = 0x0012e486,
    WD_STARTUP = 0x0012e489,
    WD_RECV = 0x0012648e,
    WD_SEND = 0x0012e491,
    WD_SET_PARAM = 0x0012e495,
    WD_GET_PARAM = 0x0012649a,
    WD_SHUTDOWN = 0x0012e49d,
};

enum {
    WD_PRIORITY_MAX = 30000,
    WD_BATCH_MAX = 255,
    WD_FILTER_MAX = 255,
    WD_PACKET_MAX = 40 + 65535,
};

struct wd_address {
    int64_t timestamp;
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
            uint32_t pid;
            uint32_t local_addr[4]; /* [0] least significant, words in host order */
            uint32_t remote_addr[4];
            uint16_t local_port;
            uint16_t remote_port;
            uint8_t protocol;
        } socket;
        struct {
            int64_t timestamp;
            uint32_t pid;
            uint32_t layer;
            uint64_t flags;
            int16_t priority;
        } reflect;
        uint8_t raw[64];
    };
};

struct wd_version {
    uint64_t magic;
    uint32_t major;
    uint32_t minor;
    uint32_t bits;
    uint32_t reserved1[3];
    uint64_t reserved2[4];
};

#define WD_MAGIC_DLL 0x4c4c447669645724ull
#define WD_MAGIC_SYS 0x5359537669645723ull

struct wd_filter_object {
    uint32_t field : 11;
    uint32_t test : 5;
    uint32_t success : 16;
    uint32_t failure : 16;
    uint32_t negative : 1;
    uint32_t reserved : 15;
    uint32_t arg[4]; /* [0] least significant */
};

enum { WD_ACCEPT = 0x7ffe, WD_REJECT = 0x7fff };

_Static_assert(sizeof(struct wd_address) == 80, "the DLL's layout");
_Static_assert(sizeof(struct wd_version) == 64, "the DLL's layout");
_Static_assert(sizeof(struct wd_filter_object) == 24, "the DLL's layout");

/* NTSTATUS values; in brackets what GetLastError() makes of them. */
enum wd_status {
    ST_SUCCESS = 0,
    ST_PENDING = 0x00000103,
    ST_ACCESS_VIOLATION = 0xc0000005,          /* 998 */
    ST_INVALID_PARAMETER = 0xc000000d,         /* 87 */
    ST_INVALID_DEVICE_REQUEST = 0xc0000010,    /* 1 */
    ST_BUFFER_TOO_SMALL = 0xc0000023,          /* 122 */
    ST_INSUFFICIENT_RESOURCES = 0xc000009a,    /* 1450 */
    ST_NOT_SUPPORTED = 0xc00000bb,             /* 50 */
    ST_PIPE_EMPTY = 0xc00000d9,                /* 232 */
    ST_CANCELLED = 0xc0000120,                 /* 995 */
    ST_INVALID_DEVICE_STATE = 0xc0000184,      /* 22 */
    ST_INVALID_ADDRESS_COMPONENT = 0xc0000207, /* 1214 */
    ST_DATA_NOT_ACCEPTED = 0xc000021b,         /* 592 */
    ST_NETWORK_UNREACHABLE = 0xc000023c,       /* 1231 */
    ST_HOST_UNREACHABLE = 0xc000023d,          /* 1232 */
};

#endif
