/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file rule_words.h  Rules as commands have them. */
#ifndef E2E_RULE_WORDS_H
#define E2E_RULE_WORDS_H

#include "windows_redirector.h"

#include <stdlib.h>
#include <string.h>
#include <ws2tcpip.h>

enum { RULES = 32 };

/* What a rule names besides a process, "net=10.0.0.0/8;port=80-90;protocol=17;direction=1;host=*.test;upstream=5". */
static inline void rule_place(char *text, redirector_rule *rule)
{
    for (char *part = strtok_s(text, ";", &text); part; part = strtok_s(NULL, ";", &text)) {
        char *value = strchr(part, '=') ? strchr(part, '=') + 1 : part, *rest = value;
        uint32_t number = (uint32_t)strtoul(value, &rest, 10);
        if (strncmp(part, "net=", 4) == 0) {
            char *slash = strchr(value, '/');
            *slash = 0;
            rule->family = strchr(value, ':') ? 6 : 4;
            rule->prefix_length = (uint32_t)strtoul(slash + 1, NULL, 10);
            inet_pton(rule->family == 6 ? AF_INET6 : AF_INET, value, rule->network);
        } else if (strncmp(part, "port=", 5) == 0) {
            rule->first_port = number;
            rule->last_port = *rest == '-' ? (uint32_t)strtoul(rest + 1, NULL, 10) : number;
        } else if (strncmp(part, "protocol=", 9) == 0) {
            rule->protocol = number;
        } else if (strncmp(part, "direction=", 10) == 0) {
            rule->direction = number;
        } else if (strncmp(part, "upstream=", 9) == 0) {
            rule->upstream = number;
        } else if (strncmp(part, "host=", 5) == 0) {
            rule->host = value;
        } else {
            rule->pattern = part;
        }
    }
}

/*
 * Rules stand in one word, with commas between them: '+' (redirect), '-' (pass) or '!' (block), then '#' and a pid, or
 * '>' and a pattern of a listener, or ';' and a place, or a pattern. The text is cut up. Returns how many there are.
 */
static inline uint32_t rules_parse(char *text, redirector_rule out[RULES])
{
    uint32_t count = 0;
    for (char *word = strtok_s(text, ",", &text); word && count < RULES; word = strtok_s(NULL, ",", &text)) {
        redirector_rule *rule = &out[count++];
        *rule = (redirector_rule){.size = sizeof *rule,
                                  .action = *word == '+'   ? REDIRECTOR_RULE_REDIRECT
                                            : *word == '!' ? REDIRECTOR_RULE_BLOCK
                                                           : REDIRECTOR_RULE_PASS};
        if (word[1] == '#') {
            rule->pid = (uint32_t)strtoul(word + 2, NULL, 10);
        } else if (word[1] == '>') {
            rule->listener = word + 2;
        } else if (word[1] == ';') {
            rule_place(word + 2, rule);
        } else {
            rule->pattern = word + 1;
        }
    }
    return count;
}

#endif
