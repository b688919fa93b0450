/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The first datagrams of a QUIC client, in which the program redirector looks for the server's name; without
 * cryptography, so that what the fuzzer writes is what is read: packets, frames and the ClientHello.
 *
 * Input: datagrams, each with its length before it in two bytes. What must hold: nothing behind a datagram is read; a name
 * has only characters that host names have; it is told once, and then the flow is done; every flow is done after 32
 * datagrams.
 */
#include "fuzz.h"

#include "../cli/host_name.h"
#include "../cli/quic_initial.h"

enum { DATAGRAMS = 32 };

static bool plain_hmac(const struct quic_crypto *c, const uint8_t *key, uint32_t key_size, const uint8_t *data,
                       uint32_t size, uint8_t out[QUIC_HASH])
{
    (void)c, (void)key, (void)key_size, (void)data, (void)size;
    memset(out, 0, QUIC_HASH);
    return true;
}

static bool plain_block(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t in[QUIC_KEY],
                        uint8_t out[QUIC_KEY])
{
    (void)c, (void)key;
    MUST(in[0] + in[QUIC_KEY - 1] >= 0); /* all of the sample is there */
    memset(out, 0, QUIC_KEY);
    return true;
}

/* A packet is genuine unless its tag begins with 0xff. */
/* NOLINTBEGIN(readability-non-const-parameter): of that type in quic_crypto */
static bool plain_open(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t nonce[QUIC_NONCE],
                       const uint8_t *header, uint32_t header_size, uint8_t *sealed, uint32_t size)
{
    (void)c, (void)key, (void)nonce;
    MUST(size >= QUIC_TAG && header + header_size == sealed);
    return sealed[size - QUIC_TAG] != 0xff;
}
/* NOLINTEND(readability-non-const-parameter) */

static const struct quic_crypto plain = {plain_hmac, plain_block, plain_open};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
    struct quic_initial *flow = quic_initial_new(&plain);
    MUST(flow);
    for (int i = 0; i < DATAGRAMS; i++) {
        size_t length = size >= 2 ? (size_t)data[0] << 8 | data[1] : 0, header = size >= 2 ? 2 : size;
        data += header;
        size -= header;
        length = length < size ? length : size;
        uint8_t *datagram = exact_copy(data, length);
        char name[HOST_NAME_MAX_BYTES] = "";
        bool was_done = quic_initial_done(flow);
        if (quic_initial_server_name(datagram, (uint32_t)length, flow, name, sizeof name)) {
            size_t end = strnlen(name, sizeof name);
            MUST(!was_done && quic_initial_done(flow));
            MUST(end > 0 && end < sizeof name && strspn(name, allowed) == end);
        }
        free(datagram);
        data += length;
        size -= length;
    }
    MUST(quic_initial_done(flow));
    quic_initial_free(flow);
    return 0;
}
