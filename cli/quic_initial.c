/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a QUIC client sends its ClientHello in CRYPTO frames of Initial packets. These are protected by
 * keys that follow from the destination's connection id in the first of them (RFC 9001 section 5.2): that keeps out what
 * has gone astray, not readers. Clients cut the ClientHello into pieces, in any order, over several packets and
 * datagrams, so the pieces are put together until the name can be read from what is there without a gap.
 *
 * Everything is untrusted. A datagram is read with bounds; what is stored has its place in a buffer of fixed size,
 * whatever offset a frame claims; and for each datagram and each flow the attempts to decrypt are counted.
 *
 * Keys: when the server has answered, the client's packets have another connection id, and the keys stay. After a Retry,
 * or if the socket is used for a new connection, there are new keys from the new id, and the ClientHello begins again. So
 * the keys that are there are tried first, then those of the packet's own id.
 */
#include "quic_initial.h"

#include "host_name.h"

#include <stdlib.h>
#include <string.h>

enum {
    ID_MAX = 20,
    PACKET_MAX = 4096, /* of an Initial; longer ones are left alone */
    HELLO_MAX = 4096,
    RECORD_HEADER = 5, /* of TLS over TCP, which host_name_find() reads */
    DATAGRAMS_MAX = 32,
    OPENED_MAX = 4, /* Initial packets of a datagram */
    NUMBER_MAX = 4, /* bytes of a packet number */
};

struct keys {
    uint8_t key[QUIC_KEY], nonce[QUIC_NONCE], header[QUIC_KEY];
    const struct version *version; /* NULL: no keys yet */
    uint8_t id[ID_MAX];
    uint32_t id_size;
    uint64_t next_number; /* above the highest packet number seen */
};

struct hello {
    uint32_t whole; /* bytes from the start without a gap */
    uint8_t record[RECORD_HEADER + HELLO_MAX];
    uint8_t there[HELLO_MAX / 8]; /* a bit a byte */
};

struct quic_initial {
    const struct quic_crypto *crypto;
    struct keys keys;
    struct hello *hello; /* NULL: nothing decrypted yet */
    uint32_t datagrams;
    bool done;
};

enum packet_type { INITIAL, ZERO_RTT, HANDSHAKE, RETRY };

static const struct version {
    uint32_t number;
    uint8_t initial; /* what the type's two bits are for INITIAL; the others follow */
    uint8_t salt[20];
    const char *key, *nonce, *header;
} versions[] = {
    {0x00000001, 0, "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
     "tls13 quic key", "tls13 quic iv", "tls13 quic hp"},
    {0x6b3343cf, 1, "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
     "tls13 quicv2 key", "tls13 quicv2 iv", "tls13 quicv2 hp"},
};

/* ---- keys */

/* HKDF-Expand-Label of TLS 1.3 without a context, for results of no more than one hash. */
static bool expand(const struct quic_crypto *c, const uint8_t secret[QUIC_HASH], const char *label, uint8_t *out,
                   uint8_t size)
{
    uint8_t info[32] = {0, size, (uint8_t)strlen(label)}, hash[QUIC_HASH];
    uint32_t used = 3 + info[2];
    memcpy(info + 3, label, info[2]);
    info[used++] = 0; /* the context's length */
    info[used++] = 1; /* the first block of HKDF-Expand */
    if (!c->hmac(c, secret, QUIC_HASH, info, used, hash)) {
        return false;
    }
    memcpy(out, hash, size);
    return true;
}

static bool derive(struct keys *k, const struct quic_crypto *c, const struct version *version, const uint8_t *id,
                   uint32_t id_size)
{
    uint8_t initial[QUIC_HASH], client[QUIC_HASH];
    *k = (struct keys){.version = version, .id_size = id_size};
    memcpy(k->id, id, id_size);
    return c->hmac(c, version->salt, sizeof version->salt, id, id_size, initial) &&
           expand(c, initial, "tls13 client in", client, QUIC_HASH) &&
           expand(c, client, version->key, k->key, QUIC_KEY) &&
           expand(c, client, version->nonce, k->nonce, QUIC_NONCE) &&
           expand(c, client, version->header, k->header, QUIC_KEY);
}

/* ---- reading within bounds: a reader that has failed stays failed */

struct reader {
    const uint8_t *at;
    uint64_t left;
    bool failed;
};

static const uint8_t *take_bytes(struct reader *r, uint64_t bytes)
{
    const uint8_t *at = r->at;
    if (r->failed || bytes > r->left) {
        r->failed = true;
        return at;
    }
    r->at += bytes;
    r->left -= bytes;
    return at;
}

static uint32_t take_number(struct reader *r, uint32_t bytes)
{
    uint32_t number = 0;
    const uint8_t *at = take_bytes(r, bytes);
    for (uint32_t i = 0; i < bytes && !r->failed; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

/* A number of variable length: RFC 9000 section 16. */
static uint64_t take_varint(struct reader *r)
{
    uint32_t first = take_number(r, 1);
    uint64_t number = first & 0x3f;
    for (uint32_t more = (1u << (first >> 6)) - 1; more; more--) {
        number = number << 8 | take_number(r, 1);
    }
    return r->failed ? 0 : number;
}

/* ---- frames */

enum { PADDING = 0, PING = 1, ACK = 2, ACK_ECN = 3, CRYPTO = 6 };

static void keep(struct hello *h, uint64_t offset, const uint8_t *from, uint64_t size)
{
    for (; size && offset < HELLO_MAX; size--, offset++, from++) {
        uint8_t bit = (uint8_t)(1u << offset % 8);
        if (!(h->there[offset / 8] & bit)) { /* what was there first stays */
            h->there[offset / 8] |= bit;
            h->record[RECORD_HEADER + offset] = *from;
        }
    }
    while (h->whole < HELLO_MAX && h->there[h->whole / 8] & 1u << h->whole % 8) {
        h->whole++;
    }
}

static void skip_ack(struct reader *r, bool with_counts)
{
    take_varint(r); /* the highest number */
    take_varint(r); /* the delay */
    uint64_t numbers = take_varint(r);
    for (numbers = 1 + 2 * numbers + (with_counts ? 3 : 0); numbers && !r->failed; numbers--) {
        take_varint(r);
    }
}

/* Other frames than these are not for a client's first packets, except the one that ends the connection. */
static void read_frames(struct hello *h, struct reader r)
{
    while (r.left && !r.failed) {
        uint64_t type = take_varint(&r);
        if (type == ACK || type == ACK_ECN) {
            skip_ack(&r, type == ACK_ECN);
        } else if (type == CRYPTO) {
            uint64_t offset = take_varint(&r), size = take_varint(&r);
            const uint8_t *from = take_bytes(&r, size);
            if (!r.failed) {
                keep(h, offset, from, size);
            }
        } else if (type != PADDING && type != PING) {
            return;
        }
    }
}

/* ---- packets */

struct packet {
    const struct version *version;
    enum packet_type type;
    const uint8_t *start, *id;
    uint32_t id_size;
    uint32_t header; /* bytes up to the packet number */
    uint64_t size;   /* all bytes of the packet */
};

/* The number nearest to `next` that ends with these bytes: RFC 9000 appendix A.3. */
static uint64_t whole_number(uint64_t next, uint64_t number, uint32_t bytes)
{
    uint64_t window = 1ull << 8 * bytes;
    number |= next & ~(window - 1);
    if (number + window / 2 <= next) {
        return number + window;
    }
    return number > next + window / 2 && number >= window ? number - window : number;
}

/* Decrypts a packet in a copy. Returns how many bytes of frames there are, from *frames on; 0: these keys are not its. */
static uint32_t decrypt(struct keys *k, const struct quic_crypto *c, const struct packet *p, uint8_t copy[PACKET_MAX],
                        const uint8_t **frames)
{
    uint8_t mask[QUIC_KEY], nonce[QUIC_NONCE], *at = copy + p->header;
    memcpy(copy, p->start, p->size);
    if (!c->block(c, k->header, at + NUMBER_MAX, mask)) {
        return 0;
    }
    copy[0] ^= mask[0] & 0x0f;
    uint32_t bytes = (copy[0] & 3u) + 1;
    uint64_t number = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        at[i] ^= mask[1 + i];
        number = number << 8 | at[i];
    }
    number = whole_number(k->next_number, number, bytes);
    memcpy(nonce, k->nonce, sizeof nonce);
    for (uint32_t i = 0; i < 8; i++) {
        nonce[QUIC_NONCE - 1 - i] ^= (uint8_t)(number >> 8 * i);
    }
    uint32_t header = p->header + bytes, sealed = (uint32_t)p->size - header;
    if (!c->open(c, k->key, nonce, copy, header, copy + header, sealed)) {
        return 0;
    }
    k->next_number = number >= k->next_number ? number + 1 : k->next_number;
    *frames = copy + header;
    return sealed - QUIC_TAG;
}

/* A new ClientHello begins. */
static bool begin_hello(struct quic_initial *s)
{
    free(s->hello);
    s->hello = calloc(1, sizeof *s->hello);
    s->done |= !s->hello;
    return s->hello != NULL;
}

static void read_initial(struct quic_initial *s, const struct packet *p)
{
    uint8_t copy[PACKET_MAX];
    const uint8_t *frames;
    struct keys *k = &s->keys, own;
    uint32_t size = 0;
    /* the sample behind the longest packet number: with it there is room for the tag, too */
    if (p->size > PACKET_MAX || p->size < p->header + NUMBER_MAX + QUIC_KEY) {
        return;
    }
    if (k->version == p->version) {
        size = decrypt(k, s->crypto, p, copy, &frames);
    }
    bool has_own = k->version == p->version && k->id_size == p->id_size && !memcmp(k->id, p->id, p->id_size);
    if (!size && !has_own && derive(&own, s->crypto, p->version, p->id, p->id_size)) {
        size = decrypt(&own, s->crypto, p, copy, &frames);
        if (size) {
            s->keys = own;
            if (!begin_hello(s)) {
                return;
            }
        }
    }
    if (size) {
        read_frames(s->hello, (struct reader){.at = frames, .left = size});
    }
}

/* The next packet of a datagram; false: nothing more that can be read. */
static bool take_packet(struct reader *r, struct packet *p)
{
    *p = (struct packet){.start = r->at};
    uint32_t first = take_number(r, 1), number = take_number(r, 4);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        p->version = versions[i].number == number ? &versions[i] : p->version;
    }
    if (r->failed || !(first & 0x80) || !p->version) {
        return false;
    }
    p->type = (enum packet_type)(((first >> 4) - p->version->initial) & 3);
    p->id_size = take_number(r, 1);
    p->id = take_bytes(r, p->id_size);
    take_bytes(r, take_number(r, 1)); /* the client's own id */
    if (p->type == RETRY || p->id_size > ID_MAX) {
        return false;
    }
    if (p->type == INITIAL) {
        take_bytes(r, take_varint(r)); /* the token */
    }
    uint64_t rest = take_varint(r);
    p->header = (uint32_t)(r->at - p->start);
    take_bytes(r, rest);
    p->size = p->header + rest;
    return !r->failed;
}

/* ---- the calls */

struct quic_initial *quic_initial_new(const struct quic_crypto *crypto)
{
    struct quic_initial *s = calloc(1, sizeof *s);
    if (s) {
        s->crypto = crypto;
    }
    return s;
}

void quic_initial_free(struct quic_initial *s)
{
    if (s) {
        free(s->hello);
        free(s);
    }
}

bool quic_initial_done(const struct quic_initial *s)
{
    return s->done;
}

/* Looks for the name in what there is of the ClientHello, as if it had come over TCP. */
static bool find_name(struct quic_initial *s, char *out, uint32_t size)
{
    char name[HOST_NAME_MAX_BYTES];
    struct hello *h = s->hello;
    h->record[0] = 22; /* a record of the handshake, and what it says is its size: the whole message may be to come */
    h->record[1] = 3;
    h->record[2] = 1;
    h->record[3] = HELLO_MAX >> 8;
    h->record[4] = HELLO_MAX & 0xff;
    enum host_name_result result = host_name_find(h->record, RECORD_HEADER + h->whole, name);
    s->done |= result != HOST_NAME_MORE || h->whole == HELLO_MAX;
    if (result != HOST_NAME_FOUND || strlen(name) >= size) {
        return false;
    }
    memcpy(out, name, strlen(name) + 1);
    return true;
}

bool quic_initial_server_name(const uint8_t *datagram, uint32_t length, struct quic_initial *s, char *out,
                              uint32_t size)
{
    struct reader r = {.at = datagram, .left = length};
    struct packet p;
    if (s->done) {
        return false;
    }
    s->datagrams++;
    for (int opened = 0; opened < OPENED_MAX && r.left && take_packet(&r, &p); opened += p.type == INITIAL) {
        if (p.type == INITIAL) {
            read_initial(s, &p);
        }
    }
    bool found = s->hello && find_name(s, out, size);
    s->done |= s->datagrams == DATAGRAMS_MAX;
    return found;
}
