/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: several ways, or a proxy over another, are read as a line of a file of rules, so that they are the
 * same here and there. One URL alone is taken as it stands, with blanks and commas in its login.
 */
#include "route_option.h"

#include "address.h"
#include "output.h"
#include "pattern.h"
#include "text.h"
#include "upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUTE_WRONG_MAX = 200 };

static const char line_begins[] = "redirect through ";

static bool complain(char wrong[ROUTE_WRONG_MAX], const char *what)
{
    snprintf(wrong, ROUTE_WRONG_MAX, "%s", what);
    return false;
}

static void note_wrong(void *context, uint32_t line, uint32_t column, const char *what)
{
    (void)line, (void)column;
    complain(context, what);
}

static const char *check_url(void *context, const char *url)
{
    (void)context;
    return upstream_check(url);
}

static bool read_one(const char *url, struct route *out, struct route_texts *texts, char wrong[ROUTE_WRONG_MAX])
{
    const char *what = upstream_check(url);
    texts->ways = what ? NULL : strdup(url);
    texts->ways_size = strlen(url);
    *out = (struct route){.ways = {{{texts->ways}}}, .way_count = 1};
    return texts->ways || complain(wrong, what ? what : "out of memory");
}

static bool read_several(const char *ways, struct route *out, struct route_texts *texts, char wrong[ROUTE_WRONG_MAX])
{
    const struct rules_file_reader reader = {wrong, note_wrong, check_url};
    size_t size = sizeof line_begins + strlen(ways);
    char *line = malloc(size);
    struct rules_file *f = calloc(1, sizeof *f);
    bool good = line && f && !strpbrk(ways, "\r\n");
    complain(wrong, line && f ? "there is an end of line in it" : "out of memory");
    if (good) {
        snprintf(line, size, "%s%s", line_begins, ways);
        good = rules_file_read(line, strlen(line), &reader, f);
    }
    if (good) {
        *out = f->routes[0];
        *texts = (struct route_texts){.ways = f->texts, .ways_size = strlen(line)};
    }
    if (line) {
        SecureZeroMemory(line, size);
    }
    free(line);
    free(f);
    return good;
}

/* The "=" between WHOM and WAYS, or NULL: the first with a proxy behind it, because the name of a program may have some, and
 * so may a password. */
static const char *end_of_whom(const char *text)
{
    const char *equals = upstream_begins(text) ? NULL : strchr(text, '=');
    while (equals && !upstream_begins(equals + 1)) {
        equals = strchr(equals + 1, '=');
    }
    return equals;
}

static bool add(struct route_options *o, const char *text, char wrong[ROUTE_WRONG_MAX])
{
    const char *equals = end_of_whom(text), *ways = equals ? equals + 1 : text;
    if (o->count == ROUTES_MAX) {
        return complain(wrong, "there are too many of them");
    }
    if (equals == text) {
        return complain(wrong, "the pattern before '=' is empty");
    }
    struct route *out = &o->routes[o->count];
    struct route_texts *texts = &o->texts[o->count];
    bool several = strstr(ways, ", ") || strstr(ways, " over ");
    if (!(several ? read_several : read_one)(ways, out, texts, wrong)) {
        return false;
    }
    o->count++;
    size_t length = equals ? (size_t)(equals - text) : 0;
    texts->whom = equals ? calloc(1, length + 1) : NULL;
    out->whom = texts->whom;
    if (texts->whom) {
        memcpy(texts->whom, text, length);
    }
    return !equals || texts->whom || complain(wrong, "out of memory");
}

bool route_options_add(struct route_options *o, const wchar_t *value)
{
    char *text = text_utf8(value), wrong[ROUTE_WRONG_MAX] = "out of memory";
    bool good = text && add(o, text, wrong);
    if (text) {
        SecureZeroMemory(text, strlen(text));
    }
    free(text);
    if (!good) {
        output_message("the proxy after --upstream is not right: %s; see redirector --help", wrong);
    }
    return good;
}

void route_options_free(struct route_options *o)
{
    for (uint32_t i = 0; i < o->count; i++) {
        SecureZeroMemory(o->texts[i].ways, o->texts[i].ways_size);
        free(o->texts[i].ways);
        free(o->texts[i].whom);
    }
    o->count = 0;
}

/* ---- whom they mean */

/* A pattern may have the scope of a link-local address, or leave it out. */
static bool matches_address(const char *whom, const redirector_address *address)
{
    redirector_address forms[] = {*address, address_without_scope(address)};
    char text[ADDRESS_TEXT_MAX];
    for (int i = 0; i < 2; i++) {
        address_ip_text(text, &forms[i]);
        if (pattern_matches(whom, text)) {
            return true;
        }
        address_text(text, &forms[i]);
        if (pattern_matches(whom, text)) {
            return true;
        }
    }
    return false;
}

bool route_means(const char *whom, const char *program, const redirector_address *destination)
{
    return !whom || pattern_matches(whom, program) || matches_address(whom, destination);
}

const struct route *route_options_for(const struct route_options *o, const char *program,
                                      const redirector_address *destination)
{
    for (uint32_t i = o->count; i-- > 0;) {
        if (route_means(o->routes[i].whom, program, destination)) {
            return &o->routes[i];
        }
    }
    return NULL;
}
