/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: over TCP each message of DNS has two bytes of length before it (RFC 1035 section 4.2.2). Where
 * rules name hosts, messages are gathered, and when the last byte of one has come the library is told what it says, before
 * the program gets that byte (R2). Whoever was asked answers, or nobody: unlike a datagram this needs no id to be believed.
 */
#include "relay_conn_internal.h"

#include "dns_addresses.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 2, MESSAGE_MAX = 65535 };

struct dns_stream {
    uint32_t used; /* bytes of the message that is being gathered, with its length */
    uint8_t bytes[LENGTH_BYTES + MESSAGE_MAX];
};

static uint32_t message_length(const struct dns_stream *s)
{
    return (uint32_t)s->bytes[0] << 8 | s->bytes[1];
}

void relay_tell_names(const struct relay_host *host, const uint8_t *data, uint32_t length)
{
    redirector_address addresses[DNS_ADDRESSES_MAX];
    char name[DNS_HOST_MAX];
    uint32_t count = dns_addresses(data, length, name, addresses, DNS_ADDRESSES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        redirector_tell_name(host->redirector, &addresses[i], name);
    }
}

/* Takes so many bytes as the message, or its length, still needs; the number that it has taken. */
static size_t gather(struct dns_stream *s, const uint8_t *data, size_t size)
{
    uint32_t wanted = s->used < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + message_length(s);
    size_t part = size < wanted - s->used ? size : wanted - s->used;
    memcpy(s->bytes + s->used, data, part);
    s->used += (uint32_t)part;
    return part;
}

void relay_name_answered(struct relay_conn *conn, const uint8_t *data, size_t size)
{
    if (conn->destination.port != DNS_PORT || conn->incoming) {
        return;
    }
    if (!conn->answers &&
        rules_state_names_hosts(conn->host->rules)) { /* where it begins is known at the beginning only */
        conn->answers = conn->answered ? NULL : calloc(1, sizeof *conn->answers);
    }
    conn->answered = true;
    struct dns_stream *s = conn->answers;
    while (s && size) {
        size_t part = gather(s, data, size);
        data += part;
        size -= part;
        if (s->used >= LENGTH_BYTES && s->used == LENGTH_BYTES + message_length(s)) {
            relay_tell_names(conn->host, s->bytes + LENGTH_BYTES, message_length(s));
            s->used = 0;
        }
    }
}
