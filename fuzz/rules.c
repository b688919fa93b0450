/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Rules: any rules with any patterns, against any connection.
 *
 * Input: a connection (its numbers, then its path, its listener's and its host's name, each up to a NUL), then rules:
 * their numbers, and up to a NUL each text that they have. What must hold: the pattern matcher says what one says that
 * tries everything, where the engine's never goes back further than the newest star; rules_add() takes a rule or says
 * what is wrong; and the verdict is that of rules read one by one (reference_rules.h), asked for twice, because the
 * second time it comes from what was kept.
 */
#include "fuzz.h"

#include "engine/pattern.h"
#include "engine/rules.h"
#include "reference_rules.h"

enum { MANY = 300, TEXT_MAX = 600 };

static char fold(char c)
{
    return c == '/' ? '\\' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* matches[p][t]: the pattern from p on matches the text from t on. Filled from the end. */
static bool slow_match(const char *pattern, const char *text)
{
    static bool matches[TEXT_MAX + 2][TEXT_MAX + 2];
    size_t m = strlen(pattern), n = strlen(text);
    for (size_t p = m + 1; p-- > 0;) {
        for (size_t t = n + 1; t-- > 0;) {
            bool yes;
            if (p == m) {
                yes = t == n;
            } else if (pattern[p] == '*') {
                yes = matches[p + 1][t] || (t < n && matches[p][t + 1]);
            } else if (pattern[p] == '?') {
                size_t end = t + 1;
                while (end < n && ((uint8_t)text[end] & 0xc0) == 0x80) {
                    end++;
                }
                yes = t < n && matches[p + 1][end];
            } else {
                yes = t < n && fold(pattern[p]) == fold(text[t]) && matches[p + 1][t + 1];
            }
            matches[p][t] = yes;
        }
    }
    return matches[0][0];
}

/* The next text of the input, in memory of exactly its size. */
static char *next_text(const uint8_t **data, size_t *size)
{
    size_t length = strnlen((const char *)*data, *size < TEXT_MAX ? *size : TEXT_MAX);
    char *text = (char *)exact_copy(*data, length + 1 <= *size ? length + 1 : length);
    text = realloc(text, length + 1);
    MUST(text);
    text[length] = 0;
    size_t used = length < *size ? length + 1 : length;
    *data += used;
    *size -= used;
    return text;
}

struct numbers {
    uint8_t action, direction, protocol, prefix_length, family, texts;
    uint16_t first_port, last_port;
    uint8_t pid, upstream;
    uint8_t network[16];
};

/* The numbers of a rule or a connection; mostly sensible ones. */
static bool next_numbers(const uint8_t **data, size_t *size, struct numbers *out)
{
    if (*size < sizeof *out) {
        return false;
    }
    memcpy(out, *data, sizeof *out);
    *data += sizeof *out;
    *size -= sizeof *out;
    return true;
}

static uint32_t family_of(uint8_t number)
{
    return (const uint32_t[]){FAMILY_NONE, FAMILY_IP4, FAMILY_IP6, FAMILY_IP4}[number & 3];
}

static ip_addr network_of(const struct numbers *n)
{
    return family_of(n->family) == FAMILY_IP4 ? ip_addr_from_ip4(n->network) : ip_addr_from_ip6(n->network);
}

static char *text_if(bool wanted, const uint8_t **data, size_t *size)
{
    return wanted ? next_text(data, size) : NULL;
}

static struct rule next_rule(const struct numbers *n, const uint8_t **data, size_t *size)
{
    return (struct rule){
        .action = n->action & 3,
        .direction = n->direction & 3,
        .protocol = (const uint8_t[]){0, PROTOCOL_TCP, PROTOCOL_UDP, 1}[n->protocol & 3],
        .prefix_length = n->prefix_length,
        .first_port = n->first_port,
        .last_port = n->last_port,
        .family = family_of(n->family),
        .network = network_of(n),
        .pid = n->pid & 7,
        .program = text_if(n->texts & 1, data, size),
        .listener = text_if(n->texts & 2, data, size),
        .host = text_if(n->texts & 4, data, size),
        .upstream = n->upstream,
    };
}

static void free_texts(const struct rule *rule)
{
    free((char *)rule->program);
    free((char *)rule->listener);
    free((char *)rule->host);
}

static void check_verdict(struct rules *rules, const struct rule *all, uint32_t count, struct rule_case c)
{
    struct rule_verdict want = reference_judge(all, count, &c);
    for (int i = 0; i < 2; i++) {
        struct rule_verdict is = rules_judge(rules, &c);
        MUST(is.action == want.action && is.rule == want.rule && is.upstream == want.upstream);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rule all[RULES_MAX];
    struct numbers n;
    uint32_t count = 0;
    if (!next_numbers(&data, &size, &n)) {
        return -1;
    }
    struct rules *rules = rules_new();
    MUST(rules);
    char *texts[] = {next_text(&data, &size), next_text(&data, &size), next_text(&data, &size)};
    struct rule_case c = {.in_tree = n.action & 1,
                          .pid = n.pid & 7,
                          .path = texts[0],
                          .protocol = n.protocol & 1 ? PROTOCOL_TCP : PROTOCOL_UDP,
                          .direction = n.direction & 1 ? RULE_OUTGOING : RULE_INCOMING,
                          .family = family_of(n.family),
                          .address = network_of(&n),
                          .port = n.first_port,
                          .listener = texts[1],
                          .host = texts[2]};
    for (uint32_t tried = 0; tried < MANY && next_numbers(&data, &size, &n); tried++) {
        struct rule rule = next_rule(&n, &data, &size);
        const char *wrong = rules_add(rules, &rule);
        MUST(!wrong || *wrong);
        if (rule.program && *c.path && strlen(rule.program) < TEXT_MAX) {
            MUST(pattern_matches(rule.program, c.path) == slow_match(rule.program, c.path));
        }
        if (wrong) {
            free_texts(&rule);
            continue;
        }
        MUST(count < RULES_MAX);
        all[count++] = rule;
        if (count % 8 == 1) {
            check_verdict(rules, all, count, c);
        }
    }
    check_verdict(rules, all, count, c);
    c.path = c.host;
    check_verdict(rules, all, count, c);
    rules_free(rules);
    for (uint32_t i = 0; i < count; i++) {
        free_texts(&all[i]);
    }
    for (int i = 0; i < 3; i++) {
        free(texts[i]);
    }
    return 0;
}
