/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file mask.h
 * Takes out of a text what tells who or where somebody is: for reports that go to strangers.
 */
#ifndef CLI_MASK_H
#define CLI_MASK_H

#include <stddef.h>
#include <wchar.h>

/** Learns the names of this machine: users, machine, domains, folders of profiles. Before mask_text(); one thread. */
void mask_learn(void);

/** One more name; where it stands, `instead` will stand. Both are copied, truncated to fit. Empty: nothing. */
void mask_word(const wchar_t *word, const wchar_t *instead);

/**
 * Writes UTF-8 `text` to `out`, truncated at `size`, without
 *  - the names learned, in either case, also within longer words if they have 4 characters or more;
 *  - folders of users: C:\Users\name becomes %USERPROFILE%;
 *  - IP addresses (loopback and 0.0.0.0 and :: stay), MAC addresses, SIDs, e-mail addresses;
 *  - names of hosts: with a dot and no file's ending, after "://", after two backslashes.
 * A name of another machine that is a single word is not recognised, unless it was learned.
 */
void mask_text(char *out, size_t size, const char *text);

#endif
