/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file toy_crypto.h
 * Stands in for cryptography where QUIC's packets are put together and taken apart in tests: all that counts is that other
 * keys, another nonce or another header give something else. (Windows' own is tested with the examples of the RFCs:
 * tests/cli/test_names.py.)
 */
#ifndef TESTS_TOY_CRYPTO_H
#define TESTS_TOY_CRYPTO_H

#include "packets.h"

#include "../../cli/quic_initial.h"

static inline uint32_t toy_mix(uint32_t hash, const uint8_t *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 16777619u; /* FNV-1a */
    }
    return hash;
}

static inline void toy_fill(uint32_t hash, uint8_t *out, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        hash = toy_mix(hash, (uint8_t[]){(uint8_t)i}, 1);
        out[i] = (uint8_t)(hash >> 16);
    }
}

static inline bool toy_hmac(const struct quic_crypto *c, const uint8_t *key, uint32_t key_size, const uint8_t *data,
                            uint32_t size, uint8_t out[QUIC_HASH])
{
    (void)c;
    toy_fill(toy_mix(toy_mix(2166136261u, key, key_size), data, size), out, QUIC_HASH);
    return true;
}

static inline bool toy_block(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t in[QUIC_KEY],
                             uint8_t out[QUIC_KEY])
{
    (void)c;
    toy_fill(toy_mix(toy_mix(1, key, QUIC_KEY), in, QUIC_KEY), out, QUIC_KEY);
    return true;
}

/* Encrypts or decrypts; the tag is behind the bytes. */
static inline void toy_crypt(const uint8_t key[QUIC_KEY], const uint8_t nonce[QUIC_NONCE], const uint8_t *header,
                             uint32_t header_size, uint8_t *bytes, uint32_t size, uint8_t tag[QUIC_TAG], bool seals)
{
    uint32_t hash = toy_mix(toy_mix(2, key, QUIC_KEY), nonce, QUIC_NONCE);
    if (seals) {
        toy_fill(toy_mix(toy_mix(hash, header, header_size), bytes, size), tag, QUIC_TAG);
    }
    for (uint32_t i = 0; i < size; i++) {
        hash = toy_mix(hash, (uint8_t[]){(uint8_t)i}, 1);
        bytes[i] ^= (uint8_t)(hash >> 16);
    }
    if (!seals) {
        hash = toy_mix(toy_mix(2, key, QUIC_KEY), nonce, QUIC_NONCE);
        toy_fill(toy_mix(toy_mix(hash, header, header_size), bytes, size), tag, QUIC_TAG);
    }
}

static inline bool toy_open(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t nonce[QUIC_NONCE],
                            const uint8_t *header, uint32_t header_size, uint8_t *sealed, uint32_t size)
{
    uint8_t tag[QUIC_TAG];
    (void)c;
    assert_true(size >= QUIC_TAG);
    toy_crypt(key, nonce, header, header_size, sealed, size - QUIC_TAG, tag, false);
    return memcmp(tag, sealed + size - QUIC_TAG, QUIC_TAG) == 0;
}

static const struct quic_crypto toy_crypto = {toy_hmac, toy_block, toy_open};

#endif
