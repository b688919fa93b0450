/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The rules of a running redirector, by the control channel:
 *
 *   rules list json           (or text)
 *   rules set SIZE            and that many bytes: a file of rules, in place of the file's; all or nothing (R3)
 *   rules test json SIZE      (or text) and that many bytes, three lines: "IN_TREE PROTOCOL DIRECTION FAMILY PORT ADDRESS",
 *                             the address in hexadecimal; the program's path; the host's name, which may be empty
 *
 * Whoever may ask may also change: the same user and Administrators (control.c).
 */
#include "control.h"

#include "output.h"
#include "rules_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(void *context, const char *text)
{
    control_add(context, text);
}

static void list(struct control_lines *l, bool json, struct rules_state *rules)
{
    char line[OUTPUT_LINE_MAX];
    struct rules_in_force *f = rules_state_take(rules);
    control_add(l, "good");
    for (uint32_t i = 0; i < f->count; i++) {
        if (json) {
            rules_json(line, sizeof line, f, i);
        } else if (rules_is_next_line(f, i)) {
            rules_text(line, sizeof line, f, i);
        } else {
            continue;
        }
        control_add(l, line);
    }
    if (!f->count && !json) {
        control_add(l, "no rules: what the programs open is redirected");
    }
    rules_release(f);
}

/* The mistakes come behind "wrong", so they are gathered. */
static void set(struct control_lines *l, const char *bytes, size_t size, const struct control_subject *about)
{
    struct control_lines mistakes = {.text = calloc(1, 1), .room = 1};
    const struct rules_teller to = {add, &mistakes};
    uint32_t count;
    char line[32];
    if (rules_state_set(about->rules, about->redirector, "rules", bytes, size, &to, &count)) {
        snprintf(line, sizeof line, "%" PRIu32, count);
        control_add(l, "good");
        control_add(l, line);
        output_message("'redirector rules set' has set the rules: %" PRIu32 " rule%s in force now", count,
                       count == 1 ? " is" : "s are");
    } else {
        control_add(l, "wrong");
        if (mistakes.text && mistakes.used) {
            mistakes.text[mistakes.used - 1] = '\0'; /* control_add() ends it again */
            control_add(l, mistakes.text);
        }
    }
    free(mistakes.text);
}

/* A line, which is ended there; NULL: there is none. */
static char *take_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (!end) {
        return NULL;
    }
    *end = '\0';
    *at = end + 1;
    return line;
}

static bool read_case(char *text, redirector_rule_case *c)
{
    char hexadecimal[33], *numbers = take_line(&text), *program = numbers ? take_line(&text) : NULL,
                          *host = program ? take_line(&text) : NULL;
    int used = 0;
    /* NOLINTBEGIN(cert-err34-c): the widths leave no room for a number that is too large */
    if (!host || *text ||
        sscanf(numbers, "%1" SCNu32 " %2" SCNu32 " %1" SCNu32 " %1" SCNu32 " %5" SCNu32 " %32[0-9a-f]%n", &c->in_tree,
               &c->protocol, &c->direction, &c->address.family, &c->address.port, hexadecimal, &used) != 6 ||
        numbers[used] || strlen(hexadecimal) != 32) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        unsigned byte;
        sscanf(hexadecimal + 2 * i, "%2x", &byte);
        c->address.bytes[i] = (uint8_t)byte;
    }
    /* NOLINTEND(cert-err34-c) */
    c->program = program;
    c->host = *host ? host : NULL;
    return true;
}

static void test(struct control_lines *l, bool json, char *text, const struct control_subject *about)
{
    char line[OUTPUT_LINE_MAX];
    redirector_rule_case c = {.size = sizeof c};
    redirector_rule_verdict v = {.size = sizeof v};
    redirector_error error = {.size = sizeof error};
    struct rules_in_force *f = rules_state_take(about->rules);
    struct rules_answer answer = {&c, f, &v, about->upstreams};
    if (!read_case(text, &c)) {
        control_add(l, "wrong");
        control_add(l, "this redirector does not understand the connection");
    } else if (redirector_test_rules(f->rules, f->count, &c, &v, &error) != REDIRECTOR_OK) {
        control_add(l, "wrong");
        control_add(l, error.text);
    } else {
        rules_answer_text(line, sizeof line, json, &answer);
        control_add(l, "good");
        control_add(l, line);
    }
    rules_release(f);
}

void control_rules(struct control_lines *l, const char *request, size_t size, const struct control_subject *about)
{
    const char *end = strchr(request, '\n'), *data = end ? end + 1 : NULL;
    if (strcmp(request, "rules list json") == 0 || strcmp(request, "rules list text") == 0) {
        list(l, request[11] == 'j', about->rules);
    } else if (data && strncmp(request, "rules set ", 10) == 0) {
        set(l, data, size - (size_t)(data - request), about);
    } else if (data &&
               (strncmp(request, "rules test json ", 16) == 0 || strncmp(request, "rules test text ", 16) == 0)) {
        char *text = strdup(data); /* up to a NUL, if there is one within */
        if (text) {
            test(l, request[11] == 'j', text, about);
        }
        free(text);
    }
}
