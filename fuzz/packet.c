/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Any bytes as a packet: parsed, rewritten, rewritten back, refused.
 *
 * Input: a byte of options, 36 bytes that make the new 4-tuple, and the packet. What must hold: nothing outside the
 * packet is touched; the parser agrees with a second, independent one; a rewrite changes addresses, ports and checksums
 * only (O6), leaves right sums right and wrong ones wrong, and its reverse gives the same bytes again.
 */
#include "fuzz.h"

#include "engine/checksum.h"
#include "engine/reset.h"
#include "engine/rewrite.h"

enum { OPTION_FIT = 1, OPTION_SEAL = 2, OPTION_IP_VALID = 4, OPTION_TCP_VALID = 8, MINIMUM = 20 };

/* Where the TCP header is; 0: this is no whole TCP segment. Written from the RFCs, not from packet.c. */
static uint32_t tcp_header_at(const uint8_t *b, uint32_t size)
{
    uint32_t at = 0;
    if (size >= 20 && b[0] >> 4 == 4) {
        at = (b[0] & 15u) * 4;
        if (at < 20 || at > size || wire16(b + 2) != size || b[9] != 6 || (wire16(b + 6) & 0x3fff)) {
            return 0;
        }
    } else if (size >= 40 && b[0] >> 4 == 6) {
        uint8_t next = b[6];
        at = 40;
        if (wire16(b + 4) + 40u != size) {
            return 0;
        }
        for (; next == 0 || next == 43 || next == 60;) {
            if (at + 8 > size || at + 8 + 8u * b[at + 1] > size) {
                return 0;
            }
            next = b[at];
            at += 8 + 8u * b[at + 1];
        }
        if (next != 6) {
            return 0;
        }
    }
    if (!at || at + 20 > size) {
        return 0;
    }
    uint32_t header = (b[at + 12] >> 4) * 4u;
    return header >= 20 && at + header <= size ? at : 0;
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

static void copy_to(struct made *m, const uint8_t *bytes, uint32_t size, uint32_t tcp_offset)
{
    memcpy(m->bytes, bytes, size);
    m->length = size;
    m->tcp_offset = tcp_offset;
}

/* 0xffff and 0 are one number in one's complement; every other sum must come back as it was. */
static void check_came_back(const uint8_t *is, const struct made *was, bool ip_too)
{
    static uint8_t want[PACKET_MAX];
    memcpy(want, was->bytes, was->length);
    for (int i = 0; i < 2; i++) {
        uint32_t at = i ? was->tcp_offset + 16 : 10;
        bool has_sum = i || was->bytes[0] >> 4 == 4;
        if (has_sum && ((i == 0 && !ip_too) || (wire16(want + at) == 0xffff && wire16(is + at) == 0))) {
            memcpy(want + at, is + at, 2);
        }
    }
    MUST(!memcmp(is, want, was->length));
}

static void check_rewrite(struct packet *p, const uint8_t *tuple_bytes, uint8_t options)
{
    static struct made before, after;
    struct tuple from = p->tuple, to = tuple_from(tuple_bytes, from.family);
    struct rewrite_delta there = rewrite_delta_between(&from, &to);
    struct packet_meta meta = {.ip_checksum_valid = options & OPTION_IP_VALID,
                               .transport_checksum_valid = options & OPTION_TCP_VALID};
    uint32_t offset = (uint32_t)(p->tcp - p->ip);
    copy_to(&before, p->ip, p->length, offset);
    bool ip_right = ip_checksum_right(&before), tcp_right = tcp_checksum_right(&before);
    bool ip_odd = from.family == FAMILY_IP4 && wire16(p->ip + 10) == 0xffff, tcp_odd = wire16(p->tcp + 16) == 0xffff;

    struct tuple to_answer = tuple_reversed(&to), from_answer = tuple_reversed(&from);
    rewrite_apply(p, &meta, &to_answer, there);
    copy_to(&after, p->ip, p->length, offset);
    struct tuple now = tuple_in(&after);
    MUST(tuple_equal(&now, &to));
    MUST(same_but_for_tuple_and_checksums(&before, &after));
    MUST(meta.ip_checksum_valid && meta.transport_checksum_valid == !!(options & OPTION_TCP_VALID));
    bool computed = !(options & OPTION_IP_VALID);
    MUST(ip_odd || ip_checksum_right(&after) == (computed || ip_right));
    if (options & OPTION_TCP_VALID) {
        MUST(tcp_odd || tcp_checksum_right(&after) == tcp_right);
    } else {
        MUST(!memcmp(after.bytes + offset + 16, before.bytes + offset + 16, 2));
    }
    rewrite_apply(p, &meta, &from_answer, rewrite_delta_reversed(there));
    check_came_back(p->ip, &before, !computed);
}

/* Both sums in full, against the reference; then the answer "refused" to this segment. */
static void check_sums_and_refusal(struct packet *p)
{
    static struct made m;
    uint8_t answer[RESET_MAX];
    uint32_t offset = (uint32_t)(p->tcp - p->ip), length = reset_refuse(p, answer);
    checksum_ip_header(p);
    checksum_tcp(p);
    copy_to(&m, p->ip, p->length, offset);
    MUST(ip_checksum_right(&m) && tcp_checksum_right(&m));

    struct packet parsed;
    uint8_t *exact = exact_copy(answer, length);
    MUST(packet_parse(exact, length, &parsed) == PACKET_TCP);
    struct tuple back = tuple_reversed(&p->tuple);
    copy_to(&m, answer, length, (uint32_t)(parsed.tcp - parsed.ip));
    MUST(tuple_equal(&parsed.tuple, &back) && ip_checksum_right(&m) && tcp_checksum_right(&m));
    MUST(parsed.flags == (TCP_RST | TCP_ACK) && parsed.ack == p->seq + 1 && !parsed.payload);
    free(exact);
}

static void check_packet(uint8_t *bytes, uint32_t size, const uint8_t *tuple_bytes, uint8_t options)
{
    struct packet p;
    uint32_t length = packet_length(bytes, size), at = tcp_header_at(bytes, size);
    MUST(length == 0 || (length >= MINIMUM && length <= size));
    enum packet_kind kind = packet_parse(bytes, size, &p);
    MUST((kind == PACKET_TCP) == (at != 0));
    MUST(kind != PACKET_TCP || length == size);
    if (kind != PACKET_TCP) {
        return;
    }
    static struct made m;
    copy_to(&m, bytes, size, at);
    struct tuple tuple = tuple_in(&m);
    MUST(p.ip == bytes && p.tcp == bytes + at && p.length == size && tuple_equal(&p.tuple, &tuple));
    MUST(p.payload == size - at - (bytes[at + 12] >> 4) * 4u && p.flags == bytes[at + 13]);
    MUST(p.seq == wire32(bytes + at + 4) && p.ack == wire32(bytes + at + 8));
    if (options & OPTION_SEAL) {
        seal(&m);
        memcpy(bytes, m.bytes, size);
    }
    check_rewrite(&p, tuple_bytes, options);
    check_sums_and_refusal(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + TUPLE_BYTES || size > PACKET_MAX) {
        return -1; /* not worth keeping */
    }
    uint32_t length = (uint32_t)size - 1 - TUPLE_BYTES;
    uint8_t *packet = exact_copy(data + 1 + TUPLE_BYTES, length);
    if (data[0] & OPTION_FIT) {
        fit_length(packet, length);
    }
    check_packet(packet, length, data + 1, data[0]);
    free(packet);
    return 0;
}
