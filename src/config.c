/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a structure that begins with its size grows at its end. A program that was built with an earlier
 * header passes an earlier size; that many bytes are copied over zeroes, and 0 is the default of every field. Any other
 * size is refused: it is an error of the caller, or the program is newer than the library.
 */
#include "config.h"

#include "address.h"
#include "engine/engine.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

enum { HOLD_TIMEOUT_MS_MAX = 1000, SCAN_INTERVAL_MS_MIN = 100, SCAN_INTERVAL_MS_MAX = 600000, ROOTS_MAX = 4096 };
enum { DECISION_TIMEOUT_MS_MAX = 60000, UDP_IDLE_MS_MIN = 1000, UDP_IDLE_MS_MAX = 3600000 };

static redirector_status invalid(char detail[CONFIG_DETAIL_SIZE], const char *text)
{
    snprintf(detail, CONFIG_DETAIL_SIZE, "%s", text);
    return REDIRECTOR_INVALID_ARGUMENT;
}

static redirector_status check_upstreams(const redirector_address *upstreams, uint32_t count,
                                         char detail[CONFIG_DETAIL_SIZE])
{
    struct tuple ignored;
    if (count > ENGINE_UPSTREAMS_MAX) {
        return invalid(detail, "more than 64 upstreams");
    }
    if (count && !upstreams) {
        return invalid(detail, "upstreams is NULL, but upstream_count is not 0");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!address_from_public(&upstreams[i], &ignored)) {
            snprintf(detail, CONFIG_DETAIL_SIZE, "upstream %lu: no such family, or a port outside 1 to 65535",
                     (unsigned long)i);
            return REDIRECTOR_INVALID_ARGUMENT;
        }
    }
    return REDIRECTOR_OK;
}

static redirector_status check_listen_ports(const redirector_config *c, char detail[CONFIG_DETAIL_SIZE])
{
    if (c->listen_port_count > ENGINE_LISTEN_PORTS_MAX) {
        return invalid(detail, "more than 64 listen_ports");
    }
    if (c->listen_port_count && !c->listen_ports) {
        return invalid(detail, "listen_ports is NULL, but listen_port_count is not 0");
    }
    if (c->listen_port_count && !c->incoming_port) {
        return invalid(detail, "listen_ports have no meaning without an incoming_port");
    }
    for (uint32_t i = 0; i < c->listen_port_count; i++) {
        if (!c->listen_ports[i] || c->listen_ports[i] > PORT_MAX) {
            return invalid(detail, "one of listen_ports is not 1 to 65535");
        }
    }
    return REDIRECTOR_OK;
}

static redirector_status check_numbers(const redirector_config *c, char detail[CONFIG_DETAIL_SIZE])
{
    const uint32_t known_flags = REDIRECTOR_KEEP_FLOWS_ON_STOP | REDIRECTOR_REFLECT | REDIRECTOR_FAIL_CLOSED |
                                 REDIRECTOR_DESCENDANTS_ONLY | REDIRECTOR_UNLOAD_DRIVER | REDIRECTOR_NO_LOOPBACK |
                                 REDIRECTOR_CAPTURE_ALL | REDIRECTOR_NO_FIREWALL_PERMIT | REDIRECTOR_NO_PROOF |
                                 REDIRECTOR_DEBUG_PRIVILEGE | REDIRECTOR_SMALL_SEGMENTS;
    if (c->proxy_port > PORT_MAX || c->incoming_port > PORT_MAX || c->udp_port > PORT_MAX) {
        return REDIRECTOR_PORT_INVALID;
    }
    if (!c->proxy_port && !c->incoming_port && !c->udp_port) {
        return REDIRECTOR_NO_PORT;
    }
    if (c->flags & ~known_flags) {
        return invalid(detail, "unknown flags");
    }
    if (c->hold_timeout_ms > HOLD_TIMEOUT_MS_MAX) {
        return invalid(detail, "hold_timeout_ms is above 1000");
    }
    if (c->log_level > REDIRECTOR_LOG_DEBUG) {
        return invalid(detail, "no such log level");
    }
    if (c->scan_interval_ms &&
        (c->scan_interval_ms < SCAN_INTERVAL_MS_MIN || c->scan_interval_ms > SCAN_INTERVAL_MS_MAX)) {
        return invalid(detail, "scan_interval_ms is not within 100 to 600000");
    }
    if (c->root_count > ROOTS_MAX) {
        return invalid(detail, "more than 4096 roots");
    }
    if (c->root_count && !c->roots) {
        return invalid(detail, "roots is NULL, but root_count is not 0");
    }
    if (c->decision_timeout_ms > DECISION_TIMEOUT_MS_MAX) {
        return invalid(detail, "decision_timeout_ms is above 60000");
    }
    if (c->udp_idle_ms && (c->udp_idle_ms < UDP_IDLE_MS_MIN || c->udp_idle_ms > UDP_IDLE_MS_MAX)) {
        return invalid(detail, "udp_idle_ms is not within 1000 to 3600000");
    }
    redirector_status status = check_upstreams(c->upstreams, c->upstream_count, detail);
    return status ? status : check_listen_ports(c, detail);
}

redirector_status config_take(const redirector_config *in, redirector_config *out, char detail[CONFIG_DETAIL_SIZE])
{
    *detail = 0;
    if (!in) {
        return invalid(detail, "the configuration is NULL");
    }
    if (in->size != sizeof *in && in->size != offsetof(redirector_config, roots) &&
        in->size != offsetof(redirector_config, upstreams) && in->size != offsetof(redirector_config, listen_ports) &&
        in->size != offsetof(redirector_config, udp_port)) {
        return invalid(detail, "the configuration's size field is not sizeof(redirector_config)");
    }
    memset(out, 0, sizeof *out);
    memcpy(out, in, in->size);
    out->size = sizeof *out;
    out->agent_pid = out->agent_pid ? out->agent_pid : GetCurrentProcessId();
    return check_numbers(out, detail);
}

/* NULL, or what is wrong with it. */
static const char *add_rule(struct rules *rules, const redirector_rule *r)
{
    if (r->size != sizeof *r) {
        return "its size field is not sizeof(redirector_rule)";
    }
    if (r->action > UINT8_MAX || r->direction > UINT8_MAX || r->protocol > UINT8_MAX || r->prefix_length > UINT8_MAX) {
        return "its action, direction, protocol or prefix length is not valid";
    }
    if (r->first_port > PORT_MAX || r->last_port > PORT_MAX) {
        return "a port is above 65535";
    }
    struct rule rule = {.action = r->action,
                        .direction = r->direction,
                        .protocol = (uint8_t)r->protocol,
                        .prefix_length = (uint8_t)r->prefix_length,
                        .first_port = (uint16_t)r->first_port,
                        .last_port = (uint16_t)r->last_port,
                        .family = r->family,
                        .network =
                            r->family == FAMILY_IP4 ? ip_addr_from_ip4(r->network) : ip_addr_from_ip6(r->network),
                        .pid = r->pid,
                        .program = r->pattern,
                        .listener = r->listener,
                        .host = r->host,
                        .upstream = r->upstream};
    return rules_add(rules, &rule);
}

redirector_status config_take_rules(const redirector_rule *rules, uint32_t count, struct rules **out,
                                    char detail[CONFIG_DETAIL_SIZE])
{
    *detail = 0;
    *out = NULL;
    if (count > RULES_MAX) {
        return invalid(detail, "more than 256 rules");
    }
    if (count && !rules) {
        return invalid(detail, "rules is NULL, but their count is not 0");
    }
    struct rules *copy = count ? rules_new() : NULL;
    for (uint32_t i = 0; copy && i < count; i++) {
        const char *wrong = add_rule(copy, &rules[i]);
        if (wrong) {
            rules_free(copy);
            snprintf(detail, CONFIG_DETAIL_SIZE, "rule %lu: %s", (unsigned long)i, wrong);
            return REDIRECTOR_INVALID_ARGUMENT;
        }
    }
    *out = copy;
    return count && !copy ? REDIRECTOR_NO_MEMORY : REDIRECTOR_OK;
}
