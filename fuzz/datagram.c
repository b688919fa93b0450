/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Any bytes as a packet of the UDP filter: a datagram, a fragment, an ICMP error that quotes one (U4).
 *
 * Input: a byte of options, then the packet. What must hold: nothing outside of the packet is touched; what is told of it
 * lies in it; the parser agrees about whole datagrams with a second, independent one; and an error that is told to
 * somebody else is still an error of the same length that quotes what it is to quote, its sums right.
 */
#include "fuzz.h"

#include "engine/icmp.h"

enum { OPTION_FIT = 1 };

/* Where the UDP header of a whole datagram is; 0: it is none. Written from the RFCs, not from datagram.c. */
static uint32_t udp_header_at(const uint8_t *b, uint32_t size)
{
    uint32_t at = 0;
    if (size >= 20 && b[0] >> 4 == 4) {
        at = (b[0] & 15u) * 4;
        if (at < 20 || at > size || wire16(b + 2) != size || b[9] != 17 || (wire16(b + 6) & 0x3fff)) {
            return 0;
        }
    } else if (size >= 40 && b[0] >> 4 == 6 && wire16(b + 4) + 40u == size) {
        uint8_t next = b[6];
        at = 40;
        while (next == 0 || next == 43 || next == 60) {
            if (at + 8 > size || at + 8 + 8u * b[at + 1] > size) {
                return 0;
            }
            next = b[at];
            at += 8 + 8u * b[at + 1];
        }
        at = next == 17 ? at : 0;
    }
    return at && at + 8 <= size && wire16(b + at + 4) == size - at ? at : 0;
}

/* Makes the header state the packet's real size, or hardly any input would get further than that. */
static void fit_length(uint8_t *b, uint32_t size)
{
    if (size >= 40 && b[0] >> 4 == 6) {
        put16(b + 4, size - 40);
    } else if (size >= 4) {
        put16(b + 2, size);
    }
}

static bool within(const void *p, const uint8_t *packet, uint32_t size, uint32_t room)
{
    const uint8_t *at = p;
    return at >= packet && at <= packet + size && (uint32_t)(packet + size - at) >= room;
}

static void check_parts(enum datagram_kind kind, const struct datagram *d, const uint8_t *packet, uint32_t size)
{
    uint32_t addresses = d->at.family == FAMILY_IP4 ? 8 : 32;
    MUST(d->ip == packet && d->length == size && d->payload <= size);
    MUST(d->at.family == FAMILY_IP4 || d->at.family == FAMILY_IP6);
    MUST(within(d->at.addresses, packet, size, addresses));
    MUST(kind == DATAGRAM_LATER || within(d->at.udp, packet, size, kind == DATAGRAM_ERROR ? 4 : 8));
    MUST(!d->fragment || within(d->fragment, packet, size, d->at.family == FAMILY_IP4 ? 2 : 4));
    MUST((kind == DATAGRAM_FIRST || kind == DATAGRAM_LATER) == (d->fragment != NULL));
    MUST(kind != DATAGRAM_ERROR || (within(d->icmp, packet, size, 8) && within(d->quoted, packet, size, 20)));
}

/* An error about a datagram of a flow, which is told to the flow's program. */
static void check_retold(struct datagram *d, uint8_t *packet, uint32_t size)
{
    static const uint8_t here[16] = {10, 0, 0, 1, 5}, there[16] = {192, 0, 2, 7, 9};
    struct tuple original = {.family = d->at.family, .src_port = {0x1234}, .dst_port = {0x5678}};
    original.src = d->at.family == FAMILY_IP4 ? ip_addr_from_ip4(here) : ip_addr_from_ip6(here);
    original.dst = d->at.family == FAMILY_IP4 ? ip_addr_from_ip4(there) : ip_addr_from_ip6(there);
    icmp_retell(d, &original, 0);
    struct datagram again;
    MUST(datagram_read(packet, size, &again) == DATAGRAM_ERROR);
    const struct tuple quoted = datagram_tuple(&again, 0);
    MUST(tuple_equal(&quoted, &original));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct datagram d;
    if (size < 2 || size > 4096) {
        return -1;
    }
    uint32_t length = (uint32_t)size - 1;
    uint8_t *packet = exact_copy(data + 1, length);
    if (data[0] & OPTION_FIT) {
        fit_length(packet, length);
    }
    uint8_t *before = exact_copy(packet, length);
    enum datagram_kind kind = datagram_read(packet, length, &d);
    MUST(memcmp(before, packet, length) == 0);
    uint32_t at = udp_header_at(packet, length);
    MUST(!at || kind == DATAGRAM_WHOLE);
    MUST(kind != DATAGRAM_WHOLE || (at && d.at.udp == packet + at));
    if (kind <= DATAGRAM_ERROR) {
        check_parts(kind, &d, packet, length);
    }
    if (kind == DATAGRAM_ERROR) {
        check_retold(&d, packet, length);
    }
    free(before);
    free(packet);
    return 0;
}
