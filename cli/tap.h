/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tap.h
 * WinDivert handles of the program's own, beside those of the library: to look at packets and to stop QUIC.
 */
#ifndef CLI_TAP_H
#define CLI_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <winsock2.h>
#include <windows.h>

enum tap_layer { TAP_NETWORK = 0, TAP_SOCKET = 3, TAP_REFLECT = 4 };
enum tap_event { TAP_BIND = 3, TAP_CLOSE = 7, TAP_OPENED = 8, TAP_CLOSED = 9 };
enum tap_flags { TAP_SNIFF = 1, TAP_RECEIVE_ONLY = 4 };
enum { TAP_PACKET_MAX = 40 + 0xFFFF };

/** WinDivert's address of a packet or event, in its binary layout. */
typedef struct tap_address {
    int64_t time; /**< performance counter */
    uint8_t layer, event;
    uint8_t flags; /**< bit 1: outbound, bit 2: loopback, bit 4: IPv6 */
    uint8_t reserved[5];
    union {
        struct {
            uint32_t interface_index, sub_interface_index;
        } network;
        struct {
            uint64_t endpoint, parent_endpoint;
            uint32_t pid;
            uint32_t local[4], remote[4];
            uint16_t local_port, remote_port;
            uint8_t protocol;
        } socket;
        struct {
            int64_t time;
            uint32_t pid, layer;
            uint64_t flags;
            int16_t priority;
        } reflect;
        uint8_t bytes[64];
    } data;
} tap_address;

_Static_assert(sizeof(tap_address) == 80, "the layout is the driver's");

struct tap_handle;

/**
 * Opens a handle by the WinDivert.dll that the library has loaded, so a redirector must run.
 *
 * @return NULL: the Windows error is in GetLastError()
 */
struct tap_handle *tap_open(const char *filter, enum tap_layer layer, int16_t priority, uint64_t flags);

/** Waits for the next packet or event. False: tap_end() was called and all have been read, or an error. */
bool tap_receive(struct tap_handle *h, void *packet, uint32_t size, uint32_t *length, tap_address *address);

/** Lets a packet go on. */
void tap_send(struct tap_handle *h, const void *packet, uint32_t length, const tap_address *address);

/** No new packets; wakes whoever receives. Any thread. NULL is fine. */
void tap_end(struct tap_handle *h);

/** NULL is fine. */
void tap_close(struct tap_handle *h);

#endif
