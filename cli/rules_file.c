/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the file is copied, and words are ended by NULs in that copy, so that patterns are pointers into
 * it. A line is an action and parts; lists of places and of ports are kept as their text until the line has ended, and
 * then become one rule for each pair. All mistakes are told, a line's first one alone, so that none follows from
 * another.
 */
#include "rules_line.h"

#include <stdlib.h>
#include <string.h>

static bool set_direction(struct rules_line *l, uint32_t direction, const char *at)
{
    if (l->rule.direction && l->rule.direction != direction) {
        return rules_line_wrong(l, at, "it would be both incoming and outgoing: make two rules of it");
    }
    l->rule.direction = direction;
    return true;
}

static bool set_pattern(struct rules_line *l, const char **to, const char *name)
{
    struct rules_word w = rules_line_needed(l, name, "a pattern");
    if (*to) {
        return rules_line_wrong(l, w.text ? w.text : l->at, "'%s' stands there twice", name);
    }
    *to = w.text;
    return w.text &&
           (strlen(w.text) <= RULES_PATTERN_MAX || rules_line_wrong(l, w.text, "the pattern is longer than 512 bytes"));
}

static bool set_list(struct rules_line *l, char **to, const char *name, const char *what)
{
    struct rules_word w = rules_line_needed(l, name, what);
    if (*to) {
        return rules_line_wrong(l, w.text ? w.text : l->at, "'%s' stands there twice", name);
    }
    *to = w.text;
    return w.text;
}

static bool set_pid(struct rules_line *l)
{
    struct rules_word w = rules_line_needed(l, "pid", "a process id");
    if (l->rule.pid) {
        return rules_line_wrong(l, w.text ? w.text : l->at, "'pid' stands there twice");
    }
    return w.text && ((rules_line_number(w.text, UINT32_MAX, &l->rule.pid) && l->rule.pid) ||
                      rules_line_wrong(l, w.text, "'%.60s' is no process id", w.text));
}

static bool set_protocol(struct rules_line *l, uint32_t protocol, const char *at)
{
    if (l->rule.protocol) {
        return rules_line_wrong(l, at, "the protocol stands there twice");
    }
    l->rule.protocol = protocol;
    return true;
}

static bool read_part(struct rules_line *l, struct rules_word w)
{
    const char *name = w.quoted ? "" : w.text;
    if (strcmp(name, "program") == 0) {
        return set_pattern(l, &l->rule.pattern, name);
    }
    if (strcmp(name, "listener") == 0) {
        return set_pattern(l, &l->rule.listener, name);
    }
    if (strcmp(name, "pid") == 0) {
        return set_pid(l);
    }
    if (strcmp(name, "to") == 0 || strcmp(name, "from") == 0) {
        bool to = *name == 't';
        return set_direction(l, to ? REDIRECTOR_OUTGOING : REDIRECTOR_INCOMING, w.text) &&
               set_list(l, &l->places, name, "an address, a network or a host");
    }
    if (strcmp(name, "port") == 0) {
        return set_list(l, &l->ports, name, "a port");
    }
    if (strcmp(name, "tcp") == 0 || strcmp(name, "udp") == 0) {
        return set_protocol(l, *name == 't' ? REDIRECTOR_TCP : REDIRECTOR_UDP, w.text);
    }
    if (strcmp(name, "outgoing") == 0 || strcmp(name, "incoming") == 0) {
        return set_direction(l, *name == 'o' ? REDIRECTOR_OUTGOING : REDIRECTOR_INCOMING, w.text);
    }
    if (strcmp(name, "through") == 0) {
        return l->rule.action == REDIRECTOR_RULE_REDIRECT
                   ? rules_line_route(l)
                   : rules_line_wrong(l, w.text, "'through' is for what is redirected");
    }
    return rules_line_wrong(
        l, w.text,
        "'%.60s' is none of program, pid, listener, to, from, port, tcp, udp, outgoing, incoming and through", w.text);
}

static bool read_action(struct rules_line *l, struct rules_word w)
{
    static const char *const names[] = {
        [REDIRECTOR_RULE_PASS] = "pass", [REDIRECTOR_RULE_REDIRECT] = "redirect", [REDIRECTOR_RULE_BLOCK] = "block"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!w.quoted && strcmp(w.text, names[i]) == 0) {
            l->rule.action = i;
            return true;
        }
    }
    return rules_line_wrong(l, w.text, "'%.60s' is none of redirect, pass and block", w.text);
}

/* The next of a list, which is cut off; NULL: there is none. */
static char *next_of_list(char **list)
{
    char *item = *list, *comma = item ? strchr(item, ',') : NULL;
    *list = comma ? comma + 1 : NULL;
    if (comma) {
        *comma = 0;
    }
    return item;
}

static bool add_rule(struct rules_line *l)
{
    struct rules_file *out = l->out;
    if (out->count == RULES_FILE_RULES_MAX) {
        return rules_line_wrong(l, l->begin,
                                "there are more than %d rules; each pair of a place and a port of a line counts as one",
                                RULES_FILE_RULES_MAX);
    }
    out->lines[out->count] = l->number;
    out->rules[out->count++] = l->rule;
    return true;
}

struct ranges {
    struct {
        uint32_t first, last;
    } all[RULES_FILE_RULES_MAX];
    uint32_t count;
};

static bool read_ranges(struct rules_line *l, struct ranges *out)
{
    out->count = 0;
    for (char *text, *list = l->ports; (text = next_of_list(&list)) != NULL; out->count++) {
        if (out->count == RULES_FILE_RULES_MAX) {
            return rules_line_wrong(l, text, "there are more than %d ranges of ports", RULES_FILE_RULES_MAX);
        }
        if (!rules_line_ports(l, text)) {
            return false;
        }
        out->all[out->count].first = l->rule.first_port;
        out->all[out->count].last = l->rule.last_port;
    }
    if (!out->count) {
        out->all[out->count].first = out->all[out->count].last = 0;
        out->count = 1;
    }
    return true;
}

/* One rule for each place and each range of ports. */
static bool add_rules(struct rules_line *l)
{
    struct ranges ranges;
    char *list = l->places;
    if (!read_ranges(l, &ranges)) {
        return false;
    }
    do {
        char *place = next_of_list(&list);
        if (place && !rules_line_place(l, place)) {
            return false;
        }
        for (uint32_t i = 0; i < ranges.count; i++) {
            l->rule.first_port = ranges.all[i].first;
            l->rule.last_port = ranges.all[i].last;
            if (!add_rule(l)) {
                return false;
            }
        }
    } while (list);
    return true;
}

static bool read_line(struct rules_line *l)
{
    l->rule = (redirector_rule){.size = sizeof l->rule};
    struct rules_word w = rules_line_word(l);
    if (!w.text || !read_action(l, w)) {
        return !w.text && !l->failed;
    }
    while (!l->failed && (w = rules_line_word(l)).text) {
        if (!read_part(l, w)) {
            return false;
        }
    }
    if (l->rule.pid && l->rule.pattern) {
        return rules_line_wrong(l, l->begin, "it has both a pid and a program");
    }
    if (l->rule.listener && l->rule.direction == REDIRECTOR_INCOMING) {
        return rules_line_wrong(
            l, l->begin, "'listener' is about where outgoing connections go, but this rule is about incoming ones");
    }
    return !l->failed && add_rules(l);
}

/* The first byte that is no UTF-8; NULL: all is. Overlong forms and surrogates are let through: they match nothing. */
static const char *not_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        unsigned char c = (unsigned char)text[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;
        if (!c || more >= length - i) {
            return text + i;
        }
        for (size_t k = 1; k <= more; k++) {
            if (((unsigned char)text[i + k] & 0xc0) != 0x80) {
                return text + i;
            }
        }
        i += more + 1;
    }
    return NULL;
}

static bool check_bytes(const char *text, size_t length, struct rules_line *l)
{
    const char *bad = length > RULES_FILE_BYTES_MAX ? text : not_utf8(text, length);
    if (!bad) {
        return true;
    }
    l->number = 1;
    l->begin = text;
    for (const char *p = text; p < bad; p++) {
        if (*p == '\n') {
            l->number++;
            l->begin = p + 1;
        }
    }
    return rules_line_wrong(l, bad,
                            length > RULES_FILE_BYTES_MAX ? "the file is larger than 1 MiB"
                                                          : "this is not UTF-8; save the file as UTF-8");
}

bool rules_file_read(const char *text, size_t length, const struct rules_file_reader *reader, struct rules_file *out)
{
    memset(out, 0, sizeof *out);
    struct rules_line l = {.reader = reader, .out = out};
    if (!check_bytes(text, length, &l)) {
        return false;
    }
    out->texts = malloc(length + 1);
    if (!out->texts) {
        return rules_line_wrong(&l, text, "out of memory");
    }
    memcpy(out->texts, text, length);
    out->texts[length] = 0;
    char *at = out->texts + (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    bool good = true;
    for (uint32_t number = 1; at; number++) {
        char *end = strchr(at, '\n'), *next = end ? end + 1 : NULL;
        if (end) {
            *end = 0;
        }
        size_t size = strlen(at);
        if (size && at[size - 1] == '\r') {
            at[size - 1] = 0;
        }
        l = (struct rules_line){.reader = reader, .out = out, .at = at, .begin = at, .number = number};
        good = read_line(&l) && good;
        at = next;
    }
    if (!good) {
        rules_file_free(out);
    }
    return good;
}

void rules_file_free(struct rules_file *f)
{
    free(f->texts);
    memset(f, 0, sizeof *f);
}
