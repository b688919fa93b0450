/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "checksum.h"

/* Sum of big-endian 16-bit words; an odd last byte counts as the high half of a word. */
static uint64_t sum_words(const uint8_t *p, uint32_t size)
{
    uint64_t sum = 0;
    for (; size >= 4; p += 4, size -= 4) {
        sum += load_be32(p);
    }
    if (size >= 2) {
        sum += load_be16(p);
        p += 2;
        size -= 2;
    }
    if (size) {
        sum += (uint32_t)p[0] << 8;
    }
    return sum;
}

uint16_t checksum_difference(const void *old_bytes, const void *new_bytes, uint32_t size)
{
    const uint8_t *from = old_bytes, *to = new_bytes;
    uint64_t sum = 0;
    for (; size >= 4; from += 4, to += 4, size -= 4) {
        sum += (uint64_t)~load_raw32(from) + load_raw32(to);
    }
    if (size) {
        sum += (uint64_t)(uint16_t)~load_raw16(from) + load_raw16(to);
    }
    return checksum_fold(sum);
}

void checksum_ip_header(struct packet *p)
{
    if (p->tuple.family != FAMILY_IP4) {
        return;
    }
    store_be16(p->ip + 10, 0);
    store_be16(p->ip + 10, (uint16_t)~checksum_fold(sum_words(p->ip, (uint32_t)(p->ip[0] & 15) * 4)));
}

void checksum_message(const uint8_t *ip, uint8_t *message, uint32_t length, uint32_t protocol, uint8_t *field)
{
    bool ip4 = ip[0] >> 4 == 4;
    uint64_t sum = 0;
    if (protocol) {
        sum = sum_words(ip + (ip4 ? 12 : 8), ip4 ? 8 : 32) + protocol + length;
    }
    store_be16(field, 0);
    sum += sum_words(message, length);
    store_be16(field, (uint16_t)~checksum_fold(sum));
}

void checksum_tcp(struct packet *p)
{
    checksum_message(p->ip, p->tcp, p->length - (uint32_t)(p->tcp - p->ip), PROTOCOL_TCP, p->tcp + 16);
}
