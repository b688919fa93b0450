/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: programs and hosts come again and again, so the answer about a text is kept, in the one place
 * that the text's hash has. A text that is too long to be kept is compared with all patterns each time.
 */
#include "rule_texts.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 64, TEXT_KEPT = 280 }; /* a path of Windows has 260 characters, mostly */

struct place {
    char text[TEXT_KEPT]; /* "": free */
    struct rule_set found;
};

struct rule_texts {
    bool (*matches)(const char *pattern, const char *text);
    char *patterns[RULE_SET_MAX]; /* by rule; NULL: none */
    struct rule_set all;
    struct rule_set found; /* of what is not kept */
    struct place places[PLACES];
};

struct rule_texts *rule_texts_new(bool (*matches)(const char *pattern, const char *text))
{
    struct rule_texts *t = calloc(1, sizeof *t);
    if (t) {
        t->matches = matches;
    }
    return t;
}

void rule_texts_free(struct rule_texts *t)
{
    for (uint32_t i = 0; t && i < RULE_SET_MAX; i++) {
        free(t->patterns[i]);
    }
    free(t);
}

bool rule_texts_add(struct rule_texts *t, uint32_t number, const char *pattern)
{
    size_t size = strlen(pattern) + 1;
    char *copy = malloc(size);
    if (!copy) {
        return false;
    }
    memcpy(copy, pattern, size);
    free(t->patterns[number]); /* of a rule that could not be added */
    t->patterns[number] = copy;
    rule_set_add(&t->all, number);
    memset(t->places, 0, sizeof t->places);
    return true;
}

const struct rule_set *rule_texts_all(const struct rule_texts *t)
{
    return &t->all;
}

static void compare(const struct rule_texts *t, const char *text, struct rule_set *found)
{
    *found = (struct rule_set){0};
    uint32_t number = RULE_SET_MAX;
    while (*text && (number = rule_set_last(&t->all, number)) != UINT32_MAX) {
        if (t->matches(t->patterns[number], text)) {
            rule_set_add(found, number);
        }
    }
}

static uint32_t hash(const char *text, size_t length)
{
    uint64_t sum = length, word;
    for (; length >= sizeof word; text += sizeof word, length -= sizeof word) {
        memcpy(&word, text, sizeof word);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(sum >> 48);
}

const struct rule_set *rule_texts_find(struct rule_texts *t, const char *text)
{
    size_t length = rule_set_is_empty(&t->all) ? 0 : strlen(text);
    if (!length || length >= TEXT_KEPT) {
        compare(t, length ? text : "", &t->found);
        return &t->found;
    }
    struct place *p = &t->places[hash(text, length) % PLACES];
    if (memcmp(p->text, text, length + 1) != 0) {
        memcpy(p->text, text, length + 1);
        compare(t, text, &p->found);
    }
    return &p->found;
}
