/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rules and names, handed over to the engine's thread. */
#include "service_internal.h"

static void take_rules(redirector *r, void *rules)
{
    engine_set_rules(r->engine, rules);
}

bool service_set_rules(redirector *r, struct rules *rules)
{
    bool taken = request_make(r, take_rules, rules);
    if (!taken) {
        rules_free(rules);
    }
    return taken;
}

struct told {
    const struct tuple *address;
    const char *name;
    bool kept;
};

static void take_name(redirector *r, void *context)
{
    struct told *t = context;
    t->kept = engine_tell_name(r->engine, &t->address->src, t->address->family, t->name);
}

redirector_status service_tell_name(redirector *r, const struct tuple *address, const char *name)
{
    struct told t = {address, name, false};
    if (!request_make(r, take_name, &t)) {
        return REDIRECTOR_NOT_RUNNING;
    }
    return t.kept ? REDIRECTOR_OK : REDIRECTOR_NO_MEMORY;
}
