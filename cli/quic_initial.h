/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file quic_initial.h
 * The server that a QUIC client asks for, read from its first datagrams, which anybody can decrypt.
 */
#ifndef CLI_QUIC_INITIAL_H
#define CLI_QUIC_INITIAL_H

#include <stdbool.h>
#include <stdint.h>

enum { QUIC_KEY = 16, QUIC_NONCE = 12, QUIC_TAG = 16, QUIC_HASH = 32 };

/** What is needed of cryptography. The program has Windows' (quic_crypto.h). Each returns false if it does not work. */
struct quic_crypto {
    /** HMAC of SHA-256. */
    bool (*hmac)(const struct quic_crypto *c, const uint8_t *key, uint32_t key_size, const uint8_t *data, uint32_t size,
                 uint8_t out[QUIC_HASH]);
    /** AES-128 of one block. */
    bool (*block)(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t in[QUIC_KEY],
                  uint8_t out[QUIC_KEY]);
    /** AES-128-GCM: decrypts in place the `size` bytes of which the last QUIC_TAG are the tag; false, too, if they are
     * not genuine: then they are undefined. */
    bool (*open)(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t nonce[QUIC_NONCE],
                 const uint8_t *header, uint32_t header_size, uint8_t *sealed, uint32_t size);
};

/** What is known of a flow's ClientHello so far: at most 5 KB, and 200 bytes until something has been decrypted. */
struct quic_initial;

/** For one flow. NULL: no memory. `crypto` must outlive it. Each is for one thread at a time. */
struct quic_initial *quic_initial_new(const struct quic_crypto *crypto);

/** NULL is fine. */
void quic_initial_free(struct quic_initial *state);

/**
 * Looks at the next datagram from the client. True: the name (SNI) is known now, and in `out`, with letters, digits, '.',
 * '-', '_' and ':' only; `size` of HOST_NAME_MAX_BYTES (host_name.h) is always enough. False: not yet, or never. QUIC of
 * versions 1 and 2 (RFC 9000, RFC 9369); whatever else the datagram is, it is ignored.
 */
bool quic_initial_server_name(const uint8_t *datagram, uint32_t length, struct quic_initial *state, char *out,
                              uint32_t size);

/** True: nothing is to come any more, because the name was told, there is none, or it is not among what is read (the first
 * 4 KB of the ClientHello, in the first 32 datagrams). So `state` can be freed. */
bool quic_initial_done(const struct quic_initial *state);

#endif
