/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rules_line.h
 * A line of a file of rules: its words, its mistakes, and the parts that have a form of their own. Inside of rules_file.
 */
#ifndef CLI_RULES_LINE_H
#define CLI_RULES_LINE_H

#include "rules_file.h"

enum { RULES_PATTERN_MAX = 512 };

struct rules_line {
    const struct rules_file_reader *reader;
    struct rules_file *out;
    char *at;          /* what is still to be read; it ends with NUL */
    const char *begin; /* of the line */
    uint32_t number;
    bool failed;
    redirector_rule rule;
    char *places, *ports; /* lists; NULL: none was named */
};

struct rules_word {
    char *text; /* NULL: the line has ended */
    bool quoted;
};

/** Tells a mistake at this place of the line, only the first of each line. false, so that it can be returned. */
bool rules_line_wrong(struct rules_line *l, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The next word, without its quotation marks; a '#' at its beginning ends the line. */
struct rules_word rules_line_word(struct rules_line *l);

/** The same of one that must be there; text NULL: it is not, which was told. */
struct rules_word rules_line_needed(struct rules_line *l, const char *after, const char *what);

/** Digits alone, 0 to `most`. */
bool rules_line_number(const char *text, uint32_t most, uint32_t *out);

/** Into the rule: an address, a network, a host or "any"; a port, a range or "any". The text is changed. */
bool rules_line_place(struct rules_line *l, char *text);
bool rules_line_ports(struct rules_line *l, char *text);

/** The rest of the line: "URL [over URL]{, URL [over URL]}". */
bool rules_line_route(struct rules_line *l);

#endif
