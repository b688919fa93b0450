/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rules_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint32_t column_of(const struct rules_line *l, const char *at)
{
    uint32_t column = 1;
    for (const char *p = l->begin; p < at; p++) {
        column += ((unsigned char)*p & 0xc0) != 0x80;
    }
    return column;
}

bool rules_line_wrong(struct rules_line *l, const char *at, const char *format, ...)
{
    if (!l->failed) {
        char text[200];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        l->failed = true;
        l->reader->wrong(l->reader->context, l->number, column_of(l, at), text);
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct rules_word quoted_word(struct rules_line *l)
{
    struct rules_word w = {.text = l->at + 1, .quoted = true};
    char *end = strchr(w.text, '"');
    if (!end) {
        rules_line_wrong(l, l->at, "the quotation mark is not closed");
        l->at += strlen(l->at);
        return w;
    }
    *end = 0;
    l->at = end + 1;
    if (*l->at && !is_blank(*l->at)) {
        rules_line_wrong(l, l->at, "a blank is missing behind the quotation mark");
    }
    return w;
}

struct rules_word rules_line_word(struct rules_line *l)
{
    while (is_blank(*l->at)) {
        l->at++;
    }
    struct rules_word w = {.text = l->at};
    if (!*l->at || *l->at == '#') {
        w.text = NULL;
        return w;
    }
    if (*l->at == '"') {
        return quoted_word(l);
    }
    while (*l->at && !is_blank(*l->at)) {
        l->at++;
    }
    if (*l->at) {
        *l->at++ = 0;
    }
    return w;
}

struct rules_word rules_line_needed(struct rules_line *l, const char *after, const char *what)
{
    struct rules_word w = rules_line_word(l);
    if (!w.text || !*w.text) {
        rules_line_wrong(l, w.text ? w.text : l->at, "%s is missing behind '%s'", what, after);
        w.text = NULL;
    }
    return w;
}
