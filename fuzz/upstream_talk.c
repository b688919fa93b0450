/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a proxy answers, SOCKS5 or HTTP, and the header of a datagram from a SOCKS5 proxy.
 *
 * Input: a byte that says whom is talked to and about what, one that says how large the pieces are in which an answer comes,
 * and the answers: each a byte with its size, and its bytes. What must hold: an answer that comes in pieces means what it
 * means as a whole; nothing behind it counts; what is left belongs to the destination; there are three requests at most. A
 * header that is read is written as it came.
 */
#include "fuzz.h"

#include "../cli/socks_udp.h"
#include "../cli/upstream.h"

enum { SAID_MAX = 4096, REST_MAX = 512, HTTP = 1, LOGIN = 2, ASSOCIATE = 4, IP6 = 8, LOGIN_ALONE = 16 };

struct ending {
    enum upstream_next next;
    enum upstream_failure failure;
    redirector_address bound;
    char said[SAID_MAX];
    uint32_t said_size;
    uint8_t rest[REST_MAX];
    size_t rest_size;
};

struct bytes {
    const uint8_t *at;
    size_t size;
};

/* Takes the next answer off the input. */
static struct bytes next_answer(struct bytes *input)
{
    struct bytes answer = {input->at, 0};
    if (input->size) {
        size_t left = input->size - 1;
        answer = (struct bytes){input->at + 1, input->at[0] < left ? input->at[0] : left};
        input->at = answer.at + answer.size;
        input->size = left - answer.size;
    }
    return answer;
}

static void note_said(struct ending *e, const char *buffer, uint32_t length)
{
    MUST(length && length <= UPSTREAM_MESSAGE_MAX && e->said_size + length <= SAID_MAX);
    memcpy(e->said + e->said_size, buffer, length);
    e->said_size += length;
}

/* Hears one answer, piece by piece; `fill` is what stands behind what has come. */
static enum upstream_next hear(upstream_talk *talk, struct bytes answer, size_t piece, int fill, char *buffer,
                               struct ending *e)
{
    uint32_t length = 0;
    size_t given = 0;
    enum upstream_next next = UPSTREAM_RECEIVE;
    while (next == UPSTREAM_RECEIVE && given < answer.size) {
        size_t part = piece < answer.size - given ? piece : answer.size - given;
        memcpy(buffer + length, answer.at + given, part);
        given += part;
        length += (uint32_t)part;
        memset(buffer + length, fill, UPSTREAM_MESSAGE_MAX - length);
        next = upstream_feed(talk, buffer, &length);
    }
    if (next == UPSTREAM_SEND) {
        note_said(e, buffer, length);
    } else if (next == UPSTREAM_DONE && talk->destination) { /* else nothing can follow that counts */
        MUST(length <= answer.size);
        memcpy(e->rest, buffer, length);
        memcpy(e->rest + length, answer.at + given, answer.size - given);
        e->rest_size = length + answer.size - given;
    }
    return next;
}

static void converse(const upstream_talk *about, struct bytes input, size_t piece, int fill, struct ending *e)
{
    upstream_talk talk = *about;
    char *buffer = malloc(UPSTREAM_MESSAGE_MAX);
    uint32_t length = 0, requests = 0;
    MUST(buffer);
    memset(e, 0, sizeof *e);
    memset(buffer, fill, UPSTREAM_MESSAGE_MAX);
    e->next = upstream_begin(&talk, buffer, &length);
    if (e->next == UPSTREAM_SEND) {
        note_said(e, buffer, length);
    }
    for (; e->next == UPSTREAM_SEND; requests++) {
        e->next = hear(&talk, next_answer(&input), piece, fill, buffer, e);
    }
    MUST(requests <= 3 && (e->next == UPSTREAM_FAILED) == (talk.failure != UPSTREAM_OK));
    e->failure = talk.failure;
    e->bound = talk.bound;
    free(buffer);
}

static void check_header(struct bytes input)
{
    uint8_t *exact = exact_copy(input.at, input.size), again[SOCKS_UDP_HEADER_MAX];
    redirector_address from = {.family = 0};
    uint32_t size = socks_udp_read(exact, (uint32_t)input.size, &from);
    MUST(size <= input.size);
    if (size) {
        bool mapped = from.family == 4 && exact[3] == 4;
        uint32_t written = socks_udp_write(again, &from);
        MUST(mapped ? written == size - 12 : written == size && !memcmp(again + 3, exact + 3, size - 3));
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ending whole, parts;
    if (size < 2) {
        return -1;
    }
    uint8_t kind = data[0];
    struct upstream to = {.kind = kind & HTTP ? UPSTREAM_HTTP : UPSTREAM_SOCKS5};
    redirector_address destination = {.family = kind & IP6 ? 6 : 4, .bytes = {192, 0, 2, 1}, .port = 443};
    upstream_talk about = {.to = &to,
                           .destination = kind & LOGIN_ALONE ? NULL : &destination,
                           .associate = (kind & (ASSOCIATE | HTTP)) == ASSOCIATE};
    if (kind & LOGIN) {
        strcpy(to.user, "user");
        strcpy(to.password, "secret");
    }
    struct bytes answers = {data + 2, size - 2};
    converse(&about, answers, REST_MAX, 0, &whole);
    converse(&about, answers, 1u + data[1] % 8, ' ', &parts);
    MUST(!memcmp(&whole, &parts, sizeof whole));
    check_header(answers);
    return 0;
}
