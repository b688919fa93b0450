/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The calls about rules: they check their arguments, convert them, and call the service or the engine's rules. */
#include "address.h"
#include "config.h"
#include "engine/names.h"
#include "engine/rules.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

/* Fills in *error, if there is one, and gives its status. */
static redirector_status fail(redirector_status status, const char *detail, redirector_error *error)
{
    redirector_error local = {.size = sizeof local};
    error_clear(&local);
    if (status != REDIRECTOR_OK) {
        error_set(&local, status, 0, detail);
    }
    if (error) {
        error_copy(error, &local);
    }
    return status;
}

static bool error_fits(redirector_error *error)
{
    return !error || error_copy(error, NULL);
}

uint32_t redirector_set_rules(redirector *r, const redirector_rule *rules, uint32_t count, redirector_error *error)
{
    struct rules *copy = NULL;
    char detail[CONFIG_DETAIL_SIZE] = "";
    if (!r || !error_fits(error)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    redirector_status status = config_take_rules(rules, count, &copy, detail);
    if (status == REDIRECTOR_OK && !service_set_rules(r, copy)) {
        status = REDIRECTOR_NOT_RUNNING;
    }
    return fail(status, detail, error);
}

/* NULL, or what is wrong with it. */
static const char *case_from_public(const redirector_rule_case *in, struct rule_case *out)
{
    struct tuple t;
    if (in->size != sizeof *in) {
        return "the connection's size field is not sizeof(redirector_rule_case)";
    }
    if (in->in_tree > 1 || (in->protocol != REDIRECTOR_TCP && in->protocol != REDIRECTOR_UDP) ||
        (in->direction != REDIRECTOR_OUTGOING && in->direction != REDIRECTOR_INCOMING)) {
        return "the connection's in_tree, protocol or direction is not valid";
    }
    if (!address_from_public(&in->address, &t)) {
        return "the connection's address has no such family, or a port outside 1 to 65535";
    }
    *out = (struct rule_case){.in_tree = in->in_tree,
                              .pid = in->pid,
                              .path = in->program ? in->program : "",
                              .protocol = (uint8_t)in->protocol,
                              .direction = in->direction == REDIRECTOR_OUTGOING ? RULE_OUTGOING : RULE_INCOMING,
                              .family = t.family,
                              .address = t.src,
                              .port = (uint16_t)in->address.port,
                              .listener = in->listener ? in->listener : "",
                              .host = in->host ? in->host : ""};
    return NULL;
}

uint32_t redirector_test_rules(const redirector_rule *rules, uint32_t count, const redirector_rule_case *connection,
                               redirector_rule_verdict *verdict, redirector_error *error)
{
    struct rule_case c;
    struct rules *copy = NULL;
    char detail[CONFIG_DETAIL_SIZE] = "";
    if (!connection || !verdict || verdict->size != sizeof *verdict || !error_fits(error)) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    const char *wrong = case_from_public(connection, &c);
    if (wrong) {
        return fail(REDIRECTOR_INVALID_ARGUMENT, wrong, error);
    }
    redirector_status status = config_take_rules(rules, count, &copy, detail);
    if (status == REDIRECTOR_OK) {
        struct rule_verdict v = rules_judge(copy, &c);
        verdict->action = v.action;
        verdict->rule = v.rule;
        verdict->upstream = v.upstream;
    }
    rules_free(copy);
    return fail(status, detail, error);
}

uint32_t redirector_tell_name(redirector *r, const redirector_address *address, const char *name)
{
    struct tuple t;
    redirector_address any_port;
    size_t length = name ? strnlen(name, NAME_BYTES) : 0;
    if (!r || !address || !length || length == NAME_BYTES) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    any_port = *address;
    any_port.port = 1;
    return address_from_public(&any_port, &t) ? service_tell_name(r, &t, name) : REDIRECTOR_INVALID_ARGUMENT;
}
