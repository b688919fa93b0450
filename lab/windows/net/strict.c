/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what Windows refuses or loses is decided here, before anything is sent, because Linux
 * would make something else of it.
 *
 *   out  to 127.0.0.0/8 from another address           STATUS_INVALID_ADDRESS_COMPONENT
 *   out  to ::1 from another address                   accepted, seen by the handles below, and lost
 *   out  from a loopback address to another host       lost
 *   in   on an interface that there is not             STATUS_INVALID_PARAMETER
 *   in   to a loopback address, or from an own one     lost: such packets are never received
 *   any  with a wrong checksum                         lost, here or at the receiver
 *
 * The driver has computed the sums that its user left open before it injects; so all must be right. A packet
 * "in" whose destination is another host's would be sent there by Linux: it is lost under any rules.
 */
#include "net.h"

/* Missing in mingw's ntstatus.h. */
#ifndef STATUS_INVALID_ADDRESS_COMPONENT
#define STATUS_INVALID_ADDRESS_COMPONENT ((NTSTATUS)0xc0000207)
#endif

static NTSTATUS check_out(const uint32_t source[4], const uint32_t destination[4], bool ipv6, enum lab_outcome *outcome)
{
    bool from_loopback = address_is_loopback(source);

    if (address_is_loopback(destination) && !from_loopback) {
        if (!ipv6) {
            return STATUS_INVALID_ADDRESS_COMPONENT;
        }
        *outcome = LAB_OUTBOUND_LOOPBACK;
    } else if (from_loopback && !address_is_local(destination)) {
        *outcome = LAB_LOOPBACK_SOURCE;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS check_in(const uint32_t source[4], const uint32_t destination[4], uint32_t if_idx,
                         enum lab_outcome *outcome)
{
    if (!interface_is_valid(if_idx)) {
        return STATUS_INVALID_PARAMETER;
    }
    if (address_is_loopback(destination) || address_is_local(source)) {
        *outcome = LAB_INBOUND_LOOPBACK;
    }
    return STATUS_SUCCESS;
}

NTSTATUS strict_check(const struct packet *packet, enum way way, uint32_t if_idx, enum lab_outcome *outcome)
{
    uint32_t source[4], destination[4];
    NTSTATUS status = STATUS_SUCCESS;

    *outcome = LAB_SENT;
    packet_address(packet, true, source);
    packet_address(packet, false, destination);
    if (net_settings.strict) {
        if (way == WAY_OUT) {
            status = check_out(source, destination, packet->ipv6 != NULL, outcome);
        } else if (way == WAY_IN) {
            status = check_in(source, destination, if_idx, outcome);
        } else if (!interface_is_valid(if_idx)) {
            status = STATUS_INVALID_PARAMETER;
        }
        if (NT_SUCCESS(status) && *outcome == LAB_SENT && !packet_checksums_right(packet, SUM_ALL)) {
            *outcome = LAB_BAD_CHECKSUM;
        }
    }
    if (*outcome == LAB_SENT && way == WAY_IN && !address_is_local(destination)) {
        *outcome = LAB_INBOUND_NOT_LOCAL;
    }
    if (*outcome == LAB_SENT && way == WAY_IN && net_settings.largest_in && packet->length > net_settings.largest_in) {
        *outcome = LAB_INBOUND_TOO_LARGE;
    }
    return status;
}
