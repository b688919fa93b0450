/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rules.h
 * Include and exclude rules that refine the process tree (I4).
 *
 * A process starts out as what the tree says of it; then each rule that matches it has its say, and the last one wins.
 * A rule names a process by pid, or by a pattern: with a slash or backslash in it, it is matched against the whole path
 * of the image, else against the image's file name. `*` stands for any characters, `?` for one; letters match in either
 * case (ASCII), slashes in either direction. A rule may be narrowed to connections that reach a listener of this machine
 * whose owner matches a second pattern; then it names any process, if it names none.
 */
#ifndef ENGINE_RULES_H
#define ENGINE_RULES_H

#include <stdbool.h>
#include <stdint.h>

enum { RULES_MAX = 256, RULE_PATTERN_MAX = 512 };

struct rules;

struct rules *rules_new(void); /* NULL: no memory */
void rules_free(struct rules *r);

/** Adds a rule behind the others. pattern NULL: by pid. false: too many, or an empty or over-long pattern. */
bool rules_add(struct rules *r, bool include, const char *pattern, uint32_t pid);

/** Narrows the newest rule to connections to a listener whose owner matches. false: an empty or over-long pattern. */
bool rules_narrow(struct rules *r, const char *listener);

/** Whether any rule asks for paths: of processes; of listeners' owners. */
bool rules_want_path(const struct rules *r);
bool rules_want_listener(const struct rules *r);

/** Whether any rule is narrowed to listeners of an owner with this path. */
bool rules_know_listener(const struct rules *r, const char *path);

/**
 * The rules' word on a process and, if `listener` is not "", on its connection to a listener whose owner has that path.
 * `path` may be "" (unknown): then patterns do not match.
 */
bool rules_apply(const struct rules *r, bool in_tree, uint32_t pid, const char *path, const char *listener);

#endif
