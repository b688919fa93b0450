/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A library with the calls of the header, for Linux, that redirects nothing: it checks that what reaches it is what
 * the tests (check_python.py, tests/bindings) pass through the declarations of another language, and gives known answers.
 * A wrong field, argument or type shows as a wrong value on one of the two sides.
 */
#include "windows_redirector.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redirector {
    uint32_t rules, forgotten;
};

static void refuse(redirector_error *error, const char *what)
{
    error->code = REDIRECTOR_INVALID_ARGUMENT;
    snprintf(error->text, sizeof error->text, "the mock did not get %s", what);
}

static bool same(const char *text, const char *wanted)
{
    return text && !strcmp(text, wanted);
}

/* MOCK_PORT names a file: then any configuration will do, and the proxy's port is written there. */
static const char *wrong_in(const redirector_config *c)
{
    const char *file = getenv("MOCK_PORT");
    if (file) {
        FILE *out = fopen(file, "w");
        if (out) {
            fprintf(out, "%u\n", c->proxy_port);
            fclose(out);
        }
        return NULL;
    }
    const redirector_rule *rules = c->rules;
#define EXPECT(condition)                                                                                              \
    if (!(condition)) {                                                                                                \
        return #condition;                                                                                             \
    }
    EXPECT(c->size == sizeof *c)
    EXPECT(c->client_pid == 0 && c->agent_pid == 500 && c->proxy_port == 8080 && c->incoming_port == 8081)
    EXPECT(c->flags == (REDIRECTOR_FAIL_CLOSED | REDIRECTOR_DESCENDANTS_ONLY))
    EXPECT(c->hold_timeout_ms == 0 && c->scan_interval_ms == 0 && c->log_level == 0 && c->upstream_count == 0)
    EXPECT(c->decision_timeout_ms == 3000 && c->listen_port_count == 2 && c->listen_ports[1] == 65535)
    EXPECT(c->udp_port == 5353 && c->udp_idle_ms == 20000)
    EXPECT(c->root_count == 2 && c->roots[0] == 1000 && c->roots[1] == 2000)
    EXPECT(c->rule_count == 5)
    EXPECT(rules[0].size == sizeof *rules && rules[0].action == REDIRECTOR_RULE_REDIRECT && rules[0].pid == 0)
    EXPECT(same(rules[0].pattern, "curl.exe") && rules[0].listener == NULL && rules[0].host == NULL)
    EXPECT(rules[0].family == 0 && rules[0].first_port == 0 && rules[0].last_port == 0 && rules[0].upstream == 0)
    EXPECT(rules[1].size == sizeof *rules && rules[1].action == REDIRECTOR_RULE_PASS && rules[1].pid == 4711)
    EXPECT(rules[1].pattern == NULL && rules[1].listener == NULL && rules[1].protocol == 0 && rules[1].direction == 0)
    EXPECT(rules[2].size == sizeof *rules && rules[2].action == REDIRECTOR_RULE_PASS && rules[2].pid == 0)
    EXPECT(rules[2].pattern == NULL && same(rules[2].listener, "guard.exe"))
    EXPECT(rules[3].size == sizeof *rules && rules[3].action == REDIRECTOR_RULE_BLOCK && rules[3].pid == 0)
    EXPECT(rules[3].pattern == NULL && rules[3].listener == NULL && same(rules[3].host, "*.test"))
    EXPECT(rules[3].protocol == REDIRECTOR_UDP && rules[3].direction == REDIRECTOR_OUTGOING && rules[3].upstream == 7)
    EXPECT(rules[3].first_port == 5000 && rules[3].last_port == 6000 && rules[3].family == 6)
    EXPECT(rules[3].prefix_length == 32 && !memcmp(rules[3].network, (uint8_t[16]){0x20, 1, 0xd, 0xb8}, 16))
    EXPECT(rules[4].direction == REDIRECTOR_INCOMING && rules[4].first_port == 443 && rules[4].last_port == 443)
    EXPECT(rules[4].protocol == REDIRECTOR_TCP && rules[4].family == 4 && rules[4].prefix_length == 8)
    EXPECT(!memcmp(rules[4].network, (uint8_t[16]){10}, 16) && rules[4].action == REDIRECTOR_RULE_REDIRECT)
    EXPECT(strcmp(c->windivert_dir, "/some/where") == 0 && strcmp(c->log_path, "") == 0)
    EXPECT(c->log_fn != NULL)
#undef EXPECT
    return NULL;
}

uint32_t redirector_start(const redirector_config *config, redirector **out, redirector_error *error)
{
    const char *wrong = wrong_in(config);
    *out = NULL;
    if (error->size != sizeof *error) {
        return REDIRECTOR_INTERNAL;
    }
    if (wrong) {
        refuse(error, wrong);
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    *out = calloc(1, sizeof **out);
    if (config->log_fn) {
        config->log_fn(config->log_context, REDIRECTOR_LOG_INFO, "mock started");
    }
    return REDIRECTOR_OK;
}

uint32_t redirector_stop(redirector *r)
{
    return r ? REDIRECTOR_OK : REDIRECTOR_INVALID_ARGUMENT;
}

void redirector_free(redirector *r)
{
    free(r);
}

uint32_t redirector_get_state(redirector *r, redirector_error *why)
{
    if (why) {
        why->os_error = 5;
        why->code = r->forgotten ? REDIRECTOR_ENGINE_STALLED : REDIRECTOR_OK;
        strcpy(why->text, r->forgotten ? "the mock has failed" : "the mock has its limits");
    }
    return r->forgotten ? REDIRECTOR_FAILED : REDIRECTOR_RUNNING;
}

/* Peers with port 1, and 127.0.0.2, are strangers; those with a scope were going to the same one of fe80::7. Others were
 * going to MOCK_DESTINATION (a port of 127.0.0.1), or to fd00::7 port 443 (IPv6) and 10.1.2.3 port 80 (IPv4), by UDP port 53,
 * if the peer's address has come through. */
uint32_t redirector_lookup(redirector *r, const redirector_address *peer, redirector_destination *out)
{
    const uint8_t loopback4[16] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1}, link_local[16] = {0xfe, 0x80, [15] = 9};
    const uint8_t stranger4[16] = {127, 0, 0, 2};
    const char *elsewhere = getenv("MOCK_DESTINATION");
    bool udp = out->protocol == REDIRECTOR_UDP;
    if (peer->port == 1 || !memcmp(peer->bytes, stranger4, 16)) {
        return REDIRECTOR_NOT_FOUND;
    }
    if (!r || out->size != sizeof *out || (!udp && out->protocol != REDIRECTOR_TCP && out->protocol != 0) ||
        memcmp(peer->bytes,
               peer->family == 4 ? loopback4
               : peer->scope     ? link_local
                                 : loopback6,
               16)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    out->protocol = udp ? REDIRECTOR_UDP : REDIRECTOR_TCP;
    out->pid = 1004;
    out->incoming = peer->family == 6;
    out->connection_id = 1ull << 40 | peer->port;
    out->upstream = 11;
    out->destination = (redirector_address){.family = peer->family, .port = udp ? 53 : peer->family == 6 ? 443 : 80};
    inet_pton(AF_INET6, peer->scope ? "fe80::7" : "fd00::7", out->destination.bytes);
    out->destination.scope = peer->scope;
    if (peer->family == 4) {
        memcpy(out->destination.bytes, (uint8_t[16]){10, 1, 2, 3}, 16);
    }
    if (elsewhere) {
        out->destination =
            (redirector_address){.family = 4, .port = (uint32_t)atoi(elsewhere), .bytes = {127, 0, 0, 1}};
    }
    return REDIRECTOR_OK;
}

/* Of UDP peers 5 has a flow. */
uint32_t redirector_udp_unreachable(redirector *r, const redirector_address *peer)
{
    if (!r || (peer->family != 4 && peer->family != 6)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return peer->port == 5 ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
}

/* One connection for whoever waits for 100 ms, none for others; it takes one decision. */
uint32_t redirector_next_connection(redirector *r, redirector_connection *out, uint32_t timeout_ms)
{
    if (!r || out->size != sizeof *out) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (timeout_ms != 100) {
        return REDIRECTOR_NOT_FOUND;
    }
    out->pid = 1004;
    out->connection_id = 7ull << 40 | 7;
    out->client = (redirector_address){4, 100, {10, 0, 0, 1}};
    out->destination = (redirector_address){4, 200, {10, 0, 0, 2}};
    out->upstream = 12;
    return REDIRECTOR_OK;
}

uint32_t redirector_decide(redirector *r, uint64_t connection_id, uint32_t decision)
{
    if (!r || decision != REDIRECTOR_REFUSE) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    return connection_id == (7ull << 40 | 7) ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
}

uint32_t redirector_forget(redirector *r, const redirector_address *peer)
{
    r->forgotten++;
    return peer->port == 1 ? REDIRECTOR_NOT_FOUND : REDIRECTOR_OK;
}

/* It takes none, and one that redirects process 7. */
static bool rules_are_right(const redirector_rule *rules, uint32_t count, redirector_error *error)
{
    if (count == 0 || (count == 1 && rules[0].pid == 7 && rules[0].size == sizeof *rules &&
                       rules[0].action == REDIRECTOR_RULE_REDIRECT)) {
        return true;
    }
    refuse(error, "the rule about process 7");
    return false;
}

uint32_t redirector_set_rules(redirector *r, const redirector_rule *rules, uint32_t count, redirector_error *error)
{
    if (!r || error->size != sizeof *error || !rules_are_right(rules, count, error)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    r->rules = count;
    return REDIRECTOR_OK;
}

static const char *wrong_in_case(const redirector_rule_case *c)
{
#define EXPECT(condition)                                                                                              \
    if (!(condition)) {                                                                                                \
        return #condition;                                                                                             \
    }
    EXPECT(c->size == sizeof *c && c->in_tree == 0 && c->pid == 9 && c->protocol == REDIRECTOR_UDP)
    EXPECT(c->direction == REDIRECTOR_INCOMING && c->address.family == 6 && c->address.port == 5500)
    EXPECT(!memcmp(c->address.bytes, (uint8_t[16]){0x20, 1, 0xd, 0xb8, [15] = 1}, 16))
    EXPECT(same(c->program, "c:\\a.exe") && same(c->listener, "c:\\b.exe") && same(c->host, "a.test"))
#undef EXPECT
    return NULL;
}

/* A connection of TCP is decided by the tree alone; the other one has to have everything. */
uint32_t redirector_test_rules(const redirector_rule *rules, uint32_t count, const redirector_rule_case *connection,
                               redirector_rule_verdict *verdict, redirector_error *error)
{
    if (error->size != sizeof *error || verdict->size != sizeof *verdict || !rules_are_right(rules, count, error)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    if (connection->protocol == REDIRECTOR_TCP && connection->in_tree == 1 && !connection->program &&
        !connection->listener && !connection->host && connection->direction == REDIRECTOR_OUTGOING) {
        *verdict = (redirector_rule_verdict){sizeof *verdict, REDIRECTOR_RULE_REDIRECT, REDIRECTOR_NO_RULE, 0};
        return REDIRECTOR_OK;
    }
    const char *wrong = wrong_in_case(connection);
    if (wrong) {
        refuse(error, wrong);
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    *verdict = (redirector_rule_verdict){sizeof *verdict, REDIRECTOR_RULE_BLOCK, 3, 11};
    return REDIRECTOR_OK;
}

uint32_t redirector_tell_name(redirector *r, const redirector_address *address, const char *name)
{
    const uint8_t wanted[16] = {192, 0, 2, 1};
    return r && address->family == 4 && !memcmp(address->bytes, wanted, 16) && !strcmp(name, "a.test")
               ? REDIRECTOR_OK
               : REDIRECTOR_INVALID_ARGUMENT;
}

/* Forty connections, each field of each another number. */
uint32_t redirector_list_flows(redirector *r, redirector_flow *flows, uint32_t capacity, uint32_t *total)
{
    if (!r || flows->size != sizeof *flows) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    *total = 40;
    for (uint32_t i = 0; i < capacity && i < *total; i++) {
        flows[i] = (redirector_flow){
            .size = sizeof *flows,
            .pid = 1000 + i,
            .kind = i % 2,
            .state = 1 + i % 3,
            .client = {4, 100 + i, {10, 0, 0, 1}, 0},
            .destination = {4, 200 + i, {10, 0, 0, 2}, 0},
            .peer = {6, 300 + i, {0xfe, 0x80, [15] = 9}, i},
            .protocol = i % 4 == 3 ? REDIRECTOR_UDP : REDIRECTOR_TCP,
            .bytes_up = 1ull << 40 | i,
            .bytes_down = 2ull << 40 | i,
            .packets_up = 3ull << 40 | i,
            .packets_down = 4ull << 40 | i,
            .opened_ms = 5ull << 40 | i,
            .age_ms = 6ull << 40 | i,
        };
    }
    return REDIRECTOR_OK;
}

/* Each counter is its place. */
uint32_t redirector_get_stats(redirector *r, redirector_stats *stats)
{
    if (!r || stats->size != sizeof *stats) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    uint64_t *counters = &stats->flows_total;
    stats->flows_live = 99;
    for (uint64_t i = 0; i < (sizeof *stats - 8) / 8; i++) {
        counters[i] = i + 1;
    }
    return REDIRECTOR_OK;
}

const char *redirector_status_name(uint32_t status)
{
    return status == REDIRECTOR_INVALID_ARGUMENT ? "INVALID_ARGUMENT" : "ANOTHER";
}

const char *redirector_version(void)
{
    return REDIRECTOR_VERSION_STRING;
}

/* ---- the classic calls, which know process 1000 and a connection from port 4000 */

static redirector_error last_error;

uint32_t start_redirector(uint32_t client_pid, uint32_t agent_pid, uint32_t proxy_port, uint32_t incoming_proxy)
{
    last_error = (redirector_error){0};
    if (client_pid == 1000 && agent_pid == 500 && proxy_port == 8080 && incoming_proxy == 8081) {
        return 1;
    }
    last_error.code = REDIRECTOR_NO_SUCH_PROCESS;
    last_error.os_error = 87;
    strcpy(last_error.text, "the mock knows process 1000 alone");
    return 0;
}

uint32_t stop_redirector(void)
{
    return 1;
}

WinDest get_destination(uint32_t src_port)
{
    return src_port == 4000 ? (WinDest){6, 0, {0x20010DB8, 0, 0, 1}, 443, 1004} : (WinDest){0};
}

uint32_t delete_destination(uint32_t src_port)
{
    return src_port == 4000;
}

void free_windest(WinDest dest)
{
    (void)dest;
}

uint32_t redirector_last_error(redirector_error *error)
{
    if (error->size != sizeof *error) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    *error = last_error;
    error->size = sizeof *error;
    return REDIRECTOR_OK;
}
