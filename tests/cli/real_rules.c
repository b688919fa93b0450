/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the library says of rules, by its own code, for the fake redirector: all in one object, because cli/ has names in
 * common with it. */
#define redirector_set_rules real_set_rules
#define redirector_tell_name real_tell_name
#define pattern_matches real_pattern_matches
#define pattern_matches_program real_pattern_matches_program
#include "../../src/ffi_rules.c"
#include "../../src/config.c"
#include "../../src/engine/pattern.c"
#include "../../src/engine/rule_texts.c"
#include "../../src/engine/rules.c"
#include "../../src/error.c"
#include "../../src/windows/text.c"

bool service_set_rules(redirector *r, struct rules *rules)
{
    (void)r;
    rules_free(rules);
    return false;
}

redirector_status service_tell_name(redirector *r, const struct tuple *address, const char *name)
{
    (void)r, (void)address, (void)name;
    return REDIRECTOR_NOT_RUNNING;
}
