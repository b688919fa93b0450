/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Many lookups at once, of every port there is, while connections come and go.
 *
 *   hammer threads ms family to=A/P,A/P... pid [forget]    for so long, from so many threads
 *
 * Each lookup must miss, or give one of the destinations and the process; `wrong` counts those that do neither. With
 * forget=1 the threads also delete what they find, and race for it: `forgotten` counts the deletions that succeeded.
 * While it runs:
 *
 *   hammer_hits    how many lookups have found something so far
 */
#include "endpoint.h"
#include "proxy.h"

#include "windows_redirector.h"

#include <stdlib.h>
#include <string.h>

static volatile LONG hits_so_far;

enum { TARGETS = 32, FIRST_PORT = 1024, LAST_PORT = 65535, THREADS = 16 };

struct hammer {
    char targets[TARGETS][ADDRESS_TEXT_MAX];
    int target_count, family;
    unsigned pid;
    bool forget;
    uint64_t until_ms;
    volatile LONG hits, misses, wrong, forgotten, rounds;
};

static bool is_right(const struct hammer *h, const struct destination_found *found)
{
    char text[ADDRESS_TEXT_MAX];
    address_text(&found->address, text);
    for (int i = 0; i < h->target_count; i++) {
        if (strcmp(text, h->targets[i]) == 0) {
            return found->pid == h->pid && !found->incoming;
        }
    }
    return false;
}

static void strike(struct hammer *h, const struct sockaddr_storage *peer)
{
    struct destination_found found = redirect_lookup(peer, 0, REDIRECTOR_TCP);
    if (found.status == REDIRECTOR_NOT_FOUND) {
        InterlockedIncrement(&h->misses);
        return;
    }
    InterlockedIncrement(&h->hits);
    InterlockedIncrement(&hits_so_far);
    if (found.status != REDIRECTOR_OK || !is_right(h, &found)) {
        InterlockedIncrement(&h->wrong);
    }
    if (h->forget) {
        unsigned status = redirect_forget(peer);
        if (status == REDIRECTOR_OK) {
            InterlockedIncrement(&h->forgotten);
        } else if (status != REDIRECTOR_NOT_FOUND) {
            InterlockedIncrement(&h->wrong);
        }
    }
}

static DWORD WINAPI hammer_thread(void *argument)
{
    struct hammer *h = argument;
    struct sockaddr_storage peer;
    address_parse(h->family == 6 ? "::1" : "127.0.0.1", &peer);
    while (actor_now_ms() < h->until_ms) {
        for (unsigned port = FIRST_PORT; port <= LAST_PORT; port++) {
            ((struct sockaddr_in *)&peer)->sin_port = htons((u_short)port); /* the same place in both families */
            strike(h, &peer);
        }
        InterlockedIncrement(&h->rounds);
    }
    return 0;
}

static void parse_targets(struct hammer *h, const char *list)
{
    char text[COMMAND_LINE_MAX], *at = text;
    strcpy(text, list);
    for (char *word = strtok_s(text, ",", &at); word && h->target_count < TARGETS; word = strtok_s(NULL, ",", &at)) {
        strcpy(h->targets[h->target_count++], word);
    }
}

void command_hammer(const struct command *c, struct json *answer)
{
    HANDLE threads[THREADS];
    struct hammer h = {
        .family = (int)command_number(c, "family", 4),
        .pid = (unsigned)command_number(c, "pid", 0),
        .forget = command_number(c, "forget", 0) != 0,
        .until_ms = actor_now_ms() + command_number(c, "ms", 1000),
    };
    DWORD count = (DWORD)command_number(c, "threads", 4);
    parse_targets(&h, command_text(c, "to", ""));
    if (!count || count > THREADS) {
        json_error(answer, "hammer: not understood", WSAEINVAL);
        return;
    }
    hits_so_far = 0;
    for (DWORD i = 0; i < count; i++) {
        threads[i] = CreateThread(NULL, 0, hammer_thread, &h, 0, NULL);
        if (!threads[i]) {
            abort();
        }
    }
    WaitForMultipleObjects(count, threads, TRUE, INFINITE);
    hits_so_far = 0; /* of this run: who asks before the next has begun must not get them */
    for (DWORD i = 0; i < count; i++) {
        CloseHandle(threads[i]);
    }
    json_number(answer, "rounds", h.rounds);
    json_number(answer, "hits", h.hits);
    json_number(answer, "misses", h.misses);
    json_number(answer, "wrong", h.wrong);
    json_number(answer, "forgotten", h.forgotten);
}

void command_hammer_hits(const struct command *c, struct json *answer)
{
    (void)c;
    json_number(answer, "hits", hits_so_far);
}
