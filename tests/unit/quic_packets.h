/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file quic_packets.h
 * A QUIC client's first packets for tests, put together by what RFC 9000 and RFC 9001 say of them, with cryptography for
 * play. Nothing here calls the code under test.
 */
#ifndef TESTS_QUIC_PACKETS_H
#define TESTS_QUIC_PACKETS_H

#include "toy_crypto.h"

#include <stdio.h>

enum { VERSION_1 = 1, VERSION_2 = 0x6b3343cf };
enum { INITIAL, ZERO_RTT, HANDSHAKE, RETRY };
enum { PADDING = 0, PING = 1, ACK_ECN = 3, CRYPTO = 6, TOKEN = 7 };

struct bytes {
    uint8_t at[8192];
    uint32_t size;
};

static inline void add(struct bytes *b, const void *bytes, uint32_t size)
{
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, bytes, size);
    b->size += size;
}

static inline void add_number(struct bytes *b, uint64_t number, uint32_t bytes)
{
    while (bytes--) {
        add(b, &(uint8_t){(uint8_t)(number >> 8 * bytes)}, 1);
    }
}

static inline void add_varint(struct bytes *b, uint32_t number)
{
    add_number(b, 0x80000000 | number, 4);
}

/* ---- the ClientHello */

static inline struct bytes extension_of(uint32_t type, uint32_t size)
{
    struct bytes b = {.size = 0};
    add_number(&b, type, 2);
    add_number(&b, size, 2);
    for (uint32_t i = 0; i < size; i++) {
        add_number(&b, i, 1);
    }
    return b;
}

/* `before`: bytes of another extension that is before the name's; `name` NULL: there is none. */
static inline struct bytes hello_of(const char *name, uint32_t before)
{
    struct bytes body = {.size = 0}, extensions = extension_of(51, before), hello = {.size = 0};
    if (name) {
        uint32_t size = (uint32_t)strlen(name);
        add_number(&extensions, 0, 2);
        add_number(&extensions, size + 5, 2);
        add_number(&extensions, size + 3, 2);
        add_number(&extensions, 0, 1);
        add_number(&extensions, size, 2);
        add(&extensions, name, size);
    }
    add_number(&body, 0x0303, 2);
    body.size += 32;                       /* random */
    add_number(&body, 0, 1);               /* session */
    add(&body, "\0\x02\x13\x01\x01\0", 6); /* cipher suites, compression */
    add_number(&body, extensions.size, 2);
    add(&body, extensions.at, extensions.size);
    add_number(&hello, 1, 1);
    add_number(&hello, body.size, 3);
    add(&hello, body.at, body.size);
    return hello;
}

static inline void add_crypto(struct bytes *frames, const struct bytes *hello, uint32_t offset, uint32_t size)
{
    size = size < hello->size - offset ? size : hello->size - offset;
    add_number(frames, CRYPTO, 1);
    add_varint(frames, offset);
    add_varint(frames, size);
    add(frames, hello->at + offset, size);
}

/* ---- packets */

struct sent {
    uint32_t version, type, number, number_bytes;
    const char *key_id, *id; /* `id` NULL: as key_id, which the keys follow from */
};

static inline void expand(const uint8_t *secret, const char *label, uint8_t *out, uint8_t size)
{
    uint8_t hash[QUIC_HASH];
    struct bytes info = {.size = 0};
    char whole[32];
    snprintf(whole, sizeof whole, "tls13 %s", label);
    add_number(&info, size, 2);
    add_number(&info, (uint32_t)strlen(whole), 1);
    add(&info, whole, (uint32_t)strlen(whole));
    add_number(&info, 1, 2); /* no context; block 1 */
    toy_hmac(NULL, secret, QUIC_HASH, info.at, info.size, hash);
    memcpy(out, hash, size);
}

static inline void derive(const struct sent *m, uint8_t *key, uint8_t *nonce, uint8_t *header)
{
    static const char salts[2][21] = {
        "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
        "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"};
    bool second = m->version == VERSION_2;
    uint8_t initial[QUIC_HASH], client[QUIC_HASH];
    toy_hmac(NULL, (const uint8_t *)salts[second], 20, (const uint8_t *)m->key_id, (uint32_t)strlen(m->key_id),
             initial);
    expand(initial, "client in", client, QUIC_HASH);
    expand(client, second ? "quicv2 key" : "quic key", key, QUIC_KEY);
    expand(client, second ? "quicv2 iv" : "quic iv", nonce, QUIC_NONCE);
    expand(client, second ? "quicv2 hp" : "quic hp", header, QUIC_KEY);
}

/* Adds a packet, of which an Initial is protected. */
static inline void add_packet(struct bytes *datagram, struct sent m, const struct bytes *frames)
{
    uint8_t *start = datagram->at + datagram->size, key[QUIC_KEY], nonce[QUIC_NONCE], header[QUIC_KEY];
    const char *id = m.id ? m.id : m.key_id;
    uint32_t bytes = m.number_bytes ? m.number_bytes : 1;
    uint32_t type = m.version == VERSION_2 ? (m.type + 1) % 4 : m.type;
    add_number(datagram, 0xc0 | type << 4 | (bytes - 1), 1);
    add_number(datagram, m.version, 4);
    add_number(datagram, (uint32_t)strlen(id), 1);
    add(datagram, id, (uint32_t)strlen(id));
    add(datagram, "\x03own", 4);
    if (m.type == INITIAL) {
        add(datagram, "\x05token", 6);
    }
    add_varint(datagram, bytes + frames->size + QUIC_TAG);
    uint8_t *number = datagram->at + datagram->size;
    add_number(datagram, m.number, bytes);
    uint8_t *sealed = datagram->at + datagram->size;
    add(datagram, frames->at, frames->size);
    datagram->size += QUIC_TAG;
    derive(&m, key, nonce, header);
    for (uint32_t i = 0; i < 4; i++) {
        nonce[QUIC_NONCE - 1 - i] ^= (uint8_t)(m.number >> 8 * i);
    }
    toy_crypt(key, nonce, start, (uint32_t)(sealed - start), sealed, frames->size, sealed + frames->size, true);
    uint8_t mask[QUIC_KEY];
    toy_block(NULL, header, number + 4, mask);
    start[0] ^= mask[0] & 0x0f;
    for (uint32_t i = 0; i < bytes; i++) {
        number[i] ^= mask[1 + i];
    }
}

static inline struct bytes datagram_of(struct sent m, const struct bytes *frames)
{
    struct bytes datagram = {.size = 0};
    add_packet(&datagram, m, frames);
    return datagram;
}

static const struct sent first = {.version = VERSION_1, .key_id = "8 bytes!"};

#endif
