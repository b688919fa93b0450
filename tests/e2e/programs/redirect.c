/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The library's calls, one command each. A "start" remembers which interface it used; lookups of the proxy go the same way.
 * Several redirectors of the extended interface may run: all but the first are named by `instance`, 1 to 3.
 *
 *   start [api=classic|extended] client [agent] proxy [incoming] [flags] [hold_timeout_ms] [scan_interval_ms]
 *         [decision_timeout_ms] [udp] [udp_idle_ms] [level] [log] [dir] [rules] [upstream]
 *   set_rules rules                      see rules_parse()
 *   change_rules rules other n           sets the one and the other in turn, n times, as fast as it goes
 *   stop, free, last_error
 *   next [ms], decide id decision        the next connection to decide about, within so many milliseconds; the decision
 *   lookup peer [protocol], forget peer  by address and port
 *   get port, delete port                the classic calls
 *
 * `dir` is relative to the program's folder: the library wants absolute paths.
 */
#include "endpoint.h"
#include "proxy.h"
#include "rule_words.h"

#include "windows_redirector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANCES = 4 };

static redirector *volatile instances[INSTANCES]; /* of the extended interface */

static redirector *volatile *instance_of(const struct command *c)
{
    return &instances[command_number(c, "instance", 0) % INSTANCES];
}

static redirector_address to_public(const struct sockaddr_storage *a)
{
    redirector_address out = {.family = a->ss_family == AF_INET6 ? 6 : 4};
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    out.port = ntohs(v4->sin_port); /* the same place in both */
    memcpy(out.bytes, out.family == 6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
           out.family == 6 ? 16 : 4);
    out.scope = out.family == 6 ? v6->sin6_scope_id : 0;
    return out;
}

static struct sockaddr_storage from_public(const redirector_address *a)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
    out.ss_family = a->family == 6 ? AF_INET6 : AF_INET;
    v4->sin_port = htons((u_short)a->port);
    memcpy(a->family == 6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr, a->bytes, a->family == 6 ? 16 : 4);
    v6->sin6_scope_id = a->family == 6 ? a->scope : 0;
    return out;
}

static struct destination_found from_windest(const WinDest *d)
{
    struct destination_found out = {.status = d->ip_version ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND};
    redirector_address a = {.family = d->ip_version, .port = d->dest_port};
    for (int i = 0; i < 4; i++) {
        uint32_t word = d->ip_version == 6 ? d->dest_ip6[i] : i == 0 ? d->dest_ip4 : 0;
        for (int k = 0; k < 4; k++) {
            a.bytes[4 * i + k] = (uint8_t)(word >> (24 - 8 * k));
        }
    }
    out.pid = d->kernel_pid;
    out.address = from_public(&a);
    return out;
}

struct destination_found redirect_lookup(const struct sockaddr_storage *peer, unsigned instance, unsigned protocol)
{
    redirector_address a = to_public(peer);
    redirector *r = instances[instance % INSTANCES];
    if (!r) {
        WinDest d = get_destination(a.port);
        struct destination_found out = from_windest(&d);
        free_windest(d);
        return out;
    }
    redirector_destination d = {.size = sizeof d, .protocol = protocol};
    struct destination_found out = {.status = redirector_lookup(r, &a, &d)};
    if (out.status == REDIRECTOR_OK && d.protocol == protocol) {
        out.pid = d.pid;
        out.incoming = d.incoming != 0;
        out.connection_id = d.connection_id;
        out.upstream = d.upstream;
        out.address = from_public(&d.destination);
    }
    return out;
}

unsigned redirect_unreachable(const struct sockaddr_storage *peer, unsigned instance)
{
    redirector_address a = to_public(peer);
    return redirector_udp_unreachable(instances[instance % INSTANCES], &a);
}

unsigned redirect_list(redirector_flow *flows, uint32_t capacity, uint32_t *total, unsigned instance)
{
    return redirector_list_flows(instances[instance % INSTANCES], flows, capacity, total);
}

struct sockaddr_storage redirect_address(const redirector_address *address)
{
    return from_public(address);
}

static void describe_error(const redirector_error *error, struct json *answer)
{
    json_number(answer, "status", error->code);
    json_string(answer, "status_name", redirector_status_name(error->code));
    json_number(answer, "os_error", error->os_error);
    json_string(answer, "text", error->text);
}

static void describe_last_error(struct json *answer)
{
    redirector_error error = {.size = sizeof error};
    redirector_last_error(&error);
    describe_error(&error, answer);
}

static uint32_t start_extended(const struct command *c, redirector_error *error)
{
    char folder[MAX_PATH], path[2 * MAX_PATH], rules_text[COMMAND_LINE_MAX];
    redirector_rule rules[RULES];
    snprintf(rules_text, sizeof rules_text, "%s", command_text(c, "rules", ""));
    const char *dir = command_text(c, "dir", NULL);
    struct sockaddr_storage at;
    const char *upstream = command_text(c, "upstream", NULL);
    redirector_address upstream_address = {0};
    if (upstream && address_parse(upstream, &at)) {
        upstream_address = to_public(&at);
    }
    if (dir) {
        GetModuleFileNameA(NULL, folder, sizeof folder);
        *strrchr(folder, '\\') = '\0';
        snprintf(path, sizeof path, "%s\\%s", folder, dir);
    }
    uint32_t listen_port = (uint32_t)command_number(c, "listen_port", 0);
    redirector_config config = {
        .size = sizeof config,
        .listen_ports = &listen_port,
        .listen_port_count = listen_port != 0,
        .client_pid = (uint32_t)command_number(c, "client", 0),
        .agent_pid = (uint32_t)command_number(c, "agent", 0),
        .proxy_port = (uint32_t)command_number(c, "proxy", 0),
        .incoming_port = (uint32_t)command_number(c, "incoming", 0),
        .flags = (uint32_t)command_number(c, "flags", 0),
        .hold_timeout_ms = (uint32_t)command_number(c, "hold_timeout_ms", 0),
        .log_level = (uint32_t)command_number(c, "level", 0),
        .scan_interval_ms = (uint32_t)command_number(c, "scan_interval_ms", 0),
        .decision_timeout_ms = (uint32_t)command_number(c, "decision_timeout_ms", 0),
        .udp_port = (uint32_t)command_number(c, "udp", 0),
        .udp_idle_ms = (uint32_t)command_number(c, "udp_idle_ms", 0),
        .rule_count = rules_parse(rules_text, rules),
        .rules = rules,
        .upstream_count = upstream ? 1 : 0,
        .upstreams = &upstream_address,
        .windivert_dir = dir ? path : NULL,
        .log_path = command_text(c, "log", NULL),
    };
    redirector *started = NULL;
    uint32_t status = redirector_start(&config, &started, error);
    *instance_of(c) = started;
    return status;
}

static void command_start(const struct command *c, struct json *answer)
{
    uint64_t began = actor_now_ms();
    if (strcmp(command_text(c, "api", "extended"), "classic") == 0) {
        uint32_t result =
            start_redirector((uint32_t)command_number(c, "client", 0), (uint32_t)command_number(c, "agent", 0),
                             (uint32_t)command_number(c, "proxy", 0), (uint32_t)command_number(c, "incoming", 0));
        json_number(answer, "result", result);
        describe_last_error(answer);
    } else if (*instance_of(c)) {
        json_error(answer, "the harness has started twice", ERROR_ALREADY_EXISTS);
    } else {
        redirector_error error = {.size = sizeof error};
        json_number(answer, "result", start_extended(c, &error) == REDIRECTOR_OK);
        describe_error(&error, answer);
    }
    json_number(answer, "ms", (long long)(actor_now_ms() - began));
}

/* Stops both kinds; the object of the extended interface stays, for lookups that must miss. */
static void command_stop(const struct command *c, struct json *answer)
{
    uint64_t began = actor_now_ms();
    uint32_t status = REDIRECTOR_OK;
    if (strcmp(command_text(c, "api", "extended"), "classic") == 0) {
        json_number(answer, "result", stop_redirector());
    } else {
        redirector *r = *instance_of(c);
        status = r ? redirector_stop(r) : REDIRECTOR_NOT_RUNNING;
        json_number(answer, "result", status == REDIRECTOR_OK);
    }
    json_number(answer, "status", status);
    json_number(answer, "ms", (long long)(actor_now_ms() - began));
}

static void command_free(const struct command *c, struct json *answer)
{
    (void)answer;
    redirector *r = *instance_of(c);
    *instance_of(c) = NULL;
    redirector_free(r);
}

static uint32_t set_rules(const struct command *c, const char *words)
{
    char text[COMMAND_LINE_MAX];
    redirector_rule rules[RULES];
    snprintf(text, sizeof text, "%s", command_text(c, words, ""));
    uint32_t count = rules_parse(text, rules);
    return redirector_set_rules(*instance_of(c), rules, count, NULL);
}

static void command_set_rules(const struct command *c, struct json *answer)
{
    json_number(answer, "status", set_rules(c, "rules"));
}

static void command_change_rules(const struct command *c, struct json *answer)
{
    uint64_t began = actor_now_ms(), n = command_number(c, "n", 1);
    uint32_t refused = 0;
    for (uint64_t i = 0; i < n; i++) {
        refused += set_rules(c, i % 2 ? "other" : "rules") != REDIRECTOR_OK;
    }
    json_number(answer, "refused", refused);
    json_number(answer, "ms", (long long)(actor_now_ms() - began));
}

static void command_tell_name(const struct command *c, struct json *answer)
{
    struct sockaddr_storage at;
    if (!address_parse(command_text(c, "address", ""), &at)) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    redirector_address address = to_public(&at);
    json_number(answer, "status", redirector_tell_name(*instance_of(c), &address, command_text(c, "host", "")));
}

unsigned redirect_stats(redirector_stats *stats, unsigned instance)
{
    return redirector_get_stats(instances[instance % INSTANCES], stats);
}

static void command_last_error(const struct command *c, struct json *answer)
{
    (void)c;
    describe_last_error(answer);
}

static void describe_found(const struct destination_found *found, struct json *answer)
{
    char text[ADDRESS_TEXT_MAX];
    json_number(answer, "status", found->status);
    if (found->status == REDIRECTOR_OK) {
        json_string(answer, "destination", address_text(&found->address, text));
        json_number(answer, "pid", found->pid);
        json_number(answer, "incoming", found->incoming);
        json_number(answer, "connection_id", (long long)found->connection_id);
    }
}

static void command_next(const struct command *c, struct json *answer)
{
    char text[ADDRESS_TEXT_MAX];
    redirector_connection next = {.size = sizeof next};
    uint32_t status = redirector_next_connection(*instance_of(c), &next, (uint32_t)command_number(c, "ms", 10000));
    json_number(answer, "status", status);
    if (status == REDIRECTOR_OK) {
        struct sockaddr_storage client = from_public(&next.client), destination = from_public(&next.destination);
        json_number(answer, "id", (long long)next.connection_id);
        json_number(answer, "pid", next.pid);
        json_string(answer, "client", address_text(&client, text));
        json_string(answer, "destination", address_text(&destination, text));
    }
}

static void command_decide(const struct command *c, struct json *answer)
{
    json_number(
        answer, "status",
        redirector_decide(*instance_of(c), command_number(c, "id", 0), (uint32_t)command_number(c, "decision", 0)));
}

static void command_lookup(const struct command *c, struct json *answer)
{
    struct sockaddr_storage peer;
    if (!address_parse(command_text(c, "peer", ""), &peer)) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    struct destination_found found = redirect_lookup(&peer, (unsigned)command_number(c, "instance", 0),
                                                     (unsigned)command_number(c, "protocol", REDIRECTOR_TCP));
    describe_found(&found, answer);
}

unsigned redirect_forget(const struct sockaddr_storage *peer)
{
    redirector_address a = to_public(peer);
    if (!instances[0]) {
        return delete_destination(a.port) ? REDIRECTOR_OK : REDIRECTOR_NOT_FOUND;
    }
    return redirector_forget(instances[0], &a);
}

static void command_forget(const struct command *c, struct json *answer)
{
    struct sockaddr_storage peer;
    if (!address_parse(command_text(c, "peer", ""), &peer)) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    json_number(answer, "status", redirect_forget(&peer));
}

static void command_state(const struct command *c, struct json *answer)
{
    redirector_error why = {.size = sizeof why};
    json_number(answer, "state", redirector_get_state(*instance_of(c), &why));
    json_string(answer, "why", redirector_status_name(why.code));
    json_string(answer, "text", why.text);
}

static void command_get(const struct command *c, struct json *answer)
{
    WinDest d = get_destination((uint32_t)command_number(c, "port", 0));
    struct destination_found found = from_windest(&d);
    json_number(answer, "ip_version", d.ip_version);
    json_number(answer, "all_zero", memcmp(&d, &(WinDest){0}, sizeof d) == 0);
    describe_found(&found, answer);
    free_windest(d);
}

static void command_delete(const struct command *c, struct json *answer)
{
    json_number(answer, "result", delete_destination((uint32_t)command_number(c, "port", 0)));
}

const struct command_entry agent_commands[] = {
    {"start", command_start},
    {"stop", command_stop},
    {"free", command_free},
    {"set_rules", command_set_rules},
    {"change_rules", command_change_rules},
    {"tell_name", command_tell_name},
    {"next", command_next},
    {"decide", command_decide},
    {"hammer", command_hammer},
    {"hammer_hits", command_hammer_hits},
    {"stats", command_stats},
    {"last_error", command_last_error},
    {"lookup", command_lookup},
    {"forget", command_forget},
    {"get", command_get},
    {"delete", command_delete},
    {"memory", command_memory},
    {"freeze", command_freeze},
    {"thaw", command_thaw},
    {"state", command_state},
    {"mappings", command_mappings},
    {"proxy", command_proxy},
    {"proxied", command_proxied},
    {"proxy_close_all", command_proxy_close_all},
    {"datagram_proxy", command_datagram_proxy},
    {"datagram_peers", command_datagram_peers},
    {"datagram_unreachable", command_datagram_unreachable},
    {"datagram_proxy_close_all", command_datagram_proxy_close_all},
    {"flows", command_flows},
    {NULL, NULL},
};
