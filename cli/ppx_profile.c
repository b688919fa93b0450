/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the parser walks through the profile with a stack of the elements' names, and what it meets goes
 * to the newest proxy, chain or rule. Elements that are not known are passed over.
 */
#include "ppx_profile.h"

#include "xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16, NAME_BYTES = 40 };

struct reading {
    struct xml *xml;
    struct ppx_profile *out;
    char path[DEPTH_MAX][NAME_BYTES]; /* the elements that have begun */
    uint32_t depth;
    char *text; /* of the innermost one */
    char *wrong;
};

static bool fail(struct reading *r, const char *what)
{
    snprintf(r->wrong, 160, "line %u: %s", (unsigned)xml_line(r->xml), what);
    return false;
}

/* Whether the innermost elements are these, "List/Item/Part". */
static bool is_at(const struct reading *r, const char *path)
{
    char here[3 * NAME_BYTES] = "";
    for (uint32_t i = 1; i < r->depth && i < DEPTH_MAX; i++) {
        size_t used = strlen(here);
        snprintf(here + used, sizeof here - used, "%s%s", i > 1 ? "/" : "", r->path[i]);
    }
    return strcmp(here, path) == 0;
}

static uint32_t number(const char *text)
{
    while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n') {
        text++;
    }
    return (uint32_t)strtoul(text, NULL, 10);
}

static bool is_on(struct reading *r)
{
    return strcmp(xml_attribute(r->xml, "enabled"), "false") != 0;
}

static bool begin_proxy(struct reading *r)
{
    if (r->out->proxy_count == PPX_PROXIES_MAX) {
        return fail(r, "more than 64 proxies");
    }
    struct ppx_proxy *p = &r->out->proxies[r->out->proxy_count++];
    p->id = number(xml_attribute(r->xml, "id"));
    snprintf(p->type, sizeof p->type, "%s", xml_attribute(r->xml, "type"));
    return true;
}

static bool begin_chain(struct reading *r)
{
    if (r->out->chain_count == PPX_CHAINS_MAX) {
        return fail(r, "more than 64 chains");
    }
    struct ppx_chain *c = &r->out->chains[r->out->chain_count++];
    c->id = number(xml_attribute(r->xml, "id"));
    snprintf(c->type, sizeof c->type, "%s", xml_attribute(r->xml, "type"));
    return true;
}

static bool begin_rule(struct reading *r)
{
    if (r->out->rule_count == PPX_RULES_MAX) {
        return fail(r, "more than 256 rules");
    }
    r->out->rules[r->out->rule_count++].on = is_on(r);
    return true;
}

static bool begin(struct reading *r)
{
    if (r->depth == DEPTH_MAX) {
        return fail(r, "elements are nested too deep");
    }
    snprintf(r->path[r->depth++], NAME_BYTES, "%s", xml_text(r->xml));
    free(r->text);
    r->text = NULL;
    struct ppx_profile *p = r->out;
    if (r->depth == 1 && strcmp(r->path[0], "ProxifierProfile") != 0) {
        return fail(r, "it is no profile of Proxifier");
    }
    if (is_at(r, "ProxyList/Proxy")) {
        return begin_proxy(r);
    }
    if (is_at(r, "ProxyList/Proxy/Authentication") && p->proxy_count) {
        p->proxies[p->proxy_count - 1].login = strcmp(xml_attribute(r->xml, "enabled"), "true") == 0;
    } else if (is_at(r, "ChainList/Chain")) {
        return begin_chain(r);
    } else if (is_at(r, "ChainList/Chain/Proxy") && p->chain_count && !is_on(r)) {
        snprintf(r->path[r->depth - 1], NAME_BYTES, "-"); /* passed over */
    } else if (is_at(r, "RuleList/Rule")) {
        return begin_rule(r);
    } else if (is_at(r, "RuleList/Rule/Action") && p->rule_count) {
        struct ppx_rule *rule = &p->rules[p->rule_count - 1];
        snprintf(rule->action, sizeof rule->action, "%s", xml_attribute(r->xml, "type"));
    }
    return true;
}

static bool add_text(struct reading *r)
{
    size_t had = r->text ? strlen(r->text) : 0, more = strlen(xml_text(r->xml));
    char *text = realloc(r->text, had + more + 1);
    if (!text) {
        return fail(r, "out of memory");
    }
    memcpy(text + had, xml_text(r->xml), more + 1);
    r->text = text;
    return true;
}

static void take(char **to, char **text)
{
    free(*to);
    *to = *text;
    *text = NULL;
}

static void end_proxy_part(struct reading *r, struct ppx_proxy *p)
{
    if (is_at(r, "ProxyList/Proxy/Address")) {
        snprintf(p->address, sizeof p->address, "%s", r->text);
    } else if (is_at(r, "ProxyList/Proxy/Port")) {
        p->port = number(r->text);
    } else if (is_at(r, "ProxyList/Proxy/Authentication/Username")) {
        snprintf(p->user, sizeof p->user, "%s", r->text);
    }
}

static void end_rule_part(struct reading *r, struct ppx_rule *rule)
{
    if (is_at(r, "RuleList/Rule/Name")) {
        take(&rule->name, &r->text);
    } else if (is_at(r, "RuleList/Rule/Applications")) {
        take(&rule->applications, &r->text);
    } else if (is_at(r, "RuleList/Rule/Targets")) {
        take(&rule->targets, &r->text);
    } else if (is_at(r, "RuleList/Rule/Ports")) {
        take(&rule->ports, &r->text);
    } else if (is_at(r, "RuleList/Rule/Action")) {
        rule->to = number(r->text);
    }
}

static void end(struct reading *r)
{
    struct ppx_profile *p = r->out;
    if (r->text && p->proxy_count) {
        end_proxy_part(r, &p->proxies[p->proxy_count - 1]);
    }
    if (r->text && is_at(r, "ChainList/Chain/Proxy") && p->chain_count) {
        struct ppx_chain *c = &p->chains[p->chain_count - 1];
        c->too_long = c->too_long || c->count == PPX_CHAIN_MAX;
        if (c->count < PPX_CHAIN_MAX) {
            c->proxies[c->count++] = number(r->text);
        }
    }
    if (r->text && p->rule_count) {
        end_rule_part(r, &p->rules[p->rule_count - 1]);
    }
    free(r->text);
    r->text = NULL;
    r->depth--;
}

static bool walk(struct reading *r)
{
    bool good = true, any = false;
    while (good) {
        switch (xml_next(r->xml)) {
        case XML_BEGIN:
            any = true;
            good = begin(r);
            break;
        case XML_TEXT:
            good = add_text(r);
            break;
        case XML_END:
            end(r);
            break;
        case XML_DONE:
            return any || fail(r, "it is empty");
        default:
            return fail(r, "it is not well-formed XML");
        }
    }
    return false;
}

bool ppx_profile_read(const void *bytes, size_t size, struct ppx_profile *out, char wrong[160])
{
    struct reading r = {.out = out, .wrong = wrong};
    memset(out, 0, sizeof *out);
    *wrong = 0;
    if (size > PPX_BYTES_MAX) {
        snprintf(wrong, 160, "it is larger than 1 MiB");
        return false;
    }
    r.xml = xml_open(bytes, size);
    if (!r.xml) {
        snprintf(wrong, 160, "Windows' XML parser (xmllite.dll) cannot be had");
        return false;
    }
    bool good = walk(&r);
    free(r.text);
    xml_close(r.xml);
    return good;
}

void ppx_profile_free(struct ppx_profile *p)
{
    for (uint32_t i = 0; i < p->rule_count; i++) {
        free(p->rules[i].name);
        free(p->rules[i].applications);
        free(p->rules[i].targets);
        free(p->rules[i].ports);
    }
    memset(p, 0, sizeof *p);
}
