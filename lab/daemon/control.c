// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a stream socket. A client sends a command and a newline; the answer is one
// JSON object on one line, {"error":...} if the command was not understood. Commands:
//   counters      what happened to packets in total, and per handle
//   flows         the same by flow
//   handles       open handles, their settings and counters
//   audit         was each packet that was received injected once, and in order? see audit.h
//   owners on|off does the TCP table tell owners?
//   syn MS        after that time a SYN is sent again; 0: after a second
//   strict on|off, offload on|off|ip|transport, reset
//   events ...    faults of socket events, see fault.h
//   fault ...     faults of the driver, see drvfault.h; faults: how often each struck
//   wire ...      conditions between the hosts, see wire.h
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit.h"
#include "capture.h"
#include "drvfault.h"
#include "events.h"
#include "fault.h"
#include "handle.h"
#include "inject.h"
#include "loop.h"
#include "owners.h"
#include "packet.h"
#include "recv.h"
#include "wire.h"

enum { LINE_MAX_LENGTH = 256, SYN_MS_MAX = 10000 };

struct client {
    char line[LINE_MAX_LENGTH];
    size_t length;
};

static struct sockaddr_un name = {.sun_family = AF_UNIX};
static int listener = -1;

static void print_handle(FILE *out, const struct handle *handle)
{
    fprintf(out,
            "{\"owner\":%u,\"open\":%s,\"layer\":%d,\"priority\":%d,\"flags\":%llu,"
            "\"matches\":%llu,\"tests\":%u,\"recv_shut\":%s,\"send_shut\":%s,"
            "\"queue_count\":%u,\"queue_bytes\":%llu,\"pending_recvs\":%u,"
            "\"queue_length\":%llu,\"queue_time\":%llu,\"queue_size\":%llu,",
            handle->owner, handle->open ? "true" : "false", (int)handle->layer,
            handle->initialized ? handle_user_priority(handle) : 0, (unsigned long long)handle->flags,
            (unsigned long long)handle->matches, handle->filter.count, handle->recv_shut ? "true" : "false",
            handle->send_shut ? "true" : "false", handle->queue.count, (unsigned long long)handle->queue.size,
            recv_pending(handle), (unsigned long long)handle->queue.max_count, (unsigned long long)handle->queue.max_ms,
            (unsigned long long)handle->queue.max_size);
    counters_print(out, &handle->counters);
    fputc('}', out);
}

// What became of the packets of one handle: in its queue, and of those that were received.
static void print_audit(FILE *out, const struct handle *handle)
{
    const uint64_t *count = handle->counters.count;

    fprintf(out, "{\"owner\":%u,\"layer\":%d,\"priority\":%d,\"diverted\":%llu,\"queued\":%u,\"lost_in_queue\":%llu,",
            handle->owner, (int)handle->layer, handle->initialized ? handle_user_priority(handle) : 0,
            (unsigned long long)count[COUNT_diverted], handle->queue.count,
            (unsigned long long)(count[COUNT_overflow] + count[COUNT_timeout] + count[COUNT_truncated]));
    audit_print_account(out, handle->account);
    fputc('}', out);
}

typedef void print_fn(FILE *out, const struct handle *handle);

static void print_handles(FILE *out, print_fn *print)
{
    fputs("\"handles\":[", out);
    for (const struct handle *handle = handle_first(); handle; handle = handle->next) {
        print(out, handle);
        if (handle->next)
            fputc(',', out);
    }
    fputc(']', out);
}

static void print_settings(FILE *out)
{
    fprintf(out, "\"strict\":%s,\"offload\":%s", inject_is_strict() ? "true" : "false",
            capture_offload() ? "true" : "false");
    fprintf(out, ",\"owners\":%s,\"syn_timeout_ms\":%u", owners_are_known() ? "true" : "false", events_syn_timeout());
    fputs(",\"event_faults\":", out);
    fault_print(out);
    fputs(",\"wire\":", out);
    wire_print(out);
}

// Which checksums are the network card's.
static bool offload_command(const char *which)
{
    static const struct {
        const char *word;
        unsigned sums;
    } settings[] = {{"off", 0}, {"on", SUM_ALL}, {"ip", SUM_IP}, {"transport", SUM_TCP | SUM_UDP}};

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (!strcmp(which, settings[i].word)) {
            capture_set_offload(settings[i].sums);
            return true;
        }
    }
    return false;
}

static void reset(void)
{
    counters_reset();
    audit_reset();
    drvfault_reset_counts();
    for (struct handle *handle = handle_first(); handle; handle = handle->next)
        memset(&handle->counters, 0, sizeof(handle->counters));
}

// After which time a SYN is sent again.
static bool syn_command(const char *word)
{
    unsigned ms;
    char rest;

    if (sscanf(word, "%5u%c", &ms, &rest) != 1 || ms > SYN_MS_MAX)
        return false;
    events_set_syn_timeout(ms);
    return true;
}

static void answer(FILE *out, const char *command)
{
    fputc('{', out);
    if (!strcmp(command, "counters")) {
        counters_print_total(out);
        fprintf(out, ",\"capture_lost\":%llu,", (unsigned long long)capture_lost());
        print_settings(out);
        fputc(',', out);
        print_handles(out, print_handle);
    } else if (!strcmp(command, "flows")) {
        fputs("\"flows\":", out);
        counters_print_flows(out);
    } else if (!strcmp(command, "handles")) {
        print_handles(out, print_handle);
    } else if (!strcmp(command, "audit")) {
        audit_print(out);
        fputc(',', out);
        print_handles(out, print_audit);
    } else if (!strcmp(command, "strict on") || !strcmp(command, "strict off")) {
        inject_set_strict(!strcmp(command, "strict on"));
        print_settings(out);
    } else if (!strncmp(command, "offload ", 8) && offload_command(command + 8)) {
        print_settings(out);
    } else if (!strcmp(command, "owners on") || !strcmp(command, "owners off")) {
        owners_set_known(!strcmp(command, "owners on"));
        print_settings(out);
    } else if (!strncmp(command, "syn ", 4) && syn_command(command + 4)) {
        print_settings(out);
    } else if ((!strncmp(command, "events ", 7) && fault_command(command + 7)) ||
               (!strncmp(command, "wire ", 5) && wire_command(command + 5))) {
        print_settings(out);
    } else if (!strcmp(command, "faults") || (!strncmp(command, "fault ", 6) && drvfault_command(command + 6))) {
        fputs("\"faults\":", out);
        drvfault_print(out);
    } else if (!strcmp(command, "reset")) {
        reset();
        print_settings(out);
    } else {
        fputs("\"error\":\"unknown command\"", out);
    }
    fputs("}\n", out);
}

static bool send_answer(int fd, const char *command)
{
    char *text = NULL;
    size_t size = 0, sent = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return false;
    answer(out, command);
    fclose(out);
    while (sent < size) {
        ssize_t got = send(fd, text + sent, size - sent, MSG_NOSIGNAL);

        if (got <= 0)
            break;
        sent += (size_t)got;
    }
    free(text);
    return sent == size;
}

static void client_close(struct client *client, int fd)
{
    loop_remove(fd);
    close(fd);
    free(client);
}

static void client_readable(void *context, int fd)
{
    struct client *client = context;
    ssize_t got = recv(fd, client->line + client->length, LINE_MAX_LENGTH - client->length, MSG_DONTWAIT);
    char *end;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_close(client, fd);
        return;
    }
    client->length += (size_t)got;
    while ((end = memchr(client->line, '\n', client->length)) != NULL) {
        size_t used = (size_t)(end - client->line) + 1;

        *end = '\0';
        if (!send_answer(fd, client->line)) {
            client_close(client, fd);
            return;
        }
        client->length -= used;
        memmove(client->line, client->line + used, client->length);
    }
    if (client->length == LINE_MAX_LENGTH)
        client_close(client, fd);
}

static void listener_readable(void *context, int fd)
{
    struct timeval patience = {.tv_sec = 1}; // a client that does not read must not stop the lab
    struct client *client = calloc(1, sizeof(*client));
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)context;
    if (peer < 0 || !client) {
        free(client);
        close(peer);
        return;
    }
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    loop_add(peer, client_readable, client);
}

void control_open(const char *path)
{
    if (strlen(path) >= sizeof(name.sun_path)) {
        fprintf(stderr, "windivert-labd: control socket: path too long\n");
        exit(1);
    }
    strcpy(name.sun_path, path);
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(listener, 16) < 0) {
        fprintf(stderr, "windivert-labd: control socket: %s\n", strerror(errno));
        exit(1);
    }
    loop_add(listener, listener_readable, NULL);
}

void control_close(void)
{
    unlink(name.sun_path);
    close(listener);
}
