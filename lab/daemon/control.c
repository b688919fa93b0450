/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a stream socket. A client sends a command and a newline; the answer is one
 * JSON object on one line, {"error":...} if the command was not understood. Commands:
 *   counters      what happened to packets in total, and per handle
 *   flows         the same by flow
 *   handles       open handles, their settings and counters
 *   audit         was each packet that was received injected once, and in order? see audit.h
 *   owners on|off does the TCP table tell owners?
 *   table N       the TCP table has N connections more than there are
 *   syn MS        after that time a SYN is sent again; 0: after a second
 *   strict on|off, lists N, fragments on|off, largest N
 *                 Windows' stack, see settings.h
 *   offload on|off|ip|transport, merge on|off
 *                 the network card, see capture.h
 *   outbound ...  a firewall that blocks outbound connections, see outbound.h
 *   obstacle ...  another filter in the way, see obstacle.h
 *   reset         counters, audit and strikes from zero
 *   events ...    faults of socket events, see fault.h
 *   fault ...     faults of the driver, see drvfault.h; faults: how often each struck
 *   wire ...      conditions between the hosts, see netem.h
 *
 * A command is done at once, but answered only when the kernel side has done its part and told how things
 * are there: it is asked a question, whose answer comes behind all that. It has PATIENCE_MS for it.
 */
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
#include "counters.h"
#include "drvfault.h"
#include "events.h"
#include "fault.h"
#include "handles.h"
#include "link.h"
#include "loop.h"
#include "netem.h"
#include "outbound.h"
#include "obstacle.h"
#include "owners.h"
#include "packet.h"
#include "settings.h"
#include "timer.h"

enum { LINE_MAX_LENGTH = 256, SYN_MS_MAX = 10000, PATIENCE_MS = 1000 };

typedef void answer_fn(FILE *out);

struct client {
    struct client *next;
    int fd;
    uint64_t token; /* of the question that it waits for; 0: for none */
    bool told;      /* it has been answered, and the driver is still being unloaded */
    int64_t due_ms;
    answer_fn *answer;
    char line[LINE_MAX_LENGTH];
    size_t length;
};

static struct sockaddr_un name = {.sun_family = AF_UNIX};
static int listener = -1, timer = -1;
static struct client *clients;
static uint64_t last_token;

static void print_settings(FILE *out)
{
    settings_print(out);
    fprintf(out, ",\"offload\":%s,\"merge\":%s", capture_offload() ? "true" : "false",
            capture_merge() ? "true" : "false");
    fprintf(out, ",\"owners\":%s,\"syn_timeout_ms\":%u,\"table\":%u", owners_are_known() ? "true" : "false",
            events_syn_timeout(), owners_strangers());
    fputc(',', out);
    outbound_print(out);
    fputs(",\"event_faults\":", out);
    fault_print(out);
    fputs(",\"obstacles\":", out);
    obstacle_print(out);
    fputs(",\"wire\":", out);
    netem_print(out);
}

static void answer_counters(FILE *out)
{
    counters_print_total(out);
    fprintf(out, ",\"capture_lost\":%llu,", (unsigned long long)capture_lost());
    print_settings(out);
    fputs(",\"handles\":", out);
    handles_print(out);
}

static void answer_flows(FILE *out)
{
    fputs("\"flows\":", out);
    counters_print_flows(out);
}

static void answer_handles(FILE *out)
{
    fputs("\"handles\":", out);
    handles_print(out);
}

static void answer_audit(FILE *out)
{
    audit_print(out);
    fputs(",\"handles\":", out);
    handles_print_audit(out);
}

static void answer_faults(FILE *out)
{
    fputs("\"faults\":", out);
    drvfault_print(out);
}

/* Only now is it known what has happened before. */
static void answer_reset(FILE *out)
{
    counters_reset();
    audit_reset();
    drvfault_reset_counts();
    handles_reset();
    print_settings(out);
}

/* Which checksums are the network card's. */
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

/* After which time a SYN is sent again. */
static bool syn_command(const char *word)
{
    unsigned ms;
    char rest;

    if (sscanf(word, "%5u%c", &ms, &rest) != 1 || ms > SYN_MS_MAX) {
        return false;
    }
    events_set_syn_timeout(ms);
    return true;
}

static bool capture_command(const char *command)
{
    if (!strncmp(command, "offload ", 8)) {
        return offload_command(command + 8);
    }
    if (!strcmp(command, "merge on") || !strcmp(command, "merge off")) {
        return capture_set_merge(!strcmp(command, "merge on"));
    }
    return false;
}

static bool table_command(const char *word)
{
    enum { STRANGERS_MAX = 1000000 };
    unsigned count;
    char rest;

    if (sscanf(word, "%7u%c", &count, &rest) != 1 || count > STRANGERS_MAX) {
        return false;
    }
    owners_set_strangers(count);
    return true;
}

static bool owners_command(const char *command)
{
    if (strcmp(command, "owners on") != 0 && strcmp(command, "owners off") != 0) {
        return false;
    }
    owners_set_known(!strcmp(command, "owners on"));
    return true;
}

/* Does the command; returns what prints its answer, or NULL if it is not understood. */
static answer_fn *perform(const char *command)
{
    static const struct {
        const char *command;
        answer_fn *answer;
    } questions[] = {
        {"counters", answer_counters}, {"flows", answer_flows},   {"handles", answer_handles},
        {"audit", answer_audit},       {"faults", answer_faults}, {"reset", answer_reset},
    };

    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        if (!strcmp(command, questions[i].command)) {
            return questions[i].answer;
        }
    }
    if (!strncmp(command, "fault ", 6)) {
        return drvfault_command(command + 6) ? answer_faults : NULL;
    }
    if (settings_command(command) || capture_command(command) || owners_command(command) ||
        (!strncmp(command, "syn ", 4) && syn_command(command + 4)) ||
        (!strncmp(command, "outbound ", 9) && outbound_command(command + 9)) ||
        (!strncmp(command, "table ", 6) && table_command(command + 6)) ||
        (!strncmp(command, "events ", 7) && fault_command(command + 7)) ||
        (!strncmp(command, "obstacle ", 9) && obstacle_command(command + 9)) ||
        (!strncmp(command, "wire ", 5) && netem_command(command + 5))) {
        return print_settings;
    }
    return NULL;
}

static bool send_answer(int fd, answer_fn *answer)
{
    char *text = NULL;
    size_t size = 0, sent = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        return false;
    }
    fputc('{', out);
    if (answer) {
        answer(out);
    } else {
        fputs("\"error\":\"unknown command\"", out);
    }
    fputs("}\n", out);
    fclose(out);
    while (sent < size) {
        ssize_t got = send(fd, text + sent, size - sent, MSG_NOSIGNAL);

        if (got <= 0) {
            break;
        }
        sent += (size_t)got;
    }
    free(text);
    return sent == size;
}

static void client_close(struct client *client)
{
    struct client **at = &clients;

    while (*at != client) {
        at = &(*at)->next;
    }
    *at = client->next;
    loop_remove(client->fd);
    close(client->fd);
    free(client);
}

/* Asks the kernel side how things are, for this client. False: there is none. */
static bool client_asks(struct client *client)
{
    struct lab_query query = {{LAB_QUERY, sizeof(query)}, ++last_token};

    if (!link_connected()) {
        return false;
    }
    link_put(&query, NULL, 0);
    client->token = query.token;
    client->due_ms = loop_now_ms() + PATIENCE_MS;
    timer_set(timer, client->due_ms);
    return true;
}

/* Goes on until a command waits, or all that there is has been answered. False: the client is no more. */
static bool client_serve(struct client *client)
{
    char *end;

    while (!client->token && (end = memchr(client->line, '\n', client->length)) != NULL) {
        size_t used = (size_t)(end - client->line) + 1;

        *end = '\0';
        client->answer = perform(client->line);
        client->length -= used;
        memmove(client->line, client->line + used, client->length);
        if (client->answer && client_asks(client)) {
            continue;
        }
        if (!send_answer(client->fd, client->answer)) {
            client_close(client);
            return false;
        }
    }
    return true;
}

/* Answers the client that waits, and goes on. */
static void client_told(struct client *client)
{
    client->token = 0;
    client->told = false;
    if (!send_answer(client->fd, client->answer)) {
        client_close(client);
    } else if (client_serve(client) && client->length < LINE_MAX_LENGTH) {
        loop_pause(client->fd, false);
    }
}

void control_told(uint64_t token)
{
    for (struct client *client = clients; token && client; client = client->next) {
        if (client->token == token) {
            client->told = drvfault_unloading();
            if (!client->told) {
                client_told(client);
            }
            return;
        }
    }
}

void control_unloaded(void)
{
    struct client *client;

    do {
        for (client = clients; client && !client->told;) {
            client = client->next;
        }
        if (client) {
            client_told(client);
        }
    } while (client);
}

/* Those that have waited until then. */
static void told_until(int64_t due_ms)
{
    struct client *client;

    do {
        for (client = clients; client && !(client->token && client->due_ms <= due_ms);) {
            client = client->next;
        }
        if (client) {
            client_told(client);
        }
    } while (client);
}

void control_told_all(void)
{
    told_until(INT64_MAX);
}

static void timer_due(void *context, int fd)
{
    int64_t now = loop_now_ms(), next = INT64_MAX;

    (void)context;
    timer_acknowledge(fd);
    for (const struct client *client = clients; client; client = client->next) {
        if (client->token && client->due_ms <= now) {
            fputs("control: the kernel side does not answer; what it has told so far must do\n", stderr);
        } else if (client->token && client->due_ms < next) {
            next = client->due_ms;
        }
    }
    told_until(now);
    if (next != INT64_MAX) {
        timer_set(timer, next);
    }
}

static void client_readable(void *context, int fd)
{
    struct client *client = context;
    ssize_t got = recv(fd, client->line + client->length, LINE_MAX_LENGTH - client->length, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        client_close(client);
        return;
    }
    client->length += (size_t)got;
    if (!client_serve(client)) {
        return;
    }
    if (client->token) {
        loop_pause(fd, true); /* one at a time */
    } else if (client->length == LINE_MAX_LENGTH) {
        client_close(client);
    }
}

static void listener_readable(void *context, int fd)
{
    struct timeval patience = {.tv_sec = 1}; /* a client that does not read must not stop the lab */
    struct client *client = calloc(1, sizeof(*client));
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)context;
    if (peer < 0 || !client) {
        free(client);
        close(peer);
        return;
    }
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    client->fd = peer;
    client->next = clients;
    clients = client;
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
    timer = timer_open(timer_due, NULL);
}

void control_close(void)
{
    while (clients) {
        client_close(clients);
    }
    timer_close(timer);
    unlink(name.sun_path);
    close(listener);
}
