/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A redirector without driver, to test the program alone. It "redirects" by telling the test the relay's port (in the
 * file FAKE_PORT_FILE), and says of every peer that it was going to FAKE_DESTINATION4 or FAKE_DESTINATION6, each
 * "address port", by the peer's family, a link-local address with its scope (fe80::1%4); a family without destination knows no peers, so there all are strangers.
 * What is told by redirector_set_rules() and redirector_tell_name() is added to FAKE_TOLD; the rules are judged by the
 * library itself (real_rules.c).
 * FAKE_START_ERROR=n makes the start fail with status n. FAKE_STOP_FILE is created when the redirector is freed.
 * FAKE_INCOMING=1 makes every connection one that came in; FAKE_RULES names a file that gets flags, roots, rules and
 * upstreams. FAKE_UDP names a file with a line for each UDP flow: the peer's port (0: any), address, port, as they are
 * at the moment; FAKE_UNREACHABLE one that gets the peers of redirector_udp_unreachable(). FAKE_NOTE is what a start that succeeds has to say, FAKE_LIMIT what limits it while it runs.
 */
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>

enum { FLOWS_BYTES = 1024 }; /* of the file FAKE_UDP, filled up with blanks */

struct redirector {
    uint32_t client_pid;
};

const char *redirector_version(void)
{
    return REDIRECTOR_VERSION_STRING;
}

static uint32_t fail(redirector_error *error, uint32_t status)
{
#define TEXT_OF(name, number, text) status == (number) ? (text):
    const char *text = REDIRECTOR_STATUS_LIST(TEXT_OF) "?";
#undef TEXT_OF
    error->code = status;
    snprintf(error->text, sizeof error->text, "%s\x1b[31m", text); /* the program must not pass this on raw */
    return status;
}

static void write_file(const char *variable, const redirector_config *config)
{
    const char *path = getenv(variable);
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (!file) {
        return;
    }
    if (config) {
        fprintf(file, "%u %u %u %u %u %u\n%s\n%s\n", (unsigned)config->proxy_port, (unsigned)config->client_pid,
                (unsigned)config->agent_pid, (unsigned)config->incoming_port, (unsigned)config->log_level,
                (unsigned)config->udp_port, config->windivert_dir ? config->windivert_dir : "-",
                config->log_path ? config->log_path : "-");
    }
    fclose(file);
}

static void write_rule(FILE *file, const redirector_rule *r)
{
    static const char *const actions[] = {"exclude", "include", "block"};
    fprintf(file, "%s %u %s", actions[r->action], (unsigned)r->pid, r->pattern ? r->pattern : "-");
    if (r->family) {
        fprintf(file, " /%u", (unsigned)r->prefix_length);
    }
    if (r->host) {
        fprintf(file, " %s", r->host);
    }
    if (r->last_port) {
        fprintf(file, " :%u-%u", (unsigned)r->first_port, (unsigned)r->last_port);
    }
    fprintf(file, r->upstream ? " route %u\n" : "\n", (unsigned)r->upstream);
    if (r->listener) {
        fprintf(file, "to %s\n", r->listener);
    }
}

/* A line of what was told while it ran, in FAKE_TOLD. */
static FILE *open_told(void)
{
    const char *path = getenv("FAKE_TOLD");
    return path ? fopen(path, "ab") : NULL;
}

static uint32_t newest_upstream; /* of the last rule: every connection is taken for one that it has redirected */

static void note_rules(const redirector_rule *rules, uint32_t count)
{
    newest_upstream = count ? rules[count - 1].upstream : 0;
}

/* FAKE_SET_ERROR makes it fail. Rules that the library would not take are not taken here. */
uint32_t redirector_set_rules(redirector *r, const redirector_rule *rules, uint32_t count, redirector_error *error)
{
    redirector_rule_case any = {.size = sizeof any,
                                .in_tree = 1,
                                .protocol = REDIRECTOR_TCP,
                                .direction = REDIRECTOR_OUTGOING,
                                .address = {.family = 4, .port = 1}};
    redirector_rule_verdict verdict = {.size = sizeof verdict};
    uint32_t status = r ? redirector_test_rules(rules, count, &any, &verdict, error) : REDIRECTOR_INVALID_ARGUMENT;
    if (status == REDIRECTOR_OK && getenv("FAKE_SET_ERROR")) {
        status = fail(error, REDIRECTOR_NOT_RUNNING);
    }
    if (status == REDIRECTOR_OK) {
        note_rules(rules, count);
    }
    FILE *file = open_told();
    if (file && status == REDIRECTOR_OK) {
        fprintf(file, "rules %u\n", (unsigned)count);
        for (uint32_t i = 0; i < count; i++) {
            write_rule(file, &rules[i]);
        }
        fprintf(file, "end\n");
    }
    if (file) {
        fclose(file);
    }
    return status;
}

uint32_t redirector_tell_name(redirector *r, const redirector_address *address, const char *name)
{
    char text[64] = "";
    FILE *file = open_told();
    if (!r || !file) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
    fprintf(file, "name %s %s\n", text, name);
    fclose(file);
    return REDIRECTOR_OK;
}

static void write_rules(const redirector_config *config)
{
    const char *path = getenv("FAKE_RULES");
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (!file) {
        return;
    }
    fprintf(file, "flags %u\nroots %u", (unsigned)config->flags, (unsigned)config->client_pid);
    for (uint32_t i = 0; i < config->root_count; i++) {
        fprintf(file, " %u", (unsigned)config->roots[i]);
    }
    fprintf(file, "\n");
    for (uint32_t i = 0; i < config->listen_port_count; i++) {
        fprintf(file, "port %u\n", (unsigned)config->listen_ports[i]);
    }
    for (uint32_t i = 0; i < config->rule_count; i++) {
        write_rule(file, &config->rules[i]);
    }
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        char address[64] = "";
        inet_ntop(config->upstreams[i].family == 6 ? AF_INET6 : AF_INET, config->upstreams[i].bytes, address,
                  sizeof address);
        fprintf(file, "upstream %s %u\n", address, (unsigned)config->upstreams[i].port);
    }
    fclose(file);
}

/* The lines of FAKE_LOG, as if the library had logged them. */
static void say_log(const redirector_config *config)
{
    char line[1024];
    const char *path = getenv("FAKE_LOG");
    FILE *file = path && config->log_fn ? fopen(path, "rb") : NULL;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        config->log_fn(config->log_context, REDIRECTOR_LOG_INFO, line);
    }
    if (file) {
        fclose(file);
    }
}

uint32_t redirector_start(const redirector_config *config, redirector **out, redirector_error *error)
{
    const char *wanted = getenv("FAKE_START_ERROR"); /* empty: none */
    *out = NULL;
    if (config->size != sizeof *config || error->size != sizeof *error) {
        return fail(error, REDIRECTOR_INVALID_ARGUMENT);
    }
    say_log(config);
    if (wanted && *wanted) {
        return fail(error, (uint32_t)atoi(wanted));
    }
    *out = malloc(sizeof **out);
    if (!*out) {
        return fail(error, REDIRECTOR_NO_MEMORY);
    }
    (*out)->client_pid = config->client_pid;
    const char *note = getenv("FAKE_NOTE");
    if (note) {
        error->os_error = 5;
        snprintf(error->text, sizeof error->text, "%s", note);
    }
    write_rules(config);
    note_rules(config->rules, config->rule_count);
    write_file("FAKE_PORT_FILE", config);
    return REDIRECTOR_OK;
}

void redirector_free(redirector *r)
{
    if (r) {
        write_file("FAKE_STOP_FILE", NULL);
    }
    free(r);
}

/* Where the UDP flow of this peer goes; false: it is no flow's. */
static bool find_flow(const redirector_address *peer, char address[64], unsigned *port)
{
    static HANDLE file; /* stays open: the relay asks about each datagram */
    char text[FLOWS_BYTES + 1] = "";
    unsigned from;
    bool found = false;
    DWORD bytes = 0;
    OVERLAPPED at = {.Offset = 0};
    if (!file) {
        file = CreateFileA(getenv("FAKE_UDP"), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0,
                           NULL);
    }
    ReadFile(file, text, FLOWS_BYTES, &bytes, &at);
    for (char *line = text, *end; !found && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        found = sscanf(line, "%u %63s %u", &from, address, port) == 3 && (!from || from == peer->port) &&
                (strchr(address, ':') != NULL) == (peer->family == 6);
    }
    return found;
}

uint32_t redirector_udp_unreachable(redirector *r, const redirector_address *peer)
{
    const char *path = getenv("FAKE_UNREACHABLE");
    FILE *file = path && r ? fopen(path, "ab") : NULL;
    if (!file) {
        return REDIRECTOR_NOT_FOUND;
    }
    fprintf(file, "%u\n", (unsigned)peer->port);
    fclose(file);
    return REDIRECTOR_OK;
}

uint32_t redirector_lookup(redirector *r, const redirector_address *peer, redirector_destination *out)
{
    const char *wanted = getenv(peer->family == 6 ? "FAKE_DESTINATION6" : "FAKE_DESTINATION4");
    char address[64];
    unsigned port;
    if (out->size != sizeof *out || !peer->port) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (out->protocol == REDIRECTOR_UDP ? !find_flow(peer, address, &port)
                                        : !wanted || sscanf(wanted, "%63s %u", address, &port) != 2) {
        return REDIRECTOR_NOT_FOUND;
    }
    out->pid = r->client_pid;
    out->connection_id = 0;
    out->upstream = newest_upstream;
    out->incoming = out->protocol != REDIRECTOR_UDP && getenv("FAKE_INCOMING") != NULL;
    out->destination.family = peer->family;
    out->destination.port = port;
    char *scope = strchr(address, '%');
    out->destination.scope = scope ? (uint32_t)strtoul(scope + 1, NULL, 10) : 0;
    if (scope) {
        *scope = '\0';
    }
    memset(out->destination.bytes, 0, sizeof out->destination.bytes);
    if (inet_pton(peer->family == 6 ? AF_INET6 : AF_INET, address, out->destination.bytes) != 1) {
        return REDIRECTOR_NOT_FOUND;
    }
    return REDIRECTOR_OK;
}

/* Nobody waits for a decision. */
uint32_t redirector_next_connection(redirector *r, redirector_connection *out, uint32_t timeout_ms)
{
    if (!r || out->size != sizeof *out) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    Sleep(timeout_ms);
    return REDIRECTOR_NOT_FOUND;
}

uint32_t redirector_decide(redirector *r, uint64_t connection_id, uint32_t decision)
{
    (void)r;
    (void)connection_id;
    (void)decision;
    return REDIRECTOR_NOT_FOUND;
}

uint32_t redirector_list_flows(redirector *r, redirector_flow *flows, uint32_t capacity, uint32_t *total)
{
    (void)flows;
    (void)capacity;
    *total = 0;
    return r ? REDIRECTOR_OK : REDIRECTOR_INVALID_ARGUMENT;
}

/* FAKE_FAILED names a file that makes the redirector fail when it is there. */
uint32_t redirector_get_state(redirector *r, redirector_error *why)
{
    const char *path = getenv("FAKE_FAILED");
    FILE *file = path && r ? fopen(path, "rb") : NULL;
    if (!file) {
        const char *limit = getenv("FAKE_LIMIT");
        if (limit && why) {
            why->os_error = 5;
            snprintf(why->text, sizeof why->text, "%s", limit);
        }
        return REDIRECTOR_RUNNING;
    }
    fclose(file);
    fail(why, REDIRECTOR_ENGINE_STALLED);
    return REDIRECTOR_FAILED;
}

uint32_t redirector_get_stats(redirector *r, redirector_stats *stats)
{
    if (!r || stats->size != sizeof *stats) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    *stats = (redirector_stats){.size = sizeof *stats,
                                .flows_live = 3,
                                .watchdog_trips = 23,
                                .tree_listeners = getenv("FAKE_INCOMING") != NULL};
    return REDIRECTOR_OK;
}
