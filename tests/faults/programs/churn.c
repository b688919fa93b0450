/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Connections that open and close at a steady rate until told otherwise.
 *
 *   churn to=A/P,A/P... rate workers n
 *   churned [from]         so far: opened, ok, failed, bytes; and the failures from the number `from` on
 *   churn_end              no new ones; answers when the last one is over
 *
 * Connection i goes to target i (in turn), reads two bytes, the port of where it was going as whoever answers knows it,
 * sends up to n bytes, checks their echo, and ends by FIN, or, every eighth, by RST. One that waits too long
 * has failed.
 */
#include "endpoint.h"
#include "faults.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS = 32, WORKERS = 128, FAILURES = 4096, CHUNK = 64 * 1024, PATIENCE_MS = 60000, BEHIND_MS = 200 };

struct failure {
    uint64_t began_ms, ms;
    const char *what;
    int code, number;
    char local[ADDRESS_TEXT_MAX];
};

static struct {
    struct sockaddr_storage targets[TARGETS];
    int target_count, rate, bytes_max;
    SRWLOCK lock; /* of the two below */
    double due_ms;
    int next;
    volatile LONG stop, workers, ok, failed;
    volatile LONG64 bytes;
    struct failure failures[FAILURES];
} churn;

/* The next connection's number, when it is its turn. Who is far behind does not catch up: the rate is a rate. */
static int await_turn(void)
{
    AcquireSRWLockExclusive(&churn.lock);
    double now = (double)actor_now_ms();
    if (churn.due_ms < now - BEHIND_MS) {
        churn.due_ms = now - BEHIND_MS;
    }
    double due = churn.due_ms;
    churn.due_ms += 1000.0 / churn.rate;
    int number = churn.next++;
    ReleaseSRWLockExclusive(&churn.lock);
    if (due > now) {
        Sleep((DWORD)(due - now));
    }
    return number;
}

static void failed(SOCKET s, int number, const char *what, uint64_t began_ms)
{
    int code = WSAGetLastError(); /* the first thing, before it is overwritten */
    LONG at = InterlockedIncrement(&churn.failed) - 1;
    if (at < FAILURES) {
        struct failure *f = &churn.failures[at];
        struct sockaddr_storage local = {0};
        int length = sizeof local;
        getsockname(s, (struct sockaddr *)&local, &length);
        address_text(&local, f->local);
        f->number = number;
        f->code = code;
        f->began_ms = began_ms;
        f->ms = actor_now_ms();
        f->what = what;
    }
    endpoint_reset(s);
}

/* What went wrong, or NULL. */
static const char *use(SOCKET s, const struct sockaddr_storage *to, int number, char *chunk)
{
    unsigned char stamp[2];
    int n = 1 + (int)((unsigned)number * 2654435761u % (unsigned)churn.bytes_max);
    WSASetLastError(0);
    if (connect(s, (const struct sockaddr *)to, sizeof *to) != 0) {
        return "connect";
    }
    if (!endpoint_receive_all(s, (char *)stamp, 2)) {
        return "no stamp";
    }
    int port = ntohs(((const struct sockaddr_in *)to)->sin_port); /* the same place in both families */
    if ((stamp[0] << 8 | stamp[1]) != port) {
        WSASetLastError(stamp[0] << 8 | stamp[1]);
        return "another destination";
    }
    stream_fill((uint32_t)number, 0, chunk, (size_t)n);
    if (!endpoint_send_all(s, chunk, n)) {
        return "send";
    }
    if (!endpoint_receive_all(s, chunk, n)) {
        return "receive";
    }
    if (stream_check((uint32_t)number, 0, chunk, (size_t)n) != (size_t)n) {
        return "wrong byte";
    }
    InterlockedExchangeAdd64(&churn.bytes, n);
    return NULL;
}

static DWORD WINAPI worker(void *argument)
{
    char *chunk = malloc(CHUNK);
    DWORD patience = PATIENCE_MS;
    (void)argument;
    while (!churn.stop) {
        int number = await_turn();
        const struct sockaddr_storage *to = &churn.targets[number % churn.target_count];
        uint64_t began_ms = actor_now_ms();
        SOCKET s = socket(to->ss_family, SOCK_STREAM, IPPROTO_TCP);
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience);
        setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, (const char *)&patience, sizeof patience);
        const char *what = use(s, to, number, chunk);
        if (what) {
            failed(s, number, what, began_ms);
        } else {
            InterlockedIncrement(&churn.ok);
            if (number % 8) {
                closesocket(s);
            } else {
                endpoint_reset(s);
            }
        }
    }
    free(chunk);
    InterlockedDecrement(&churn.workers);
    return 0;
}

void command_churn(const struct command *c, struct json *answer)
{
    char list[COMMAND_LINE_MAX], *at = NULL;
    strcpy(list, command_text(c, "to", ""));
    LONG workers = (LONG)command_number(c, "workers", 32);
    if (churn.workers || workers > WORKERS) {
        json_error(answer, "churn: already, or too much", WSAEINVAL);
        return;
    }
    memset(&churn, 0, sizeof churn);
    for (char *word = strtok_s(list, ",", &at); word && churn.target_count < TARGETS; word = strtok_s(NULL, ",", &at)) {
        address_parse(word, &churn.targets[churn.target_count++]);
    }
    churn.rate = (int)command_number(c, "rate", 100);
    churn.bytes_max = (int)command_number(c, "n", 1000);
    churn.due_ms = (double)actor_now_ms();
    churn.workers = workers;
    for (LONG i = 0; i < workers; i++) {
        actor_thread(worker, NULL);
    }
}

void command_churned(const struct command *c, struct json *answer)
{
    LONG count = churn.failed < FAILURES ? churn.failed : FAILURES;
    json_number(answer, "now_ms", (long long)actor_now_ms());
    json_number(answer, "begun", churn.next);
    json_number(answer, "ok", churn.ok);
    json_number(answer, "failed", churn.failed);
    json_number(answer, "bytes", churn.bytes);
    json_open(answer, "failures", '[');
    for (LONG i = (LONG)command_number(c, "from", 0); i < count && churn.failures[i].what; i++) {
        const struct failure *f = &churn.failures[i];
        json_open(answer, NULL, '{');
        json_number(answer, "number", f->number);
        json_number(answer, "began_ms", (long long)f->began_ms);
        json_number(answer, "ms", (long long)f->ms);
        json_string(answer, "what", f->what);
        json_number(answer, "code", f->code);
        json_string(answer, "local", f->local);
        json_close(answer, '}');
    }
    json_close(answer, ']');
}

void command_churn_end(const struct command *c, struct json *answer)
{
    (void)c;
    churn.stop = 1;
    while (churn.workers) {
        Sleep(5);
    }
    json_number(answer, "ok", churn.ok);
    json_number(answer, "failed", churn.failed);
}
