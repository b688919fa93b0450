/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rule_texts.h
 * Which of up to RULE_SET_MAX patterns match a text, found once for each of the texts that came lately.
 */
#ifndef ENGINE_RULE_TEXTS_H
#define ENGINE_RULE_TEXTS_H

#include "pattern.h"
#include "rule_set.h"

struct rule_texts;

/** `matches`: how a pattern is compared. NULL: no memory. */
struct rule_texts *rule_texts_new(bool (*matches)(const char *pattern, const char *text));
void rule_texts_free(struct rule_texts *t);

/** The pattern of rule `number`, which is copied and has 1 to PATTERN_MAX bytes. false: no memory. */
bool rule_texts_add(struct rule_texts *t, uint32_t number, const char *pattern);

/** The rules that have a pattern. */
const struct rule_set *rule_texts_all(const struct rule_texts *t);

/** Those whose pattern matches; of "" none. Valid until the next call. */
const struct rule_set *rule_texts_find(struct rule_texts *t, const char *text);

#endif
